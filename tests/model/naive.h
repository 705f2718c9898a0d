#ifndef LM_TESTS_MODEL_NAIVE_H
#define LM_TESTS_MODEL_NAIVE_H
/* tests/model/naive.h - every architecture computed as dumbly as possible, in double, from the definition:
 * no cache, no batch, each position from scratch.  What the fast forward pass, and the loading of weights,
 * are held against. */

#include "model/model.h"

#include <math.h>
#include <stdlib.h>

struct naive {
    const struct lm_model *m;
    size_t count;         // positions
    double *x;            // (count, C)
    double *frequency;    // (D / 2)
    double rope_factor;   // of cosines and sines
};

static inline double *naive_alloc(size_t count)
{
    return lm_zalloc(count, sizeof(double));
}

/* y[r] = W[r] x + b[r]; the bias may be absent, or LM_T_COUNT: none. */
static inline void naive_product(const struct naive *n, enum lm_tensor w, enum lm_tensor b, size_t layer,
                                 const double *x, double *y)
{
    const struct lm_weight *matrix = lm_model_at(n->m, w, layer);
    const struct lm_weight *bias = b == LM_T_COUNT ? NULL : lm_model_at(n->m, b, layer);
    float *row = lm_alloc(matrix->cols * sizeof *row), *add = NULL;
    if (bias && bias->data) {
        add = lm_alloc(bias->cols * sizeof *add);
        lm_weight_row_f32(bias, 0, add);
    }
    for (size_t r = 0; r < matrix->rows; r++) {
        double sum = add ? add[r] : 0;
        lm_weight_row_f32(matrix, r, row);
        for (size_t i = 0; i < matrix->cols; i++)
            sum += (double)row[i] * x[i];
        y[r] = sum;
    }
    free(row);
    free(add);
}

/* In place, over the length of the gain: LayerNorm, or RMSNorm when there is no bias tensor in the
 * architecture. */
static inline void naive_norm(const struct naive *n, enum lm_tensor gain, enum lm_tensor bias, size_t layer,
                              double *x)
{
    const struct lm_weight *g = lm_model_at(n->m, gain, layer);
    const bool centred = bias != LM_T_COUNT && lm_archs[n->m->config.arch].layer_norm;
    float *scale = lm_alloc(g->cols * sizeof *scale), *shift = lm_alloc(g->cols * sizeof *shift);
    double mean = 0, square = 0;
    lm_weight_row_f32(g, 0, scale);
    if (centred)
        lm_weight_row_f32(lm_model_at(n->m, bias, layer), 0, shift);
    for (size_t i = 0; i < g->cols && centred; i++)
        mean += x[i] / (double)g->cols;
    for (size_t i = 0; i < g->cols; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)g->cols;
    for (size_t i = 0; i < g->cols; i++)
        x[i] = (x[i] - mean) / sqrt(square + n->m->config.norm_eps) * scale[i] + (centred ? shift[i] : 0);
    free(scale);
    free(shift);
}

static inline void naive_rotate(const struct naive *n, double *head, size_t position)
{
    const size_t half = (size_t)n->m->config.head_dim / 2;
    for (size_t d = 0; d < half; d++) {
        const double angle = (double)position * n->frequency[d];
        const double c = cos(angle) * n->rope_factor, s = sin(angle) * n->rope_factor;
        const double a = head[d], b = head[d + half];
        head[d] = a * c - b * s;
        head[d + half] = b * c + a * s;
    }
}

static inline void naive_heads(const struct naive *n, double *x, int64_t heads, enum lm_tensor norm,
                               size_t layer, size_t position)
{
    const size_t width = (size_t)n->m->config.head_dim;
    for (int64_t h = 0; h < heads; h++, x += width) {
        if (lm_model_at(n->m, norm, layer)->data)
            naive_norm(n, norm, LM_T_COUNT, layer, x);
        if (lm_archs[n->m->config.arch].rope)
            naive_rotate(n, x, position);
    }
}

/* Mixes v over the positions that p may see, for one head. */
static inline void naive_mix(const struct naive *n, size_t layer, size_t p, const double *q, const double *k,
                             const double *v, size_t stride, double *ret)
{
    const struct lm_model_config *c = &n->m->config;
    const size_t width = (size_t)c->head_dim, end = lm_archs[c->arch].causal ? p + 1 : n->count;
    const bool slides = c->window > 0 && (int64_t)layer >= c->window_from_layer;
    const size_t start = slides && p + 1 > (size_t)c->window ? p + 1 - (size_t)c->window : 0;
    double *score = naive_alloc(n->count), sum = 0;
    for (size_t j = start; j < end; j++) {
        for (size_t d = 0; d < width; d++)
            score[j] += q[d] * k[j * stride + d] / sqrt((double)width);
        sum += score[j] = exp(score[j]);
    }
    for (size_t d = 0; d < width; d++) {
        ret[d] = 0;
        for (size_t j = start; j < end; j++)
            ret[d] += score[j] / sum * v[j * stride + d];
    }
    free(score);
}

/* ret (count, C): attention over x (count, C). */
static inline void naive_attention(const struct naive *n, size_t layer, const double *x, double *ret)
{
    const struct lm_model_config *c = &n->m->config;
    const size_t dim = (size_t)c->dim, width = (size_t)c->head_dim, group = (size_t)(c->heads / c->kv_heads);
    const size_t q_len = (size_t)c->heads * width, kv_len = (size_t)c->kv_heads * width;
    double *q = naive_alloc(n->count * q_len), *k = naive_alloc(n->count * kv_len);
    double *v = naive_alloc(n->count * kv_len), *mixed = naive_alloc(q_len);
    for (size_t p = 0; p < n->count; p++) {
        naive_product(n, LM_T_WQ, LM_T_BQ, layer, x + p * dim, q + p * q_len);
        naive_product(n, LM_T_WK, LM_T_BK, layer, x + p * dim, k + p * kv_len);
        naive_product(n, LM_T_WV, LM_T_BV, layer, x + p * dim, v + p * kv_len);
        naive_heads(n, q + p * q_len, c->heads, LM_T_Q_NORM, layer, p);
        naive_heads(n, k + p * kv_len, c->kv_heads, LM_T_K_NORM, layer, p);
    }
    for (size_t p = 0; p < n->count; p++) {
        for (size_t h = 0; h < (size_t)c->heads; h++)
            naive_mix(n, layer, p, q + p * q_len + h * width, k + h / group * width, v + h / group * width,
                      kv_len, mixed + h * width);
        naive_product(n, LM_T_WO, LM_T_BO, layer, mixed, ret + p * dim);
    }
    free(q);
    free(k);
    free(v);
    free(mixed);
}

static inline double naive_gelu(double x, bool by_tanh)
{
    return by_tanh ? 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))
                   : 0.5 * x * (1 + erf(x / sqrt(2)));
}

static inline void naive_ffn(const struct naive *n, size_t layer, const double *x, double *ret)
{
    const struct lm_arch_info *arch = &lm_archs[n->m->config.arch];
    const size_t ffn = (size_t)n->m->config.ffn_dim;
    double *up = naive_alloc(ffn), *gate = naive_alloc(ffn);
    naive_product(n, LM_T_W_UP, LM_T_B_UP, layer, x, up);
    if (arch->gated)
        naive_product(n, LM_T_W_GATE, LM_T_COUNT, layer, x, gate);
    for (size_t i = 0; i < ffn; i++)
        up[i] = arch->gated ? up[i] * gate[i] / (1 + exp(-gate[i])) : naive_gelu(up[i], arch->gelu_tanh);
    naive_product(n, LM_T_W_DOWN, LM_T_B_DOWN, layer, up, ret);
    free(up);
    free(gate);
}

/* x = x + f(norm(x)), or norm(x + f(x)). */
static inline void naive_layer(struct naive *n, size_t layer)
{
    const size_t dim = (size_t)n->m->config.dim;
    const bool after = lm_archs[n->m->config.arch].norm_after;
    double *in = naive_alloc(n->count * dim), *out = naive_alloc(n->count * dim);
    for (int part = 0; part < 2; part++) {
        const enum lm_tensor gain = part ? LM_T_FFN_NORM : LM_T_ATTN_NORM;
        const enum lm_tensor bias = part ? LM_T_FFN_NORM_BIAS : LM_T_ATTN_NORM_BIAS;
        memcpy(in, n->x, n->count * dim * sizeof *in);
        for (size_t p = 0; p < n->count && !after; p++)
            naive_norm(n, gain, bias, layer, in + p * dim);
        if (part == 0)
            naive_attention(n, layer, in, out);
        for (size_t p = 0; p < n->count && part == 1; p++)
            naive_ffn(n, layer, in + p * dim, out + p * dim);
        for (size_t i = 0; i < n->count * dim; i++)
            n->x[i] += out[i];
        for (size_t p = 0; p < n->count && after; p++)
            naive_norm(n, gain, bias, layer, n->x + p * dim);
    }
    free(in);
    free(out);
}

static inline void naive_add_row(const struct naive *n, enum lm_tensor tensor, size_t row, double *x)
{
    const struct lm_weight *w = lm_model_at(n->m, tensor, 0);
    if (!w->data)
        return;
    float *values = lm_alloc(w->cols * sizeof *values);
    lm_weight_row_f32(w, row, values);
    for (size_t i = 0; i < w->cols; i++)
        x[i] += values[i];
    free(values);
}

/* Logits (count, V), or the last hidden state (count, C) of an encoder; token type 0.  free() it. */
static inline double *naive_run(const struct lm_model *m, const uint32_t *tokens, size_t count)
{
    const size_t dim = (size_t)m->config.dim, vocab = (size_t)m->config.vocab_size;
    struct naive n = { .m = m, .count = count, .x = naive_alloc(count * dim) };
    n.frequency = naive_alloc((size_t)m->config.head_dim);
    if (lm_archs[m->config.arch].rope)
        n.rope_factor = lm_model_rope(&m->config, n.frequency);
    for (size_t p = 0; p < count; p++) {
        naive_add_row(&n, LM_T_EMBED, tokens[p], n.x + p * dim);
        naive_add_row(&n, LM_T_POSITION, p, n.x + p * dim);
        naive_add_row(&n, LM_T_TOKEN_TYPE, 0, n.x + p * dim);
        if (lm_model_at(m, LM_T_EMBED_NORM, 0)->data)
            naive_norm(&n, LM_T_EMBED_NORM, LM_T_EMBED_NORM_BIAS, 0, n.x + p * dim);
    }
    for (size_t l = 0; l < (size_t)m->config.layers; l++)
        naive_layer(&n, l);
    free(n.frequency);
    if (!lm_archs[m->config.arch].causal)
        return n.x;
    double *logits = naive_alloc(count * vocab);
    for (size_t p = 0; p < count; p++) {
        naive_norm(&n, LM_T_NORM, LM_T_NORM_BIAS, 0, n.x + p * dim);
        naive_product(&n, LM_T_HEAD, LM_T_COUNT, 0, n.x + p * dim, logits + p * vocab);
    }
    free(n.x);
    return logits;
}

#endif
