/* A server with a tiny random model and a project of its own, and a client that talks to it over TLS. */
#ifndef TEST_SERVE_HOUSE_H
#define TEST_SERVE_HOUSE_H

#include "govern/govern.h"
#include "serve/server.h"
#include "store/db.h"

#include <jansson.h>

enum { HOUSE_CONTEXT = 4096 };

struct house {
    const char *state_dir;
    struct lm_serve_config config;
    const char *artifact;   // of "tiny"; may be changed before house_open
    struct lm_server *server;
    struct lm_db *db;
    /* Keys of users ines, kofi, priya, maria, henrik. */
    char administrator[LM_API_KEY_TEXT], developer[LM_API_KEY_TEXT], analyst[LM_API_KEY_TEXT],
        end_user[LM_API_KEY_TEXT], other[LM_API_KEY_TEXT];
};

/* The folder of the model, made once: model_dir/{config.json, model.safetensors, tokenizer.json}. */
void house_make_model(const char *model_dir);

/* A fresh project in state_dir with the five users.  Fields of config may be changed before house_open. */
void house_prepare(struct house *h, const char *state_dir);
/* Two models: "tiny" for everybody, "secret" for partition vault. */
void house_open(struct house *h, const char *model_dir);
void house_close(struct house *h);

struct ask {
    const char *method, *path, *key, *body;
    const char *media;      // NULL: application/json
    const char *header;     // one more
    size_t hang_up_after;   // bytes of the answer; 0: never
    long timeout_ms;        // 0: a minute
    bool chunked;           // do not announce the length
};

struct got {
    long status;   // 0: no answer
    struct lm_buf headers, body;
    json_t *json;   // NULL: not JSON
};

void house_ask(const struct house *h, const struct ask *ask, struct got *ret);
void got_release(struct got *got);
/* Every refusal is the same four members; fails unless it is this one. */
void got_check_refusal(const struct got *got, long status, const char *code);
/* "" when absent. */
const char *got_header(const struct got *got, const char *name, char ret[256]);
/* Text at a path of object keys and list positions: "choices.0.text"; "" when absent. */
const char *got_text(const struct got *got, const char *path);
json_t *json_at(json_t *root, const char *path);
struct lm_str json_text(const json_t *value);   // with the NULs a model may say; empty when it is no text

/* A chat of the end-user with a seed, so that each request gets the same answer; `more` is JSON that begins
 * with a comma.  Answers of this model run to their limit. */
void house_chat_body(char *ret, size_t size, int max_tokens, const char *more);
long house_chat(const struct house *h, int max_tokens, const char *more, struct got *ret);   // the status

/* All events but [DONE], as a list; fails unless [DONE] is the last, or is missing when the stream is not
 * whole. */
json_t *got_events(const struct got *got, bool whole);
/* The text they make; to be released. */
struct lm_buf events_text(json_t *events);

/* Value of a line of /metrics that begins with this; -1 when there is none. */
double house_metric(const struct house *h, const char *line);

/* Audit records, parsed, as a JSON list. */
json_t *house_audit(const struct house *h);

#endif
