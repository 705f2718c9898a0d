#include "corpus/shard.h"

#include "base/hash.h"
#include "base/mem.h"
#include "corpus/shard_format.h"

#include <stdlib.h>
#include <string.h>

static enum lm_rc check_header(const struct shard_header *h, size_t file_bytes, const char *path,
                               struct lm_err *err)
{
    if (memcmp(h->magic, SHARD_MAGIC, sizeof(h->magic)) != 0)
        return lm_fail(err, LM_EFORMAT, "%s: not a token shard of version 2; build the tokens again", path);
    if (h->vocab_size == 0 || h->token_bytes != shard_width(h->vocab_size))
        return lm_fail(err, LM_EFORMAT, "%s: token width %u does not fit a vocabulary of %u", path,
                       h->token_bytes, h->vocab_size);
    const uint64_t body = file_bytes - sizeof(*h);   // the caller knows that there is a header
    if (h->token_count > body / h->token_bytes || h->document_count > body / SHARD_FIELDS)
        return lm_fail(err, LM_EFORMAT,
                       "%s: %zu bytes are too few for what the header announces; it is cut short", path,
                       file_bytes);
    const uint64_t tokens = h->token_count * h->token_bytes;
    const uint64_t announced =
        tokens + shard_padding(tokens) + h->document_count * SHARD_FIELDS + h->name_bytes;
    if (announced != body)
        return lm_fail(err, LM_EFORMAT, "%s: it has %zu bytes, but the header announces %llu", path,
                       file_bytes, (unsigned long long)(sizeof(*h) + announced));
    return LM_OK;
}

static enum lm_rc check_documents(const struct lm_shard *s, const char *path, struct lm_err *err)
{
    uint64_t last = 0, bytes = 0;
    for (uint64_t d = 0; d < s->document_count; d++) {
        const unsigned long long number = d;
        if (s->ends[d] <= last || s->ends[d] > s->token_count)
            return lm_fail(err, LM_EFORMAT, "%s: document %llu ends at token %llu, outside %llu..%llu", path,
                           number, (unsigned long long)s->ends[d], (unsigned long long)last + 1,
                           (unsigned long long)s->token_count);
        last = s->ends[d];
        if (s->doc_bytes[d] > s->text_bytes - bytes)
            return lm_fail(err, LM_EFORMAT, "%s: text bytes up to document %llu exceed the sum in the header",
                           path, number);
        bytes += s->doc_bytes[d];
        for (size_t i = 0; i < SHARD_ID; i++) {
            const char c = s->ids[d * SHARD_ID + i];
            if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
                return lm_fail(err, LM_EFORMAT, "%s: the id of document %llu is not hexadecimal", path,
                               number);
        }
    }
    if (last != s->token_count || bytes != s->text_bytes)
        return lm_fail(err, LM_EFORMAT, "%s: the documents do not add up to the counts in the header", path);
    return LM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* As many names as the header says, all different. */
static enum lm_rc check_names(const struct lm_shard *s, size_t name_bytes, const char *path,
                              struct lm_err *err)
{
    size_t count = 0, used = 0;
    if (name_bytes > 0 && s->names[name_bytes - 1] != 0)
        return lm_fail(err, LM_EFORMAT, "%s: the last name of a source does not end", path);
    const char **names = lm_zalloc(name_bytes / 2 + 1, sizeof(*names));   // a name has two bytes or more
    bool ok = true;
    for (const char *name = s->names; ok && used < name_bytes; name = lm_shard_next_name(name)) {
        ok = *name != 0;
        if (ok)
            names[count++] = name;
        used += strlen(name) + 1;
    }
    if (ok)
        qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 1; ok && i < count; i++)
        ok = strcmp(names[i - 1], names[i]) != 0;
    free(names);
    if (!ok || count != s->source_count)
        return lm_fail(err, LM_EFORMAT, "%s: the names of its %u sources are not that many different ones",
                       path, s->source_count);
    return LM_OK;
}

static enum lm_rc check_sources(const struct lm_shard *s, const char *path, struct lm_err *err)
{
    uint32_t seen = 0;
    for (uint64_t d = 0; d < s->document_count; d++) {
        if (s->sources[d] > seen || s->sources[d] >= s->source_count)
            return lm_fail(err, LM_EFORMAT, "%s: document %llu is of source %u, after %u of %u", path,
                           (unsigned long long)d, s->sources[d], seen, s->source_count);
        seen += s->sources[d] == seen;
    }
    return seen == s->source_count
               ? LM_OK
               : lm_fail(err, LM_EFORMAT, "%s: %u sources have no document", path, s->source_count - seen);
}

/* Every id, once, at memory speed: whoever looks up rows by id need not check again. */
static enum lm_rc check_tokens(const struct lm_shard *s, const char *path, struct lm_err *err)
{
    uint32_t largest = 0;
    if (s->token_bytes == 2) {
        const uint16_t *ids = s->tokens;
        uint16_t max = 0;
        for (uint64_t i = 0; i < s->token_count; i++)
            max = ids[i] > max ? ids[i] : max;
        largest = max;
    } else {
        const uint32_t *ids = s->tokens;
        for (uint64_t i = 0; i < s->token_count; i++)
            largest = ids[i] > largest ? ids[i] : largest;
    }
    if (largest >= s->vocab_size)
        return lm_fail(err, LM_EFORMAT, "%s: token id %u is outside the vocabulary of %u", path, largest,
                       s->vocab_size);
    return LM_OK;
}

static enum lm_rc read_shard(struct lm_shard *s, const char *path, bool whole, struct lm_err *err)
{
    LM_TRY(lm_map_open(&s->map, path, err));
    if (s->map.len < sizeof(struct shard_header))
        return lm_fail(err, LM_EFORMAT, "%s: %zu bytes are too few for a token shard", path, s->map.len);
    const struct shard_header *h = (const struct shard_header *)s->map.ptr;
    LM_TRY(check_header(h, s->map.len, path, err));
    s->token_bytes = h->token_bytes;
    s->vocab_size = h->vocab_size;
    s->token_count = h->token_count;
    s->document_count = h->document_count;
    s->text_bytes = h->text_bytes;
    memcpy(s->tokenizer_sha256, h->tokenizer_sha256, sizeof(s->tokenizer_sha256));
    const uint64_t bytes = s->token_count * s->token_bytes;
    s->tokens = s->map.ptr + sizeof(*h);
    s->ends = (const uint64_t *)(s->map.ptr + sizeof(*h) + bytes + shard_padding(bytes));
    s->doc_bytes = s->ends + s->document_count;
    s->ids = (const char *)(s->doc_bytes + s->document_count);
    s->sources = (const uint32_t *)(s->ids + s->document_count * SHARD_ID);
    s->source_count = h->source_count;
    s->names = (const char *)(s->sources + s->document_count);
    for (size_t i = 0; i < shard_padding(bytes); i++)
        if (((const char *)s->tokens)[bytes + i] != 0)
            return lm_fail(err, LM_EFORMAT, "%s: the padding behind the tokens is not zero", path);
    if (!whole)
        return LM_OK;
    LM_TRY(check_documents(s, path, err));
    LM_TRY(check_names(s, h->name_bytes, path, err));
    LM_TRY(check_sources(s, path, err));
    LM_TRY(check_tokens(s, path, err));
    if (lm_hash64(s->map.ptr + sizeof(*h), s->map.len - sizeof(*h)) != h->hash)
        return lm_fail(err, LM_EFORMAT,
                       "%s: its bytes are not those that were written; build the tokens again", path);
    return LM_OK;
}

static enum lm_rc open_shard(struct lm_shard *shard, const char *path, bool whole, struct lm_err *err)
{
    struct lm_shard s = { 0 };
    const enum lm_rc rc = read_shard(&s, path, whole, err);
    if (rc == LM_OK)
        *shard = s;
    else
        lm_shard_close(&s);
    return rc;
}

enum lm_rc lm_shard_open(struct lm_shard *shard, const char *path, struct lm_err *err)
{
    return open_shard(shard, path, true, err);
}

enum lm_rc lm_shard_open_header(struct lm_shard *shard, const char *path, struct lm_err *err)
{
    return open_shard(shard, path, false, err);
}

void lm_shard_close(struct lm_shard *shard)
{
    lm_map_close(&shard->map);
    *shard = (struct lm_shard){ 0 };
}

void lm_shard_get(const struct lm_shard *shard, uint64_t at, size_t count, uint32_t *ret)
{
    LM_ASSERT(at <= shard->token_count && count <= shard->token_count - at);
    if (shard->token_bytes == 2) {
        const uint16_t *ids = (const uint16_t *)shard->tokens + at;
        for (size_t i = 0; i < count; i++)
            ret[i] = ids[i];
    } else if (count > 0) {
        memcpy(ret, (const uint32_t *)shard->tokens + at, count * sizeof(*ret));
    }
}

uint64_t lm_shard_doc_start(const struct lm_shard *shard, uint64_t document)
{
    LM_ASSERT(document < shard->document_count);
    return document == 0 ? 0 : shard->ends[document - 1];
}

uint64_t lm_ends_find(const uint64_t *ends, uint64_t count, uint64_t at)
{
    LM_ASSERT(count > 0 && at < ends[count - 1]);
    uint64_t low = 0, high = count - 1;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (ends[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t lm_shard_doc_at(const struct lm_shard *shard, uint64_t token)
{
    return lm_ends_find(shard->ends, shard->document_count, token);
}
