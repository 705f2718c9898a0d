#ifndef LM_REVIEW_HELDOUT_H
#define LM_REVIEW_HELDOUT_H
/* review/heldout.h - how well a model foresees text it has not seen, beside an n-gram model on the same
 * bytes.
 *
 * Every document stands alone: it starts after an end-of-text token, and the end-of-text token that ends it
 * is predicted too.  Log-probabilities are summed over the corpus and divided once: bits per byte does not
 * depend on the tokenizer's cut, perplexity per token does. */

#include "corpus/shard.h"
#include "model/model.h"
#include "review/bootstrap.h"
#include "review/review.h"
#include "token/tokenizer.h"

struct lm_likelihood {
    double log_prob;   // sum of ln P
    uint64_t tokens, bytes;
};
double lm_bits_per_byte(const struct lm_likelihood *l);   // 0 for no bytes
double lm_perplexity(const struct lm_likelihood *l);      // per token; 1 for no tokens

struct lm_heldout_score {
    struct lm_likelihood sum;
    double bits_per_byte, perplexity;
    struct lm_interval bits_interval;
    char signature[LM_SIGNATURE_MAX];
};

struct lm_heldout_result {
    size_t documents, documents_total;
    struct lm_heldout_score model, baseline;
    double ratio;   // of bits per byte, model / baseline
    struct lm_interval ratio_interval;
};

/* LM_ENOENT when the shard holds no document, LM_EINVAL for an id the model does not know. */
enum lm_rc lm_heldout_judge(const struct lm_review_config *config, const struct lm_model *model,
                            uint32_t end_of_text, const struct lm_shard *train,
                            const struct lm_shard *heldout, struct lm_heldout_result *ret,
                            struct lm_err *err);

#endif
