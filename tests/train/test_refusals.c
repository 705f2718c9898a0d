/* What the world can do to a run: each case ends with one sentence that names the place, and loses nothing.
 */
#include "runs.h"

#include "base/file.h"
#include "model/llama.h"

#include <signal.h>
#include <sys/resource.h>

static void assert_says(const struct lm_err *err, const char *words)
{
    if (!strstr(err->text, words))
        fail_msg("'%s' is not in: %s", words, err->text);
}

static enum lm_rc finetune(const struct lm_finetune_config *c, const char *model, const char *pairs,
                           const char *out, struct lm_err *err)
{
    struct lm_buf metrics = { 0 };
    const enum lm_rc rc = lm_finetune(c, model, pairs, "work.tuned", out, &metrics, err);
    assert_int_equal(lm_path_remove("work.tuned", NULL), LM_OK);
    lm_buf_release(&metrics);
    return rc;
}

static void a_learning_rate_that_diverges_names_step_and_tensor(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    char name[128];
    for (int optimizer = 0; optimizer < 2; optimizer++) {
        struct lm_err err = { 0 };
        c.training.optimizer = optimizer;
        c.training.lr = c.training.matrix_lr = 10;
        c.training.warmup_steps = 18;
        c.training.checkpoint_every = 1;
        const char *work = optimizer ? "work.muon" : "work.adamw";
        assert_int_equal(pretrain(&c, work, "out.diverged", &err), LM_EFORMAT);
        assert_says(&err, "step ");
        assert_says(&err, "model.");
        assert_says(&err, "learning rate");
        newest(work, name);   // a good one is left
        assert_true(strlen(name) > 0);
        assert_false(lm_path_exists("out.diverged/model.safetensors"));
    }
}

static void weights_that_are_no_numbers_are_refused_before_the_first_step(void **state)
{
    (void)state;
    struct lm_llama model;
    struct lm_finetune_config c;
    struct lm_err err = { 0 };
    must(lm_llama_load(&model, "base", &err), &err);
    lm_llama_at(&model, LM_LLAMA_W_UP, 1)[3] = NAN;
    must(lm_dir_make("sick", &err), &err);
    must(lm_llama_save(&model, "sick", &err), &err);
    must(lm_file_copy("tokens/tokenizer.json", "sick/tokenizer.json", &err), &err);
    must(lm_file_copy("tokens/tokenizer_config.json", "sick/tokenizer_config.json", &err), &err);
    lm_llama_release(&model);
    lm_opt_defaults(&lm_finetune_options, &c);
    for (c.lora_rank = 0; c.lora_rank <= 2; c.lora_rank += 2) {
        assert_int_equal(finetune(&c, "sick", "pairs.jsonl", "out.sick", &err), LM_EFORMAT);
        assert_says(&err, "model.layers.1.mlp.up_proj.weight");
    }
}

/* train.tokens of the first run, but one byte in the middle, or its end, is another. */
static void a_shard_that_was_cut_or_altered_is_refused(void **state)
{
    (void)state;
    const struct lm_pretrain_config c = small_config();
    struct lm_buf shard = { 0 }, metrics = { 0 };
    must(lm_file_read("tokens/train.tokens", 1 << 24, &shard, NULL), &(struct lm_err){ 0 });
    must(lm_dir_make("damaged", NULL), &(struct lm_err){ 0 });
    for (int cut = 0; cut <= 1; cut++) {
        struct lm_err err = { 0 };
        struct lm_str bytes = lm_buf_str(&shard);
        shard.ptr[shard.len / 2] ^= 1;
        bytes.len -= cut ? 100 : 0;
        must(lm_file_write("damaged/train.tokens", bytes, &err), &err);
        assert_int_equal(lm_pretrain(&c, "damaged", "tokens", "work.damaged", "out.damaged", &metrics, &err),
                         LM_EFORMAT);
        assert_says(&err, "damaged/train.tokens");
        shard.ptr[shard.len / 2] ^= 1;
    }
    struct lm_err err = { 0 };   // whole, but of another vocabulary
    lm_tokenizer_free(small_tokenizer("other"));
    struct lm_buf text = { 0 };
    must(lm_file_read("other/tokenizer.json", 1 << 24, &text, &err), &err);
    lm_buf_putc(&text, '\n');
    must(lm_file_write("other/tokenizer.json", lm_buf_str(&text), &err), &err);
    assert_int_equal(lm_pretrain(&c, "tokens", "other", "work.damaged", "out.damaged", &metrics, &err),
                     LM_EINVAL);
    assert_says(&err, "tokens/train.tokens");
    lm_buf_release(&text);
    lm_buf_release(&shard);
}

static void a_window_longer_than_the_context_is_refused(void **state)
{
    (void)state;
    struct lm_finetune_config c;
    struct lm_err err = { 0 };
    lm_opt_defaults(&lm_finetune_options, &c);
    c.window_size = 33;
    assert_int_equal(finetune(&c, "base", "pairs.jsonl", "out.wide", &err), LM_EINVAL);
    assert_says(&err, "window-size 33");
    c.window_size = 32;
    must(finetune(&c, "base", "pairs.jsonl", "out.wide", &err), &err);
}

static void pairs_without_an_answer_are_refused_by_their_line(void **state)
{
    (void)state;
    struct lm_finetune_config c;
    struct lm_buf text = { 0 };
    struct lm_err err = { 0 };
    must(lm_file_read("pairs.jsonl", 1 << 20, &text, &err), &err);
    lm_buf_puts(&text, "{\"question\":\"Why?\",\"answer\":\" \",\"split\":\"train\"}\n");
    must(lm_file_write("unanswered.jsonl", lm_buf_str(&text), &err), &err);
    lm_buf_release(&text);
    lm_opt_defaults(&lm_finetune_options, &c);
    assert_int_equal(finetune(&c, "base", "unanswered.jsonl", "out.unanswered", &err), LM_EINVAL);
    assert_says(&err, "'unanswered.jsonl', line 9");
    assert_says(&err, "skip-unlabelled");
    c.skip_unlabelled = true;
    must(finetune(&c, "base", "unanswered.jsonl", "out.unanswered", &err), &err);
    must(finetune(&c, "base", "pairs.jsonl", "out.answered", &err), &err);
    assert_same_file("out.unanswered", "out.answered", "model.safetensors");

    must(lm_file_write("none.jsonl", LM_STR("{\"question\":\"Why?\",\"answer\":\"\",\"split\":\"train\"}\n"),
                       &err),
         &err);
    assert_int_equal(finetune(&c, "base", "none.jsonl", "out.none", &err), LM_EINVAL);
    assert_says(&err, "none.jsonl");
}

/* A limit on the size of files is a disk that is full after so many bytes. */
static void a_full_disk_during_a_checkpoint_loses_nothing(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    char before[128], after[128];
    struct lm_rung rung = { .part = 1, .parts = 3 };
    c.training.rung = &rung;
    assert_int_equal(pretrain(&c, "work.full", "out.full", &err), LM_ESTOP);
    lm_buf_release(&rung.log);
    newest("work.full", before);
    assert_true(strlen(before) > 0);
    c.training.rung = NULL;

    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit full = { 20000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    const enum lm_rc rc = pretrain(&c, "work.full", "out.full", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, LM_EIO);
    assert_says(&err, "work.full/");
    assert_says(&err, "goes on from the checkpoint before");
    newest("work.full", after);
    assert_string_equal(before, after);

    must(pretrain(&c, "work.full", "out.full", &err), &err);
    must(pretrain(&c, "work.free", "out.free", &err), &err);
    assert_same_run("out.full", "out.free");
}

static void checkpoints_of_another_run_are_not_in_the_way_of_a_new_one(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config(), other = c;
    struct lm_err err = { 0 };
    char before[128], after[128];
    struct lm_rung rung = { .part = 1, .parts = 2 };
    c.training.rung = &rung;
    assert_int_equal(pretrain(&c, "work.first", "out.first", &err), LM_ESTOP);
    lm_buf_release(&rung.log);
    newest("work.first", before);
    other.layers = 3;
    assert_int_equal(pretrain(&other, "work.first", "out.first", &err), LM_EEXIST);
    assert_says(&err, "work.first/");
    assert_says(&err, "another run");
    newest("work.first", after);
    assert_string_equal(before, after);
    c.training.rung = NULL;
    must(pretrain(&c, "work.first", "out.first", &err), &err);
    assert_same_run("out.first", "base");
}

static int make_base(void **state)
{
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    struct lm_buf pairs = { 0 };
    make_data(state);
    must(pretrain(&c, "work.base", "base", &err), &err);
    for (int i = 0; i < 8; i++)
        lm_buf_printf(&pairs, "{\"question\":\"Who?\",\"answer\":\"Row %d.\",\"split\":\"train\"}\n", i);
    must(lm_file_write("pairs.jsonl", lm_buf_str(&pairs), &err), &err);
    lm_buf_release(&pairs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learning_rate_that_diverges_names_step_and_tensor),
        cmocka_unit_test(weights_that_are_no_numbers_are_refused_before_the_first_step),
        cmocka_unit_test(a_shard_that_was_cut_or_altered_is_refused),
        cmocka_unit_test(a_window_longer_than_the_context_is_refused),
        cmocka_unit_test(pairs_without_an_answer_are_refused_by_their_line),
        cmocka_unit_test(a_full_disk_during_a_checkpoint_loses_nothing),
        cmocka_unit_test(checkpoints_of_another_run_are_not_in_the_way_of_a_new_one),
    };
    return cmocka_run_group_tests(tests, make_base, NULL) != 0;
}
