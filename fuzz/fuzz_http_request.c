/* Method, path, content type and body, as they come out of HTTP, up to the point where a model would be
 * asked.
 *
 * Refused: a well-formed error body with a status of its own.  Accepted: every number within its bounds, and
 * the request written out as JSON is read as the same request.  Its texts, taken for an answer, make a
 * well-formed answer and stream.  Input: "METHOD PATH\ncontent type\nbody". */

#include "base/json.h"
#include "serve/answer.h"
#include "serve/parse.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_BYTES_MAX = 4096 };

static void check_json(struct lm_str text)
{
    json_t *root = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    LM_ASSERT(json_is_object(root));
    json_decref(root);
}

static void check_fault(const struct lm_fault *fault)
{
    LM_ASSERT(fault->kind > LM_FAULT_NONE && fault->kind < LM_FAULT_COUNT && fault->message[0]);
    LM_ASSERT(lm_fault_table[fault->kind].status >= 400 && lm_fault_table[fault->kind].status < 500);
    struct lm_buf body = { 0 };
    lm_fault_body(fault, &body);
    check_json(lm_buf_str(&body));
    lm_buf_release(&body);
}

/* ---- a request as JSON again ---- */

static void put_text(struct lm_buf *ret, const char *key, struct lm_str text)
{
    if (text.len)
        lm_json_key_str(ret, key, text);
}

static void put_prompt(struct lm_buf *ret, const struct lm_api_request *r)
{
    if (r->kind == LM_BODY_CHAT) {
        lm_json_key(ret, "messages");
        lm_buf_putc(ret, '[');
        for (size_t i = 0; i < r->message_count; i++) {
            lm_json_sep(ret);
            lm_buf_putc(ret, '{');
            lm_json_key_str(ret, "role", r->messages[i].role);
            lm_json_key_str(ret, "content", r->messages[i].content);
            lm_buf_putc(ret, '}');
        }
        lm_buf_putc(ret, ']');
    } else if (r->id_count) {
        lm_json_key(ret, "prompt");
        lm_buf_putc(ret, '[');
        for (size_t i = 0; i < r->id_count; i++) {
            lm_json_sep(ret);
            lm_json_int(ret, r->ids[i]);
        }
        lm_buf_putc(ret, ']');
    } else {
        put_text(ret, r->kind == LM_BODY_QUERY ? "query" : "prompt", r->text);
    }
}

static void put_sampling(struct lm_buf *ret, const struct lm_api_request *r)
{
    lm_json_key_num(ret, "temperature", r->temperature);
    lm_json_key_num(ret, "top_p", r->top_p);
    lm_json_key_num(ret, "min_p", r->min_p);
    lm_json_key_int(ret, "top_k", r->top_k);
    lm_json_key_num(ret, "presence_penalty", r->presence_penalty);
    lm_json_key_num(ret, "frequency_penalty", r->frequency_penalty);
    lm_json_key_num(ret, "repetition_penalty", r->repetition_penalty);
    if (r->has_seed)
        lm_json_key_int(ret, "seed", r->seed);
    lm_json_key(ret, "stop");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < r->stop_count; i++) {
        lm_json_sep(ret);
        lm_json_str(ret, r->stops[i]);
    }
    lm_buf_putc(ret, ']');
    lm_json_key_bool(ret, "stream", r->stream);
    if (r->has_stream_options)
        lm_buf_printf(ret, ",\"stream_options\":{\"include_usage\":%s}", r->include_usage ? "true" : "false");
    if (r->kind == LM_BODY_CHAT)
        lm_json_key_bool(ret, "logprobs", r->logprobs);
    if (r->logprobs)
        lm_json_key_int(ret, r->kind == LM_BODY_CHAT ? "top_logprobs" : "logprobs", r->top_logprobs);
}

static void put_request(struct lm_buf *ret, const struct lm_api_request *r)
{
    lm_buf_putc(ret, '{');
    put_text(ret, "model", r->model);
    if (r->max_tokens)
        lm_json_key_int(ret, "max_tokens", r->max_tokens);
    put_prompt(ret, r);
    if (r->kind == LM_BODY_CHAT || r->kind == LM_BODY_COMPLETION)
        put_sampling(ret, r);
    put_text(ret, "answer", r->answer);
    put_text(ret, "reason", r->reason);
    put_text(ret, "correction", r->correction);
    if (r->kind == LM_BODY_FEEDBACK)
        lm_json_key_int(ret, "rating", r->rating);
    put_text(ret, "action", r->action);
    put_text(ret, "user", r->user);
    put_text(ret, "role", r->role);
    put_text(ret, "prefix", r->prefix);
    put_text(ret, "partitions", r->partitions);
    put_text(ret, "accounts", r->accounts);
    if (r->kind == LM_BODY_ACCESS) {
        lm_json_key_int(ret, "expires_ms", r->expires_ms);
        lm_json_key_int(ret, "tokens", r->tokens);
    }
    lm_buf_putc(ret, '}');
}

static void check_round_trip(const struct lm_api_request *r, struct lm_arena *arena)
{
    struct lm_buf first = { 0 }, second = { 0 };
    struct lm_api_request again;
    struct lm_fault fault = { 0 };
    put_request(&first, r);
    LM_ASSERT(lm_api_parse(r->kind, lm_buf_str(&first), arena, &again, &fault));
    put_request(&second, &again);
    LM_ASSERT(lm_str_eq(lm_buf_str(&first), lm_buf_str(&second)));
    lm_buf_release(&first);
    lm_buf_release(&second);
}

/* ---- an answer without a model ---- */

static void check_answer(const struct lm_api_request *r, struct lm_str text)
{
    const struct lm_token_text top = { .bytes = text, .logprob = -1 }, tops[] = { top, top };
    const struct lm_token_text token = { .bytes = text, .logprob = -0.5, .top = tops, .top_count = 2 };
    const struct lm_token_texts tokens = { &token, 1 };
    const struct lm_answer_head head = { .id = "a",
                                         .kind = r->kind,
                                         .model = r->model,
                                         .logprobs = r->logprobs,
                                         .include_usage = r->include_usage };
    struct lm_buf body = { 0 };
    lm_answer_whole(&body, &head, text, tokens, "stop", (struct lm_answer_usage){ 1, 1 });
    check_json(lm_buf_str(&body));
    lm_buf_reset(&body);
    if (r->kind != LM_BODY_QUERY) {
        lm_answer_delta(&body, &head, text, tokens);
        LM_ASSERT(body.len > 8 && memchr(body.ptr, '\n', body.len) == body.ptr + body.len - 2);
        check_json((struct lm_str){ body.ptr + 6, body.len - 8 });
    }
    lm_buf_release(&body);
}

static void check_request(const struct lm_route *route, struct lm_str body)
{
    struct lm_arena arena = { 0 };
    struct lm_api_request r;
    struct lm_fault fault = { 0 };
    if (lm_api_parse(route->body, body, &arena, &r, &fault)) {
        LM_ASSERT(r.temperature >= 0 && r.temperature <= 2 && r.top_p >= 0 && r.top_p <= 1 && r.n == 1);
        LM_ASSERT(r.max_tokens >= 0 && r.top_logprobs >= 0 && r.top_logprobs <= LM_API_TOP_LOGPROBS_MAX);
        check_round_trip(&r, &arena);
        const struct lm_str text = lm_api_text(&r, &arena);
        LM_ASSERT(text.len >= lm_api_question(&r).len);
        if (route->generates)
            check_answer(&r, text);
    } else {
        check_fault(&fault);
    }
    lm_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_str rest = { (const char *)data, size }, line, media, method;
    if (!lm_str_split(&rest, '\n', &line) || !lm_str_split(&line, ' ', &method) ||
        !lm_str_split(&rest, '\n', &media))
        return 0;
    char *type = strndup(media.ptr, media.len);
    struct lm_fault fault = { 0 };
    struct lm_str id = { 0 };
    const struct lm_route *route = lm_route_find(method, line, &id, &fault);
    if (!route || !lm_route_check_body(route, type, rest.len, BODY_BYTES_MAX, &fault))
        check_fault(&fault);
    else if (route->body != LM_BODY_NONE)
        check_request(route, rest);
    free(type);
    return 0;
}
