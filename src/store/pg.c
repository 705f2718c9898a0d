/* store/pg.c - libpq, opened at run time. */
#include "store/pg.h"

#ifdef LM_HAVE_LIBPQ

#include <dlfcn.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>

/* ---- the library ---- */

/* What is used of libpq.  To add a function: a row. */
#define LIBPQ(ROW)                                                                                           \
    ROW(PQconnectdbParams)                                                                                   \
    ROW(PQstatus)                                                                                            \
    ROW(PQfinish)                                                                                            \
    ROW(PQerrorMessage)                                                                                      \
    ROW(PQexec)                                                                                              \
    ROW(PQexecParams)                                                                                        \
    ROW(PQresultStatus)                                                                                      \
    ROW(PQresultErrorField)                                                                                  \
    ROW(PQclear)                                                                                             \
    ROW(PQntuples)                                                                                           \
    ROW(PQgetvalue)                                                                                          \
    ROW(PQgetlength)                                                                                         \
    ROW(PQputCopyData)                                                                                       \
    ROW(PQputCopyEnd)                                                                                        \
    ROW(PQgetResult)

#define MEMBER(name) __typeof__(name) *name;
#define SYMBOL(name) #name,
static struct {
    LIBPQ(MEMBER)
} pq;
static const char *const symbols[] = { LIBPQ(SYMBOL) };

static pthread_once_t loaded = PTHREAD_ONCE_INIT;
static const char *load_problem;

static void load(void)
{
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);   // stays: it has threads' keys
    void **members = (void **)&pq;
    load_problem = library ? NULL : "libpq.so.5 is not there";
    for (size_t i = 0; library && i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        members[i] = dlsym(library, symbols[i]);
        if (!members[i])
            load_problem = "libpq.so.5 is too old";
    }
}

/* ---- connections ---- */

struct lm_pg {
    PGconn *connection;
    bool duplicate;
};

struct lm_pg_rows {
    PGresult *result;
};

/* The first line of what libpq says, without "ERROR:" and the line end. */
static struct lm_str message(const char *text)
{
    struct lm_str rest = lm_str(text), line = { 0 };
    lm_str_split(&rest, '\n', &line);
    static const char *const heads[] = { "ERROR:  ", "FATAL:  " };
    for (size_t i = 0; i < 2; i++)
        if (lm_str_starts(line, lm_str(heads[i])))
            line = (struct lm_str){ line.ptr + strlen(heads[i]), line.len - strlen(heads[i]) };
    return line;
}

static enum lm_rc fail(struct lm_pg *pg, PGresult *result, struct lm_err *err)
{
    const struct lm_str text = message(pq.PQerrorMessage(pg->connection));
    const char *state = result ? pq.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    /* 57P: the server stops; 08: the connection broke. */
    const bool gone = pq.PQstatus(pg->connection) != CONNECTION_OK || !result ||
                      (state && (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0));
    pg->duplicate = state && strcmp(state, "23505") == 0;
    const enum lm_rc rc = gone ? LM_EIO : LM_EINVAL;
    lm_fail(err, rc, "%s: %.*s", gone ? "the database went away" : "the database refuses", (int)text.len,
            text.ptr);
    pq.PQclear(result);
    return rc;
}

enum lm_rc lm_pg_open(const char *where, struct lm_pg **ret, struct lm_err *err)
{
    pthread_once(&loaded, load);
    if (load_problem)
        return lm_fail(err, LM_ENOENT, "cannot talk to PostgreSQL: %s; install the package libpq5",
                       load_problem);
    static const char *const names[] = { "application_name", "connect_timeout", "dbname", "client_encoding",
                                         NULL };
    const char *const values[] = { "loom", "10", where, "UTF8", NULL };
    struct lm_pg *pg = lm_zalloc(1, sizeof(*pg));
    pg->connection = pq.PQconnectdbParams(names, values, 1);
    if (!pg->connection || pq.PQstatus(pg->connection) != CONNECTION_OK) {
        const struct lm_str text =
            message(pg->connection ? pq.PQerrorMessage(pg->connection) : "out of memory");
        const enum lm_rc rc =
            lm_fail(err, LM_EIO, "cannot connect to PostgreSQL: %.*s", (int)text.len, text.ptr);
        lm_pg_close(pg);
        return rc;
    }
    const enum lm_rc rc = lm_pg_run(pg, "SET client_min_messages = warning", err);
    if (rc != LM_OK)
        lm_pg_close(pg);
    else
        *ret = pg;
    return rc;
}

void lm_pg_close(struct lm_pg *pg)
{
    if (!pg)
        return;
    if (pg->connection)
        pq.PQfinish(pg->connection);
    free(pg);
}

bool lm_pg_was_duplicate(const struct lm_pg *pg)
{
    return pg->duplicate;
}

/* ---- statements ---- */

static bool went_well(PGresult *result)
{
    const ExecStatusType status = pq.PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

enum lm_rc lm_pg_run(struct lm_pg *pg, const char *sql, struct lm_err *err)
{
    PGresult *result = pq.PQexec(pg->connection, sql);
    if (!result || !went_well(result))
        return fail(pg, result, err);
    pq.PQclear(result);
    return LM_OK;
}

enum lm_rc lm_pg_query(struct lm_pg *pg, const char *sql, const char *const *params, size_t count,
                       struct lm_pg_rows **ret, struct lm_err *err)
{
    LM_ASSERT(count <= LM_PG_PARAMS_MAX);
    PGresult *result = pq.PQexecParams(pg->connection, sql, (int)count, NULL, params, NULL, NULL, 0);
    if (!result || !went_well(result))
        return fail(pg, result, err);
    struct lm_pg_rows *rows = lm_zalloc(1, sizeof(*rows));
    rows->result = result;
    *ret = rows;
    return LM_OK;
}

size_t lm_pg_row_count(const struct lm_pg_rows *rows)
{
    return (size_t)pq.PQntuples(rows->result);
}

struct lm_str lm_pg_text(const struct lm_pg_rows *rows, size_t row, int column)
{
    LM_ASSERT(row < lm_pg_row_count(rows));
    return (struct lm_str){ pq.PQgetvalue(rows->result, (int)row, column),
                            (size_t)pq.PQgetlength(rows->result, (int)row, column) };
}

void lm_pg_rows_free(struct lm_pg_rows *rows)
{
    if (!rows)
        return;
    pq.PQclear(rows->result);
    free(rows);
}

/* ---- COPY ---- */

static enum lm_rc end_copy(struct lm_pg *pg, bool sent, struct lm_err *err)
{
    enum lm_rc rc = LM_OK;
    PGresult *result;
    bool any = false;
    while ((result = pq.PQgetResult(pg->connection))) {
        any = true;
        if (rc == LM_OK && !went_well(result))
            rc = fail(pg, result, err);
        else
            pq.PQclear(result);
    }
    return rc == LM_OK && (!sent || !any) ? fail(pg, NULL, err) : rc;
}

enum lm_rc lm_pg_copy(struct lm_pg *pg, const char *sql, struct lm_str lines, struct lm_err *err)
{
    enum { STEP = 1 << 20 };
    PGresult *result = pq.PQexec(pg->connection, sql);
    if (!result || pq.PQresultStatus(result) != PGRES_COPY_IN)
        return fail(pg, result, err);
    pq.PQclear(result);
    bool sent = true;
    for (size_t at = 0; sent && at < lines.len; at += STEP)
        sent = pq.PQputCopyData(pg->connection, lines.ptr + at,
                                (int)(lines.len - at < STEP ? lines.len - at : STEP)) == 1;
    sent = sent && pq.PQputCopyEnd(pg->connection, NULL) == 1;
    return end_copy(pg, sent, err);
}

#else   // built without libpq's header

static const char without[] = "this loom was built without libpq: install libpq-dev and build it again";

enum lm_rc lm_pg_open(const char *where, struct lm_pg **ret, struct lm_err *err)
{
    (void)where;
    (void)ret;
    return lm_fail(err, LM_ENOENT, "cannot talk to PostgreSQL: %s", without);
}

void lm_pg_close(struct lm_pg *pg)
{
    LM_ASSERT(!pg);
}

enum lm_rc lm_pg_run(struct lm_pg *pg, const char *sql, struct lm_err *err)
{
    (void)pg;
    (void)sql;
    return lm_fail(err, LM_ENOENT, "%s", without);
}

enum lm_rc lm_pg_query(struct lm_pg *pg, const char *sql, const char *const *params, size_t count,
                       struct lm_pg_rows **ret, struct lm_err *err)
{
    (void)params;
    (void)count;
    (void)ret;
    return lm_pg_run(pg, sql, err);
}

size_t lm_pg_row_count(const struct lm_pg_rows *rows)
{
    (void)rows;
    return 0;
}

struct lm_str lm_pg_text(const struct lm_pg_rows *rows, size_t row, int column)
{
    (void)rows;
    (void)row;
    (void)column;
    return LM_STR("");
}

void lm_pg_rows_free(struct lm_pg_rows *rows)
{
    LM_ASSERT(!rows);
}

enum lm_rc lm_pg_copy(struct lm_pg *pg, const char *sql, struct lm_str lines, struct lm_err *err)
{
    (void)lines;
    return lm_pg_run(pg, sql, err);
}

bool lm_pg_was_duplicate(const struct lm_pg *pg)
{
    (void)pg;
    return false;
}

#endif

int64_t lm_pg_int(const struct lm_pg_rows *rows, size_t row, int column)
{
    int64_t value = 0;
    return lm_str_to_i64(lm_pg_text(rows, row, column), &value) ? value : 0;
}

void lm_pg_field(struct lm_buf *line, struct lm_str text)
{
    static const char letters[256] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['\v'] = 'v', ['\\'] = '\\'
    };
    for (size_t i = 0; i < text.len; i++) {
        const char letter = letters[(uint8_t)text.ptr[i]];
        if (letter)
            lm_buf_putc(line, '\\');
        lm_buf_putc(line, letter ? letter : text.ptr[i]);
    }
}
