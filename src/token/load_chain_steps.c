/* token/load_chain_steps.c - what readers of a chain's components share: Sequences, options, patterns. */
#include "token/load_chain_steps.h"

#include "text/text.h"

enum { DEPTH_MAX = 16 };   // of Sequences inside one another

static enum lm_rc read_sequence(struct lm_step_reading *r, const struct lm_step_reader *table, size_t count,
                                const json_t *c, size_t depth, struct lm_err *err)
{
    if (lm_load_is(c, "Sequence")) {
        const json_t *list = json_object_get(c, r->list);
        if (!json_is_array(list) || depth == DEPTH_MAX)
            return lm_load_refuse_option(r->l, r->part, c, r->list, err);
        for (size_t i = 0; i < json_array_size(list); i++)
            LM_TRY(read_sequence(r, table, count, json_array_get(list, i), depth + 1, err));
        return LM_OK;
    }
    for (size_t i = 0; i < count; i++)
        if (lm_load_is(c, table[i].type))
            return table[i].read(r, c, err);
    return lm_load_refuse(r->l, r->part, c, err);
}

enum lm_rc lm_step_sequence(struct lm_step_reading *r, const struct lm_step_reader *table, size_t count,
                            const json_t *c, struct lm_err *err)
{
    return json_is_null(c) ? LM_OK : read_sequence(r, table, count, c, 0, err);
}

enum lm_rc lm_step_refuse(struct lm_step_reading *r, const json_t *c, const char *option, struct lm_err *err)
{
    return lm_load_refuse_option(r->l, r->part, c, option, err);
}

/* ---- options ---- */

bool lm_step_flag(const json_t *c, const char *key, bool usual)
{
    const json_t *value = json_object_get(c, key);
    return json_is_boolean(value) ? json_is_true(value) : usual;
}

static struct lm_str keep(struct lm_step_reading *r, struct lm_str text)
{
    return (struct lm_str){ lm_arena_strndup(&r->c->arena, text.ptr, text.len), text.len };
}

/* A text; false when it is none. */
bool lm_step_text(struct lm_step_reading *r, const json_t *c, const char *key, struct lm_str *ret)
{
    const json_t *value = json_object_get(c, key);
    if (!json_is_string(value))
        return false;
    *ret = keep(r, (struct lm_str){ json_string_value(value), json_string_length(value) });
    return true;
}

/* A text of one character. */
bool lm_step_character(struct lm_step_reading *r, const json_t *c, const char *key, struct lm_str *ret)
{
    uint32_t cp;
    return lm_step_text(r, c, key, ret) && ret->len > 0 && lm_utf8_next(*ret, 0, &cp) == ret->len;
}

bool lm_step_size(const json_t *c, const char *key, size_t *ret)
{
    const json_t *value = json_object_get(c, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (size_t)json_integer_value(value);
    return true;
}

enum lm_rc lm_step_regex(struct lm_step_reading *r, struct lm_str pattern, struct lm_chain_pattern *ret,
                         struct lm_err *err)
{
    const enum lm_rc rc = lm_split_compile(pattern, &ret->dfa, err);
    bool empty = false;
    ret->kind = LM_MATCH_REGEX;
    if (rc != LM_OK) {
        lm_err_prefix(err, rc, "%s: %s: the pattern '%.*s' is not supported", r->l->name, r->part,
                      pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
        if (err)
            err->rc = LM_EFORMAT;   // of the file, whatever it is of the pattern
        return LM_EFORMAT;
    }
    for (size_t symbol = 0; symbol < ret->dfa.symbols; symbol++)
        empty |= ret->dfa.next[ret->dfa.symbols + symbol] & 1;   // of state 1, where all begin
    if (!empty)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: %s: the pattern '%.*s' matches where there is nothing", r->l->name,
                   r->part, pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
}

/* {"String":".."} or {"Regex":".."}. */
enum lm_rc lm_step_pattern(struct lm_step_reading *r, const json_t *c, struct lm_chain_pattern *ret,
                           struct lm_err *err)
{
    const json_t *pattern = json_object_get(c, "pattern");
    if (lm_step_text(r, pattern, "String", &ret->text) && ret->text.len > 0) {
        ret->kind = LM_MATCH_TEXT;
        return LM_OK;
    }
    if (lm_step_text(r, pattern, "Regex", &ret->text) && ret->text.len > 0)
        return lm_step_regex(r, ret->text, ret, err);
    return lm_step_refuse(r, c, "pattern", err);
}

bool lm_step_scheme(const json_t *c, enum lm_blank_prefix *ret)
{
    static const char *const schemes[] = {
        [LM_BLANK_NEVER] = "never", [LM_BLANK_ALWAYS] = "always", [LM_BLANK_FIRST] = "first"
    };
    const json_t *scheme = json_object_get(c, "prepend_scheme");
    const char *name = scheme ? json_string_value(scheme) : "always";
    for (size_t i = 0; name && i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strcmp(name, schemes[i]) == 0) {
            *ret = (enum lm_blank_prefix)i;
            return lm_step_flag(c, "add_prefix_space", true) || *ret == LM_BLANK_NEVER;
        }
    return false;
}
