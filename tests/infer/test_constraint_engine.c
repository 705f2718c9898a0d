/* A model of random weights, through the engine: its text is what the constraint asks for, or ends with a
 * reason. */
#include "check.h"

#include "base/json.h"
#include "base/mem.h"
#include "harness.h"
#include "infer/engine.h"
#include "reference.h"
#include "vocabulary.h"

#include <stdlib.h>

enum { VOCAB = 700 };

static struct lm_tokenizer *tokenizer;
static struct lm_constraint_vocab *vocab;
static struct lm_llama llama;
static struct lm_model model;

static int make_model(void **state)
{
    (void)state;
    static const struct lm_llama_config config = {
        .vocab_size = VOCAB + 4,   // padded, as files are
        .dim = 32,
        .layers = 2,
        .heads = 4,
        .kv_heads = 2,
        .ffn_dim = 48,
        .context = 512,
        .rope_theta = 10000,
        .norm_eps = 1e-5,
        .tied = true,
        .bos_id = -1,
        .eos_id = 0,
    };
    struct lm_rng rng = lm_rng_make(5, 0);
    tokenizer = random_vocabulary(&rng, VOCAB, 8, "aabbcc001122   \"\"\"\"{}[]:,e.-");
    vocab = lm_constraint_vocab_new(tokenizer);
    reference_model(&llama, &config, 5);
    lm_model_of_llama(&model, &llama);
    return 0;
}

static int free_model(void **state)
{
    (void)state;
    lm_model_close(&model);
    lm_llama_release(&llama);
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(tokenizer);
    return 0;
}

static const char *const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":12},\"b\":{\"type\":"
    "\"integer\","
    "\"minimum\":-3,\"maximum\":40}},\"required\":[\"a\",\"b\"],\"additionalProperties\":false}",
    "{\"type\":\"array\",\"items\":{\"enum\":[\"x\",12,null,{\"k\":[]}]},\"minItems\":2,\"maxItems\":5}",
    "{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"array\",\"prefixItems\":[{\"type\":\"number\"},{\"type\":"
    "\"string\","
    "\"pattern\":\"^[a-c]{1,9}$\"}],\"items\":false,\"minItems\":2}]}",
};
enum { SCHEMAS = sizeof(schemas) / sizeof(schemas[0]), SEEDS = 6 };

static struct lm_constraint *compile(enum lm_constraint_kind kind, const char *source)
{
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_limits limits = { .ms = 5000 };
    if (lm_constraint_new(vocab, kind, lm_str(source), &limits, &c, &err) != LM_OK)
        fail_msg("%s", err.text);
    return c;
}

/* The text once more, byte by byte, up to where it may end; and it is JSON. */
static void check_text(const struct lm_constraint *c, struct lm_str text)
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    for (size_t i = 0; i < text.len; i++)
        assert_true(lm_constraint_accept(w, VOCABULARY_BYTE + (uint8_t)text.ptr[i]));
    assert_true(lm_constraint_may_end(w));
    lm_constraint_walk_free(w);
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, text, "answer", &arena);
    assert_int_equal(lm_json_skip(&r, NULL), LM_OK);
    assert_int_equal(lm_json_want(&r, LM_JSON_END, NULL), LM_OK);
    lm_arena_release(&arena);
}

static void random_weights_give_json_of_the_schema(void **state)
{
    (void)state;
    struct lm_engine *e;
    struct lm_constraint *constraints[SCHEMAS];
    static struct record records[SCHEMAS * SEEDS];
    const uint32_t prompt[] = { 5, 9, 300 };
    size_t ended = 0;
    assert_ok(lm_engine_new(&model, tokenizer, NULL, &e, NULL));
    for (size_t i = 0; i < SCHEMAS; i++)
        constraints[i] = compile(LM_CONSTRAINT_JSON_SCHEMA, schemas[i]);
    for (size_t i = 0; i < SCHEMAS * SEEDS; i++) {   // together, so several walk one constraint at once
        struct lm_sampling s;
        lm_sampling_defaults(&s);
        s.max_tokens = RECORD_TOKENS_MAX, s.seed = i, s.temperature = i % 2 ? 1.5 : 0.3;
        s.constraint = constraints[i % SCHEMAS];
        record_init(&records[i]);
        assert_ok(lm_engine_submit(e, prompt, 3, &s, record_sink, &records[i], &records[i].ticket, NULL));
    }
    for (size_t i = 0; i < SCHEMAS * SEEDS; i++) {
        record_wait(&records[i]);
        assert_true(records[i].finish == LM_FINISH_STOP || records[i].finish == LM_FINISH_LENGTH);
        if (records[i].finish == LM_FINISH_STOP) {
            check_text(constraints[i % SCHEMAS], lm_buf_str(&records[i].text));
            ended++;
        }
        record_release(&records[i]);
    }
    assert_true(ended > SCHEMAS * SEEDS / 2);
    lm_engine_free(e);
    for (size_t i = 0; i < SCHEMAS; i++)
        lm_constraint_free(constraints[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_weights_give_json_of_the_schema),
    };
    return cmocka_run_group_tests(tests, make_model, free_model) != 0;
}
