#include "serve/answer.h"

#include "base/err.h"
#include "base/json.h"

/* What the kinds call themselves; a query has no stream. */
static const struct {
    const char *whole, *piece;
} objects[LM_BODY_COUNT] = {
    [LM_BODY_CHAT] = { "chat.completion", "chat.completion.chunk" },
    [LM_BODY_COMPLETION] = { "text_completion", "text_completion" },
};

/* ---- probabilities of tokens ---- */

static void put_token(struct lm_buf *ret, const struct lm_token_text *token)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "token", token->bytes);
    lm_json_key_num(ret, "logprob", token->logprob);
    lm_json_key(ret, "bytes");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < token->bytes.len; i++)
        lm_buf_printf(ret, "%s%d", i ? "," : "", (unsigned char)token->bytes.ptr[i]);
    lm_buf_putc(ret, ']');
}

static void put_chat_logprobs(struct lm_buf *ret, struct lm_token_texts tokens)
{
    lm_buf_puts(ret, "{\"content\":[");
    for (size_t i = 0; i < tokens.count; i++) {
        put_token(ret, &tokens.items[i]);
        lm_json_key(ret, "top_logprobs");
        lm_buf_putc(ret, '[');
        for (size_t k = 0; k < tokens.items[i].top_count; k++) {
            put_token(ret, &tokens.items[i].top[k]);
            lm_buf_putc(ret, '}');
        }
        lm_buf_puts(ret, "]}");
    }
    lm_buf_puts(ret, "],\"refusal\":null}");
}

/* The older form: four lists side by side.  Alternatives are keys, and two that read alike are one: the
 * likeliest stays.  An unescaped quote behind { or , begins a key, so looking for that finds whole keys only.
 */
static void put_completion_top(struct lm_buf *ret, const struct lm_token_text *token)
{
    lm_json_sep(ret);
    const size_t start = ret->len;
    struct lm_buf key = { 0 };
    lm_buf_putc(ret, '{');
    for (size_t k = 0; k < token->top_count; k++) {
        lm_buf_reset(&key);
        lm_buf_putc(&key, '{');
        lm_json_str(&key, token->top[k].bytes);
        lm_buf_putc(&key, ':');
        const struct lm_str written = { ret->ptr + start, ret->len - start };
        const struct lm_str text = { key.ptr + 1, key.len - 1 };
        bool seen = false;
        for (const char *first = "{,"; *first; first++) {
            key.ptr[0] = *first;
            seen |= lm_str_find(written, lm_buf_str(&key)) >= 0;
        }
        if (seen)
            continue;
        lm_json_sep(ret);
        lm_buf_add_str(ret, text);
        lm_json_num(ret, token->top[k].logprob);
    }
    lm_buf_release(&key);
    lm_buf_putc(ret, '}');
}

static void put_completion_logprobs(struct lm_buf *ret, struct lm_token_texts tokens)
{
    lm_buf_puts(ret, "{\"tokens\":[");
    for (size_t i = 0; i < tokens.count; i++) {
        lm_json_sep(ret);
        lm_json_str(ret, tokens.items[i].bytes);
    }
    lm_buf_puts(ret, "],\"token_logprobs\":[");
    for (size_t i = 0; i < tokens.count; i++) {
        lm_json_sep(ret);
        lm_json_num(ret, tokens.items[i].logprob);
    }
    lm_buf_puts(ret, "],\"top_logprobs\":[");
    for (size_t i = 0; i < tokens.count; i++)
        put_completion_top(ret, &tokens.items[i]);
    lm_buf_puts(ret, "],\"text_offset\":[");
    for (size_t i = 0; i < tokens.count; i++) {
        lm_json_sep(ret);
        lm_json_int(ret, (int64_t)tokens.items[i].offset);
    }
    lm_buf_puts(ret, "]}");
}

static void put_logprobs(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_token_texts tokens)
{
    lm_json_key(ret, "logprobs");
    if (!head->logprobs)
        lm_buf_puts(ret, "null");
    else if (head->kind == LM_BODY_CHAT)
        put_chat_logprobs(ret, tokens);
    else
        put_completion_logprobs(ret, tokens);
}

/* ---- parts ---- */

static void put_usage(struct lm_buf *ret, struct lm_answer_usage usage)
{
    lm_json_key(ret, "usage");
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "prompt_tokens", (int64_t)usage.prompt_tokens);
    lm_json_key_int(ret, "completion_tokens", (int64_t)usage.completion_tokens);
    lm_json_key_int(ret, "total_tokens", (int64_t)(usage.prompt_tokens + usage.completion_tokens));
    lm_buf_putc(ret, '}');
}

static void put_finish(struct lm_buf *ret, const char *finish)
{
    lm_json_key(ret, "finish_reason");
    if (finish)
        lm_json_str(ret, lm_str(finish));
    else
        lm_buf_puts(ret, "null");
}

static void put_head(struct lm_buf *ret, const struct lm_answer_head *head, const char *object)
{
    LM_ASSERT(object != NULL);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "id", lm_str(head->id));
    lm_json_key_str(ret, "object", lm_str(object));
    lm_json_key_int(ret, "created", head->created_s);
    lm_json_key_str(ret, "model", head->model);
}

/* ---- whole ---- */

static void put_query_answer(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_str text,
                             const char *finish, struct lm_answer_usage usage)
{
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "id", lm_str(head->id));
    lm_json_key_str(ret, "model", head->model);
    lm_json_key_str(ret, "answer", text);
    put_finish(ret, finish);
    put_usage(ret, usage);
    lm_buf_putc(ret, '}');
}

void lm_answer_whole(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_str text,
                     struct lm_token_texts tokens, const char *finish, struct lm_answer_usage usage)
{
    if (head->kind == LM_BODY_QUERY) {
        put_query_answer(ret, head, text, finish, usage);
        return;
    }
    put_head(ret, head, objects[head->kind].whole);
    lm_buf_puts(ret, ",\"choices\":[{\"index\":0");
    if (head->kind == LM_BODY_CHAT) {
        lm_buf_puts(ret, ",\"message\":{\"role\":\"assistant\"");
        lm_json_key_str(ret, "content", text);
        lm_buf_puts(ret, ",\"refusal\":null}");
    } else {
        lm_json_key_str(ret, "text", text);
    }
    put_logprobs(ret, head, tokens);
    put_finish(ret, finish);
    lm_buf_puts(ret, "}]");
    put_usage(ret, usage);
    lm_buf_putc(ret, '}');
}

/* ---- events ---- */

static void open_event(struct lm_buf *ret, const struct lm_answer_head *head)
{
    lm_buf_puts(ret, "data: ");
    put_head(ret, head, objects[head->kind].piece);
}

/* Clients that asked for the usage find the member in every event. */
static void close_event(struct lm_buf *ret, const struct lm_answer_head *head)
{
    if (head->include_usage)
        lm_buf_puts(ret, ",\"usage\":null");
    lm_buf_puts(ret, "}\n\n");
}

static void put_event(struct lm_buf *ret, const struct lm_answer_head *head, bool opening,
                      const struct lm_str *text, struct lm_token_texts tokens, const char *finish)
{
    open_event(ret, head);
    lm_buf_puts(ret, ",\"choices\":[{\"index\":0");
    if (head->kind == LM_BODY_CHAT) {
        lm_buf_puts(ret, ",\"delta\":{");
        if (opening)
            lm_json_key_str(ret, "role", LM_STR("assistant"));
        if (text)
            lm_json_key_str(ret, "content", *text);
        lm_buf_putc(ret, '}');
    } else {
        lm_json_key_str(ret, "text", text ? *text : LM_STR(""));
    }
    if (text && !opening)
        put_logprobs(ret, head, tokens);
    else
        lm_buf_puts(ret, ",\"logprobs\":null");
    put_finish(ret, finish);
    lm_buf_puts(ret, "}]");
    close_event(ret, head);
}

void lm_answer_opening(struct lm_buf *ret, const struct lm_answer_head *head)
{
    const struct lm_str nothing = LM_STR("");
    if (head->kind == LM_BODY_CHAT)
        put_event(ret, head, true, &nothing, (struct lm_token_texts){ 0 }, NULL);
}

void lm_answer_delta(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_str text,
                     struct lm_token_texts tokens)
{
    put_event(ret, head, false, &text, tokens, NULL);
}

void lm_answer_finish(struct lm_buf *ret, const struct lm_answer_head *head, const char *finish)
{
    put_event(ret, head, false, NULL, (struct lm_token_texts){ 0 }, finish);
}

void lm_answer_usage(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_answer_usage usage)
{
    open_event(ret, head);
    lm_buf_puts(ret, ",\"choices\":[]");
    put_usage(ret, usage);
    lm_buf_puts(ret, "}\n\n");
}

void lm_answer_done(struct lm_buf *ret)
{
    lm_buf_puts(ret, "data: [DONE]\n\n");
}

void lm_answer_fault(struct lm_buf *ret, const struct lm_fault *fault)
{
    lm_buf_puts(ret, "data: ");
    lm_fault_body(fault, ret);
    lm_buf_puts(ret, "\n\n");
}

void lm_answer_ping(struct lm_buf *ret)
{
    lm_buf_puts(ret, ": ping\n\n");
}
