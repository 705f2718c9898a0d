/* The memory of a network: one slab, its parts from one list, so that the plan and the allocation agree. */
#include "train/net_impl.h"

#include "base/mem.h"
#include "base/sys.h"

#include <stdlib.h>

size_t lm_net_rows(size_t positions)
{
    return positions < LM_MICRO_POSITIONS ? LM_MICRO_POSITIONS / positions : 1;
}

/* Hands out the slab piece by piece; with base NULL it only counts. */
struct divider {
    float *base;
    size_t used;
};

static float *take(struct divider *d, size_t count)
{
    float *at = d->base ? d->base + d->used : NULL;
    d->used += (count + 15) & ~(size_t)15;   // 64-byte lines
    return at;
}

static void take_layer(struct divider *d, const struct lm_net *n, struct kept *kept)
{
    struct kept k;
    k.x = take(d, n->count * n->width);
    k.q = take(d, n->count * n->width);
    k.k = take(d, n->count * n->kv_width);
    k.v = take(d, n->count * n->kv_width);
    k.att = take(d, n->count * n->width);
    k.lse = take(d, n->count * n->heads);
    k.x_mid = take(d, n->count * n->width);
    k.gate = take(d, n->count * n->ffn);
    k.up = take(d, n->count * n->ffn);
    if (kept)
        *kept = k;
}

static size_t divide(struct lm_net *n, float *base, int threads)
{
    struct divider d = { .base = base };
    for (size_t l = 0; l < n->layers; l++)
        take_layer(&d, n, base ? &n->kept[l] : NULL);
    n->x_end = take(&d, n->count * n->width);
    n->normed = take(&d, n->count * n->width);
    n->dnormed = take(&d, n->count * n->width);
    n->dx = take(&d, n->count * n->width);
    n->dq = take(&d, n->count * n->width);
    n->datt = take(&d, n->count * n->width);
    n->dk = take(&d, n->count * n->kv_width);
    n->dv = take(&d, n->count * n->kv_width);
    n->act = take(&d, n->count * n->ffn);
    n->scale = take(&d, n->count);
    n->logits = take(&d, n->loss_rows * n->vocab);
    n->gathered = take(&d, n->loss_rows * n->width);
    n->dgathered = take(&d, n->loss_rows * n->width);
    n->angles = take(&d, n->positions * n->head_dim);
    n->attention = take(&d, n->attention_floats * (size_t)threads);
    n->losses = take(&d, n->count);
    return d.used;
}

static struct lm_net net_of(const struct lm_llama_config *c, size_t positions)
{
    struct lm_net n = {
        .rows = lm_net_rows(positions),
        .positions = positions,
        .width = (size_t)c->dim,
        .heads = (size_t)c->heads,
        .kv_heads = (size_t)c->kv_heads,
        .head_dim = (size_t)(c->dim / c->heads),
        .ffn = (size_t)c->ffn_dim,
        .vocab = (size_t)c->vocab_size,
        .layers = (size_t)c->layers,
        .eps = (float)c->norm_eps,
    };
    n.count = n.rows * positions;
    n.kv_width = n.kv_heads * n.head_dim;
    n.loss_rows = n.count < LM_LOSS_ROWS ? n.count : LM_LOSS_ROWS;
    n.attention_floats = (lm_attention_scratch(positions, n.head_dim) + 15) & ~(size_t)15;
    return n;
}

size_t lm_net_bytes(const struct lm_llama_config *config, size_t positions, int threads)
{
    struct lm_net n = net_of(config, positions);
    return divide(&n, NULL, threads) * sizeof(float);
}

struct lm_net *lm_net_new(const struct lm_llama *model, struct lm_gemm *gemm, size_t positions)
{
    struct lm_net *n = lm_alloc(sizeof *n);
    *n = net_of(&model->config, positions);
    n->model = model;
    n->gemm = gemm;
    n->kernels = lm_kernels();
    n->kept = lm_zalloc(n->layers, sizeof *n->kept);
    const int threads = lm_threads();
    n->slab = lm_slab_alloc(divide(n, NULL, threads) * sizeof(float));
    divide(n, n->slab, threads);
    for (size_t t = 0; t < positions; t++)
        lm_rope_angles(n->angles + t * n->head_dim, t, n->head_dim, model->config.rope_theta);
    return n;
}

void lm_net_free(struct lm_net *n)
{
    if (!n)
        return;
    free(n->kept);
    free(n->slab);
    free(n);
}

void lm_gradient_init(struct lm_gradient *g, const struct lm_llama *model, struct lm_lora *lora)
{
    size_t offsets[LM_LLAMA_TENSOR_COUNT];
    *g = (struct lm_gradient){ .lora = lora, .count = lora ? lora->count : model->parameter_count };
    g->slab = lm_slab_alloc(g->count * sizeof *g->slab);
    if (lora)
        return;
    lm_llama_offsets(&model->config, offsets);
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
        g->tensor[t] = g->slab + offsets[t];
}

void lm_gradient_release(struct lm_gradient *g)
{
    free(g->slab);
    *g = (struct lm_gradient){ 0 };
}

double lm_net_flops(const struct lm_llama_config *c, size_t positions)
{
    const double width = (double)c->dim, kv = width * (double)c->kv_heads / (double)c->heads;
    const double layer = 2 * width * width + 2 * width * kv + 3 * width * (double)c->ffn_dim;
    const double attention = width * (double)positions / 2 * 2;   // scores and values, half of them hidden
    return 6 * ((double)c->layers * (layer + attention) + width * (double)c->vocab_size);
}
