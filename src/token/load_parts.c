/* token/load_parts.c - the named components of tokenizer.json: which are supported, and what they set. */
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

static bool is_type(const json_t *component, const char *type)
{
    return strcmp(lm_load_type(component), type) == 0;
}

enum lm_rc lm_load_refuse(struct lm_token_load *l, const char *part, const json_t *component,
                          struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s '%s' is not supported", l->name, part, lm_load_type(component));
}

/* ---- model options ---- */

const struct lm_model_option lm_model_options[LM_MODEL_OPTION_COUNT] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },
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
        if (strcmp(option->key, "unk_token") == 0 && !lm_str_eq(values[i], LM_STR("null")))
            l->unknown = values[i];
    }
    return LM_OK;
}

/* ---- normalizer, decoder ---- */

enum lm_rc lm_load_normalizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    LM_TREE_FREE json_t *n = NULL;
    LM_TRY(lm_load_part(l, "normalizer", json, &n, err));
    l->t->nfc = is_type(n, "NFC");
    return json_is_null(n) || l->t->nfc ? LM_OK : lm_load_refuse(l, "normalizer", n, err);
}

enum lm_rc lm_load_decoder(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    LM_TREE_FREE json_t *d = NULL;
    LM_TRY(lm_load_part(l, "decoder", json, &d, err));
    return is_type(d, "ByteLevel") ? LM_OK : lm_load_refuse(l, "decoder", d, err);
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
        return lm_load_refuse(l, "after ByteLevel, pre_tokenizer", c, err);
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
    return lm_load_refuse(l, "pre_tokenizer", c, err);
}

enum lm_rc lm_load_pre_tokenizer(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    LM_TREE_FREE json_t *p = NULL;
    LM_TRY(lm_load_part(l, "pre_tokenizer", json, &p, err));
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
