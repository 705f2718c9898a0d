/* The network in bf16: what feeds a product is bf16, the residual stream and all sums are f32.
 * Q, K and V are one product, gate and up another; the residual is where a product's sums start. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <omp.h>
#include <string.h>

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

const struct lm_net_way lm_net_bf16 = { run_forward, lm_net_loss16, lm_net_loss16_back, run_backward,
                                        lm_net_pack };
