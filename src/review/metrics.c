/* review/metrics.c - the table of metrics, and what all have in common. */

#include "review/metrics.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "review/bootstrap.h"
#include "review/measures.h"

#include <math.h>
#include <stdlib.h>

static double mean_value(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[1] > 0 ? sums[0] / sums[1] : 0;
}

#define ROUGE(label, text, n, function)                                                                      \
    {                                                                                                        \
        .name = label, .help = text, .max = 1, .words = LM_WORDS_ROUGE155, .variant = n, .needs_refs = true, \
        .stats = 4, .measure = function, .value = mean_value, .sign = lm_rouge_sign, .warn = lm_rouge_warn   \
    }
#define DISTINCT(label, text, n)                                                                             \
    {                                                                                                        \
        .name = label, .help = text, .max = 1, .words = LM_WORDS_NONE, .variant = n,                         \
        .value_of_set = lm_distinct_value, .sign = lm_distinct_sign                                          \
    }

/* To add a metric: a row here, its functions in a file of their own. */
const struct lm_metric lm_metrics[] = {
    { .name = "bleu",
      .help = "n-grams shared with the references, over the whole set",
      .max = 100,
      .words = LM_WORDS_13A,
      .needs_refs = true,
      .stats = LM_METRIC_STATS_MAX,
      .measure = lm_bleu_measure,
      .value = lm_bleu_value,
      .sign = lm_bleu_sign },
    { .name = "sentence-bleu",
      .help = "the mean of the sentences' BLEU",
      .max = 100,
      .words = LM_WORDS_13A,
      .needs_refs = true,
      .stats = 2,
      .measure = lm_sentence_bleu_measure,
      .value = mean_value,
      .sign = lm_sentence_bleu_sign },
    ROUGE("rouge-1", "words shared with the reference, F1", 1, lm_rouge_n_measure),
    ROUGE("rouge-2", "pairs of words shared with the reference, F1", 2, lm_rouge_n_measure),
    ROUGE("rouge-l", "longest common subsequence of words, F1", 0, lm_rouge_l_measure),
    ROUGE("rouge-lsum", "the same line by line", 0, lm_rouge_lsum_measure),
    { .name = "exact-match",
      .help = "equal after SQuAD's normal form",
      .max = 1,
      .needs_refs = true,
      .stats = 2,
      .measure = lm_exact_match_measure,
      .value = mean_value,
      .sign = lm_squad_sign },
    { .name = "f1",
      .help = "words shared in SQuAD's normal form, F1",
      .max = 1,
      .needs_refs = true,
      .stats = 2,
      .measure = lm_token_f1_measure,
      .value = mean_value,
      .sign = lm_squad_sign },
    DISTINCT("distinct-1", "different words / words", 1),
    DISTINCT("distinct-2", "different pairs of words / pairs", 2),
    DISTINCT("distinct-3", "different triples of words / triples", 3),
};
const size_t lm_metric_count = sizeof(lm_metrics) / sizeof(lm_metrics[0]);

const struct lm_metric *lm_metric_find(const char *name)
{
    for (size_t i = 0; i < lm_metric_count; i++)
        if (strcmp(lm_metrics[i].name, name) == 0)
            return &lm_metrics[i];
    return NULL;
}

void lm_metric_names(struct lm_buf *ret)
{
    for (size_t i = 0; i < lm_metric_count; i++)
        lm_buf_printf(ret, "%s%s", i ? ", " : "", lm_metrics[i].name);
}

struct lm_metric_config lm_metric_config_default(void)
{
    return (struct lm_metric_config){ .smooth_value = -1, .order = 4, .resamples = 1000, .seed = 12345 };
}

enum lm_words lm_metric_words(const struct lm_metric *metric, const struct lm_metric_config *config)
{
    return config->words == LM_WORDS_DEFAULT ? metric->words : (enum lm_words)config->words;
}

/* ---- signature ---- */

static void sign_refs(const struct lm_segment *segments, size_t count, struct lm_buf *ret)
{
    for (size_t i = 1; i < count; i++)
        if (segments[i].ref_count != segments[0].ref_count) {
            lm_buf_puts(ret, "|nrefs:var");
            return;
        }
    lm_buf_printf(ret, "|nrefs:%zu", segments[0].ref_count);
}

static void sign(const struct lm_metric *metric, const struct lm_metric_config *config,
                 const struct lm_segment *segments, size_t count, struct lm_metric_score *ret)
{
    struct lm_buf text = { 0 };
    lm_buf_puts(&text, metric->name);
    if (metric->needs_refs)
        sign_refs(segments, count, &text);
    metric->sign(metric, config, &text);
    if (ret->has_interval)
        lm_buf_printf(&text, "|bs:%lld|seed:%lld", (long long)config->resamples, (long long)config->seed);
    lm_buf_printf(&text, "|loom:%s", lm_version);
    LM_ASSERT(text.len < sizeof(ret->signature));
    memcpy(ret->signature, text.ptr, text.len + 1);
    lm_buf_release(&text);
}

/* ---- run ---- */

static enum lm_rc check(const struct lm_metric *metric, const struct lm_segment *segments, size_t count,
                        struct lm_err *err)
{
    if (count == 0)
        return lm_fail(err, LM_EINVAL, "%s: there is no text to score", metric->name);
    for (size_t i = 0; metric->needs_refs && i < count; i++)
        if (segments[i].ref_count == 0)
            return lm_fail(err, LM_EINVAL, "%s: text %zu has no reference", metric->name, i + 1);
    return LM_OK;
}

/* Every segment into its row of stats.  The error is that of the first segment that has one. */
static enum lm_rc measure_all(const struct lm_metric *metric, const struct lm_metric_config *config,
                              const struct lm_segment *segments, size_t count, double *stats,
                              struct lm_err *err)
{
    enum lm_rc rc = LM_OK;
    size_t failed = count;
#pragma omp parallel num_threads(lm_threads())
    {
        struct lm_texts scratch = { 0 };
#pragma omp for schedule(dynamic, 16)
        for (size_t i = 0; i < count; i++) {
            struct lm_err own = { 0 };
            const enum lm_rc one =
                metric->measure(metric, config, &segments[i], &scratch, stats + i * metric->stats, &own);
            if (one == LM_OK)
                continue;
#pragma omp critical(lm_metric_failed)
            if (i < failed) {
                failed = i;
                rc = lm_fail(err, one, "%s: text %zu: %s", metric->name, i + 1, own.text);
            }
        }
        lm_texts_release(&scratch);
    }
    return rc;
}

static void add_up(const double *stats, size_t count, size_t width, double *sums)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            sums[k] += stats[i * width + k];
}

static enum lm_rc run_segments(const struct lm_metric *metric, const struct lm_metric_config *config,
                               const struct lm_segment *segments, size_t count, struct lm_metric_score *ret,
                               double *ret_each, struct lm_err *err)
{
    LM_FREE double *stats = lm_zalloc(count, metric->stats * sizeof(*stats));
    LM_TRY(measure_all(metric, config, segments, count, stats, err));
    double sums[LM_METRIC_STATS_MAX] = { 0 };
    add_up(stats, count, metric->stats, sums);
    ret->value = metric->value(config, sums);
    if (metric->warn)
        ret->warning = metric->warn(metric, config, sums);
    if (config->resamples > 0) {
        const struct lm_interval ci = lm_bootstrap(stats, count, metric->stats, metric->value, config,
                                                   (size_t)config->resamples, (uint64_t)config->seed);
        ret->has_interval = true;
        ret->low = ci.low;
        ret->high = ci.high;
    }
    for (size_t i = 0; ret_each && i < count; i++)
        ret_each[i] = metric->value(config, stats + i * metric->stats);
    return LM_OK;
}

enum lm_rc lm_metric_run(const struct lm_metric *metric, const struct lm_metric_config *config,
                         const struct lm_segment *segments, size_t count, struct lm_metric_score *ret,
                         double *ret_each, struct lm_err *err)
{
    LM_ASSERT(config->order >= 1 && config->order <= LM_METRIC_ORDER_MAX && config->resamples >= 0);
    LM_TRY(check(metric, segments, count, err));
    struct lm_metric_score score = { 0 };
    if (metric->stats > 0) {
        LM_TRY(run_segments(metric, config, segments, count, &score, ret_each, err));
    } else {
        struct lm_texts scratch = { 0 };
        score.value = metric->value_of_set(metric, config, segments, count, &scratch);
        lm_texts_release(&scratch);
        for (size_t i = 0; ret_each && i < count; i++)
            ret_each[i] = NAN;
    }
    LM_ASSERT(score.value >= 0 && score.value <= metric->max);
    sign(metric, config, segments, count, &score);
    *ret = score;
    return LM_OK;
}

void lm_metric_score_json(const char *name, const struct lm_metric_score *score, struct lm_buf *ret)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "metric", lm_str(name));
    lm_json_key_num(ret, "value", score->value);
    if (score->has_interval) {
        lm_json_key_num(ret, "low", score->low);
        lm_json_key_num(ret, "high", score->high);
    }
    lm_json_key_str(ret, "signature", lm_str(score->signature));
    lm_buf_putc(ret, '}');
}
