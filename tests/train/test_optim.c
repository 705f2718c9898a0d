/* The learning rate, Muon's matrices, clipping, and gradients that are not numbers. */
#include "train/optim.h"

#include "../tensor/values.h"

#include <string.h>

static const struct lm_llama_config tiny = { .vocab_size = 11,
                                             .dim = 8,
                                             .layers = 2,
                                             .heads = 2,
                                             .kv_heads = 2,
                                             .ffn_dim = 12,
                                             .context = 16,
                                             .rope_theta = 100,
                                             .norm_eps = 1e-5 };
static const struct lm_optim_config plain = { .optimizer = LM_OPTIMIZER_ADAMW,
                                              .lr = 0.1,
                                              .matrix_lr = 0.1,
                                              .beta1 = 0.9,
                                              .beta2 = 0.99,
                                              .adam_eps = 1e-8,
                                              .steps = 10 };

static void learning_rate_rises_and_falls_to_its_end(void **state)
{
    (void)state;
    const struct lm_optim_config c = { .steps = 100, .warmup_steps = 10, .lr_end_share = 0.1 };
    assert_true(fabs(lm_lr_share(&c, 0) - 0.1) < 1e-12);
    assert_true(fabs(lm_lr_share(&c, 9) - 1) < 1e-12);
    assert_true(fabs(lm_lr_share(&c, 54) - 0.55) < 1e-12);   // half way down
    assert_true(fabs(lm_lr_share(&c, 99) - 0.1) < 1e-12);
    for (uint64_t step = 10; step < 100; step++)
        assert_true(lm_lr_share(&c, step) <= lm_lr_share(&c, step - 1));
}

/* Each schedule as the line or curve it is said to be, point by point: from its corners, not by its code. */
static void every_schedule_goes_through_its_corners(void **state)
{
    (void)state;
    static const struct {
        enum lm_schedule schedule;
        uint64_t steps, warmup, decay, falls_from;   // the last step at the peak, 1-based
    } cases[] = {
        { LM_SCHEDULE_COSINE, 100, 10, 0, 10 },    { LM_SCHEDULE_COSINE, 50, 0, 7, 0 },
        { LM_SCHEDULE_WSD, 100, 10, 0, 80 },       { LM_SCHEDULE_WSD, 100, 10, 30, 70 },
        { LM_SCHEDULE_WSD, 100, 10, 200, 10 },     { LM_SCHEDULE_WSD, 7, 0, 0, 5 },
        { LM_SCHEDULE_CONSTANT, 100, 10, 5, 100 }, { LM_SCHEDULE_CONSTANT, 3, 5, 0, 3 },
    };
    const double end = 0.1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t steps = cases[i].steps, warmup = cases[i].warmup, from = cases[i].falls_from;
        const struct lm_optim_config c = { .schedule = cases[i].schedule,
                                           .steps = steps,
                                           .warmup_steps = warmup,
                                           .decay_steps = cases[i].decay,
                                           .lr_end_share = end };
        for (uint64_t n = 1; n <= steps; n++) {
            double want = 1;
            if (n <= warmup)
                want = (double)n / (double)warmup;
            else if (n > from) {
                const double x = (double)(n - from) / (double)(steps - from);
                const double half = sin(M_PI * x / 2);   // 1 - sin^2 is half of 1 + cos of the double
                want = cases[i].schedule == LM_SCHEDULE_WSD ? 1 + x * (end - 1)
                                                            : end + (1 - end) * (1 - half * half);
            }
            if (!(fabs(lm_lr_share(&c, n - 1) - want) < 1e-12))
                fail_msg("case %zu, step %llu: %.15f, not %.15f", i, (unsigned long long)n,
                         lm_lr_share(&c, n - 1), want);
        }
    }
}

/* The update of a random matrix has all singular values near 1: X X^T is near the identity. */
static void check_orthogonal(size_t rows, size_t cols, struct lm_muon *muon)
{
    float *w = lm_zalloc(rows * cols, sizeof *w), *momentum = lm_zalloc(rows * cols, sizeof *w);
    float *grad = random_values(1, rows * cols, 1);
    const float shape = sqrtf(rows > cols ? (float)rows / (float)cols : 1);
    const struct lm_muon_update u = { w,       momentum,   grad,         rows,           cols,
                                      .lr = 1, .decay = 0, .beta = 0.9f, .grad_scale = 2 };
    assert_int_equal(lm_muon_step(muon, &u, NULL), LM_OK);
    for (size_t i = 0; i < rows * cols; i++)
        assert_true(fabsf(momentum[i] - 2 * grad[i]) < 1e-6f);
    const size_t side = rows < cols ? rows : cols;
    double trace = 0, along = 0;
    for (size_t a = 0; a < side; a++)
        for (size_t b = 0; b <= a; b++) {
            double sum = 0;
            for (size_t i = 0; i < (rows < cols ? cols : rows); i++) {
                const float x = rows < cols ? w[a * cols + i] : w[i * cols + a];
                const float y = rows < cols ? w[b * cols + i] : w[i * cols + b];
                sum += (double)x * y / (shape * shape);
            }
            if (a == b)
                trace += sum;
            assert_true(fabs(sum - (a == b)) < 0.65);
        }
    for (size_t i = 0; i < rows * cols; i++)
        along -= (double)w[i] * grad[i];
    assert_true(fabs(trace / (double)side - 1) < 0.3);
    assert_true(along > 0);   // downhill
    free(w);
    free(momentum);
    free(grad);
}

static void muon_makes_updates_orthogonal(void **state)
{
    (void)state;
    struct lm_gemm *gemm;
    assert_int_equal(lm_gemm_new(&gemm, NULL), LM_OK);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct lm_muon *muon = lm_muon_new(&tiny, bf16 ? NULL : gemm);
        check_orthogonal(8, 8, muon);
        check_orthogonal(8, 12, muon);
        check_orthogonal(12, 8, muon);
        check_orthogonal(7, 12, muon);
        check_orthogonal(11, 5, muon);
        lm_muon_free(muon);
    }
    lm_gemm_free(gemm);
}

static void moved(float *w, size_t rows, size_t cols, const struct lm_llama_config *model,
                  struct lm_gemm *gemm)
{
    struct lm_muon *muon = lm_muon_new(model, gemm);
    float *momentum = lm_zalloc(rows * cols, sizeof *w), *grad = random_values(5, rows * cols, 1);
    const struct lm_muon_update u = { w,          momentum,      grad,         rows,           cols,
                                      .lr = 0.1f, .decay = 0.5f, .beta = 0.9f, .grad_scale = 1 };
    assert_int_equal(lm_muon_step(muon, &u, NULL), LM_OK);
    lm_muon_free(muon);
    free(momentum);
    free(grad);
}

/* The update in bf16 is the one in f32 but for what operands lose: 2^-9 of each, five times. */
static void muon_in_bf16_is_muon_in_f32_rounded(void **state)
{
    (void)state;
    static const size_t shapes[][2] = { { 64, 64 }, { 64, 163 }, { 163, 64 }, { 33, 70 }, { 51, 33 } };
    const struct lm_llama_config model = {
        .dim = 64, .layers = 1, .heads = 4, .kv_heads = 4, .ffn_dim = 163, .vocab_size = 16, .context = 8
    };
    struct lm_gemm *gemm;
    assert_int_equal(lm_gemm_new(&gemm, NULL), LM_OK);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const size_t rows = shapes[s][0], cols = shapes[s][1];
        float *f32 = random_values(6, rows * cols, 1), *bf16 = lm_memdup(f32, rows * cols * sizeof *f32);
        float *old = lm_memdup(f32, rows * cols * sizeof *f32);
        double apart = 0, size = 0;
        moved(f32, rows, cols, &model, gemm);
        moved(bf16, rows, cols, &model, NULL);
        for (size_t i = 0; i < rows * cols; i++) {
            apart += pow((double)bf16[i] - (double)f32[i], 2);
            size += pow((double)f32[i] - (double)old[i] * (1 - 0.1 * 0.5), 2);
        }
        if (!(apart < 0.05 * 0.05 * size))
            fail_msg("(%zu, %zu): apart by %.3f of the update", rows, cols, sqrt(apart / size));
        free(f32);
        free(bf16);
        free(old);
    }
    lm_gemm_free(gemm);
}

struct fixture {
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_gradient gradient;
    struct lm_optim optim;
};

static void setup(struct fixture *f, const struct lm_optim_config *config)
{
    lm_llama_init(&f->model, &tiny);
    lm_llama_random(&f->model, 1);
    assert_int_equal(lm_gemm_new(&f->gemm, NULL), LM_OK);
    lm_gradient_init(&f->gradient, &f->model, NULL);
    float *values = random_values(2, f->model.parameter_count, 1);
    memcpy(f->gradient.slab, values, f->model.parameter_count * sizeof *values);
    free(values);
    lm_optim_init(&f->optim, config, &f->model, NULL, f->gemm);
}

static void teardown(struct fixture *f)
{
    lm_optim_release(&f->optim);
    lm_gradient_release(&f->gradient);
    lm_gemm_free(f->gemm);
    lm_llama_release(&f->model);
}

/* A clipped gradient moves the moments as the gradient divided by its norm would. */
static void clipping_scales_to_the_limit(void **state)
{
    (void)state;
    struct fixture clipped, scaled;
    struct lm_optim_config with_clip = plain;
    double norm;
    with_clip.clip = 0.5;
    setup(&clipped, &with_clip);
    setup(&scaled, &plain);
    assert_int_equal(lm_optim_step(&clipped.optim, &clipped.gradient, 0, &norm, NULL), LM_OK);
    for (size_t i = 0; i < scaled.model.parameter_count; i++)
        scaled.gradient.slab[i] *= (float)(0.5 / norm);
    assert_int_equal(lm_optim_step(&scaled.optim, &scaled.gradient, 0, &norm, NULL), LM_OK);
    assert_true(fabs(norm - 0.5) < 1e-4);
    assert_near(clipped.optim.m, scaled.optim.m, scaled.model.parameter_count, 1e-6, "m");
    teardown(&clipped);
    teardown(&scaled);
}

static void decay_spares_vectors(void **state)
{
    (void)state;
    struct fixture f;
    struct lm_optim_config c = plain;
    double norm;
    c.weight_decay = 0.5;
    setup(&f, &c);
    memset(f.gradient.slab, 0, f.model.parameter_count * sizeof(float));
    const float before = f.model.tensor[LM_LLAMA_WQ][3];
    assert_int_equal(lm_optim_step(&f.optim, &f.gradient, 9, &norm, NULL), LM_OK);   // share 0 at the end
    assert_true(f.model.tensor[LM_LLAMA_WQ][3] == before);
    assert_int_equal(lm_optim_step(&f.optim, &f.gradient, 0, &norm, NULL), LM_OK);
    assert_true(fabsf(f.model.tensor[LM_LLAMA_WQ][3]) < fabsf(before));
    assert_true(f.model.tensor[LM_LLAMA_NORM][3] == 1);
    teardown(&f);
}

static void a_gradient_that_is_no_number_is_named_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct lm_err err = { 0 };
    double norm = -1;
    struct lm_optim_config c = plain;
    c.optimizer = LM_OPTIMIZER_MUON;
    setup(&f, &c);
    float *before = lm_memdup(f.model.params, f.model.parameter_count * sizeof(float));
    f.gradient.tensor[LM_LLAMA_W_UP][8 * 12 + 5] = NAN;   // layer 1
    assert_int_equal(lm_optim_step(&f.optim, &f.gradient, 41, &norm, &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "step 42"));
    assert_non_null(strstr(err.text, "model.layers.1.mlp.up_proj.weight"));
    assert_memory_equal(before, f.model.params, f.model.parameter_count * sizeof(float));
    assert_true(norm == -1);
    free(before);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_rate_rises_and_falls_to_its_end),
        cmocka_unit_test(every_schedule_goes_through_its_corners),
        cmocka_unit_test(muon_makes_updates_orthogonal),
        cmocka_unit_test(muon_in_bf16_is_muon_in_f32_rounded),
        cmocka_unit_test(clipping_scales_to_the_limit),
        cmocka_unit_test(decay_spares_vectors),
        cmocka_unit_test(a_gradient_that_is_no_number_is_named_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
