/* cli/track.c - targets from their text, and one tracker that tells all of them. */

#include "cli/track.h"

#include "base/hash.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

static const struct lm_opt rows[] = {
    { "track", LM_OPT_LIST, LM_OPT_AT(struct lm_track_options, targets), NULL,
      .help = "follow the run: tensorboard:DIR or mlflow:http://HOST:5000/EXPERIMENT; repeated for several",
      .neutral = true },
};
const struct lm_opt_table lm_track_options_table = LM_OPT_TABLE("tracking", struct lm_track_options, rows);

enum { SINKS_MAX = 8 };

struct lm_trackers {
    struct lm_sink sinks[SINKS_MAX];
    size_t count;
    struct lm_tracking tracking;
    struct lm_track track;
    char *name;
    struct lm_buf settings;
    size_t told;   // bytes of the log
    bool begun, is_private;
};

/* ---- a run ---- */

static void begin(void *state, const struct lm_track_run *run)
{
    struct lm_trackers *t = state;
    const struct lm_sink_run sink_run = { t->name, lm_buf_str(&t->settings), *run };
    t->told = 0;
    t->begun = true;
    t->is_private = run->is_private;
    for (size_t i = 0; i < t->count; i++)
        t->sinks[i].begin(t->sinks[i].state, &sink_run);
}

static void lines(void *state, struct lm_str log, const struct lm_track_speed *speed)
{
    struct lm_trackers *t = state;
    const struct lm_str fresh = { log.ptr + t->told, log.len - t->told };
    LM_ASSERT(log.len >= t->told);   // lines are only added
    t->told = log.len;
    for (size_t i = 0; i < t->count && fresh.len > 0; i++)
        t->sinks[i].lines(t->sinks[i].state, fresh, t->is_private ? NULL : speed);
}

static const struct lm_track *open_run(void *state, const char *name, const struct lm_opt_table *options,
                                       const void *config)
{
    struct lm_trackers *t = state;
    free(t->name);
    t->name = lm_strdup(name);
    t->begun = false;
    lm_buf_reset(&t->settings);
    lm_opt_to_json(options, config, true, &t->settings);
    return &t->track;
}

static void close_run(void *state, enum lm_rc rc)
{
    struct lm_trackers *t = state;
    for (size_t i = 0; i < t->count && t->begun; i++)
        t->sinks[i].end(t->sinks[i].state, rc);
    t->begun = false;
}

size_t lm_track_speed_points(const struct lm_track_speed *speed, int64_t step,
                             struct lm_track_point ret[LM_TRACK_SPEED_POINTS])
{
    const struct lm_track_point all[LM_TRACK_SPEED_POINTS] = {
        { LM_STR("speed/tokens_per_second"), speed->tokens_per_second, step },
        { LM_STR("speed/peak_share"), speed->peak_share, step },
        { LM_STR("speed/joules"), speed->joules, step },
    };
    size_t count = 0;
    for (size_t i = 0; i < LM_TRACK_SPEED_POINTS; i++)
        if (isfinite(all[i].value))
            ret[count++] = all[i];
    return count;
}

/* ---- targets ---- */

static enum lm_rc add_target(struct lm_trackers *t, struct lm_cli *cli, const char *target,
                             struct lm_err *err)
{
    const char *colon = strchr(target, ':');
    const struct lm_str kind = { target, colon ? (size_t)(colon - target) : 0 };
    if (t->count == SINKS_MAX)
        return lm_fail(err, LM_ELIMIT, "--track: more than %d targets", SINKS_MAX);
    struct lm_sink *sink = &t->sinks[t->count];
    enum lm_rc rc = LM_EINVAL;
    if (lm_str_eq(kind, LM_STR("tensorboard")) && colon[1]) {
        rc = lm_tensorboard_new(colon + 1, sink, err);
    } else if (lm_str_eq(kind, LM_STR("mlflow"))) {
        const char *dir;
        LM_TRY(lm_cli_state(cli, "track", &dir, err));
        rc = lm_mlflow_new(colon + 1, dir, sink, err);
    } else {
        lm_fail(err, rc, "--track: '%s' is neither tensorboard:DIR nor mlflow:http://HOST:PORT/EXPERIMENT",
                target);
    }
    t->count += rc == LM_OK;
    return rc;
}

enum lm_rc lm_trackers_new(struct lm_cli *cli, const struct lm_opt_list *targets, struct lm_trackers **ret,
                           struct lm_err *err)
{
    *ret = NULL;
    if (targets->len == 0)
        return LM_OK;
    struct lm_trackers *t = lm_zalloc(1, sizeof *t);
    t->tracking = (struct lm_tracking){ t, open_run, close_run };
    t->track = (struct lm_track){ t, begin, lines };
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < targets->len; i++)
        rc = add_target(t, cli, targets->items[i], err);
    if (rc == LM_OK)
        *ret = t;
    else
        lm_trackers_free(t);
    return rc;
}

const struct lm_tracking *lm_trackers_tracking(const struct lm_trackers *t)
{
    return t ? &t->tracking : NULL;
}

void lm_trackers_free(struct lm_trackers *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        t->sinks[i].free(t->sinks[i].state);
    free(t->name);
    lm_buf_release(&t->settings);
    free(t);
}

void lm_trackers_cleanup(struct lm_trackers **t)
{
    lm_trackers_free(*t);
}
