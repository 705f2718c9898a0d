/* Tokens go to the file at once, what is known of documents waits for the end. */
#include "corpus/shard.h"

#include "base/hash.h"
#include "base/mem.h"
#include "corpus/shard_format.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Names to numbers: open addressing, at most half full. */
struct names {
    struct lm_buf text;   // NUL between them
    uint32_t count;
    size_t *slots;   // 1 + where the name starts; 0: free
    uint32_t *numbers;
    size_t slot_count;
};

struct lm_shard_writer {
    struct lm_writer out;
    struct shard_header header;
    struct lm_hash64_stream *hash;
    uint64_t *ends, *doc_bytes;
    uint32_t *sources;
    size_t ends_cap, doc_bytes_cap, sources_cap;
    struct lm_buf ids;
    struct names names;
    uint16_t *narrow;   // scratch
    size_t narrow_cap;
    char *path;
};

static void names_release(struct names *n)
{
    lm_buf_release(&n->text);
    free(n->slots);
    free(n->numbers);
}

/* Where the name is or goes. */
static size_t slot_of(const struct names *n, struct lm_str name)
{
    size_t slot = lm_hash64(name.ptr, name.len) & (n->slot_count - 1);
    while (n->slots[slot] && !lm_str_eq(lm_str(n->text.ptr + n->slots[slot] - 1), name))
        slot = (slot + 1) & (n->slot_count - 1);
    return slot;
}

static void names_double(struct names *n)
{
    struct names more = { .slot_count = n->slot_count ? 2 * n->slot_count : 64 };
    more.slots = lm_zalloc(more.slot_count, sizeof(*more.slots));
    more.numbers = lm_zalloc(more.slot_count, sizeof(*more.numbers));
    more.text = n->text;
    more.count = n->count;
    for (size_t i = 0; i < n->slot_count; i++)
        if (n->slots[i]) {
            const size_t slot = slot_of(&more, lm_str(n->text.ptr + n->slots[i] - 1));
            more.slots[slot] = n->slots[i];
            more.numbers[slot] = n->numbers[i];
        }
    free(n->slots);
    free(n->numbers);
    *n = more;
}

static uint32_t number_of(struct names *n, struct lm_str name)
{
    if (2 * (size_t)n->count >= n->slot_count)
        names_double(n);
    const size_t slot = slot_of(n, name);
    if (!n->slots[slot]) {
        n->slots[slot] = 1 + n->text.len;
        n->numbers[slot] = n->count++;
        lm_buf_add_str(&n->text, name);
        lm_buf_putc(&n->text, 0);
    }
    return n->numbers[slot];
}

enum lm_rc lm_shard_create(const char *path, uint32_t vocab_size, const uint8_t tokenizer_sha256[32],
                           struct lm_shard_writer **ret, struct lm_err *err)
{
    LM_ASSERT(vocab_size > 0);
    struct lm_shard_writer *w = lm_zalloc(1, sizeof(*w));
    w->path = lm_strdup(path);
    w->hash = lm_hash64_start();
    w->header.token_bytes = shard_width(vocab_size);
    w->header.vocab_size = vocab_size;
    memcpy(w->header.magic, SHARD_MAGIC, sizeof(w->header.magic));
    memcpy(w->header.tokenizer_sha256, tokenizer_sha256, sizeof(w->header.tokenizer_sha256));
    const enum lm_rc rc = lm_writer_open(&w->out, path, err);
    if (rc != LM_OK) {
        lm_shard_abort(w);
        return rc;
    }
    const struct shard_header later = { 0 };
    fwrite(&later, sizeof(later), 1, w->out.stream);   // stdio errors are reported by commit
    *ret = w;
    return LM_OK;
}

static void put(struct lm_shard_writer *w, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    lm_hash64_add(w->hash, bytes, len);
    fwrite(bytes, 1, len, w->out.stream);
}

static void put_tokens(struct lm_shard_writer *w, const uint32_t *tokens, size_t count)
{
    if (w->header.token_bytes == 4) {
        put(w, tokens, count * sizeof(*tokens));
        return;
    }
    lm_grow(&w->narrow, &w->narrow_cap, count, sizeof(*w->narrow));
    for (size_t i = 0; i < count; i++)
        w->narrow[i] = (uint16_t)tokens[i];
    put(w, w->narrow, count * sizeof(*w->narrow));
}

static enum lm_rc check(const struct lm_shard_writer *w, const struct lm_shard_document *d,
                        struct lm_err *err)
{
    bool ok = d->id.len == SHARD_ID;
    for (size_t i = 0; ok && i < SHARD_ID; i++)
        ok = memchr("0123456789abcdef", d->id.ptr[i], 16) != NULL;
    if (!ok)
        return lm_fail(err, LM_EINVAL, "%s: document id '%.*s' is not %d hex digits in lower case", w->path,
                       d->id.len < 80 ? (int)d->id.len : 80, d->id.ptr, SHARD_ID);
    if (d->source.len == 0 || memchr(d->source.ptr, 0, d->source.len) ||
        w->names.text.len + d->source.len >= UINT32_MAX)
        return lm_fail(err, LM_EINVAL, "%s: document %.*s has a source without a usable name", w->path,
                       SHARD_ID, d->id.ptr);
    return LM_OK;
}

enum lm_rc lm_shard_add(struct lm_shard_writer *w, const struct lm_shard_document *document,
                        struct lm_err *err)
{
    struct shard_header *h = &w->header;
    LM_ASSERT(document->count > 0);
    for (size_t i = 0; i < document->count; i++)
        LM_ASSERT(document->tokens[i] < h->vocab_size);
    LM_TRY(check(w, document, err));

    put_tokens(w, document->tokens, document->count);
    h->token_count += document->count;
    h->text_bytes += document->text_bytes;
    lm_grow(&w->ends, &w->ends_cap, h->document_count + 1, sizeof(*w->ends));
    lm_grow(&w->doc_bytes, &w->doc_bytes_cap, h->document_count + 1, sizeof(*w->doc_bytes));
    lm_grow(&w->sources, &w->sources_cap, h->document_count + 1, sizeof(*w->sources));
    w->ends[h->document_count] = h->token_count;
    w->doc_bytes[h->document_count] = document->text_bytes;
    w->sources[h->document_count] = number_of(&w->names, document->source);
    h->document_count++;
    lm_buf_add_str(&w->ids, document->id);
    return LM_OK;
}

enum lm_rc lm_shard_commit(struct lm_shard_writer *w, struct lm_err *err)
{
    static const char zeros[8];
    struct shard_header *h = &w->header;
    const size_t documents = h->document_count;
    LM_ASSERT(w->ids.len == documents * SHARD_ID);
    put(w, zeros, shard_padding(h->token_count * h->token_bytes));
    put(w, w->ends, documents * sizeof(*w->ends));
    put(w, w->doc_bytes, documents * sizeof(*w->doc_bytes));
    put(w, w->ids.ptr, w->ids.len);
    put(w, w->sources, documents * sizeof(*w->sources));
    put(w, w->names.text.ptr, w->names.text.len);
    h->source_count = w->names.count;
    h->name_bytes = (uint32_t)w->names.text.len;
    h->hash = lm_hash64_value(w->hash);
    enum lm_rc rc = LM_OK;
    if (fseeko(w->out.stream, 0, SEEK_SET) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", w->path);
    if (rc == LM_OK) {
        fwrite(h, sizeof(*h), 1, w->out.stream);
        rc = lm_writer_commit(&w->out, err);
    }
    lm_shard_abort(w);   // after a commit nothing is open any more
    return rc;
}

void lm_shard_abort(struct lm_shard_writer *w)
{
    if (!w)
        return;
    lm_writer_abort(&w->out);
    lm_hash64_free(w->hash);
    free(w->ends);
    free(w->doc_bytes);
    free(w->sources);
    free(w->narrow);
    free(w->path);
    lm_buf_release(&w->ids);
    names_release(&w->names);
    free(w);
}
