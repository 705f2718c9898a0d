#include "corpus/token_table.h"

#include "base/file.h"
#include "base/sys.h"
#include "store/db.h"
#include "text/text.h"

struct entry {
    uint32_t token, document, count;
};

struct document {
    size_t id_at, id_len;   // in `ids`
    const char *split;
    size_t tokens;
};

struct lm_token_table {
    const struct lm_tokenizer *t;
    struct entry *entries;   // by document, then token
    size_t entry_count, entry_cap;
    struct document *documents;
    size_t document_count, document_cap;
    struct lm_buf ids;
    uint64_t *frequency;        // [vocabulary]
    uint64_t *entries_before;   // [vocabulary + 1], for sorting
};

struct lm_token_table *lm_token_table_new(const struct lm_tokenizer *t)
{
    struct lm_token_table *table = lm_zalloc(1, sizeof(*table));
    table->t = t;
    table->frequency = lm_zalloc(lm_tokenizer_vocab_size(t), sizeof(*table->frequency));
    table->entries_before = lm_zalloc((size_t)lm_tokenizer_vocab_size(t) + 1, sizeof(*table->entries_before));
    return table;
}

void lm_token_table_free(struct lm_token_table *table)
{
    if (!table)
        return;
    free(table->entries);
    free(table->documents);
    free(table->frequency);
    free(table->entries_before);
    lm_buf_release(&table->ids);
    free(table);
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum lm_rc lm_token_table_add(struct lm_token_table *table, struct lm_str document_id, const char *split,
                              uint32_t *tokens, size_t count, struct lm_err *err)
{
    LM_ASSERT(count < UINT32_MAX && table->document_count < UINT32_MAX);
    if (count > LM_TABLE_ENTRIES_MAX - table->entry_count)   // the worst case: all different
        return lm_fail(
            err, LM_ELIMIT,
            "the token table would hold more than %d token-document pairs; build without it (table: false)",
            LM_TABLE_ENTRIES_MAX);
    lm_grow(&table->documents, &table->document_cap, table->document_count + 1, sizeof(*table->documents));
    table->documents[table->document_count] =
        (struct document){ table->ids.len, document_id.len, split, count };
    lm_buf_add_str(&table->ids, document_id);

    qsort(tokens, count, sizeof(*tokens), compare_ids);
    for (size_t i = 0; i < count;) {
        const size_t start = i;
        while (i < count && tokens[i] == tokens[start])
            i++;
        lm_grow(&table->entries, &table->entry_cap, table->entry_count + 1, sizeof(*table->entries));
        table->entries[table->entry_count++] =
            (struct entry){ tokens[start], (uint32_t)table->document_count, (uint32_t)(i - start) };
        table->frequency[tokens[start]] += i - start;
        table->entries_before[tokens[start] + 1]++;
    }
    table->document_count++;
    return LM_OK;
}

/* Entries by token, then document: a counting sort, which keeps the order of documents. */
static struct entry *sort_by_token(struct lm_token_table *table)
{
    const uint32_t vocab = lm_tokenizer_vocab_size(table->t);
    struct entry *sorted = lm_alloc((table->entry_count + 1) * sizeof(*sorted));
    for (uint32_t id = 0; id < vocab; id++)
        table->entries_before[id + 1] += table->entries_before[id];
    for (size_t i = 0; i < table->entry_count; i++)
        sorted[table->entries_before[table->entries[i].token]++] = table->entries[i];
    return sorted;
}

/* For the eye: text as it is, control characters and bytes of cut characters as \x1f. */
static void display_text(struct lm_str bytes, struct lm_buf *ret)
{
    const bool text = lm_utf8_valid(bytes);
    lm_buf_reset(ret);
    for (size_t i = 0; i < bytes.len; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !text))
            lm_buf_printf(ret, "\\x%02x", c);
        else
            lm_buf_putc(ret, (char)c);
    }
}

/* ---- loading: a statement is prepared with no values, then run once a row ---- */

static const char *const schema[] = {
    "CREATE TABLE token (id INTEGER PRIMARY KEY, token TEXT NOT NULL, bytes BLOB NOT NULL,"
    " frequency INTEGER NOT NULL);"
    "CREATE TABLE document (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, split TEXT NOT NULL,"
    " tokens INTEGER NOT NULL);"
    "CREATE TABLE token_document (token_id INTEGER NOT NULL, document_no INTEGER NOT NULL,"
    " frequency INTEGER NOT NULL, PRIMARY KEY (token_id, document_no)) WITHOUT ROWID;"
    "CREATE VIEW token_table AS SELECT t.id AS token_id, t.token AS token, t.frequency AS frequency,"
    " (SELECT group_concat(id, ' ') FROM (SELECT d.id AS id FROM token_document td"
    " JOIN document d ON d.no = td.document_no WHERE td.token_id = t.id ORDER BY td.document_no))"
    " AS document_ids FROM token t;",
};

static enum lm_rc load_tokens(const struct lm_token_table *table, struct lm_db *db, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_db_query(db, &rows, err, "INSERT INTO token VALUES (?, ?, ?, ?)", "issi", (int64_t)0,
                                NULL, NULL, (int64_t)0);
    for (uint32_t id = 0; rc == LM_OK && id < lm_tokenizer_vocab_size(table->t); id++) {
        const struct lm_str bytes = lm_tokenizer_bytes(table->t, id);
        if (bytes.len == 0)
            continue;   // a hole
        display_text(bytes, &text);
        rc = lm_db_rerun(rows, err, "itbi", (int64_t)id, lm_buf_str(&text), bytes,
                         (int64_t)table->frequency[id]);
    }
    lm_db_end(rows);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc load_documents(const struct lm_token_table *table, struct lm_db *db, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    enum lm_rc rc = lm_db_query(db, &rows, err, "INSERT INTO document VALUES (?, ?, ?, ?)", "issi",
                                (int64_t)0, NULL, NULL, (int64_t)0);
    for (size_t i = 0; rc == LM_OK && i < table->document_count; i++) {
        const struct document *d = &table->documents[i];
        rc = lm_db_rerun(rows, err, "itsi", (int64_t)i,
                         ((struct lm_str){ table->ids.ptr + d->id_at, d->id_len }), d->split,
                         (int64_t)d->tokens);
    }
    lm_db_end(rows);
    return rc;
}

static enum lm_rc load_entries(const struct lm_token_table *table, const struct entry *sorted,
                               struct lm_db *db, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    enum lm_rc rc = lm_db_query(db, &rows, err, "INSERT INTO token_document VALUES (?, ?, ?)", "iii",
                                (int64_t)0, (int64_t)0, (int64_t)0);
    for (size_t i = 0; rc == LM_OK && i < table->entry_count; i++) {
        rc = lm_db_rerun(rows, err, "iii", (int64_t)sorted[i].token, (int64_t)sorted[i].document,
                         (int64_t)sorted[i].count);
        if (rc == LM_OK && i % 4096 == 0 && lm_stop_asked())
            rc = lm_fail(err, LM_ESTOP, "stopped while writing the token table");
    }
    lm_db_end(rows);
    return rc;
}

static enum lm_rc load_all(struct lm_token_table *table, struct lm_db *db, struct lm_err *err)
{
    LM_TRY(lm_db_schema(db, "tokens", schema, sizeof(schema) / sizeof(schema[0]), err));
    LM_TRY(lm_db_begin(db, err));
    struct entry *sorted = sort_by_token(table);
    enum lm_rc rc = load_tokens(table, db, err);
    if (rc == LM_OK)
        rc = load_documents(table, db, err);
    if (rc == LM_OK)
        rc = load_entries(table, sorted, db, err);
    if (rc == LM_OK)
        rc = lm_db_run(db, err, "CREATE INDEX token_by_text ON token (token)", "");
    free(sorted);
    if (rc != LM_OK) {
        lm_db_rollback(db);
        return rc;
    }
    LM_TRY(lm_db_commit(db, err));
    /* Nobody writes it any more: without a write-ahead log it is one file that can be read in place. */
    return lm_db_run(db, err, "PRAGMA journal_mode = DELETE", "");
}

static void remove_database(const char *path)
{
    static const char *const parts[] = { "", "-wal", "-shm", "-journal" };
    struct lm_buf name = { 0 };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        lm_buf_reset(&name);
        lm_buf_printf(&name, "%s%s", path, parts[i]);
        lm_path_remove(name.ptr, NULL);
    }
    lm_buf_release(&name);
}

enum lm_rc lm_token_table_write(struct lm_token_table *table, const char *path, struct lm_err *err)
{
    struct lm_buf part = { 0 };
    lm_buf_printf(&part, "%s.part", path);
    remove_database(part.ptr);   // of a run that was killed
    struct lm_db *db = NULL;
    enum lm_rc rc = lm_db_open(part.ptr, &db, err);
    if (rc == LM_OK) {
        rc = load_all(table, db, err);
        lm_db_close(db);
    }
    if (rc == LM_OK)
        rc = lm_path_rename(part.ptr, path, err);
    if (rc != LM_OK)
        remove_database(part.ptr);
    lm_buf_release(&part);
    return rc;
}
