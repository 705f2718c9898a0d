/* The definition of every kernel: plain C, sums in double, no tricks.  The attention is in
 * attention_scalar.c. */
#include "tensor/kernels_rows.h"

#include <math.h>

static float dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return (float)sum;
}

static void axpy(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static double sum_squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

static void matmul_small(float *y, size_t y_stride, const float *x, const float *w, size_t m, size_t n,
                         size_t k)
{
    for (size_t r = 0; r < m; r++)
        for (size_t j = 0; j < n; j++)
            y[r * y_stride + j] = dot(x + r * k, w + j * k, k);
}

static double row_scale(const float *x, size_t dim, float eps)
{
    return 1.0 / sqrt(sum_squares(x, dim) / (double)dim + eps);
}

static void rmsnorm(float *y, const float *x, const float *gain, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += dim) {
        const float scale = (float)row_scale(x, dim, eps);
        for (size_t i = 0; i < dim; i++)
            y[i] = gain[i] * (scale * x[i]);
    }
}

static void rmsnorm_back(float *dx, float *ret_scale, const float *dy, const float *x, const float *gain,
                         size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dy += dim) {
        const double scale = row_scale(x, dim, eps);
        double along = 0;   // the part of the gradient that points along x
        for (size_t i = 0; i < dim; i++)
            along += (double)gain[i] * dy[i] * x[i];
        along *= scale * scale * scale / (double)dim;
        for (size_t i = 0; i < dim; i++)
            dx[i] += (float)(scale * gain[i] * dy[i] - along * x[i]);
        ret_scale[r] = (float)scale;
    }
}

static void rmsnorm_gain_back(float *dgain, const float *dy, const float *x, const float *scale, size_t rows,
                              size_t cols, size_t stride)
{
    for (size_t i = 0; i < cols; i++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++)
            sum += (double)dy[r * stride + i] * x[r * stride + i] * scale[r];
        dgain[i] += (float)sum;
    }
}

/* Mean of a row and 1 / its deviation. */
static void row_moments(const float *x, size_t dim, float eps, double *ret_mean, double *ret_scale)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < dim; i++)
        sum += x[i];
    for (size_t i = 0; i < dim; i++)
        square += (x[i] - sum / (double)dim) * (x[i] - sum / (double)dim);
    *ret_mean = sum / (double)dim;
    *ret_scale = 1 / sqrt(square / (double)dim + eps);
}

static void layernorm(float *y, const float *x, const float *gain, const float *bias, size_t rows, size_t dim,
                      float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += dim) {
        double mean, scale;
        row_moments(x, dim, eps, &mean, &scale);
        for (size_t i = 0; i < dim; i++)
            y[i] = (float)(gain[i] * ((x[i] - mean) * scale) + bias[i]);
    }
}

static void layernorm_back(float *dx, float *ret_mean, float *ret_scale, const float *dy, const float *x,
                           const float *gain, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dy += dim) {
        double mean, scale, level = 0, along = 0;   // parts of the gradient that change mean and length
        row_moments(x, dim, eps, &mean, &scale);
        for (size_t i = 0; i < dim; i++) {
            level += (double)gain[i] * dy[i];
            along += (double)gain[i] * dy[i] * (x[i] - mean) * scale;
        }
        for (size_t i = 0; i < dim; i++)
            dx[i] += (float)(scale * ((double)gain[i] * dy[i] - level / (double)dim -
                                      (x[i] - mean) * scale * along / (double)dim));
        ret_mean[r] = (float)mean;
        ret_scale[r] = (float)scale;
    }
}

static void layernorm_gain_back(float *dgain, float *dbias, const float *dy, const float *x,
                                const float *mean, const float *scale, size_t rows, size_t cols,
                                size_t stride)
{
    for (size_t i = 0; i < cols; i++) {
        double gain = 0, bias = 0;
        for (size_t r = 0; r < rows; r++) {
            gain += (double)dy[r * stride + i] * ((double)x[r * stride + i] - mean[r]) * scale[r];
            bias += dy[r * stride + i];
        }
        dgain[i] += (float)gain;
        dbias[i] += (float)bias;
    }
}

static void rope(float *x, const float *cos_sin, size_t heads, size_t head_dim, float direction)
{
    const size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[i + half], c = cos_sin[i], s = direction * cos_sin[half + i];
            x[i] = a * c - b * s;
            x[i + half] = b * c + a * s;
        }
}

static void swiglu(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

static void swiglu_back(float *gate, float *up, const float *dy, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double g = gate[i], sigmoid = 1 / (1 + exp(-g));
        const double dgate = dy[i] * up[i] * sigmoid * (1 + g * (1 - sigmoid));
        up[i] = (float)(dy[i] * g * sigmoid);
        gate[i] = (float)dgate;
    }
}

#define GELU_SLOPE 1.5957691216057308   // 2 sqrt(2 / pi)
#define GELU_CUBE 0.044715

static double gelu_sigmoid(double x)
{
    return 1 / (1 + exp(-GELU_SLOPE * (x + GELU_CUBE * x * x * x)));
}

static void gelu(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * gelu_sigmoid(x[i]));
}

static void gelu_back(float *x, const float *dy, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = x[i], s = gelu_sigmoid(v);
        x[i] = (float)(dy[i] * (s + v * s * (1 - s) * GELU_SLOPE * (1 + 3 * GELU_CUBE * v * v)));
    }
}

static float max_of(const float *x, size_t n)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static void softmax(float *x, size_t n)
{
    const float max = max_of(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(exp((double)x[i] - max) / sum);
}

static float cross_entropy(float *logits, size_t n, uint32_t target, float grad_scale)
{
    const float max = max_of(logits, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    const double loss = max + log(sum) - logits[target];
    if (grad_scale != 0)
        for (size_t i = 0; i < n; i++)
            logits[i] = (float)((exp((double)logits[i] - max) / sum - (i == target)) * grad_scale);
    return (float)loss;
}

static void adamw(float *p, float *m, float *v, const float *grad, size_t n, const struct lm_adamw *s)
{
    for (size_t i = 0; i < n; i++) {
        const double g = (double)grad[i] * s->grad_scale;
        m[i] = (float)(s->beta1 * (double)m[i] + (1 - (double)s->beta1) * g);
        v[i] = (float)(s->beta2 * (double)v[i] + (1 - (double)s->beta2) * g * g);
        const double step = m[i] / (double)s->bias1 / (sqrt(v[i] / (double)s->bias2) + s->eps);
        p[i] = (float)(p[i] - s->lr * (step + s->decay * (double)p[i]));
    }
}

double lm_burn_scalar(size_t rounds)
{
    enum { CHAINS = 8 };
    volatile float sink;
    float x[CHAINS] = { 0 };
    for (size_t i = 0; i < rounds; i++)
        for (size_t c = 0; c < CHAINS; c++)
            x[c] = x[c] * 0.999f + 1;
    for (size_t c = 0; c < CHAINS; c++)
        sink = x[c];
    (void)sink;
    return 2.0 * CHAINS * (double)rounds;
}

const struct lm_kernels lm_kernels_scalar = {
    .dot = dot,
    .axpy = axpy,
    .add = add,
    .sum_squares = sum_squares,
    .matmul_small = matmul_small,
    .rmsnorm = rmsnorm,
    .rmsnorm_back = rmsnorm_back,
    .rmsnorm_gain_back = rmsnorm_gain_back,
    .layernorm = layernorm,
    .layernorm_back = layernorm_back,
    .layernorm_gain_back = layernorm_gain_back,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_back = swiglu_back,
    .gelu = gelu,
    .gelu_back = gelu_back,
    .softmax = softmax,
    .cross_entropy = cross_entropy,
    .attention = lm_attention_scalar,
    .attention_back = lm_attention_back_scalar,
    .adamw = adamw,
    .burn = lm_burn_scalar,
};
