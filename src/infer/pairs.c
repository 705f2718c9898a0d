/* The scalar row: plain C, the definition of the others; the choice of a row. */
#include "infer/pairs.h"

#include "base/sys.h"
#include "infer/panels.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

static void prepare(uint16_t *ret, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = lm_bf16_encode(x[i]);
    if (count % 2)
        ret[count] = 0;
}

static void product(struct lm_outputs to, const uint16_t *x, size_t x_stride, size_t rows,
                    const void *const *panels, size_t panel_count, size_t pair_count)
{
    for (size_t m = 0; m < rows; m++)
        for (size_t j = 0; j < panel_count; j++) {
            float sum[LM_PANEL] = { 0 };
            const struct lm_outputs at = lm_outputs_past(to, m, j * LM_PANEL);
            if (at.start)
                memcpy(sum, at.start, sizeof sum);
            for (size_t p = 0; p < pair_count; p++)
                for (size_t i = 0; i < LM_PANEL; i++) {
                    const uint16_t *w = (const uint16_t *)panels[j] + (p * LM_PANEL + i) * 2;
                    const uint16_t *v = x + m * x_stride + p * 2;
                    sum[i] = fmaf(lm_bf16_decode(v[1]), lm_bf16_decode(w[1]), sum[i]);
                    sum[i] = fmaf(lm_bf16_decode(v[0]), lm_bf16_decode(w[0]), sum[i]);
                }
            memcpy(at.y, sum, sizeof sum);
        }
}

const struct lm_pair_kernels lm_pairs_scalar = { .prepare = prepare, .product = product };

const struct lm_pair_kernels *lm_pairs(void)
{
#ifdef __x86_64__
    if (lm_isa() >= LM_ISA_AVX512_BF16)
        return &lm_pairs_avx512_bf16;
    if (lm_isa() >= LM_ISA_AVX2)
        return &lm_pairs_avx2;
#endif
    return &lm_pairs_scalar;
}
