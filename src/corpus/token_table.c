/* corpus/token_table.c - building tokens.db while documents come.
 *
 * Postings are collected until there are many, sorted by token, and written in blocks.  There is no
 * journal: a file that is not finished is removed. */
#include "corpus/token_table.h"

#include "base/file.h"
#include "base/sys.h"
#include "corpus/postings.h"
#include "text/text.h"

struct entry {
    uint32_t token, document, count;
};

struct lm_token_table {
    const struct lm_tokenizer *t;
    char *path, *part;
    struct lm_db *db;
    struct lm_db_rows *documents, *postings;   // statements to insert with
    struct entry *entries, *sorted;            // by document; by token, then document
    size_t entry_count, entry_cap, sorted_cap;
    uint32_t document_count;
    uint32_t *counts;      // [vocabulary], in the document that is being added; else all 0
    uint64_t *frequency;   // [vocabulary]
    size_t *starts;        // [vocabulary + 1], for sorting
    struct lm_buf block;
    struct lm_buf heldout;   // a bit a document
};

/* Blocks of postings (corpus/postings.h) in SQL, for programs that are not loom: a step a byte.  Number
 * `value` is complete when its last byte is below 128; `more`: it is a count. */
#define HEX_DIGIT(at, digit)                                                                                 \
    "(instr('0123456789ABCDEF', substr(hex(substr(p.documents, " at ", 1)), " digit ", 1)) - 1)"
#define BYTE(at) "(" HEX_DIGIT(at, "1") " * 16 + " HEX_DIGIT(at, "2") ")"
#define VALUE "(low + byte * scale)"
#define DECODE                                                                                               \
    "WITH RECURSIVE s (at, byte, low, scale, more, document, packed) AS (SELECT 1, " BYTE(                   \
        "1") ", 0, 1, 0, p.first_document, NULL UNION ALL SELECT at + 1, " BYTE("at + 1") ", CASE WHEN "     \
                                                                                          "byte >= 128 "     \
                                                                                          "THEN low + "      \
                                                                                          "(byte - 128) * "  \
                                                                                          "scale ELSE 0 "    \
                                                                                          "END,"             \
                                                                                          " CASE WHEN byte " \
                                                                                          ">= 128 THEN "     \
                                                                                          "scale * 128 "     \
                                                                                          "ELSE 1 END,"      \
                                                                                          " CASE WHEN byte " \
                                                                                          ">= 128 THEN "     \
                                                                                          "more WHEN more "  \
                                                                                          "THEN 0 "          \
                                                                                          "ELSE " VALUE      \
                                                                                          " & 1 END,"        \
                                                                                          " CASE WHEN byte " \
                                                                                          "< 128 AND NOT "   \
                                                                                          "more THEN "       \
                                                                                          "document + "      \
                                                                                          "(" VALUE          \
                                                                                          " >> 1) ELSE "     \
                                                                                          "document END,"    \
                                                                                          " CASE WHEN byte " \
                                                                                          ">= 128 THEN "     \
                                                                                          "NULL WHEN more "  \
                                                                                          "THEN document "   \
                                                                                          "<< 24 | "         \
                                                                                          "min(" VALUE       \
                                                                                          " + 2, 16777215)"  \
                                                                                          " WHEN " VALUE     \
                                                                                          " & 1 THEN NULL "  \
                                                                                          "ELSE (document "  \
                                                                                          "+ (" VALUE        \
                                                                                          " >> 1)) << 24 | " \
                                                                                          "1 END"            \
                                                                                          " FROM s WHERE "   \
                                                                                          "at <= "           \
                                                                                          "length(p."        \
                                                                                          "documents)) "     \
                                                                                          "SELECT "          \
                                                                                          "json_group_"      \
                                                                                          "array(packed) "   \
                                                                                          "FROM s WHERE "    \
                                                                                          "packed IS NOT "   \
                                                                                          "NULL"

static const char *const schema[] = {
    "CREATE TABLE token (id INTEGER PRIMARY KEY, token TEXT NOT NULL, bytes BLOB NOT NULL,"
    " frequency INTEGER NOT NULL);"
    "CREATE TABLE document (no INTEGER PRIMARY KEY, id TEXT NOT NULL, split TEXT NOT NULL,"
    " tokens INTEGER NOT NULL, place INTEGER NOT NULL);"
    "CREATE TABLE posting (token_id INTEGER NOT NULL, first_document INTEGER NOT NULL,"
    " documents BLOB NOT NULL, PRIMARY KEY (token_id, first_document)) WITHOUT ROWID;"
    "CREATE TABLE heldout (bits BLOB NOT NULL);"
    "CREATE VIEW token_document AS SELECT p.token_id AS token_id, e.value >> 24 AS document_no,"
    " e.value & 16777215 AS frequency FROM posting p, json_each((" DECODE ")) e;"
    "CREATE VIEW token_table AS SELECT t.id AS token_id, t.token AS token, t.frequency AS frequency,"
    " (SELECT group_concat(id, ' ') FROM (SELECT d.id AS id FROM token_document td"
    " JOIN document d ON d.no = td.document_no WHERE td.token_id = t.id ORDER BY td.document_no))"
    " AS document_ids FROM token t;",
};

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

/* ---- start and end ---- */

static enum lm_rc open_database(struct lm_token_table *table, struct lm_err *err)
{
    LM_TRY(lm_db_open(table->part, &table->db, err));
    LM_TRY(lm_db_schema(table->db, "tokens", schema, sizeof(schema) / sizeof(schema[0]), err));
    LM_TRY(lm_db_run(table->db, err, "PRAGMA journal_mode = DELETE", ""));
    LM_TRY(lm_db_run(table->db, err, "PRAGMA journal_mode = OFF", ""));
    LM_TRY(lm_db_begin(table->db, err));
    LM_TRY(lm_db_query(table->db, &table->documents, err, "INSERT INTO document VALUES (?, ?, ?, ?, ?)",
                       "issii", (int64_t)0, NULL, NULL, (int64_t)0, (int64_t)0));
    return lm_db_query(table->db, &table->postings, err, "INSERT INTO posting VALUES (?, ?, ?)", "iis",
                       (int64_t)0, (int64_t)0, NULL);
}

enum lm_rc lm_token_table_new(const struct lm_tokenizer *t, const char *path, struct lm_token_table **ret,
                              struct lm_err *err)
{
    struct lm_token_table *table = lm_zalloc(1, sizeof(*table));
    struct lm_buf part = { 0 };
    lm_buf_printf(&part, "%s.part", path);
    table->t = t;
    table->path = lm_strdup(path);
    table->part = lm_buf_take(&part);
    table->counts = lm_zalloc(lm_tokenizer_vocab_size(t), sizeof(*table->counts));
    table->frequency = lm_zalloc(lm_tokenizer_vocab_size(t), sizeof(*table->frequency));
    table->starts = lm_zalloc((size_t)lm_tokenizer_vocab_size(t) + 1, sizeof(*table->starts));
    remove_database(table->part);   // of a run that was killed
    const enum lm_rc rc = open_database(table, err);
    if (rc == LM_OK)
        *ret = table;
    else
        lm_token_table_free(table);
    return rc;
}

static void close_database(struct lm_token_table *table)
{
    lm_db_end(table->documents);
    lm_db_end(table->postings);
    lm_db_close(table->db);
    table->documents = table->postings = NULL;
    table->db = NULL;
}

void lm_token_table_free(struct lm_token_table *table)
{
    if (!table)
        return;
    close_database(table);
    if (table->part)
        remove_database(table->part);
    free(table->part);
    free(table->path);
    free(table->entries);
    free(table->sorted);
    free(table->counts);
    free(table->frequency);
    free(table->starts);
    lm_buf_release(&table->block);
    lm_buf_release(&table->heldout);
    free(table);
}

/* ---- postings ---- */

/* One row: some entries of a token. */
static enum lm_rc write_block(struct lm_token_table *table, const struct entry *entries, size_t count,
                              struct lm_err *err)
{
    lm_buf_reset(&table->block);
    for (size_t i = 0; i < count; i++)
        lm_posting_put(&table->block, i ? entries[i].document - entries[i - 1].document : 0,
                       entries[i].count);
    return lm_db_rerun(table->postings, err, "iib", (int64_t)entries[0].token, (int64_t)entries[0].document,
                       lm_buf_str(&table->block));
}

/* A counting sort, which keeps the order of documents. */
static void sort_entries(struct lm_token_table *table)
{
    const size_t vocab = lm_tokenizer_vocab_size(table->t);
    memset(table->starts, 0, (vocab + 1) * sizeof(*table->starts));
    for (size_t i = 0; i < table->entry_count; i++)
        table->starts[table->entries[i].token + 1]++;
    for (size_t id = 0; id < vocab; id++)
        table->starts[id + 1] += table->starts[id];
    lm_grow(&table->sorted, &table->sorted_cap, table->entry_count, sizeof(*table->sorted));
    for (size_t i = 0; i < table->entry_count; i++)
        table->sorted[table->starts[table->entries[i].token]++] = table->entries[i];
}

static enum lm_rc flush(struct lm_token_table *table, struct lm_err *err)
{
    sort_entries(table);
    for (size_t at = 0, end; at < table->entry_count; at = end) {
        for (end = at + 1; end < table->entry_count && table->sorted[end].token == table->sorted[at].token;)
            end++;
        for (size_t from = at; from < end; from += LM_POSTINGS_MAX)
            LM_TRY(write_block(table, table->sorted + from,
                               end - from < LM_POSTINGS_MAX ? end - from : LM_POSTINGS_MAX, err));
        if (lm_stop_asked())
            return lm_fail(err, LM_ESTOP, "stopped while writing the token table");
    }
    table->entry_count = 0;
    return LM_OK;
}

/* One entry for each token of a document, in the order they come: flush sorts. */
static void add_entries(struct lm_token_table *table, const uint32_t *tokens, size_t count)
{
    const size_t first = table->entry_count;
    for (size_t i = 0; i < count; i++) {
        if (table->counts[tokens[i]]++ > 0)
            continue;
        lm_grow(&table->entries, &table->entry_cap, table->entry_count + 1, sizeof(*table->entries));
        table->entries[table->entry_count++] = (struct entry){ tokens[i], table->document_count, 0 };
    }
    for (size_t i = first; i < table->entry_count; i++) {
        struct entry *entry = &table->entries[i];
        entry->count = table->counts[entry->token];
        table->frequency[entry->token] += entry->count;
        table->counts[entry->token] = 0;
    }
}

enum lm_rc lm_token_table_add(struct lm_token_table *table, struct lm_str document_id, const char *split,
                              uint64_t place, const uint32_t *tokens, size_t count, struct lm_err *err)
{
    if (table->document_count == UINT32_MAX)
        return lm_fail(err, LM_ELIMIT, "the token table would hold more than %u documents", UINT32_MAX);
    LM_TRY(lm_db_rerun(table->documents, err, "itsii", (int64_t)table->document_count, document_id, split,
                       (int64_t)count, (int64_t)place));
    add_entries(table, tokens, count);
    if (table->document_count % 8 == 0)
        lm_buf_putc(&table->heldout, 0);
    if (strcmp(split, "train") != 0)
        table->heldout.ptr[table->heldout.len - 1] |= (char)(1 << table->document_count % 8);
    table->document_count++;
    return table->entry_count >= LM_TABLE_ENTRIES_MAX ? flush(table, err) : LM_OK;
}

static enum lm_rc load_tokens(const struct lm_token_table *table, struct lm_err *err)
{
    struct lm_db_rows *rows = NULL;
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_db_query(table->db, &rows, err, "INSERT INTO token VALUES (?, ?, ?, ?)", "issi",
                                (int64_t)0, NULL, NULL, (int64_t)0);
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

enum lm_rc lm_token_table_commit(struct lm_token_table *table, struct lm_err *err)
{
    LM_TRY(flush(table, err));
    LM_TRY(load_tokens(table, err));
    LM_TRY(lm_db_run(table->db, err, "INSERT INTO heldout VALUES (?)", "b", lm_buf_str(&table->heldout)));
    lm_db_end(table->documents);
    lm_db_end(table->postings);
    table->documents = table->postings = NULL;
    LM_TRY(lm_db_run(table->db, err, "CREATE INDEX token_by_text ON token (token)", ""));
    LM_TRY(lm_db_run(table->db, err, "CREATE UNIQUE INDEX document_by_id ON document (id)", ""));
    LM_TRY(lm_db_commit(table->db, err));
    close_database(table);
    return lm_path_rename(table->part, table->path, err);
}
