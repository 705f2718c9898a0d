/* AVX2 row: 16 registers of 8 floats. */
#include "infer/panels.h"
#include "infer/panels_exp.h"

#include <immintrin.h>

typedef __m256 V;
enum { VN = 8, TILE_VECTORS_MAX = 8 };
/* 8 to 12 sums hide the latency of 4 cycles at two additions a cycle. */
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)

#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, a) _mm256_storeu_ps(p, a)
#define v_set1(f) _mm256_set1_ps(f)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_round(a) _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_store_f16(p, a) _mm_storeu_si128((void *)(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT))
#define v_zero_unless_ge(v, a, b) _mm256_and_ps(v, _mm256_cmp_ps(a, b, _CMP_GE_OQ))

static inline V v_scale2(V p, V n)   // p 2^n
{
    const __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted));
}

#define v_blend_lt(a, b, yes, no) _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ))

static inline V v_load_element(const enum lm_panel_type type, const void *panel, size_t at)
{
    const char *p = (const char *)panel + at * lm_panel_element(type);
    switch (type) {
    case LM_PANEL_F16:
        return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
    case LM_PANEL_S8:
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
    default:
        return _mm256_loadu_ps((const float *)(const void *)p);
    }
}

#include "infer/panels_body.h"

const struct lm_panel_kernels lm_panels_avx2 = {
    .product = { product_F32, product_F16, product_S8 },
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .to_f16 = to_f16,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
};
