/* NEON row: 32 registers of 4 floats; what every 64-bit ARM processor has. */
#include "infer/panels.h"
#include "infer/panels_exp.h"

#include <arm_neon.h>

typedef float32x4_t V;
enum { VN = 4, TILE_VECTORS_MAX = 12 };
/* 12 sums and more hide the latency of 4 cycles at two additions a cycle; with a row of weights and a
 * broadcast they fit the registers. */
#define TILE_PANELS(rows) ((rows) == 1 ? 3 : (rows) == 2 ? 2 : 1)

#define v_load(p) vld1q_f32(p)
#define v_store(p, a) vst1q_f32(p, a)
#define v_set1(f) vdupq_n_f32(f)
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_add(a, b) vaddq_f32(a, b)
#define v_sub(a, b) vsubq_f32(a, b)
#define v_mul(a, b) vmulq_f32(a, b)
#define v_div(a, b) vdivq_f32(a, b)
#define v_round(a) vrndnq_f32(a)
#define v_store_f16(p, a) vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a)))
#define v_blend_lt(a, b, yes, no) vbslq_f32(vcltq_f32(a, b), yes, no)

/* The second operand where one is NaN: vmaxq_f32 would return the NaN. */
static inline V v_max(V a, V b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline V v_min(V a, V b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline V v_zero_unless_ge(V v, V a, V b)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vcgeq_f32(a, b)));
}

static inline V v_scale2(V p, V n)   // p 2^n
{
    const int32x4_t shifted = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), shifted));
}

static inline V v_load_element(const enum lm_panel_type type, const void *panel, size_t at)
{
    const char *p = (const char *)panel + at * lm_panel_element(type);
    int32_t four = 0;
    switch (type) {
    case LM_PANEL_F16:
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const void *)p)));
    case LM_PANEL_S8:
        __builtin_memcpy(&four, p, sizeof four);
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
    default:
        return vld1q_f32((const void *)p);
    }
}

#include "infer/panels_body.h"

const struct lm_panel_kernels lm_panels_neon = {
    .product = { product_F32, product_F16, product_S8 },
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .to_f16 = to_f16,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
};
