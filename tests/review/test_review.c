/* tests/review/test_review.c - whole reviews of tiny random models, recomputed one token at a time. */

#include "check.h"

#include "../train/small.h"

#include "base/mem.h"
#include "base/sys.h"
#include "infer/engine.h"
#include "review/heldout.h"
#include "review/questions.h"
#include "review/review.h"
#include "token/ngram.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { PAIRS = 14, HELDOUT_PAIRS = 7, HELDOUT_DOCUMENTS = 8, CONTEXT = 96 };

static const struct lm_llama_config tiny = { .dim = 32,
                                             .layers = 2,
                                             .heads = 4,
                                             .kv_heads = 2,
                                             .ffn_dim = 48,
                                             .context = CONTEXT,
                                             .rope_theta = 10000,
                                             .norm_eps = 1e-5,
                                             .tied = true,
                                             .bos_id = -1,
                                             .eos_id = 0 };

static void save_model(const char *dir, const struct lm_tokenizer *t, uint64_t seed)
{
    struct lm_llama m = { 0 };
    struct lm_llama_config config = tiny;
    struct lm_err err = { 0 };
    config.vocab_size = lm_tokenizer_vocab_size(t);
    lm_llama_init(&m, &config);
    lm_llama_random(&m, seed);
    assert_ok(lm_dir_make(dir, NULL));
    if (lm_llama_save(&m, dir, &err) != LM_OK)
        fail_msg("%s", err.text);
    LM_FREE char *path = lm_path_join(dir, "tokenizer.json");
    assert_ok(lm_file_write(path, lm_tokenizer_json(t), NULL));
    lm_llama_release(&m);
}

static void save_pairs(void)
{
    struct lm_buf b = { 0 };
    for (int i = 0; i < PAIRS; i++)
        lm_buf_printf(
            &b,
            "{\"id\":\"%d\",\"snapshot\":\"ask\",\"question\":\"What %d?\",\"answer\":\"The table locks "
            "a row %d.\",\"document\":\"d\",\"split\":\"%s\"}\n",
            i, i, i, i % 2 ? "heldout" : "train");
    lm_buf_puts(
        &b,
        "{\"id\":\"x\",\"snapshot\":\"other\",\"question\":\"q\",\"answer\":\"a\",\"split\":\"heldout\"}\n");
    assert_ok(lm_file_write("pairs.jsonl", lm_buf_str(&b), NULL));
    lm_buf_release(&b);
}

static struct lm_tokenizer *tokenizer;

static int setup(void **state)
{
    (void)state;
    tokenizer = small_tokenizer("tokenizer");
    save_model("base", tokenizer, 1);
    save_model("ask", tokenizer, 2);
    assert_ok(lm_dir_make("tokens", NULL));
    small_shard("tokens/train.tokens", tokenizer, 0, 40);
    small_shard("tokens/heldout.tokens", tokenizer, 40, HELDOUT_DOCUMENTS);
    save_pairs();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lm_tokenizer_free(tokenizer);
    return 0;
}

static const struct lm_review_snapshot snapshots[] = { { .name = "ask", .dir = "ask" } };
static const struct lm_review_inputs inputs = { .title = "tiny",
                                                .base_dir = "base",
                                                .tokens_dir = "tokens",
                                                .pairs_path = "pairs.jsonl",
                                                .snapshots = snapshots,
                                                .snapshot_count = 1 };

/* Random models: the thresholds decide, not the models. */
static struct lm_review_config config(bool lenient)
{
    struct lm_review_config c;
    lm_opt_defaults(&lm_review_options, &c);
    c.answer_tokens_max = 12;
    c.resamples = 100;
    c.gate_bits_per_byte_ratio_max = lenient ? 100 : 0.01;
    c.gate_answer_loss_ratio_max = 100;
    c.gate_answered_share_min = 0;
    return c;
}

static json_t *review(const char *out, bool lenient, bool *ret_passed)
{
    struct lm_review_config c = config(lenient);
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    assert_ok(lm_path_remove(out, NULL));
    assert_ok(lm_dir_make(out, NULL));
    if (lm_review(&c, &inputs, out, &metrics, ret_passed, &err) != LM_OK)
        fail_msg("%s", err.text);
    json_t *o = json_loadb(metrics.ptr, metrics.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    lm_buf_release(&metrics);
    return o;
}

static void assert_number(const json_t *o, const char *key, double want)
{
    const double got = json_number_value(json_object_get(o, key));
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%s: %.17g, expected %.17g", key, got, want);
}

/* ---- the same numbers, the long way ---- */

static double model_log_prob(const struct lm_llama *m, const uint32_t *tokens, size_t from, size_t len)
{
    double logs[1024], sum = 0;
    assert_true(len <= 1024);
    struct lm_model view;
    lm_model_of_llama(&view, m);
    assert_ok(lm_score(&view, tokens, len, logs, NULL));
    lm_model_close(&view);
    for (size_t i = from; i < len; i++)
        sum += logs[i];
    return sum;
}

static void bits_per_byte_is_the_sum_over_all_documents(void **state)
{
    (void)state;
    bool passed;
    json_t *metrics = review("out", true, &passed);

    struct lm_llama m = { 0 };
    struct lm_shard train, heldout;
    struct lm_ngram *ngram = NULL;
    assert_ok(lm_llama_load(&m, "base", NULL));
    assert_ok(lm_shard_open(&train, "tokens/train.tokens", NULL));
    assert_ok(lm_shard_open(&heldout, "tokens/heldout.tokens", NULL));
    const uint32_t end = lm_tokenizer_end_of_text(tokenizer);
    assert_ok(lm_ngram_new(4, train.vocab_size, &ngram, NULL));
    for (uint64_t d = 0; d < train.document_count; d++) {
        const uint64_t first = lm_shard_doc_start(&train, d);
        const size_t count = (size_t)(train.ends[d] - first);
        LM_FREE uint32_t *ids = lm_alloc((count + 1) * sizeof(*ids));
        ids[0] = end;
        lm_shard_get(&train, first, count, ids + 1);
        assert_ok(lm_ngram_add(ngram, ids, count + 1, NULL));
    }
    lm_ngram_end(ngram);
    double model = 0, baseline = 0;
    for (uint64_t d = 0; d < heldout.document_count; d++) {
        uint32_t tokens[1024] = { end };
        const uint64_t start = lm_shard_doc_start(&heldout, d);
        const size_t len = (size_t)(heldout.ends[d] - start);
        assert_true(len < 1024);
        lm_shard_get(&heldout, start, len, tokens + 1);
        model += model_log_prob(&m, tokens, 1, len + 1);
        for (size_t i = 1; i <= len; i++)
            baseline += lm_ngram_logprob(ngram, tokens, i, tokens[i]);
    }
    const double bits = (double)heldout.text_bytes * log(2);
    assert_number(metrics, "bits_per_byte", -model / bits);
    assert_number(metrics, "baseline_bits_per_byte", -baseline / bits);
    assert_number(metrics, "perplexity_per_token", exp(-model / (double)heldout.token_count));
    lm_ngram_free(ngram);
    lm_shard_close(&heldout);
    lm_shard_close(&train);
    lm_llama_release(&m);
    json_decref(metrics);
}

static double answer_log_prob(const char *dir, size_t *ret_tokens)
{
    struct lm_llama m = { 0 };
    struct lm_questions q = { 0 };
    assert_ok(lm_llama_load(&m, dir, NULL));
    assert_ok(lm_questions_read("pairs.jsonl", "ask", 1000, &q, NULL));
    assert_int_equal(q.len, HELDOUT_PAIRS);
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    double sum = 0;
    *ret_tokens = 0;
    for (size_t i = 0; i < q.len; i++) {
        const struct lm_chat_message turns[] = { { LM_STR("user"), q.items[i].text },
                                                 { LM_STR("assistant"), q.items[i].reference } };
        struct lm_tokens prompt = { 0 }, all = { 0 };
        struct lm_buf mask = { 0 };
        assert_ok(lm_chat_encode(encoder, turns, 1, true, &prompt, NULL, NULL));
        assert_ok(lm_chat_encode(encoder, turns, 2, false, &all, &mask, NULL));
        /* The answer is what follows the open prompt, up to and with the end of the turn. */
        size_t end = prompt.len;
        while (all.ids[end] != lm_chat_end(tokenizer))
            end++;
        sum += model_log_prob(&m, all.ids, prompt.len, end + 1);
        *ret_tokens += end + 1 - prompt.len;
        lm_tokens_release(&prompt);
        lm_tokens_release(&all);
        lm_buf_release(&mask);
    }
    lm_encoder_free(encoder);
    lm_questions_release(&q);
    lm_llama_release(&m);
    return sum;
}

static void answer_loss_is_that_of_the_answers_tokens(void **state)
{
    (void)state;
    bool passed;
    json_t *metrics = review("out", true, &passed);
    const json_t *ask = json_object_get(json_object_get(metrics, "snapshots"), "ask");
    size_t tokens, base_tokens;
    const double snapshot = answer_log_prob("ask", &tokens), base = answer_log_prob("base", &base_tokens);
    assert_int_equal(tokens, base_tokens);
    assert_number(ask, "answer_loss_ratio", snapshot / base);
    assert_int_equal(json_integer_value(json_object_get(ask, "questions")), HELDOUT_PAIRS);
    json_decref(metrics);

    json_t *record = json_load_file("out/review.json", 0, NULL);
    const json_t *found = json_array_get(json_object_get(record, "snapshots"), 0);
    assert_number(json_object_get(found, "answer_loss"), "value", -snapshot / (double)tokens);
    json_decref(record);
}

static void answers_are_those_of_greedy_decoding(void **state)
{
    (void)state;
    bool passed;
    json_decref(review("out", true, &passed));
    struct lm_llama m = { 0 };
    struct lm_questions q = { 0 };
    struct lm_engine *engine = NULL;
    assert_ok(lm_llama_load(&m, "ask", NULL));
    assert_ok(lm_questions_read("pairs.jsonl", "ask", 1000, &q, NULL));
    struct lm_model view;
    lm_model_of_llama(&view, &m);
    assert_ok(lm_engine_new(&view, tokenizer, NULL, &engine, NULL));
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    FILE *file = fopen("out/answers.jsonl", "r");
    assert_non_null(file);
    for (size_t i = 0; i < q.len; i++) {
        json_t *row = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        struct lm_tokens prompt = { 0 };
        struct lm_buf text = { 0 };
        struct lm_sampling sampling;
        enum lm_finish finish;
        const struct lm_chat_message turn = { LM_STR("user"), q.items[i].text };
        lm_sampling_defaults(&sampling);
        sampling.temperature = 0;
        sampling.max_tokens = 12;
        assert_ok(lm_chat_encode(encoder, &turn, 1, true, &prompt, NULL, NULL));
        assert_ok(lm_engine_complete(engine, prompt.ids, prompt.len, &sampling, &text, &finish, NULL));
        assert_text(lm_buf_str(&text), json_string_value(json_object_get(row, "answer")));
        assert_int_equal(json_is_true(json_object_get(row, "cut")), finish == LM_FINISH_LENGTH);
        lm_tokens_release(&prompt);
        lm_buf_release(&text);
        json_decref(row);
    }
    fclose(file);
    lm_encoder_free(encoder);
    lm_engine_free(engine);
    lm_questions_release(&q);
    lm_model_close(&view);
    lm_llama_release(&m);
}

/* ---- verdicts ---- */

static void the_verdict_follows_the_gates(void **state)
{
    (void)state;
    bool passed = false;
    json_t *metrics = review("out", true, &passed);
    assert_true(passed && json_is_true(json_object_get(metrics, "passed")));
    json_decref(metrics);
    metrics = review("out", false, &passed);
    assert_true(!passed && json_is_false(json_object_get(metrics, "passed")));
    json_decref(metrics);
}

static void assert_same_file(const char *a, const char *b)
{
    struct lm_buf x = { 0 }, y = { 0 };
    assert_ok(lm_file_read(a, 1 << 24, &x, NULL));
    assert_ok(lm_file_read(b, 1 << 24, &y, NULL));
    assert_true(lm_str_eq(lm_buf_str(&x), lm_buf_str(&y)));
    lm_buf_release(&x);
    lm_buf_release(&y);
}

static void the_files_are_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    bool passed;
    lm_threads_set(1);
    json_decref(review("one", true, &passed));
    lm_threads_set(3);
    json_decref(review("three", true, &passed));
    lm_threads_set(0);
    assert_same_file("one/review.json", "three/review.json");
    assert_same_file("one/answers.jsonl", "three/answers.jsonl");
    assert_same_file("one/report.html", "three/report.html");
}

static void a_snapshot_without_questions_does_not_pass(void **state)
{
    (void)state;
    const struct lm_review_snapshot nobody = { .name = "nobody", .dir = "ask" };
    struct lm_review_inputs in = inputs;
    in.snapshots = &nobody;
    struct lm_review_config c = config(true);
    struct lm_buf metrics = { 0 };
    bool passed = true;
    assert_ok(lm_dir_make("nobody", NULL));
    assert_ok(lm_review(&c, &in, "nobody", &metrics, &passed, NULL));
    assert_false(passed);
    lm_buf_release(&metrics);
}

/* ---- refusals ---- */

static void tokens_of_another_tokenizer_are_refused(void **state)
{
    (void)state;
    struct lm_review_inputs in = inputs;
    in.tokens_dir = "foreign";
    struct lm_review_config c = config(true);
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    bool passed;
    const uint32_t tokens[] = { 1, 0 };
    const struct shard_document document = { tokens, 2 };
    assert_ok(lm_dir_make("foreign", NULL));
    write_shard("foreign/train.tokens", lm_tokenizer_vocab_size(tokenizer), NULL, &document, 1);
    assert_int_equal(lm_review(&c, &in, "out", &metrics, &passed, &err), LM_EINVAL);
    assert_contains(err.text, "another tokenizer");
    lm_buf_release(&metrics);
}

static void questions_are_spread_over_the_file(void **state)
{
    (void)state;
    struct lm_questions q = { 0 };
    assert_ok(lm_questions_read("pairs.jsonl", "ask", 3, &q, NULL));
    assert_int_equal(q.total, HELDOUT_PAIRS);
    assert_int_equal(q.len, 3);
    assert_text(q.items[0].id, "1");   // held out are 1, 3, .. 13: of them 0, 2 and 4
    assert_text(q.items[1].id, "5");
    assert_text(q.items[2].id, "9");
    lm_questions_release(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_per_byte_is_the_sum_over_all_documents),
        cmocka_unit_test(answer_loss_is_that_of_the_answers_tokens),
        cmocka_unit_test(answers_are_those_of_greedy_decoding),
        cmocka_unit_test(the_verdict_follows_the_gates),
        cmocka_unit_test(the_files_are_the_same_for_any_number_of_threads),
        cmocka_unit_test(a_snapshot_without_questions_does_not_pass),
        cmocka_unit_test(tokens_of_another_tokenizer_are_refused),
        cmocka_unit_test(questions_are_spread_over_the_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
