/* token/load_parts.c - the named components of tokenizer.json: which are supported, and what they set. */
#include "token/load.h"

#include <jansson.h>

static void json_cleanup(json_t **value)
{
    json_decref(*value);
}
#define JSON_FREE __attribute__((cleanup(json_cleanup)))

static enum lm_rc parse_part(struct lm_token_load *l, const char *part, struct lm_str json, json_t **ret,
                             struct lm_err *err)
{
    json_error_t problem;
    *ret = json_loadb(json.len ? json.ptr : "null", json.len ? json.len : 4, JSON_DECODE_ANY, &problem);
    if (!*ret)
        return lm_fail(err, LM_EFORMAT, "%s: %s: %s", l->name, part, problem.text);
    return LM_OK;
}

static const char *type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "without a type";
}

static bool is_type(const json_t *component, const char *type)
{
    return strcmp(type_of(component), type) == 0;
}

static enum lm_rc refuse(struct lm_token_load *l, const char *part, const json_t *component,
                         struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s '%s' is not supported", l->name, part, type_of(component));
}

/* ---- model options ---- */

const struct lm_model_option lm_model_options[LM_MODEL_OPTION_COUNT] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },   // never needed: every byte has a token
    { "continuing_subword_prefix", "null \"\"" },
    { "end_of_word_suffix", "null \"\"" },
    { "fuse_unk", NULL },
    { "byte_fallback", "false" },
    { "ignore_merges", "false true" },
};

enum lm_rc lm_load_options(struct lm_token_load *l, const struct lm_str *values, struct lm_err *err)
{
    for (size_t i = 0; i < LM_MODEL_OPTION_COUNT; i++) {
        const struct lm_model_option *option = &lm_model_options[i];
        bool ok = values[i].len == 0 || !option->allowed;
        struct lm_str rest = lm_str(option->allowed), word;
        while (!ok && lm_str_split(&rest, ' ', &word))
            ok = lm_str_eq(word, values[i]);
        if (!ok)
            return lm_fail(err, LM_EFORMAT, "%s: model option %s = %.*s is not supported", l->name,
                           option->key, values[i].len < 40 ? (int)values[i].len : 40, values[i].ptr);
        if (strcmp(option->key, "ignore_merges") == 0)
            l->t->ignore_merges = lm_str_eq(values[i], LM_STR("true"));
    }
    return LM_OK;
}

/* ---- normalizer, decoder ---- */

enum lm_rc lm_load_normalizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    JSON_FREE json_t *n = NULL;
    LM_TRY(parse_part(l, "normalizer", json, &n, err));
    l->t->nfc = is_type(n, "NFC");
    return json_is_null(n) || l->t->nfc ? LM_OK : refuse(l, "normalizer", n, err);
}

enum lm_rc lm_load_decoder(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    JSON_FREE json_t *d = NULL;
    LM_TRY(parse_part(l, "decoder", json, &d, err));
    return is_type(d, "ByteLevel") ? LM_OK : refuse(l, "decoder", d, err);
}

/* ---- pre_tokenizer: a Sequence is flattened, then compared with the rows of lm_grammars ---- */

struct stages {
    bool digits, byte_level, use_regex;
    const char *pattern;   // of a Split
};

static enum lm_rc refuse_option(struct lm_token_load *l, const char *type, const char *option,
                                struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: pre_tokenizer %s: this value of '%s' is not supported", l->name,
                   type, option);
}

static enum lm_rc read_split(struct lm_token_load *l, const json_t *c, struct stages *s, struct lm_err *err)
{
    const char *behavior = json_string_value(json_object_get(c, "behavior"));
    const char *pattern = json_string_value(json_object_get(json_object_get(c, "pattern"), "Regex"));
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return refuse_option(l, "Split", "behavior", err);
    if (json_is_true(json_object_get(c, "invert")))
        return refuse_option(l, "Split", "invert", err);
    if (!pattern || s->pattern)
        return refuse_option(l, "Split", "pattern", err);
    s->pattern = pattern;
    return LM_OK;
}

static enum lm_rc read_stage(struct lm_token_load *l, const json_t *c, struct stages *s, struct lm_err *err)
{
    if (s->byte_level)
        return refuse(l, "after ByteLevel, pre_tokenizer", c, err);
    if (is_type(c, "Split"))
        return read_split(l, c, s, err);
    if (is_type(c, "Digits") && !s->digits && !s->pattern) {
        s->digits = true;
        return json_is_true(json_object_get(c, "individual_digits"))
                   ? LM_OK
                   : refuse_option(l, "Digits", "individual_digits", err);
    }
    if (is_type(c, "ByteLevel")) {
        s->byte_level = true;
        s->use_regex = !json_is_false(json_object_get(c, "use_regex"));
        return json_is_false(json_object_get(c, "add_prefix_space"))
                   ? LM_OK
                   : refuse_option(l, "ByteLevel", "add_prefix_space", err);
    }
    return refuse(l, "pre_tokenizer", c, err);
}

enum lm_rc lm_load_pre_tokenizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    JSON_FREE json_t *p = NULL;
    LM_TRY(parse_part(l, "pre_tokenizer", json, &p, err));
    struct stages s = { 0 };
    const json_t *list = is_type(p, "Sequence") ? json_object_get(p, "pretokenizers") : NULL;
    for (size_t i = 0; i < (list ? json_array_size(list) : 1); i++)
        LM_TRY(read_stage(l, list ? json_array_get(list, i) : p, &s, err));
    for (size_t g = 0; g < LM_GRAMMAR_COUNT && s.byte_level; g++) {
        const struct lm_grammar *row = &lm_grammars[g];
        const bool same_split = row->pattern
                                    ? s.pattern && strcmp(row->pattern, s.pattern) == 0 && !s.use_regex
                                    : !s.pattern && s.use_regex;
        if (same_split && row->digits_apart == s.digits) {
            l->t->grammar = row;
            return LM_OK;
        }
    }
    if (s.pattern)
        return lm_fail(err, LM_EFORMAT,
                       "%s: pre_tokenizer Split: the pattern '%s' is not one of those supported", l->name,
                       s.pattern);
    return lm_fail(err, LM_EFORMAT, "%s: this combination in pre_tokenizer is not supported", l->name);
}

/* ---- added_tokens ---- */

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
    JSON_FREE json_t *list = NULL;
    LM_TRY(parse_part(l, "added_tokens", json, &list, err));
    if (!json_is_null(list) && !json_is_array(list))
        return lm_fail(err, LM_EFORMAT, "%s: added_tokens is not a list", l->name);
    for (size_t i = 0; i < json_array_size(list); i++)
        LM_TRY(put_added(l, json_array_get(list, i), err));
    return LM_OK;
}
