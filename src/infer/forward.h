#ifndef LM_INFER_FORWARD_H
#define LM_INFER_FORWARD_H
/* infer/forward.h - the forward pass over a mixed batch of positions, with a paged KV cache.
 *
 * A row is one token of one sequence at one position; rows of a sequence stand in ascending order of
 * position, and all positions before the first row are in its cache already.  What a row yields depends on
 * its sequence alone: see panels.h.  Owner: one thread. */

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

/* Packs the weights (a copy as large as the model) and sizes all memory.  rows_max rows in one run, at most
 * logits_max of which want logits; kv_tokens in the cache.  model is borrowed. */
enum lm_rc lm_forward_new(const struct lm_model *model, size_t rows_max, size_t logits_max, size_t kv_tokens,
                          struct lm_forward **ret, struct lm_err *err);
void lm_forward_free(struct lm_forward *f);

/* Logits of the wanted rows, in order: vocab_size floats each, *ret_stride apart; valid until the next run.
 */
float *lm_forward_run(struct lm_forward *f, const struct lm_forward_row *rows, size_t row_count,
                      size_t *ret_stride);

struct lm_team *lm_forward_team(struct lm_forward *f);
struct lm_kv_pool *lm_forward_kv(struct lm_forward *f);

#endif
