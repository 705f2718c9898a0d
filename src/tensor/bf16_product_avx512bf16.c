/* AVX-512 row of bf16.h: products, the loss on top of them, and how operands are laid out. */
#include "tensor/bf16_simd.h"

#include <math.h>

enum { PANEL = LM_BF16_PANEL, GROUP = LM_BF16_GROUP };

/* ---- products ---- */

/* Sums of the tile below are wanted next, and seldom in a near cache. */
INLINE void fetch_next(const struct lm_bf16_product *p, const size_t rows, const size_t panels, size_t row,
                       size_t col)
{
    EACH (i, rows)
        EACH (j, panels)
            _mm_prefetch((const char *)(p->base + (row + rows + i) * p->c_stride + col + j * PANEL),
                         _MM_HINT_T0);
}

INLINE void product_tile(const struct lm_bf16_product *p, const size_t rows, const size_t panels, size_t row,
                         size_t col, size_t end)
{
    __m512 sums[TILE_SUMS];
    const size_t at = row * p->c_stride + col;
    const __mmask16 last = first_lanes(p->n - col - (panels - 1) * PANEL);   // of the last panel
    if (p->base)
        EACH (i, rows)
            EACH (j, panels)
                sums[i * panels + j] = _mm512_maskz_loadu_ps(j + 1 == panels ? last : (__mmask16)0xffff,
                                                             p->base + at + i * p->c_stride + j * PANEL);
    else
        EACH (i, rows * panels)
            sums[i] = _mm512_setzero_ps();
    if (p->bias)
        EACH (j, panels) {
            const __m512 bias =
                _mm512_maskz_loadu_ps(j + 1 == panels ? last : (__mmask16)0xffff, p->bias + col + j * PANEL);
            EACH (i, rows)
                sums[i * panels + j] = _mm512_add_ps(sums[i * panels + j], bias);
        }
    if (p->base && row + rows < end)
        fetch_next(p, rows, panels, row, col);
    tile_sums(sums, rows, panels, p->a + row * p->a_stride, p->a_stride, p->b + col / PANEL * p->b_stride,
              p->b_stride, p->k);
    if (p->low_k > 0)
        tile_sums(sums, rows, panels, p->low_a + row * p->low_a_stride, p->low_a_stride,
                  p->low_b + col / PANEL * p->low_b_stride, p->low_b_stride, p->low_k);
    if (p->c16)
        EACH (i, rows)
            EACH (j, panels)
                store_half(p->c16 + at + i * p->c_stride + j * PANEL, sums[i * panels + j]);
    else
        EACH (i, rows)
            EACH (j, panels)
                _mm512_mask_storeu_ps(p->c + at + i * p->c_stride + j * PANEL,
                                      j + 1 == panels ? last : (__mmask16)0xffff, sums[i * panels + j]);
}

void lm_bf16_product_avx512(const struct lm_bf16_product *p, size_t row, size_t rows, size_t col, size_t cols)
{
#define TILE(height, width, r, c) product_tile(p, height, width, r, c, row + rows)
    LM_FOR_TILES(TILE, row, rows, col, (cols + PANEL - 1) / PANEL);
#undef TILE
}

/* ---- the loss ---- */

/* The power of two of a span is that of its first group's largest logit; it grows when a later logit lies
 * more than 2^LEAP above, far from what f32 and bf16 hold.  So no group but the first one looks for its
 * maximum. */
enum { LEAP = 64, BLOCK_ROWS = 192 };

struct span {
    const struct lm_bf16_logits *l;
    size_t first, index, row;          // column, number; of the block of rows
    float total[BLOCK_ROWS * LANES];   // sums by lanes
};

/* What lies in front of column `col` of row r shrinks by a power of two. */
static void shrink(struct span *s, size_t r, size_t col, float by)
{
    const struct lm_bf16_logits *l = s->l;
    float *total = s->total + (r - s->row) * LANES;
    const __m512 exponent = _mm512_set1_ps(-by);
    _mm512_storeu_ps(total, _mm512_scalef_ps(_mm512_loadu_ps(total), exponent));
    for (size_t j = s->first; j < col; j += LANES) {
        uint16_t *share = l->share + j / GROUP * l->share_stride + r * GROUP + j % GROUP;
        store_half(share, _mm512_scalef_ps(widen(_mm256_loadu_si256((const void *)share)), exponent));
    }
}

/* The largest of some vectors. */
INLINE float largest(const __m512 *x, const size_t count)
{
    __m512 most = x[0];
    for (size_t j = 1; j < count; j++)
        most = _mm512_max_ps(most, x[j]);
    return _mm512_reduce_max_ps(most);
}

/* Raises the power of row r when x, in powers of two above it, leaps; returns by how much. */
static float raise(struct span *s, size_t r, size_t col, float most)
{
    if (!(most > LEAP))
        return 0;
    const float by = rintf(most);
    shrink(s, r, col, by);
    s->l->top[r * s->l->spans + s->index] += by;
    return by;
}

/* Rows of one group of columns: four panels, or fewer at the end of the vocabulary. */
INLINE void logits_tile(struct span *s, const size_t rows, const size_t panels, size_t row, size_t col)
{
    const struct lm_bf16_logits *l = s->l;
    const struct lm_bf16_product *p = &l->product;
    __m512 x[TILE_SUMS], high = _mm512_set1_ps(-INFINITY);
    const __mmask16 last = first_lanes(p->n - col - (panels - 1) * PANEL);
    EACH (i, rows * panels)
        x[i] = _mm512_setzero_ps();
    tile_sums(x, rows, panels, p->a + row * p->a_stride, p->a_stride, p->b + col / PANEL * p->b_stride,
              p->b_stride, p->k);
    EACH (i, rows) {
        __m512 *at = x + i * panels;
        const size_t r = row + i, place = l->target[r] - col;   // wraps when it lies before
        float *top = l->top + r * l->spans + s->index;
        if (place < panels * PANEL) {
            float values[4 * PANEL];
            EACH (j, panels)
                _mm512_storeu_ps(values + j * PANEL, at[j]);
            l->at_target[r] = values[place];
        }
        at[panels - 1] = _mm512_mask_blend_ps(last, _mm512_set1_ps(-INFINITY), at[panels - 1]);
        if (col == s->first)
            *top = rintf(largest(at, panels) * LOG2_E);
        EACH (j, panels) {
            at[j] = _mm512_fmsub_ps(at[j], _mm512_set1_ps(LOG2_E), _mm512_set1_ps(*top));
            high = _mm512_max_ps(high, at[j]);
        }
    }
    if (_mm512_cmp_ps_mask(high, _mm512_set1_ps(LEAP), _CMP_GT_OQ))
        EACH (i, rows) {
            const float by = raise(s, row + i, col, largest(x + i * panels, panels));
            EACH (j, panels)
                x[i * panels + j] = _mm512_sub_ps(x[i * panels + j], _mm512_set1_ps(by));
        }
    EACH (i, rows) {
        float *total = s->total + (row + i - s->row) * LANES;
        uint16_t *share = l->share + col / GROUP * l->share_stride + (row + i) * GROUP;
        __m512 sum = _mm512_loadu_ps(total);
        EACH (j, panels) {
            const __m512 e = exp2_of(x[i * panels + j]);
            sum = _mm512_add_ps(sum, e);
            store_half(share + j * PANEL, e);
        }
        _mm512_storeu_ps(total, sum);
    }
}

static void logits_span(struct span *s, size_t rows, size_t cols)
{
    const struct lm_bf16_logits *l = s->l;
    memset(s->total, 0, sizeof s->total);
#define TILE(height, width, r, c) logits_tile(s, height, width, r, c)
    LM_FOR_TILES(TILE, s->row, rows, s->first, (cols + PANEL - 1) / PANEL);
#undef TILE
    for (size_t r = 0; r < rows; r++)
        l->total[(s->row + r) * l->spans + s->index] =
            _mm512_reduce_add_ps(_mm512_loadu_ps(s->total + r * LANES));
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void lm_bf16_logits_avx512(const struct lm_bf16_logits *l, size_t row, size_t rows, size_t col, size_t cols)
{
    enum { SPAN = LM_BF16_SPAN };
    struct span s = { .l = l };
    for (size_t j = col; j < col + cols; j += SPAN)
        for (size_t i = row; i < row + rows; i += BLOCK_ROWS) {
            s.first = j;
            s.index = j / SPAN;
            s.row = i;
            logits_span(&s, smaller(BLOCK_ROWS, row + rows - i), smaller(SPAN, col + cols - j));
        }
}

/* Two rows of bf16 become pairs: the low and the high 16 columns. */
INLINE void interleave(__m512i even, __m512i odd, __m512i *ret_low, __m512i *ret_high)
{
    static const uint16_t low[32] = { 0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47 };
    const __m512i index = _mm512_loadu_si512(low);
    *ret_low = _mm512_permutex2var_epi16(even, index, odd);
    *ret_high = _mm512_permutex2var_epi16(even, _mm512_add_epi16(index, _mm512_set1_epi16(16)), odd);
}

/* 16 pairs of rows of 16 columns to 16 rows of 32. */
INLINE void store_transposed(uint16_t *ret, size_t ret_stride, size_t cols, __m512i r[16])
{
    transpose_16x16(r);
    for (size_t i = 0; i < cols && i < 16; i++)
        _mm512_storeu_si512(ret + i * ret_stride, r[i]);
}

/* 32 shares times their factor. */
INLINE __m512i scaled(const uint16_t *share, float factor)
{
    const __m512 f = _mm512_set1_ps(factor);
    const __m512 low = _mm512_mul_ps(widen(_mm256_loadu_si256((const void *)share)), f);
    const __m512 high = _mm512_mul_ps(widen(_mm256_loadu_si256((const void *)(share + LANES))), f);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Rows [row, row + 32) of 32 columns from j on, without what is taken off at the targets; `cols` to the end.
 */
enum { FETCH_ROWS = 64 };
INLINE void loss_back_block(const struct lm_bf16_loss_back *l, size_t first, size_t j, size_t row,
                            size_t cols)
{
    const size_t group = (first + j) / GROUP, in_group = (first + j) % GROUP;
    const __mmask32 panels = cols > PANEL ? 0xffffffff : 0xffff;
    __m512i low[16], high[16];
    EACH (i, 16) {
        __m512i d[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
        EACH (s, 2) {
            const size_t r = row + 2 * i + s;
            if (r >= l->m)
                continue;
            const uint16_t *share = l->share + group * l->share_stride + r * GROUP + in_group;
            _mm_prefetch((const char *)(share + FETCH_ROWS * GROUP), _MM_HINT_T0);
            d[s] = scaled(share, l->factor[r * l->spans + group * GROUP / LM_BF16_SPAN] * l->scale[r]);
            _mm512_mask_storeu_epi16(l->rows + r * l->rows_stride + j, panels, d[s]);
        }
        interleave(d[0], d[1], &low[i], &high[i]);
    }
    if (!l->transposed)
        return;
    uint16_t *to = l->transposed + j * l->transposed_stride + row;
    store_transposed(to, l->transposed_stride, cols, low);
    if (cols > PANEL)
        store_transposed(to + PANEL * l->transposed_stride, l->transposed_stride, cols - PANEL, high);
}

/* A target's share times its factor, less its scale. */
static void loss_back_target(const struct lm_bf16_loss_back *l, size_t first, size_t r)
{
    const size_t col = l->target[r], group = col / GROUP, j = col - first;
    const uint16_t *share = l->share + group * l->share_stride + r * GROUP + col % GROUP;
    __m512 d =
        _mm512_mul_ps(load_half_n(share, 1),
                      _mm512_set1_ps(l->factor[r * l->spans + group * GROUP / LM_BF16_SPAN] * l->scale[r]));
    d = _mm512_sub_ps(d, _mm512_set1_ps(l->scale[r]));
    store_half_n(l->rows + r * l->rows_stride + j, d, 1);
    if (l->transposed)
        store_half_n(l->transposed + j * l->transposed_stride + r, d, 1);
}

void lm_bf16_loss_back_avx512(const struct lm_bf16_loss_back *l, size_t first, size_t count)
{
    for (size_t group = 0; group < count; group += GROUP)
        for (size_t row = 0; row < l->m; row += 32)
            for (size_t j = group; j < group + GROUP && j < count; j += 2 * PANEL)
                loss_back_block(l, first, j, row, count - j);
    for (size_t r = 0; r < l->m; r++)
        if (l->target[r] - first < count)   // wraps when it lies before
            loss_back_target(l, first, r);
}

/* ---- layouts ---- */

INLINE __m512i pair_of_floats(__m512 even, __m512 odd)   // 16 pairs
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(narrow(even)),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow(odd)), 16));
}

/* Up to 32 floats in order, rounded; zeros behind `count`. */
INLINE __m512i round_32(const float *x, size_t count)
{
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(count), x);
    const __m512 high =
        count > LANES ? _mm512_maskz_loadu_ps(first_lanes(count - LANES), x + LANES) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

void lm_bf16_pack_forward_avx512(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                                 size_t first, size_t count)
{
    for (size_t j = first; j < first + count; j += PANEL)
        for (size_t l = 0; l < in; l += 32) {   // 16 rows of w by 16 pairs
            uint16_t *to = ret + j / PANEL * ret_stride + l * PANEL;
            __m512i r[16];
            EACH (i, 16)
                r[i] = j + i < out ? round_32(w + (j + i) * in + l, in - l) : _mm512_setzero_si512();
            transpose_16x16(r);
            const size_t pairs = (in - l + 1) / 2;
            for (size_t i = 0; i < 16 && i < pairs; i++)
                _mm512_storeu_si512(to + i * 2 * PANEL, r[i]);
        }
}

void lm_bf16_pack_backward_avx512(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                                  size_t first, size_t count)
{
    for (size_t j = first; j < first + count; j += PANEL) {
        const __mmask16 lanes = first_lanes(in - j);
        for (size_t l = 0; l < out; l += 2) {
            const __m512 even = _mm512_maskz_loadu_ps(lanes, w + l * in + j);
            const __m512 odd =
                l + 1 < out ? _mm512_maskz_loadu_ps(lanes, w + (l + 1) * in + j) : _mm512_setzero_ps();
            _mm512_storeu_si512(ret + j / PANEL * ret_stride + l * PANEL, pair_of_floats(even, odd));
        }
    }
}

/* Rows l and l + 1 of x, 32 columns from j on, as pairs; zeros outside. */
INLINE void load_pairs(const uint16_t *x, size_t stride, size_t rows, size_t cols, size_t l, size_t j,
                       __m512i *ret_low, __m512i *ret_high)
{
    const __mmask32 lanes = cols - j >= 32 ? 0xffffffff : (1u << (cols - j)) - 1;
    const __m512i even =
        l < rows ? _mm512_maskz_loadu_epi16(lanes, x + l * stride + j) : _mm512_setzero_si512();
    const __m512i odd =
        l + 1 < rows ? _mm512_maskz_loadu_epi16(lanes, x + (l + 1) * stride + j) : _mm512_setzero_si512();
    interleave(even, odd, ret_low, ret_high);
}

void lm_bf16_pack_avx512(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                         size_t cols, size_t first, size_t count)
{
    for (size_t j = first; j < first + count; j += 2 * PANEL)   // two panels at a time: whole lines in
        for (size_t l = 0; l < rows; l += 2) {
            uint16_t *to = ret + j / PANEL * ret_stride + l * PANEL;
            __m512i low, high;
            load_pairs(x, stride, rows, cols, l, j, &low, &high);
            _mm512_storeu_si512(to, low);
            if (first + count - j > PANEL)
                _mm512_storeu_si512(to + ret_stride, high);
        }
}

void lm_bf16_transpose_avx512(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                              size_t cols, size_t first, size_t count)
{
    for (size_t l = 0; l < rows; l += 32)
        for (size_t j = first; j < first + count; j += 2 * PANEL) {
            __m512i low[16], high[16];
            EACH (i, 16)
                load_pairs(x, stride, rows, cols, l + 2 * i, j, &low[i], &high[i]);
            uint16_t *to = ret + j * ret_stride + l;
            store_transposed(to, ret_stride, first + count - j, low);
            if (first + count - j > PANEL)
                store_transposed(to + PANEL * ret_stride, ret_stride, first + count - j - PANEL, high);
        }
}
