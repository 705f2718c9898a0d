/* AVX-512 row of bf16.h: attention in blocks of LM_BF16_BLOCK queries by as many keys.
 *
 * On the way back scores are computed transposed, keys in rows: then probabilities and their gradients
 * already lie as the products to values and keys want them, and the sums of a query are vectors, not scalars.
 */
#include "tensor/bf16_simd.h"

#include "base/err.h"

#include <math.h>

enum { BLOCK = LM_BF16_BLOCK, PANEL = LM_BF16_PANEL };

/* ---- scratch ---- */

struct parts {
    size_t padded, width;                   // positions in whole blocks; head width in whole panels
    uint16_t *k_scores;                     // panels over keys, k = D: of k^T
    uint16_t *k_values, *v_values;          // panels over D, k = keys
    uint16_t *q_scores, *do_scores;         // panels over queries, k = D
    uint16_t *q_values, *do_values;         // panels over D, k = queries
    float *dq, *dk, *dv;                    // (padded, width)
    float *scores, *dscores;                // (BLOCK, BLOCK)
    uint16_t *p, *ds, *ds_rows;             // (BLOCK, BLOCK)
    float *out, *top, *sum, *delta, *lse;   // (BLOCK, width), (BLOCK), (BLOCK), (padded), (padded)
};

static void *take(char **at, size_t bytes)
{
    void *part = *at;
    *at += (bytes + 63) / 64 * 64;
    return part;
}

/* As lm_bf16_attention_bytes() counts. */
static void divide(struct parts *s, char *at, size_t positions, size_t dim)
{
    char *const start = at;
    s->padded = (positions + BLOCK - 1) / BLOCK * BLOCK;
    s->width = lm_bf16_pad(dim);
    uint16_t **const packs[] = { &s->k_scores,  &s->k_values, &s->v_values, &s->q_scores,
                                 &s->do_scores, &s->q_values, &s->do_values };
    for (size_t i = 0; i < sizeof packs / sizeof packs[0]; i++)
        *packs[i] = take(&at, s->padded * s->width * sizeof(uint16_t));
    float **const sums[] = { &s->dq, &s->dk, &s->dv };
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        *sums[i] = take(&at, s->padded * s->width * sizeof(float));
    s->scores = take(&at, sizeof(float) * BLOCK * BLOCK);
    s->dscores = take(&at, sizeof(float) * BLOCK * BLOCK);
    s->p = take(&at, sizeof(uint16_t) * BLOCK * BLOCK);
    s->ds = take(&at, sizeof(uint16_t) * BLOCK * BLOCK);
    s->ds_rows = take(&at, sizeof(uint16_t) * BLOCK * BLOCK);
    s->out = take(&at, BLOCK * s->width * sizeof(float));
    s->top = take(&at, BLOCK * sizeof(float));
    s->sum = take(&at, BLOCK * sizeof(float));
    s->delta = take(&at, s->padded * sizeof(float));
    s->lse = take(&at, s->padded * sizeof(float));
    LM_ASSERT((size_t)(at - start) <= lm_bf16_attention_bytes(positions, dim));
}

/* Rows x (T, D) of one head to panels over positions with k = D, the right operand of scores; zeros behind.
 */
static void pack_scores(uint16_t *ret, const uint16_t *x, size_t stride, size_t positions, size_t dim,
                        const struct parts *s)
{
    for (size_t t = 0; t < s->padded; t += PANEL)
        for (size_t d = 0; d < dim; d += 32) {
            __m512i r[16];
            const __mmask32 lanes = dim - d >= 32 ? 0xffffffff : (1u << (dim - d)) - 1;
            EACH (i, 16)
                r[i] = t + i < positions ? _mm512_maskz_loadu_epi16(lanes, x + (t + i) * stride + d)
                                         : _mm512_setzero_si512();
            transpose_16x16(r);
            for (size_t i = 0; i < 16 && d + 2 * i < s->width; i++)
                _mm512_storeu_si512(ret + t * s->width + (d / 2 + i) * 2 * PANEL, r[i]);
        }
}

/* Rows to panels with k = positions; the last block is filled up with zeros. */
static void pack_values(uint16_t *ret, const uint16_t *x, size_t stride, size_t positions, size_t dim,
                        const struct parts *s)
{
    lm_bf16_pack_avx512(ret, s->padded * PANEL, x, stride, positions, dim, 0, s->width);
    const size_t from = (positions + 1) / 2 * 2;
    for (size_t j = 0; j < s->width / PANEL; j++)
        memset(ret + j * s->padded * PANEL + from * PANEL, 0, (s->padded - from) * PANEL * sizeof *ret);
}

/* c (rows, BLOCK) = a (rows, D) by one block of panels over positions. */
static void scores_product(float *c, const uint16_t *a, size_t a_stride, size_t rows, const uint16_t *panels,
                           size_t width, size_t dim)
{
    const struct lm_bf16_product p = { .a = a,
                                       .b = panels,
                                       .c = c,
                                       .m = rows,
                                       .n = BLOCK,
                                       .k = dim,
                                       .a_stride = a_stride,
                                       .b_stride = width * PANEL,
                                       .c_stride = BLOCK };
    lm_bf16_product_avx512(&p, 0, rows, 0, BLOCK);
}

/* c (rows, width) += a (rows, BLOCK) b, b being block [t, t + BLOCK) of panels with k = positions. */
static void values_product(float *c, const uint16_t *a, size_t rows, const uint16_t *panels, size_t t,
                           const struct parts *s)
{
    const struct lm_bf16_product p = { .a = a,
                                       .b = panels + t * PANEL,
                                       .c = c,
                                       .base = c,
                                       .m = rows,
                                       .n = s->width,
                                       .k = BLOCK,
                                       .a_stride = BLOCK,
                                       .b_stride = s->padded * PANEL,
                                       .c_stride = s->width };
    lm_bf16_product_avx512(&p, 0, rows, 0, s->width);
}

static size_t block_rows(size_t positions, size_t t)
{
    return positions - t < BLOCK ? positions - t : BLOCK;
}

/* ---- forward ---- */

/* Lanes of keys [s, s + 16) that query t may see. */
INLINE __mmask16 visible(size_t s, size_t t, size_t start)
{
    const __mmask16 past = t >= s ? first_lanes(t - s + 1) : 0;
    const __mmask16 other = start > s ? first_lanes(start - s) : 0;
    return (__mmask16)(past & ~other);
}

/* A query's scores become probabilities by the maximum so far; what earlier blocks left in out and sum
 * shrinks when the maximum grows.  scale has log2 e in it. */
INLINE void softmax_row(const struct parts *s, size_t i, size_t t, size_t start, size_t s0, float scale)
{
    __mmask16 lanes[4];
    __m512 x[4], most = _mm512_set1_ps(-INFINITY);
    EACH (j, 4) {
        lanes[j] = visible(s0 + 16 * j, t, start);
        x[j] = _mm512_mul_ps(_mm512_loadu_ps(s->scores + i * BLOCK + 16 * j), _mm512_set1_ps(scale));
        most = _mm512_mask_max_ps(most, lanes[j], most, x[j]);
    }
    const float top = _mm512_reduce_max_ps(most);
    float sum = s->sum[i];
    if (top > s->top[i]) {
        const float shrink = exp2f(s->top[i] - top);   // 0 the first time
        float *out = s->out + i * s->width;
        for (size_t d = 0; d < s->width && sum > 0; d += LANES)
            _mm512_storeu_ps(out + d, _mm512_mul_ps(_mm512_loadu_ps(out + d), _mm512_set1_ps(shrink)));
        sum *= shrink;
        s->top[i] = top;
    }
    __m512 total = _mm512_setzero_ps();
    EACH (j, 4) {
        const __m512 e =
            _mm512_maskz_mov_ps(lanes[j], exp2_of(_mm512_sub_ps(x[j], _mm512_set1_ps(s->top[i]))));
        total = _mm512_add_ps(total, e);
        store_half(s->p + i * BLOCK + 16 * j, e);
    }
    s->sum[i] = sum + _mm512_reduce_add_ps(total);
}

static void attend_block(const struct lm_bf16_attention *a, const struct parts *s, size_t t0, size_t rows,
                         const uint16_t *q)
{
    const struct lm_attention *shape = &a->shape;
    const float scale = LOG2_E / sqrtf((float)shape->head_dim);
    memset(s->out, 0, BLOCK * s->width * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        s->top[i] = -INFINITY;
        s->sum[i] = 0;
    }
    for (size_t s0 = shape->start[t0] / BLOCK * BLOCK; s0 < t0 + rows; s0 += BLOCK) {
        scores_product(s->scores, q, a->stride, rows, s->k_scores + s0 * s->width, s->width, shape->head_dim);
        for (size_t i = 0; i < rows; i++)
            softmax_row(s, i, t0 + i, shape->start[t0 + i], s0, scale);
        values_product(s->out, s->p, rows, s->v_values, s0, s);
    }
}

void lm_bf16_attention_avx512(const struct lm_bf16_attention *a, size_t kv, uint16_t *out, float *lse,
                              const uint16_t *qkv, void *scratch)
{
    const struct lm_attention *shape = &a->shape;
    const size_t dim = shape->head_dim, n = shape->positions, group = shape->heads / shape->kv_heads;
    struct parts s;
    divide(&s, scratch, n, dim);
    pack_scores(s.k_scores, qkv + a->k_at + kv * dim, a->stride, n, dim, &s);
    pack_values(s.v_values, qkv + a->v_at + kv * dim, a->stride, n, dim, &s);
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t t0 = 0; t0 < n; t0 += BLOCK) {
            const size_t rows = block_rows(n, t0);
            attend_block(a, &s, t0, rows, qkv + t0 * a->stride + h * dim);
            for (size_t i = 0; i < rows; i++) {
                const __m512 whole = _mm512_set1_ps(1 / s.sum[i]);
                uint16_t *to = out + (t0 + i) * a->out_stride + h * dim;
                for (size_t d = 0; d < dim; d += LANES)
                    store_half_n(to + d, _mm512_mul_ps(_mm512_loadu_ps(s.out + i * s.width + d), whole),
                                 first_lanes(dim - d));
                lse[h * n + t0 + i] = (s.top[i] + log2f(s.sum[i])) / LOG2_E;
            }
        }
}

/* ---- backward ---- */

/* delta[t] = dout . out, and lse in powers of two; what lies behind the last position gets probability 0. */
static void row_sums(const struct lm_bf16_attention *a, const struct parts *s, const uint16_t *dout,
                     const uint16_t *out, const float *lse)
{
    const size_t dim = a->shape.head_dim;
    for (size_t t = 0; t < s->padded; t++) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t d = 0; d < dim && t < a->shape.positions; d += LANES) {
            const __mmask16 lanes = first_lanes(dim - d);
            sum = _mm512_fmadd_ps(load_half_n(dout + t * a->out_stride + d, lanes),
                                  load_half_n(out + t * a->out_stride + d, lanes), sum);
        }
        s->delta[t] = _mm512_reduce_add_ps(sum);
        s->lse[t] = t < a->shape.positions ? lse[t] * LOG2_E : INFINITY;
    }
}

/* Transposed scores of keys [s0, ...) and queries [t0, ...) become probabilities and gradients by the scores.
 */
static void softmax_back(const struct lm_bf16_attention *a, const struct parts *s, size_t s0, size_t keys,
                         size_t t0, size_t rows)
{
    const float scale = 1 / sqrtf((float)a->shape.head_dim);
    const bool whole = rows == BLOCK && s0 + keys <= t0 + 1 && a->shape.start[t0 + rows - 1] <= s0;
    for (size_t j = 0; j < BLOCK; j += LANES) {
        const __m512 lse = _mm512_loadu_ps(s->lse + t0 + j), delta = _mm512_loadu_ps(s->delta + t0 + j);
        const __mmask16 some = j < rows ? first_lanes(rows - j) : 0;
        const __m512i start = _mm512_maskz_loadu_epi32(some, a->shape.start + (some ? t0 + j : 0));
        const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i query = _mm512_add_epi32(lane, _mm512_set1_epi32((int)(t0 + j)));
        for (size_t i = 0; i < keys; i++) {
            const size_t at = i * BLOCK + j;
            __mmask16 seen = some;
            if (!whole) {
                const __m512i key = _mm512_set1_epi32((int)(s0 + i));
                seen = _mm512_mask_cmple_epu32_mask(some, key, query);
                seen = _mm512_mask_cmple_epu32_mask(seen, start, key);
            }
            const __m512 y =
                _mm512_fmsub_ps(_mm512_loadu_ps(s->scores + at), _mm512_set1_ps(scale * LOG2_E), lse);
            const __m512 p = _mm512_maskz_mov_ps(seen, exp2_of(y));
            const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(s->dscores + at), delta);
            store_half(s->p + at, p);
            store_half(s->ds + at, _mm512_mul_ps(_mm512_mul_ps(p, d), _mm512_set1_ps(scale)));
        }
    }
    memset(s->ds + keys * BLOCK, 0, (BLOCK - keys) * BLOCK * sizeof(uint16_t));
}

/* One head: adds to dq, dk and dv. */
static void head_back(const struct lm_bf16_attention *a, const struct parts *s, const uint16_t *k,
                      const uint16_t *v)
{
    const size_t n = a->shape.positions, dim = a->shape.head_dim;
    for (size_t s0 = 0; s0 < n; s0 += BLOCK) {
        const size_t keys = block_rows(n, s0);
        for (size_t t0 = s0; t0 < n && a->shape.start[t0] < s0 + keys; t0 += BLOCK) {
            const size_t rows = block_rows(n, t0);
            scores_product(s->scores, k + s0 * a->stride, a->stride, keys, s->q_scores + t0 * s->width,
                           s->width, dim);
            scores_product(s->dscores, v + s0 * a->stride, a->stride, keys, s->do_scores + t0 * s->width,
                           s->width, dim);
            softmax_back(a, s, s0, keys, t0, rows);
            values_product(s->dv + s0 * s->width, s->p, keys, s->do_values, t0, s);
            values_product(s->dk + s0 * s->width, s->ds, keys, s->q_values, t0, s);
            lm_bf16_transpose_avx512(s->ds_rows, BLOCK, s->ds, BLOCK, BLOCK, BLOCK, 0, BLOCK);
            values_product(s->dq + t0 * s->width, s->ds_rows, rows, s->k_values, s0, s);
        }
    }
}

static void store_rows(uint16_t *ret, size_t stride, const float *x, size_t width, size_t rows, size_t dim)
{
    for (size_t t = 0; t < rows; t++)
        for (size_t d = 0; d < dim; d += LANES)
            store_half_n(ret + t * stride + d, _mm512_loadu_ps(x + t * width + d), first_lanes(dim - d));
}

void lm_bf16_attention_back_avx512(const struct lm_bf16_attention *a, size_t kv, uint16_t *dqkv,
                                   const uint16_t *dout, const uint16_t *out, const float *lse,
                                   const uint16_t *qkv, void *scratch)
{
    const struct lm_attention *shape = &a->shape;
    const size_t dim = shape->head_dim, n = shape->positions, group = shape->heads / shape->kv_heads;
    const uint16_t *k = qkv + a->k_at + kv * dim, *v = qkv + a->v_at + kv * dim;
    struct parts s;
    divide(&s, scratch, n, dim);
    const size_t sum_bytes = s.padded * s.width * sizeof(float);
    memset(s.dk, 0, sum_bytes);
    memset(s.dv, 0, sum_bytes);
    pack_values(s.k_values, k, a->stride, n, dim, &s);
    for (size_t h = kv * group; h < (kv + 1) * group; h++) {
        const uint16_t *q = qkv + h * dim, *d_out = dout + h * dim;
        memset(s.dq, 0, sum_bytes);
        pack_scores(s.q_scores, q, a->stride, n, dim, &s);
        pack_scores(s.do_scores, d_out, a->out_stride, n, dim, &s);
        pack_values(s.q_values, q, a->stride, n, dim, &s);
        pack_values(s.do_values, d_out, a->out_stride, n, dim, &s);
        row_sums(a, &s, d_out, out + h * dim, lse + h * n);
        head_back(a, &s, k, v);
        store_rows(dqkv + h * dim, a->stride, s.dq, s.width, n, dim);
    }
    store_rows(dqkv + a->k_at + kv * dim, a->stride, s.dk, s.width, n, dim);
    store_rows(dqkv + a->v_at + kv * dim, a->stride, s.dv, s.width, n, dim);
}
