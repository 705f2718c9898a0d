/* tests/review/test_segments.c - texts and references from files. */

#include "check.h"

#include "base/file.h"
#include "review/segments.h"

static void write(const char *path, const char *content)
{
    assert_ok(lm_file_write(path, lm_str(content), NULL));
}

static void lines_answer_each_other(void **state)
{
    (void)state;
    write("hyp.txt", "one\n\nthree");
    write("ref-a.txt", "eins\r\nzwei\r\ndrei\r\n");
    write("ref-b.txt", "un\ndeux\ntrois\n");
    const char *refs[] = { "ref-a.txt", "ref-b.txt" };
    struct lm_segments s = { 0 };
    assert_ok(lm_segments_from_lines(&s, "hyp.txt", refs, 2, NULL));
    assert_int_equal(s.len, 3);
    assert_text(s.items[1].hyp, "");
    assert_text(s.items[2].hyp, "three");
    assert_int_equal(s.items[2].ref_count, 2);
    assert_text(s.items[2].refs[0], "drei");
    assert_text(s.items[0].refs[1], "un");
    lm_segments_release(&s);
}

static void unequal_files_are_refused_with_both_counts(void **state)
{
    (void)state;
    write("three.txt", "a\nb\nc\n");
    write("two.txt", "a\nb\n");
    const char *refs[] = { "two.txt" };
    struct lm_segments s = { 0 };
    struct lm_err err = { 0 };
    assert_int_equal(lm_segments_from_lines(&s, "three.txt", refs, 1, &err), LM_EFORMAT);
    assert_contains(err.text, "'three.txt' has 3 lines and 'two.txt' has 2");
    lm_segments_release(&s);
}

static void invalid_utf8_is_refused_with_its_line(void **state)
{
    (void)state;
    write("bad.txt", "fine\n\xff\n");
    struct lm_segments s = { 0 };
    struct lm_err err = { 0 };
    assert_int_equal(lm_segments_from_lines(&s, "bad.txt", NULL, 0, &err), LM_EFORMAT);
    assert_contains(err.text, "bad.txt:2");
    lm_segments_release(&s);
}

static void an_empty_file_has_no_segments(void **state)
{
    (void)state;
    write("empty.txt", "");
    const char *refs[] = { "empty.txt" };
    struct lm_segments s = { 0 };
    assert_ok(lm_segments_from_lines(&s, "empty.txt", refs, 1, NULL));
    assert_int_equal(s.len, 0);
    lm_segments_release(&s);
}

static void json_lines_hold_text_and_references(void **state)
{
    (void)state;
    write("x.jsonl",
          "{\"refs\":[\"a\\u0020b\",\"c\"],\"more\":{\"x\":[1]},\"hyp\":\"t\\n\"}\n\n{\"hyp\":\"alone\"}\n");
    struct lm_segments s = { 0 };
    assert_ok(lm_segments_from_jsonl(&s, "x.jsonl", NULL));
    assert_int_equal(s.len, 2);
    assert_text(s.items[0].hyp, "t\n");
    assert_int_equal(s.items[0].ref_count, 2);
    assert_text(s.items[0].refs[0], "a b");
    assert_int_equal(s.items[1].ref_count, 0);
    lm_segments_release(&s);
}

static void damaged_json_lines_are_refused_with_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = { "{\"refs\":[]}",
                                       "{\"hyp\":1}",
                                       "{\"hyp\":\"\",\"refs\":\"x\"}",
                                       "[]",
                                       "{\"hyp\":\"\"}junk",
                                       "{\"hyp\":\"\",\"refs\":[1]}" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "{\"hyp\":\"fine\"}\n%s\n", bad[i]);
        write("bad.jsonl", text);
        struct lm_segments s = { 0 };
        struct lm_err err = { 0 };
        assert_int_equal(lm_segments_from_jsonl(&s, "bad.jsonl", &err), LM_EFORMAT);
        assert_contains(err.text, "bad.jsonl:2");
        lm_segments_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_answer_each_other),
        cmocka_unit_test(unequal_files_are_refused_with_both_counts),
        cmocka_unit_test(invalid_utf8_is_refused_with_its_line),
        cmocka_unit_test(an_empty_file_has_no_segments),
        cmocka_unit_test(json_lines_hold_text_and_references),
        cmocka_unit_test(damaged_json_lines_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
