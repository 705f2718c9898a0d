#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "infer/forward.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { TOKENS = 41, BLOCKS = 3 };

static void random_tokens(uint32_t *tokens, size_t count, size_t vocab, uint64_t seed)
{
    struct lm_rng rng = lm_rng_make(seed, 0);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)lm_rng_below(&rng, vocab);
}

/* All logits of one sequence, fed in pieces of `step` tokens; (TOKENS, V). */
static float *logits_in_steps(const struct lm_model *m, const uint32_t *tokens, size_t step)
{
    const size_t vocab = (size_t)m->config.vocab_size;
    float *ret = lm_zalloc(TOKENS * vocab, sizeof *ret);
    struct lm_forward *f;
    assert_int_equal(
        lm_forward_new(m, &(struct lm_forward_config){ TOKENS, TOKENS, 2 * BLOCKS * LM_KV_TOKENS, LM_KV_F32 },
                       &f, NULL),
        LM_OK);
    uint32_t blocks[BLOCKS], other[BLOCKS];
    assert_true(lm_kv_take(lm_forward_kv(f), BLOCKS, other));
    assert_true(lm_kv_take(lm_forward_kv(f), BLOCKS, blocks));
    lm_kv_give(lm_forward_kv(f), BLOCKS, other);
    for (size_t at = 0; at < TOKENS; at += step) {
        struct lm_forward_row rows[TOKENS];
        const size_t count = TOKENS - at < step ? TOKENS - at : step;
        for (size_t i = 0; i < count; i++)
            rows[i] = (struct lm_forward_row){ tokens[at + i], (uint32_t)(at + i), blocks, true };
        size_t stride;
        const float *logits = lm_forward_run(f, rows, count, &stride);
        for (size_t i = 0; i < count; i++)
            memcpy(ret + (at + i) * vocab, logits + i * stride, vocab * sizeof *ret);
    }
    lm_forward_free(f);
    return ret;
}

static void logits_agree_with_a_plain_double_precision_model(void **state)
{
    (void)state;
    for (size_t c = 0; c < REFERENCE_CONFIGS; c++) {
        struct lm_llama m;
        struct lm_model view;
        uint32_t tokens[TOKENS];
        reference_model(&m, &reference_configs[c], 5 + c);
        lm_model_of_llama(&view, &m);
        const size_t vocab = (size_t)m.config.vocab_size;
        random_tokens(tokens, TOKENS, vocab, c);
        double *want = lm_zalloc(TOKENS * vocab, sizeof *want);
        reference_logits(&m, tokens, TOKENS, want);
        float *got = logits_in_steps(&view, tokens, 7);
        double worst = 0, spread = 0;
        for (size_t i = 0; i < TOKENS * vocab; i++) {
            worst = fmax(worst, fabs((double)got[i] - want[i]));
            spread = fmax(spread, fabs(want[i]));
        }
        assert_true(spread > 1);   // a model that says something
        if (!(worst < 1e-4))
            fail_msg("shape %zu: logits differ by %g", c, worst);
        free(want);
        free(got);
        lm_model_close(&view);
        lm_llama_release(&m);
    }
}

static void steps_of_any_size_and_any_number_of_threads_give_the_same_bits(void **state)
{
    (void)state;
    for (size_t c = 0; c < REFERENCE_CONFIGS; c++) {
        struct lm_llama m;
        struct lm_model view;
        uint32_t tokens[TOKENS];
        reference_model(&m, &reference_configs[c], 50 + c);
        lm_model_of_llama(&view, &m);
        const size_t vocab = (size_t)m.config.vocab_size;
        random_tokens(tokens, TOKENS, vocab, c);
        lm_threads_set(1);
        float *one_by_one = logits_in_steps(&view, tokens, 1);
        const size_t steps[] = { 2, 5, 16, 17, TOKENS };
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            lm_threads_set(1 + (int)s % 3);
            float *chunked = logits_in_steps(&view, tokens, steps[s]);
            assert_memory_equal(one_by_one, chunked, TOKENS * vocab * sizeof(float));
            free(chunked);
        }
        lm_threads_set(0);
        free(one_by_one);
        lm_model_close(&view);
        lm_llama_release(&m);
    }
}

/* Two sequences in one batch, the second a few positions ahead: each as if alone. */
static void sequences_do_not_see_each_other(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    uint32_t tokens[2][TOKENS];
    reference_model(&m, &reference_configs[0], 9);
    lm_model_of_llama(&view, &m);
    const size_t vocab = (size_t)m.config.vocab_size;
    float *alone[2];
    for (size_t s = 0; s < 2; s++) {
        random_tokens(tokens[s], TOKENS, vocab, 20 + s);
        alone[s] = logits_in_steps(&view, tokens[s], TOKENS);
    }
    struct lm_forward *f;
    assert_int_equal(
        lm_forward_new(&view, &(struct lm_forward_config){ 16, 16, 2 * BLOCKS * LM_KV_TOKENS, LM_KV_F32 }, &f,
                       NULL),
        LM_OK);
    uint32_t blocks[2][BLOCKS];
    size_t at[2] = { 0, 0 };
    assert_true(lm_kv_take(lm_forward_kv(f), BLOCKS, blocks[0]));
    assert_true(lm_kv_take(lm_forward_kv(f), BLOCKS, blocks[1]));
    assert_false(lm_kv_take(lm_forward_kv(f), 1, blocks[1]));
    while (at[0] < TOKENS || at[1] < TOKENS) {
        struct lm_forward_row rows[16];
        size_t count = 0, stride;
        for (size_t s = 0; s < 2; s++)
            for (size_t i = 0; i < (s == 0 ? 1 : 4) && at[s] < TOKENS; i++, at[s]++)
                rows[count++] =
                    (struct lm_forward_row){ tokens[s][at[s]], (uint32_t)at[s], blocks[s], i % 2 == 0 };
        const float *logits = lm_forward_run(f, rows, count, &stride);
        for (size_t r = 0; r < count; r++) {
            if (!rows[r].wants_logits)
                continue;
            const size_t s = rows[r].blocks == blocks[1];
            assert_memory_equal(logits, alone[s] + rows[r].position * vocab, vocab * sizeof(float));
            logits += stride;
        }
    }
    lm_forward_free(f);
    free(alone[0]);
    free(alone[1]);
    lm_model_close(&view);
    lm_llama_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_agree_with_a_plain_double_precision_model),
        cmocka_unit_test(steps_of_any_size_and_any_number_of_threads_give_the_same_bits),
        cmocka_unit_test(sequences_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
