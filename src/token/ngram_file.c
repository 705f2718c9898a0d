#include "token/ngram_impl.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "models are read in place");

#define MAGIC "LOOMNGR1"

struct header {
    char magic[8];
    uint32_t order, vocab_size;
    uint8_t tokenizer_sha256[32];
    uint64_t hash;   // of order to here, and of all behind
};
_Static_assert(sizeof(struct header) == 56, "as in ngram.h");

enum { HASHED = offsetof(struct header, hash) - offsetof(struct header, order) };

/* ---- writing ---- */

struct out {
    struct lm_writer writer;
    struct lm_hash64_stream *hash;
};

static void put(struct out *o, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    lm_hash64_add(o->hash, bytes, len);
    fwrite(bytes, 1, len, o->writer.stream);   // stdio errors are reported by commit
}

static void put_table(struct out *o, const struct ngram_table *t, size_t bytes)
{
    const uint64_t counts[] = { t->size, t->used };
    put(o, counts, sizeof counts);
    put(o, t->slots, t->size * bytes);
}

enum lm_rc lm_ngram_save(const struct lm_ngram *m, const uint8_t tokenizer_sha256[32], const char *path,
                         struct lm_err *err)
{
    struct out o = { 0 };
    struct header h = { MAGIC, (uint32_t)m->order, m->vocab_size, { 0 }, 0 };
    memcpy(h.tokenizer_sha256, tokenizer_sha256, sizeof h.tokenizer_sha256);
    LM_TRY(lm_writer_open(&o.writer, path, err));
    o.hash = lm_hash64_start();
    lm_hash64_add(o.hash, &h.order, HASHED);
    fwrite(&h, sizeof h, 1, o.writer.stream);
    for (int n = 1; n <= m->order; n++)
        put(&o, &m->discount[n][1], NGRAM_CLASSES * sizeof(double));
    for (int n = 1; n <= m->order; n++) {
        put_table(&o, &m->grams[n], sizeof(struct ngram_gram));
        put_table(&o, &m->contexts[n], sizeof(struct ngram_context));
    }
    h.hash = lm_hash64_value(o.hash);
    lm_hash64_free(o.hash);
    enum lm_rc rc = LM_OK;
    if (fseeko(o.writer.stream, 0, SEEK_SET) != 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot write '%s'", path);
    if (rc == LM_OK) {
        fwrite(&h, sizeof h, 1, o.writer.stream);
        rc = lm_writer_commit(&o.writer, err);
    }
    lm_writer_abort(&o.writer);
    return rc;
}

/* ---- reading ---- */

struct in {
    const char *path, *at;
    size_t left;
};

static enum lm_rc take(struct in *in, size_t len, const char **ret, struct lm_err *err)
{
    if (len > in->left)
        return lm_fail(err, LM_EFORMAT, "%s: an n-gram model that is cut short", in->path);
    *ret = in->at;
    in->at += len;
    in->left -= len;
    return LM_OK;
}

static enum lm_rc take_discounts(struct in *in, struct lm_ngram *m, struct lm_err *err)
{
    for (int n = 1; n <= m->order; n++) {
        const char *from;
        LM_TRY(take(in, NGRAM_CLASSES * sizeof(double), &from, err));
        memcpy(&m->discount[n][1], from, NGRAM_CLASSES * sizeof(double));
        for (int c = 1; c <= NGRAM_CLASSES; c++)
            if (!(m->discount[n][c] > 0 && m->discount[n][c] <= c))
                return lm_fail(err, LM_EFORMAT, "%s: discount %d of order %d is %g, outside 0..%d", in->path,
                               c, n, m->discount[n][c], c);
    }
    return LM_OK;
}

static bool gram_is_sound(const void *slot)
{
    const struct ngram_gram *g = slot;
    return g->count > 0 && g->count < UINT32_MAX;
}

/* Something is left for what was not seen, and what was seen is in the total. */
static bool context_is_sound(const void *slot)
{
    const struct ngram_context *c = slot;
    uint64_t least = 0, grams = 0;
    for (int i = 0; i < NGRAM_CLASSES; i++) {
        if (c->classes[i] > UINT32_MAX)
            return false;
        least += c->classes[i] * (uint64_t)(i + 1);
        grams += c->classes[i];
    }
    return grams > 0 && c->total >= least && c->total < UINT64_MAX / 2;
}

static enum lm_rc take_table(struct in *in, int n, const char *what, size_t bytes,
                             bool (*sound)(const void *), struct ngram_table *ret, struct lm_err *err)
{
    const char *from;
    uint64_t counts[2], used = 0;
    LM_TRY(take(in, sizeof counts, &from, err));
    memcpy(counts, from, sizeof counts);
    if ((counts[0] & (counts[0] - 1)) != 0 || counts[1] > counts[0] / 2 || counts[0] > in->left / bytes)
        return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: %llu of %llu slots", in->path, what, n,
                       (unsigned long long)counts[1], (unsigned long long)counts[0]);
    LM_TRY(take(in, counts[0] * bytes, &from, err));
    for (uint64_t i = 0; i < counts[0]; i++)
        if (*(const uint64_t *)(from + i * bytes)) {
            used++;
            if (!sound(from + i * bytes))
                return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: slot %llu cannot be", in->path, what, n,
                               (unsigned long long)i);
        }
    if (used != counts[1])
        return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: %llu slots are used, not %llu", in->path, what,
                       n, (unsigned long long)used, (unsigned long long)counts[1]);
    *ret = (struct ngram_table){ counts[0] ? (void *)(uintptr_t)from : NULL, counts[0], counts[1] };
    return LM_OK;
}

static enum lm_rc read_model(struct lm_ngram *m, const char *path, uint8_t ret_sha256[32], struct lm_err *err)
{
    struct header h;
    LM_TRY(lm_map_open(&m->map, path, err));
    if (m->map.len < sizeof h || memcmp(m->map.ptr, MAGIC, sizeof h.magic) != 0)
        return lm_fail(err, LM_EFORMAT, "%s: not an n-gram model of version 1", path);
    memcpy(&h, m->map.ptr, sizeof h);
    struct in in = { path, m->map.ptr + sizeof h, m->map.len - sizeof h };
    if (h.order < 1 || h.order > LM_NGRAM_ORDER_MAX || h.vocab_size == 0)
        return lm_fail(err, LM_EFORMAT, "%s: order %u and %u tokens cannot be", path, h.order, h.vocab_size);
    m->order = (int)h.order;
    m->vocab_size = h.vocab_size;
    memcpy(ret_sha256, h.tokenizer_sha256, sizeof h.tokenizer_sha256);
    LM_TRY(take_discounts(&in, m, err));
    for (int n = 1; n <= m->order; n++) {
        LM_TRY(take_table(&in, n, "n-grams", sizeof(struct ngram_gram), gram_is_sound, &m->grams[n], err));
        LM_TRY(take_table(&in, n, "contexts", sizeof(struct ngram_context), context_is_sound, &m->contexts[n],
                          err));
    }
    if (in.left != 0)
        return lm_fail(err, LM_EFORMAT, "%s: %zu bytes behind the model", path, in.left);
    struct lm_hash64_stream *hash = lm_hash64_start();
    lm_hash64_add(hash, m->map.ptr + offsetof(struct header, order), HASHED);
    lm_hash64_add(hash, m->map.ptr + sizeof h, m->map.len - sizeof h);
    const bool same = lm_hash64_value(hash) == h.hash;
    lm_hash64_free(hash);
    if (!same)
        return lm_fail(err, LM_EFORMAT, "%s: its bytes are not those that were written; train it again",
                       path);
    return LM_OK;
}

enum lm_rc lm_ngram_open(const char *path, uint8_t ret_tokenizer_sha256[32], struct lm_ngram **ret,
                         struct lm_err *err)
{
    struct lm_ngram *m = lm_zalloc(1, sizeof *m);
    const enum lm_rc rc = read_model(m, path, ret_tokenizer_sha256, err);
    if (rc == LM_OK)
        *ret = m;
    else
        lm_ngram_free(m);
    return rc;
}
