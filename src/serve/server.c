#include "serve/server.h"

#include "base/file.h"
#include "base/sys.h"
#include "monitor/feedback.h"
#include "serve/exchange.h"
#include "serve/http.h"
#include "serve/listen.h"
#include "serve/tls.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// clang-format off
#define AT(field) LM_OPT_AT(struct lm_serve_config, field)
static const struct lm_opt rows[] = {
    { "listen", LM_OPT_STRING, AT(listen), "127.0.0.1:8443", .help = "address and port; port 0: any free one", .neutral = true },
    { "http", LM_OPT_BOOL, AT(http), "false", .help = "without TLS; only on a loopback address", .neutral = true },
    { "cert", LM_OPT_STRING, AT(cert), NULL, .help = "certificate, PEM; default: a self-signed one, made once", .neutral = true },
    { "key", LM_OPT_STRING, AT(key), NULL, .help = "private key of the certificate, PEM", .neutral = true },
    { "body-bytes-max", LM_OPT_INT, AT(body_bytes_max), "1048576", 1024, 67108864, "bytes", "largest request body" },
    { "connections-max", LM_OPT_INT, AT(connections_max), "256", 1, 65536, "connections", "open at once, each a thread" },
    { "sequences-max", LM_OPT_INT, AT(sequences_max), "16", 1, 4096, "sequences", "decoded together, per model" },
    { "queue-max", LM_OPT_INT, AT(queue_max), "64", 1, 65536, "requests", "waiting per model; one more is told to try again" },
    { "schema-bytes-max", LM_OPT_INT, AT(schema_bytes_max), "67108864", 0, 4294967296, "bytes", "compiled response formats kept per model" },
    { "kv-tokens-max", LM_OPT_INT, AT(kv_tokens_max), "32768", 256, 16777216, "tokens", "KV cache per model, over all sequences; at least one context" },
    { "kv-type", LM_OPT_CHOICE, AT(kv_type), "f16", 0, 0, "", "of the KV cache: exact, half or a quarter of the memory", lm_kv_type_names },
    { "max-tokens-default", LM_OPT_INT, AT(max_tokens_default), "256", 1, 1048576, "tokens", "longest answer unless the request says" },
    { "idle-seconds", LM_OPT_INT, AT(idle_seconds), "60", 1, 3600, "s", "a connection that neither sends nor takes anything is closed", .neutral = true },
    { "ping-seconds", LM_OPT_INT, AT(ping_seconds), "15", 1, 300, "s", "silence in a stream before a comment is sent, which keeps proxies from hanging up", .neutral = true },
    { "drain-seconds", LM_OPT_INT, AT(drain_seconds), "30", 0, 3600, "s", "running answers may go on for so long after a stop" },
    { "lame-duck-seconds", LM_OPT_INT, AT(lame_duck_seconds), "0", 0, 3600, "s", "before that: still taking requests, so that balancers can look elsewhere" },
    { "policy", LM_OPT_STRING, AT(policy), NULL, .help = "policy file; default: the built-in one" },
};
// clang-format on
#undef AT
const struct lm_opt_table lm_serve_options = LM_OPT_TABLE("serve", struct lm_serve_config, rows);

/* ---- models ---- */

bool lm_exchange_may_see(const struct lm_exchange *x, const struct lm_served *model)
{
    if (!model->partition)
        return true;
    for (size_t i = 0; i < x->subject.partition_count; i++)
        if (strcmp(x->subject.partitions[i], model->partition) == 0)
            return true;
    return false;
}

struct lm_served *lm_server_find(struct lm_server *s, struct lm_str name)
{
    for (size_t i = 0; i < s->model_count; i++)
        if (lm_str_eq(lm_str(s->models[i].name), name))
            return &s->models[i];
    return NULL;
}

static enum lm_rc start_engine(struct lm_server *s, struct lm_served *m, struct lm_err *err)
{
    const size_t context = (size_t)m->model.config.context, all = (size_t)s->config.sequences_max * context;
    const size_t wanted = all < (size_t)s->config.kv_tokens_max ? all : (size_t)s->config.kv_tokens_max;
    const struct lm_engine_config config = {
        .sequences_max = (size_t)s->config.sequences_max,
        .queue_max = (size_t)s->config.queue_max,
        .kv_tokens_max = wanted > context ? wanted : context,
        .kv_type = (enum lm_kv_type)s->config.kv_type,
    };
    return lm_engine_new(&m->model, m->tokenizer, &config, &m->engine, err);
}

static enum lm_rc load_model(struct lm_server *s, const struct lm_serve_model *from, struct lm_served *m,
                             struct lm_err *err)
{
    m->name = lm_arena_strdup(&s->arena, from->name);
    m->dir = lm_arena_strdup(&s->arena, from->dir);
    m->artifact = lm_arena_strdup(&s->arena, from->artifact ? from->artifact : "");
    m->partition = from->partition ? lm_arena_strdup(&s->arena, from->partition) : NULL;
    LM_TRY(lm_model_open(m->dir, &m->model, err));
    LM_TRY(lm_model_check_finite(&m->model, err));
    LM_TRY(lm_model_tokenizer(m->dir, &m->tokenizer, err));
    m->schemas = lm_schemas_new(m->tokenizer, (size_t)s->config.schema_bytes_max);
    return start_engine(s, m, err);
}

static enum lm_rc load_models(struct lm_server *s, const struct lm_serve_model *models, size_t count,
                              struct lm_err *err)
{
    if (count == 0)
        return lm_fail(err, LM_EINVAL, "there is no model to serve: name one with --model=NAME=PATH");
    s->models = lm_zalloc(count, sizeof(*s->models));
    for (size_t i = 0; i < count; i++) {
        if (lm_server_find(s, lm_str(models[i].name)))
            return lm_fail(err, LM_EINVAL, "two models are called '%s'", models[i].name);
        struct lm_served *m = &s->models[s->model_count++];
        lm_pool_init(&m->encoders);
        const enum lm_rc rc = load_model(s, &models[i], m, err);
        if (rc != LM_OK)
            return lm_err_prefix(err, rc, "model '%s'", models[i].name);
    }
    return LM_OK;
}

static void free_encoder(void *encoder)
{
    lm_encoder_free(encoder);
}

static void release_model(struct lm_served *m)
{
    lm_engine_free(m->engine);
    lm_schemas_free(m->schemas);
    lm_pool_release(&m->encoders, free_encoder);
    lm_tokenizer_free(m->tokenizer);
    lm_model_close(&m->model);
}

/* Under our name, and under that which dashboards for vLLM look for. */
static const enum lm_metric prefix_queries[] = { LM_METRIC_PREFIX_QUERIES, LM_METRIC_VLLM_PREFIX_QUERIES };
static const enum lm_metric prefix_hits[] = { LM_METRIC_PREFIX_HITS, LM_METRIC_VLLM_PREFIX_HITS };

void lm_server_gauges(struct lm_server *s)
{
    for (size_t i = 0; i < s->model_count; i++) {
        const struct lm_engine_stats stats = lm_engine_stats(s->models[i].engine);
        const char *name = s->models[i].name;
        lm_metric_set(s->metrics, LM_METRIC_RUNNING, name, NULL, (double)stats.running);
        lm_metric_set(s->metrics, LM_METRIC_WAITING, name, NULL, (double)stats.waiting);
        lm_metric_set(s->metrics, LM_METRIC_KV_USAGE, name, NULL, stats.kv_usage);
        for (size_t k = 0; k < sizeof(prefix_queries) / sizeof(prefix_queries[0]); k++) {
            lm_metric_set(s->metrics, prefix_queries[k], name, NULL, (double)stats.prefix_queries);
            lm_metric_set(s->metrics, prefix_hits[k], name, NULL, (double)stats.prefix_hits);
        }
    }
    lm_metric_set(s->metrics, LM_METRIC_RSS, NULL, NULL, (double)lm_rss_bytes());
}

/* ---- starting ---- */

static void copy_config(struct lm_server *s, const struct lm_serve_config *config)
{
    const char **const texts[] = { &s->config.listen, &s->config.cert, &s->config.key, &s->config.policy };
    s->config = *config;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (*texts[i])
            *texts[i] = lm_arena_strdup(&s->arena, *texts[i]);
}

static enum lm_rc open_socket(struct lm_server *s, struct lm_listen *listen, struct lm_err *err)
{
    LM_TRY(lm_listen_open(s->config.listen, listen, err));
    s->listen_fd = listen->fd;
    s->port = listen->port;
    s->tls = !s->config.http;
    if (s->config.http && !listen->loopback)
        return lm_fail(
            err, LM_EINVAL,
            "'%s' can be reached from outside, so plain HTTP would send keys and texts in the clear: "
            "leave --http out, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            s->config.listen);
    return LM_OK;
}

static enum lm_rc open_stores(struct lm_server *s, struct lm_err *err)
{
    LM_TRY(lm_policy_load(s->config.policy, &s->policy, err));
    LM_TRY(lm_dir_make(s->state_dir, err));
    struct lm_db *db = lm_server_db(s, err);
    if (!db)
        return err ? err->rc : LM_EIO;
    enum lm_rc rc = lm_users_schema(db, err);
    if (rc == LM_OK)
        rc = lm_feedback_schema(db, err);
    lm_server_db_give(s, db);
    LM_TRY(rc);
    return lm_audit_open(s->audit_dir, &s->audit, err);
}

static enum lm_rc open_tls(struct lm_server *s, const char *host, struct lm_err *err)
{
    char fingerprint[LM_FINGERPRINT_TEXT];
    if (!s->tls)
        return LM_OK;
    LM_TRY(lm_tls_load(s->config.cert, s->config.key, s->state_dir, host, &s->cert_pem, &s->key_pem, err));
    LM_TRY(lm_tls_fingerprint(s->cert_pem, fingerprint, err));
    lm_say("certificate SHA-256 %s", fingerprint);
    return LM_OK;
}

static enum lm_rc start(struct lm_server *s, const struct lm_serve_model *models, size_t count,
                        struct lm_err *err)
{
    struct lm_listen listen;
    if (sodium_init() < 0)
        return lm_fail(err, LM_EIO, "libsodium finds no source of random numbers");
    LM_TRY(open_socket(s, &listen, err));
    LM_TRY(open_stores(s, err));
    LM_TRY(open_tls(s, listen.host, err));
    LM_TRY(load_models(s, models, count, err));
    LM_TRY(lm_listen_start(&listen, err));
    LM_TRY(lm_http_start(s, err));
    lm_say("listening on %s://%s port %d", s->tls ? "https" : "http", listen.host, s->port);
    return LM_OK;
}

enum lm_rc lm_server_start(const struct lm_serve_config *config, const struct lm_serve_model *models,
                           size_t count, const char *state_dir, struct lm_server **ret, struct lm_err *err)
{
    struct lm_err own = { 0 };
    struct lm_server *s = lm_zalloc(1, sizeof(*s));
    s->listen_fd = -1;
    copy_config(s, config);
    s->state_dir = lm_arena_strdup(&s->arena, state_dir);
    s->db_path = lm_arena_printf(&s->arena, "%s/loom.db", state_dir);
    s->audit_dir = lm_arena_printf(&s->arena, "%s/audit", state_dir);
    s->metrics = lm_metrics_new();
    s->traces = lm_trace_ring_new();
    lm_pool_init(&s->dbs);
    pthread_mutex_init(&s->lock, NULL);
    const enum lm_rc rc = start(s, models, count, err ? err : &own);
    if (rc != LM_OK) {
        lm_server_free(s);
        return rc;
    }
    *ret = s;
    return LM_OK;
}

int lm_server_port(const struct lm_server *s)
{
    return s->port;
}

/* ---- ending ---- */

static void nap(void)
{
    const struct timespec pause = { .tv_nsec = 50000000 };
    (void)nanosleep(&pause, NULL);
}

/* False when the time is over before nothing runs any more. */
static bool wait_until_idle(struct lm_server *s, int64_t seconds)
{
    const uint64_t until = lm_now_ns() + (uint64_t)seconds * 1000000000;
    while (atomic_load(&s->exchange_count) > 0) {
        if (lm_now_ns() >= until)
            return false;
        nap();
    }
    return true;
}

/* The error event must leave before the library shuts the sockets; a client that does not read it cannot hold
 * us up for long. */
static void cut_all(struct lm_server *s)
{
    enum { LAST_WORDS_SECONDS = 3 };
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->phase, LM_PHASE_ENDING);
    for (struct lm_exchange *x = s->generating; x; x = x->next)
        lm_generation_cancel(x->generation);
    pthread_mutex_unlock(&s->lock);
    (void)wait_until_idle(s, LAST_WORDS_SECONDS);
}

enum lm_rc lm_server_run(struct lm_server *s, struct lm_err *err)
{
    while (!lm_stop_asked())
        nap();
    lm_say("stopping: running answers have %lld seconds", (long long)s->config.drain_seconds);
    atomic_store(&s->phase, LM_PHASE_LAME);
    const uint64_t until = lm_now_ns() + (uint64_t)s->config.lame_duck_seconds * 1000000000;
    while (lm_now_ns() < until)
        nap();
    atomic_store(&s->phase, LM_PHASE_REFUSING);
    if (!wait_until_idle(s, s->config.drain_seconds))
        lm_warn("answers were still running after %lld seconds and were cut",
                (long long)s->config.drain_seconds);
    cut_all(s);
    lm_http_stop(s);
    return lm_fail(err, LM_ESTOP, "asked to stop");
}

static void close_db(void *db)
{
    lm_db_close(db);
}

void lm_server_free(struct lm_server *s)
{
    if (!s)
        return;
    cut_all(s);
    lm_http_stop(s);   // first, because the threads of connections use everything else
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    for (size_t i = 0; i < s->model_count; i++)
        release_model(&s->models[i]);
    free(s->models);
    lm_audit_close(s->audit);
    lm_pool_release(&s->dbs, close_db);
    lm_policy_free(s->policy);
    lm_metrics_free(s->metrics);
    lm_trace_ring_free(s->traces);
    pthread_mutex_destroy(&s->lock);
    free(s->cert_pem);
    if (s->key_pem)
        sodium_memzero(s->key_pem, strlen(s->key_pem));
    free(s->key_pem);
    lm_arena_release(&s->arena);
    free(s);
}
