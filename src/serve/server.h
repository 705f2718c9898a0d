#ifndef LM_SERVE_SERVER_H
#define LM_SERVE_SERVER_H
/* serve/server.h - the daemon: HTTPS, identity, decision, prompt, batch, tokens, filter, audit, answer.
 *
 * serve sees engines, never tensors.  libmicrohttpd threads parse and answer; each engine has its own thread. */

#include "base/option.h"
#include "base/str.h"

struct lm_serve_config {
    const char *listen;          // "127.0.0.1:8443"
    bool http;                   // plain HTTP; refused unless the address is loopback
    const char *cert, *key;      // PEM files; NULL: a self-signed pair in state_dir, made on first start
    int64_t body_bytes_max, connections_max, sequences_max, queue_max, max_tokens_default, drain_seconds;
    const char *policy;          // NULL: built in
};
extern const struct lm_opt_table lm_serve_options;

/* One model to serve. */
struct lm_serve_model {
    const char *name;       // as in the API's `model`
    const char *dir;        // Hugging Face folder
    const char *artifact;   // id for lineage, "" when it is a plain folder
    const char *partition;  // NULL: for everybody
};

struct lm_server;

/* Opens models, database, audit log and socket; LM_EEXIST names the holder when the port is taken. */
enum lm_rc lm_server_start(const struct lm_serve_config *config, const struct lm_serve_model *models, size_t count,
                           const char *state_dir, struct lm_server **ret, struct lm_err *err);
int lm_server_port(const struct lm_server *s);
/* Until lm_stop_asked(); then drains: /health says 503, running answers end, new ones are refused. */
enum lm_rc lm_server_run(struct lm_server *s, struct lm_err *err);
void lm_server_free(struct lm_server *s);

#endif
