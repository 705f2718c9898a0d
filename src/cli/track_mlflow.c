/* cli/track_mlflow.c - a run followed by an MLflow server.
 *
 * A thread of its own talks to the server, so that training waits for nobody.  What the server has is asked
 * of the server: after every doubt (a start, a lost answer) the last step of each metric says where to go on.
 * state_dir/<key>.json names the server's run while ours is not over; <key>.jsonl beside it holds the log of
 * one that is over and could not be sent whole. */

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/mlflow.h"
#include "cli/track.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    PAUSE_MS = 1000,
    PAUSE_MAX_MS = 60000,
    LAST_TRIES = 2,
    STATE_BYTES_MAX = 1 << 20,
    LOG_BYTES_MAX = 1 << 30
};

struct follower {
    char *target, *state_dir;
    struct lm_mlflow *server;

    /* Of the run; owned by the worker between begin and end. */
    struct lm_arena arena;
    struct lm_mlflow_run run;
    char key[LM_SHA256_HEX], run_id[LM_MLFLOW_ID_MAX];
    bool known;     // the run is there, and the marks say what it has
    bool refused;   // the server will not have it
    bool warned;
    struct lm_buf log;             // all lines
    size_t delivered;              // bytes of it that the server has
    struct lm_track_marks marks;   // at that place
    int64_t wall_ms;               // of the log's end
    struct lm_track_speed speed;   // with the last of these lines
    bool has_speed;

    /* Between the threads. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct lm_buf queue;   // lines that the worker has not taken
    struct lm_track_speed queue_speed;
    bool queue_has_speed, ending, running;
};

/* ---- what is noted on disk ---- */

static char *state_path(const struct follower *f, const char *ending)
{
    struct lm_buf name = { 0 };
    lm_buf_printf(&name, "%s/%.32s%s", f->state_dir, f->key, ending);
    return lm_buf_take(&name);
}

static enum lm_rc state_write(const struct follower *f, const char *status, struct lm_err *err)
{
    LM_FREE char *path = state_path(f, ".json");
    struct lm_buf text = { 0 };
    lm_buf_putc(&text, '{');
    lm_json_key_str(&text, "target", lm_str(f->target));
    lm_json_key_str(&text, "key", lm_str(f->key));
    lm_json_key_str(&text, "run_id", lm_str(f->run_id));
    lm_json_key_str(&text, "status", lm_str(status));
    lm_json_key_str(&text, "name", lm_str(f->run.name));
    lm_json_key_str(&text, "what", lm_str(f->run.what));
    lm_json_key_str(&text, "recipe", lm_str(f->run.recipe));
    lm_json_key_int(&text, "steps", (int64_t)f->run.steps);
    lm_json_key_int(&text, "parameters", (int64_t)f->run.parameters);
    lm_json_key(&text, "settings");
    lm_buf_add_str(&text, f->run.settings);
    lm_buf_puts(&text, "}\n");
    enum lm_rc rc = lm_dir_make(f->state_dir, err);
    if (rc == LM_OK)
        rc = lm_file_write(path, lm_buf_str(&text), err);
    lm_buf_release(&text);
    return rc;
}

/* The name that the server gave to this run, if it was noted. */
static void state_read_id(struct follower *f)
{
    LM_FREE char *path = state_path(f, ".json");
    struct lm_buf text = { 0 };
    if (lm_path_exists(path) && lm_file_read(path, STATE_BYTES_MAX, &text, NULL) == LM_OK)
        (void)lm_mlflow_reply_id(lm_buf_str(&text), "run_id", f->run_id);
    lm_buf_release(&text);
}

static void state_remove(const struct follower *f)
{
    LM_FREE char *state = state_path(f, ".json"), *log = state_path(f, ".jsonl");
    (void)lm_path_remove(log, NULL);
    (void)lm_path_remove(state, NULL);
}

/* ---- delivery, by the worker ---- */

static enum lm_rc find_out(struct follower *f, struct lm_err *err)
{
    if (f->known)
        return LM_OK;
    struct lm_track_marks marks = f->marks;
    for (size_t i = 0; i < marks.count; i++)
        marks.marks[i].there = 0;
    enum lm_rc rc = f->run_id[0] ? lm_mlflow_marks(f->server, f->run_id, &marks, err) : LM_ENOENT;
    if (rc == LM_ENOENT) {   // not there yet, or removed by somebody
        LM_TRY(lm_mlflow_start(f->server, &f->run, f->run_id, err));
        LM_TRY(state_write(f, "RUNNING", err));
        rc = lm_mlflow_marks(f->server, f->run_id, &marks, err);
    }
    LM_TRY(rc);
    f->marks = marks;
    LM_TRY(lm_mlflow_status(f->server, f->run_id, "RUNNING", f->wall_ms, err));
    f->known = true;
    return LM_OK;
}

struct batch {
    struct lm_track_point points[LM_MLFLOW_BATCH_MAX];
    size_t count;
    struct lm_arena arena;
    struct lm_track_marks marks;   // behind the last point
};

static enum lm_rc send_batch(struct follower *f, struct batch *b, struct lm_err *err)
{
    if (b->count > 0)
        LM_TRY(lm_mlflow_log(f->server, f->run_id, b->points, b->count, f->wall_ms, err));
    b->count = 0;
    lm_arena_reset(&b->arena);
    return LM_OK;
}

/* *ret_step is that of the last point that is new; unchanged if none is. */
static enum lm_rc send_lines(struct follower *f, struct batch *b, int64_t *ret_step, struct lm_err *err)
{
    struct lm_str rest = { f->log.ptr + f->delivered, f->log.len - f->delivered }, line;
    while (lm_str_split(&rest, '\n', &line)) {
        struct lm_track_point points[LM_TRACK_NAMES_MAX];
        size_t count;
        if (line.len == 0)
            continue;
        if (b->count + LM_TRACK_NAMES_MAX > LM_MLFLOW_BATCH_MAX)
            LM_TRY(send_batch(f, b, err));
        LM_TRY(lm_track_line_parse(line, "metrics", &b->arena, points, &count, err));
        for (size_t i = 0; i < count; i++)
            if (lm_track_marks_pass(&b->marks, points[i].name)) {
                b->points[b->count++] = points[i];
                *ret_step = points[i].step;
            }
    }
    return send_batch(f, b, err);
}

static enum lm_rc send_speed(struct follower *f, int64_t step, struct lm_err *err)
{
    struct lm_track_point points[LM_TRACK_SPEED_POINTS];
    const size_t count = lm_track_speed_points(&f->speed, step, points);
    return count ? lm_mlflow_log(f->server, f->run_id, points, count, f->wall_ms, err) : LM_OK;
}

/* All that is missing; when only a part arrives, the server is asked the next time how much. */
static enum lm_rc deliver(struct follower *f, struct lm_err *err)
{
    LM_TRY(find_out(f, err));
    struct batch *b = lm_zalloc(1, sizeof *b);
    int64_t step = -1;
    b->marks = f->marks;
    enum lm_rc rc = send_lines(f, b, &step, err);
    if (rc == LM_OK) {
        f->marks = b->marks;
        f->delivered = f->log.len;
        if (f->has_speed && step >= 0)
            rc = send_speed(f, step, err);
    }
    f->known = rc == LM_OK;
    lm_arena_release(&b->arena);
    free(b);
    return rc;
}

static void complain(struct follower *f, enum lm_rc rc, const struct lm_err *err)
{
    f->refused = rc != LM_EIO;
    if (!f->warned || f->refused)
        lm_warn("MLflow: %s; the run goes on%s", err->text,
                f->refused ? " without it" : ", and what is missing is sent when it answers");
    f->warned = true;
}

/* ---- the worker ---- */

/* Waits until there is something to send, then for the pause, unless the run ends. */
static void wait_for_work(struct follower *f, int64_t pause_ms)
{
    struct timespec until;
    while (!f->ending && f->queue.len == 0 && f->delivered == f->log.len)
        pthread_cond_wait(&f->wake, &f->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += pause_ms / 1000;
    while (!f->ending && pthread_cond_timedwait(&f->wake, &f->lock, &until) == 0)
        ;
}

static bool take_queue(struct follower *f)
{
    lm_buf_add_str(&f->log, lm_buf_str(&f->queue));
    lm_buf_reset(&f->queue);
    f->speed = f->queue_speed;
    f->has_speed = f->queue_has_speed;
    f->wall_ms = lm_wall_ms();
    return f->ending;
}

static void *work(void *user)
{
    struct follower *f = user;
    struct lm_err err;
    int64_t pause_ms = PAUSE_MS;
    int tries = 0;
    for (bool ending = false; !ending;) {
        pthread_mutex_lock(&f->lock);
        wait_for_work(f, pause_ms);
        ending = take_queue(f);
        pthread_mutex_unlock(&f->lock);
        if (f->refused)
            continue;
        enum lm_rc rc;
        do
            rc = deliver(f, &err);
        while (rc == LM_EIO && ending && ++tries < LAST_TRIES);
        if (rc != LM_OK)
            complain(f, rc, &err);
        if (rc == LM_OK && f->warned)
            lm_say("MLflow: %s answers again; nothing is missing", f->target);
        f->warned &= rc != LM_OK;
        pause_ms = rc == LM_OK ? PAUSE_MS : pause_ms < PAUSE_MAX_MS / 2 ? 2 * pause_ms : PAUSE_MAX_MS;
    }
    return NULL;
}

/* ---- the sink ---- */

static void prepare(struct follower *f, const struct lm_mlflow_run *run)
{
    struct lm_sha256 hash;
    lm_arena_reset(&f->arena);
    lm_sha256_init(&hash);
    lm_sha256_add_field(&hash, lm_str(f->target));
    lm_sha256_add_field(&hash, lm_str(run->name));
    lm_sha256_add_field(&hash, lm_str(run->recipe));
    lm_sha256_end_hex(&hash, f->key);
    f->run = (struct lm_mlflow_run){
        .name = lm_arena_strdup(&f->arena, run->name),
        .key = f->key,
        .settings = { lm_arena_strndup(&f->arena, run->settings.ptr, run->settings.len), run->settings.len },
        .what = lm_arena_strdup(&f->arena, run->what),
        .recipe = lm_arena_strdup(&f->arena, run->recipe),
        .user = lm_cli_who(),
        .steps = run->steps,
        .parameters = run->parameters,
    };
    f->run_id[0] = '\0';
    f->known = f->refused = f->warned = f->ending = f->has_speed = f->queue_has_speed = false;
    f->marks = (struct lm_track_marks){ 0 };
    f->delivered = 0;
    lm_buf_reset(&f->log);
    lm_buf_reset(&f->queue);
    state_read_id(f);
}

static void begin(void *state, const struct lm_sink_run *run)
{
    struct follower *f = state;
    const struct lm_mlflow_run r = { .name = run->name,
                                     .settings = run->settings,
                                     .what = run->run.what,
                                     .recipe = run->run.recipe,
                                     .steps = run->run.steps,
                                     .parameters = run->run.parameters };
    prepare(f, &r);
    f->running = pthread_create(&f->thread, NULL, work, f) == 0;
    if (!f->running)
        lm_warn("MLflow: no thread for it; the run goes on without it");
}

static void lines(void *state, struct lm_str fresh, const struct lm_track_speed *speed)
{
    struct follower *f = state;
    pthread_mutex_lock(&f->lock);
    const bool was_empty = f->queue.len == 0;
    lm_buf_add_str(&f->queue, fresh);
    f->queue_has_speed = speed != NULL;
    if (speed)
        f->queue_speed = *speed;
    if (was_empty)
        pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

static const char *status_of(enum lm_rc rc)
{
    return rc == LM_OK || rc == LM_ENOTHING ? "FINISHED" : rc == LM_ESTOP ? "KILLED" : "FAILED";
}

/* The run is over and the server does not know all of it: kept for `loom track`. */
static void keep(struct follower *f, const char *status)
{
    LM_FREE char *path = state_path(f, ".jsonl");
    struct lm_err err = { 0 };
    if (state_write(f, status, &err) != LM_OK || lm_file_write(path, lm_buf_str(&f->log), &err) != LM_OK)
        lm_warn("MLflow: %s", err.text);
    else
        lm_warn("MLflow: %s could not be told all of the run; 'loom track' sends the rest", f->target);
}

static void end(void *state, enum lm_rc rc)
{
    struct follower *f = state;
    struct lm_err err = { 0 };
    if (!f->running)
        return;
    lm_mlflow_hurry(f->server);
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    f->running = false;
    if (f->refused)
        return;
    const char *status = status_of(rc);
    bool told = f->known && f->delivered == f->log.len;
    if (told)
        told = lm_mlflow_status(f->server, f->run_id, status, lm_wall_ms(), &err) == LM_OK;
    const bool goes_on = rc == LM_ESTOP || rc == LM_ENOTHING;   // then the log comes again
    if (!told && !goes_on)
        keep(f, status);
    if (told && !goes_on)
        state_remove(f);
    lm_mlflow_calm(f->server);
}

static void release(void *state)
{
    struct follower *f = state;
    lm_mlflow_close(f->server);
    lm_arena_release(&f->arena);
    lm_buf_release(&f->log);
    lm_buf_release(&f->queue);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->wake);
    free(f->target);
    free(f->state_dir);
    free(f);
}

static enum lm_rc follower_new(const char *target, const char *state_dir, struct follower **ret,
                               struct lm_err *err)
{
    struct lm_mlflow *server;
    LM_TRY(lm_mlflow_open(target, &server, err));
    struct follower *f = lm_zalloc(1, sizeof *f);
    f->server = server;
    f->target = lm_strdup(target);
    f->state_dir = lm_strdup(state_dir);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    *ret = f;
    return LM_OK;
}

enum lm_rc lm_mlflow_new(const char *target, const char *state_dir, struct lm_sink *ret, struct lm_err *err)
{
    struct follower *f;
    LM_TRY(follower_new(target, state_dir, &f, err));
    *ret = (struct lm_sink){ f, begin, lines, end, release };
    return LM_OK;
}

/* ---- what was kept ---- */

static const char *text_of(const json_t *state, const char *key)
{
    const char *text = json_string_value(json_object_get(state, key));
    return text ? text : "";
}

static enum lm_rc deliver_kept(const char *state_dir, const json_t *state, const char *log_path,
                               struct lm_err *err)
{
    struct follower *f;
    LM_TRY(follower_new(text_of(state, "target"), state_dir, &f, err));
    char *settings = json_dumps(json_object_get(state, "settings"), JSON_COMPACT);
    const struct lm_mlflow_run run = { .name = text_of(state, "name"),
                                       .settings = lm_str(settings ? settings : "{}"),
                                       .what = text_of(state, "what"),
                                       .recipe = text_of(state, "recipe"),
                                       .steps = (uint64_t)json_integer_value(json_object_get(state, "steps")),
                                       .parameters = (uint64_t)json_integer_value(
                                           json_object_get(state, "parameters")) };
    prepare(f, &run);
    f->wall_ms = lm_wall_ms();
    enum lm_rc rc = lm_file_read(log_path, LOG_BYTES_MAX, &f->log, err);
    if (rc == LM_OK)
        rc = deliver(f, err);
    if (rc == LM_OK)
        rc = lm_mlflow_status(f->server, f->run_id, text_of(state, "status"), f->wall_ms, err);
    if (rc == LM_OK)
        state_remove(f);
    free(settings);
    release(f);
    return rc;
}

enum lm_rc lm_mlflow_deliver(const char *state_dir, size_t *ret_sent, struct lm_err *err)
{
    struct lm_file_list list = { 0 };
    size_t found = 0;
    enum lm_rc rc = LM_OK;
    *ret_sent = 0;
    if (!lm_path_is_dir(state_dir))
        return LM_ENOTHING;
    LM_TRY(lm_file_walk(state_dir, &list, err));
    for (size_t i = 0; rc == LM_OK && i < list.len; i++) {
        const struct lm_str path = lm_str(list.items[i].path);
        if (!lm_str_ends(path, LM_STR(".jsonl")))
            continue;
        LM_FREE char *state_file = lm_strdup(path.ptr);
        state_file[path.len - 1] = '\0';   // .json
        struct lm_buf text = { 0 };
        found++;
        rc = lm_file_read(state_file, STATE_BYTES_MAX, &text, err);
        json_t *state = rc == LM_OK ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
        if (rc == LM_OK && !json_is_object(json_object_get(state, "settings")))
            rc = lm_fail(err, LM_EFORMAT, "'%s' is damaged; remove it to forget the run", state_file);
        if (rc == LM_OK)
            rc = deliver_kept(state_dir, state, path.ptr, err);
        *ret_sent += rc == LM_OK;
        json_decref(state);
        lm_buf_release(&text);
    }
    lm_file_list_release(&list);
    return rc == LM_OK && found == 0 ? LM_ENOTHING : rc;
}
