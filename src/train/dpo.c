#include "train/dpo.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void start_epoch(struct lm_dpo *d, uint64_t epoch)
{
    struct lm_rng rng = lm_rng_make(d->seed, epoch);
    const size_t pairs = d->set->count / 2;
    for (size_t i = 0; i < pairs; i++)
        d->order[i] = (uint32_t)i;
    lm_rng_shuffle(&rng, d->order, pairs);
    d->epoch = epoch;
}

void lm_dpo_init(struct lm_dpo *d, double beta, const struct lm_eval_set *set, size_t positions,
                 size_t pairs_per_step, uint64_t seed)
{
    LM_ASSERT(set->count > 0 && set->count % 2 == 0);
    LM_ASSERT(pairs_per_step > 0 && beta > 0);

    const size_t rows = lm_net_rows(positions);
    *d = (struct lm_dpo){ .beta = beta,
                          .set = set,
                          .pairs_per_step = pairs_per_step,
                          .positions = positions,
                          .seed = seed,
                          .reference = lm_zalloc(set->count, sizeof *d->reference),
                          .order = lm_zalloc(set->count / 2, sizeof *d->order),
                          .places = lm_zalloc(set->count, sizeof *d->places),
                          .rows_max = rows < LM_DPO_ROWS_MIN ? LM_DPO_ROWS_MIN : rows };
    d->used = lm_zalloc(d->rows_max, sizeof *d->used);
    lm_batch_init(&d->batch, d->rows_max, positions);
    start_epoch(d, 0);
}

void lm_dpo_release(struct lm_dpo *d)
{
    free(d->reference);
    free(d->order);
    free(d->places);
    free(d->used);
    lm_batch_release(&d->batch);
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

/* ---- a micro-batch ---- */

/* Into the first row that has room. */
static bool place(struct lm_dpo *d, size_t piece)
{
    const size_t len = d->set->pieces[piece].len;
    size_t row = 0;
    while (row < d->rows_max && d->used[row] + len > d->positions)
        row++;
    if (row == d->rows_max)
        return false;
    d->places[d->place_count++] = (struct lm_dpo_place){ piece, row, d->used[row] };
    d->used[row] += len;
    return true;
}

static bool place_pair(struct lm_dpo *d, size_t pair)
{
    const size_t count_before = d->place_count;
    if (place(d, 2 * pair) && place(d, 2 * pair + 1))
        return true;
    for (size_t i = count_before; i < d->place_count; i++)
        d->used[d->places[i].row] -= d->set->pieces[d->places[i].piece].len;
    d->place_count = count_before;
    return false;
}

/* As many of these pairs as a micro-batch holds, at least one; rows are as long as the longest needs. */
static size_t fill(struct lm_dpo *d, const uint32_t *pairs, size_t count)
{
    size_t taken = 0, rows = 0, longest = 0;
    memset(d->used, 0, d->rows_max * sizeof *d->used);
    d->place_count = 0;
    while (taken < count && place_pair(d, pairs[taken]))
        taken++;
    LM_ASSERT(taken > 0);
    for (; rows < d->rows_max && d->used[rows] > 0; rows++)
        longest = d->used[rows] > longest ? d->used[rows] : longest;
    d->batch.rows = rows;
    d->batch.positions = longest;
    lm_batch_clear(&d->batch);
    for (size_t i = 0; i < d->place_count; i++)
        lm_batch_put(&d->batch, d->places[i].row, d->places[i].at, &d->set->pieces[d->places[i].piece]);
    return taken;
}

/* Sum of log-probabilities of the targets of answer i of the micro-batch. */
static double log_probability(const struct lm_dpo *d, size_t i, const float *losses)
{
    const struct lm_dpo_place *p = &d->places[i];
    const float *of_piece = losses + p->row * d->batch.positions + p->at;
    double sum = 0;
    for (size_t t = 0; t < d->set->pieces[p->piece].len; t++)
        sum -= of_piece[t];
    return sum;
}

static void set_weights(const struct lm_dpo *d, size_t i, float weight, float *weights)
{
    const struct lm_dpo_place *p = &d->places[i];
    for (size_t t = 0; t < d->set->pieces[p->piece].len; t++)
        weights[p->row * d->batch.positions + p->at + t] = weight;
}

/* Losses of a micro-batch become what is told of its pairs, and weights. */
struct weighing {
    const struct lm_dpo *dpo;
    double share;   // 1 / pairs of the step
    struct lm_dpo_told *told;
};

static void weigh(void *state, size_t first, size_t count, const float *losses, float *weights)
{
    const struct weighing *w = state;
    const struct lm_dpo *d = w->dpo;
    LM_ASSERT(first == 0 && count == d->batch.rows * d->batch.positions);
    memset(weights, 0, count * sizeof *weights);
    for (size_t i = 0; i < d->place_count; i += 2) {
        const double chosen = log_probability(d, i, losses) - d->reference[d->places[i].piece];
        const double rejected = log_probability(d, i + 1, losses) - d->reference[d->places[i + 1].piece];
        const double margin = d->beta * (chosen - rejected);
        const double loss = margin > 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
        const double weight = w->share * d->beta / (1 + exp(margin));   // of -ln p of the chosen
        w->told->loss += w->share * loss;
        w->told->margin += w->share * margin;
        w->told->accuracy += w->share * (margin > 0);
        set_weights(d, i, (float)weight, weights);
        set_weights(d, i + 1, (float)-weight, weights);
    }
}

/* ---- all of them ---- */

enum lm_rc lm_dpo_freeze(struct lm_dpo *d, struct lm_net *net, struct lm_err *err)
{
    const size_t pairs = d->set->count / 2;
    float *losses = lm_alloc(d->rows_max * d->positions * sizeof *losses);
    enum lm_rc rc = LM_OK;
    for (size_t done = 0; done < pairs && rc == LM_OK;) {
        done += fill(d, d->order + done, pairs - done);
        rc = lm_net_measure(net, &d->batch, losses, err);
        for (size_t i = 0; i < d->place_count && rc == LM_OK; i++)
            d->reference[d->places[i].piece] = log_probability(d, i, losses);
    }
    free(losses);
    return rc;
}

enum lm_rc lm_dpo_step(struct lm_dpo *d, struct lm_net *net, uint64_t step, struct lm_gradient *gradient,
                       struct lm_dpo_told *ret, struct lm_err *err)
{
    return lm_dpo_part(d, net, step, 0, 1, gradient, ret, err);
}

enum lm_rc lm_dpo_part(struct lm_dpo *d, struct lm_net *net, uint64_t step, size_t part, size_t parts,
                       struct lm_gradient *gradient, struct lm_dpo_told *ret, struct lm_err *err)
{
    const size_t pairs = d->set->count / 2;
    const uint64_t epoch = step / steps_of_epoch(d);
    if (epoch != d->epoch)
        start_epoch(d, epoch);
    const size_t first = (size_t)(step % steps_of_epoch(d)) * d->pairs_per_step;
    const size_t count = pairs - first < d->pairs_per_step ? pairs - first : d->pairs_per_step;
    struct lm_dpo_told told = { 0 };
    struct weighing weighing = { d, 1 / (double)count, &told };
    const struct lm_net_weigher weigher = { weigh, &weighing };
    const size_t end = count * (part + 1) / parts;
    for (size_t done = count * part / parts; done < end;) {
        done += fill(d, d->order + first + done, end - done);
        LM_TRY(lm_net_train_weighted(net, &d->batch, gradient, &weigher, err));
    }
    *ret = told;
    return LM_OK;
}
