/* oneDNN behind gemm.h: against plain loops, and the same bits with one thread and two. */
#include "tensor/gemm.h"

#include "base/sys.h"
#include "values.h"

#include <string.h>

static float at(const float *x, bool transposed, size_t rows, size_t cols, size_t i, size_t j)
{
    return transposed ? x[j * rows + i] : x[i * cols + j];
}

static void naive(const struct lm_product *p, float *c)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->accumulate ? c[i * p->n + j] : 0;
            for (size_t l = 0; l < p->k; l++)
                sum += (double)at(p->a, p->a_t, p->m, p->k, i, l) * at(p->b, p->b_t, p->k, p->n, l, j);
            c[i * p->n + j] = (float)sum;
        }
}

static void run(const struct lm_product *p)
{
    struct lm_gemm *g;
    struct lm_err err = { 0 };
    assert_int_equal(lm_gemm_new(&g, &err), LM_OK);
    if (lm_gemm_run(g, p, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_gemm_free(g);
}

/* All eight kinds of product of one size. */
static void check_size(size_t m, size_t n, size_t k)
{
    float *a = random_values(1, m * k, 1), *b = random_values(2, k * n, 1),
          *start = random_values(3, m * n, 1);
    for (int kind = 0; kind < 8; kind++) {
        float *c = lm_memdup(start, m * n * sizeof *c), *want = lm_memdup(start, m * n * sizeof *c);
        const struct lm_product p = { .c = c,
                                      .a = a,
                                      .b = b,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .a_t = kind & 1,
                                      .b_t = kind & 2,
                                      .accumulate = kind & 4 };
        run(&p);
        naive(&p, want);
        assert_near(c, want, m * n, 1e-4, "product");
        free(c);
        free(want);
    }
    free(a);
    free(b);
    free(start);
}

static void products_are_right(void **state)
{
    (void)state;
    check_size(1, 1, 1);
    check_size(3, 5, 7);
    check_size(33, 17, 40);
    check_size(64, 96, 31);
}

static void products_do_not_know_the_threads(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        { 256, 128, 96 }, { 128, 96, 512 }, { 97, 331, 89 }, { 512, 64, 64 }
    };
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int kind = 0; kind < 8; kind++) {
            const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
            float *a = random_values(1, m * k, 1), *b = random_values(2, k * n, 1), *c[2];
            for (int i = 0; i < 2; i++) {
                c[i] = random_values(3, m * n, 1);
                lm_threads_set(i + 1);
                const struct lm_product p = { .c = c[i],
                                              .a = a,
                                              .b = b,
                                              .m = m,
                                              .n = n,
                                              .k = k,
                                              .a_t = kind & 1,
                                              .b_t = kind & 2,
                                              .accumulate = kind & 4 };
                run(&p);
            }
            assert_memory_equal(c[0], c[1], m * n * sizeof *a);
            float *all[] = { a, b, c[0], c[1] };
            for (int i = 0; i < 4; i++)
                free(all[i]);
        }
    lm_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(products_do_not_know_the_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
