#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sys.h"
#include "harness.h"
#include "infer/engine.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

enum { PROMPTS = 16, PROMPT_MAX = 40 };

static const struct lm_engine_config roomy = { .sequences_max = 16, .queue_max = 64, .prefill_tokens = 64 };

static struct lm_engine *engine_new(const struct lm_model *m, const struct lm_tokenizer *t,
                                    const struct lm_engine_config *config)
{
    struct lm_engine *e = NULL;
    struct lm_err err = { 0 };
    if (lm_engine_new(m, t, config, &e, &err) != LM_OK)
        fail_msg("%s", err.text);
    return e;
}

static void submit(struct lm_engine *e, const uint32_t *prompt, size_t len, const struct lm_sampling *s,
                   struct record *r)
{
    struct lm_err err = { 0 };
    record_init(r);
    if (lm_engine_submit(e, prompt, len, s, record_sink, r, &r->ticket, &err) != LM_OK)
        fail_msg("%s", err.text);
}

static void random_prompt(uint32_t *prompt, size_t len, size_t vocab, uint64_t seed)
{
    struct lm_rng rng = lm_rng_make(seed, 7);
    for (size_t i = 0; i < len; i++)
        prompt[i] = (uint32_t)lm_rng_below(&rng, vocab);
}

static void greedy_output_is_that_of_a_plain_double_precision_model(void **state)
{
    (void)state;
    enum { NEW = 12, PROMPT = 9 };
    for (size_t c = 0; c < REFERENCE_CONFIGS; c++) {
        struct lm_llama m;
        struct lm_model view;
        reference_model(&m, &reference_configs[c], 3 + c);
        lm_model_of_llama(&view, &m);
        const size_t vocab = (size_t)m.config.vocab_size;
        uint32_t tokens[PROMPT + NEW];
        random_prompt(tokens, PROMPT, vocab, c);
        double *logits = lm_zalloc((PROMPT + NEW) * vocab, sizeof *logits);
        for (size_t len = PROMPT; len < PROMPT + NEW; len++) {
            reference_logits(&m, tokens, len, logits);
            const double *last = logits + (len - 1) * vocab;
            tokens[len] = 0;
            for (size_t i = 1; i < vocab; i++)
                if (last[i] > last[tokens[len]])
                    tokens[len] = (uint32_t)i;
        }
        struct lm_sampling s;
        struct record r;
        lm_sampling_defaults(&s);
        s.temperature = 0, s.max_tokens = NEW, s.logprobs = true;
        struct lm_engine *e = engine_new(&view, NULL, &roomy);
        submit(e, tokens, PROMPT, &s, &r);
        record_wait(&r);
        assert_int_equal(r.count, NEW);
        assert_int_equal(r.finish, LM_FINISH_LENGTH);
        assert_int_equal(r.prompt_tokens, PROMPT);
        assert_int_equal(r.completion_tokens, NEW);
        assert_memory_equal(r.tokens, tokens + PROMPT, sizeof(uint32_t) * NEW);
        for (size_t i = 0; i < NEW; i++) {
            const double want =
                reference_logprob(logits + (PROMPT + i - 1) * vocab, vocab, tokens[PROMPT + i]);
            assert_true(fabs((double)r.logprobs[i] - want) < 1e-4);
        }
        lm_engine_free(e);
        record_release(&r);
        free(logits);
        lm_model_close(&view);
        lm_llama_release(&m);
    }
}

/* Sixteen requests that differ in everything. */
struct crowd {
    struct lm_llama model;
    struct lm_model view;
    struct lm_tokenizer *tokenizer;
    uint32_t prompts[PROMPTS][PROMPT_MAX];
    size_t lens[PROMPTS];
    struct lm_sampling sampling[PROMPTS];
    struct record records[PROMPTS];
};

static const struct lm_logit_bias crowd_bias[] = { { 5, 30 }, { 7, -100 }, { 260, 3 }, { 299, 100 } };
static const struct lm_str crowd_stops[] = { LM_STR("ab"), LM_STR("\n"), LM_STR("e") };

static void crowd_init(struct crowd *c)
{
    reference_model(&c->model, &reference_configs[0], 77);   // 300 ids: more than the tokenizer has
    lm_model_of_llama(&c->view, &c->model);
    c->tokenizer = tiny_tokenizer();
    for (size_t i = 0; i < PROMPTS; i++) {
        c->lens[i] = 1 + i * 7 % PROMPT_MAX;
        random_prompt(c->prompts[i], c->lens[i], TINY_VOCAB, 100 + i);
        struct lm_sampling *s = &c->sampling[i];
        lm_sampling_defaults(s);
        s->max_tokens = 5 + i * 3 % 50;
        s->temperature = i % 4 == 0 ? 0 : 0.5 + 0.2 * (double)i;
        s->top_k = i % 3 == 0 ? 20 : 0;
        s->top_p = i % 5 == 0 ? 0.8 : 1;
        s->repetition_penalty = i % 2 == 0 ? 1.1 : 1;
        s->frequency_penalty = i % 7 == 0 ? 0.4 : 0;
        s->seed = 1000 + i;
        s->logprobs = true;
        s->stop = crowd_stops;
        s->stop_count = i % 4;
        s->bias = crowd_bias;
        s->bias_count = i % 5;
    }
}

static void crowd_release(struct crowd *c)
{
    lm_tokenizer_free(c->tokenizer);
    lm_model_close(&c->view);
    lm_llama_release(&c->model);
}

static void assert_same_record(const struct record *a, const struct record *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof a->tokens[0]);
    assert_memory_equal(a->logprobs, b->logprobs, a->count * sizeof a->logprobs[0]);
    assert_int_equal(a->finish, b->finish);
    assert_true(lm_str_eq(lm_buf_str(&a->text), lm_buf_str(&b->text)));
}

static void a_sequence_does_not_depend_on_batch_chunks_threads_or_memory(void **state)
{
    (void)state;
    static struct crowd c;
    static struct record alone[PROMPTS];
    crowd_init(&c);
    struct lm_engine *e = engine_new(&c.view, c.tokenizer, &roomy);
    for (size_t i = 0; i < PROMPTS; i++) {
        submit(e, c.prompts[i], c.lens[i], &c.sampling[i], &alone[i]);
        record_wait(&alone[i]);
    }
    lm_engine_free(e);

    const struct lm_engine_config configs[] = {
        { .sequences_max = 16, .prefill_tokens = 64 },
        { .sequences_max = 16, .prefill_tokens = 1 },
        { .sequences_max = 5, .prefill_tokens = 7 },
        { .sequences_max = 16, .prefill_tokens = 13, .kv_tokens_max = 160 },   // they wait for blocks
    };
    for (size_t k = 0; k < sizeof configs / sizeof configs[0]; k++) {
        lm_threads_set(1 + (int)k % 3);
        e = engine_new(&c.view, c.tokenizer, &configs[k]);
        for (size_t i = 0; i < PROMPTS; i++)
            submit(e, c.prompts[i], c.lens[i], &c.sampling[i], &c.records[i]);
        for (size_t i = 0; i < PROMPTS; i++) {
            record_wait(&c.records[i]);
            assert_same_record(&c.records[i], &alone[i]);
            record_release(&c.records[i]);
        }
        lm_engine_free(e);
    }
    lm_threads_set(0);
    for (size_t i = 0; i < PROMPTS; i++)
        record_release(&alone[i]);
    crowd_release(&c);
}

static bool is_valid_utf8(struct lm_str s)
{
    struct lm_buf a = { 0 };
    struct lm_json_reader r;
    enum lm_json_kind kind;
    lm_json_str(&a, s);   // invalid bytes would become U+FFFD ...
    struct lm_arena arena = { 0 };
    lm_json_open(&r, lm_buf_str(&a), "text", &arena);
    const bool same = lm_json_next(&r, &kind, NULL) == LM_OK && lm_str_eq(r.text, s);   // ... and differ
    lm_arena_release(&arena);
    lm_buf_release(&a);
    return same;
}

static void any_token_sequence_streams_to_its_end_as_valid_text(void **state)
{
    (void)state;
    static struct record records[PROMPTS];
    struct lm_llama m;
    struct lm_model view;
    struct lm_tokenizer *t = tiny_tokenizer();
    reference_model(&m, &reference_configs[0], 78);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e = engine_new(&view, t, &roomy);
    for (size_t i = 0; i < PROMPTS; i++) {
        struct lm_sampling s;
        lm_sampling_defaults(&s);
        s.temperature = 50, s.seed = i, s.max_tokens = 90;   // nearly uniform: mostly broken characters
        submit(e, (uint32_t[]){ 3 + (uint32_t)i }, 1, &s, &records[i]);
    }
    for (size_t i = 0; i < PROMPTS; i++) {
        struct record *r = &records[i];
        record_wait(r);
        assert_true(r->finish == LM_FINISH_LENGTH || r->finish == LM_FINISH_STOP);
        assert_true(is_valid_utf8(lm_buf_str(&r->text)));
        assert_int_equal(r->events, r->count);   // one event per token
        assert_false(r->late);
        struct lm_decode_stream stream = { 0 };
        struct lm_buf want = { 0 };
        for (size_t k = 0; k < r->count; k++) {
            assert_true(r->tokens[k] < TINY_VOCAB);   // ids without text are never chosen
            lm_decode_step(t, &stream, r->tokens[k], true, &want);
        }
        lm_decode_end(&stream, &want);
        assert_true(lm_str_eq(lm_buf_str(&want), lm_buf_str(&r->text)));
        lm_buf_release(&want);
        record_release(r);
    }
    lm_engine_free(e);
    lm_tokenizer_free(t);
    lm_model_close(&view);
    lm_llama_release(&m);
}

/* One layer that passes its input on, so the embedding decides: after id x comes next[x], surely. */
static void scripted_model(struct lm_llama *m, const uint32_t *next, size_t count)
{
    const struct lm_llama_config config = {
        .vocab_size = TINY_VOCAB,
        .dim = 8,
        .layers = 1,
        .heads = 1,
        .kv_heads = 1,
        .ffn_dim = 8,
        .context = 64,
        .rope_theta = 10000,
        .norm_eps = 1e-5,
        .bos_id = -1,
        .eos_id = -1,
    };
    lm_llama_init(m, &config);
    for (size_t d = 0; d < 8; d++)
        m->tensor[LM_LLAMA_NORM][d] = 1;
    LM_ASSERT(count <= 8);
    for (size_t i = 0; i + 1 < count; i++) {
        m->tensor[LM_LLAMA_EMBED][next[i] * 8 + i] = 1;
        m->tensor[LM_LLAMA_HEAD][next[i + 1] * 8 + i] = 1;
    }
}

static void stop_strings_that_span_tokens_end_the_text_before_them(void **state)
{
    (void)state;
    /* "xabc<end of turn>": x ab c */
    const uint32_t script[] = { TINY_BYTE + '?', TINY_BYTE + 'x', TINY_AB, TINY_BYTE + 'c', 2 };
    struct lm_llama m;
    struct lm_model view;
    scripted_model(&m, script, 5);
    lm_model_of_llama(&view, &m);
    struct lm_tokenizer *t = tiny_tokenizer();
    struct lm_engine *e = engine_new(&view, t, &roomy);
    // clang-format off
    const struct { const char *stop, *text; enum lm_finish finish; size_t max_tokens, completion_tokens; } cases[] = {
        { NULL,    "xabc", LM_FINISH_STOP,   20, 4 },   // the end of turn counts, and has no text
        { "bc",    "xa",   LM_FINISH_STOP,   20, 3 },
        { "xabc",  "",     LM_FINISH_STOP,   20, 3 },
        { "a",     "x",    LM_FINISH_STOP,   20, 2 },
        { "abcd",  "xabc", LM_FINISH_STOP,   20, 4 },   // held back, then given out
        { "abcd",  "xab",  LM_FINISH_LENGTH, 2,  2 },
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct lm_str stop = lm_str(cases[i].stop);
        struct lm_sampling s;
        struct record r;
        lm_sampling_defaults(&s);
        s.temperature = 0, s.max_tokens = cases[i].max_tokens;
        s.stop = &stop, s.stop_count = cases[i].stop != NULL;
        submit(e, script, 1, &s, &r);
        record_wait(&r);
        assert_string_equal(lm_buf_str(&r.text).ptr, cases[i].text);
        assert_int_equal(r.finish, cases[i].finish);
        assert_int_equal(r.completion_tokens, cases[i].completion_tokens);
        record_release(&r);

        struct lm_buf text = { 0 };
        enum lm_finish finish;
        assert_int_equal(lm_engine_complete(e, script, 1, &s, &text, &finish, NULL), LM_OK);
        assert_string_equal(lm_buf_str(&text).ptr, cases[i].text);
        assert_int_equal(finish, cases[i].finish);
        lm_buf_release(&text);
    }
    lm_engine_free(e);
    lm_tokenizer_free(t);
    lm_model_close(&view);
    lm_llama_release(&m);
}

static void penalties_see_what_was_generated(void **state)
{
    (void)state;
    enum { NEW = 60 };
    struct lm_llama m;
    struct lm_model view;
    struct record r;
    reference_model(&m, &reference_configs[0], 5);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e = engine_new(&view, NULL, &roomy);
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.temperature = 0, s.max_tokens = NEW, s.presence_penalty = 100;   // never the same token again
    submit(e, (uint32_t[]){ 1, 2, 3 }, 3, &s, &r);
    record_wait(&r);
    assert_int_equal(r.count, NEW);
    for (size_t i = 0; i < NEW; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(r.tokens[i], r.tokens[k]);
    lm_engine_free(e);
    record_release(&r);
    lm_model_close(&view);
    lm_llama_release(&m);
}

static void what_cannot_be_served_is_refused_with_its_numbers(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    reference_model(&m, &reference_configs[1], 1);   // context 50, vocabulary 77
    lm_model_of_llama(&view, &m);
    struct lm_engine *e = engine_new(&view, NULL, &(struct lm_engine_config){ .kv_tokens_max = 40 });
    uint32_t prompt[60] = { 0 };
    struct lm_sampling s;
    struct lm_err err = { 0 };
    lm_sampling_defaults(&s);
    s.max_tokens = 11;
    assert_int_equal(lm_engine_submit(e, prompt, 30, &s, record_sink, NULL, NULL, &err), LM_ELIMIT);
    assert_string_equal(err.text, "30 prompt tokens and max_tokens 11 exceed the context of 40 tokens");
    s.max_tokens = SIZE_MAX;
    assert_int_equal(lm_engine_submit(e, prompt, 30, &s, record_sink, NULL, NULL, &err), LM_ELIMIT);
    s.max_tokens = 1;
    assert_int_equal(lm_engine_submit(e, prompt, 60, &s, record_sink, NULL, NULL, &err), LM_ELIMIT);
    assert_int_equal(lm_engine_submit(e, prompt, 0, &s, record_sink, NULL, NULL, &err), LM_EINVAL);
    prompt[3] = 77;
    assert_int_equal(lm_engine_submit(e, prompt, 5, &s, record_sink, NULL, NULL, &err), LM_EINVAL);
    assert_string_equal(err.text, "token id 77 at position 3 is outside the model's 77 tokens");
    s.top_p = 7;
    assert_int_equal(lm_engine_submit(e, prompt, 3, &s, record_sink, NULL, NULL, &err), LM_EINVAL);
    struct record r;   // exactly as much as fits
    s.top_p = 1, s.max_tokens = 37;
    submit(e, prompt, 3, &s, &r);
    record_wait(&r);
    assert_int_equal(r.count, 37);
    record_release(&r);
    lm_engine_free(e);
    lm_model_close(&view);
    lm_llama_release(&m);
}

/* Holds the engine thread inside its sink until told to go on. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool inside, open;
    struct record record;
};

static void gate_sink(void *user, const struct lm_engine_event *event)
{
    struct gate *g = user;
    pthread_mutex_lock(&g->lock);
    g->inside = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    record_sink(&g->record, event);
}

static void gate_close(struct gate *g, struct lm_engine *e)
{
    struct lm_sampling s;
    *g = (struct gate){ 0 };
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    record_init(&g->record);
    lm_sampling_defaults(&s);
    s.max_tokens = 30;
    assert_int_equal(lm_engine_submit(e, (uint32_t[]){ 1 }, 1, &s, gate_sink, g, &g->record.ticket, NULL),
                     LM_OK);
    pthread_mutex_lock(&g->lock);
    while (!g->inside)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void gate_release(struct gate *g)
{
    record_release(&g->record);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

static void a_full_queue_refuses_and_a_cancelled_request_leaves_it(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    struct gate gate;
    static struct record waiting[3];
    reference_model(&m, &reference_configs[0], 1);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e =
        engine_new(&view, NULL, &(struct lm_engine_config){ .sequences_max = 1, .queue_max = 3 });
    gate_close(&gate, e);
    struct lm_sampling s;
    struct lm_err err = { 0 };
    lm_sampling_defaults(&s);
    s.max_tokens = 4;
    for (size_t i = 0; i < 3; i++)
        submit(e, (uint32_t[]){ 5 }, 1, &s, &waiting[i]);
    const struct lm_engine_stats stats = lm_engine_stats(e);
    assert_int_equal(stats.running, 1);
    assert_int_equal(stats.waiting, 3);
    assert_true(stats.kv_usage > 0 && stats.kv_usage < 1);
    assert_int_equal(lm_engine_submit(e, (uint32_t[]){ 5 }, 1, &s, record_sink, NULL, NULL, &err), LM_ELIMIT);
    assert_string_equal(err.text, "the queue is full: 3 requests wait already");
    lm_engine_cancel(e, waiting[1].ticket);
    lm_engine_cancel(e, 999);   // unknown: nothing
    gate_open(&gate);
    for (size_t i = 0; i < 3; i++) {
        record_wait(&waiting[i]);
        assert_int_equal(waiting[i].finish, i == 1 ? LM_FINISH_CANCELLED : LM_FINISH_LENGTH);
        assert_int_equal(waiting[i].count, i == 1 ? 0 : 4);
    }
    assert_int_equal(gate.record.finish, LM_FINISH_LENGTH);
    lm_engine_cancel(e, waiting[0].ticket);   // finished long ago: nothing
    lm_engine_free(e);
    for (size_t i = 0; i < 3; i++)
        record_release(&waiting[i]);
    gate_release(&gate);
    lm_model_close(&view);
    lm_llama_release(&m);
}

static void a_running_request_stops_within_a_step_and_gives_its_memory_back(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    struct record r, next;
    reference_model(&m, &reference_configs[0], 1);
    lm_model_of_llama(&view, &m);
    /* Room for one request: the next one runs only if the cancelled one has given everything back. */
    struct lm_engine *e = engine_new(&view, NULL, &(struct lm_engine_config){ .kv_tokens_max = 96 });
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.max_tokens = 90;
    struct gate gate;
    gate_close(&gate, e);   // so that the ticket is there before the first token
    submit(e, (uint32_t[]){ 9, 8 }, 2, &s, &r);
    r.cancel_from = e;
    r.cancel_at = 3;
    submit(e, (uint32_t[]){ 9, 8 }, 2, &s, &next);
    gate_open(&gate);
    record_wait(&r);
    assert_int_equal(r.finish, LM_FINISH_CANCELLED);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.completion_tokens, 3);
    record_wait(&next);
    assert_int_equal(next.count, 90);
    assert_memory_equal(r.tokens, next.tokens, 3 * sizeof(uint32_t));
    lm_engine_free(e);
    record_release(&r);
    record_release(&next);
    gate_release(&gate);
    lm_model_close(&view);
    lm_llama_release(&m);
}

static void an_engine_that_goes_away_cancels_everybody(void **state)
{
    (void)state;
    struct lm_llama m;
    struct lm_model view;
    static struct record records[6];
    reference_model(&m, &reference_configs[0], 1);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e = engine_new(&view, NULL, &(struct lm_engine_config){ .sequences_max = 2 });
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.max_tokens = 90;
    for (size_t i = 0; i < 6; i++)
        submit(e, (uint32_t[]){ 3 }, 1, &s, &records[i]);
    record_wait_tokens(&records[0], 1);
    lm_engine_free(e);
    assert_int_equal(records[5].finish, LM_FINISH_CANCELLED);
    for (size_t i = 0; i < 6; i++) {
        assert_true(records[i].finish == LM_FINISH_CANCELLED || records[i].count == 90);
        assert_false(records[i].late);
        record_release(&records[i]);
    }
    lm_engine_free(NULL);
    lm_model_close(&view);
    lm_llama_release(&m);
}

struct client {
    struct lm_engine *engine;
    uint64_t seed;
    struct lm_buf text;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    for (size_t i = 0; i < 5; i++) {
        struct lm_sampling s;
        lm_sampling_defaults(&s);
        s.max_tokens = 10, s.seed = c->seed + i;
        const uint32_t prompt[] = { TINY_BYTE + 'a', TINY_BYTE + 'b' };
        const enum lm_rc rc = lm_engine_complete(c->engine, prompt, 2, &s, &c->text, NULL, NULL);
        LM_ASSERT(rc == LM_OK);
    }
    return NULL;
}

static void many_threads_may_ask_at_once(void **state)
{
    (void)state;
    enum { CLIENTS = 6 };
    struct lm_llama m;
    struct lm_model view;
    struct lm_tokenizer *t = tiny_tokenizer();
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    reference_model(&m, &reference_configs[0], 8);
    lm_model_of_llama(&view, &m);
    struct lm_engine *e = engine_new(&view, t, &(struct lm_engine_config){ .sequences_max = 4 });
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){ .engine = e, .seed = i / 2 };   // pairs with the same seeds
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CLIENTS; i += 2)
        assert_true(lm_str_eq(lm_buf_str(&clients[i].text), lm_buf_str(&clients[i + 1].text)));
    const struct lm_engine_stats stats = lm_engine_stats(e);
    assert_int_equal(stats.running + stats.waiting, 0);
    assert_int_equal(stats.prompt_tokens, CLIENTS * 5 * 2);
    assert_true(stats.kv_usage == 0);
    lm_engine_free(e);
    for (size_t i = 0; i < CLIENTS; i++)
        lm_buf_release(&clients[i].text);
    lm_tokenizer_free(t);
    lm_model_close(&view);
    lm_llama_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_output_is_that_of_a_plain_double_precision_model),
        cmocka_unit_test(a_sequence_does_not_depend_on_batch_chunks_threads_or_memory),
        cmocka_unit_test(any_token_sequence_streams_to_its_end_as_valid_text),
        cmocka_unit_test(stop_strings_that_span_tokens_end_the_text_before_them),
        cmocka_unit_test(penalties_see_what_was_generated),
        cmocka_unit_test(what_cannot_be_served_is_refused_with_its_numbers),
        cmocka_unit_test(a_full_queue_refuses_and_a_cancelled_request_leaves_it),
        cmocka_unit_test(a_running_request_stops_within_a_step_and_gives_its_memory_back),
        cmocka_unit_test(an_engine_that_goes_away_cancels_everybody),
        cmocka_unit_test(many_threads_may_ask_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
