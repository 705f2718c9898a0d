#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "harness.h"
#include "infer/engine.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { LONG = 300 };

static void random_tokens(uint32_t *tokens, size_t count, size_t vocab)
{
    struct lm_rng rng = lm_rng_make(11, 0);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)lm_rng_below(&rng, vocab);
}

static void scores_agree_with_a_plain_double_precision_model(void **state)
{
    (void)state;
    for (size_t c = 0; c < REFERENCE_CONFIGS; c++) {
        enum { COUNT = 45 };
        struct lm_llama m;
        struct lm_model view;
        uint32_t tokens[COUNT];
        double scores[COUNT];
        reference_model(&m, &reference_configs[c], 30 + c);
        lm_model_of_llama(&view, &m);
        const size_t vocab = (size_t)m.config.vocab_size;
        random_tokens(tokens, COUNT, vocab);
        double *logits = lm_zalloc(COUNT * vocab, sizeof *logits);
        reference_logits(&m, tokens, COUNT, logits);
        assert_int_equal(lm_score(&view, tokens, COUNT, scores, NULL), LM_OK);
        assert_true(scores[0] == 0);
        for (size_t i = 1; i < COUNT; i++)
            assert_true(fabs(scores[i] - reference_logprob(logits + (i - 1) * vocab, vocab, tokens[i])) <
                        1e-4);
        free(logits);
        lm_model_close(&view);
        lm_llama_release(&m);
    }
}

static void scores_are_the_logprobs_of_the_engine(void **state)
{
    (void)state;
    enum { PROMPT = 10, NEW = 60 };
    struct lm_llama m;
    struct lm_model view;
    reference_model(&m, &reference_configs[0], 4);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e;
    assert_int_equal(lm_engine_new(&view, NULL, NULL, &e, NULL), LM_OK);
    uint32_t tokens[PROMPT + NEW];
    random_tokens(tokens, PROMPT, 300);
    struct lm_sampling s;
    struct record r;
    lm_sampling_defaults(&s);
    s.max_tokens = NEW, s.logprobs = true, s.seed = 5;
    record_init(&r);
    assert_int_equal(lm_engine_submit(e, tokens, PROMPT, &s, record_sink, &r, NULL, NULL), LM_OK);
    record_wait(&r);
    memcpy(tokens + PROMPT, r.tokens, sizeof(uint32_t) * NEW);
    double scores[PROMPT + NEW];
    assert_int_equal(lm_score(&view, tokens, PROMPT + NEW, scores, NULL), LM_OK);
    for (size_t i = 0; i < NEW; i++)
        assert_true((float)scores[PROMPT + i] == r.logprobs[i]);
    lm_engine_free(e);
    record_release(&r);
    lm_model_close(&view);
    lm_llama_release(&m);
}

/* Windows of the context, each starting half a context before the end of the one before. */
static void a_long_text_is_scored_in_windows_that_overlap_by_half(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    static uint32_t tokens[LONG];
    static double scores[LONG], window[LONG];
    reference_model(&m, &reference_configs[1], 4);   // context 50
    lm_model_of_llama(&view, &m);
    random_tokens(tokens, LONG, 77);
    struct lm_scorer *scorer;
    assert_int_equal(lm_scorer_new(&view, &scorer, NULL), LM_OK);
    const size_t counts[] = { 0, 1, 2, 49, 50, 51, 74, 75, 76, 100, 101, LONG };
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        const size_t count = counts[k];
        for (size_t i = 0; i < LONG; i++)
            scores[i] = NAN;
        assert_int_equal(lm_scorer_run(scorer, tokens, count, scores, NULL), LM_OK);
        size_t fresh = 0;
        for (size_t start = 0; fresh < count; start += 25) {
            const size_t end = start + 50 < count ? start + 50 : count;
            assert_int_equal(lm_score(&view, tokens + start, end - start, window, NULL), LM_OK);
            for (; fresh < end; fresh++)
                assert_true(scores[fresh] == window[fresh - start]);
        }
        for (size_t i = count; i < LONG; i++)
            assert_true(isnan(scores[i]));
    }
    struct lm_err err = { 0 };
    tokens[7] = 77;
    assert_int_equal(lm_scorer_run(scorer, tokens, 9, scores, &err), LM_EINVAL);
    assert_string_equal(err.text, "token id 77 at position 7 is outside the model's 77 tokens");
    lm_scorer_free(scorer);
    lm_scorer_free(NULL);
    lm_model_close(&view);
    lm_llama_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_agree_with_a_plain_double_precision_model),
        cmocka_unit_test(scores_are_the_logprobs_of_the_engine),
        cmocka_unit_test(a_long_text_is_scored_in_windows_that_overlap_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
