#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/panels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

/* The rows this processor can run; SCALAR is the definition of the others. */
static size_t rows_of_kernels(const struct lm_panel_kernels *ret[3])
{
    size_t count = 0;
    ret[count++] = &lm_panels_scalar;
#ifdef __x86_64__
    if (lm_isa() >= LM_ISA_AVX2)
        ret[count++] = &lm_panels_avx2;
    if (lm_isa() >= LM_ISA_AVX512)
        ret[count++] = &lm_panels_avx512;
#endif
    return count;
}

static void fill(struct lm_rng *rng, float *x, size_t count, double scale)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(scale * lm_rng_normal(rng));
}

enum { ROWS = 14, PANELS = 19, DEPTH = 23, X_STRIDE = DEPTH + 3, Y_STRIDE = PANELS * LM_PANEL + 5 };

/* One output after the definition: a chain of fused multiply-adds in the order of k. */
static float chain(float start, const float *x, const float *weights, size_t depth)
{
    for (size_t k = 0; k < depth; k++)
        start = fmaf(x[k], weights[k], start);
    return start;
}

static void every_row_of_the_product_gives_the_bits_of_the_definition(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    float *matrix = lm_zalloc(PANELS * LM_PANEL * DEPTH, sizeof(float)),
          *packed = lm_zalloc(PANELS * LM_PANEL * DEPTH, sizeof(float));
    float *x = lm_zalloc(ROWS * X_STRIDE, sizeof(float)), *y = lm_zalloc(ROWS * Y_STRIDE, sizeof(float));
    float *start = lm_zalloc(ROWS * Y_STRIDE, sizeof(float));
    fill(&rng, matrix, PANELS * LM_PANEL * DEPTH, 1);
    fill(&rng, x, ROWS * X_STRIDE, 1);
    fill(&rng, start, ROWS * Y_STRIDE, 1);
    lm_panels_pack(packed, matrix, PANELS * LM_PANEL, DEPTH);
    const float *panels[PANELS];
    for (size_t j = 0; j < PANELS; j++)
        panels[j] = packed + j * LM_PANEL * DEPTH;

    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++)
        for (size_t rows = 1; rows <= ROWS; rows++)
            for (size_t count = 1; count <= PANELS; count += 3)
                for (int add = 0; add <= 1; add++) {
                    memcpy(y, start, ROWS * Y_STRIDE * sizeof(float));
                    kernels[r]->product(y, Y_STRIDE, x, X_STRIDE, rows, panels, count, DEPTH, add);
                    for (size_t i = 0; i < ROWS * Y_STRIDE; i++) {
                        const size_t m = i / Y_STRIDE, n = i % Y_STRIDE;
                        const float want =
                            m < rows && n < count * LM_PANEL
                                ? chain(add ? start[i] : 0, x + m * X_STRIDE, matrix + n * DEPTH, DEPTH)
                                : start[i];
                        assert_true(y[i] == want);
                    }
                }
    free(matrix);
    free(packed);
    free(x);
    free(y);
    free(start);
}

static void packing_fills_the_last_panel_with_zeros(void **state)
{
    (void)state;
    const float matrix[3 * 2] = { 1, 2, 3, 4, 5, 6 };
    float packed[2 * LM_PANEL];
    assert_int_equal(lm_panels_floats(3, 2), 2 * LM_PANEL);
    lm_panels_pack(packed, matrix, 3, 2);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < LM_PANEL; i++)
            assert_true(packed[k * LM_PANEL + i] == (i < 3 ? matrix[i * 2 + k] : 0));
}

static void softmax_is_exact_to_a_few_ulp_and_has_the_same_bits_in_every_row(void **state)
{
    (void)state;
    enum { N = 75 };
    struct lm_rng rng = lm_rng_make(2, 0);
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t n = 1; n <= N; n++) {
        float x[N], y[N], first[N], max = 0, first_max = 0;
        double first_sum = 0;
        fill(&rng, x, n, 20);
        for (size_t r = 0; r < kernel_count; r++) {
            const double sum = kernels[r]->softmax(y, x, n, 0.7f, &max);
            if (r == 0) {
                memcpy(first, y, sizeof first);
                first_sum = sum, first_max = max;
            }
            assert_true(sum == first_sum && max == first_max);
            assert_memory_equal(y, first, n * sizeof(float));
            assert_true(kernels[r]->softmax(NULL, x, n, 0.7f, &max) == sum);
        }
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            const double want = exp((double)(x[i] * 0.7f - max));
            assert_true(fabs((double)first[i] - want) <= 3e-7 * want + 2e-38);
            sum += want;
        }
        assert_true(fabs(first_sum - sum) <= 1e-6 * sum);
    }
}

static void softmax_takes_infinite_and_missing_numbers(void **state)
{
    (void)state;
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++) {
        float x[18] = { 0 }, y[18], max;
        x[3] = NAN, x[5] = -INFINITY, x[17] = NAN, x[7] = -100;
        assert_true(kernels[r]->softmax(y, x, 18, 1, &max) == 14);
        assert_true(max == 0 && y[0] == 1 && y[3] == 0 && y[5] == 0 && y[7] == 0 && y[17] == 0);
    }
}

static void swiglu_and_rmsnorm_follow_their_formulas_with_the_same_bits_in_every_row(void **state)
{
    (void)state;
    enum { N = 48, DIM = 41 };
    struct lm_rng rng = lm_rng_make(3, 0);
    float a[N], b[N], y[N], first[N];
    fill(&rng, a, N, 6);
    fill(&rng, b, N, 1);
    a[0] = 0, a[1] = -200, a[2] = 200;
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++) {
        kernels[r]->swiglu(y, a, b, N);
        if (r == 0)
            memcpy(first, y, sizeof y);
        assert_memory_equal(y, first, sizeof y);
    }
    for (size_t i = 0; i < N; i++) {
        const double want = (double)a[i] * (double)b[i] / (1 + exp(-(double)a[i]));
        assert_true(fabs((double)first[i] - want) <= 1e-6 * fabs(want) + 1e-30);
    }

    for (size_t i = DIM; i < N; i++)
        a[i] = b[i] = 0;
    double squares = 0;
    for (size_t i = 0; i < DIM; i++)
        squares += (double)a[i] * (double)a[i];
    for (size_t r = 0; r < kernel_count; r++) {
        kernels[r]->rmsnorm(y, a, b, N, DIM, 1e-5f);
        if (r == 0)
            memcpy(first, y, sizeof y);
        assert_memory_equal(y, first, sizeof y);
    }
    for (size_t i = 0; i < N; i++) {
        const double want = (double)b[i] * (double)a[i] / sqrt(squares / DIM + 1e-5);
        assert_true(fabs((double)first[i] - want) <= 1e-6 * fabs(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_product_gives_the_bits_of_the_definition),
        cmocka_unit_test(packing_fills_the_last_panel_with_zeros),
        cmocka_unit_test(softmax_is_exact_to_a_few_ulp_and_has_the_same_bits_in_every_row),
        cmocka_unit_test(softmax_takes_infinite_and_missing_numbers),
        cmocka_unit_test(swiglu_and_rmsnorm_follow_their_formulas_with_the_same_bits_in_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
