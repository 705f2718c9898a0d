#ifndef LM_TRAIN_NGRAM_H
#define LM_TRAIN_NGRAM_H
/* train/ngram.h - interpolated modified Kneser-Ney n-gram model over token ids: the baseline every neural
 * model has to beat.  Chen & Goodman 1998, section 3.  Deterministic; memory linear in the distinct n-grams.
 */

#include "base/err.h"
#include "corpus/shard.h"

struct lm_ngram;

/* Trains on every document of the shard; order 1..5.  A document starts with its end-of-text token as
 * context. */
enum lm_rc lm_ngram_train(const struct lm_shard *shard, int order, uint32_t end_of_text,
                          struct lm_ngram **ret, struct lm_err *err);
void lm_ngram_free(struct lm_ngram *m);

/* Natural log probability of `token` after the last min(count, order - 1) tokens of context.  Never
 * -infinity. */
double lm_ngram_logprob(const struct lm_ngram *m, const uint32_t *context, size_t count, uint32_t token);

#endif
