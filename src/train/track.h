#ifndef LM_TRAIN_TRACK_H
#define LM_TRAIN_TRACK_H
/* train/track.h - what follows a run while it trains: a tracker is called after every line of its log.
 *
 * The log is metrics.jsonl so far, a pure function of the recipe.  A run that resumes begins with the log of
 * its checkpoint, which may be shorter than what was told before; the bytes up to there are the same.  So a
 * tracker that remembers how many bytes it has delivered leaves nothing out and sends nothing twice.  A
 * private run's log holds nothing that depends on raw losses or gradients (train/dp.h); trackers get no more.
 *
 * Calls come from the thread that trains, one at a time.  A tracker never fails a run: it warns, and keeps
 * what it could not deliver. */

#include "base/str.h"

struct lm_track_run {
    const char *what;       // "pretrain", "finetune"
    const char *recipe;     // hex digest of everything that shapes the run
    const char *work_dir;   // where its checkpoints are
    uint64_t steps;         // of the whole run
    uint64_t parameters;    // of the model
};

/* Of this machine and this moment: it may be shown, and never goes into a file that must come again. */
struct lm_track_speed {
    double seconds;             // since this process began to train
    double tokens_per_second;   // mean over that time; not a number where steps are pairs
    double peak_share;          // of the machine's peak in products; NAN: not known
    double joules;              // of the processor since then; NAN: not known
};

struct lm_track {
    void *state;
    void (*begin)(void *state, const struct lm_track_run *run);
    void (*lines)(void *state, struct lm_str log, const struct lm_track_speed *speed);
};

#endif
