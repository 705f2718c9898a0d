#include "corpus/shard.h"

#include <sys/types.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shards are read in place");

enum { DOCUMENT_ID = 32, FIELDS_BYTES = 8 + 8 + DOCUMENT_ID };   // of one document, behind the tokens
static const char magic[8] = "LOOMTOK1";

struct header {
    char magic[8];
    uint32_t token_bytes, vocab_size;
    uint64_t token_count, document_count, text_bytes;
    uint8_t tokenizer_sha256[32];
    uint64_t reserved;
};
_Static_assert(sizeof(struct header) == 80, "as in shard.h");

static uint32_t width_for(uint32_t vocab_size)
{
    return vocab_size <= 1 << 16 ? 2 : 4;
}

/* Bytes to add behind the tokens so that what follows is aligned. */
static size_t padding(uint64_t token_bytes)
{
    return (8 - token_bytes % 8) % 8;
}

/* ---- reading ---- */

static enum lm_rc check_header(const struct header *h, size_t file_bytes, const char *path,
                               struct lm_err *err)
{
    if (memcmp(h->magic, magic, sizeof(magic)) != 0)
        return lm_fail(err, LM_EFORMAT, "%s: not a token shard of version 1", path);
    if (h->vocab_size == 0 || h->token_bytes != width_for(h->vocab_size))
        return lm_fail(err, LM_EFORMAT, "%s: token width %u does not fit a vocabulary of %u", path,
                       h->token_bytes, h->vocab_size);
    if (h->reserved != 0)
        return lm_fail(err, LM_EFORMAT, "%s: reserved bytes of the header are in use", path);
    const uint64_t body = file_bytes - sizeof(*h);   // the caller knows that there is a header
    if (h->token_count > body / h->token_bytes || h->document_count > body / FIELDS_BYTES)
        return lm_fail(err, LM_EFORMAT,
                       "%s: %zu bytes are too few for what the header announces; it is cut short", path,
                       file_bytes);
    const uint64_t tokens = h->token_count * h->token_bytes;
    if (tokens + padding(tokens) + h->document_count * FIELDS_BYTES != body)
        return lm_fail(
            err, LM_EFORMAT, "%s: it has %zu bytes, but the header announces %llu", path, file_bytes,
            (unsigned long long)(sizeof(*h) + tokens + padding(tokens) + h->document_count * FIELDS_BYTES));
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
        for (size_t i = 0; i < DOCUMENT_ID; i++) {
            const char c = s->ids[d * DOCUMENT_ID + i];
            if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
                return lm_fail(err, LM_EFORMAT, "%s: the id of document %llu is not hexadecimal", path,
                               number);
        }
    }
    if (last != s->token_count || bytes != s->text_bytes)
        return lm_fail(err, LM_EFORMAT, "%s: the documents do not add up to the counts in the header", path);
    return LM_OK;
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
    if (s->map.len < sizeof(struct header))
        return lm_fail(err, LM_EFORMAT, "%s: %zu bytes are too few for a token shard", path, s->map.len);
    const struct header *h = (const struct header *)s->map.ptr;
    LM_TRY(check_header(h, s->map.len, path, err));
    s->token_bytes = h->token_bytes;
    s->vocab_size = h->vocab_size;
    s->token_count = h->token_count;
    s->document_count = h->document_count;
    s->text_bytes = h->text_bytes;
    memcpy(s->tokenizer_sha256, h->tokenizer_sha256, sizeof(s->tokenizer_sha256));
    const uint64_t bytes = s->token_count * s->token_bytes;
    s->tokens = s->map.ptr + sizeof(*h);
    s->ends = (const uint64_t *)(s->map.ptr + sizeof(*h) + bytes + padding(bytes));
    s->doc_bytes = s->ends + s->document_count;
    s->ids = (const char *)(s->doc_bytes + s->document_count);
    for (size_t i = 0; i < padding(bytes); i++)
        if (((const char *)s->tokens)[bytes + i] != 0)
            return lm_fail(err, LM_EFORMAT, "%s: the padding behind the tokens is not zero", path);
    if (!whole)
        return LM_OK;
    LM_TRY(check_documents(s, path, err));
    return check_tokens(s, path, err);
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

uint64_t lm_shard_doc_at(const struct lm_shard *shard, uint64_t token)
{
    LM_ASSERT(token < shard->token_count);
    uint64_t low = 0, high = shard->document_count - 1;   // the first whose end is behind the token
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (shard->ends[middle] > token)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- writing: tokens go to the file at once, what is known of documents waits for the end ---- */

struct lm_shard_writer {
    struct lm_writer out;
    struct header header;
    uint64_t *ends, *doc_bytes;
    size_t ends_cap, doc_bytes_cap;
    struct lm_buf ids;
    uint16_t *narrow;   // scratch
    size_t narrow_cap;
    char *path;
};

enum lm_rc lm_shard_create(const char *path, uint32_t vocab_size, const uint8_t tokenizer_sha256[32],
                           struct lm_shard_writer **ret, struct lm_err *err)
{
    LM_ASSERT(vocab_size > 0);
    struct lm_shard_writer *w = lm_zalloc(1, sizeof(*w));
    w->path = lm_strdup(path);
    w->header.token_bytes = width_for(vocab_size);
    w->header.vocab_size = vocab_size;
    memcpy(w->header.magic, magic, sizeof(magic));
    memcpy(w->header.tokenizer_sha256, tokenizer_sha256, sizeof(w->header.tokenizer_sha256));
    const enum lm_rc rc = lm_writer_open(&w->out, path, err);
    if (rc != LM_OK) {
        lm_shard_abort(w);
        return rc;
    }
    const struct header later = { 0 };
    fwrite(&later, sizeof(later), 1, w->out.stream);   // stdio errors are reported by commit
    *ret = w;
    return LM_OK;
}

static void write_tokens(struct lm_shard_writer *w, const uint32_t *tokens, size_t count)
{
    if (w->header.token_bytes == 4) {
        fwrite(tokens, sizeof(*tokens), count, w->out.stream);
        return;
    }
    lm_grow(&w->narrow, &w->narrow_cap, count, sizeof(*w->narrow));
    for (size_t i = 0; i < count; i++)
        w->narrow[i] = (uint16_t)tokens[i];
    fwrite(w->narrow, sizeof(*w->narrow), count, w->out.stream);
}

enum lm_rc lm_shard_add(struct lm_shard_writer *w, struct lm_str document_id, uint64_t text_bytes,
                        const uint32_t *tokens, size_t count, struct lm_err *err)
{
    LM_ASSERT(count > 0);
    for (size_t i = 0; i < count; i++)
        LM_ASSERT(tokens[i] < w->header.vocab_size);
    bool ok = document_id.len == DOCUMENT_ID;
    for (size_t i = 0; ok && i < DOCUMENT_ID; i++)
        ok = memchr("0123456789abcdef", document_id.ptr[i], 16) != NULL;
    if (!ok)
        return lm_fail(err, LM_EINVAL, "%s: document id '%.*s' is not %d hex digits in lower case", w->path,
                       document_id.len < 80 ? (int)document_id.len : 80, document_id.ptr, DOCUMENT_ID);

    struct header *h = &w->header;
    write_tokens(w, tokens, count);
    h->token_count += count;
    h->text_bytes += text_bytes;
    lm_grow(&w->ends, &w->ends_cap, h->document_count + 1, sizeof(*w->ends));
    lm_grow(&w->doc_bytes, &w->doc_bytes_cap, h->document_count + 1, sizeof(*w->doc_bytes));
    w->ends[h->document_count] = h->token_count;
    w->doc_bytes[h->document_count] = text_bytes;
    h->document_count++;
    lm_buf_add_str(&w->ids, document_id);
    return LM_OK;
}

enum lm_rc lm_shard_commit(struct lm_shard_writer *w, struct lm_err *err)
{
    static const char zeros[8];
    FILE *out = w->out.stream;
    const size_t documents = w->header.document_count;
    LM_ASSERT(w->ids.len == documents * DOCUMENT_ID);
    fwrite(zeros, 1, padding(w->header.token_count * w->header.token_bytes), out);
    if (documents > 0) {
        fwrite(w->ends, sizeof(*w->ends), documents, out);
        fwrite(w->doc_bytes, sizeof(*w->doc_bytes), documents, out);
        fwrite(w->ids.ptr, 1, w->ids.len, out);
    }
    enum lm_rc rc = LM_OK;
    if (fseeko(out, 0, SEEK_SET) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", w->path);
    if (rc == LM_OK) {
        fwrite(&w->header, sizeof(w->header), 1, out);
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
    free(w->ends);
    free(w->doc_bytes);
    free(w->narrow);
    free(w->path);
    lm_buf_release(&w->ids);
    free(w);
}
