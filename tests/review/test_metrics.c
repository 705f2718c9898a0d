/* tests/review/test_metrics.c - what must hold for any texts. */

#include "check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "review/bootstrap.h"
#include "review/measures.h"
#include "review/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXTS = 40, TEXT_BYTES = 256 };

/* Texts of few different words, so that much is shared; some empty. */
struct random_set {
    char hyp[TEXTS][TEXT_BYTES], ref[TEXTS][2][TEXT_BYTES];
    struct lm_str refs[TEXTS][2];
    struct lm_segment segments[TEXTS];
};

static void random_text(struct lm_rng *rng, size_t words_max, char *ret)
{
    static const char *const words[] = {
        "the", "cat", "Sat", "on", "mat.", "3.5", "a-b", "\xc3\xa9t\xc3\xa9"
    };
    const size_t count = lm_rng_below(rng, words_max + 1);
    ret[0] = '\0';
    for (size_t i = 0, at = 0; i < count; i++)
        at += (size_t)snprintf(ret + at, TEXT_BYTES - at, "%s%s", i ? " " : "", words[lm_rng_below(rng, 8)]);
}

static struct random_set *random_set(uint64_t seed)
{
    struct random_set *s = lm_zalloc(1, sizeof(*s));
    struct lm_rng rng = lm_rng_make(seed, 0);
    for (size_t i = 0; i < TEXTS; i++) {
        random_text(&rng, 12, s->hyp[i]);
        for (size_t k = 0; k < 2; k++) {
            random_text(&rng, 12, s->ref[i][k]);
            s->refs[i][k] = lm_str(s->ref[i][k]);
        }
        s->segments[i] = (struct lm_segment){ lm_str(s->hyp[i]), s->refs[i], 2 };
    }
    return s;
}

static struct lm_metric_score run(const char *name, const struct lm_metric_config *config,
                                  const struct lm_segment *segments, size_t count)
{
    struct lm_metric_score score;
    struct lm_err err = { 0 };
    if (lm_metric_run(lm_metric_find(name), config, segments, count, &score, NULL, &err) != LM_OK)
        fail_msg("%s", err.text);
    return score;
}

static struct lm_metric_config plain(void)
{
    struct lm_metric_config c = lm_metric_config_default();
    c.resamples = 0;
    return c;
}

/* ---- all metrics ---- */

static void every_metric_stays_in_its_range(void **state)
{
    (void)state;
    const struct lm_metric_config config = plain();
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct random_set *s = random_set(seed);
        double each[TEXTS];
        for (size_t m = 0; m < lm_metric_count; m++) {
            struct lm_metric_score score;
            assert_ok(lm_metric_run(&lm_metrics[m], &config, s->segments, TEXTS, &score, each, NULL));
            assert_true(score.value >= 0 && score.value <= lm_metrics[m].max);
            for (size_t i = 0; i < TEXTS && lm_metrics[m].stats > 0; i++)
                assert_true(each[i] >= 0 && each[i] <= lm_metrics[m].max);
        }
        free(s);
    }
}

static void a_text_equal_to_its_reference_scores_full(void **state)
{
    (void)state;
    const struct lm_str text = LM_STR("A text of five words, or so; it's \xc3\xa9t\xc3\xa9.");
    const struct lm_segment s = { text, &text, 1 };
    const struct lm_metric_config config = plain();
    for (size_t m = 0; m < lm_metric_count; m++)
        if (lm_metrics[m].needs_refs)
            assert_true(fabs(run(lm_metrics[m].name, &config, &s, 1).value - lm_metrics[m].max) < 1e-9);
}

static void the_order_of_texts_does_not_matter(void **state)
{
    (void)state;
    const struct lm_metric_config config = plain();
    struct random_set *s = random_set(7);
    struct lm_segment shuffled[TEXTS];
    uint32_t order[TEXTS];
    for (uint32_t i = 0; i < TEXTS; i++)
        order[i] = i;
    struct lm_rng rng = lm_rng_make(3, 0);
    lm_rng_shuffle(&rng, order, TEXTS);
    for (size_t i = 0; i < TEXTS; i++)
        shuffled[i] = s->segments[order[i]];
    assert_true(run("bleu", &config, s->segments, TEXTS).value ==
                run("bleu", &config, shuffled, TEXTS).value);
    for (size_t m = 0; m < lm_metric_count; m++)
        assert_true(fabs(run(lm_metrics[m].name, &config, s->segments, TEXTS).value -
                         run(lm_metrics[m].name, &config, shuffled, TEXTS).value) < 1e-12);
    free(s);
}

static void the_number_of_threads_does_not_matter(void **state)
{
    (void)state;
    struct lm_metric_config config = lm_metric_config_default();
    config.resamples = 100;
    struct random_set *s = random_set(11);
    for (size_t m = 0; m < lm_metric_count; m++) {
        lm_threads_set(1);
        const struct lm_metric_score one = run(lm_metrics[m].name, &config, s->segments, TEXTS);
        lm_threads_set(3);
        const struct lm_metric_score three = run(lm_metrics[m].name, &config, s->segments, TEXTS);
        assert_true(one.value == three.value && one.low == three.low && one.high == three.high);
        assert_string_equal(one.signature, three.signature);
    }
    lm_threads_set(0);
    free(s);
}

static void texts_that_cannot_be_scored_are_refused(void **state)
{
    (void)state;
    const struct lm_metric_config config = plain();
    struct lm_metric_score score;
    struct lm_err err = { 0 };
    const struct lm_segment s = { LM_STR("a"), NULL, 0 };
    assert_int_equal(lm_metric_run(lm_metric_find("bleu"), &config, &s, 0, &score, NULL, &err), LM_EINVAL);
    assert_int_equal(lm_metric_run(lm_metric_find("bleu"), &config, &s, 1, &score, NULL, &err), LM_EINVAL);
    assert_contains(err.text, "text 1 has no reference");
    assert_ok(lm_metric_run(lm_metric_find("distinct-1"), &config, &s, 1, &score, NULL, &err));
    assert_null(lm_metric_find("perplexity"));
}

static void rouge_l_refuses_what_is_too_long_and_names_the_text(void **state)
{
    (void)state;
    struct lm_buf text = { 0 };
    for (int i = 0; i <= LM_LCS_WORDS_MAX; i++)
        lm_buf_puts(&text, "a ");
    const struct lm_str shorter = LM_STR("a"), longer = lm_buf_str(&text);
    const struct lm_segment s[] = { { shorter, &shorter, 1 }, { shorter, &longer, 1 } };
    const struct lm_metric_config config = plain();
    struct lm_metric_score score;
    struct lm_err err = { 0 };
    assert_int_equal(lm_metric_run(lm_metric_find("rouge-l"), &config, s, 2, &score, NULL, &err), LM_ELIMIT);
    assert_contains(err.text, "text 2");
    lm_buf_release(&text);
}

/* ---- signatures ---- */

static void a_signature_says_how_a_score_was_made(void **state)
{
    (void)state;
    const struct lm_str ref = LM_STR("a b"), refs[] = { ref, ref };
    const struct lm_segment one = { ref, &ref, 1 }, mixed[] = { { ref, &ref, 1 }, { ref, refs, 2 } };
    struct lm_metric_config c = plain();
    assert_string_equal(run("bleu", &c, &one, 1).signature,
                        "bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|loom:" LOOM_VERSION);
    c = (struct lm_metric_config){ .smooth = LM_SMOOTH_FLOOR,
                                   .smooth_value = -1,
                                   .effective_order = true,
                                   .lowercase = true,
                                   .words = LM_WORDS_CHAR,
                                   .order = 2,
                                   .resamples = 1000,
                                   .seed = 9 };
    assert_string_equal(run("bleu", &c, mixed, 2).signature,
                        "bleu|nrefs:var|case:lc|eff:yes|tok:char|smooth:floor[0.10]|order:2|bs:1000|seed:9|"
                        "loom:" LOOM_VERSION);
    c = plain();
    assert_string_equal(run("rouge-l", &c, &one, 1).signature,
                        "rouge-l|nrefs:1|stem:no|tok:rouge155|agg:mean|loom:" LOOM_VERSION);
    assert_string_equal(run("distinct-2", &c, &one, 1).signature,
                        "distinct-2|case:mixed|tok:none|loom:" LOOM_VERSION);
}

static void rouge_warns_when_its_words_lose_the_text(void **state)
{
    (void)state;
    const struct lm_str russian = LM_STR("\xd0\xb1\xd0\xb0\xd0\xbd\xd0\xba"), english = LM_STR("bank");
    const struct lm_segment r = { russian, &russian, 1 }, e = { english, &english, 1 };
    struct lm_metric_config c = plain();
    assert_non_null(run("rouge-1", &c, &r, 1).warning);
    assert_null(run("rouge-1", &c, &e, 1).warning);
    c.words = LM_WORDS_UNICODE;
    assert_null(run("rouge-1", &c, &r, 1).warning);
    assert_true(run("rouge-1", &c, &r, 1).value == 1);
}

/* ---- longest common subsequence ---- */

static bool is_subsequence(const char *part, size_t part_len, const char *text, size_t text_len)
{
    size_t at = 0;
    for (size_t i = 0; i < text_len && at < part_len; i++)
        at += text[i] == part[at];
    return at == part_len;
}

/* By trying every subset of a. */
static size_t brute_force(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t best = 0;
    for (unsigned set = 0; set < 1u << a_len; set++) {
        char part[8];
        size_t len = 0;
        for (size_t i = 0; i < a_len; i++)
            if (set >> i & 1)
                part[len++] = a[i];
        if (len > best && is_subsequence(part, len, b, b_len))
            best = len;
    }
    return best;
}

static void add_letters(struct lm_texts *t, const char *letters, size_t len)
{
    lm_texts_begin(t);
    for (size_t i = 0; i < len; i++)
        lm_texts_add_word(t, (struct lm_str){ letters + i, 1 });
}

static void the_common_subsequence_is_the_longest(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(5, 0);
    struct lm_texts t = { 0 };
    for (int round = 0; round < 2000; round++) {
        char a[8], b[8];
        const size_t a_len = lm_rng_below(&rng, 9), b_len = lm_rng_below(&rng, 9);
        for (size_t i = 0; i < 8; i++) {
            a[i] = (char)('a' + lm_rng_below(&rng, 3));
            b[i] = (char)('a' + lm_rng_below(&rng, 3));
        }
        lm_texts_reset(&t);
        add_letters(&t, a, a_len);
        add_letters(&t, b, b_len);
        assert_int_equal(lm_texts_lcs(&t, 0, 1), brute_force(a, a_len, b, b_len));
    }
    lm_texts_release(&t);
}

/* The textbook table, for texts of more than one machine word. */
static size_t by_table(const char *a, size_t a_len, const char *b, size_t b_len)
{
    static size_t cell[301][301];
    for (size_t i = 1; i <= a_len; i++)
        for (size_t j = 1; j <= b_len; j++) {
            const size_t up = cell[i - 1][j], left = cell[i][j - 1];
            cell[i][j] = a[i - 1] == b[j - 1] ? cell[i - 1][j - 1] + 1 : up > left ? up : left;
        }
    return cell[a_len][b_len];
}

static void long_texts_agree_with_the_textbook(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(6, 0);
    struct lm_texts t = { 0 };
    for (int round = 0; round < 60; round++) {
        char a[300], b[300];
        const size_t a_len = 1 + lm_rng_below(&rng, 300), b_len = 1 + lm_rng_below(&rng, 300);
        for (size_t i = 0; i < 300; i++) {
            a[i] = (char)('a' + lm_rng_below(&rng, 4));
            b[i] = (char)('a' + lm_rng_below(&rng, 4));
        }
        lm_texts_reset(&t);
        add_letters(&t, a, a_len);
        add_letters(&t, b, b_len);
        assert_int_equal(lm_texts_lcs(&t, 0, 1), by_table(a, a_len, b, b_len));
    }
    lm_texts_release(&t);
}

/* ---- n-grams ---- */

static size_t count_of(const char *text, size_t len, const char *gram, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i + n <= len; i++)
        count += memcmp(text + i, gram, n) == 0;
    return count;
}

/* min(count in a, count in b) for every different n-gram of a. */
static size_t naive_overlap(const char *a, size_t a_len, const char *b, size_t b_len, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i + n <= a_len; i++) {
        if (count_of(a, i + n - 1, a + i, n) > 0)
            continue;   // seen before
        const size_t in_a = count_of(a, a_len, a + i, n), in_b = count_of(b, b_len, a + i, n);
        sum += in_a < in_b ? in_a : in_b;
    }
    return sum;
}

static void shared_n_grams_are_counted_as_by_hand(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(8, 0);
    struct lm_texts t = { 0 };
    for (int round = 0; round < 1000; round++) {
        char a[30], b[30];
        const size_t a_len = lm_rng_below(&rng, 31), b_len = lm_rng_below(&rng, 31);
        for (size_t i = 0; i < 30; i++) {
            a[i] = (char)('a' + lm_rng_below(&rng, 2));
            b[i] = (char)('a' + lm_rng_below(&rng, 2));
        }
        lm_texts_reset(&t);
        add_letters(&t, a, a_len);
        add_letters(&t, b, b_len);
        for (size_t n = 1; n <= 5; n++) {
            if (n > 1)
                lm_texts_longer(&t);
            assert_int_equal(lm_texts_overlap(&t, 1, 2), naive_overlap(a, a_len, b, b_len, n));
        }
    }
    lm_texts_release(&t);
}

/* ---- question answering ---- */

static double f1(const char *hyp, const char *ref)
{
    const struct lm_str r = lm_str(ref);
    const struct lm_segment s = { lm_str(hyp), &r, 1 };
    const struct lm_metric_config c = plain();
    return run("f1", &c, &s, 1).value;
}

static void f1_knows_its_edge_cases(void **state)
{
    (void)state;
    assert_true(f1("", "") == 1);
    assert_true(f1("the", "A, an!") == 1);   // nothing is left on either side
    assert_true(f1("", "word") == 0);
    assert_true(f1("word", "the") == 0);
    assert_true(f1("another", "other") == 0);   // an article only as a whole word
    assert_true(f1("the\xe2\x80\x93"
                   "cat",
                   "\xe2\x80\x93"
                   "cat") == 1);   // a dash ends a word
    assert_true(fabs(f1("a b b c", "b c d") - 2.0 * 2 / 3 * 2 / 3 / (2.0 / 3 + 2.0 / 3)) < 1e-12);
}

/* ---- intervals ---- */

static void intervals_hold_the_value_and_repeat(void **state)
{
    (void)state;
    const struct lm_metric_config c = lm_metric_config_default();
    struct random_set *s = random_set(13);
    const struct lm_metric_score a = run("rouge-l", &c, s->segments, TEXTS);
    const struct lm_metric_score b = run("rouge-l", &c, s->segments, TEXTS);
    assert_true(a.has_interval && a.low < a.value && a.value < a.high);
    assert_memory_equal(&a.low, &b.low, sizeof(a.low));
    assert_memory_equal(&a.high, &b.high, sizeof(a.high));
    struct lm_metric_config other = c;
    other.seed++;
    assert_true(run("rouge-l", &other, s->segments, TEXTS).low != a.low);
    free(s);
}

static double mean(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[0] / sums[1];
}

/* Of the mean of n values the interval is about +- 1.96 standard deviations / sqrt(n). */
static void intervals_of_a_mean_are_those_of_the_normal_law(void **state)
{
    (void)state;
    enum { N = 400 };
    double stats[N][2];
    struct lm_rng rng = lm_rng_make(21, 0);
    for (size_t i = 0; i < N; i++) {
        stats[i][0] = lm_rng_normal(&rng);
        stats[i][1] = 1;
    }
    const struct lm_interval ci = lm_bootstrap(&stats[0][0], N, 2, mean, NULL, 2000, 1);
    assert_true(fabs((ci.high - ci.low) / 2 - 1.96 / 20) < 0.012);
}

/* ---- numbers ---- */

static void check_number(double value, int decimals, const char *expected)
{
    struct lm_buf b = { 0 };
    lm_number_add(&b, value, decimals);
    assert_text(lm_buf_str(&b), expected);
    lm_buf_release(&b);
}

static void numbers_are_written_for_people(void **state)
{
    (void)state;
    check_number(1.4, 2, "1.40");
    check_number(0.9996, 3, "1.000");
    check_number(-0.0001, 2, "0.00");
    check_number(-2.5, 0, "-3");
    check_number(NAN, 2, "n/a");
    struct lm_buf b = { 0 };
    lm_number_add_count(&b, 1234567);
    lm_number_add_count(&b, 12);
    lm_number_add_count(&b, 1002);
    assert_text(lm_buf_str(&b), "1,234,567121,002");
    lm_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_stays_in_its_range),
        cmocka_unit_test(a_text_equal_to_its_reference_scores_full),
        cmocka_unit_test(the_order_of_texts_does_not_matter),
        cmocka_unit_test(the_number_of_threads_does_not_matter),
        cmocka_unit_test(texts_that_cannot_be_scored_are_refused),
        cmocka_unit_test(rouge_l_refuses_what_is_too_long_and_names_the_text),
        cmocka_unit_test(a_signature_says_how_a_score_was_made),
        cmocka_unit_test(rouge_warns_when_its_words_lose_the_text),
        cmocka_unit_test(the_common_subsequence_is_the_longest),
        cmocka_unit_test(long_texts_agree_with_the_textbook),
        cmocka_unit_test(shared_n_grams_are_counted_as_by_hand),
        cmocka_unit_test(f1_knows_its_edge_cases),
        cmocka_unit_test(intervals_hold_the_value_and_repeat),
        cmocka_unit_test(intervals_of_a_mean_are_those_of_the_normal_law),
        cmocka_unit_test(numbers_are_written_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
