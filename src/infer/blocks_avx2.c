/* AVX2 row: codes widen to 16 bits, VPMADDWD adds pairs of products.  Codes of an input block: 32 values of
 * 16 bits, as in the scalar row. */
#include "base/each.h"
#include "infer/blocks.h"

#include <immintrin.h>

enum { PANEL = 16, HALVES = 2, ROWS_MAX = 2, LINE = 64 };

/* ---- inputs ---- */

static float largest_of(__m256i v)   // non-negative floats as integers
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

static int sum_of(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static void prepare_block(int16_t *values, struct lm_block_tail *tail, const float *x)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256i largest = _mm256_setzero_si256(), v[4];
    EACH (i, 4)
        largest = _mm256_max_epi32(largest,
                                   _mm256_castps_si256(_mm256_and_ps(_mm256_loadu_ps(x + 8 * i), magnitude)));
    const float max = largest_of(largest);
    const int finite = max < __builtin_inff(), some = finite && max >= 1e-30f;
    const __m256 inverse = _mm256_set1_ps(some ? LM_BLOCK_VALUE_MAX / max : 0);
    EACH (i, 4)
        v[i] = some ? _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse))
                    : _mm256_setzero_si256();
    EACH (i, 2) {
        const __m256i packed = _mm256_packs_epi32(v[2 * i], v[2 * i + 1]);
        _mm256_storeu_si256((void *)(values + 16 * i), _mm256_permute4x64_epi64(packed, 0xd8));
    }
    const float scale = some ? max / LM_BLOCK_VALUE_MAX : finite ? 0 : __builtin_nanf("");
    const int first = sum_of(_mm256_add_epi32(v[0], v[1])),
              sum = first + sum_of(_mm256_add_epi32(v[2], v[3]));
    *tail = (struct lm_block_tail){ scale, scale * (float)sum, sum, first };
}

static void prepare(void *ret, const float *x, size_t blocks)
{
    struct lm_block_tail *tails = (void *)((char *)ret + blocks * LM_BLOCK_INPUT_CODES);
    for (size_t b = 0; b < blocks; b++)
        prepare_block((int16_t *)ret + b * LM_BLOCK, &tails[b], x + b * LM_BLOCK);
}

/* ---- products ---- */

struct view {
    const char *x, *panels;
    size_t x_bytes, panel_bytes, blocks;
};

/* Four codes each of outputs 4 part .. 4 part + 3, of line q, widened. */
INLINE __m256i codes_of(const struct lm_block_shape s, const char *codes, size_t q, size_t part)
{
    const size_t place = (s.code_bits == 8 ? q : q % 4) * LINE + part * 16;
    const __m128i both = _mm_loadu_si128((const void *)(codes + place));
    if (s.code_bits == 8)
        return _mm256_cvtepu8_epi16(both);
    const __m128i nibbles = _mm_and_si128(q < 4 ? both : _mm_srli_epi16(both, 4), _mm_set1_epi8(15));
    return _mm256_cvtepu8_epi16(nibbles);
}

INLINE __m256 factors(const struct lm_block_shape s, const char *at, size_t half)
{
    at += half * 8 * s.factor_bytes;
    return s.factor_bytes == 2 ? _mm256_cvtph_ps(_mm_loadu_si128((const void *)at))
                               : _mm256_loadu_ps((const float *)(const void *)at);
}

INLINE const struct lm_block_tail *tail(const struct view *v, size_t row, size_t block)
{
    return (const struct lm_block_tail *)(v->x + row * v->x_bytes + v->blocks * LM_BLOCK_INPUT_CODES) + block;
}

INLINE void group_sums(const struct lm_block_shape s, const size_t rows, __m256i *sum, const struct view *v,
                       size_t block, size_t group)
{
    EACH (i, s.group / 4) {
        const size_t q = group * (s.group / 4) + i;
        __m256i codes[4];
        EACH (part, 4)
            codes[part] = codes_of(s, v->panels + block * lm_block_bytes(&s), q, part);
        EACH (r, rows) {
            long long four;
            __builtin_memcpy(&four, v->x + r * v->x_bytes + block * LM_BLOCK_INPUT_CODES + 8 * q, 8);
            EACH (part, 4)
                sum[r * 4 + part] = _mm256_add_epi32(
                    sum[r * 4 + part], _mm256_madd_epi16(codes[part], _mm256_set1_epi64x(four)));
        }
    }
}

INLINE void tile(const struct lm_block_shape s, const size_t rows, struct lm_outputs to, const struct view *v)
{
    const size_t groups = LM_BLOCK / s.group, row_bytes = PANEL * s.factor_bytes;
    const char *at = v->panels + lm_block_code_bytes(&s);   // factors of the block at hand
    __m256 acc[ROWS_MAX * HALVES];
    EACH (r, rows)
        EACH (h, HALVES)
            acc[r * HALVES + h] =
                to.start ? _mm256_loadu_ps(to.start + r * to.start_stride + h * 8) : _mm256_setzero_ps();
    for (size_t b = 0; b < v->blocks; b++, at += lm_block_bytes(&s)) {
        EACH (g, groups) {
            __m256i sum[ROWS_MAX * 4];
            EACH (i, rows * 4)
                sum[i] = _mm256_setzero_si256();
            group_sums(s, rows, sum, v, b, g);
            EACH (r, rows) {
                const struct lm_block_tail *t = tail(v, r, b);
                const int values = groups == 1 ? t->sum : g == 0 ? t->first : t->sum - t->first;
                EACH (h, HALVES) {
                    const __m256i pairs = _mm256_hadd_epi32(sum[r * 4 + 2 * h], sum[r * 4 + 2 * h + 1]);
                    const __m256i whole = _mm256_sub_epi32(_mm256_permute4x64_epi64(pairs, 0xd8),
                                                           _mm256_set1_epi32(s.zero * values));
                    const __m256 scale =
                        _mm256_mul_ps(factors(s, at + g * row_bytes, h), _mm256_set1_ps(t->scale));
                    acc[r * HALVES + h] =
                        _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), scale, acc[r * HALVES + h]);
                }
            }
        }
        if (s.has_offset)
            EACH (r, rows)
                EACH (h, HALVES)
                    acc[r * HALVES + h] =
                        _mm256_fmadd_ps(factors(s, at + groups * row_bytes, h),
                                        _mm256_set1_ps(tail(v, r, b)->total), acc[r * HALVES + h]);
    }
    EACH (r, rows)
        EACH (h, HALVES)
            _mm256_storeu_ps(to.y + r * to.stride + h * 8, acc[r * HALVES + h]);
}

INLINE void product(const struct lm_block_shape s, struct lm_outputs to, struct view v, size_t rows,
                    size_t panel_count)
{
    for (; rows > 0; to = lm_outputs_past(to, ROWS_MAX, 0), v.x += ROWS_MAX * v.x_bytes) {
        struct view w = v;
        for (size_t j = 0; j < panel_count; j++, w.panels += w.panel_bytes)
            if (rows >= ROWS_MAX)
                tile(s, ROWS_MAX, lm_outputs_past(to, 0, j * PANEL), &w);
            else
                tile(s, 1, lm_outputs_past(to, 0, j * PANEL), &w);
        rows -= rows < ROWS_MAX ? rows : ROWS_MAX;
    }
}

#include "infer/blocks_table.h"

const struct lm_block_kernels lm_blocks_avx2 = {
    .prepare = prepare,
    .product = LM_BLOCK_PRODUCTS,
};
