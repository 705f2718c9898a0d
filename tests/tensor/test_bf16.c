/* Every row of bf16.h against row SCALAR on sizes around the vector widths, SCALAR against plain sums in
 * double, and the same bits whatever the split. */
#include "tensor/bf16.h"

#include "base/sys.h"
#include "tensor/quant.h"
#include "values.h"

#include <string.h>

static const struct lm_bf16_kernels *const ref = &lm_bf16_scalar;

static const struct lm_bf16_kernels *fast(void)
{
    return lm_bf16_kernels();
}

/* free() it: exactly n rounded values. */
static uint16_t *random_halves(uint64_t seed, size_t n, double deviation)
{
    float *x = random_values(seed, n, deviation);
    uint16_t *y = lm_alloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = lm_bf16_encode(x[i]);
    free(x);
    return y;
}

/* Within `steps` units of the last place of bf16, or of `floor`. */
static void assert_halves(const uint16_t *a, const uint16_t *b, size_t n, double steps, double floor,
                          const char *what)
{
    for (size_t i = 0; i < n; i++) {
        const double x = lm_bf16_decode(a[i]), y = lm_bf16_decode(b[i]);
        if (!(fabs(x - y) <= steps * fmax(fabs(y), floor) / 128))
            fail_msg("%s[%zu] is %.9g, expected %.9g", what, i, x, y);
    }
}

static size_t even(size_t n)
{
    return n + n % 2;
}

/* ---- products ---- */

struct operands {
    uint16_t *a, *b;
    float *base;
    struct lm_bf16_product p;
};

static struct operands operands(size_t m, size_t n, size_t k)
{
    struct operands o = { .a = random_halves(1, m * even(k), 1),
                          .b = lm_zalloc(lm_bf16_pad(n) * even(k), 2) };
    float *w = random_values(2, n * k, 1);
    for (size_t i = 0; k % 2 && i < m; i++)
        o.a[i * even(k) + k] = 0;
    ref->pack_forward(o.b, even(k) * LM_BF16_PANEL, w, n, k, 0, n);
    free(w);
    o.base = random_values(3, m * n, 1);
    o.p = (struct lm_bf16_product){ .a = o.a,
                                    .b = o.b,
                                    .m = m,
                                    .n = n,
                                    .k = even(k),
                                    .a_stride = even(k),
                                    .b_stride = even(k) * LM_BF16_PANEL };
    return o;
}

static void operands_free(struct operands *o)
{
    free(o->a);
    free(o->b);
    free(o->base);
}

static double plain_sum(const struct operands *o, size_t i, size_t j)
{
    double sum = (o->p.base ? o->base[i * o->p.n + j] : 0) + (o->p.bias ? o->p.bias[j] : 0);
    for (size_t l = 0; l < o->p.k; l++)
        sum += (double)lm_bf16_decode(o->a[i * o->p.a_stride + l]) *
               lm_bf16_decode(o->b[j / 16 * o->p.b_stride + (l / 2 * 16 + j % 16) * 2 + l % 2]);
    return sum;
}

static void check_product(size_t m, size_t n, size_t k)
{
    struct operands o = operands(m, n, k);
    float *got = lm_alloc(m * n * sizeof *got), *want = lm_alloc(m * n * sizeof *want);
    float *bias = random_values(4, n, 1);
    for (int kind = 0; kind < 4; kind++) {
        o.p.c_stride = n;
        o.p.base = kind & 1 ? o.base : NULL;
        o.p.bias = kind & 2 ? bias : NULL;
        o.p.c = got;
        lm_bf16_run(&o.p);
        o.p.c = want;
        ref->product(&o.p, 0, m, 0, n);
        assert_memory_equal(got, want, m * n * sizeof *got);   // the chain is part of the definition
        for (size_t i = 0; i < m * n; i++) {
            const double sum = plain_sum(&o, i / n, i % n);
            if (!(fabs(got[i] - sum) <= 1e-5 * (1 + fabs(sum)) * sqrt((double)k)))
                fail_msg("product %zu x %zu x %zu is off at %zu", m, n, k, i);
        }
    }
    uint16_t *half = lm_alloc(m * lm_bf16_pad(n) * 2), *half2 = lm_alloc(m * lm_bf16_pad(n) * 2);
    o.p.c = NULL;
    o.p.base = NULL;
    o.p.c_stride = lm_bf16_pad(n);
    o.p.c16 = half;
    lm_bf16_run(&o.p);
    o.p.c16 = half2;
    ref->product(&o.p, 0, m, 0, n);
    assert_memory_equal(half, half2, m * lm_bf16_pad(n) * 2);
    free(bias);
    free(half);
    free(half2);
    free(got);
    free(want);
    operands_free(&o);
}

static void products_are_their_chains(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 5, 6, 13, 16, 17, 40, 66 };
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            check_product(sizes[i], sizes[j], sizes[(i + j) % SIZES]);
    check_product(300, 150, 20);   // several units
}

/* ---- layouts ---- */

static void check_layouts(size_t rows, size_t cols)
{
    const size_t panels = lm_bf16_pad(cols) * even(rows), t_stride = (rows + 31) / 32 * 32;
    const size_t in_panels = lm_bf16_pad(rows) * even(cols);
    uint16_t *x = random_halves(1, rows * cols, 1), *got = lm_zalloc(panels, 2), *want = lm_zalloc(panels, 2);
    float *w = random_values(2, rows * cols, 1);
    fast()->pack(got, even(rows) * 16, x, cols, rows, cols, 0, cols);
    ref->pack(want, even(rows) * 16, x, cols, rows, cols, 0, cols);
    assert_memory_equal(got, want, panels * 2);
    fast()->pack_backward(got, even(rows) * 16, w, rows, cols, 0, cols);
    ref->pack_backward(want, even(rows) * 16, w, rows, cols, 0, cols);
    assert_memory_equal(got, want, panels * 2);
    got = lm_realloc(got, in_panels, 2);
    want = lm_realloc(want, in_panels, 2);
    fast()->pack_forward(got, even(cols) * 16, w, rows, cols, 0, rows);
    ref->pack_forward(want, even(cols) * 16, w, rows, cols, 0, rows);
    assert_memory_equal(got, want, in_panels * 2);
    got = lm_realloc(got, cols * t_stride, 2);
    want = lm_realloc(want, cols * t_stride, 2);
    fast()->transpose(got, t_stride, x, cols, rows, cols, 0, cols);
    ref->transpose(want, t_stride, x, cols, rows, cols, 0, cols);
    assert_memory_equal(got, want, cols * t_stride * 2);
    free(x);
    free(w);
    free(got);
    free(want);
}

static void layouts_agree(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 15, 16, 17, 31, 32, 33, 48, 50, 65 };
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            check_layouts(sizes[i], sizes[j]);
}

/* ---- loss ---- */

/* ln of the sum of exp of one row, and that sum as the spans have it. */
static double check_row_sum(const float *x, size_t vocab, float *top, const float *total, size_t spans)
{
    double sum = 0, most = -INFINITY, got = 0;
    for (size_t j = 0; j < vocab; j++)
        most = fmax(most, x[j]);
    for (size_t j = 0; j < vocab; j++)
        sum += exp(x[j] - most);
    for (size_t s = 0; s < spans; s++) {
        assert_true(top[s] == rint(top[s]));
        got += total[s] * exp(top[s] * log(2) - most);
    }
    assert_true(fabs(got - sum) <= (5e-6 + 5e-8 * fabs(most)) * sum);
    const double lse = most + log(sum);
    for (size_t s = 0; s < spans; s++)
        top[s] = (float)exp(top[s] * log(2) - lse);   // the factor
    return lse;
}

/* Of the same shares the definition makes the same bits, and only gradients by rows when these are all that
 * is asked for. */
static void check_plain_loss_back(struct lm_bf16_loss_back l, size_t vocab)
{
    const size_t rows_count = l.m * l.rows_stride, t_count = vocab * l.transposed_stride;
    const uint16_t *rows = l.rows, *transposed = l.transposed;
    l.rows = lm_zalloc(rows_count, 2);
    l.transposed = lm_zalloc(t_count, 2);
    ref->loss_back(&l, 0, vocab);
    assert_memory_equal(l.rows, rows, rows_count * 2);
    assert_memory_equal(l.transposed, transposed, t_count * 2);
    free(l.transposed);
    l.transposed = NULL;
    memset(l.rows, 0, rows_count * 2);
    fast()->loss_back(&l, 0, vocab);
    assert_memory_equal(l.rows, rows, rows_count * 2);
    free(l.rows);
}

/* From logits to their gradient, beside softmax in double. */
static void check_loss(size_t m, size_t vocab, int doublings)
{
    enum { K = 12 };
    struct operands o = operands(m, vocab, K);
    const size_t groups = (vocab + LM_BF16_GROUP - 1) / LM_BF16_GROUP, stride = lm_bf16_pad(vocab);
    const size_t spans = (vocab + LM_BF16_SPAN - 1) / LM_BF16_SPAN;
    const size_t t_stride = (m + 31) / 32 * 32;
    const size_t share_stride = m * LM_BF16_GROUP;
    uint16_t *share = lm_zalloc(groups * share_stride, 2), *rows = lm_zalloc(m * stride, 2);
    uint16_t *t = lm_zalloc(lm_bf16_pad(vocab) * t_stride, 2);
    float *top = lm_zalloc(m * spans, 4), *total = lm_zalloc(m * spans, 4), *at = lm_zalloc(m, 4);
    float *x = lm_alloc(m * vocab * sizeof *x);
    uint32_t *target = lm_zalloc(m, 4);
    for (size_t i = 0; i < m; i++)
        target[i] = (uint32_t)(i * 7919 % vocab);
    o.p.c = x;
    o.p.c_stride = vocab;
    for (size_t i = 0; i < m * o.p.a_stride; i++)
        o.a[i] = lm_bf16_encode(ldexpf(lm_bf16_decode(o.a[i]), doublings));
    ref->product(&o.p, 0, m, 0, vocab);
    const struct lm_bf16_logits l = { o.p, share, top, total, share_stride, spans, target, at };
    fast()->logits(&l, 0, m, 0, vocab);
    double *lse = lm_alloc(m * sizeof *lse);
    for (size_t i = 0; i < m; i++) {
        lse[i] = check_row_sum(x + i * vocab, vocab, top + i * spans, total + i * spans, spans);
        assert_true(at[i] == x[i * vocab + target[i]]);
    }
    float scale[64];
    for (size_t i = 0; i < m; i++)
        scale[i] = 0.25f;
    const struct lm_bf16_loss_back back = { share,        top,   target, scale, m,      vocab,
                                            share_stride, spans, rows,   t,     stride, t_stride };
    fast()->loss_back(&back, 0, vocab);
    if (doublings == 0)   // no denormals: these become 0 in one of them
        check_plain_loss_back(back, vocab);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < vocab; j++) {
            const double want = 0.25 * (exp(x[i * vocab + j] - lse[i]) - (j == target[i]));
            const double got = lm_bf16_decode(rows[i * stride + j]);
            if (!(fabs(got - want) <= 0.25 * 0.008 * (fabs(4 * want) + (j == target[i])) + 1e-30))
                fail_msg("gradient %zu, %zu of %zu is %.9g, expected %.9g", i, j, vocab, got, want);
            assert_int_equal(t[j * t_stride + i], rows[i * stride + j]);
        }
    for (size_t j = 0; j < vocab; j++)
        for (size_t i = m; i < t_stride; i++)
            assert_int_equal(t[j * t_stride + i], 0);
    free(lse);
    free(target);
    free(x);
    free(at);
    free(total);
    free(top);
    free(t);
    free(rows);
    free(share);
    operands_free(&o);
}

static void loss_is_softmax(void **state)
{
    (void)state;
    static const size_t vocab[] = { 1, 15, 23, 64, 65, 130, 200, 2047, 2049, 4200 };
    for (size_t i = 0; i < sizeof vocab / sizeof vocab[0]; i++)
        for (size_t m = 1; m < 40; m += 6)
            for (int doublings = 0; doublings < 8; doublings += 7)   // logits near 1, logits near 100
                check_loss(m, vocab[i], doublings);
}

/* ---- row by row ---- */

static void check_rows(size_t n)
{
    enum { ROWS = 3 };
    const size_t stride = n + 5;
    float *x = random_values(1, ROWS * n, 1), *gain = random_values(2, n, 1);
    float *dx = random_values(3, ROWS * n, 1), *dx2 = lm_memdup(dx, ROWS * n * sizeof *dx);
    float *dgain = lm_alloc(n * 4), *dgain2 = lm_alloc(n * 4);
    uint16_t *y = random_halves(4, ROWS * stride, 1), *y2 = lm_memdup(y, ROWS * stride * 2);
    uint16_t *dy = random_halves(5, ROWS * stride, 1), *dy2 = lm_memdup(dy, ROWS * stride * 2);
    float scale[ROWS], scale2[ROWS];
    fast()->rmsnorm(y, stride, scale, x, gain, ROWS, n, 1e-5f);
    ref->rmsnorm(y2, stride, scale2, x, gain, ROWS, n, 1e-5f);
    assert_halves(y, y2, ROWS * stride, 1.01, 1e-6, "rmsnorm");
    assert_near(scale, scale2, ROWS, 1e-6, "scale");
    fast()->rmsnorm_back(dx, y, dgain, dy, stride, x, scale, gain, ROWS, n);
    ref->rmsnorm_back(dx2, y2, dgain2, dy, stride, x, scale, gain, ROWS, n);
    assert_near(dx, dx2, ROWS * n, 1e-4, "rmsnorm_back");
    assert_near(dgain, dgain2, n, 1e-4, "gain");
    assert_halves(y, y2, ROWS * stride, 1.01, 0.01, "rounded dx");

    memcpy(y2, y, ROWS * stride * 2);
    fast()->swiglu_back(y, dy, dy + stride, n);
    ref->swiglu_back(y2, dy2, dy2 + stride, n);
    assert_halves(y, y2, n, 1.01, 1e-3, "gate");
    assert_halves(dy, dy2, 2 * stride, 1.01, 1e-3, "up and activation");
    fast()->swiglu(y, dy, dy + stride, n);
    ref->swiglu(y2, dy, dy + stride, n);
    assert_halves(y, y2, n, 1.01, 1e-3, "swiglu");
    fast()->round(y, x, n);
    ref->round(y2, x, n);
    assert_memory_equal(y, y2, n * 2);
    if (n % 2 == 0) {
        memcpy(dy2, dy, 2 * stride * 2);
        fast()->rope(dy, gain, 1, n, -1);   // any numbers will do for cosines and sines
        ref->rope(dy2, gain, 1, n, -1);
        assert_halves(dy, dy2, n, 1.01, 0.1, "rope");
    }
    free(x);
    free(gain);
    free(dx);
    free(dx2);
    free(dgain);
    free(dgain2);
    free(y);
    free(y2);
    free(dy);
    free(dy2);
}

/* LayerNorm, GELU and sums of rows: GPT-2's. */
static void check_more_rows(size_t n)
{
    enum { ROWS = 3 };
    const size_t stride = n + 5;
    float *x = random_values(1, ROWS * n, 1), *gain = random_values(2, n, 1), *bias = random_values(6, n, 1);
    float *dx = random_values(3, ROWS * n, 1), *dx2 = lm_memdup(dx, ROWS * n * sizeof *dx);
    float *sums[4];   // gains, biases; ours, the reference's
    uint16_t *y = random_halves(4, ROWS * stride, 1), *y2 = lm_memdup(y, ROWS * stride * 2);
    uint16_t *dy = random_halves(5, ROWS * stride, 1), *dy2 = lm_memdup(dy, ROWS * stride * 2);
    float mean[ROWS], mean2[ROWS], scale[ROWS], scale2[ROWS], row[ROWS] = { 1, 2, 3 },
                                                              row2[ROWS] = { 1, 2, 3 };
    for (size_t i = 0; i < 4; i++)
        sums[i] = lm_alloc(n * sizeof(float));
    for (size_t i = 0; i < ROWS * n; i++)
        x[i] += 2;
    fast()->layernorm(y, stride, mean, scale, x, gain, bias, ROWS, n, 0.1f);
    ref->layernorm(y2, stride, mean2, scale2, x, gain, bias, ROWS, n, 0.1f);
    assert_near(mean, mean2, ROWS, 1e-5, "mean");
    assert_near(scale, scale2, ROWS, 1e-5, "scale");
    assert_halves(y, y2, ROWS * stride, 1.01, 1e-2, "layernorm");
    fast()->layernorm_back(dx, y, sums[0], sums[1], dy, stride, x, mean2, scale2, gain, ROWS, n);
    ref->layernorm_back(dx2, y2, sums[2], sums[3], dy, stride, x, mean2, scale2, gain, ROWS, n);
    assert_near(dx, dx2, ROWS * n, 1e-4, "layernorm_back");
    assert_halves(y, y2, ROWS * stride, 1.01, 0.01, "rounded dx");
    assert_near(sums[0], sums[2], n, 1e-4, "gain");
    assert_near(sums[1], sums[3], n, 1e-4, "bias");

    fast()->row_sums(row, dy, stride, ROWS, n);
    ref->row_sums(row2, dy, stride, ROWS, n);
    assert_near(row, row2, ROWS, 1e-4, "row sums");
    fast()->gelu(y, dy + stride, n);
    ref->gelu(y2, dy + stride, n);
    assert_halves(y, y2, n, 1.01, 1e-3, "gelu");
    fast()->gelu_back(dy, dy + stride, n);
    ref->gelu_back(dy2, dy2 + stride, n);
    assert_halves(dy, dy2, 2 * stride, 1.01, 1e-3, "gelu_back");
    void *all[] = { x, gain, bias, dx, dx2, y, y2, dy, dy2, sums[0], sums[1], sums[2], sums[3] };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void rows_agree(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 7, 15, 16, 17, 33, 64, 100, 258 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_rows(sizes[i]);
        check_more_rows(sizes[i]);
    }
}

/* ---- attention ---- */

static void check_attention(size_t positions, size_t heads, size_t kv_heads, size_t dim, size_t documents)
{
    const size_t width = heads * dim, kv = kv_heads * dim, stride = width + 2 * kv + 3;
    const size_t count = positions * stride, each = (positions + documents - 1) / documents;
    uint32_t *start = lm_zalloc(positions, sizeof *start);
    for (size_t t = 0; t < positions; t++)
        start[t] = (uint32_t)(t / each * each);
    const struct lm_bf16_attention a = {
        { positions, heads, kv_heads, dim, start }, stride, width, width + kv, width
    };
    uint16_t *qkv = random_halves(1, count, 1), *dout = random_halves(2, positions * width, 1);
    uint16_t *out = lm_zalloc(positions * width, 2), *out2 = lm_zalloc(positions * width, 2);
    uint16_t *d = lm_zalloc(count, 2), *d2 = lm_zalloc(count, 2);
    float *lse = lm_zalloc(positions * heads, 4), *lse2 = lm_zalloc(positions * heads, 4);
    void *scratch = lm_slab_alloc(lm_bf16_attention_bytes(positions, dim));
    for (size_t h = 0; h < kv_heads; h++) {
        fast()->attention(&a, h, out, lse, qkv, scratch);
        ref->attention(&a, h, out2, lse2, qkv, scratch);
    }
    assert_halves(out, out2, positions * width, 2, 0.3, "attention");
    assert_near(lse, lse2, positions * heads, 1e-4, "lse");
    for (size_t h = 0; h < kv_heads; h++) {
        fast()->attention_back(&a, h, d, dout, out2, lse2, qkv, scratch);
        ref->attention_back(&a, h, d2, dout, out2, lse2, qkv, scratch);
    }
    assert_halves(d, d2, count, 3, 1, "attention_back");
    free(start);
    free(qkv);
    free(dout);
    free(out);
    free(out2);
    free(d);
    free(d2);
    free(lse);
    free(lse2);
    free(scratch);
}

static void attention_agrees(void **state)
{
    (void)state;
    static const size_t positions[] = { 1, 2, 17, 63, 64, 65, 130, 200 }, dims[] = { 4, 16, 18, 48, 64 };
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++)
        for (size_t j = 0; j < sizeof dims / sizeof dims[0]; j++) {
            check_attention(positions[i], 2, 1, dims[j], 1);
            check_attention(positions[i], 2, 2, dims[j], positions[i] < 3 ? 1 : 3);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_their_chains), cmocka_unit_test(layouts_agree),
        cmocka_unit_test(loss_is_softmax),           cmocka_unit_test(rows_agree),
        cmocka_unit_test(attention_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
