#include "train/ledger.h"

#include "base/sys.h"

static const double default_delta = 1e-5;

enum lm_rc lm_ledger_schema(struct lm_db *db, struct lm_err *err)
{
    static const char *const steps[] = {
        "CREATE TABLE privacy_run (run TEXT PRIMARY KEY, partition TEXT NOT NULL, what TEXT NOT NULL,"
        " sigma REAL NOT NULL, q REAL NOT NULL, steps INTEGER NOT NULL, delta REAL NOT NULL,"
        " entered_ms INTEGER NOT NULL)",
        "CREATE TABLE privacy_budget (partition TEXT PRIMARY KEY, epsilon REAL NOT NULL, delta REAL NOT "
        "NULL)",
    };
    return lm_db_schema(db, "privacy", steps, sizeof steps / sizeof steps[0], err);
}

/* The runs of a partition, equal settings as one phase; room for one more. */
static enum lm_rc phases_of(struct lm_db *db, const char *partition, struct lm_dp_phase **ret,
                            size_t *ret_count, struct lm_arena *arena, struct lm_err *err)
{
    struct lm_db_rows *rows;
    struct lm_dp_phase *phases = lm_arena_alloc(arena, LM_DP_PHASES_MAX * sizeof *phases);
    size_t count = 0;
    LM_TRY(lm_db_query(db, &rows, err,
                       "SELECT sigma, q, SUM(steps) FROM privacy_run WHERE partition = ? GROUP BY sigma, q"
                       " ORDER BY sigma, q",
                       "s", partition));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        if (count + 1 == LM_DP_PHASES_MAX) {
            rc = lm_fail(err, LM_ELIMIT, "privacy: partition '%s' has more than %d different settings",
                         partition, LM_DP_PHASES_MAX - 1);
            break;
        }
        phases[count++] =
            (struct lm_dp_phase){ lm_db_real(rows, 0), lm_db_real(rows, 1), (uint64_t)lm_db_int(rows, 2) };
    }
    lm_db_end(rows);
    *ret = phases;
    *ret_count = count;
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* LM_ENOTHING (err untouched): the partition has no budget. */
static enum lm_rc budget_of(struct lm_db *db, const char *partition, double *ret_epsilon, double *ret_delta,
                            struct lm_err *err)
{
    struct lm_db_rows *rows;
    LM_TRY(lm_db_query(db, &rows, err, "SELECT epsilon, delta FROM privacy_budget WHERE partition = ?", "s",
                       partition));
    const enum lm_rc rc = lm_db_next(rows, err);
    if (rc == LM_OK) {
        *ret_epsilon = lm_db_real(rows, 0);
        *ret_delta = lm_db_real(rows, 1);
    }
    lm_db_end(rows);
    return rc;
}

static enum lm_rc check_budget(struct lm_db *db, const struct lm_ledger_run *run, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_dp_phase *phases;
    struct lm_dp_spent before, after;
    size_t count;
    double epsilon, delta;
    enum lm_rc rc = budget_of(db, run->partition, &epsilon, &delta, err);
    if (rc != LM_OK)
        return rc == LM_ENOTHING ? LM_OK : rc;
    rc = phases_of(db, run->partition, &phases, &count, &arena, err);
    if (rc == LM_OK) {
        phases[count] = run->phase;
        rc = lm_dp_account(phases, count, delta, &before, err);
    }
    if (rc == LM_OK)
        rc = lm_dp_account(phases, count + 1, delta, &after, err);
    if (rc == LM_OK && after.epsilon > epsilon) {
        const struct lm_dp_goal goal = { LM_DP_BEST, epsilon, delta, run->phase.q, run->phase.steps };
        double sigma;
        char advice[128] = "nothing is left of it";
        if (lm_dp_noise(&goal, phases, count, &sigma, NULL) == LM_OK)
            snprintf(advice, sizeof advice, "with dp-noise=%.4g it would fit", sigma);
        rc =
            lm_fail(err, LM_EDENIED,
                    "privacy: partition '%s' has a budget of epsilon %g (delta %g), %.4g of it is spent, and "
                    "with this run it would be %.4g; %s",
                    run->partition, epsilon, delta, before.epsilon, after.epsilon, advice);
    }
    lm_arena_release(&arena);
    return rc;
}

enum lm_rc lm_ledger_enter(struct lm_db *db, const struct lm_ledger_run *run, struct lm_err *err)
{
    int64_t there;
    const struct lm_dp_phase *p = &run->phase;
    LM_TRY(lm_ledger_schema(db, err));
    LM_TRY(lm_db_begin(db, err));
    enum lm_rc rc =
        lm_db_get_int(db, &there, err, "SELECT COUNT(*) FROM privacy_run WHERE run = ?", "s", run->run);
    if (rc == LM_OK && there == 0) {
        rc = check_budget(db, run, err);
        if (rc == LM_OK)
            rc = lm_db_run(db, err, "INSERT INTO privacy_run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "sssddidi",
                           run->run, run->partition, run->what, p->sigma, p->q, (int64_t)p->steps, run->delta,
                           lm_wall_ms());
    }
    if (rc == LM_OK)
        rc = lm_db_commit(db, err);
    if (rc != LM_OK)
        lm_db_rollback(db);
    return rc;
}

enum lm_rc lm_ledger_budget(struct lm_db *db, const char *partition, double epsilon, double delta,
                            struct lm_err *err)
{
    LM_TRY(lm_ledger_schema(db, err));
    return lm_db_run(db, err, "INSERT OR REPLACE INTO privacy_budget VALUES (?, ?, ?)", "sdd", partition,
                     epsilon, delta);
}

/* Runs, budget and what is spent of one partition. */
static enum lm_rc fill_row(struct lm_db *db, struct lm_ledger_row *row, struct lm_arena *arena,
                           struct lm_err *err)
{
    struct lm_dp_phase *phases;
    size_t count;
    row->delta = default_delta;
    const enum lm_rc rc = budget_of(db, row->partition, &row->budget, &row->delta, err);
    if (rc != LM_OK && rc != LM_ENOTHING)
        return rc;
    LM_TRY(phases_of(db, row->partition, &phases, &count, arena, err));
    return lm_dp_account(phases, count, row->delta, &row->spent, err);
}

enum lm_rc lm_ledger_list(struct lm_db *db, struct lm_arena *arena, struct lm_ledger_row **ret,
                          size_t *ret_count, struct lm_err *err)
{
    enum { ROWS_MAX = 1024 };
    struct lm_db_rows *rows;
    struct lm_ledger_row *list = lm_arena_alloc(arena, ROWS_MAX * sizeof *list);
    size_t count = 0;
    LM_TRY(lm_ledger_schema(db, err));
    LM_TRY(
        lm_db_query(db, &rows, err,
                    "SELECT n.partition, (SELECT COUNT(*) FROM privacy_run r WHERE r.partition = n.partition)"
                    " FROM (SELECT partition FROM privacy_run UNION SELECT partition FROM privacy_budget) n"
                    " ORDER BY n.partition LIMIT ?",
                    "i", (int64_t)ROWS_MAX));
    enum lm_rc rc;
    while ((rc = lm_db_next(rows, err)) == LM_OK) {
        const struct lm_str name = lm_db_text(rows, 0);
        list[count++] = (struct lm_ledger_row){ .partition = lm_arena_strndup(arena, name.ptr, name.len),
                                                .runs = lm_db_int(rows, 1) };
    }
    lm_db_end(rows);
    for (size_t i = 0; i < count && rc == LM_ENOTHING; i++) {
        const enum lm_rc filled = fill_row(db, &list[i], arena, err);
        rc = filled == LM_OK ? rc : filled;
    }
    *ret = list;
    *ret_count = count;
    return rc == LM_ENOTHING ? LM_OK : rc;
}
