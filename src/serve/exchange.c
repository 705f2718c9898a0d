/* The life of a request, in one straight line:
 *
 *     HTTP -> identity -> route -> body -> model -> decision -> prompt -> reservation -> record -> answer
 *
 * Each step is a function that returns false and leaves a fault when the request ends there.  Everything
 * before the record may refuse; nothing is begun, and no byte of an answer exists, before the record of the
 * decision is durable. */
#include "serve/exchange.h"

#include "base/sys.h"

#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

void lm_random_id(const char *prefix, char ret[LM_ANSWER_ID])
{
    uint8_t bytes[12];
    char hex[2 * sizeof(bytes) + 1];
    randombytes_buf(bytes, sizeof(bytes));
    lm_hex(bytes, sizeof(bytes), hex);
    snprintf(ret, LM_ANSWER_ID, "%s-%s", prefix, hex);
}

struct lm_exchange *lm_exchange_new(struct lm_server *server)
{
    struct lm_exchange *x = lm_zalloc(1, sizeof(*x));
    x->server = server;
    x->started_ns = lm_now_ns();
    x->socket_fd = -1;
    x->subject = (struct lm_subject){ .user = "", .role = "", .key_prefix = "", .key_state = "unknown" };
    x->decision = (struct lm_decision){
        .rule = LM_RULE_AUTHN, .route = "", .intent = "", .scope = "", .resource = "", .detail = ""
    };
    lm_random_id("req", x->id);
    atomic_fetch_add(&server->exchange_count, 1);
    return x;
}

/* ---- refusing ---- */

/* The policy's public sentence; the rule itself is for the log. */
static bool refuse_by_rule(struct lm_exchange *x)
{
    const enum lm_rule rule = x->decision.rule;
    LM_ASSERT(rule != LM_RULE_ALLOW);
    const int status = lm_rule_status[rule];
    const enum lm_fault_kind kind = status == 401   ? LM_FAULT_KEY
                                    : status == 429 ? LM_FAULT_QUOTA
                                                    : LM_FAULT_DENIED;
    return lm_fault_set(&x->fault, kind, NULL, "%s", lm_policy_message(x->server->policy, rule));
}

static bool deny(struct lm_exchange *x)
{
    return lm_record_decision(x) && refuse_by_rule(x);
}

bool lm_exchange_failed(struct lm_exchange *x, const struct lm_err *err)
{
    lm_warn("request %s: %s", x->id, err->text);
    return lm_fault_set(&x->fault, LM_FAULT_INTERNAL, NULL, "something went wrong here; the request was %s",
                        x->id);
}

/* ---- the steps ---- */

static bool look_up_key(struct lm_exchange *x, struct lm_str key)
{
    struct lm_err err = { 0 };
    struct lm_db *db = lm_server_db(x->server, &err);
    enum lm_rc rc = db ? LM_OK : err.rc;
    if (db)
        rc = lm_key_lookup(db, key, lm_wall_ms(), &x->arena, &x->subject, &err);
    if (db)
        lm_server_db_give(x->server, db);
    return rc == LM_OK || lm_exchange_failed(x, &err);
}

/* A request without any key is refused without a record: nothing is known that could be written down, and
 * strangers must not be able to fill the log. */
static bool identify(struct lm_exchange *x)
{
    const enum lm_gate gate = x->route ? x->route->gate : LM_GATE_KEY;
    if (gate == LM_GATE_OPEN || (gate == LM_GATE_LOOPBACK && x->from_loopback))
        return true;
    static const char scheme[] = "Bearer ";
    if (!x->authorization || strncasecmp(x->authorization, scheme, sizeof(scheme) - 1) != 0) {
        lm_metric_add(x->server->metrics, LM_METRIC_DECISIONS, lm_rule_names[LM_RULE_AUTHN], NULL, 1);
        return lm_fault_set(&x->fault, LM_FAULT_KEY, NULL, "an API key is needed: Authorization: Bearer KEY");
    }
    if (!look_up_key(x, lm_str_trim(lm_str(x->authorization + sizeof(scheme) - 1))))
        return false;
    return strcmp(x->subject.key_state, "active") == 0 || deny(x);
}

static bool is_running(struct lm_exchange *x)
{
    return x->route->gate != LM_GATE_KEY || atomic_load(&x->server->phase) < LM_PHASE_REFUSING ||
           lm_fault_set(&x->fault, LM_FAULT_DRAINING, NULL,
                        "this server is about to stop; nothing was begun");
}

/* "/v1/models/{id}" is governed as "/v1/models". */
static const char *governed_path(struct lm_exchange *x)
{
    const struct lm_str path = lm_str(x->route->path), tail = LM_STR("/{id}");
    return lm_str_ends(path, tail) ? lm_arena_strndup(&x->arena, path.ptr, path.len - tail.len) : path.ptr;
}

static void decide_on(struct lm_exchange *x, struct lm_str text)
{
    const struct lm_request_facts facts = {
        .route = governed_path(x),
        .text = text,
        .write = x->route->writes,
        .partition = x->model ? x->model->partition : NULL,
        .cohort = -1,
    };
    lm_decide(x->server->policy, &x->subject, &facts, &x->arena, &x->decision);
}

/* What the text cannot change is decided before the text is read. */
static bool may_enter(struct lm_exchange *x)
{
    if (x->route->gate != LM_GATE_KEY)
        return true;
    decide_on(x, LM_STR(""));
    return x->decision.rule == LM_RULE_ALLOW || x->decision.rule > LM_RULE_ROUTE || deny(x);
}

static bool parse(struct lm_exchange *x)
{
    return x->route->body == LM_BODY_NONE ||
           lm_api_parse(x->route->body, lm_buf_str(&x->body), &x->arena, &x->request, &x->fault);
}

/* The one that is asked for; without a name the first that the caller may see. */
static bool choose_model(struct lm_exchange *x)
{
    struct lm_server *s = x->server;
    const struct lm_str name = x->request.model;
    if (!x->route->generates)
        return true;
    if (name.len)
        x->model = lm_server_find(s, name);
    for (size_t i = 0; !name.len && !x->model && i < s->model_count; i++)
        if (lm_exchange_may_see(x, &s->models[i]))
            x->model = &s->models[i];
    return x->model || lm_fault_set(&x->fault, LM_FAULT_MODEL, "model", "there is no model '%.*s'",
                                    (int)(name.len < 100 ? name.len : 100), name.ptr);
}

static bool read_ids(struct lm_exchange *x)
{
    const struct lm_tokenizer *t = x->model->tokenizer;
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < x->request.id_count; i++) {
        const uint32_t id = x->request.ids[i];
        if (id >= lm_tokenizer_vocab_size(t) || lm_tokenizer_is_special(t, id)) {
            lm_buf_release(&text);
            return lm_fault_set(&x->fault, LM_FAULT_VALUE, "prompt",
                                "%u is not the id of a text token of '%s'", id, x->model->name);
        }
        lm_buf_add_str(&text, lm_tokenizer_bytes(t, id));
    }
    x->request.text =
        (struct lm_str){ lm_arena_strndup(&x->arena, lm_buf_str(&text).ptr, text.len), text.len };
    lm_buf_release(&text);
    return true;
}

static bool decide(struct lm_exchange *x)
{
    if (x->route->gate != LM_GATE_KEY)
        return true;
    if (x->request.id_count && !read_ids(x))   // ids are text, too
        return false;
    decide_on(x, x->route->generates ? lm_api_text(&x->request, &x->arena) : LM_STR(""));
    return x->decision.rule == LM_RULE_ALLOW || deny(x);
}

static bool prepare(struct lm_exchange *x)
{
    return !x->route->generates || lm_generate_prepare(x);
}

static bool reserve(struct lm_exchange *x)
{
    if (!x->route->generates || lm_generate_reserve(x))
        return true;
    if (x->fault.kind != LM_FAULT_NONE)
        return false;
    x->decision.rule = LM_RULE_QUOTA;
    x->decision.detail = "prompt and longest answer exceed what is left";
    return deny(x);
}

static bool record(struct lm_exchange *x)
{
    return x->route->gate != LM_GATE_KEY || lm_record_decision(x);
}

static bool answer(struct lm_exchange *x)
{
    x->reply.status = 200;
    x->reply.content_type = "application/json";
    x->route->handler(x);
    return x->fault.kind == LM_FAULT_NONE;
}

/* ---- the line ---- */

void lm_exchange_open(struct lm_exchange *x)
{
    struct lm_fault no_route = { 0 };
    x->route = lm_route_find(lm_str(x->method), lm_str(x->path), &x->path_id, &no_route);
    if (!identify(x))   // first of all: strangers do not learn which paths there are
        return;
    if (!x->route)
        x->fault = no_route;
    else if (is_running(x) && may_enter(x))
        (void)lm_route_check_body(x->route, x->media, x->announced_bytes,
                                  (uint64_t)x->server->config.body_bytes_max, &x->fault);
}

static void fill_fault_reply(struct lm_exchange *x)
{
    x->reply.status = lm_fault_table[x->fault.kind].status;
    x->reply.content_type = "application/json";
    lm_buf_reset(&x->reply.body);
    lm_fault_body(&x->fault, &x->reply.body);
}

void lm_exchange_run(struct lm_exchange *x)
{
    if (x->fault.kind == LM_FAULT_NONE)
        (void)(parse(x) && choose_model(x) && decide(x) && prepare(x) && reserve(x) && record(x) &&
               answer(x));
    if (x->fault.kind != LM_FAULT_NONE)
        fill_fault_reply(x);
    LM_ASSERT(x->reply.status >= 200);
}

static void count(struct lm_exchange *x)
{
    char status[12];
    snprintf(status, sizeof(status), "%d", x->reply.status);
    lm_metric_add(x->server->metrics, LM_METRIC_REQUESTS, x->route ? x->route->path : "other", status, 1);
    if (x->route && x->route->gate == LM_GATE_KEY && x->subject.user[0])
        lm_trace_ring_add(x->server->traces, x->subject.user, x->decision.rule,
                          (double)(lm_now_ns() - x->started_ns) / 1e9);
}

void lm_exchange_free(struct lm_exchange *x)
{
    if (!x)
        return;
    lm_generate_close(x);
    if (x->reply.status)
        count(x);
    lm_generation_free(x->generation);
    if (x->schema)
        lm_schemas_give(x->model->schemas, x->schema);
    lm_buf_release(&x->body);
    lm_buf_release(&x->reply.body);
    lm_tokens_release(&x->prompt);
    lm_arena_release(&x->arena);
    atomic_fetch_sub(&x->server->exchange_count, 1);
    free(x);
}
