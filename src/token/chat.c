/* token/chat.c - ChatML, the one template of models made here:
 *
 *     <|im_start|>role LF content <|im_end|> LF
 *
 * Control ids are appended as ids, and what users wrote is encoded with special tokens off: no text can open
 * or close a turn.  Role, LF and content are encoded as one text, as a template engine would have it; only
 * the assistant's content starts anew, because that is where generation starts. */
#include "token/tokenizer_impl.h"

static void append(struct lm_tokens *ret, uint32_t id)
{
    lm_grow(&ret->ids, &ret->cap, ret->len + 1, sizeof(*ret->ids));
    ret->ids[ret->len++] = id;
}

/* One byte in the mask for every id since the last call. */
static void mark(const struct lm_tokens *ret, size_t *marked, struct lm_buf *mask, bool on)
{
    for (; mask && *marked < ret->len; ++*marked)
        lm_buf_putc(mask, on);
}

static bool is_role(struct lm_str role)
{
    static const char *const roles[] = { "system", "user", "assistant" };
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (lm_str_eq(role, lm_str(roles[i])))
            return true;
    return false;
}

enum lm_rc lm_chat_encode(struct lm_encoder *e, const struct lm_chat_message *messages, size_t count,
                          bool add_generation, struct lm_tokens *ret, struct lm_buf *mask, struct lm_err *err)
{
    const struct lm_tokenizer *t = lm_encoder_tokenizer(e);
    if (t->turn_start == LM_TOKEN_NONE || t->turn_end == LM_TOKEN_NONE)
        return lm_fail(
            err, LM_EINVAL,
            "this tokenizer has no chat template: <|im_start|> and <|im_end|> are not special tokens of it; "
            "use plain prompts, or a tokenizer that has them");
    for (size_t i = 0; i < count; i++)
        if (!is_role(messages[i].role))
            return lm_fail(err, LM_EINVAL, "message %zu: role '%.*s' is not system, user or assistant", i,
                           messages[i].role.len < 40 ? (int)messages[i].role.len : 40, messages[i].role.ptr);

    struct lm_buf text = { 0 };
    size_t marked = ret->len;
    for (size_t i = 0; i < count; i++) {
        const bool assistant = lm_str_eq(messages[i].role, LM_STR("assistant"));
        append(ret, t->turn_start);
        lm_buf_reset(&text);
        lm_buf_add_str(&text, messages[i].role);
        lm_buf_putc(&text, '\n');
        if (!assistant)
            lm_buf_add_str(&text, messages[i].content);
        lm_encode(e, lm_buf_str(&text), false, ret);
        mark(ret, &marked, mask, false);
        if (assistant)
            lm_encode(e, messages[i].content, false, ret);
        append(ret, t->turn_end);
        mark(ret, &marked, mask, assistant);
        lm_encode(e, LM_STR("\n"), false, ret);
        mark(ret, &marked, mask, false);
    }
    lm_buf_release(&text);
    if (add_generation) {
        append(ret, t->turn_start);
        lm_encode(e, LM_STR("assistant\n"), false, ret);
        mark(ret, &marked, mask, false);
    }
    return LM_OK;
}

uint32_t lm_chat_end(const struct lm_tokenizer *t)
{
    return t->turn_end != LM_TOKEN_NONE ? t->turn_end : t->end_of_text;
}
