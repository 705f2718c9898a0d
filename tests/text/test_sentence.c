#include "check.h"

#include "base/file.h"
#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>

/* `want`: the text with a | at every boundary but the last. */
static void assert_splits(const char *want, const char *language)
{
    struct lm_buf text = { 0 };
    size_t marks[32], mark_count = 0;
    for (const char *p = want; *p; p++) {
        if (*p == '|')
            marks[mark_count++] = text.len;
        else
            lm_buf_putc(&text, *p);
    }
    marks[mark_count++] = text.len;
    struct lm_sentences s = { 0 };
    assert_int_equal(lm_sentences_split(lm_buf_str(&text), language, &s, NULL), LM_OK);
    for (size_t i = 0; i < s.len || i < mark_count; i++)
        if (i >= s.len || i >= mark_count || s.ends[i] != marks[i])
            fail_msg("%s: boundary %zu is at %zd, not %zd", want, i, i < s.len ? (ssize_t)s.ends[i] : -1,
                     i < mark_count ? (ssize_t)marks[i] : -1);
    lm_sentences_release(&s);
    lm_buf_release(&text);
}

static void abbreviations_do_not_end_a_sentence(void **state)
{
    (void)state;
    assert_splits("Mr. Smith saw Fig. 3. |He left, e.g. by car. |J. R. Tolkien wrote vs. Him.", "en");
    assert_splits("It costs 3.50 etc. |The rest is free.", "en");
    assert_splits("Am 3. Oktober kam Dr. Maier, vgl. Abs. zwei. |Er ging.", "de");
    assert_splits("I like you and me. |So do I. |Yes!", NULL);
}

static void headings_lists_tables_and_code_are_lines(void **state)
{
    (void)state;
    assert_splits("# 9.4. String Functions. X\n\n|Text one. |Two.\n|- item. |Two\n|1. First. |Second\n|"
                  "```\n|x = 1. Y\n\n|```\n|End",
                  "en");
}

static void a_wrapped_line_goes_on(void **state)
{
    (void)state;
    assert_splits("This line of prose is long enough to have been wrapped\nby somebody. |Next.", "en");
    assert_splits("This line of prose is long enough to have been wrapped\n|But this starts anew.", "en");
    assert_splits("short\n|line", "en");
}

/* The test file of the Unicode Character Database; a copy of some lines lies in golden/. */
static void run_break_test(const char *path, size_t *ret_cases)
{
    struct lm_buf file = { 0 };
    struct lm_err err = { 0 };
    if (lm_file_read(path, 1 << 22, &file, &err) != LM_OK)
        fail_msg("%s", err.text);
    struct lm_str rest = lm_buf_str(&file), line;
    while (lm_str_split(&rest, '\n', &line)) {
        struct lm_buf text = { 0 };
        size_t marks[64], mark_count = 0;
        const char *comment = line.len ? memchr(line.ptr, '\t', line.len) : NULL;
        if (comment)
            line.len = (size_t)(comment - line.ptr);
        struct lm_str field;
        while (line.len > 0 && line.ptr[0] != '#' && lm_str_split(&line, ' ', &field)) {
            if (field.len > 0 && (field.ptr[0] == '#' || field.ptr[0] == '\t'))
                break;
            if (lm_str_eq(field, LM_STR("÷")) && text.len > 0)
                marks[mark_count++] = text.len;
            else if (field.len >= 4)
                lm_utf8_add(&text, (uint32_t)strtoul(field.ptr, NULL, 16));
        }
        struct lm_sentences s = { 0 };
        assert_int_equal(lm_sentences_split(lm_buf_str(&text), "en", &s, NULL), LM_OK);
        size_t at = 0, from = 0;
        for (size_t i = 0; i < mark_count; i++) {   // blanks alone join the sentence before them
            bool blank = true;
            uint32_t cp;
            for (size_t k = from; k < marks[i];) {
                k += lm_utf8_next(lm_buf_str(&text), k, &cp);
                blank &= lm_utf8_is_blank(cp) || cp == 0x85;
            }
            from = marks[i];
            if (blank && i > 0) {
                if (at > 0 && s.ends[at - 1] < marks[i])
                    fail_msg("%s: boundary missing", path);
                continue;
            }
            const size_t last = i + 1 < mark_count ? marks[i] : text.len;
            if (at >= s.len || s.ends[at] < last)
                fail_msg("case %zu: boundary %zu missing", *ret_cases, marks[i]);
            at++;
        }
        assert_int_equal(at, s.len);
        *ret_cases += mark_count > 0;
        lm_sentences_release(&s);
        lm_buf_release(&text);
    }
    lm_buf_release(&file);
}

static void unicode_break_tests_pass(void **state)
{
    (void)state;
    size_t cases = 0;
    run_break_test(LOOM_TEST_DIR "/golden/sentence_break.txt", &cases);
    assert_true(cases >= 50);
    const char *installed = "/usr/share/unicode/auxiliary/SentenceBreakTest.txt";
    if (lm_path_exists(installed))
        run_break_test(installed, &cases);
}

static void long_input_takes_linear_time(void **state)
{
    (void)state;
    static const char *const units[] = { "a. ", "9", ".", "A", "\n", "( " };
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct lm_buf text = { 0 };
        while (text.len < 100000)
            lm_buf_puts(&text, units[u]);
        struct lm_sentences s = { 0 };
        assert_int_equal(lm_sentences_split(lm_buf_str(&text), "en", &s, NULL), LM_OK);
        assert_int_equal(s.ends[s.len - 1], text.len);
        lm_sentences_release(&s);
        lm_buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abbreviations_do_not_end_a_sentence),
        cmocka_unit_test(headings_lists_tables_and_code_are_lines),
        cmocka_unit_test(a_wrapped_line_goes_on),
        cmocka_unit_test(unicode_break_tests_pass),
        cmocka_unit_test(long_input_takes_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
