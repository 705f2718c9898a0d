/* The network in f32 with the products of tensor/gemm.h.  Everything but the products is split by rows,
 * columns or heads into units that share nothing. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <omp.h>
#include <string.h>

/* ---- row by row, threaded ---- */

static void norm(const struct lm_net *n, float *y, const float *x, enum lm_net_norm which, size_t layer)
{
    const float *gain = lm_llama_at(n->model, lm_net_norms[which][0], layer);
    const float *bias = lm_llama_at(n->model, lm_net_norms[which][1], layer);
    LM_NET_FOR_UNITS(n, r, len)
    {
        const size_t at = r * n->width;
        if (n->gpt2)
            n->kernels->layernorm(y + at, x + at, gain, bias, len, n->width, n->eps);
        else
            n->kernels->rmsnorm(y + at, x + at, gain, len, n->width, n->eps);
    }
}

/* dx += the gradient through the norm; its gain's and bias's gradients are added to unless they are frozen.
 */
static void norm_back(const struct lm_net *n, const struct lm_gradient *g, float *dx, const float *dy,
                      const float *x, enum lm_net_norm which, size_t layer)
{
    const float *gain = lm_llama_at(n->model, lm_net_norms[which][0], layer);
    LM_NET_FOR_UNITS(n, r, len)
    {
        const size_t at = r * n->width;
        if (n->gpt2)
            n->kernels->layernorm_back(dx + at, n->mean + r, n->scale + r, dy + at, x + at, gain, len,
                                       n->width, n->eps);
        else
            n->kernels->rmsnorm_back(dx + at, n->scale + r, dy + at, x + at, gain, len, n->width, n->eps);
    }
    if (g->lora)
        return;
    float *dgain = lm_net_gradient_at(n, g, lm_net_norms[which][0], layer);
    float *dbias = lm_net_gradient_at(n, g, lm_net_norms[which][1], layer);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < n->width; i += LM_NET_UNIT_COLS) {
        const size_t cols = n->width - i < LM_NET_UNIT_COLS ? n->width - i : LM_NET_UNIT_COLS;
        if (n->gpt2)
            n->kernels->layernorm_gain_back(dgain + i, dbias + i, dy + i, x + i, n->mean, n->scale, n->count,
                                            cols, n->width);
        else
            n->kernels->rmsnorm_gain_back(dgain + i, dy + i, x + i, n->scale, n->count, cols, n->width);
    }
}

/* ---- biases: of GPT-2 only ---- */

static void add_bias(const struct lm_net *n, float *y, enum lm_llama_tensor matrix, size_t layer, size_t cols)
{
    if (!n->gpt2 || !lm_net_bias_of(matrix))
        return;
    const float *bias = lm_llama_at(n->model, lm_net_bias_of(matrix), layer);
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++)
            n->kernels->add(y + i * cols, bias, cols);
    }
}

/* dbias += the rows of dy, in order. */
static void bias_back(const struct lm_net *n, const struct lm_gradient *g, enum lm_llama_tensor matrix,
                      size_t layer, const float *dy, size_t cols)
{
    if (!n->gpt2 || !lm_net_bias_of(matrix))
        return;
    float *dbias = lm_net_gradient_at(n, g, lm_net_bias_of(matrix), layer);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < cols; i += LM_NET_UNIT_COLS)
        for (size_t r = 0; r < n->count; r++)
            n->kernels->add(dbias + i, dy + r * cols + i,
                            cols - i < LM_NET_UNIT_COLS ? cols - i : LM_NET_UNIT_COLS);
}

/* y = a + b, or y += b when a is y. */
static void add_rows(const struct lm_net *n, float *y, const float *a, const float *b)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        const size_t at = r * n->width;
        if (y != a)
            memcpy(y + at, a + at, len * n->width * sizeof *y);
        n->kernels->add(y + at, b + at, len * n->width);
    }
}

/* act = what goes down: gate and up, or up alone, through the activation */
static void activate(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        const size_t at = r * n->ffn;
        if (n->gpt2)
            n->kernels->gelu(n->act + at, k->up + at, len * n->ffn);
        else
            n->kernels->swiglu(n->act + at, k->gate + at, k->up + at, len * n->ffn);
    }
}

/* gate and up become their gradients, by that of act. */
static void activate_back(const struct lm_net *n, const struct lm_net_kept *k)
{
    LM_NET_FOR_UNITS(n, r, len)
    {
        const size_t at = r * n->ffn;
        if (n->gpt2)
            n->kernels->gelu_back(k->up + at, n->act + at, len * n->ffn);
        else
            n->kernels->swiglu_back(k->gate + at, k->up + at, n->act + at, len * n->ffn);
    }
}

static void rotate(const struct lm_net *n, const struct lm_batch *b, size_t first, float *q, float *k,
                   float direction)
{
    if (n->gpt2)
        return;   // positions are in the embedding
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t i = r; i < r + len; i++) {
            const float *angles = n->angles + lm_net_position(n, b, first, i) * n->head_dim;
            n->kernels->rope(q + i * n->width, angles, n->heads, n->head_dim, direction);
            n->kernels->rope(k + i * n->kv_width, angles, n->kv_heads, n->head_dim, direction);
        }
    }
}

/* Attention of every sequence and KV head; the units share nothing.  back: gradients instead. */
static void attend(const struct lm_net *n, const struct lm_batch *b, size_t first,
                   const struct lm_net_kept *k, bool back)
{
    const size_t t_q = n->positions * n->width, t_kv = n->positions * n->kv_width;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t unit = 0; unit < n->rows * n->kv_heads; unit++) {
        const size_t row = unit / n->kv_heads, kv = unit % n->kv_heads;
        const struct lm_attention shape = { n->positions, n->heads, n->kv_heads, n->head_dim,
                                            b->start + first + row * n->positions };
        const float *q = k->q + row * t_q, *keys = k->k + row * t_kv, *values = k->v + row * t_kv;
        float *lse = k->lse + row * n->heads * n->positions, *out = k->att + row * t_q;
        float *scratch = (float *)(void *)(n->attention + (size_t)omp_get_thread_num() * n->attention_bytes);
        if (back)
            n->kernels->attention_back(&shape, kv, n->dq + row * t_q, n->dk + row * t_kv, n->dv + row * t_kv,
                                       n->datt + row * t_q, out, lse, q, keys, values, scratch);
        else
            n->kernels->attention(&shape, kv, out, lse, q, keys, values, scratch);
    }
}

/* ---- products ---- */

static const struct lm_lora *adapter_of(const struct lm_net *n, enum lm_llama_tensor kind)
{
    const struct lm_lora *lora = n->config.lora;
    return lora && lm_lora_has(lora, kind) ? lora : NULL;
}

/* low (rows, r) = scale x A^T, or scale dy B */
static enum lm_rc to_low(const struct lm_net *n, const struct lm_lora *lora, struct lm_product p,
                         struct lm_err *err)
{
    LM_TRY(lm_gemm_run(n->gemm, &p, err));
    for (size_t i = 0; i < p.m * p.n; i++)
        p.c[i] *= lora->scale;
    return LM_OK;
}

/* What an adapter reads: x, or x with dropout. */
static const float *low_input(const struct lm_net *n, enum lm_llama_tensor kind, size_t layer, const float *x,
                              size_t rows, size_t in)
{
    if (n->low_drop == 0)
        return x;
    memcpy(n->dropped, x, rows * in * sizeof *x);
    lm_net_drop(n, lm_net_site(layer, LM_NET_SITE_LOW + lm_net_bundle_of(kind)), n->low_drop, n->dropped, in);
    return n->dropped;
}

/* y (N, out) = x (N, in) w^T, and what the adapter adds */
static enum lm_rc forward(const struct lm_net *n, float *y, const float *x, enum lm_llama_tensor kind,
                          size_t layer, struct lm_err *err)
{
    const struct lm_lora *lora = adapter_of(n, kind);
    size_t out, in;
    lm_llama_shape(&n->model->config, kind, &out, &in);
    const struct lm_product p = {
        .c = y, .a = x, .b = lm_llama_at(n->model, kind, layer), .m = n->count, .n = out, .k = in, .b_t = true
    };
    LM_TRY(lm_gemm_run(n->gemm, &p, err));
    add_bias(n, y, kind, layer, out);
    if (!lora)
        return LM_OK;
    const size_t rank = (size_t)lora->config.rank;
    const struct lm_product low = { .c = n->low,
                                    .a = low_input(n, kind, layer, x, n->count, in),
                                    .b = lm_lora_a(lora, kind, layer),
                                    .m = n->count,
                                    .n = rank,
                                    .k = in,
                                    .b_t = true };
    const struct lm_product add = { .c = y,
                                    .a = n->low,
                                    .b = lm_lora_b(lora, kind, layer),
                                    .m = n->count,
                                    .n = out,
                                    .k = rank,
                                    .b_t = true,
                                    .accumulate = true };
    LM_TRY(to_low(n, lora, low, err));
    return lm_gemm_run(n->gemm, &add, err);
}

/* The gradient of a matrix w (out, in), given y (N, out) = x (N, in) w^T: dw += dy^T x, or the adapter's. */
struct weight_back {
    enum lm_llama_tensor kind;
    size_t layer, rows, out, in;
    const float *dy, *x;
};

/* dB += dy^T (scale x A^T), dA += (scale dy B)^T x; n->low_back is the latter's left side then. */
static enum lm_rc backward_adapter(const struct lm_net *n, const struct lm_gradient *g,
                                   const struct weight_back *w, struct lm_err *err)
{
    const struct lm_lora *lora = g->lora;
    if (!lm_lora_has(lora, w->kind))
        return LM_OK;
    const size_t rank = (size_t)lora->config.rank;
    const float *a = lm_lora_a(lora, w->kind, w->layer), *b = lm_lora_b(lora, w->kind, w->layer);
    const float *x = low_input(n, w->kind, w->layer, w->x, w->rows, w->in);
    const struct lm_product low = {
        .c = n->low, .a = x, .b = a, .m = w->rows, .n = rank, .k = w->in, .b_t = true
    };
    const struct lm_product back = {
        .c = n->low_back, .a = w->dy, .b = b, .m = w->rows, .n = rank, .k = w->out
    };
    const struct lm_product to_b = { .c = g->slab + (b - lora->params),
                                     .a = w->dy,
                                     .b = n->low,
                                     .m = w->out,
                                     .n = rank,
                                     .k = w->rows,
                                     .a_t = true,
                                     .accumulate = true };
    const struct lm_product to_a = { .c = g->slab + (a - lora->params),
                                     .a = n->low_back,
                                     .b = x,
                                     .m = rank,
                                     .n = w->in,
                                     .k = w->rows,
                                     .a_t = true,
                                     .accumulate = true };
    LM_TRY(to_low(n, lora, low, err));
    LM_TRY(to_low(n, lora, back, err));
    LM_TRY(lm_gemm_run(n->gemm, &to_b, err));
    return lm_gemm_run(n->gemm, &to_a, err);
}

static enum lm_rc backward_weight(const struct lm_net *n, const struct lm_gradient *g,
                                  const struct weight_back *w, struct lm_err *err)
{
    if (g->lora)
        return backward_adapter(n, g, w, err);
    bias_back(n, g, w->kind, w->layer, w->dy, w->out);
    const struct lm_product to_w = { .c = lm_net_gradient_at(n, g, w->kind, w->layer),
                                     .a = w->dy,
                                     .b = w->x,
                                     .m = w->out,
                                     .n = w->in,
                                     .k = w->rows,
                                     .a_t = true,
                                     .accumulate = true };
    return lm_gemm_run(n->gemm, &to_w, err);
}

/* dx (N, in) = or += dy w and the adapter's part, after backward_weight of the same. */
static enum lm_rc backward_input(const struct lm_net *n, const struct weight_back *w, float *dx,
                                 bool add_to_dx, struct lm_err *err)
{
    const struct lm_product to_x = { .c = dx,
                                     .a = w->dy,
                                     .b = lm_llama_at(n->model, w->kind, w->layer),
                                     .m = w->rows,
                                     .n = w->in,
                                     .k = w->out,
                                     .accumulate = add_to_dx };
    const struct lm_lora *lora = adapter_of(n, w->kind);
    LM_TRY(lm_gemm_run(n->gemm, &to_x, err));
    if (!lora)
        return LM_OK;
    const bool masked = n->low_drop > 0;
    const struct lm_product add = { .c = masked ? n->undropped : dx,
                                    .a = n->low_back,
                                    .b = lm_lora_a(lora, w->kind, w->layer),
                                    .m = w->rows,
                                    .n = w->in,
                                    .k = (size_t)lora->config.rank,
                                    .accumulate = !masked };
    LM_TRY(lm_gemm_run(n->gemm, &add, err));
    if (!masked)
        return LM_OK;
    lm_net_drop(n, lm_net_site(w->layer, LM_NET_SITE_LOW + lm_net_bundle_of(w->kind)), n->low_drop,
                n->undropped, w->in);
    n->kernels->add(dx, n->undropped, w->rows * w->in);
    return LM_OK;
}

/* Both. */
static enum lm_rc backward(const struct lm_net *n, const struct lm_gradient *g, const struct weight_back *w,
                           float *dx, bool add_to_dx, struct lm_err *err)
{
    LM_TRY(backward_weight(n, g, w, err));
    return backward_input(n, w, dx, add_to_dx, err);
}

/* ---- a layer ---- */

/* Without x_next: only what the way back reads. */
static enum lm_rc layer_forward(struct lm_net *n, const struct lm_batch *b, size_t first, size_t layer,
                                float *x_next, struct lm_err *err)
{
    const struct lm_net_kept *k = &n->kept[layer];
    norm(n, n->normed, k->x, LM_NET_NORM_ATTENTION, layer);
    LM_TRY(forward(n, k->q, n->normed, LM_LLAMA_WQ, layer, err));
    LM_TRY(forward(n, k->k, n->normed, LM_LLAMA_WK, layer, err));
    LM_TRY(forward(n, k->v, n->normed, LM_LLAMA_WV, layer, err));
    rotate(n, b, first, k->q, k->k, 1);
    attend(n, b, first, k, false);
    LM_TRY(forward(n, n->dnormed, k->att, LM_LLAMA_WO, layer, err));
    lm_net_drop(n, lm_net_site(layer, LM_NET_SITE_OUT), n->drop, n->dnormed, n->width);
    add_rows(n, k->x_mid, k->x, n->dnormed);

    norm(n, n->normed, k->x_mid, LM_NET_NORM_FFN, layer);
    if (!n->gpt2)
        LM_TRY(forward(n, k->gate, n->normed, LM_LLAMA_W_GATE, layer, err));
    LM_TRY(forward(n, k->up, n->normed, LM_LLAMA_W_UP, layer, err));
    if (!x_next)
        return LM_OK;
    activate(n, k);
    LM_TRY(forward(n, n->dnormed, n->act, LM_LLAMA_W_DOWN, layer, err));
    lm_net_drop(n, lm_net_site(layer, LM_NET_SITE_DOWN), n->drop, n->dnormed, n->width);
    add_rows(n, x_next, k->x_mid, n->dnormed);
    return LM_OK;
}

/* The gradient by what a layer adds to the residual stream: dx, or a copy of it with dropout's mask. */
static const float *branch_gradient(const struct lm_net *n, size_t layer, size_t site)
{
    if (n->drop == 0)
        return n->dx;
    memcpy(n->dnormed, n->dx, n->count * n->width * sizeof *n->dx);
    lm_net_drop(n, lm_net_site(layer, site), n->drop, n->dnormed, n->width);
    return n->dnormed;
}

/* n->dx is the gradient by the layer's result when it is called, by its input when it returns. */
static enum lm_rc ffn_backward(struct lm_net *n, const struct lm_gradient *g, size_t layer,
                               struct lm_err *err)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const size_t c = n->width, f = n->ffn;
    activate(n, k);
    const struct weight_back down = {
        LM_LLAMA_W_DOWN, layer, n->count, c, f, branch_gradient(n, layer, LM_NET_SITE_DOWN), n->act
    };
    LM_TRY(backward_weight(n, g, &down, err));   // reads act before it becomes its own gradient
    LM_TRY(backward_input(n, &down, n->act, false, err));
    activate_back(n, k);
    norm(n, n->normed, k->x_mid, LM_NET_NORM_FFN, layer);
    const struct weight_back gate = { LM_LLAMA_W_GATE, layer, n->count, f, c, k->gate, n->normed };
    const struct weight_back up = { LM_LLAMA_W_UP, layer, n->count, f, c, k->up, n->normed };
    if (!n->gpt2)
        LM_TRY(backward(n, g, &gate, n->dnormed, false, err));
    LM_TRY(backward(n, g, &up, n->dnormed, !n->gpt2, err));
    norm_back(n, g, n->dx, n->dnormed, k->x_mid, LM_NET_NORM_FFN, layer);
    return LM_OK;
}

static enum lm_rc attention_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                                     const struct lm_gradient *g, size_t layer, struct lm_err *err)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const size_t c = n->width, kv = n->kv_width, count = n->count;
    const struct weight_back o = { LM_LLAMA_WO, layer, count,
                                   c,           c,     branch_gradient(n, layer, LM_NET_SITE_OUT),
                                   k->att };
    LM_TRY(backward(n, g, &o, n->datt, false, err));
    attend(n, b, first, k, true);
    rotate(n, b, first, n->dq, n->dk, -1);
    norm(n, n->normed, k->x, LM_NET_NORM_ATTENTION, layer);
    const struct weight_back back[] = {
        { LM_LLAMA_WQ, layer, count, c, c, n->dq, n->normed },
        { LM_LLAMA_WK, layer, count, kv, c, n->dk, n->normed },
        { LM_LLAMA_WV, layer, count, kv, c, n->dv, n->normed },
    };
    for (size_t i = 0; i < 3; i++)
        LM_TRY(backward(n, g, &back[i], n->dnormed, i > 0, err));
    norm_back(n, g, n->dx, n->dnormed, k->x, LM_NET_NORM_ATTENTION, layer);
    return LM_OK;
}

/* ---- loss ---- */

/* Losses of the chosen positions; back: logits become gradients.  Rows behind `count` are zero. */
static enum lm_rc loss_chunk(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                             size_t count, bool back, struct lm_err *err)
{
    const size_t c = n->width, v = n->vocab;
    for (size_t i = 0; i < n->loss_rows; i++)
        if (i < count)
            memcpy(n->gathered + i * c, n->normed + rows[i] * c, c * sizeof(float));
        else
            memset(n->gathered + i * c, 0, c * sizeof(float));
    const struct lm_product p = { .c = n->logits,
                                  .a = n->gathered,
                                  .b = n->model->tensor[LM_LLAMA_HEAD],
                                  .m = n->loss_rows,
                                  .n = v,
                                  .k = c,
                                  .b_t = true };
    LM_TRY(lm_gemm_run(n->gemm, &p, err));
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < n->loss_rows; i++) {
        const float weight = back && i < count ? n->weights[rows[i]] : 0;
        if (i < count)
            n->losses[rows[i]] =
                n->kernels->cross_entropy(n->logits + i * v, v, (uint32_t)b->target[first + rows[i]], weight);
        if (weight == 0)
            memset(n->logits + i * v, 0, v * sizeof(float));
    }
    return LM_OK;
}

/* From the normed end of the residual stream to losses and, with a gradient, back to n->dnormed. */
static enum lm_rc loss_all(struct lm_net *n, const struct lm_batch *b, size_t first,
                           const struct lm_gradient *g, struct lm_err *err)
{
    const size_t c = n->width;
    uint32_t rows[LM_LOSS_ROWS];
    memset(n->losses, 0, n->count * sizeof *n->losses);
    if (g)
        memset(n->dnormed, 0, n->count * c * sizeof *n->dnormed);
    for (size_t from = 0, count; (count = lm_net_next_targets(n, b, first, &from, rows)) > 0;) {
        LM_TRY(loss_chunk(n, b, first, rows, count, g != NULL, err));
        if (!g)
            continue;
        const struct weight_back head = {
            LM_LLAMA_HEAD, 0, n->loss_rows, n->vocab, c, n->logits, n->gathered
        };
        LM_TRY(backward(n, g, &head, n->dgathered, false, err));
        for (size_t i = 0; i < count; i++)
            memcpy(n->dnormed + rows[i] * c, n->dgathered + i * c, c * sizeof(float));
    }
    return LM_OK;
}

/* ---- a micro-batch ---- */

static enum lm_rc run_forward(struct lm_net *n, const struct lm_batch *b, size_t first, struct lm_err *err)
{
    lm_net_embed(n, b, first, n->kept[0].x);
    for (size_t l = 0; l < n->layers; l++)
        LM_TRY(layer_forward(n, b, first, l, l + 1 < n->layers ? n->kept[l + 1].x : n->x_end, err));
    norm(n, n->normed, n->x_end, LM_NET_NORM_END, 0);
    return LM_OK;
}

static enum lm_rc run_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                               const struct lm_gradient *g, struct lm_err *err)
{
    memset(n->dx, 0, n->count * n->width * sizeof *n->dx);
    norm_back(n, g, n->dx, n->dnormed, n->x_end, LM_NET_NORM_END, 0);
    for (size_t l = n->layers; l-- > 0;) {
        if (n->config.recompute)
            LM_TRY(layer_forward(n, b, first, l, NULL, err));
        LM_TRY(ffn_backward(n, g, l, err));
        LM_TRY(attention_backward(n, b, first, g, l, err));
        lm_net_layer_done(n, l);
    }
    if (!g->lora)
        lm_net_embed_back(n, b, first, g);
    return LM_OK;
}

static void refresh(struct lm_net *n)
{
    (void)n;   // products read the weights themselves
}

const struct lm_net_way lm_net_f32 = { run_forward, loss_all, run_backward, refresh };
