#ifndef LM_SERVE_EXCHANGE_H
#define LM_SERVE_EXCHANGE_H
/* serve/exchange.h - one request and its answer, and the server around it.
 *
 * An exchange belongs to the thread of its connection.  HTTP fills in what came, exchange.c takes it through
 * its life, HTTP sends what is in `reply`; no socket is read or written outside http.c.  Of the server,
 * configuration, models and policy are fixed after the start; the rest has locks of its own. */

#include "base/mem.h"
#include "govern/audit.h"
#include "govern/govern.h"
#include "monitor/metrics.h"
#include "serve/fault.h"
#include "serve/generation.h"
#include "serve/parse.h"
#include "serve/route.h"
#include "serve/schemas.h"
#include "serve/server.h"
#include "serve/trace.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LM_ANSWER_ID = 40 };

/* Things that are costly to make and belong to one thread at a time: taken, used, given back. */
struct lm_pool {
    pthread_mutex_t lock;
    void **items;
    size_t len, cap;
};

struct lm_served {
    const char *name, *dir, *artifact;
    const char *partition;   // NULL: for everybody
    struct lm_model model;
    struct lm_tokenizer *tokenizer;
    struct lm_engine *engine;
    struct lm_schemas *schemas;
    struct lm_pool encoders;
};

enum lm_phase {
    LM_PHASE_SERVING,
    LM_PHASE_LAME,       // /health says no, the rest goes on: balancers look elsewhere before we refuse
    LM_PHASE_REFUSING,   // what runs may end, nothing begins
    LM_PHASE_ENDING,     // what still runs is cut
};

struct lm_server {
    struct lm_serve_config config;
    struct lm_arena arena;   // strings of the configuration; the starting thread's
    const char *state_dir, *db_path, *audit_dir;
    struct lm_served *models;
    size_t model_count;
    struct lm_policy *policy;
    struct lm_metrics *metrics;
    struct lm_audit *audit;
    struct lm_trace_ring *traces;
    struct lm_pool dbs;

    _Atomic int phase;               // enum lm_phase
    _Atomic size_t exchange_count;   // requests whose headers came and whose answers are not yet sent
    pthread_mutex_t lock;            // guards the list
    struct lm_exchange *generating;

    int listen_fd, port;
    bool loopback, tls;
    char *cert_pem, *key_pem;
    struct MHD_Daemon *daemon;
};

struct lm_reply {
    int status;
    const char *content_type;
    struct lm_buf body;   // whole, or the events not yet sent
    size_t sent;          // of the events
    bool stream;          // events follow: lm_generate_read gives them
    bool over;            // ... and there are no more
};

struct lm_exchange {
    struct lm_server *server;
    struct lm_arena arena;
    char id[LM_ANSWER_ID];   // "req-...", in the header x-request-id and in the audit log
    uint64_t started_ns;

    /* As it came. */
    const char *method, *path;           // in the arena
    const char *authorization, *media;   // headers; NULL: none
    uint64_t announced_bytes;            // Content-Length, 0: none
    struct lm_buf body;
    bool from_loopback;
    int socket_fd;

    /* As it is understood. */
    const struct lm_route *route;
    struct lm_str path_id;   // what stood for {id}
    struct lm_subject subject;
    struct lm_api_request request;
    struct lm_served *model;   // NULL: none is asked
    struct lm_decision decision;

    /* An answer of the model. */
    char answer_id[LM_ANSWER_ID];
    struct lm_tokens prompt;
    struct lm_sampling sampling;
    struct lm_schema *schema;   // the sampling's constraint; NULL: none
    char prompt_sha256[LM_SHA256_HEX];
    int64_t reserved_tokens;
    struct lm_answer_head head;
    struct lm_generation *generation;
    bool closed;                        // what the answer was is written down
    struct lm_exchange *next, **link;   // in server->generating

    struct lm_fault fault;
    struct lm_reply reply;
};

/* ---- exchange.c: the life of a request ---- */

struct lm_exchange *lm_exchange_new(struct lm_server *server);
void lm_exchange_open(
    struct lm_exchange *x);                    // after the headers; sets fault when the body need not be read
void lm_exchange_run(struct lm_exchange *x);   // after the body; afterwards the reply is there
void lm_exchange_free(struct lm_exchange *x);   // after the last byte, or when the client is gone

/* Something of ours broke: err goes to the log, a number to ask with to the client.  Always false. */
bool lm_exchange_failed(struct lm_exchange *x, const struct lm_err *err);

/* "<prefix>-" and 24 random hex digits. */
void lm_random_id(const char *prefix, char ret[LM_ANSWER_ID]);

/* ---- generate.c ---- */

bool lm_generate_prepare(struct lm_exchange *x);   // prompt, sampling and the most it may cost
bool lm_generate_reserve(struct lm_exchange *x);   // false: it exceeds the quota; no fault is set
/* More of a stream: bytes put into buf, 0 at its end. */
size_t lm_generate_read(struct lm_exchange *x, char *buf, size_t max);
void lm_generate_close(struct lm_exchange *x);   // ends what still runs and writes down what it was

/* ---- record.c: what goes into the audit log; false and a fault when it cannot be written ---- */

bool lm_record_decision(struct lm_exchange *x);
bool lm_record_answer(struct lm_exchange *x, const char *finish, const struct lm_generation_facts *facts);

/* ---- pool.c ---- */

void lm_pool_init(struct lm_pool *pool);
void *lm_pool_take(struct lm_pool *pool);   // NULL when empty: make one
void lm_pool_give(struct lm_pool *pool, void *item);
void lm_pool_release(struct lm_pool *pool, void (*free_item)(void *));
struct lm_db *lm_server_db(struct lm_server *s, struct lm_err *err);   // NULL: cannot open
void lm_server_db_give(struct lm_server *s, struct lm_db *db);

/* ---- server.c ---- */

bool lm_exchange_may_see(const struct lm_exchange *x, const struct lm_served *model);   // by partition
struct lm_served *lm_server_find(struct lm_server *s, struct lm_str name);
void lm_server_gauges(struct lm_server *s);   // refreshes what /metrics shows of engines and memory

#endif
