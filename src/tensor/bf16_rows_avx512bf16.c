/* AVX-512 row of bf16.h: what is done row by row, and the table. */
#include "tensor/bf16_simd.h"

#include <math.h>

/* ---- norms ---- */

static float row_scale(const float *x, size_t dim, float eps)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < dim; i += LANES) {
        const __m512 v = _mm512_maskz_loadu_ps(first_lanes(dim - i), x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    return 1 / sqrtf(_mm512_reduce_add_ps(sum) / (float)dim + eps);
}

static void rmsnorm(uint16_t *y, size_t stride, float *scale, const float *x, const float *gain, size_t rows,
                    size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += stride) {
        scale[r] = row_scale(x, dim, eps);
        const __m512 s = _mm512_set1_ps(scale[r]);
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 v = _mm512_mul_ps(s, _mm512_maskz_loadu_ps(lanes, x + i));
            store_half_n(y + i, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, gain + i), v), lanes);
        }
    }
}

static void rmsnorm_back(float *dx, uint16_t *dx16, float *dgain, const uint16_t *dy, size_t stride,
                         const float *x, const float *scale, const float *gain, size_t rows, size_t dim)
{
    memset(dgain, 0, dim * sizeof *dgain);
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dx16 += stride, dy += stride) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 d = load_half_n(dy + i, lanes), v = _mm512_maskz_loadu_ps(lanes, x + i);
            sum = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, gain + i), d), v, sum);
        }
        const float s = scale[r], along = -_mm512_reduce_add_ps(sum) * s * s * s / (float)dim;
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 d = _mm512_mul_ps(load_half_n(dy + i, lanes), _mm512_set1_ps(s));
            const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
            __m512 to = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, gain + i), d,
                                        _mm512_maskz_loadu_ps(lanes, dx + i));
            to = _mm512_fmadd_ps(_mm512_set1_ps(along), v, to);
            _mm512_mask_storeu_ps(dx + i, lanes, to);
            store_half_n(dx16 + i, to, lanes);
            const __m512 g = _mm512_maskz_loadu_ps(lanes, dgain + i);
            _mm512_mask_storeu_ps(dgain + i, lanes, _mm512_fmadd_ps(d, v, g));
        }
    }
}

/* ---- positions and activations ---- */

/* Part of a head.  A mask does not narrow what a load or a store overlaps, and an overlap stalls: of eight
 * lanes only these are touched. */
INLINE __m512 load_head(const uint16_t *p, size_t left)
{
    if (left == LANES / 2)
        return widen(_mm256_castsi128_si256(_mm_loadu_si128((const void *)p)));
    return load_half_n(p, first_lanes(left));
}

INLINE void store_head(uint16_t *p, __m512 x, size_t left)
{
    if (left == LANES / 2)
        _mm_storeu_si128((void *)p, _mm256_castsi256_si128(narrow(x)));
    else
        store_half_n(p, x, first_lanes(left));
}

static void rope(uint16_t *x, const float *cos_sin, size_t heads, size_t head_dim, float direction)
{
    const size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i += LANES) {
            const __mmask16 lanes = first_lanes(half - i);
            const __m512 a = load_head(x + i, half - i), b = load_head(x + i + half, half - i);
            const __m512 c = _mm512_maskz_loadu_ps(lanes, cos_sin + i);
            const __m512 s =
                _mm512_mul_ps(_mm512_set1_ps(direction), _mm512_maskz_loadu_ps(lanes, cos_sin + half + i));
            store_head(x + i, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)), half - i);
            store_head(x + i + half, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)), half - i);
        }
}

static void swiglu(uint16_t *y, const uint16_t *gate, const uint16_t *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        const __m512 g = load_half_n(gate + i, lanes);
        store_half_n(y + i, _mm512_mul_ps(_mm512_mul_ps(g, sigmoid(g)), load_half_n(up + i, lanes)), lanes);
    }
}

static void swiglu_back(uint16_t *gate, uint16_t *up, uint16_t *dy, size_t n)
{
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        const __m512 g = load_half_n(gate + i, lanes), u = load_half_n(up + i, lanes);
        const __m512 d = load_half_n(dy + i, lanes), s = sigmoid(g), silu = _mm512_mul_ps(g, s);
        const __m512 slope = _mm512_mul_ps(s, _mm512_fmadd_ps(g, _mm512_sub_ps(one, s), one));
        store_half_n(gate + i, _mm512_mul_ps(_mm512_mul_ps(d, u), slope), lanes);
        store_half_n(up + i, _mm512_mul_ps(d, silu), lanes);
        store_half_n(dy + i, _mm512_mul_ps(silu, u), lanes);
    }
}

static void layernorm(uint16_t *y, size_t stride, float *mean, float *scale, const float *x,
                      const float *gain, const float *bias, size_t rows, size_t dim, float eps)
{
    for (size_t r = 0; r < rows; r++, x += dim, y += stride) {
        __m512 sum = _mm512_setzero_ps(), square = _mm512_setzero_ps();
        for (size_t i = 0; i < dim; i += LANES)
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(first_lanes(dim - i), x + i));
        mean[r] = _mm512_reduce_add_ps(sum) / (float)dim;
        const __m512 m = _mm512_set1_ps(mean[r]);
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 v = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, x + i), m);
            square = _mm512_fmadd_ps(v, v, square);
        }
        scale[r] = 1 / sqrtf(_mm512_reduce_add_ps(square) / (float)dim + eps);
        const __m512 s = _mm512_set1_ps(scale[r]);
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), m), s);
            store_half_n(y + i,
                         _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, gain + i), v,
                                         _mm512_maskz_loadu_ps(lanes, bias + i)),
                         lanes);
        }
    }
}

static void layernorm_back(float *dx, uint16_t *dx16, float *dgain, float *dbias, const uint16_t *dy,
                           size_t stride, const float *x, const float *mean, const float *scale,
                           const float *gain, size_t rows, size_t dim)
{
    memset(dgain, 0, dim * sizeof *dgain);
    memset(dbias, 0, dim * sizeof *dbias);
    for (size_t r = 0; r < rows; r++, x += dim, dx += dim, dx16 += stride, dy += stride) {
        const __m512 m = _mm512_set1_ps(mean[r]), s = _mm512_set1_ps(scale[r]);
        __m512 level = _mm512_setzero_ps(), along = _mm512_setzero_ps();
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 g =
                _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, gain + i), load_half_n(dy + i, lanes));
            const __m512 h = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), m), s);
            level = _mm512_add_ps(level, g);
            along = _mm512_fmadd_ps(g, h, along);   // g is 0 behind the row
        }
        level = _mm512_set1_ps(_mm512_reduce_add_ps(level) / (float)dim);
        along = _mm512_set1_ps(_mm512_reduce_add_ps(along) / (float)dim);
        for (size_t i = 0; i < dim; i += LANES) {
            const __mmask16 lanes = first_lanes(dim - i);
            const __m512 d = load_half_n(dy + i, lanes);
            const __m512 h = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), m), s);
            __m512 to = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(lanes, gain + i), d, level);
            to = _mm512_fnmadd_ps(h, along, to);
            to = _mm512_fmadd_ps(s, to, _mm512_maskz_loadu_ps(lanes, dx + i));
            _mm512_mask_storeu_ps(dx + i, lanes, to);
            store_half_n(dx16 + i, to, lanes);
            _mm512_mask_storeu_ps(dgain + i, lanes,
                                  _mm512_fmadd_ps(d, h, _mm512_maskz_loadu_ps(lanes, dgain + i)));
            _mm512_mask_storeu_ps(dbias + i, lanes,
                                  _mm512_add_ps(d, _mm512_maskz_loadu_ps(lanes, dbias + i)));
        }
    }
}

#define GELU_SLOPE 1.5957691216057308f   // 2 sqrt(2 / pi)
#define GELU_CUBE 0.044715f

INLINE __m512 gelu_sigmoid(__m512 x)
{
    const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(GELU_CUBE), x), x);
    return sigmoid(_mm512_mul_ps(_mm512_set1_ps(GELU_SLOPE), _mm512_fmadd_ps(cube, x, x)));
}

static void gelu(uint16_t *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        const __m512 v = load_half_n(x + i, lanes);
        store_half_n(y + i, _mm512_mul_ps(v, gelu_sigmoid(v)), lanes);
    }
}

static void gelu_back(uint16_t *x, uint16_t *dy, size_t n)
{
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        const __m512 v = load_half_n(x + i, lanes), d = load_half_n(dy + i, lanes), s = gelu_sigmoid(v);
        const __m512 square = _mm512_mul_ps(_mm512_set1_ps(3 * GELU_CUBE), _mm512_mul_ps(v, v));
        const __m512 steep = _mm512_fmadd_ps(square, _mm512_set1_ps(GELU_SLOPE), _mm512_set1_ps(GELU_SLOPE));
        const __m512 y = _mm512_mul_ps(v, s);
        const __m512 slope = _mm512_fmadd_ps(_mm512_mul_ps(y, _mm512_sub_ps(one, s)), steep, s);
        store_half_n(x + i, _mm512_mul_ps(d, slope), lanes);
        store_half_n(dy + i, y, lanes);
    }
}

static void row_sums(float *ret, const uint16_t *x, size_t stride, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t j = 0; j < cols; j += LANES)
            sum = _mm512_add_ps(sum, load_half_n(x + i * stride + j, first_lanes(cols - j)));
        ret[i] += _mm512_reduce_add_ps(sum);
    }
}

static void round_row(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        store_half_n(y + i, _mm512_maskz_loadu_ps(lanes, x + i), lanes);
    }
}

static double burn(size_t rounds)
{
    enum { CHAINS = 12 };   // one unit of latency six wants six
    __m512 x[CHAINS];
    EACH (c, CHAINS)
        x[c] = _mm512_setzero_ps();
    const __m512i one = _mm512_set1_epi16(0x3f80);
    for (size_t i = 0; i < rounds; i++)
        EACH (c, CHAINS) {
            x[c] = add_pairs(x[c], one, one);
            __asm__ volatile("" : "+v"(x[c]));   // every one is computed
        }
    return 4.0 * CHAINS * LANES * (double)rounds;
}

const struct lm_bf16_kernels lm_bf16_avx512 = {
    .product = lm_bf16_product_avx512,
    .logits = lm_bf16_logits_avx512,
    .loss_back = lm_bf16_loss_back_avx512,
    .pack_forward = lm_bf16_pack_forward_avx512,
    .pack_backward = lm_bf16_pack_backward_avx512,
    .pack = lm_bf16_pack_avx512,
    .transpose = lm_bf16_transpose_avx512,
    .rmsnorm = rmsnorm,
    .rmsnorm_back = rmsnorm_back,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_back = swiglu_back,
    .layernorm = layernorm,
    .layernorm_back = layernorm_back,
    .gelu = gelu,
    .gelu_back = gelu_back,
    .row_sums = row_sums,
    .round = round_row,
    .attention = lm_bf16_attention_avx512,
    .attention_back = lm_bf16_attention_back_avx512,
    .burn = burn,
};
