#ifndef LM_MODEL_GROW_H
#define LM_MODEL_GROW_H
/* model/grow.h - rows of embedding and head for the new tokens of a grown vocabulary.
 *
 * The row of a new token is the mean of the rows of the old tokens that spelt it: in the embedding, so that
 * it means about what they did together, and in a head of its own, so that it is about as likely as they
 * were.  All other rows keep their bytes, and so every old token keeps its logits.  A model whose embedding
 * is longer than its vocabulary (padding) has its spare rows used first. */

#include "model/model.h"
#include "token/grow.h"

struct lm_model_growth {
    struct lm_model model;   // borrows all but embedding and head from the old one
    void *embed, *head;      // rows of these; head NULL when tied
};

/* LM_EINVAL: the growth is of another vocabulary, or the rows are of a type that loom only reads. */
enum lm_rc lm_model_grow(const struct lm_model *m, const struct lm_grown *grown, struct lm_model_growth *ret,
                         struct lm_err *err);
void lm_model_growth_release(struct lm_model_growth *g);   // the old model is untouched

#endif
