#include "reference.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

const struct lm_llama_config reference_configs[REFERENCE_CONFIGS] = {
    { .vocab_size = 300,
      .dim = 64,
      .layers = 2,
      .heads = 4,
      .kv_heads = 2,
      .ffn_dim = 96,
      .context = 96,
      .rope_theta = 10000,
      .norm_eps = 1e-5,
      .tied = true,
      .bos_id = -1,
      .eos_id = -1 },
    { .vocab_size = 77,
      .dim = 30,
      .layers = 3,
      .heads = 3,
      .kv_heads = 1,
      .ffn_dim = 50,
      .context = 50,
      .rope_theta = 500000,
      .norm_eps = 1e-6,
      .bos_id = -1,
      .eos_id = -1 },
    { .vocab_size = 513,
      .dim = 48,
      .layers = 1,
      .heads = 2,
      .kv_heads = 2,
      .ffn_dim = 150,
      .context = 130,
      .rope_theta = 10000,
      .norm_eps = 1e-5,
      .bos_id = -1,
      .eos_id = -1 },
};

void reference_model(struct lm_llama *m, const struct lm_llama_config *config, uint64_t seed)
{
    lm_llama_init(m, config);
    lm_llama_random(m, seed);
    struct lm_rng rng = lm_rng_make(seed, 99);
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++) {
        size_t rows, cols;
        lm_llama_shape(config, t, &rows, &cols);
        if (t == LM_LLAMA_HEAD && config->tied)
            continue;
        for (size_t i = 0; i < lm_llama_layer_count(config, t) * rows * cols; i++)
            m->tensor[t][i] = (float)(lm_llama_tensors[t].is_matrix ? 0.25 * lm_rng_normal(&rng)
                                                                    : 1 + 0.3 * lm_rng_normal(&rng));
    }
}

static void multiply(double *y, const float *w, const double *x, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        y[r] = 0;
        for (size_t c = 0; c < cols; c++)
            y[r] += (double)w[r * cols + c] * x[c];
    }
}

static void norm(double *y, const double *x, const float *gain, size_t dim, double eps)
{
    double squares = 0;
    for (size_t i = 0; i < dim; i++)
        squares += x[i] * x[i];
    for (size_t i = 0; i < dim; i++)
        y[i] = (double)gain[i] * x[i] / sqrt(squares / (double)dim + eps);
}

static void rotate(double *x, size_t position, size_t width, double theta)
{
    for (size_t d = 0; d < width / 2; d++) {
        const double angle = (double)position * pow(theta, -2.0 * (double)d / (double)width);
        const double a = x[d], b = x[d + width / 2];
        x[d] = a * cos(angle) - b * sin(angle);
        x[d + width / 2] = b * cos(angle) + a * sin(angle);
    }
}

struct sizes {
    size_t count, dim, heads, kv_heads, width, ffn;
};

static void attention(const struct lm_llama *m, struct sizes s, size_t layer, double *x, double *k, double *v)
{
    double *n = lm_zalloc(3 * s.dim, sizeof *n), *q = n + s.dim, *out = q + s.dim;
    double *score = lm_zalloc(s.count, sizeof *score);
    const size_t kv_dim = s.kv_heads * s.width;
    for (size_t t = 0; t < s.count; t++) {
        norm(n, x + t * s.dim, lm_llama_at(m, LM_LLAMA_ATTN_NORM, layer), s.dim, m->config.norm_eps);
        multiply(q, lm_llama_at(m, LM_LLAMA_WQ, layer), n, s.dim, s.dim);
        multiply(k + t * kv_dim, lm_llama_at(m, LM_LLAMA_WK, layer), n, kv_dim, s.dim);
        multiply(v + t * kv_dim, lm_llama_at(m, LM_LLAMA_WV, layer), n, kv_dim, s.dim);
        for (size_t h = 0; h < s.kv_heads; h++)
            rotate(k + t * kv_dim + h * s.width, t, s.width, m->config.rope_theta);
        for (size_t h = 0; h < s.heads; h++) {
            const size_t g = h / (s.heads / s.kv_heads) * s.width;
            rotate(q + h * s.width, t, s.width, m->config.rope_theta);
            double sum = 0;
            for (size_t u = 0; u <= t; u++) {
                score[u] = 0;
                for (size_t d = 0; d < s.width; d++)
                    score[u] += q[h * s.width + d] * k[u * kv_dim + g + d];
                sum += score[u] = exp(score[u] / sqrt((double)s.width));
            }
            for (size_t d = 0; d < s.width; d++) {
                out[h * s.width + d] = 0;
                for (size_t u = 0; u <= t; u++)
                    out[h * s.width + d] += score[u] / sum * v[u * kv_dim + g + d];
            }
        }
        multiply(n, lm_llama_at(m, LM_LLAMA_WO, layer), out, s.dim, s.dim);
        for (size_t i = 0; i < s.dim; i++)
            x[t * s.dim + i] += n[i];
    }
    free(n);
    free(score);
}

static void feed_forward(const struct lm_llama *m, struct sizes s, size_t layer, double *x)
{
    double *n = lm_zalloc(s.dim, sizeof *n), *gate = lm_zalloc(2 * s.ffn, sizeof *gate), *up = gate + s.ffn;
    norm(n, x, lm_llama_at(m, LM_LLAMA_FFN_NORM, layer), s.dim, m->config.norm_eps);
    multiply(gate, lm_llama_at(m, LM_LLAMA_W_GATE, layer), n, s.ffn, s.dim);
    multiply(up, lm_llama_at(m, LM_LLAMA_W_UP, layer), n, s.ffn, s.dim);
    for (size_t i = 0; i < s.ffn; i++)
        gate[i] *= up[i] / (1 + exp(-gate[i]));
    multiply(n, lm_llama_at(m, LM_LLAMA_W_DOWN, layer), gate, s.dim, s.ffn);
    for (size_t i = 0; i < s.dim; i++)
        x[i] += n[i];
    free(n);
    free(gate);
}

void reference_logits(const struct lm_llama *m, const uint32_t *tokens, size_t count, double *ret)
{
    const struct lm_llama_config *c = &m->config;
    const struct sizes s = { .count = count,
                             .dim = (size_t)c->dim,
                             .heads = (size_t)c->heads,
                             .kv_heads = (size_t)c->kv_heads,
                             .width = (size_t)(c->dim / c->heads),
                             .ffn = (size_t)c->ffn_dim };
    double *x = lm_zalloc(count * s.dim, sizeof *x), *k = lm_zalloc(count * s.dim, sizeof *k);
    double *v = lm_zalloc(count * s.dim, sizeof *v);
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < s.dim; i++)
            x[t * s.dim + i] = (double)m->tensor[LM_LLAMA_EMBED][tokens[t] * s.dim + i];
    for (size_t l = 0; l < (size_t)c->layers; l++) {
        attention(m, s, l, x, k, v);
        for (size_t t = 0; t < count; t++)
            feed_forward(m, s, l, x + t * s.dim);
    }
    for (size_t t = 0; t < count; t++) {
        norm(x + t * s.dim, x + t * s.dim, m->tensor[LM_LLAMA_NORM], s.dim, c->norm_eps);
        multiply(ret + t * (size_t)c->vocab_size, m->tensor[LM_LLAMA_HEAD], x + t * s.dim,
                 (size_t)c->vocab_size, s.dim);
    }
    free(x);
    free(k);
    free(v);
}

double reference_logprob(const double *logits, size_t vocab, uint32_t token)
{
    double max = logits[0], sum = 0;
    for (size_t i = 1; i < vocab; i++)
        max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < vocab; i++)
        sum += exp(logits[i] - max);
    return logits[token] - max - log(sum);
}
