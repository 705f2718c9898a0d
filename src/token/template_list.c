/* token/template_list.c - filters over the items of a value. */
#include "token/template_impl.h"

/* a.b.0 of an item, as attribute arguments of filters are written. */
static enum lm_rc dig(struct lm_tpl *r, struct lm_tpl_value item, struct lm_tpl_value path,
                      struct lm_tpl_value *ret)
{
    if (path.kind != LM_TPL_TEXT)
        return lm_tpl_attr(r, item, path, ret);
    size_t from = 0;
    *ret = item;
    for (size_t at = 0; at <= path.text.len; at++) {
        if (at < path.text.len && path.text.ptr[at] != '.')
            continue;
        struct lm_tpl_value key = lm_tpl_sub(path.text, from, at), made;
        int64_t index;
        if (lm_str_to_i64(lm_tpl_str(key), &index) && index >= 0)
            key = lm_tpl_int(index);
        LM_TRY(lm_tpl_attr(r, *ret, key, &made));
        *ret = made;
        from = at + 1;
    }
    return LM_OK;
}

static enum lm_rc first(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                        struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    (void)args;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    *ret = list->count > 0 ? lm_tpl_list_at(list, 0) : lm_tpl_undefined(LM_STR("first"));
    return LM_OK;
}

static enum lm_rc last(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    (void)args;
    if (v.kind == LM_TPL_LIST && v.list->type == LM_TPL_SEQ_GENERATOR)
        return lm_tpl_fail(r, LM_EINVAL, "a generator has no last item");
    LM_TRY(lm_tpl_iterate(r, v, &list));
    *ret = list->count > 0 ? lm_tpl_list_at(list, list->count - 1) : lm_tpl_undefined(LM_STR("last"));
    return LM_OK;
}

static enum lm_rc join(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    struct lm_tpl_text between = { "", (const uint8_t *)"", 0 };
    LM_TRY(lm_tpl_iterate(r, v, &list));
    if (lm_tpl_given(args[0]))
        LM_TRY(lm_tpl_to_text(r, args[0], &between));
    const size_t mark = r->out_len;
    for (size_t i = 0; i < list->count; i++) {
        struct lm_tpl_value item = lm_tpl_list_at(list, i);
        if (lm_tpl_given(args[1]) && args[1].kind != LM_TPL_NONE)
            LM_TRY(dig(r, item, args[1], &item));
        if (i > 0)
            LM_TRY(lm_tpl_put(r, between));
        LM_TRY(lm_tpl_print(r, item));
    }
    return lm_tpl_cut(r, mark, ret);
}

/* The items again, as a list that may be changed. */
static enum lm_rc copy(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, list->count, ret));
    for (size_t i = 0; i < list->count; i++)
        ret->list->items[i] = lm_tpl_list_at(list, i);
    return LM_OK;
}

static enum lm_rc to_list(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                          struct lm_tpl_value *ret)
{
    (void)args;
    return copy(r, v, ret);
}

static enum lm_rc reverse(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                          struct lm_tpl_value *ret)
{
    (void)args;
    if (v.kind == LM_TPL_TEXT) {
        const struct lm_tpl_value back[3] = { lm_tpl_none(), lm_tpl_none(), lm_tpl_int(-1) };
        return lm_tpl_slice(r, v, back, ret);
    }
    LM_TRY(copy(r, v, ret));
    ret->list->type = LM_TPL_SEQ_GENERATOR;
    for (size_t i = 0, k = ret->list->count; i + 1 < k; i++) {
        const struct lm_tpl_value other = ret->list->items[--k];
        ret->list->items[k] = ret->list->items[i];
        ret->list->items[i] = other;
    }
    return LM_OK;
}

/* ---- order ---- */

/* Texts compare without case unless `exact`. */
static enum lm_rc sort_key(struct lm_tpl *r, struct lm_tpl_value item, struct lm_tpl_value path, bool exact,
                           struct lm_tpl_value *ret)
{
    *ret = item;
    if (lm_tpl_given(path) && path.kind != LM_TPL_NONE)
        LM_TRY(dig(r, item, path, ret));
    if (exact || ret->kind != LM_TPL_TEXT)
        return LM_OK;
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_put_case(r, ret->text, LM_TPL_LOWER));
    return lm_tpl_cut(r, mark, ret);
}

/* Merge sort of items by keys: stable, and as many comparisons as are counted. */
static enum lm_rc merge_sort(struct lm_tpl *r, struct lm_tpl_pair *pairs, size_t count, bool down)
{
    struct lm_tpl_pair *other;
    LM_TRY(lm_tpl_alloc(r, count, sizeof(*other), &other));
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            const size_t middle = start + width < count ? start + width : count;
            const size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                int order = 0;
                if (a < middle && b < end)
                    LM_TRY(lm_tpl_order(r, pairs[a].key, pairs[b].key, &order));
                const bool take_a = a < middle && (b == end || (down ? order != -1 : order != 1));
                other[i] = take_a ? pairs[a++] : pairs[b++];
            }
        }
        memcpy(pairs, other, count * sizeof(*pairs));
    }
    return LM_OK;
}

static enum lm_rc sort_by(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value path, bool exact,
                          bool down, struct lm_tpl_value *ret)
{
    struct lm_tpl_pair *pairs;
    LM_TRY(copy(r, v, ret));
    const size_t count = ret->list->count;
    LM_TRY(lm_tpl_alloc(r, count, sizeof(*pairs), &pairs));
    for (size_t i = 0; i < count; i++) {
        struct lm_tpl_value key;
        pairs[i].value = ret->list->items[i];
        LM_TRY(sort_key(r, pairs[i].value, path, exact, &key));
        LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 1, &pairs[i].key));   // equal without an order is equal
        pairs[i].key.list->items[0] = key;
    }
    LM_TRY(merge_sort(r, pairs, count, down));
    for (size_t i = 0; i < count; i++)
        ret->list->items[i] = pairs[i].value;
    return LM_OK;
}

/* sort(reverse, case_sensitive, attribute) */
static enum lm_rc sort(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                       struct lm_tpl_value *ret)
{
    return sort_by(r, v, args[2], lm_tpl_true(args[1]), lm_tpl_true(args[0]), ret);
}

/* dictsort(case_sensitive, by, reverse) */
static enum lm_rc dictsort(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           struct lm_tpl_value *ret)
{
    struct lm_tpl_value pairs;
    if (v.kind != LM_TPL_DICT)
        return lm_tpl_fail(r, LM_EINVAL, "dictsort sorts a dict, and got %s", lm_tpl_kind_name(v));
    const bool by_value = lm_tpl_is(args[1], "value");
    if (lm_tpl_given(args[1]) && !by_value && !lm_tpl_is(args[1], "key"))
        return lm_tpl_fail(r, LM_EINVAL, "dictsort sorts by 'key' or by 'value'");
    LM_TRY(lm_tpl_dict_items(r, v, &pairs));
    return sort_by(r, pairs, lm_tpl_int(by_value), lm_tpl_true(args[0]), lm_tpl_true(args[2]), ret);
}

/* unique(case_sensitive, attribute) */
static enum lm_rc unique(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                         struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    struct lm_tpl_value seen;
    size_t cap = 0;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_GENERATOR, 0, ret));
    LM_TRY(lm_tpl_dict_new(r, LM_TPL_DICT, &seen));
    for (size_t i = 0; i < list->count; i++) {
        const struct lm_tpl_value item = lm_tpl_list_at(list, i);
        const struct lm_tpl_value *known;
        struct lm_tpl_value key;
        LM_TRY(sort_key(r, item, args[1], lm_tpl_true(args[0]), &key));
        LM_TRY(lm_tpl_dict_find(r, seen.dict, key, &known));
        if (known)
            continue;
        LM_TRY(lm_tpl_dict_put(r, seen.dict, key, lm_tpl_none()));
        LM_TRY(lm_tpl_list_add(r, ret->list, &cap, item));
    }
    return LM_OK;
}

static enum lm_rc extreme(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                          int wanted, struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    struct lm_tpl_value best = lm_tpl_none(), key;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    *ret = lm_tpl_undefined(LM_STR("item"));
    for (size_t i = 0; i < list->count; i++) {
        int order = wanted;
        const struct lm_tpl_value item = lm_tpl_list_at(list, i);
        LM_TRY(sort_key(r, item, args[1], lm_tpl_true(args[0]), &key));
        if (i > 0)
            LM_TRY(lm_tpl_order(r, key, best, &order));
        if (order == wanted) {
            best = key;
            *ret = item;
        }
    }
    return LM_OK;
}

static enum lm_rc min(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                      struct lm_tpl_value *ret)
{
    return extreme(r, v, args, -1, ret);
}

static enum lm_rc max(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                      struct lm_tpl_value *ret)
{
    return extreme(r, v, args, 1, ret);
}

/* sum(attribute, start) */
static enum lm_rc sum(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                      struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    *ret = lm_tpl_given(args[1]) ? args[1] : lm_tpl_int(0);
    if (ret->kind == LM_TPL_TEXT)
        return lm_tpl_fail(r, LM_EINVAL, "texts have no sum");
    for (size_t i = 0; i < list->count; i++) {
        struct lm_tpl_value item = lm_tpl_list_at(list, i), made;
        if (lm_tpl_given(args[0]) && args[0].kind != LM_TPL_NONE)
            LM_TRY(dig(r, item, args[0], &item));
        LM_TRY(lm_tpl_math(r, LM_TPL_ADD, *ret, item, &made));
        *ret = made;
    }
    return LM_OK;
}

/* ---- map, select and their sisters ---- */

/* As jinja2: what is false has no items, whatever it is. */
static enum lm_rc items_of(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_list **ret)
{
    return lm_tpl_iterate(r, lm_tpl_true(v) ? v : lm_tpl_undefined(LM_STR("nothing")), ret);
}

/* The call without its first `count` arguments by position. */
static struct lm_tpl_call rest_of(const struct lm_tpl_call *call, size_t count)
{
    return (struct lm_tpl_call){ call->items + count, call->names + count, call->count - count,
                                 call->position_count - count };
}

static enum lm_rc map_attribute(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value item,
                                struct lm_tpl_value *ret)
{
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    LM_TRY(lm_tpl_bind_args(r, "filter map", "attribute default", 1, call, args));
    LM_TRY(dig(r, item, args[0], ret));
    if (ret->kind == LM_TPL_UNDEFINED && lm_tpl_given(args[1]))
        *ret = args[1];
    return LM_OK;
}

/* map('filter', arguments) or map(attribute='a', default=b) */
static enum lm_rc map(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                      struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    const struct lm_tpl_filter *filter = NULL;
    if (call->position_count > 0) {
        if (call->items[0].kind == LM_TPL_TEXT)
            filter = lm_tpl_filter_find(lm_tpl_str(call->items[0]));
        if (!filter)
            return lm_tpl_fail(r, LM_EINVAL, "map does not know this filter");
    }
    LM_TRY(items_of(r, v, &list));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_GENERATOR, list->count, ret));
    LM_TRY(lm_tpl_deeper(r));
    for (size_t i = 0; i < list->count; i++) {
        const struct lm_tpl_value item = lm_tpl_list_at(list, i);
        LM_TRY(lm_tpl_work(r, 1));
        if (!filter) {
            LM_TRY(map_attribute(r, call, item, &ret->list->items[i]));
            continue;
        }
        const struct lm_tpl_call rest = rest_of(call, 1);
        LM_TRY(lm_tpl_run_filter(r, filter, item, &rest, &ret->list->items[i]));
    }
    r->nest--;
    return LM_OK;
}

/* select(test, arguments), selectattr(attribute, test, arguments); reject*: those that fail. */
static enum lm_rc choose(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                         bool by_attr, bool wanted, struct lm_tpl_value *ret)
{
    struct lm_tpl_list *list;
    const struct lm_tpl_test *test = NULL;
    size_t cap = 0;
    if (call->position_count < by_attr)
        return lm_tpl_fail(r, LM_EINVAL, "the name of an attribute is missing");
    if (call->position_count > by_attr) {
        if (call->items[by_attr].kind == LM_TPL_TEXT)
            test = lm_tpl_test_find(lm_tpl_str(call->items[by_attr]));
        if (!test)
            return lm_tpl_fail(r, LM_EINVAL, "select and reject do not know this test");
    }
    LM_TRY(items_of(r, v, &list));
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_GENERATOR, 0, ret));
    for (size_t i = 0; i < list->count; i++) {
        const struct lm_tpl_value item = lm_tpl_list_at(list, i);
        struct lm_tpl_value tested = item;
        LM_TRY(lm_tpl_work(r, 1));
        if (by_attr)
            LM_TRY(dig(r, item, call->items[0], &tested));
        bool truth = lm_tpl_true(tested);
        if (test) {
            const struct lm_tpl_call rest = rest_of(call, 1 + (size_t)by_attr);
            LM_TRY(lm_tpl_run_test(r, test, tested, &rest, &truth));
        }
        if (truth == wanted)
            LM_TRY(lm_tpl_list_add(r, ret->list, &cap, item));
    }
    return LM_OK;
}

static enum lm_rc select_items(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                               struct lm_tpl_value *ret)
{
    return choose(r, v, call, false, true, ret);
}

static enum lm_rc reject(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                         struct lm_tpl_value *ret)
{
    return choose(r, v, call, false, false, ret);
}

static enum lm_rc selectattr(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                             struct lm_tpl_value *ret)
{
    return choose(r, v, call, true, true, ret);
}

static enum lm_rc rejectattr(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_call *call,
                             struct lm_tpl_value *ret)
{
    return choose(r, v, call, true, false, ret);
}

static const struct lm_tpl_filter filters[] = {
    { .name = "first", .run = first, .params = "" },
    { .name = "last", .run = last, .params = "" },
    { .name = "join", .run = join, .params = "d attribute" },
    { .name = "list", .run = to_list, .params = "" },
    { .name = "reverse", .run = reverse, .params = "" },
    { .name = "sort", .run = sort, .params = "reverse case_sensitive attribute" },
    { .name = "dictsort", .run = dictsort, .params = "case_sensitive by reverse" },
    { .name = "unique", .run = unique, .params = "case_sensitive attribute" },
    { .name = "min", .run = min, .params = "case_sensitive attribute" },
    { .name = "max", .run = max, .params = "case_sensitive attribute" },
    { .name = "sum", .run = sum, .params = "attribute start" },
    { .name = "map", .run_call = map },
    { .name = "select", .run_call = select_items },
    { .name = "reject", .run_call = reject },
    { .name = "selectattr", .run_call = selectattr },
    { .name = "rejectattr", .run_call = rejectattr },
};

const struct lm_tpl_filter *lm_tpl_list_filter_find(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (lm_str_eq(name, lm_str(filters[i].name)))
            return &filters[i];
    return NULL;
}
