/* tests/review/test_golden.c - every vector of tests/golden/review/metrics.json. */

#include "check.h"

#include "base/mem.h"
#include "review/heldout.h"
#include "review/measures.h"

#include <jansson.h>
#include <stdio.h>

static json_t *golden;

static int load(void **state)
{
    (void)state;
    json_error_t error;
    golden = json_load_file(LOOM_TEST_DIR "/golden/review/metrics.json", 0, &error);
    return golden ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* Runs `check` on every vector of the metric; there must be `count` of them, so that none is passed over. */
static void each_vector(const char *metric, size_t count, void (*check)(const json_t *vector))
{
    size_t i, seen = 0;
    json_t *vector;
    json_array_foreach(json_object_get(golden, "vectors"), i, vector)
    {
        if (strcmp(text_of(vector, "metric"), metric) != 0)
            continue;
        check(vector);
        seen++;
    }
    assert_int_equal(seen, count);
}

static void assert_near(const json_t *vector, const json_t *expected, double got)
{
    const double want = json_number_value(expected),
                 tolerance = json_number_value(json_object_get(vector, "tolerance"));
    if (!json_is_number(expected) || !(got >= want - tolerance && got <= want + tolerance))
        fail_msg("%s: %.17g, expected %.17g +- %g", text_of(vector, "id"), got, want, tolerance);
}

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("unknown name '%s'", name);
    return -1;
}

/* ---- BLEU ---- */

static struct lm_metric_config config_of(const json_t *inputs)
{
    struct lm_metric_config c = lm_metric_config_default();
    c.resamples = 0;
    if (text_of(inputs, "tokenize"))
        c.words = index_of(lm_words_names, text_of(inputs, "tokenize"));
    if (text_of(inputs, "tok"))
        c.words = index_of(lm_words_names, text_of(inputs, "tok"));
    if (text_of(inputs, "smooth_method"))
        c.smooth = index_of(lm_smooth_names, text_of(inputs, "smooth_method"));
    if (json_is_number(json_object_get(inputs, "smooth_value")))
        c.smooth_value = json_number_value(json_object_get(inputs, "smooth_value"));
    if (json_object_get(inputs, "max_ngram_order"))
        c.order = json_integer_value(json_object_get(inputs, "max_ngram_order"));
    c.effective_order = json_is_true(json_object_get(inputs, "effective_order"));
    c.lowercase = json_is_true(json_object_get(inputs, "lowercase"));
    return c;
}

static struct lm_str str_of(const json_t *string)
{
    return (struct lm_str){ json_string_value(string), json_string_length(string) };
}

enum { SEGMENTS_MAX = 16, REFS_MAX = 4 };
struct set {
    struct lm_segment segments[SEGMENTS_MAX];
    struct lm_str refs[SEGMENTS_MAX][REFS_MAX];
    size_t count;
};

/* Streams of references to references of segments. */
static void set_of(const json_t *hyps, const json_t *streams, struct set *ret)
{
    ret->count = json_array_size(hyps);
    assert_true(ret->count <= SEGMENTS_MAX && json_array_size(streams) <= REFS_MAX);
    for (size_t i = 0; i < ret->count; i++) {
        size_t refs = 0;
        for (size_t k = 0; k < json_array_size(streams); k++) {
            const json_t *ref = json_array_get(json_array_get(streams, k), i);
            if (json_is_string(ref))
                ret->refs[i][refs++] = str_of(ref);
        }
        ret->segments[i] = (struct lm_segment){ str_of(json_array_get(hyps, i)), ret->refs[i], refs };
    }
}

static double run(const char *metric, const struct lm_metric_config *config,
                  const struct lm_segment *segments, size_t count)
{
    struct lm_metric_score score;
    struct lm_err err = { 0 };
    if (lm_metric_run(lm_metric_find(metric), config, segments, count, &score, NULL, &err) != LM_OK)
        fail_msg("%s", err.text);
    return score.value;
}

/* One text and the list of its references. */
static struct lm_segment segment_of(const json_t *hyp, const json_t *refs, struct lm_str *storage)
{
    size_t i;
    json_t *ref;
    json_array_foreach(refs, i, ref) storage[i] = str_of(ref);
    return (struct lm_segment){ str_of(hyp), storage, json_array_size(refs) };
}

static double bleu_from_statistics(const json_t *inputs, const struct lm_metric_config *config)
{
    double sums[LM_METRIC_STATS_MAX] = { json_number_value(json_object_get(inputs, "sys_len")),
                                         json_number_value(json_object_get(inputs, "ref_len")) };
    for (size_t n = 0; n < 4; n++) {
        sums[2 + 2 * n] = json_number_value(json_array_get(json_object_get(inputs, "correct"), n));
        sums[3 + 2 * n] = json_number_value(json_array_get(json_object_get(inputs, "total"), n));
    }
    return lm_bleu_value(config, sums);
}

static void check_bleu(const json_t *vector)
{
    const json_t *inputs = json_object_get(vector, "inputs");
    const struct lm_metric_config config = config_of(inputs);
    const char *variant = text_of(vector, "variant");
    double got;
    if (strcmp(variant, "from-statistics") == 0) {
        got = bleu_from_statistics(inputs, &config);
    } else if (strcmp(variant, "corpus") == 0) {
        struct set set;
        set_of(json_object_get(inputs, "hyps"), json_object_get(inputs, "refs"), &set);
        got = run("bleu", &config, set.segments, set.count);
    } else {
        struct lm_str refs[REFS_MAX];
        const struct lm_segment s =
            segment_of(json_object_get(inputs, "hyp"), json_object_get(inputs, "refs"), refs);
        got = run("bleu", &config, &s, 1);
    }
    assert_near(vector, json_object_get(json_object_get(vector, "expected"), "score"), got);
}

static void bleu_is_that_of_sacrebleu(void **state)
{
    (void)state;
    each_vector("bleu", 66, check_bleu);
}

/* ---- words ---- */

static void join(struct lm_str text, struct lm_buf *ret)
{
    struct lm_str word;
    while (lm_words_next(&text, &word)) {
        lm_buf_add_str(ret, word);
        lm_buf_putc(ret, ' ');
    }
}

static void check_words(const json_t *vector)
{
    struct lm_words_scratch scratch = { 0 };
    struct lm_buf marked = { 0 }, got = { 0 }, want = { 0 };
    const enum lm_words how = (enum lm_words)index_of(lm_words_names, text_of(vector, "variant"));
    lm_words_mark(how, str_of(json_object_get(json_object_get(vector, "inputs"), "text")), &scratch, &marked);
    join(lm_buf_str(&marked), &got);
    join(str_of(json_object_get(json_object_get(vector, "expected"), "text")), &want);
    if (!lm_str_eq(lm_buf_str(&got), lm_buf_str(&want)))
        fail_msg("%s: '%s', expected '%s'", text_of(vector, "id"), lm_buf_str(&got).ptr,
                 lm_buf_str(&want).ptr);
    lm_words_scratch_release(&scratch);
    lm_buf_release(&marked);
    lm_buf_release(&got);
    lm_buf_release(&want);
}

static void words_are_those_of_sacrebleu(void **state)
{
    (void)state;
    each_vector("tokenizer", 25, check_words);
}

/* ---- ROUGE ---- */

static void check_rouge(const json_t *vector)
{
    static const struct {
        const char *key, *metric;
    } kinds[] = { { "rouge1", "rouge-1" },
                  { "rouge2", "rouge-2" },
                  { "rougeL", "rouge-l" },
                  { "rougeLsum", "rouge-lsum" } };
    const json_t *inputs = json_object_get(vector, "inputs"), *expected = json_object_get(vector, "expected");
    const struct lm_metric_config config = config_of(inputs);
    const struct lm_str ref = str_of(json_object_get(inputs, "target"));
    const struct lm_segment s = { str_of(json_object_get(inputs, "prediction")), &ref, 1 };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const json_t *want = json_object_get(expected, kinds[i].key);
        if (want)
            assert_near(vector, json_object_get(want, "f"), run(kinds[i].metric, &config, &s, 1));
    }
}

static void rouge_is_that_of_rouge_score(void **state)
{
    (void)state;
    each_vector("rouge", 24, check_rouge);
}

/* ---- question answering ---- */

static void check_qa(const json_t *vector)
{
    const json_t *inputs = json_object_get(vector, "inputs"), *expected = json_object_get(vector, "expected");
    struct lm_metric_config config = lm_metric_config_default();
    config.resamples = 0;
    struct lm_str refs[REFS_MAX];
    const struct lm_segment s =
        segment_of(json_object_get(inputs, "prediction"), json_object_get(inputs, "golds"), refs);
    assert_near(vector, json_object_get(expected, "em"), run("exact-match", &config, &s, 1));
    assert_near(vector, json_object_get(expected, "f1"), run("f1", &config, &s, 1));
    struct lm_buf normal = { 0 };
    lm_squad_normal(s.hyp, &normal);
    assert_text(lm_buf_str(&normal), text_of(expected, "normalised"));
    lm_buf_release(&normal);
}

static void questions_are_scored_by_the_rules_of_squad(void **state)
{
    (void)state;
    each_vector("qa", 7, check_qa);
}

/* ---- diversity ---- */

static void check_diversity(const json_t *vector)
{
    const json_t *texts = json_object_get(json_object_get(vector, "inputs"), "texts");
    struct set set;
    set_of(texts, NULL, &set);
    struct lm_metric_config config = lm_metric_config_default();
    for (int n = 1; n <= 3; n++) {
        char key[32], metric[32];
        snprintf(key, sizeof(key), "distinct_%d", n);
        snprintf(metric, sizeof(metric), "distinct-%d", n);
        const json_t *want = json_object_get(json_object_get(vector, "expected"), key);
        if (want)
            assert_near(vector, json_object_get(want, "value"),
                        run(metric, &config, set.segments, set.count));
    }
}

static void distinct_n_counts_over_the_whole_set(void **state)
{
    (void)state;
    each_vector("diversity", 2, check_diversity);
}

/* ---- perplexity ---- */

static void check_perplexity(const json_t *vector)
{
    const json_t *docs = json_object_get(json_object_get(vector, "inputs"), "docs");
    struct lm_likelihood sum = { 0 };
    size_t i, k;
    json_t *doc, *logprob;
    json_array_foreach(docs, i, doc)
    {
        json_array_foreach(json_object_get(doc, "token_logprobs"), k, logprob)
        {
            sum.log_prob += json_number_value(logprob);
            sum.tokens++;
        }
        sum.bytes += json_string_length(json_object_get(doc, "text"));
    }
    const json_t *expected = json_object_get(vector, "expected");
    assert_near(vector, json_object_get(expected, "bits_per_byte"), lm_bits_per_byte(&sum));
    assert_near(vector, json_object_get(expected, "token_ppl"), lm_perplexity(&sum));
}

static void likelihoods_are_summed_before_they_are_divided(void **state)
{
    (void)state;
    each_vector("perplexity", 1, check_perplexity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bleu_is_that_of_sacrebleu),
        cmocka_unit_test(words_are_those_of_sacrebleu),
        cmocka_unit_test(rouge_is_that_of_rouge_score),
        cmocka_unit_test(questions_are_scored_by_the_rules_of_squad),
        cmocka_unit_test(distinct_n_counts_over_the_whole_set),
        cmocka_unit_test(likelihoods_are_summed_before_they_are_divided),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
