/* The search for settings: what is drawn, who goes on, and that a search stopped anywhere ends with the same
 * bytes.  Training is a formula here; tests/cli/test_tune.sh trains. */
#include "train/train.h"
#include "train/tune.h"

#include "base/file.h"
#include "base/sys.h"

#include "../lib/check.h"

#include <math.h>
#include <stdlib.h>

/* ---- a space of all kinds ---- */

static void add(struct lm_space *space, const char *name, const char *values, struct lm_arena *arena)
{
    struct lm_err err = { 0 };
    if (lm_space_add(space, lm_str(name), lm_str(values), "test", arena, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static struct lm_space mixed_space(struct lm_arena *arena)
{
    struct lm_space space = { .table = &lm_pretrain_options };
    add(&space, "lr", "log:1e-4..1", arena);
    add(&space, "weight-decay", "0.1..0.3", arena);
    add(&space, "layers", "2..5", arena);
    add(&space, "dim", "64..256/48", arena);
    add(&space, "ffn-dim", "log:8..4096", arena);
    add(&space, "optimizer", "adamw,muon", arena);
    add(&space, "tied", "true,false", arena);
    return space;
}

static void draws_lie_where_they_should(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    struct lm_arena arena = { 0 };
    const struct lm_space space = mixed_space(&arena);
    size_t below = 0, lower_half = 0, layers[6] = { 0 }, dims[257] = { 0 }, muon = 0, ffn_below = 0;
    assert_true(lm_space_size(&space) == UINT64_MAX);
    for (uint64_t i = 0; i < DRAWS; i++) {
        const struct lm_setting s = lm_space_draw(&space, 7, i, &arena);
        struct lm_pretrain_config c;
        lm_opt_defaults(&lm_pretrain_options, &c);
        assert_ok(lm_setting_apply(&space, &s, &c, &arena, NULL));
        assert_true(c.training.lr >= 1e-4 && c.training.lr <= 1);
        assert_true(c.training.weight_decay >= 0.1 && c.training.weight_decay <= 0.3);
        assert_true(c.layers >= 2 && c.layers <= 5);
        assert_true(c.dim >= 64 && c.dim <= 256 && (c.dim - 64) % 48 == 0);
        assert_true(c.ffn_dim >= 8 && c.ffn_dim <= 4096);
        below += c.training.lr < 1e-2;   // the middle of the logarithm
        lower_half += c.training.weight_decay < 0.2;
        layers[c.layers]++;
        dims[c.dim]++;
        ffn_below += c.ffn_dim < 181;   // sqrt(8 * 4096)
        muon += c.training.optimizer;
        /* The current values of a config are the setting it was made by. */
        const struct lm_setting back = lm_space_current(&space, &c, &arena);
        assert_true(lm_setting_same(&space, &s, &back));
    }
    const double near = 4 * sqrt(DRAWS * 0.25);   // four standard deviations
    assert_true(fabs((double)below - DRAWS / 2.0) < near);
    assert_true(fabs((double)lower_half - DRAWS / 2.0) < near);
    assert_true(fabs((double)muon - DRAWS / 2.0) < near);
    assert_true(fabs((double)ffn_below - DRAWS / 2.0) < near);
    for (size_t i = 2; i <= 5; i++)
        assert_true(fabs((double)layers[i] - DRAWS / 4.0) < near);
    for (size_t i = 64; i <= 256; i += 48)
        assert_true(fabs((double)dims[i] - DRAWS / 5.0) < near);
    lm_arena_release(&arena);
}

static void a_parameter_more_changes_no_other_value(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    const struct lm_space all = mixed_space(&arena);
    struct lm_space one = { .table = &lm_pretrain_options };
    add(&one, "lr", "log:1e-4..1", &arena);
    size_t seed_differs = 0;
    for (uint64_t i = 0; i < 50; i++) {
        const char *value = lm_space_draw(&one, 3, i, &arena).values[0];
        assert_string_equal(value, lm_space_draw(&all, 3, i, &arena).values[0]);
        seed_differs += strcmp(value, lm_space_draw(&one, 4, i, &arena).values[0]) != 0;
    }
    assert_true(seed_differs > 45);
    lm_arena_release(&arena);
}

static void a_finite_space_is_all_there(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_space space = { .table = &lm_pretrain_options };
    add(&space, "layers", "1..3", &arena);
    add(&space, "lr", "0.1..0.4/0.1", &arena);
    add(&space, "optimizer", "muon,adamw", &arena);
    assert_int_equal(lm_space_size(&space), 24);
    for (uint64_t i = 0; i < 24; i++) {
        const struct lm_setting a = lm_space_at(&space, i, &arena);
        for (uint64_t k = 0; k < i; k++) {
            const struct lm_setting b = lm_space_at(&space, k, &arena);
            assert_false(lm_setting_same(&space, &a, &b));
        }
    }
    assert_string_equal(lm_space_at(&space, 4, &arena).values[1], "0.3");   // not 0.30000000000000004
    lm_arena_release(&arena);
}

/* ---- a search over a formula ---- */

struct fake {
    size_t calls, stop_at;   // returns LM_ESTOP at that call, as a signal would; 0: never
    size_t steps_trained;
    uint64_t done[256];   // steps of each trial's "checkpoint"
};

/* Settings that are slow at first are better later, so that early rungs err; some diverge. */
static double fake_loss(const struct lm_pretrain_config *c, uint64_t step)
{
    const double x = log10(c->training.lr) + 2, t = (double)step / 81;
    return 2 + x * x * t + (double)c->layers * 0.1 * (1 - t);
}

static enum lm_rc fake_train(void *state, const void *config, struct lm_rung *rung, const char *work_dir,
                             const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct fake *f = state;
    const struct lm_pretrain_config *c = config;
    uint64_t *done = &f->done[strtol(lm_path_base(work_dir), NULL, 10)];
    (void)out_dir, (void)metrics;
    if (++f->calls == f->stop_at)
        return lm_fail(err, LM_ESTOP, "a signal");
    if (c->layers == 4)
        return lm_fail(err, LM_EFORMAT, "step 3: the loss is not finite");
    rung->steps = 81;
    rung->step = (81 * rung->part + rung->parts - 1) / rung->parts;
    assert_true(*done < rung->step);
    f->steps_trained += rung->step - *done;
    *done = rung->step;
    rung->loss = fake_loss(c, rung->step) - 0.1;
    rung->heldout_loss = fake_loss(c, rung->step);
    rung->heldout_bits_per_byte = rung->heldout_loss / 2;
    lm_buf_printf(&rung->log, "{\"step\":%llu}\n", (unsigned long long)rung->step);
    rung->reached = true;
    return lm_fail(err, LM_ESTOP, "as it was to");
}

static enum lm_rc run(const struct lm_tune_config *config, struct fake *fake, const char *work_dir,
                      struct lm_tune_result *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_space space = { .table = &lm_pretrain_options };
    struct lm_pretrain_config base;
    lm_opt_defaults(&lm_pretrain_options, &base);
    add(&space, "lr", "log:1e-5..1", &arena);
    add(&space, "layers", "1..4", &arena);
    const struct lm_tune_target target = {
        .options = &lm_pretrain_options, .base = &base, .data = "d", .train = fake_train, .state = fake
    };
    const enum lm_rc rc = lm_tune(config, &space, &target, work_dir, &arena, ret, err);
    lm_arena_release(&arena);
    return rc;
}

static struct lm_tune_config small_search(void)
{
    struct lm_tune_config c;
    lm_opt_defaults(&lm_tune_options, &c);
    c.trials = 18;
    c.rungs = 4;
    c.baseline = false;
    return c;
}

static void read_log(const char *dir, struct lm_buf *ret)
{
    LM_FREE char *path = lm_path_join(dir, "trials.jsonl");
    lm_buf_reset(ret);
    assert_ok(lm_file_read(path, 1 << 20, ret, NULL));
}

/* By the record alone: at each rung exactly those go on whose loss is among the best third of those there. */
static void the_best_third_goes_on(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_tune_config c = small_search();
    struct lm_tune_result result;
    struct lm_trial_log log;
    struct lm_buf text = { 0 };
    struct lm_err err = { 0 };
    struct fake fake = { 0 };
    if (run(&c, &fake, "third", &result, &err) != LM_OK)
        fail_msg("%s", err.text);
    read_log("third", &text);
    assert_ok(lm_trial_log_parse(lm_buf_str(&text), "t", &arena, &log, &err));
    size_t at_rung[5] = { 0 }, failed = 0;
    for (size_t i = 0; i < log.len; i++) {
        const struct lm_trial_record *r = &log.records[i];
        at_rung[r->rung]++;
        failed += r->failed;
        size_t better = 0, cohort = 0, goes_on = 0;
        for (size_t k = 0; k < log.len; k++) {
            const struct lm_trial_record *o = &log.records[k];
            cohort += o->rung == r->rung;
            better += o->rung == r->rung && !o->failed && o->heldout_loss < r->heldout_loss;
            goes_on += o->trial == r->trial && o->rung == r->rung + 1;
        }
        if (r->rung < 3)
            assert_int_equal(goes_on, !r->failed && better < (cohort / 3 ? cohort / 3 : 1));
        if (!r->failed)
            assert_int_equal(r->step, (81 + (r->rung == 0 ? 26 : 0)) / (r->rung == 0   ? 27
                                                                        : r->rung == 1 ? 9
                                                                        : r->rung == 2 ? 3
                                                                                       : 1));
    }
    assert_int_equal(at_rung[0], 18);
    assert_int_equal(at_rung[1], 6);
    assert_int_equal(at_rung[2], 2);
    assert_int_equal(at_rung[3], 1);
    assert_true(failed > 0);
    assert_int_equal(result.failed, failed);
    assert_int_equal(result.best, log.records[log.len - 1].trial);
    /* Those that went on continued: no step was trained twice. */
    assert_true(fake.steps_trained <= 18 * 3 + 6 * 6 + 2 * 18 + 54);
    lm_trial_log_release(&log);
    lm_buf_release(&text);
    lm_arena_release(&arena);
}

/* All trained to the end find the best there is; halving finds nearly that, for a fraction of the steps. */
static void halving_comes_close_to_training_all(void **state)
{
    (void)state;
    struct lm_tune_config c = small_search();
    struct lm_tune_result all, halved, hedged;
    struct lm_err err = { 0 };
    struct fake fake_all = { 0 }, fake_halved = { 0 }, fake_hedged = { 0 };
    c.trials = 81;
    assert_ok(run(&c, &fake_halved, "halved", &halved, &err));
    c.rungs = 1;
    assert_ok(run(&c, &fake_all, "all", &all, &err));
    assert_true(halved.heldout_loss >= all.heldout_loss);
    assert_true(halved.heldout_loss < all.heldout_loss + 0.1);
    assert_true(fake_halved.steps_trained * 4 < fake_all.steps_trained);
    c.trials = 27;
    c.rungs = c.brackets = 4;
    assert_ok(run(&c, &fake_hedged, "hedged", &hedged, &err));
    assert_int_equal(hedged.trials, 27 + 12 + 6 + 4);   // ceil(27 * 4 / (rungs left * 3^b))
    assert_true(hedged.heldout_loss < all.heldout_loss + 0.3);
}

static void stopped_at_any_call_it_ends_with_the_same_bytes(void **state)
{
    (void)state;
    struct lm_tune_config c = small_search();
    struct lm_tune_result whole, result;
    struct lm_buf want = { 0 }, got = { 0 };
    struct lm_err err = { 0 };
    struct fake fake = { 0 };
    c.trials = 9;
    c.rungs = 3;
    c.brackets = 2;
    assert_ok(run(&c, &fake, "whole", &whole, &err));
    read_log("whole", &want);
    const size_t calls = fake.calls;
    for (size_t stop = 1; stop <= calls; stop++) {
        LM_FREE char *dir = NULL;
        struct lm_buf name = { 0 };
        lm_buf_printf(&name, "stopped-%zu", stop);
        dir = lm_buf_take(&name);
        fake = (struct fake){ .stop_at = stop };
        assert_int_equal(run(&c, &fake, dir, &result, &err), LM_ESTOP);
        assert_contains(err.text, "the same command goes on");
        fake.stop_at = 0;
        assert_ok(run(&c, &fake, dir, &result, &err));
        read_log(dir, &got);
        assert_true(lm_str_eq(lm_buf_str(&got), lm_buf_str(&want)));
        assert_int_equal(result.best, whole.best);
        assert_int_equal(fake.calls, calls + 1);   // nothing was done twice
    }
    lm_buf_release(&want);
    lm_buf_release(&got);
}

static void a_changed_record_is_noticed(void **state)
{
    (void)state;
    struct lm_tune_config c = small_search();
    struct lm_tune_result result;
    struct lm_buf text = { 0 };
    struct lm_err err = { 0 };
    struct fake fake = { 0 };
    assert_ok(run(&c, &fake, "changed", &result, &err));
    read_log("changed", &text);
    const struct lm_str whole = lm_buf_str(&text);
    const ptrdiff_t second = lm_str_find(whole, LM_STR("{\"trial\":1,"));
    struct lm_buf other = { 0 };
    lm_buf_add(&other, whole.ptr, (size_t)second);
    lm_buf_add_str(&other, (struct lm_str){ whole.ptr + second, whole.len - (size_t)second });
    other.ptr[second + 9] = '2';   // trial 1 says it is trial 2
    assert_ok(lm_file_write("changed/trials.jsonl", lm_buf_str(&other), &err));
    assert_int_equal(run(&c, &fake, "changed", &result, &err), LM_EFORMAT);
    assert_contains(err.text, "line 3 is of trial 2");
    assert_ok(lm_file_write("changed/trials.jsonl", (struct lm_str){ whole.ptr, whole.len - 5 }, &err));
    assert_int_equal(run(&c, &fake, "changed", &result, &err), LM_EFORMAT);
    c.eta = 2;
    assert_ok(lm_file_write("changed/trials.jsonl", whole, &err));
    assert_int_equal(run(&c, &fake, "changed", &result, &err), LM_EINVAL);
    assert_contains(err.text, "other settings");
    lm_buf_release(&other);
    lm_buf_release(&text);
}

static int clear(void **state)
{
    (void)state;
    struct lm_file_list old = { 0 };
    assert_ok(lm_file_walk(".", &old, NULL));   // of an earlier run of this test
    for (size_t i = 0; i < old.len; i++)
        assert_ok(lm_path_remove(old.items[i].path, NULL));
    lm_file_list_release(&old);
    lm_progress_quiet(true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_lie_where_they_should),
        cmocka_unit_test(a_parameter_more_changes_no_other_value),
        cmocka_unit_test(a_finite_space_is_all_there),
        cmocka_unit_test(the_best_third_goes_on),
        cmocka_unit_test(halving_comes_close_to_training_all),
        cmocka_unit_test(stopped_at_any_call_it_ends_with_the_same_bytes),
        cmocka_unit_test(a_changed_record_is_noticed),
    };
    return cmocka_run_group_tests(tests, clear, NULL) != 0;
}
