/* Private steps: who takes part, what a unit can move, what the noise is, and the ledger. */
#include "train/dp.h"

#include "../lib/check.h"
#include "../tensor/values.h"
#include "base/file.h"
#include "train/ledger.h"

#include <string.h>

enum { UNITS = 300, POSITIONS = 8, VOCAB = 13 };

static const struct lm_llama_config tiny = { .vocab_size = VOCAB,
                                             .dim = 8,
                                             .layers = 1,
                                             .heads = 2,
                                             .kv_heads = 1,
                                             .ffn_dim = 12,
                                             .context = 16,
                                             .rope_theta = 100,
                                             .norm_eps = 1e-5,
                                             .tied = true };

/* Unit u says u, u + 1, ...; every tenth has nothing to learn from. */
static void fill(void *state, uint64_t unit, uint64_t draw, struct lm_batch *ret)
{
    uint32_t input[POSITIONS];
    int32_t target[POSITIONS];
    ++*(size_t *)state;
    for (size_t t = 0; t < POSITIONS; t++) {
        input[t] = (uint32_t)((unit + draw + t) % VOCAB);
        target[t] = unit % 10 == 9 ? LM_TARGET_NONE : (int32_t)((unit * 7 + t) % VOCAB);
    }
    lm_batch_put(ret, 0, 0, &(struct lm_piece){ input, target, POSITIONS });
}

static size_t filled;
static const struct lm_dp_source source = { &filled, UNITS, fill };

static struct lm_dp make_dp(double noise, double clip, size_t rows)
{
    const struct lm_dp_options o = { .noise = noise, .clip = clip, .delta = 1e-5, .partition = "all" };
    char recipe[LM_SHA256_HEX] = "0123456789abcdef";
    struct lm_dp dp;
    struct lm_err err = { 0 };
    assert_ok(lm_path_remove("work", NULL));
    if (lm_dp_init(&dp, &o, &source, rows, 50, "work", &lm_ranks_alone, recipe, &err) != LM_OK)
        fail_msg("%s", err.text);
    return dp;
}

struct setup {
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_gradient unit;
    struct lm_batch batch;
    float *sum;
    size_t count;
};

static void setup(struct setup *s)
{
    lm_llama_init(&s->model, &tiny);
    lm_llama_random(&s->model, 1);
    assert_ok(lm_gemm_new(&s->gemm, NULL));
    s->net = lm_net_new(&s->model, s->gemm, &(struct lm_net_config){ .positions = POSITIONS });
    lm_gradient_init(&s->unit, &s->model, NULL);
    lm_batch_init(&s->batch, 1, POSITIONS);
    s->count = s->model.parameter_count;
    s->sum = lm_slab_alloc(s->count * sizeof *s->sum);
}

static void teardown(struct setup *s)
{
    free(s->sum);
    lm_batch_release(&s->batch);
    lm_gradient_release(&s->unit);
    lm_net_free(s->net);
    lm_gemm_free(s->gemm);
    lm_llama_release(&s->model);
}

static void step(const struct lm_dp *dp, struct setup *s, uint64_t number)
{
    memset(s->sum, 0, s->count * sizeof *s->sum);
    assert_ok(lm_dp_add(dp, s->net, &s->batch, number, 0, 1, &s->unit, s->sum, NULL));
    lm_dp_finish(dp, number, s->sum, 0, s->count);
}

/* The step by its definition: units one by one, clipped in double, no noise to speak of. */
static void a_step_is_the_mean_of_clipped_units(void **state)
{
    (void)state;
    struct setup s;
    setup(&s);
    const double clip = 0.5;
    struct lm_dp dp = make_dp(1e-12, clip, 30);
    double *want = lm_zalloc(s.count, sizeof *want);
    size_t came = 0, cut = 0;
    for (uint64_t u = 0; u < UNITS; u++) {
        uint64_t draw;
        double loss, norm = 0;
        if (!lm_dp_takes_part(&dp, 3, u, &draw) || u % 10 == 9)
            continue;
        came++;
        lm_batch_clear(&s.batch);
        fill(&filled, u, draw, &s.batch);
        assert_ok(lm_net_train(s.net, &s.batch, &s.unit, &loss, NULL));
        for (size_t i = 0; i < s.count; i++)
            norm += (double)s.unit.slab[i] * s.unit.slab[i];
        norm = sqrt(norm);
        cut += norm > clip;
        for (size_t i = 0; i < s.count; i++)
            want[i] += s.unit.slab[i] * (norm > clip ? clip / norm : 1) / 30;
        memset(s.unit.slab, 0, s.count * sizeof(float));
    }
    assert_true(came > 10 && came < 60 && cut > 0);
    step(&dp, &s, 3);
    for (size_t i = 0; i < s.count; i++)
        assert_true(fabs(s.sum[i] - want[i]) < 1e-6 + 1e-4 * fabs(want[i]));
    for (size_t i = 0; i < s.count; i++)
        assert_true(s.unit.slab[i] == 0);
    free(want);
    teardown(&s);
}

/* Parts are the units of a step, each in one of them. */
static void parts_add_up_to_the_step(void **state)
{
    (void)state;
    struct setup s;
    setup(&s);
    const struct lm_dp dp = make_dp(1e-12, 0.5, 30);
    filled = 0;
    step(&dp, &s, 3);
    float *whole = lm_memdup(s.sum, s.count * sizeof *s.sum);
    const size_t came = filled;
    for (size_t parts = 2; parts <= UNITS; parts = parts * 3 + 1) {
        filled = 0;
        memset(s.sum, 0, s.count * sizeof *s.sum);
        for (size_t part = 0; part < parts; part++)   // one after the other: the order of units, and the bits
            assert_ok(lm_dp_add(&dp, s.net, &s.batch, 3, part, parts, &s.unit, s.sum, NULL));
        lm_dp_finish(&dp, 3, s.sum, 0, s.count);
        assert_memory_equal(s.sum, whole, s.count * sizeof *s.sum);
        assert_int_equal(filled, came);
    }
    free(whole);
    teardown(&s);
}

static void no_unit_moves_the_sum_by_more_than_clip(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    float *sum = lm_slab_alloc(COUNT * sizeof *sum);
    for (uint64_t seed = 0; seed < 5; seed++) {
        float *g = random_values(seed, COUNT, 3);
        memset(sum, 0, COUNT * sizeof *sum);
        lm_dp_clip_add(sum, g, COUNT, sqrt(lm_sum_squares(g, COUNT)), 0.7);
        const double norm = sqrt(lm_sum_squares(sum, COUNT));
        assert_true(norm <= 0.7 && norm > 0.69999);
        assert_true(lm_sum_squares(g, COUNT) == 0);
        free(g);
    }
    /* What is no number adds nothing, and leaves nothing behind. */
    float *g = random_values(9, COUNT, 1);
    g[17] = INFINITY;
    g[18] = NAN;
    memset(sum, 0, COUNT * sizeof *sum);
    lm_dp_clip_add(sum, g, COUNT, sqrt(lm_sum_squares(g, COUNT)), 0.7);
    assert_true(lm_sum_squares(sum, COUNT) == 0 && lm_sum_squares(g, COUNT) == 0);
    free(g);
    free(sum);
}

static void units_come_with_their_probability(void **state)
{
    (void)state;
    const struct lm_dp dp = make_dp(1, 1, 30);
    size_t came = 0, together = 0, again = 0;
    enum { STEPS = 500 };
    for (uint64_t step = 0; step < STEPS; step++)
        for (uint64_t u = 0; u < UNITS; u++) {
            uint64_t draw;
            const bool here = lm_dp_takes_part(&dp, step, u, &draw);
            came += here;
            together += here && lm_dp_takes_part(&dp, step, (u + 1) % UNITS, &draw);
            again += here && lm_dp_takes_part(&dp, step + 1, u, &draw);
        }
    const double n = STEPS * UNITS, slack = 6;   // standard deviations
    assert_true(fabs((double)came - n * 0.1) < slack * sqrt(n * 0.09));
    assert_true(fabs((double)together - n * 0.01) < slack * sqrt(n * 0.01));
    assert_true(fabs((double)again - n * 0.01) < slack * sqrt(n * 0.01));
}

static void a_step_without_units_is_noise(void **state)
{
    (void)state;
    struct setup s;
    setup(&s);
    struct lm_dp dp = make_dp(2, 0.5, 1);
    dp.phase.q = 1e-9;   // nobody comes
    dp.expected = 0.25;
    filled = 0;
    step(&dp, &s, 0);
    assert_int_equal(filled, 0);
    double square = 0;
    for (size_t i = 0; i < s.count; i++)
        square += (double)s.sum[i] * s.sum[i];
    const double deviation = 2 * 0.5 / 0.25, n = (double)s.count;
    assert_true(fabs(square / n / (deviation * deviation) - 1) < 6 * sqrt(2 / n));
    teardown(&s);
}

static void noise_is_normal_and_its_own_for_every_step(void **state)
{
    (void)state;
    enum { COUNT = 400001 };
    const uint8_t key[LM_DP_KEY_BYTES] = { 1, 2, 3 };
    float *a = lm_slab_alloc(COUNT * sizeof *a), *b = lm_slab_alloc(COUNT * sizeof *b);
    lm_threads_set(2);
    lm_dp_noise_add(key, 7, a, 0, COUNT, 1, 1);
    lm_threads_set(1);
    lm_dp_noise_add(key, 7, b, 0, COUNT, 1, 1);
    assert_memory_equal(a, b, COUNT * sizeof *a);   // again, on another number of threads
    memset(b, 0, COUNT * sizeof *b);
    for (size_t first = 0, n = 1; first < COUNT; first += n, n = n * 3 + 1)   // and piece by piece
        lm_dp_noise_add(key, 7, b, first, n < COUNT - first ? n : COUNT - first, 1, 1);
    assert_memory_equal(a, b, COUNT * sizeof *a);
    memset(b, 0, COUNT * sizeof *b);
    lm_dp_noise_add(key, 8, b, 0, COUNT, 1, 1);
    double moment[5] = { 0 }, product = 0, beyond = 0, tail = 0, below[65] = { 0 };
    for (size_t i = 0; i < COUNT; i++) {
        for (int k = 1; k <= 4; k++)
            moment[k] += pow(a[i], k) / COUNT;
        product += (double)a[i] * b[i] / COUNT + (i ? (double)a[i] * a[i - 1] / COUNT : 0);
        beyond += fabs(a[i]) > 3;
        tail += fabs(a[i]) > 3.6;   // beyond the last layer
        for (int k = 0; k <= 64; k++)
            below[k] += a[i] <= (k - 32) / 10.0;
    }
    const double slack = 6 / sqrt(COUNT);
    assert_true(fabs(moment[1]) < slack && fabs(moment[2] - 1) < slack * sqrt(2));
    assert_true(fabs(moment[3]) < slack * sqrt(15) && fabs(moment[4] - 3) < slack * sqrt(96));
    assert_true(fabs(product) < slack * sqrt(2));
    assert_true(fabs(beyond / COUNT - 0.0026998) < slack * 0.052);
    assert_true(fabs(tail / COUNT - 0.00031822) < slack * 0.0178);
    for (int k = 0; k <= 64; k++) {   // the whole distribution
        const double want = 0.5 * erfc(-(k - 32) / 10.0 / sqrt(2));
        assert_true(fabs(below[k] / COUNT - want) < slack * sqrt(want * (1 - want)) + 1e-5);
    }
    free(a);
    free(b);
}

static void the_key_is_found_again_and_stays_private(void **state)
{
    (void)state;
    const struct lm_dp first = make_dp(1, 1, 10);
    const struct lm_dp_options o = first.options;
    char recipe[LM_SHA256_HEX] = "0123456789abcdef", other[LM_SHA256_HEX] = "0123456789abcdef";
    struct lm_dp again;
    assert_ok(lm_dp_init(&again, &o, &source, 10, 50, "work", &lm_ranks_alone, recipe, NULL));
    assert_memory_equal(first.key, again.key, LM_DP_KEY_BYTES);
    assert_string_equal(first.run, again.run);
    assert_ok(lm_path_remove("work", NULL));   // another key: other checkpoints, another entry
    assert_ok(lm_dp_init(&again, &o, &source, 10, 50, "work", &lm_ranks_alone, other, NULL));
    assert_string_not_equal(first.run, again.run);
    assert_string_not_equal(recipe, other);
}

static void promises_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    const struct {
        struct lm_dp_options options;
        const char *message;
    } rows[] = {
        { { .epsilon = 1, .noise = 1, .delta = 1e-5, .clip = 1 }, "dp-epsilon or dp-noise" },
        { { .noise = 1, .delta = 0.01, .clip = 1 }, "promises nothing" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lm_dp dp;
        struct lm_err err = { 0 };
        char recipe[LM_SHA256_HEX] = "0123";
        assert_int_equal(
            lm_dp_init(&dp, &rows[i].options, &source, 10, 50, "work", &lm_ranks_alone, recipe, &err),
            LM_EINVAL);
        assert_contains(err.text, rows[i].message);
    }
}

static void the_ledger_refuses_what_leads_beyond_the_budget(void **state)
{
    (void)state;
    struct lm_db *db;
    struct lm_err err = { 0 };
    assert_ok(lm_db_open(":memory:", &db, NULL));
    struct lm_ledger_run run = { "letters", "run1", "finetune", { 1, 0.01, 500 }, 1e-5 };
    assert_ok(lm_ledger_budget(db, "letters", 2, 1e-5, &err));
    assert_ok(lm_ledger_enter(db, &run, NULL));   // 1.4
    assert_ok(lm_ledger_enter(db, &run, NULL));   // the same run, going on
    run.run = "run2";
    run.phase.steps = 2000;
    assert_int_equal(lm_ledger_enter(db, &run, &err), LM_EDENIED);
    assert_contains(err.text, "'letters' has a budget of epsilon 2");
    assert_contains(err.text, "with dp-noise=");
    run.partition = "other";   // has none
    assert_ok(lm_ledger_enter(db, &run, NULL));

    struct lm_arena arena = { 0 };
    struct lm_ledger_row *rows;
    size_t count;
    assert_ok(lm_ledger_list(db, &arena, &rows, &count, NULL));
    assert_int_equal(count, 2);
    struct lm_dp_spent alone;
    const struct lm_dp_phase phase = { 1, 0.01, 500 };
    assert_ok(lm_dp_account(&phase, 1, 1e-5, &alone, NULL));
    assert_string_equal(rows[0].partition, "letters");
    assert_true(rows[0].runs == 1 && rows[0].budget == 2 && rows[0].spent.epsilon == alone.epsilon);
    assert_true(rows[1].runs == 1 && rows[1].budget == 0);
    lm_arena_release(&arena);
    lm_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_the_mean_of_clipped_units),
        cmocka_unit_test(parts_add_up_to_the_step),
        cmocka_unit_test(no_unit_moves_the_sum_by_more_than_clip),
        cmocka_unit_test(units_come_with_their_probability),
        cmocka_unit_test(a_step_without_units_is_noise),
        cmocka_unit_test(noise_is_normal_and_its_own_for_every_step),
        cmocka_unit_test(the_key_is_found_again_and_stays_private),
        cmocka_unit_test(promises_that_mean_nothing_are_refused),
        cmocka_unit_test(the_ledger_refuses_what_leads_beyond_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
