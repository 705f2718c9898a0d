/* Every architecture and both formats against what transformers computes (tests/golden/models/make.py). */
#include "base/file.h"
#include "base/mem.h"
#include "infer/forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 12, BLOCKS = 2 };

static const struct {
    const char *path, *expected;
} cases[] = {
    { "llama", "llama" }, { "mistral", "mistral" }, { "qwen2", "qwen2" },      { "qwen3", "qwen3" },
    { "gpt2", "gpt2" },   { "bert", "bert" },       { "llama.gguf", "llama" }, { "gpt2.gguf", "gpt2" },
};

static float *run(const struct lm_model *m, enum lm_kv_type kv, size_t step, size_t width)
{
    struct lm_forward *f;
    const struct lm_forward_config config = { 2 * TOKENS, 2 * TOKENS, 64, kv };
    float *ret = lm_zalloc(TOKENS * width, sizeof *ret);
    assert_int_equal(lm_forward_new(m, &config, &f, NULL), LM_OK);
    uint32_t blocks[BLOCKS];
    assert_true(lm_kv_take(lm_forward_kv(f), BLOCKS, blocks));
    for (size_t at = 0; at < TOKENS; at += step) {
        struct lm_forward_row rows[TOKENS];
        const size_t count = TOKENS - at < step ? TOKENS - at : step;
        size_t stride;
        for (size_t i = 0; i < count; i++)
            rows[i] = (struct lm_forward_row){ (uint32_t)((5 * (at + i) + 1) % 64), (uint32_t)(at + i),
                                               blocks, true };
        const float *got = lm_forward_run(f, rows, count, &stride);
        for (size_t i = 0; i < count; i++)
            memcpy(ret + (at + i) * width, got + i * stride, width * sizeof *ret);
    }
    lm_forward_free(f);
    return ret;
}

static double worst_difference(const float *a, const float *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* The largest difference that each type of cache may make; inputs of BF16 weights are rounded to BF16 too. */
static double allowed(enum lm_kv_type kv, bool rounded)
{
    static const double by_cache[LM_KV_TYPE_COUNT] = { 2e-5, 2e-2, 0.3 };
    return by_cache[kv] + (rounded ? 0.1 : 0);
}

/* Weights of BF16 as the floats they stand for. */
static void widen(struct lm_model *m, struct lm_arena *arena)
{
    for (size_t i = 0; i < LM_T_COUNT * (size_t)m->config.layers; i++) {
        struct lm_weight *w = &m->weights[i];
        if (!w->data || w->type != LM_TYPE_BF16)
            continue;
        float *values = lm_arena_alloc(arena, w->rows * w->cols * sizeof *values);
        lm_types[w->type].decode(values, w->data, w->rows * w->cols);
        w->data = values;
        w->type = LM_TYPE_F32;
    }
}

static void check(const struct lm_model *m, const char *name, const float *want, size_t width, bool rounded)
{
    for (int kv = 0; kv < LM_KV_TYPE_COUNT; kv++) {
        float *whole = run(m, kv, TOKENS, width);
        const double worst = worst_difference(whole, want, TOKENS * width);
        if (!(worst < allowed(kv, rounded)))
            fail_msg("%s with a cache of %s: differs by %g", name, lm_kv_type_names[kv], worst);
        if (lm_archs[m->config.arch].causal) {
            float *steps = run(m, kv, 5, width);
            assert_memory_equal(whole, steps, TOKENS * width * sizeof *whole);
            free(steps);
        }
        free(whole);
    }
}

static void every_architecture_computes_what_transformers_does(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct lm_buf expected = { 0 };
        char path[512];
        struct lm_model m;
        struct lm_err err;
        snprintf(path, sizeof path, LOOM_TEST_DIR "/golden/models/%s", cases[c].path);
        if (lm_model_open(path, &m, &err) != LM_OK)
            fail_msg("%s", err.text);
        snprintf(path, sizeof path, LOOM_TEST_DIR "/golden/models/%s/expected.f32", cases[c].expected);
        assert_int_equal(lm_file_read(path, 1 << 20, &expected, NULL), LM_OK);
        const size_t width = lm_buf_str(&expected).len / sizeof(float) / TOKENS;
        const float *want = (const void *)lm_buf_str(&expected).ptr;
        const bool causal = lm_archs[m.config.arch].causal;
        assert_int_equal(width, causal ? m.config.vocab_size : m.config.dim);
        struct lm_arena arena = { 0 };
        const bool rounded = lm_model_at(&m, LM_T_W_UP, 0)->type == LM_TYPE_BF16;
        check(&m, cases[c].path, want, width, rounded);
        widen(&m, &arena);
        if (rounded)
            check(&m, cases[c].path, want, width, false);
        lm_arena_release(&arena);
        lm_model_close(&m);
        lm_buf_release(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        every_architecture_computes_what_transformers_does) };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
