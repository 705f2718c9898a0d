#ifndef LM_INFER_PAIRS_H
#define LM_INFER_PAIRS_H
/* infer/pairs.h - products with BF16 weights: inputs are rounded to BF16 as well, sums are 32-bit floats.
 *
 * So models in BF16 are run wherever they are published.  Weights and inputs go in pairs, and an output is a
 * chain of fused multiply-adds in which the odd one of a pair comes first:
 *
 *     y = fma(x[2p], w[2p], fma(x[2p + 1], w[2p + 1], y))      p = 0, 1, 2 ...
 *
 * That is what VDPBF16PS computes (Intel SDM; measured to be the same on AMD's Zen 4), but that it takes
 * denormals for zero: other rows give the same bits unless a value is below 1e-38.
 *
 * A panel is 16 outputs: panel[(p * 16 + i) * 2 + k % 2] is the weight of input k = 2p, 2p + 1 for output i;
 * an odd number of inputs is filled up with 0.  SCALAR defines; kernels do not allocate, lock, log or fail.
 */

#include "infer/panels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lm_pair_kernels {
    /* Rounds to nearest, ties to even, as lm_bf16_encode; ret gets count values, and a 0 if that is odd. */
    void (*prepare)(uint16_t *ret, const float *x, size_t count);

    /* As the product of panels.h, with x of x_stride 16-bit values (even) from row to row. */
    void (*product)(struct lm_outputs to, const uint16_t *x, size_t x_stride, size_t rows,
                    const void *const *panels, size_t panel_count, size_t pair_count);
};

extern const struct lm_pair_kernels lm_pairs_scalar, lm_pairs_avx2, lm_pairs_avx512_bf16;

const struct lm_pair_kernels *lm_pairs(void);   // the row for this processor, see lm_isa

static inline size_t lm_pair_count(size_t inputs)
{
    return (inputs + 1) / 2;
}

#endif
