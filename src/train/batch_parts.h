#ifndef LM_TRAIN_BATCH_PARTS_H
#define LM_TRAIN_BATCH_PARTS_H
/* train/batch_parts.h - the gradient of a batch, summed in an order that the number of ranks does not change.
 *
 * A batch is cut into parts of neighbouring rows.  The gradient of a part is the sum over its micro-batches,
 * one after the other; the gradients of parts are added as lm_ranks_add says.  The number of parts is a
 * setting and belongs to the recipe: any number of ranks that divides it by a power of two computes the same
 * bits.
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
    double *losses;   // (count + 1) of the parts; whether somebody was asked to stop
};

/* How many parts a batch has.  wanted 0: two, if there is a micro-batch for each, else one. */
size_t lm_batch_parts_count(size_t wanted, size_t rows, size_t positions);

/* LM_EINVAL when there are fewer rows than parts, or when the ranks cannot share the parts evenly. */
enum lm_rc lm_batch_parts_check(size_t parts, size_t rows, int ranks, struct lm_err *err);

void lm_batch_parts_init(struct lm_batch_parts *p, size_t count, const struct lm_llama *model,
                         struct lm_lora *lora, struct lm_slices *slices);
void lm_batch_parts_release(struct lm_batch_parts *p);
size_t lm_batch_parts_bytes(size_t count, int ranks, size_t floats);

/* Into gradient goes the sum over this rank's parts, of losses divided by batch->trained; ret_loss: the mean
 * over the whole batch.  ret_stop: some rank was asked to stop, and all are told so after the same step. With
 * several ranks the transfers of the gradient have begun, layer by layer during the last way back:
 * lm_slices_reduce ends them. */
enum lm_rc lm_batch_parts_train(struct lm_batch_parts *p, struct lm_net *net, const struct lm_batch *batch,
                                struct lm_gradient *gradient, double *ret_loss, bool *ret_stop,
                                struct lm_err *err);

#endif
