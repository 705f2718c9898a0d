/* token/template_method.c - methods of texts, as Python's, and the table of all methods. */
#include "token/template_impl.h"

/* ---- strip ---- */

/* Is the character one of `chars`; without them, is it white space? */
static bool is_stripped(uint32_t cp, struct lm_tpl_value chars)
{
    if (chars.kind != LM_TPL_TEXT)
        return lm_tpl_is_blank(cp);
    for (const char *at = chars.text.ptr, *end = at + chars.text.len; at < end;) {
        uint32_t one;
        at += lm_tpl_char(at, end, &one);
        if (one == cp)
            return true;
    }
    return false;
}

enum lm_rc lm_tpl_strip(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value chars, bool left,
                        bool right, struct lm_tpl_value *ret)
{
    const char *start = v.text.ptr, *end = start + v.text.len;
    uint32_t cp;
    if (lm_tpl_given(chars) && chars.kind != LM_TPL_NONE && chars.kind != LM_TPL_TEXT)
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be stripped off", lm_tpl_kind_name(chars));
    const size_t cost = chars.kind == LM_TPL_TEXT ? 1 + chars.text.len / 8 : 0;
    while (left && start < end) {
        const size_t len = lm_tpl_char(start, end, &cp);
        LM_TRY(lm_tpl_work(r, cost));
        if (!is_stripped(cp, chars))
            break;
        start += len;
    }
    while (right && start < end) {
        const size_t len = lm_tpl_char_back(start, end, &cp);
        LM_TRY(lm_tpl_work(r, cost));
        if (!is_stripped(cp, chars))
            break;
        end -= len;
    }
    LM_TRY(lm_tpl_work(r, (v.text.len - (size_t)(end - start)) / 16));
    *ret = lm_tpl_sub(v.text, (size_t)(start - v.text.ptr), (size_t)(end - v.text.ptr));
    return LM_OK;
}

static enum lm_rc strip(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    return lm_tpl_strip(r, v, args[0], true, true, ret);
}

static enum lm_rc lstrip(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    return lm_tpl_strip(r, v, args[0], true, false, ret);
}

static enum lm_rc rstrip(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    return lm_tpl_strip(r, v, args[0], false, true, ret);
}

/* ---- split ---- */

static enum lm_rc add_part(struct lm_tpl *r, struct lm_tpl_list *list, size_t *cap, struct lm_tpl_text text,
                           size_t from, size_t to)
{
    return lm_tpl_list_add(r, list, cap, lm_tpl_sub(text, from, to));
}

/* At runs of white space, from the left. */
static enum lm_rc split_blanks(struct lm_tpl *r, struct lm_tpl_text text, int64_t most,
                               struct lm_tpl_list *list)
{
    const char *end = text.ptr + text.len;
    size_t cap = 0;
    uint32_t cp;
    for (size_t at = 0;;) {
        size_t len = 0;
        for (; at < text.len; at += len) {
            len = lm_tpl_char(text.ptr + at, end, &cp);
            if (!lm_tpl_is_blank(cp))
                break;
        }
        if (at == text.len)
            return LM_OK;
        if (most >= 0 && (int64_t)list->count == most)   // the rest, with the blanks at its end
            return add_part(r, list, &cap, text, at, text.len);
        const size_t from = at;
        for (; at < text.len; at += len) {
            len = lm_tpl_char(text.ptr + at, end, &cp);
            if (lm_tpl_is_blank(cp))
                break;
        }
        LM_TRY(add_part(r, list, &cap, text, from, at));
    }
}

static enum lm_rc split_at(struct lm_tpl *r, struct lm_tpl_text text, struct lm_str sep, int64_t most,
                           struct lm_tpl_list *list)
{
    size_t cap = 0, from = 0;
    while (most < 0 || (int64_t)list->count < most) {
        const ptrdiff_t found = lm_str_find((struct lm_str){ text.ptr + from, text.len - from }, sep);
        if (found < 0)
            break;
        LM_TRY(add_part(r, list, &cap, text, from, from + (size_t)found));
        from += (size_t)found + sep.len;
    }
    return add_part(r, list, &cap, text, from, text.len);
}

static enum lm_rc split_args(struct lm_tpl *r, const struct lm_tpl_value *args, struct lm_str *ret_sep,
                             int64_t *ret_most)
{
    *ret_sep = LM_STR("");
    *ret_most = -1;
    if (lm_tpl_given(args[1]))
        LM_TRY(lm_tpl_want_int(r, args[1], "maxsplit", ret_most));
    if (!lm_tpl_given(args[0]) || args[0].kind == LM_TPL_NONE)
        return LM_OK;
    if (args[0].kind != LM_TPL_TEXT || args[0].text.len == 0)
        return lm_tpl_fail(r, LM_EINVAL, "a text is split at a text that is not empty");
    *ret_sep = lm_tpl_str(args[0]);
    return LM_OK;
}

static enum lm_rc split(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    struct lm_str sep;
    int64_t most;
    LM_TRY(split_args(r, args, &sep, &most));
    LM_TRY(lm_tpl_work(r, v.text.len / 8));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 0, ret));
    return sep.len > 0 ? split_at(r, v.text, sep, most, ret->list) : split_blanks(r, v.text, most, ret->list);
}

/* find_last compares at every place. */
static enum lm_rc work_find_last(struct lm_tpl *r, struct lm_str text, struct lm_str sep)
{
    return lm_tpl_work(r, (1 + text.len / 16) * (1 + sep.len / 16));
}

/* The last place of `sep`; -1 when there is none. */
static ptrdiff_t find_last(struct lm_str text, struct lm_str sep)
{
    if (sep.len > text.len)
        return -1;
    for (size_t at = text.len - sep.len + 1; at-- > 0;)
        if (memcmp(text.ptr + at, sep.ptr, sep.len) == 0)
            return (ptrdiff_t)at;
    return -1;
}

/* From the right; without a maximum, or at white space without one, that is split. */
static enum lm_rc rsplit(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    struct lm_str sep, rest = lm_tpl_str(v);
    int64_t most;
    size_t cap = 0;
    LM_TRY(split_args(r, args, &sep, &most));
    if (most < 0)
        return split(r, v, args, ret);
    if (sep.len == 0)
        return lm_tpl_fail(r, LM_EINVAL, "rsplit() at white space with a maximum is not supported");
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 0, ret));
    for (; most > 0; most--) {
        LM_TRY(work_find_last(r, rest, sep));
        const ptrdiff_t found = find_last(rest, sep);
        if (found < 0)
            break;
        LM_TRY(add_part(r, ret->list, &cap, v.text, (size_t)found + sep.len, rest.len));
        rest.len = (size_t)found;
    }
    LM_TRY(add_part(r, ret->list, &cap, v.text, 0, rest.len));
    for (size_t i = 0, k = ret->list->count - 1; i < k; i++, k--) {
        const struct lm_tpl_value other = ret->list->items[i];
        ret->list->items[i] = ret->list->items[k];
        ret->list->items[k] = other;
    }
    return LM_OK;
}

static bool is_line_end(uint32_t cp)
{
    return (cp >= 0x0a && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

enum lm_rc lm_tpl_split_lines(struct lm_tpl *r, struct lm_tpl_text text, bool keep_ends,
                              struct lm_tpl_value *ret)
{
    const char *end = text.ptr + text.len;
    size_t cap = 0, from = 0;
    LM_TRY(lm_tpl_work(r, text.len / 8));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 0, ret));
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        const size_t line_end = at;
        at += lm_tpl_char(text.ptr + at, end, &cp);
        if (!is_line_end(cp))
            continue;
        if (cp == '\r' && at < text.len && text.ptr[at] == '\n')
            at++;
        LM_TRY(add_part(r, ret->list, &cap, text, from, keep_ends ? at : line_end));
        from = at;
    }
    return from < text.len ? add_part(r, ret->list, &cap, text, from, text.len) : LM_OK;
}

static enum lm_rc splitlines(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                             struct lm_tpl_value *ret)
{
    return lm_tpl_split_lines(r, v.text, lm_tpl_true(args[0]), ret);
}

/* ---- looking ---- */

typedef bool looks_fn(struct lm_str text, struct lm_str part);

/* With one text, or a tuple of which one must fit. */
static enum lm_rc looks(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value part, looks_fn *fits,
                        struct lm_tpl_value *ret)
{
    bool found = false;
    if (part.kind == LM_TPL_TEXT) {
        found = fits(lm_tpl_str(v), lm_tpl_str(part));
    } else if (part.kind == LM_TPL_LIST && part.list->type == LM_TPL_SEQ_TUPLE) {
        for (size_t i = 0; i < part.list->count && !found; i++) {
            struct lm_tpl_text one;
            LM_TRY(lm_tpl_want_text(r, part.list->items[i], "what a text begins or ends with", &one));
            found = fits(lm_tpl_str(v), (struct lm_str){ one.ptr, one.len });
        }
    } else {
        return lm_tpl_fail(r, LM_EINVAL, "a text cannot begin or end with %s", lm_tpl_kind_name(part));
    }
    *ret = lm_tpl_bool(found);
    return LM_OK;
}

static enum lm_rc startswith(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                             struct lm_tpl_value *ret)
{
    return looks(r, v, args[0], lm_str_starts, ret);
}

static enum lm_rc endswith(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           struct lm_tpl_value *ret)
{
    return looks(r, v, args[0], lm_str_ends, ret);
}

static enum lm_rc find_from(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value part, bool last,
                            struct lm_tpl_value *ret)
{
    struct lm_tpl_text text;
    LM_TRY(lm_tpl_want_text(r, part, "what is looked for", &text));
    LM_TRY(lm_tpl_work(r, v.text.len / 4));
    const struct lm_str needle = { text.ptr, text.len };
    if (last)
        LM_TRY(work_find_last(r, lm_tpl_str(v), needle));
    const ptrdiff_t at = last ? find_last(lm_tpl_str(v), needle) : lm_str_find(lm_tpl_str(v), needle);
    *ret = lm_tpl_int(at);
    if (at > 0)
        *ret = lm_tpl_int((int64_t)lm_tpl_text_chars(lm_tpl_sub(v.text, 0, (size_t)at).text));
    return LM_OK;
}

static enum lm_rc find(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    return find_from(r, v, args[0], false, ret);
}

static enum lm_rc rfind(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    return find_from(r, v, args[0], true, ret);
}

static enum lm_rc count(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    struct lm_tpl_text part;
    struct lm_str rest = lm_tpl_str(v);
    int64_t found = 0;
    LM_TRY(lm_tpl_want_text(r, args[0], "what is counted", &part));
    LM_TRY(lm_tpl_work(r, rest.len / 8));
    if (part.len == 0)
        found = (int64_t)lm_tpl_text_chars(v.text) + 1;
    for (ptrdiff_t at; part.len > 0 && (at = lm_str_find(rest, (struct lm_str){ part.ptr, part.len })) >= 0;
         found++)
        rest = (struct lm_str){ rest.ptr + at + part.len, rest.len - (size_t)at - part.len };
    *ret = lm_tpl_int(found);
    return LM_OK;
}

/* ---- changing ---- */

/* An empty `old` is before each character and at the end. */
static enum lm_rc put_between(struct lm_tpl *r, struct lm_tpl_text text, struct lm_tpl_text new, int64_t most)
{
    size_t at = 0;
    for (; most != 0; most--) {
        uint32_t cp;
        LM_TRY(lm_tpl_work(r, 1));
        LM_TRY(lm_tpl_put(r, new));
        if (at == text.len)
            return LM_OK;
        const size_t len = lm_tpl_char(text.ptr + at, text.ptr + text.len, &cp);
        LM_TRY(lm_tpl_put(r, lm_tpl_sub(text, at, at + len).text));
        at += len;
    }
    return lm_tpl_put(r, lm_tpl_sub(text, at, text.len).text);
}

enum lm_rc lm_tpl_replace(struct lm_tpl *r, struct lm_tpl_text text, struct lm_tpl_text old,
                          struct lm_tpl_text new, int64_t most, struct lm_tpl_value *ret)
{
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_work(r, text.len / 8));
    if (old.len == 0) {
        LM_TRY(put_between(r, text, new, most));
        return lm_tpl_cut(r, mark, ret);
    }
    for (; most != 0; most--) {
        const ptrdiff_t at =
            lm_str_find((struct lm_str){ text.ptr, text.len }, (struct lm_str){ old.ptr, old.len });
        if (at < 0)
            break;
        LM_TRY(lm_tpl_work(r, 1));
        LM_TRY(lm_tpl_put(r, lm_tpl_sub(text, 0, (size_t)at).text));
        LM_TRY(lm_tpl_put(r, new));
        text = lm_tpl_sub(text, (size_t)at + old.len, text.len).text;
    }
    LM_TRY(lm_tpl_put(r, text));
    return lm_tpl_cut(r, mark, ret);
}

static enum lm_rc replace(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                          struct lm_tpl_value *ret)
{
    struct lm_tpl_text old, new;
    int64_t most = -1;
    LM_TRY(lm_tpl_want_text(r, args[0], "what is replaced", &old));
    LM_TRY(lm_tpl_want_text(r, args[1], "the replacement", &new));
    if (lm_tpl_given(args[2]))
        LM_TRY(lm_tpl_want_int(r, args[2], "the count of replacements", &most));
    return lm_tpl_replace(r, v.text, old, new, most, ret);
}

static enum lm_rc change_case(struct lm_tpl *r, struct lm_tpl_value v, enum lm_tpl_case to,
                              struct lm_tpl_value *ret)
{
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_put_case(r, v.text, to));
    return lm_tpl_cut(r, mark, ret);
}

#define CASE_METHOD(name, to)                                                                                \
    static enum lm_rc name(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,         \
                           struct lm_tpl_value *ret)                                                         \
    {                                                                                                        \
        (void)args;                                                                                          \
        return change_case(r, v, to, ret);                                                                   \
    }
CASE_METHOD(upper, LM_TPL_UPPER)
CASE_METHOD(lower, LM_TPL_LOWER)
CASE_METHOD(title, LM_TPL_TITLE)
CASE_METHOD(capitalize, LM_TPL_CAPITALIZE)

/* 'sep'.join(texts) */
static enum lm_rc join(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_iterate(r, args[0], &list));
    for (size_t i = 0; i < list->count; i++) {
        struct lm_tpl_text text;
        LM_TRY(lm_tpl_want_text(r, lm_tpl_list_at(list, i), "what is joined", &text));
        if (i > 0)
            LM_TRY(lm_tpl_put(r, v.text));
        LM_TRY(lm_tpl_put(r, text));
    }
    return lm_tpl_cut(r, mark, ret);
}

static enum lm_rc remove_end(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value part, bool front,
                             struct lm_tpl_value *ret)
{
    struct lm_tpl_text text;
    LM_TRY(lm_tpl_want_text(r, part, "what is removed", &text));
    const struct lm_str end = { text.ptr, text.len };
    const bool fits = front ? lm_str_starts(lm_tpl_str(v), end) : lm_str_ends(lm_tpl_str(v), end);
    const size_t cut = fits ? text.len : 0;
    *ret = front ? lm_tpl_sub(v.text, cut, v.text.len) : lm_tpl_sub(v.text, 0, v.text.len - cut);
    return LM_OK;
}

static enum lm_rc removeprefix(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                               struct lm_tpl_value *ret)
{
    return remove_end(r, v, args[0], true, ret);
}

static enum lm_rc removesuffix(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                               struct lm_tpl_value *ret)
{
    return remove_end(r, v, args[0], false, ret);
}

/* A row: run is the method of texts; required says how many arguments must be there. */
static const struct lm_tpl_filter methods[] = {
    { .name = "strip", .run = strip, .params = "chars" },
    { .name = "lstrip", .run = lstrip, .params = "chars" },
    { .name = "rstrip", .run = rstrip, .params = "chars" },
    { .name = "split", .run = split, .params = "sep maxsplit" },
    { .name = "rsplit", .run = rsplit, .params = "sep maxsplit" },
    { .name = "splitlines", .run = splitlines, .params = "keepends" },
    { .name = "startswith", .run = startswith, .params = "prefix", .required = 1 },
    { .name = "endswith", .run = endswith, .params = "suffix", .required = 1 },
    { .name = "find", .run = find, .params = "sub", .required = 1 },
    { .name = "rfind", .run = rfind, .params = "sub", .required = 1 },
    { .name = "count", .run = count, .on_list = lm_tpl_list_count, .params = "sub", .required = 1 },
    { .name = "replace", .run = replace, .params = "old new count", .required = 2 },
    { .name = "upper", .run = upper, .params = "" },
    { .name = "lower", .run = lower, .params = "" },
    { .name = "title", .run = title, .params = "" },
    { .name = "capitalize", .run = capitalize, .params = "" },
    { .name = "join", .run = join, .params = "iterable", .required = 1 },
    { .name = "removeprefix", .run = removeprefix, .params = "prefix", .required = 1 },
    { .name = "removesuffix", .run = removesuffix, .params = "suffix", .required = 1 },
    { .name = "items", .on_dict = lm_tpl_dict_items_of, .params = "" },
    { .name = "keys", .on_dict = lm_tpl_dict_keys, .params = "" },
    { .name = "values", .on_dict = lm_tpl_dict_values, .params = "" },
    { .name = "get", .on_dict = lm_tpl_dict_get, .params = "key default", .required = 1 },
    { .name = "append", .on_list = lm_tpl_forbidden, .params = "a" },
    { .name = "extend", .on_list = lm_tpl_forbidden, .params = "a" },
    { .name = "insert", .on_list = lm_tpl_forbidden, .params = "a b" },
    { .name = "remove", .on_list = lm_tpl_forbidden, .params = "a" },
    { .name = "reverse", .on_list = lm_tpl_forbidden, .params = "" },
    { .name = "sort", .on_list = lm_tpl_forbidden, .params = "" },
    { .name = "pop", .on_dict = lm_tpl_forbidden, .on_list = lm_tpl_forbidden, .params = "a b" },
    { .name = "clear", .on_dict = lm_tpl_forbidden, .on_list = lm_tpl_forbidden, .params = "" },
    { .name = "update", .on_dict = lm_tpl_forbidden, .params = "a" },
    { .name = "setdefault", .on_dict = lm_tpl_forbidden, .params = "a b" },
    { .name = "popitem", .on_dict = lm_tpl_forbidden, .params = "" },
};

const struct lm_tpl_filter *lm_tpl_method_find(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (lm_str_eq(name, lm_str(methods[i].name)))
            return &methods[i];
    return NULL;
}
