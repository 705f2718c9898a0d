/* AVX-512 row: 32 registers of 16 floats. */
#include "infer/panels.h"
#include "infer/panels_exp.h"

#include <immintrin.h>

typedef __m512 V;
enum { VN = 16, TILE_VECTORS_MAX = 8 };
#define TILE_PANELS(rows) ((rows) == 1 ? 8 : (rows) <= 3 ? 6 : 4)

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, a) _mm512_storeu_ps(p, a)
#define v_set1(f) _mm512_set1_ps(f)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_round(a) _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_store_f16(p, a) _mm256_storeu_si256((void *)(p), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT))
#define v_zero_unless_ge(v, a, b) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), v)

static inline V v_scale2(V p, V n)   // p 2^n
{
    const __m512i shifted = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), shifted));
}

#define v_blend_lt(a, b, yes, no) _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), yes)

static inline V v_load_element(const enum lm_panel_type type, const void *panel, size_t at)
{
    const char *p = (const char *)panel + at * lm_panel_element(type);
    switch (type) {
    case LM_PANEL_F16:
        return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
    case LM_PANEL_S8:
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
    default:
        return _mm512_loadu_ps(p);
    }
}

#include "infer/panels_body.h"

const struct lm_panel_kernels lm_panels_avx512 = {
    .product = { product_F32, product_F16, product_S8 },
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .to_f16 = to_f16,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
};
