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

/* ---- a layer ---- */

/* Without x_next: only what the way back reads. */
static enum lm_rc layer_forward(struct lm_net *n, const struct lm_batch *b, size_t first, size_t layer,
                                float *x_next, struct lm_err *err)
{
    const struct lm_net_kept *k = &n->kept[layer];
    norm(n, n->normed, k->x, LM_NET_NORM_ATTENTION, layer);
    LM_TRY(lm_net_linear32(n, k->q, n->normed, LM_LLAMA_WQ, layer, err));
    LM_TRY(lm_net_linear32(n, k->k, n->normed, LM_LLAMA_WK, layer, err));
    LM_TRY(lm_net_linear32(n, k->v, n->normed, LM_LLAMA_WV, layer, err));
    rotate(n, b, first, k->q, k->k, 1);
    attend(n, b, first, k, false);
    LM_TRY(lm_net_linear32(n, n->dnormed, k->att, LM_LLAMA_WO, layer, err));
    lm_net_drop(n, lm_net_site(layer, LM_NET_SITE_OUT), n->drop, n->dnormed, n->width);
    add_rows(n, k->x_mid, k->x, n->dnormed);

    norm(n, n->normed, k->x_mid, LM_NET_NORM_FFN, layer);
    if (!n->gpt2)
        LM_TRY(lm_net_linear32(n, k->gate, n->normed, LM_LLAMA_W_GATE, layer, err));
    LM_TRY(lm_net_linear32(n, k->up, n->normed, LM_LLAMA_W_UP, layer, err));
    if (!x_next)
        return LM_OK;
    activate(n, k);
    LM_TRY(lm_net_linear32(n, n->dnormed, n->act, LM_LLAMA_W_DOWN, layer, err));
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
    const struct lm_net_back down = {
        LM_LLAMA_W_DOWN, layer, n->count, c, f, branch_gradient(n, layer, LM_NET_SITE_DOWN), n->act
    };
    LM_TRY(lm_net_back32_weight(n, g, &down, err));   // reads act before it becomes its own gradient
    LM_TRY(lm_net_back32_input(n, &down, n->act, false, err));
    activate_back(n, k);
    norm(n, n->normed, k->x_mid, LM_NET_NORM_FFN, layer);
    const struct lm_net_back gate = { LM_LLAMA_W_GATE, layer, n->count, f, c, k->gate, n->normed };
    const struct lm_net_back up = { LM_LLAMA_W_UP, layer, n->count, f, c, k->up, n->normed };
    if (!n->gpt2)
        LM_TRY(lm_net_back32(n, g, &gate, n->dnormed, false, err));
    LM_TRY(lm_net_back32(n, g, &up, n->dnormed, !n->gpt2, err));
    norm_back(n, g, n->dx, n->dnormed, k->x_mid, LM_NET_NORM_FFN, layer);
    return LM_OK;
}

static enum lm_rc attention_backward(struct lm_net *n, const struct lm_batch *b, size_t first,
                                     const struct lm_gradient *g, size_t layer, struct lm_err *err)
{
    const struct lm_net_kept *k = &n->kept[layer];
    const size_t c = n->width, kv = n->kv_width, count = n->count;
    const struct lm_net_back o = { LM_LLAMA_WO, layer, count,
                                   c,           c,     branch_gradient(n, layer, LM_NET_SITE_OUT),
                                   k->att };
    LM_TRY(lm_net_back32(n, g, &o, n->datt, false, err));
    attend(n, b, first, k, true);
    rotate(n, b, first, n->dq, n->dk, -1);
    norm(n, n->normed, k->x, LM_NET_NORM_ATTENTION, layer);
    const struct lm_net_back back[] = {
        { LM_LLAMA_WQ, layer, count, c, c, n->dq, n->normed },
        { LM_LLAMA_WK, layer, count, kv, c, n->dk, n->normed },
        { LM_LLAMA_WV, layer, count, kv, c, n->dv, n->normed },
    };
    for (size_t i = 0; i < 3; i++)
        LM_TRY(lm_net_back32(n, g, &back[i], n->dnormed, i > 0, err));
    norm_back(n, g, n->dx, n->dnormed, k->x, LM_NET_NORM_ATTENTION, layer);
    return LM_OK;
}

/* ---- loss ---- */

/* Logits of the chosen positions, and their losses.  Rows behind `count` are zero. */
static enum lm_rc loss(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                       size_t count, struct lm_err *err)
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
    for (size_t i = 0; i < count; i++)
        n->losses[rows[i]] =
            n->kernels->cross_entropy(n->logits + i * v, v, (uint32_t)b->target[first + rows[i]], 0);
    return LM_OK;
}

/* The logits become their gradients, and these n->dnormed. */
static enum lm_rc loss_back(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                            size_t count, const struct lm_gradient *g, struct lm_err *err)
{
    const size_t c = n->width, v = n->vocab;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < n->loss_rows; i++) {
        const float weight = i < count ? n->weights[rows[i]] : 0;
        if (weight != 0)
            n->kernels->cross_entropy(n->logits + i * v, v, (uint32_t)b->target[first + rows[i]], weight);
        else
            memset(n->logits + i * v, 0, v * sizeof(float));
    }
    const struct lm_net_back head = { LM_LLAMA_HEAD, 0, n->loss_rows, n->vocab, c, n->logits, n->gathered };
    LM_TRY(lm_net_back32(n, g, &head, n->dgathered, false, err));
    for (size_t i = 0; i < count; i++)
        memcpy(n->dnormed + rows[i] * c, n->dgathered + i * c, c * sizeof(float));
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

const struct lm_net_way lm_net_f32 = { run_forward, loss, loss_back, run_backward, refresh };
