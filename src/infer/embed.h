#ifndef LM_INFER_EMBED_H
#define LM_INFER_EMBED_H
/* infer/embed.h - texts to vectors, with an encoder (BERT): hidden states of all tokens, pooled to one.
 *
 * As sentence-transformers does: [CLS] text [SEP], cut to tokens_max with the last token kept; mean over all
 * tokens, the first token, or the maximum; then scaled to length 1 if wanted (Reimers and Gurevych 2019,
 * arXiv:1908.10084).  A text's vector does not depend on the texts beside it.  Owner: one thread. */

#include "model/model.h"
#include "token/tokenizer.h"

enum lm_pooling { LM_POOL_MEAN, LM_POOL_CLS, LM_POOL_MAX };

struct lm_embed_config {
    enum lm_pooling pooling;
    bool normalise;
    size_t tokens_max;   // of a text; 0: the model's context
};

struct lm_embedder;

/* model and tokenizer are borrowed.  LM_EINVAL for a model that is no encoder. */
enum lm_rc lm_embedder_new(const struct lm_model *model, const struct lm_tokenizer *tokenizer,
                           const struct lm_embed_config *config, struct lm_embedder **ret,
                           struct lm_err *err);
void lm_embedder_free(struct lm_embedder *e);

/* ret (count, dim).  *ret_tokens: tokens computed, NULL: not asked. */
void lm_embedder_run(struct lm_embedder *e, const struct lm_str *texts, size_t count, float *ret,
                     size_t *ret_tokens);

#endif
