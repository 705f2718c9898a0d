/* Damaged GGUF files: one sound file made byte by byte here, and everything that can be wrong with it. */
#include "check.h"
#include "model/gguf.h"

#include <stdlib.h>

/* ---- the sound file ---- */

static void add_u32(struct lm_buf *b, uint32_t value)
{
    lm_buf_add(b, &value, sizeof value);
}

static void add_u64(struct lm_buf *b, uint64_t value)
{
    lm_buf_add(b, &value, sizeof value);
}

static void add_text(struct lm_buf *b, const char *text)
{
    add_u64(b, strlen(text));
    lm_buf_puts(b, text);
}

static void add_key(struct lm_buf *b, const char *key, uint32_t kind)
{
    add_text(b, key);
    add_u32(b, kind);
}

static void add_tensor(struct lm_buf *b, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    add_text(b, name);
    add_u32(b, 2);
    add_u64(b, cols);
    add_u64(b, rows);
    add_u32(b, type);
    add_u64(b, offset);
}

enum { KEYS = 7, TENSORS = 3, ALIGNMENT = 64, DATA_BYTES = 64 + 64 + 36 };

static struct lm_buf sound_file(void)
{
    struct lm_buf b = { 0 };
    lm_buf_puts(&b, "GGUF");
    add_u32(&b, 3);
    add_u64(&b, TENSORS);
    add_u64(&b, KEYS);
    add_key(&b, "general.alignment", LM_GGUF_U32);
    add_u32(&b, ALIGNMENT);
    add_key(&b, "text", LM_GGUF_STRING);
    add_text(&b, "abc");
    add_key(&b, "flag", LM_GGUF_BOOL);
    lm_buf_putc(&b, 1);
    add_key(&b, "flags", LM_GGUF_ARRAY);
    add_u32(&b, LM_GGUF_BOOL);
    add_u64(&b, 2);
    lm_buf_add(&b, "\0\1", 2);
    add_key(&b, "words", LM_GGUF_ARRAY);
    add_u32(&b, LM_GGUF_STRING);
    add_u64(&b, 2);
    add_text(&b, "w1");
    add_text(&b, "w2");
    add_key(&b, "wide", LM_GGUF_U64);
    add_u64(&b, UINT64_MAX);
    add_key(&b, "split.count", LM_GGUF_U16);
    lm_buf_add(&b, "\1\0", 2);
    add_tensor(&b, "first", 4, 4, 0, 0);      // 64 bytes of F32
    add_tensor(&b, "second", 3, 5, 1, 64);    // 30 bytes of F16
    add_tensor(&b, "third", 32, 2, 2, 128);   // 36 bytes of Q4_0
    while (b.len % ALIGNMENT != 0)
        lm_buf_putc(&b, 0);
    for (int i = 0; i < DATA_BYTES; i++)
        lm_buf_putc(&b, (char)i);
    return b;
}

/* ---- one thing wrong ---- */

/* `bytes` bytes of `value` go to `skip` bytes behind the end of the text `at` ("": the beginning). */
static const struct damage {
    const char *at;
    int skip, bytes;
    uint64_t value;
    const char *says[2];
} damages[] = {
    // clang-format off
    { "", 0, 1, 'H', { "byte 0", "this is no GGUF file" } },
    { "", 4, 4, 4, { "byte 0", "version 4 is not supported" } },
    { "", 4, 4, 0x03000000, { "byte 0", "big-endian" } },
    { "", 8, 8, UINT64_MAX, { "byte 0", "18446744073709551615 tensors do not fit" } },
    { "", 8, 8, 1u << 20, { "byte 0", "7 keys and 1048576 tensors do not fit" } },
    { "", 16, 8, UINT64_C(1) << 60, { "byte 0", "keys and 3 tensors do not fit" } },
    { "", 16, 8, 8, { "byte", "" } },   // the first tensor read as a key
    { "", 16, 8, 6, { "byte", "" } },   // the last key read as a tensor
    { "", 8, 8, 4, { "the name of a tensor has 0 bytes", "" } },

    { "general.alignment", -17 - 8, 8, 0, { "byte 24", "the name of a key has 0 bytes" } },
    { "general.alignment", -17 - 8, 8, 65536, { "byte 24", "was cut" } },
    { "general.alignment", -17 - 8, 8, UINT64_MAX, { "byte 24", "18446744073709551615 bytes are needed" } },
    { "general.alignment", -1, 1, 0, { "byte 24", "byte 0x00, which is no printable" } },
    { "general.alignment", -1, 1, 0xc3, { "byte 24", "byte 0xc3" } },
    { "general.alignment", 0, 4, 13, { "key 'general.alignment' (byte 24)", "value type 13 is unknown" } },
    { "general.alignment", 0, 4, LM_GGUF_F32, { "key 'general.alignment' (byte 24)", "is f32, not a whole" } },
    { "general.alignment", 4, 4, 0, { "key 'general.alignment' (byte 24)", "0 is no power of two" } },
    { "general.alignment", 4, 4, 48, { "key 'general.alignment' (byte 24)", "48 is no power of two" } },
    { "general.alignment", 4, 4, 1u << 31, { "key 'general.alignment' (byte 24)", "2147483648 is no power" } },
    { "general.alignment", 4, 4, 128, { "tensor 'second'", "offset 64 is no multiple of 128" } },

    { "text", 4, 8, 1u << 30, { "key 'text' (byte ", "1073741824 bytes are needed" } },
    { "text", 4, 8, UINT64_MAX, { "key 'text' (byte ", "the file ends after" } },
    { "text", -4, 4, 0x67616c66, { "key 'flag' (byte ", "occurs twice" } },
    { "flag", 4, 1, 2, { "key 'flag' (byte ", "2 is no truth value" } },
    { "flags", 4 + 4 + 8 + 1, 1, 255, { "key 'flags' (byte ", "255 is no truth value" } },
    { "flags", 8, 8, UINT64_MAX, { "key 'flags' (byte ", "18446744073709551615 bytes are needed" } },
    { "flags", 4, 4, LM_GGUF_ARRAY, { "key 'flags' (byte ", "array of arrays" } },
    { "flags", 4, 4, 99, { "key 'flags' (byte ", "value type 99 is unknown" } },
    { "words", 8, 8, UINT64_MAX, { "key 'words' (byte ", "was cut" } },
    { "words", 4, 4, LM_GGUF_F64, { "", "" } },   // the items become 16 bytes, what follows is nonsense
    { "words", 16, 8, 1u << 31, { "key 'words' (byte ", "2147483648 bytes are needed" } },
    { "split.count", 4, 2, 3, { "this is part 1 of 3", "" } },

    { "first", -5 - 8, 8, 64, { "the name of a tensor has 64 bytes, outside 1..63", "" } },
    { "first", 0, 4, 0, { "tensor 'first' (byte ", "0 dimensions are outside 1..4" } },
    { "first", 0, 4, 5, { "tensor 'first' (byte ", "5 dimensions are outside 1..4" } },
    { "first", 4, 8, 0, { "tensor 'first' (byte ", "dimension 0 is 0" } },
    { "first", 12, 8, 0, { "tensor 'first' (byte ", "dimension 1 is 0" } },
    { "first", 12, 8, UINT64_MAX, { "tensor 'first' (byte ", "dimensions are too large" } },
    { "first", 4, 8, UINT64_C(1) << 62, { "tensor 'first' (byte ", "dimensions are too large" } },
    { "first", 12, 8, UINT64_C(1) << 59, { "tensor 'first'", "reaches past the end of the file" } },
    { "first", 20, 4, 20, { "tensor 'first' (byte ", "type IQ4_NL is not supported" } },
    { "first", 20, 4, 1000, { "tensor 'first' (byte ", "type 1000 is unknown" } },
    { "first", 20, 4, 2, { "tensor 'first' (byte ", "rows of 4 values are not whole blocks of Q4_0" } },
    { "first", 12, 8, 5, { "tensor 'second' overlaps tensor 'first'", "" } },
    { "first", 24, 8, 64, { "overlaps", "" } },
    { "first", 24, 8, 1, { "tensor 'first'", "offset 1 is no multiple of 64" } },
    { "first", 24, 8, UINT64_MAX - 63, { "tensor 'first'", "reaches past the end of the file" } },
    { "second", -6, 6, 0x6f77740a0a0a, { "is no printable character", "" } },
    { "third", 24, 8, 192, { "tensor 'third' (36 bytes at offset 192)", "reaches past the end of the file: the file was cut" } },
    { "third", 12, 8, 3, { "tensor 'third' (54 bytes", "reaches past" } },
    // clang-format on
};

static struct lm_buf damaged_file(const struct damage *d)
{
    struct lm_buf b = sound_file();
    const ptrdiff_t at = lm_str_find(lm_buf_str(&b), lm_str(d->at));
    assert_true(at >= 0);
    memcpy(b.ptr + at + (ptrdiff_t)strlen(d->at) + d->skip, &d->value, (size_t)d->bytes);
    return b;
}

/* In a block of exactly its size, so that AddressSanitizer sees the first byte read behind it. */
static enum lm_rc parse_exactly(const struct lm_buf *b, size_t len, struct lm_err *err)
{
    struct lm_gguf g;
    LM_FREE char *exact = lm_memdup(b->ptr, len);
    const enum lm_rc rc = lm_gguf_parse(&g, (struct lm_str){ exact, len }, "bad.gguf", err);
    if (rc == LM_OK)
        lm_gguf_close(&g);
    return rc;
}

static void the_sound_file_is_read(void **state)
{
    (void)state;
    struct lm_buf b = sound_file();
    struct lm_gguf g;
    struct lm_err err = { 0 };
    if (lm_gguf_parse(&g, lm_buf_str(&b), "good.gguf", &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(g.value_count, KEYS);
    assert_int_equal(g.tensor_count, TENSORS);
    assert_int_equal(lm_gguf_tensor_find(&g, "third")->bytes, 36);
    assert_int_equal(*(const char *)lm_gguf_tensor_find(&g, "second")->data, 64);
    int64_t wide = 0;
    assert_int_equal(lm_gguf_get_int(&g, "wide", &wide, &err), LM_EFORMAT);
    assert_contains(err.text, "18446744073709551615 is too large");
    lm_gguf_close(&g);
    lm_buf_release(&b);
}

static void every_damage_is_named_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct lm_buf b = damaged_file(&damages[i]);
        struct lm_err err = { 0 };
        if (parse_exactly(&b, b.len, &err) != LM_EFORMAT)
            fail_msg("damage %zu ('%s' + %d) was accepted", i, damages[i].at, damages[i].skip);
        assert_contains(err.text, "bad.gguf: ");
        for (size_t k = 0; k < 2; k++)
            if (!strstr(err.text, damages[i].says[k]))
                fail_msg("damage %zu: '%s' does not contain '%s'", i, err.text, damages[i].says[k]);
        lm_buf_release(&b);
    }
}

static void a_name_that_comes_twice_is_refused(void **state)
{
    (void)state;
    struct lm_buf b = sound_file();
    struct lm_err err = { 0 };
    const ptrdiff_t at = lm_str_find(lm_buf_str(&b), LM_STR("third"));
    memcpy(b.ptr + at, "first", 5);
    assert_int_equal(parse_exactly(&b, b.len, &err), LM_EFORMAT);
    assert_string_equal(err.text, "bad.gguf: tensor 'first' occurs twice");
    lm_buf_release(&b);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct lm_buf b = sound_file();
    for (size_t len = 0; len < b.len; len++) {
        struct lm_err err = { 0 };
        if (parse_exactly(&b, len, &err) != LM_EFORMAT)
            fail_msg("%zu of %zu bytes were accepted", len, b.len);
        assert_contains(err.text, "bad.gguf: ");
    }
    lm_buf_release(&b);
}

/* Whatever a changed byte makes of the file: refused with a sentence, or read without harm. */
static void any_changed_byte_does_no_harm(void **state)
{
    (void)state;
    static const unsigned char masks[] = { 0x01, 0x80, 0xff };
    struct lm_buf b = sound_file();
    for (size_t i = 0; i < b.len - DATA_BYTES; i++)
        for (size_t k = 0; k < sizeof masks; k++) {
            struct lm_err err = { 0 };
            b.ptr[i] = (char)(b.ptr[i] ^ masks[k]);
            if (parse_exactly(&b, b.len, &err) != LM_OK)
                assert_contains(err.text, "bad.gguf: ");
            b.ptr[i] = (char)(b.ptr[i] ^ masks[k]);
        }
    lm_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sound_file_is_read),
        cmocka_unit_test(every_damage_is_named_with_its_place),
        cmocka_unit_test(a_name_that_comes_twice_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(any_changed_byte_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
