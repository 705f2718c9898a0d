#include "base/mem.h"
#include "base/rng.h"
#include "infer/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 12, DRAWS = 20000 };

static const float logits[VOCAB] = { 1, 3, -2, 0.5f, 2.5f, 2.5f, -30, 0, 1.5f, -1, 2, 0.25f };

static void choose(const struct lm_sampling *s, const float *x, size_t vocab, size_t usable,
                   const uint32_t *seen, uint64_t position, struct lm_sample_scratch *scratch,
                   struct lm_choice *ret)
{
    const struct lm_sample_row row = {
        .logits = x, .vocab = vocab, .usable = usable, .seen = seen, .position = position
    };
    lm_sample(s, &row, scratch, ret);
}

struct rank {
    double p;
    size_t id;
};

static int by_p(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->p != y->p)
        return x->p > y->p ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The distribution after temperature, top_k, top_p, min_p, by sorting everything. */
static void reference_distribution(const struct lm_sampling *s, const float *x, double ret[VOCAB])
{
    struct rank r[VOCAB];
    for (size_t i = 0; i < VOCAB; i++) {
        r[i] = (struct rank){ exp((double)x[i] / s->temperature), i };
        ret[i] = 0;
    }
    qsort(r, VOCAB, sizeof r[0], by_p);
    const size_t limit = s->top_k && s->top_k < VOCAB ? s->top_k : VOCAB;
    double mass = 0, kept = 0;
    for (size_t i = 0; i < limit; i++)
        mass += r[i].p;
    size_t n = 0;
    for (; n < limit && (n == 0 || (kept < s->top_p * mass && r[n].p >= s->min_p * r[0].p)); n++)
        kept += r[n].p;
    for (size_t i = 0; i < n; i++)
        ret[r[i].id] = r[i].p / kept;
}

/* With a bias and a mask, as if the model had said so. */
static void check_frequencies(const struct lm_sampling *s, const uint64_t *mask)
{
    float x[VOCAB];
    for (size_t i = 0; i < VOCAB; i++)
        x[i] = !mask || *mask >> i & 1 ? logits[i] : -INFINITY;
    for (size_t i = 0; i < s->bias_count; i++)
        x[s->bias[i].id] += (float)s->bias[i].value;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    size_t hits[VOCAB] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct lm_choice choice;
        const struct lm_sample_row row = {
            .logits = logits, .vocab = VOCAB, .usable = VOCAB, .mask = mask, .position = i
        };
        lm_sample(s, &row, &scratch, &choice);
        hits[choice.token.id]++;
    }
    double want[VOCAB];
    reference_distribution(s, x, want);
    for (size_t i = 0; i < VOCAB; i++) {
        if (want[i] == 0)
            assert_int_equal(hits[i], 0);
        const double deviation = sqrt(want[i] * (1 - want[i]) / DRAWS);
        assert_true(fabs((double)hits[i] / DRAWS - want[i]) <= 5 * deviation + 1e-9);
    }
    lm_sample_scratch_release(&scratch);
}

static void tokens_are_drawn_as_often_as_the_parameters_say(void **state)
{
    (void)state;
    const struct lm_logit_bias bias[] = { { 2, 4 }, { 1, -100 }, { 5, 0.5 }, { 2, 0.25 } };
    const uint64_t masks[] = { 0xfff, 0x0a5, 0x040 };
    // clang-format off
    const struct { double temperature; size_t top_k; double top_p, min_p; } cases[] = {
        { 1, 0, 1, 0 },      { 0.5, 0, 1, 0 },   { 2, 0, 1, 0 },     { 1, 1, 1, 0 },       { 1, 2, 1, 0 },
        { 1, 7, 1, 0 },      { 1, 12, 1, 0 },    { 1, 99, 0.8, 0 },  { 1, 0, 0.5, 0 },     { 1.5, 0, 0.99, 0 },
        { 1, 0, 1, 0.3 },    { 0.7, 0, 1, 0.01 },{ 1, 5, 0.9, 0.2 }, { 3, 8, 0.7, 0.05 },  { 1, 0, 0, 0 },
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lm_sampling s;
        lm_sampling_defaults(&s);
        s.temperature = cases[i].temperature, s.top_k = cases[i].top_k;
        s.top_p = cases[i].top_p, s.min_p = cases[i].min_p;
        s.seed = 40 + i;
        check_frequencies(&s, NULL);
        check_frequencies(&s, &masks[i % 3]);
        s.bias = bias, s.bias_count = 4;
        check_frequencies(&s, i % 2 ? NULL : &masks[i % 3]);
    }
}

static void greedy_takes_the_best_and_of_equals_the_first(void **state)
{
    (void)state;
    struct lm_sampling s;
    struct lm_choice choice;
    lm_sampling_defaults(&s);
    s.temperature = 0;
    choose(&s, logits, VOCAB, VOCAB, NULL, 0, NULL, &choice);
    assert_int_equal(choice.token.id, 1);
    const float equal[5] = { NAN, 2, 7, 7, 9 };
    choose(&s, equal, 5, 4, NULL, 0, NULL, &choice);   // the last is not usable
    assert_int_equal(choice.token.id, 2);
}

static void penalties_follow_their_formulas(void **state)
{
    (void)state;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    struct lm_sampling s;
    struct lm_choice choice;
    lm_sampling_defaults(&s);
    s.temperature = 0;
    uint32_t seen[VOCAB] = { [1] = 1 };   // in the prompt, not generated
    s.presence_penalty = 50;
    choose(&s, logits, VOCAB, VOCAB, seen, 0, &scratch, &choice);
    assert_int_equal(choice.token.id, 1);
    s.repetition_penalty = 1.5;   // 3 / 1.5 = 2 < 2.5
    choose(&s, logits, VOCAB, VOCAB, seen, 0, &scratch, &choice);
    assert_int_equal(choice.token.id, 4);
    seen[4] = 2 * 1;   // generated once: 2.5 - 0.3 - 0.25 < 2.5
    s.repetition_penalty = 1, s.presence_penalty = 0.3, s.frequency_penalty = 0.25, seen[1] = 2 * 3;
    choose(&s, logits, VOCAB, VOCAB, seen, 0, &scratch, &choice);
    assert_int_equal(choice.token.id, 5);
    seen[5] = 2 * 2;   // 2.5 - 0.3 - 0.5 = 1.7; [1]: 3 - 0.3 - 0.75 = 1.95; [4]: 1.95; [10]: 2
    choose(&s, logits, VOCAB, VOCAB, seen, 0, &scratch, &choice);
    assert_int_equal(choice.token.id, 10);
    lm_sample_scratch_release(&scratch);
}

static void logprobs_are_the_models_own_and_the_best_come_first(void **state)
{
    (void)state;
    double sum = 0;
    for (size_t i = 0; i < VOCAB; i++)
        sum += exp((double)logits[i]);
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    struct lm_sampling s;
    struct lm_choice choice;
    lm_sampling_defaults(&s);
    s.temperature = 3, s.top_k = 4, s.top_logprobs = 5, s.logprobs = true;
    choose(&s, logits, VOCAB, VOCAB, NULL, 3, &scratch, &choice);
    const uint32_t best[] = { 1, 4, 5, 10, 8 };
    assert_int_equal(choice.top_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(choice.top[i].id, best[i]);
        assert_true(fabs((double)choice.top[i].logprob - ((double)logits[best[i]] - log(sum))) < 1e-5);
        if (choice.token.id == best[i])
            assert_true(choice.token.logprob == choice.top[i].logprob);
    }
    assert_true(fabs(lm_logprob(logits, VOCAB, 2) - (-2 - log(sum))) < 1e-5);
    lm_sample_scratch_release(&scratch);
}

static void a_model_of_nothing_but_nan_still_gives_tokens(void **state)
{
    (void)state;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    float broken[VOCAB];
    const float values[] = { NAN, INFINITY, -INFINITY };
    for (size_t v = 0; v < 3; v++)
        for (size_t k = 0; k < 3; k++) {
            for (size_t i = 0; i < VOCAB; i++)
                broken[i] = values[v];
            struct lm_sampling s;
            struct lm_choice choice;
            lm_sampling_defaults(&s);
            s.temperature = k == 0 ? 0 : 1, s.top_k = k == 2 ? 3 : 0, s.top_logprobs = 2;
            choose(&s, broken, VOCAB, VOCAB, NULL, 0, &scratch, &choice);
            assert_true(choice.token.id < VOCAB);
        }
    lm_sample_scratch_release(&scratch);
}

/* Greedy, drawn from all, drawn from the best. */
static struct lm_sampling way_of(size_t way)
{
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.temperature = way == 0 ? 0 : way == 1 ? 1e-4 : 50, s.top_k = way == 2 ? 3 : 0;
    s.logprobs = true;
    return s;
}

static void a_masked_token_never_comes_whatever_the_logits_are(void **state)
{
    (void)state;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    const float values[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0 };
    struct lm_rng rng = lm_rng_make(5, 0);
    const uint32_t seen[VOCAB] = { 1, 2, 4, 8, 1, 2, 4, 8 };
    for (size_t k = 0; k < 3000; k++) {
        float x[VOCAB];
        for (size_t i = 0; i < VOCAB; i++)
            x[i] = values[lm_rng_below(&rng, k % 2 ? 6 : 1 + k % 5)];
        const uint64_t mask = 1 + lm_rng_below(&rng, (1 << VOCAB) - 1);
        struct lm_sampling s = way_of(k % 3);
        s.repetition_penalty = k % 7 ? 100 : 1;
        struct lm_choice choice;
        const struct lm_sample_row row = { x, VOCAB, VOCAB, k % 7 ? seen : NULL, &mask, k };
        lm_sample(&s, &row, &scratch, &choice);
        assert_false(choice.none);
        assert_true(choice.token.id < VOCAB && (mask >> choice.token.id & 1));
    }
    lm_sample_scratch_release(&scratch);
}

static void where_nothing_may_come_nothing_does(void **state)
{
    (void)state;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    for (size_t way = 0; way < 3; way++) {
        const struct lm_sampling s = way_of(way);
        const uint64_t masks[] = { 0, 1 << (VOCAB - 1) };   // the last is not usable
        for (size_t k = 0; k < 2; k++) {
            struct lm_choice choice;
            const struct lm_sample_row row = { logits, VOCAB, VOCAB - 1, NULL, &masks[k], 0 };
            lm_sample(&s, &row, &scratch, &choice);
            assert_true(choice.none && choice.top_count == 0);
        }
    }
    lm_sample_scratch_release(&scratch);
}

static void bias_and_mask_leave_logprobs_alone(void **state)
{
    (void)state;
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    const struct lm_logit_bias bias = { 6, 100 };
    const uint64_t mask = 0x0c0;
    struct lm_choice choice;
    struct lm_sampling s = way_of(0);
    s.bias = &bias, s.bias_count = 1, s.top_logprobs = 1;
    const struct lm_sample_row row = { logits, VOCAB, VOCAB, NULL, &mask, 0 };
    lm_sample(&s, &row, &scratch, &choice);
    assert_int_equal(choice.token.id, 6);
    assert_true(fabs((double)choice.token.logprob - lm_logprob(logits, VOCAB, 6)) < 1e-5);
    assert_int_equal(choice.top[0].id, 1);
    lm_sample_scratch_release(&scratch);
}

static void parameters_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    struct lm_sampling s;
    struct lm_err err = { 0 };
    const struct lm_str empty = LM_STR("");
    lm_sampling_defaults(&s);
    assert_int_equal(lm_sampling_check(&s, &err), LM_OK);
#define REFUSED(field, value, word)                                                                          \
    lm_sampling_defaults(&s);                                                                                \
    s.field = value;                                                                                         \
    assert_int_equal(lm_sampling_check(&s, &err), LM_EINVAL);                                                \
    assert_non_null(strstr(err.text, word))
    REFUSED(temperature, -0.1, "temperature -0.1");
    REFUSED(temperature, NAN, "temperature");
    REFUSED(top_p, 1.5, "top_p 1.5");
    REFUSED(min_p, -1, "min_p -1");
    REFUSED(repetition_penalty, 0, "repetition_penalty 0");
    REFUSED(presence_penalty, INFINITY, "presence_penalty");
    REFUSED(frequency_penalty, -1e9, "frequency_penalty");
    REFUSED(max_tokens, 0, "max_tokens");
    REFUSED(top_logprobs, 21, "top_logprobs 21");
    REFUSED(stop_count, LM_STOP_COUNT_MAX + 1, "17 stop strings");
    REFUSED(bias_count, LM_LOGIT_BIAS_MAX + 1, "1025 ids");
#undef REFUSED
    const double values[] = { NAN, INFINITY, -100.5 };
    for (size_t i = 0; i < 3; i++) {
        const struct lm_logit_bias bias = { 7, values[i] };
        lm_sampling_defaults(&s);
        s.bias = &bias, s.bias_count = 1;
        assert_int_equal(lm_sampling_check(&s, &err), LM_EINVAL);
        assert_non_null(strstr(err.text, "of id 7"));
    }
    lm_sampling_defaults(&s);
    s.stop = &empty, s.stop_count = 1;
    assert_int_equal(lm_sampling_check(&s, &err), LM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_drawn_as_often_as_the_parameters_say),
        cmocka_unit_test(greedy_takes_the_best_and_of_equals_the_first),
        cmocka_unit_test(penalties_follow_their_formulas),
        cmocka_unit_test(logprobs_are_the_models_own_and_the_best_come_first),
        cmocka_unit_test(a_model_of_nothing_but_nan_still_gives_tokens),
        cmocka_unit_test(a_masked_token_never_comes_whatever_the_logits_are),
        cmocka_unit_test(where_nothing_may_come_nothing_does),
        cmocka_unit_test(bias_and_mask_leave_logprobs_alone),
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
