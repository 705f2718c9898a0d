#ifndef LM_INFER_FORWARD_H
#define LM_INFER_FORWARD_H
/* infer/forward.h - the forward pass over a mixed batch of positions, with a paged KV cache.
 *
 * A row is one token of one sequence at one position; rows of a sequence stand in ascending order of
 * position, and all positions before the first row are in its cache already.  In an encoder a sequence is all
 * in one run, from position 0 on: each of its rows sees all of them.  What a row yields depends on its
 * sequence alone: see panels.h, blocks.h, attention.h.  Owner: one thread. */

#include "infer/kv.h"
#include "infer/team.h"
#include "model/model.h"

struct lm_forward_row {
    uint32_t token;
    uint32_t position;
    const uint32_t *blocks;   // of its sequence: block position / 16 holds this row
    bool wants_logits;
};

struct lm_forward;

struct lm_forward_config {
    size_t rows_max, logits_max;   // in one run, and of these with logits
    size_t kv_tokens;              // in the cache, over all sequences
    enum lm_kv_type kv_type;
};

/* Packs the weights (a copy as large as the model) and sizes all memory.  model is borrowed. */
enum lm_rc lm_forward_new(const struct lm_model *model, const struct lm_forward_config *config,
                          struct lm_forward **ret, struct lm_err *err);
void lm_forward_free(struct lm_forward *f);

/* Of the wanted rows, in order, *ret_stride floats apart: vocab_size logits each, or in an encoder the last
 * hidden state, dim floats each.  Valid until the next run. */
float *lm_forward_run(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count,
                      size_t *ret_stride);

struct lm_team *lm_forward_team(struct lm_forward *f);
struct lm_kv_pool *lm_forward_kv(struct lm_forward *f);

#endif
