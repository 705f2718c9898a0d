#include "check.h"

static void assert_reads(struct lm_str bytes, const char *declared, const char *want, const char *want_name)
{
    struct lm_buf text = { 0 };
    const char *name = NULL;
    assert_int_equal(lm_charset_to_utf8(bytes, lm_str(declared), true, &text, &name, NULL), LM_OK);
    assert_text(lm_buf_str(&text), want);
    assert_string_equal(name, want_name);
    lm_buf_release(&text);
}

static void the_first_source_that_says_something_wins(void **state)
{
    (void)state;
    assert_reads(LM_STR("\xef\xbb\xbf"
                        "caf\xc3\xa9"),
                 "latin1", "café", "utf-8");   // mark before header
    assert_reads(LM_STR("<meta charset=koi8-r>\xe9"), "latin1", "<meta charset=koi8-r>é", "windows-1252");
    assert_reads(LM_STR("<meta charset='koi8-r'>\xc1"), "", "<meta charset='koi8-r'>а", "koi8-r");
    assert_reads(LM_STR("caf\xc3\xa9"), "", "café", "utf-8");
    assert_reads(LM_STR("caf\xe9 \x80"), "", "café €", "windows-1252");
}

static void labels_mean_what_browsers_mean(void **state)
{
    (void)state;
    assert_reads(LM_STR("\x93"
                        "a\x94"),
                 "ISO-8859-1", "“a”", "windows-1252");
    assert_reads(LM_STR("\x82\xa0"), " Shift_JIS ", "あ", "shift_jis");
    assert_reads(LM_STR("\xc4\xe3"), "gb2312", "你", "gbk");
    assert_reads(LM_STR("\xff\xfe"
                        "a\0b\0"),
                 "", "ab", "utf-16le");
    assert_reads(LM_STR("<meta charset=utf-16>\xc3\xa9"), "", "<meta charset=utf-16>é", "utf-8");
    assert_reads(LM_STR("a"), "no-such-label", "a", "utf-8");
}

static void a_declaration_outside_meta_or_behind_1024_bytes_is_none(void **state)
{
    (void)state;
    assert_reads(LM_STR("<p charset=koi8-r>\xe9"), "", "<p charset=koi8-r>é", "windows-1252");
    char page[1100];
    memset(page, ' ', sizeof page);
    memcpy(page + 1030, "<meta charset=koi8-r>", 21);
    struct lm_buf text = { 0 };
    const char *name;
    assert_int_equal(
        lm_charset_to_utf8((struct lm_str){ page, sizeof page }, LM_STR(""), true, &text, &name, NULL), 0);
    assert_string_equal(name, "utf-8");
    lm_buf_release(&text);
}

static void undecodable_bytes_become_replacement_characters(void **state)
{
    (void)state;
    assert_reads(LM_STR("a\xff"
                        "b\xc3"),
                 "utf-8",
                 "a\xef\xbf\xbd"
                 "b\xef\xbf\xbd",
                 "utf-8");
}

/* The definition, as plain as possible: encode every code point, take nothing else. */
static bool valid_by_round_trip(const char *bytes, size_t len)
{
    const struct lm_str s = { bytes, len };
    size_t at = 0;
    while (at < len) {
        uint32_t cp;
        char again[4];
        const size_t used = lm_utf8_next(s, at, &cp);
        if (lm_utf8_put(cp, again) != used || memcmp(again, bytes + at, used) != 0)
            return false;
        at += used;
    }
    return true;
}

static void validity_is_what_encoding_can_produce(void **state)
{
    (void)state;
    static const unsigned char edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                           0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
    enum { N = sizeof edges };
    for (unsigned i = 0; i < N * N * N * N; i++) {
        const char bytes[4] = { (char)edges[i % N], (char)edges[i / N % N], (char)edges[i / N / N % N],
                                (char)edges[i / N / N / N] };
        for (size_t len = 1; len <= 4; len++)
            assert_int_equal(lm_utf8_valid((struct lm_str){ bytes, len }), valid_by_round_trip(bytes, len));
    }
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        char bytes[4];
        const size_t len = lm_utf8_put(cp, bytes);
        uint32_t again;
        assert_true(lm_utf8_next((struct lm_str){ bytes, len }, 0, &again) == len && again == cp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_source_that_says_something_wins),
        cmocka_unit_test(labels_mean_what_browsers_mean),
        cmocka_unit_test(a_declaration_outside_meta_or_behind_1024_bytes_is_none),
        cmocka_unit_test(undecodable_bytes_become_replacement_characters),
        cmocka_unit_test(validity_is_what_encoding_can_produce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
