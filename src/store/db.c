/* store/db.c - SQLite behind lm_db. */

#include "store/db.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>

struct lm_db {
    sqlite3 *handle;
    char *path;
};

struct lm_db_rows {
    struct lm_db *db;
    sqlite3_stmt *statement;
};

static enum lm_rc db_fail(struct lm_db *db, struct lm_err *err, const char *what)
{
    const int code = sqlite3_errcode(db->handle);
    enum lm_rc rc = LM_EIO;
    if (code == SQLITE_CONSTRAINT)
        rc = LM_EEXIST;
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        rc = LM_EFORMAT;
    return lm_fail(err, rc, "database '%s': cannot %s: %s", db->path, what, sqlite3_errmsg(db->handle));
}

static enum lm_rc exec(struct lm_db *db, const char *sql, const char *what, struct lm_err *err)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(db, err, what);
    return LM_OK;
}

/* `name` is what SQLite opens: a path, or a URI around it. */
static enum lm_rc open_as(const char *path, const char *name, int flags, struct lm_db **ret,
                          struct lm_err *err)
{
    struct lm_db *db = lm_zalloc(1, sizeof(*db));
    db->path = lm_strdup(path);
    if (sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK) {
        const enum lm_rc rc = lm_fail(err, LM_EIO, "cannot open the database '%s': %s", path,
                                      db->handle ? sqlite3_errmsg(db->handle) : "out of memory");
        lm_db_close(db);
        return rc;
    }
    *ret = db;
    return LM_OK;
}

enum lm_rc lm_db_open(const char *path, struct lm_db **ret, struct lm_err *err)
{
    struct lm_db *db = NULL;
    LM_TRY(open_as(path, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, err));
    sqlite3_busy_timeout(db->handle, 10000);
    const enum lm_rc rc =
        exec(db,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
             "CREATE TABLE IF NOT EXISTS schema_step"
             " (owner TEXT NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (owner, step));",
             "prepare it", err);
    if (rc != LM_OK) {
        lm_db_close(db);
        return rc;
    }
    *ret = db;
    return LM_OK;
}

/* A path as a file: URI, with the characters escaped that would end it. */
static void uri_of(const char *path, struct lm_buf *ret)
{
    lm_buf_puts(ret, "file:");
    for (const char *c = path; *c; c++) {
        if (strchr("?#%", *c))
            lm_buf_printf(ret, "%%%02X", (unsigned char)*c);
        else
            lm_buf_putc(ret, *c);
    }
    lm_buf_puts(ret, "?immutable=1");
}

enum lm_rc lm_db_open_finished(const char *path, struct lm_db **ret, struct lm_err *err)
{
    struct lm_buf uri = { 0 };
    uri_of(path, &uri);
    struct lm_db *db = NULL;
    enum lm_rc rc = open_as(path, uri.ptr, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, &db, err);
    lm_buf_release(&uri);
    if (rc == LM_OK)
        rc = exec(db, "PRAGMA mmap_size = 1073741824", "map it", err);   // its pages are not copied
    if (rc == LM_OK)
        *ret = db;
    else
        lm_db_close(db);
    return rc;
}

void lm_db_close(struct lm_db *db)
{
    if (!db)
        return;
    sqlite3_close_v2(db->handle);   // accepts NULL
    free(db->path);
    free(db);
}

enum lm_rc lm_db_schema(struct lm_db *db, const char *owner, const char *const *steps, size_t count,
                        struct lm_err *err)
{
    int64_t done = 0;
    LM_TRY(lm_db_get_int(db, &done, err, "SELECT count(*) FROM schema_step WHERE owner = ?", "s", owner));
    if ((size_t)done > count)
        return lm_fail(err, LM_EFORMAT,
                       "database '%s': its '%s' tables were made by a newer loom (step %lld, known are %zu)",
                       db->path, owner, (long long)done, count);
    for (size_t i = (size_t)done; i < count; i++) {
        LM_TRY(lm_db_begin(db, err));
        enum lm_rc rc = exec(db, steps[i], "create its tables", err);
        if (rc == LM_OK)
            rc = lm_db_run(db, err, "INSERT INTO schema_step (owner, step) VALUES (?, ?)", "si", owner,
                           (int64_t)i);
        if (rc == LM_OK)
            rc = lm_db_commit(db, err);
        if (rc != LM_OK) {
            lm_db_rollback(db);
            /* Another process may have done this very step in between. */
            int64_t now = 0;
            LM_TRY(
                lm_db_get_int(db, &now, err, "SELECT count(*) FROM schema_step WHERE owner = ?", "s", owner));
            if ((size_t)now <= i)
                return rc;
        }
    }
    return LM_OK;
}

static int bind_one(sqlite3_stmt *st, int index, char type, va_list *args)
{
    switch (type) {
    case 'i':
        return sqlite3_bind_int64(st, index, va_arg(*args, int64_t));
    case 'd':
        return sqlite3_bind_double(st, index, va_arg(*args, double));
    case 's': {
        const char *s = va_arg(*args, const char *);
        return s ? sqlite3_bind_text(st, index, s, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(st, index);
    }
    case 't': {
        const struct lm_str s = va_arg(*args, struct lm_str);
        return sqlite3_bind_text64(st, index, s.ptr ? s.ptr : "", s.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    }
    case 'b': {
        const struct lm_str s = va_arg(*args, struct lm_str);
        return sqlite3_bind_blob64(st, index, s.ptr ? s.ptr : "", s.len, SQLITE_TRANSIENT);
    }
    default:
        LM_ASSERT(!"unknown parameter type");
        return SQLITE_MISUSE;
    }
}

static enum lm_rc bind_all(struct lm_db *db, sqlite3_stmt *st, const char *types, va_list *args,
                           struct lm_err *err)
{
    LM_ASSERT((size_t)sqlite3_bind_parameter_count(st) == strlen(types));
    for (int i = 0; types[i]; i++)
        if (bind_one(st, i + 1, types[i], args) != SQLITE_OK)
            return db_fail(db, err, "bind a value");
    return LM_OK;
}

static enum lm_rc start(struct lm_db *db, struct lm_db_rows **ret, struct lm_err *err, const char *sql,
                        const char *types, va_list *args)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL) != SQLITE_OK)
        return db_fail(db, err, "prepare a statement");
    const enum lm_rc rc = bind_all(db, st, types, args, err);
    if (rc != LM_OK) {
        sqlite3_finalize(st);
        return rc;
    }
    struct lm_db_rows *rows = lm_zalloc(1, sizeof(*rows));
    *rows = (struct lm_db_rows){ .db = db, .statement = st };
    *ret = rows;
    return LM_OK;
}

enum lm_rc lm_db_query(struct lm_db *db, struct lm_db_rows **ret, struct lm_err *err, const char *sql,
                       const char *types, ...)
{
    va_list args;
    va_start(args, types);
    const enum lm_rc rc = start(db, ret, err, sql, types, &args);
    va_end(args);
    return rc;
}

/* Runs a statement whose rows, if any, do not matter. */
static enum lm_rc finish(struct lm_db_rows *rows, struct lm_err *err)
{
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK)
        ;
    return rc == LM_ENOTHING ? LM_OK : rc;
}

enum lm_rc lm_db_run(struct lm_db *db, struct lm_err *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    struct lm_db_rows *rows = NULL;
    enum lm_rc rc = start(db, &rows, err, sql, types, &args);
    va_end(args);
    if (rc == LM_OK)
        rc = finish(rows, err);
    lm_db_end(rows);
    return rc;
}

enum lm_rc lm_db_rerun(struct lm_db_rows *rows, struct lm_err *err, const char *types, ...)
{
    sqlite3_reset(rows->statement);
    va_list args;
    va_start(args, types);
    const enum lm_rc rc = bind_all(rows->db, rows->statement, types, &args, err);
    va_end(args);
    return rc == LM_OK ? finish(rows, err) : rc;
}

enum lm_rc lm_db_rebind(struct lm_db_rows *rows, struct lm_err *err, const char *types, ...)
{
    sqlite3_reset(rows->statement);
    va_list args;
    va_start(args, types);
    const enum lm_rc rc = bind_all(rows->db, rows->statement, types, &args, err);
    va_end(args);
    return rc;
}

enum lm_rc lm_db_next(struct lm_db_rows *rows, struct lm_err *err)
{
    const int code = sqlite3_step(rows->statement);
    if (code == SQLITE_ROW)
        return LM_OK;
    return code == SQLITE_DONE ? LM_ENOTHING : db_fail(rows->db, err, "run a statement");
}

int64_t lm_db_int(struct lm_db_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

double lm_db_real(struct lm_db_rows *rows, int column)
{
    return sqlite3_column_double(rows->statement, column);
}

struct lm_str lm_db_text(struct lm_db_rows *rows, int column)
{
    const void *bytes = sqlite3_column_type(rows->statement, column) == SQLITE_BLOB
                            ? sqlite3_column_blob(rows->statement, column)
                            : (const void *)sqlite3_column_text(rows->statement, column);
    const int len = sqlite3_column_bytes(rows->statement, column);
    return (struct lm_str){ bytes ? bytes : "", bytes ? (size_t)len : 0 };
}

bool lm_db_is_null(struct lm_db_rows *rows, int column)
{
    return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

void lm_db_end(struct lm_db_rows *rows)
{
    if (!rows)
        return;
    sqlite3_finalize(rows->statement);
    free(rows);
}

enum lm_rc lm_db_get_int(struct lm_db *db, int64_t *ret, struct lm_err *err, const char *sql,
                         const char *types, ...)
{
    va_list args;
    va_start(args, types);
    struct lm_db_rows *rows = NULL;
    enum lm_rc rc = start(db, &rows, err, sql, types, &args);
    va_end(args);
    if (rc != LM_OK)
        return rc;
    rc = lm_db_next(rows, err);
    if (rc == LM_OK)
        *ret = lm_db_int(rows, 0);
    lm_db_end(rows);
    return rc == LM_ENOTHING ? LM_ENOENT : rc;
}

enum lm_rc lm_db_begin(struct lm_db *db, struct lm_err *err)
{
    return exec(db, "BEGIN IMMEDIATE", "begin a transaction", err);
}

enum lm_rc lm_db_commit(struct lm_db *db, struct lm_err *err)
{
    return exec(db, "COMMIT", "commit", err);
}

void lm_db_rollback(struct lm_db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

int64_t lm_db_changes(struct lm_db *db)
{
    return sqlite3_changes64(db->handle);
}

int64_t lm_db_last_id(struct lm_db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}
