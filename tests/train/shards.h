#ifndef LM_TEST_SHARDS_H
#define LM_TEST_SHARDS_H
/* tests/train/shards.h - small token shards and a tokenizer to train with. */

#include "corpus/shard.h"

#include "../tensor/values.h"

#include <string.h>

struct shard_document {
    const uint32_t *tokens;   // the last one ends the text
    size_t len;
    const char *source;   // NULL: "a"
};

static inline void write_shard(const char *path, uint32_t vocab_size, const uint8_t *tokenizer_sha256,
                               const struct shard_document *documents, size_t count)
{
    static const uint8_t none[32];
    struct lm_shard_writer *w;
    struct lm_err err = { 0 };
    assert_int_equal(lm_shard_create(path, vocab_size, tokenizer_sha256 ? tokenizer_sha256 : none, &w, &err),
                     LM_OK);
    for (size_t d = 0; d < count; d++) {
        char id[33];
        snprintf(id, sizeof id, "%032zx", d);
        const struct shard_document *from = &documents[d];
        const struct lm_shard_document document = { lm_str(id), lm_str(from->source ? from->source : "a"),
                                                    from->len, from->tokens, from->len };
        if (lm_shard_add(w, &document, &err) != LM_OK)
            fail_msg("%s", err.text);
    }
    assert_int_equal(lm_shard_commit(w, &err), LM_OK);
}

#endif
