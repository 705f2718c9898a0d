#include "check.h"

#include "base/json.h"
#include "base/json_utf8.h"
#include "base/rng.h"

#include <math.h>

/* Reads everything; the events as one character each: {}[]ksnTFN. */
static enum lm_rc read_all(struct lm_str input, bool lax, struct lm_buf *ret_events, struct lm_err *err)
{
    static const char letters[] = "?{}[]ksnTFN";   // by enum lm_json_kind
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, input, "text", &arena);
    r.lax = lax;
    enum lm_json_kind kind = LM_JSON_NULL;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && kind != LM_JSON_END) {
        rc = lm_json_next(&r, &kind, err);
        if (rc == LM_OK && kind != LM_JSON_END)
            lm_buf_putc(ret_events, letters[kind]);
    }
    lm_arena_release(&arena);
    return rc;
}

static void assert_refused(struct lm_str input, const char *message)
{
    struct lm_buf events = { 0 };
    struct lm_err err = { 0 };
    if (read_all(input, false, &events, &err) != LM_EFORMAT)
        fail_msg("accepted: %s", input.ptr);
    if (message)
        assert_string_equal(err.text, message);
    lm_buf_release(&events);
}

static void assert_events(const char *input, const char *expected)
{
    struct lm_buf events = { 0 };
    assert_ok(read_all(lm_str(input), false, &events, NULL));
    assert_text(lm_buf_str(&events), expected);
    lm_buf_release(&events);
}

static void well_formed_texts_give_their_events(void **state)
{
    (void)state;
    assert_events("null", "N");
    assert_events(" \t\r\n0 ", "n");
    assert_events("\"\"", "s");
    assert_events("{}", "{}");
    assert_events("[]", "[]");
    assert_events("[ ]", "[]");
    assert_events("{\"a\":{\"b\":[1,-2.5e+3,true,false,null,\"x\"]} , \"c\" : [] }", "{k{k[nnTFNs]}k[]}");
    assert_events("[[],{},[{}]]", "[[]{}[{}]]");
    assert_events("-0", "n");
    assert_events("1E5", "n");
    assert_events("\"\x7f\"", "s");
}

static void malformed_texts_are_refused_with_place_and_expectation(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "text: byte 0: expected a value, found the end of the text" },
        { "  ", "text: byte 2: expected a value, found the end of the text" },
        { "[1,]", "text: byte 3: expected a value, found ']'" },
        { "{\"a\":1,}", "text: byte 7: expected a key in quotes, found '}'" },
        { "{a:1}", "text: byte 1: expected a key in quotes, found 'a'" },
        { "{\"a\" 1}", "text: byte 5: expected ':', found '1'" },
        { "{\"a\":}", "text: byte 5: expected a value, found '}'" },
        { "[1 2]", "text: byte 3: expected ',' or ']', found '2'" },
        { "{\"a\":1 \"b\":2}", "text: byte 7: expected ',' or '}', found '\"'" },
        { "1 2", "text: byte 2: expected the end of the text, found '2'" },
        { "[1}", "text: byte 2: expected ',' or ']', found '}'" },
        { "]", "text: byte 0: expected a value, found ']'" },
        { "[", "text: byte 1: expected a value, found the end of the text" },
        { "\"ab", "text: byte 3: the text ends inside a string" },
        { "\"ab\\", "text: byte 4: the text ends inside a string" },
        { "\"ab\\\"", "text: byte 5: the text ends inside a string" },
        { "\"a\nb\"", "text: byte 2: control character in a string (write it as \\u00XX)" },
        { "\"\\x\"", "text: byte 1: unknown escape in a string" },
        { "\"\\u12g4\"", "text: byte 3: expected four hex digits after \\u" },
        { "\"\\u12\"", "text: byte 3: expected four hex digits after \\u" },
        { "\"ab\\ud800\"", "text: byte 3: half of a surrogate pair stands alone" },
        { "\"\\udc00\"", "text: byte 1: half of a surrogate pair stands alone" },
        { "\"\\ud800\\ud800\"", "text: byte 1: half of a surrogate pair stands alone" },
        { "\"\\ud800\\ue000\"", "text: byte 1: half of a surrogate pair stands alone" },
        { "\"\\ud800\\udbff\"", "text: byte 1: half of a surrogate pair stands alone" },
        { "\"a\x80\"", "text: byte 2: the string is not valid UTF-8" },
        { "\"\xc0\x80\"", "text: byte 1: the string is not valid UTF-8" },           // overlong
        { "\"\xed\xa0\x80\"", "text: byte 1: the string is not valid UTF-8" },       // surrogate
        { "\"\xf4\x90\x80\x80\"", "text: byte 1: the string is not valid UTF-8" },   // above U+10FFFF
        { "\"\xe2\x82\"", "text: byte 1: the string is not valid UTF-8" },           // cut
        { "01", "text: byte 0: a number does not start with 0" },
        { "-", "text: byte 1: expected a digit, found the end of the text" },
        { "1.", "text: byte 2: expected a digit after the decimal point, found the end of the text" },
        { "1.e5", "text: byte 2: expected a digit after the decimal point, found 'e'" },
        { "1e+", "text: byte 3: expected a digit in the exponent, found the end of the text" },
        { ".5", "text: byte 0: expected a value, found '.'" },
        { "+1", "text: byte 0: expected a value, found '+'" },
        { "tru", NULL },
        { "True", NULL },
        { "nul", NULL },
        { "NaN", NULL },
        { "truex", "text: byte 4: expected the end of the text, found 'x'" },
        { "\xef\xbb\xbf{}", "text: byte 0: expected a value, found byte 0xef" },   // byte order mark
        { "'a'", NULL },
        { "[1,,2]", NULL },
        { "{,}", NULL },
        { "// x\n1", NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(lm_str(cases[i].text), cases[i].message);
    assert_refused(LM_STR("\"\0\""), NULL);
    assert_refused(LM_STR("1\0"), NULL);
}

static void assert_string_is(const char *input, bool lax, struct lm_str expected)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, lm_str(input), "text", &arena);
    r.lax = lax;
    assert_ok(lm_json_want(&r, LM_JSON_STRING, NULL));
    assert_int_equal(r.text.len, expected.len);
    assert_memory_equal(r.text.ptr, expected.ptr, expected.len);
    lm_arena_release(&arena);
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    assert_string_is("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", false, LM_STR("\"\\/\b\f\n\r\t"));
    assert_string_is("\"\\u0000\\u007f\\u0080\\u07FF\\u0800\\uffff\"", false,
                     LM_STR("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
    assert_string_is("\"\\ud83d\\ude00!\"", false, LM_STR("\xf0\x9f\x98\x80!"));
    assert_string_is("\"a\\ud800b\\udc00\"", true,
                     LM_STR("a\xef\xbf\xbd"
                            "b\xef\xbf\xbd"));
    assert_string_is("\"\\ud800\\ud83d\\ude00\"", true, LM_STR("\xef\xbf\xbd\xf0\x9f\x98\x80"));
}

static void strings_without_escapes_are_borrowed(void **state)
{
    (void)state;
    const char input[] = "[\"gr\xc3\xbc\xc3\x9f\x65\"]";
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, lm_str(input), "text", &arena);
    assert_ok(lm_json_want(&r, LM_JSON_ARRAY, NULL));
    assert_ok(lm_json_want(&r, LM_JSON_STRING, NULL));
    assert_ptr_equal(r.text.ptr, input + 2);
    assert_int_equal(arena.total_bytes, 0);
}

/* Each special byte at each place of a string: the scan looks at eight bytes at once. */
static void specials_are_seen_at_every_place(void **state)
{
    (void)state;
    enum { LEN = 20 };
    static const char specials[] = "\"\\\n\x1f\x01 !#[]\x7f";
    for (size_t at = 0; at < LEN; at++)
        for (size_t k = 0; k < sizeof(specials) - 1; k++) {
            char text[LEN];
            memset(text, 'x', LEN);
            text[at] = specials[k];
            struct lm_buf buf = { 0 };
            lm_json_str(&buf, (struct lm_str){ text, LEN });
            assert_string_is(buf.ptr, false, (struct lm_str){ text, LEN });
            lm_buf_reset(&buf);
            lm_buf_printf(&buf, "\"%.*s\"", LEN, text);   // raw
            if (specials[k] < 0x20)
                assert_refused(lm_buf_str(&buf), NULL);
            lm_buf_release(&buf);
        }
}

static void nesting_is_limited(void **state)
{
    (void)state;
    struct lm_buf text = { 0 }, events = { 0 };
    struct lm_err err = { 0 };
    for (int i = 0; i < LM_JSON_DEPTH_MAX; i++)
        lm_buf_putc(&text, '[');
    for (int i = 0; i < LM_JSON_DEPTH_MAX; i++)
        lm_buf_putc(&text, ']');
    assert_ok(read_all(lm_buf_str(&text), false, &events, NULL));
    lm_buf_reset(&text);
    for (int i = 0; i < 100000; i++)
        lm_buf_puts(&text, "{\"a\":");
    assert_int_equal(read_all(lm_buf_str(&text), false, &events, &err), LM_ELIMIT);
    assert_contains(err.text, "nested deeper than 128");
    lm_buf_release(&text);
    lm_buf_release(&events);
}

static void a_skipped_value_leaves_no_trace(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, LM_STR("{\"skip\":{\"a\":[\"x\\ny\",{\"b\":[]}],\"c\":\"\\u00e9\"},\"n\":[1]}"), "text",
                 &arena);
    assert_ok(lm_json_want(&r, LM_JSON_OBJECT, NULL));
    assert_ok(lm_json_want(&r, LM_JSON_KEY, NULL));
    assert_ok(lm_json_skip(&r, NULL));
    assert_int_equal(arena.total_bytes, 0);
    assert_ok(lm_json_want(&r, LM_JSON_KEY, NULL));
    assert_text(r.text, "n");
    assert_ok(lm_json_want(&r, LM_JSON_ARRAY, NULL));
    assert_ok(lm_json_skip(&r, NULL));
    struct lm_err err = { 0 };
    assert_int_equal(lm_json_skip(&r, &err), LM_EFORMAT);   // the array ends: there is no value
    assert_refused(LM_STR("\"\\q\""), NULL);
    lm_json_open(&r, LM_STR("[\"\\q\"]"), "text", &arena);
    assert_int_equal(lm_json_skip(&r, &err), LM_EFORMAT);   // skipped, but checked
    lm_arena_release(&arena);
}

static void a_wrong_kind_is_named(void **state)
{
    (void)state;
    struct lm_json_reader r;
    struct lm_err err = { 0 };
    lm_json_open(&r, LM_STR("  [1]"), "a.jsonl:3", NULL);
    assert_int_equal(lm_json_want(&r, LM_JSON_OBJECT, &err), LM_EFORMAT);
    assert_string_equal(err.text, "a.jsonl:3: byte 2: expected an object, found an array");
}

/* ---- writer ---- */

static void the_writer_puts_commas_where_they_belong(void **state)
{
    (void)state;
    struct lm_buf buf = { 0 };
    lm_buf_putc(&buf, '{');
    lm_json_key_str(&buf, "s", LM_STR("a,[{:"));
    lm_json_key_int(&buf, "i", INT64_MIN);
    lm_json_key_num(&buf, "n", 0.5);
    lm_json_key_num(&buf, "bad", NAN);
    lm_json_key_bool(&buf, "b", true);
    lm_json_key(&buf, "list");
    lm_buf_putc(&buf, '[');
    for (int i = 0; i < 3; i++) {
        lm_json_sep(&buf);
        lm_json_int(&buf, i);
    }
    lm_json_sep(&buf);
    lm_buf_puts(&buf, "{}]}\n");
    lm_json_sep(&buf);
    lm_buf_puts(&buf, "[]");
    assert_text(lm_buf_str(&buf),
                "{\"s\":\"a,[{:\",\"i\":-9223372036854775808,\"n\":0.5,\"bad\":null,\"b\":true,"
                "\"list\":[0,1,2,{}]}\n[]");
    lm_buf_release(&buf);
}

static void ill_formed_text_is_written_as_replacement_characters(void **state)
{
    (void)state;
    /* Unicode 15, table 3-8 to 3-11: one U+FFFD for each longest part that could have been a character. */
    static const char *const cases[][2] = {
        { "a\x80z", "a?z" },
        { "\xc0\xaf", "??" },
        { "\xe2\x82", "?" },
        { "\xe2\x82z", "?z" },
        { "\xed\xa0\x80", "???" },
        { "\xf0\x9f\x98", "?" },
        { "\xf4\x90\x80\x80", "????" },
        { "\xf1\x80\x80\xe1\x80\xc2\x62", "???b" },
        { "\xff\xfe", "??" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_buf got = { 0 }, want = { 0 };
        lm_json_str(&got, lm_str(cases[i][0]));
        lm_buf_putc(&want, '"');
        for (const char *c = cases[i][1]; *c; c++)
            if (*c == '?')
                lm_buf_puts(&want, "\xef\xbf\xbd");
            else
                lm_buf_putc(&want, *c);
        lm_buf_putc(&want, '"');
        assert_text(lm_buf_str(&got), want.ptr);
        lm_buf_release(&got);
        lm_buf_release(&want);
    }
}

static void any_code_point_survives_a_round_trip(void **state)
{
    (void)state;
    struct lm_buf text = { 0 }, json = { 0 };
    for (uint32_t code = 0; code <= 0x10ffff; code += code < 0x3000 ? 1 : 61) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char utf8[4];   // the textbook encoder, apart from the one under test
        size_t len = 0;
        if (code < 0x80) {
            utf8[len++] = (char)code;
        } else if (code < 0x800) {
            utf8[len++] = (char)(0xc0 | code >> 6);
        } else if (code < 0x10000) {
            utf8[len++] = (char)(0xe0 | code >> 12);
            utf8[len++] = (char)(0x80 | (code >> 6 & 0x3f));
        } else {
            utf8[len++] = (char)(0xf0 | code >> 18);
            utf8[len++] = (char)(0x80 | (code >> 12 & 0x3f));
            utf8[len++] = (char)(0x80 | (code >> 6 & 0x3f));
        }
        if (code >= 0x80)
            utf8[len++] = (char)(0x80 | (code & 0x3f));
        lm_buf_reset(&json);
        lm_json_str(&json, (struct lm_str){ utf8, len });
        assert_string_is(json.ptr, false, (struct lm_str){ utf8, len });
        char escaped[32];
        const uint32_t high = code - 0x10000;
        if (code < 0x10000)
            snprintf(escaped, sizeof(escaped), "\"\\u%04x\"", code);
        else
            snprintf(escaped, sizeof(escaped), "\"\\u%04X\\u%04x\"", 0xd800 + (high >> 10),
                     0xdc00 + (high & 0x3ff));
        assert_string_is(escaped, false, (struct lm_str){ utf8, len });
    }
    lm_buf_release(&text);
    lm_buf_release(&json);
}

/* By arithmetic: decode, then ask whether the value needed that many bytes and may be encoded at all. */
static size_t naive_utf8_end(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const size_t need = text[at] < 0x80   ? 1
                            : text[at] < 0xc0 ? 9
                            : text[at] < 0xe0 ? 2
                            : text[at] < 0xf0 ? 3
                                              : 4;
        if (need > len - at || text[at] >= 0xf8)
            return at;
        uint32_t code = need == 1 ? text[at] : text[at] & (0xffu >> (need + 1));
        for (size_t i = 1; i < need; i++) {
            if (text[at + i] >> 6 != 2)
                return at;
            code = code << 6 | (text[at + i] & 0x3f);
        }
        const size_t least = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        if (need != least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return at;
        at += need;
    }
    return at;
}

static void utf8_is_checked_as_by_arithmetic(void **state)
{
    (void)state;
    /* The ends of every range of table 3-7, and whole characters, or most texts would end at once. */
    static const char *const pieces[] = {
        "\x01", "\x7f", "\x80", "\x8f", "\x90", "\x9f", "\xa0", "\xbf", "\xc0", "\xc1", "\xc2", "\xdf",
        "\xe0", "\xe1", "\xec", "\xed", "\xee", "\xef", "\xf0", "\xf1", "\xf3", "\xf4", "\xf5", "\xff",
    };
    static const char *const whole[] = { "x",
                                         "twelve bytes",
                                         "\xc2\x80",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xed\x9f\xbf",
                                         "\xef\xbf\xbf",
                                         "\xe1\x80\x80",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xf1\x80\x80\x80" };
    struct lm_rng rng = lm_rng_make(8, 8);
    struct lm_buf text = { 0 };
    size_t passed = 0;
    for (int round = 0; round < 100000; round++) {
        lm_buf_reset(&text);
        const uint64_t good = lm_rng_below(&rng, 12);
        for (uint64_t i = 0; i < good; i++)
            lm_buf_puts(&text, whole[lm_rng_below(&rng, sizeof(whole) / sizeof(whole[0]))]);
        for (uint64_t i = lm_rng_below(&rng, 5); i > 0; i--)
            lm_buf_puts(&text, pieces[lm_rng_below(&rng, sizeof(pieces) / sizeof(pieces[0]))]);
        if (!text.ptr)
            continue;
        const size_t expected = naive_utf8_end((const uint8_t *)text.ptr, text.len);
        assert_ptr_equal(lm_json_utf8_end(text.ptr, text.ptr + text.len), text.ptr + expected);
        passed += expected == text.len;
    }
    assert_true(passed > 10000 && passed < 90000);
    lm_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_texts_give_their_events),
        cmocka_unit_test(malformed_texts_are_refused_with_place_and_expectation),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(strings_without_escapes_are_borrowed),
        cmocka_unit_test(specials_are_seen_at_every_place),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(a_skipped_value_leaves_no_trace),
        cmocka_unit_test(a_wrong_kind_is_named),
        cmocka_unit_test(the_writer_puts_commas_where_they_belong),
        cmocka_unit_test(ill_formed_text_is_written_as_replacement_characters),
        cmocka_unit_test(any_code_point_survives_a_round_trip),
        cmocka_unit_test(utf8_is_checked_as_by_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
