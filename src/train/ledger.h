#ifndef LM_TRAIN_LEDGER_H
#define LM_TRAIN_LEDGER_H
/* train/ledger.h - what was spent of the privacy of a body of data, over all runs.
 *
 * Data of one origin is a partition, by a name that people give.  Every private run on it is an entry, made
 * for the whole run before its first step: a run that is killed has spent what was entered, and one that goes
 * on (the same key of noise) is the same entry.  With a budget, a run that would lead beyond it is refused.
 */

#include "store/db.h"
#include "train/account.h"

enum lm_rc lm_ledger_schema(struct lm_db *db, struct lm_err *err);

struct lm_ledger_run {
    const char *partition, *run, *what;   // run: lm_dp.run; what: "finetune"
    struct lm_dp_phase phase;
    double delta;   // of the run, for the record
};
/* Enters the run, or finds it there.  LM_EDENIED when the partition's budget would be exceeded. */
enum lm_rc lm_ledger_enter(struct lm_db *db, const struct lm_ledger_run *run, struct lm_err *err);

/* epsilon over all runs of a partition, at this delta. */
enum lm_rc lm_ledger_budget(struct lm_db *db, const char *partition, double epsilon, double delta,
                            struct lm_err *err);

struct lm_ledger_row {
    const char *partition;
    int64_t runs;
    struct lm_dp_spent spent;
    double delta;    // the budget's, or 1e-5 without one
    double budget;   // 0: none
};
enum lm_rc lm_ledger_list(struct lm_db *db, struct lm_arena *arena, struct lm_ledger_row **ret,
                          size_t *ret_count, struct lm_err *err);

#endif
