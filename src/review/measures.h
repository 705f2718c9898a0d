#ifndef LM_REVIEW_MEASURES_H
#define LM_REVIEW_MEASURES_H
/* review/measures.h - the functions behind the rows of metrics.c, one file each.  Internal to the module. */

#include "review/metrics.h"
#include "review/texts.h"

#define LM_MEASURE(name)                                                                                     \
    enum lm_rc name(const struct lm_metric *metric, const struct lm_metric_config *config,                   \
                    const struct lm_segment *segment, struct lm_texts *scratch, double *stats,               \
                    struct lm_err *err)
#define LM_SIGN(name)                                                                                        \
    void name(const struct lm_metric *metric, const struct lm_metric_config *config, struct lm_buf *ret)

LM_MEASURE(lm_bleu_measure);
LM_MEASURE(lm_sentence_bleu_measure);
LM_MEASURE(lm_rouge_n_measure);
LM_MEASURE(lm_rouge_l_measure);
LM_MEASURE(lm_rouge_lsum_measure);
LM_MEASURE(lm_exact_match_measure);
LM_MEASURE(lm_token_f1_measure);
lm_metric_value lm_bleu_value;
double lm_distinct_value(const struct lm_metric *metric, const struct lm_metric_config *config,
                         const struct lm_segment *segments, size_t count, struct lm_texts *scratch);
LM_SIGN(lm_bleu_sign);
LM_SIGN(lm_sentence_bleu_sign);
LM_SIGN(lm_rouge_sign);
LM_SIGN(lm_squad_sign);
LM_SIGN(lm_distinct_sign);
const char *lm_rouge_warn(const struct lm_metric *metric, const struct lm_metric_config *config,
                          const double *sums);
#undef LM_SIGN
#undef LM_MEASURE

struct lm_prf {
    double precision, recall, f;
};
/* Harmonic mean; 0 when nothing matches or a side is empty. */
struct lm_prf lm_prf(size_t matches, size_t hyp_count, size_t ref_count);

/* Length of the longest common subsequence of texts `a` and `b`. */
size_t lm_texts_lcs(struct lm_texts *t, size_t a, size_t b);
enum { LM_LCS_WORDS_MAX = 1 << 15, LM_LCS_CELLS_MAX = 1 << 24 };

/* SQuAD's normal form: lower case, no ASCII punctuation, no articles, single blanks. */
void lm_squad_normal(struct lm_str text, struct lm_buf *ret);

#endif
