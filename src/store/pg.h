#ifndef LM_STORE_PG_H
#define LM_STORE_PG_H
/* store/pg.h - a PostgreSQL server behind a narrow interface: statements, results, COPY.
 *
 * libpq is opened when the first connection is made, not linked: most commands never talk to a server. Errors
 * are sentences; LM_EIO means that the server or the way to it is gone, so that the transaction at hand is
 * undone there and the same call may be tried again.
 *
 * Threads: a connection belongs to one thread at a time. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_pg;

/* where: a connection string or a postgresql:// address; what it leaves out comes from PGHOST, ~/.pgpass and
 * so on.  UTF-8 on the way.  LM_ENOENT without libpq. */
enum lm_rc lm_pg_open(const char *where, struct lm_pg **ret, struct lm_err *err);
void lm_pg_close(struct lm_pg *pg);   // NULL is fine

/* Statements without parameters, several with semicolons between. */
enum lm_rc lm_pg_run(struct lm_pg *pg, const char *sql, struct lm_err *err);

/* One statement with $1, $2 ..., all as text; its whole result. */
struct lm_pg_rows;
enum { LM_PG_PARAMS_MAX = 8 };
enum lm_rc lm_pg_query(struct lm_pg *pg, const char *sql, const char *const *params, size_t count,
                       struct lm_pg_rows **ret, struct lm_err *err);
size_t lm_pg_row_count(const struct lm_pg_rows *rows);
struct lm_str lm_pg_text(const struct lm_pg_rows *rows, size_t row, int column);   // NULL is ""
int64_t lm_pg_int(const struct lm_pg_rows *rows, size_t row, int column);          // 0 for what is no number
void lm_pg_rows_free(struct lm_pg_rows *rows);                                     // NULL is fine

/* COPY table FROM STDIN in text format: rows in `lines`, each with its line end (lm_pg_field writes them). */
enum lm_rc lm_pg_copy(struct lm_pg *pg, const char *sql, struct lm_str lines, struct lm_err *err);
void lm_pg_field(struct lm_buf *line, struct lm_str text);   // appends, escaped

/* Whether the last statement failed because a row with such a key is there. */
bool lm_pg_was_duplicate(const struct lm_pg *pg);

#endif
