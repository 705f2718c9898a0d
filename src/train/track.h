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

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_track_run {
    const char *what;       // "pretrain", "finetune"
    const char *recipe;     // hex digest of everything that shapes the run
    const char *work_dir;   // where its checkpoints are
    uint64_t steps;         // of the whole run
    uint64_t parameters;    // of the model
    bool is_private;        // nothing but the lines of the log may be told
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

struct lm_opt_table;

/* Makes trackers for runs, one at a time. */
struct lm_tracking {
    void *state;
    /* Of a run with these settings; valid until close. */
    const struct lm_track *(*open)(void *state, const char *name, const struct lm_opt_table *options,
                                   const void *config);
    /* How it ended: LM_OK; LM_ESTOP when it goes on later; LM_ENOTHING when it may; otherwise it failed. */
    void (*close)(void *state, enum lm_rc rc);
};

static inline const struct lm_track *lm_tracking_open(const struct lm_tracking *t, const char *name,
                                                      const struct lm_opt_table *options, const void *config)
{
    return t ? t->open(t->state, name, options, config) : NULL;
}

static inline void lm_tracking_close(const struct lm_tracking *t, enum lm_rc rc)
{
    if (t)
        t->close(t->state, rc);
}

/* ---- train/track_line.c: what trackers take out of the log ---- */

enum { LM_TRACK_NAMES_MAX = 64, LM_TRACK_NAME_BYTES_MAX = 64 };

/* One number of a line. */
struct lm_track_point {
    struct lm_str name;   // its key: "loss"
    double value;
    int64_t step;
};

/* The numbers of one line, beside its step; other values are passed over.  At most LM_TRACK_NAMES_MAX of
 * them; names borrow the line or the arena. */
enum lm_rc lm_track_line_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                               struct lm_track_point *ret, size_t *ret_count, struct lm_err *err);

/* How many points of each name the target has, and how many have come by.  The log is the same every time,
 * also where it tells of steps that a run undid: so what the target has are the first ones.  Zero-initialised
 * is "nothing". */
struct lm_track_marks {
    struct lm_track_mark {
        char name[LM_TRACK_NAME_BYTES_MAX];
        uint64_t there, seen;
    } marks[LM_TRACK_NAMES_MAX];
    size_t count;
};

/* Counts the point.  False when the target has it, or when its name is too long or one too many. */
bool lm_track_marks_pass(struct lm_track_marks *m, struct lm_str name);
void lm_track_marks_add(struct lm_track_marks *m, struct lm_str name,
                        uint64_t points);   // that the target has

#endif
