#ifndef LM_TRAIN_TUNE_H
#define LM_TRAIN_TUNE_H
/* train/tune.h - the search for settings by successive halving, on the held-out loss.
 *
 * All trials train to the first rung, a share of their steps; the best 1/eta of them go on to the next, until
 * the last rung, which is the whole run (Jamieson and Talwalkar 2016, arXiv:1502.07943).  With several
 * brackets, later ones begin with fewer trials at later rungs, which hedges against settings that begin
 * slowly (Hyperband: Li et al. 2018, arXiv:1603.06560).  The schedule is that of the whole run at every rung,
 * and a trial that goes on continues its own checkpoint: at the last rung it is the run it would have been
 * alone.
 *
 *     work_dir/trials.jsonl        the record (train/tune_log.h)
 *     work_dir/curves/0007.jsonl   metrics.jsonl of trial 7 as far as it came
 *     work_dir/0007/               its checkpoints, while it may go on
 *
 * Trial 0 is the settings as they are, unless told otherwise.  A trial that diverges or cannot be built is
 * recorded as failed.  Killed or stopped at any moment, the same search goes on in the same work_dir and ends
 * with the same bytes. */

#include "train/ranks.h"
#include "train/rung.h"
#include "train/tune_log.h"
#include "train/tune_space.h"

enum { LM_TUNE_TRIALS_MAX = 4096, LM_TUNE_RUNGS_MAX = 12 };

struct lm_tune_config {
    int64_t trials, eta, rungs, brackets, sampling_seed;
    bool baseline, keep_model;
    const char *space;             // YAML file
    struct lm_opt_list searched;   // --try
};
extern const struct lm_opt_table lm_tune_options;

/* What is trained.  With several ranks all of them search in step: each trains its share of every trial, the
 * first one alone reads and writes. */
struct lm_tune_target {
    const struct lm_opt_table *options;   // its name is the section of a configuration file
    const void *base;                     // settings that are not searched
    const char *data;                     // hex digest of what it trains on
    /* Trains by this config; up to the rung, or to the end (rung NULL), where it writes the model to out_dir.
     */
    enum lm_rc (*train)(void *state, const void *config, struct lm_rung *rung, const char *work_dir,
                        const char *out_dir, struct lm_buf *metrics, struct lm_err *err);
    /* After every new line of trials.jsonl, on the first rank; NULL: nobody is told. */
    void (*told)(void *state, const char *work_dir);
    void *state;
    struct lm_ranks *ranks;   // who share the search; NULL: it is alone
};

struct lm_tune_result {
    size_t trials, failed;
    uint64_t best;   // number of the trial
    struct lm_setting setting;
    double heldout_loss, heldout_bits_per_byte;   // of the best
    double baseline_loss;   // of trial 0 at its last rung; NAN: it failed or is not the settings as they are
    uint64_t baseline_step, steps;
};

/* LM_EINVAL: an empty space, or a work_dir of another search.  LM_ESTOP: stopped, to go on.  LM_EFORMAT: all
 * trials failed; the first reason is told. */
enum lm_rc lm_tune(const struct lm_tune_config *config, const struct lm_space *space,
                   const struct lm_tune_target *target, const char *work_dir, struct lm_arena *arena,
                   struct lm_tune_result *ret, struct lm_err *err);

/* After lm_tune, by all ranks: the record, the curves, best.yaml and, if it is to be kept, model/ into
 * out_dir. */
enum lm_rc lm_tune_write(const struct lm_tune_config *config, const struct lm_space *space,
                         const struct lm_tune_target *target, const struct lm_tune_result *result,
                         const char *work_dir, const char *out_dir, struct lm_arena *arena,
                         struct lm_buf *metrics, struct lm_err *err);

/* The best settings as a section of loom.yaml: what was searched, then what else is not at its default. */
struct lm_ranks *lm_tune_ranks(const struct lm_tune_target *target);   // never NULL
void lm_tune_yaml(const struct lm_space *space, const struct lm_tune_target *target,
                  const struct lm_tune_result *result, struct lm_buf *ret);

#endif
