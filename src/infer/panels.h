#ifndef LM_INFER_PANELS_H
#define LM_INFER_PANELS_H
/* infer/panels.h - the hot loops of inference, one row per instruction set, all rows with the same bits.
 *
 * A panel is 16 output columns of a matrix, interleaved: panel[k * 16 + i] is the weight of input k for
 * output i. Weights, keys (16 tokens of a KV block) and values (16 of a head's elements) all lie in panels,
 * so one product serves all three; it streams, and needs no horizontal sums.  Elements are floats of 32 or
 * 16 bits, or signed bytes; they become 32-bit floats, which is exact, before they are multiplied.  Weights
 * in blocks and of BF16 have products of their own: blocks.h, pairs.h.
 *
 * Every output is one chain of fused multiply-adds over k = 0, 1, 2 ...: it does not depend on how many rows
 * are computed together, on the tile shape, on threads or on the instruction set.  SCALAR defines;
 * test_panels.c asks for equal bits.  Kernels do not allocate, lock, log or fail; pointers are aligned to 4
 * bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LM_PANEL = 16 };

enum lm_panel_type { LM_PANEL_F32, LM_PANEL_F16, LM_PANEL_S8, LM_PANEL_TYPE_COUNT };

static inline size_t lm_panel_element(enum lm_panel_type type)   // bytes
{
    return type == LM_PANEL_F32 ? 4 : type == LM_PANEL_S8 ? 1 : 2;
}

/* Where a product goes: output n of row m to y[m * stride + n].  Sums begin with start[m * start_stride + n]:
 * y itself, so that the product is added, or a bias, whose start_stride is 0; NULL: with 0.  y overlaps
 * nothing else. */
struct lm_outputs {
    float *y;
    size_t stride;
    const float *start;
    size_t start_stride;
};

static inline struct lm_outputs lm_outputs_past(struct lm_outputs to, size_t rows, size_t outputs)
{
    to.y += rows * to.stride + outputs;
    if (to.start)
        to.start += rows * to.start_stride + outputs;
    return to;
}

struct lm_panel_kernels {
    /* Output 16 j + i of row m = its start + sum_k x[m * x_stride + k] * panels[j][16 k + i], in this order,
     * for m < rows, j < panel_count, i < 16, k < depth. */
    void (*product[LM_PANEL_TYPE_COUNT])(struct lm_outputs to, const float *x, size_t x_stride, size_t rows,
                                         const void *const *panels, size_t panel_count, size_t depth);

    /* y[i] = exp(scale x[i] - m) with m = max(scale x), and the sum of y is returned: 16 float sums, added in
     * double.  y may be x, or NULL when only the sum is wanted.  NaN counts as minus infinity; exp is within
     * 2 ulp, and 0 below -87.  count >= 1. */
    double (*softmax)(float *y, const float *x, size_t count, float scale, float *ret_max);

    /* y[i] = gate[i] * up[i] / (1 + exp(-gate[i])); count is a multiple of 16.  y may be gate or up. */
    void (*swiglu)(float *y, const float *gate, const float *up, size_t count);

    /* y[i] = gain[i] * (x[i] / sqrt(sum x^2 / dim + eps)); count is dim rounded up to 16, x and gain are 0
     * beyond dim.  arXiv:1910.07467, eq. 4. */
    void (*rmsnorm)(float *y, const float *x, const float *gain, size_t count, size_t dim, float eps);

    /* y[i] = gain[i] * (x[i] - mean) / sqrt(variance + eps) + bias[i]; x, gain and bias are 0 beyond dim, and
     * so is y.  arXiv:1607.06450. */
    void (*layernorm)(float *y, const float *x, const float *gain, const float *bias, size_t count,
                      size_t dim, float eps);

    /* Rounds to nearest, ties to even, as lm_f16_encode. */
    void (*to_f16)(uint16_t *y, const float *x, size_t count);

    /* y[i] = x[i] Phi(x[i]); count is a multiple of 16.  y may be x.  arXiv:1606.08415: Phi by erf within
     * 2e-7 (Abramowitz and Stegun 7.1.26), or the approximation by tanh that GPT-2 was trained with. */
    void (*gelu)(float *y, const float *x, size_t count);
    void (*gelu_tanh)(float *y, const float *x, size_t count);
};

extern const struct lm_panel_kernels lm_panels_scalar, lm_panels_avx2, lm_panels_avx512, lm_panels_neon;

const struct lm_panel_kernels *lm_panels(void);   // the row for this processor, see lm_isa

static inline size_t lm_panel_pad(size_t n)
{
    return (n + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
}

#endif
