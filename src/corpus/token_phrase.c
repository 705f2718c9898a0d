/* corpus/token_phrase.c - documents that hold tokens one after the other. */
#include "corpus/shard.h"
#include "corpus/token_table.h"
#include "store/db.h"

enum { COUNT_BITS = 24, SPLITS_MAX = 2 };
static const char *const split_names[SPLITS_MAX] = { "train", "heldout" };

struct numbers {
    uint64_t *items;
    size_t len, cap;
};

/* ---- candidates: documents with all of the tokens ---- */

/* The document numbers of a list "[n,n,...]". */
static bool add_list(struct lm_str list, struct numbers *ret)
{
    uint64_t value = 0;
    for (size_t i = 1; i < list.len; i++) {
        const char c = list.ptr[i];
        if (c >= '0' && c <= '9') {
            value = value * 10 + (uint64_t)(c - '0');
            continue;
        }
        if (c != ',' && c != ']')
            return false;
        lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
        ret->items[ret->len++] = value >> COUNT_BITS;
        value = 0;
    }
    return true;
}

static enum lm_rc read_postings(struct lm_db *db, uint32_t id, struct numbers *ret, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    ret->len = 0;
    LM_TRY(lm_db_query(db, &rows, err,
                       "SELECT documents FROM posting WHERE token_id = ? ORDER BY first_document", "i",
                       (int64_t)id));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK)
        if (!add_list(lm_db_text(rows, 0), ret)) {
            rc = lm_fail(err, LM_EFORMAT, "the token table has a damaged list of documents for token %u", id);
            break;
        }
    lm_db_end(rows);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* Keeps what is in both; both ascend. */
static void intersect(struct numbers *a, const struct numbers *b)
{
    size_t kept = 0;
    for (size_t i = 0, k = 0; i < a->len && k < b->len;) {
        if (a->items[i] == b->items[k])
            a->items[kept++] = a->items[i];
        const bool next = a->items[i] <= b->items[k];
        k += a->items[i] >= b->items[k];
        i += next;
    }
    a->len = kept;
}

static enum lm_rc find_candidates(struct lm_db *db, const uint32_t *ids, size_t count, struct numbers *ret,
                                  struct lm_err *err)
{
    struct numbers one = { 0 };
    enum lm_rc rc = read_postings(db, ids[0], ret, err);
    for (size_t i = 1; rc == LM_OK && i < count && ret->len > 0; i++) {
        rc = read_postings(db, ids[i], &one, err);
        intersect(ret, &one);
    }
    free(one.items);
    return rc;
}

/* ---- whether they stand together ---- */

#define COUNT_IN(type)                                                                                       \
    static uint64_t count_in_##type(const type *tokens, uint64_t len, const uint32_t *ids, size_t count)     \
    {                                                                                                        \
        uint64_t found = 0;                                                                                  \
        for (uint64_t at = 0; at + count <= len; at++) {                                                     \
            if (tokens[at] != ids[0])                                                                        \
                continue;                                                                                    \
            size_t same = 1;                                                                                 \
            while (same < count && tokens[at + same] == ids[same])                                           \
                same++;                                                                                      \
            found += same == count;                                                                          \
        }                                                                                                    \
        return found;                                                                                        \
    }
COUNT_IN(uint16_t)
COUNT_IN(uint32_t)

/* UINT64_MAX: the shard does not say where the document is. */
static uint64_t count_phrase(const struct lm_shard *s, uint64_t document, const uint32_t *ids, size_t count)
{
    if (document >= s->document_count)
        return UINT64_MAX;
    const uint64_t start = lm_shard_doc_start(s, document), end = s->ends[document];
    if (start > end || end > s->token_count)
        return UINT64_MAX;
    if (s->token_bytes == 2)
        return count_in_uint16_t((const uint16_t *)s->tokens + start, end - start, ids, count);
    return count_in_uint32_t((const uint32_t *)s->tokens + start, end - start, ids, count);
}

/* Which shard a document is in, and where. */
struct places {
    struct lm_shard shards[SPLITS_MAX];
    bool open[SPLITS_MAX];
    struct lm_buf bits;
    uint64_t seen, ones;   // documents before `seen`, of them held out
};

static bool bit_of(const struct places *p, uint64_t document)
{
    return (uint8_t)p->bits.ptr[document / 8] >> document % 8 & 1;
}

/* Moves on to the document; they come in ascending order. */
static uint64_t place_of(struct places *p, uint64_t document, size_t *ret_split)
{
    for (; p->seen % 8 != 0 && p->seen < document; p->seen++)
        p->ones += bit_of(p, p->seen);
    for (; p->seen + 8 <= document; p->seen += 8)
        p->ones += (uint64_t)__builtin_popcount((uint8_t)p->bits.ptr[p->seen / 8]);
    for (; p->seen < document; p->seen++)
        p->ones += bit_of(p, p->seen);
    *ret_split = bit_of(p, document);
    return *ret_split ? p->ones : document - p->ones;
}

static enum lm_rc read_bits(struct lm_db *db, const char *db_path, struct places *p, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT bits FROM heldout", ""));
    const enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK)
        lm_buf_add_str(&p->bits, lm_db_text(rows, 0));
    lm_db_end(rows);
    return rc == LM_ENOTHING ? lm_fail(err, LM_EFORMAT, "%s: its table 'heldout' is empty", db_path) : rc;
}

static enum lm_rc open_places(struct lm_db *db, const char *db_path, struct places *p, struct lm_err *err)
{
    LM_TRY(read_bits(db, db_path, p, err));
    for (size_t i = 0; i < SPLITS_MAX; i++) {
        struct lm_buf path = { 0 };
        lm_buf_add(&path, db_path, (size_t)(lm_path_base(db_path) - db_path));
        lm_buf_printf(&path, "%s.tokens", split_names[i]);
        const enum lm_rc rc = lm_shard_open_header(&p->shards[i], path.ptr, err);
        lm_buf_release(&path);
        LM_TRY(rc);
        p->open[i] = true;
    }
    return LM_OK;
}

static void close_places(struct places *p)
{
    for (size_t i = 0; i < SPLITS_MAX; i++)
        if (p->open[i])
            lm_shard_close(&p->shards[i]);
    lm_buf_release(&p->bits);
}

static void add_hit(struct lm_phrase_hits *h, uint64_t document, uint64_t count)
{
    if (h->len == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->documents = lm_realloc(h->documents, h->cap, sizeof(*h->documents));
        h->counts = lm_realloc(h->counts, h->cap, sizeof(*h->counts));
    }
    h->documents[h->len] = document;
    h->counts[h->len++] = count;
}

static enum lm_rc check_all(struct lm_db *db, const char *db_path, const struct numbers *candidates,
                            const uint32_t *ids, size_t count, struct lm_phrase_hits *ret, struct lm_err *err)
{
    struct places p = { .seen = 0 };
    enum lm_rc rc = open_places(db, db_path, &p, err);
    for (size_t i = 0; rc == LM_OK && i < candidates->len; i++) {
        const uint64_t document = candidates->items[i];
        uint64_t found = UINT64_MAX;
        if (document / 8 < p.bits.len && document >= p.seen) {
            size_t split;
            const uint64_t place = place_of(&p, document, &split);
            found = count_phrase(&p.shards[split], place, ids, count);
        }
        if (found == UINT64_MAX)
            rc = lm_fail(err, LM_EFORMAT, "%s: document %llu is not in the shards beside it", db_path,
                         (unsigned long long)document);
        else if (found > 0)
            add_hit(ret, document, found);
    }
    close_places(&p);
    return rc;
}

enum lm_rc lm_token_phrase(const char *db_path, const uint32_t *ids, size_t count, struct lm_phrase_hits *ret,
                           struct lm_err *err)
{
    struct lm_db *db = NULL;
    struct numbers candidates = { 0 };
    if (count == 0)
        return lm_fail(err, LM_EINVAL, "an empty phrase is in every document");
    LM_TRY(lm_db_open_finished(db_path, &db, err));
    enum lm_rc rc = find_candidates(db, ids, count, &candidates, err);
    if (rc == LM_OK)
        rc = check_all(db, db_path, &candidates, ids, count, ret, err);
    free(candidates.items);
    lm_db_close(db);
    return rc;
}

void lm_phrase_hits_release(struct lm_phrase_hits *h)
{
    free(h->documents);
    free(h->counts);
    *h = (struct lm_phrase_hits){ 0 };
}
