/* review/bleu.c - BLEU, as sacreBLEU computes it.  Papineni et al. 2002; Post 2018, arXiv:1804.08771. */

#include "review/measures.h"
#include "review/number.h"

#include <math.h>

const char *const lm_smooth_names[] = { "exp", "floor", "add-k", "none", NULL };

/* stats: words in hypothesis and reference, then per order matches and n-grams of the hypothesis. */
enum { HYP_WORDS, REF_WORDS, ORDERS };

enum { STRIDE = 2 };   // matches, n-grams

static double smooth_value(const struct lm_metric_config *c)
{
    if (c->smooth_value >= 0)
        return c->smooth_value;
    return c->smooth == LM_SMOOTH_FLOOR ? 0.1 : 1.0;
}

/* Of several references the length nearest to the hypothesis; of two equally near the shorter. */
static size_t nearest_length(const struct lm_texts *t)
{
    const size_t hyp = lm_texts_words(t, 0);
    size_t best = lm_texts_words(t, 1);
    for (size_t k = 2; k < t->count; k++) {
        const size_t len = lm_texts_words(t, k);
        const size_t gap = len > hyp ? len - hyp : hyp - len;
        const size_t best_gap = best > hyp ? best - hyp : hyp - best;
        if (gap < best_gap || (gap == best_gap && len < best))
            best = len;
    }
    return best;
}

enum lm_rc lm_bleu_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                           const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                           struct lm_err *err)
{
    (void)err;
    const enum lm_words words = lm_metric_words(metric, config);
    lm_texts_reset(scratch);
    lm_texts_add(scratch, words, config->lowercase, segment->hyp);
    for (size_t i = 0; i < segment->ref_count; i++)
        lm_texts_add(scratch, words, config->lowercase, segment->refs[i]);

    stats[HYP_WORDS] = (double)lm_texts_words(scratch, 0);
    stats[REF_WORDS] = (double)nearest_length(scratch);
    for (int64_t n = 0; n < config->order; n++) {
        if (n > 0)
            lm_texts_longer(scratch);
        stats[ORDERS + STRIDE * n] = (double)lm_texts_overlap(scratch, 1, scratch->count);
        stats[ORDERS + STRIDE * n + 1] = (double)lm_texts_grams(scratch, 0);
    }
    return LM_OK;
}

/* exp(-1e10) is 0: one precision of zero makes the score zero. */
static double log_of(double p)
{
    return p > 0 ? log(p) : -9999999999.0;
}

double lm_bleu_value(const struct lm_metric_config *config, const double *sums)
{
    const double hyp = sums[HYP_WORDS], ref = sums[REF_WORDS];
    double matches_of_all = 0;
    for (int64_t n = 0; n < config->order; n++)
        matches_of_all += sums[ORDERS + STRIDE * n];
    if (matches_of_all == 0 || hyp == 0)
        return 0;

    double logs = 0, halving = 1;
    int64_t reached = 0;   // orders with n-grams in the hypothesis
    for (; reached < config->order; reached++) {
        double matches = sums[ORDERS + STRIDE * reached], total = sums[ORDERS + STRIDE * reached + 1];
        if (config->smooth == LM_SMOOTH_ADD_K && reached > 0) {
            matches += smooth_value(config);
            total += smooth_value(config);
        }
        if (total == 0)
            break;
        if (matches == 0 && config->smooth == LM_SMOOTH_EXP) {
            halving *= 2;
            logs += log_of(100 / (halving * total));
        } else if (matches == 0 && config->smooth == LM_SMOOTH_FLOOR) {
            logs += log_of(100 * smooth_value(config) / total);
        } else {
            logs += log_of(100 * matches / total);
        }
    }
    if (!config->effective_order && reached < config->order)
        return 0;   // an order without n-grams has precision 0
    const double brevity = hyp < ref ? exp(1 - ref / hyp) : 1;
    return fmin(100, brevity * exp(logs / (double)reached));
}

static void add_bracketed(double value, struct lm_buf *ret)
{
    lm_buf_putc(ret, '[');
    lm_number_add(ret, value, 2);
    lm_buf_putc(ret, ']');
}

void lm_bleu_sign(const struct lm_metric *metric, const struct lm_metric_config *config, struct lm_buf *ret)
{
    lm_buf_printf(ret, "|case:%s|eff:%s|tok:%s|smooth:%s", config->lowercase ? "lc" : "mixed",
                  config->effective_order ? "yes" : "no", lm_words_names[lm_metric_words(metric, config)],
                  lm_smooth_names[config->smooth]);
    if (config->smooth == LM_SMOOTH_FLOOR || config->smooth == LM_SMOOTH_ADD_K)
        add_bracketed(smooth_value(config), ret);
    if (config->order != 4)
        lm_buf_printf(ret, "|order:%d", (int)config->order);
}

/* ---- the mean over sentences ---- */

static struct lm_metric_config of_sentence(const struct lm_metric_config *config)
{
    struct lm_metric_config c = *config;
    c.effective_order = true;   // else a sentence of three words would always score 0
    return c;
}

enum lm_rc lm_sentence_bleu_measure(const struct lm_metric *metric, const struct lm_metric_config *config,
                                    const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                                    struct lm_err *err)
{
    const struct lm_metric_config c = of_sentence(config);
    double sums[LM_METRIC_STATS_MAX] = { 0 };
    LM_TRY(lm_bleu_measure(metric, &c, segment, scratch, sums, err));
    stats[0] = lm_bleu_value(&c, sums);
    stats[1] = 1;
    return LM_OK;
}

void lm_sentence_bleu_sign(const struct lm_metric *metric, const struct lm_metric_config *config,
                           struct lm_buf *ret)
{
    const struct lm_metric_config c = of_sentence(config);
    lm_bleu_sign(metric, &c, ret);
    lm_buf_puts(ret, "|agg:mean");
}
