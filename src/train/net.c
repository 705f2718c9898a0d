/* Through a batch, micro-batch by micro-batch; embedding and targets, which both ways share. */
#include "train/net_impl.h"

#include "base/sys.h"
#include "tensor/quant.h"

#include <string.h>

bool lm_net_bf16_works(void)
{
    return lm_isa_has(LM_ISA_AVX512_BF16);
}

void lm_net_refresh(struct lm_net *n)
{
    n->way->refresh(n);
}

const enum lm_llama_tensor lm_net_norms[LM_NET_NORMS][2] = {
    [LM_NET_NORM_ATTENTION] = { LM_LLAMA_ATTN_NORM, LM_LLAMA_ATTN_NORM_BIAS },
    [LM_NET_NORM_FFN] = { LM_LLAMA_FFN_NORM, LM_LLAMA_FFN_NORM_BIAS },
    [LM_NET_NORM_END] = { LM_LLAMA_NORM, LM_LLAMA_NORM_BIAS },
};

enum lm_llama_tensor lm_net_bias_of(enum lm_llama_tensor matrix)
{
    static const enum lm_llama_tensor biases[LM_LLAMA_TENSOR_COUNT] = {
        [LM_LLAMA_WQ] = LM_LLAMA_BQ, [LM_LLAMA_WK] = LM_LLAMA_BK,     [LM_LLAMA_WV] = LM_LLAMA_BV,
        [LM_LLAMA_WO] = LM_LLAMA_BO, [LM_LLAMA_W_UP] = LM_LLAMA_B_UP, [LM_LLAMA_W_DOWN] = LM_LLAMA_B_DOWN,
    };
    return biases[matrix];
}

float *lm_net_gradient_at(const struct lm_net *n, const struct lm_gradient *g, enum lm_llama_tensor kind,
                          size_t layer)
{
    return g->lora ? NULL : g->tensor[kind] + (lm_llama_at(n->model, kind, layer) - n->model->tensor[kind]);
}

void lm_net_embed(const struct lm_net *n, const struct lm_batch *b, size_t first, float *x)
{
    const float *table = n->model->tensor[LM_LLAMA_EMBED], *places = n->model->tensor[LM_LLAMA_POSITION];
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            memcpy(x + i * n->width, table + b->input[first + i] * n->width, n->width * sizeof *x);
            if (n->gpt2)
                n->kernels->add(x + i * n->width, places + lm_net_position(n, b, first, i) * n->width,
                                n->width);
        }
    }
    lm_net_drop(n, LM_NET_SITE_EMBED, n->drop, x, n->width);
}

/* By columns: each unit adds the rows in order, whatever tokens they belong to. */
void lm_net_embed_back(const struct lm_net *n, const struct lm_batch *b, size_t first,
                       const struct lm_gradient *g)
{
    lm_net_drop(n, LM_NET_SITE_EMBED, n->drop, n->dx, n->width);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < n->width; i += LM_NET_UNIT_COLS) {
        const size_t cols = n->width - i < LM_NET_UNIT_COLS ? n->width - i : LM_NET_UNIT_COLS;
        for (size_t r = 0; n->gpt2 && r < n->count; r++)
            n->kernels->add(g->tensor[LM_LLAMA_POSITION] + lm_net_position(n, b, first, r) * n->width + i,
                            n->dx + r * n->width + i, cols);
        for (size_t r = 0; r < n->count; r++)
            n->kernels->add(g->tensor[LM_LLAMA_EMBED] + b->input[first + r] * n->width + i,
                            n->dx + r * n->width + i, cols);
    }
}

/* Positions with a target from *from on, at most loss_rows; returns how many, moves *from on. */
static size_t next_targets(const struct lm_net *n, const struct lm_batch *b, size_t first, size_t *from,
                           uint32_t *ret)
{
    size_t count = 0;
    for (; *from < n->count && count < n->loss_rows; ++*from)
        if (b->target[first + *from] != LM_TARGET_NONE)
            ret[count++] = (uint32_t)*from;
    return count;
}

/* The way back of all losses, by weights that follow from them: the last positions' logits are still there,
 * those before them are computed again. */
static enum lm_rc loss_weighed(struct lm_net *n, const struct lm_batch *b, size_t first, size_t last,
                               const struct lm_gradient *g, struct lm_err *err)
{
    uint32_t rows[LM_LOSS_ROWS];
    size_t from = last, count = next_targets(n, b, first, &from, rows);
    if (count > 0)
        LM_TRY(n->way->loss_back(n, b, first, rows, count, g, err));
    for (from = 0; from < last;) {
        count = next_targets(n, b, first, &from, rows);
        LM_TRY(n->way->loss(n, b, first, rows, count, err));
        LM_TRY(n->way->loss_back(n, b, first, rows, count, g, err));
    }
    return LM_OK;
}

/* All losses, loss_rows at a time, and with a gradient the way back to the normed end. */
static enum lm_rc run_loss(struct lm_net *n, const struct lm_batch *b, size_t first,
                           const struct lm_gradient *g, const struct lm_net_weigher *weigher,
                           struct lm_err *err)
{
    uint32_t rows[LM_LOSS_ROWS];
    size_t last = 0;
    memset(n->losses, 0, n->count * sizeof *n->losses);
    if (g && n->config.bf16)
        memset(n->dnormed16, 0, n->count * n->w16 * sizeof *n->dnormed16);
    else if (g)
        memset(n->dnormed, 0, n->count * n->width * sizeof *n->dnormed);
    for (size_t from = 0, start = 0, count; (count = next_targets(n, b, first, &from, rows)) > 0;
         start = from) {
        LM_TRY(n->way->loss(n, b, first, rows, count, err));
        if (g && !weigher)
            LM_TRY(n->way->loss_back(n, b, first, rows, count, g, err));
        last = start;
    }
    if (!weigher)
        return LM_OK;
    weigher->weigh(weigher->state, first, n->count, n->losses, n->weights);
    return g ? loss_weighed(n, b, first, last, g, err) : LM_OK;
}

/* A micro-batch: losses into n->losses and, with a gradient, the way back by n->weights. */
static enum lm_rc run_micro_batch(struct lm_net *n, const struct lm_batch *b, size_t first,
                                  const struct lm_gradient *g, const struct lm_net_weigher *weigher,
                                  struct lm_err *err)
{
    const struct lm_lora *lora = n->config.lora;
    n->drop = g ? n->config.dropout : 0;   // what is measured is the whole model
    n->low_drop = g && lora ? (float)lora->config.dropout : 0;
    lm_net_start_masks(n, b, first);
    LM_TRY(n->way->forward(n, b, first, err));
    LM_TRY(run_loss(n, b, first, g, weigher, err));
    return g ? n->way->backward(n, b, first, g, err) : LM_OK;
}

/* Through the whole batch, micro-batch by micro-batch; the last one may be short of rows, and rows may be
 * shorter than the net's.  losses may be NULL. */
static enum lm_rc run_batch(struct lm_net *n, const struct lm_batch *b, const struct lm_gradient *g,
                            const struct lm_net_weigher *weigher, float *losses, double *ret_sum,
                            struct lm_err *err)
{
    LM_ASSERT(b->positions <= n->positions);
    LM_ASSERT(b->rows > 0 && b->positions > 0);

    const size_t rows_full = n->rows, positions_full = n->positions;
    enum lm_rc rc = LM_OK;
    double sum = 0;
    n->positions = b->positions;
    for (size_t row = 0; row < b->rows && rc == LM_OK; row += rows_full) {
        const size_t first = row * n->positions;
        n->rows = b->rows - row < rows_full ? b->rows - row : rows_full;
        n->last = row + n->rows == b->rows;
        n->count = n->rows * n->positions;
        rc = run_micro_batch(n, b, first, g, weigher, err);
        for (size_t i = 0; rc == LM_OK && i < n->count; i++)
            sum += n->losses[i];
        if (rc == LM_OK && losses)
            memcpy(losses + first, n->losses, n->count * sizeof *losses);
    }
    n->rows = rows_full;
    n->positions = positions_full;
    n->count = rows_full * n->positions;
    *ret_sum = sum;
    return rc;
}

void lm_net_watch(struct lm_net *n, void (*done)(void *state, size_t layer), void *state)
{
    n->layer_done = done;
    n->layer_done_state = state;
}

void lm_net_layer_done(const struct lm_net *n, size_t layer)
{
    if (n->last && n->layer_done)
        n->layer_done(n->layer_done_state, layer);
}

enum lm_rc lm_net_measure(struct lm_net *n, const struct lm_batch *batch, float *losses, struct lm_err *err)
{
    double sum;
    return run_batch(n, batch, NULL, NULL, losses, &sum, err);
}

enum lm_rc lm_net_train(struct lm_net *n, const struct lm_batch *batch, struct lm_gradient *gradient,
                        double *ret_loss, struct lm_err *err)
{
    LM_ASSERT(batch->trained > 0);

    double sum;
    for (size_t i = 0; i < n->count; i++)
        n->weights[i] = (float)(1.0 / (double)batch->trained);
    LM_TRY(run_batch(n, batch, gradient, NULL, NULL, &sum, err));
    *ret_loss = sum / (double)batch->trained;
    return LM_OK;
}

enum lm_rc lm_net_train_weighted(struct lm_net *n, const struct lm_batch *batch, struct lm_gradient *gradient,
                                 const struct lm_net_weigher *weigher, struct lm_err *err)
{
    double sum;
    return run_batch(n, batch, gradient, weigher, NULL, &sum, err);
}

/* The head in f32 in both ways: one position is not worth packing. */
enum lm_rc lm_net_next(struct lm_net *n, const struct lm_batch *batch, size_t position, float *ret_logits,
                       struct lm_err *err)
{
    LM_ASSERT(batch->positions == n->positions && position < n->positions);

    const size_t rows_full = n->rows;
    n->rows = 1;
    n->count = n->positions;
    n->drop = n->low_drop = 0;   // of the last batch
    const enum lm_rc rc = n->way->forward(n, batch, 0, err);
    n->rows = rows_full;
    n->count = rows_full * n->positions;
    LM_TRY(rc);
    const float *head = n->model->tensor[LM_LLAMA_HEAD];
    float *normed = n->dx;   // free between batches
    for (size_t i = 0; i < n->width; i++)
        normed[i] = n->config.bf16 ? lm_bf16_decode(n->normed_end[position * n->w16 + i])
                                   : n->normed[position * n->width + i];
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t v = 0; v < n->vocab; v++)
        ret_logits[v] = n->kernels->dot(normed, head + v * n->width, n->width);
    return LM_OK;
}
