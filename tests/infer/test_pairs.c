#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/pairs.h"
#include "tensor/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { ROWS = 14, PANELS = 9, LANES = 16, INPUTS = 23, PAIRS = 12, X_STRIDE = 2 * PAIRS + 2 };
enum { Y_STRIDE = PANELS * LANES + 5 };

static size_t rows_of_kernels(const struct lm_pair_kernels *ret[3])
{
    size_t count = 0;
    ret[count++] = &lm_pairs_scalar;
#ifdef __x86_64__
    if (lm_isa() >= LM_ISA_AVX2)
        ret[count++] = &lm_pairs_avx2;
    if (lm_isa() >= LM_ISA_AVX512_BF16)
        ret[count++] = &lm_pairs_avx512_bf16;
#endif
    return count;
}

/* One output after the definition, from values that are BF16 already. */
static float chain(float y, const float *x, const float *w, size_t count)
{
    for (size_t k = 0; k < count; k += 2) {
        if (k + 1 < count)
            y = fmaf(x[k + 1], w[k + 1], y);
        y = fmaf(x[k], w[k], y);
    }
    return y;
}

static void every_row_of_the_product_gives_the_bits_of_the_definition(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    static float x[ROWS * INPUTS], w[PANELS * LANES * INPUTS], start[ROWS * Y_STRIDE], y[ROWS * Y_STRIDE];
    static uint16_t inputs[ROWS * X_STRIDE], packed[PANELS * PAIRS * LANES * 2];
    const void *panels[PANELS];
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        x[i] = (float)lm_rng_normal(&rng);
    for (size_t i = 0; i < ROWS * Y_STRIDE; i++)
        start[i] = (float)lm_rng_normal(&rng);
    for (size_t n = 0; n < PANELS * LANES; n++)
        for (size_t k = 0; k < INPUTS; k++) {
            const uint16_t half = lm_bf16_encode((float)lm_rng_normal(&rng));
            packed[((n / LANES * PAIRS + k / 2) * LANES + n % LANES) * 2 + k % 2] = half;
            w[n * INPUTS + k] = lm_bf16_decode(half);
        }
    for (size_t j = 0; j < PANELS; j++)
        panels[j] = packed + j * PAIRS * LANES * 2;
    const struct lm_pair_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++) {
        for (size_t m = 0; m < ROWS; m++)
            kernels[r]->prepare(inputs + m * X_STRIDE, x + m * INPUTS, INPUTS);
        for (size_t rows = 1; rows <= ROWS; rows++)
            for (size_t count = 1; count <= PANELS; count += 2)
                for (int add = 0; add <= 1; add++) {
                    memcpy(y, start, sizeof y);
                    kernels[r]->product((struct lm_outputs){ y, Y_STRIDE, add ? y : NULL, Y_STRIDE }, inputs,
                                        X_STRIDE, rows, panels, count, PAIRS);
                    for (size_t i = 0; i < ROWS * Y_STRIDE; i++) {
                        const size_t m = i / Y_STRIDE, n = i % Y_STRIDE;
                        float rounded[INPUTS], want = start[i];
                        for (size_t k = 0; k < INPUTS; k++)
                            rounded[k] = lm_bf16_decode(lm_bf16_encode(x[m * INPUTS + k]));
                        if (m < rows && n < count * LANES)
                            want = chain(add ? start[i] : 0, rounded, w + n * INPUTS, INPUTS);
                        assert_true(y[i] == want);
                    }
                }
    }
}

static void every_row_rounds_alike(void **state)
{
    (void)state;
    const float x[] = { 0,        -0.0f,     1,       1.00390625f, 1.01171875f, 1e-40f, -3e-41f,
                        INFINITY, -INFINITY, 3.4e38f, -3.4e38f,    NAN,         -NAN };
    enum { COUNT = sizeof x / sizeof x[0] };
    const struct lm_pair_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    for (size_t r = 0; r < kernel_count; r++) {
        uint16_t got[COUNT + 1] = { 0 };
        got[COUNT] = 1;
        kernels[r]->prepare(got, x, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(got[i], lm_bf16_encode(x[i]));
        assert_int_equal(got[COUNT], 0);   // 13 is odd
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_product_gives_the_bits_of_the_definition),
        cmocka_unit_test(every_row_rounds_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
