/* corpus/token_cql.c - the token table for databases that speak CQL: a schema and files for cqlsh's COPY.
 *
 * A partition of token_document is a token, so its documents are one read.  Nothing is named `token`: in CQL
 * that is a word of the language. */
#include "base/file.h"
#include "base/sys.h"
#include "corpus/postings.h"
#include "corpus/token_table.h"

static const char schema[] =
    "-- cqlsh -k KEYSPACE -f schema.cql, in the folder of these files\n"
    "CREATE TABLE IF NOT EXISTS vocabulary (id int PRIMARY KEY, spelling text, bytes blob, frequency "
    "bigint);\n"
    "CREATE TABLE IF NOT EXISTS document (id text PRIMARY KEY, split text, tokens bigint);\n"
    "CREATE TABLE IF NOT EXISTS token_document (token_id int, document_id text, frequency int,\n"
    "    PRIMARY KEY (token_id, document_id));\n"
    "COPY vocabulary (id, spelling, bytes, frequency) FROM 'vocabulary.csv' WITH HEADER = true;\n"
    "COPY document (id, split, tokens) FROM 'document.csv' WITH HEADER = true;\n"
    "COPY token_document (token_id, document_id, frequency) FROM 'token_document.csv' WITH HEADER = true;\n";

/* Columns: i integer, t text, x blob as hex digits. */
static const struct {
    const char *file, *header, *columns, *sql;
} files[] = {
    { "vocabulary.csv", "id,spelling,bytes,frequency", "itxi",
      "SELECT id, token, hex(bytes), frequency FROM token ORDER BY id" },
    { "document.csv", "id,split,tokens", "tti", "SELECT id, split, tokens FROM document ORDER BY no" },
};

/* Quoted, with a backslash before quotes and backslashes: cqlsh's defaults. */
static void put_text(struct lm_str text, FILE *out)
{
    putc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            putc('\\', out);
        putc(text.ptr[i], out);
    }
    putc('"', out);
}

static void put_row(struct lm_db_rows *rows, const char *columns, FILE *out)
{
    for (int i = 0; columns[i]; i++) {
        if (i > 0)
            putc(',', out);
        if (columns[i] == 'i')
            fprintf(out, "%lld", (long long)lm_db_int(rows, i));
        else if (columns[i] == 't')
            put_text(lm_db_text(rows, i), out);
        else
            fprintf(out, "0x%s", lm_db_text(rows, i).ptr);
    }
    putc('\n', out);
}

static enum lm_rc write_file(struct lm_db *db, size_t file, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(out_dir, files[file].file);
    struct lm_writer w = { 0 };
    struct lm_db_rows *rows = NULL;
    LM_TRY(lm_writer_open(&w, path, err));
    fprintf(w.stream, "%s\n", files[file].header);
    enum lm_rc rc = lm_db_query(db, &rows, err, files[file].sql, "");
    for (uint64_t row = 1; rc == LM_OK && (rc = lm_db_next(rows, err)) == LM_OK; row++) {
        put_row(rows, files[file].columns, w.stream);
        if (row % 65536 == 0 && lm_stop_asked())
            rc = lm_fail(err, LM_ESTOP, "stopped while writing '%s'", path);
    }
    lm_db_end(rows);
    if (rc == LM_ENOTHING)
        return lm_writer_commit(&w, err);
    lm_writer_abort(&w);
    return rc;
}

static enum lm_rc write_postings(struct lm_posting_scan *scan, struct lm_db_rows *ids, FILE *out,
                                 struct lm_err *err)
{
    struct lm_posting p;
    uint32_t token;
    enum lm_rc rc;
    for (uint64_t row = 1; (rc = lm_posting_scan_next(scan, &token, &p, err)) == LM_OK; row++) {
        LM_TRY(lm_db_rebind(ids, err, "i", (int64_t)p.document));
        rc = lm_db_next(ids, err);
        if (rc == LM_ENOTHING)
            return lm_fail(err, LM_EFORMAT, "the token table has no document %llu",
                           (unsigned long long)p.document);
        LM_TRY(rc);
        fprintf(out, "%u,", token);
        put_text(lm_db_text(ids, 0), out);
        fprintf(out, ",%llu\n", (unsigned long long)p.count);
        if (row % 65536 == 0 && lm_stop_asked())
            return lm_fail(err, LM_ESTOP, "stopped while writing token_document.csv");
    }
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static enum lm_rc write_token_documents(struct lm_db *db, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(out_dir, "token_document.csv");
    struct lm_writer w = { 0 };
    struct lm_posting_scan *scan = NULL;
    struct lm_db_rows *ids = NULL;
    LM_TRY(lm_writer_open(&w, path, err));
    fprintf(w.stream, "token_id,document_id,frequency\n");
    enum lm_rc rc = lm_posting_scan_new(db, &scan, err);
    if (rc == LM_OK)
        rc = lm_db_query(db, &ids, err, "SELECT id FROM document WHERE no = ?", "i", (int64_t)-1);
    if (rc == LM_OK)
        rc = write_postings(scan, ids, w.stream, err);
    lm_posting_scan_free(scan);
    lm_db_end(ids);
    if (rc == LM_OK)
        return lm_writer_commit(&w, err);
    lm_writer_abort(&w);
    return rc;
}

enum lm_rc lm_token_cql(const char *db_path, const char *out_dir, struct lm_err *err)
{
    struct lm_db *db = NULL;
    LM_FREE char *schema_path = lm_path_join(out_dir, "schema.cql");
    LM_TRY(lm_db_open_finished(db_path, &db, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < sizeof(files) / sizeof(files[0]); i++)
        rc = write_file(db, i, out_dir, err);
    if (rc == LM_OK)
        rc = write_token_documents(db, out_dir, err);
    lm_db_close(db);
    return rc == LM_OK ? lm_file_write(schema_path, lm_str(schema), err) : rc;
}
