#ifndef LM_INFER_PANELS_H
#define LM_INFER_PANELS_H
/* infer/panels.h - the hot loops of inference, one row per instruction set, all rows with the same bits.
 *
 * A panel is 16 output columns of a matrix, interleaved: panel[k * 16 + i] is the weight of input k for
 * output i. Weights, keys (16 tokens of a KV block) and values (16 of a head's elements) all lie in panels,
 * so one product serves all three; it streams, and needs no horizontal sums.
 *
 * Every output is one chain of fused multiply-adds over k = 0, 1, 2 ...: it does not depend on how many rows
 * are computed together, on the tile shape, on threads or on the instruction set.  SCALAR defines;
 * test_panels.c asks for equal bits.  Kernels do not allocate, lock, log or fail; pointers are aligned to 4
 * bytes. */

#include <stdbool.h>
#include <stddef.h>

enum { LM_PANEL = 16 };

struct lm_panel_kernels {
    /* y[m * y_stride + 16 j + i] = (add ? itself : 0) + sum_k x[m * x_stride + k] * panels[j][16 k + i]
     * for m < rows, j < panel_count, i < 16, k < depth.  y overlaps nothing. */
    void (*product)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                    const float *const *panels, size_t panel_count, size_t depth, bool add);

    /* y[i] = exp(scale x[i] - m) with m = max(scale x), and the sum of y is returned: 16 float sums, added in
     * double.  y may be x, or NULL when only the sum is wanted.  NaN counts as minus infinity; exp is within
     * 2 ulp, and 0 below -87.  count >= 1. */
    double (*softmax)(float *y, const float *x, size_t count, float scale, float *ret_max);

    /* y[i] = gate[i] * up[i] / (1 + exp(-gate[i])); count is a multiple of 16.  y may be gate or up. */
    void (*swiglu)(float *y, const float *gate, const float *up, size_t count);

    /* y[i] = gain[i] * (x[i] / sqrt(sum x^2 / dim + eps)); count is dim rounded up to 16, x and gain are 0
     * beyond dim.  arXiv:1910.07467, eq. 4. */
    void (*rmsnorm)(float *y, const float *x, const float *gain, size_t count, size_t dim, float eps);
};

extern const struct lm_panel_kernels lm_panels_scalar, lm_panels_avx2, lm_panels_avx512;

const struct lm_panel_kernels *lm_panels(void);   // the row for this processor, see lm_isa

/* Floats of a packed matrix, and the packing: rows of `cols` floats become ceil(rows / 16) panels, the last
 * one filled up with zeros. */
size_t lm_panels_floats(size_t rows, size_t cols);
void lm_panels_pack(float *ret, const float *matrix, size_t rows, size_t cols);

static inline size_t lm_panel_pad(size_t n)
{
    return (n + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
}

#endif
