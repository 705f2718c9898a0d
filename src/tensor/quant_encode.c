/* Encoding blocks of 32.
 *
 * The integers come from the unrounded scale, as in ggml.  A block with a value that is not finite gets a
 * scale that is not a number: what was broken stays visibly broken. */
#include "tensor/quant_impl.h"

#include <math.h>
#include <string.h>

enum { BLOCK = LM_QUANT_BLOCK };

static void put_half(uint8_t *p, float x)
{
    const uint16_t half = lm_f16_encode(x);
    memcpy(p, &half, sizeof half);
}

/* Towards zero, into 0..high; NaN becomes 0. */
static int level(float x, int high)
{
    return x >= (float)high ? high : x > 0 ? (int)x : 0;
}

static float inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

static bool all_finite(const float *x)
{
    float zero = 0;
    for (size_t i = 0; i < BLOCK; i++)
        zero += x[i] * 0;
    return zero == 0;
}

/* The value of largest magnitude, the first of several; with its sign. */
static float extreme(const float *x)
{
    float ret = 0;
    for (size_t i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(ret))
            ret = x[i];
    return ret;
}

void lm_q8_0_encode(void *ret, const float *x, size_t len)
{
    uint8_t *b = ret;
    for (; len > 0; len -= BLOCK, x += BLOCK, b += 34) {
        const float d = fabsf(extreme(x)) / 127, id = inverse(d);
        put_half(b, all_finite(x) ? d : NAN);
        for (size_t i = 0; i < BLOCK; i++) {   // half away from zero
            const float v = x[i] * id, magnitude = fabsf(v);
            int q = level(magnitude, 127);
            q += magnitude - (float)q >= 0.5f;
            b[2 + i] = (uint8_t)(q > 127 ? 127 : v < 0 ? -q : q);
        }
    }
}

/* Levels of a block whose extreme value becomes the lowest: d = extreme / -zero, possibly negative. */
static void levels_by_extreme(const float *x, int zero, float *ret_d, int ret[BLOCK])
{
    const float d = extreme(x) / (float)-zero, id = inverse(d);
    for (size_t i = 0; i < BLOCK; i++)
        ret[i] = level(x[i] * id + ((float)zero + 0.5f), 2 * zero - 1);
    *ret_d = all_finite(x) ? d : NAN;
}

/* Levels 0..high from the smallest value to the largest. */
static void levels_by_range(const float *x, int high, float *ret_d, float *ret_min, int ret[BLOCK])
{
    float min = x[0], max = x[0];
    for (size_t i = 1; i < BLOCK; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    const float d = (max - min) / (float)high, id = inverse(d);
    for (size_t i = 0; i < BLOCK; i++)
        ret[i] = level((x[i] - min) * id + 0.5f, high);
    *ret_d = all_finite(x) ? d : NAN;
    *ret_min = min;
}

static void put_nibbles(uint8_t *to, const int q[BLOCK])
{
    for (size_t i = 0; i < BLOCK / 2; i++)
        to[i] = (uint8_t)((q[i] & 15) | (q[i + BLOCK / 2] & 15) << 4);
}

static void put_five_bits(uint8_t *to, const int q[BLOCK])
{
    uint32_t high = 0;
    for (uint32_t i = 0; i < BLOCK; i++)
        high |= (uint32_t)(q[i] >> 4) << i;
    memcpy(to, &high, sizeof high);
    put_nibbles(to + sizeof high, q);
}

void lm_q4_0_encode(void *ret, const float *x, size_t len)
{
    int q[BLOCK];
    uint8_t *b = ret;
    for (float d; len > 0; len -= BLOCK, x += BLOCK, b += 18) {
        levels_by_extreme(x, 8, &d, q);
        put_half(b, d);
        put_nibbles(b + 2, q);
    }
}

void lm_q4_1_encode(void *ret, const float *x, size_t len)
{
    int q[BLOCK];
    uint8_t *b = ret;
    for (float d, min; len > 0; len -= BLOCK, x += BLOCK, b += 20) {
        levels_by_range(x, 15, &d, &min, q);
        put_half(b, d);
        put_half(b + 2, min);
        put_nibbles(b + 4, q);
    }
}

void lm_q5_0_encode(void *ret, const float *x, size_t len)
{
    int q[BLOCK];
    uint8_t *b = ret;
    for (float d; len > 0; len -= BLOCK, x += BLOCK, b += 22) {
        levels_by_extreme(x, 16, &d, q);
        put_half(b, d);
        put_five_bits(b + 2, q);
    }
}

void lm_q5_1_encode(void *ret, const float *x, size_t len)
{
    int q[BLOCK];
    uint8_t *b = ret;
    for (float d, min; len > 0; len -= BLOCK, x += BLOCK, b += 24) {
        levels_by_range(x, 31, &d, &min, q);
        put_half(b, d);
        put_half(b + 2, min);
        put_five_bits(b + 4, q);
    }
}
