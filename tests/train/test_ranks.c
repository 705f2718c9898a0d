/* Ranks that share a run: the order of sums, who owns what, whole runs with the bytes of one rank; failures
 * of one are failures of all. */
#include "train/batch_parts.h"
#include "train/optim.h"
#include "train/ranks.h"

#include "runs.h"
#include "thread_ranks.h"

#include <signal.h>

/* ---- the order of sums ---- */

/* The rule, as dumb as possible. */
static float sum_of(const float *x, size_t count)
{
    float sums[64];
    memcpy(sums, x, count * sizeof *x);
    while (count % 2 == 0) {
        count /= 2;
        for (size_t i = 0; i < count; i++)
            sums[i] = sums[2 * i] + sums[2 * i + 1];
    }
    for (size_t i = 1; i < count; i++)
        sums[0] += sums[i];
    return sums[0];
}

static void operands_are_added_by_the_rule_wherever_the_sum_is_wanted(void **state)
{
    (void)state;
    enum { MOST = 24, N = 37 };
    static float values[MOST][N], scratch[MOST][N];
    struct lm_rng rng = lm_rng_make(3, 1);
    for (int i = 0; i < MOST; i++)
        for (int k = 0; k < N; k++)
            values[i][k] = (float)(lm_rng_unit(&rng) - 0.5);
    for (int count = 1; count <= MOST; count++)
        for (int into = 0; into < count; into++) {
            float *x[MOST];
            memcpy(scratch, values, sizeof values);
            for (int i = 0; i < count; i++)
                x[i] = scratch[i];
            lm_ranks_add(x, count, into, N);
            for (int k = 0; k < N; k++) {
                float column[MOST];
                for (int i = 0; i < count; i++)
                    column[i] = values[i][k];
                assert_memory_equal(&scratch[into][k], (float[]){ sum_of(column, (size_t)count) },
                                    sizeof(float));
            }
        }
}

/* Ranks that divide the parts by a power of two, and only those. */
static void ranks_share_parts_evenly_or_are_refused(void **state)
{
    (void)state;
    for (size_t parts = 1; parts <= 24; parts++)
        for (int ranks = 1; ranks <= 24; ranks++) {
            bool fits = ranks == 1;
            for (size_t own = 1; own <= parts; own *= 2)
                fits = fits || own * (size_t)ranks == parts;
            assert_int_equal(lm_batch_parts_check(parts, 24, "rows", ranks, NULL), fits ? LM_OK : LM_ELIMIT);
        }
    assert_int_equal(lm_batch_parts_check(5, 4, "rows", 1, NULL), LM_EINVAL);
    assert_int_equal(lm_batch_parts_count(0, 8, 256), 1);    // one micro-batch
    assert_int_equal(lm_batch_parts_count(0, 16, 256), 2);   // two, and no more without being told
    assert_int_equal(lm_batch_parts_count(0, 64, 256), 2);
    assert_int_equal(lm_batch_parts_count(7, 64, 256), 7);
}

/* ---- who owns what ---- */

static const struct lm_llama_config shape = { .vocab_size = 1100,
                                              .dim = 96,
                                              .layers = 3,
                                              .heads = 2,
                                              .kv_heads = 1,
                                              .ffn_dim = 200,
                                              .context = 8,
                                              .rope_theta = 1e4,
                                              .norm_eps = 1e-5 };

static void every_float_has_one_owner_and_its_unit(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++)
        for (int muon = 0; muon < 2; muon++) {
            struct lm_llama_config config = shape;
            struct lm_llama model;
            size_t units = 0;
            config.tied = tied;
            lm_llama_init(&model, &config);
            char *seen = lm_zalloc(model.parameter_count, 1);
            for (int count = 1; count <= 7; count++) {
                size_t own = 0, most = 0;
                memset(seen, 0, model.parameter_count);
                for (int rank = 0; rank < count; rank++) {
                    struct lm_ranks ranks = { .rank = rank, .count = count };
                    struct lm_slices s;
                    lm_slices_init(&s, &model, NULL, muon ? lm_muon_handles : NULL, &ranks);
                    assert_true(count == 1 || s.units == units);
                    units = s.units;
                    most = s.own_floats > most ? s.own_floats : most;
                    own += s.own_floats;
                    for (size_t i = 0; i < s.count; i++) {
                        const struct lm_slice *slice = &s.items[i];
                        const size_t within =
                            (slice->at - (size_t)(model.tensor[slice->kind] - model.params)) %
                            (slice->rows * slice->cols);
                        assert_int_equal(within % LM_SLICE_UNIT, 0);
                        assert_true(!muon || !lm_muon_handles(slice->kind) ||
                                    slice->count == slice->rows * slice->cols);
                        assert_true(i == 0 || s.items[i - 1].ready <= slice->ready);
                        for (size_t k = 0; slice->owner == rank && k < slice->count; k++)
                            assert_int_equal(seen[slice->at + k]++, 0);
                    }
                    lm_slices_release(&s);
                }
                assert_int_equal(own, model.parameter_count);
                for (size_t i = 0; i < model.parameter_count; i++)
                    assert_int_equal(seen[i], 1);
                assert_true(most * (size_t)count < 2 * model.parameter_count);   // nobody has twice his share
            }
            free(seen);
            lm_llama_release(&model);
        }
}

/* ---- updates ---- */

enum { PARTS = 4, STEPS = 3 };
struct updates {
    enum lm_optimizer optimizer;
    float *params[THREAD_RANKS_MAX], *m;
    double norm;
};

/* Parts of a made-up gradient, the same for any number of ranks. */
static void made_up(float *ret, size_t count, uint64_t step, uint64_t part)
{
    struct lm_rng rng = lm_rng_make(step, part);
    for (size_t i = 0; i < count; i++)
        ret[i] = (float)(lm_rng_unit(&rng) - 0.5);
}

static void update_steps(struct thread_job *job)
{
    struct updates *u = job->given;
    struct lm_ranks *r = &job->ranks;
    const struct lm_optim_config config = { .optimizer = u->optimizer,
                                            .lr = 0.01,
                                            .matrix_lr = 0.02,
                                            .weight_decay = 0.1,
                                            .beta1 = 0.9,
                                            .beta2 = 0.95,
                                            .adam_eps = 1e-8,
                                            .clip = 1,
                                            .steps = STEPS };
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_optim optim;
    struct lm_gradient own, part;
    const size_t share = PARTS / (size_t)r->count;
    if (lm_gemm_new(&gemm, &job->err) != LM_OK)
        return;
    lm_llama_init(&model, &shape);
    lm_llama_random(&model, 1);
    lm_optim_init_shared(&optim, &config, &model, NULL, gemm, r);
    lm_gradient_init(&own, &model, NULL);
    lm_gradient_init(&part, &model, NULL);
    for (uint64_t step = 0; step < STEPS && job->rc == LM_OK; step++) {
        float *parts[PARTS];
        for (size_t i = 0; i < share; i++) {
            parts[i] = lm_slab_alloc(own.count * sizeof(float));
            made_up(parts[i], own.count, step, (uint64_t)r->rank * share + i);
        }
        lm_ranks_add(parts, (int)share, 0, own.count);
        memcpy(own.slab, parts[0], own.count * sizeof(float));
        double norm = 0;
        job->rc = lm_optim_step(&optim, &own, step, &norm, &job->err);
        if (r->rank == 0)
            u->norm = norm;
        /* The pointers have changed places. */
        for (size_t i = 0; i < share; i++)
            free(parts[i]);
    }
    u->params[r->rank] = lm_memdup(model.params, model.parameter_count * sizeof(float));
    if (job->rc == LM_OK)
        job->rc = lm_slices_gather(&optim.slices, optim.m, &job->err);
    if (r->rank == 0)
        u->m = lm_memdup(optim.m, model.parameter_count * sizeof(float));
    lm_gradient_release(&own);
    lm_gradient_release(&part);
    lm_optim_release(&optim);
    lm_llama_release(&model);
    lm_gemm_free(gemm);
}

static void updates_of_several_ranks_are_those_of_one(void **state)
{
    (void)state;
    static struct thread_job jobs[THREAD_RANKS_MAX];
    for (int optimizer = LM_OPTIMIZER_ADAMW; optimizer <= LM_OPTIMIZER_MUON; optimizer++) {
        struct updates one = { .optimizer = optimizer };
        assert_true(run_ranks(1, update_steps, &one, jobs));
        const size_t bytes = lm_llama_parameter_count(&shape) * sizeof(float);
        for (int count = 2; count <= PARTS; count *= 2) {
            struct updates u = { .optimizer = optimizer };
            assert_true(run_ranks(count, update_steps, &u, jobs));
            for (int i = 0; i < count; i++) {
                must(jobs[i].rc, &jobs[i].err);
                assert_memory_equal(u.params[i], one.params[0], bytes);
                free(u.params[i]);
            }
            assert_memory_equal(u.m, one.m, bytes);
            assert_true(u.norm == one.norm && u.norm > 1);
            free(u.m);
        }
        free(one.params[0]);
        free(one.m);
    }
}

/* ---- whole runs ---- */

struct shared_run {
    const struct lm_pretrain_config *config;
    const char *work, *out;
};

static void train_rank(struct thread_job *job)
{
    const struct shared_run *run = job->given;
    struct lm_pretrain_config c = *run->config;
    struct lm_buf metrics = { 0 };
    c.training.ranks = &job->ranks;
    const bool first = job->ranks.rank == 0;
    job->rc = lm_pretrain(&c, "tokens", "tokens", first ? run->work : NULL, first ? run->out : NULL, &metrics,
                          &job->err);
    lm_buf_release(&metrics);
}

static struct lm_pretrain_config shared_config(void)
{
    struct lm_pretrain_config c = small_config();
    c.training.batch_tokens = 512;   // 16 rows
    c.training.batch_parts = 4;
    c.steps = 12;
    return c;
}

static void must_train(const struct lm_pretrain_config *c, int count, const char *work, const char *out)
{
    static struct thread_job jobs[THREAD_RANKS_MAX];
    struct shared_run run = { c, work, out };
    const bool clean = run_ranks(count, train_rank, &run, jobs);
    for (int i = 0; i < count; i++)
        must(jobs[i].rc, &jobs[i].err);
    assert_true(clean);
}

/* Every row changes one thing. */
static void adamw(struct lm_pretrain_config *c)
{
    c->training.optimizer = LM_OPTIMIZER_ADAMW;
}
static void f32(struct lm_pretrain_config *c)
{
    c->training.precision = 1;
}
static void untied(struct lm_pretrain_config *c)
{
    c->tied = false;
}
static void dropout(struct lm_pretrain_config *c)
{
    c->training.dropout = 0.2;
}
static void recompute(struct lm_pretrain_config *c)
{
    c->training.loop.recompute = true;
}
static void jumpy(struct lm_pretrain_config *c)
{
    c->steps = 60;
    c->training.batch_tokens = 128;
    c->training.lr = 1e-5;
    c->training.matrix_lr = 1e-5;
    c->training.loop.spike_deviations = 0.06;   // of losses that hardly move
    c->training.loop.spike_back = 10;
    c->training.loop.rollbacks_max = 16;
}
static void patient(struct lm_pretrain_config *c)
{
    c->steps = 60;
    c->training.lr = 0.1;
    c->training.eval_every = 1;
    c->training.loop.patience = 1;
}
static void eight_parts(struct lm_pretrain_config *c)
{
    c->training.batch_parts = 8;
}
static const struct {
    const char *name;
    void (*change)(struct lm_pretrain_config *c);
} run_kinds[] = { { "adamw", adamw },         { "f32", f32 },
                  { "untied", untied },       { "dropout", dropout },
                  { "recompute", recompute }, { "jumpy", jumpy },
                  { "patient", patient },     { "eight", eight_parts } };

static void runs_of_several_ranks_are_those_of_one(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof run_kinds / sizeof run_kinds[0]; k++) {
        struct lm_pretrain_config c = shared_config();
        char work[64], out[2][64];
        run_kinds[k].change(&c);
        for (int count = 1; count <= 4; count *= k > 0 ? 4 : 2) {
            snprintf(work, sizeof work, "work.%s%d", run_kinds[k].name, count);
            snprintf(out[count > 1], sizeof out[0], "out.%s%d", run_kinds[k].name, count);
            must_train(&c, count, work, out[count > 1]);
            if (count > 1)
                assert_same_run(out[0], out[1]);
        }
    }
    struct lm_buf log = { 0 };
    assert_int_equal(lm_file_read("out.jumpy1/metrics.jsonl", 1 << 20, &log, NULL), LM_OK);
    assert_non_null(strstr(log.ptr, "rolled_back_from"));
    lm_buf_reset(&log);
    assert_int_equal(lm_file_read("out.patient1/metrics.jsonl", 1 << 20, &log, NULL), LM_OK);
    assert_non_null(strstr(log.ptr, "\"stopped_early\":true"));
    lm_buf_release(&log);
}

/* One rank is asked to stop: all do, after the same step; another number of ranks goes on. */
static void a_stopped_run_goes_on_at_another_number_of_ranks(void **state)
{
    (void)state;
    static struct thread_job jobs[THREAD_RANKS_MAX];
    const int counts[] = { 2, 4, 1, 2 };
    struct lm_pretrain_config c = shared_config();
    char name[128];
    c.training.checkpoint_every = 0;
    must_train(&c, 1, "work.unstopped", "out.unstopped");
    for (int i = 0; i < 3; i++) {
        struct shared_run run = { &c, "work.stopped", "out.stopped" };
        lm_stop_request(SIGTERM);
        assert_true(run_ranks(counts[i], train_rank, &run, jobs));
        lm_stop_request(0);
        int speakers = 0;
        for (int k = 0; k < counts[i]; k++) {
            assert_int_equal(jobs[k].rc, LM_ESTOP);
            speakers += jobs[k].err.text[0] != '\0';
        }
        assert_int_equal(speakers, 1);
        newest("work.stopped", name);
        snprintf(name, sizeof name, "after step %d of", i + 1 > 2 ? 2 : i + 1);
        assert_non_null(strstr(jobs[0].err.text, name));
    }
    must_train(&c, counts[3], "work.stopped", "out.stopped");
    assert_same_run("out.unstopped", "out.stopped");
}

/* ---- failures ---- */

static void fail_third(struct thread_job *job)
{
    if (job->ranks.rank == 2)
        job->rc = lm_fail(&job->err, LM_ENOENT, "a file is not here");
    else
        job->rc = lm_ranks_agree(&job->ranks, LM_OK, &job->err);
}

static void what_one_rank_cannot_do_ends_all(void **state)
{
    (void)state;
    struct thread_job jobs[THREAD_RANKS_MAX];
    assert_true(run_ranks(4, fail_third, NULL, jobs));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(jobs[i].rc, LM_ENOENT);
        assert_string_equal(jobs[i].err.text, i == 2 ? "rank 2: a file is not here" : "");
    }
}

static void differ(struct thread_job *job)
{
    job->rc = lm_ranks_same(&job->ranks, "the recipe", job->ranks.rank == 1 ? "b" : "a", &job->err);
}

static void ranks_that_differ_are_named(void **state)
{
    (void)state;
    struct thread_job jobs[THREAD_RANKS_MAX];
    assert_true(run_ranks(3, differ, NULL, jobs));
    for (int i = 0; i < 3; i++)
        assert_int_equal(jobs[i].rc, LM_EINVAL);
    assert_non_null(strstr(jobs[1].err.text, "rank 1: the recipe is not that of rank 0"));
}

static void a_refusal_is_said_once(void **state)
{
    (void)state;
    static struct thread_job jobs[THREAD_RANKS_MAX];
    struct lm_pretrain_config c = shared_config();
    c.training.batch_parts = 3;
    struct shared_run run = { &c, "work.refused", "out.refused" };
    assert_true(run_ranks(2, train_rank, &run, jobs));
    assert_int_equal(jobs[0].rc, LM_ELIMIT);
    assert_int_equal(jobs[1].rc, LM_ELIMIT);
    assert_non_null(strstr(jobs[0].err.text, "2 ranks cannot share a batch of 3 parts"));
    assert_string_equal(jobs[1].err.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_added_by_the_rule_wherever_the_sum_is_wanted),
        cmocka_unit_test(ranks_share_parts_evenly_or_are_refused),
        cmocka_unit_test(every_float_has_one_owner_and_its_unit),
        cmocka_unit_test(updates_of_several_ranks_are_those_of_one),
        cmocka_unit_test(runs_of_several_ranks_are_those_of_one),
        cmocka_unit_test(a_stopped_run_goes_on_at_another_number_of_ranks),
        cmocka_unit_test(what_one_rank_cannot_do_ends_all),
        cmocka_unit_test(ranks_that_differ_are_named),
        cmocka_unit_test(a_refusal_is_said_once),
    };
    return cmocka_run_group_tests(tests, make_data, NULL) != 0;
}
