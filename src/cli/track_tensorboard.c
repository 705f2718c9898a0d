/* cli/track_tensorboard.c - event files: one folder a run. */

#include "base/file.h"
#include "base/sys.h"
#include "cli/track.h"
#include "train/tfevents.h"

#include <stdlib.h>

/* What is read from the file's end need not be newer than this. */
static const uint64_t pause_ns = 1000000000;

struct tensorboard {
    char *dir;
    struct lm_tfevents file;
    struct lm_track_marks marks;
    struct lm_arena arena;
    uint64_t flushed_ns;
};

/* A fault ends the following of this run, not the run. */
static void give_up(struct tensorboard *t, const struct lm_err *err)
{
    lm_warn("TensorBoard: %s; the run goes on without it", err->text);
    lm_tfevents_close(&t->file);
}

static void begin(void *state, const struct lm_sink_run *run)
{
    struct tensorboard *t = state;
    struct lm_err err = { 0 };
    lm_arena_reset(&t->arena);
    t->marks = (struct lm_track_marks){ 0 };
    t->flushed_ns = 0;
    const char *dir = lm_arena_printf(&t->arena, "%s/%s-%.8s", t->dir, run->name, run->run.recipe);
    if (lm_tfevents_open(&t->file, dir, &t->marks, &err) != LM_OK)
        give_up(t, &err);
}

/* *ret_step is that of the last point that is new; unchanged if none is. */
static enum lm_rc add_line(struct tensorboard *t, struct lm_str line, int64_t *ret_step, struct lm_err *err)
{
    struct lm_track_point points[LM_TRACK_NAMES_MAX];
    size_t count = 0, fresh = 0;
    lm_arena_reset(&t->arena);
    LM_TRY(lm_track_line_parse(line, "metrics", &t->arena, points, &count, err));
    for (size_t i = 0; i < count; i++)
        if (lm_track_marks_pass(&t->marks, points[i].name))
            points[fresh++] = points[i];
    if (fresh == 0)
        return LM_OK;
    *ret_step = points[0].step;
    return lm_tfevents_add(&t->file, points, fresh, err);
}

static enum lm_rc add_speed(struct tensorboard *t, const struct lm_track_speed *speed, int64_t step,
                            struct lm_err *err)
{
    struct lm_track_point points[LM_TRACK_SPEED_POINTS];
    const size_t count = lm_track_speed_points(speed, step, points);
    return count ? lm_tfevents_add(&t->file, points, count, err) : LM_OK;
}

static enum lm_rc add_lines(struct tensorboard *t, struct lm_str lines, const struct lm_track_speed *speed,
                            struct lm_err *err)
{
    struct lm_str line;
    int64_t step = -1;
    while (lm_str_split(&lines, '\n', &line))
        if (line.len > 0)
            LM_TRY(add_line(t, line, &step, err));
    const uint64_t now = lm_now_ns();
    if (now - t->flushed_ns < pause_ns)
        return LM_OK;
    t->flushed_ns = now;
    if (speed && step >= 0)
        LM_TRY(add_speed(t, speed, step, err));
    return lm_tfevents_flush(&t->file, err);
}

static void lines(void *state, struct lm_str fresh, const struct lm_track_speed *speed)
{
    struct tensorboard *t = state;
    struct lm_err err = { 0 };
    if (t->file.stream && add_lines(t, fresh, speed, &err) != LM_OK)
        give_up(t, &err);
}

static void end(void *state, enum lm_rc rc)
{
    struct tensorboard *t = state;
    struct lm_err err = { 0 };
    (void)rc;
    if (t->file.stream && lm_tfevents_flush(&t->file, &err) != LM_OK)
        give_up(t, &err);
    lm_tfevents_close(&t->file);
}

static void release(void *state)
{
    struct tensorboard *t = state;
    lm_tfevents_close(&t->file);
    lm_arena_release(&t->arena);
    free(t->dir);
    free(t);
}

enum lm_rc lm_tensorboard_new(const char *dir, struct lm_sink *ret, struct lm_err *err)
{
    LM_TRY(lm_dir_make(dir, err));
    struct tensorboard *t = lm_zalloc(1, sizeof *t);
    t->dir = lm_strdup(dir);
    *ret = (struct lm_sink){ t, begin, lines, end, release };
    return LM_OK;
}
