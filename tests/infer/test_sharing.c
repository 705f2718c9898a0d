#include "base/rng.h"
#include "harness.h"
#include "infer/engine.h"
#include "infer/kv.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REQUESTS = 24, PROMPT_MAX = 60, NEW = 20, VOCAB = 300 };

struct world {
    struct lm_llama llama;
    struct lm_model model;
    uint32_t prompts[REQUESTS][PROMPT_MAX];
    size_t lens[REQUESTS];
};

/* Prompts that are equal up to some place, and of any length. */
static void world_begin(struct world *w)
{
    struct lm_rng rng = lm_rng_make(11, 0);
    reference_model(&w->llama, &reference_configs[0], 21);
    lm_model_of_llama(&w->model, &w->llama);
    for (size_t r = 0; r < REQUESTS; r++) {
        const size_t common = r ? (size_t)lm_rng_below(&rng, PROMPT_MAX) : 0;
        const size_t like = r ? (size_t)lm_rng_below(&rng, r) : 0;
        w->lens[r] = 1 + (size_t)lm_rng_below(&rng, PROMPT_MAX);
        for (size_t i = 0; i < PROMPT_MAX; i++)
            w->prompts[r][i] = i < common ? w->prompts[like][i] : (uint32_t)lm_rng_below(&rng, VOCAB);
    }
}

static void world_end(struct world *w)
{
    lm_model_close(&w->model);
    lm_llama_release(&w->llama);
}

static struct lm_engine *engine(const struct world *w, const struct lm_engine_config *config)
{
    struct lm_engine *e;
    struct lm_err err = { 0 };
    if (lm_engine_new(&w->model, NULL, config, &e, &err) != LM_OK)
        fail_msg("%s", err.text);
    return e;
}

static struct lm_sampling sampling_of(size_t request)
{
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.max_tokens = NEW, s.seed = request, s.logprobs = true, s.temperature = 3;
    s.presence_penalty = request % 3 == 0 ? 1 : 0;
    return s;
}

/* All requests at once; every `cancel_every`-th is cancelled after 5 tokens. */
static struct lm_engine_stats run(const struct world *w, const struct lm_engine_config *config,
                                  size_t cancel_every, struct record *records)
{
    struct lm_engine *e = engine(w, config);
    for (size_t r = 0; r < REQUESTS; r++) {
        const struct lm_sampling s = sampling_of(r);
        record_init(&records[r]);
        if (cancel_every && r % cancel_every == 0)
            records[r].cancel_from = e, records[r].cancel_at = 5;
        assert_int_equal(lm_engine_submit(e, w->prompts[r], w->lens[r], &s, record_sink, &records[r],
                                          &records[r].ticket, NULL),
                         LM_OK);
    }
    for (size_t r = 0; r < REQUESTS; r++)
        record_wait(&records[r]);
    const struct lm_engine_stats stats = lm_engine_stats(e);
    lm_engine_free(e);
    return stats;
}

static void release(struct record *records)
{
    for (size_t r = 0; r < REQUESTS; r++)
        record_release(&records[r]);
}

static void texts_and_logprobs_are_the_same_with_and_without_sharing(void **state)
{
    (void)state;
    static struct world w;
    static struct record want[REQUESTS], got[REQUESTS];
    world_begin(&w);
    const struct lm_engine_config alone = { .sequences_max = 1, .share_nothing = true };
    const struct lm_engine_stats without = run(&w, &alone, 0, want);
    assert_int_equal(without.prefix_hits, 0);
    assert_int_equal(without.prompt_tokens, without.prefix_queries);
    const struct lm_engine_config configs[] = {
        { .sequences_max = 1 },
        { .sequences_max = 16, .prefill_tokens = 64 },
        { .sequences_max = 16, .prefill_tokens = 7 },
        { .sequences_max = 5, .prefill_tokens = 33, .kv_tokens_max = 160 },   // evicts all the time
        { .sequences_max = 3, .prefill_tokens = 1, .kv_tokens_max = 80 },
    };
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++)
        for (size_t cancel_every = 0; cancel_every < 6; cancel_every += 5) {
            const struct lm_engine_stats stats = run(&w, &configs[c], cancel_every, got);
            assert_true(stats.prefix_hits > 0);
            assert_true(stats.kv_usage == 0);   // nothing leaks
            if (!cancel_every)
                assert_true(stats.prompt_tokens <= without.prompt_tokens);
            for (size_t r = 0; r < REQUESTS; r++) {
                assert_false(got[r].late);
                assert_true(got[r].count == NEW || got[r].finish == LM_FINISH_CANCELLED ||
                            got[r].count == want[r].count);
                assert_memory_equal(got[r].tokens, want[r].tokens, got[r].count * sizeof(uint32_t));
                assert_memory_equal(got[r].logprobs, want[r].logprobs, got[r].count * sizeof(float));
            }
            release(got);
        }
    release(want);
    world_end(&w);
}

/* Positions of the prompt that an engine had to compute for it. */
static size_t computed_for(struct lm_engine *e, const uint32_t *prompt, size_t len, uint64_t salt)
{
    struct lm_sampling s = sampling_of(0);
    struct lm_buf text = { 0 };
    s.salt = salt;
    const struct lm_engine_stats before = lm_engine_stats(e);
    assert_int_equal(lm_engine_complete(e, prompt, len, &s, &text, NULL, NULL), LM_OK);
    const struct lm_engine_stats after = lm_engine_stats(e);
    const size_t hits = after.prefix_hits - before.prefix_hits;
    assert_int_equal(after.prefix_queries - before.prefix_queries, len);
    assert_int_equal(after.prompt_tokens - before.prompt_tokens, len - hits);
    lm_buf_release(&text);
    return len - hits;
}

static void a_known_beginning_is_not_computed_again(void **state)
{
    (void)state;
    static struct world w;
    world_begin(&w);
    struct lm_engine *e = engine(&w, NULL);
    uint32_t *p = w.prompts[0];
    assert_int_equal(computed_for(e, p, 48, 0), 48);
    assert_int_equal(computed_for(e, p, 48, 0), 16);   // the last token is wanted, and with it its block
    assert_int_equal(computed_for(e, p, 49, 0), 1);
    assert_int_equal(computed_for(e, p, 33, 0), 1);
    assert_int_equal(computed_for(e, p, 16, 0), 16);
    p[20]++;
    assert_int_equal(computed_for(e, p, 48, 0), 32);
    p[20]--, p[0]++;
    assert_int_equal(computed_for(e, p, 48, 0), 48);
    lm_engine_free(e);
    world_end(&w);
}

static void salts_share_nothing(void **state)
{
    (void)state;
    static struct world w;
    world_begin(&w);
    struct lm_engine *e = engine(&w, NULL);
    for (uint64_t salt = 0; salt < 4; salt++)
        assert_int_equal(computed_for(e, w.prompts[0], 48, salt << 40), 48);
    for (uint64_t salt = 0; salt < 4; salt++)
        assert_int_equal(computed_for(e, w.prompts[0], 48, salt << 40), 16);
    lm_engine_free(e);
    world_end(&w);
}

/* Generated tokens may be computed another way than prompts: their positions are nobody else's. */
static void what_was_generated_is_not_shared(void **state)
{
    (void)state;
    static struct world w;
    static struct record r;
    world_begin(&w);
    struct lm_engine *e = engine(&w, NULL);
    const struct lm_sampling s = sampling_of(3);
    record_init(&r);
    assert_int_equal(lm_engine_submit(e, w.prompts[0], 40, &s, record_sink, &r, NULL, NULL), LM_OK);
    record_wait(&r);
    uint32_t turn[40 + NEW];
    memcpy(turn, w.prompts[0], 40 * sizeof turn[0]);
    memcpy(turn + 40, r.tokens, r.count * sizeof turn[0]);
    assert_int_equal(computed_for(e, turn, 40 + r.count, 0), 40 + r.count - 32);
    lm_engine_free(e);
    record_release(&r);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_logprobs_are_the_same_with_and_without_sharing),
        cmocka_unit_test(a_known_beginning_is_not_computed_again),
        cmocka_unit_test(salts_share_nothing),
        cmocka_unit_test(what_was_generated_is_not_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
