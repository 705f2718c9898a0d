/* token/template_print.c - values as text: Python's str and repr, and json.dumps. */
#include "token/template_impl.h"

#include <math.h>
#include <stdio.h>

static const struct style {
    const char *none, *yes, *no;
} python = { "None", "True", "False" }, json = { "null", "true", "false" };

static enum lm_rc put(struct lm_tpl *r, const char *text)
{
    return lm_tpl_put_own(r, lm_str(text), LM_ORIGIN_TEMPLATE);
}

/* ---- numbers ---- */

/* The shortest digits that read back, as Python lays them out: 1.0, 1e+16, 1.5e-07. */
static size_t real_text(double value, char ret[LM_F64_TEXT + 8])
{
    enum { FIXED_MIN = -4, FIXED_MAX = 16 };
    if (!isfinite(value))
        return (size_t)snprintf(ret, LM_F64_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    char text[LM_F64_TEXT + 1], digits[LM_F64_TEXT];
    text[lm_f64_text(fabs(value), text)] = '\0';
    size_t count = 0;
    int point = 0, power = 0;   // 0.DIGITS times ten to the point
    bool after = false;
    const char *p = text;
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') {
            after = true;
            continue;
        }
        if (*p == '0' && count == 0) {
            point -= after;
            continue;
        }
        digits[count++] = *p;
        point += !after;
    }
    if (*p == 'e')
        power = (int)strtol(p + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    const int exponent = count == 0 ? 0 : point + power - 1;
    char *out = ret;
    if (signbit(value))
        *out++ = '-';
    if (count == 0)
        return (size_t)(out - ret) + (size_t)snprintf(out, LM_F64_TEXT, "0.0");
    if (exponent < FIXED_MIN || exponent >= FIXED_MAX) {
        out += snprintf(out, LM_F64_TEXT, "%c%s%.*s", digits[0], count > 1 ? "." : "", (int)count - 1,
                        digits + 1);
        out += snprintf(out, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return (size_t)(out - ret);
    }
    for (int i = exponent < 0 ? exponent : 0; i < (int)count || i <= exponent + 1; i++) {
        if (i == exponent + 1)
            *out++ = '.';
        *out++ = i >= 0 && i < (int)count ? digits[i] : '0';
    }
    return (size_t)(out - ret);
}

static enum lm_rc print_number(struct lm_tpl *r, struct lm_tpl_value v, const struct style *style)
{
    char text[2 * LM_F64_TEXT];
    size_t len;
    if (v.kind == LM_TPL_BOOL)
        return lm_tpl_put_own(r, lm_str(v.truth ? style->yes : style->no), v.origin);
    if (v.kind == LM_TPL_INT)
        len = (size_t)snprintf(text, sizeof(text), "%lld", (long long)v.integer);
    else if (style == &json && !isfinite(v.real))
        len = (size_t)snprintf(text, sizeof(text), "%s",
                               isnan(v.real) ? "NaN"
                               : v.real < 0  ? "-Infinity"
                                             : "Infinity");
    else
        len = real_text(v.real, text);
    return lm_tpl_put_own(r, (struct lm_str){ text, len }, v.origin);
}

/* ---- repr ---- */

static enum lm_rc repr_char(struct lm_tpl *r, uint32_t cp, char quote, struct lm_tpl_text as_is)
{
    char text[16];
    const char *simple = cp == '\n'   ? "\\n"
                         : cp == '\r' ? "\\r"
                         : cp == '\t' ? "\\t"
                         : cp == '\\' ? "\\\\"
                                      : NULL;
    if (simple)
        snprintf(text, sizeof(text), "%s", simple);
    else if (cp == (uint32_t)quote)
        snprintf(text, sizeof(text), "\\%c", quote);
    else if (lm_tpl_is_printable(cp))
        return lm_tpl_put(r, as_is);
    else if (cp >= LM_TPL_BAD_BYTE)   // what Python's surrogateescape would show
        snprintf(text, sizeof(text), "\\udc%02x", cp - LM_TPL_BAD_BYTE);
    else
        snprintf(text, sizeof(text), cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
    return lm_tpl_put_own(r, lm_str(text), as_is.origin[0]);
}

static enum lm_rc repr_text(struct lm_tpl *r, struct lm_tpl_text text)
{
    const bool single = text.len > 0 && memchr(text.ptr, '\'', text.len) != NULL;
    const bool both = single && memchr(text.ptr, '"', text.len) != NULL;
    const char quote = single && !both ? '"' : '\'';
    const char mark[2] = { quote, '\0' };
    LM_TRY(put(r, mark));
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        const size_t len = lm_tpl_char(text.ptr + at, text.ptr + text.len, &cp);
        LM_TRY(lm_tpl_work(r, 1));
        LM_TRY(repr_char(r, cp, quote, (struct lm_tpl_text){ text.ptr + at, text.origin + at, len }));
        at += len;
    }
    return put(r, mark);
}

static enum lm_rc repr(struct lm_tpl *r, struct lm_tpl_value v);

static enum lm_rc repr_list(struct lm_tpl *r, const struct lm_tpl_list *list)
{
    const bool tuple = list->type == LM_TPL_SEQ_TUPLE;
    LM_TRY(put(r, tuple ? "(" : "["));
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            LM_TRY(put(r, ", "));
        LM_TRY(repr(r, list->items[i]));
    }
    return put(r, !tuple ? "]" : list->count == 1 ? ",)" : ")");
}

static enum lm_rc repr_dict(struct lm_tpl *r, const struct lm_tpl_dict *d)
{
    LM_TRY(put(r, "{"));
    for (size_t i = 0; i < d->count; i++) {
        if (i > 0)
            LM_TRY(put(r, ", "));
        LM_TRY(repr(r, d->pairs[i].key));
        LM_TRY(put(r, ": "));
        LM_TRY(repr(r, d->pairs[i].value));
    }
    return put(r, "}");
}

static enum lm_rc repr_range(struct lm_tpl *r, const struct lm_tpl_list *list)
{
    char text[96];
    snprintf(text, sizeof(text), list->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
             (long long)list->start, (long long)list->stop, (long long)list->step);
    return put(r, text);
}

static enum lm_rc repr_nested(struct lm_tpl *r, struct lm_tpl_value v)
{
    if (v.kind == LM_TPL_DICT)
        return repr_dict(r, v.dict);
    if (v.kind == LM_TPL_LIST && v.list->type == LM_TPL_SEQ_RANGE)
        return repr_range(r, v.list);
    if (v.kind == LM_TPL_LIST && v.list->type <= LM_TPL_SEQ_TUPLE)
        return repr_list(r, v.list);
    return lm_tpl_fail(r, LM_EINVAL, "%s cannot be printed", lm_tpl_kind_name(v));
}

static enum lm_rc repr(struct lm_tpl *r, struct lm_tpl_value v)
{
    LM_TRY(lm_tpl_work(r, 1));
    if (lm_tpl_is_number(v))
        return print_number(r, v, &python);
    if (v.kind == LM_TPL_TEXT)
        return repr_text(r, v.text);
    if (v.kind == LM_TPL_NONE)
        return put(r, python.none);
    if (v.kind == LM_TPL_UNDEFINED)
        return put(r, "Undefined");
    LM_TRY(lm_tpl_deeper(r));
    const enum lm_rc rc = repr_nested(r, v);
    r->nest--;
    return rc;
}

enum lm_rc lm_tpl_print(struct lm_tpl *r, struct lm_tpl_value v)
{
    if (v.kind == LM_TPL_TEXT)
        return lm_tpl_put(r, v.text);
    return v.kind == LM_TPL_UNDEFINED ? LM_OK : repr(r, v);
}

enum lm_rc lm_tpl_to_text(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_text *ret)
{
    struct lm_tpl_value made = v;
    if (v.kind != LM_TPL_TEXT) {
        const size_t mark = r->out_len;
        LM_TRY(lm_tpl_print(r, v));
        LM_TRY(lm_tpl_cut(r, mark, &made));
    }
    *ret = made.text;
    return LM_OK;
}

/* ---- json.dumps ---- */

static enum lm_rc json_char(struct lm_tpl *r, uint32_t cp, bool ascii, struct lm_tpl_text as_is)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    const char *simple = cp > 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    char text[16];
    if (simple)
        snprintf(text, sizeof(text), "\\%c", to[simple - from]);
    else if (cp >= 0x20 && (cp < 0x7f || !ascii))
        return lm_tpl_put(r, as_is);
    else if (cp < 0x10000)
        snprintf(text, sizeof(text), "\\u%04x", cp);
    else if (cp >= LM_TPL_BAD_BYTE)
        snprintf(text, sizeof(text), "\\udc%02x", cp - LM_TPL_BAD_BYTE);
    else
        snprintf(text, sizeof(text), "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                 0xdc00 + (cp & 0x3ff));
    return lm_tpl_put_own(r, lm_str(text), as_is.origin ? as_is.origin[0] : LM_ORIGIN_TEMPLATE);
}

static enum lm_rc json_text(struct lm_tpl *r, struct lm_tpl_text text, bool ascii)
{
    LM_TRY(put(r, "\""));
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        const size_t len = lm_tpl_char(text.ptr + at, text.ptr + text.len, &cp);
        LM_TRY(lm_tpl_work(r, 1));
        LM_TRY(json_char(r, cp, ascii, (struct lm_tpl_text){ text.ptr + at, text.origin + at, len }));
        at += len;
    }
    return put(r, "\"");
}

static enum lm_rc json_line(struct lm_tpl *r, const struct lm_tpl_json *o, size_t depth)
{
    if (!o->indented)
        return LM_OK;
    LM_TRY(put(r, "\n"));
    for (size_t i = 0; i < depth; i++)
        LM_TRY(lm_tpl_put(r, o->indent));
    return LM_OK;
}

static enum lm_rc json_value(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_json *o,
                             size_t depth);

static enum lm_rc json_list(struct lm_tpl *r, const struct lm_tpl_list *list, const struct lm_tpl_json *o,
                            size_t depth)
{
    if (list->count == 0)
        return put(r, "[]");
    LM_TRY(put(r, "["));
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            LM_TRY(lm_tpl_put(r, o->item_separator));
        LM_TRY(json_line(r, o, depth + 1));
        LM_TRY(json_value(r, list->items[i], o, depth + 1));
    }
    LM_TRY(json_line(r, o, depth));
    return put(r, "]");
}

static enum lm_rc json_key(struct lm_tpl *r, struct lm_tpl_value key, const struct lm_tpl_json *o)
{
    if (key.kind == LM_TPL_TEXT)
        return json_text(r, key.text, o->ascii);
    if (!lm_tpl_is_number(key) && key.kind != LM_TPL_NONE)
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be a key in JSON", lm_tpl_kind_name(key));
    LM_TRY(put(r, "\""));
    LM_TRY(json_value(r, key, o, 0));
    return put(r, "\"");
}

/* The pairs in the order of their keys: insertion sort is quadratic, and counted as such. */
static enum lm_rc sorted_pairs(struct lm_tpl *r, const struct lm_tpl_dict *d, const struct lm_tpl_pair **ret)
{
    struct lm_tpl_pair *pairs;
    LM_TRY(lm_tpl_alloc(r, d->count, sizeof(*pairs), &pairs));
    for (size_t i = 0; i < d->count; i++) {
        size_t at = i;
        for (int order = 1; at > 0; at--) {
            LM_TRY(lm_tpl_order(r, d->pairs[i].key, pairs[at - 1].key, &order));
            if (order >= 0)
                break;
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = d->pairs[i];
    }
    *ret = pairs;
    return LM_OK;
}

static enum lm_rc json_dict(struct lm_tpl *r, const struct lm_tpl_dict *d, const struct lm_tpl_json *o,
                            size_t depth)
{
    const struct lm_tpl_pair *pairs = d->pairs;
    if (d->count == 0)
        return put(r, "{}");
    if (o->sort)
        LM_TRY(sorted_pairs(r, d, &pairs));
    LM_TRY(put(r, "{"));
    for (size_t i = 0; i < d->count; i++) {
        if (i > 0)
            LM_TRY(lm_tpl_put(r, o->item_separator));
        LM_TRY(json_line(r, o, depth + 1));
        LM_TRY(json_key(r, pairs[i].key, o));
        LM_TRY(lm_tpl_put(r, o->key_separator));
        LM_TRY(json_value(r, pairs[i].value, o, depth + 1));
    }
    LM_TRY(json_line(r, o, depth));
    return put(r, "}");
}

static enum lm_rc json_value(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_json *o,
                             size_t depth)
{
    LM_TRY(lm_tpl_work(r, 1));
    if (v.kind == LM_TPL_NONE)
        return put(r, json.none);
    if (lm_tpl_is_number(v))
        return print_number(r, v, &json);
    if (v.kind == LM_TPL_TEXT)
        return json_text(r, v.text, o->ascii);
    const bool list = v.kind == LM_TPL_LIST && v.list->type <= LM_TPL_SEQ_TUPLE;
    if (!list && v.kind != LM_TPL_DICT)
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be written as JSON", lm_tpl_kind_name(v));
    LM_TRY(lm_tpl_deeper(r));
    const enum lm_rc rc = list ? json_list(r, v.list, o, depth) : json_dict(r, v.dict, o, depth);
    r->nest--;
    return rc;
}

enum lm_rc lm_tpl_print_json(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_json *options)
{
    return json_value(r, v, options, 0);
}
