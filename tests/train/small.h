#ifndef LM_TEST_SMALL_H
#define LM_TEST_SMALL_H
/* tests/train/small.h - a small tokenizer and text to train on, made where the test stands. */

#include "base/file.h"
#include "token/tokenizer.h"

#include "shards.h"

enum { SMALL_DOCUMENTS = 60 };

/* Sentences from a small grammar: something can be learned, and it does not take long. */
static inline struct lm_str small_text(struct lm_arena *arena, uint64_t number)
{
    static const char *const nouns[] = {
        "table", "index", "view", "schema", "query", "server", "role", "row"
    };
    static const char *const verbs[] = { "creates", "drops", "locks", "reads", "changes", "names" };
    struct lm_rng rng = lm_rng_make(number, 1);
    struct lm_buf text = { 0 };
    const uint64_t sentences = 2 + lm_rng_below(&rng, 12);
    for (uint64_t i = 0; i < sentences; i++) {   // one draw a statement: arguments have no order
        const char *object = nouns[lm_rng_below(&rng, 8)];
        const char *verb = verbs[lm_rng_below(&rng, 6)];
        const char *subject = nouns[lm_rng_below(&rng, 8)];
        lm_buf_printf(&text, "The %s %s a %s. ", subject, verb, object);
    }
    char *copy = lm_arena_strndup(arena, text.ptr, text.len);
    const struct lm_str made = { copy, text.len };
    lm_buf_release(&text);
    return made;
}

static inline struct lm_tokenizer *small_tokenizer(const char *dir)
{
    struct lm_tokenizer_config config;
    struct lm_arena arena = { 0 };
    struct lm_str texts[SMALL_DOCUMENTS];
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    lm_opt_defaults(&lm_tokenizer_options, &config);
    config.vocab_size = 300;
    for (uint64_t i = 0; i < SMALL_DOCUMENTS; i++)
        texts[i] = small_text(&arena, i);
    assert_int_equal(lm_dir_make(dir, &err), LM_OK);
    if (lm_tokenizer_train(&config, texts, SMALL_DOCUMENTS, dir, &metrics, &err) != LM_OK ||
        lm_tokenizer_load(dir, &t, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_buf_release(&metrics);
    lm_arena_release(&arena);
    return t;
}

/* Documents [first, first + count) as a shard. */
static inline void small_shard(const char *path, const struct lm_tokenizer *t, uint64_t first, size_t count)
{
    struct lm_arena arena = { 0 };
    struct shard_document documents[SMALL_DOCUMENTS];
    struct lm_encoder *encoder = lm_encoder_new(t);
    for (size_t d = 0; d < count; d++) {
        struct lm_tokens tokens = { 0 };
        lm_encode(encoder, small_text(&arena, first + d), false, &tokens);
        uint32_t *ids = lm_arena_alloc(&arena, (tokens.len + 1) * sizeof *ids);
        memcpy(ids, tokens.ids, tokens.len * sizeof *ids);
        ids[tokens.len] = lm_tokenizer_end_of_text(t);
        documents[d] = (struct shard_document){ ids, tokens.len + 1 };
        lm_tokens_release(&tokens);
    }
    write_shard(path, lm_tokenizer_vocab_size(t), lm_tokenizer_sha256(t), documents, count);
    lm_encoder_free(encoder);
    lm_arena_release(&arena);
}

#endif
