#ifndef LM_STORE_DB_H
#define LM_STORE_DB_H
/* store/db.h - the project database behind a narrow interface (SQLite today, an engine by URL later).
 *
 * Statements are SQL text with `?` parameters; callers keep to the SQL both engines share.  Every table is
 * created by the module that owns it, through lm_db_schema: a named, numbered list of steps, applied once.
 * WAL, foreign keys on, busy time-out 10 s, synchronous FULL.
 *
 * Threads: a handle belongs to one thread at a time; open one per thread. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_db;
struct lm_db_rows;   // a running statement

enum lm_rc lm_db_open(const char *path, struct lm_db **ret, struct lm_err *err);   // ":memory:" for tests

/* For a finished file that nobody writes (the token table of an artifact): no locks, no side files. */
enum lm_rc lm_db_open_finished(const char *path, struct lm_db **ret, struct lm_err *err);
void lm_db_close(struct lm_db *db);   // NULL is fine

/* Applies steps[done..] in one transaction each; `owner` names the list ("govern"). */
enum lm_rc lm_db_schema(struct lm_db *db, const char *owner, const char *const *steps, size_t count,
                        struct lm_err *err);

/* Parameters follow `types`, one character each: i = int64_t, d = double, s = const char * (NULL is SQL
 * NULL), t = struct lm_str text, b = struct lm_str blob. */
enum lm_rc lm_db_run(struct lm_db *db, struct lm_err *err, const char *sql, const char *types, ...);
enum lm_rc lm_db_query(struct lm_db *db, struct lm_db_rows **ret, struct lm_err *err, const char *sql,
                       const char *types, ...);

/* Re-binds and runs a prepared statement again, for bulk loads. */
enum lm_rc lm_db_rerun(struct lm_db_rows *rows, struct lm_err *err, const char *types, ...);

/* Binds again without running: lm_db_next gives the rows for the new values. */
enum lm_rc lm_db_rebind(struct lm_db_rows *rows, struct lm_err *err, const char *types, ...);

/* LM_OK: a row is there; LM_ENOTHING: no more (err untouched). */
enum lm_rc lm_db_next(struct lm_db_rows *rows, struct lm_err *err);
int64_t lm_db_int(struct lm_db_rows *rows, int column);
double lm_db_real(struct lm_db_rows *rows, int column);
struct lm_str lm_db_text(struct lm_db_rows *rows,
                         int column);   // borrows until the next call on rows; terminated
bool lm_db_is_null(struct lm_db_rows *rows, int column);
void lm_db_end(struct lm_db_rows *rows);   // NULL is fine

/* First column of the first row; LM_ENOENT (err untouched) when there is none. */
enum lm_rc lm_db_get_int(struct lm_db *db, int64_t *ret, struct lm_err *err, const char *sql,
                         const char *types, ...);

enum lm_rc lm_db_begin(struct lm_db *db, struct lm_err *err);   // write transaction
enum lm_rc lm_db_commit(struct lm_db *db, struct lm_err *err);
void lm_db_rollback(struct lm_db *db);     // fine when none is open
int64_t lm_db_changes(struct lm_db *db);   // rows touched by the last run
int64_t lm_db_last_id(struct lm_db *db);

#endif
