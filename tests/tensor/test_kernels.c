/* Every row of the table against row SCALAR, on sizes around the vector widths. */
#include "tensor/kernels.h"

#include "values.h"

#include <string.h>

static const size_t sizes[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };
static const struct lm_kernels *ref;

/* Calls check for every row this processor has, and every size. */
static void for_each(void (*check)(const struct lm_kernels *fast, size_t n))
{
    ref = lm_kernels_table[LM_ISA_SCALAR];
    for (int isa = 0; isa < LM_ISA_COUNT; isa++)
        for (size_t i = 0; i < SIZES && lm_isa_has(isa); i++)
            check(lm_kernels_table[isa], sizes[i]);
}

static void check_sums(const struct lm_kernels *fast, size_t n)
{
    float *a = random_values(1, n, 1), *b = random_values(2, n, 1), *c = lm_memdup(b, n * sizeof *b);
    const float got[] = { fast->dot(a, b, n), (float)fast->sum_squares(a, n) };
    const float want[] = { ref->dot(a, b, n), (float)ref->sum_squares(a, n) };
    assert_near(got, want, 2, 1e-5, "sum");
    fast->axpy(b, 0.5f, a, n);
    ref->axpy(c, 0.5f, a, n);
    assert_near(b, c, n, 1e-6, "axpy");
    fast->add(b, a, n);
    ref->add(c, a, n);
    assert_near(b, c, n, 1e-6, "add");
    free(a);
    free(b);
    free(c);
}

static void sums_agree(void **state)
{
    (void)state;
    for_each(check_sums);
}

static void check_norm(const struct lm_kernels *fast, size_t n)
{
    enum { ROWS = 5 };
    float *x = random_values(1, ROWS * n, 1), *gain = random_values(2, n, 1),
          *dy = random_values(3, ROWS * n, 1);
    float *y = lm_alloc(ROWS * n * sizeof *y), *y2 = lm_alloc(ROWS * n * sizeof *y);
    fast->rmsnorm(y, x, gain, ROWS, n, 1e-5f);
    ref->rmsnorm(y2, x, gain, ROWS, n, 1e-5f);
    assert_near(y, y2, ROWS * n, 1e-5, "rmsnorm");

    float scale[ROWS], scale2[ROWS];   // the way back adds to what is there: y and y2, which agree
    fast->rmsnorm_back(y, scale, dy, x, gain, ROWS, n, 1e-5f);
    ref->rmsnorm_back(y2, scale2, dy, x, gain, ROWS, n, 1e-5f);
    assert_near(y, y2, ROWS * n, 1e-4, "rmsnorm_back");
    assert_near(scale, scale2, ROWS, 1e-5, "scale");

    const size_t cols = n - n / 3;   // part of the columns
    float *dgain = random_values(4, cols, 1), *dgain2 = lm_memdup(dgain, cols * sizeof *dgain);
    fast->rmsnorm_gain_back(dgain, dy, x, scale2, ROWS, cols, n);
    ref->rmsnorm_gain_back(dgain2, dy, x, scale2, ROWS, cols, n);
    assert_near(dgain, dgain2, cols, 1e-5, "rmsnorm_gain_back");
    free(x);
    free(gain);
    free(dy);
    free(y);
    free(y2);
    free(dgain);
    free(dgain2);
}

static void norms_agree(void **state)
{
    (void)state;
    for_each(check_norm);
}

static void check_rope(const struct lm_kernels *fast, size_t n)
{
    enum { HEADS = 3 };
    const size_t head_dim = 2 * n;
    float *x = random_values(1, HEADS * head_dim, 1), *x2 = lm_memdup(x, HEADS * head_dim * sizeof *x);
    float *start = lm_memdup(x, HEADS * head_dim * sizeof *x), *angles = lm_alloc(head_dim * sizeof *angles);
    lm_rope_angles(angles, 1000, head_dim, 10000);
    fast->rope(x, angles, HEADS, head_dim, 1);
    ref->rope(x2, angles, HEADS, head_dim, 1);
    assert_near(x, x2, HEADS * head_dim, 1e-6, "rope");
    fast->rope(x, angles, HEADS, head_dim, -1);
    assert_near(x, start, HEADS * head_dim, 1e-6, "rope there and back");
    free(x);
    free(x2);
    free(start);
    free(angles);
}

static void rotations_agree_and_undo(void **state)
{
    (void)state;
    for_each(check_rope);
}

static void check_swiglu(const struct lm_kernels *fast, size_t n)
{
    float *gate = random_values(1, n, 8), *up = random_values(2, n, 1), *dy = random_values(3, n, 1);
    float *gate2 = lm_memdup(gate, n * sizeof *gate), *up2 = lm_memdup(up, n * sizeof *up);
    float *y = lm_alloc(n * sizeof *y), *y2 = lm_alloc(n * sizeof *y);
    fast->swiglu(y, gate, up, n);
    ref->swiglu(y2, gate, up, n);
    assert_near(y, y2, n, 1e-5, "swiglu");
    fast->swiglu_back(gate, up, dy, n);
    ref->swiglu_back(gate2, up2, dy, n);
    assert_near(gate, gate2, n, 1e-5, "dgate");
    assert_near(up, up2, n, 1e-5, "dup");
    free(gate);
    free(up);
    free(dy);
    free(gate2);
    free(up2);
    free(y);
    free(y2);
}

static void swiglu_agrees(void **state)
{
    (void)state;
    for_each(check_swiglu);
}

static void check_gelu(const struct lm_kernels *fast, size_t n)
{
    float *x = random_values(1, n, 6), *x2 = lm_memdup(x, n * sizeof *x), *dy = random_values(2, n, 1);
    float *y = lm_alloc(n * sizeof *y), *y2 = lm_alloc(n * sizeof *y);
    fast->gelu(y, x, n);
    ref->gelu(y2, x, n);
    assert_near(y, y2, n, 1e-5, "gelu");
    for (size_t i = 0; i < n; i++)   // as it is written
        assert_true(fabs(y2[i] - 0.5 * x[i] * (1 + tanh(sqrt(2 / M_PI) * (x[i] + 0.044715 * pow(x[i], 3))))) <
                    1e-5);
    fast->gelu_back(x, dy, n);
    ref->gelu_back(x2, dy, n);
    assert_near(x, x2, n, 1e-5, "dgelu");
    float *all[] = { x, x2, dy, y, y2 };
    for (size_t i = 0; i < 5; i++)
        free(all[i]);
}

static void gelu_agrees(void **state)
{
    (void)state;
    for_each(check_gelu);
}

static void check_layernorm(const struct lm_kernels *fast, size_t n)
{
    enum { ROWS = 3 };
    float *x = random_values(1, ROWS * n, 2), *gain = random_values(2, n, 1), *bias = random_values(3, n, 1);
    float *dy = random_values(4, ROWS * n, 1), *y = lm_alloc(ROWS * n * sizeof *y),
          *y2 = lm_memdup(x, ROWS * n * 4);
    float *dx = random_values(5, ROWS * n, 1), *dx2 = lm_memdup(dx, ROWS * n * sizeof *dx);
    float *dgain = lm_memdup(gain, n * 4), *dgain2 = lm_memdup(gain, n * 4);
    float *dbias = lm_memdup(bias, n * 4), *dbias2 = lm_memdup(bias, n * 4);
    float mean[ROWS], scale[ROWS], mean2[ROWS], scale2[ROWS];
    for (size_t i = 0; i < ROWS * n; i++)
        x[i] += 3;   // far from a mean of 0
    memcpy(y2, x, ROWS * n * sizeof *x);
    fast->layernorm(y, x, gain, bias, ROWS, n, 0.1f);
    ref->layernorm(y2, y2, gain, bias, ROWS, n, 0.1f);
    assert_near(y, y2, ROWS * n, 2e-5, "layernorm");
    fast->layernorm_back(dx, mean, scale, dy, x, gain, ROWS, n, 0.1f);
    ref->layernorm_back(dx2, mean2, scale2, dy, x, gain, ROWS, n, 0.1f);
    assert_near(mean, mean2, ROWS, 1e-5, "mean");
    assert_near(scale, scale2, ROWS, 1e-5, "scale");
    assert_near(dx, dx2, ROWS * n, 5e-5, "dx");
    fast->layernorm_gain_back(dgain, dbias, dy, x, mean2, scale2, ROWS, n, n);
    ref->layernorm_gain_back(dgain2, dbias2, dy, x, mean2, scale2, ROWS, n, n);
    assert_near(dgain, dgain2, n, 5e-5, "dgain");
    assert_near(dbias, dbias2, n, 1e-5, "dbias");
    float *all[] = { x, gain, bias, dy, y, y2, dx, dx2, dgain, dgain2, dbias, dbias2 };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void layernorm_agrees(void **state)
{
    (void)state;
    for_each(check_layernorm);
}

static void check_losses(const struct lm_kernels *fast, size_t n)
{
    float *x = random_values(1, n, 10), *x2 = lm_memdup(x, n * sizeof *x), *p = lm_memdup(x, n * sizeof *x);
    const uint32_t target = (uint32_t)(n / 2);
    const float only = fast->cross_entropy(x, n, target, 0);
    assert_memory_equal(x, x2, n * sizeof *x);   // no gradient asked for, nothing written
    const float loss = fast->cross_entropy(x, n, target, 0.25f),
                want = ref->cross_entropy(x2, n, target, 0.25f);
    assert_near(&loss, &want, 1, 1e-5, "loss");
    assert_near(&only, &want, 1, 1e-5, "loss without gradient");
    assert_near(x, x2, n, 1e-6, "dlogits");

    memcpy(x2, p, n * sizeof *p);
    fast->softmax(p, n);
    ref->softmax(x2, n);
    assert_near(p, x2, n, 1e-6, "softmax");
    free(x);
    free(x2);
    free(p);
}

static void losses_agree(void **state)
{
    (void)state;
    for_each(check_losses);
}

static void check_adamw(const struct lm_kernels *fast, size_t n)
{
    const struct lm_adamw step = { 0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.19f, 0.0975f, 0.5f };
    float *p = random_values(1, n, 1), *m = random_values(2, n, 0.1), *v = random_values(3, n, 0.1);
    float *g = random_values(4, n, 1);
    for (size_t i = 0; i < n; i++)
        v[i] *= v[i];
    float *p2 = lm_memdup(p, n * sizeof *p), *m2 = lm_memdup(m, n * sizeof *m),
          *v2 = lm_memdup(v, n * sizeof *v);
    fast->adamw(p, m, v, g, n, &step);
    ref->adamw(p2, m2, v2, g, n, &step);
    assert_near(p, p2, n, 1e-6, "p");
    assert_near(m, m2, n, 1e-6, "m");
    assert_near(v, v2, n, 1e-6, "v");
    float *all[] = { p, m, v, g, p2, m2, v2 };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void updates_agree(void **state)
{
    (void)state;
    for_each(check_adamw);
}

static void check_small(const struct lm_kernels *fast, size_t k)
{
    enum { M = 7, N = 19 };
    float *x = random_values(1, M * k, 1), *w = random_values(2, N * k, 1);
    float y[M * N], one[N], want[M * N];
    fast->matmul_small(y, N, x, w, M, N, k);
    ref->matmul_small(want, N, x, w, M, N, k);
    assert_near(y, want, (size_t)M * N, 1e-5, "product");
    for (size_t r = 0; r < M; r++) {
        fast->matmul_small(one, N, x + r * k, w, 1, N, k);
        assert_memory_equal(one, y + r * N, sizeof one);
    }
    for (size_t j = 0; j < N; j++) {
        fast->matmul_small(one, 1, x, w + j * k, 1, 1, k);
        assert_memory_equal(one, y + j, sizeof *one);
    }
    free(x);
    free(w);
}

static void small_products_have_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    for_each(check_small);
}

static void exp_lets_not_a_number_through(void **state)
{
    (void)state;
    for (int isa = 0; isa < LM_ISA_COUNT; isa++) {
        if (!lm_isa_has(isa))
            continue;
        float x[20] = { 0 }, up[20] = { 1, 1, 1, 1 }, y[20];
        x[3] = NAN;
        lm_kernels_table[isa]->swiglu(y, x, up, 20);
        assert_true(isnan(y[3]));
        assert_false(isnan(y[2]));
        lm_kernels_table[isa]->cross_entropy(x, 20, 5, 1);
        assert_true(isnan(x[0]));   // the sum is poisoned, so the gradient is: the trainer will stop
    }
}

static void threaded_sums_do_not_know_the_threads(void **state)
{
    (void)state;
    enum { N = 100003, K = 301, ROWS = 401 };
    float *x = random_values(1, N, 1), *w = random_values(2, (size_t)ROWS * K, 1), y1[ROWS], y2[ROWS];
    lm_threads_set(1);
    const double one = lm_sum_squares(x, N);
    lm_matmul_small(y1, x, w, 1, ROWS, K);
    lm_threads_set(2);
    const double two = lm_sum_squares(x, N);
    lm_matmul_small(y2, x, w, 1, ROWS, K);
    lm_threads_set(0);
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_equal(y1, y2, sizeof y1);
    free(x);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(norms_agree),
        cmocka_unit_test(rotations_agree_and_undo),
        cmocka_unit_test(swiglu_agrees),
        cmocka_unit_test(gelu_agrees),
        cmocka_unit_test(layernorm_agrees),
        cmocka_unit_test(losses_agree),
        cmocka_unit_test(updates_agree),
        cmocka_unit_test(small_products_have_the_same_bits_in_any_batch),
        cmocka_unit_test(exp_lets_not_a_number_through),
        cmocka_unit_test(threaded_sums_do_not_know_the_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
