/* tensor/attention_simd.h - attention in blocks of LM_ATTENTION_BLOCK queries by as many keys; part of
 * kernels_simd.h.
 *
 * All six products of a block, forward and backward, are one shape: C = A B with B in rows, because keys and
 * values are transposed once per unit and the elements of A are broadcast from wherever they lie.  Blocks
 * that a document boundary or the future hides as a whole are never computed. */

enum { BLOCK = LM_ATTENTION_BLOCK, TILE_ROWS = 6 };

/* A strided matrix: element (i, j) at ptr[i * row + j * col]. */
struct strided {
    const float *ptr;
    size_t row, col;
};

/* c[i, 0..n0) and c[i, LANES..LANES + n1), i < rows, (+)= a b. */
static inline __attribute__((always_inline)) void product_tile(float *c, size_t c_row, struct strided a,
                                                               const float *b, size_t b_row, size_t k,
                                                               const size_t rows, const size_t n0,
                                                               const size_t n1, bool add_to)
{
    vec sum[TILE_ROWS][2];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < 2; j++)
            sum[i][j] = vec_set(0);
    for (size_t p = 0; p < k; p++, b += b_row) {
        const vec b0 = vec_load_n(b, n0);
        const vec b1 = n1 ? vec_load_n(b + LANES, n1) : b0;
        for (size_t i = 0; i < rows; i++) {
            const vec x = vec_set(a.ptr[i * a.row + p * a.col]);
            sum[i][0] = vec_fma(x, b0, sum[i][0]);
            if (n1)
                sum[i][1] = vec_fma(x, b1, sum[i][1]);
        }
    }
    for (size_t i = 0; i < rows; i++, c += c_row) {
        if (add_to)
            sum[i][0] += vec_load_n(c, n0);
        if (add_to && n1)
            sum[i][1] += vec_load_n(c + LANES, n1);
        vec_store_n(c, sum[i][0], n0);
        if (n1)
            vec_store_n(c + LANES, sum[i][1], n1);
    }
}

/* One column strip: full tiles by constant height, the rest row by row. */
static inline __attribute__((always_inline)) void product_strip(float *c, size_t c_row, struct strided a,
                                                                const float *b, size_t b_row, size_t m,
                                                                size_t k, const size_t n0, const size_t n1,
                                                                bool add_to)
{
    size_t i = 0;
    for (; i + 6 <= m; i += 6, a.ptr += 6 * a.row, c += 6 * c_row)
        product_tile(c, c_row, a, b, b_row, k, 6, n0, n1, add_to);
    for (; i + 4 <= m; i += 4, a.ptr += 4 * a.row, c += 4 * c_row)
        product_tile(c, c_row, a, b, b_row, k, 4, n0, n1, add_to);
    for (; i < m; i++, a.ptr += a.row, c += c_row)
        product_tile(c, c_row, a, b, b_row, k, 1, n0, n1, add_to);
}

/* c (m, n) = a (m, k) b (k, n), or += with add_to. */
static void product(float *c, size_t c_row, struct strided a, const float *b, size_t b_row, size_t m,
                    size_t n, size_t k, bool add_to)
{
    size_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        product_strip(c + j, c_row, a, b + j, b_row, m, k, LANES, LANES, add_to);
    for (; j < n; j += LANES)
        product_strip(c + j, c_row, a, b + j, b_row, m, k, lanes_left(n - j), 0, add_to);
}

/* Block after block (D, BLOCK), zeros behind the last position. */
static void transpose_blocks(float *ret, const float *x, size_t stride, size_t positions, size_t dim)
{
    for (size_t s0 = 0; s0 < positions; s0 += BLOCK, ret += dim * BLOCK)
        for (size_t s1 = 0; s1 < BLOCK;
             s1 += LANES)   // a vector's worth of rows at a time: whole cache lines out
            for (size_t d = 0; d < dim; d++)
                for (size_t s = s0 + s1; s < s0 + s1 + LANES; s++)
                    ret[d * BLOCK + s - s0] = s < positions ? x[s * stride + d] : 0;
}

/* Keys of block [s0, s0 + BLOCK) that query t may see, as [*lo, *hi) inside the block; false: none. */
static inline bool visible(const struct lm_attention *shape, size_t t, size_t s0, size_t *lo, size_t *hi)
{
    const size_t start = shape->start[t];
    *lo = start > s0 ? start - s0 : 0;
    *hi = t + 1 < s0 + BLOCK ? t + 1 - s0 : BLOCK;
    return t >= s0 && *lo < *hi;
}

static inline void fill_outside(float *row, size_t lo, size_t hi, float value)
{
    for (size_t i = 0; i < lo; i++)
        row[i] = value;
    for (size_t i = hi; i < BLOCK; i++)
        row[i] = value;
}

/* The parts of lm_attention_scratch(). */
struct attention_scratch {
    float *kt, *vt;            // transposed blocks
    float *scores, *dscores;   // (BLOCK, BLOCK)
    float *out;                // (BLOCK, D)
    float *max, *sum;          // (BLOCK)
};

static struct attention_scratch divide_scratch(const struct lm_attention *shape, float *scratch)
{
    const size_t blocks = (shape->positions + BLOCK - 1) / BLOCK, packed = blocks * BLOCK * shape->head_dim;
    struct attention_scratch s = { .kt = scratch, .vt = scratch + packed, .scores = scratch + 2 * packed };
    s.dscores = s.scores + BLOCK * BLOCK;
    s.out = s.dscores + BLOCK * BLOCK;
    s.max = s.out + BLOCK * shape->head_dim;
    s.sum = s.max + BLOCK;
    return s;
}

/* One query's row of scores becomes probabilities by the maximum so far; what earlier blocks left in out and
 * sum shrinks when the maximum grows. */
static void softmax_row(float *row, size_t lo, size_t hi, float scale, float *out, size_t dim, float *max,
                        float *sum)
{
    fill_outside(row, lo, hi, row[lo]);   // no effect on the maximum
    const float top = max_of(row, BLOCK), max_new = top * scale > *max ? top * scale : *max;
    if (max_new > *max) {
        const float shrink = *sum > 0 ? expf(*max - max_new) : 0;
        scale_by(out, dim, shrink);
        *sum *= shrink;
        *max = max_new;
    }
    for (size_t i = 0; i < BLOCK; i += LANES)
        vec_store(row + i, vec_exp(vec_fma(vec_load(row + i), vec_set(scale), vec_set(-*max))));
    fill_outside(row, lo, hi, 0);
    vec total = vec_set(0);
    for (size_t i = 0; i < BLOCK; i += LANES)
        total = total + vec_load(row + i);
    *sum += vec_sum(total);
}

/* Queries [t0, t0 + count) of one head. */
static void attend_block(const struct lm_attention *shape, const struct attention_scratch *s, size_t t0,
                         size_t count, struct strided q, const float *v, size_t v_row)
{
    const size_t dim = shape->head_dim;
    const float scale = 1 / sqrtf((float)dim);
    for (size_t i = 0; i < count; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0;
    }
    for (size_t i = 0; i < count * dim; i++)
        s->out[i] = 0;
    for (size_t s0 = shape->start[t0] / BLOCK * BLOCK; s0 < t0 + count; s0 += BLOCK) {
        const size_t keys = shape->positions - s0 < BLOCK ? shape->positions - s0 : BLOCK;
        product(s->scores, BLOCK, q, s->kt + s0 * dim, BLOCK, count, BLOCK, dim, false);
        for (size_t i = 0; i < count; i++) {
            size_t lo, hi;
            float *row = s->scores + i * BLOCK;
            if (visible(shape, t0 + i, s0, &lo, &hi))
                softmax_row(row, lo, hi, scale, s->out + i * dim, dim, &s->max[i], &s->sum[i]);
            else
                fill_outside(row, BLOCK, BLOCK, 0);
        }
        product(s->out, dim, (struct strided){ s->scores, BLOCK, 1 }, v + s0 * v_row, v_row, count, dim, keys,
                true);
    }
}

static void attention(const struct lm_attention *shape, size_t kv, float *out, float *lse, const float *q,
                      const float *k, const float *v, float *scratch)
{
    const size_t dim = shape->head_dim, q_row = shape->heads * dim, kv_row = shape->kv_heads * dim;
    const size_t group = shape->heads / shape->kv_heads;
    const struct attention_scratch s = divide_scratch(shape, scratch);
    transpose_blocks(s.kt, k + kv * dim, kv_row, shape->positions, dim);
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t t0 = 0; t0 < shape->positions; t0 += BLOCK) {
            const size_t count = shape->positions - t0 < BLOCK ? shape->positions - t0 : BLOCK;
            const struct strided queries = { q + t0 * q_row + h * dim, q_row, 1 };
            attend_block(shape, &s, t0, count, queries, v + kv * dim, kv_row);
            for (size_t i = 0; i < count; i++) {
                float *to = out + (t0 + i) * q_row + h * dim;
                for (size_t d = 0; d < dim; d++)
                    to[d] = s.out[i * dim + d] / s.sum[i];
                lse[h * shape->positions + t0 + i] = s.max[i] + logf(s.sum[i]);
            }
        }
}

/* Rows of scores and of the gradient by the probabilities become P and the gradient by the scores. */
static void softmax_row_back(float *row, float *drow, size_t lo, size_t hi, float scale, float lse,
                             float delta)
{
    for (size_t i = 0; i < BLOCK; i += LANES) {
        const vec p = vec_exp(vec_fma(vec_load(row + i), vec_set(scale), vec_set(-lse)));
        vec_store(row + i, p);
        vec_store(drow + i, p * (vec_load(drow + i) - vec_set(delta)) * vec_set(scale));
    }
    fill_outside(row, lo, hi, 0);
    fill_outside(drow, lo, hi, 0);
}

/* Where the gradients of one query block go. */
struct attention_target {
    float *dq, *dk, *dv;   // first query of the block; first position of the KV head
    size_t q_row, kv_row;
};

static void attend_block_back(const struct lm_attention *shape, const struct attention_scratch *s, size_t t0,
                              size_t count, struct strided q, struct strided dout, const float *lse,
                              const float *k, struct attention_target to)
{
    const size_t dim = shape->head_dim;
    const float scale = 1 / sqrtf((float)dim);
    for (size_t s0 = shape->start[t0] / BLOCK * BLOCK, first = s0; s0 < t0 + count; s0 += BLOCK) {
        const size_t keys = shape->positions - s0 < BLOCK ? shape->positions - s0 : BLOCK;
        product(s->scores, BLOCK, q, s->kt + s0 * dim, BLOCK, count, BLOCK, dim, false);
        product(s->dscores, BLOCK, dout, s->vt + s0 * dim, BLOCK, count, BLOCK, dim, false);
        for (size_t i = 0; i < count; i++) {
            size_t lo, hi;
            if (!visible(shape, t0 + i, s0, &lo, &hi))
                lo = hi = BLOCK;
            softmax_row_back(s->scores + i * BLOCK, s->dscores + i * BLOCK, lo, hi, scale, lse[i], s->sum[i]);
        }
        const struct strided p_t = { s->scores, 1, BLOCK }, ds_t = { s->dscores, 1, BLOCK };
        product(to.dv + s0 * to.kv_row, to.kv_row, p_t, dout.ptr, to.q_row, keys, dim, count, true);
        product(to.dk + s0 * to.kv_row, to.kv_row, ds_t, q.ptr, to.q_row, keys, dim, count, true);
        product(to.dq, to.q_row, (struct strided){ s->dscores, BLOCK, 1 }, k + s0 * to.kv_row, to.kv_row,
                count, dim, keys, s0 > first);
    }
}

static void attention_back(const struct lm_attention *shape, size_t kv, float *dq, float *dk, float *dv,
                           const float *dout, const float *out, const float *lse, const float *q,
                           const float *k, const float *v, float *scratch)
{
    const size_t dim = shape->head_dim, q_row = shape->heads * dim, kv_row = shape->kv_heads * dim;
    const size_t group = shape->heads / shape->kv_heads;
    const struct attention_scratch s = divide_scratch(shape, scratch);
    transpose_blocks(s.kt, k + kv * dim, kv_row, shape->positions, dim);
    transpose_blocks(s.vt, v + kv * dim, kv_row, shape->positions, dim);
    for (size_t t = 0; t < shape->positions; t++)
        for (size_t d = 0; d < dim; d++)
            dk[t * kv_row + kv * dim + d] = dv[t * kv_row + kv * dim + d] = 0;

    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t t0 = 0; t0 < shape->positions; t0 += BLOCK) {
            const size_t count = shape->positions - t0 < BLOCK ? shape->positions - t0 : BLOCK;
            const size_t at = t0 * q_row + h * dim;
            for (size_t i = 0; i < count; i++)   // sum_s p dp of a row, by another way
                s.sum[i] = dot(dout + at + i * q_row, out + at + i * q_row, dim);
            attend_block_back(
                shape, &s, t0, count, (struct strided){ q + at, q_row, 1 },
                (struct strided){ dout + at, q_row, 1 }, lse + h * shape->positions + t0, k + kv * dim,
                (struct attention_target){ dq + at, dk + kv * dim, dv + kv * dim, q_row, kv_row });
        }
}
