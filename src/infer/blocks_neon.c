/* NEON row: codes minus zero widen to 16 bits, SMLAL adds products with 16 bits of an input.  Codes of an
 * input block: 32 values of 16 bits, as in the scalar row.  A line is loaded so that the outputs lie beside
 * each other, so no sum goes across a register. */
enum { ROWS_MAX = 4 };
#define ZERO_DONE(s) (s).zero

#include "infer/blocks_neon_body.h"

INLINE void put_values(char *codes, const int32x4_t *values)
{
    EACH (i, 8)
        vst1_s16((int16_t *)(void *)(codes + 8 * i), vmovn_s32(values[i]));
}

/* Adds input k times the codes of 16 outputs; `lane` is k within `four`, a constant for the instruction. */
#define ADD_PRODUCTS(lane)                                                                                   \
    do {                                                                                                     \
        const uint8x16_t c = codes.val[lane];                                                                \
        const int16x8_t low = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(c), vget_low_u8(zero)));            \
        const int16x8_t high = vreinterpretq_s16_u16(vsubl_high_u8(c, zero));                                \
        EACH (r, rows) {                                                                                     \
            int32x4_t *sum = sums + r * QUARTERS;                                                            \
            sum[0] = vmlal_lane_s16(sum[0], vget_low_s16(low), four[r], lane);                               \
            sum[1] = vmlal_high_lane_s16(sum[1], low, four[r], lane);                                        \
            sum[2] = vmlal_lane_s16(sum[2], vget_low_s16(high), four[r], lane);                              \
            sum[3] = vmlal_high_lane_s16(sum[3], high, four[r], lane);                                       \
        }                                                                                                    \
    } while (0)

/* codes.val[j]: of input k + j, for the 16 outputs. */
INLINE void add_line(const struct lm_block_shape s, const size_t rows, int32x4_t *sums, uint8x16x4_t codes,
                     const char *x, size_t x_bytes, size_t k)
{
    const uint8x16_t zero = vdupq_n_u8((uint8_t)s.zero);
    int16x4_t four[ROWS_MAX];
    EACH (r, rows)
        four[r] = vld1_s16((const int16_t *)(const void *)(x + r * x_bytes + 2 * k));
    ADD_PRODUCTS(0);
    ADD_PRODUCTS(1);
    ADD_PRODUCTS(2);
    ADD_PRODUCTS(3);
}

INLINE void group_sums(const struct lm_block_shape s, const size_t rows, int32x4_t *sums, const char *weights,
                       const char *x, size_t x_bytes, const size_t group)
{
    const size_t lines = s.group * s.code_bits / 32;
    EACH (i, rows * QUARTERS)
        sums[i] = vdupq_n_s32(0);
    EACH (i, lines) {
        const size_t line = group * lines + i;
        const uint8x16x4_t codes = vld4q_u8((const uint8_t *)weights + line * LINE);
        if (s.code_bits == 8) {
            add_line(s, rows, sums, codes, x, x_bytes, 4 * line);
            continue;
        }
        uint8x16x4_t low, high;
        EACH (j, 4) {
            low.val[j] = vandq_u8(codes.val[j], vdupq_n_u8(15));
            high.val[j] = vshrq_n_u8(codes.val[j], 4);
        }
        add_line(s, rows, sums, low, x, x_bytes, 4 * line);
        add_line(s, rows, sums, high, x, x_bytes, 16 + 4 * line);
    }
}

const struct lm_block_kernels lm_blocks_neon = {
    .prepare = prepare,
    .product = { product_U8, product_U4, product_U4_F16, product_U4_F32, product_U8_F32, product_U8_HALF },
};
