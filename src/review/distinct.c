/* review/distinct.c - distinct-n: different n-grams / all n-grams over the whole set.  Li et al. 2016,
 * arXiv:1510.03055.  Resampling would draw texts twice and so lower the value: there is no interval. */

#include "review/measures.h"

double lm_distinct_value(const struct lm_metric *metric, const struct lm_metric_config *config,
                         const struct lm_segment *segments, size_t count, struct lm_texts *scratch)
{
    lm_texts_reset(scratch);
    for (size_t i = 0; i < count; i++)
        lm_texts_add(scratch, lm_metric_words(metric, config), config->lowercase, segments[i].hyp);
    for (int n = 1; n < metric->variant; n++)
        lm_texts_longer(scratch);
    size_t total = 0;
    for (size_t k = 0; k < scratch->count; k++)
        total += lm_texts_grams(scratch, k);
    return total ? (double)scratch->gram_count / (double)total : 0;
}

void lm_distinct_sign(const struct lm_metric *metric, const struct lm_metric_config *config,
                      struct lm_buf *ret)
{
    lm_buf_printf(ret, "|case:%s|tok:%s", config->lowercase ? "lc" : "mixed",
                  lm_words_names[lm_metric_words(metric, config)]);
}
