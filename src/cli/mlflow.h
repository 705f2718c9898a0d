#ifndef LM_CLI_MLFLOW_H
#define LM_CLI_MLFLOW_H
/* cli/mlflow.h - the REST API of an MLflow tracking server (2.0), as much of it as a run needs.
 *
 * A client is used by one thread at a time.  LM_EIO: the server is away or in trouble, it may answer later;
 * other errors are its refusals.  Credentials come from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME
 * and MLFLOW_TRACKING_PASSWORD; they are sent over https and to this machine only. */

#include "train/track.h"

enum { LM_MLFLOW_ID_MAX = 64, LM_MLFLOW_REPLY_BYTES_MAX = 8 << 20, LM_MLFLOW_BATCH_MAX = 1000 };

struct lm_mlflow;

/* target: http[s]://HOST[:PORT][/PREFIX]/EXPERIMENT */
enum lm_rc lm_mlflow_open(const char *target, struct lm_mlflow **ret, struct lm_err *err);
void lm_mlflow_close(struct lm_mlflow *m);   // also NULL
void lm_mlflow_hurry(struct lm_mlflow *m);   // somebody waits for the end: short patience from now on
void lm_mlflow_calm(struct lm_mlflow *m);    // nobody does any more

struct lm_mlflow_run {
    const char *name, *key;   // key: a tag that tells runs of ours apart
    struct lm_str settings;   // canonical JSON object: the params
    const char *what, *recipe, *user;
    uint64_t steps, parameters;
};

/* The run of this key that the server has as running, or a new one; the experiment is made if need be. */
enum lm_rc lm_mlflow_start(struct lm_mlflow *m, const struct lm_mlflow_run *run,
                           char ret_id[LM_MLFLOW_ID_MAX], struct lm_err *err);

/* How many points of every metric the run has.  LM_ENOENT: there is no such run. */
enum lm_rc lm_mlflow_marks(struct lm_mlflow *m, const char *run_id, struct lm_track_marks *ret,
                           struct lm_err *err);

/* At most LM_MLFLOW_BATCH_MAX points. */
enum lm_rc lm_mlflow_log(struct lm_mlflow *m, const char *run_id, const struct lm_track_point *points,
                         size_t count, int64_t wall_ms, struct lm_err *err);

/* "RUNNING", "FINISHED", "FAILED", "KILLED". */
enum lm_rc lm_mlflow_status(struct lm_mlflow *m, const char *run_id, const char *status, int64_t wall_ms,
                            struct lm_err *err);

/* ---- what the server says; also for tests ---- */

/* The string at a path like "run.info.run_id" or "runs.0.info.run_id"; false when there is none, or it is no
 * plain word of letters, digits, - and _. */
bool lm_mlflow_reply_id(struct lm_str reply, const char *path, char ret[LM_MLFLOW_ID_MAX]);

/* The metrics that runs/get names, each with nothing there yet. */
bool lm_mlflow_reply_names(struct lm_str reply, struct lm_track_marks *ret);

/* How many points a page of metrics/get-history has, and what the next page is called; "" after the last. */
enum { LM_MLFLOW_TOKEN_MAX = 1024 };
bool lm_mlflow_reply_history(struct lm_str reply, size_t *ret_points, char ret_token[LM_MLFLOW_TOKEN_MAX]);

#endif
