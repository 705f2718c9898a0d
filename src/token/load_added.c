/* token/load_added.c - added_tokens of tokenizer.json. */
#include "token/load.h"

/* Text as written in the vocabulary means the same bytes as an added token of equal text. */
static bool same_token(struct lm_token_load *l, uint32_t id, struct lm_str content)
{
    lm_buf_reset(&l->bytes);
    const struct lm_str bytes = lm_text_to_bytes(content, &l->bytes) ? lm_buf_str(&l->bytes) : content;
    return lm_str_eq(bytes, lm_vocab_bytes(&l->t->vocab, id));
}

static enum lm_rc put_added(struct lm_token_load *l, const json_t *token, struct lm_err *err)
{
    static const char *const flags[] = { "single_word", "lstrip", "rstrip" };
    struct lm_vocab *v = &l->t->vocab;
    const json_t *text = json_object_get(token, "content");
    const struct lm_str content = { json_string_value(text), json_string_length(text) };
    const json_int_t id =
        json_is_integer(json_object_get(token, "id")) ? json_integer_value(json_object_get(token, "id")) : -1;
    if (content.len == 0 || id < 0 || id >= LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: an added token has no content or no id in 0..%d", l->name,
                       LM_VOCAB_SIZE_MAX - 1);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (json_is_true(json_object_get(token, flags[i])))
            return lm_fail(err, LM_EFORMAT, "%s: added token '%s': %s is not supported", l->name, content.ptr,
                           flags[i]);
    if ((size_t)id < v->size && v->items[id].kind != LM_TOKEN_HOLE &&
        (v->items[id].kind != LM_TOKEN_MODEL || !same_token(l, (uint32_t)id, content)))
        return lm_fail(err, LM_EFORMAT, "%s: added token '%s' has id %lld, which another token has too",
                       l->name, content.ptr, (long long)id);
    if (lm_token_map_find(&l->t->added.map, v, content) != LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s: added token '%s' is there twice", l->name, content.ptr);
    const bool special = json_is_true(json_object_get(token, "special"));
    lm_vocab_set(v, (uint32_t)id, content, special ? LM_TOKEN_SPECIAL : LM_TOKEN_ADDED);
    lm_added_put(&l->t->added, v, (uint32_t)id);
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
