/* corpus/postings.c - blocks of postings, written and read. */
#include "corpus/postings.h"

enum { BYTES_PER_NUMBER_MAX = 9 };   // 63 bits

/* ---- one block ---- */

static void put_number(struct lm_buf *block, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        lm_buf_putc(block, (char)(value | 0x80));
    lm_buf_putc(block, (char)value);
}

void lm_posting_put(struct lm_buf *block, uint64_t gap, uint64_t count)
{
    LM_ASSERT(count >= 1 && gap <= UINT32_MAX);
    put_number(block, gap << 1 | (count > 1));
    if (count > 1)
        put_number(block, count - 2);
}

uint64_t lm_block_long_number(struct lm_block *b)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < BYTES_PER_NUMBER_MAX && b->at < b->end; i++) {
        const uint8_t byte = *b->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return value;
    }
    b->damaged = true;
    return 0;
}

static enum lm_rc check_block(const struct lm_block *b, int64_t token, struct lm_err *err)
{
    if (!b->damaged)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT,
                   "the token table has a damaged list of documents for token %lld; build it again",
                   (long long)token);
}

/* ---- all of them ---- */

struct lm_posting_scan {
    struct lm_db_rows *rows;
    struct lm_block block;
    int64_t token;
};

enum lm_rc lm_posting_scan_new(struct lm_db *db, struct lm_posting_scan **ret, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(db, &rows, err,
                       "SELECT token_id, first_document, documents FROM posting"
                       " ORDER BY token_id, first_document",
                       ""));
    struct lm_posting_scan *s = lm_zalloc(1, sizeof(*s));
    s->rows = rows;
    *ret = s;
    return LM_OK;
}

enum lm_rc lm_posting_scan_next(struct lm_posting_scan *s, uint32_t *ret_token, struct lm_posting *ret,
                                struct lm_err *err)
{
    while (!lm_block_next(&s->block, ret)) {
        LM_TRY(check_block(&s->block, s->token, err));
        const enum lm_rc rc = lm_db_next(s->rows, err);
        if (rc != LM_OK)
            return rc;
        s->token = lm_db_int(s->rows, 0);
        s->block = lm_block_open(lm_db_text(s->rows, 2), (uint64_t)lm_db_int(s->rows, 1));
    }
    *ret_token = (uint32_t)s->token;
    return LM_OK;
}

void lm_posting_scan_free(struct lm_posting_scan *s)
{
    if (!s)
        return;
    lm_db_end(s->rows);
    free(s);
}

/* ---- those of a token ---- */

struct lm_posting_list {
    struct lm_db_rows *blocks, *place;   // from a document on; the block that would hold one
    struct lm_block block;
    struct lm_posting last;
    bool has_last;   // `last` is read and not passed
    uint32_t token;
};

enum lm_rc lm_posting_list_new(struct lm_db *db, uint32_t token, struct lm_posting_list **ret,
                               struct lm_err *err)
{
    struct lm_posting_list *l = lm_zalloc(1, sizeof(*l));
    l->token = token;
    enum lm_rc rc = lm_db_query(db, &l->blocks, err,
                                "SELECT first_document, documents FROM posting WHERE token_id = ?"
                                " ORDER BY first_document",
                                "i", (int64_t)token);
    if (rc == LM_OK)
        rc = lm_db_query(db, &l->place, err,
                         "SELECT first_document, documents FROM posting WHERE token_id = ?"
                         " AND first_document <= ? ORDER BY first_document DESC LIMIT 1",
                         "ii", (int64_t)token, (int64_t)-1);
    if (rc == LM_OK)
        *ret = l;
    else
        lm_posting_list_free(l);
    return rc;
}

static void open_block(struct lm_posting_list *l, struct lm_db_rows *rows)
{
    l->block = lm_block_open(lm_db_text(rows, 1), (uint64_t)lm_db_int(rows, 0));
}

enum lm_rc lm_posting_list_next(struct lm_posting_list *l, struct lm_posting *ret, struct lm_err *err)
{
    while (!lm_block_next(&l->block, ret)) {
        LM_TRY(check_block(&l->block, l->token, err));
        const enum lm_rc rc = lm_db_next(l->blocks, err);
        if (rc != LM_OK)
            return rc;
        open_block(l, l->blocks);
    }
    return LM_OK;
}

/* Goes on in the block at hand: whether it has read up to the document. */
static bool advance(struct lm_posting_list *l, uint64_t document)
{
    while (!l->has_last || l->last.document < document) {
        l->has_last = lm_block_next(&l->block, &l->last);
        if (!l->has_last)
            return false;
    }
    return true;
}

enum lm_rc lm_posting_list_find(struct lm_posting_list *l, uint64_t document, struct lm_err *err)
{
    if (!advance(l, document)) {
        LM_TRY(check_block(&l->block, l->token, err));
        LM_TRY(lm_db_rebind(l->place, err, "ii", (int64_t)l->token, (int64_t)document));
        const enum lm_rc rc = lm_db_next(l->place, err);
        if (rc != LM_OK)
            return rc;
        open_block(l, l->place);
        if (!advance(l, document)) {
            LM_TRY(check_block(&l->block, l->token, err));
            return LM_ENOTHING;
        }
    }
    return l->last.document == document ? LM_OK : LM_ENOTHING;
}

void lm_posting_list_free(struct lm_posting_list *l)
{
    if (!l)
        return;
    lm_db_end(l->blocks);
    lm_db_end(l->place);
    free(l);
}
