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

static void check_frequencies(const struct lm_sampling *s)
{
    struct lm_sample_scratch scratch;
    lm_sample_scratch_init(&scratch, VOCAB);
    size_t hits[VOCAB] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct lm_choice choice;
        choose(s, logits, VOCAB, VOCAB, NULL, i, &scratch, &choice);
        hits[choice.token.id]++;
    }
    double want[VOCAB];
    reference_distribution(s, logits, want);
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
        check_frequencies(&s);
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
#undef REFUSED
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
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
