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
#define v_zero_unless_ge(v, a, b) _mm256_and_ps(v, _mm256_cmp_ps(a, b, _CMP_GE_OQ))

static inline V v_scale2(V p, V n)   // p 2^n
{
    const __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted));
}

#include "infer/panels_body.h"

const struct lm_panel_kernels lm_panels_avx2 = {
    .product = product,
    .softmax = softmax,
    .swiglu = swiglu,
    .rmsnorm = rmsnorm,
};
