#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/blocks.h"
#include "infer/panels.h"
#include "tensor/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { ROWS = 9, PANELS = 7, BLOCKS = 5, DEPTH = BLOCKS * LM_BLOCK, Y_STRIDE = PANELS * LM_PANEL + 3 };
enum { X_BYTES = BLOCKS * LM_BLOCK_INPUT_BYTES + 48 };   // a multiple of 64: rows stay aligned

static size_t rows_of_kernels(const struct lm_block_kernels *ret[3])
{
    size_t count = 0;
    ret[count++] = &lm_blocks_scalar;
#ifdef __x86_64__
    if (lm_isa_has(LM_ISA_AVX2))
        ret[count++] = &lm_blocks_avx2;
    if (lm_isa_has(LM_ISA_AVX512_VNNI))
        ret[count++] = &lm_blocks_avx512_vnni;
#elif defined(__aarch64__)
    if (lm_isa_has(LM_ISA_NEON))
        ret[count++] = &lm_blocks_neon;
    if (lm_isa_has(LM_ISA_NEON_DOT))
        ret[count++] = &lm_blocks_neon_dot;
#endif
    return count;
}

static void random_inputs(struct lm_rng *rng, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(lm_rng_normal(rng) * exp(3 * lm_rng_normal(rng)));
}

/* Random codes, with the largest and smallest among them; factors that an f16 holds. */
static struct lm_block_weights random_block(struct lm_rng *rng, const struct lm_block_shape *s)
{
    struct lm_block_weights w = { .offset = 0 };
    for (size_t k = 0; k < LM_BLOCK; k++) {
        const uint8_t top = (uint8_t)((1 << s->code_bits) - 1), code = (uint8_t)(lm_rng_next(rng) & top);
        w.codes[k] = lm_rng_next(rng) % 8 == 0 ? top : lm_rng_next(rng) % 8 == 0 ? 0 : code;
    }
    for (size_t i = 0; i < 2; i++)
        w.scale[i] = lm_f16_decode(lm_f16_encode((float)(0.01 * lm_rng_normal(rng))));
    if (s->has_offset)
        w.offset = lm_f16_decode(lm_f16_encode((float)lm_rng_normal(rng)));
    return w;
}

struct matrix {
    char *panels;
    size_t panel_bytes;
    double *values;   // (PANELS * 16, DEPTH)
};

static struct matrix random_matrix(struct lm_rng *rng, enum lm_block_form form)
{
    const struct lm_block_shape *s = &lm_block_shapes[form];
    struct matrix m = { .panel_bytes = BLOCKS * lm_block_bytes(&lm_block_shapes[form]) };
    m.panels = lm_slab_alloc(PANELS * m.panel_bytes);
    m.values = lm_zalloc(PANELS * LM_PANEL * DEPTH, sizeof *m.values);
    for (size_t n = 0; n < PANELS * LM_PANEL; n++)
        for (size_t b = 0; b < BLOCKS; b++) {
            const struct lm_block_weights w = random_block(rng, s);
            lm_block_put(form, m.panels + n / LM_PANEL * m.panel_bytes, b, n % LM_PANEL, &w);
            for (size_t k = 0; k < LM_BLOCK; k++)
                m.values[n * DEPTH + b * LM_BLOCK + k] =
                    (double)w.scale[k / s->group] * (w.codes[k] - s->zero) + (double)w.offset;
        }
    return m;
}

static void matrix_release(struct matrix *m)
{
    free(m->panels);
    free(m->values);
}

static void every_row_gives_the_bits_of_the_scalar_row(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    const struct lm_block_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    float x[ROWS * DEPTH];
    float *first = lm_zalloc(ROWS * Y_STRIDE, sizeof *first), *y = lm_zalloc(ROWS * Y_STRIDE, sizeof *y);
    float *start = lm_zalloc(ROWS * Y_STRIDE, sizeof *start);
    char *inputs = lm_slab_alloc(ROWS * X_BYTES);
    random_inputs(&rng, start, ROWS * Y_STRIDE);
    for (int form = 0; form < LM_BLOCK_FORM_COUNT; form++) {
        struct matrix m = random_matrix(&rng, form);
        random_inputs(&rng, x, ROWS * DEPTH);
        for (size_t rows = 1; rows <= ROWS; rows++)
            for (size_t panels = 1; panels <= PANELS; panels++)
                for (size_t r = 0; r < kernel_count; r++) {
                    for (size_t i = 0; i < rows; i++)
                        kernels[r]->prepare(inputs + i * X_BYTES, x + i * DEPTH, BLOCKS);
                    float *to = r == 0 ? first : y;
                    memcpy(to, start, ROWS * Y_STRIDE * sizeof *to);
                    kernels[r]->product[form](
                        (struct lm_outputs){ to, Y_STRIDE, rows % 2 ? to : NULL, Y_STRIDE }, inputs, X_BYTES,
                        rows, m.panels, m.panel_bytes, panels, BLOCKS);
                    assert_memory_equal(to, first, ROWS * Y_STRIDE * sizeof *to);
                    for (size_t i = 0; i < ROWS * Y_STRIDE; i++)
                        if (i / Y_STRIDE >= rows || i % Y_STRIDE >= panels * LM_PANEL)
                            assert_true(to[i] == start[i]);
                }
        matrix_release(&m);
    }
    free(first);
    free(y);
    free(start);
    free(inputs);
}

/* |error| <= what 16 bits a value cost, block by block. */
static void products_are_as_exact_as_sixteen_bits_allow(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(2, 0);
    const struct lm_block_kernels *k = lm_blocks();
    for (int form = 0; form < LM_BLOCK_FORM_COUNT; form++) {
        struct matrix m = random_matrix(&rng, form);
        float x[DEPTH], y[PANELS * LM_PANEL];
        char *input = lm_slab_alloc(X_BYTES);
        random_inputs(&rng, x, DEPTH);
        k->prepare(input, x, BLOCKS);
        k->product[form]((struct lm_outputs){ .y = y }, input, X_BYTES, 1, m.panels, m.panel_bytes, PANELS,
                         BLOCKS);
        for (size_t n = 0; n < PANELS * LM_PANEL; n++) {
            double want = 0, allowed = 0;
            for (size_t b = 0; b < BLOCKS; b++) {
                double max = 0, weights = 0, size = 0;
                for (size_t i = b * LM_BLOCK; i < (b + 1) * LM_BLOCK; i++) {
                    want += m.values[n * DEPTH + i] * (double)x[i];
                    weights += fabs(m.values[n * DEPTH + i]);
                    size += fabs(m.values[n * DEPTH + i] * (double)x[i]);
                    max = fmax(max, fabs((double)x[i]));
                }
                allowed += 0.51 * max / LM_BLOCK_VALUE_MAX * weights + 1e-5 * size + 1e-5 * 140 * max;
            }
            assert_true(fabs((double)y[n] - want) <= allowed);
        }
        free(input);
        matrix_release(&m);
    }
}

static void special_inputs_have_the_same_bits_in_every_row(void **state)
{
    (void)state;
    const struct lm_block_kernels *kernels[3];
    const size_t kernel_count = rows_of_kernels(kernels);
    const float specials[] = { 0,      -0.0f, 1e-31f, 1e-38f,   1e-45f,    5e37f,
                               -5e37f, 1,     -1,     INFINITY, -INFINITY, NAN };
    struct lm_rng rng = lm_rng_make(3, 0);
    struct matrix m = random_matrix(&rng, LM_BLOCK_U4_F16);
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        float x[DEPTH] = { 0 }, first[LM_PANEL], y[LM_PANEL];
        char *input = lm_slab_alloc(X_BYTES);
        x[LM_BLOCK + 7] = specials[i];
        for (size_t r = 0; r < kernel_count; r++) {
            kernels[r]->prepare(input, x, BLOCKS);
            kernels[r]->product[LM_BLOCK_U4_F16]((struct lm_outputs){ .y = r ? y : first }, input, X_BYTES, 1,
                                                 m.panels, m.panel_bytes, 1, BLOCKS);
            for (size_t n = 0; n < LM_PANEL; n++) {
                const double want = m.values[n * DEPTH + LM_BLOCK + 7] * (double)specials[i];
                if (!isfinite(specials[i]))
                    assert_true(isnan((r ? y : first)[n]));
                else if (fabs((double)specials[i]) < 1e-30)
                    assert_true((r ? y : first)[n] == 0);
                else
                    assert_true(fabs((double)(r ? y : first)[n] - want) <=
                                1e-3 * fabs(want) + 1e-4 * fabs((double)specials[i]));
                assert_true(r == 0 || y[n] == first[n] || (isnan(y[n]) && isnan(first[n])));
            }
        }
        free(input);
    }
    matrix_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_gives_the_bits_of_the_scalar_row),
        cmocka_unit_test(products_are_as_exact_as_sixteen_bits_allow),
        cmocka_unit_test(special_inputs_have_the_same_bits_in_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
