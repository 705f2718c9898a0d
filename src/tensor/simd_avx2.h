#ifndef LM_TENSOR_SIMD_H
#define LM_TENSOR_SIMD_H
/* tensor/simd_avx2.h - vectors of 8 floats: what kernels_simd.h is written in.  simd_avx512.h is its twin. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8 };
typedef __m256 vec;     // float lanes; + - * / act lane by lane
typedef __m256d vecd;   // double lanes, half as many

static inline vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void vec_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x);
}

static inline __m256i vec_mask(size_t n)   // the first n lanes, n <= LANES
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline vec vec_load_n(const float *p, size_t n)   // n lanes, zeros behind; reads nothing beyond
{
    return n == LANES ? vec_load(p) : _mm256_maskload_ps(p, vec_mask(n));
}

static inline void vec_store_n(float *p, vec x, size_t n)
{
    if (n == LANES)
        vec_store(p, x);
    else
        _mm256_maskstore_ps(p, vec_mask(n), x);
}

/* Lanes from n on become `other`. */
static inline vec vec_keep_n(vec x, size_t n, float other)
{
    return _mm256_blendv_ps(vec_set(other), x, _mm256_castsi256_ps(vec_mask(n)));
}

static inline vec vec_fma(vec a, vec b, vec c)   // a * b + c
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static inline vec vec_sqrt(vec x)
{
    return _mm256_sqrt_ps(x);
}

static inline vec vec_round(vec x)   // to the nearest whole number
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec vec_exponent(vec n)   // 2^n for whole n in -126..127
{
    const __m256i bits = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
}

static inline float vec_sum(vec x)   // always in this order
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static inline float vec_max_of(vec x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/* sum + the squares of x, in double. */
static inline vecd vecd_add_squares(vecd sum, vec x)
{
    const vecd low = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
    const vecd high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    return _mm256_fmadd_pd(high, high, _mm256_fmadd_pd(low, low, sum));
}

static inline vecd vecd_zero(void)
{
    return _mm256_setzero_pd();
}

static inline double vecd_sum(vecd x)
{
    return (x[0] + x[1]) + (x[2] + x[3]);
}

#endif
