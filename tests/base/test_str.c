#include "check.h"

#include "base/mem.h"
#include "base/rng.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>

_Noreturn void lm_broken(const char *expression, const char *file, int line)
{
    mock_assert(0, expression, file, line);
    abort();
}

/* ---- reading ---- */

static void order_is_bytewise_with_the_shorter_first(void **state)
{
    (void)state;
    assert_true(lm_str_cmp(LM_STR("a"), LM_STR("b")) < 0);
    assert_true(lm_str_cmp(LM_STR("a"), LM_STR("ab")) < 0);
    assert_true(lm_str_cmp(LM_STR("\xff"), LM_STR("a")) > 0);
    assert_true(lm_str_cmp(LM_STR("a\0b"), LM_STR("a\0a")) > 0);
    assert_int_equal(lm_str_cmp(LM_STR(""), (struct lm_str){ 0 }), 0);
}

static void trim_takes_blanks_from_both_ends_only(void **state)
{
    (void)state;
    assert_text(lm_str_trim(LM_STR(" \t\r\n a b \v\f")), "a b");
    assert_text(lm_str_trim(LM_STR("   ")), "");
    assert_text(lm_str_trim(LM_STR("\xc2\xa0")), "\xc2\xa0");   // no-break space is not ASCII
}

static void find_gives_the_first_place(void **state)
{
    (void)state;
    assert_int_equal(lm_str_find(LM_STR("abcabc"), LM_STR("bc")), 1);
    assert_int_equal(lm_str_find(LM_STR("abc"), LM_STR("")), 0);
    assert_int_equal(lm_str_find(LM_STR("abc"), LM_STR("abcd")), -1);
    assert_int_equal(lm_str_find(LM_STR("a\0b"), LM_STR("\0b")), 1);
}

static void n_separators_make_n_plus_one_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fields[4];
    } cases[] = {
        { "", { "" } },      { "a", { "a" } }, { "a,b", { "a", "b" } }, { ",a,", { "", "a", "" } },
        { ",", { "", "" } },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_str rest = lm_str(cases[i].text), field;
        size_t count = 0;
        while (lm_str_split(&rest, ',', &field)) {
            assert_non_null(cases[i].fields[count]);
            assert_text(field, cases[i].fields[count++]);
        }
        assert_null(cases[i].fields[count]);
    }
    struct lm_str nothing = { 0 }, field;
    assert_false(lm_str_split(&nothing, ',', &field));
}

/* ---- numbers ---- */

static void integers_are_read_to_both_ends_of_their_range(void **state)
{
    (void)state;
    static const int64_t values[] = { 0, 1, -1, 42, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1 };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%" PRId64, values[i]);
        int64_t read = 7;
        assert_true(lm_str_to_i64(lm_str(text), &read));
        assert_true(read == values[i]);
    }
    static const char *const refused[] = { "",    "-",
                                           "+",   " 1",
                                           "1 ",  "1x",
                                           "--1", "1.0",
                                           "0x1", "9223372036854775808",
                                           "1e3", "-9223372036854775809" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int64_t untouched = 7;
        assert_false(lm_str_to_i64(lm_str(refused[i]), &untouched));
        assert_int_equal(untouched, 7);
    }
}

static void reals_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    double value = 0;
    assert_true(lm_str_to_f64(LM_STR("-12.5e-1"), &value));
    assert_true(value == -1.25);
    char many_digits[200] = "0.";
    memset(many_digits + 2, '3', sizeof(many_digits) - 3);
    assert_true(lm_str_to_f64(lm_str(many_digits), &value));
    assert_true(fabs(value - 1.0 / 3) < 1e-16);
    static const char *const refused[] = {
        "", " 1", "1 ", "inf", "nan", "0x1p3", "1e999", "1,5", "1e", "--1"
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(lm_str_to_f64(lm_str(refused[i]), &value));
}

static void number_text_is_short_and_reads_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = { { 0, "0" },
                  { -0.0, "-0" },
                  { 1, "1" },
                  { 0.1, "0.1" },
                  { 3e-4, "0.0003" },
                  { 1e15, "1e+15" },
                  { 1e14, "100000000000000" },
                  { 1e300, "1e+300" },
                  { 0.1 + 0.2, "0.30000000000000004" } };
    char text[LM_F64_TEXT];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(lm_f64_text(cases[i].value, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
    struct lm_rng rng = lm_rng_make(1, 1);
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = lm_rng_next(&rng);
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        const size_t len = lm_f64_text(value, text);
        assert_true(lm_str_to_f64((struct lm_str){ text, len }, &back));
        assert_memory_equal(&value, &back, sizeof(value));
    }
    expect_assert_failure(lm_f64_text(NAN, text));
}

static void numbers_do_not_follow_the_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8"))
        skip();   // neither is installed
    char text[LM_F64_TEXT];
    double value = 0;
    lm_f64_text(1.5, text);
    assert_string_equal(text, "1.5");
    assert_true(lm_str_to_f64(LM_STR("1.5"), &value));
    assert_true(value == 1.5);
    setlocale(LC_ALL, "C");
}

/* ---- buffer ---- */

static void a_buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct lm_buf buf = { 0 };
    assert_text(lm_buf_str(&buf), "");
    for (int i = 0; i < 1000; i++) {
        lm_buf_printf(&buf, "%d", i % 10);
        assert_int_equal(buf.ptr[buf.len], '\0');
    }
    assert_int_equal(buf.len, 1000);
    lm_buf_reset(&buf);
    lm_buf_printf(&buf, "%0500d", 7);   // longer than what printf tries first
    assert_int_equal(buf.len, 500);
    assert_int_equal(buf.ptr[499], '7');
    char *space = lm_buf_space(&buf, 3);
    memcpy(space, "abc", 3);
    buf.len += 3;
    LM_FREE char *text = lm_buf_take(&buf);
    assert_string_equal(text + 499, "7abc");
    assert_null(buf.ptr);
    LM_FREE char *empty = lm_buf_take(&buf);
    assert_string_equal(empty, "");
}

static void nothing_is_added_beyond_the_ceiling(void **state)
{
    (void)state;
    struct lm_buf buf = { .len_max = 5 };
    lm_buf_puts(&buf, "abc");
    assert_null(lm_buf_space(&buf, 3));
    assert_true(buf.overflow);
    lm_buf_putc(&buf, 'd');   // would fit, but would leave a gap
    assert_text(lm_buf_str(&buf), "abc");
    lm_buf_reset(&buf);
    lm_buf_puts(&buf, "abcde");
    assert_false(buf.overflow);
    lm_buf_printf(&buf, "%s", "f");
    assert_true(buf.overflow);
    assert_text(lm_buf_str(&buf), "abcde");
    lm_buf_release(&buf);
    assert_int_equal(buf.len_max, 5);
}

static void hex_is_lower_case(void **state)
{
    (void)state;
    char text[7];
    lm_hex("\x00\xaf\x90", 3, text);
    assert_string_equal(text, "00af90");
}

/* ---- distance ---- */

/* Straight from the definition: every way to begin, without a table. */
static size_t naive(const char *a, const char *b)
{
    if (!*a || !*b)
        return strlen(a) + strlen(b);
    size_t best = naive(a + 1, b + 1) + (*a != *b);
    const size_t drop = naive(a + 1, b) + 1, add = naive(a, b + 1) + 1;
    best = drop < best ? drop : best;
    best = add < best ? add : best;
    if (a[1] && b[1] && a[0] == b[1] && a[1] == b[0]) {
        const size_t swap = naive(a + 2, b + 2) + 1;
        best = swap < best ? swap : best;
    }
    return best;
}

static void distance_is_what_the_definition_says(void **state)
{
    (void)state;
    enum { WORDS = 1 + 3 + 9 + 27 + 81 };   // all words of up to 4 letters of "abc"
    static char words[WORDS][5];
    size_t count = 1, first = 0;
    for (size_t len = 1; len <= 4; len++) {
        const size_t end = count;
        for (; first < end; first++)
            for (char c = 'a'; c <= 'c'; c++)
                snprintf(words[count++], sizeof(words[0]), "%.3s%c", words[first], c);
    }
    assert_int_equal(count, WORDS);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(lm_str_distance(words[i], words[j]), naive(words[i], words[j]));
}

static void distance_of_long_words_is_sixty_four(void **state)
{
    (void)state;
    char word[65] = { 0 };
    memset(word, 'x', 63);
    assert_int_equal(lm_str_distance(word, ""), 63);
    word[63] = 'x';
    assert_int_equal(lm_str_distance(word, word), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_bytewise_with_the_shorter_first),
        cmocka_unit_test(trim_takes_blanks_from_both_ends_only),
        cmocka_unit_test(find_gives_the_first_place),
        cmocka_unit_test(n_separators_make_n_plus_one_fields),
        cmocka_unit_test(integers_are_read_to_both_ends_of_their_range),
        cmocka_unit_test(reals_are_read_whole_or_not_at_all),
        cmocka_unit_test(number_text_is_short_and_reads_back),
        cmocka_unit_test(numbers_do_not_follow_the_locale),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(nothing_is_added_beyond_the_ceiling),
        cmocka_unit_test(hex_is_lower_case),
        cmocka_unit_test(distance_is_what_the_definition_says),
        cmocka_unit_test(distance_of_long_words_is_sixty_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
