/* AVX-512 VNNI row: a line of weights is 16 outputs of 4 codes, a value is two signed bytes, and VPDPBUSD
 * adds 64 products.  Codes of an input block: 32 high bytes, then 32 low bytes; value = 256 high + low.
 *
 * A tile keeps one accumulator of integers and one of floats for each row and panel.  In a group first the
 * high bytes are multiplied, the sum shifted by 8 bits, then the low bytes added to it. */
#include "base/each.h"
#include "infer/blocks.h"

#include <immintrin.h>

enum { PANEL = 16, TILE_MAX = 12, LINE = 64 };

/* ---- inputs ---- */

static void prepare_block(int8_t *codes, struct lm_block_tail *tail, const float *x)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), infinity = _mm512_set1_epi32(0x7f800000);
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512i largest = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                                             _mm512_and_si512(_mm512_castps_si512(b), magnitude));
    const int finite = !_mm512_cmpge_epi32_mask(largest, infinity);
    const float max = _mm512_reduce_max_ps(_mm512_castsi512_ps(largest));
    const int some = finite && max >= 1e-30f;
    const __m512 inverse = _mm512_set1_ps(some ? LM_BLOCK_VALUE_MAX / max : 0);
    __m512i v[2] = { _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)),
                     _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse)) };
    for (int i = 0; i < 2; i++) {
        if (!some)
            v[i] = _mm512_setzero_si512();
        const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(v[i], _mm512_set1_epi32(128)), 8);
        _mm_storeu_si128((void *)(codes + 16 * i), _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128((void *)(codes + 32 + 16 * i), _mm512_cvtepi32_epi8(v[i]));
    }
    const float scale = some ? max / LM_BLOCK_VALUE_MAX : finite ? 0 : __builtin_nanf("");
    const int first = _mm512_reduce_add_epi32(v[0]), sum = first + _mm512_reduce_add_epi32(v[1]);
    *tail = (struct lm_block_tail){ scale, scale * (float)sum, sum, first };
}

static void prepare(void *ret, const float *x, size_t blocks)
{
    int8_t *codes = ret;
    struct lm_block_tail *tails = (void *)(codes + blocks * LM_BLOCK_INPUT_CODES);
    for (size_t b = 0; b < blocks; b++)
        prepare_block(codes + b * LM_BLOCK_INPUT_CODES, &tails[b], x + b * LM_BLOCK);
}

/* ---- products ---- */

/* Line q, 0..7, of a block's codes as bytes. */
INLINE __m512i line(const struct lm_block_shape s, const char *codes, size_t q)
{
    if (s.code_bits == 8)
        return _mm512_loadu_si512(codes + q * LINE);
    const __m512i both = _mm512_loadu_si512(codes + q % 4 * LINE);
    return _mm512_and_si512(q < 4 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
}

INLINE __m512 factors(const struct lm_block_shape s, const char *at)
{
    return s.factor_bytes == 2 ? _mm512_cvtph_ps(_mm256_loadu_si256((const void *)at)) : _mm512_loadu_ps(at);
}

struct view {
    const char *x, *panels;
    size_t x_bytes, panel_bytes, blocks;
};

INLINE __m512i four_values(const struct view *v, size_t row, size_t block, size_t at)
{
    int32_t four;
    __builtin_memcpy(&four, v->x + row * v->x_bytes + block * LM_BLOCK_INPUT_CODES + at, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE const struct lm_block_tail *tail(const struct view *v, size_t row, size_t block)
{
    return (const struct lm_block_tail *)(v->x + row * v->x_bytes + v->blocks * LM_BLOCK_INPUT_CODES) + block;
}

/* sum += the codes of one group times one byte (0: high, 32: low) of each value. */
INLINE void group_sums(const struct lm_block_shape s, const size_t rows, const size_t panels, __m512i *sum,
                       const struct view *v, size_t block, size_t group, size_t byte)
{
    EACH (i, s.group / 4) {
        const size_t q = group * (s.group / 4) + i;
        __m512i codes[TILE_MAX];
        EACH (p, panels)
            codes[p] = line(s, v->panels + p * v->panel_bytes + block * lm_block_bytes(&s), q);
        EACH (r, rows) {
            const __m512i four = four_values(v, r, block, byte + 4 * q);
            EACH (p, panels)
                sum[r * panels + p] = _mm512_dpbusd_epi32(sum[r * panels + p], codes[p], four);
        }
    }
}

INLINE void tile(const struct lm_block_shape s, const size_t rows, const size_t panels, struct lm_outputs to,
                 const struct view *v)
{
    const size_t groups = LM_BLOCK / s.group, row_bytes = PANEL * s.factor_bytes;
    const char *at = v->panels + lm_block_code_bytes(&s);   // factors of the block at hand
    __m512 acc[TILE_MAX];
    EACH (r, rows)
        EACH (p, panels)
            acc[r * panels + p] =
                to.start ? _mm512_loadu_ps(to.start + r * to.start_stride + p * PANEL) : _mm512_setzero_ps();
    for (size_t b = 0; b < v->blocks; b++, at += lm_block_bytes(&s)) {
        EACH (g, groups) {
            __m512i sum[TILE_MAX];
            EACH (i, rows * panels)
                sum[i] = _mm512_setzero_si512();
            group_sums(s, rows, panels, sum, v, b, g, 0);
            EACH (i, rows * panels)
                sum[i] = _mm512_slli_epi32(sum[i], 8);
            group_sums(s, rows, panels, sum, v, b, g, LM_BLOCK);
            EACH (r, rows) {
                const struct lm_block_tail *t = tail(v, r, b);
                const int values = groups == 1 ? t->sum : g == 0 ? t->first : t->sum - t->first;
                const __m512i zero = _mm512_set1_epi32(s.zero * values);
                EACH (p, panels) {
                    const size_t i = r * panels + p;
                    const __m512 scale = _mm512_mul_ps(factors(s, at + p * v->panel_bytes + g * row_bytes),
                                                       _mm512_set1_ps(t->scale));
                    const __m512i whole = s.zero ? _mm512_sub_epi32(sum[i], zero) : sum[i];
                    acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, acc[i]);
                }
            }
        }
        if (s.has_offset)
            EACH (r, rows) {
                const __m512 total = _mm512_set1_ps(tail(v, r, b)->total);
                EACH (p, panels)
                    acc[r * panels + p] = _mm512_fmadd_ps(
                        factors(s, at + p * v->panel_bytes + groups * row_bytes), total, acc[r * panels + p]);
            }
    }
    EACH (r, rows)
        EACH (p, panels)
            _mm512_storeu_ps(to.y + r * to.stride + p * PANEL, acc[r * panels + p]);
}

/* One row waits for memory: one panel after the other and every byte in the order it lies in, which is what
 * the processor fetches ahead by itself; asking it for lines further on made it slower.  Integer sums are
 * exact, so each may be split over independent registers. */
INLINE void row_tile(const struct lm_block_shape s, struct lm_outputs to, const struct view *v)
{
    enum { WAYS = 2 };
    const size_t groups = LM_BLOCK / s.group, row_bytes = PANEL * s.factor_bytes;
    const char *at = v->panels + lm_block_code_bytes(&s);
    __m512 acc = to.start ? _mm512_loadu_ps(to.start) : _mm512_setzero_ps();
    for (size_t b = 0; b < v->blocks; b++, at += lm_block_bytes(&s)) {
        const struct lm_block_tail *t = tail(v, 0, b);
        EACH (g, groups) {
            const int values = groups == 1 ? t->sum : g == 0 ? t->first : t->sum - t->first;
            __m512i high[WAYS], low[WAYS];
            EACH (i, WAYS)
                high[i] = low[i] = _mm512_setzero_si512();
            EACH (i, s.group / 4) {
                const size_t q = g * (s.group / 4) + i;
                const __m512i codes = line(s, v->panels + b * lm_block_bytes(&s), q);
                high[i % WAYS] = _mm512_dpbusd_epi32(high[i % WAYS], codes, four_values(v, 0, b, 4 * q));
                low[i % WAYS] =
                    _mm512_dpbusd_epi32(low[i % WAYS], codes, four_values(v, 0, b, LM_BLOCK + 4 * q));
            }
            const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(_mm512_add_epi32(high[0], high[1]), 8),
                                                   _mm512_add_epi32(low[0], low[1]));
            const __m512i sum = _mm512_sub_epi32(whole, _mm512_set1_epi32(s.zero * values));
            const __m512 scale = _mm512_mul_ps(factors(s, at + g * row_bytes), _mm512_set1_ps(t->scale));
            acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, acc);
        }
        if (s.has_offset)
            acc = _mm512_fmadd_ps(factors(s, at + groups * row_bytes), _mm512_set1_ps(t->total), acc);
    }
    _mm512_storeu_ps(to.y, acc);
}

INLINE void tile_rows(const struct lm_block_shape s, const size_t rows, const size_t width,
                      struct lm_outputs to, struct view v, size_t panel_count)
{
    for (; panel_count >= width; panel_count -= width) {
        tile(s, rows, width, to, &v);
        to = lm_outputs_past(to, 0, width * PANEL);
        v.panels += width * v.panel_bytes;
    }
    for (; width > 1 && panel_count > 0; panel_count--) {
        tile(s, rows, 1, to, &v);
        to = lm_outputs_past(to, 0, PANEL);
        v.panels += v.panel_bytes;
    }
}

INLINE void product(const struct lm_block_shape s, struct lm_outputs to, struct view v, size_t rows,
                    size_t panel_count)
{
    for (; rows >= 6; rows -= 6) {
        tile_rows(s, 6, 2, to, v, panel_count);
        to = lm_outputs_past(to, 6, 0);
        v.x += 6 * v.x_bytes;
    }
    switch (rows) {
    case 5:
        tile_rows(s, 5, 2, to, v, panel_count);
        break;
    case 4:
        tile_rows(s, 4, 2, to, v, panel_count);
        break;
    case 3:
        tile_rows(s, 3, 2, to, v, panel_count);
        break;
    case 2:
        tile_rows(s, 2, 4, to, v, panel_count);
        break;
    case 1:
        for (size_t j = 0; j < panel_count; j++, v.panels += v.panel_bytes)
            row_tile(s, lm_outputs_past(to, 0, j * PANEL), &v);
        break;
    default:
        break;
    }
}

#include "infer/blocks_table.h"

const struct lm_block_kernels lm_blocks_avx512_vnni = {
    .prepare = prepare,
    .product = LM_BLOCK_PRODUCTS,
};
