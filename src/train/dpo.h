#ifndef LM_TRAIN_DPO_H
#define LM_TRAIN_DPO_H
/* train/dpo.h - learning from preferences.  Rafailov et al. 2023, arXiv:2305.18290, eq. 7.
 *
 * A pair is two answers to one question, the chosen and the rejected.  With p the sum of log-probabilities of
 * an answer under the model, r under the model as it was at the start (frozen):
 *     margin = beta ((p - r of the chosen) - (p - r of the rejected)),   loss = -ln sigmoid(margin)
 * The gradient of a pair is that of its two sums, times -+ beta sigmoid(-margin).
 *
 * r is measured once.  The answers of a step lie in rows side by side, as segments that do not see each
 * other, both answers of a pair in one micro-batch: one way forward gives the margins, and the weights of the
 * way back. */

#include "train/feed.h"
#include "train/net.h"

enum { LM_DPO_ROWS_MIN = 2 };   // of a micro-batch: room for any pair

/* Where an answer lies in the batch. */
struct lm_dpo_place {
    size_t piece, row, at;
};

struct lm_dpo {
    double beta;
    const struct lm_eval_set *set;   // pieces 2i chosen, 2i + 1 rejected
    size_t pairs_per_step, positions;
    uint64_t seed;
    double *reference;   // [set->count], sums of log-probabilities at the start
    uint32_t *order;     // of the pairs, in `epoch`
    uint64_t epoch;
    struct lm_batch batch;         // one micro-batch
    struct lm_dpo_place *places;   // [place_count] answers in it, pair by pair
    size_t place_count, rows_max;
    size_t *used;   // [rows_max] positions of a row
};

/* Every answer fits in `positions`, those of the net. */
void lm_dpo_init(struct lm_dpo *d, double beta, const struct lm_eval_set *set, size_t positions,
                 size_t pairs_per_step, uint64_t seed);
void lm_dpo_release(struct lm_dpo *d);
uint64_t lm_dpo_steps(const struct lm_dpo *d, uint64_t epochs);

/* Takes the net's model for the frozen one.  The net has LM_DPO_ROWS_MIN rows. */
enum lm_rc lm_dpo_freeze(struct lm_dpo *d, struct lm_net *net, struct lm_err *err);

struct lm_dpo_told {
    double loss, margin;   // means over the step's pairs
    double accuracy;       // share of pairs with a margin above 0
};
/* Adds the gradient of the step's mean loss; gradient NULL: only measures. */
enum lm_rc lm_dpo_step(struct lm_dpo *d, struct lm_net *net, uint64_t step, struct lm_gradient *gradient,
                       struct lm_dpo_told *ret, struct lm_err *err);
/* The same of part `part` of `parts`, neighbouring pairs of the step (none, when there are fewer pairs than
 * parts): their shares of its means. */
enum lm_rc lm_dpo_part(struct lm_dpo *d, struct lm_net *net, uint64_t step, size_t part, size_t parts,
                       struct lm_gradient *gradient, struct lm_dpo_told *ret, struct lm_err *err);

#endif
