#include "train/dpo.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

static void start_epoch(struct lm_dpo *d, uint64_t epoch)
{
    struct lm_rng rng = lm_rng_make(d->seed, epoch);
    const size_t pairs = d->set->count / 2;
    for (size_t i = 0; i < pairs; i++)
        d->order[i] = (uint32_t)i;
    lm_rng_shuffle(&rng, d->order, pairs);
    d->epoch = epoch;
}

void lm_dpo_init(struct lm_dpo *d, double beta, const struct lm_eval_set *set, size_t pairs_per_step,
                 uint64_t seed)
{
    LM_ASSERT(set->count > 0 && set->count % 2 == 0);
    LM_ASSERT(pairs_per_step > 0 && beta > 0);

    *d = (struct lm_dpo){ .beta = beta,
                          .set = set,
                          .pairs_per_step = pairs_per_step,
                          .seed = seed,
                          .reference = lm_zalloc(set->count, sizeof *d->reference),
                          .order = lm_zalloc(set->count / 2, sizeof *d->order) };
    start_epoch(d, 0);
}

void lm_dpo_release(struct lm_dpo *d)
{
    free(d->reference);
    free(d->order);
    *d = (struct lm_dpo){ 0 };
}

static uint64_t steps_of_epoch(const struct lm_dpo *d)
{
    return (d->set->count / 2 + d->pairs_per_step - 1) / d->pairs_per_step;
}

uint64_t lm_dpo_steps(const struct lm_dpo *d, uint64_t epochs)
{
    return steps_of_epoch(d) * epochs;
}

/* Sum of log-probabilities of a piece's targets. */
static enum lm_rc log_probability(const struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch,
                                  size_t piece, double *ret, struct lm_err *err)
{
    float *losses = lm_alloc(batch->positions * sizeof *losses);
    lm_batch_clear(batch);
    lm_batch_put(batch, 0, 0, &d->set->pieces[piece]);
    const enum lm_rc rc = lm_net_measure(net, batch, losses, err);
    double sum = 0;
    for (size_t i = 0; rc == LM_OK && i < batch->positions; i++)
        sum -= losses[i];
    free(losses);
    *ret = sum;
    return rc;
}

enum lm_rc lm_dpo_freeze(struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch, struct lm_err *err)
{
    for (size_t i = 0; i < d->set->count; i++)
        LM_TRY(log_probability(d, net, batch, i, &d->reference[i], err));
    return LM_OK;
}

static enum lm_rc one_pair(const struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch, size_t pair,
                           double share, struct lm_gradient *gradient, struct lm_dpo_told *told,
                           struct lm_err *err)
{
    const size_t chosen = 2 * pair;
    double p[2];
    for (size_t i = 0; i < 2; i++)
        LM_TRY(log_probability(d, net, batch, chosen + i, &p[i], err));
    const double margin = d->beta * (p[0] - d->reference[chosen] - p[1] + d->reference[chosen + 1]);
    const double loss = margin > 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
    told->loss += share * loss;
    told->margin += share * margin;
    told->accuracy += share * (margin > 0);
    const double weight = share * d->beta / (1 + exp(margin));   // of -ln p of the chosen
    for (size_t i = 0; gradient && i < 2; i++) {
        lm_batch_clear(batch);
        lm_batch_put(batch, 0, 0, &d->set->pieces[chosen + i]);
        LM_TRY(lm_net_train_scaled(net, batch, gradient, i == 0 ? weight : -weight, err));
    }
    return LM_OK;
}

enum lm_rc lm_dpo_step(struct lm_dpo *d, struct lm_net *net, struct lm_batch *batch, uint64_t step,
                       struct lm_gradient *gradient, struct lm_dpo_told *ret, struct lm_err *err)
{
    LM_ASSERT(batch->rows == 1);

    const size_t pairs = d->set->count / 2;
    const uint64_t epoch = step / steps_of_epoch(d);
    if (epoch != d->epoch)
        start_epoch(d, epoch);
    const size_t first = (size_t)(step % steps_of_epoch(d)) * d->pairs_per_step;
    const size_t count = pairs - first < d->pairs_per_step ? pairs - first : d->pairs_per_step;
    struct lm_dpo_told told = { 0 };
    for (size_t i = 0; i < count; i++)
        LM_TRY(one_pair(d, net, batch, d->order[first + i], 1 / (double)count, gradient, &told, err));
    *ret = told;
    return LM_OK;
}
