/* token/template_filter.c - filters: jinja2's, with transformers' tojson. */
#include "token/template_impl.h"

#include <math.h>
#include <stdio.h>

static const struct lm_tpl_text nothing = { "", (const uint8_t *)"", 0 };

/* ---- texts ---- */

static enum lm_rc trim(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    struct lm_tpl_text text;
    LM_TRY(lm_tpl_to_text(r, v, &text));
    return lm_tpl_strip(r, lm_tpl_text(text), args[0], true, true, ret);
}

static enum lm_rc change_case(struct lm_tpl *r, struct lm_tpl_value v, enum lm_tpl_case to,
                              struct lm_tpl_value *ret)
{
    struct lm_tpl_text text;
    LM_TRY(lm_tpl_to_text(r, v, &text));
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_put_case(r, text, to));
    return lm_tpl_cut(r, mark, ret);
}

#define CASE_FILTER(name, to)                                                                                \
    static enum lm_rc name(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,         \
                           struct lm_tpl_value *ret)                                                         \
    {                                                                                                        \
        (void)args;                                                                                          \
        return change_case(r, v, to, ret);                                                                   \
    }
CASE_FILTER(upper, LM_TPL_UPPER)
CASE_FILTER(lower, LM_TPL_LOWER)
CASE_FILTER(title, LM_TPL_WORDS)
CASE_FILTER(capitalize, LM_TPL_CAPITALIZE)

static enum lm_rc string(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    struct lm_tpl_text text;
    (void)args;
    LM_TRY(lm_tpl_to_text(r, v, &text));
    *ret = lm_tpl_text(text);
    return LM_OK;
}

static enum lm_rc safe(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    return string(r, v, args, ret);
}

static enum lm_rc replace(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                          struct lm_tpl_value *ret)
{
    struct lm_tpl_text text, old, new;
    int64_t most = -1;
    LM_TRY(lm_tpl_to_text(r, v, &text));
    LM_TRY(lm_tpl_to_text(r, args[0], &old));
    LM_TRY(lm_tpl_to_text(r, args[1], &new));
    if (lm_tpl_given(args[2]) && args[2].kind != LM_TPL_NONE)
        LM_TRY(lm_tpl_want_int(r, args[2], "the count of replacements", &most));
    return lm_tpl_replace(r, text, old, new, most, ret);
}

/* The text before each line: a text, or so many blanks. */
static enum lm_rc margin(struct lm_tpl *r, struct lm_tpl_value width, struct lm_tpl_text *ret)
{
    struct lm_tpl_value made;
    int64_t blanks = 4;
    if (width.kind == LM_TPL_TEXT) {
        *ret = width.text;
        return LM_OK;
    }
    if (lm_tpl_given(width))
        LM_TRY(lm_tpl_want_int(r, width, "the width of indent", &blanks));
    const struct lm_tpl_text blank = { " ", (const uint8_t *)"", 1 };
    LM_TRY(lm_tpl_math(r, LM_TPL_MUL, lm_tpl_text(blank), lm_tpl_int(blanks), &made));
    *ret = made.text;
    return LM_OK;
}

static enum lm_rc indent(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    const struct lm_tpl_text line_end = { "\n", (const uint8_t *)"", 1 };
    struct lm_tpl_text text, before;
    struct lm_tpl_value whole, lines;
    LM_TRY(lm_tpl_want_text(r, v, "what indent works on", &text));
    LM_TRY(margin(r, args[0], &before));
    LM_TRY(lm_tpl_concat(r, text, line_end, &whole));
    LM_TRY(lm_tpl_split_lines(r, whole.text, false, &lines));
    const size_t mark = r->out_len;
    for (size_t i = 0; i < lines.list->count; i++) {
        const struct lm_tpl_text line = lines.list->items[i].text;
        if (i > 0)
            LM_TRY(lm_tpl_put(r, line_end));
        if (i == 0 ? lm_tpl_true(args[1]) : line.len > 0 || lm_tpl_true(args[2]))
            LM_TRY(lm_tpl_put(r, before));
        LM_TRY(lm_tpl_put(r, line));
    }
    return lm_tpl_cut(r, mark, ret);
}

/* ---- JSON ---- */

/* tojson(ensure_ascii, indent, separators, sort_keys) */
static enum lm_rc tojson(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    static const uint8_t own[2];
    struct lm_tpl_json o = {
        .ascii = lm_tpl_true(args[0]),
        .sort = lm_tpl_true(args[3]),
        .indented = args[1].kind != LM_TPL_NONE && lm_tpl_given(args[1]),
        .key_separator = { ": ", own, 2 },
    };
    o.item_separator = (struct lm_tpl_text){ ", ", own, o.indented ? 1 : 2 };
    if (o.indented)
        LM_TRY(margin(r, args[1], &o.indent));
    if (args[2].kind == LM_TPL_LIST && args[2].list->type <= LM_TPL_SEQ_TUPLE && args[2].list->count == 2) {
        LM_TRY(lm_tpl_want_text(r, args[2].list->items[0], "a separator", &o.item_separator));
        LM_TRY(lm_tpl_want_text(r, args[2].list->items[1], "a separator", &o.key_separator));
    }
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_print_json(r, v, &o));
    return lm_tpl_cut(r, mark, ret);
}

/* ---- numbers ---- */

static enum lm_rc length(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    int64_t count;
    (void)args;
    LM_TRY(lm_tpl_length(r, v, &count));
    *ret = lm_tpl_int(count);
    ret->origin = v.kind == LM_TPL_TEXT && v.text.len > 0 ? v.text.origin[0] : LM_ORIGIN_TEMPLATE;
    return LM_OK;
}

/* Text as a number; Python allows _ between digits and blanks around. */
static bool read_number(struct lm_tpl_value v, bool whole, struct lm_tpl_value *ret)
{
    enum { NUMBER_MAX = 64 };
    const struct lm_str text = lm_str_trim(lm_tpl_str(v));
    struct lm_str digits = text;
    if (text.len == 0 || text.len > NUMBER_MAX)
        return false;
    if (digits.ptr[0] == '+') {
        digits.ptr++;
        digits.len--;
    }
    *ret = lm_tpl_int(0);
    if (whole)
        return lm_str_to_i64(digits, &ret->integer);
    ret->kind = LM_TPL_FLOAT;
    return lm_str_to_f64(digits, &ret->real);
}

static enum lm_rc to_int(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    static const double most = 9223372036854775807.0;
    struct lm_tpl_value real = v;
    if (lm_tpl_given(args[1]) && !(args[1].kind == LM_TPL_INT && args[1].integer == 10))
        return lm_tpl_fail(r, LM_EINVAL, "the filter int reads base 10 only");
    if (v.kind == LM_TPL_UNDEFINED)
        return lm_tpl_fail(r, LM_EINVAL, "an undefined value is no integer");
    *ret = lm_tpl_given(args[0]) ? args[0] : lm_tpl_int(0);
    if (v.kind == LM_TPL_BOOL || v.kind == LM_TPL_INT) {
        *ret = lm_tpl_int(lm_tpl_integer(v));
    } else if (v.kind == LM_TPL_TEXT && read_number(v, true, &real)) {
        *ret = real;
    } else if (v.kind == LM_TPL_FLOAT || (v.kind == LM_TPL_TEXT && read_number(v, false, &real))) {
        if (!isfinite(real.real))
            return LM_OK;
        if (fabs(real.real) >= most)
            return lm_tpl_fail(r, LM_ELIMIT, "an integer does not fit into 64 bits");
        *ret = lm_tpl_int((int64_t)real.real);
    }
    ret->origin |= lm_tpl_origin(v);
    return LM_OK;
}

static enum lm_rc to_float(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           struct lm_tpl_value *ret)
{
    struct lm_tpl_value real;
    if (v.kind == LM_TPL_UNDEFINED)
        return lm_tpl_fail(r, LM_EINVAL, "an undefined value is no float");
    *ret = lm_tpl_given(args[0]) ? args[0] : (struct lm_tpl_value){ .kind = LM_TPL_FLOAT };
    if (lm_tpl_is_number(v))
        *ret = (struct lm_tpl_value){ .kind = LM_TPL_FLOAT, .real = lm_tpl_real(v) };
    else if (v.kind == LM_TPL_TEXT && read_number(v, false, &real))
        *ret = real;
    ret->origin |= lm_tpl_origin(v);
    return LM_OK;
}

static enum lm_rc absolute(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           struct lm_tpl_value *ret)
{
    (void)args;
    if (!lm_tpl_is_number(v))
        return lm_tpl_fail(r, LM_EINVAL, "%s has no absolute value", lm_tpl_kind_name(v));
    const bool negative = v.kind == LM_TPL_FLOAT ? signbit(v.real) != 0 : lm_tpl_integer(v) < 0;
    *ret = v.kind == LM_TPL_BOOL ? lm_tpl_int(v.truth) : v;
    return negative ? lm_tpl_negate(r, v, ret) : LM_OK;
}

/* ---- any value ---- */

static enum lm_rc otherwise(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                            struct lm_tpl_value *ret)
{
    (void)r;
    const bool missing = v.kind == LM_TPL_UNDEFINED || (lm_tpl_true(args[1]) && !lm_tpl_true(v));
    *ret = !missing ? v : lm_tpl_given(args[0]) ? args[0] : lm_tpl_text(nothing);
    return LM_OK;
}

static enum lm_rc items(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    (void)args;
    if (v.kind == LM_TPL_UNDEFINED)
        return lm_tpl_list_new(r, LM_TPL_SEQ_GENERATOR, 0, ret);
    if (v.kind != LM_TPL_DICT)
        return lm_tpl_fail(r, LM_EINVAL, "%s has no items", lm_tpl_kind_name(v));
    LM_TRY(lm_tpl_dict_items(r, v, ret));
    ret->list->type = LM_TPL_SEQ_GENERATOR;
    return LM_OK;
}

static const struct lm_tpl_filter filters[] = {
    { .name = "trim", .run = trim, .params = "chars" },
    { .name = "upper", .run = upper, .params = "" },
    { .name = "lower", .run = lower, .params = "" },
    { .name = "title", .run = title, .params = "" },
    { .name = "capitalize", .run = capitalize, .params = "" },
    { .name = "string", .run = string, .params = "" },
    { .name = "safe", .run = safe, .params = "" },
    { .name = "replace", .run = replace, .params = "old new count", .required = 2 },
    { .name = "indent", .run = indent, .params = "width first blank" },
    { .name = "tojson", .run = tojson, .params = "ensure_ascii indent separators sort_keys" },
    { .name = "length", .run = length, .params = "" },
    { .name = "count", .run = length, .params = "" },
    { .name = "int", .run = to_int, .params = "default base" },
    { .name = "float", .run = to_float, .params = "default" },
    { .name = "abs", .run = absolute, .params = "" },
    { .name = "default", .run = otherwise, .params = "default_value boolean" },
    { .name = "d", .run = otherwise, .params = "default_value boolean" },
    { .name = "items", .run = items, .params = "" },
};

const struct lm_tpl_filter *lm_tpl_filter_find(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (lm_str_eq(name, lm_str(filters[i].name)))
            return &filters[i];
    return lm_tpl_list_filter_find(name);
}

enum lm_rc lm_tpl_run_filter(struct lm_tpl *r, const struct lm_tpl_filter *filter, struct lm_tpl_value v,
                             const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    char name[32];
    if (filter->run_call)
        return filter->run_call(r, v, call, ret);
    snprintf(name, sizeof(name), "filter %s", filter->name);
    LM_TRY(lm_tpl_bind_args(r, name, filter->params, filter->required, call, args));
    return filter->run(r, v, args, ret);
}
