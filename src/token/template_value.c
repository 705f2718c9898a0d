/* token/template_value.c - values of the template engine: made, compared, walked.  As Python's. */
#include "token/template_impl.h"

#include <math.h>

/* ---- making ---- */

struct lm_tpl_value lm_tpl_undefined(struct lm_str name)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_UNDEFINED, .name = name };
}

struct lm_tpl_value lm_tpl_none(void)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_NONE };
}

struct lm_tpl_value lm_tpl_bool(bool truth)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_BOOL, .truth = truth };
}

struct lm_tpl_value lm_tpl_int(int64_t integer)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_INT, .integer = integer };
}

struct lm_tpl_value lm_tpl_text(struct lm_tpl_text text)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_TEXT, .text = text };
}

struct lm_tpl_value lm_tpl_sub(struct lm_tpl_text text, size_t from, size_t to)
{
    LM_DASSERT(from <= to && to <= text.len);
    return lm_tpl_text((struct lm_tpl_text){ text.ptr + from, text.origin + from, to - from });
}

enum lm_rc lm_tpl_list_new(struct lm_tpl *r, enum lm_tpl_sequence type, size_t count,
                           struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(*list), &list));
    *list = (struct lm_tpl_list){ .type = type, .count = count };
    if (type != LM_TPL_SEQ_RANGE)
        LM_TRY(lm_tpl_alloc(r, count, sizeof(*list->items), &list->items));
    *ret = (struct lm_tpl_value){ .kind = LM_TPL_LIST, .list = list };
    return LM_OK;
}

enum lm_rc lm_tpl_list_add(struct lm_tpl *r, struct lm_tpl_list *list, size_t *cap, struct lm_tpl_value item)
{
    LM_TRY(lm_tpl_work(r, 1));
    if (list->count == *cap) {
        struct lm_tpl_value *items;
        const size_t grown = *cap ? 2 * *cap : 8;
        LM_TRY(lm_tpl_alloc(r, grown, sizeof(*items), &items));
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        *cap = grown;
    }
    list->items[list->count++] = item;
    return LM_OK;
}

struct lm_tpl_value lm_tpl_list_at(const struct lm_tpl_list *list, size_t i)
{
    LM_DASSERT(i < list->count);
    if (list->type == LM_TPL_SEQ_RANGE)
        return lm_tpl_int(list->start + (int64_t)i * list->step);
    return list->items[i];
}

enum lm_rc lm_tpl_dict_new(struct lm_tpl *r, enum lm_tpl_kind kind, struct lm_tpl_value *ret)
{
    LM_ASSERT(kind == LM_TPL_DICT || kind == LM_TPL_NAMESPACE);
    struct lm_tpl_dict *dict;
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(*dict), &dict));
    *ret = (struct lm_tpl_value){ .kind = kind, .dict = dict };
    return LM_OK;
}

enum lm_rc lm_tpl_dict_find(struct lm_tpl *r, const struct lm_tpl_dict *d, struct lm_tpl_value key,
                            const struct lm_tpl_value **ret)
{
    *ret = NULL;
    LM_TRY(lm_tpl_work(r, d->count / 8));
    for (size_t i = 0; i < d->count && !*ret; i++) {
        const struct lm_tpl_value *known = &d->pairs[i].key;
        bool same = false;
        if (known->kind == LM_TPL_TEXT && key.kind == LM_TPL_TEXT)
            same = lm_str_eq(lm_tpl_str(*known), lm_tpl_str(key));
        else if (known->kind != LM_TPL_TEXT && key.kind != LM_TPL_TEXT)
            LM_TRY(lm_tpl_equal(r, *known, key, &same));
        if (same)
            *ret = &d->pairs[i].value;
    }
    return LM_OK;
}

enum lm_rc lm_tpl_dict_put(struct lm_tpl *r, struct lm_tpl_dict *d, struct lm_tpl_value key,
                           struct lm_tpl_value value)
{
    const struct lm_tpl_value *known;
    if (key.kind == LM_TPL_DICT || (key.kind == LM_TPL_LIST && key.list->type == LM_TPL_SEQ_LIST))
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be a key of a dict", lm_tpl_kind_name(key));
    LM_TRY(lm_tpl_dict_find(r, d, key, &known));
    if (known) {
        d->pairs[(const struct lm_tpl_pair *)((const char *)known - offsetof(struct lm_tpl_pair, value)) -
                 d->pairs]
            .value = value;
        return LM_OK;
    }
    if (d->count == d->cap) {
        struct lm_tpl_pair *pairs;
        const size_t cap = d->cap ? 2 * d->cap : 4;
        LM_TRY(lm_tpl_alloc(r, cap, sizeof(*pairs), &pairs));
        if (d->count > 0)
            memcpy(pairs, d->pairs, d->count * sizeof(*pairs));
        d->pairs = pairs;
        d->cap = cap;
    }
    d->pairs[d->count++] = (struct lm_tpl_pair){ key, value };
    return LM_OK;
}

/* ---- asking ---- */

struct lm_str lm_tpl_str(struct lm_tpl_value v)
{
    LM_DASSERT(v.kind == LM_TPL_TEXT);
    return (struct lm_str){ v.text.ptr, v.text.len };
}

bool lm_tpl_is(struct lm_tpl_value v, const char *text)
{
    return v.kind == LM_TPL_TEXT && lm_str_eq(lm_tpl_str(v), lm_str(text));
}

uint8_t lm_tpl_origin(struct lm_tpl_value v)
{
    uint8_t origin = v.kind == LM_TPL_TEXT ? LM_ORIGIN_TEMPLATE : v.origin;
    for (size_t i = 0; v.kind == LM_TPL_TEXT && i < v.text.len; i++)
        origin |= v.text.origin[i];
    return origin;
}

const char *lm_tpl_kind_name(struct lm_tpl_value v)
{
    static const char *const names[] = {
        [LM_TPL_UNDEFINED] = "an undefined value",
        [LM_TPL_NONE] = "none",
        [LM_TPL_BOOL] = "a boolean",
        [LM_TPL_INT] = "an integer",
        [LM_TPL_FLOAT] = "a float",
        [LM_TPL_TEXT] = "a text",
        [LM_TPL_LIST] = "a list",
        [LM_TPL_DICT] = "a dict",
        [LM_TPL_NAMESPACE] = "a namespace",
        [LM_TPL_MACRO] = "a macro",
        [LM_TPL_FUNCTION] = "a function",
        [LM_TPL_METHOD] = "a method",
        [LM_TPL_LOOP] = "a loop",
    };
    static const char *const sequences[] = { "a list", "a tuple", "a range", "a view of a dict",
                                             "a generator" };
    return v.kind == LM_TPL_LIST ? sequences[v.list->type] : names[v.kind];
}

bool lm_tpl_is_number(struct lm_tpl_value v)
{
    return v.kind == LM_TPL_BOOL || v.kind == LM_TPL_INT || v.kind == LM_TPL_FLOAT;
}

double lm_tpl_real(struct lm_tpl_value v)
{
    return v.kind == LM_TPL_FLOAT ? v.real : (double)lm_tpl_integer(v);
}

int64_t lm_tpl_integer(struct lm_tpl_value v)
{
    return v.kind == LM_TPL_BOOL ? v.truth : v.integer;
}

bool lm_tpl_true(struct lm_tpl_value v)
{
    switch (v.kind) {
    case LM_TPL_UNDEFINED:
    case LM_TPL_NONE:
        return false;
    case LM_TPL_BOOL:
        return v.truth;
    case LM_TPL_INT:
        return v.integer != 0;
    case LM_TPL_FLOAT:
        return v.real != 0;
    case LM_TPL_TEXT:
        return v.text.len > 0;
    case LM_TPL_LIST:
        return v.list->type == LM_TPL_SEQ_GENERATOR || v.list->count > 0;
    case LM_TPL_DICT:
        return v.dict->count > 0;
    default:
        return true;
    }
}

size_t lm_tpl_text_chars(struct lm_tpl_text text)
{
    size_t count = 0;
    for (const char *at = text.ptr, *end = at + text.len; at < end; count++) {
        uint32_t cp;
        at += lm_tpl_char(at, end, &cp);
    }
    return count;
}

enum lm_rc lm_tpl_length(struct lm_tpl *r, struct lm_tpl_value v, int64_t *ret)
{
    if (v.kind == LM_TPL_UNDEFINED) {
        *ret = 0;
    } else if (v.kind == LM_TPL_TEXT) {
        LM_TRY(lm_tpl_work(r, v.text.len / 16));
        *ret = (int64_t)lm_tpl_text_chars(v.text);
    } else if (v.kind == LM_TPL_DICT) {
        *ret = (int64_t)v.dict->count;
    } else if (v.kind == LM_TPL_LIST && v.list->type != LM_TPL_SEQ_GENERATOR) {
        *ret = (int64_t)v.list->count;
    } else {
        return lm_tpl_fail(r, LM_EINVAL, "%s has no length", lm_tpl_kind_name(v));
    }
    return LM_OK;
}

/* ---- comparing ---- */

static enum lm_rc equal_lists(struct lm_tpl *r, const struct lm_tpl_list *a, const struct lm_tpl_list *b,
                              bool *ret)
{
    *ret = a == b || (a->type == b->type && a->count == b->count && a->type < LM_TPL_SEQ_VIEW);
    for (size_t i = 0; *ret && a != b && i < a->count; i++)
        LM_TRY(lm_tpl_equal(r, lm_tpl_list_at(a, i), lm_tpl_list_at(b, i), ret));
    return LM_OK;
}

static enum lm_rc equal_dicts(struct lm_tpl *r, const struct lm_tpl_dict *a, const struct lm_tpl_dict *b,
                              bool *ret)
{
    *ret = a->count == b->count;
    for (size_t i = 0; *ret && i < a->count; i++) {
        const struct lm_tpl_value *other;
        LM_TRY(lm_tpl_dict_find(r, b, a->pairs[i].key, &other));
        *ret = other != NULL;
        if (other)
            LM_TRY(lm_tpl_equal(r, a->pairs[i].value, *other, ret));
    }
    return LM_OK;
}

static bool equal_numbers(struct lm_tpl_value a, struct lm_tpl_value b)
{
    if (a.kind != LM_TPL_FLOAT && b.kind != LM_TPL_FLOAT)
        return lm_tpl_integer(a) == lm_tpl_integer(b);
    return lm_tpl_real(a) == lm_tpl_real(b);
}

static enum lm_rc equal_same_kind(struct lm_tpl *r, struct lm_tpl_value a, struct lm_tpl_value b, bool *ret)
{
    switch (a.kind) {
    case LM_TPL_UNDEFINED:
    case LM_TPL_NONE:
        *ret = true;
        return LM_OK;
    case LM_TPL_TEXT:
        *ret = a.text.len == b.text.len;
        if (*ret) {
            LM_TRY(lm_tpl_work(r, a.text.len / 64));
            *ret = lm_str_eq(lm_tpl_str(a), lm_tpl_str(b));
        }
        return LM_OK;
    case LM_TPL_LIST:
        return equal_lists(r, a.list, b.list, ret);
    case LM_TPL_DICT:
        return a.dict == b.dict ? (*ret = true, LM_OK) : equal_dicts(r, a.dict, b.dict, ret);
    case LM_TPL_METHOD:
        *ret = lm_str_eq(a.name, b.name);
        return LM_OK;
    default:
        *ret = a.macro == b.macro;   // one of the pointers
        return LM_OK;
    }
}

enum lm_rc lm_tpl_equal(struct lm_tpl *r, struct lm_tpl_value a, struct lm_tpl_value b, bool *ret)
{
    LM_TRY(lm_tpl_work(r, 1));
    *ret = false;
    if (lm_tpl_is_number(a) && lm_tpl_is_number(b)) {
        *ret = equal_numbers(a, b);
        return LM_OK;
    }
    if (a.kind != b.kind)
        return LM_OK;
    LM_TRY(lm_tpl_deeper(r));
    const enum lm_rc rc = equal_same_kind(r, a, b, ret);
    r->nest--;
    return rc;
}

static int compare_ints(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

enum { UNORDERED = 2 };   // NaN

static int compare_numbers(struct lm_tpl_value a, struct lm_tpl_value b)
{
    if (a.kind != LM_TPL_FLOAT && b.kind != LM_TPL_FLOAT)
        return compare_ints(lm_tpl_integer(a), lm_tpl_integer(b));
    const double x = lm_tpl_real(a), y = lm_tpl_real(b);
    return isnan(x) || isnan(y) ? UNORDERED : x < y ? -1 : x > y;
}

static enum lm_rc order_lists(struct lm_tpl *r, const struct lm_tpl_list *a, const struct lm_tpl_list *b,
                              int *ret)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool same;
        LM_TRY(lm_tpl_equal(r, lm_tpl_list_at(a, i), lm_tpl_list_at(b, i), &same));
        if (!same)
            return lm_tpl_order(r, lm_tpl_list_at(a, i), lm_tpl_list_at(b, i), ret);
    }
    *ret = compare_ints((int64_t)a->count, (int64_t)b->count);
    return LM_OK;
}

/* -1, 0, 1, or UNORDERED. */
enum lm_rc lm_tpl_order(struct lm_tpl *r, struct lm_tpl_value a, struct lm_tpl_value b, int *ret)
{
    LM_TRY(lm_tpl_work(r, 1));
    if (lm_tpl_is_number(a) && lm_tpl_is_number(b)) {
        *ret = compare_numbers(a, b);
        return LM_OK;
    }
    if (a.kind == LM_TPL_TEXT && b.kind == LM_TPL_TEXT) {   // UTF-8 sorts as code points do
        LM_TRY(lm_tpl_work(r, (a.text.len < b.text.len ? a.text.len : b.text.len) / 64));
        *ret = compare_ints(lm_str_cmp(lm_tpl_str(a), lm_tpl_str(b)), 0);
        return LM_OK;
    }
    if (a.kind == LM_TPL_LIST && b.kind == LM_TPL_LIST && a.list->type == b.list->type &&
        a.list->type <= LM_TPL_SEQ_TUPLE) {
        LM_TRY(lm_tpl_deeper(r));
        const enum lm_rc rc = order_lists(r, a.list, b.list, ret);
        r->nest--;
        return rc;
    }
    return lm_tpl_fail(r, LM_EINVAL, "%s and %s have no order", lm_tpl_kind_name(a), lm_tpl_kind_name(b));
}

/* ---- walking ---- */

static enum lm_rc characters(struct lm_tpl *r, struct lm_tpl_text text, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, lm_tpl_text_chars(text), ret));
    size_t at = 0;
    for (size_t i = 0; i < ret->list->count; i++) {
        uint32_t cp;
        const size_t len = lm_tpl_char(text.ptr + at, text.ptr + text.len, &cp);
        ret->list->items[i] = lm_tpl_sub(text, at, at + len);
        at += len;
    }
    return LM_OK;
}

/* What `for` sees; a generator gives its items once. */
enum lm_rc lm_tpl_iterate(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_list **ret)
{
    struct lm_tpl_value made;
    if (v.kind == LM_TPL_LIST && !v.list->seen) {
        v.list->seen = v.list->type == LM_TPL_SEQ_GENERATOR;
        *ret = v.list;
        return LM_OK;
    }
    if (v.kind == LM_TPL_LIST || v.kind == LM_TPL_UNDEFINED) {
        LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 0, &made));
    } else if (v.kind == LM_TPL_TEXT) {
        LM_TRY(characters(r, v.text, &made));
    } else if (v.kind == LM_TPL_DICT) {
        LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, v.dict->count, &made));
        for (size_t i = 0; i < v.dict->count; i++)
            made.list->items[i] = v.dict->pairs[i].key;
    } else {
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be walked through", lm_tpl_kind_name(v));
    }
    *ret = made.list;
    return LM_OK;
}

enum lm_rc lm_tpl_contains(struct lm_tpl *r, struct lm_tpl_value item, struct lm_tpl_value in, bool *ret)
{
    if (in.kind == LM_TPL_TEXT) {
        if (item.kind != LM_TPL_TEXT)
            return lm_tpl_fail(r, LM_EINVAL, "%s cannot be in a text", lm_tpl_kind_name(item));
        LM_TRY(lm_tpl_work(r, in.text.len / 16));
        *ret = lm_str_find(lm_tpl_str(in), lm_tpl_str(item)) >= 0;
        return LM_OK;
    }
    if (in.kind == LM_TPL_DICT) {
        const struct lm_tpl_value *known;
        LM_TRY(lm_tpl_dict_find(r, in.dict, item, &known));
        *ret = known != NULL;
        return LM_OK;
    }
    struct lm_tpl_list *list;
    LM_TRY(lm_tpl_iterate(r, in, &list));
    *ret = false;
    for (size_t i = 0; i < list->count && !*ret; i++)
        LM_TRY(lm_tpl_equal(r, lm_tpl_list_at(list, i), item, ret));
    return LM_OK;
}
