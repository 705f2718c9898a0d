#ifndef LM_INFER_BLOCKS_H
#define LM_INFER_BLOCKS_H
/* infer/blocks.h - products with quantised weights: exact integer sums inside a block, floats between blocks.
 *
 * A stored block of 32 weights is codes and a scale: w = scale (code - zero) + offset, code an unsigned byte
 * or nibble.  A row of inputs is cut into blocks of 32 as well, each with a scale of its own and 16 bits a
 * value (steps of max / 32639), so that what rounding the inputs costs is some 200 times less than with the
 * usual 8 bits, and is the same for a prompt and for a single token.  Then, for each output,
 *
 *     s = sum over the block of (code - zero) value                        exact, 32 bits
 *     y = fma((float)s, w_scale * x_scale, y)                              blocks in ascending order
 *     y = fma(w_offset, x_total, y)                                        x_total = x_scale * (float)sum of
 * values
 *
 * which has the same bits for any batch, tile, thread and instruction set.
 *
 * Panels, as in panels.h, are 16 output columns.  One is its blocks, each in the order it is read in, so that
 * a matrix is one stream from front to back:
 *
 *     codes     8 (nibbles: 4) lines of 64 bytes: line q has k = 4q .. 4q+3 of output 0, of output 1 ...;
 *               as nibbles the low ones are k = 4q + j, the high ones k = 16 + 4q + j
 *     factors   per group 16 scales; then, if there are offsets, 16 offsets
 *
 * SCALAR defines; kernels do not allocate, lock, log or fail. */

#include "infer/panels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LM_BLOCK = 32 };

enum lm_block_form {
    LM_BLOCK_U8,        // Q8_0, Q5_0
    LM_BLOCK_U4,        // Q4_0
    LM_BLOCK_U4_F16,    // Q4_1: with offsets
    LM_BLOCK_U4_F32,    // Q4_K
    LM_BLOCK_U8_F32,    // Q5_1, Q5_K
    LM_BLOCK_U8_HALF,   // Q6_K: a scale for every 16
    LM_BLOCK_FORM_COUNT,
};

struct lm_block_shape {
    unsigned code_bits, group;   // group: codes that share a scale, 32 or 16
    unsigned factor_bytes;       // 2: f16, 4: f32
    unsigned has_offset;         // only with groups of 32
    int zero;
};

#define LM_BLOCK_SHAPES                                                                                      \
    {                                                                                                        \
        [LM_BLOCK_U8] = { 8, 32, 2, 0, 128 }, [LM_BLOCK_U4] = { 4, 32, 2, 0, 8 },                            \
        [LM_BLOCK_U4_F16] = { 4, 32, 2, 1, 0 }, [LM_BLOCK_U4_F32] = { 4, 32, 4, 1, 0 },                      \
        [LM_BLOCK_U8_F32] = { 8, 32, 4, 1, 0 }, [LM_BLOCK_U8_HALF] = { 8, 16, 4, 0, 128 },                   \
    }
extern const struct lm_block_shape lm_block_shapes[LM_BLOCK_FORM_COUNT];

/* What follows the codes of a row of inputs, once a block. */
struct lm_block_tail {
    float scale, total;   // total = scale * (float)sum
    int32_t sum, first;   // of all 32 values, of the first 16
};

enum {
    LM_BLOCK_INPUT_CODES = 64,   // bytes of a block's codes: 16 bits a value, in an order each row chooses
    LM_BLOCK_INPUT_BYTES = LM_BLOCK_INPUT_CODES + sizeof(struct lm_block_tail),
    LM_BLOCK_VALUE_MAX = 32639,   // 127 * 256 + 127: two signed bytes
};

struct lm_block_kernels {
    /* Rounds blocks * 32 floats.  ret: the codes of all blocks, then their tails; aligned to 64.  A block
     * below 1e-30 counts as zero; one that holds NaN or infinity gets the scale NaN. */
    void (*prepare)(void *ret, const float *x, size_t blocks);

    /* Output 16 j + i of row m = its start + row m of x times output i of panel j, for m < rows,
     * j < panel_count.  x_bytes and panel_bytes: from one row, one panel to the next. */
    void (*product[LM_BLOCK_FORM_COUNT])(struct lm_outputs to, const void *x, size_t x_bytes, size_t rows,
                                         const void *panels, size_t panel_bytes, size_t panel_count,
                                         size_t blocks);
};

extern const struct lm_block_kernels lm_blocks_scalar, lm_blocks_avx2, lm_blocks_avx512_vnni, lm_blocks_neon,
    lm_blocks_neon_dot;

const struct lm_block_kernels *lm_blocks(void);   // the row for this processor, see lm_isa

/* Of one block of a panel: its codes; all of it. */
static inline size_t lm_block_code_bytes(const struct lm_block_shape *s)
{
    return s->code_bits * (size_t)64;
}
static inline size_t lm_block_bytes(const struct lm_block_shape *s)
{
    return lm_block_code_bytes(s) + (LM_BLOCK / s->group + s->has_offset) * (size_t)16 * s->factor_bytes;
}

/* One block of one output into its place. */
struct lm_block_weights {
    uint8_t codes[LM_BLOCK];
    float scale[2], offset;   // scale[1]: of the second half, in forms with groups of 16
};
void lm_block_put(enum lm_block_form form, void *panel, size_t block, size_t output,
                  const struct lm_block_weights *w);

#endif
