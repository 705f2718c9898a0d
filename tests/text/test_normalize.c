#include "check.h"

static void assert_normal(struct lm_str text, struct lm_normalize how, const char *want)
{
    struct lm_buf got = { 0 };
    assert_int_equal(lm_normalize(text, how, &got, NULL), LM_OK);
    assert_text(lm_buf_str(&got), want);
    lm_buf_release(&got);
}

static const struct lm_normalize lines = { .keep_lines = true };

static void equal_characters_become_equal_bytes(void **state)
{
    (void)state;
    assert_normal(LM_STR("e\xcc\x81 \xe2\x84\xab"), lines, "é Å");                // U+0301; the Angstrom sign
    assert_normal(LM_STR("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), lines, "한");   // Hangul letters
    assert_normal(LM_STR("a\xcc\xa7\xcc\x81 a\xcc\x81\xcc\xa7"), lines, "\xc3\xa1\xcc\xa7 \xc3\xa1\xcc\xa7");
}

static void line_ends_and_blanks_are_one_kind(void **state)
{
    (void)state;
    assert_normal(LM_STR("a\r\nb\rc\xe2\x80\xa8"
                         "d\x0b"
                         "e"),
                  lines, "a\nb\nc\nd\ne");
    assert_normal(LM_STR("a\xc2\xa0 \xe3\x80\x80\t b  \n\n\n\n c \n"), lines, "a b\n\nc");
    assert_normal(LM_STR("a\n b\n\n c"), (struct lm_normalize){ 0 }, "a b c");
}

static void controls_and_invisible_characters_go(void **state)
{
    (void)state;
    assert_normal(LM_STR("\xef\xbb\xbf"
                         "a\x00\x07"
                         "b\xc2\xad"
                         "c\xe2\x80\x8b"
                         "d\x7f"),
                  lines, "abcd");
    assert_normal(LM_STR("\xd9\x85\xe2\x80\x8c\xd9\x86"), lines,
                  "\xd9\x85\xe2\x80\x8c\xd9\x86");   // a joiner stays
}

static void code_and_lists_keep_their_indentation(void **state)
{
    (void)state;
    assert_normal(LM_STR("```\n  if  x:\n\n\n\ty  \n```\n  a"), lines, "```\n  if  x:\n\n\n\ty\n```\na");
    assert_normal(LM_STR("- a\n  - b\n    c\n\n  d\ne\n  f"), lines, "- a\n  - b\n    c\n\n  d\ne\nf");
}

static void lower_case_knows_more_than_ascii(void **state)
{
    (void)state;
    const struct lm_normalize lower = { .lowercase = true, .keep_lines = true };
    assert_normal(LM_STR("ABC ÄÖ Σ"), lower, "abc äö σ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_characters_become_equal_bytes),
        cmocka_unit_test(line_ends_and_blanks_are_one_kind),
        cmocka_unit_test(controls_and_invisible_characters_go),
        cmocka_unit_test(code_and_lists_keep_their_indentation),
        cmocka_unit_test(lower_case_knows_more_than_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
