#include "token/ngram_impl.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "models are read in place");

#define MAGIC "LOOMNGR2"

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

static size_t values_bytes(size_t slots, enum ngram_columns columns)
{
    return (slots * columns * sizeof(uint32_t) + 7) / 8 * 8;
}

static void put_table(struct out *o, const struct ngram_table *t, enum ngram_columns columns)
{
    const uint64_t counts[] = { t->size, t->used }, padding = 0;
    const size_t bytes = t->size * columns * sizeof *t->values;
    put(o, counts, sizeof counts);
    put(o, t->keys, t->size * sizeof *t->keys);
    put(o, t->values, bytes);
    put(o, &padding, values_bytes(t->size, columns) - bytes);
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
        put_table(&o, &m->grams[n], NGRAM_COUNT);
        put_table(&o, &m->contexts[n], NGRAM_TOTALS);
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

static bool gram_is_sound(const uint32_t *value)
{
    return *value > 0;
}

/* Something is left for what was not seen, and what was seen is in the total. */
static bool context_is_sound(const uint32_t *value)
{
    uint64_t least = 0, grams = 0;
    for (int i = 1; i <= NGRAM_CLASSES; i++) {
        least += value[i] * (uint64_t)i;
        grams += value[i];
    }
    return grams > 0 && value[0] >= least;
}

static enum lm_rc take_table(struct in *in, int n, const char *what, enum ngram_columns columns,
                             bool (*sound)(const uint32_t *), struct ngram_table *ret, struct lm_err *err)
{
    const char *keys, *values;
    uint64_t counts[2], used = 0;
    LM_TRY(take(in, sizeof counts, &keys, err));
    memcpy(counts, keys, sizeof counts);
    if (counts[1] + (counts[0] > 0) > counts[0] || counts[0] > in->left / sizeof(uint64_t))
        return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: %llu of %llu slots", in->path, what, n,
                       (unsigned long long)counts[1], (unsigned long long)counts[0]);
    LM_TRY(take(in, counts[0] * sizeof(uint64_t), &keys, err));
    LM_TRY(take(in, values_bytes(counts[0], columns), &values, err));
    const struct ngram_table t = { (uint64_t *)(uintptr_t)keys, (uint32_t *)(uintptr_t)values, counts[0],
                                   counts[1] };
    for (size_t i = 0; i < t.size; i++)
        if (t.keys[i]) {
            used++;
            if (!sound(t.values + i * columns))
                return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: slot %zu cannot be", in->path, what, n,
                               i);
        }
    if (used != t.used)
        return lm_fail(err, LM_EFORMAT, "%s: %s of order %d: %llu slots are used, not %zu", in->path, what, n,
                       (unsigned long long)used, t.used);
    *ret = t;
    return LM_OK;
}

static enum lm_rc read_model(struct lm_ngram *m, const char *path, uint8_t ret_sha256[32], struct lm_err *err)
{
    struct header h;
    LM_TRY(lm_map_open(&m->map, path, err));
    if (m->map.len < sizeof h || memcmp(m->map.ptr, MAGIC, sizeof h.magic) != 0)
        return lm_fail(err, LM_EFORMAT,
                       "%s: not an n-gram model of version 2; train it again if an older loom wrote it",
                       path);
    memcpy(&h, m->map.ptr, sizeof h);
    struct in in = { path, m->map.ptr + sizeof h, m->map.len - sizeof h };
    if (h.order < 1 || h.order > LM_NGRAM_ORDER_MAX || h.vocab_size == 0)
        return lm_fail(err, LM_EFORMAT, "%s: order %u and %u tokens cannot be", path, h.order, h.vocab_size);
    m->order = (int)h.order;
    m->vocab_size = h.vocab_size;
    memcpy(ret_sha256, h.tokenizer_sha256, sizeof h.tokenizer_sha256);
    LM_TRY(take_discounts(&in, m, err));
    for (int n = 1; n <= m->order; n++) {
        LM_TRY(take_table(&in, n, "n-grams", NGRAM_COUNT, gram_is_sound, &m->grams[n], err));
        LM_TRY(take_table(&in, n, "contexts", NGRAM_TOTALS, context_is_sound, &m->contexts[n], err));
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
