/* fuzz_token_shard: any bytes as a token shard.  What opens is consistent: every document lies in the tokens,
 * every id in the vocabulary, and writing it again gives the same bytes. */
#include <stdlib.h>
#include <unistd.h>

#include "corpus/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *name_of(const struct lm_shard *s, uint32_t source)
{
    const char *name = s->names;
    for (uint32_t i = 0; i < source; i++)
        name = lm_shard_next_name(name);
    return name;
}

static void write_again(const struct lm_shard *s, const char *path)
{
    struct lm_shard_writer *w = NULL;
    if (lm_shard_create(path, s->vocab_size, s->tokenizer_sha256, &w, NULL) != LM_OK)
        abort();
    for (uint64_t d = 0; d < s->document_count; d++) {
        const uint64_t start = lm_shard_doc_start(s, d), count = s->ends[d] - start;
        LM_FREE uint32_t *ids = lm_alloc(count * sizeof(*ids));
        lm_shard_get(s, start, count, ids);
        if (lm_shard_doc_at(s, start) != d || lm_shard_doc_at(s, s->ends[d] - 1) != d)
            abort();
        const struct lm_shard_document document = {
            { s->ids + 32 * d, 32 }, lm_str(name_of(s, s->sources[d])), s->doc_bytes[d], ids, count
        };
        if (lm_shard_add(w, &document, NULL) != LM_OK)
            abort();
    }
    if (lm_shard_commit(w, NULL) != LM_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], again[64];
    snprintf(path, sizeof(path), "/dev/shm/fuzz_token_shard.%d", (int)getpid());
    snprintf(again, sizeof(again), "/dev/shm/fuzz_token_shard_again.%d", (int)getpid());
    if (lm_file_write(path, (struct lm_str){ (const char *)data, size }, NULL) != LM_OK)
        abort();
    struct lm_shard shard;
    struct lm_err err = { 0 };
    if (lm_shard_open(&shard, path, &err) == LM_OK) {
        write_again(&shard, again);
        struct lm_buf bytes = { 0 };
        if (lm_file_read(again, size, &bytes, NULL) != LM_OK || bytes.len != size ||
            memcmp(bytes.ptr, data, size) != 0)
            abort();
        lm_buf_release(&bytes);
        lm_shard_close(&shard);
        unlink(again);
    } else if (!err.text[0]) {
        abort();
    }
    unlink(path);
    return 0;
}
