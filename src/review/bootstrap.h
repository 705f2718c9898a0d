#ifndef LM_REVIEW_BOOTSTRAP_H
#define LM_REVIEW_BOOTSTRAP_H
/* review/bootstrap.h - how far a score would move with other segments of the same kind.  Efron 1979. */

#include "review/metrics.h"

struct lm_interval {
    double low, high;   // 95 %
};

/* Draws `count` of the rows of stats (count, width) with replacement, `resamples` times, and takes the value
 * of each draw's sums; 1/40 of the sorted values is cut on each side.  Draw i uses stream i of the seed:
 * equal for any number of threads.  count and resamples >= 1. */
struct lm_interval lm_bootstrap(const double *stats, size_t count, size_t width, lm_metric_value *value,
                                const struct lm_metric_config *config, size_t resamples, uint64_t seed);

#endif
