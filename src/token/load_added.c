/* token/load_added.c - added_tokens of tokenizer.json. */
#include "token/load.h"

#include "base/json.h"

/* A place of the vocabulary that holds this token, or none yet. */
static bool is_free(struct lm_token_load *l, size_t id, struct lm_str content)
{
    const struct lm_vocab *v = &l->t->vocab;
    if (id >= v->size || v->items[id].kind == LM_TOKEN_HOLE)
        return true;
    lm_buf_reset(&l->bytes);
    l->family->spell(l, content, &l->bytes);
    return v->items[id].kind == LM_TOKEN_MODEL &&
           lm_str_eq(lm_buf_str(&l->bytes), lm_vocab_bytes(v, (uint32_t)id));
}

/* What an added token is in output: a byte-level one its text as it stands, others as the vocabulary means
 * it. */
static struct lm_str meaning(struct lm_token_load *l, struct lm_str content)
{
    if (l->family->id == LM_FAMILY_BYTES)
        return content;
    lm_buf_reset(&l->bytes);
    l->family->spell(l, content, &l->bytes);
    return lm_buf_str(&l->bytes);
}

/* A compiled vocabulary has the added tokens already. */
static bool is_there(struct lm_token_load *l, size_t id, struct lm_str content)
{
    const struct lm_vocab *v = &l->t->vocab;
    return id < v->size && (v->items[id].kind == LM_TOKEN_ADDED || v->items[id].kind == LM_TOKEN_SPECIAL) &&
           lm_str_eq(lm_vocab_bytes(v, (uint32_t)id), meaning(l, content));
}

/* One of the list, as far as it matters; content: decoded. */
struct added {
    struct lm_str content;
    int64_t id;   // -1: none
    bool single_word, lstrip, rstrip, normalized, special;
};

/* In text as it comes, or in normalised text and normalised itself. */
static void put_where_it_is_sought(struct lm_token_load *l, const struct added *token)
{
    const uint32_t id = (uint32_t)token->id;
    const enum lm_token_kind kind = l->t->vocab.items[id].kind;
    if (!token->normalized) {
        lm_added_put(&l->t->added, id, token->content, kind, token->lstrip, token->rstrip);
        l->t->added.texts.items[id].single_word = token->single_word;
        return;
    }
    lm_buf_reset(&l->bytes);
    const struct lm_str normal = lm_token_normal(l->t, token->content, true, &l->bytes);
    if (normal.len == 0)
        return;
    lm_added_put(&l->t->later, id, normal, kind, token->lstrip, token->rstrip);
    l->t->later.texts.items[id].single_word = token->single_word;
}

static enum lm_rc put_added(struct lm_token_load *l, const struct added *token, struct lm_err *err)
{
    const struct lm_str content = token->content;
    const int shown = content.len < 200 ? (int)content.len : 200;
    if (content.len == 0 || token->id < 0 || token->id >= LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: an added token has no content or no id in 0..%d", l->name,
                       LM_VOCAB_SIZE_MAX - 1);
    const size_t id = (size_t)token->id;
    if (l->compiled ? !is_there(l, id, content) : !is_free(l, id, content))
        return lm_fail(err, LM_EFORMAT, "%s: added token '%.*s' has id %lld, which another token has too",
                       l->name, shown, content.ptr, (long long)token->id);
    if (lm_token_map_find(&l->t->added.map, &l->t->added.texts, content) != LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s: added token '%.*s' is there twice", l->name, shown, content.ptr);
    if (!l->compiled)
        lm_vocab_set(&l->t->vocab, (uint32_t)id, meaning(l, content),
                     token->special ? LM_TOKEN_SPECIAL : LM_TOKEN_ADDED);
    if (token->special || !json_is_object(l->sentencepiece))   // there the model itself finds them
        put_where_it_is_sought(l, token);
    return LM_OK;
}

static enum lm_rc read_member(struct lm_json_reader *r, struct added *token, struct lm_err *err)
{
    const struct {
        struct lm_str key;
        bool *value;
    } flags[] = {
        { LM_STR("single_word"), &token->single_word }, { LM_STR("lstrip"), &token->lstrip },
        { LM_STR("rstrip"), &token->rstrip },           { LM_STR("normalized"), &token->normalized },
        { LM_STR("special"), &token->special },
    };
    const struct lm_str key = r->text;
    bool *flag = NULL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        flag = lm_str_eq(key, flags[i].key) ? flags[i].value : flag;
    const bool is_content = lm_str_eq(key, LM_STR("content")), is_id = lm_str_eq(key, LM_STR("id"));
    enum lm_json_kind kind;
    if (!flag && !is_content && !is_id)
        return lm_json_skip(r, err);
    LM_TRY(lm_json_next(r, &kind, err));
    if (is_content && kind == LM_JSON_STRING)
        token->content = r->text;
    if (is_id && (kind != LM_JSON_NUMBER || !lm_str_to_i64(r->text, &token->id)))
        token->id = -1;
    if (flag)
        *flag = kind == LM_JSON_TRUE;
    if (kind == LM_JSON_OBJECT || kind == LM_JSON_ARRAY)
        return lm_fail(err, LM_EFORMAT, "an added token's '%.*s' is neither text, number nor truth value",
                       (int)key.len, key.ptr);
    return LM_OK;
}

static enum lm_rc read_added(struct lm_token_load *l, struct lm_json_reader *r, struct lm_err *err)
{
    struct added token = { .id = -1 };
    enum lm_json_kind kind;
    lm_arena_reset(r->arena);
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_KEY) {
        LM_TRY(read_member(r, &token, err));
        LM_TRY(lm_json_next(r, &kind, err));
    }
    return put_added(l, &token, err);
}

static enum lm_rc read_list(struct lm_token_load *l, struct lm_json_reader *r, struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(r, &kind, err));
    if (kind == LM_JSON_NULL)
        return LM_OK;
    if (kind != LM_JSON_ARRAY)
        return lm_fail(err, LM_EFORMAT, "%s: added_tokens is not a list", l->name);
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_OBJECT) {
        LM_TRY(read_added(l, r, err));
        LM_TRY(lm_json_next(r, &kind, err));
    }
    return kind == LM_JSON_ARRAY_END
               ? LM_OK
               : lm_fail(err, LM_EFORMAT, "%s: an added token has no content or no id in 0..%d", l->name,
                         LM_VOCAB_SIZE_MAX - 1);
}

enum lm_rc lm_load_added(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    struct lm_arena decoded = { 0 };   // what one token decodes to
    struct lm_json_reader r;
    if (json.len == 0)
        return LM_OK;
    lm_json_open(&r, json, lm_arena_printf(&l->arena, "%s: added_tokens", l->name), &decoded);
    const enum lm_rc rc = read_list(l, &r, err);
    lm_arena_release(&decoded);
    return rc;
}
