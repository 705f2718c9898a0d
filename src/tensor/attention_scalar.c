/* Attention by its definition: one query at a time, sums in double. */
#include "tensor/kernels_rows.h"

#include <math.h>

/* Strides of one sequence, and the query heads of one KV head. */
struct layout {
    size_t q_stride, kv_stride, group, head_dim;
    double scale;   // 1 / sqrt(D)
};

static struct layout layout_of(const struct lm_attention *s)
{
    return (struct layout){
        .q_stride = s->heads * s->head_dim,
        .kv_stride = s->kv_heads * s->head_dim,
        .group = s->heads / s->kv_heads,
        .head_dim = s->head_dim,
        .scale = 1 / sqrt((double)s->head_dim),
    };
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* One query: scratch holds its scores, then its probabilities. */
static float attend(const struct layout *l, float *out, const float *q, const float *k, const float *v,
                    size_t first, size_t last, float *scratch)
{
    double max = -INFINITY, sum = 0;
    for (size_t s = first; s <= last; s++) {
        scratch[s] = (float)(dot(q, k + s * l->kv_stride, l->head_dim) * l->scale);
        max = fmax(max, scratch[s]);
    }
    for (size_t s = first; s <= last; s++)
        sum += exp(scratch[s] - max);
    for (size_t i = 0; i < l->head_dim; i++) {
        double value = 0;
        for (size_t s = first; s <= last; s++)
            value += exp(scratch[s] - max) * v[s * l->kv_stride + i];
        out[i] = (float)(value / sum);
    }
    return (float)(max + log(sum));
}

void lm_attention_scalar(const struct lm_attention *shape, size_t kv, float *out, float *lse, const float *q,
                         const float *k, const float *v, float *scratch)
{
    const struct layout l = layout_of(shape);
    for (size_t h = kv * l.group; h < (kv + 1) * l.group; h++)
        for (size_t t = 0; t < shape->positions; t++) {
            const size_t at = t * l.q_stride + h * l.head_dim;
            lse[h * shape->positions + t] = attend(&l, out + at, q + at, k + kv * l.head_dim,
                                                   v + kv * l.head_dim, shape->start[t], t, scratch);
        }
}

void lm_attention_back_scalar(const struct lm_attention *shape, size_t kv, float *dq, float *dk, float *dv,
                              const float *dout, const float *out, const float *lse, const float *q,
                              const float *k, const float *v, float *scratch)
{
    (void)scratch;
    const struct layout l = layout_of(shape);
    const size_t dim = l.head_dim;
    for (size_t t = 0; t < shape->positions; t++)
        for (size_t i = 0; i < dim; i++)
            dk[t * l.kv_stride + kv * dim + i] = dv[t * l.kv_stride + kv * dim + i] = 0;

    for (size_t h = kv * l.group; h < (kv + 1) * l.group; h++)
        for (size_t t = 0; t < shape->positions; t++) {
            const size_t at = t * l.q_stride + h * dim;
            const double delta = dot(dout + at, out + at, dim);   // sum_s p dp, without the s
            for (size_t i = 0; i < dim; i++)
                dq[at + i] = 0;
            for (size_t s = shape->start[t]; s <= t; s++) {
                const size_t to = s * l.kv_stride + kv * dim;
                const double score = dot(q + at, k + to, dim) * l.scale;
                const double p = exp(score - lse[h * shape->positions + t]);
                const double dscore = p * (dot(dout + at, v + to, dim) - delta) * l.scale;
                for (size_t i = 0; i < dim; i++) {
                    dv[to + i] += (float)(p * dout[at + i]);
                    dk[to + i] += (float)(dscore * q[at + i]);
                    dq[at + i] += (float)(dscore * k[to + i]);
                }
            }
        }
}
