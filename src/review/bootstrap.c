/* review/bootstrap.c - resampling of segment statistics. */

#include "review/bootstrap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

/* Ascending, what is no number last. */
static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x > y) - (x < y);
}

/* How often each row was drawn, then one pass over the rows: memory is read in order, and sums have a fixed
 * one. */
static double one_draw(const double *stats, size_t count, size_t width, lm_metric_value *value,
                       const struct lm_metric_config *config, struct lm_rng rng, uint32_t *times)
{
    memset(times, 0, count * sizeof(*times));
    for (size_t i = 0; i < count; i++)
        times[lm_rng_below(&rng, count)]++;
    double sums[LM_METRIC_STATS_MAX] = { 0 };
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            sums[k] += times[i] * stats[i * width + k];
    return value(config, sums);
}

struct lm_interval lm_bootstrap(const double *stats, size_t count, size_t width, lm_metric_value *value,
                                const struct lm_metric_config *config, size_t resamples, uint64_t seed)
{
    LM_ASSERT(count > 0 && count <= UINT32_MAX && resamples > 0 && width <= LM_METRIC_STATS_MAX);
    double *values = lm_zalloc(resamples, sizeof(*values));
#pragma omp parallel num_threads(lm_threads())
    {
        uint32_t *times = lm_zalloc(count, sizeof(*times));
#pragma omp for schedule(static)
        for (size_t i = 0; i < resamples; i++)
            values[i] = one_draw(stats, count, width, value, config, lm_rng_make(seed, i), times);
        free(times);
    }
    qsort(values, resamples, sizeof(*values), by_value);
    const size_t cut = resamples / 40;
    const struct lm_interval ret = { values[cut], values[resamples - 1 - cut] };
    free(values);
    return ret;
}
