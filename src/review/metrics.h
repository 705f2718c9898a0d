#ifndef LM_REVIEW_METRICS_H
#define LM_REVIEW_METRICS_H
/* review/metrics.h - scores of texts against references.
 *
 * A metric keeps a few numbers of every segment and makes its value from their sums: so a score does not
 * depend on the order of the segments, and an interval comes from resampling these numbers (not the scores).
 * Metrics of the whole set (distinct-n) keep none and have no interval.  To add a metric: one row in
 * metrics.c.
 *
 * Every value comes with a signature, "bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|loom:0.1.0".  Two
 * values with different signatures must not be compared. */

#include "base/err.h"
#include "base/str.h"
#include "review/words.h"

enum lm_smooth { LM_SMOOTH_EXP, LM_SMOOTH_FLOOR, LM_SMOOTH_ADD_K, LM_SMOOTH_NONE };
extern const char *const lm_smooth_names[];   // ends with NULL

struct lm_metric_config {
    int words;              // enum lm_words; LM_WORDS_DEFAULT: the metric's own
    int smooth;             // enum lm_smooth; BLEU
    double smooth_value;    // below 0: the method's own; BLEU with floor and add-k
    bool effective_order;   // BLEU: average only over orders the text is long enough for
    bool lowercase;         // BLEU, distinct-n
    int64_t order;          // BLEU: longest n-gram, 1..LM_METRIC_ORDER_MAX
    int64_t resamples;      // of the interval; 0: none
    int64_t seed;           // of the resampling
};
enum { LM_METRIC_ORDER_MAX = 6, LM_METRIC_STATS_MAX = 2 + 2 * LM_METRIC_ORDER_MAX };

struct lm_metric_config lm_metric_config_default(void);   // order 4, exp, 1,000 resamples, seed 12345

/* Borrows.  Invalid UTF-8 counts as U+FFFD. */
struct lm_segment {
    struct lm_str hyp;
    const struct lm_str *refs;
    size_t ref_count;
};

enum { LM_SIGNATURE_MAX = 192 };

struct lm_metric_score {
    double value;
    bool has_interval;
    double low, high;   // 95 %, when has_interval
    char signature[LM_SIGNATURE_MAX];
    const char *warning;   // a static sentence for the reader, NULL when all is well
};

struct lm_texts;   // review/texts.h: words and n-grams of one segment, or of the whole set

/* The value from summed stats: never NaN. */
typedef double lm_metric_value(const struct lm_metric_config *config, const double *sums);

struct lm_metric {
    const char *name, *help;
    double max;            // values are 0..max
    enum lm_words words;   // what it takes for words; LM_WORDS_DEFAULT: fixed rules of its own
    int variant;           // n of rouge-n and distinct-n
    bool needs_refs;
    size_t stats;   // numbers kept of a segment; 0: of the whole set
    /* One segment into stats[], which are zero. */
    enum lm_rc (*measure)(const struct lm_metric *metric, const struct lm_metric_config *config,
                          const struct lm_segment *segment, struct lm_texts *scratch, double *stats,
                          struct lm_err *err);
    lm_metric_value *value;
    double (*value_of_set)(const struct lm_metric *metric, const struct lm_metric_config *config,
                           const struct lm_segment *segments, size_t count, struct lm_texts *scratch);
    /* Appends "|key:value" for what the name and the references do not tell. */
    void (*sign)(const struct lm_metric *metric, const struct lm_metric_config *config, struct lm_buf *ret);
    const char *(*warn)(const struct lm_metric *metric, const struct lm_metric_config *config,
                        const double *sums);   // NULL: never
};

extern const struct lm_metric lm_metrics[];
extern const size_t lm_metric_count;
const struct lm_metric *lm_metric_find(const char *name);   // NULL: none
void lm_metric_names(struct lm_buf *ret);                   // "bleu, rouge-1, ...", for messages

/* LM_EINVAL for no segments and for a segment without references where they are needed; LM_ELIMIT for texts
 * too long for the metric.  ret_each, unless NULL, gets the value of every segment alone ([count]; NaN for
 * metrics of the whole set). */
enum lm_rc lm_metric_run(const struct lm_metric *metric, const struct lm_metric_config *config,
                         const struct lm_segment *segments, size_t count, struct lm_metric_score *ret,
                         double *ret_each, struct lm_err *err);

/* The words a metric will use under this config. */
enum lm_words lm_metric_words(const struct lm_metric *metric, const struct lm_metric_config *config);

/* {"metric":name,"value":x,"low":x,"high":x,"signature":"..."}; low and high only with an interval. */
void lm_metric_score_json(const char *name, const struct lm_metric_score *score, struct lm_buf *ret);

#endif
