/* token/load_added.c - added_tokens of tokenizer.json. */
#include "token/load.h"

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

/* In text as it comes, or in normalised text and normalised itself. */
static void put_where_it_is_sought(struct lm_token_load *l, uint32_t id, struct lm_str content,
                                   const json_t *token)
{
    const enum lm_token_kind kind = l->t->vocab.items[id].kind;
    const bool lstrip = json_is_true(json_object_get(token, "lstrip"));
    const bool single = json_is_true(json_object_get(token, "single_word"));
    const bool rstrip = json_is_true(json_object_get(token, "rstrip"));
    if (!json_is_true(json_object_get(token, "normalized"))) {
        lm_added_put(&l->t->added, id, content, kind, lstrip, rstrip);
        l->t->added.texts.items[id].single_word = single;
        return;
    }
    lm_buf_reset(&l->bytes);
    const struct lm_str normal = lm_token_normal(l->t, content, true, &l->bytes);
    if (normal.len == 0)
        return;
    lm_added_put(&l->t->later, id, normal, kind, lstrip, rstrip);
    l->t->later.texts.items[id].single_word = single;
}

static enum lm_rc put_added(struct lm_token_load *l, const json_t *token, struct lm_err *err)
{
    const json_t *text = json_object_get(token, "content");
    const struct lm_str content = { json_string_value(text), json_string_length(text) };
    const json_int_t id =
        json_is_integer(json_object_get(token, "id")) ? json_integer_value(json_object_get(token, "id")) : -1;
    if (content.len == 0 || id < 0 || id >= LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: an added token has no content or no id in 0..%d", l->name,
                       LM_VOCAB_SIZE_MAX - 1);
    if (!is_free(l, (size_t)id, content))
        return lm_fail(err, LM_EFORMAT, "%s: added token '%s' has id %lld, which another token has too",
                       l->name, content.ptr, (long long)id);
    if (lm_token_map_find(&l->t->added.map, &l->t->added.texts, content) != LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s: added token '%s' is there twice", l->name, content.ptr);
    const bool special = json_is_true(json_object_get(token, "special"));
    lm_vocab_set(&l->t->vocab, (uint32_t)id, meaning(l, content),
                 special ? LM_TOKEN_SPECIAL : LM_TOKEN_ADDED);
    if (special || !json_is_object(l->sentencepiece))   // there the model itself finds them
        put_where_it_is_sought(l, (uint32_t)id, content, token);
    return LM_OK;
}

enum lm_rc lm_load_added(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    LM_TREE_FREE json_t *list = NULL;
    LM_TRY(lm_load_part(l, "added_tokens", json, &list, err));
    if (!json_is_null(list) && !json_is_array(list))
        return lm_fail(err, LM_EFORMAT, "%s: added_tokens is not a list", l->name);
    for (size_t i = 0; i < json_array_size(list); i++)
        LM_TRY(put_added(l, json_array_get(list, i), err));
    return LM_OK;
}
