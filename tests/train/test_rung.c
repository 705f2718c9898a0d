/* A run that stops at a rung and goes on ends with the bytes of one that never stopped; trackers see every
 * line of the log. */
#include "train/train.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "small.h"

static struct lm_pretrain_config small_config(void)
{
    struct lm_pretrain_config c;
    lm_opt_defaults(&lm_pretrain_options, &c);
    c.dim = 24;
    c.layers = 1;
    c.heads = 2;
    c.kv_heads = 1;
    c.ffn_dim = 40;
    c.context = 32;
    c.steps = 20;
    c.training.batch_tokens = 128;
    c.training.warmup_steps = 4;
    c.training.eval_every = 8;
    c.training.checkpoint_every = 7;
    return c;
}

static enum lm_rc pretrain(const struct lm_pretrain_config *c, const char *work, const char *out,
                           struct lm_err *err)
{
    struct lm_buf metrics = { 0 };
    const enum lm_rc rc = lm_pretrain(c, "tokens", "tokens", work, out, &metrics, err);
    lm_buf_release(&metrics);
    return rc;
}

static void read_file(const char *dir, const char *name, struct lm_buf *ret)
{
    LM_FREE char *path = lm_path_join(dir, name);
    lm_buf_reset(ret);
    assert_int_equal(lm_file_read(path, 1 << 24, ret, NULL), LM_OK);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    struct lm_buf x = { 0 }, y = { 0 };
    read_file(a, name, &x);
    read_file(b, name, &y);
    assert_true(lm_str_eq(lm_buf_str(&x), lm_buf_str(&y)));
    lm_buf_release(&x);
    lm_buf_release(&y);
}

/* Takes what is new in each log, by its length alone, as a tracker that remembers how far it came. */
struct listener {
    struct lm_buf taken;
    char recipe[LM_SHA256_HEX];
    uint64_t steps, begun;
};

static void listen_begin(void *state, const struct lm_track_run *run)
{
    struct listener *l = state;
    l->begun++;
    l->steps = run->steps;
    assert_string_equal(run->what, "pretrain");
    memcpy(l->recipe, run->recipe, sizeof l->recipe);
}

static void listen_lines(void *state, struct lm_str log, const struct lm_track_speed *speed)
{
    struct listener *l = state;
    const size_t same = log.len < l->taken.len ? log.len : l->taken.len;
    assert_true(same == 0 || memcmp(log.ptr, l->taken.ptr, same) == 0);
    assert_true(speed->tokens_per_second >= 0);
    if (log.len > l->taken.len)
        lm_buf_add(&l->taken, log.ptr + l->taken.len, log.len - l->taken.len);
}

static void rungs_leave_no_trace(void **state)
{
    (void)state;
    static const struct {
        uint64_t part, step;
    } stops[] = { { 1, 3 }, { 3, 7 }, { 4, 9 }, { 9, 20 } };   // ceil(20 part / 9); 7: just saved
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    struct lm_buf log = { 0 };
    struct listener listener = { 0 };
    const struct lm_track track = { &listener, listen_begin, listen_lines };
    assert_int_equal(pretrain(&c, "work.whole", "out.whole", &err), LM_OK);
    c.training.track = &track;
    double last = 0;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        struct lm_rung rung = { .part = stops[i].part, .parts = 9 };
        c.training.rung = &rung;
        assert_int_equal(pretrain(&c, "work.rungs", "out.rungs", &err), LM_ESTOP);
        assert_true(rung.reached);
        assert_int_equal(rung.step, stops[i].step);
        assert_int_equal(rung.steps, 20);
        assert_true(rung.heldout_loss > 0 && rung.heldout_loss < 6);
        assert_false(lm_path_exists("out.rungs/model.safetensors"));
        last = rung.heldout_loss;
        lm_buf_release(&rung.log);
    }
    c.training.rung = NULL;
    assert_int_equal(pretrain(&c, "work.rungs", "out.rungs", &err), LM_OK);
    assert_same_file("out.whole", "out.rungs", "model.safetensors");
    assert_same_file("out.whole", "out.rungs", "metrics.jsonl");

    /* The measurement at the last rung is the run's own. */
    read_file("out.whole", "metrics.jsonl", &log);
    struct lm_buf want = { 0 };
    lm_json_key_num(&want, "heldout_loss", last);
    assert_true(lm_str_find(lm_buf_str(&log), lm_buf_str(&want)) > 0);
    lm_buf_release(&want);

    /* And the tracker has the log, each line once. */
    assert_true(lm_str_eq(lm_buf_str(&log), lm_buf_str(&listener.taken)));
    assert_int_equal(listener.begun, 5);
    assert_int_equal(listener.steps, 20);
    lm_buf_release(&listener.taken);
    lm_buf_release(&log);
}

/* A run that runs out of patience is measured there, by the weights that it would write. */
static void early_stopping_ends_a_rung(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_rung rung = { .part = 1, .parts = 1 };
    struct lm_err err = { 0 };
    c.training.eval_every = 1;
    c.training.loop.patience = 2;
    c.training.lr = c.training.matrix_lr = 0.5;   // it soon gets worse
    c.training.rung = &rung;
    assert_int_equal(pretrain(&c, "work.early", "out.early", &err), LM_ESTOP);
    assert_true(rung.reached);
    assert_true(rung.step < 20);
    double best = INFINITY;
    struct lm_str rest = lm_buf_str(&rung.log), line;
    while (lm_str_split(&rest, '\n', &line)) {
        const ptrdiff_t at = lm_str_find(line, LM_STR("\"heldout_loss\":"));
        if (at >= 0)
            best = fmin(best, strtod(line.ptr + at + 15, NULL));
    }
    assert_true(rung.heldout_loss == best);
    lm_buf_release(&rung.log);
    c.training.rung = NULL;
    assert_int_equal(pretrain(&c, "work.early", "out.early", &err), LM_OK);
}

static void without_held_out_text_there_is_nothing_to_compare(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_rung rung = { .part = 1, .parts = 2 };
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    c.training.rung = &rung;
    assert_int_equal(lm_pretrain(&c, "bare", "tokens", "work.bare", "out.bare", &metrics, &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "nothing is held out"));
    assert_false(rung.reached);
}

static int make_data(void **state)
{
    (void)state;
    struct lm_file_list old = { 0 };
    assert_int_equal(lm_file_walk(".", &old, NULL), LM_OK);   // of an earlier run of this test
    for (size_t i = 0; i < old.len; i++)
        assert_int_equal(lm_path_remove(old.items[i].path, NULL), LM_OK);
    lm_file_list_release(&old);
    struct lm_tokenizer *t = small_tokenizer("tokens");
    assert_int_equal(lm_dir_make("bare", NULL), LM_OK);
    small_shard("tokens/train.tokens", t, 0, 50);
    small_shard("tokens/heldout.tokens", t, 50, 10);
    small_shard("bare/train.tokens", t, 0, 50);
    lm_tokenizer_free(t);
    lm_progress_quiet(true);
    lm_threads_set(1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rungs_leave_no_trace),
        cmocka_unit_test(early_stopping_ends_a_rung),
        cmocka_unit_test(without_held_out_text_there_is_nothing_to_compare),
    };
    return cmocka_run_group_tests(tests, make_data, NULL) != 0;
}
