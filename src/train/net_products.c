/* Products of the bf16 network with the matrices of a layer, and with the adapters on them.
 *
 * Products to weights run over positions, so both operands are laid out anew: a few percent of the product's
 * time.  An adapter is a second product that goes on with the sums of the first. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <string.h>

enum { FORWARD = LM_NET_FORWARD, BACKWARD = LM_NET_BACKWARD, PANEL = LM_BF16_PANEL };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- bundles ---- */

struct bundle_row {
    size_t count;
    enum lm_llama_tensor kind[LM_NET_BUNDLE_MAX];
};
static const struct bundle_row bundle_rows[LM_NET_BUNDLES] = {
    [LM_NET_QKV] = { 3, { LM_LLAMA_WQ, LM_LLAMA_WK, LM_LLAMA_WV } },
    [LM_NET_OUT] = { 1, { LM_LLAMA_WO } },
    [LM_NET_GATE_UP] = { 2, { LM_LLAMA_W_GATE, LM_LLAMA_W_UP } },
    [LM_NET_DOWN] = { 1, { LM_LLAMA_W_DOWN } },
};

static const struct bundle_row up_alone = { 1, { LM_LLAMA_W_UP } };   // GPT-2 has no gate

enum lm_net_bundle_kind lm_net_bundle_of(enum lm_llama_tensor kind)
{
    for (int k = 0; k < LM_NET_BUNDLES; k++)
        for (size_t i = 0; i < bundle_rows[k].count; i++)
            if (bundle_rows[k].kind[i] == kind)
                return k;
    LM_ASSERT(!"a matrix inside layers");
    return LM_NET_BUNDLES;
}

static bool adapted(const struct lm_net *n, enum lm_llama_tensor kind)
{
    return n->config.lora && lm_lora_has(n->config.lora, kind);
}

void lm_net_set_bundles(struct lm_net *n, const struct lm_llama_config *model)
{
    n->rank16 = n->config.lora ? lm_bf16_pad((size_t)n->config.lora->config.rank) : 0;
    for (int k = 0; k < LM_NET_BUNDLES; k++) {
        struct lm_net_bundle *b = &n->bundle[k];
        const struct bundle_row *row = n->gpt2 && k == LM_NET_GATE_UP ? &up_alone : &bundle_rows[k];
        *b = (struct lm_net_bundle){ .count = row->count };
        for (size_t i = 0; i < b->count; i++) {
            b->kind[i] = row->kind[i];
            b->bias[i] = n->gpt2 ? lm_net_bias_of(b->kind[i]) : 0;
            lm_llama_shape(model, b->kind[i], &b->out[i], &b->in);
            b->at[i + 1] = b->at[i] + lm_bf16_pad(b->out[i]);
            b->low_at[i] = b->low_all;
            b->low_all += adapted(n, b->kind[i]) ? n->rank16 : 0;
        }
        b->in16 = lm_bf16_pad(b->in);
        n->low_most = b->low_all > n->low_most ? b->low_all : n->low_most;
    }
}

/* ---- packing ---- */

enum { PACK_COLS = 128 };

/* One matrix w (out, in) of those that lie side by side in panels: `at` is its first output there, `total`
 * all.
 */
static void pack_weight(const struct lm_net *n, uint16_t *const ret[2], const float *w, size_t out, size_t in,
                        size_t at, size_t total)
{
    const size_t forward_stride = lm_bf16_pad(in) * PANEL, backward_stride = total * PANEL;
    const size_t units = (out + PACK_COLS - 1) / PACK_COLS;   // of the forward panels; the others follow
    uint16_t *forward = ret[FORWARD] + at / PANEL * forward_stride, *backward = ret[BACKWARD] + at * PANEL;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < units + (in + PACK_COLS - 1) / PACK_COLS; unit++) {
        const size_t j = (unit < units ? unit : unit - units) * PACK_COLS;
        if (unit < units)
            n->kernels16->pack_forward(forward, forward_stride, w, out, in, j, smaller(PACK_COLS, out - j));
        else
            n->kernels16->pack_backward(backward, backward_stride, w, out, in, j, smaller(PACK_COLS, in - j));
    }
}

static void pack_base(struct lm_net *n)
{
    for (size_t l = 0; l < n->layers; l++)
        for (int k = 0; k < LM_NET_BUNDLES; k++) {
            const struct lm_net_bundle *b = &n->bundle[k];
            for (size_t i = 0; i < b->count; i++) {
                if (b->bias[i])
                    memcpy(n->packed[l].bias[k] + b->at[i], lm_llama_at(n->model, b->bias[i], l),
                           b->out[i] * sizeof(float));
                pack_weight(n, n->packed[l].w[k], lm_llama_at(n->model, b->kind[i], l), b->out[i], b->in,
                            b->at[i], b->at[b->count]);
            }
        }
    pack_weight(n, n->head, n->model->tensor[LM_LLAMA_HEAD], n->vocab, n->width, 0, n->v16);
}

/* The adapter of matrix i of a bundle.  The scale is A's to the front and B's to the back, so every product
 * that has it has it once. */
static void pack_adapter(const struct lm_net *n, size_t layer, int kind, size_t i)
{
    const struct lm_net_bundle *bundle = &n->bundle[kind];
    const struct lm_net_packed *p = &n->packed[layer];
    const struct lm_lora *lora = n->config.lora;
    const float *a = lm_lora_a(lora, bundle->kind[i], layer), *b = lm_lora_b(lora, bundle->kind[i], layer);
    const float *scaled_a = n->scaled + (a - lora->params), *scaled_b = n->scaled + (b - lora->params);
    const size_t rank = (size_t)lora->config.rank, out = bundle->out[i], in = bundle->in;
    const size_t low = bundle->low_at[i], at = bundle->at[i];
    n->kernels16->pack_forward(p->a[kind][FORWARD] + low * bundle->in16, bundle->in16 * PANEL, scaled_a, rank,
                               in, 0, rank);
    n->kernels16->pack_backward(p->a[kind][BACKWARD] + low * PANEL, bundle->low_all * PANEL, a, rank, in, 0,
                                in);
    n->kernels16->pack_forward(p->b[kind][FORWARD] + at * n->rank16, n->rank16 * PANEL, b, out, rank, 0, out);
    n->kernels16->pack_backward(p->b[kind][BACKWARD] + at * n->rank16, lm_bf16_pad(out) * PANEL, scaled_b,
                                out, rank, 0, rank);
}

static void pack_adapters(struct lm_net *n)
{
    const struct lm_lora *lora = n->config.lora;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < lora->count; i++)
        n->scaled[i] = lora->scale * lora->params[i];
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t l = 0; l < n->layers; l++)
        for (int k = 0; k < LM_NET_BUNDLES; k++)
            for (size_t i = 0; i < n->bundle[k].count; i++)
                if (adapted(n, n->bundle[k].kind[i]))
                    pack_adapter(n, l, k, i);
}

void lm_net_pack(struct lm_net *n)
{
    if (!n->config.lora || !n->base_packed)
        pack_base(n);
    n->base_packed = true;
    if (n->config.lora)
        pack_adapters(n);
}

/* ---- forward ---- */

/* c16 (N, stride) = x (N, k) by panels of `cols` columns */
static struct lm_bf16_product product(const struct lm_net *n, const uint16_t *x, size_t x_stride, size_t k,
                                      const uint16_t *panels, size_t cols)
{
    return (struct lm_bf16_product){ .a = x,
                                     .b = panels,
                                     .m = n->count,
                                     .n = cols,
                                     .k = k,
                                     .a_stride = x_stride,
                                     .b_stride = k * PANEL,
                                     .c_stride = cols };
}

/* What the adapters of a bundle read: x, or x with dropout. */
static const uint16_t *low_input(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind,
                                 const uint16_t *x)
{
    const size_t in16 = n->bundle[kind].in16;
    if (n->low_drop == 0)
        return x;
    memcpy(n->dropped16, x, n->count * in16 * sizeof *x);
    lm_net_drop16(n, lm_net_site(layer, LM_NET_SITE_LOW + kind), n->low_drop, n->dropped16, in16, in16);
    return n->dropped16;
}

/* scale x A^T of all adapters of a bundle */
void lm_net_low(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, const uint16_t *x)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    if (b->low_all == 0)
        return;
    struct lm_bf16_product p = product(n, low_input(n, layer, kind, x), b->in16, b->in16,
                                       n->packed[layer].a[kind][FORWARD], b->low_all);
    p.c16 = n->kept[layer].low[kind];
    lm_bf16_run(&p);
}

/* Runs a bundle's product; matrix by matrix where adapters add something of their own to each. */
static void run_forward(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind,
                        const struct lm_bf16_product *whole)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    if (b->low_all == 0) {
        lm_bf16_run(whole);
        return;
    }
    lm_net_low(n, layer, kind, whole->a);
    for (size_t i = 0; i < b->count; i++) {
        struct lm_bf16_product p = *whole;
        const size_t at = b->at[i];
        p.n = b->count > 1 ? b->at[i + 1] - at : whole->n;
        p.b += at / PANEL * whole->b_stride;
        if (whole->c16)
            p.c16 += at;
        if (adapted(n, b->kind[i])) {
            p.low_a = n->kept[layer].low[kind] + b->low_at[i];
            p.low_a_stride = b->low_all;
            p.low_b = n->packed[layer].b[kind][FORWARD] + at * n->rank16;
            p.low_b_stride = n->rank16 * PANEL;
            p.low_k = n->rank16;
        }
        lm_bf16_run(&p);
    }
}

void lm_net_linear(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, uint16_t *y,
                   const uint16_t *x)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    struct lm_bf16_product p =
        product(n, x, b->in16, b->in16, n->packed[layer].w[kind][FORWARD], b->at[b->count]);
    p.c16 = y;
    p.bias = n->gpt2 ? n->packed[layer].bias[kind] : NULL;
    run_forward(n, layer, kind, &p);
}

void lm_net_linear_add(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, float *y,
                       const float *base, const uint16_t *x)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    LM_DASSERT(b->count == 1);
    struct lm_bf16_product p = product(n, x, b->in16, b->in16, n->packed[layer].w[kind][FORWARD], n->width);
    p.c = y;
    p.base = base;
    p.bias = n->gpt2 ? n->packed[layer].bias[kind] : NULL;
    run_forward(n, layer, kind, &p);
}

/* ---- backward ---- */

/* scale dy B of all adapters of a bundle */
static void to_low_back(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind,
                        const uint16_t *dy)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    for (size_t i = 0; i < b->count; i++) {
        if (!adapted(n, b->kind[i]))
            continue;
        struct lm_bf16_product p =
            product(n, dy + b->at[i], b->at[b->count], b->at[i + 1] - b->at[i],
                    n->packed[layer].b[kind][BACKWARD] + b->at[i] * n->rank16, n->rank16);
        p.c16 = n->low_back16 + b->low_at[i];
        p.c_stride = b->low_all;
        lm_bf16_run(&p);
    }
}

void lm_net_linear_back(const struct lm_net *n, size_t layer, enum lm_net_bundle_kind kind, uint16_t *dx,
                        const uint16_t *dy)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    const size_t all = b->at[b->count];
    struct lm_bf16_product p = product(n, dy, all, all, n->packed[layer].w[kind][BACKWARD], b->in16);
    p.c16 = dx;
    if (b->low_all > 0)
        to_low_back(n, layer, kind, dy);
    if (b->low_all > 0 && n->low_drop > 0) {   // the adapter's part has a mask: it comes first, as the base
        struct lm_bf16_product low =
            product(n, n->low_back16, b->low_all, b->low_all, n->packed[layer].a[kind][BACKWARD], b->in16);
        low.c = n->undropped;
        lm_bf16_run(&low);
        lm_net_drop(n, lm_net_site(layer, LM_NET_SITE_LOW + kind), n->low_drop, n->undropped, b->in16);
        p.base = n->undropped;
    } else if (b->low_all > 0) {
        p.low_a = n->low_back16;
        p.low_a_stride = p.low_k = b->low_all;
        p.low_b = n->packed[layer].a[kind][BACKWARD];
        p.low_b_stride = b->low_all * PANEL;
    }
    lm_bf16_run(&p);
}

/* Operands of products to weights: left gets dy (N, cols) transposed, right x (N, cols) in panels. */
static void lay_left(const struct lm_net *n, const uint16_t *dy, size_t cols)
{
    lm_bf16_transpose(n->left, n->t16, dy, cols, n->count, cols);
}

static void lay_right(const struct lm_net *n, const uint16_t *x, size_t cols)
{
    lm_bf16_pack(n->right, n->k16 * PANEL, x, cols, n->count, cols);
}

/* dw (out, in) += rows [at, at + out) of left by columns [from, from + in) of right */
static void to_weight(const struct lm_net *n, float *dw, size_t at, size_t out, size_t from, size_t in)
{
    const struct lm_bf16_product p = { .a = n->left + at * n->t16,
                                       .b = n->right + from * n->k16,
                                       .c = dw,
                                       .base = dw,
                                       .m = out,
                                       .n = in,
                                       .k = (n->count + 1) / 2 * 2,
                                       .a_stride = n->t16,
                                       .b_stride = n->k16 * PANEL,
                                       .c_stride = in };
    lm_bf16_run(&p);
}

/* dbias += sums of rows [at, at + out) of left */
static void to_bias(const struct lm_net *n, float *dbias, size_t at, size_t out)
{
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < out; i += LM_NET_UNIT_COLS)
        n->kernels16->row_sums(dbias + i, n->left + (at + i) * n->t16, n->t16,
                               smaller(LM_NET_UNIT_COLS, out - i), n->count);
}

/* dB += dy^T (scale x A^T), dA += (scale dy B)^T x */
static void adapter_gradients(const struct lm_net *n, const struct lm_gradient *g, size_t layer,
                              enum lm_net_bundle_kind kind, const uint16_t *dy, const uint16_t *x)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    const struct lm_lora *lora = g->lora;
    const size_t rank = (size_t)lora->config.rank;
    if (b->low_all == 0)
        return;
    lay_left(n, dy, b->at[b->count]);
    lay_right(n, n->kept[layer].low[kind], b->low_all);
    for (size_t i = 0; i < b->count; i++)
        if (adapted(n, b->kind[i]))
            to_weight(n, g->slab + (lm_lora_b(lora, b->kind[i], layer) - lora->params), b->at[i], b->out[i],
                      b->low_at[i], rank);
    lay_left(n, n->low_back16, b->low_all);
    lay_right(n, low_input(n, layer, kind, x), b->in16);
    for (size_t i = 0; i < b->count; i++)
        if (adapted(n, b->kind[i]))
            to_weight(n, g->slab + (lm_lora_a(lora, b->kind[i], layer) - lora->params), b->low_at[i], rank, 0,
                      b->in);
}

void lm_net_gradients(const struct lm_net *n, const struct lm_gradient *g, size_t layer,
                      enum lm_net_bundle_kind kind, const uint16_t *dy, const uint16_t *x)
{
    const struct lm_net_bundle *b = &n->bundle[kind];
    if (g->lora) {
        adapter_gradients(n, g, layer, kind, dy, x);
        return;
    }
    lay_left(n, dy, b->at[b->count]);
    for (size_t i = 0; i < b->count && n->gpt2; i++)
        to_bias(n, lm_net_gradient_at(n, g, b->bias[i], layer), b->at[i], b->out[i]);
    lay_right(n, x, b->in16);
    for (size_t i = 0; i < b->count; i++)
        to_weight(n, lm_net_gradient_at(n, g, b->kind[i], layer), b->at[i], b->out[i], 0, b->in);
}
