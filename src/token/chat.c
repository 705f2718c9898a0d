/* token/chat.c - conversations to ids, through the template of the tokenizer.
 *
 * What users wrote is marked in the rendered text, and special tokens are made of unmarked bytes only; all
 * text between two of them is encoded as one, so that ids are those of Hugging Face.
 *
 * With a mask there are borders too: where an answer begins and where its end token ends.  An answer begins
 * where the prompt for it ends, so the prompt is a prefix of the conversation in ids as well, and training
 * sees what generation will. */
#include "token/chat.h"

#include "base/sys.h"

/* Training does not depend on the day: templates that show the date show this one, 26 July 2024. */
static const int64_t training_now_s = 1721952000;

struct chat {
    const struct lm_tokenizer *t;
    struct lm_template_input input;
    struct lm_template_text text;
    struct lm_span *answers;   // ascending
    size_t answer_count, answer_cap;
};

static bool is_role(struct lm_str role)
{
    static const char *const roles[] = { "system", "user", "assistant" };
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (lm_str_eq(role, lm_str(roles[i])))
            return true;
    return false;
}

/* ---- where answers are ---- */

static void add_answer(struct chat *c, size_t start, size_t end)
{
    if (start >= end)
        return;
    lm_grow(&c->answers, &c->answer_cap, c->answer_count + 1, sizeof(*c->answers));
    c->answers[c->answer_count++] = (struct lm_span){ start, end };
}

static uint8_t origin_at(const struct chat *c, size_t at)
{
    return (uint8_t)c->text.origins.ptr[at];
}

/* {% generation %} says it. */
static void find_marked(struct chat *c)
{
    const size_t len = c->text.origins.len;
    for (size_t at = 0; at < len;) {
        const size_t start = at;
        while (at < len && (origin_at(c, at) & LM_ORIGIN_GENERATION))
            at++;
        add_answer(c, start, at);
        at += at == start;
    }
}

/* The bytes of answer number `k` at or behind `from`, up to those of another message. */
static bool find_bytes(const struct chat *c, size_t k, size_t from, struct lm_span *ret)
{
    const uint8_t wanted = LM_ORIGIN_DATA | LM_ORIGIN_ANSWER | (k % 2 ? LM_ORIGIN_ODD : 0);
    const uint8_t mask = LM_ORIGIN_DATA | LM_ORIGIN_ANSWER | LM_ORIGIN_ODD;
    const size_t len = c->text.origins.len;
    size_t at = from;
    while (at < len && (origin_at(c, at) & mask) != wanted)
        at++;
    *ret = (struct lm_span){ at, at };
    for (; at < len && ((origin_at(c, at) & mask) == wanted || !(origin_at(c, at) & mask)); at++)
        if (origin_at(c, at) & mask)
            ret->end = at + 1;
    return ret->end > ret->start;
}

/* Where the prompt for the message ends, when that is a beginning of the text; else SIZE_MAX. */
static size_t find_prompt(const struct chat *c, size_t message)
{
    struct lm_template_input input = c->input;
    struct lm_template_text prompt = { 0 };
    input.message_count = message;
    input.add_generation = true;
    size_t ret = SIZE_MAX;
    if (message > 0 && lm_template_render(c->t->chat.template, &input, &prompt, NULL) == LM_OK &&
        lm_str_starts(lm_buf_str(&c->text.bytes), lm_buf_str(&prompt.bytes)))
        ret = prompt.bytes.len;
    lm_template_text_release(&prompt);
    return ret;
}

static bool has_other_data(const struct chat *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((origin_at(c, i) & (LM_ORIGIN_DATA | LM_ORIGIN_ANSWER)) == LM_ORIGIN_DATA)
            return true;
    return false;
}

static bool is_blank(const struct chat *c, size_t from, size_t to)
{
    const struct lm_str between = { c->text.bytes.ptr + from, to - from };
    return lm_str_trim(between).len == 0;
}

/* An answer: from the end of its prompt to the end of its last byte, with the end token behind it. */
static void find_answer(struct chat *c, size_t message, size_t k)
{
    const size_t from = c->answer_count > 0 ? c->answers[c->answer_count - 1].end : 0;
    const size_t prompt = find_prompt(c, message);
    struct lm_span span;
    struct lm_added_match end;
    const bool spoken = find_bytes(c, k, from, &span);
    if (prompt != SIZE_MAX && prompt >= from && (!spoken || !has_other_data(c, prompt, span.start))) {
        span.start = prompt;
        span.end = spoken && span.end > prompt ? span.end : prompt;
    } else if (!spoken) {
        return;   // the template leaves it out
    }
    if (lm_chat_special_at(c->t, &c->text, span.end, &end) &&
        (end.id == c->t->chat.end || is_blank(c, span.end, end.start)))
        span.end = end.end;
    add_answer(c, span.start, span.end);
}

static void find_answers(struct chat *c)
{
    if (lm_template_marks_generation(c->t->chat.template)) {
        find_marked(c);
        return;
    }
    size_t k = 0;
    for (size_t i = 0; i < c->input.message_count; i++)
        if (lm_str_eq(c->input.messages[i].role, LM_STR("assistant")))
            find_answer(c, i, k++);
}

/* ---- ids ---- */

/* text[start..end), with the ranges of `plain` that lie in it. */
static void encode_part(struct lm_encoder *e, const struct chat *c, const struct lm_span *plain,
                        size_t plain_count, size_t start, size_t end, struct lm_tokens *ret)
{
    size_t count = 0;
    struct lm_span *inside = lm_zalloc(plain_count, sizeof(*inside));
    for (size_t i = 0; i < plain_count; i++) {
        const size_t from = plain[i].start > start ? plain[i].start : start;
        const size_t to = plain[i].end < end ? plain[i].end : end;
        if (from < to)
            inside[count++] = (struct lm_span){ from - start, to - start };
    }
    lm_encode_marked(e, (struct lm_str){ c->text.bytes.ptr + start, end - start }, inside, count, ret);
    free(inside);
}

static void add_mask(struct lm_buf *mask, size_t count, bool on)
{
    for (; count > 0; count--)
        lm_buf_putc(mask, on);
}

/* Byte-level: each part is encoded by itself. */
static void encode_parts(struct lm_encoder *e, const struct chat *c, const struct lm_span *plain,
                         size_t plain_count, struct lm_tokens *ret, struct lm_buf *mask)
{
    size_t at = 0;
    for (size_t i = 0; i <= c->answer_count; i++) {
        const struct lm_span none = { c->text.bytes.len, c->text.bytes.len };
        const struct lm_span answer = i < c->answer_count ? c->answers[i] : none;
        size_t before = ret->len;
        encode_part(e, c, plain, plain_count, at, answer.start, ret);
        add_mask(mask, ret->len - before, false);
        before = ret->len;
        encode_part(e, c, plain, plain_count, answer.start, answer.end, ret);
        add_mask(mask, ret->len - before, true);
        at = answer.end;
    }
}

/* Ids of all that are also those of text[0..end). */
static size_t ids_until(struct lm_encoder *e, const struct chat *c, const struct lm_span *plain,
                        size_t plain_count, size_t end, const uint32_t *ids, size_t count)
{
    struct lm_tokens part = { 0 };
    size_t same = 0;
    encode_part(e, c, plain, plain_count, 0, end, &part);
    while (same < part.len && same < count && part.ids[same] == ids[same])
        same++;
    lm_tokens_release(&part);
    return same;
}

/* Other families put blanks where a text starts, so that parts cannot be encoded alone: the whole is, and a
 * border is where it stops to be what a beginning of the text gives. */
static void encode_whole(struct lm_encoder *e, const struct chat *c, const struct lm_span *plain,
                         size_t plain_count, struct lm_tokens *ret, struct lm_buf *mask)
{
    const size_t first = ret->len;
    size_t at = 0;
    encode_part(e, c, plain, plain_count, 0, c->text.bytes.len, ret);
    const size_t count = ret->len - first;
    for (size_t i = 0; i < c->answer_count; i++) {
        const uint32_t *ids = ret->ids + first;
        const size_t start = ids_until(e, c, plain, plain_count, c->answers[i].start, ids, count);
        const size_t end = ids_until(e, c, plain, plain_count, c->answers[i].end, ids, count);
        add_mask(mask, start > at ? start - at : 0, false);
        at = start > at ? start : at;
        add_mask(mask, end > at ? end - at : 0, true);
        at = end > at ? end : at;
    }
    add_mask(mask, count - at, false);
}

static enum lm_rc check(const struct lm_tokenizer *t, const struct lm_chat_message *messages, size_t count,
                        struct lm_err *err)
{
    if (!t->chat.template)
        return lm_fail(err, t->chat.problem.rc, "%s", t->chat.problem.text);
    for (size_t i = 0; t->chat.builtin && i < count; i++)
        if (!is_role(messages[i].role))
            return lm_fail(err, LM_EINVAL, "message %zu: role '%.*s' is not system, user or assistant", i,
                           messages[i].role.len < 40 ? (int)messages[i].role.len : 40, messages[i].role.ptr);
    return LM_OK;
}

enum lm_rc lm_chat_encode(struct lm_encoder *e, const struct lm_chat_message *messages, size_t count,
                          bool add_generation, struct lm_tokens *ret, struct lm_buf *mask, struct lm_err *err)
{
    struct lm_template_var own[LM_CHAT_OWN_MAX];
    struct chat c = { .t = lm_encoder_tokenizer(e) };
    struct lm_span *plain;
    LM_TRY(check(c.t, messages, count, err));
    c.input = (struct lm_template_input){
        .messages = messages,
        .message_count = count,
        .add_generation = add_generation,
        .own = own,
        .own_count = lm_chat_own(c.t, own),
        .now_s = mask ? training_now_s : lm_wall_ms() / 1000,
    };
    LM_TRY(lm_template_render(c.t->chat.template, &c.input, &c.text, err));
    const size_t plain_count = lm_chat_plain(&c.text, &plain);
    if (mask)
        find_answers(&c);
    if (!mask)
        encode_part(e, &c, plain, plain_count, 0, c.text.bytes.len, ret);
    else if (c.t->family == LM_FAMILY_BYTES)
        encode_parts(e, &c, plain, plain_count, ret, mask);
    else
        encode_whole(e, &c, plain, plain_count, ret, mask);
    free(plain);
    free(c.answers);
    lm_template_text_release(&c.text);
    return LM_OK;
}
