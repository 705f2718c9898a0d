#include "train/slices.h"

#include "base/mem.h"
#include "base/sys.h"
#include "tensor/kernels.h"

#include <math.h>
#include <stdlib.h>

/* ---- who has what ---- */

struct cutter {
    struct lm_slices *s;
    size_t cap;
    double *load;   // per rank: what its whole matrices cost
    bool (*whole)(enum lm_llama_tensor kind);
};

static void put(struct cutter *c, struct lm_slice slice)
{
    struct lm_slices *s = c->s;
    slice.unit = s->units;
    slice.state_at = s->ranks->rank == 0 ? slice.at : s->own_floats;
    lm_grow(&s->items, &c->cap, s->count + 1, sizeof *s->items);
    s->items[s->count++] = slice;
    s->units += (slice.count + LM_SLICE_UNIT - 1) / LM_SLICE_UNIT;
    s->floats += slice.count;
    if (slice.owner == s->ranks->rank)
        s->own_floats += slice.count;
}

/* The rank with the least to do; products of Muon grow with the smaller side. */
static int least_loaded(struct cutter *c, size_t rows, size_t cols)
{
    int least = 0;
    for (int r = 1; r < c->s->ranks->count; r++)
        least = c->load[r] < c->load[least] ? r : least;
    c->load[least] += (double)rows * (double)cols * (double)(rows < cols ? rows : cols);
    return least;
}

/* All ranks get as many units; `turn` says who gets the odd ones. */
static void cut(struct cutter *c, struct lm_slice tensor, size_t turn)
{
    const size_t ranks = (size_t)c->s->ranks->count;
    const size_t units = (tensor.count + LM_SLICE_UNIT - 1) / LM_SLICE_UNIT;
    for (size_t r = 0; r < ranks; r++) {
        const size_t end = units * (r + 1) / ranks;
        for (size_t u = units * r / ranks, n; u < end; u += n) {
            n = end - u < LM_SLICE_UNITS_MAX ? end - u : LM_SLICE_UNITS_MAX;
            struct lm_slice slice = tensor;
            const size_t first = u * LM_SLICE_UNIT, left = tensor.count - first;
            slice.at += first;
            slice.count = left < n * LM_SLICE_UNIT ? left : n * LM_SLICE_UNIT;
            slice.owner = (int)((r + turn) % ranks);
            put(c, slice);
        }
    }
}

static void put_tensor(struct cutter *c, const struct lm_llama *model, int kind, size_t layer)
{
    const size_t layers = (size_t)model->config.layers;
    struct lm_slice tensor = { .kind = kind };
    if (lm_llama_tensors[kind].per_layer)
        tensor.ready = layers - layer;
    else if (kind == LM_LLAMA_EMBED)
        tensor.ready = layers + 1;
    lm_llama_shape(&model->config, kind, &tensor.rows, &tensor.cols);
    tensor.count = tensor.rows * tensor.cols;
    tensor.at = (size_t)(lm_llama_at(model, kind, layer) - model->params);
    if (tensor.count == 0 || (kind == LM_LLAMA_HEAD && model->config.tied))
        return;
    if (c->whole && c->whole(kind)) {
        tensor.owner = least_loaded(c, tensor.rows, tensor.cols);
        put(c, tensor);
    } else {
        cut(c, tensor, layer);
    }
}

/* The head first, then the layers from the last to the first, then the embedding. */
static void put_model(struct cutter *c, const struct lm_llama *model)
{
    const size_t layers = (size_t)model->config.layers;
    for (int kind = LM_LLAMA_TENSOR_COUNT; kind-- > 0;)
        if (!lm_llama_tensors[kind].per_layer && kind != LM_LLAMA_EMBED)
            put_tensor(c, model, kind, 0);
    for (size_t l = layers; l-- > 0;)
        for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
            if (lm_llama_tensors[kind].per_layer)
                put_tensor(c, model, kind, l);
    put_tensor(c, model, LM_LLAMA_EMBED, 0);
}

void lm_slices_init(struct lm_slices *s, const struct lm_llama *model, const struct lm_lora *lora,
                    bool (*whole)(enum lm_llama_tensor kind), struct lm_ranks *ranks)
{
    *s = (struct lm_slices){ .ranks = ranks };
    struct cutter c = { .s = s, .whole = whole };
    c.load = lm_zalloc((size_t)ranks->count, sizeof *c.load);
    if (lora)
        cut(&c,
            (struct lm_slice){
                .count = lora->count, .cols = lora->count, .rows = 1, .kind = -1, .ready = SIZE_MAX },
            0);
    else
        put_model(&c, model);
    free(c.load);
    LM_ASSERT(s->floats == (lora ? lora->count : model->parameter_count));

    const size_t others = (size_t)ranks->count - 1;
    s->squares = lm_zalloc(s->units, sizeof *s->squares);
    if (others == 0)
        return;
    s->inbox = lm_slab_alloc(others * s->own_floats * sizeof *s->inbox);
    s->sends = lm_zalloc(s->count * others, sizeof *s->sends);
    s->receives = lm_zalloc(s->count * others, sizeof *s->receives);
}

void lm_slices_release(struct lm_slices *s)
{
    free(s->items);
    free(s->inbox);
    free(s->sends);
    free(s->receives);
    free(s->squares);
    *s = (struct lm_slices){ 0 };
}

size_t lm_slices_state(const struct lm_slices *s)
{
    return s->ranks->rank == 0 ? s->floats : s->own_floats;
}

static bool own(const struct lm_slices *s, const struct lm_slice *slice)
{
    return slice->owner == s->ranks->rank;
}

/* ---- sums ---- */

/* Number `i` of the other ranks. */
static int other(const struct lm_slices *s, int i)
{
    return i < s->ranks->rank ? i : i + 1;
}

/* Where the others' gradients of an own slice arrive; `before` own floats lie before it. */
static float *inbox_at(const struct lm_slices *s, const struct lm_slice *slice, size_t before, int i)
{
    return s->inbox + before * (size_t)(s->ranks->count - 1) + (size_t)i * slice->count;
}

static void post_slice(struct lm_slices *s, size_t index, float *gradient, size_t before)
{
    const struct lm_slice *slice = &s->items[index];
    struct lm_ranks *r = s->ranks;
    const int others = r->count - 1;
    if (!own(s, slice)) {
        r->ops->send(r->state, slice->owner, gradient + slice->at, slice->count * sizeof(float),
                     &s->sends[index]);
        return;
    }
    for (int i = 0; i < others; i++)
        r->ops->receive(r->state, other(s, i), inbox_at(s, slice, before, i), slice->count * sizeof(float),
                        &s->receives[index * (size_t)others + (size_t)i]);
}

/* Waits for the others' gradients of an own slice, and adds. */
static enum lm_rc finish(struct lm_slices *s, size_t index, float *gradient, size_t before,
                         struct lm_err *err)
{
    enum { RANKS_MAX = 1024 };
    const struct lm_slice *slice = &s->items[index];
    struct lm_ranks *r = s->ranks;
    const int others = r->count - 1;
    float *all[RANKS_MAX];
    LM_ASSERT(r->count <= RANKS_MAX);
    if (!own(s, slice))
        return lm_ranks_wait(r, &s->sends[index], err);
    for (int i = 0; i < others; i++) {
        LM_TRY(lm_ranks_wait(r, &s->receives[index * (size_t)others + (size_t)i], err));
        all[other(s, i)] = inbox_at(s, slice, before, i);
    }
    all[r->rank] = gradient + slice->at;
    lm_ranks_add(all, r->count, r->rank, slice->count);
    return LM_OK;
}

void lm_slices_post(struct lm_slices *s, float *gradient, size_t ready)
{
    struct lm_ranks *r = s->ranks;
    if (r->count == 1)
        return;
    for (; s->posted < s->count && s->items[s->posted].ready <= ready; s->posted++) {
        post_slice(s, s->posted, gradient, s->posted_own);
        s->posted_own += own(s, &s->items[s->posted]) ? s->items[s->posted].count : 0;
    }
    if (s->posted == 0)
        return;
    /* To ask for one is to move all on; what it answers is asked again when it is waited for. */
    const size_t last = s->posted - 1, others = (size_t)r->count - 1;
    (void)r->ops->done(r->state, own(s, &s->items[last]) ? &s->receives[last * others] : &s->sends[last]);
}

enum lm_rc lm_slices_reduce(struct lm_slices *s, float *gradient, struct lm_err *err)
{
    if (s->ranks->count == 1)
        return LM_OK;
    lm_slices_post(s, gradient, SIZE_MAX);
    s->posted = s->posted_own = 0;
    for (size_t i = 0, before = 0; i < s->count; i++) {
        LM_TRY(finish(s, i, gradient, before, err));
        before += own(s, &s->items[i]) ? s->items[i].count : 0;
    }
    return LM_OK;
}

/* ---- the norm ---- */

static void sum_squares(struct lm_slices *s, const struct lm_slice *slice, const float *gradient)
{
    const struct lm_kernels *kernels = lm_kernels();
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < slice->count; i += LM_SLICE_UNIT) {
        const size_t n = slice->count - i < LM_SLICE_UNIT ? slice->count - i : LM_SLICE_UNIT;
        s->squares[slice->unit + i / LM_SLICE_UNIT] = kernels->sum_squares(gradient + slice->at + i, n);
    }
}

enum lm_rc lm_slices_norm(struct lm_slices *s, const float *gradient, double *ret_norm,
                          const struct lm_slice **ret_slice, struct lm_err *err)
{
    double sum = 0;
    for (size_t u = 0; u < s->units; u++)
        s->squares[u] = 0;
    for (size_t i = 0; i < s->count; i++)
        if (own(s, &s->items[i]))
            sum_squares(s, &s->items[i], gradient);
    LM_TRY(lm_ranks_sum(s->ranks, s->squares, s->units, err));   // of each unit all but one are 0
    *ret_slice = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const size_t end = i + 1 < s->count ? s->items[i + 1].unit : s->units;
        for (size_t u = s->items[i].unit; u < end; u++)
            sum += s->squares[u];
        if (!isfinite(sum) && !*ret_slice)
            *ret_slice = &s->items[i];
    }
    *ret_norm = sqrt(sum);
    return LM_OK;
}

/* Slices of one tensor are neighbours, and begin where the one before ends. */
static bool goes_on(const struct lm_slice *before, const struct lm_slice *slice)
{
    return slice->kind == before->kind && slice->ready == before->ready &&
           slice->at == before->at + before->count;
}

const struct lm_slice *lm_slices_largest(const struct lm_slices *s)
{
    const struct lm_slice *ret = s->items, *first = s->items;
    double most = -1, sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        const size_t end = i + 1 < s->count ? s->items[i + 1].unit : s->units;
        if (i > 0 && !goes_on(&s->items[i - 1], &s->items[i])) {
            first = &s->items[i];
            sum = 0;
        }
        for (size_t u = s->items[i].unit; u < end; u++)
            sum += s->squares[u] / (double)(first->rows * first->cols);
        if (sum > most) {
            most = sum;
            ret = first;
        }
    }
    return ret;
}

/* ---- parameters and moments ---- */

enum lm_rc lm_slices_spread(struct lm_slices *s, float *params, struct lm_err *err)
{
    struct lm_ranks *r = s->ranks;
    const size_t others = (size_t)r->count - 1;
    if (others == 0)
        return LM_OK;
    for (size_t i = 0; i < s->count; i++) {
        const struct lm_slice *slice = &s->items[i];
        float *at = params + slice->at;
        if (!own(s, slice))
            r->ops->receive(r->state, slice->owner, at, slice->count * sizeof *at, &s->sends[i * others]);
        for (size_t k = 0; k < others && own(s, slice); k++)
            r->ops->send(r->state, other(s, (int)k), at, slice->count * sizeof *at,
                         &s->sends[i * others + k]);
    }
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < (own(s, &s->items[i]) ? others : 1); k++)
            LM_TRY(lm_ranks_wait(r, &s->sends[i * others + k], err));
    return LM_OK;
}

/* One slice between its owner and rank 0. */
static enum lm_rc move(struct lm_slices *s, const struct lm_slice *slice, float *moments, bool to_first,
                       struct lm_err *err)
{
    struct lm_ranks *r = s->ranks;
    union lm_ranks_request request;
    const size_t bytes = slice->count * sizeof *moments;
    if (slice->owner == 0 || (r->rank != 0 && !own(s, slice)))
        return LM_OK;
    float *at = moments + (r->rank == 0 ? slice->at : slice->state_at);
    const int peer = r->rank == 0 ? slice->owner : 0;
    if ((r->rank == 0) != to_first)
        r->ops->send(r->state, peer, at, bytes, &request);
    else
        r->ops->receive(r->state, peer, at, bytes, &request);
    return lm_ranks_wait(r, &request, err);
}

enum lm_rc lm_slices_gather(struct lm_slices *s, float *moments, struct lm_err *err)
{
    for (size_t i = 0; i < s->count; i++)
        LM_TRY(move(s, &s->items[i], moments, true, err));
    return LM_OK;
}

enum lm_rc lm_slices_scatter(struct lm_slices *s, float *moments, struct lm_err *err)
{
    for (size_t i = 0; i < s->count; i++)
        LM_TRY(move(s, &s->items[i], moments, false, err));
    return LM_OK;
}
