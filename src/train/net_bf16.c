/* The network in bf16: what feeds a product is bf16, the residual stream and all sums are f32.
 * Q, K and V are one product, gate and up another; the residual is where a product's sums start. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- row by row ---- */

static void norm(const struct lm_net *n, uint16_t *y, float *mean, float *scale, const float *x,
                 enum lm_net_norm which, size_t layer)
{
    const float *gain = lm_llama_at(n->model, lm_net_norms[which][0], layer);
    const float *bias = lm_llama_at(n->model, lm_net_norms[which][1], layer);
    LM_NET_FOR_UNITS(n, r, len)
    {
        uint16_t *to = y + r * n->w16;
        const float *from = x + r * n->width;
        if (n->gpt2)
            n->kernels16->layernorm(to, n->w16, mean + r, scale + r, from, gain, bias, len, n->width, n->eps);
        else
            n->kernels16->rmsnorm(to, n->w16, scale + r, from, gain, len, n->width, n->eps);
    }
}

/* dx += the gradient through the norm, dx16 = dx; its gain's and bias's are added to unless they are frozen.
 */
static void norm_back(const struct lm_net *n, const struct lm_gradient *g, const float *x, const float *mean,
                      const float *scale, enum lm_net_norm which, size_t layer)
{
    const size_t c = n->width, units = (n->count + LM_NET_UNIT_ROWS - 1) / LM_NET_UNIT_ROWS;
    const float *gain = lm_llama_at(n->model, lm_net_norms[which][0], layer);
    LM_NET_FOR_UNITS(n, r, len)
    {
        float *dx = n->dx + r * c, *dgain = n->dgain + r / LM_NET_UNIT_ROWS * c;
        uint16_t *dx16 = n->dx16 + r * n->w16, *dy = n->dnormed16 + r * n->w16;
        if (n->gpt2)
            n->kernels16->layernorm_back(dx, dx16, dgain, n->dbias + r / LM_NET_UNIT_ROWS * c, dy, n->w16,
                                         x + r * c, mean + r, scale + r, gain, len, c);
        else
            n->kernels16->rmsnorm_back(dx, dx16, dgain, dy, n->w16, x + r * c, scale + r, gain, len, c);
    }
    for (size_t u = 0; u < units && !g->lora; u++) {
        n->kernels->add(lm_net_gradient_at(n, g, lm_net_norms[which][0], layer), n->dgain + u * c, c);
        if (n->gpt2)
            n->kernels->add(lm_net_gradient_at(n, g, lm_net_norms[which][1], layer), n->dbias + u * c, c);
    }
}

static void rotate(const struct lm_net *n, const struct lm_batch *b, size_t first, uint16_t *qkv,
                   float direction)
{
    if (n->gpt2)
        return;   // positions are in the embedding
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

/* act16 = what goes down: gate and up, or up alone, through the activation */
static void activate(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            const uint16_t *at = k->gate_up + i * (n->gpt2 ? 1 : 2) * n->f16;
            if (n->gpt2)
                n->kernels16->gelu(n->act16 + i * n->f16, at, n->ffn);
            else
                n->kernels16->swiglu(n->act16 + i * n->f16, at, at + n->f16, n->ffn);
        }
    }
}

/* gate and up become their gradients, by that of act16, which becomes the activation. */
static void activate_back(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            uint16_t *at = k->gate_up + i * (n->gpt2 ? 1 : 2) * n->f16;
            if (n->gpt2)
                n->kernels16->gelu_back(at, n->act16 + i * n->f16, n->ffn);
            else
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

/* y = base + x W^T, the product with dropout */
static void add_branch(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, size_t site,
                       float *y, const float *base, const uint16_t *x)
{
    lm_net_linear_add(n, layer, kind, y, n->drop > 0 ? NULL : base, x);
    if (n->drop == 0)
        return;
    lm_net_drop(n, lm_net_site(layer, site), n->drop, y, n->width);
    LM_NET_FOR_UNITS(n, r, len)
    {
        n->kernels->add(y + r * n->width, base + r * n->width, len * n->width);
    }
}

/* Without x_next: only what the way back reads. */
static void layer_forward(struct lm_net *n, const struct lm_batch *b, size_t first, size_t layer,
                          float *x_next)
{
    const struct lm_net_kept *k = &n->kept[layer];
    norm(n, k->normed, k->mean, k->scale, k->x, LM_NET_NORM_ATTENTION, layer);
    lm_net_linear(n, layer, LM_NET_QKV, k->qkv, k->normed);
    rotate(n, b, first, k->qkv, 1);
    attend(n, b, first, k, false);
    add_branch(n, layer, LM_NET_OUT, LM_NET_SITE_OUT, k->x_mid, k->x, k->att16);

    norm(n, k->normed_mid, k->mean_mid, k->scale_mid, k->x_mid, LM_NET_NORM_FFN, layer);
    lm_net_linear(n, layer, LM_NET_GATE_UP, k->gate_up, k->normed_mid);
    if (!x_next)
        return;
    activate(n, k);
    add_branch(n, layer, LM_NET_DOWN, LM_NET_SITE_DOWN, x_next, k->x_mid, n->act16);
}

/* n->dx and its copy n->dx16 are the gradient by the layer's result when these two are called, by its input
 * when they return. */
static void ffn_backward(struct lm_net *n, const struct lm_gradient *g, size_t layer)
{
    const struct lm_net_kept *k = &n->kept[layer];
    lm_net_drop16(n, lm_net_site(layer, LM_NET_SITE_DOWN), n->drop, n->dx16, n->w16, n->width);
    lm_net_linear_back(n, layer, LM_NET_DOWN, n->act16, n->dx16);
    activate_back(n, k);   // gate_up is its own gradient now, act16 the activation
    if (n->config.recompute)
        lm_net_low(n, layer, LM_NET_DOWN, n->act16);
    lm_net_gradients(n, g, layer, LM_NET_DOWN, n->dx16, n->act16);
    lm_net_linear_back(n, layer, LM_NET_GATE_UP, n->dnormed16, k->gate_up);
    lm_net_gradients(n, g, layer, LM_NET_GATE_UP, k->gate_up, k->normed_mid);
    norm_back(n, g, k->x_mid, k->mean_mid, k->scale_mid, LM_NET_NORM_FFN, layer);
}

static void attention_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                               const struct lm_gradient *g, size_t layer)
{
    const struct lm_net_kept *k = &n->kept[layer];
    lm_net_drop16(n, lm_net_site(layer, LM_NET_SITE_OUT), n->drop, n->dx16, n->w16, n->width);
    lm_net_linear_back(n, layer, LM_NET_OUT, n->datt16, n->dx16);
    lm_net_gradients(n, g, layer, LM_NET_OUT, n->dx16, k->att16);
    attend(n, b, first, k, true);
    rotate(n, b, first, n->dqkv, -1);
    lm_net_linear_back(n, layer, LM_NET_QKV, n->dnormed16, n->dqkv);
    lm_net_gradients(n, g, layer, LM_NET_QKV, n->dqkv, k->normed);
    norm_back(n, g, k->x, k->mean, k->scale, LM_NET_NORM_ATTENTION, layer);
}

/* ---- loss ----
 * Of LM_LOSS_ROWS positions at a time exp(logit - maximum of its group) is kept, rounded; once the sums of
 * all groups are known, that times a factor is the gradient.  A unit of the vocabulary then makes it block by
 * block, in the second-level cache, where both products that want it read it. */

/* Shares, and in top the factors that make them gradients; the losses. */
static void loss_forward(struct lm_net *n, const uint32_t *rows, const uint32_t *targets, size_t count)
{
    enum { ROWS = 192, COLS = 2048 };
    const struct lm_bf16_logits l = { .product = { .a = n->chosen,
                                                   .b = n->head[LM_NET_FORWARD],
                                                   .m = count,
                                                   .n = n->vocab,
                                                   .k = n->w16,
                                                   .a_stride = n->w16,
                                                   .b_stride = n->w16 * LM_BF16_PANEL },
                                      .share = n->share,
                                      .top = n->top,
                                      .total = n->total,
                                      .share_stride = n->loss_rows * LM_BF16_GROUP,
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
            top[g] *= (float)(n->weights[rows[i]] / sum);
        n->losses[rows[i]] = (float)(most + log(sum) - n->at_target[i]);
    }
}

/* One unit of the vocabulary: its rows of the head's gradient (NULL: frozen), its part of the gradient by the
 * chosen rows. */
static void loss_unit(const struct lm_net *n, const struct lm_bf16_loss_back *l, size_t unit, float *dhead)
{
    const size_t c = n->width, start = unit * n->loss_unit_cols;
    const size_t end = smaller(start + n->loss_unit_cols, n->vocab);
    float *part = n->dchosen + unit * n->loss_rows * c;
    for (size_t first = start; first < end; first += LM_NET_LOSS_COLS) {
        const size_t cols = smaller(LM_NET_LOSS_COLS, end - first);
        const struct lm_bf16_product to_head = { .a = l->transposed,
                                                 .b = n->chosen_panels,
                                                 .c = dhead ? dhead + first * c : NULL,
                                                 .base = dhead ? dhead + first * c : NULL,
                                                 .m = cols,
                                                 .n = c,
                                                 .k = (l->m + 1) / 2 * 2,
                                                 .a_stride = l->transposed_stride,
                                                 .b_stride = n->loss_rows * LM_BF16_PANEL,
                                                 .c_stride = c };
        const struct lm_bf16_product to_rows = { .a = l->rows,
                                                 .b = n->head[LM_NET_BACKWARD] + first * LM_BF16_PANEL,
                                                 .c = part,
                                                 .base = first == start ? NULL : part,
                                                 .m = l->m,
                                                 .n = c,
                                                 .k = (cols + 1) / 2 * 2,
                                                 .a_stride = l->rows_stride,
                                                 .b_stride = n->v16 * LM_BF16_PANEL,
                                                 .c_stride = c };
        n->kernels16->loss_back(l, first, cols);
        if (dhead)
            n->kernels16->product(&to_head, 0, to_head.m, 0, c);
        n->kernels16->product(&to_rows, 0, to_rows.m, 0, c);
    }
}

static void loss_backward(struct lm_net *n, const uint32_t *rows, const uint32_t *targets, size_t count,
                          float *dhead)
{
    const size_t c = n->width;
    float weights[LM_LOSS_ROWS];
    for (size_t i = 0; i < count; i++)
        weights[i] = n->weights[rows[i]];
    if (dhead)
        lm_bf16_pack(n->chosen_panels, n->loss_rows * LM_BF16_PANEL, n->chosen, n->w16, count, c);
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < n->loss_units; unit++) {
        uint16_t *scratch = n->loss_scratch + (size_t)omp_get_thread_num() * n->loss_scratch_count;
        const struct lm_bf16_loss_back l = {
            .share = n->share,
            .factor = n->top,
            .target = targets,
            .scale = weights,
            .m = count,
            .columns = n->vocab,
            .share_stride = n->loss_rows * LM_BF16_GROUP,
            .groups = n->groups,
            .rows = scratch,
            .transposed = dhead ? scratch + n->loss_rows * (LM_NET_LOSS_COLS + LM_NET_SKEW) : NULL,
            .rows_stride = LM_NET_LOSS_COLS + LM_NET_SKEW,
            .transposed_stride = n->loss_rows + LM_NET_SKEW
        };
        loss_unit(n, &l, n->loss_units - 1 - unit, dhead);   // what was made last is still in a cache
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
                           const struct lm_gradient *g, struct lm_err *err)
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
        loss_forward(n, rows, targets, count);
        if (g)
            loss_backward(n, rows, targets, count, g->tensor[LM_LLAMA_HEAD]);
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
    norm(n, n->normed_end, n->mean, n->scale, n->x_end, LM_NET_NORM_END, 0);
    return LM_OK;
}

static enum lm_rc run_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                               const struct lm_gradient *g, struct lm_err *err)
{
    (void)err;
    memset(n->dx, 0, n->count * n->width * sizeof *n->dx);
    norm_back(n, g, n->x_end, n->mean, n->scale, LM_NET_NORM_END, 0);
    for (size_t l = n->layers; l-- > 0;) {
        if (n->config.recompute)
            layer_forward(n, b, first, l, NULL);
        ffn_backward(n, g, l);
        attention_backward(n, b, first, g, l);
        lm_net_layer_done(n, l);
    }
    if (!g->lora)
        lm_net_embed_back(n, b, first, g);
    return LM_OK;
}

const struct lm_net_way lm_net_bf16 = { run_forward, loss_all, run_backward, lm_net_pack };
