/* corpus/token_pg.c - tokens.db into PostgreSQL, step by step. */
#include "corpus/token_pg.h"

#include "base/hash.h"
#include "base/sys.h"
#include "corpus/postings.h"
#include "corpus/shard.h"
#include "store/pg.h"

struct loader {
    const char *db_path;
    struct lm_db *db;
    struct lm_pg *pg;
    struct lm_shard shards[2];   // train, heldout
    bool open[2];
    char source[LM_SHA256_HEX];
    uint64_t first, count;       // documents of this load: their first number, how many
    uint64_t documents_done;     // of them
    int64_t token_id, posting;   // the last posting row that is in; -1: none
    size_t step_bytes;           // of COPY in one transaction
    struct lm_buf lines;         // of a step
    struct lm_pg_load *report;
};

static const char *const split_names[2] = { "train", "heldout" };

static enum lm_rc begin(struct loader *l, struct lm_err *err)
{
    lm_buf_reset(&l->lines);
    return lm_pg_run(l->pg, "BEGIN", err);
}

static void put_int(struct lm_buf *line, int64_t value)
{
    char digits[24];
    const bool minus = value < 0;
    uint64_t rest = minus ? -(uint64_t)value : (uint64_t)value;
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (minus)
        digits[--at] = '-';
    lm_buf_add(line, digits + at, sizeof(digits) - at);
}

/* ---- what is there already ---- */

static enum lm_rc lock(struct loader *l, struct lm_err *err)
{
    struct lm_pg_rows *rows = NULL;
    LM_TRY(lm_pg_query(l->pg, "SELECT pg_try_advisory_lock(7881041)", NULL, 0, &rows, err));
    const bool got = lm_str_eq(lm_pg_text(rows, 0, 0), LM_STR("t"));
    lm_pg_rows_free(rows);
    return got ? LM_OK
               : lm_fail(err, LM_EEXIST,
                         "another program is loading the token table; try again when it is done");
}

static enum lm_rc vocabulary_sha(struct loader *l, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_sha256 h;
    lm_sha256_init(&h);
    LM_TRY(lm_db_query(l->db, &rows, err, "SELECT id, bytes FROM token ORDER BY id", ""));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        const int64_t id = lm_db_int(rows, 0);
        lm_sha256_add_field(&h, (struct lm_str){ (const char *)&id, sizeof(id) });
        lm_sha256_add_field(&h, lm_db_text(rows, 1));
    }
    lm_db_end(rows);
    lm_sha256_end_hex(&h, ret);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* All tokens, with frequency 0. */
static enum lm_rc write_tokens(struct loader *l, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_db_query(l->db, &rows, err, "SELECT id, token, hex(bytes) FROM token ORDER BY id", ""));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        put_int(&l->lines, lm_db_int(rows, 0));
        lm_buf_putc(&l->lines, '\t');
        lm_pg_field(&l->lines, lm_db_text(rows, 1));
        lm_buf_puts(&l->lines, "\t\\\\x");
        lm_buf_add_str(&l->lines, lm_db_text(rows, 2));
        lm_buf_puts(&l->lines, "\t0\n");
    }
    lm_db_end(rows);
    return rc == LM_ENOTHING ? lm_pg_copy(l->pg, "COPY loom.token FROM STDIN", lm_buf_str(&l->lines), err)
                             : rc;
}

static enum lm_rc prepare_tokens(struct loader *l, struct lm_err *err)
{
    char sha[LM_SHA256_HEX];
    const char *const params[] = { sha };
    struct lm_pg_rows *rows = NULL;
    LM_TRY(vocabulary_sha(l, sha, err));
    LM_TRY(lm_pg_query(l->pg, "SELECT sha256 FROM loom.vocabulary", NULL, 0, &rows, err));
    const bool any = lm_pg_row_count(rows) > 0;
    const bool same = any && lm_str_eq(lm_pg_text(rows, 0, 0), lm_str(sha));
    lm_pg_rows_free(rows);
    if (any && !same)
        return lm_fail(
            err, LM_EINVAL,
            "the token table in PostgreSQL holds tokens of another tokenizer than %s; give another "
            "database",
            l->db_path);
    if (any)
        return LM_OK;
    LM_TRY(begin(l, err));
    LM_TRY(write_tokens(l, err));
    LM_TRY(lm_pg_query(l->pg, "INSERT INTO loom.vocabulary VALUES ($1)", params, 1, &rows, err));
    lm_pg_rows_free(rows);
    return lm_pg_run(l->pg, "COMMIT", err);
}

/* The row of this load, made if need be. */
static enum lm_rc prepare_load(struct loader *l, struct lm_err *err)
{
    char count[24];
    const char *const params[] = { l->source, count };
    struct lm_pg_rows *rows = NULL;
    int64_t documents = 0;
    LM_TRY(lm_db_get_int(l->db, &documents, err, "SELECT count(*) FROM document", ""));
    snprintf(count, sizeof(count), "%lld", (long long)documents);
    LM_TRY(
        lm_pg_query(l->pg,
                    "WITH made AS (INSERT INTO loom.load SELECT $1, coalesce(max(first_document + documents),"
                    " 0), $2::bigint, 0, -1, -1, false FROM loom.load ON CONFLICT DO NOTHING RETURNING *)"
                    " SELECT first_document, documents_done, token_id, posting, done::int, 0 FROM loom.load"
                    " WHERE source = $1 UNION ALL"
                    " SELECT first_document, 0, -1, -1, 0, 1 FROM made",
                    params, 2, &rows, err));
    l->first = (uint64_t)lm_pg_int(rows, 0, 0);
    l->count = (uint64_t)documents;
    l->documents_done = (uint64_t)lm_pg_int(rows, 0, 1);
    l->token_id = lm_pg_int(rows, 0, 2);
    l->posting = lm_pg_int(rows, 0, 3);
    const bool done = lm_pg_int(rows, 0, 4);
    l->report->resumed = !lm_pg_int(rows, 0, 5);
    lm_pg_rows_free(rows);
    return done ? lm_fail(err, LM_EEXIST, "%s is in the token table already", l->db_path) : LM_OK;
}

/* ---- documents ---- */

static enum lm_rc put_document(struct loader *l, struct lm_db_rows *rows, struct lm_err *err)
{
    const uint64_t no = (uint64_t)lm_db_int(rows, 0), place = (uint64_t)lm_db_int(rows, 4);
    const struct lm_shard *s = &l->shards[lm_str_eq(lm_db_text(rows, 2), lm_str(split_names[1]))];
    const bool there = place < s->document_count;
    const uint64_t start = there ? lm_shard_doc_start(s, place) : 0, end = there ? s->ends[place] : 0;
    if (!there || start > end || end > s->token_count || end - start != (uint64_t)lm_db_int(rows, 3))
        return lm_fail(err, LM_EFORMAT, "%s: document %llu is not in the shards beside it", l->db_path,
                       (unsigned long long)no);
    put_int(&l->lines, (int64_t)(l->first + no));
    for (int column = 1; column <= 3; column++) {
        lm_buf_putc(&l->lines, '\t');
        lm_pg_field(&l->lines, lm_db_text(rows, column));
    }
    lm_buf_puts(&l->lines, "\t{");
    for (uint64_t at = start; at < end; at++) {
        uint32_t id;
        lm_shard_get(s, at, 1, &id);
        if (at > start)
            lm_buf_putc(&l->lines, ',');
        put_int(&l->lines, id);
    }
    lm_buf_puts(&l->lines, "}\n");
    return LM_OK;
}

/* One transaction: rows from a table, and how far the load has come. */
static enum lm_rc end_step(struct loader *l, const char *copy, const char *update, int64_t a, int64_t b,
                           struct lm_err *err)
{
    char x[24], y[24];
    const char *const params[] = { l->source, x, y };
    struct lm_pg_rows *rows = NULL;
    snprintf(x, sizeof(x), "%lld", (long long)a);
    snprintf(y, sizeof(y), "%lld", (long long)b);
    LM_TRY(lm_pg_copy(l->pg, copy, lm_buf_str(&l->lines), err));
    LM_TRY(lm_pg_query(l->pg, update, params, 3, &rows, err));
    lm_pg_rows_free(rows);
    LM_TRY(lm_pg_run(l->pg, "COMMIT", err));
    return lm_stop_asked() ? lm_fail(err, LM_ESTOP, "stopped; the same command goes on from here") : LM_OK;
}

static enum lm_rc load_documents(struct loader *l, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_progress progress = lm_progress_start("documents to PostgreSQL", "documents", l->count);
    LM_TRY(lm_db_query(l->db, &rows, err,
                       "SELECT no, id, split, tokens, place FROM document WHERE no >= ? ORDER BY no", "i",
                       (int64_t)l->documents_done));
    enum lm_rc rc = LM_OK;
    for (bool more = l->documents_done < l->count; rc == LM_OK && more;) {
        rc = begin(l, err);
        while (rc == LM_OK && l->lines.len < l->step_bytes && (rc = lm_db_next(rows, err)) == LM_OK) {
            rc = put_document(l, rows, err);
            l->documents_done++;
            l->report->documents++;
        }
        more = rc != LM_ENOTHING;
        if (rc == LM_OK || rc == LM_ENOTHING)
            rc = end_step(
                l, "COPY loom.document FROM STDIN",
                "UPDATE loom.load SET documents_done = $2::bigint + 0 * $3::bigint WHERE source = $1",
                (int64_t)l->documents_done, 0, err);
        lm_progress_at(&progress, l->documents_done, NULL);
    }
    lm_progress_end(&progress, l->documents_done);
    lm_db_end(rows);
    return rc;
}

/* A document of this load came with another one: none of this load stays. */
static enum lm_rc undo(struct loader *l, struct lm_err *err)
{
    char first[24], end[24];
    const char *const params[] = { first, end, l->source };
    struct lm_err other = { 0 };
    struct lm_pg_rows *rows = NULL;
    snprintf(first, sizeof(first), "%llu", (unsigned long long)l->first);
    snprintf(end, sizeof(end), "%llu", (unsigned long long)l->first + l->count);
    enum lm_rc rc = lm_pg_run(l->pg, "ROLLBACK", &other);
    if (rc == LM_OK)
        rc = lm_pg_query(l->pg,
                         "WITH gone AS (DELETE FROM loom.document WHERE no >= $1::bigint AND no < $2::bigint)"
                         " DELETE FROM loom.load WHERE source = $3",
                         params, 3, &rows, &other);
    lm_pg_rows_free(rows);
    if (rc != LM_OK)
        return lm_fail(err, rc, "%s", other.text);
    return lm_fail(
        err, LM_EEXIST,
        "a document of %s is in the token table already, from another load; nothing of it was kept",
        l->db_path);
}

/* ---- postings ---- */

static enum lm_rc put_posting(struct loader *l, struct lm_db_rows *rows, struct lm_buf *counts,
                              struct lm_err *err)
{
    struct lm_block block = lm_block_open(lm_db_text(rows, 2), (uint64_t)lm_db_int(rows, 1));
    struct lm_posting p;
    l->token_id = lm_db_int(rows, 0);
    l->posting = lm_db_int(rows, 1);
    lm_buf_reset(counts);
    put_int(&l->lines, l->token_id);
    lm_buf_putc(&l->lines, '\t');
    put_int(&l->lines, (int64_t)l->first + l->posting);
    lm_buf_puts(&l->lines, "\t{");
    for (size_t i = 0; lm_block_next(&block, &p); i++) {
        if (i > 0) {
            lm_buf_putc(&l->lines, ',');
            lm_buf_putc(counts, ',');
        }
        put_int(&l->lines, (int64_t)(l->first + p.document));
        put_int(counts, (int64_t)p.count);
        l->report->postings++;
    }
    lm_buf_puts(&l->lines, "}\t{");
    lm_buf_add_str(&l->lines, lm_buf_str(counts));
    lm_buf_puts(&l->lines, "}\n");
    return block.damaged
               ? lm_fail(err, LM_EFORMAT, "%s has a damaged list of documents for token %lld; build it again",
                         l->db_path, (long long)l->token_id)
               : LM_OK;
}

static enum lm_rc load_postings(struct loader *l, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_buf counts = { 0 };
    struct lm_progress progress = lm_progress_start("postings to PostgreSQL", "postings", 0);
    LM_TRY(lm_db_query(l->db, &rows, err,
                       "SELECT token_id, first_document, documents FROM posting"
                       " WHERE (token_id, first_document) > (?, ?) ORDER BY token_id, first_document",
                       "ii", l->token_id, l->posting));
    enum lm_rc rc = LM_OK;
    for (bool more = true; rc == LM_OK && more;) {
        rc = begin(l, err);
        while (rc == LM_OK && l->lines.len < l->step_bytes && (rc = lm_db_next(rows, err)) == LM_OK)
            rc = put_posting(l, rows, &counts, err);
        more = rc != LM_ENOTHING;
        if (rc == LM_OK || rc == LM_ENOTHING)
            rc =
                end_step(l, "COPY loom.posting FROM STDIN",
                         "UPDATE loom.load SET token_id = $2::bigint, posting = $3::bigint WHERE source = $1",
                         l->token_id, l->posting, err);
        lm_progress_at(&progress, l->report->postings, NULL);
    }
    lm_progress_end(&progress, l->report->postings);
    lm_buf_release(&counts);
    lm_db_end(rows);
    return rc;
}

/* ---- frequencies ---- */

static enum lm_rc finish(struct loader *l, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    LM_TRY(begin(l, err));
    LM_TRY(lm_pg_run(l->pg, "CREATE TEMP TABLE counted (id int, n bigint) ON COMMIT DROP", err));
    LM_TRY(lm_db_query(l->db, &rows, err, "SELECT id, frequency FROM token WHERE frequency > 0 ORDER BY id",
                       ""));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        put_int(&l->lines, lm_db_int(rows, 0));
        lm_buf_putc(&l->lines, '\t');
        put_int(&l->lines, lm_db_int(rows, 1));
        lm_buf_putc(&l->lines, '\n');
    }
    lm_db_end(rows);
    if (rc != LM_ENOTHING)
        return rc;
    return end_step(
        l, "COPY counted FROM STDIN",
        "WITH summed AS (UPDATE loom.token t SET frequency = t.frequency + c.n FROM counted c"
        " WHERE c.id = t.id) UPDATE loom.load SET done = true, token_id = $2::bigint, posting = $3"
        "::bigint WHERE source = $1",
        l->token_id, l->posting, err);
}

/* ---- the whole ---- */

static enum lm_rc open_all(struct loader *l, const char *where, struct lm_err *err)
{
    LM_TRY(lm_db_open_finished(l->db_path, &l->db, err));
    LM_TRY(lm_sha256_file(l->db_path, l->source, err));
    for (size_t i = 0; i < 2; i++) {
        struct lm_buf path = { 0 };
        lm_buf_add(&path, l->db_path, (size_t)(lm_path_base(l->db_path) - l->db_path));
        lm_buf_printf(&path, "%s.tokens", split_names[i]);
        const enum lm_rc rc = lm_shard_open_header(&l->shards[i], path.ptr, err);
        lm_buf_release(&path);
        LM_TRY(rc);
        l->open[i] = true;
    }
    return lm_pg_open(where, &l->pg, err);
}

static void close_all(struct loader *l)
{
    for (size_t i = 0; i < 2; i++)
        if (l->open[i])
            lm_shard_close(&l->shards[i]);
    lm_pg_close(l->pg);
    lm_db_close(l->db);
    lm_buf_release(&l->lines);
}

static enum lm_rc load(struct loader *l, const char *where, struct lm_err *err)
{
    LM_TRY(open_all(l, where, err));
    LM_TRY(lock(l, err));
    LM_TRY(lm_pg_run(l->pg, lm_token_pg_schema, err));
    LM_TRY(prepare_tokens(l, err));
    LM_TRY(prepare_load(l, err));
    const enum lm_rc rc = load_documents(l, err);
    if (rc != LM_OK)
        return lm_pg_was_duplicate(l->pg) ? undo(l, err) : rc;
    LM_TRY(load_postings(l, err));
    return finish(l, err);
}

enum lm_rc lm_token_pg_load(const char *db_path, const char *where, size_t step_bytes, struct lm_pg_load *ret,
                            struct lm_err *err)
{
    *ret = (struct lm_pg_load){ 0 };
    struct loader l = { .db_path = db_path, .report = ret, .step_bytes = step_bytes };
    const enum lm_rc rc = load(&l, where, err);
    close_all(&l);
    if (rc == LM_EIO && l.source[0])
        lm_err_prefix(err, rc, "the load of %s was interrupted, run it again to go on", db_path);
    return rc;
}
