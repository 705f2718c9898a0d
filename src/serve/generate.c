/* The part of a request's life that knows the model: prompt, reservation, answer, and what is kept of it. */
#include "serve/exchange.h"
#include "serve/handlers.h"

#include "base/hash.h"
#include "base/sys.h"
#include "monitor/feedback.h"

#include <sodium.h>

/* ---- prompt ---- */

/* Messages go through the model's template, a plain prompt as it is; control tokens come from the template
 * alone. */
static bool encode(struct lm_exchange *x)
{
    const struct lm_api_request *r = &x->request;
    struct lm_err err = { 0 };
    enum lm_rc rc = LM_OK;
    struct lm_encoder *encoder = lm_pool_take(&x->model->encoders);
    if (!encoder)
        encoder = lm_encoder_new(x->model->tokenizer);
    if (r->message_count)
        rc = lm_chat_encode(encoder, r->messages, r->message_count, true, &x->prompt, NULL, &err);
    else if (!r->id_count)
        lm_encode_with_specials(encoder, r->text, false, &x->prompt);
    lm_pool_give(&x->model->encoders, encoder);
    for (size_t i = 0; i < r->id_count; i++) {
        lm_grow(&x->prompt.ids, &x->prompt.cap, x->prompt.len + 1, sizeof(*x->prompt.ids));
        x->prompt.ids[x->prompt.len++] = r->ids[i];
    }
    return rc == LM_OK || lm_fault_set(&x->fault, LM_FAULT_UNSUPPORTED, "messages", "model '%s': %s",
                                       x->model->name, err.text);
}

/* Of the text the model will read, with its control tokens. */
static bool hash_prompt(struct lm_exchange *x)
{
    struct lm_err err = { 0 };
    struct lm_buf text = { 0 };
    const enum lm_rc rc = lm_decode(x->model->tokenizer, x->prompt.ids, x->prompt.len, false, &text, &err);
    lm_sha256_hex(lm_buf_str(&text), x->prompt_sha256);
    lm_buf_release(&text);
    return rc == LM_OK || lm_exchange_failed(x, &err);
}

/* Nothing is cut to fit: an answer that was asked for and cannot fit is refused. */
static bool choose_length(struct lm_exchange *x, size_t *ret)
{
    const size_t context = (size_t)x->model->model.config.context, asked = (size_t)x->request.max_tokens;
    if (x->prompt.len >= context)
        return lm_fault_set(&x->fault, LM_FAULT_CONTEXT, x->request.message_count ? "messages" : "prompt",
                            "the prompt has %zu tokens, and the context of '%s' %zu", x->prompt.len,
                            x->model->name, context);
    const size_t room = context - x->prompt.len, usual = (size_t)x->server->config.max_tokens_default;
    if (asked > room)
        return lm_fault_set(&x->fault, LM_FAULT_CONTEXT, "max_tokens",
                            "%zu prompt tokens and %zu of the answer exceed the context of '%s', %zu tokens",
                            x->prompt.len, asked, x->model->name, context);
    *ret = asked ? asked : usual < room ? usual : room;
    return true;
}

static bool check_bias(struct lm_exchange *x)
{
    const struct lm_api_request *r = &x->request;
    for (size_t i = 0; i < r->bias_count; i++)
        if (r->bias[i].id >= lm_tokenizer_vocab_size(x->model->tokenizer))
            return lm_fault_set(&x->fault, LM_FAULT_VALUE, "logit_bias",
                                "%u is not the id of a token of '%s'", r->bias[i].id, x->model->name);
    return true;
}

/* On the connection's thread: the engine never waits for a schema. */
static bool choose_schema(struct lm_exchange *x)
{
    const struct lm_api_request *r = &x->request;
    struct lm_err err = { 0 };
    if (!r->constrained)
        return true;
    return lm_schemas_take(x->model->schemas, r->constraint_kind, r->schema, &x->schema, &err) == LM_OK ||
           lm_fault_set(&x->fault, LM_FAULT_UNSUPPORTED, "response_format", "%s", err.text);
}

/* Who may not see the same data must not learn from the time of an answer what others asked: the cache is
 * shared by those of one role with the same partitions. */
static uint64_t cache_salt(const struct lm_exchange *x)
{
    struct lm_buf who = { 0 };
    lm_buf_add(&who, x->subject.role, strlen(x->subject.role) + 1);
    for (size_t i = 0; i < x->subject.partition_count; i++)
        lm_buf_add(&who, x->subject.partitions[i], strlen(x->subject.partitions[i]) + 1);
    const uint64_t salt = lm_hash64(who.ptr, who.len);
    lm_buf_release(&who);
    return salt;
}

static void choose_sampling(struct lm_exchange *x, size_t max_tokens)
{
    const struct lm_api_request *r = &x->request;
    x->sampling = (struct lm_sampling){
        .max_tokens = max_tokens,
        .temperature = r->kind == LM_BODY_QUERY ? 0 : r->temperature,   // the same question, the same answer
        .top_k = (size_t)r->top_k,
        .top_p = r->top_p,
        .min_p = r->min_p,
        .repetition_penalty = r->repetition_penalty,
        .presence_penalty = r->presence_penalty,
        .frequency_penalty = r->frequency_penalty,
        .seed = (uint64_t)r->seed,
        .stop = r->stops,
        .stop_count = r->stop_count,
        .top_logprobs = (size_t)r->top_logprobs,
        .logprobs = r->logprobs,
        .bias = r->bias,
        .bias_count = r->bias_count,
        .constraint = x->schema ? lm_schema_constraint(x->schema) : NULL,
        .salt = cache_salt(x),
    };
    if (!r->has_seed)
        randombytes_buf(&x->sampling.seed, sizeof(x->sampling.seed));
}

bool lm_generate_prepare(struct lm_exchange *x)
{
    static const char *const prefixes[LM_BODY_COUNT] = {
        [LM_BODY_CHAT] = "chatcmpl",
        [LM_BODY_COMPLETION] = "cmpl",
        [LM_BODY_QUERY] = "ans",
    };
    size_t max_tokens = 0;
    if (!check_bias(x) || !encode(x) || !choose_length(x, &max_tokens) || !hash_prompt(x) ||
        !choose_schema(x))
        return false;
    choose_sampling(x, max_tokens);
    lm_random_id(prefixes[x->request.kind], x->answer_id);
    x->head = (struct lm_answer_head){
        .id = x->answer_id,
        .kind = x->request.kind,
        .model = lm_str(x->model->name),
        .created_s = lm_wall_ms() / 1000,
        .logprobs = x->request.logprobs,
        .include_usage = x->request.include_usage,
    };
    return true;
}

bool lm_generate_reserve(struct lm_exchange *x)
{
    const int64_t tokens = (int64_t)(x->prompt.len + x->sampling.max_tokens);
    struct lm_err err = { 0 };
    struct lm_db *db = lm_server_db(x->server, &err);
    if (!db)
        return lm_exchange_failed(x, &err);
    const enum lm_rc rc = lm_usage_reserve(db, x->subject.user, tokens, &err);
    lm_server_db_give(x->server, db);
    if (rc == LM_OK)
        x->reserved_tokens = tokens;
    return rc == LM_OK || rc == LM_EDENIED ? rc == LM_OK : lm_exchange_failed(x, &err);
}

/* ---- the list of answers being made, so that the end of the server can cut them ---- */

static void enlist(struct lm_exchange *x)
{
    struct lm_server *s = x->server;
    pthread_mutex_lock(&s->lock);
    x->next = s->generating;
    x->link = &s->generating;
    if (x->next)
        x->next->link = &x->next;
    s->generating = x;
    if (atomic_load(&s->phase) == LM_PHASE_ENDING)
        lm_generation_cancel(x->generation);
    pthread_mutex_unlock(&s->lock);
}

static void delist(struct lm_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    pthread_mutex_unlock(&x->server->lock);
}

/* ---- the end of an answer ---- */

static const char *finish_name(const struct lm_generation_facts *facts)
{
    static const char *const names[] = {
        [LM_FINISH_NONE] = "cancelled",      [LM_FINISH_STOP] = "stop",   [LM_FINISH_LENGTH] = "length",
        [LM_FINISH_CANCELLED] = "cancelled", [LM_FINISH_ERROR] = "error",
    };
    return facts->filter == LM_FILTER_STOPPED ? "content_filter" : names[facts->finish];
}

static void observe(struct lm_exchange *x, const struct lm_generation_facts *facts)
{
    struct lm_metrics *m = x->server->metrics;
    const char *model = x->model->name;
    lm_metric_observe(m, LM_METRIC_REQUEST_SECONDS, model, NULL, (double)(lm_now_ns() - x->started_ns) / 1e9);
    lm_metric_observe(m, LM_METRIC_TOKENS, model, "input", (double)facts->prompt_tokens);
    lm_metric_observe(m, LM_METRIC_TOKENS, model, "output", (double)facts->completion_tokens);
    if (facts->first_token_ns)
        lm_metric_observe(m, LM_METRIC_FIRST_TOKEN_SECONDS, model, NULL,
                          (double)(facts->first_token_ns - x->started_ns) / 1e9);
    if (facts->completion_tokens > 1)
        lm_metric_observe(m, LM_METRIC_TOKEN_SECONDS, model, NULL,
                          (double)(facts->last_token_ns - facts->first_token_ns) / 1e9 /
                              (double)(facts->completion_tokens - 1));
}

static enum lm_rc settle_and_store(struct lm_exchange *x, const struct lm_generation_facts *facts,
                                   struct lm_err *err)
{
    struct lm_db *db = lm_server_db(x->server, err);
    if (!db)
        return err->rc;
    const int64_t used = (int64_t)(facts->prompt_tokens + facts->completion_tokens);
    enum lm_rc rc = lm_usage_add(db, x->subject.user, used - x->reserved_tokens, err);
    x->reserved_tokens = 0;
    if (rc == LM_OK && x->generation) {
        const struct lm_answer kept = {
            .id = x->answer_id,
            .user = x->subject.user,
            .model = x->model->name,
            .artifact = x->model->artifact,
            .prompt = lm_api_question(&x->request),
            .text = lm_generation_all_text(x->generation),
            .time_ms = lm_wall_ms(),
        };
        rc = lm_answer_store(db, &kept, err);
    }
    lm_server_db_give(x->server, db);
    return rc;
}

/* Once for every answer, whole, cut or abandoned; a reservation without an answer is given back. */
void lm_generate_close(struct lm_exchange *x)
{
    struct lm_generation_facts facts = { 0 };
    struct lm_err err = { 0 };
    if (x->closed)
        return;
    x->closed = true;
    if (!x->generation) {
        if (x->reserved_tokens && settle_and_store(x, &facts, &err) != LM_OK)
            lm_warn("request %s: %s", x->id, err.text);
        return;
    }
    lm_generation_stop(x->generation);
    delist(x);
    facts = lm_generation_facts(x->generation);
    const bool recorded = lm_record_answer(x, finish_name(&facts), &facts);
    if (settle_and_store(x, &facts, &err) != LM_OK && recorded)
        (void)lm_exchange_failed(x, &err);
    observe(x, &facts);
}

/* The client sees why an answer ends early; nothing for an answer that is whole. */
static void explain(struct lm_exchange *x, enum lm_turn turn)
{
    if (turn == LM_TURN_STOPPED)
        (void)lm_fault_set(&x->fault, LM_FAULT_DENIED, NULL, "%s",
                           lm_policy_message(x->server->policy, LM_RULE_OUTPUT_FILTER));
    else if (turn == LM_TURN_CUT)
        (void)lm_fault_set(&x->fault, LM_FAULT_DRAINING, NULL,
                           "this server had to stop before the answer was whole");
    else if (turn == LM_TURN_STUCK)
        (void)lm_fault_set(&x->fault, LM_FAULT_STUCK, "response_format",
                           "model '%s' has no token that goes on as the response format demands",
                           x->model->name);
    else if (turn == LM_TURN_GONE)
        (void)lm_fault_set(&x->fault, LM_FAULT_GONE, NULL, "the client hung up");
    if (turn == LM_TURN_STOPPED)
        lm_metric_add(x->server->metrics, LM_METRIC_DECISIONS, lm_rule_names[LM_RULE_OUTPUT_FILTER], NULL, 1);
}

static struct lm_answer_usage usage_of(struct lm_exchange *x)
{
    const struct lm_generation_facts facts = lm_generation_facts(x->generation);
    return (struct lm_answer_usage){ facts.prompt_tokens, facts.completion_tokens };
}

static enum lm_turn next_turn(struct lm_exchange *x)
{
    return lm_generation_next(x->generation, x->socket_fd, (int)x->server->config.ping_seconds * 1000);
}

/* ---- whole answers ---- */

static void answer_whole(struct lm_exchange *x)
{
    enum lm_turn turn;
    do
        turn = next_turn(x);
    while (turn == LM_TURN_TEXT || turn == LM_TURN_QUIET);
    lm_generate_close(x);
    explain(x, turn);
    if (x->fault.kind != LM_FAULT_NONE)
        return;
    const struct lm_generation_facts facts = lm_generation_facts(x->generation);
    lm_answer_whole(&x->reply.body, &x->head, lm_generation_all_text(x->generation),
                    lm_generation_all_tokens(x->generation), finish_name(&facts), usage_of(x));
}

/* ---- streams ---- */

static void end_stream(struct lm_exchange *x, enum lm_turn turn)
{
    struct lm_buf *events = &x->reply.body;
    x->reply.over = true;
    lm_generate_close(x);
    explain(x, turn);
    if (x->fault.kind != LM_FAULT_NONE) {
        lm_answer_fault(events, &x->fault);
        return;
    }
    const struct lm_generation_facts facts = lm_generation_facts(x->generation);
    lm_answer_finish(events, &x->head, finish_name(&facts));
    if (x->head.include_usage)
        lm_answer_usage(events, &x->head, usage_of(x));
    lm_answer_done(events);
}

static void fill_stream(struct lm_exchange *x)
{
    x->reply.sent = 0;
    lm_buf_reset(&x->reply.body);
    const enum lm_turn turn = next_turn(x);
    if (turn == LM_TURN_TEXT)
        lm_answer_delta(&x->reply.body, &x->head, lm_generation_text(x->generation),
                        lm_generation_tokens(x->generation));
    else if (turn == LM_TURN_QUIET)
        lm_answer_ping(&x->reply.body);
    else
        end_stream(x, turn);
}

size_t lm_generate_read(struct lm_exchange *x, char *buf, size_t max)
{
    struct lm_reply *reply = &x->reply;
    if (reply->sent == reply->body.len) {
        if (reply->over)
            return 0;
        fill_stream(x);
    }
    const size_t left = reply->body.len - reply->sent, len = left < max ? left : max;
    memcpy(buf, reply->body.ptr + reply->sent, len);
    reply->sent += len;
    return len;
}

static void answer_stream(struct lm_exchange *x)
{
    x->reply.stream = true;
    x->reply.content_type = "text/event-stream";
    lm_answer_opening(&x->reply.body, &x->head);
}

void lm_handle_generate(struct lm_exchange *x)
{
    const struct lm_generation_spec spec = {
        .engine = x->model->engine,
        .tokenizer = x->model->tokenizer,
        .policy = x->server->policy,
        .subject = &x->subject,
        .prompt = x->prompt.ids,
        .prompt_len = x->prompt.len,
        .sampling = &x->sampling,
    };
    struct lm_err err = { 0 };
    const enum lm_rc rc = lm_generation_new(&spec, &x->generation, &err);
    if (rc == LM_ELIMIT)
        (void)lm_fault_set(&x->fault, LM_FAULT_QUEUE, NULL, "too many requests wait already; try again");
    else if (rc != LM_OK)
        (void)lm_exchange_failed(x, &err);
    if (rc != LM_OK)
        return;
    enlist(x);
    if (x->request.stream)
        answer_stream(x);
    else
        answer_whole(x);
}
