/* The scalar row: plain C, the definition of the others; packing; the choice of a row. */
#include "infer/panels.h"

#include "base/sys.h"
#include "infer/panels_exp.h"

#include <math.h>
#include <string.h>

static void product(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                    const float *const *panels, size_t panel_count, size_t depth, bool add)
{
    for (size_t m = 0; m < rows; m++)
        for (size_t j = 0; j < panel_count; j++) {
            float sum[LM_PANEL] = { 0 };
            float *out = y + m * y_stride + j * LM_PANEL;
            if (add)
                memcpy(sum, out, sizeof sum);
            for (size_t k = 0; k < depth; k++)
                for (size_t i = 0; i < LM_PANEL; i++)
                    sum[i] = fmaf(x[m * x_stride + k], panels[j][k * LM_PANEL + i], sum[i]);
            memcpy(out, sum, sizeof sum);
        }
}

/* The steps of panels_body.h's vexp, one lane. */
static float exp1(float x)
{
    if (!(x >= LM_EXP_LOW))
        return 0;
    const float clamped = x < LM_EXP_HIGH ? x : LM_EXP_HIGH;
    const float n = rintf(clamped * LM_EXP_LOG2E);
    const float r = fmaf(n, LM_EXP_LN2_LOW, fmaf(n, LM_EXP_LN2_HIGH, clamped));
    float p = lm_exp_poly[0];
    for (size_t i = 1; i < LM_EXP_TERMS; i++)
        p = fmaf(p, r, lm_exp_poly[i]);
    int bits;
    memcpy(&bits, &p, sizeof bits);
    bits += (int)n * (1 << 23);   // times 2^n: p is near 1, the result is normal
    memcpy(&p, &bits, sizeof bits);
    return p;
}

static double add_lanes(const float lanes[LM_PANEL])
{
    double sum = 0;
    for (size_t i = 0; i < LM_PANEL; i++)
        sum += (double)lanes[i];
    return sum;
}

static double softmax(float *y, const float *x, size_t count, float scale, float *ret_max)
{
    float max = -INFINITY, lanes[LM_PANEL] = { 0 };
    for (size_t i = 0; i < count; i++)
        max = x[i] * scale > max ? x[i] * scale : max;
    for (size_t i = 0; i < count; i++) {
        const float e = exp1(x[i] * scale - max);
        lanes[i % LM_PANEL] += e;
        if (y)
            y[i] = e;
    }
    *ret_max = max;
    return add_lanes(lanes);
}

static void swiglu(float *y, const float *gate, const float *up, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = gate[i] * up[i] / (1 + exp1(-gate[i]));
}

static void rmsnorm(float *y, const float *x, const float *gain, size_t count, size_t dim, float eps)
{
    float lanes[LM_PANEL] = { 0 };
    for (size_t i = 0; i < count; i++)
        lanes[i % LM_PANEL] = fmaf(x[i], x[i], lanes[i % LM_PANEL]);
    const float scale = (float)(1 / sqrt(add_lanes(lanes) / (double)dim + (double)eps));
    for (size_t i = 0; i < count; i++)
        y[i] = gain[i] * (x[i] * scale);
}

const struct lm_panel_kernels lm_panels_scalar = {
    .product = product,
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
};

const struct lm_panel_kernels *lm_panels(void)
{
#ifdef __x86_64__
    if (lm_isa() >= LM_ISA_AVX512)
        return &lm_panels_avx512;
    if (lm_isa() >= LM_ISA_AVX2)
        return &lm_panels_avx2;
#endif
    return &lm_panels_scalar;
}

size_t lm_panels_floats(size_t rows, size_t cols)
{
    return lm_panel_pad(rows) * cols;
}

void lm_panels_pack(float *ret, const float *matrix, size_t rows, size_t cols)
{
    for (size_t first = 0; first < rows; first += LM_PANEL, ret += LM_PANEL * cols)
        for (size_t k = 0; k < cols; k++)
            for (size_t i = 0; i < LM_PANEL; i++)
                ret[k * LM_PANEL + i] = first + i < rows ? matrix[(first + i) * cols + k] : 0;
}
