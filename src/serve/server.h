#ifndef LM_SERVE_SERVER_H
#define LM_SERVE_SERVER_H
/* serve/server.h - the daemon: HTTPS, identity, decision, prompt, batch, tokens, filter, audit, answer.
 *
 * serve sees engines, never tensors.
 *
 *     open                /health /livez; /metrics from this machine, with a key from elsewhere
 *     OpenAI, any role    GET /v1/models /v1/models/{id}   POST /v1/feedback
 *     OpenAI, as the role's own question route
 *                         POST /v1/chat/completions /v1/completions, whole or streamed
 *     administrator       /modelManagement /userAccessControl /systemSettings
 *     developer           /modelDetails /trainingDataInsights /debuggingTools
 *     analyst             POST /queryModel   GET /resultAnalysis
 *     end-user            POST /simpleQuery  GET /help
 * The table with methods and bodies is lm_routes in route.c; what a role may do is the policy's word.
 *
 * Threads: one per connection (at most connections_max), which may wait; one that accepts; those of each
 * model's engine.  start, run and free are called by one thread. */

#include "base/option.h"
#include "base/str.h"

struct lm_serve_config {
    const char *listen;       // "127.0.0.1:8443"; port 0: the system chooses
    bool http;                // plain HTTP; refused unless the address is loopback
    const char *cert, *key;   // PEM files; NULL: a self-signed pair in state_dir/tls, made on first start
    int64_t body_bytes_max, connections_max, sequences_max, queue_max, kv_tokens_max, max_tokens_default;
    int64_t schema_bytes_max;
    int kv_type;   // enum lm_kv_type
    int64_t idle_seconds, ping_seconds, drain_seconds, lame_duck_seconds;
    const char *policy;   // file; NULL: the built-in one
};
extern const struct lm_opt_table lm_serve_options;

/* One model to serve. */
struct lm_serve_model {
    const char *name;        // as in the API's `model`
    const char *dir;         // Hugging Face folder
    const char *artifact;    // id for lineage, "" when it is a plain folder
    const char *partition;   // NULL: for everybody
};

struct lm_server;

/* Opens socket, models, database (state_dir/loom.db) and audit log (state_dir/audit), and begins to answer.
 * LM_EEXIST when the port is taken, or another process holds the audit log; LM_EINVAL for plain HTTP on an
 * address that others can reach. */
enum lm_rc lm_server_start(const struct lm_serve_config *config, const struct lm_serve_model *models,
                           size_t count, const char *state_dir, struct lm_server **ret, struct lm_err *err);
int lm_server_port(const struct lm_server *s);

/* Answers until lm_stop_asked(), then drains: /health says 503; after lame_duck_seconds new requests are
 * refused; running answers may end for drain_seconds, and what is left is cut with an error.  Returns
 * LM_ESTOP, with nothing running any more. */
enum lm_rc lm_server_run(struct lm_server *s, struct lm_err *err);
void lm_server_free(struct lm_server *s);   // without a run before it: cuts what runs; NULL is fine

#endif
