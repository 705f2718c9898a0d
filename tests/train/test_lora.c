/* Adapters: their gradients are those of the loss, their files come back, what loom cannot compute is
 * refused. */
#include "train/dpo.h"

#include "../lib/check.h"
#include "../tensor/values.h"
#include "base/file.h"
#include "base/rng.h"

#include <math.h>

static const struct lm_llama_config tiny = { .vocab_size = 19,
                                             .dim = 12,
                                             .layers = 2,
                                             .heads = 3,
                                             .kv_heads = 1,
                                             .ffn_dim = 10,
                                             .context = 16,
                                             .rope_theta = 100,
                                             .norm_eps = 1e-5,
                                             .tied = true,
                                             .bos_id = -1,
                                             .eos_id = -1 };
enum { POSITIONS = 9, ROWS = 2 };

struct setup {
    struct lm_llama model;
    struct lm_lora lora;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_gradient gradient;
    struct lm_batch batch;
    struct lm_gradient spare;
};

static void fill(float *to, size_t count, uint64_t seed, float size)
{
    float *values = random_values(seed, count, size);
    memcpy(to, values, count * sizeof *values);
    free(values);
}

static void setup_way(struct setup *s, const char *const *targets, size_t count, bool stabilized,
                      double dropout, struct lm_net_config way)
{
    struct lm_lora_config config = { .rank = 3, .alpha = 6, .stabilized = stabilized, .dropout = dropout };
    lm_llama_init(&s->model, &tiny);
    fill(s->model.params, s->model.parameter_count, 5, 0.4f);
    assert_ok(lm_lora_targets_parse(targets, count, &config.targets, NULL));
    assert_ok(lm_lora_init(&s->lora, &config, &s->model, NULL));
    fill(s->lora.params, s->lora.count, 6, 0.3f);
    assert_ok(lm_gemm_new(&s->gemm, NULL));
    way.positions = POSITIONS;
    way.lora = &s->lora;
    s->net = lm_net_new(&s->model, s->gemm, &way);
    lm_net_refresh(s->net);
    lm_gradient_init(&s->gradient, &s->model, &s->lora);
    lm_gradient_init(&s->spare, &s->model, &s->lora);
    lm_batch_init(&s->batch, ROWS, POSITIONS);
    struct lm_rng rng = lm_rng_make(3, 0);
    for (size_t row = 0; row < ROWS; row++) {
        uint32_t input[POSITIONS];
        int32_t target[POSITIONS];
        for (size_t t = 0; t < POSITIONS; t++) {
            input[t] = (uint32_t)lm_rng_below(&rng, 19);
            target[t] = t % 3 ? (int32_t)lm_rng_below(&rng, 19) : LM_TARGET_NONE;
        }
        lm_batch_put(&s->batch, row, 0, &(struct lm_piece){ input, target, POSITIONS });
    }
}

static void setup(struct setup *s, const char *const *targets, size_t count, bool stabilized)
{
    lm_threads_set(1);
    setup_way(s, targets, count, stabilized, 0, (struct lm_net_config){ 0 });
}

static void teardown(struct setup *s)
{
    lm_batch_release(&s->batch);
    lm_gradient_release(&s->gradient);
    lm_gradient_release(&s->spare);
    lm_net_free(s->net);
    lm_gemm_free(s->gemm);
    lm_lora_release(&s->lora);
    lm_llama_release(&s->model);
}

static double loss_now(struct setup *s)
{
    float losses[ROWS * POSITIONS];
    double sum = 0;
    lm_net_refresh(s->net);
    if (s->lora.config.dropout > 0) {   // the loss under the masks of training
        assert_ok(lm_net_train(s->net, &s->batch, &s->spare, &sum, NULL));
        return sum;
    }
    assert_ok(lm_net_measure(s->net, &s->batch, losses, NULL));
    for (size_t i = 0; i < ROWS * POSITIONS; i++)
        sum += losses[i];
    return sum / (double)s->batch.trained;
}

/* Central differences of order 4, over every third parameter. */
static void check_gradients(const char *const *targets, size_t count, bool stabilized, double dropout)
{
    struct setup s;
    double loss, worst = 0;
    lm_threads_set(1);
    setup_way(&s, targets, count, stabilized, dropout, (struct lm_net_config){ .seed = 3 });
    lm_net_refresh(s.net);
    assert_ok(lm_net_train(s.net, &s.batch, &s.gradient, &loss, NULL));
    for (size_t i = 0; i < s.lora.count; i += 3) {
        static const double weight[] = { 1 / 12.0, -2 / 3.0, 2 / 3.0, -1 / 12.0 };
        static const float place[] = { -2, -1, 1, 2 };
        const float at = s.lora.params[i], h = 0.01f;
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            s.lora.params[i] = at + place[k] * h;
            sum += weight[k] * loss_now(&s);
        }
        s.lora.params[i] = at;
        worst = fmax(worst, fabs(sum / h - s.gradient.slab[i]));
    }
    if (worst > 2e-4)
        fail_msg("a gradient is wrong by %g", worst);
    teardown(&s);
}

static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    check_gradients((const char *const[]){ "all" }, 1, false, 0);
    check_gradients((const char *const[]){ "all" }, 1, false, 0.3);
    check_gradients((const char *const[]){ "q", "down_proj" }, 2, true, 0);
}

/* Length of the difference of two vectors, as a share of the second's. */
static double distance(const float *a, const float *b, size_t n)
{
    double apart = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        apart += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        length += (double)b[i] * b[i];
    }
    return sqrt(apart / length);
}

/* Every A and every B of the bf16 network beside the f32 one's. */
static void check_bf16(const char *const *targets, size_t count, bool recompute, double dropout)
{
    struct setup exact, half;
    double loss[2];
    lm_threads_set(1);
    setup_way(&exact, targets, count, false, dropout, (struct lm_net_config){ 0 });
    setup_way(&half, targets, count, false, dropout,
              (struct lm_net_config){ .bf16 = true, .recompute = recompute });
    assert_ok(lm_net_train(exact.net, &exact.batch, &exact.gradient, &loss[0], NULL));
    assert_ok(lm_net_train(half.net, &half.batch, &half.gradient, &loss[1], NULL));
    assert_true(fabs(loss[0] - loss[1]) < 0.01 * loss[0]);
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t l = 0; lm_lora_has(&exact.lora, kind) && l < 2; l++) {
            size_t out, in;
            lm_llama_shape(&tiny, kind, &out, &in);
            const size_t a = (size_t)(lm_lora_a(&exact.lora, kind, l) - exact.lora.params);
            const size_t b = (size_t)(lm_lora_b(&exact.lora, kind, l) - exact.lora.params);
            const double by_a = distance(half.gradient.slab + a, exact.gradient.slab + a, 3 * in);
            const double by_b = distance(half.gradient.slab + b, exact.gradient.slab + b, 3 * out);
            if (!(by_a < 0.05 && by_b < 0.05))
                fail_msg("gradients of %s are %g and %g of their length away", lm_lora_target_name(kind),
                         by_a, by_b);
        }
    teardown(&exact);
    teardown(&half);
}

static void bf16_is_near_f32(void **state)
{
    (void)state;
    check_bf16((const char *const[]){ "all" }, 1, false, 0);
    check_bf16((const char *const[]){ "all" }, 1, true, 0);
    check_bf16((const char *const[]){ "k", "up_proj", "o" }, 3, false, 0);
    check_bf16((const char *const[]){ "down" }, 1, true, 0);
    check_bf16((const char *const[]){ "all" }, 1, true, 0.3);   // under the same masks
}

static void bf16_gradients_do_not_know_threads_nor_recomputing(void **state)
{
    (void)state;
    const struct lm_net_config ways[] = { { .bf16 = true },
                                          { .bf16 = true },
                                          { .bf16 = true, .recompute = true } };
    struct setup s[3];
    double loss[3];
    for (int i = 0; i < 3; i++) {
        lm_threads_set(i == 0 ? 1 : 2);
        setup_way(&s[i], (const char *const[]){ "all" }, 1, true, 0.2, ways[i]);
        assert_ok(lm_net_train(s[i].net, &s[i].batch, &s[i].gradient, &loss[i], NULL));
        assert_memory_equal(&loss[0], &loss[i], sizeof loss[0]);
        assert_memory_equal(s[0].gradient.slab, s[i].gradient.slab, s[0].lora.count * sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        teardown(&s[i]);
}

/* What was trained beside the model is what it becomes: in f32 to rounding, in bf16 to bf16's. */
static void the_merged_model_has_the_loss_of_base_and_adapter(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct setup s;
        const struct lm_net_config way = { .positions = POSITIONS, .bf16 = bf16 };
        setup_way(&s, (const char *const[]){ "all" }, 1, false, 0.2, way);
        float beside[ROWS * POSITIONS], merged[ROWS * POSITIONS];
        assert_ok(lm_net_measure(s.net, &s.batch, beside, NULL));
        assert_ok(lm_lora_merge(&s.lora, s.gemm, NULL));
        struct lm_net *alone = lm_net_new(&s.model, s.gemm, &way);
        lm_net_refresh(alone);
        assert_ok(lm_net_measure(alone, &s.batch, merged, NULL));
        assert_near(beside, merged, ROWS * POSITIONS, bf16 ? 0.05 : 1e-4, "losses");
        lm_net_free(alone);
        teardown(&s);
    }
}

static void an_adapter_says_nothing_at_the_start(void **state)
{
    (void)state;
    struct setup s;
    setup(&s, (const char *const[]){ "all" }, 1, false);
    float *before = lm_memdup(s.model.params, s.model.parameter_count * sizeof *before);
    lm_lora_random(&s.lora, 9);
    assert_ok(lm_lora_merge(&s.lora, s.gemm, NULL));
    assert_memory_equal(before, s.model.params, s.model.parameter_count * sizeof *before);
    assert_true(lm_lora_a(&s.lora, LM_LLAMA_WK, 1)[5] != 0 && lm_lora_b(&s.lora, LM_LLAMA_WK, 1)[5] == 0);
    free(before);
    teardown(&s);
}

/* w is base + scale b a, in plain loops. */
static void the_merged_model_is_base_and_adapter(void **state)
{
    (void)state;
    struct setup s;
    setup(&s, (const char *const[]){ "up", "v" }, 2, true);
    float *before = lm_memdup(s.model.params, s.model.parameter_count * sizeof *before);
    assert_ok(lm_lora_merge(&s.lora, s.gemm, NULL));
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t l = 0; l < lm_llama_layer_count(&tiny, kind); l++) {
            size_t rows, cols;
            lm_llama_shape(&tiny, kind, &rows, &cols);
            const float *w = lm_llama_at(&s.model, kind, l), *old = before + (w - s.model.params);
            for (size_t i = 0; i < rows * cols; i++) {
                double want = old[i];
                for (size_t r = 0; lm_lora_has(&s.lora, kind) && r < 3; r++)
                    want += 6 / sqrt(3) * (double)lm_lora_b(&s.lora, kind, l)[i / cols * 3 + r] *
                            lm_lora_a(&s.lora, kind, l)[r * cols + i % cols];
                assert_true(fabs(w[i] - want) < 1e-5);
            }
        }
    free(before);
    teardown(&s);
}

static void files_come_back(void **state)
{
    (void)state;
    struct setup s;
    struct lm_lora back;
    struct lm_llama other;
    setup(&s, (const char *const[]){ "q", "o", "gate" }, 3, true);
    assert_ok(lm_lora_save(&s.lora, "some/base", "adapter", NULL));
    lm_llama_init(&other, &tiny);
    assert_ok(lm_lora_load(&back, &other, "adapter", NULL));
    assert_int_equal(back.count, s.lora.count);
    assert_int_equal(back.config.targets, s.lora.config.targets);
    assert_true(back.scale == s.lora.scale);
    assert_memory_equal(back.params, s.lora.params, back.count * sizeof(float));
    lm_lora_release(&back);
    lm_llama_release(&other);

    struct lm_llama_config larger = tiny;   // an adapter of another model
    struct lm_err err = { 0 };
    larger.ffn_dim = 14;
    lm_llama_init(&other, &larger);
    assert_int_equal(lm_lora_load(&back, &other, "adapter", &err), LM_EFORMAT);
    assert_contains(err.text, "gate_proj");
    lm_llama_release(&other);
    larger.layers = 1;
    lm_llama_init(&other, &larger);
    assert_int_equal(lm_lora_load(&back, &other, "adapter", &err), LM_EFORMAT);
    assert_contains(err.text, "belongs to no matrix of this model");
    lm_llama_release(&other);
    teardown(&s);
}

static void what_cannot_be_computed_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *json, *message;
    } rows[] = {
        { "{\"peft_type\":\"IA3\",\"r\":4,\"lora_alpha\":8}", "peft_type" },
        { "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"use_dora\":true}", "use_dora" },
        { "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"bias\":\"all\"}", "bias" },
        { "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"rank_pattern\":{\"q_proj\":2}}",
          "rank_pattern" },
        { "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"modules_to_save\":[\"lm_head\"]}",
          "modules_to_save" },
        { "{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":8}", "r is not a rank" },
        { "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":\"8\"}", "lora_alpha" },
        { "{\"peft_type\":\"LORA\",", "line 1" },
    };
    struct lm_lora_config c;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lm_err err = { 0 };
        assert_int_equal(lm_lora_config_parse(&c, lm_str(rows[i].json), "config", &err), LM_EFORMAT);
        assert_contains(err.text, rows[i].message);
    }
    uint32_t bits;
    struct lm_err err = { 0 };
    assert_int_equal(lm_lora_targets_parse((const char *const[]){ "embed" }, 1, &bits, &err), LM_EINVAL);
    assert_contains(err.text, "'embed'");
}

/* The gradient of preferences, by central differences of the loss that is told. */
static void preferences_have_the_gradient_of_their_loss(void **state)
{
    (void)state;
    struct setup s;
    struct lm_piece pieces[6];
    const struct lm_eval_set set = { .pieces = pieces, .count = 6 };
    struct lm_dpo dpo;
    struct lm_dpo_told told;
    double worst = 0;
    setup(&s, (const char *const[]){ "all" }, 1, false);
    for (size_t i = 0; i < 6; i++)
        pieces[i] = (struct lm_piece){ s.batch.input + i, s.batch.target + i + 1, 5 + i % 3 };
    lm_dpo_init(&dpo, 0.1, &set, POSITIONS, 3, 1);
    memset(s.lora.params, 0, s.lora.count * sizeof(float));
    lm_net_refresh(s.net);
    assert_ok(lm_dpo_freeze(&dpo, s.net, NULL));
    assert_ok(lm_dpo_step(&dpo, s.net, 0, NULL, &told, NULL));
    assert_true(fabs(told.loss - log(2)) < 1e-6 && fabs(told.margin) < 1e-6);   // nothing learned yet
    fill(s.lora.params, s.lora.count, 6, 0.3f);
    lm_net_refresh(s.net);
    assert_ok(lm_dpo_step(&dpo, s.net, 0, &s.gradient, &told, NULL));
    assert_true(fabs(told.loss - log(2)) > 1e-3);
    for (size_t i = 0; i < s.lora.count; i += 7) {
        static const double weight[] = { 1 / 12.0, -2 / 3.0, 2 / 3.0, -1 / 12.0 };
        static const float place[] = { -2, -1, 1, 2 };
        const float at = s.lora.params[i], h = 0.01f;
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            s.lora.params[i] = at + place[k] * h;
            lm_net_refresh(s.net);
            assert_ok(lm_dpo_step(&dpo, s.net, 0, NULL, &told, NULL));
            sum += weight[k] * told.loss;
        }
        s.lora.params[i] = at;
        worst = fmax(worst, fabs(sum / h - s.gradient.slab[i]) / (1 + fabs(s.gradient.slab[i])));
    }
    if (worst > 5e-4)
        fail_msg("a gradient is wrong by %g", worst);
    lm_dpo_release(&dpo);
    teardown(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(bf16_is_near_f32),
        cmocka_unit_test(bf16_gradients_do_not_know_threads_nor_recomputing),
        cmocka_unit_test(the_merged_model_has_the_loss_of_base_and_adapter),
        cmocka_unit_test(an_adapter_says_nothing_at_the_start),
        cmocka_unit_test(the_merged_model_is_base_and_adapter),
        cmocka_unit_test(files_come_back),
        cmocka_unit_test(preferences_have_the_gradient_of_their_loss),
        cmocka_unit_test(what_cannot_be_computed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
