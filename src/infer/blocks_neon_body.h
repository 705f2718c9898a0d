/* infer/blocks_neon_body.h - what the two rows of blocks.h for ARM processors have in common; included once
 * by each, which defines
 *
 *     ROWS_MAX      rows of a tile
 *     ZERO_DONE(s)  what put_values and group_sums together have already taken from each code
 *     put_values, group_sums   as declared below
 *
 * No include guard: it is a template, like panels_body.h. */

#include "base/each.h"
#include "infer/blocks.h"

#include <arm_neon.h>

enum { PANEL = 16, QUARTERS = 4, LINE = 64 };

/* The 32 values of a block into its LM_BLOCK_INPUT_CODES bytes, in the order group_sums wants. */
INLINE void put_values(char *codes, const int32x4_t *values);

/* sums[4 r + i] = sum over the group of (code - ZERO_DONE(s)) value, for row r and outputs 4 i .. 4 i + 3.
 * weights: the block's lines of codes; x: the block's values in row 0, x_bytes further those of row 1. */
INLINE void group_sums(const struct lm_block_shape s, const size_t rows, int32x4_t *sums, const char *weights,
                       const char *x, size_t x_bytes, const size_t group);

/* ---- inputs ---- */

static void prepare_block(char *codes, struct lm_block_tail *tail, const float *x)
{
    uint32x4_t largest = vdupq_n_u32(0);   // non-negative floats as integers
    int32x4_t v[8];
    EACH (i, 8)
        largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + 4 * i))));
    const uint32_t bits = vmaxvq_u32(largest);
    float max;
    __builtin_memcpy(&max, &bits, sizeof max);
    const int finite = max < __builtin_inff(), some = finite && max >= 1e-30f;
    const float32x4_t inverse = vdupq_n_f32(some ? LM_BLOCK_VALUE_MAX / max : 0);
    EACH (i, 8)
        v[i] = some ? vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4 * i), inverse)) : vdupq_n_s32(0);
    put_values(codes, v);
    const float scale = some ? max / LM_BLOCK_VALUE_MAX : finite ? 0 : __builtin_nanf("");
    const int first = vaddvq_s32(vaddq_s32(vaddq_s32(v[0], v[1]), vaddq_s32(v[2], v[3]))),
              sum = first + vaddvq_s32(vaddq_s32(vaddq_s32(v[4], v[5]), vaddq_s32(v[6], v[7])));
    *tail = (struct lm_block_tail){ scale, scale * (float)sum, sum, first };
}

static void prepare(void *ret, const float *x, size_t blocks)
{
    char *codes = ret;
    struct lm_block_tail *tails = (void *)(codes + blocks * LM_BLOCK_INPUT_CODES);
    for (size_t b = 0; b < blocks; b++)
        prepare_block(codes + b * LM_BLOCK_INPUT_CODES, &tails[b], x + b * LM_BLOCK);
}

/* ---- products ---- */

struct view {
    const char *x, *panels;
    size_t x_bytes, panel_bytes, blocks;
};

INLINE float32x4_t factors(const struct lm_block_shape s, const char *at, size_t quarter)
{
    at += quarter * 4 * s.factor_bytes;
    return s.factor_bytes == 2 ? vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const void *)at)))
                               : vld1q_f32((const void *)at);
}

INLINE const struct lm_block_tail *tail(const struct view *v, size_t row, size_t block)
{
    return (const struct lm_block_tail *)(v->x + row * v->x_bytes + v->blocks * LM_BLOCK_INPUT_CODES) + block;
}

/* acc += scales (sums of one group); at: the group's 16 scales. */
INLINE void add_group(const struct lm_block_shape s, const size_t rows, float32x4_t *acc,
                      const struct view *v, size_t block, const size_t group, const char *at)
{
    int32x4_t sums[ROWS_MAX * QUARTERS];
    group_sums(s, rows, sums, v->panels + block * lm_block_bytes(&s), v->x + block * LM_BLOCK_INPUT_CODES,
               v->x_bytes, group);
    EACH (r, rows) {
        const struct lm_block_tail *t = tail(v, r, block);
        const int values = s.group == LM_BLOCK ? t->sum : group == 0 ? t->first : t->sum - t->first;
        const int32x4_t rest = vdupq_n_s32((ZERO_DONE(s) - s.zero) * values);
        EACH (i, QUARTERS) {
            const float32x4_t whole = vcvtq_f32_s32(vaddq_s32(sums[r * QUARTERS + i], rest));
            const float32x4_t scale = vmulq_n_f32(factors(s, at, i), t->scale);
            acc[r * QUARTERS + i] = vfmaq_f32(acc[r * QUARTERS + i], whole, scale);
        }
    }
}

INLINE void tile(const struct lm_block_shape s, const size_t rows, struct lm_outputs to, const struct view *v)
{
    const size_t groups = LM_BLOCK / s.group, row_bytes = PANEL * s.factor_bytes;
    const char *at = v->panels + lm_block_code_bytes(&s);   // factors of the block at hand
    float32x4_t acc[ROWS_MAX * QUARTERS];
    EACH (r, rows)
        EACH (i, QUARTERS)
            acc[r * QUARTERS + i] =
                to.start ? vld1q_f32(to.start + r * to.start_stride + i * 4) : vdupq_n_f32(0);
    for (size_t b = 0; b < v->blocks; b++, at += lm_block_bytes(&s)) {
        EACH (g, groups)
            add_group(s, rows, acc, v, b, g, at + g * row_bytes);
        if (s.has_offset)
            EACH (r, rows)
                EACH (i, QUARTERS)
                    acc[r * QUARTERS + i] = vfmaq_n_f32(
                        acc[r * QUARTERS + i], factors(s, at + groups * row_bytes, i), tail(v, r, b)->total);
    }
    EACH (r, rows)
        EACH (i, QUARTERS)
            vst1q_f32(to.y + r * to.stride + i * 4, acc[r * QUARTERS + i]);
}

INLINE void tile_rows(const struct lm_block_shape s, const size_t rows, struct lm_outputs to, struct view v,
                      size_t panel_count)
{
    for (size_t j = 0; j < panel_count; j++, v.panels += v.panel_bytes)
        tile(s, rows, lm_outputs_past(to, 0, j * PANEL), &v);
}

INLINE void product(const struct lm_block_shape s, struct lm_outputs to, struct view v, size_t rows,
                    size_t panel_count)
{
    for (; rows >= ROWS_MAX; rows -= ROWS_MAX) {
        tile_rows(s, ROWS_MAX, to, v, panel_count);
        to = lm_outputs_past(to, ROWS_MAX, 0);
        v.x += ROWS_MAX * v.x_bytes;
    }
    switch (rows) {
    case 3:
        tile_rows(s, 3, to, v, panel_count);
        break;
    case 2:
        tile_rows(s, 2, to, v, panel_count);
        break;
    case 1:
        tile_rows(s, 1, to, v, panel_count);
        break;
    default:
        break;
    }
}

#include "infer/blocks_table.h"
