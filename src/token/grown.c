/* token/grown.c - grown.json: which tokens are new, and what the old vocabulary spells them with. */
#include "token/grow.h"

#include "base/file.h"
#include "base/json.h"
#include "token/vocab.h"

enum { GROWN_BYTES_MAX = 256 << 20 };

static enum lm_rc read_number(struct lm_json_reader *r, uint32_t max, uint32_t *ret, struct lm_err *err)
{
    int64_t value;
    LM_TRY(lm_json_want(r, LM_JSON_NUMBER, err));
    if (!lm_str_to_i64(r->text, &value) || value < 0 || value > max)
        return lm_fail(err, LM_EFORMAT, "%s: at byte %zu: %.*s is not a whole number in 0..%u", r->name,
                       lm_json_offset(r), r->text.len < 40 ? (int)r->text.len : 40, r->text.ptr, max);
    *ret = (uint32_t)value;
    return LM_OK;
}

struct ids {
    uint32_t *items;
    size_t len, cap;
};

static enum lm_rc read_pieces(struct lm_json_reader *r, struct ids *ret, struct lm_err *err)
{
    enum lm_json_kind kind;
    ret->len = 0;
    LM_TRY(lm_json_want(r, LM_JSON_ARRAY, err));
    for (;;) {
        int64_t value;
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (kind != LM_JSON_NUMBER || !lm_str_to_i64(r->text, &value) || value < 0 ||
            value >= LM_VOCAB_SIZE_MAX)
            return lm_fail(err, LM_EFORMAT, "%s: at byte %zu: 'pieces' holds something that is no token id",
                           r->name, lm_json_offset(r));
        lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
        ret->items[ret->len++] = (uint32_t)value;
    }
}

/* The rest of a token's object, behind its brace. */
static enum lm_rc read_token(struct lm_json_reader *r, struct ids *pieces, struct lm_grown *g,
                             struct lm_err *err)
{
    struct lm_grown_token token = { .id = UINT32_MAX };
    enum lm_json_kind kind;
    pieces->len = 0;
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_KEY) {
        if (lm_str_eq(r->text, LM_STR("id")))
            LM_TRY(read_number(r, LM_VOCAB_SIZE_MAX - 1, &token.id, err));
        else if (lm_str_eq(r->text, LM_STR("pieces")))
            LM_TRY(read_pieces(r, pieces, err));
        else
            LM_TRY(lm_json_skip(r, err));
        LM_TRY(lm_json_next(r, &kind, err));
    }
    if (pieces->len == 0 || token.id == UINT32_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: a token lacks its id or its pieces", r->name);
    token.piece_count = (uint32_t)pieces->len;
    uint32_t *kept = lm_arena_alloc(&g->arena, pieces->len * sizeof(*kept));
    memcpy(kept, pieces->items, pieces->len * sizeof(*kept));
    token.pieces = kept;
    lm_grow(&g->tokens, &g->cap, g->count + 1, sizeof(*g->tokens));
    g->tokens[g->count++] = token;
    return LM_OK;
}

static enum lm_rc read_tokens(struct lm_json_reader *r, struct lm_grown *g, struct lm_err *err)
{
    struct ids pieces = { 0 };
    enum lm_json_kind kind;
    enum lm_rc rc = lm_json_want(r, LM_JSON_ARRAY, err);
    while (rc == LM_OK && (rc = lm_json_next(r, &kind, err)) == LM_OK && kind == LM_JSON_OBJECT)
        rc = read_token(r, &pieces, g, err);
    free(pieces.items);
    return rc;
}

static enum lm_rc check(const struct lm_grown *g, const char *name, struct lm_err *err)
{
    if (g->new_size <= g->old_size || g->count != g->new_size - g->old_size)
        return lm_fail(err, LM_EFORMAT, "%s: %zu new tokens do not lead from %u ids to %u", name, g->count,
                       g->old_size, g->new_size);
    for (size_t i = 0; i < g->count; i++) {
        const struct lm_grown_token *t = &g->tokens[i];
        if (t->id != g->old_size + i)
            return lm_fail(err, LM_EFORMAT, "%s: new token %zu has the id %u, not %zu", name, i, t->id,
                           g->old_size + i);
        for (size_t k = 0; k < t->piece_count; k++)
            if (t->pieces[k] >= g->old_size)
                return lm_fail(err, LM_EFORMAT, "%s: token %u is made of %u, which is no old id", name, t->id,
                               t->pieces[k]);
    }
    return LM_OK;
}

static enum lm_rc read_all(struct lm_json_reader *r, struct lm_grown *g, struct lm_err *err)
{
    bool known = false;
    enum lm_json_kind kind;
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_KEY) {
        if (lm_str_eq(r->text, LM_STR("format"))) {
            LM_TRY(lm_json_want(r, LM_JSON_STRING, err));
            known = lm_str_eq(r->text, LM_STR("loom-grown-1"));
        } else if (lm_str_eq(r->text, LM_STR("old_size"))) {
            LM_TRY(read_number(r, LM_VOCAB_SIZE_MAX, &g->old_size, err));
        } else if (lm_str_eq(r->text, LM_STR("new_size"))) {
            LM_TRY(read_number(r, LM_VOCAB_SIZE_MAX, &g->new_size, err));
        } else if (lm_str_eq(r->text, LM_STR("tokens")) && g->count == 0) {
            LM_TRY(read_tokens(r, g, err));
        } else {
            LM_TRY(lm_json_skip(r, err));
        }
        LM_TRY(lm_json_next(r, &kind, err));
    }
    if (!known)
        return lm_fail(err, LM_EFORMAT, "%s: its 'format' is not loom-grown-1", r->name);
    return check(g, r->name, err);
}

enum lm_rc lm_grown_parse(struct lm_str json, const char *name, struct lm_grown *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    *ret = (struct lm_grown){ 0 };
    lm_json_open(&r, json, name, &arena);
    const enum lm_rc rc = read_all(&r, ret, err);
    if (rc != LM_OK)
        lm_grown_release(ret);
    lm_arena_release(&arena);
    return rc;
}

enum lm_rc lm_grown_load(const char *path, struct lm_grown *ret, struct lm_err *err)
{
    struct lm_buf file = { 0 };
    enum lm_rc rc = lm_file_read(path, GROWN_BYTES_MAX, &file, err);
    if (rc == LM_OK)
        rc = lm_grown_parse(lm_buf_str(&file), path, ret, err);
    lm_buf_release(&file);
    return rc;
}

void lm_grown_release(struct lm_grown *g)
{
    free(g->tokens);
    lm_arena_release(&g->arena);
    *g = (struct lm_grown){ 0 };
}
