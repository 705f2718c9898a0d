/* token/load_parts.c - what reading the components of tokenizer.json needs, whatever the family. */
#include "token/load.h"

void lm_load_tree_free(json_t **value)
{
    json_decref(*value);
}

enum lm_rc lm_load_part(struct lm_token_load *l, const char *part, struct lm_str json, json_t **ret,
                        struct lm_err *err)
{
    json_error_t problem;
    *ret = json_loadb(json.len ? json.ptr : "null", json.len ? json.len : 4, JSON_DECODE_ANY, &problem);
    if (!*ret)
        return lm_fail(err, LM_EFORMAT, "%s: %s: %s", l->name, part, problem.text);
    return LM_OK;
}

const char *lm_load_type(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "without a type";
}

bool lm_load_is(const json_t *component, const char *type)
{
    return strcmp(lm_load_type(component), type) == 0;
}

enum lm_rc lm_load_refuse(struct lm_token_load *l, const char *part, const json_t *component,
                          struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s '%s' is not supported", l->name, part, lm_load_type(component));
}

enum lm_rc lm_load_refuse_option(struct lm_token_load *l, const char *part, const json_t *component,
                                 const char *option, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s %s: this value of '%s' is not supported", l->name, part,
                   lm_load_type(component), option);
}

const json_t *lm_load_item(const json_t *component, const char *list, size_t index)
{
    if (lm_load_is(component, "Sequence"))
        return json_array_get(json_object_get(component, list), index);
    return index == 0 ? component : NULL;
}

/* ---- the model ---- */

static bool is_allowed(const struct lm_model_option *option, struct lm_str value)
{
    struct lm_str rest = lm_str(option->allowed), word;
    bool ok = value.len == 0 || !option->allowed;
    while (!ok && lm_str_split(&rest, ' ', &word))
        ok = lm_str_eq(word, value);
    return ok;
}

enum lm_rc lm_load_options(struct lm_token_load *l, const struct lm_str *values, struct lm_err *err)
{
    for (size_t i = 0; l->family->options[i].key; i++) {
        const struct lm_model_option *option = &l->family->options[i];
        if (!is_allowed(option, values[i]))
            return lm_fail(err, LM_EFORMAT, "%s: model option %s = %.*s is not supported", l->name,
                           option->key, values[i].len < 40 ? (int)values[i].len : 40, values[i].ptr);
        if (strcmp(option->key, "unk_token") == 0)
            LM_TRY(lm_load_part(l, "unk_token", values[i], &l->unknown, err));
        LM_TRY(l->family->option(l, option->key, values[i], err));
    }
    return LM_OK;
}

enum lm_rc lm_load_unknown(struct lm_token_load *l, uint32_t *ret, struct lm_err *err)
{
    const struct lm_tokenizer *t = l->t;
    const struct lm_str text = { json_string_value(l->unknown), json_string_length(l->unknown) };
    *ret = LM_TOKEN_NONE;
    if (!l->unknown || json_is_null(l->unknown))
        return LM_OK;
    lm_buf_reset(&l->bytes);
    if (text.ptr && !lm_tokenizer_find(t, text, ret)) {
        l->family->spell(l, text, &l->bytes);
        *ret = lm_token_map_find(&t->model, &t->vocab, lm_buf_str(&l->bytes));
    }
    if (*ret == LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s: unk_token is not a token of the vocabulary", l->name);
    return LM_OK;
}
