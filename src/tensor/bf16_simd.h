#ifndef LM_TENSOR_BF16_SIMD_H
#define LM_TENSOR_BF16_SIMD_H
/* tensor/bf16_simd.h - what the AVX-512 rows of bf16.h share: loads, stores, exp, tiles of products. */

#include "base/each.h"
#include "tensor/bf16.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 16, TILE_SUMS = 24 };

INLINE __mmask16 first_lanes(size_t n)   // all when n >= LANES
{
    return n < LANES ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff;
}

INLINE __m512 widen(__m256i half)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

INLINE __m512 load_half_n(const uint16_t *p, __mmask16 lanes)
{
    return widen(_mm256_maskz_loadu_epi16(lanes, p));
}

INLINE __m256i narrow(__m512 x)   // to nearest, ties to even; denormals become 0
{
    return (__m256i)_mm512_cvtneps_pbh(x);
}

INLINE void store_half(uint16_t *p, __m512 x)
{
    _mm256_storeu_si256((void *)p, narrow(x));
}

INLINE void store_half_n(uint16_t *p, __m512 x, __mmask16 lanes)
{
    _mm256_mask_storeu_epi16(p, lanes, narrow(x));
}

INLINE __m512 add_pairs(__m512 sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

INLINE __m512i broadcast_pair(const uint16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

/* 2^y within 3e-6: y = n + r, |r| <= 1/2, 2^r by its Taylor polynomial; 0 below the range, as it should be.
 */
INLINE __m512 exp2_of(__m512 y)
{
    const __m512 n = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = _mm512_sub_ps(y, n);
    __m512 p = _mm512_set1_ps(1.33335581e-3f);   // ln(2)^i / i!
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55041087e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40226507e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147181e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

#define LOG2_E 1.44269504088896341f

INLINE __m512 sigmoid(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1);
    return _mm512_div_ps(one, _mm512_add_ps(one, exp2_of(_mm512_mul_ps(x, _mm512_set1_ps(-LOG2_E)))));
}

/* sums += a b, a tile of rows x panels; every sum is one chain from front to back. */
INLINE void tile_sums(__m512 *sums, const size_t rows, const size_t panels, const uint16_t *a,
                      size_t a_stride, const uint16_t *b, size_t b_stride, size_t k)
{
    for (size_t l = 0; l < k; l += 2) {
        __m512i right[4];
        EACH (j, panels)
            right[j] = _mm512_loadu_si512(b + j * b_stride + l * LM_BF16_PANEL);
        EACH (i, rows) {
            const __m512i left = broadcast_pair(a + i * a_stride + l);
            EACH (j, panels)
                sums[i * panels + j] = add_pairs(sums[i * panels + j], left, right[j]);
        }
    }
}

/* Runs tile(rows, panels, row, col) over a block, with as many rows as the sums allow and constant sizes. */
#define LM_FOR_TILES(tile, row, rows, col, panels_left)                                                      \
    do {                                                                                                     \
        size_t col_ = (col), left_ = (panels_left);                                                          \
        for (; left_ >= 4; left_ -= 4, col_ += 4 * (size_t)LM_BF16_PANEL)                                    \
            LM_FOR_ROWS(tile, row, rows, col_, 6, 4);                                                        \
        if (left_ == 3)                                                                                      \
            LM_FOR_ROWS(tile, row, rows, col_, 8, 3);                                                        \
        else if (left_ == 2)                                                                                 \
            LM_FOR_ROWS(tile, row, rows, col_, 12, 2);                                                       \
        else if (left_ == 1)                                                                                 \
            LM_FOR_ROWS(tile, row, rows, col_, 12, 1);                                                       \
    } while (0)

#define LM_FOR_ROWS(tile, row, rows, col, height, width)                                                     \
    do {                                                                                                     \
        size_t row_ = (row), rows_ = (rows);                                                                 \
        for (; rows_ >= (height); rows_ -= (height), row_ += (height))                                       \
            tile(height, width, row_, col);                                                                  \
        for (; rows_ >= 4; rows_ -= 4, row_ += 4)                                                            \
            tile(4, width, row_, col);                                                                       \
        for (; rows_ >= 1; rows_ -= 1, row_ += 1)                                                            \
            tile(1, width, row_, col);                                                                       \
    } while (0)

/* 16 registers of 16 32-bit elements, rows become columns. */
INLINE void transpose_16x16(__m512i r[16])
{
    __m512i t[16];
    EACH (i, 8) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    EACH (i, 4) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    EACH (i, 4) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    EACH (i, 4) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* The parts of the row that are in other files, as bf16.h says. */
void lm_bf16_product_avx512(const struct lm_bf16_product *p, size_t row, size_t rows, size_t col,
                            size_t cols);
void lm_bf16_logits_avx512(const struct lm_bf16_logits *l, size_t row, size_t rows, size_t col, size_t cols);
void lm_bf16_loss_back_avx512(const struct lm_bf16_loss_back *l, size_t first, size_t count);
void lm_bf16_pack_forward_avx512(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                                 size_t first, size_t count);
void lm_bf16_pack_backward_avx512(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                                  size_t first, size_t count);
void lm_bf16_pack_avx512(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                         size_t cols, size_t first, size_t count);
void lm_bf16_transpose_avx512(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                              size_t cols, size_t first, size_t count);
void lm_bf16_attention_avx512(const struct lm_bf16_attention *a, size_t kv, uint16_t *out, float *lse,
                              const uint16_t *qkv, void *scratch);
void lm_bf16_attention_back_avx512(const struct lm_bf16_attention *a, size_t kv, uint16_t *dqkv,
                                   const uint16_t *dout, const uint16_t *out, const float *lse,
                                   const uint16_t *qkv, void *scratch);

#endif
