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
    char *base;
    size_t used;
};

static void *take(struct divider *d, size_t bytes)
{
    void *at = d->base ? d->base + d->used : NULL;
    d->used += (bytes + 63) / 64 * 64;   // whole lines
    return at;
}

#define TAKE(d, field, count) ((field) = take(d, (count) * sizeof *(field)))

static void take_layer_f32(struct divider *d, const struct lm_net *n, struct lm_net_kept *k)
{
    TAKE(d, k->q, n->count * n->width);
    TAKE(d, k->k, n->count * n->kv_width);
    TAKE(d, k->v, n->count * n->kv_width);
    TAKE(d, k->att, n->count * n->width);
    TAKE(d, k->gate, n->gpt2 ? 0 : n->count * n->ffn);
    TAKE(d, k->up, n->count * n->ffn);
}

static void take_layer_bf16(struct divider *d, const struct lm_net *n, struct lm_net_kept *k)
{
    TAKE(d, k->normed, n->count * n->w16);
    TAKE(d, k->normed_mid, n->count * n->w16);
    TAKE(d, k->qkv, n->count * n->qkv16);
    TAKE(d, k->att16, n->count * n->w16);
    TAKE(d, k->gate_up, n->count * (n->gpt2 ? 1 : 2) * n->f16);
    TAKE(d, k->scale, n->count);
    TAKE(d, k->scale_mid, n->count);
    TAKE(d, k->mean, n->gpt2 ? n->count : 0);
    TAKE(d, k->mean_mid, n->gpt2 ? n->count : 0);
    for (int b = 0; b < LM_NET_BUNDLES; b++)
        TAKE(d, k->low[b], n->count * n->bundle[b].low_all);
}

static void take_kept(struct divider *d, struct lm_net *n)
{
    struct lm_net_kept k = { 0 };
    for (size_t l = 0; l < n->layers; l++) {
        if (l == 0 || !n->config.recompute) {
            TAKE(d, k.x_mid, n->count * n->width);
            TAKE(d, k.lse, n->count * n->heads);
            (n->config.bf16 ? take_layer_bf16 : take_layer_f32)(d, n, &k);
        }
        TAKE(d, k.x, n->count * n->width);
        if (n->kept)
            n->kept[l] = k;
    }
}

static void take_f32(struct divider *d, struct lm_net *n)
{
    TAKE(d, n->normed, n->count * n->width);
    TAKE(d, n->dnormed, n->count * n->width);
    TAKE(d, n->dq, n->count * n->width);
    TAKE(d, n->datt, n->count * n->width);
    TAKE(d, n->dk, n->count * n->kv_width);
    TAKE(d, n->dv, n->count * n->kv_width);
    TAKE(d, n->act, n->count * n->ffn);
    TAKE(d, n->logits, n->loss_rows * n->vocab);
    TAKE(d, n->gathered, n->loss_rows * n->width);
    TAKE(d, n->dgathered, n->loss_rows * n->width);
    if (n->config.lora) {
        TAKE(d, n->low, n->count * (size_t)n->config.lora->config.rank);
        TAKE(d, n->low_back, n->count * (size_t)n->config.lora->config.rank);
    }
}

/* Both ways of one matrix (out, in), sizes in whole panels. */
static void take_panels(struct divider *d, uint16_t *ret[2], size_t out, size_t in)
{
    TAKE(d, ret[0], out * in);
    TAKE(d, ret[1], out * in);
}

static void take_packed(struct divider *d, struct lm_net *n)
{
    for (size_t l = 0; l < n->layers; l++) {
        struct lm_net_packed p;
        for (int k = 0; k < LM_NET_BUNDLES; k++) {
            const struct lm_net_bundle *b = &n->bundle[k];
            take_panels(d, p.w[k], b->at[b->count], b->in16);
            TAKE(d, p.bias[k], n->gpt2 ? b->at[b->count] : 0);
            take_panels(d, p.a[k], b->low_all, b->in16);
            take_panels(d, p.b[k], b->low_all > 0 ? b->at[b->count] : 0, n->rank16);
        }
        if (n->packed)
            n->packed[l] = p;
    }
    take_panels(d, n->head, n->v16, n->w16);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_bf16(struct divider *d, struct lm_net *n, size_t threads)
{
    const size_t units = (n->count + LM_NET_UNIT_ROWS - 1) / LM_NET_UNIT_ROWS;
    TAKE(d, n->normed_end, n->count * n->w16);
    TAKE(d, n->dnormed16, n->count * n->w16);
    TAKE(d, n->dx16, n->count * n->w16);
    TAKE(d, n->datt16, n->count * n->w16);
    TAKE(d, n->act16, n->count * n->f16);
    TAKE(d, n->dqkv, n->count * n->qkv16);
    TAKE(d, n->left, n->t16 * larger(larger(2 * n->f16, n->qkv16), n->low_most));
    TAKE(d, n->right, n->k16 * larger(larger(n->f16, n->w16), n->low_most));
    TAKE(d, n->low_back16, n->count * n->low_most);
    TAKE(d, n->scaled, n->config.lora ? n->config.lora->count : 0);
    TAKE(d, n->dgain, units * n->width);
    TAKE(d, n->dbias, n->gpt2 ? units * n->width : 0);
    TAKE(d, n->chosen, n->loss_rows * n->w16);
    TAKE(d, n->chosen_panels, n->loss_rows * n->w16);
    TAKE(d, n->share, n->groups * n->loss_rows * LM_BF16_GROUP);
    TAKE(d, n->top, n->loss_rows * n->spans);
    TAKE(d, n->total, n->loss_rows * n->spans);
    TAKE(d, n->at_target, n->loss_rows);
    TAKE(d, n->dchosen, n->loss_units * n->loss_rows * n->width);
    TAKE(d, n->loss_scratch, threads * n->loss_scratch_count);
    take_packed(d, n);
}

static size_t divide(struct lm_net *n, char *base, size_t threads)
{
    struct divider d = { .base = base };
    take_kept(&d, n);
    TAKE(&d, n->x_end, n->count * n->width);
    TAKE(&d, n->dx, n->count * n->width);
    TAKE(&d, n->scale, n->count);
    TAKE(&d, n->mean, n->gpt2 ? n->count : 0);
    TAKE(&d, n->angles, n->positions * n->head_dim);
    TAKE(&d, n->losses, n->count);
    TAKE(&d, n->weights, n->count);
    const bool masked = n->config.lora && n->config.lora->config.dropout > 0;
    const size_t widest = lm_bf16_pad(larger(n->width, n->ffn));
    TAKE(&d, n->undropped, masked ? n->count * widest : 0);
    TAKE(&d, n->dropped, masked && !n->config.bf16 ? n->count * widest : 0);
    TAKE(&d, n->dropped16, masked && n->config.bf16 ? n->count * widest : 0);
    TAKE(&d, n->attention, threads * n->attention_bytes);
    if (n->config.bf16)
        take_bf16(&d, n, threads);
    else
        take_f32(&d, n);
    return d.used;
}

static size_t whole(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

static void set_bf16_sizes(struct lm_net *n, const struct lm_llama_config *c)
{
    enum { TRANSPOSED = 32 };   // positions of a transposed operand go in whole vectors
    n->loss_rows = whole(n->loss_rows, TRANSPOSED);
    n->w16 = lm_bf16_pad(n->width);
    n->kv16 = lm_bf16_pad(n->kv_width);
    n->f16 = lm_bf16_pad(n->ffn);
    n->v16 = lm_bf16_pad(n->vocab);
    n->qkv16 = n->w16 + 2 * n->kv16;
    n->k16 = n->count + n->count % 2;
    n->t16 = whole(n->count, TRANSPOSED) + LM_NET_SKEW;
    n->groups = (n->vocab + LM_BF16_GROUP - 1) / LM_BF16_GROUP;
    n->spans = (n->vocab + LM_BF16_SPAN - 1) / LM_BF16_SPAN;
    n->loss_unit_cols = whole(n->groups, LM_NET_LOSS_UNITS) / LM_NET_LOSS_UNITS * LM_BF16_GROUP;
    n->loss_units = (n->vocab + n->loss_unit_cols - 1) / n->loss_unit_cols;
    n->loss_scratch_count =
        n->loss_rows * (LM_NET_LOSS_COLS + LM_NET_SKEW) + LM_NET_LOSS_COLS * (n->loss_rows + LM_NET_SKEW);
    n->attention_bytes = whole(lm_bf16_attention_bytes(n->positions, n->head_dim), 64);
    lm_net_set_bundles(n, c);
}

static struct lm_net net_of(const struct lm_llama_config *c, const struct lm_net_config *config)
{
    struct lm_net n = {
        .config = *config,
        .way = config->bf16 ? &lm_net_bf16 : &lm_net_f32,
        .rows = lm_net_rows(config->positions),
        .positions = config->positions,
        .width = (size_t)c->dim,
        .heads = (size_t)c->heads,
        .kv_heads = (size_t)c->kv_heads,
        .head_dim = (size_t)(c->dim / c->heads),
        .ffn = (size_t)c->ffn_dim,
        .vocab = (size_t)c->vocab_size,
        .layers = (size_t)c->layers,
        .eps = (float)c->norm_eps,
        .gpt2 = c->family == LM_FAMILY_GPT2,
    };
    if (n.rows < config->rows_min)
        n.rows = config->rows_min;
    n.count = n.rows * n.positions;
    n.kv_width = n.kv_heads * n.head_dim;
    n.loss_rows = n.count < LM_LOSS_ROWS ? n.count : LM_LOSS_ROWS;
    if (config->bf16)
        set_bf16_sizes(&n, c);
    else
        n.attention_bytes = whole(lm_attention_scratch(n.positions, n.head_dim) * sizeof(float), 64);
    return n;
}

size_t lm_net_bytes(const struct lm_llama_config *model, const struct lm_net_config *config, int threads)
{
    struct lm_net n = net_of(model, config);
    return divide(&n, NULL, (size_t)threads);
}

struct lm_net *lm_net_new(const struct lm_llama *model, struct lm_gemm *gemm,
                          const struct lm_net_config *config)
{
    LM_ASSERT(config->positions > 0);
    struct lm_net *n = lm_alloc(sizeof *n);
    *n = net_of(&model->config, config);
    n->model = model;
    n->gemm = gemm;
    n->kernels = lm_kernels();
    n->kernels16 = lm_bf16_kernels();
    const size_t threads = (size_t)lm_threads();
    n->slab = lm_slab_alloc(divide(n, NULL, threads));
    n->kept = lm_zalloc(n->layers, sizeof *n->kept);
    n->packed = lm_zalloc(n->layers, sizeof *n->packed);
    divide(n, n->slab, threads);
    for (size_t t = 0; t < n->positions; t++)
        lm_rope_angles(n->angles + t * n->head_dim, t, n->head_dim, model->config.rope_theta);
    return n;
}

void lm_net_free(struct lm_net *n)
{
    if (!n)
        return;
    free(n->kept);
    free(n->packed);
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
