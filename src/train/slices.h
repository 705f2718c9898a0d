#ifndef LM_TRAIN_SLICES_H
#define LM_TRAIN_SLICES_H
/* train/slices.h - which rank updates which parameters.
 *
 * What is trained lies in one slab.  It is cut into slices; the owner of a slice gets the gradients of all
 * ranks for it, adds them in a fixed order, keeps the optimiser's state of it, updates it and sends it to the
 * others: Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054, stage 1.  A slice is of one tensor of one layer;
 * where Muon works it is the whole matrix.
 *
 * The norm of a gradient is the sum over units, in their order.  Units do not depend on the number of ranks,
 * and no slice cuts one. */

#include "model/llama.h"
#include "train/lora.h"
#include "train/ranks.h"

enum { LM_SLICE_UNIT = 1 << 14, LM_SLICE_UNITS_MAX = 64 };   // floats; of what is not a whole matrix

struct lm_slice {
    size_t at, count;   // floats in the slab
    size_t state_at;    // in the owner's moments
    size_t ready;   // after so many layers of the way back the gradient is complete; layers + 1: at its end
    size_t unit;    // number of the first unit
    size_t rows, cols;   // of the whole tensor of a layer
    int kind;            // enum lm_llama_tensor; -1: of an adapter
    int owner;
};

struct lm_slices {
    struct lm_ranks *ranks;   // borrowed
    struct lm_slice *items;   // in the order in which the way back completes gradients
    size_t count;
    size_t floats, own_floats, units;   // of the slab; of this rank's slices
    /* Sums under way. */
    size_t posted, posted_own;                  // slices whose transfers have begun; own floats among them
    float *inbox;                               // (count - 1, own_floats) what the others send
    union lm_ranks_request *sends, *receives;   // (slices), (slices, count - 1)
    double *squares;                            // (units)
};

/* lora NULL: the model.  whole: whether a tensor is only moved as a whole; NULL: none is.  Takes no memory
 * beyond the list with one rank. */
void lm_slices_init(struct lm_slices *s, const struct lm_llama *model, const struct lm_lora *lora,
                    bool (*whole)(enum lm_llama_tensor kind), struct lm_ranks *ranks);
void lm_slices_release(struct lm_slices *s);

/* Begins the transfers of all slices that are complete after `ready` layers, and moves on those that have
 * begun: the rest of the way back is computed meanwhile.  What is posted may not be changed until
 * lm_slices_reduce. */
void lm_slices_post(struct lm_slices *s, float *gradient, size_t ready);

/* This rank's gradient becomes, in its own slices, the sum of all ranks'. */
enum lm_rc lm_slices_reduce(struct lm_slices *s, float *gradient, struct lm_err *err);

/* The norm of a gradient of which every rank has its slices.  ret_slice: the first slice that is not finite,
 * NULL: all are. */
enum lm_rc lm_slices_norm(struct lm_slices *s, const float *gradient, double *ret_norm,
                          const struct lm_slice **ret_slice, struct lm_err *err);

/* The tensor of a layer, by its first slice, whose gradient had the largest mean square in lm_slices_norm. */
const struct lm_slice *lm_slices_largest(const struct lm_slices *s);

/* The owners' parameters to all. */
enum lm_rc lm_slices_spread(struct lm_slices *s, float *params, struct lm_err *err);

/* Moments: every rank's own (own_floats, by state_at) to rank 0's whole slab, and back.  On rank 0 state_at
 * is `at`, so its own moments are in the slab already. */
enum lm_rc lm_slices_gather(struct lm_slices *s, float *moments, struct lm_err *err);
enum lm_rc lm_slices_scatter(struct lm_slices *s, float *moments, struct lm_err *err);

/* Floats of one of this rank's moments: the slab on rank 0, which writes checkpoints, else own_floats. */
size_t lm_slices_state(const struct lm_slices *s);

#endif
