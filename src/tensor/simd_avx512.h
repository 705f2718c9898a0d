#ifndef LM_TENSOR_SIMD_H
#define LM_TENSOR_SIMD_H
/* tensor/simd_avx512.h - vectors of 16 floats: what kernels_simd.h is written in.  simd_avx2.h is its twin.
 */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16 };
typedef __m512 vec;
typedef __m512d vecd;

static inline vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void vec_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}

static inline __mmask16 vec_mask(size_t n)   // the first n lanes, n <= LANES
{
    return (__mmask16)((1u << n) - 1);
}

static inline vec vec_load_n(const float *p, size_t n)   // n lanes, zeros behind; reads nothing beyond
{
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}

static inline void vec_store_n(float *p, vec x, size_t n)
{
    _mm512_mask_storeu_ps(p, vec_mask(n), x);
}

/* Lanes from n on become `other`. */
static inline vec vec_keep_n(vec x, size_t n, float other)
{
    return _mm512_mask_blend_ps(vec_mask(n), vec_set(other), x);
}

static inline vec vec_fma(vec a, vec b, vec c)   // a * b + c
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static inline vec vec_sqrt(vec x)
{
    return _mm512_sqrt_ps(x);
}

static inline vec vec_round(vec x)   // to the nearest whole number
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec vec_exponent(vec n)   // 2^n for whole n in -126..127
{
    const __m512i bits = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 23));
}

static inline float vec_sum(vec x)   // always in this order
{
    return _mm512_reduce_add_ps(x);
}

static inline float vec_max_of(vec x)
{
    return _mm512_reduce_max_ps(x);
}

/* sum + the squares of x, in double. */
static inline vecd vecd_add_squares(vecd sum, vec x)
{
    const vecd low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    const vecd high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return _mm512_fmadd_pd(high, high, _mm512_fmadd_pd(low, low, sum));
}

static inline vecd vecd_zero(void)
{
    return _mm512_setzero_pd();
}

static inline double vecd_sum(vecd x)
{
    return _mm512_reduce_add_pd(x);
}

#endif
