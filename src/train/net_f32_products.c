/* Products of the f32 network: a matrix, its bias, its adapter. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <string.h>

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

enum lm_rc lm_net_linear32(const struct lm_net *n, float *y, const float *x, enum lm_llama_tensor kind,
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

/* dB += dy^T (scale x A^T), dA += (scale dy B)^T x; n->low_back is the latter's left side then. */
static enum lm_rc backward_adapter(const struct lm_net *n, const struct lm_gradient *g,
                                   const struct lm_net_back *w, struct lm_err *err)
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

enum lm_rc lm_net_back32_weight(const struct lm_net *n, const struct lm_gradient *g,
                                const struct lm_net_back *w, struct lm_err *err)
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

enum lm_rc lm_net_back32_input(const struct lm_net *n, const struct lm_net_back *w, float *dx, bool add_to_dx,
                               struct lm_err *err)
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

enum lm_rc lm_net_back32(const struct lm_net *n, const struct lm_gradient *g, const struct lm_net_back *w,
                         float *dx, bool add_to_dx, struct lm_err *err)
{
    LM_TRY(lm_net_back32_weight(n, g, w, err));
    return lm_net_back32_input(n, w, dx, add_to_dx, err);
}
