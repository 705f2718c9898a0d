/* The definition of the kernels of bf16.h: plain C, no tricks. */
#include "tensor/bf16.h"
#include "tensor/kernels_rows.h"

#include "tensor/quant.h"

#include <math.h>
#include <string.h>

enum { PANEL = LM_BF16_PANEL, GROUP = LM_BF16_GROUP, SPAN = LM_BF16_SPAN, TRANSPOSED = 32 };

static float get(const uint16_t *x)
{
    return lm_bf16_decode(*x);
}

static void put(uint16_t *x, double value)
{
    *x = lm_bf16_encode((float)value);
}

/* ---- products and the loss ---- */

/* sum + one row by one column of panels; b is the column's first pair. */
static float chain(float sum, const uint16_t *a, const uint16_t *b, size_t k)
{
    for (size_t l = 0; l < k; l += 2, b += 2 * PANEL) {
        sum = fmaf(get(a + l + 1), get(b + 1), sum);
        sum = fmaf(get(a + l), get(b), sum);
    }
    return sum;
}

static float sum_at(const struct lm_bf16_product *p, float sum, size_t row, size_t col)
{
    const size_t panel = col / PANEL, in_panel = col % PANEL * 2;
    sum = chain(sum, p->a + row * p->a_stride, p->b + panel * p->b_stride + in_panel, p->k);
    if (p->low_k == 0)
        return sum;
    return chain(sum, p->low_a + row * p->low_a_stride, p->low_b + panel * p->low_b_stride + in_panel,
                 p->low_k);
}

static void product(const struct lm_bf16_product *p, size_t row, size_t rows, size_t col, size_t cols)
{
    const size_t end = p->c16 ? lm_bf16_pad(col + cols) : col + cols;
    for (size_t i = row; i < row + rows; i++)
        for (size_t j = col; j < end; j++) {
            const size_t at = i * p->c_stride + j;
            const float start =
                (p->base && j < p->n ? p->base[at] : 0) + (p->bias && j < p->n ? p->bias[j] : 0);
            const float sum = sum_at(p, start, i, j);
            if (p->c16)
                put(p->c16 + at, sum);
            else
                p->c[at] = sum;
        }
}

static size_t share_at(size_t stride, size_t i, size_t col)
{
    return col / GROUP * stride + i * GROUP + col % GROUP;
}

static void logits_span(const struct lm_bf16_logits *l, size_t i, size_t col, size_t count)
{
    float x[SPAN], most = -INFINITY;
    double total = 0;
    for (size_t j = 0; j < count; j++) {
        x[j] = sum_at(&l->product, 0, i, col + j);
        most = x[j] > most ? x[j] : most;
        if (col + j == l->target[i])
            l->at_target[i] = x[j];
    }
    const double top = rint(most / log(2));
    for (size_t j = 0; j < lm_bf16_pad(count); j++) {
        const double e = j < count ? exp(x[j] - top * log(2)) : 0;
        total += e;
        put(l->share + share_at(l->share_stride, i, col + j), e);
    }
    l->top[i * l->spans + col / SPAN] = (float)top;
    l->total[i * l->spans + col / SPAN] = (float)total;
}

static void logits(const struct lm_bf16_logits *l, size_t row, size_t rows, size_t col, size_t cols)
{
    for (size_t i = row; i < row + rows; i++)
        for (size_t j = col; j < col + cols; j += SPAN)
            logits_span(l, i, j, col + cols - j < SPAN ? col + cols - j : SPAN);
}

static void loss_back(const struct lm_bf16_loss_back *l, size_t first, size_t count)
{
    for (size_t i = 0; i < (l->m + TRANSPOSED - 1) / TRANSPOSED * TRANSPOSED; i++)
        for (size_t j = 0; j < lm_bf16_pad(count); j++) {
            const size_t at = first + j;
            double d = 0;
            if (i < l->m && at < l->columns)
                d = get(l->share + share_at(l->share_stride, i, at)) *
                        (l->factor[i * l->spans + at / SPAN] * l->scale[i]) -
                    (at == l->target[i] ? l->scale[i] : 0);
            if (i < l->m)
                put(l->rows + i * l->rows_stride + j, d);
            if (j < count && l->transposed)
                put(l->transposed + j * l->transposed_stride + i, d);
        }
}

/* ---- layouts ---- */

static uint16_t *in_panels(uint16_t *panels, size_t stride, size_t l, size_t j)
{
    return panels + j / PANEL * stride + (l / 2 * PANEL + j % PANEL) * 2 + l % 2;
}

static void pack_forward(uint16_t *ret, size_t stride, const float *w, size_t out, size_t in, size_t first,
                         size_t count)
{
    for (size_t j = first; j < lm_bf16_pad(first + count); j++)
        for (size_t l = 0; l < (in + 1) / 2 * 2; l++)
            put(in_panels(ret, stride, l, j), j < out && l < in ? w[j * in + l] : 0);
}

static void pack_backward(uint16_t *ret, size_t stride, const float *w, size_t out, size_t in, size_t first,
                          size_t count)
{
    for (size_t j = first; j < lm_bf16_pad(first + count); j++)
        for (size_t l = 0; l < (out + 1) / 2 * 2; l++)
            put(in_panels(ret, stride, l, j), j < in && l < out ? w[l * in + j] : 0);
}

static void pack(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows, size_t cols,
                 size_t first, size_t count)
{
    for (size_t j = first; j < lm_bf16_pad(first + count); j++)
        for (size_t l = 0; l < (rows + 1) / 2 * 2; l++)
            *in_panels(ret, ret_stride, l, j) = j < cols && l < rows ? x[l * stride + j] : 0;
}

static void transpose(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                      size_t cols, size_t first, size_t count)
{
    (void)cols;
    for (size_t j = first; j < first + count; j++)
        for (size_t l = 0; l < (rows + TRANSPOSED - 1) / TRANSPOSED * TRANSPOSED; l++)
            ret[j * ret_stride + l] = l < rows ? x[l * stride + j] : 0;
}

/* ---- row by row ---- */

static void rmsnorm(uint16_t *y, size_t stride, float *scale, const float *x, const float *gain, size_t rows,
                    size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += stride) {
        double sum = 0;
        for (size_t i = 0; i < dim; i++)
            sum += (double)x[i] * x[i];
        scale[r] = (float)(1 / sqrt(sum / (double)dim + eps));
        for (size_t i = 0; i < dim; i++)
            put(y + i, gain[i] * (scale[r] * x[i]));
    }
}

static void rmsnorm_back(float *dx, uint16_t *dx16, float *dgain, const uint16_t *dy, size_t stride,
                         const float *x, const float *scale, const float *gain, size_t rows, size_t dim)
{
    memset(dgain, 0, dim * sizeof *dgain);
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dx16 += stride, dy += stride) {
        const double s = scale[r];
        double along = 0;   // the part of the gradient that points along x
        for (size_t i = 0; i < dim; i++)
            along += (double)gain[i] * get(dy + i) * x[i];
        along *= s * s * s / (double)dim;
        for (size_t i = 0; i < dim; i++) {
            dx[i] += (float)(s * gain[i] * get(dy + i) - along * x[i]);
            put(dx16 + i, dx[i]);
            dgain[i] += (float)(get(dy + i) * s * x[i]);
        }
    }
}

static void rope(uint16_t *x, const float *cos_sin, size_t heads, size_t head_dim, float direction)
{
    const size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i++) {
            const double a = get(x + i), b = get(x + i + half), c = cos_sin[i];
            const double s = direction * cos_sin[half + i];
            put(x + i, a * c - b * s);
            put(x + i + half, b * c + a * s);
        }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void swiglu(uint16_t *y, const uint16_t *gate, const uint16_t *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(y + i, get(gate + i) * sigmoid(get(gate + i)) * get(up + i));
}

static void swiglu_back(uint16_t *gate, uint16_t *up, uint16_t *dy, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double g = get(gate + i), u = get(up + i), d = get(dy + i), s = sigmoid(g);
        put(gate + i, d * u * s * (1 + g * (1 - s)));
        put(up + i, d * g * s);
        put(dy + i, g * s * u);
    }
}

static void layernorm(uint16_t *y, size_t stride, float *mean, float *scale, const float *x,
                      const float *gain, const float *bias, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += stride) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < dim; i++)
            sum += x[i];
        sum /= (double)dim;
        for (size_t i = 0; i < dim; i++)
            square += (x[i] - sum) * (x[i] - sum);
        mean[r] = (float)sum;
        scale[r] = (float)(1 / sqrt(square / (double)dim + eps));
        for (size_t i = 0; i < dim; i++)
            put(y + i, gain[i] * ((x[i] - sum) * scale[r]) + bias[i]);
    }
}

static void layernorm_back(float *dx, uint16_t *dx16, float *dgain, float *dbias, const uint16_t *dy,
                           size_t stride, const float *x, const float *mean, const float *scale,
                           const float *gain, size_t rows, size_t dim)
{
    memset(dgain, 0, dim * sizeof *dgain);
    memset(dbias, 0, dim * sizeof *dbias);
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dx16 += stride, dy += stride) {
        const double s = scale[r], m = mean[r];
        double level = 0, along = 0;
        for (size_t i = 0; i < dim; i++) {
            level += (double)gain[i] * get(dy + i) / (double)dim;
            along += (double)gain[i] * get(dy + i) * (x[i] - m) * s / (double)dim;
        }
        for (size_t i = 0; i < dim; i++) {
            const double h = (x[i] - m) * s;
            dx[i] += (float)(s * ((double)gain[i] * get(dy + i) - level - h * along));
            put(dx16 + i, dx[i]);
            dgain[i] += (float)(get(dy + i) * h);
            dbias[i] += get(dy + i);
        }
    }
}

#define GELU_SLOPE 1.5957691216057308   // 2 sqrt(2 / pi)
#define GELU_CUBE 0.044715

static void gelu(uint16_t *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = get(x + i);
        put(y + i, v * sigmoid(GELU_SLOPE * (v + GELU_CUBE * v * v * v)));
    }
}

static void gelu_back(uint16_t *x, uint16_t *dy, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = get(x + i), d = get(dy + i), s = sigmoid(GELU_SLOPE * (v + GELU_CUBE * v * v * v));
        put(x + i, d * (s + v * s * (1 - s) * GELU_SLOPE * (1 + 3 * GELU_CUBE * v * v)));
        put(dy + i, v * s);
    }
}

static void row_sums(float *ret, const uint16_t *x, size_t stride, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < cols; j++)
            sum += get(x + i * stride + j);
        ret[i] += (float)sum;
    }
}

static void round_row(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(y + i, x[i]);
}

/* ---- attention ---- */

static double dot(const uint16_t *x, const uint16_t *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)get(x + i) * get(y + i);
    return sum;
}

static double score(const struct lm_bf16_attention *a, const uint16_t *qkv, size_t h, size_t kv, size_t t,
                    size_t s)
{
    const size_t dim = a->shape.head_dim;
    return dot(qkv + t * a->stride + h * dim, qkv + s * a->stride + a->k_at + kv * dim, dim) /
           sqrt((double)dim);
}

static void attention(const struct lm_bf16_attention *a, size_t kv, uint16_t *out, float *lse,
                      const uint16_t *qkv, void *scratch)
{
    const struct lm_attention *shape = &a->shape;
    const size_t dim = shape->head_dim, group = shape->heads / shape->kv_heads;
    float *p = scratch;   // (T)
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t t = 0; t < shape->positions; t++) {
            double top = -INFINITY, sum = 0;
            for (size_t s = shape->start[t]; s <= t; s++) {
                p[s] = (float)score(a, qkv, h, kv, t, s);
                top = fmax(top, p[s]);
            }
            for (size_t s = shape->start[t]; s <= t; s++)
                sum += exp(p[s] - top);
            lse[h * shape->positions + t] = (float)(top + log(sum));
            for (size_t d = 0; d < dim; d++) {
                double value = 0;
                for (size_t s = shape->start[t]; s <= t; s++)
                    value += exp(p[s] - top) / sum * get(qkv + s * a->stride + a->v_at + kv * dim + d);
                put(out + t * a->out_stride + h * dim + d, value);
            }
        }
}

static void store(uint16_t *ret, size_t stride, const float *x, size_t rows, size_t dim)
{
    for (size_t t = 0; t < rows; t++)
        for (size_t d = 0; d < dim; d++)
            put(ret + t * stride + d, x[t * dim + d]);
}

static void attention_back(const struct lm_bf16_attention *a, size_t kv, uint16_t *dqkv, const uint16_t *dout,
                           const uint16_t *out, const float *lse, const uint16_t *qkv, void *scratch)
{
    const struct lm_attention *shape = &a->shape;
    const size_t dim = shape->head_dim, n = shape->positions, group = shape->heads / shape->kv_heads;
    float *dk = scratch, *dv = dk + n * dim, *dq = dv + n * dim;
    memset(dk, 0, 2 * n * dim * sizeof *dk);
    for (size_t h = kv * group; h < (kv + 1) * group; h++) {
        memset(dq, 0, n * dim * sizeof *dq);
        for (size_t t = 0; t < n; t++) {
            const uint16_t *q = qkv + t * a->stride + h * dim, *d_out = dout + t * a->out_stride + h * dim;
            const double delta = dot(d_out, out + t * a->out_stride + h * dim, dim);
            for (size_t s = shape->start[t]; s <= t; s++) {
                const uint16_t *k = qkv + s * a->stride + a->k_at + kv * dim, *v = k + a->v_at - a->k_at;
                const double p = exp(score(a, qkv, h, kv, t, s) - lse[h * n + t]);
                const double ds = p * (dot(d_out, v, dim) - delta) / sqrt((double)dim);
                for (size_t d = 0; d < dim; d++) {
                    dv[s * dim + d] += (float)(p * get(d_out + d));
                    dq[t * dim + d] += (float)(ds * get(k + d));
                    dk[s * dim + d] += (float)(ds * get(q + d));
                }
            }
        }
        store(dqkv + h * dim, a->stride, dq, n, dim);
    }
    store(dqkv + a->k_at + kv * dim, a->stride, dk, n, dim);
    store(dqkv + a->v_at + kv * dim, a->stride, dv, n, dim);
}

const struct lm_bf16_kernels lm_bf16_scalar = {
    .product = product,
    .logits = logits,
    .loss_back = loss_back,
    .pack_forward = pack_forward,
    .pack_backward = pack_backward,
    .pack = pack,
    .transpose = transpose,
    .rmsnorm = rmsnorm,
    .rmsnorm_back = rmsnorm_back,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_back = swiglu_back,
    .layernorm = layernorm,
    .layernorm_back = layernorm_back,
    .gelu = gelu,
    .gelu_back = gelu_back,
    .row_sums = row_sums,
    .round = round_row,
    .attention = attention,
    .attention_back = attention_back,
    .burn = lm_burn_scalar,
};
