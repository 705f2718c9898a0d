/* Packed matrices of every stored type against the decoder of the type and plain sums. */
#include "base/mem.h"
#include "base/rng.h"
#include "infer/matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { ROWS = 36, GROUP = 12, COLS = 512, BATCH = 3 };

/* Random stored blocks; f16 factors are made small and finite. */
static void random_stored(struct lm_rng *rng, enum lm_type type, uint8_t *data, size_t bytes)
{
    const struct lm_type_info *t = &lm_types[type];
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)lm_rng_next(rng);
    for (size_t b = 0; b < bytes; b += t->block_bytes) {
        const uint16_t half[2] = { lm_f16_encode((float)(0.01 * lm_rng_normal(rng))),
                                   lm_f16_encode((float)(0.01 * lm_rng_normal(rng))) };
        const float whole = (float)lm_rng_normal(rng);
        if (type == LM_TYPE_F32)
            memcpy(data + b, &whole, 4);
        else if (type == LM_TYPE_BF16)
            memcpy(data + b, &(uint16_t){ lm_bf16_encode(whole) }, 2);
        else if (type == LM_TYPE_Q6_K)
            memcpy(data + b + 208, half, 2);
        else
            memcpy(data + b, half,
                   type == LM_TYPE_Q8_0 || type == LM_TYPE_Q4_0 || type == LM_TYPE_Q5_0 || type == LM_TYPE_F16
                       ? 2
                       : 4);
    }
}

static char *packed(struct lm_matrix *m, const struct lm_weight *w, size_t group)
{
    lm_matrix_plan(m, w, group);
    char *panels = lm_slab_alloc(lm_matrix_bytes(m));
    m->panels = panels;
    for (size_t j = 0; j < m->panel_count; j += 2)   // in parts
        lm_matrix_pack(m, w, j, m->panel_count - j < 2 ? 1 : 2);
    return panels;
}

static void every_type_gives_the_product_of_its_decoded_values(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    float x[BATCH * COLS], row[COLS];
    const size_t code_bytes = COLS / LM_BLOCK * LM_BLOCK_INPUT_BYTES;   // a multiple of 64
    char *codes = lm_slab_alloc(BATCH * code_bytes);
    for (size_t i = 0; i < BATCH * COLS; i++)
        x[i] = (float)lm_rng_normal(&rng);
    for (size_t i = 0; i < BATCH; i++)
        lm_blocks()->prepare(codes + i * code_bytes, x + i * COLS, COLS / LM_BLOCK);
    uint16_t pairs[BATCH * COLS];
    lm_pairs()->prepare(pairs, x, BATCH * COLS);
    const struct lm_inputs in = { x, codes, pairs, COLS, code_bytes, COLS, BATCH };
    for (int type = 0; type < LM_TYPE_COUNT; type++) {
        const size_t bytes = ROWS * lm_type_bytes(type, COLS);
        uint8_t *data = lm_slab_alloc(bytes);
        random_stored(&rng, type, data, bytes);
        for (size_t paired = 0; paired <= GROUP; paired += GROUP) {
            const struct lm_weight w = { data, type, ROWS, COLS, paired };
            struct lm_matrix m;
            char *panels = packed(&m, &w, GROUP);
            float y[BATCH * ROWS / GROUP * LM_PANEL], bias[ROWS / GROUP * LM_PANEL];
            for (size_t i = 0; i < ROWS / GROUP * LM_PANEL; i++)
                bias[i] = (float)i;
            m.bias = bias;
            assert_int_equal(m.panel_count, ROWS / GROUP);
            lm_matrix_product(&m, &in, y, m.panel_count * LM_PANEL, 0, m.panel_count, false);
            for (size_t i = 0; i < BATCH * m.panel_count * LM_PANEL; i++) {
                const size_t b = i / (m.panel_count * LM_PANEL), n = i % (m.panel_count * LM_PANEL);
                double want = (double)bias[n], size = 0;
                if (n % LM_PANEL < GROUP) {
                    lm_weight_row_f32(&w, n / LM_PANEL * GROUP + n % LM_PANEL, row);
                    for (size_t k = 0; k < COLS; k++) {
                        want += (double)row[k] * (double)x[b * COLS + k];
                        size += fabs((double)row[k] * (double)x[b * COLS + k]);
                    }
                }
                const double step = type == LM_TYPE_BF16 ? 0x1p-9 : 1e-4;   // of rounded inputs
                if (!(fabs((double)y[i] - want) <= step * size + 1e-5))
                    fail_msg("%s: %g instead of %g", lm_types[type].name, (double)y[i], want);
            }
            free(panels);
        }
        free(data);
    }
    free(codes);
}

static void parts_of_a_matrix_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    enum { MANY = 70 * LM_PANEL, NARROW = 64 };
    struct lm_rng rng = lm_rng_make(2, 0);
    float *data = lm_zalloc(MANY * NARROW, sizeof *data), x[NARROW];
    float *whole = lm_zalloc(MANY, sizeof *whole), *parts = lm_zalloc(MANY, sizeof *parts);
    for (size_t i = 0; i < MANY * NARROW; i++)
        data[i] = (float)lm_rng_normal(&rng);
    for (size_t i = 0; i < NARROW; i++)
        x[i] = (float)lm_rng_normal(&rng);
    const struct lm_weight w = { data, LM_TYPE_F32, MANY, NARROW, 0 };
    const struct lm_inputs in = { .x = x, .x_stride = NARROW, .rows = 1 };
    struct lm_matrix m;
    char *panels = packed(&m, &w, MANY);
    lm_matrix_product(&m, &in, whole, MANY, 0, m.panel_count, false);
    for (size_t j = 0; j < m.panel_count; j += 3) {
        const size_t count = m.panel_count - j < 3 ? m.panel_count - j : 3;
        lm_matrix_product(&m, &in, parts + j * LM_PANEL, MANY, j, count, false);
    }
    assert_memory_equal(whole, parts, MANY * sizeof *whole);
    lm_matrix_product(&m, &in, parts, MANY, 0, m.panel_count, true);
    for (size_t i = 0; i < MANY; i++)
        assert_true(fabs((double)parts[i] - 2 * (double)whole[i]) <= 1e-5 * (1 + fabs((double)whole[i])));
    free(panels);
    free(data);
    free(whole);
    free(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_the_product_of_its_decoded_values),
        cmocka_unit_test(parts_of_a_matrix_give_the_bits_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
