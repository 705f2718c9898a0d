#include "base/mem.h"
#include "base/rng.h"
#include "train/pairs.h"

#include <stdlib.h>

struct lm_pair_feed {
    const struct lm_eval_set *train;
    size_t rows, positions;
    uint64_t epochs, seed;
    uint64_t *epoch_start;   // step at which an epoch starts; one more than epochs
    uint64_t epoch;          // of order and first
    uint32_t *order;
    struct lm_piece *pieces;   // in order
    size_t *first;             // piece that begins a step of this epoch
};

/* Walks through the epoch as lm_pack will, and notes where its steps begin; returns how many there are. */
static uint64_t start_epoch(struct lm_pair_feed *f, uint64_t epoch)
{
    struct lm_rng rng = lm_rng_make(f->seed, epoch);
    const size_t count = f->train->count;
    for (size_t i = 0; i < count; i++)
        f->order[i] = (uint32_t)i;
    lm_rng_shuffle(&rng, f->order, count);
    for (size_t i = 0; i < count; i++)
        f->pieces[i] = f->train->pieces[f->order[i]];
    f->epoch = epoch;

    size_t row = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && used + f->pieces[i].len > f->positions) {
            row++;
            used = 0;
        }
        if (used == 0 && row % f->rows == 0)
            f->first[row / f->rows] = i;
        used += f->pieces[i].len;
    }
    return row / f->rows + 1;
}

struct lm_pair_feed *lm_pair_feed_new(const struct lm_eval_set *train, size_t rows, size_t positions,
                                      uint64_t epochs, uint64_t seed)
{
    LM_ASSERT(train->count > 0 && train->count <= UINT32_MAX);

    struct lm_pair_feed *f = lm_alloc(sizeof *f);
    *f = (struct lm_pair_feed){
        .train = train,
        .rows = rows,
        .positions = positions,
        .epochs = epochs,
        .seed = seed,
        .epoch_start = lm_zalloc(epochs + 1, sizeof *f->epoch_start),
        .order = lm_zalloc(train->count, sizeof *f->order),
        .pieces = lm_zalloc(train->count, sizeof *f->pieces),
        .first = lm_zalloc(train->count, sizeof *f->first),
    };
    for (uint64_t e = 0; e < epochs; e++)
        f->epoch_start[e + 1] = f->epoch_start[e] + start_epoch(f, e);
    return f;
}

void lm_pair_feed_free(struct lm_pair_feed *f)
{
    if (!f)
        return;
    free(f->epoch_start);
    free(f->order);
    free(f->pieces);
    free(f->first);
    free(f);
}

uint64_t lm_pair_feed_steps(const struct lm_pair_feed *f)
{
    return f->epoch_start[f->epochs];
}

void lm_pair_feed_fill(void *state, uint64_t step, struct lm_batch *ret)
{
    struct lm_pair_feed *f = state;

    step %= lm_pair_feed_steps(f);   // behind the last one it begins again
    uint64_t epoch = 0;
    while (step >= f->epoch_start[epoch + 1])
        epoch++;
    if (epoch != f->epoch)
        start_epoch(f, epoch);
    struct lm_packing packing = { f->pieces, f->train->count, f->first[step - f->epoch_start[epoch]] };
    lm_pack(&packing, ret);
}
