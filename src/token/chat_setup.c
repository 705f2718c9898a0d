/* token/chat_setup.c - which template a tokenizer speaks with, and which token ends a turn there. */
#include "token/chat.h"

#include "base/hash.h"

const char lm_chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% "
    "endif %}";

size_t lm_chat_own(const struct lm_tokenizer *t, struct lm_template_var ret[LM_CHAT_OWN_MAX])
{
    static const struct {
        const char *name;
        enum lm_token_role role;
    } rows[LM_CHAT_OWN_MAX] = {
        { "bos_token", LM_ROLE_BOS },   { "eos_token", LM_ROLE_EOS }, { "unk_token", LM_ROLE_UNK },
        { "pad_token", LM_ROLE_PAD },   { "sep_token", LM_ROLE_SEP }, { "cls_token", LM_ROLE_CLS },
        { "mask_token", LM_ROLE_MASK },
    };
    size_t count = 0;
    for (size_t i = 0; i < LM_CHAT_OWN_MAX; i++)
        if (t->roles[rows[i].role] < t->vocab.size)
            ret[count++] =
                (struct lm_template_var){ rows[i].name, lm_vocab_bytes(&t->vocab, t->roles[rows[i].role]) };
    return count;
}

size_t lm_chat_plain(const struct lm_template_text *text, struct lm_span **ret)
{
    size_t count = 0, cap = 0;
    *ret = NULL;
    for (size_t at = 0; at < text->origins.len;) {
        const size_t start = at;
        while (at < text->origins.len && (text->origins.ptr[at] & LM_ORIGIN_DATA))
            at++;
        if (at == start) {
            at++;
            continue;
        }
        lm_grow(ret, &cap, count + 1, sizeof(**ret));
        (*ret)[count++] = (struct lm_span){ start, at };
    }
    return count;
}

bool lm_chat_special_at(const struct lm_tokenizer *t, const struct lm_template_text *text, size_t from,
                        struct lm_added_match *ret)
{
    struct lm_span *plain;
    const size_t plain_count = lm_chat_plain(text, &plain);
    const struct lm_allow allow = { true, plain, plain_count };
    struct lm_added_match match = { .end = from, .next = from };
    bool found;
    do
        found = lm_added_next(&t->added, lm_buf_str(&text->bytes), allow, &match);
    while (found && t->vocab.items[match.id].kind != LM_TOKEN_SPECIAL);
    free(plain);
    for (size_t i = from; found && i < match.start; i++)
        found = !(text->origins.ptr[i] & LM_ORIGIN_DATA);
    if (found)
        *ret = match;
    return found;
}

/* The special token behind an answer, as the template itself writes it. */
static bool find_end(const struct lm_tokenizer *t, uint32_t *ret)
{
    static const struct lm_chat_message probe[] = { { { "user", 4 }, { "x", 1 } },
                                                    { { "assistant", 9 }, { "y", 1 } } };
    struct lm_template_var own[LM_CHAT_OWN_MAX];
    const struct lm_template_input input = {
        .messages = probe, .message_count = 2, .own = own, .own_count = lm_chat_own(t, own)
    };
    struct lm_template_text text = { 0 };
    struct lm_added_match match;
    size_t answer = 0;
    bool found = lm_template_render(t->chat.template, &input, &text, NULL) == LM_OK;
    for (size_t i = 0; found && i < text.origins.len; i++)
        if (text.origins.ptr[i] & LM_ORIGIN_ANSWER)
            answer = i + 1;
    found = found && answer > 0 && lm_chat_special_at(t, &text, answer, &match);
    if (found)
        *ret = match.id;
    lm_template_text_release(&text);
    return found;
}

void lm_chat_prepare(struct lm_tokenizer *t)
{
    uint32_t id;
    lm_chat_release(t);
    struct lm_str source = lm_buf_str(&t->chat_template);
    t->chat.end = t->turn_end != LM_TOKEN_NONE ? t->turn_end : t->end_of_text;
    t->chat.builtin = source.len == 0 || lm_str_eq(source, lm_str(lm_chatml));
    const bool has_chatml =
        lm_tokenizer_find(t, LM_STR("<|im_start|>"), &id) && lm_tokenizer_find(t, LM_STR("<|im_end|>"), &id);
    if (source.len == 0 && has_chatml)
        source = lm_str(lm_chatml);
    if (source.len == 0) {
        lm_fail(
            &t->chat.problem, LM_EINVAL,
            "this tokenizer has no chat template, and <|im_start|> and <|im_end|> are not special tokens of "
            "it; use plain prompts, or a tokenizer that has them");
        return;
    }
    if (lm_template_parse(source, "chat template", &t->chat.template, &t->chat.problem) == LM_OK)
        find_end(t, &t->chat.end);
}

void lm_chat_release(struct lm_tokenizer *t)
{
    lm_template_free(t->chat.template);
    t->chat = (struct lm_chat){ 0 };
}

uint32_t lm_chat_end(const struct lm_tokenizer *t)
{
    return t->chat.end;
}

void lm_chat_template_name(const struct lm_tokenizer *t, char ret[LM_CHAT_NAME])
{
    char hex[LM_SHA256_HEX];
    lm_sha256_hex(lm_buf_str(&t->chat_template), hex);
    snprintf(ret, LM_CHAT_NAME, "%.*s", LM_CHAT_NAME - 1, t->chat.builtin ? "chatml" : hex);
}
