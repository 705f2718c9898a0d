/* The scalar row: plain C, the definition of the others; packing; the choice of a row. */
#include "infer/panels.h"

#include "base/sys.h"
#include "infer/panels_exp.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

static float element(enum lm_panel_type type, const void *panel, size_t i)
{
    switch (type) {
    case LM_PANEL_F16:
        return lm_f16_decode(((const uint16_t *)panel)[i]);
    case LM_PANEL_S8:
        return ((const int8_t *)panel)[i];
    default:
        return ((const float *)panel)[i];
    }
}

static void product(enum lm_panel_type type, struct lm_outputs to, const float *x, size_t x_stride,
                    size_t rows, const void *const *panels, size_t panel_count, size_t depth)
{
    for (size_t m = 0; m < rows; m++)
        for (size_t j = 0; j < panel_count; j++) {
            float sum[LM_PANEL] = { 0 };
            const struct lm_outputs at = lm_outputs_past(to, m, j * LM_PANEL);
            if (at.start)
                memcpy(sum, at.start, sizeof sum);
            for (size_t k = 0; k < depth; k++)
                for (size_t i = 0; i < LM_PANEL; i++)
                    sum[i] = fmaf(x[m * x_stride + k], element(type, panels[j], k * LM_PANEL + i), sum[i]);
            memcpy(at.y, sum, sizeof sum);
        }
}

#define PRODUCT(type)                                                                                        \
    static void product_##type(struct lm_outputs to, const float *x, size_t x_stride, size_t rows,           \
                               const void *const *panels, size_t panel_count, size_t depth)                  \
    {                                                                                                        \
        product(LM_PANEL_##type, to, x, x_stride, rows, panels, panel_count, depth);                         \
    }
PRODUCT(F32)
PRODUCT(F16)
PRODUCT(S8)
#undef PRODUCT

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

static void layernorm(float *y, const float *x, const float *gain, const float *bias, size_t count,
                      size_t dim, float eps)
{
    float lanes[LM_PANEL] = { 0 }, squares[LM_PANEL] = { 0 };
    for (size_t i = 0; i < count; i++)
        lanes[i % LM_PANEL] += x[i];
    const float mean = (float)(add_lanes(lanes) / (double)dim);
    for (size_t i = 0; i < count; i++) {
        y[i] = i < dim ? x[i] - mean : 0;
        squares[i % LM_PANEL] = fmaf(y[i], y[i], squares[i % LM_PANEL]);
    }
    const float scale = (float)(1 / sqrt(add_lanes(squares) / (double)dim + (double)eps));
    for (size_t i = 0; i < count; i++)
        y[i] = fmaf(gain[i], y[i] * scale, bias[i]);
}

static void to_f16(uint16_t *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = lm_f16_encode(x[i]);
}

static void gelu(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float z = fabsf(x[i]) * LM_SQRT_HALF, t = 1 / fmaf(LM_ERF_P, z, 1);
        float p = lm_erf_poly[0];
        for (size_t k = 1; k < LM_ERF_TERMS; k++)
            p = fmaf(p, t, lm_erf_poly[k]);
        const float rest = p * t * exp1(-(z * z)) * 0.5f;   // 1 - Phi(|x|)
        y[i] = x[i] * (x[i] < 0 ? rest : 1 - rest);
    }
}

/* 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2 u)) */
static void gelu_tanh(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float cube = x[i] * x[i] * x[i], u = fmaf(LM_GELU_CUBE, cube, x[i]);
        y[i] = x[i] / (1 + exp1(u * LM_GELU_SCALE));
    }
}

const struct lm_panel_kernels lm_panels_scalar = {
    .product = { product_F32, product_F16, product_S8 },
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .to_f16 = to_f16,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
};

const struct lm_panel_kernels *lm_panels(void)
{
#ifdef __x86_64__
    if (lm_isa_has(LM_ISA_AVX512))
        return &lm_panels_avx512;
    if (lm_isa_has(LM_ISA_AVX2))
        return &lm_panels_avx2;
#elif defined(__aarch64__)
    if (lm_isa_has(LM_ISA_NEON))
        return &lm_panels_neon;
#endif
    return &lm_panels_scalar;
}
