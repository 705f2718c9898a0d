#ifndef LM_INFER_ATTENTION_H
#define LM_INFER_ATTENTION_H
/* infer/attention.h - keys and values into the cache, and softmax(q K^T / sqrt(D)) V out of it.
 *
 * Positions are taken in spans of 256: for each span scores, their largest and the weighted sum, then the
 * spans are put together in ascending order (Milakov and Gimelshein 2018, arXiv:1805.02867).  So memory does
 * not grow with the length, and a query's result does not depend on the queries beside it. */

#include "infer/kv.h"

enum { LM_ATTENTION_SPAN = 256 };

/* Scratch of one worker. */
struct lm_attention_scratch {
    float *scores;                  // (queries, SPAN)
    float *part;                    // (queries, head_pad): of the span at hand
    float *sums;                    // (queries, head_pad): of the spans so far
    double *totals, *span_totals;   // (queries); of the spans so far, of the span at hand
    float *maxima, *span_maxima;    // (queries)
    size_t queries_max;
};
void lm_attention_scratch_init(struct lm_attention_scratch *s, size_t queries_max, size_t head_dim);
void lm_attention_scratch_release(struct lm_attention_scratch *s);

/* One head's key or value of one position; head_dim floats, zeros up to whole panels. */
void lm_attention_store_key(const struct lm_kv_pool *kv, const uint32_t *blocks, size_t position,
                            size_t layer, size_t head, const float *key);
void lm_attention_store_value(const struct lm_kv_pool *kv, const uint32_t *blocks, size_t position,
                              size_t layer, size_t head, const float *value);

/* Queries of one sequence that read the same head of the cache. */
struct lm_attention {
    const uint32_t *blocks;
    size_t layer, head;
    const float *q;
    float *out;   // head_dim floats for each query
    size_t count, q_stride, out_stride;
    size_t length, growth;   // query i sees positions below length + i * growth ...
    size_t window;           // ... and of these the last `window`; 0: all
};
void lm_attention_run(const struct lm_kv_pool *kv, struct lm_attention_scratch *s,
                      const struct lm_attention *a);

#endif
