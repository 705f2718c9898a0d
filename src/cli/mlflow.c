#include "cli/mlflow.h"

#include "base/json.h"
#include "base/sys.h"

#include <curl/curl.h>
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CONNECT_SECONDS = 5,
    SECONDS_MAX = 30,
    HURRIED_SECONDS = 4,
    PARAM_BYTES_MAX = 500,
    PARAMS_MAX = 100,
    HISTORY_POINTS_MAX = 10000
};

struct lm_mlflow {
    CURL *curl;
    char *base, *experiment;
    char experiment_id[LM_MLFLOW_ID_MAX];
    bool may_sign;   // credentials may be sent
    atomic_bool hurried;
};

/* ---- the target ---- */

static bool is_this_machine(const char *host)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t len = strlen(names[i]);
        if (strncmp(host, names[i], len) == 0 && (!host[len] || strchr(":/", host[len])))
            return true;
    }
    return false;
}

static enum lm_rc fail_target(const char *target, const char *why, struct lm_err *err)
{
    return lm_fail(err, LM_EINVAL, "--track: '%.200s' %s; write mlflow:http://HOST:5000/EXPERIMENT", target,
                   why);
}

enum lm_rc lm_mlflow_open(const char *target, struct lm_mlflow **ret, struct lm_err *err)
{
    const bool secure = strncmp(target, "https://", 8) == 0;
    if (!secure && strncmp(target, "http://", 7) != 0)
        return fail_target(target, "does not begin with http:// or https://", err);
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '@' || *c == '?' || *c == '#')
            return fail_target(target, "has a character that does not belong there", err);
    const char *host = target + (secure ? 8 : 7), *slash = strrchr(host, '/');
    if (!slash || slash == host || !slash[1] || memchr(target, ' ', (size_t)(slash - target)))
        return fail_target(target, "does not name an experiment behind the address", err);
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (!curl)
        return lm_fail(err, LM_ENOMEM, "libcurl does not start");
    struct lm_mlflow *m = lm_zalloc(1, sizeof *m);
    m->curl = curl;
    m->base = lm_strdup(target);
    m->base[slash - target] = '\0';
    m->experiment = lm_strdup(slash + 1);
    m->may_sign = secure || is_this_machine(host);
    *ret = m;
    return LM_OK;
}

void lm_mlflow_close(struct lm_mlflow *m)
{
    if (!m)
        return;
    curl_easy_cleanup(m->curl);
    free(m->base);
    free(m->experiment);
    free(m);
}

void lm_mlflow_hurry(struct lm_mlflow *m)
{
    m->hurried = true;
}

void lm_mlflow_calm(struct lm_mlflow *m)
{
    m->hurried = false;
}

/* ---- one request ---- */

static size_t take_body(char *bytes, size_t size, size_t count, void *user)
{
    struct lm_buf *reply = user;
    lm_buf_add(reply, bytes, size * count);
    return reply->overflow ? 0 : size * count;
}

/* A request that began with patience ends soon once there is none. */
static int look(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    const struct lm_mlflow *m = user;
    double seconds = 0;
    (void)total, (void)now, (void)up_total, (void)up;
    curl_easy_getinfo(m->curl, CURLINFO_TOTAL_TIME, &seconds);
    return m->hurried && seconds > HURRIED_SECONDS;
}

static void sign(struct lm_mlflow *m)
{
    const char *token = getenv("MLFLOW_TRACKING_TOKEN"), *user = getenv("MLFLOW_TRACKING_USERNAME");
    const char *password = getenv("MLFLOW_TRACKING_PASSWORD");
    if (m->may_sign && token) {
        curl_easy_setopt(m->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(m->curl, CURLOPT_XOAUTH2_BEARER, token);
    } else if (m->may_sign && user && password) {
        curl_easy_setopt(m->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(m->curl, CURLOPT_USERNAME, user);
        curl_easy_setopt(m->curl, CURLOPT_PASSWORD, password);
    }
}

static void configure(struct lm_mlflow *m, const char *url, const struct lm_buf *body,
                      struct curl_slist *headers, struct lm_buf *reply)
{
    CURL *c = m->curl;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)(m->hurried ? HURRIED_SECONDS : CONNECT_SECONDS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)(m->hurried ? HURRIED_SECONDS : SECONDS_MAX));
    curl_easy_setopt(c, CURLOPT_USERAGENT, "loom/" LOOM_VERSION);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, m);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)body->len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body->ptr);
    }
    sign(m);
}

/* body NULL: GET.  LM_ENOENT: 404; LM_EDENIED: other refusals; LM_EIO: it may work later. */
static enum lm_rc ask(struct lm_mlflow *m, const char *call, const struct lm_buf *body, struct lm_buf *reply,
                      struct lm_err *err)
{
    struct lm_buf url = { 0 };
    long code = 0;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    lm_buf_printf(&url, "%s/api/2.0/mlflow/%s", m->base, call);
    lm_buf_reset(reply);
    reply->len_max = LM_MLFLOW_REPLY_BYTES_MAX;
    configure(m, url.ptr, body, headers, reply);
    const CURLcode result = curl_easy_perform(m->curl);
    curl_easy_getinfo(m->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(headers);
    lm_buf_release(&url);
    if (result != CURLE_OK)
        return lm_fail(err, LM_EIO, "%s: %s", m->base, curl_easy_strerror(result));
    if (code == 200)
        return LM_OK;
    const int shown = reply->len < 200 ? (int)reply->len : 200;
    return lm_fail(err,
                   code == 404                  ? LM_ENOENT
                   : code == 429 || code >= 500 ? LM_EIO
                                                : LM_EDENIED,
                   "%s answers %ld to %.40s: %.*s", m->base, code, call, shown, lm_buf_str(reply).ptr);
}

static enum lm_rc take_id(const struct lm_mlflow *m, const struct lm_buf *reply, const char *path,
                          char ret[LM_MLFLOW_ID_MAX], struct lm_err *err)
{
    if (lm_mlflow_reply_id(lm_buf_str(reply), path, ret))
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s does not answer like an MLflow server: no %s", m->base, path);
}

/* ---- experiment and run ---- */

static enum lm_rc find_experiment(struct lm_mlflow *m, struct lm_err *err)
{
    static const char by_name[] = "experiments/get-by-name?experiment_name=";
    struct lm_buf call = { 0 }, body = { 0 }, reply = { 0 };
    if (m->experiment_id[0])
        return LM_OK;
    char *name = curl_easy_escape(m->curl, m->experiment, 0);
    lm_buf_printf(&call, "%s%s", by_name, name ? name : "");
    curl_free(name);
    enum lm_rc rc = ask(m, call.ptr, NULL, &reply, err);
    const bool is_new = rc == LM_ENOENT;
    if (is_new) {
        lm_buf_putc(&body, '{');
        lm_json_key_str(&body, "name", lm_str(m->experiment));
        lm_buf_putc(&body, '}');
        rc = ask(m, "experiments/create", &body, &reply, err);
    }
    if (rc == LM_OK)
        rc = take_id(m, &reply, is_new ? "experiment_id" : "experiment.experiment_id", m->experiment_id, err);
    lm_buf_release(&call);
    lm_buf_release(&body);
    lm_buf_release(&reply);
    return rc;
}

static void add_pair(struct lm_buf *ret, const char *key, struct lm_str value)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "key", lm_str(key));
    lm_json_key_str(ret, "value", value);
    lm_buf_putc(ret, '}');
}

static void add_count(struct lm_buf *ret, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add_pair(ret, key, lm_str(text));
}

/* A run of ours that the server has as running: this program was killed before it noted its name. */
static enum lm_rc find_run(struct lm_mlflow *m, const char *key, char ret_id[LM_MLFLOW_ID_MAX],
                           struct lm_err *err)
{
    struct lm_buf body = { 0 }, reply = { 0 }, filter = { 0 };
    lm_buf_printf(&filter, "tags.`loom.key` = '%s' and attributes.status = 'RUNNING'", key);
    lm_buf_putc(&body, '{');
    lm_json_key(&body, "experiment_ids");
    lm_buf_putc(&body, '[');
    lm_json_str(&body, lm_str(m->experiment_id));
    lm_buf_putc(&body, ']');
    lm_json_key_str(&body, "filter", lm_buf_str(&filter));
    lm_json_key_int(&body, "max_results", 1);
    lm_buf_putc(&body, '}');
    enum lm_rc rc = ask(m, "runs/search", &body, &reply, err);
    if (rc == LM_OK && !lm_mlflow_reply_id(lm_buf_str(&reply), "runs.0.info.run_id", ret_id))
        rc = LM_ENOTHING;
    lm_buf_release(&body);
    lm_buf_release(&reply);
    lm_buf_release(&filter);
    return rc;
}

static enum lm_rc create_run(struct lm_mlflow *m, const struct lm_mlflow_run *run,
                             char ret_id[LM_MLFLOW_ID_MAX], struct lm_err *err)
{
    struct lm_buf body = { 0 }, reply = { 0 }, source = { 0 };
    lm_buf_printf(&source, "loom %s", run->what);
    lm_buf_putc(&body, '{');
    lm_json_key_str(&body, "experiment_id", lm_str(m->experiment_id));
    lm_json_key_str(&body, "run_name", lm_str(run->name));
    lm_json_key_int(&body, "start_time", lm_wall_ms());
    lm_json_key(&body, "tags");
    lm_buf_putc(&body, '[');
    add_pair(&body, "mlflow.source.type", LM_STR("LOCAL"));
    add_pair(&body, "mlflow.source.name", lm_buf_str(&source));
    add_pair(&body, "mlflow.user", lm_str(run->user));
    add_pair(&body, "loom.version", lm_str(lm_version));
    add_pair(&body, "loom.key", lm_str(run->key));
    add_pair(&body, "loom.recipe", lm_str(run->recipe));
    add_count(&body, "loom.steps", run->steps);
    add_count(&body, "loom.parameters", run->parameters);
    lm_buf_puts(&body, "]}");
    enum lm_rc rc = ask(m, "runs/create", &body, &reply, err);
    if (rc == LM_OK)
        rc = take_id(m, &reply, "run.info.run_id", ret_id, err);
    lm_buf_release(&body);
    lm_buf_release(&reply);
    lm_buf_release(&source);
    return rc;
}

/* The settings as params, in batches of as many as one call takes. */
static enum lm_rc log_params(struct lm_mlflow *m, const char *run_id, struct lm_str settings,
                             struct lm_err *err)
{
    json_t *object = json_loadb(settings.ptr, settings.len, 0, NULL);
    struct lm_buf body = { 0 }, reply = { 0 };
    enum lm_rc rc = LM_OK;
    LM_ASSERT(json_is_object(object));   // we wrote it
    for (void *at = json_object_iter(object); rc == LM_OK && at;) {
        lm_buf_reset(&body);
        lm_buf_putc(&body, '{');
        lm_json_key_str(&body, "run_id", lm_str(run_id));
        lm_json_key(&body, "params");
        lm_buf_putc(&body, '[');
        for (size_t i = 0; at && i < PARAMS_MAX; i++, at = json_object_iter_next(object, at)) {
            const json_t *value = json_object_iter_value(at);
            if (json_is_null(value))
                continue;
            char *text = json_is_string(value) ? lm_strdup(json_string_value(value))
                                               : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
            const struct lm_str s = lm_str(text);
            add_pair(&body, json_object_iter_key(at),
                     (struct lm_str){ s.ptr, s.len < PARAM_BYTES_MAX ? s.len : PARAM_BYTES_MAX });
            free(text);
        }
        lm_buf_puts(&body, "]}");
        rc = ask(m, "runs/log-batch", &body, &reply, err);
    }
    json_decref(object);
    lm_buf_release(&body);
    lm_buf_release(&reply);
    return rc;
}

enum lm_rc lm_mlflow_start(struct lm_mlflow *m, const struct lm_mlflow_run *run,
                           char ret_id[LM_MLFLOW_ID_MAX], struct lm_err *err)
{
    LM_TRY(find_experiment(m, err));
    enum lm_rc rc = find_run(m, run->key, ret_id, err);
    if (rc == LM_ENOTHING)
        rc = create_run(m, run, ret_id, err);
    return rc == LM_OK ? log_params(m, ret_id, run->settings, err) : rc;
}

static void add_escaped(struct lm_mlflow *m, struct lm_buf *call, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(m->curl, value, 0);
    lm_buf_printf(call, "&%s=%s", name, escaped ? escaped : "");
    curl_free(escaped);
}

/* All pages of one metric. */
static enum lm_rc count_points(struct lm_mlflow *m, const char *run_id, struct lm_track_mark *mark,
                               struct lm_err *err)
{
    struct lm_buf call = { 0 }, reply = { 0 };
    char token[LM_MLFLOW_TOKEN_MAX] = "";
    enum lm_rc rc = LM_OK;
    do {
        size_t points = 0;
        lm_buf_reset(&call);
        lm_buf_printf(&call, "metrics/get-history?run_id=%s&max_results=%d", run_id, HISTORY_POINTS_MAX);
        add_escaped(m, &call, "metric_key", mark->name);
        if (token[0])
            add_escaped(m, &call, "page_token", token);
        rc = ask(m, call.ptr, NULL, &reply, err);
        if (rc == LM_OK && !lm_mlflow_reply_history(lm_buf_str(&reply), &points, token))
            rc = lm_fail(err, LM_EFORMAT, "%s does not answer like an MLflow server: no history", m->base);
        if (points == 0)
            token[0] = '\0';
        mark->there += points;
    } while (rc == LM_OK && token[0]);
    lm_buf_release(&call);
    lm_buf_release(&reply);
    return rc;
}

enum lm_rc lm_mlflow_marks(struct lm_mlflow *m, const char *run_id, struct lm_track_marks *ret,
                           struct lm_err *err)
{
    struct lm_buf call = { 0 }, reply = { 0 };
    lm_buf_printf(&call, "runs/get?run_id=%s", run_id);
    enum lm_rc rc = ask(m, call.ptr, NULL, &reply, err);
    if (rc == LM_OK && !lm_mlflow_reply_names(lm_buf_str(&reply), ret))
        rc = lm_fail(err, LM_EFORMAT, "%s does not answer like an MLflow server: no run", m->base);
    for (size_t i = 0; rc == LM_OK && i < ret->count; i++)
        rc = count_points(m, run_id, &ret->marks[i], err);
    lm_buf_release(&call);
    lm_buf_release(&reply);
    return rc;
}

enum lm_rc lm_mlflow_log(struct lm_mlflow *m, const char *run_id, const struct lm_track_point *points,
                         size_t count, int64_t wall_ms, struct lm_err *err)
{
    LM_ASSERT(count <= LM_MLFLOW_BATCH_MAX);

    struct lm_buf body = { 0 }, reply = { 0 };
    lm_buf_putc(&body, '{');
    lm_json_key_str(&body, "run_id", lm_str(run_id));
    lm_json_key(&body, "metrics");
    lm_buf_putc(&body, '[');
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(&body);
        lm_buf_putc(&body, '{');
        lm_json_key_str(&body, "key", points[i].name);
        lm_json_key_num(&body, "value", points[i].value);
        lm_json_key_int(&body, "timestamp", wall_ms);
        lm_json_key_int(&body, "step", points[i].step);
        lm_buf_putc(&body, '}');
    }
    lm_buf_puts(&body, "]}");
    const enum lm_rc rc = ask(m, "runs/log-batch", &body, &reply, err);
    lm_buf_release(&body);
    lm_buf_release(&reply);
    return rc;
}

enum lm_rc lm_mlflow_status(struct lm_mlflow *m, const char *run_id, const char *status, int64_t wall_ms,
                            struct lm_err *err)
{
    struct lm_buf body = { 0 }, reply = { 0 };
    lm_buf_putc(&body, '{');
    lm_json_key_str(&body, "run_id", lm_str(run_id));
    lm_json_key_str(&body, "status", lm_str(status));
    if (strcmp(status, "RUNNING") != 0)
        lm_json_key_int(&body, "end_time", wall_ms);
    lm_buf_putc(&body, '}');
    const enum lm_rc rc = ask(m, "runs/update", &body, &reply, err);
    lm_buf_release(&body);
    lm_buf_release(&reply);
    return rc;
}
