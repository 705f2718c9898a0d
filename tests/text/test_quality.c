#include "check.h"

#include <math.h>

static struct lm_quality measure(const char *text)
{
    struct lm_arena arena = { 0 };
    const struct lm_quality q = lm_quality_measure(lm_str(text), &arena);
    lm_arena_release(&arena);
    return q;
}

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) < 1e-9))
        fail_msg("%.12g is not %.12g", got, want);
}

static void words_are_runs_of_letters_and_digits(void **state)
{
    (void)state;
    const struct lm_quality q = measure("The naïve 42 # ends... with — that…");
    assert_int_equal(q.words, 6);
    assert_near(q.mean_word_chars, (3 + 5 + 2 + 4 + 4 + 4) / 6.0);
    assert_near(q.alpha_word_share, 5 / 6.0);
    assert_near(q.symbol_share, 3 / 6.0);
    assert_near(q.stop_words, 3);   // the, with, that
}

static void a_text_without_repeats_scores_zero(void **state)
{
    (void)state;
    const struct lm_quality q = measure("one two three four five six seven\n\n\n\neight nine ten\n\n");
    assert_near(q.duplicate_line_share, 0);   // blank lines are no repetition
    assert_near(q.top_ngram_share, 0);        // a count of one neither
}

static void repeated_lines_count_without_their_first_copy(void **state)
{
    (void)state;
    const struct lm_quality q = measure("abcd\n abcd \nxyz\nabcd");
    assert_near(q.duplicate_line_share, 8 / 20.0);
}

static void overlapping_ngrams_never_exceed_the_text(void **state)
{
    (void)state;
    const struct lm_quality q = measure("ha ha ha ha ha ha ha");
    assert_near(q.top_ngram_share, 2 * 8 / 20.0);   // "ha ha ha" twice, then one left over
}

static void nothing_is_measured_as_nothing(void **state)
{
    (void)state;
    const struct lm_quality q = measure("");
    assert_int_equal(q.words, 0);
    assert_near(q.mean_word_chars + q.duplicate_line_share + q.top_ngram_share + q.symbol_share, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_of_letters_and_digits),
        cmocka_unit_test(a_text_without_repeats_scores_zero),
        cmocka_unit_test(repeated_lines_count_without_their_first_copy),
        cmocka_unit_test(overlapping_ngrams_never_exceed_the_text),
        cmocka_unit_test(nothing_is_measured_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
