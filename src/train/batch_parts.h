#ifndef LM_TRAIN_BATCH_PARTS_H
#define LM_TRAIN_BATCH_PARTS_H
/* train/batch_parts.h - the gradient of a batch, summed in an order that the number of ranks does not change.
 *
 * A batch is cut into parts of neighbouring rows, pairs or units of privacy.  The gradient of a part is added
 * up by itself, one micro-batch after the other; the gradients of parts are added as lm_ranks_add says.  The
 * number of parts is a setting and belongs to the recipe: any number of ranks that divides it by a power of
 * two computes the same bits.
 *
 *     8 parts   ((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7))
 *     4 ranks     rank 0      rank 1         rank 2      rank 3
 *     6 parts    (p0 + p1) + (p2 + p3) + (p4 + p5)      3 ranks: one pair each; 2 ranks: refused
 *
 * A rank with 2^k parts keeps k gradients beside the one it works on. */

#include "train/net.h"
#include "train/slices.h"

struct lm_batch_parts {
    struct lm_slices *slices;    // borrowed
    size_t count;                // of the whole batch
    size_t layers;               // of the model
    size_t own, levels;          // of this rank; neighbours are added on so many levels
    struct lm_gradient *spare;   // (spare_count), one for each level and one for what is left
    size_t spare_count;
    double *told;   // (count, LM_PART_TOLD) of the parts; behind it whether somebody was asked to stop
};

/* What computes a part.  `train` adds the gradient of part `part` of `parts` to one that is zero, and may
 * tell numbers, whose sum over the parts is of the batch. */
enum { LM_PART_TOLD = 3 };
struct lm_part_work {
    enum lm_rc (*train)(void *state, size_t part, size_t parts, struct lm_gradient *gradient,
                        double told[LM_PART_TOLD], struct lm_err *err);
    void *state;
    /* Whose only way back `train` is, so that transfers can begin layer by layer; NULL: they wait. */
    struct lm_net *net;
};

/* Rows of one batch; told: the loss, of the part's share of the whole batch.  The state of its `train`. */
struct lm_part_rows {
    struct lm_net *net;
    const struct lm_batch *batch;
};
enum lm_rc lm_part_rows_train(void *rows, size_t part, size_t parts, struct lm_gradient *gradient,
                              double told[LM_PART_TOLD], struct lm_err *err);

/* How many parts a batch has.  wanted 0: two, if there is a micro-batch for each, else one. */
size_t lm_batch_parts_count(size_t wanted, size_t rows, size_t positions);

/* LM_EINVAL when there are fewer items (`what`: "rows", for messages) than parts; LM_ELIMIT when the ranks
 * cannot share the parts evenly. */
enum lm_rc lm_batch_parts_check(size_t parts, size_t items, const char *what, int ranks, struct lm_err *err);

void lm_batch_parts_init(struct lm_batch_parts *p, size_t count, const struct lm_llama *model,
                         struct lm_lora *lora, struct lm_slices *slices);
void lm_batch_parts_release(struct lm_batch_parts *p);
size_t lm_batch_parts_bytes(size_t count, int ranks, size_t floats);

/* Into gradient goes the sum over this rank's parts; ret_told: over all parts, the same on all ranks.
 * ret_stop: some rank was asked to stop, and all are told so after the same step.  With several ranks the
 * transfers of the gradient have begun: lm_slices_reduce ends them. */
enum lm_rc lm_batch_parts_train(struct lm_batch_parts *p, const struct lm_part_work *work,
                                struct lm_gradient *gradient, double ret_told[LM_PART_TOLD], bool *ret_stop,
                                struct lm_err *err);

#endif
