/* tensor/kernels_simd.h - the kernels, written once in the vectors of simd_<isa>.h and compiled once per
 * instruction set: kernels_avx2.c and kernels_avx512.c include a simd header, then this file.
 *
 * Every loop ends with a masked vector, so any size is fine and no tail loop is needed. */

#include "tensor/kernels_rows.h"

#include <math.h>

static inline size_t lanes_left(size_t left)
{
    return left < LANES ? left : LANES;
}

/* exp, within 2 units in the last place; below -87.3 it is 2^-126, not 0.  x = n ln 2 + r, |r| <= ln 2 / 2,
 * exp(r) by its Taylor polynomial of degree 7. */
static inline vec vec_exp(vec x)
{
    x = vec_min(vec_set(88.3f), vec_max(vec_set(-87.3f), x));   // this order lets NaN through
    const vec n = vec_round(x * vec_set(0x1.715476p+0f));
    vec r = vec_fma(n, vec_set(-0x1.62e4p-1f), x);   // ln 2 in two parts: n times the first is exact
    r = vec_fma(n, vec_set(-0x1.7f7d1cp-20f), r);
    vec p = vec_set(1.0f / 5040);
    p = vec_fma(p, r, vec_set(1.0f / 720));
    p = vec_fma(p, r, vec_set(1.0f / 120));
    p = vec_fma(p, r, vec_set(1.0f / 24));
    p = vec_fma(p, r, vec_set(1.0f / 6));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, vec_set(1));
    p = vec_fma(p, r, vec_set(1));
    return p * vec_exponent(n);
}

static inline vec vec_sigmoid(vec x)
{
    return vec_set(1) / (vec_set(1) + vec_exp(-x));
}

static float dot(const float *a, const float *b, size_t n)
{
    vec sum = vec_set(0), sum2 = sum;   // two chains hide the latency
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sum = vec_fma(vec_load(a + i), vec_load(b + i), sum);
        sum2 = vec_fma(vec_load(a + i + LANES), vec_load(b + i + LANES), sum2);
    }
    for (; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        sum = vec_fma(vec_load_n(a + i, m), vec_load_n(b + i, m), sum);
    }
    return vec_sum(sum + sum2);
}

static void axpy(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        vec_store_n(y + i, vec_fma(vec_set(a), vec_load_n(x + i, m), vec_load_n(y + i, m)), m);
    }
}

static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        vec_store_n(y + i, vec_load_n(x + i, m) + vec_load_n(y + i, m), m);
    }
}

static double sum_squares(const float *x, size_t n)
{
    vecd sum = vecd_zero();
    for (size_t i = 0; i < n; i += LANES)
        sum = vecd_add_squares(sum, vec_load_n(x + i, lanes_left(n - i)));
    return vecd_sum(sum);
}

/* A tile of ROWS x COLS dot products, each summed in one vector from front to back: so the bits of one do not
 * depend on the tile it is in.  Eight or more chains at once hide the latency. */
static inline __attribute__((always_inline)) void dot_tile(float *y, size_t y_stride, const float *x,
                                                           const float *w, size_t k, const size_t rows,
                                                           const size_t cols)
{
    vec sum[4][8];
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            sum[r][c] = vec_set(0);
    for (size_t i = 0; i < k; i += LANES) {
        const size_t n = lanes_left(k - i);
        vec in[4];
        for (size_t r = 0; r < rows; r++)
            in[r] = vec_load_n(x + r * k + i, n);
        for (size_t c = 0; c < cols; c++) {
            const vec weight = vec_load_n(w + c * k + i, n);
            for (size_t r = 0; r < rows; r++)
                sum[r][c] = vec_fma(in[r], weight, sum[r][c]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * y_stride + c] = vec_sum(sum[r][c]);
}

static void matmul_small(float *y, size_t y_stride, const float *x, const float *w, size_t m, size_t n,
                         size_t k)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {   // these weights stay in the first-level cache for all rows
        const float *wj = w + j * k;
        size_t r = 0;
        for (; r + 4 <= m; r += 4)
            for (size_t c = 0; c < 8; c += 2)
                dot_tile(y + r * y_stride + j + c, y_stride, x + r * k, wj + c * k, k, 4, 2);
        for (; r + 2 <= m; r += 2)
            for (size_t c = 0; c < 8; c += 4)
                dot_tile(y + r * y_stride + j + c, y_stride, x + r * k, wj + c * k, k, 2, 4);
        if (r < m)
            dot_tile(y + r * y_stride + j, y_stride, x + r * k, wj, k, 1, 8);
    }
    for (; j < n; j++)
        for (size_t r = 0; r < m; r++)
            dot_tile(y + r * y_stride + j, y_stride, x + r * k, w + j * k, k, 1, 1);
}

static float row_scale(const float *x, size_t dim, float eps)
{
    return 1.0f / sqrtf(dot(x, x, dim) / (float)dim + eps);
}

static void rmsnorm(float *y, const float *x, const float *gain, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += dim) {
        const vec scale = vec_set(row_scale(x, dim, eps));
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            vec_store_n(y + i, vec_load_n(gain + i, n) * (scale * vec_load_n(x + i, n)), n);
        }
    }
}

static void rmsnorm_back(float *dx, float *ret_scale, const float *dy, const float *x, const float *gain,
                         size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dy += dim) {
        const float scale = row_scale(x, dim, eps);
        vec sum = vec_set(0);
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            sum = vec_fma(vec_load_n(gain + i, n) * vec_load_n(dy + i, n), vec_load_n(x + i, n), sum);
        }
        const vec along = vec_set(-vec_sum(sum) * scale * scale * scale / (float)dim);
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            vec d = vec_load_n(gain + i, n) * vec_load_n(dy + i, n) * vec_set(scale);
            d = vec_fma(along, vec_load_n(x + i, n), d);
            vec_store_n(dx + i, vec_load_n(dx + i, n) + d, n);
        }
        ret_scale[r] = scale;
    }
}

static void rmsnorm_gain_back(float *dgain, const float *dy, const float *x, const float *scale, size_t rows,
                              size_t cols, size_t stride)
{
    for (size_t i = 0; i < cols; i += LANES) {
        const size_t n = lanes_left(cols - i);
        vec sum = vec_set(0);
        for (size_t r = 0; r < rows; r++) {
            const vec product = vec_load_n(dy + r * stride + i, n) * vec_load_n(x + r * stride + i, n);
            sum = vec_fma(product, vec_set(scale[r]), sum);
        }
        vec_store_n(dgain + i, vec_load_n(dgain + i, n) + sum, n);
    }
}

/* x - mean, 0 behind the row. */
static inline vec load_centred(const float *x, size_t n, vec mean)
{
    return vec_keep_n(vec_load_n(x, n) - mean, n, 0);
}

static void row_moments(const float *x, size_t dim, float eps, float *ret_mean, float *ret_scale)
{
    vec sum = vec_set(0), square = vec_set(0);
    for (size_t i = 0; i < dim; i += LANES)
        sum = sum + vec_load_n(x + i, lanes_left(dim - i));
    const float mean = vec_sum(sum) / (float)dim;
    for (size_t i = 0; i < dim; i += LANES) {
        const vec v = load_centred(x + i, lanes_left(dim - i), vec_set(mean));
        square = vec_fma(v, v, square);
    }
    *ret_mean = mean;
    *ret_scale = 1.0f / sqrtf(vec_sum(square) / (float)dim + eps);
}

static void layernorm(float *y, const float *x, const float *gain, const float *bias, size_t rows, size_t dim,
                      float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += dim) {
        float mean, scale;
        row_moments(x, dim, eps, &mean, &scale);
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            const vec v = load_centred(x + i, n, vec_set(mean)) * vec_set(scale);
            vec_store_n(y + i, vec_fma(vec_load_n(gain + i, n), v, vec_load_n(bias + i, n)), n);
        }
    }
}

static void layernorm_back(float *dx, float *ret_mean, float *ret_scale, const float *dy, const float *x,
                           const float *gain, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dy += dim) {
        vec level = vec_set(0), along = vec_set(0);
        row_moments(x, dim, eps, &ret_mean[r], &ret_scale[r]);
        const vec mean = vec_set(ret_mean[r]), scale = vec_set(ret_scale[r]);
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            const vec g = vec_load_n(gain + i, n) * vec_load_n(dy + i, n);
            level = level + g;
            along = vec_fma(g, load_centred(x + i, n, mean) * scale, along);
        }
        level = vec_set(vec_sum(level) / (float)dim);
        along = vec_set(vec_sum(along) / (float)dim);
        for (size_t i = 0; i < dim; i += LANES) {
            const size_t n = lanes_left(dim - i);
            const vec g = vec_load_n(gain + i, n) * vec_load_n(dy + i, n);
            const vec d = g - level - load_centred(x + i, n, mean) * scale * along;
            vec_store_n(dx + i, vec_fma(scale, d, vec_load_n(dx + i, n)), n);
        }
    }
}

static void layernorm_gain_back(float *dgain, float *dbias, const float *dy, const float *x,
                                const float *mean, const float *scale, size_t rows, size_t cols,
                                size_t stride)
{
    for (size_t i = 0; i < cols; i += LANES) {
        const size_t n = lanes_left(cols - i);
        vec gain = vec_set(0), bias = vec_set(0);
        for (size_t r = 0; r < rows; r++) {
            const vec d = vec_load_n(dy + r * stride + i, n);
            const vec h = (vec_load_n(x + r * stride + i, n) - vec_set(mean[r])) * vec_set(scale[r]);
            gain = vec_fma(d, h, gain);
            bias = bias + d;
        }
        vec_store_n(dgain + i, vec_load_n(dgain + i, n) + gain, n);
        vec_store_n(dbias + i, vec_load_n(dbias + i, n) + bias, n);
    }
}

static void rope(float *x, const float *cos_sin, size_t heads, size_t head_dim, float direction)
{
    const size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i += LANES) {
            const size_t n = lanes_left(half - i);
            const vec a = vec_load_n(x + i, n), b = vec_load_n(x + i + half, n);
            const vec c = vec_load_n(cos_sin + i, n);
            const vec s = vec_set(direction) * vec_load_n(cos_sin + half + i, n);
            vec_store_n(x + i, a * c - b * s, n);
            vec_store_n(x + i + half, b * c + a * s, n);
        }
}

static void swiglu(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        const vec g = vec_load_n(gate + i, m);
        vec_store_n(y + i, g * vec_sigmoid(g) * vec_load_n(up + i, m), m);
    }
}

static void swiglu_back(float *gate, float *up, const float *dy, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        const vec g = vec_load_n(gate + i, m), u = vec_load_n(up + i, m), d = vec_load_n(dy + i, m);
        const vec sigmoid = vec_sigmoid(g);
        vec_store_n(gate + i, d * u * sigmoid * vec_fma(g, vec_set(1) - sigmoid, vec_set(1)), m);
        vec_store_n(up + i, d * g * sigmoid, m);
    }
}

#define GELU_SLOPE 1.5957691216057308f   // 2 sqrt(2 / pi)
#define GELU_CUBE 0.044715f

static inline vec gelu_sigmoid(vec x)
{
    const vec inner = vec_fma(vec_set(GELU_CUBE) * x * x, x, x);
    return vec_sigmoid(vec_set(GELU_SLOPE) * inner);
}

static void gelu(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        const vec v = vec_load_n(x + i, m);
        vec_store_n(y + i, v * gelu_sigmoid(v), m);
    }
}

static void gelu_back(float *x, const float *dy, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        const vec v = vec_load_n(x + i, m), s = gelu_sigmoid(v);
        const vec slope = vec_set(GELU_SLOPE) * vec_fma(vec_set(3 * GELU_CUBE) * v, v, vec_set(1));
        const vec d = vec_fma(v * s * (vec_set(1) - s), slope, s);
        vec_store_n(x + i, vec_load_n(dy + i, m) * d, m);
    }
}

static float max_of(const float *x, size_t n)
{
    vec max = vec_set(x[0]);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        max = vec_max(max, vec_keep_n(vec_load_n(x + i, m), m, x[0]));
    }
    return vec_max_of(max);
}

/* Replaces x by exp(x - max) and returns the sum; with keep, leaves x alone. */
static inline float exp_sum(float *x, size_t n, float max, bool keep)
{
    vec sum = vec_set(0);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        const vec e = vec_exp(vec_load_n(x + i, m) - vec_set(max));
        if (!keep)
            vec_store_n(x + i, e, m);
        sum = sum + vec_keep_n(e, m, 0);
    }
    return vec_sum(sum);
}

static void scale_by(float *x, size_t n, float factor)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = lanes_left(n - i);
        vec_store_n(x + i, vec_load_n(x + i, m) * vec_set(factor), m);
    }
}

static void softmax(float *x, size_t n)
{
    scale_by(x, n, 1 / exp_sum(x, n, max_of(x, n), false));
}

static float cross_entropy(float *logits, size_t n, uint32_t target, float grad_scale)
{
    const float max = max_of(logits, n), at_target = logits[target];
    const float sum = exp_sum(logits, n, max, grad_scale == 0);
    if (grad_scale != 0) {
        scale_by(logits, n, grad_scale / sum);
        logits[target] -= grad_scale;
    }
    return (max - at_target) + logf(sum);
}

static void adamw(float *p, float *m, float *v, const float *grad, size_t n, const struct lm_adamw *s)
{
    const vec beta1 = vec_set(s->beta1), beta2 = vec_set(s->beta2);
    const vec rest1 = vec_set(1 - s->beta1), rest2 = vec_set(1 - s->beta2);
    const vec lr = vec_set(s->lr / s->bias1), root2 = vec_set(1 / sqrtf(s->bias2));
    const vec keep = vec_set(1 - s->lr * s->decay);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t c = lanes_left(n - i);
        const vec g = vec_load_n(grad + i, c) * vec_set(s->grad_scale);
        const vec mean = vec_fma(rest1, g, beta1 * vec_load_n(m + i, c));
        const vec square = vec_fma(rest2, g * g, beta2 * vec_load_n(v + i, c));
        const vec below = vec_fma(vec_sqrt(square), root2, vec_set(s->eps));
        vec_store_n(m + i, mean, c);
        vec_store_n(v + i, square, c);
        vec_store_n(p + i, keep * vec_load_n(p + i, c) - lr * (mean / below), c);
    }
}

static double burn(size_t rounds)
{
    enum { CHAINS = 10 };   // two units of latency four want eight
    vec x[CHAINS];
    for (size_t c = 0; c < CHAINS; c++)
        x[c] = vec_set(0);
    const vec shrink = vec_set(0.999f), one = vec_set(1);
    for (size_t i = 0; i < rounds; i++)
        for (size_t c = 0; c < CHAINS; c++)
            x[c] = vec_fma(x[c], shrink, one);
    volatile float sink;
    for (size_t c = 0; c < CHAINS; c++)
        sink = vec_sum(x[c]);
    (void)sink;
    return 2.0 * CHAINS * LANES * (double)rounds;
}

#include "tensor/attention_simd.h"

/* The row of the table; `name` is the only symbol that leaves the file. */
#define LM_KERNELS_ROW(name)                                                                                 \
    const struct lm_kernels name = {                                                                         \
        .dot = dot,                                                                                          \
        .axpy = axpy,                                                                                        \
        .add = add,                                                                                          \
        .sum_squares = sum_squares,                                                                          \
        .matmul_small = matmul_small,                                                                        \
        .rmsnorm = rmsnorm,                                                                                  \
        .rmsnorm_back = rmsnorm_back,                                                                        \
        .rmsnorm_gain_back = rmsnorm_gain_back,                                                              \
        .layernorm = layernorm,                                                                              \
        .layernorm_back = layernorm_back,                                                                    \
        .layernorm_gain_back = layernorm_gain_back,                                                          \
        .rope = rope,                                                                                        \
        .swiglu = swiglu,                                                                                    \
        .swiglu_back = swiglu_back,                                                                          \
        .gelu = gelu,                                                                                        \
        .gelu_back = gelu_back,                                                                              \
        .softmax = softmax,                                                                                  \
        .cross_entropy = cross_entropy,                                                                      \
        .attention = attention,                                                                              \
        .attention_back = attention_back,                                                                    \
        .adamw = adamw,                                                                                      \
        .burn = burn,                                                                                        \
    }
