#ifndef LM_TENSOR_KERNELS_H
#define LM_TENSOR_KERNELS_H
/* tensor/kernels.h - the hot loops, one row per instruction set.
 *
 * Row SCALAR is plain C, always built, and the definition: other rows mean "as SCALAR, within the tolerance
 * in test_kernels.c".  Tensors are row-major float32, aligned to 4 bytes (64 is faster).  Kernels do not
 * allocate, lock, log, fail or start threads: the caller has checked every size and splits the work, by rows
 * or by columns, into units that do not depend on the number of threads.  So a row of the result has the same
 * bits whatever else is computed beside it.
 *
 * Letters: T positions, C width, H heads, K KV heads, D head width, V vocabulary.  d<x> is the gradient of
 * the loss by <x>. */

#include "base/sys.h"

#include <stddef.h>
#include <stdint.h>

/* The shape of one sequence's attention.  start[t] is the first position that t may look at: the beginning of
 * its document, so documents packed into one sequence do not see each other.  start[t] <= t, never falling.
 */
struct lm_attention {
    size_t positions, heads, kv_heads, head_dim;   // heads is a multiple of kv_heads
    const uint32_t *start;                         // (T)
};

/* One update of AdamW.  Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2. */
struct lm_adamw {
    float lr, beta1, beta2, eps;
    float decay;          // weight decay; already 0 for vectors
    float bias1, bias2;   // 1 - beta^step
    float grad_scale;     // clipping: the gradient is taken times this
};

struct lm_kernels {
    /* Sum of a[i] * b[i]; y[i] += a * x[i]; y[i] += x[i]; sum of x[i]^2 in double. */
    float (*dot)(const float *a, const float *b, size_t n);
    void (*axpy)(float *y, float a, const float *x, size_t n);
    void (*add)(float *y, const float *x, size_t n);
    double (*sum_squares)(const float *x, size_t n);

    /* y[r*y_stride + j] = sum_i x[r,i] * w[j,i], r < m, j < n, i < k: products with few rows, x (m, k),
     * w (n, k).  The bits of y[r,j] depend on x[r], w[j] and k only: not on m, n, or the place in the batch.
     */
    void (*matmul_small)(float *y, size_t y_stride, const float *x, const float *w, size_t m, size_t n,
                         size_t k);

    /* y[r,i] = gain[i] * x[r,i] * s[r], s[r] = 1 / sqrt(mean_i(x[r,i]^2) + eps); dim > 0.  y may be x.
     * Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4, with eps as in Llama 2. */
    void (*rmsnorm)(float *y, const float *x, const float *gain, size_t rows, size_t dim, float eps);

    /* dx[r,i] += s[r] * gain[i] * dy[r,i] - x[r,i] * s[r]^3 / dim * sum_j(gain[j] * dy[r,j] * x[r,j]).
     * Stores s[r] for rmsnorm_gain_back. */
    void (*rmsnorm_back)(float *dx, float *ret_scale, const float *dy, const float *x, const float *gain,
                         size_t rows, size_t dim, float eps);
    /* dgain[i] += sum_r dy[r,i] * x[r,i] * scale[r] for `cols` columns; rows lie `stride` floats apart. */
    void (*rmsnorm_gain_back)(float *dgain, const float *dy, const float *x, const float *scale, size_t rows,
                              size_t cols, size_t stride);

    /* LayerNorm: y[r,i] = gain[i] * (x[r,i] - mean[r]) * s[r] + bias[i], s[r] = 1 / sqrt(variance_i(x[r,i]) +
     * eps). y may be x.  Ba et al. 2016, arXiv:1607.06450. */
    void (*layernorm)(float *y, const float *x, const float *gain, const float *bias, size_t rows, size_t dim,
                      float eps);
    /* dx[r,i] += s[r] * (g[i] - mean_j(g[j]) - h[i] * mean_j(g[j] * h[j])), g = gain * dy, h = (x - mean) *
     * s. Stores mean[r] and s[r] for layernorm_gain_back. */
    void (*layernorm_back)(float *dx, float *ret_mean, float *ret_scale, const float *dy, const float *x,
                           const float *gain, size_t rows, size_t dim, float eps);
    /* dgain[i] += sum_r dy[r,i] * (x[r,i] - mean[r]) * scale[r], dbias[i] += sum_r dy[r,i]; as
     * rmsnorm_gain_back. */
    void (*layernorm_gain_back)(float *dgain, float *dbias, const float *dy, const float *x,
                                const float *mean, const float *scale, size_t rows, size_t cols,
                                size_t stride);

    /* Rotates every head of one position in place: (a, b) = (x[i], x[i + D/2]) by the angle whose cosine is
     * cos_sin[i] and sine cos_sin[D/2 + i].  direction 1 turns, -1 turns back (the gradient).
     * Su et al. 2021, arXiv:2104.09864, in Hugging Face's order of the pairs. */
    void (*rope)(float *x, const float *cos_sin, size_t heads, size_t head_dim, float direction);

    /* y[i] = gate[i] * sigmoid(gate[i]) * up[i].  y may be gate or up.  Shazeer 2020, arXiv:2002.05202. */
    void (*swiglu)(float *y, const float *gate, const float *up, size_t n);
    /* Replaces gate and up by their gradients. */
    void (*swiglu_back)(float *gate, float *up, const float *dy, size_t n);

    /* GELU by tanh: y[i] = x[i] * sigmoid(2 sqrt(2 / pi) (x[i] + 0.044715 x[i]^3)).  y may be x.  Hendrycks &
     * Gimpel 2016, arXiv:1606.08415. */
    void (*gelu)(float *y, const float *x, size_t n);
    /* Replaces x by its gradient. */
    void (*gelu_back)(float *x, const float *dy, size_t n);

    /* x becomes exp(x - max) / sum; n > 0. */
    void (*softmax)(float *x, size_t n);
    /* Returns -ln softmax(logits)[target]; with grad_scale not 0 the logits become their gradient
     * (softmax - [i == target]) * grad_scale. */
    float (*cross_entropy)(float *logits, size_t n, uint32_t target, float grad_scale);

    /* Causal attention of the query heads that share KV head `kv`, for one sequence:
     *     out[t,h] = sum_s softmax_s(q[t,h] . k[s,kv] / sqrt(D)) v[s,kv],  start[t] <= s <= t
     * q, out (T, H, D); k, v (T, K, D); lse (H, T) gets ln sum_s exp(score), which the way back needs. Scores
     * exist for one block at a time.  Dao et al. 2022, arXiv:2205.14135.
     * scratch: lm_attention_scratch() floats, 64-byte aligned, one per thread. */
    void (*attention)(const struct lm_attention *shape, size_t kv, float *out, float *lse, const float *q,
                      const float *k, const float *v, float *scratch);
    /* Writes dq of these query heads and dk, dv of the KV head (they need not be zero before). */
    void (*attention_back)(const struct lm_attention *shape, size_t kv, float *dq, float *dk, float *dv,
                           const float *dout, const float *out, const float *lse, const float *q,
                           const float *k, const float *v, float *scratch);

    /* One optimiser step over n parameters with their moments m and v. */
    void (*adamw)(float *p, float *m, float *v, const float *grad, size_t n, const struct lm_adamw *step);

    /* Multiplies and adds in registers for `rounds` rounds and returns how many operations that was. */
    double (*burn)(size_t rounds);
};

extern const struct lm_kernels *const lm_kernels_table[LM_ISA_COUNT];

/* The row for this processor, lm_isa(). */
const struct lm_kernels *lm_kernels(void);

/* Floats of scratch for one attention unit, forward or backward. */
size_t lm_attention_scratch(size_t positions, size_t head_dim);

/* Cosines and sines of one position: ret[i] and ret[D/2 + i] for the angle position * theta^(-2i/D). */
void lm_rope_angles(float *ret, size_t position, size_t head_dim, double theta);

/* ---- threaded, same bits for any number of threads ---- */

/* matmul_small over all of lm_threads(); y (m, n). */
void lm_matmul_small(float *y, const float *x, const float *w, size_t m, size_t n, size_t k);
double lm_sum_squares(const float *x, size_t n);

/* GFLOP/s this machine reaches in fused multiply-adds on lm_threads() threads: the sum of each one's best
 * moment within `ms` milliseconds.  The limit that speeds are given as a share of. */
double lm_peak_gflops(int ms);

#endif
