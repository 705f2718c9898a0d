#include "model/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

/* A file in memory: header as given, then data_len bytes 0, 1, 2 ... */
static struct lm_str file_of(struct lm_buf *buf, const char *header, size_t data_len)
{
    const uint64_t header_len = strlen(header);
    lm_buf_reset(buf);
    lm_buf_add(buf, &header_len, sizeof header_len);
    lm_buf_puts(buf, header);
    for (size_t i = 0; i < data_len; i++)
        lm_buf_putc(buf, (char)i);
    return lm_buf_str(buf);
}

static void a_well_formed_file_gives_views_in_file_order(void **state)
{
    (void)state;
    struct lm_buf buf = { 0 };
    struct lm_err err = { 0 };
    struct lm_safetensors st;
    const struct lm_str bytes =
        file_of(&buf,
                "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]},"
                "\"__metadata__\":{\"format\":\"pt\"},"
                "\"a\":{\"shape\":[2,1],\"data_offsets\":[0,8],\"dtype\":\"F32\"},"
                "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[8,8]},"
                "\"one\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[11,12]}}   ",
                12);
    assert_int_equal(lm_safetensors_parse(&st, bytes, "x", &err), LM_OK);
    assert_int_equal(st.count, 4);
    const char *const names[] = { "a", "empty", "b", "one" };
    for (size_t i = 0; i < 4; i++)
        assert_true(lm_str_eq(st.tensors[i].name, lm_str(names[i])));
    assert_true(lm_str_eq(st.metadata, LM_STR("{\"format\":\"pt\"}")));
    const struct lm_tensor_view *b = lm_safetensors_find(&st, "b");
    assert_int_equal(b->dtype, LM_U8);
    assert_int_equal(b->bytes, 3);
    assert_int_equal(((const char *)b->data)[0], 8);
    assert_int_equal(lm_safetensors_find(&st, "empty")->bytes, 0);
    assert_int_equal(lm_safetensors_find(&st, "one")->dims, 0);
    assert_null(lm_safetensors_find(&st, "c"));
    lm_safetensors_close(&st);
    lm_buf_release(&buf);
}

// clang-format off
static const struct {
    const char *header;
    size_t data_len;
    const char *says;
} bad[] = {
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "reaches past the end" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes behind the last tensor" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", 9, "do not fit its shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "do not fit its shape" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "do not fit" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "gap" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "'b' overlaps" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5, "'b' leaves a gap" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
      "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "'a' occurs twice" },
    { "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "data type" },
    { "{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, "lacks dtype" },
    { "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "repeated key" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "not a whole number" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "not a whole number" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "expected ']'" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "8 dimensions" },
    { "{\"__metadata__\":{\"k\":1}}", 0, "expected a string" },
    { "{} {}", 0, "expected the end" },
    { "[]", 0, "expected an object" },
    { "", 0, "end of the text" },
};
// clang-format on

static void each_damage_gets_one_clear_sentence(void **state)
{
    (void)state;
    struct lm_buf buf = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lm_err err = { 0 };
        struct lm_safetensors st;
        const struct lm_str bytes = file_of(&buf, bad[i].header, bad[i].data_len);
        assert_int_equal(lm_safetensors_parse(&st, bytes, "model.safetensors", &err), LM_EFORMAT);
        assert_true(lm_str_starts(lm_str(err.text), LM_STR("model.safetensors: ")));
        if (!strstr(err.text, bad[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, bad[i].says);
    }
    lm_buf_release(&buf);
}

static void a_length_beyond_file_or_limit_is_refused(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_safetensors st;
    const uint64_t lengths[] = { 1, LM_SAFETENSORS_HEADER_MAX, LM_SAFETENSORS_HEADER_MAX + 1u, UINT64_MAX };
    for (size_t i = 0; i < 4; i++) {
        const enum lm_rc rc =
            lm_safetensors_parse(&st, (struct lm_str){ (const char *)&lengths[i], 8 }, "x", &err);
        assert_int_equal(rc, i < 2 ? LM_EFORMAT : LM_ELIMIT);
    }
    assert_int_equal(lm_safetensors_parse(&st, LM_STR("1234567"), "x", &err), LM_EFORMAT);
    assert_string_equal(err.text, "x: 7 bytes are too few for a safetensors file");
}

static void what_is_written_is_the_reference_format_and_reads_back(void **state)
{
    (void)state;
    const float a[] = { 1, -2, 3.5f };
    const uint32_t b[] = { 7, 8 };
    const struct lm_tensor_view views[] = {
        { .name = LM_STR("z.weight"), .dtype = LM_F32, .dims = 2, .shape = { 3, 1 }, .data = a, .bytes = 12 },
        { .name = LM_STR("a\"\\\n"), .dtype = LM_U32, .dims = 1, .shape = { 2 }, .data = b, .bytes = 8 },
    };
    struct lm_err err = { 0 };
    assert_int_equal(lm_safetensors_write("w.safetensors", views, 2, LM_STR("{\"k\":\"v\"}"), &err), LM_OK);

    struct lm_buf file = { 0 };
    assert_int_equal(lm_file_read("w.safetensors", 1 << 20, &file, &err), LM_OK);
    const char *header = "{\"__metadata__\":{\"k\":\"v\"},"
                         "\"z.weight\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[0,12]},"
                         "\"a\\\"\\\\\\n\":{\"dtype\":\"U32\",\"shape\":[2],\"data_offsets\":[12,20]}}";
    uint64_t header_len;
    memcpy(&header_len, file.ptr, 8);
    assert_int_equal(header_len % 8, 0);
    assert_memory_equal(file.ptr + 8, header, strlen(header));
    for (size_t i = strlen(header); i < header_len; i++)
        assert_int_equal(file.ptr[8 + i], ' ');
    assert_int_equal(file.len, 8 + header_len + 20);

    struct lm_safetensors st;
    assert_int_equal(lm_safetensors_open(&st, "w.safetensors", &err), LM_OK);
    assert_int_equal(st.count, 2);
    assert_memory_equal(lm_safetensors_find(&st, "z.weight")->data, a, sizeof a);
    assert_memory_equal(lm_safetensors_find(&st, "a\"\\\n")->data, b, sizeof b);
    lm_safetensors_close(&st);
    lm_buf_release(&file);
}

/* All 65536 halves against the definition: sign * 2^(e-15) * 1.f, or 2^-14 * 0.f. */
static void every_half_widens_to_its_value(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t half = (uint16_t)h;
        const struct lm_tensor_view view = { .dtype = LM_F16, .data = &half, .bytes = 2 };
        float got;
        assert_true(lm_tensor_to_f32(&view, &got));
        const int e = (int)(h >> 10 & 31), f = (int)(h & 1023), sign = h >> 15 ? -1 : 1;
        if (e == 31) {
            assert_true(f ? isnan(got) : isinf(got) && (got > 0) == (sign > 0));
            continue;
        }
        const double want = sign * (e ? ldexp(1024 + f, e - 25) : ldexp(f, -24));
        assert_true((double)got == want && !signbit(got) == (sign > 0));
    }
}

static void bfloat16_is_the_upper_half_of_a_float(void **state)
{
    (void)state;
    const uint16_t halves[] = { 0x3f80, 0xc0a0, 0x0001 };
    const struct lm_tensor_view view = { .dtype = LM_BF16, .data = halves, .bytes = sizeof halves };
    float got[3];
    assert_true(lm_tensor_to_f32(&view, got));
    assert_true(got[0] == 1 && got[1] == -5 && got[2] == 0x1p-133f);
    const struct lm_tensor_view whole = { .dtype = LM_I32 };
    assert_false(lm_tensor_to_f32(&whole, got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_well_formed_file_gives_views_in_file_order),
        cmocka_unit_test(each_damage_gets_one_clear_sentence),
        cmocka_unit_test(a_length_beyond_file_or_limit_is_refused),
        cmocka_unit_test(what_is_written_is_the_reference_format_and_reads_back),
        cmocka_unit_test(every_half_widens_to_its_value),
        cmocka_unit_test(bfloat16_is_the_upper_half_of_a_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
