/* Early stopping writes the best weights; a jump of the loss sends a run back, the same way after any stop.
 */
#include "runs.h"

#include "base/json.h"

enum { LINES_MAX = 1000 };

/* One line of metrics.jsonl; NAN for what it has not. */
struct line {
    double step, loss, heldout_loss, rolled_back_from, spike, batches_skipped, best_step;
    bool stopped_early;
};

static double number(struct lm_str line, const char *key)
{
    LM_FREE char *quoted = NULL;
    assert_true(asprintf(&quoted, "\"%s\":", key) > 0);
    const ptrdiff_t at = lm_str_find(line, lm_str(quoted));
    return at < 0 ? (double)NAN : strtod(line.ptr + at + strlen(quoted), NULL);
}

static size_t read_log(const char *out, struct line *ret)
{
    struct lm_buf text = { 0 };
    char *path = lm_path_join(out, "metrics.jsonl");
    assert_int_equal(lm_file_read(path, 1 << 20, &text, NULL), LM_OK);
    free(path);
    struct lm_str rest = lm_buf_str(&text), line;
    size_t count = 0;
    while (lm_str_split(&rest, '\n', &line) && line.len > 0) {
        assert_true(count < LINES_MAX);
        ret[count++] = (struct line){
            number(line, "step"),         number(line, "loss"),
            number(line, "heldout_loss"), number(line, "rolled_back_from"),
            number(line, "spike"),        number(line, "batches_skipped"),
            number(line, "best_step"),    lm_str_find(line, LM_STR("\"stopped_early\":true")) > 0,
        };
    }
    lm_buf_release(&text);
    return count;
}

/* Learns a few documents by heart, so that others become worse. */
static struct lm_pretrain_config learner_by_heart(void)
{
    struct lm_pretrain_config c = small_config();
    c.steps = 400;
    c.training.warmup_steps = 5;
    c.training.matrix_lr = 0.05;
    c.training.weight_decay = 0;
    c.training.eval_every = 10;
    c.training.checkpoint_every = 25;
    c.training.loop.schedule = 2;   // constant: a shorter run has the same beginning
    c.training.loop.patience = 3;
    return c;
}

static enum lm_rc train_on(const char *tokens, const struct lm_pretrain_config *c, const char *work,
                           const char *out, struct lm_err *err)
{
    struct lm_buf metrics = { 0 };
    const enum lm_rc rc = lm_pretrain(c, tokens, "tokens", work, out, &metrics, err);
    lm_buf_release(&metrics);
    return rc;
}

/* The oracle is a run of as many steps as the best evaluation had, without patience. */
static void the_best_weights_are_written(void **state)
{
    (void)state;
    static struct line lines[LINES_MAX];
    struct lm_pretrain_config c = learner_by_heart();
    struct lm_err err = { 0 };
    must(train_on("few", &c, "work.patient", "out.patient", &err), &err);
    const size_t count = read_log("out.patient", lines);
    double best = INFINITY, best_step = 0;
    size_t worse = 0;
    for (size_t i = 0; i + 1 < count; i++)
        if (lines[i].heldout_loss < best) {
            best = lines[i].heldout_loss;
            best_step = lines[i].step;
            worse = 0;
        } else if (!isnan(lines[i].heldout_loss)) {
            worse++;
        }
    assert_int_equal(worse, 3);
    assert_true(lines[count - 1].stopped_early);
    assert_true(lines[count - 1].best_step == best_step);
    assert_true(lines[count - 1].step == best_step + 30 && lines[count - 1].step < 400);

    c.steps = (int64_t)best_step;
    c.training.loop.patience = 0;
    must(train_on("few", &c, "work.short", "out.short", &err), &err);
    assert_same_file("out.patient", "out.short", "model.safetensors");
}

static void stopping_early_survives_a_loss_of_checkpoints(void **state)
{
    (void)state;
    const struct lm_pretrain_config c = learner_by_heart();
    struct lm_err err = { 0 };
    struct lm_file_list files = { 0 };
    must(train_on("few", &c, "work.patient", "out.patient2", &err), &err);   // from its last checkpoint
    assert_same_run("out.patient", "out.patient2");
    assert_int_equal(lm_file_walk("work.patient", &files, NULL), LM_OK);
    assert_int_equal(files.len, 5);   // two checkpoints, the best weights
    for (size_t i = 2; i < 4; i++)
        assert_int_equal(lm_path_remove(files.items[i].path, NULL), LM_OK);
    must(train_on("few", &c, "work.patient", "out.patient3", &err), &err);
    assert_same_run("out.patient", "out.patient3");

    char *best = lm_arena_strdup(&files.arena, files.items[4].path);
    assert_non_null(strstr(best, "-best-"));
    assert_int_equal(lm_file_write(best, LM_STR("damaged"), &err), LM_OK);
    assert_int_equal(train_on("few", &c, "work.patient", "out.patient4", &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "best weights"));
    lm_file_list_release(&files);
}

static struct lm_pretrain_config watched(void)
{
    struct lm_pretrain_config c = small_config();
    c.steps = 160;
    c.training.batch_tokens = 32;
    c.training.eval_every = 40;
    c.training.checkpoint_every = 50;
    c.training.loop.spike_deviations = 2;
    c.training.loop.spike_back = 30;
    c.training.loop.rollbacks_max = 16;
    return c;
}

/* The statistics again, from the log alone: means and variances as weighted sums over all losses so far. */
static bool jumps(const double *losses, size_t count, double loss)
{
    double weight = 0, mean = 0, variance = 0;
    static double shares[LINES_MAX];
    for (size_t i = 0; i < count; i++) {
        const double share = 1.0 / (double)(i < 50 ? i + 1 : 50);
        for (size_t k = 0; k < i; k++)
            shares[k] *= 1 - share;
        shares[i] = share;
    }
    for (size_t i = 0; i < count; i++) {
        weight += shares[i];
        mean += shares[i] * losses[i];
    }
    assert_true(fabs(weight - 1) < 1e-9);
    for (size_t i = 0; i < count; i++)
        variance += shares[i] * (losses[i] - mean) * (losses[i] - mean);
    return count >= 20 && loss > mean + 2 * fmax(sqrt(variance), 0.01 * mean);
}

/* Follows the log: every step is the next one, every jump is one by its numbers and leads back to the anchor
 * before it, and no loss that was kept is one. */
static size_t check_log(const char *out)
{
    static struct line lines[LINES_MAX];
    static double losses[LINES_MAX];
    const size_t count = read_log(out, lines);
    size_t step = 0, rollbacks = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(lines[i].rolled_back_from)) {
            assert_true(lines[i].rolled_back_from == (double)(step + 1));
            assert_true(jumps(losses, step, lines[i].spike));
            assert_true(lines[i].step == (double)(step / 30 * 30));
            assert_true(lines[i].batches_skipped == (double)(step % 30 + 1));
            step = step / 30 * 30;
            rollbacks++;
        } else if (!isnan(lines[i].loss)) {
            assert_true(lines[i].step == (double)(step + 1));
            assert_false(step >= 30 && jumps(losses, step, lines[i].loss));
            losses[step++] = lines[i].loss;
        }
    }
    assert_int_equal(step, 160);
    return rollbacks;
}

static void a_jump_of_the_loss_sends_the_run_back(void **state)
{
    (void)state;
    const struct lm_pretrain_config c = watched();
    struct lm_err err = { 0 };
    must(train_on("poisoned", &c, "work.watched", "out.watched", &err), &err);
    assert_true(check_log("out.watched") >= 2);

    struct lm_pretrain_config strict = c;
    strict.training.loop.rollbacks_max = 1;
    assert_int_equal(train_on("poisoned", &strict, "work.strict", "out.strict", &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "rollbacks-max"));
    char name[128];
    newest("work.strict", name);
    assert_true(strlen(name) > 0);
}

/* Stopped at every few steps by a limit on their number: a rung, which leaves checkpoints off the anchors. */
static void a_run_that_goes_back_takes_the_same_way_after_any_stop(void **state)
{
    (void)state;
    struct lm_pretrain_config c = watched();
    struct lm_err err = { 0 };
    for (uint64_t part = 1; part <= 4; part++) {
        struct lm_rung rung = { .part = part, .parts = 5 };
        c.training.rung = &rung;
        assert_int_equal(train_on("poisoned", &c, "work.stopped", "out.stopped", &err), LM_ESTOP);
        lm_buf_release(&rung.log);
    }
    c.training.rung = NULL;
    must(train_on("poisoned", &c, "work.stopped", "out.stopped", &err), &err);
    assert_same_run("out.watched", "out.stopped");

    struct lm_rung rung = { .part = 3, .parts = 5 };   // behind the first jump
    struct lm_buf whole = { 0 };
    c.training.rung = &rung;
    lm_threads_set(2);
    assert_int_equal(train_on("poisoned", &c, "work.two", "out.two", &err), LM_ESTOP);
    lm_threads_set(1);
    assert_int_equal(lm_file_read("out.watched/metrics.jsonl", 1 << 20, &whole, &err), LM_OK);
    assert_true(lm_str_find(lm_buf_str(&rung.log), LM_STR("rolled_back_from")) > 0);
    assert_true(whole.len > rung.log.len);
    assert_memory_equal(whole.ptr, rung.log.ptr, rung.log.len);
    lm_buf_release(&rung.log);
    lm_buf_release(&whole);
}

static void what_a_run_cannot_watch_is_refused(void **state)
{
    (void)state;
    struct lm_pretrain_config c = watched();
    struct lm_err err = { 0 };
    c.training.dp.noise = 1;
    assert_int_equal(train_on("poisoned", &c, "work.refused", "out.refused", &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "spike-deviations"));
    c = learner_by_heart();
    c.training.eval_every = 0;
    assert_int_equal(train_on("few", &c, "work.refused", "out.refused", &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "eval-every"));
    c = learner_by_heart();
    assert_int_equal(train_on("unheld", &c, "work.refused", "out.refused", &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "held out"));
}

/* tokens/train.tokens, and a document of chance in their midst. */
static void make_poisoned(void)
{
    struct lm_shard clean;
    struct lm_err err = { 0 };
    enum { CHANCE = 64, DOCUMENTS = 64 };
    static uint32_t tokens[DOCUMENTS][4096];
    static struct shard_document documents[DOCUMENTS];
    must(lm_shard_open(&clean, "tokens/train.tokens", &err), &err);
    size_t count = 0;
    struct lm_rng rng = lm_rng_make(1, 2);
    for (uint64_t d = 0; d < clean.document_count; d++) {
        const uint64_t first = lm_shard_doc_start(&clean, d);
        const size_t len = (size_t)(clean.ends[d] - first);
        assert_true(count + 1 < DOCUMENTS && len <= 4096);
        lm_shard_get(&clean, first, len, tokens[count]);
        documents[count] = (struct shard_document){ tokens[count], len };
        const uint32_t end = tokens[count++][len - 1];
        if (d != 15)
            continue;
        for (size_t i = 0; i < CHANCE - 1; i++)
            tokens[count][i] = (uint32_t)lm_rng_below(&rng, clean.vocab_size);
        tokens[count][CHANCE - 1] = end;
        documents[count] = (struct shard_document){ tokens[count], CHANCE };
        count++;
    }
    must(lm_dir_make("poisoned", &err), &err);
    write_shard("poisoned/train.tokens", clean.vocab_size, clean.tokenizer_sha256, documents, count);
    lm_shard_close(&clean);
}

static int make_more_data(void **state)
{
    struct lm_tokenizer *t;
    struct lm_err err = { 0 };
    make_data(state);
    make_poisoned();
    must(lm_tokenizer_load("tokens", &t, &err), &err);
    must(lm_dir_make("few", &err), &err);
    must(lm_dir_make("unheld", &err), &err);
    small_shard("unheld/train.tokens", t, 0, 3);
    small_shard("poisoned/heldout.tokens", t, 50, 2);
    small_shard("few/train.tokens", t, 0, 3);
    small_shard("few/heldout.tokens", t, 50, 10);
    lm_tokenizer_free(t);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_weights_are_written),
        cmocka_unit_test(stopping_early_survives_a_loss_of_checkpoints),
        cmocka_unit_test(a_jump_of_the_loss_sends_the_run_back),
        cmocka_unit_test(a_run_that_goes_back_takes_the_same_way_after_any_stop),
        cmocka_unit_test(what_a_run_cannot_watch_is_refused),
    };
    return cmocka_run_group_tests(tests, make_more_data, NULL) != 0;
}
