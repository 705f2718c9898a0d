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

/* UINT64_MAX: the shard does not say where the document is. */
static uint64_t count_phrase(const struct lm_shard *s, uint64_t document, const uint32_t *ids, size_t count)
{
    const uint64_t start = lm_shard_doc_start(s, document), end = s->ends[document];
    uint64_t found = 0;
    if (start > end || end > s->token_count)
        return UINT64_MAX;
    for (uint64_t at = start; at + count <= end; at++) {
        size_t same = 0;
        uint32_t id;
        while (same < count && (lm_shard_get(s, at + same, 1, &id), id == ids[same]))
            same++;
        found += same == count;
    }
    return found;
}

struct shards {
    struct lm_shard items[SPLITS_MAX];
    bool open[SPLITS_MAX];
};

static enum lm_rc find_shard(struct shards *shards, const char *db_path, struct lm_str split,
                             const struct lm_shard **ret, struct lm_err *err)
{
    for (size_t i = 0; i < SPLITS_MAX; i++) {
        if (!lm_str_eq(split, lm_str(split_names[i])))
            continue;
        if (!shards->open[i]) {
            struct lm_buf path = { 0 };
            lm_buf_add(&path, db_path, (size_t)(lm_path_base(db_path) - db_path));
            lm_buf_printf(&path, "%s.tokens", split_names[i]);
            const enum lm_rc rc = lm_shard_open_header(&shards->items[i], path.ptr, err);
            lm_buf_release(&path);
            LM_TRY(rc);
            shards->open[i] = true;
        }
        *ret = &shards->items[i];
        return LM_OK;
    }
    return lm_fail(err, LM_EFORMAT, "%s: a document is in no shard that is known", db_path);
}

static enum lm_rc check_candidate(struct lm_db_rows *rows, struct shards *shards, const char *db_path,
                                  uint64_t document, const uint32_t *ids, size_t count,
                                  struct lm_phrase_hits *ret, struct lm_err *err)
{
    const struct lm_shard *shard = NULL;
    LM_TRY(lm_db_rebind(rows, err, "i", (int64_t)document));
    if (lm_db_next(rows, err) != LM_OK)
        return lm_fail(err, LM_EFORMAT, "%s: document %llu is missing", db_path,
                       (unsigned long long)document);
    LM_TRY(find_shard(shards, db_path, lm_db_text(rows, 0), &shard, err));
    const uint64_t place = (uint64_t)lm_db_int(rows, 1);
    const uint64_t found =
        place < shard->document_count ? count_phrase(shard, place, ids, count) : UINT64_MAX;
    if (found == UINT64_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: document %llu is not in its shard", db_path,
                       (unsigned long long)document);
    if (found == 0)
        return LM_OK;
    if (ret->len == ret->cap) {
        ret->cap = ret->cap ? ret->cap * 2 : 64;
        ret->documents = lm_realloc(ret->documents, ret->cap, sizeof(*ret->documents));
        ret->counts = lm_realloc(ret->counts, ret->cap, sizeof(*ret->counts));
    }
    ret->documents[ret->len] = document;
    ret->counts[ret->len++] = found;
    return LM_OK;
}

static enum lm_rc check_all(struct lm_db *db, const char *db_path, const struct numbers *candidates,
                            const uint32_t *ids, size_t count, struct lm_phrase_hits *ret, struct lm_err *err)
{
    struct shards shards = { .open = { false } };
    struct lm_db_rows *rows = NULL;
    enum lm_rc rc =
        lm_db_query(db, &rows, err, "SELECT split, place FROM document WHERE no = ?", "i", (int64_t)-1);
    for (size_t i = 0; rc == LM_OK && i < candidates->len; i++)
        rc = check_candidate(rows, &shards, db_path, candidates->items[i], ids, count, ret, err);
    lm_db_end(rows);
    for (size_t i = 0; i < SPLITS_MAX; i++)
        if (shards.open[i])
            lm_shard_close(&shards.items[i]);
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
