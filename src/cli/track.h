#ifndef LM_CLI_TRACK_H
#define LM_CLI_TRACK_H
/* cli/track.h - --track: who follows the runs of a command (train/track.h).
 *
 *     --track tensorboard:DIR                        DIR/<run>-<recipe>/events.out.tfevents...
 *     --track mlflow:http://HOST:5000/EXPERIMENT     a run of that experiment
 *
 * Both know from what they hold how far they came, so that a run which was killed goes on without a gap and
 * nothing is there twice.  A target that fails is warned of once; training goes on. */

#include "base/option.h"
#include "cli/cli.h"
#include "train/track.h"

struct lm_track_options {
    struct lm_opt_list targets;
};
extern const struct lm_opt_table lm_track_options_table;

struct lm_trackers;

/* LM_EINVAL for a target of no known form.  *ret is NULL when there are none. */
enum lm_rc lm_trackers_new(struct lm_cli *cli, const struct lm_opt_list *targets, struct lm_trackers **ret,
                           struct lm_err *err);
const struct lm_tracking *lm_trackers_tracking(const struct lm_trackers *t);   // NULL for NULL
void lm_trackers_free(struct lm_trackers *t);                                  // also NULL

/* Cleanup attribute: `LM_TRACKERS struct lm_trackers *trackers = NULL;` */
void lm_trackers_cleanup(struct lm_trackers **t);
#define LM_TRACKERS __attribute__((cleanup(lm_trackers_cleanup)))

/* ---- what a kind of target implements ---- */

struct lm_sink_run {
    const char *name;         // "pretrain", "finetune.sql", "trial-0003"
    struct lm_str settings;   // canonical JSON
    struct lm_track_run run;
};

/* The numbers of a speed that are known, as points of a step. */
enum { LM_TRACK_SPEED_POINTS = 3 };
size_t lm_track_speed_points(const struct lm_track_speed *speed, int64_t step,
                             struct lm_track_point ret[LM_TRACK_SPEED_POINTS]);

struct lm_sink {
    void *state;
    void (*begin)(void *state, const struct lm_sink_run *run);
    /* New lines of the log; speed is NULL when nothing may be said of it. */
    void (*lines)(void *state, struct lm_str fresh, const struct lm_track_speed *speed);
    void (*end)(void *state, enum lm_rc rc);
    void (*free)(void *state);
};

/* ---- cli/track_tensorboard.c ---- */
enum lm_rc lm_tensorboard_new(const char *dir, struct lm_sink *ret, struct lm_err *err);

/* ---- cli/track_mlflow.c ---- */

/* state_dir: where it notes which run of the server is which run of ours, and keeps what it could not send.
 */
enum lm_rc lm_mlflow_new(const char *target, const char *state_dir, struct lm_sink *ret, struct lm_err *err);

/* Sends what earlier runs could not.  LM_ENOTHING when there is nothing; LM_EIO when some is left. */
enum lm_rc lm_mlflow_deliver(const char *state_dir, size_t *ret_sent, struct lm_err *err);

#endif
