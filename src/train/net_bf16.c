/* The network in bf16: what feeds a product is bf16, the residual stream and all sums are f32.
 *
 * Q, K and V are one product, gate and up another; the residual is where a product's sums start.  Products to
 * weights run over positions, so both operands are laid out anew: a few percent of the product's time. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { FORWARD, BACKWARD };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- weights ---- */

/* One matrix of a group that lies side by side in the panels: `at` is its first output there, `total` all. */
static void pack_weight(const struct lm_net *n, uint16_t *const ret[2], const float *w, size_t out, size_t in,
                        size_t at, size_t total)
{
    enum { COLS = 128 };
    const size_t forward_stride = lm_bf16_pad(in) * LM_BF16_PANEL, backward_stride = total * LM_BF16_PANEL;
    const size_t units = (out + COLS - 1) / COLS;   // of the forward panels; the others follow
    uint16_t *forward = ret[FORWARD] + at / LM_BF16_PANEL * forward_stride;
    uint16_t *backward = ret[BACKWARD] + at * LM_BF16_PANEL;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < units + (in + COLS - 1) / COLS; unit++) {
        const size_t j = (unit < units ? unit : unit - units) * COLS;
        if (unit < units)
            n->kernels16->pack_forward(forward, forward_stride, w, out, in, j, smaller(COLS, out - j));
        else
            n->kernels16->pack_backward(backward, backward_stride, w, out, in, j, smaller(COLS, in - j));
    }
}

static void refresh(struct lm_net *n)
{
    const size_t c = n->width, kv = n->kv_width, f = n->ffn;
    for (size_t l = 0; l < n->layers; l++) {
        const struct lm_net_packed *p = &n->packed[l];
        pack_weight(n, p->qkv, LM_NET_WEIGHT(n, WQ, l), c, c, 0, n->qkv16);
        pack_weight(n, p->qkv, LM_NET_WEIGHT(n, WK, l), kv, c, n->w16, n->qkv16);
        pack_weight(n, p->qkv, LM_NET_WEIGHT(n, WV, l), kv, c, n->w16 + n->kv16, n->qkv16);
        pack_weight(n, p->out, LM_NET_WEIGHT(n, WO, l), c, c, 0, n->w16);
        pack_weight(n, p->gate_up, LM_NET_WEIGHT(n, W_GATE, l), f, c, 0, 2 * n->f16);
        pack_weight(n, p->gate_up, LM_NET_WEIGHT(n, W_UP, l), f, c, n->f16, 2 * n->f16);
        pack_weight(n, p->down, LM_NET_WEIGHT(n, W_DOWN, l), c, f, 0, n->w16);
    }
    pack_weight(n, n->head, n->model->tensor[LM_LLAMA_HEAD], n->vocab, c, 0, n->v16);
}

/* ---- products ---- */

/* y (N, out) = x (N, in) by panels of k = in, all in whole panels. */
static void linear(const struct lm_net *n, uint16_t *y, const uint16_t *x, const uint16_t *panels, size_t out,
                   size_t in)
{
    const struct lm_bf16_product p = { .a = x,
                                       .b = panels,
                                       .c16 = y,
                                       .m = n->count,
                                       .n = out,
                                       .k = in,
                                       .a_stride = in,
                                       .b_stride = in * LM_BF16_PANEL,
                                       .c_stride = out };
    lm_bf16_run(&p);
}

/* y (N, C) = base + x (N, in) by panels */
static void linear_add(const struct lm_net *n, float *y, const float *base, const uint16_t *x,
                       const uint16_t *panels, size_t in)
{
    const struct lm_bf16_product p = { .a = x,
                                       .b = panels,
                                       .c = y,
                                       .base = base,
                                       .m = n->count,
                                       .n = n->width,
                                       .k = in,
                                       .a_stride = in,
                                       .b_stride = in * LM_BF16_PANEL,
                                       .c_stride = n->width };
    lm_bf16_run(&p);
}

/* Operands of products to weights: left gets dy (N, cols) transposed, right x (N, cols) in panels. */
static void lay_left(const struct lm_net *n, const uint16_t *dy, size_t cols)
{
    lm_bf16_transpose(n->left, n->t16, dy, cols, n->count, cols);
}

static void lay_right(const struct lm_net *n, const uint16_t *x, size_t cols)
{
    lm_bf16_pack(n->right, n->k16 * LM_BF16_PANEL, x, cols, n->count, cols);
}

/* dw (out, in) += rows [at, at + out) of left by right */
static void to_weight(const struct lm_net *n, float *dw, size_t at, size_t out, size_t in)
{
    const struct lm_bf16_product p = { .a = n->left + at * n->t16,
                                       .b = n->right,
                                       .c = dw,
                                       .base = dw,
                                       .m = out,
                                       .n = in,
                                       .k = (n->count + 1) / 2 * 2,
                                       .a_stride = n->t16,
                                       .b_stride = n->k16 * LM_BF16_PANEL,
                                       .c_stride = in };
    lm_bf16_run(&p);
}

/* ---- row by row ---- */

static void norm(const struct lm_net *n, uint16_t *y, float *scale, const float *x, const float *gain)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        n->kernels16->rmsnorm(y + r * n->w16, n->w16, scale + r, x + r * n->width, gain, len, n->width,
                              n->eps);
    }
}

/* dx += the gradient through the norm, dx16 = dx; dgain += its gain's. */
static void norm_back(const struct lm_net *n, float *dgain, const float *x, const float *scale,
                      const float *gain)
{
    const size_t c = n->width, units = (n->count + LM_NET_UNIT_ROWS - 1) / LM_NET_UNIT_ROWS;
    LM_NET_FOR_UNITS(n, r, len)
    {
        n->kernels16->rmsnorm_back(n->dx + r * c, n->dx16 + r * n->w16, n->dgain + r / LM_NET_UNIT_ROWS * c,
                                   n->dnormed16 + r * n->w16, n->w16, x + r * c, scale + r, gain, len, c);
    }
    for (size_t u = 0; u < units; u++)
        n->kernels->add(dgain, n->dgain + u * c, c);
}

static void rotate(const struct lm_net *n, const struct lm_batch *b, size_t first, uint16_t *qkv,
                   float direction)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            const size_t position = i % n->positions - b->start[first + i];
            const float *angles = n->angles + position * n->head_dim;
            uint16_t *at = qkv + i * n->qkv16;
            n->kernels16->rope(at, angles, n->heads, n->head_dim, direction);
            n->kernels16->rope(at + n->w16, angles, n->kv_heads, n->head_dim, direction);
        }
    }
}

static void swiglu(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            const uint16_t *at = k->gate_up + i * 2 * n->f16;
            n->kernels16->swiglu(n->act16 + i * n->f16, at, at + n->f16, n->ffn);
        }
    }
}

static void swiglu_back(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            uint16_t *at = k->gate_up + i * 2 * n->f16;
            n->kernels16->swiglu_back(at, at + n->f16, n->act16 + i * n->f16, n->ffn);
        }
    }
}

/* Attention of every sequence and KV head; the units share nothing.  back: gradients instead. */
static void attend(const struct lm_net *n, const struct lm_batch *b, size_t first,
                   const struct lm_net_kept *k, bool back)
{
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < n->rows * n->kv_heads; unit++) {
        const size_t row = unit / n->kv_heads, kv = unit % n->kv_heads, at = row * n->positions;
        const struct lm_bf16_attention a = {
            .shape = { n->positions, n->heads, n->kv_heads, n->head_dim, b->start + first + at },
            .stride = n->qkv16,
            .k_at = n->w16,
            .v_at = n->w16 + n->kv16,
            .out_stride = n->w16,
        };
        const uint16_t *qkv = k->qkv + at * n->qkv16;
        uint16_t *out = k->att16 + at * n->w16;
        float *lse = k->lse + at * n->heads;
        char *scratch = n->attention + (size_t)omp_get_thread_num() * n->attention_bytes;
        if (back)
            n->kernels16->attention_back(&a, kv, n->dqkv + at * n->qkv16, n->datt16 + at * n->w16, out, lse,
                                         qkv, scratch);
        else
            n->kernels16->attention(&a, kv, out, lse, qkv, scratch);
    }
}

/* ---- a layer ---- */

/* Without x_next: only what the way back reads. */
static void layer_forward(struct lm_net *n, const struct lm_batch *b, size_t first, size_t layer,
                          float *x_next)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const struct lm_net_packed *w = &n->packed[layer];
    norm(n, k->normed, k->scale, k->x, LM_NET_WEIGHT(n, ATTN_NORM, layer));
    linear(n, k->qkv, k->normed, w->qkv[FORWARD], n->qkv16, n->w16);
    rotate(n, b, first, k->qkv, 1);
    attend(n, b, first, k, false);
    linear_add(n, k->x_mid, k->x, k->att16, w->out[FORWARD], n->w16);

    norm(n, k->normed_mid, k->scale_mid, k->x_mid, LM_NET_WEIGHT(n, FFN_NORM, layer));
    linear(n, k->gate_up, k->normed_mid, w->gate_up[FORWARD], 2 * n->f16, n->w16);
    if (!x_next)
        return;
    swiglu(n, k);
    linear_add(n, x_next, k->x_mid, n->act16, w->down[FORWARD], n->f16);
}

#define GRADIENT(kind) lm_net_gradient_at(n, g, LM_LLAMA_##kind, layer)

/* n->dx and its copy n->dx16 are the gradient by the layer's result when these two are called, by its input
 * when they return. */
static void ffn_backward(struct lm_net *n, const struct lm_gradient *g, size_t layer)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const struct lm_net_packed *w = &n->packed[layer];
    const size_t c = n->width, f = n->ffn;
    linear(n, n->act16, n->dx16, w->down[BACKWARD], n->f16, n->w16);
    swiglu_back(n, k);   // gate_up is its own gradient now, act16 the activation
    lay_left(n, n->dx16, n->w16);
    lay_right(n, n->act16, n->f16);
    to_weight(n, GRADIENT(W_DOWN), 0, c, f);
    lay_left(n, k->gate_up, 2 * n->f16);
    lay_right(n, k->normed_mid, n->w16);
    to_weight(n, GRADIENT(W_GATE), 0, f, c);
    to_weight(n, GRADIENT(W_UP), n->f16, f, c);
    linear(n, n->dnormed16, k->gate_up, w->gate_up[BACKWARD], n->w16, 2 * n->f16);
    norm_back(n, GRADIENT(FFN_NORM), k->x_mid, k->scale_mid, LM_NET_WEIGHT(n, FFN_NORM, layer));
}

static void attention_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                               const struct lm_gradient *g, size_t layer)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const struct lm_net_packed *w = &n->packed[layer];
    const size_t c = n->width, kv = n->kv_width;
    linear(n, n->datt16, n->dx16, w->out[BACKWARD], n->w16, n->w16);
    lay_left(n, n->dx16, n->w16);
    lay_right(n, k->att16, n->w16);
    to_weight(n, GRADIENT(WO), 0, c, c);
    attend(n, b, first, k, true);
    rotate(n, b, first, n->dqkv, -1);
    lay_left(n, n->dqkv, n->qkv16);
    lay_right(n, k->normed, n->w16);
    to_weight(n, GRADIENT(WQ), 0, c, c);
    to_weight(n, GRADIENT(WK), n->w16, kv, c);
    to_weight(n, GRADIENT(WV), n->w16 + n->kv16, kv, c);
    linear(n, n->dnormed16, n->dqkv, w->qkv[BACKWARD], n->w16, n->qkv16);
    norm_back(n, GRADIENT(ATTN_NORM), k->x, k->scale, LM_NET_WEIGHT(n, ATTN_NORM, layer));
}

/* ---- loss ----
 * Of LM_LOSS_ROWS positions at a time exp(logit - maximum of its group) is kept, rounded; once the sums of
 * all groups are known, that times a factor is the gradient.  A unit of the vocabulary then makes it block by
 * block, in the second-level cache, where both products that want it read it. */

/* Shares, and in top the factors that make them gradients; the losses. */
static void loss_forward(struct lm_net *n, const uint32_t *rows, const uint32_t *targets, size_t count,
                         float grad_scale)
{
    enum { ROWS = 192, COLS = 2048 };
    const struct lm_bf16_logits l = { .product = { .a = n->chosen,
                                                   .b = n->head[FORWARD],
                                                   .m = count,
                                                   .n = n->vocab,
                                                   .k = n->w16,
                                                   .a_stride = n->w16,
                                                   .b_stride = n->w16 * LM_BF16_PANEL },
                                      .share = n->share,
                                      .top = n->top,
                                      .total = n->total,
                                      .share_stride = n->v16,
                                      .groups = n->groups,
                                      .target = targets,
                                      .at_target = n->at_target };
    const size_t row_units = (count + ROWS - 1) / ROWS, col_units = (n->vocab + COLS - 1) / COLS;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < row_units * col_units; unit++) {
        const size_t row = unit % row_units * ROWS, col = unit / row_units * COLS;
        n->kernels16->logits(&l, row, smaller(ROWS, count - row), col, smaller(COLS, n->vocab - col));
    }
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < count; i++) {
        float *top = n->top + i * n->groups, most = top[0];
        const float *total = n->total + i * n->groups;
        double sum = 0;
        for (size_t g = 1; g < n->groups; g++)
            most = top[g] > most ? top[g] : most;
        for (size_t g = 0; g < n->groups; g++) {
            top[g] = expf(top[g] - most);
            sum += (double)top[g] * total[g];
        }
        for (size_t g = 0; g < n->groups; g++)
            top[g] *= (float)(grad_scale / sum);
        n->losses[rows[i]] = (float)(most + log(sum) - n->at_target[i]);
    }
}

/* One unit of the vocabulary: its rows of the head's gradient, its part of the gradient by the chosen rows.
 */
static void loss_unit(const struct lm_net *n, const struct lm_bf16_loss_back *l, size_t unit, float *dhead)
{
    const size_t c = n->width, start = unit * n->loss_unit_cols;
    const size_t end = smaller(start + n->loss_unit_cols, n->vocab);
    float *part = n->dchosen + unit * n->loss_rows * c;
    for (size_t first = start; first < end; first += LM_NET_LOSS_COLS) {
        const size_t cols = smaller(LM_NET_LOSS_COLS, end - first);
        const struct lm_bf16_product to_head = { .a = l->transposed,
                                                 .b = n->chosen_panels,
                                                 .c = dhead + first * c,
                                                 .base = dhead + first * c,
                                                 .m = cols,
                                                 .n = c,
                                                 .k = (l->m + 1) / 2 * 2,
                                                 .a_stride = l->transposed_stride,
                                                 .b_stride = n->loss_rows * LM_BF16_PANEL,
                                                 .c_stride = c };
        const struct lm_bf16_product to_rows = { .a = l->rows,
                                                 .b = n->head[BACKWARD] + first * LM_BF16_PANEL,
                                                 .c = part,
                                                 .base = first == start ? NULL : part,
                                                 .m = l->m,
                                                 .n = c,
                                                 .k = (cols + 1) / 2 * 2,
                                                 .a_stride = l->rows_stride,
                                                 .b_stride = n->v16 * LM_BF16_PANEL,
                                                 .c_stride = c };
        n->kernels16->loss_back(l, first, cols);
        n->kernels16->product(&to_head, 0, to_head.m, 0, c);
        n->kernels16->product(&to_rows, 0, to_rows.m, 0, c);
    }
}

static void loss_backward(struct lm_net *n, const uint32_t *rows, const uint32_t *targets, size_t count,
                          float *dhead, float grad_scale)
{
    const size_t c = n->width;
    lm_bf16_pack(n->chosen_panels, n->loss_rows * LM_BF16_PANEL, n->chosen, n->w16, count, c);
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < n->loss_units; unit++) {
        uint16_t *scratch = n->loss_scratch + (size_t)omp_get_thread_num() * n->loss_scratch_count;
        const struct lm_bf16_loss_back l = { .share = n->share,
                                             .factor = n->top,
                                             .target = targets,
                                             .scale = grad_scale,
                                             .m = count,
                                             .columns = n->vocab,
                                             .share_stride = n->v16,
                                             .groups = n->groups,
                                             .rows = scratch,
                                             .transposed = scratch + n->loss_rows * LM_NET_LOSS_COLS,
                                             .rows_stride = LM_NET_LOSS_COLS,
                                             .transposed_stride = n->loss_rows };
        loss_unit(n, &l, unit, dhead);
    }
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < count; i++) {
        float *sum = n->dchosen + i * c;
        for (size_t unit = 1; unit < n->loss_units; unit++)
            n->kernels->add(sum, n->dchosen + (unit * n->loss_rows + i) * c, c);
        n->kernels16->round(n->dnormed16 + rows[i] * n->w16, sum, c);
    }
}

static enum lm_rc loss_all(struct lm_net *n, const struct lm_batch *b, size_t first,
                           const struct lm_gradient *g, float grad_scale, struct lm_err *err)
{
    (void)err;
    uint32_t rows[LM_LOSS_ROWS], targets[LM_LOSS_ROWS];
    memset(n->losses, 0, n->count * sizeof *n->losses);
    if (g)
        memset(n->dnormed16, 0, n->count * n->w16 * sizeof *n->dnormed16);
    for (size_t from = 0, count; (count = lm_net_next_targets(n, b, first, &from, rows)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            targets[i] = (uint32_t)b->target[first + rows[i]];
            memcpy(n->chosen + i * n->w16, n->normed_end + rows[i] * n->w16, n->w16 * sizeof *n->chosen);
        }
        loss_forward(n, rows, targets, count, grad_scale);
        if (g)
            loss_backward(n, rows, targets, count, g->tensor[LM_LLAMA_HEAD], grad_scale);
    }
    return LM_OK;
}

/* ---- a micro-batch ---- */

static enum lm_rc run_forward(struct lm_net *n, const struct lm_batch *b, size_t first, struct lm_err *err)
{
    (void)err;
    lm_net_embed(n, b, first, n->kept[0].x);
    for (size_t l = 0; l < n->layers; l++)
        layer_forward(n, b, first, l, l + 1 < n->layers ? n->kept[l + 1].x : n->x_end);
    norm(n, n->normed_end, n->scale, n->x_end, n->model->tensor[LM_LLAMA_NORM]);
    return LM_OK;
}

static enum lm_rc run_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                               const struct lm_gradient *g, struct lm_err *err)
{
    (void)err;
    LM_ASSERT(!g->lora);
    memset(n->dx, 0, n->count * n->width * sizeof *n->dx);
    norm_back(n, g->tensor[LM_LLAMA_NORM], n->x_end, n->scale, n->model->tensor[LM_LLAMA_NORM]);
    for (size_t l = n->layers; l-- > 0;) {
        if (n->config.recompute)
            layer_forward(n, b, first, l, NULL);
        ffn_backward(n, g, l);
        attention_backward(n, b, first, g, l);
    }
    lm_net_embed_back(n, b, first, g);
    return LM_OK;
}

const struct lm_net_way lm_net_bf16 = { run_forward, loss_all, run_backward, refresh };
