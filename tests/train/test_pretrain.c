/* Whole runs: a run that was killed ends with the bytes of one that was not; threads do not show; ten losses
 * on record; refusals.  And the same for fine-tuning. */
#include "train/train.h"

#include "base/sys.h"
#include "model/model.h"
#include "runs.h"

#include "train/net.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* First, before this process has threads: a child trains and is killed when it has a new checkpoint. */
static void a_killed_run_ends_with_the_bytes_of_a_whole_one(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    c.steps = 24;
    c.training.checkpoint_every = 6;
    for (int kill_number = 0; kill_number < 2; kill_number++) {
        char before[128], now[128];
        newest("work.killed", before);
        const pid_t child = fork();
        if (child == 0)
            _exit(pretrain(&c, "work.killed", "out.killed", NULL) == LM_OK ? 0 : 1);
        int status = 0, waits = 0;
        do {
            usleep(1000);
            newest("work.killed", now);
        } while (strcmp(before, now) == 0 && ++waits < 10000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_string_not_equal(before, now);
    }
    must(pretrain(&c, "work.killed", "out.killed", &err), &err);
    must(pretrain(&c, "work.whole", "out.whole", &err), &err);
    assert_same_run("out.killed", "out.whole");
}

/* Takes the newest checkpoint away: the run goes on from the one before, over an evaluation. */
static void a_resumed_run_ends_with_the_same_bytes(void **state)
{
    (void)state;
    const struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    must(pretrain(&c, "work.1", "out.1", &err), &err);
    struct lm_file_list files = { 0 };
    assert_int_equal(lm_file_walk("work.1", &files, NULL), LM_OK);
    assert_int_equal(files.len, 4);
    assert_non_null(strstr(files.items[2].path, "-0000000020."));
    assert_int_equal(lm_path_remove(files.items[2].path, NULL), LM_OK);
    assert_int_equal(lm_path_remove(files.items[3].path, NULL), LM_OK);
    lm_file_list_release(&files);
    must(pretrain(&c, "work.1", "out.2", &err), &err);
    assert_same_run("out.1", "out.2");
    must(pretrain(&c, "work.1", "out.3", &err), &err);   // nothing left to do but write
    assert_same_run("out.1", "out.3");
}

static void one_thread_and_two_give_the_same_bytes(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    const struct lm_pretrain_config c = small_config();
    for (int threads = 1; threads <= 2; threads++) {
        lm_threads_set(threads);
        must(pretrain(&c, threads == 1 ? "work.t1" : "work.t2", threads == 1 ? "out.t1" : "out.t2", &err),
             &err);
    }
    lm_threads_set(1);
    assert_same_run("out.t1", "out.t2");
}

/* In both kinds of products.  What a run of this model will hold for the network comes from its plan. */
static void computing_activations_again_gives_the_same_bytes_in_less_memory(void **state)
{
    (void)state;
    for (int precision = 0; precision <= 1; precision++) {
        struct lm_pretrain_config c = small_config();
        struct lm_llama_config model;
        struct lm_err err = { 0 };
        c.layers = 8;
        c.steps = 3;
        c.training.precision = precision;   // auto, f32
        must(pretrain(&c, precision ? "work.kept.f32" : "work.kept", "out.kept", &err), &err);
        c.training.loop.recompute = true;
        must(pretrain(&c, precision ? "work.again.f32" : "work.again", "out.again", &err), &err);
        assert_same_run("out.again", "out.kept");

        must(lm_llama_load_config(&model, "out.kept", &err), &err);
        struct lm_net_config net = { .positions = (size_t)c.context,
                                     .bf16 = precision == 0 && lm_net_bf16_works() };
        const size_t kept = lm_net_bytes(&model, &net, 1);
        net.recompute = true;
        assert_true(lm_net_bytes(&model, &net, 1) < kept * 3 / 4);
    }
}

static double first_loss(const char *path)
{
    struct lm_buf text = { 0 };
    assert_int_equal(lm_file_read(path, 1 << 20, &text, NULL), LM_OK);
    const ptrdiff_t at = lm_str_find(lm_buf_str(&text), LM_STR("\"loss\":"));
    assert_true(at >= 0);
    const double loss = strtod(text.ptr + at + 7, NULL);
    lm_buf_release(&text);
    return loss;
}

/* What was learned is there at the first step; the architecture is the model's, whatever the options say. */
static void training_goes_on_from_a_model(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_llama_config shape;
    struct lm_err err = { 0 };
    must(pretrain(&c, "work.first", "out.first", &err), &err);
    c.from = "out.first";
    c.dim = 48;
    c.steps = 4;
    must(pretrain(&c, "work.further", "out.further", &err), &err);
    assert_true(first_loss("out.further/metrics.jsonl") < first_loss("out.first/metrics.jsonl") - 0.5);
    must(lm_llama_load_config(&shape, "out.further", &err), &err);
    assert_int_equal(shape.dim, 24);
    c.context = 64;
    assert_int_equal(pretrain(&c, "work.wide", "out.wide", &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "out.first sees 32 tokens at most; --context=64 is more"));
    c.from = "out.none";
    assert_int_not_equal(pretrain(&c, "work.none", "out.none", &err), LM_OK);
    assert_non_null(strstr(err.text, "out.none/model.safetensors"));
}

/* Recorded with the scalar kernels and f32 products; other kernels may differ in the last digits. */
static void the_recorded_losses_come_again(void **state)
{
    (void)state;
    static const double recorded[10] = { 5.7175446, 5.6762900, 5.6107886, 5.4740284, 5.2764272,
                                         5.1032877, 4.9061369, 4.8362531, 4.7728403, 4.7367987 };
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    struct lm_buf text = { 0 };
    c.steps = 10;
    c.training.eval_every = 0;
    c.training.precision = 1;   // f32
    must(pretrain(&c, "work.losses", "out.losses", &err), &err);
    assert_int_equal(lm_file_read("out.losses/metrics.jsonl", 1 << 20, &text, NULL), LM_OK);
    struct lm_str rest = lm_buf_str(&text), line;
    for (size_t i = 0; i < 10; i++) {
        assert_true(lm_str_split(&rest, '\n', &line));
        const ptrdiff_t at = lm_str_find(line, LM_STR("\"loss\":"));
        assert_true(at > 0);
        const double loss = strtod(line.ptr + at + 7, NULL);
        if (!(fabs(loss - recorded[i]) < 2e-4))
            fail_msg("step %zu: loss %.6f, recorded %.6f", i + 1, loss, recorded[i]);
    }
    lm_buf_release(&text);
}

static void refusals_say_why(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_err err = { 0 };
    c.training.memory_max_mb = 1;
    assert_int_equal(pretrain(&c, "work.refused", "out.refused", &err), LM_ENOMEM);
    assert_non_null(strstr(err.text, "memory-max-mb"));
    c = small_config();
    c.heads = 7;
    assert_int_equal(pretrain(&c, "work.refused", "out.refused", &err), LM_EINVAL);
    c = small_config();
    c.context = 100000;
    assert_int_equal(pretrain(&c, "work.refused", "out.refused", &err), LM_EINVAL);
    assert_false(lm_path_exists("out.refused/model.safetensors"));
}

static void fine_tuning_learns_and_resumes(void **state)
{
    (void)state;
    struct lm_finetune_config c;
    struct lm_err err = { 0 };
    struct lm_buf pairs = { 0 }, metrics = { 0 };
    for (int i = 0; i < 30; i++)
        lm_buf_printf(
            &pairs,
            "{\"id\":\"%d\",\"snapshot\":\"%s\",\"question\":\"What reads a row %d?\",\"answer\":\"The query "
            "reads a row.\",\"split\":\"%s\"}\n",
            i, i % 3 ? "sql" : "tools", i, i % 5 ? "train" : "heldout");
    assert_int_equal(lm_file_write("pairs.jsonl", lm_buf_str(&pairs), &err), LM_OK);
    lm_opt_defaults(&lm_finetune_options, &c);
    c.snapshot = "sql";
    c.epochs = 6;
    c.training.batch_tokens = 128;
    c.training.lr = 0.02;
    c.training.warmup_steps = 2;
    c.training.checkpoint_every = 3;
    must(lm_finetune(&c, "out.whole", "pairs.jsonl", "work.ft", "out.ft", &metrics, &err), &err);
    struct lm_str loss = lm_buf_str(&metrics);
    const ptrdiff_t at = lm_str_find(loss, LM_STR("\"heldout_loss\":"));
    assert_true(at > 0);
    assert_true(strtod(loss.ptr + at + 15, NULL) < 3);   // ln 300 is 5.7
    assert_non_null(strstr(metrics.ptr, "\"pairs\":20,"));

    struct lm_file_list files = { 0 };
    assert_int_equal(lm_file_walk("work.ft", &files, NULL), LM_OK);
    assert_int_equal(files.len, 4);
    for (size_t i = 2; i < 4; i++)
        assert_int_equal(lm_path_remove(files.items[i].path, NULL), LM_OK);
    lm_file_list_release(&files);
    must(lm_finetune(&c, "out.whole", "pairs.jsonl", "work.ft", "out.ft2", &metrics, &err), &err);
    assert_same_run("out.ft", "out.ft2");

    c.snapshot = "none";
    assert_int_equal(lm_finetune(&c, "out.whole", "pairs.jsonl", "work.ft", "out.ft3", &metrics, &err),
                     LM_EINVAL);
    lm_buf_release(&pairs);
    lm_buf_release(&metrics);
}

/* Made, tuned, opened as what it is; with dropout, whose masks come again. */
static void a_gpt2_is_made_and_tuned(void **state)
{
    (void)state;
    struct lm_pretrain_config c = small_config();
    struct lm_finetune_config tune;
    struct lm_err err = { 0 };
    struct lm_buf metrics = { 0 };
    struct lm_model model;
    c.family = LM_FAMILY_GPT2;
    c.training.dropout = 0.1;
    must(pretrain(&c, "work.gpt2", "out.gpt2", &err), &err);
    must(pretrain(&c, "work.gpt2b", "out.gpt2b", &err), &err);
    assert_same_run("out.gpt2", "out.gpt2b");
    lm_opt_defaults(&lm_finetune_options, &tune);
    tune.epochs = 2;
    must(lm_finetune(&tune, "out.gpt2", "pairs.jsonl", "work.gpt2ft", "out.gpt2ft", &metrics, &err), &err);
    must(lm_model_open("out.gpt2ft", &model, &err), &err);
    assert_int_equal(model.config.arch, LM_ARCH_GPT2);
    lm_model_close(&model);
    tune.lora_rank = 2;
    assert_int_equal(lm_finetune(&tune, "out.gpt2", "pairs.jsonl", "work.gpt2l", "out.gpt2l", &metrics, &err),
                     LM_EINVAL);
    assert_non_null(strstr(err.text, "Llama family only"));
    lm_buf_release(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_run_ends_with_the_bytes_of_a_whole_one),
        cmocka_unit_test(a_resumed_run_ends_with_the_same_bytes),
        cmocka_unit_test(one_thread_and_two_give_the_same_bytes),
        cmocka_unit_test(computing_activations_again_gives_the_same_bytes_in_less_memory),
        cmocka_unit_test(training_goes_on_from_a_model),
        cmocka_unit_test(the_recorded_losses_come_again),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(fine_tuning_learns_and_resumes),
        cmocka_unit_test(a_gpt2_is_made_and_tuned),
    };
    return cmocka_run_group_tests(tests, make_data, NULL) != 0;
}
