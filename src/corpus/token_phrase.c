/* corpus/token_phrase.c - documents that hold tokens one after the other. */
#include "base/sys.h"
#include "corpus/postings.h"
#include "corpus/shard.h"
#include "corpus/token_table.h"

enum { SPLITS_MAX = 2 };
static const char *const split_names[SPLITS_MAX] = { "train", "heldout" };

struct numbers {
    uint64_t *items;
    size_t len, cap;
};

static inline void put_number(struct numbers *n, uint64_t value)
{
    if (n->len == n->cap)
        lm_grow(&n->items, &n->cap, n->len + 1, sizeof(*n->items));
    n->items[n->len++] = value;
}

/* ---- candidates: documents with all of the tokens ---- */

struct term {
    uint32_t id;
    int64_t frequency;
};

static int by_frequency(const void *a, const void *b)
{
    const struct term *x = a, *y = b;
    if (x->frequency != y->frequency)
        return x->frequency < y->frequency ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The tokens once each, the rarest first. */
static enum lm_rc sort_terms(struct lm_db *db, const uint32_t *ids, size_t count, struct term *ret,
                             size_t *ret_count, struct lm_err *err)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct term){ .id = ids[i] };
        const enum lm_rc rc = lm_db_get_int(db, &ret[i].frequency, err,
                                            "SELECT frequency FROM token WHERE id = ?", "i", (int64_t)ids[i]);
        if (rc != LM_OK && rc != LM_ENOENT)
            return rc;   // one that is not there occurs nowhere
    }
    qsort(ret, count, sizeof(*ret), by_frequency);
    for (size_t i = 0; i < count; i++)
        if (len == 0 || ret[len - 1].id != ret[i].id)
            ret[len++] = ret[i];
    *ret_count = len;
    return LM_OK;
}

static enum lm_rc read_list(struct lm_db *db, uint32_t id, struct numbers *ret, struct lm_err *err)
{
    struct lm_posting_list *list = NULL;
    struct lm_posting p;
    LM_TRY(lm_posting_list_new(db, id, &list, err));
    enum lm_rc rc;
    while ((rc = lm_posting_list_next(list, &p, err)) == LM_OK)
        put_number(ret, p.document);
    lm_posting_list_free(list);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* Keeps what holds the token too; only blocks that may hold a candidate are read. */
static enum lm_rc intersect(struct lm_db *db, uint32_t id, struct numbers *a, struct lm_err *err)
{
    struct lm_posting_list *list = NULL;
    size_t kept = 0;
    LM_TRY(lm_posting_list_new(db, id, &list, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < a->len; i++) {
        rc = lm_posting_list_find(list, a->items[i], err);
        if (rc == LM_OK)
            a->items[kept++] = a->items[i];
        else if (rc != LM_ENOTHING)
            break;
    }
    a->len = kept;
    lm_posting_list_free(list);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static enum lm_rc find_candidates(struct lm_db *db, const uint32_t *ids, size_t count, struct numbers *ret,
                                  struct lm_err *err)
{
    LM_FREE struct term *terms = lm_alloc(count * sizeof(*terms));
    size_t len;
    LM_TRY(sort_terms(db, ids, count, terms, &len, err));
    LM_TRY(read_list(db, terms[0].id, ret, err));
    for (size_t i = 1; i < len && ret->len > 0; i++)
        LM_TRY(intersect(db, terms[i].id, ret, err));
    return LM_OK;
}

/* ---- whether they stand together ---- */

/* How often the first two tokens stand side by side is counted for several places at once, in lanes as wide
 * as a token; that is the answer for two, and for more it says whether to look closer. */
#define COUNT_IN(type)                                                                                       \
    static uint64_t count_in_##type(const type *tokens, uint64_t len, const uint32_t *ids, size_t count)     \
    {                                                                                                        \
        enum { LANE_MAX = 1 << 14 }; /* places that a lane can count */                                      \
        const type a = (type)ids[0], b = (type)ids[count > 1];                                               \
        const uint64_t step = count > 1, places = len >= count ? len - count + 1 : 0;                        \
        uint64_t found = 0, pairs = 0;                                                                       \
        for (uint64_t from = 0; from < places; from += LANE_MAX) {                                           \
            const uint64_t to = places - from < LANE_MAX ? places : from + LANE_MAX;                         \
            type here = 0;                                                                                   \
            _Pragma("omp simd reduction(+ : here)") for (uint64_t at = from; at < to; at++) here +=          \
                (type)((tokens[at] == a) & (tokens[at + step] == b));                                        \
            pairs += here;                                                                                   \
        }                                                                                                    \
        if (pairs == 0 || count <= 2)                                                                        \
            return pairs;                                                                                    \
        for (uint64_t at = 0; at < places; at++) {                                                           \
            size_t same = 0;                                                                                 \
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

void lm_phrase_hits_put(struct lm_phrase_hits *h, uint64_t document, uint64_t count)
{
    if (h->len == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->documents = lm_realloc(h->documents, h->cap, sizeof(*h->documents));
        h->counts = lm_realloc(h->counts, h->cap, sizeof(*h->counts));
    }
    h->documents[h->len] = document;
    h->counts[h->len++] = count;
}

/* ---- several phrases, several threads ---- */

struct search {
    const struct lm_phrase *phrases;
    struct numbers *candidates;   // [count]
    size_t count;
};

/* A stretch of documents, looked at by one thread. */
struct part {
    const struct search *search;
    struct places places;   // its shards and bits are those of all parts
    size_t *next;           // [count] of candidates
    uint64_t end;
    struct lm_phrase_hits hits;
    uint64_t missing;   // a document that the shards do not hold; UINT64_MAX: none
};

static size_t first_from(const struct numbers *n, uint64_t document)
{
    size_t low = 0, high = n->len;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (n->items[middle] < document)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The next document that is a candidate of some phrase; UINT64_MAX: none is left. */
static uint64_t next_document(const struct part *part)
{
    uint64_t document = UINT64_MAX;
    for (size_t i = 0; i < part->search->count; i++) {
        const struct numbers *n = &part->search->candidates[i];
        if (part->next[i] < n->len && n->items[part->next[i]] < document)
            document = n->items[part->next[i]];
    }
    return document < part->end ? document : UINT64_MAX;
}

/* How often its phrases are in the document; UINT64_MAX when the shards do not hold it. */
static uint64_t count_all(struct part *part, uint64_t document)
{
    size_t split;
    uint64_t sum = 0;
    if (document / 8 >= part->places.bits.len)
        return UINT64_MAX;
    const uint64_t place = place_of(&part->places, document, &split);
    for (size_t i = 0; i < part->search->count; i++) {
        const struct numbers *n = &part->search->candidates[i];
        if (part->next[i] == n->len || n->items[part->next[i]] != document)
            continue;
        part->next[i]++;
        const struct lm_phrase *phrase = &part->search->phrases[i];
        const uint64_t found = count_phrase(&part->places.shards[split], place, phrase->ids, phrase->count);
        if (found == UINT64_MAX)
            return found;
        sum += found;
    }
    return sum;
}

static void check_part(struct part *part)
{
    uint64_t document;
    while (part->missing == UINT64_MAX && (document = next_document(part)) != UINT64_MAX) {
        const uint64_t found = count_all(part, document);
        if (found == UINT64_MAX)
            part->missing = document;
        else if (found > 0)
            lm_phrase_hits_put(&part->hits, document, found);
    }
}

/* Most pages will be looked at: they are better mapped at once than one fault after the other. */
static bool is_dense(const struct search *s, uint64_t documents)
{
    enum { FEW = 16 };   // documents for each candidate
    uint64_t candidates = 0;
    for (size_t i = 0; i < s->count; i++)
        candidates += s->candidates[i].len;
    return candidates * FEW > documents;
}

static void populate(const struct lm_map *map, size_t part, size_t count)
{
    const size_t each = map->len / count;
    lm_map_populate(map, each * part, part + 1 < count ? each : map->len - each * part);
}

static void check_parts(const struct search *s, const struct places *places, uint64_t documents,
                        struct part *parts, int count)
{
    const bool dense = is_dense(s, documents);
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int i = 0; i < count; i++) {
        struct part *part = &parts[i];
        for (size_t k = 0; dense && k < SPLITS_MAX; k++)
            populate(&places->shards[k].map, (size_t)i, (size_t)count);
        *part = (struct part){ .search = s, .places = *places, .missing = UINT64_MAX };
        part->end = i + 1 < count ? documents / (uint64_t)count * (uint64_t)(i + 1) : UINT64_MAX;
        part->next = lm_zalloc(s->count + 1, sizeof(*part->next));
        for (size_t k = 0; k < s->count; k++)
            part->next[k] = first_from(&s->candidates[k], documents / (uint64_t)count * (uint64_t)i);
        check_part(part);
        free(part->next);
    }
}

static enum lm_rc check_all(struct lm_db *db, const char *db_path, const struct search *s,
                            struct lm_phrase_hits *ret, struct lm_err *err)
{
    struct places p = { .seen = 0 };
    const int count = lm_threads();
    struct part *parts = lm_zalloc((size_t)count, sizeof(*parts));
    enum lm_rc rc = open_places(db, db_path, &p, err);
    if (rc == LM_OK) {
        const uint64_t documents = p.shards[0].document_count + p.shards[1].document_count;
        check_parts(s, &p, documents, parts, count);
    }
    for (int i = 0; i < count; i++) {
        if (rc == LM_OK && parts[i].missing != UINT64_MAX)
            rc = lm_fail(err, LM_EFORMAT, "%s: document %llu is not in the shards beside it", db_path,
                         (unsigned long long)parts[i].missing);
        for (size_t k = 0; rc == LM_OK && k < parts[i].hits.len; k++)
            lm_phrase_hits_put(ret, parts[i].hits.documents[k], parts[i].hits.counts[k]);
        lm_phrase_hits_release(&parts[i].hits);
    }
    free(parts);
    close_places(&p);
    return rc;
}

enum lm_rc lm_token_phrases(const char *db_path, const struct lm_phrase *phrases, size_t count,
                            struct lm_phrase_hits *ret, struct lm_err *err)
{
    struct lm_db *db = NULL;
    for (size_t i = 0; i < count; i++)
        if (phrases[i].count == 0)
            return lm_fail(err, LM_EINVAL, "an empty phrase is in every document");
    struct search s = { .phrases = phrases, .count = count };
    s.candidates = lm_zalloc(count + 1, sizeof(*s.candidates));
    enum lm_rc rc = lm_db_open_finished(db_path, &db, err);
    for (size_t i = 0; rc == LM_OK && i < count; i++)
        rc = find_candidates(db, phrases[i].ids, phrases[i].count, &s.candidates[i], err);
    if (rc == LM_OK)
        rc = check_all(db, db_path, &s, ret, err);
    for (size_t i = 0; i < count; i++)
        free(s.candidates[i].items);
    free(s.candidates);
    lm_db_close(db);
    return rc;
}

enum lm_rc lm_token_phrase(const char *db_path, const uint32_t *ids, size_t count, struct lm_phrase_hits *ret,
                           struct lm_err *err)
{
    const struct lm_phrase phrase = { ids, count };
    return lm_token_phrases(db_path, &phrase, 1, ret, err);
}

enum lm_rc lm_token_find(const char *db_path, const char *text, struct lm_phrase_hits *ret,
                         struct lm_err *err)
{
    struct lm_db *db = NULL;
    struct lm_posting_list *list = NULL;
    struct lm_posting p;
    int64_t id = 0;
    LM_TRY(lm_db_open_finished(db_path, &db, err));
    enum lm_rc rc = lm_db_get_int(
        db, &id, err, "SELECT id FROM token WHERE token = ? ORDER BY frequency DESC, id", "s", text);
    if (rc == LM_OK)
        rc = lm_posting_list_new(db, (uint32_t)id, &list, err);
    while (rc == LM_OK && (rc = lm_posting_list_next(list, &p, err)) == LM_OK)
        lm_phrase_hits_put(ret, p.document, p.count);
    lm_posting_list_free(list);
    lm_db_close(db);
    return rc == LM_ENOTHING || rc == LM_ENOENT ? LM_OK : rc;   // no such token: no documents
}

void lm_phrase_hits_release(struct lm_phrase_hits *h)
{
    free(h->documents);
    free(h->counts);
    *h = (struct lm_phrase_hits){ 0 };
}
