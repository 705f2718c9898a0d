#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/panels.h"
#include "tensor/quant.h"

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
    if (lm_isa_has(LM_ISA_AVX2))
        ret[count++] = &lm_panels_avx2;
    if (lm_isa_has(LM_ISA_AVX512))
        ret[count++] = &lm_panels_avx512;
#elif defined(__aarch64__)
    if (lm_isa_has(LM_ISA_NEON))
        ret[count++] = &lm_panels_neon;
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

/* Stored element, and the float it stands for. */
static float encode(enum lm_panel_type type, float x, void *to)
{
    switch (type) {
    case LM_PANEL_F16:
        *(uint16_t *)to = lm_f16_encode(x);
        return lm_f16_decode(*(uint16_t *)to);
    case LM_PANEL_S8:
        *(int8_t *)to = (int8_t)fmaxf(-128, fminf(127, 40 * x));
        return *(int8_t *)to;
    default:
        return *(float *)to = x;
    }
}

static void every_row_of_the_product_gives_the_bits_of_the_definition(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    float *matrix = lm_zalloc(PANELS * LM_PANEL * DEPTH, sizeof(float));
    char *packed = lm_zalloc(PANELS * LM_PANEL * DEPTH, sizeof(float));
    float *x = lm_zalloc(ROWS * X_STRIDE, sizeof(float)), *y = lm_zalloc(ROWS * Y_STRIDE, sizeof(float));
    float *start = lm_zalloc(ROWS * Y_STRIDE, sizeof(float));
    fill(&rng, x, ROWS * X_STRIDE, 1);
    fill(&rng, start, ROWS * Y_STRIDE, 1);
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (int type = 0; type < LM_PANEL_TYPE_COUNT; type++) {
        const size_t size = lm_panel_element(type);
        const void *panels[PANELS];
        fill(&rng, matrix, PANELS * LM_PANEL * DEPTH, 1);
        for (size_t j = 0; j < PANELS; j++)
            panels[j] = packed + j * LM_PANEL * DEPTH * size;
        for (size_t n = 0; n < PANELS * LM_PANEL; n++)
            for (size_t k = 0; k < DEPTH; k++)
                matrix[n * DEPTH + k] =
                    encode(type, matrix[n * DEPTH + k],
                           packed + ((n / LM_PANEL * DEPTH + k) * LM_PANEL + n % LM_PANEL) * size);
        for (size_t r = 0; r < kernel_count; r++)
            for (size_t rows = 1; rows <= ROWS; rows++)
                for (size_t count = 1; count <= PANELS; count += 3)
                    for (int add = 0; add <= 1; add++) {
                        memcpy(y, start, ROWS * Y_STRIDE * sizeof(float));
                        kernels[r]->product[type](
                            (struct lm_outputs){ y, Y_STRIDE, add ? y : NULL, Y_STRIDE }, x, X_STRIDE, rows,
                            panels, count, DEPTH);
                        for (size_t i = 0; i < ROWS * Y_STRIDE; i++) {
                            const size_t m = i / Y_STRIDE, n = i % Y_STRIDE;
                            const float want =
                                m < rows && n < count * LM_PANEL
                                    ? chain(add ? start[i] : 0, x + m * X_STRIDE, matrix + n * DEPTH, DEPTH)
                                    : start[i];
                            assert_true(y[i] == want);
                        }
                    }
    }
    free(matrix);
    free(packed);
    free(x);
    free(y);
    free(start);
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
        x[1] = 200;   // in the lane of x[17], which must not hide it
        assert_true(kernels[r]->softmax(y, x, 18, 1, &max) == 1);
        assert_true(max == 200 && y[1] == 1 && y[0] == 0 && y[17] == 0);
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

static void layernorm_and_gelu_follow_their_formulas_with_the_same_bits_in_every_row(void **state)
{
    (void)state;
    enum { N = 48, DIM = 41 };
    struct lm_rng rng = lm_rng_make(4, 0);
    float x[N] = { 0 }, gain[N] = { 0 }, bias[N] = { 0 }, wide[N], y[4][N], first[4][N];
    fill(&rng, x, DIM, 3);
    fill(&rng, gain, DIM, 1);
    fill(&rng, bias, DIM, 1);
    fill(&rng, wide, N, 4);
    wide[0] = 0, wide[1] = -90, wide[2] = 90, wide[3] = 1e-30f;
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++) {
        kernels[r]->layernorm(y[0], x, gain, bias, N, DIM, 1e-5f);
        kernels[r]->gelu(y[1], wide, N);
        kernels[r]->gelu_tanh(y[2], wide, N);
        kernels[r]->to_f16((uint16_t *)y[3], wide, N);
        memset((uint16_t *)y[3] + N, 0, sizeof y[3] / 2);
        if (r == 0)
            memcpy(first, y, sizeof y);
        assert_memory_equal(y, first, sizeof y);
    }
    double mean = 0, variance = 0;
    for (size_t i = 0; i < DIM; i++)
        mean += (double)x[i] / DIM;
    for (size_t i = 0; i < DIM; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / DIM;
    for (size_t i = 0; i < N; i++) {
        const double want =
            i < DIM ? (double)gain[i] * ((double)x[i] - mean) / sqrt(variance + 1e-5) + (double)bias[i] : 0;
        const double w = (double)wide[i], u = sqrt(2 / M_PI) * (w + 0.044715 * w * w * w);
        assert_true(fabs((double)y[0][i] - want) <= 2e-6);
        assert_true(fabs((double)y[1][i] - w * 0.5 * erfc(-w / sqrt(2))) <= 4e-7 * (fabs(w) + 1));
        assert_true(fabs((double)y[2][i] - w * 0.5 * (1 + tanh(u))) <= 1e-6 * (fabs(w) + 1));
    }
}

static void halves_are_those_of_the_encoder_for_every_count(void **state)
{
    (void)state;
    enum { N = 37 };
    struct lm_rng rng = lm_rng_make(5, 0);
    static const float edges[] = { 0,          -0.0f,    1,          -1,         65504,    65519.996f,
                                   65520,      INFINITY, -INFINITY,  0x1p-14f,   0x1p-24f, 0x1p-25f,
                                   0x1.8p-25f, 1e-30f,   0x1.002p0f, 0x1.006p0f, 1e-45f };
    const struct lm_panel_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t n = 0; n <= N; n++) {
        float x[N];
        fill(&rng, x, N, 100);
        for (size_t i = 0; i < n; i++)
            if (lm_rng_next(&rng) % 2)
                x[i] = edges[lm_rng_next(&rng) % (sizeof edges / sizeof edges[0])];
        for (size_t r = 0; r < kernel_count; r++) {
            uint16_t y[N + 1];
            memset(y, 0x55, sizeof y);
            kernels[r]->to_f16(y, x, n);
            for (size_t i = 0; i <= N; i++)
                assert_int_equal(y[i], i < n ? lm_f16_encode(x[i]) : 0x5555);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_product_gives_the_bits_of_the_definition),
        cmocka_unit_test(softmax_is_exact_to_a_few_ulp_and_has_the_same_bits_in_every_row),
        cmocka_unit_test(softmax_takes_infinite_and_missing_numbers),
        cmocka_unit_test(swiglu_and_rmsnorm_follow_their_formulas_with_the_same_bits_in_every_row),
        cmocka_unit_test(layernorm_and_gelu_follow_their_formulas_with_the_same_bits_in_every_row),
        cmocka_unit_test(halves_are_those_of_the_encoder_for_every_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
