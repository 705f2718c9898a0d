/* Stored types against Python's gguf (tests/golden/tensor), against a naive decoder that follows the layout
 * bit by bit, and against what must hold for any encoder. */
#include "base/file.h"
#include "tensor/quant.h"
#include "values.h"

#define GOLDEN LOOM_TEST_DIR "/golden/tensor/"

enum { GOLDEN_BLOCKS = 4, VALUES_MAX = 4096 };

static const enum lm_type blocks_of[] = { LM_TYPE_Q8_0, LM_TYPE_Q4_0, LM_TYPE_Q4_1, LM_TYPE_Q5_0,
                                          LM_TYPE_Q5_1, LM_TYPE_Q4_K, LM_TYPE_Q5_K, LM_TYPE_Q6_K };
enum { BLOCK_TYPES = sizeof blocks_of / sizeof blocks_of[0], ENCODED_TYPES = 5 };

static struct lm_buf read_golden(const char *path)
{
    struct lm_buf bytes = { 0 };
    struct lm_err err = { 0 };
    if (lm_file_read(path, 1 << 20, &bytes, &err) != LM_OK)
        fail_msg("%s", err.text);
    return bytes;
}

static void decoders_give_the_values_of_gguf(void **state)
{
    (void)state;
    struct lm_buf file = read_golden(GOLDEN "decode.bin");
    const char *at = file.ptr;
    for (size_t i = 0; i < BLOCK_TYPES; i++) {
        const struct lm_type_info *type = &lm_types[blocks_of[i]];
        const size_t len = GOLDEN_BLOCKS * type->block_len;
        LM_FREE float *got = lm_alloc(len * sizeof *got);
        LM_FREE char *odd = lm_alloc(lm_type_bytes(blocks_of[i], len) + 1);   // blocks lie anywhere
        memcpy(odd + 1, at, lm_type_bytes(blocks_of[i], len));
        type->decode(got, odd + 1, len);
        at += lm_type_bytes(blocks_of[i], len);
        if (memcmp(got, at, len * sizeof *got) != 0)
            fail_msg("%s decodes to other values", type->name);
        at += len * sizeof *got;
    }
    assert_ptr_equal(at, file.ptr + file.len);
    lm_buf_release(&file);
}

static void encoders_give_the_bytes_of_gguf(void **state)
{
    (void)state;
    struct lm_buf file = read_golden(GOLDEN "encode.bin");
    size_t block_bytes = 32 * sizeof(float);
    for (size_t i = 0; i < ENCODED_TYPES; i++)
        block_bytes += lm_types[blocks_of[i]].block_bytes;
    assert_int_equal(file.len % block_bytes, 0);
    const size_t len = file.len / block_bytes * 32;
    LM_FREE float *x = lm_memdup(file.ptr, len * sizeof *x);
    const char *at = file.ptr + len * sizeof *x;
    for (size_t i = 0; i < ENCODED_TYPES; i++) {
        const struct lm_type_info *type = &lm_types[blocks_of[i]];
        LM_FREE char *got = lm_alloc(lm_type_bytes(blocks_of[i], len));
        type->encode(got, x, len);
        for (size_t b = 0; b < len / 32; b++, at += type->block_bytes)
            if (memcmp(got + b * type->block_bytes, at, type->block_bytes) != 0)
                fail_msg("%s encodes block %zu (%g, ...) to other bytes", type->name, b, x[32 * b]);
    }
    lm_buf_release(&file);
}

static void halves_are_rounded_as_numpy_does(void **state)
{
    (void)state;
    struct lm_buf file = read_golden(GOLDEN "halves.bin");
    const size_t count = file.len / (sizeof(float) + 4);
    for (size_t i = 0; i < count; i++) {
        float x;
        uint16_t half, brain;
        memcpy(&x, file.ptr + i * sizeof x, sizeof x);
        memcpy(&half, file.ptr + count * sizeof x + 2 * i, sizeof half);
        memcpy(&brain, file.ptr + count * (sizeof x + 2) + 2 * i, sizeof brain);
        if (lm_f16_encode(x) != half || lm_bf16_encode(x) != brain)
            fail_msg("%a becomes %04x and %04x, not %04x and %04x", x, lm_f16_encode(x), lm_bf16_encode(x),
                     half, brain);
    }
    lm_buf_release(&file);
}

/* By the definition of the format: sign, exponent, fraction. */
static double half_by_definition(uint16_t half, int exponent_bits)
{
    const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = half >> fraction_bits & ((1 << exponent_bits) - 1);
    const double fraction = ldexp(half & ((1 << fraction_bits) - 1), -fraction_bits),
                 sign = half >> 15 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction == 0 ? sign * HUGE_VAL : (double)NAN;
    return exponent == 0 ? sign * ldexp(fraction, 1 - bias) : sign * ldexp(1 + fraction, exponent - bias);
}

static void every_half_means_what_its_bits_say_and_survives(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const uint16_t half = (uint16_t)h;
        const double f16 = half_by_definition(half, 5), bf16 = half_by_definition(half, 8);
        float row[1];
        lm_types[LM_TYPE_F16].decode(row, &half, 1);
        const float a = lm_f16_decode(half), b = lm_bf16_decode(half);
        assert_memory_equal(&a, row, sizeof a);
        assert_true(isnan(f16) ? isnan(a) : a == f16 && !signbit(a) == !signbit(f16));
        assert_true(isnan(bf16) ? isnan(b) : b == bf16 && !signbit(b) == !signbit(bf16));
        assert_int_equal(lm_f16_encode(a), isnan(f16) ? half | 0x200 : half);
        assert_int_equal(lm_bf16_encode(b), isnan(bf16) ? half | 0x40 : half);
    }
}

static void halves_of_any_float_are_nearest_with_ties_to_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7f800000; bits += 4097) {   // every exponent, all kinds of tails
        float x;
        memcpy(&x, &bits, sizeof x);
        for (int brain = 0; brain < 2; brain++) {
            const uint16_t got = brain ? lm_bf16_encode(x) : lm_f16_encode(x);
            const double top = brain ? 0x1p128 : 0x1p16;   // infinity stands for the next power
            const double here = half_by_definition(got, brain ? 8 : 5);
            const double distance = fabs((isinf(here) ? top : here) - x);
            const double above = half_by_definition((uint16_t)(got + 1), brain ? 8 : 5);
            const double below = got ? half_by_definition((uint16_t)(got - 1), brain ? 8 : 5) : HUGE_VAL;
            const double up = fabs((isinf(above) ? top : above) - x), down = fabs(below - x);
            if (x >= top)
                assert_true(isinf(here));
            else
                assert_true((isinf(here) || distance < up || (distance == up && got % 2 == 0)) &&
                            (distance < down || (distance == down && got % 2 == 0)));
        }
    }
}

static void rows_of_halves_of_every_length_are_decoded(void **state)
{
    (void)state;
    uint16_t half[40];
    for (size_t i = 0; i < 40; i++)
        half[i] = (uint16_t)(0x3c00 + 37 * i);
    for (size_t len = 0; len <= 40; len++) {
        LM_FREE char *from = lm_alloc(2 * len + 1);   // odd, and of exactly that size
        LM_FREE float *got = lm_alloc(len * sizeof *got + 1);
        memcpy(from + 1, half, 2 * len);
        lm_types[LM_TYPE_F16].decode(got, from + 1, len);
        for (size_t i = 0; i < len; i++)
            assert_true(got[i] == lm_f16_decode(half[i]));
        lm_types[LM_TYPE_BF16].decode(got, from + 1, len);
        for (size_t i = 0; i < len; i++)
            assert_true(got[i] == lm_bf16_decode(half[i]));
    }
}

/* ---- a decoder that reads the layout one bit at a time ---- */

static int bits_at(const uint8_t *b, size_t bit, size_t count)
{
    int ret = 0;
    for (size_t i = 0; i < count; i++)
        ret |= (b[(bit + i) / 8] >> (bit + i) % 8 & 1) << i;
    return ret;
}

static double naive_half(const uint8_t *b, size_t at)
{
    return half_by_definition((uint16_t)bits_at(b, 8 * at, 16), 5);
}

/* Value k of one block. */
static double naive_value(enum lm_type type, const uint8_t *b, size_t k)
{
    const double d = naive_half(b, type == LM_TYPE_Q6_K ? 208 : 0), m = naive_half(b, 2);
    const size_t nibble = k < 16 ? 8 * k : 8 * (k - 16) + 4;   // bit, within the nibbles of a block of 32
    const size_t group = k / 32, wide = 8 * (32 * (group / 2) + k % 32) + 4 * (group % 2);
    int scale, min, q;
    switch (type) {
    case LM_TYPE_Q8_0:
        return d * (int8_t)b[2 + k];
    case LM_TYPE_Q4_0:
        return d * (bits_at(b + 2, nibble, 4) - 8);
    case LM_TYPE_Q4_1:
        return d * bits_at(b + 4, nibble, 4) + m;
    case LM_TYPE_Q5_0:
        return d * (bits_at(b + 6, nibble, 4) + 16 * bits_at(b + 2, k, 1) - 16);
    case LM_TYPE_Q5_1:
        return d * (bits_at(b + 8, nibble, 4) + 16 * bits_at(b + 4, k, 1)) + m;
    case LM_TYPE_Q6_K:
        q = bits_at(b, 8 * (64 * (k / 128) + 32 * (group % 2) + k % 32) + 4 * (k % 128 / 64), 4);
        q += 16 * bits_at(b + 128, 8 * (32 * (k / 128) + k % 32) + 2 * (group % 4), 2);
        return d * (int8_t)b[192 + k / 16] * (q - 32);
    default:
        break;
    }
    if (group < 4) {
        scale = bits_at(b + 4, 8 * group, 6);
        min = bits_at(b + 4, 8 * (group + 4), 6);
    } else {
        scale = bits_at(b + 4, 8 * (group + 4), 4) + 16 * bits_at(b + 4, 8 * (group - 4) + 6, 2);
        min = bits_at(b + 4, 8 * (group + 4) + 4, 4) + 16 * bits_at(b + 4, 8 * group + 6, 2);
    }
    q = type == LM_TYPE_Q4_K ? bits_at(b + 16, wide, 4)
                             : bits_at(b + 48, wide, 4) + 16 * bits_at(b + 16, 8 * (k % 32) + group, 1);
    return d * scale * q - m * min;
}

static void decoders_follow_the_layout_bit_by_bit(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(5, 0);
    for (size_t i = 0; i < BLOCK_TYPES; i++)
        for (int round = 0; round < 50; round++) {
            const struct lm_type_info *type = &lm_types[blocks_of[i]];
            uint8_t b[256];
            float got[256];
            for (size_t k = 0; k < type->block_bytes; k++)
                b[k] = (uint8_t)lm_rng_next(&rng);
            const size_t at[2] = { blocks_of[i] == LM_TYPE_Q6_K ? 208 : 0, 2 };
            for (size_t k = 0; k < 2; k++)   // halves below 2: no infinity, no NaN
                b[at[k] + 1] &= 0xbf;
            type->decode(got, b, type->block_len);
            for (size_t k = 0; k < type->block_len; k++)
                if (got[k] != (float)naive_value(blocks_of[i], b, k))
                    fail_msg("%s: value %zu is %g, not %g", type->name, k, got[k],
                             naive_value(blocks_of[i], b, k));
        }
}

/* ---- the vectors that two other decoders agree on ---- */

static void known_blocks_have_their_sums(void **state)
{
    (void)state;
    static const double sums[BLOCK_TYPES][2] = {
        { -1.375, -63.125 }, { -0.1640625, -4.046875 }, { 2.0390625, 33.1796875 }, { 0.1171875, 0.875 },
        { NAN, NAN },        { 425.3125, 59162.8125 },  { 907.9375, 125214.4375 }, { 36.03125, 6128.28125 },
    };
    for (size_t i = 0; i < BLOCK_TYPES; i++) {
        const enum lm_type t = blocks_of[i];
        const bool has_min = t == LM_TYPE_Q4_1 || t == LM_TYPE_Q4_K || t == LM_TYPE_Q5_K;
        uint8_t b[256];
        float y[256];
        double sum = 0, weighted = 0;
        for (size_t k = 0; k < sizeof b; k++)
            b[k] = (uint8_t)(37 * k + 11);
        memcpy(b + (t == LM_TYPE_Q6_K ? 208 : 0), "\x00\x20", 2);
        if (has_min)
            memcpy(b + 2, "\x00\x1c", 2);
        lm_types[t].decode(y, b, lm_types[t].block_len);
        for (size_t k = 0; k < lm_types[t].block_len; k++) {
            sum += y[k];
            weighted += (double)(k + 1) * y[k];
        }
        if (!isnan(sums[i][0]) && (sum != sums[i][0] || weighted != sums[i][1]))
            fail_msg("%s: %.9g and %.9g", lm_types[t].name, sum, weighted);
    }
}

static void known_values_have_their_bytes(void **state)
{
    (void)state;
    static const struct {
        enum lm_type type;
        const char *hex;
    } cases[] = {
        { LM_TYPE_Q8_0, "0a25bae713406ccdfa26537fe00d3966c7f3204c79da06335fc0ed194672d4002c59" },
        { LM_TYPE_Q4_0, "00b56c3a07a4815b28c693604a17b4825c29" },
        { LM_TYPE_Q4_1, "223480bd80b3f72a6e91d5084c7fb3e62a5d91c4" },
        { LM_TYPE_Q5_0, "00b163c48831c9631e58f2a6418b26d0742e6903a752" },
    };
    float x[32];
    for (int i = 0; i < 32; i++)
        x[i] = (float)(7 * i % 32 - 11) / 8;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[34], hex[2 * 34 + 1];
        lm_types[cases[i].type].encode(got, x, 32);
        lm_hex(got, lm_types[cases[i].type].block_bytes, hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

/* ---- what holds for any values ---- */

static void what_was_decoded_is_near_and_stays_when_encoded_again(void **state)
{
    (void)state;
    static const double steps[] = { 127, 8, 15, 16, 31 };   // of the range of a block
    for (size_t i = 0; i < ENCODED_TYPES; i++) {
        const struct lm_type_info *type = &lm_types[blocks_of[i]];
        LM_FREE float *x = random_values(i + 1, 32 * 100, 1);
        char bytes[34], again[34];
        float y[32], z[32];
        for (size_t b = 0; b < 100; b++) {
            double low = 0, high = 0;
            type->encode(bytes, x + 32 * b, 32);
            type->decode(y, bytes, 32);
            for (size_t k = 0; k < 32; k++) {
                low = fmin(low, x[32 * b + k]);
                high = fmax(high, x[32 * b + k]);
            }
            for (size_t k = 0; k < 32; k++)   // the last level of the signed types is cut off
                assert_true(fabs((double)y[k] - x[32 * b + k]) <= 1.1 * (high - low) / steps[i]);
            if (blocks_of[i] != LM_TYPE_Q8_0)
                continue;
            type->encode(again, y, 32);
            type->decode(z, again, 32);
            assert_near(z, y, 32, 1e-3, "again");
        }
    }
}

static void what_is_not_finite_stays_visible(void **state)
{
    (void)state;
    static const float broken[] = { NAN, -NAN, INFINITY, -INFINITY };
    for (int t = 0; t < LM_TYPE_COUNT; t++)
        for (size_t i = 0; i < 4 && lm_types[t].encode; i++) {
            float x[32] = { 1, -2, 3 }, y[32];
            char bytes[128];
            x[17] = broken[i];
            lm_types[t].encode(bytes, x, 32);
            lm_types[t].decode(y, bytes, 32);
            assert_false(isfinite(y[17]));
        }
}

static void types_are_found_by_name_and_number(void **state)
{
    (void)state;
    for (int t = 0; t < LM_TYPE_COUNT; t++) {
        enum lm_type got = LM_TYPE_COUNT;
        assert_true(lm_type_by_name(lm_types[t].name, &got) && got == (enum lm_type)t);
        got = LM_TYPE_COUNT;
        assert_true(lm_type_by_gguf(lm_types[t].gguf_id, &got) && got == (enum lm_type)t);
        assert_int_equal(lm_type_bytes(t, 512), 512 / lm_types[t].block_len * lm_types[t].block_bytes);
    }
    enum lm_type got = LM_TYPE_COUNT;
    assert_true(lm_type_by_name("q4_k", &got) && got == LM_TYPE_Q4_K);
    assert_false(lm_type_by_name("Q4", &got));
    assert_false(lm_type_by_gguf(4, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_give_the_values_of_gguf),
        cmocka_unit_test(encoders_give_the_bytes_of_gguf),
        cmocka_unit_test(halves_are_rounded_as_numpy_does),
        cmocka_unit_test(every_half_means_what_its_bits_say_and_survives),
        cmocka_unit_test(halves_of_any_float_are_nearest_with_ties_to_even),
        cmocka_unit_test(rows_of_halves_of_every_length_are_decoded),
        cmocka_unit_test(decoders_follow_the_layout_bit_by_bit),
        cmocka_unit_test(known_blocks_have_their_sums),
        cmocka_unit_test(known_values_have_their_bytes),
        cmocka_unit_test(what_was_decoded_is_near_and_stays_when_encoded_again),
        cmocka_unit_test(what_is_not_finite_stays_visible),
        cmocka_unit_test(types_are_found_by_name_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
