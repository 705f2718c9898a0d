#include "infer/attention.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPAN = LM_ATTENTION_SPAN, SPAN_BLOCKS = SPAN / LM_KV_TOKENS, HEAD_PANELS_MAX = 64 };

void lm_attention_scratch_init(struct lm_attention_scratch *s, size_t queries_max, size_t head_dim)
{
    const size_t width = lm_panel_pad(head_dim);
    LM_ASSERT(width / LM_PANEL <= HEAD_PANELS_MAX);   // limits.h: a head has at most 1024 values
    *s = (struct lm_attention_scratch){
        .scores = lm_slab_alloc(queries_max * SPAN * sizeof(float)),
        .part = lm_slab_alloc(queries_max * width * sizeof(float)),
        .sums = lm_slab_alloc(queries_max * width * sizeof(float)),
        .totals = lm_zalloc(queries_max, sizeof(double)),
        .span_totals = lm_zalloc(queries_max, sizeof(double)),
        .maxima = lm_zalloc(queries_max, sizeof(float)),
        .span_maxima = lm_zalloc(queries_max, sizeof(float)),
        .queries_max = queries_max,
    };
}

void lm_attention_scratch_release(struct lm_attention_scratch *s)
{
    free(s->scores);
    free(s->part);
    free(s->sums);
    free(s->totals);
    free(s->span_totals);
    free(s->maxima);
    free(s->span_maxima);
}

/* ---- into the cache ---- */

static int8_t to_byte(float x, float inverse)
{
    return (int8_t)lrintf(x * inverse);
}

/* The scale of signed bytes for one head and token; *ret_inverse is 0 for zeros. */
static float scale_of(const float *x, size_t len, float *ret_inverse)
{
    float max = 0;
    for (size_t i = 0; i < len; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    const bool some = max >= 1e-30f && max < INFINITY;
    *ret_inverse = some ? 127 / max : 0;
    return some ? max / 127 : 0;
}

void lm_attention_store_key(const struct lm_kv_pool *kv, const uint32_t *blocks, size_t position,
                            size_t layer, size_t head, const float *key)
{
    char *keys = lm_kv_keys(kv, blocks[position / LM_KV_TOKENS], layer, head);
    const size_t token = position % LM_KV_TOKENS, dim = kv->shape.head_dim;
    uint16_t halves[HEAD_PANELS_MAX * LM_PANEL];
    float inverse;
    switch (kv->shape.type) {
    case LM_KV_F16:
        lm_panels()->to_f16(halves, key, dim);
        for (size_t d = 0; d < dim; d++)
            ((uint16_t *)(void *)keys)[d * LM_KV_TOKENS + token] = halves[d];
        break;
    case LM_KV_S8:
        ((float *)(void *)(keys + kv->scales_at))[token] = scale_of(key, dim, &inverse);
        for (size_t d = 0; d < dim; d++)
            ((int8_t *)keys)[d * LM_KV_TOKENS + token] = to_byte(key[d], inverse);
        break;
    default:
        for (size_t d = 0; d < dim; d++)
            ((float *)(void *)keys)[d * LM_KV_TOKENS + token] = key[d];
    }
}

void lm_attention_store_value(const struct lm_kv_pool *kv, const uint32_t *blocks, size_t position,
                              size_t layer, size_t head, const float *value)
{
    char *keys = lm_kv_keys(kv, blocks[position / LM_KV_TOKENS], layer, head);
    const size_t token = position % LM_KV_TOKENS, dim = lm_panel_pad(kv->shape.head_dim);
    const size_t element = lm_panel_element(kv->element);
    char *to = keys + kv->values_at + token * LM_PANEL * element;
    const size_t step = LM_PANEL * LM_KV_TOKENS * element;   // from panel to panel
    float inverse = 0;
    if (kv->shape.type == LM_KV_S8)
        ((float *)(void *)(keys + kv->scales_at))[LM_KV_TOKENS + token] = scale_of(value, dim, &inverse);
    for (size_t d = 0; d < dim; d += LM_PANEL, to += step)
        if (kv->shape.type == LM_KV_F16)
            lm_panels()->to_f16((uint16_t *)(void *)to, value + d, LM_PANEL);
        else if (kv->shape.type == LM_KV_F32)
            memcpy(to, value + d, LM_PANEL * sizeof *value);
        else
            for (size_t i = 0; i < LM_PANEL; i++)
                ((int8_t *)to)[i] = to_byte(value[d + i], inverse);
}

/* ---- out of the cache ---- */

struct span {
    size_t first_block, block_count;
    const char *keys[SPAN_BLOCKS];
};

/* Positions first .. end - 1 of the span, counted from its first, are seen by query i. */
static void seen(const struct lm_attention *a, const struct span *span, size_t i, size_t *ret_first,
                 size_t *ret_end)
{
    const size_t length = a->length + i * a->growth, base = span->first_block * LM_KV_TOKENS;
    const size_t from = a->window && length > a->window ? length - a->window : 0;
    const size_t end = length > base ? length - base : 0, most = span->block_count * LM_KV_TOKENS;
    *ret_end = end < most ? end : most;
    *ret_first = from > base ? from - base : 0;
}

/* scores[t] *= one of the 32 scales of the block of t. */
static void apply_scales(const struct lm_kv_pool *kv, const struct span *span, float *scores, size_t end,
                         size_t which)
{
    for (size_t t = 0; t < end; t++) {
        const float *scales =
            (const float *)(const void *)(span->keys[t / LM_KV_TOKENS] + kv->scales_at) + which;
        scores[t] *= scales[t % LM_KV_TOKENS];
    }
}

/* Weighted values of a query's tokens: part[i] = scores V. */
static void add_values(const struct lm_kv_pool *kv, const struct lm_attention_scratch *s,
                       const struct span *span, size_t block, size_t first_query, size_t query_count,
                       size_t tokens, bool add)
{
    const size_t width = lm_panel_pad(kv->shape.head_dim), panel_count = width / LM_PANEL;
    const size_t step = LM_PANEL * LM_KV_TOKENS * lm_panel_element(kv->element);
    const void *panels[HEAD_PANELS_MAX];
    for (size_t j = 0; j < panel_count; j++)
        panels[j] = span->keys[block] + kv->values_at + j * step;
    float *part = s->part + first_query * width;
    lm_panels()->product[kv->element]((struct lm_outputs){ part, width, add ? part : NULL, width },
                                      s->scores + first_query * SPAN + block * LM_KV_TOKENS, SPAN,
                                      query_count, panels, panel_count, tokens);
}

/* Tokens from .. end - 1 of the span; from begins a block. */
static void add_tokens(const struct lm_kv_pool *kv, const struct lm_attention_scratch *s,
                       const struct span *span, size_t first_query, size_t query_count, size_t from,
                       size_t end)
{
    for (size_t t = from; t < end; t += LM_KV_TOKENS)
        add_values(kv, s, span, t / LM_KV_TOKENS, first_query, query_count,
                   end - t < LM_KV_TOKENS ? end - t : LM_KV_TOKENS, t > 0);
}

/* The weighted sum of query i's values follows the order of tokens, block by block. */
static void weigh(const struct lm_kv_pool *kv, const struct lm_attention_scratch *s,
                  const struct lm_attention *a, const struct span *span)
{
    size_t first, least;   // tokens that every query sees to the end of their block
    seen(a, span, 0, &first, &least);
    const bool same = a->growth == 0;
    const size_t common = same ? least : least / LM_KV_TOKENS * LM_KV_TOKENS;
    add_tokens(kv, s, span, 0, a->count, 0, common);
    for (size_t i = 0; i < a->count && !same; i++) {
        size_t end;
        seen(a, span, i, &first, &end);
        add_tokens(kv, s, span, i, 1, common, end);
    }
}

/* Adds the span's part of query i to its sum; both are relative to their largest score. */
static void merge(const struct lm_attention_scratch *s, size_t i, size_t width)
{
    const float max = s->span_maxima[i];
    const double total = s->span_totals[i];
    float *sum = s->sums + i * width;
    const float *part = s->part + i * width;
    if (s->totals[i] == 0) {
        memcpy(sum, part, width * sizeof *sum);
        s->totals[i] = total;
        s->maxima[i] = max;
        return;
    }
    const float top = max > s->maxima[i] ? max : s->maxima[i];
    const double old_scale = exp((double)(s->maxima[i] - top)), new_scale = exp((double)(max - top));
    for (size_t d = 0; d < width; d++)
        sum[d] = sum[d] * (float)old_scale + part[d] * (float)new_scale;
    s->totals[i] = s->totals[i] * old_scale + total * new_scale;
    s->maxima[i] = top;
}

static void run_span(const struct lm_kv_pool *kv, struct lm_attention_scratch *s,
                     const struct lm_attention *a, const struct span *span)
{
    const size_t width = lm_panel_pad(kv->shape.head_dim);
    const float scale = (float)(1 / sqrt((double)kv->shape.head_dim));
    lm_panels()->product[kv->element]((struct lm_outputs){ s->scores, SPAN, NULL, 0 }, a->q, a->q_stride,
                                      a->count, (const void *const *)span->keys, span->block_count,
                                      kv->shape.head_dim);
    for (size_t i = 0; i < a->count; i++) {
        float *scores = s->scores + i * SPAN;
        size_t first, end;
        seen(a, span, i, &first, &end);
        s->span_totals[i] = 0;
        if (first >= end) {   // nothing here: weights of 0
            memset(scores, 0, SPAN * sizeof *scores);
            continue;
        }
        if (kv->shape.type == LM_KV_S8)
            apply_scales(kv, span, scores, end, 0);
        memset(scores, 0, first * sizeof *scores);
        s->span_totals[i] =
            lm_panels()->softmax(scores + first, scores + first, end - first, scale, &s->span_maxima[i]);
        if (kv->shape.type == LM_KV_S8)
            apply_scales(kv, span, scores, end, LM_KV_TOKENS);
    }
    weigh(kv, s, a, span);
    for (size_t i = 0; i < a->count; i++)
        if (s->span_totals[i] > 0)
            merge(s, i, width);
}

void lm_attention_run(const struct lm_kv_pool *kv, struct lm_attention_scratch *s,
                      const struct lm_attention *a)
{
    LM_DASSERT(a->count <= s->queries_max && a->length > 0);

    const size_t width = lm_panel_pad(kv->shape.head_dim), longest = a->length + (a->count - 1) * a->growth;
    const size_t from = a->window && a->length > a->window ? a->length - a->window : 0;
    const size_t blocks = lm_kv_blocks(longest);
    memset(s->totals, 0, a->count * sizeof *s->totals);
    for (size_t first = from / SPAN * SPAN_BLOCKS; first < blocks; first += SPAN_BLOCKS) {
        struct span span = { .first_block = first };
        span.block_count = blocks - first < SPAN_BLOCKS ? blocks - first : SPAN_BLOCKS;
        for (size_t k = 0; k < span.block_count; k++)
            span.keys[k] = lm_kv_keys(kv, a->blocks[first + k], a->layer, a->head);
        run_span(kv, s, a, &span);
    }
    for (size_t i = 0; i < a->count; i++) {
        const float scale = (float)(1 / s->totals[i]);
        for (size_t d = 0; d < kv->shape.head_dim; d++)
            a->out[i * a->out_stride + d] = s->sums[i * width + d] * scale;
    }
}
