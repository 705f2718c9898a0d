/* Stored types: a table, and for each type its decoder and, where loom writes it, its encoder.
 *
 * Every product below is exact in float32: a half has 11 significant bits, scales of K blocks at most 7, the
 * integers at most 5.  So a value is rounded once, by the final sum if there is one, and neither the order of
 * the factors nor a fused multiply-add can change it. */
#include "tensor/quant_impl.h"

#include <string.h>
#include <strings.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored values are little-endian");

enum { BLOCK = LM_QUANT_BLOCK, SUPER = 256 };   // values of a block, of a K block

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- one value ---- */

/* Normal halves only shift and get another bias; below 2^-14 the implicit bit is put in and taken out again
 * by an exact subtraction.  Without branches, so that loops over it become vectors. */
static inline float half_value(uint32_t half)
{
    const uint32_t sign = (half & 0x8000) << 16, magnitude = (half & 0x7fff) << 13;
    const uint32_t rebias = magnitude >= UINT32_C(31) << 23 ? UINT32_C(224) << 23 : UINT32_C(112) << 23;
    const uint32_t normal = magnitude + rebias;
    const uint32_t small = bits_of(float_of(magnitude + (UINT32_C(113) << 23)) - 0x1p-14f);
    return float_of(sign | (magnitude < UINT32_C(1) << 23 ? small : normal));
}

float lm_f16_decode(uint16_t half)
{
    return half_value(half);
}

uint16_t lm_f16_encode(float x)
{
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t ret;
    if (magnitude > 0x7f800000)   // NaN stays one, made quiet
        ret = 0x7e00 | (magnitude >> 13 & 0x1ff);
    else if (magnitude >= bits_of(0x1p16f))
        ret = 0x7c00;
    else if (magnitude < bits_of(0x1p-14f))   // the last bit of 0.5 is 2^-24, the unit of small halves
        ret = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    else   // may carry into the exponent, up to infinity, as it should
        ret = (magnitude - (UINT32_C(112) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | ret);
}

float lm_bf16_decode(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

uint16_t lm_bf16_encode(float x)
{
    const uint32_t bits = bits_of(x);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float half_at(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return half_value(half);
}

static void put_half(uint8_t *p, float x)
{
    const uint16_t half = lm_f16_encode(x);
    memcpy(p, &half, sizeof half);
}

/* ---- floats ---- */

static void f32_copy(float *ret, const void *blocks, size_t len)
{
    if (len > 0)
        memcpy(ret, blocks, len * sizeof *ret);
}

static void f32_encode(void *ret, const float *x, size_t len)
{
    f32_copy(ret, x, len);
}

enum { CHUNK = 16 };   // a constant count is what the compiler makes vectors of

static void f16_decode(float *ret, const void *blocks, size_t len)
{
    uint16_t half[CHUNK];
    const char *from = blocks;
    for (; len >= CHUNK; len -= CHUNK, ret += CHUNK, from += sizeof half) {
        memcpy(half, from, sizeof half);
        for (size_t i = 0; i < CHUNK; i++)
            ret[i] = half_value(half[i]);
    }
    if (len > 0)
        memcpy(half, from, len * sizeof *half);
    for (size_t i = 0; i < len; i++)
        ret[i] = half_value(half[i]);
}

static void f16_encode(void *ret, const float *x, size_t len)
{
    uint8_t *to = ret;
    for (size_t i = 0; i < len; i++)
        put_half(to + 2 * i, x[i]);
}

static void bf16_decode(float *ret, const void *blocks, size_t len)
{
    uint16_t half[CHUNK];
    const char *from = blocks;
    for (; len >= CHUNK; len -= CHUNK, ret += CHUNK, from += sizeof half) {
        memcpy(half, from, sizeof half);
        for (size_t i = 0; i < CHUNK; i++)
            ret[i] = float_of((uint32_t)half[i] << 16);
    }
    if (len > 0)
        memcpy(half, from, len * sizeof *half);
    for (size_t i = 0; i < len; i++)
        ret[i] = float_of((uint32_t)half[i] << 16);
}

static void bf16_encode(void *ret, const float *x, size_t len)
{
    uint8_t *to = ret;
    for (size_t i = 0; i < len; i++) {
        const uint16_t half = lm_bf16_encode(x[i]);
        memcpy(to + 2 * i, &half, sizeof half);
    }
}

/* ---- decoding blocks of 32 ---- */

static void q8_0_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= BLOCK, ret += BLOCK, b += 34) {
        const float d = half_at(b);
        for (size_t i = 0; i < BLOCK; i++)
            ret[i] = d * (float)(int8_t)b[2 + i];
    }
}

/* Value i and value i + 16 share byte i: d * (q - zero) + m. */
static inline void nibbles(float *ret, const uint8_t *q, float d, int zero, float m)
{
    for (size_t i = 0; i < BLOCK / 2; i++) {
        ret[i] = d * (float)((q[i] & 15) - zero) + m;
        ret[i + BLOCK / 2] = d * (float)((q[i] >> 4) - zero) + m;
    }
}

static void q4_0_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= BLOCK, ret += BLOCK, b += 18)
        nibbles(ret, b + 2, half_at(b), 8, -0.0f);   // -0: x + -0 is x, also for -0
}

static void q4_1_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= BLOCK, ret += BLOCK, b += 20)
        nibbles(ret, b + 4, half_at(b), 0, half_at(b + 2));
}

/* As nibbles; bit i of the word before them is the fifth bit of value i. */
static inline void five_bits(float *ret, const uint8_t *p, float d, int zero, float m)
{
    const uint8_t *q = p + 4;
    uint32_t high;
    memcpy(&high, p, sizeof high);
    for (uint32_t i = 0; i < BLOCK / 2; i++) {
        ret[i] = d * (float)((int)((q[i] & 15) | (high >> i & 1) << 4) - zero) + m;
        ret[i + BLOCK / 2] = d * (float)((int)((q[i] >> 4) | (high >> (i + 16) & 1) << 4) - zero) + m;
    }
}

static void q5_0_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= BLOCK, ret += BLOCK, b += 22)
        five_bits(ret, b + 2, half_at(b), 16, -0.0f);
}

static void q5_1_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= BLOCK, ret += BLOCK, b += 24)
        five_bits(ret, b + 4, half_at(b), 0, half_at(b + 2));
}

/* ---- decoding K blocks of 256 ---- */

/* Eight groups of 32, each with a scale and a minimum of six bits, packed into 12 bytes. */
static void k_scale(const uint8_t s[12], size_t group, int *ret_scale, int *ret_min)
{
    if (group < 4) {
        *ret_scale = s[group] & 63;
        *ret_min = s[group + 4] & 63;
    } else {
        *ret_scale = (s[group + 4] & 15) | (s[group - 4] >> 6) << 4;
        *ret_min = s[group + 4] >> 4 | (s[group] >> 6) << 4;
    }
}

/* Groups 2 k and 2 k + 1 are the low and the high halves of the same 32 bytes. */
static void q4_k_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= SUPER, b += 144)
        for (size_t group = 0; group < 8; group++, ret += BLOCK) {
            int scale, min;
            k_scale(b + 4, group, &scale, &min);
            const float d = half_at(b) * (float)scale, m = half_at(b + 2) * (float)min;
            const uint8_t *q = b + 16 + group / 2 * BLOCK;
            const int shift = group % 2 ? 4 : 0;
            for (size_t i = 0; i < BLOCK; i++)
                ret[i] = d * (float)(q[i] >> shift & 15) - m;
        }
}

/* As Q4_K; bit g of byte i before the nibbles is the fifth bit of value i of group g. */
static void q5_k_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= SUPER, b += 176)
        for (size_t group = 0; group < 8; group++, ret += BLOCK) {
            int scale, min;
            k_scale(b + 4, group, &scale, &min);
            const float d = half_at(b) * (float)scale, m = half_at(b + 2) * (float)min;
            const uint8_t *high = b + 16, *q = b + 48 + group / 2 * BLOCK;
            const int shift = group % 2 ? 4 : 0;
            for (size_t i = 0; i < BLOCK; i++)
                ret[i] = d * (float)((q[i] >> shift & 15) | (high[i] >> group & 1) << 4) - m;
        }
}

/* Two halves of 128, each four groups of 32: four low bits in ql, two high bits in qh, a scale per 16. */
static void q6_k_decode(float *ret, const void *blocks, size_t len)
{
    const uint8_t *b = blocks;
    for (; len > 0; len -= SUPER, b += 210)
        for (size_t k = 0; k < SUPER; k += 16, ret += 16) {
            const size_t half = k / 128, group = k % 128 / BLOCK, l = k % BLOCK;
            const uint8_t *low = b + 64 * half + 32 * (group % 2) + l, *high = b + 128 + 32 * half + l;
            const int low_shift = group < 2 ? 0 : 4, high_shift = 2 * (int)group;
            const float d = half_at(b + 208) * (float)(int8_t)b[192 + k / 16];
            for (size_t i = 0; i < 16; i++)
                ret[i] = d * (float)(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
        }
}

/* ---- the table ---- */

/* To add a type: a name in quant.h, a row here, its layout in docs/formats/gguf.md, its vectors in
 * tests/golden/tensor. */
// clang-format off
const struct lm_type_info lm_types[LM_TYPE_COUNT] = {
    [LM_TYPE_F32]  = { "F32",  0,  1,     4,   f32_copy,    f32_encode },
    [LM_TYPE_F16]  = { "F16",  1,  1,     2,   f16_decode,  f16_encode },
    [LM_TYPE_BF16] = { "BF16", 30, 1,     2,   bf16_decode, bf16_encode },
    [LM_TYPE_Q8_0] = { "Q8_0", 8,  BLOCK, 34,  q8_0_decode, lm_q8_0_encode },
    [LM_TYPE_Q4_0] = { "Q4_0", 2,  BLOCK, 18,  q4_0_decode, lm_q4_0_encode },
    [LM_TYPE_Q4_1] = { "Q4_1", 3,  BLOCK, 20,  q4_1_decode, lm_q4_1_encode },
    [LM_TYPE_Q5_0] = { "Q5_0", 6,  BLOCK, 22,  q5_0_decode, lm_q5_0_encode },
    [LM_TYPE_Q5_1] = { "Q5_1", 7,  BLOCK, 24,  q5_1_decode, lm_q5_1_encode },
    [LM_TYPE_Q4_K] = { "Q4_K", 12, SUPER, 144, q4_k_decode, NULL },
    [LM_TYPE_Q5_K] = { "Q5_K", 13, SUPER, 176, q5_k_decode, NULL },
    [LM_TYPE_Q6_K] = { "Q6_K", 14, SUPER, 210, q6_k_decode, NULL },
};
// clang-format on

bool lm_type_by_name(const char *name, enum lm_type *ret)
{
    for (int t = 0; t < LM_TYPE_COUNT; t++)
        if (strcasecmp(name, lm_types[t].name) == 0) {
            *ret = t;
            return true;
        }
    return false;
}

bool lm_type_by_gguf(uint32_t gguf_id, enum lm_type *ret)
{
    for (int t = 0; t < LM_TYPE_COUNT; t++)
        if (lm_types[t].gguf_id == gguf_id) {
            *ret = t;
            return true;
        }
    return false;
}

size_t lm_type_bytes(enum lm_type type, size_t len)
{
    LM_ASSERT(len % lm_types[type].block_len == 0);
    return len / lm_types[type].block_len * lm_types[type].block_bytes;
}
