#include "train/pairs.h"

#include "base/json.h"
#include "base/line.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 16 << 20, MESSAGES_MAX = 512 };

/* JSON without the blanks between its parts. */
static struct lm_str compact(struct lm_str json, struct lm_arena *arena)
{
    char *to = lm_arena_alloc(arena, json.len + 1);
    size_t len = 0;
    bool inside = false;
    for (size_t i = 0; i < json.len; i++) {
        const char c = json.ptr[i];
        if (!inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        to[len++] = c;
        if (inside && c == '\\' && i + 1 < json.len)
            to[len++] = json.ptr[++i];
        else if (c == '"')
            inside = !inside;
    }
    return (struct lm_str){ to, len };
}

/* A string, or an object or array as compact JSON. */
static enum lm_rc read_text(struct lm_json_reader *r, struct lm_str *ret, struct lm_err *err)
{
    const char *at = r->at;
    while (at < r->end && strchr(" \t\n\r:", *at) && *at)
        at++;
    if (at == r->end || (*at != '{' && *at != '[')) {
        LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
        *ret = r->text;
        return LM_OK;
    }
    LM_TRY(lm_json_skip(r, err));
    *ret = compact((struct lm_str){ at, (size_t)(r->at - at) }, r->arena);
    return LM_OK;
}

static enum lm_rc read_message(struct lm_json_reader *r, struct lm_chat_message *ret, struct lm_err *err)
{
    enum lm_json_kind kind;
    for (;;) {
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(r->text, LM_STR("role")))
            LM_TRY(read_text(r, &ret->role, err));
        else if (lm_str_eq(r->text, LM_STR("content")))
            LM_TRY(read_text(r, &ret->content, err));
        else
            LM_TRY(lm_json_skip(r, err));
    }
    if (!ret->role.ptr || !ret->content.ptr)
        return lm_fail(err, LM_EFORMAT, "%s: a message needs a role and a content", r->name);
    return LM_OK;
}

static enum lm_rc read_messages(struct lm_json_reader *r, struct lm_pair *pair, struct lm_err *err)
{
    struct lm_chat_message *list = lm_arena_alloc(r->arena, MESSAGES_MAX * sizeof *list);
    enum lm_json_kind kind;
    LM_TRY(lm_json_want(r, LM_JSON_ARRAY, err));
    pair->messages = list;
    for (pair->message_count = 0;;) {
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (kind != LM_JSON_OBJECT)
            return lm_fail(err, LM_EFORMAT, "%s: a message is an object with role and content", r->name);
        if (pair->message_count == MESSAGES_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: a chat has more than %d messages", r->name, MESSAGES_MAX);
        LM_TRY(read_message(r, &list[pair->message_count++], err));
    }
}

/* What stands for question and answer of a chat. */
static void summarize(struct lm_pair *pair)
{
    pair->question = pair->answer = LM_STR("");
    for (size_t i = 0; i < pair->message_count; i++) {
        const struct lm_chat_message *m = &pair->messages[i];
        if (lm_str_eq(m->role, LM_STR("user")))
            pair->question = m->content;
        if (lm_str_eq(m->role, LM_STR("assistant")))
            pair->answer = m->content;
    }
}

static enum lm_rc read_member(struct lm_json_reader *r, struct lm_str key, struct lm_pair *pair,
                              struct lm_str *split, struct lm_err *err)
{
    const struct {
        const char *name;
        struct lm_str *to;
    } members[] = {
        { "id", &pair->id },
        { "snapshot", &pair->snapshot },
        { "question", &pair->question },
        { "answer", &pair->answer },
        { "chosen", &pair->answer },
        { "rejected", &pair->rejected },
        { "document", &pair->document },
        { "person", &pair->person },
        { "split", split },
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (lm_str_eq(key, lm_str(members[i].name))) {
            return read_text(r, members[i].to, err);
        }
    return lm_str_eq(key, LM_STR("messages")) ? read_messages(r, pair, err) : lm_json_skip(r, err);
}

enum lm_rc lm_pair_parse(struct lm_str line, const char *name, struct lm_arena *arena, struct lm_pair *ret,
                         struct lm_err *err)
{
    struct lm_json_reader r;
    struct lm_pair pair = { 0 };
    struct lm_str split = { 0 };
    enum lm_json_kind kind;
    lm_json_open(&r, line, name, arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        LM_TRY(read_member(&r, r.text, &pair, &split, err));
    }
    LM_TRY(lm_json_want(&r, LM_JSON_END, err));
    if (pair.message_count > 0)
        summarize(&pair);
    if (!pair.question.ptr || !pair.answer.ptr)
        return lm_fail(err, LM_EFORMAT, "%s: a pair needs a question and an answer, a chat needs messages",
                       name);
    pair.heldout = lm_str_eq(split, LM_STR("heldout"));
    if (!pair.heldout && !lm_str_eq(split, LM_STR("train")))
        return lm_fail(err, LM_EFORMAT, "%s: split must be \"train\" or \"heldout\"", name);
    *ret = pair;
    return LM_OK;
}

/* The conversation: ids and, for each, whether the assistant says it. */
static enum lm_rc encode(const struct lm_pair *pair, struct lm_encoder *encoder, const char *system,
                         struct lm_tokens *ret_ids, struct lm_buf *ret_mask, struct lm_err *err)
{
    const struct lm_chat_message of_pair[] = {
        { LM_STR("user"), pair->question },
        { LM_STR("assistant"), pair->answer },
    };
    const struct lm_chat_message *said = pair->message_count ? pair->messages : of_pair;
    const size_t count = pair->message_count ? pair->message_count : 2;
    struct lm_chat_message messages[MESSAGES_MAX + 1];
    const size_t first = system && !lm_str_eq(said[0].role, LM_STR("system")) ? 1 : 0;
    messages[0] = (struct lm_chat_message){ LM_STR("system"), lm_str(system ? system : "") };
    memcpy(messages + first, said, count * sizeof *said);
    return lm_chat_encode(encoder, messages, first + count, false, ret_ids, ret_mask, err);
}

/* What the assistant says, in bytes. */
static uint64_t answer_bytes(const struct lm_pair *pair)
{
    uint64_t bytes = pair->message_count ? 0 : pair->answer.len;
    for (size_t i = 0; i < pair->message_count; i++)
        if (lm_str_eq(pair->messages[i].role, LM_STR("assistant")))
            bytes += pair->messages[i].content.len;
    return bytes;
}

/* One window: position i reads token i and has token i + 1 as target, where that is fresh and the
 * assistant's. False when nothing is left to learn. */
static bool make_piece(const struct lm_window *w, const char *mask, struct lm_arena *arena,
                       struct lm_piece *ret)
{
    const size_t len = w->len - 1;
    bool any = false;
    if (len == 0)
        return false;
    uint32_t *input = lm_arena_alloc(arena, len * sizeof *input);
    int32_t *target = lm_arena_alloc(arena, len * sizeof *target);
    for (size_t i = 0; i < len; i++) {
        const bool trained = i + 1 >= w->fresh && mask[i + 1];
        input[i] = w->tokens[i];
        target[i] = trained ? (int32_t)w->tokens[i + 1] : LM_TARGET_NONE;
        any |= trained;
    }
    *ret = (struct lm_piece){ input, target, len };
    return any;
}

static struct lm_str keep(struct lm_arena *arena, struct lm_str s)
{
    return s.len ? (struct lm_str){ lm_arena_strndup(arena, s.ptr, s.len), s.len } : (struct lm_str){ 0 };
}

/* The pair's pieces, from `first` on, and whose they are. */
static void add_owner(struct lm_pair_set *set, const struct lm_pair *pair, size_t first)
{
    lm_grow(&set->owners, &set->owner_cap, set->owner_count + 1, sizeof *set->owners);
    struct lm_pair_owner *o = &set->owners[set->owner_count++];
    *o =
        (struct lm_pair_owner){ .document = keep(&set->arena, pair->document.len ? pair->document : pair->id),
                                .person = keep(&set->arena, pair->person),
                                .first = first,
                                .count = set->train.count - first };
    if (o->document.len == 0) {   // neither: a document of its own
        const char *name = lm_arena_printf(&set->arena, "\n%zu", set->owner_count);
        o->document = lm_str(name);
    }
}

/* One answer as one whole piece; LM_ENOTHING when it is too long or has nothing to train. */
static enum lm_rc whole_piece(struct lm_pair_set *set, const struct lm_pair *pair, struct lm_encoder *encoder,
                              const struct lm_pair_spec *spec, struct lm_piece *ret, struct lm_err *err)
{
    struct lm_tokens ids = { 0 };
    struct lm_buf mask = { 0 };
    enum lm_rc rc = encode(pair, encoder, spec->system, &ids, &mask, err);
    if (rc == LM_OK && ids.len > spec->window.size)
        rc = LM_ENOTHING;
    if (rc == LM_OK) {
        const struct lm_window w = { ids.ids, ids.len, 0 };
        rc = make_piece(&w, mask.ptr, &set->arena, ret) ? LM_OK : LM_ENOTHING;
    }
    lm_tokens_release(&ids);
    lm_buf_release(&mask);
    return rc;
}

static enum lm_rc add_preference(struct lm_pair_set *set, const struct lm_pair *pair,
                                 struct lm_encoder *encoder, const struct lm_pair_spec *spec,
                                 struct lm_err *err)
{
    struct lm_piece pieces[2];
    struct lm_pair rejected = *pair;
    rejected.answer = pair->rejected;
    if (lm_str_trim(pair->rejected).len == 0) {
        set->unanswered++;
        return LM_OK;
    }
    enum lm_rc rc = whole_piece(set, pair, encoder, spec, &pieces[0], err);
    if (rc == LM_OK)
        rc = whole_piece(set, &rejected, encoder, spec, &pieces[1], err);
    if (rc != LM_OK) {
        set->windows_empty += rc == LM_ENOTHING;
        return rc == LM_ENOTHING ? LM_OK : rc;
    }
    lm_grow(&set->train.pieces, &set->train.cap, set->train.count + 2, sizeof *pieces);
    for (size_t i = 0; i < 2; i++)
        set->train.pieces[set->train.count++] = pieces[i];
    set->pairs++;
    return LM_OK;
}

enum lm_rc lm_pair_set_add(struct lm_pair_set *set, const struct lm_pair *pair, struct lm_encoder *encoder,
                           const struct lm_pair_spec *spec, struct lm_err *err)
{
    if (lm_str_trim(pair->answer).len == 0) {
        set->unanswered++;
        return LM_OK;
    }
    if (spec->preferences && !pair->heldout)
        return add_preference(set, pair, encoder, spec, err);
    struct lm_tokens ids = { 0 };
    struct lm_buf mask = { 0 };
    struct lm_eval_set *to = pair->heldout ? &set->heldout : &set->train;
    const size_t first = to->count;
    const enum lm_rc rc = encode(pair, encoder, spec->system, &ids, &mask, err);
    for (size_t i = 0; rc == LM_OK && i < lm_window_count(spec->window, ids.len); i++) {
        const struct lm_window w = lm_window_get(spec->window, ids.ids, ids.len, i);
        struct lm_piece piece;
        if (!make_piece(&w, mask.ptr + (w.tokens - ids.ids), &set->arena, &piece)) {
            set->windows_empty++;
            continue;
        }
        lm_grow(&to->pieces, &to->cap, to->count + 1, sizeof piece);
        to->pieces[to->count++] = piece;
    }
    if (!pair->heldout && to->count > first)
        add_owner(set, pair, first);
    to->text_bytes += answer_bytes(pair);
    set->pairs += rc == LM_OK;
    lm_tokens_release(&ids);
    lm_buf_release(&mask);
    return rc;
}

static enum lm_rc read_lines(struct lm_pair_set *set, struct lm_line_reader *lines, const char *path,
                             struct lm_encoder *encoder, const struct lm_pair_spec *spec, struct lm_err *err)
{
    struct lm_arena arena = { 0 };   // of one line
    struct lm_str line;
    enum lm_rc rc;
    while ((rc = lm_line_next(lines, &line, err)) == LM_OK) {
        struct lm_pair pair;
        lm_arena_reset(&arena);
        const char *name =
            lm_arena_printf(&arena, "'%s', line %llu", path, (unsigned long long)lm_line_number(lines));
        rc = lm_pair_parse(line, name, &arena, &pair, err);
        if (rc == LM_OK && (!spec->snapshot || lm_str_eq(pair.snapshot, lm_str(spec->snapshot))))
            rc = lm_pair_set_add(set, &pair, encoder, spec, err);
        if (rc == LM_OK && set->unanswered > 0 && !spec->skip_unlabelled)
            rc = lm_fail(
                err, LM_EINVAL,
                "%s: there is no %s to learn from; write it, or leave such pairs out with skip-unlabelled",
                name, spec->preferences ? "pair of a chosen and a rejected answer" : "answer");
        if (rc != LM_OK)
            break;
    }
    lm_arena_release(&arena);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

enum lm_rc lm_pair_set_read(struct lm_pair_set *set, const char *path, const struct lm_tokenizer *tokenizer,
                            const struct lm_pair_spec *spec, struct lm_err *err)
{
    struct lm_line_reader *lines;
    LM_TRY(lm_window_spec_check(spec->window, err));
    LM_TRY(lm_line_open(path, LINE_BYTES_MAX, &lines, err));
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    enum lm_rc rc = read_lines(set, lines, path, encoder, spec, err);
    lm_encoder_free(encoder);
    lm_line_close(lines);
    if (rc == LM_OK && set->train.count == 0)
        rc = lm_fail(err, LM_EINVAL, "'%s' has no answered pair of split \"train\"%s%s%s to learn from", path,
                     spec->snapshot ? " and snapshot '" : "", spec->snapshot ? spec->snapshot : "",
                     spec->snapshot ? "'" : "");
    return rc;
}

void lm_pair_set_release(struct lm_pair_set *set)
{
    lm_eval_set_release(&set->train);
    lm_eval_set_release(&set->heldout);
    lm_arena_release(&set->arena);
    free(set->owners);
    *set = (struct lm_pair_set){ 0 };
}
