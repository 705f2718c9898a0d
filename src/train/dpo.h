#ifndef LM_TRAIN_DPO_H
#define LM_TRAIN_DPO_H
/* train/dpo.h - learning from preferences.  Rafailov et al. 2023, arXiv:2305.18290, eq. 7.
 *
 * A pair is two answers to one question, the chosen and the rejected.  With p the sum of log-probabilities of
 * an answer under the model, r under the model as it was at the start (frozen): margin = beta ((p - r of the
 * chosen) - (p - r of the rejected)),   loss = -ln sigmoid(margin) The gradient of a pair is that of its two
 * sums, times -+ beta sigmoid(-margin). */

#include "train/feed.h"
#include "train/net.h"

struct lm_dpo {
    double beta;
    const struct lm_eval_set *set;   // pieces 2i chosen, 2i + 1 rejected
    size_t pairs_per_step;
    uint64_t seed;
    double *reference;   // [set->count], sums of log-probabilities at the start
    uint32_t *order;     // of the pairs, in `epoch`
    uint64_t epoch;
};

/* Every pair fits a row of the net. */
void lm_dpo_init(struct lm_dpo *d, double beta, const struct lm_eval_set *set, size_t pairs_per_step,
                 uint64_t seed);
void lm_dpo_release(struct lm_dpo *d);
uint64_t lm_dpo_steps(const struct lm_dpo *d, uint64_t epochs);

/* Takes the net's model for the frozen one.  batch has one row. */
enum lm_rc lm_dpo_freeze(struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch, struct lm_err *err);

struct lm_dpo_told {
    double loss, margin;   // means over the step's pairs
    double accuracy;       // share of pairs with a margin above 0
};
/* Adds the gradient of the step's mean loss; gradient NULL: only measures. */
enum lm_rc lm_dpo_step(struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch, uint64_t step,
                       struct lm_gradient *gradient, struct lm_dpo_told *ret, struct lm_err *err);

#endif
