#include "train/batch_parts.h"

#include "base/mem.h"
#include "base/sys.h"

#include <stdlib.h>
#include <string.h>

static size_t micro_batches(size_t rows, size_t positions)
{
    const size_t micro = lm_net_rows(positions);
    return (rows + micro - 1) / micro;
}

size_t lm_batch_parts_count(size_t wanted, size_t rows, size_t positions)
{
    enum { WITHOUT_WISH = 2 };
    if (wanted > 0)
        return wanted;
    return micro_batches(rows, positions) >= WITHOUT_WISH ? WITHOUT_WISH : 1;
}

static bool power_of_two(size_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

enum lm_rc lm_batch_parts_check(size_t parts, size_t items, const char *what, int ranks, struct lm_err *err)
{
    const size_t n = (size_t)ranks;
    if (parts > items)
        return lm_fail(err, LM_EINVAL,
                       "a batch of %zu %s cannot be cut into %zu parts: make batch-parts smaller or "
                       "batch-tokens larger",
                       items, what, parts);
    if (n == 1 || (parts % n == 0 && power_of_two(parts / n)))
        return LM_OK;
    return lm_fail(
        err, LM_ELIMIT,
        "%d ranks cannot share a batch of %zu parts: set batch-parts to %zu (or %zu, %zu, ...), which "
        "gives the same bytes with every number of ranks it allows, or start as many ranks as there "
        "are parts",
        ranks, parts, n, 2 * n, 4 * n);
}

/* ---- memory ---- */

/* Levels on which neighbours are added, and gradients kept meanwhile. */
static size_t levels_of(size_t own)
{
    size_t levels = 0;
    for (; own % 2 == 0; own /= 2)
        levels++;
    return levels;
}

static size_t spare_of(size_t own)
{
    const size_t levels = levels_of(own);
    return levels + (own >> levels > 1);
}

void lm_batch_parts_init(struct lm_batch_parts *p, size_t count, const struct lm_llama *model,
                         struct lm_lora *lora, struct lm_slices *slices)
{
    const size_t own = count / (size_t)slices->ranks->count;
    LM_ASSERT(own > 0);
    *p = (struct lm_batch_parts){
        .slices = slices, .count = count, .own = own, .levels = levels_of(own), .spare_count = spare_of(own)
    };
    p->layers = (size_t)model->config.layers;
    p->spare = lm_zalloc(p->spare_count + 1, sizeof *p->spare);
    for (size_t i = 0; i < p->spare_count; i++)
        lm_gradient_init(&p->spare[i], model, lora);
    p->told = lm_zalloc(count * LM_PART_TOLD + 1, sizeof *p->told);
}

void lm_batch_parts_release(struct lm_batch_parts *p)
{
    for (size_t i = 0; i < p->spare_count; i++)
        lm_gradient_release(&p->spare[i]);
    free(p->spare);
    free(p->told);
    *p = (struct lm_batch_parts){ 0 };
}

size_t lm_batch_parts_bytes(size_t count, int ranks, size_t floats)
{
    return spare_of(count / (size_t)ranks) * floats * sizeof(float);
}

/* ---- one batch ---- */

/* Rows of part `part`, without a copy; whole micro-batches if there are enough.  `trained` stays that of the
 * whole batch: it is what the sum of losses is divided by. */
static struct lm_batch rows_of(const struct lm_batch *b, size_t parts, size_t part)
{
    const size_t micro = micro_batches(b->rows, b->positions) >= parts ? lm_net_rows(b->positions) : 1;
    const size_t units = (b->rows + micro - 1) / micro;
    const size_t first = units * part / parts * micro, end = units * (part + 1) / parts * micro;
    struct lm_batch view = *b;
    view.rows = (end < b->rows ? end : b->rows) - first;
    view.input += first * b->positions;
    view.target += first * b->positions;
    view.start += first * b->positions;
    view.first_row += first;
    return view;
}

enum lm_rc lm_part_rows_train(void *rows, size_t part, size_t parts, struct lm_gradient *gradient,
                              double told[LM_PART_TOLD], struct lm_err *err)
{
    const struct lm_part_rows *all = rows;
    const struct lm_batch own = rows_of(all->batch, parts, part);
    return lm_net_train(all->net, &own, gradient, &told[0], err);
}

/* Its own memory is added to, and keeps the sum. */
static void add_gradient(struct lm_gradient *sum, const struct lm_gradient *other)
{
    float *both[] = { sum->slab, other->slab };
    lm_ranks_add(both, 2, 0, sum->count);
}

static void swap(struct lm_gradient *a, struct lm_gradient *b)
{
    const struct lm_gradient kept = *a;
    *a = *b;
    *b = kept;
}

/* Number `done` of this rank's parts is in gradient: adds what it completes, puts the rest aside. */
static void put_aside(struct lm_batch_parts *p, size_t done, struct lm_gradient *gradient)
{
    size_t level = 0;
    for (; level < p->levels && (done >> level & 1); level++)
        add_gradient(gradient, &p->spare[level]);
    if (level < p->levels) {
        swap(gradient, &p->spare[level]);
        return;
    }
    const bool first = done >> level == 0;
    if (p->spare_count == p->levels)
        return;   // a power of two: the sum is complete
    if (first)
        swap(gradient, &p->spare[p->levels]);
    else
        add_gradient(&p->spare[p->levels], gradient);
}

/* The last part of one of several ranks, under way. */
struct last_part {
    struct lm_batch_parts *parts;
    struct lm_gradient *gradient;
    size_t layers;
};

/* What is complete after `ready` layers goes on its way, with this rank's other parts in it. */
static void send_ready(const struct last_part *l, size_t ready)
{
    struct lm_batch_parts *p = l->parts;
    struct lm_slices *s = p->slices;
    for (size_t i = s->posted; i < s->count && s->items[i].ready <= ready; i++)
        for (size_t level = 0; level < p->levels; level++) {
            float *both[] = { l->gradient->slab + s->items[i].at, p->spare[level].slab + s->items[i].at };
            lm_ranks_add(both, 2, 0, s->items[i].count);
        }
    lm_slices_post(s, l->gradient->slab, ready);
}

static void layer_done(void *state, size_t layer)
{
    const struct last_part *l = state;
    send_ready(l, l->layers - layer);
}

/* Number `i` of this rank's parts, to gradient or aside. */
static enum lm_rc train_part(struct lm_batch_parts *p, size_t i, const struct lm_part_work *work,
                             struct lm_gradient *gradient, struct lm_err *err)
{
    const struct lm_ranks *ranks = p->slices->ranks;
    const size_t part = (size_t)ranks->rank * p->own + i;
    struct last_part last = { p, gradient, p->layers };
    const bool sends = ranks->count > 1 && i == p->own - 1;
    memset(gradient->slab, 0, gradient->count * sizeof *gradient->slab);
    if (work->net)
        lm_net_watch(work->net, sends ? layer_done : NULL, &last);
    const enum lm_rc rc =
        work->train(work->state, part, p->count, gradient, p->told + part * LM_PART_TOLD, err);
    if (work->net)
        lm_net_watch(work->net, NULL, NULL);
    LM_TRY(rc);
    if (sends)
        send_ready(&last, SIZE_MAX);
    else
        put_aside(p, i, gradient);
    return LM_OK;
}

enum lm_rc lm_batch_parts_train(struct lm_batch_parts *p, const struct lm_part_work *work,
                                struct lm_gradient *gradient, double ret_told[LM_PART_TOLD], bool *ret_stop,
                                struct lm_err *err)
{
    const size_t numbers = p->count * LM_PART_TOLD;
    memset(p->told, 0, (numbers + 1) * sizeof *p->told);
    for (size_t i = 0; i < p->own; i++)
        LM_TRY(train_part(p, i, work, gradient, err));
    if (p->spare_count > p->levels)
        swap(gradient, &p->spare[p->levels]);
    p->told[numbers] = lm_stop_asked();
    LM_TRY(lm_ranks_sum(p->slices->ranks, p->told, numbers + 1, err));   // of each all but one are 0
    memset(ret_told, 0, LM_PART_TOLD * sizeof *ret_told);
    for (size_t i = 0; i < numbers; i++)
        ret_told[i % LM_PART_TOLD] += p->told[i];
    *ret_stop = p->told[numbers] > 0;
    return LM_OK;
}
