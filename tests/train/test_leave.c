/* Snapshots are the models of shorter runs; samples follow the model's own probabilities and come again. */
#include "runs.h"

#include "train/net.h"
#include "train/pairs.h"

static struct lm_pretrain_config leaving(void)
{
    struct lm_pretrain_config c = small_config();
    c.steps = 24;
    c.training.checkpoint_every = 7;
    c.training.loop.schedule = 2;   // constant: a shorter run has the same beginning
    c.training.loop.snapshot_every = 6;
    c.training.loop.keep_snapshots = 2;
    c.training.loop.sample_every = 8;
    c.training.loop.sample_prompt = "The table ";
    c.training.loop.sample_tokens = 12;
    return c;
}

static void a_snapshot_is_the_model_of_a_shorter_run(void **state)
{
    (void)state;
    struct lm_pretrain_config c = leaving();
    struct lm_err err = { 0 };
    must(pretrain(&c, "work.long", "out.long", &err), &err);
    assert_false(lm_path_exists("out.long/snapshots/step-0000000012"));   // two are kept
    assert_true(lm_path_exists("out.long/snapshots/step-0000000024"));
    c.steps = 18;
    c.training.loop.snapshot_every = c.training.loop.sample_every = 0;
    must(pretrain(&c, "work.short", "out.short", &err), &err);
    static const char *const files[] = { "model.safetensors", "config.json", "generation_config.json",
                                         "tokenizer.json" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_same_file("out.long/snapshots/step-0000000018", "out.short", files[i]);
}

static void a_run_that_was_stopped_leaves_the_same(void **state)
{
    (void)state;
    struct lm_pretrain_config c = leaving();
    struct lm_err err = { 0 };
    for (uint64_t part = 1; part <= 3; part++) {   // steps 6, 12, 18
        struct lm_rung rung = { .part = part, .parts = 4 };
        c.training.rung = &rung;
        assert_int_equal(pretrain(&c, "work.stopped", "out.stopped", &err), LM_ESTOP);
        lm_buf_release(&rung.log);
    }
    c.training.rung = NULL;
    lm_threads_set(2);
    must(pretrain(&c, "work.stopped", "out.stopped", &err), &err);
    lm_threads_set(1);
    assert_same_run("out.long", "out.stopped");
    assert_same_file("out.long", "out.stopped", "samples.jsonl");
    assert_same_file("out.long/snapshots/step-0000000018", "out.stopped/snapshots/step-0000000018",
                     "model.safetensors");
    struct lm_buf text = { 0 };
    assert_int_equal(lm_file_read("out.long/samples.jsonl", 1 << 20, &text, &err), LM_OK);
    static const char *const starts[] = { "{\"step\":8,\"prompt\":\"The table \",\"text\":\"",
                                          "{\"step\":16,", "{\"step\":24," };
    struct lm_str rest = lm_buf_str(&text), line;
    for (size_t i = 0; i < 3; i++) {
        assert_true(lm_str_split(&rest, '\n', &line));
        assert_true(lm_str_starts(line, lm_str(starts[i])));
    }
    assert_int_equal(rest.len, 0);
    lm_buf_release(&text);
}

/* The oracle is the loss that the network measures for every token that might come: -ln of the softmax. */
static void check_next(bool bf16, double tolerance)
{
    struct lm_llama model;
    struct lm_gemm *gemm;
    struct lm_err err = { 0 };
    must(lm_llama_load(&model, "out.short", &err), &err);
    must(lm_gemm_new(&gemm, &err), &err);
    const struct lm_net_config config = { .positions = 16, .bf16 = bf16 };
    struct lm_net *net = lm_net_new(&model, gemm, &config);
    const size_t vocab = (size_t)model.config.vocab_size;
    float *logits = lm_zalloc(vocab, sizeof *logits), losses[16];
    struct lm_batch batch;
    lm_batch_init(&batch, 1, 16);
    lm_batch_clear(&batch);
    for (uint32_t i = 0; i < 16; i++)
        batch.input[i] = 7 * i % (uint32_t)vocab;
    lm_net_refresh(net);
    must(lm_net_next(net, &batch, 9, logits, &err), &err);
    double sum = 0;
    for (size_t v = 0; v < vocab; v++)
        sum += exp((double)logits[v]);
    batch.trained = 1;
    for (size_t v = 0; v < vocab; v++) {
        batch.target[9] = (int32_t)v;
        must(lm_net_measure(net, &batch, losses, &err), &err);
        if (!(fabs(losses[9] - (log(sum) - (double)logits[v])) < tolerance))
            fail_msg("token %zu: %f, not %f", v, log(sum) - (double)logits[v], (double)losses[9]);
    }
    lm_batch_release(&batch);
    free(logits);
    lm_net_free(net);
    lm_gemm_free(gemm);
    lm_llama_release(&model);
}

static void the_next_token_has_the_probability_that_its_loss_says(void **state)
{
    (void)state;
    check_next(false, 1e-4);
    check_next(true, 0.03);   // the head itself is rounded there
}

static void an_adapters_snapshot_is_the_merged_model(void **state)
{
    (void)state;
    struct lm_finetune_config c;
    struct lm_err err = { 0 };
    struct lm_buf pairs = { 0 }, metrics = { 0 };
    for (int i = 0; i < 24; i++)
        lm_buf_printf(&pairs,
                      "{\"question\":\"What reads %d?\",\"answer\":\"The query.\",\"split\":\"train\"}\n", i);
    must(lm_file_write("pairs.jsonl", lm_buf_str(&pairs), &err), &err);
    lm_opt_defaults(&lm_finetune_options, &c);
    c.epochs = 4;
    c.training.batch_tokens = 128;
    c.lora_rank = 2;
    c.training.loop.schedule = 2;
    must(lm_finetune(&c, "out.long", "pairs.jsonl", "work.adapter", "out.adapter", &metrics, &err), &err);
    struct lm_str text = lm_buf_str(&metrics);
    const ptrdiff_t at = lm_str_find(text, LM_STR("\"steps\":"));
    c.training.loop.snapshot_every = strtoll(text.ptr + at + 8, NULL, 10);
    c.training.loop.sample_every = c.training.loop.snapshot_every;
    c.training.loop.sample_prompt = "What reads 3?";
    must(lm_finetune(&c, "out.long", "pairs.jsonl", "work.adapter2", "out.adapter2", &metrics, &err), &err);
    char name[128];
    snprintf(name, sizeof name, "out.adapter2/snapshots/step-%010lld",
             (long long)c.training.loop.snapshot_every);
    assert_same_file(name, "out.adapter", "model.safetensors");
    assert_same_file(name, "out.adapter", "config.json");
    assert_same_file("out.adapter2", "out.adapter", "model.safetensors");
    assert_true(lm_path_exists("out.adapter2/samples.jsonl"));

    char prompt[4000];
    memset(prompt, 'q', sizeof prompt - 1);
    prompt[sizeof prompt - 1] = 0;
    c.training.loop.sample_prompt = prompt;
    assert_int_equal(
        lm_finetune(&c, "out.long", "pairs.jsonl", "work.adapter3", "out.adapter3", &metrics, &err),
        LM_EINVAL);
    assert_non_null(strstr(err.text, "sample-prompt"));
    lm_buf_release(&pairs);
    lm_buf_release(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_the_model_of_a_shorter_run),
        cmocka_unit_test(a_run_that_was_stopped_leaves_the_same),
        cmocka_unit_test(the_next_token_has_the_probability_that_its_loss_says),
        cmocka_unit_test(an_adapters_snapshot_is_the_merged_model),
    };
    return cmocka_run_group_tests(tests, make_data, NULL) != 0;
}
