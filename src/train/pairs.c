#include "train/pairs.h"

#include "base/json.h"
#include "base/line.h"

#include <stdlib.h>

enum { LINE_BYTES_MAX = 16 << 20 };

static enum lm_rc read_member(struct lm_json_reader *r, struct lm_str key, struct lm_pair *pair,
                              struct lm_str *split, struct lm_err *err)
{
    const struct {
        const char *name;
        struct lm_str *to;
    } members[] = {
        { "id", &pair->id },         { "snapshot", &pair->snapshot }, { "question", &pair->question },
        { "answer", &pair->answer }, { "document", &pair->document }, { "person", &pair->person },
        { "split", split },
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (lm_str_eq(key, lm_str(members[i].name))) {
            LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
            *members[i].to = r->text;
            return LM_OK;
        }
    return lm_json_skip(r, err);
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
    if (!pair.question.ptr || !pair.answer.ptr)
        return lm_fail(err, LM_EFORMAT, "%s: a pair needs a question and an answer", name);
    pair.heldout = lm_str_eq(split, LM_STR("heldout"));
    if (!pair.heldout && !lm_str_eq(split, LM_STR("train")))
        return lm_fail(err, LM_EFORMAT, "%s: split must be \"train\" or \"heldout\"", name);
    *ret = pair;
    return LM_OK;
}

/* The chat of a pair: ids and, for each, whether the assistant says it. */
static enum lm_rc encode(const struct lm_pair *pair, struct lm_encoder *encoder, const char *system,
                         struct lm_tokens *ret_ids, struct lm_buf *ret_mask, struct lm_err *err)
{
    const struct lm_chat_message messages[] = {
        { LM_STR("system"), lm_str(system) },
        { LM_STR("user"), pair->question },
        { LM_STR("assistant"), pair->answer },
    };
    const size_t skip = system ? 0 : 1;
    return lm_chat_encode(encoder, messages + skip, sizeof messages / sizeof messages[0] - skip, false,
                          ret_ids, ret_mask, err);
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

enum lm_rc lm_pair_set_add(struct lm_pair_set *set, const struct lm_pair *pair, struct lm_encoder *encoder,
                           const struct lm_pair_spec *spec, struct lm_err *err)
{
    if (lm_str_trim(pair->answer).len == 0) {
        set->unanswered++;
        return LM_OK;
    }
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
    to->text_bytes += pair->answer.len;
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
        rc = lm_fail(err, LM_EINVAL, "'%s' has no answered pair of split \"train\"%s%s%s", path,
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
