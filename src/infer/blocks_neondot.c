/* NEON row with SDOT, an option since ARMv8.2: a value is two signed bytes, and one instruction adds 16
 * products, four for each of four outputs.  Codes of an input block: 32 high bytes, then 32 low bytes;
 * value = 256 high + low.
 *
 * A quarter of a panel at a time, so that the inputs of all rows stay in registers. */
enum { ROWS_MAX = 4 };
/* Bytes become signed; nibbles fit as they are. */
#define ZERO_DONE(s) ((s).code_bits == 8 ? 128 : 0)

#include "infer/blocks_neon_body.h"

INLINE int8x16_t bytes_of(const int32x4_t *v)   // the low byte of 16 values
{
    const int16x8_t first = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
    const int16x8_t second = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
    return vcombine_s8(vmovn_s16(first), vmovn_s16(second));
}

INLINE void put_values(char *codes, const int32x4_t *values)
{
    int32x4_t high[8];
    EACH (i, 8)
        high[i] = vrshrq_n_s32(values[i], 8);
    EACH (i, 2) {
        vst1q_s8((int8_t *)codes + 16 * i, bytes_of(high + 4 * i));
        vst1q_s8((int8_t *)codes + LM_BLOCK + 16 * i, bytes_of(values + 4 * i));
    }
}

/* Four codes, of inputs 4 q .. 4 q + 3, of each of outputs 4 quarter .. 4 quarter + 3. */
INLINE int8x16_t codes_of(const struct lm_block_shape s, const char *weights, size_t q, size_t quarter)
{
    const size_t line = s.code_bits == 8 ? q : q % 4;
    const uint8x16_t both = vld1q_u8((const uint8_t *)weights + line * LINE + quarter * 16);
    if (s.code_bits == 8)
        return vreinterpretq_s8_u8(veorq_u8(both, vdupq_n_u8(128)));
    return vreinterpretq_s8_u8(q < 4 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4));
}

/* `lane` picks four of 16 inputs, a constant for the instruction. */
#define ADD_PRODUCTS(lane)                                                                                   \
    do {                                                                                                     \
        const int8x16_t codes = codes_of(s, weights, at / 4 + (lane), quarter);                              \
        EACH (r, rows) {                                                                                     \
            const int8_t *values = (const int8_t *)x + r * x_bytes + at;                                     \
            high[r] = vdotq_laneq_s32(high[r], codes, vld1q_s8(values), lane);                               \
            low[r] = vdotq_laneq_s32(low[r], codes, vld1q_s8(values + LM_BLOCK), lane);                      \
        }                                                                                                    \
    } while (0)

INLINE void group_sums(const struct lm_block_shape s, const size_t rows, int32x4_t *sums, const char *weights,
                       const char *x, size_t x_bytes, const size_t group)
{
    EACH (quarter, QUARTERS) {
        int32x4_t high[ROWS_MAX], low[ROWS_MAX];
        EACH (r, rows)
            high[r] = low[r] = vdupq_n_s32(0);
        EACH (half, s.group / 16) {
            const size_t at = group * s.group + half * 16;
            ADD_PRODUCTS(0);
            ADD_PRODUCTS(1);
            ADD_PRODUCTS(2);
            ADD_PRODUCTS(3);
        }
        EACH (r, rows)
            sums[r * QUARTERS + quarter] = vaddq_s32(vshlq_n_s32(high[r], 8), low[r]);
    }
}

const struct lm_block_kernels lm_blocks_neon_dot = {
    .prepare = prepare,
    .product = { product_U8, product_U4, product_U4_F16, product_U4_F32, product_U8_F32, product_U8_HALF },
};
