/* token/template_math.c - arithmetic, indexes and slices, with Python's rules for signs and kinds. */
#include "token/template_impl.h"

#include <math.h>

static const char *const op_text[] = {
    [LM_TPL_ADD] = "+", [LM_TPL_SUB] = "-",       [LM_TPL_MUL] = "*",
    [LM_TPL_DIV] = "/", [LM_TPL_FLOORDIV] = "//", [LM_TPL_MOD] = "%",
};

static struct lm_tpl_value real(double value)
{
    return (struct lm_tpl_value){ .kind = LM_TPL_FLOAT, .real = value };
}

static enum lm_rc too_large(struct lm_tpl *r)
{
    return lm_tpl_fail(r, LM_ELIMIT, "an integer does not fit into 64 bits");
}

/* ---- numbers ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    const int64_t m = a % b;
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static enum lm_rc integers(struct lm_tpl *r, enum lm_tpl_op op, int64_t a, int64_t b,
                           struct lm_tpl_value *ret)
{
    int64_t made = 0;
    bool over = false;
    switch (op) {
    case LM_TPL_ADD:
        over = __builtin_add_overflow(a, b, &made);
        break;
    case LM_TPL_SUB:
        over = __builtin_sub_overflow(a, b, &made);
        break;
    case LM_TPL_MUL:
        over = __builtin_mul_overflow(a, b, &made);
        break;
    default:   // // and %
        if (b == -1)
            over = op == LM_TPL_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &made);
        else
            made = op == LM_TPL_FLOORDIV ? floor_div(a, b) : floor_mod(a, b);
        break;
    }
    if (over)
        return too_large(r);
    *ret = lm_tpl_int(made);
    return LM_OK;
}

static double real_mod(double a, double b)   // the sign of b
{
    const double m = fmod(a, b);
    if (m == 0)
        return copysign(0, b);
    return (m < 0) != (b < 0) ? m + b : m;
}

static double real_floor_div(double a, double b)
{
    const double m = real_mod(a, b), whole = (a - m) / b;
    if (whole == 0)
        return copysign(0, a / b);
    const double down = floor(whole);
    return whole - down > 0.5 ? down + 1 : down;
}

static struct lm_tpl_value reals(enum lm_tpl_op op, double a, double b)
{
    switch (op) {
    case LM_TPL_ADD:
        return real(a + b);
    case LM_TPL_SUB:
        return real(a - b);
    case LM_TPL_MUL:
        return real(a * b);
    case LM_TPL_DIV:
        return real(a / b);
    case LM_TPL_FLOORDIV:
        return real(real_floor_div(a, b));
    default:
        return real(real_mod(a, b));
    }
}

static enum lm_rc numbers(struct lm_tpl *r, enum lm_tpl_op op, struct lm_tpl_value a, struct lm_tpl_value b,
                          struct lm_tpl_value *ret)
{
    if (op >= LM_TPL_DIV && lm_tpl_real(b) == 0)
        return lm_tpl_fail(r, LM_EINVAL, "division by zero");
    if (op == LM_TPL_DIV || a.kind == LM_TPL_FLOAT || b.kind == LM_TPL_FLOAT)
        *ret = reals(op, lm_tpl_real(a), lm_tpl_real(b));
    else
        LM_TRY(integers(r, op, lm_tpl_integer(a), lm_tpl_integer(b), ret));
    ret->origin = a.origin | b.origin;
    return LM_OK;
}

enum lm_rc lm_tpl_negate(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value *ret)
{
    if (!lm_tpl_is_number(v))
        return lm_tpl_fail(r, LM_EINVAL, "- cannot stand before %s", lm_tpl_kind_name(v));
    if (v.kind == LM_TPL_FLOAT)
        *ret = real(-v.real);
    else
        LM_TRY(integers(r, LM_TPL_SUB, 0, lm_tpl_integer(v), ret));
    ret->origin = v.origin;
    return LM_OK;
}

/* ---- texts and lists ---- */

static bool is_plain_list(struct lm_tpl_value v)
{
    return v.kind == LM_TPL_LIST && v.list->type <= LM_TPL_SEQ_TUPLE;
}

static enum lm_rc join_lists(struct lm_tpl *r, const struct lm_tpl_list *a, const struct lm_tpl_list *b,
                             struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_list_new(r, a->type, a->count + b->count, ret));
    if (a->count > 0)
        memcpy(ret->list->items, a->items, a->count * sizeof(*a->items));
    if (b->count > 0)
        memcpy(ret->list->items + a->count, b->items, b->count * sizeof(*b->items));
    return LM_OK;
}

static enum lm_rc repeat_text(struct lm_tpl *r, struct lm_tpl_text text, int64_t times,
                              struct lm_tpl_value *ret)
{
    const size_t mark = r->out_len;
    if (times > 0 && text.len > 0 && times > LM_TEMPLATE_OUTPUT_MAX / (int64_t)text.len)
        return lm_tpl_fail(r, LM_ELIMIT, "a text is longer than %d MiB", LM_TEMPLATE_OUTPUT_MAX >> 20);
    for (int64_t i = 0; i < times && text.len > 0; i++)
        LM_TRY(lm_tpl_put(r, text));
    return lm_tpl_cut(r, mark, ret);
}

static enum lm_rc repeat_list(struct lm_tpl *r, const struct lm_tpl_list *list, int64_t times,
                              struct lm_tpl_value *ret)
{
    enum { COUNT_MAX = LM_TEMPLATE_MEMORY_MAX / sizeof(struct lm_tpl_value) };
    const size_t count = list->count;
    if (times <= 0 || count == 0)
        return lm_tpl_list_new(r, list->type, 0, ret);
    if (times > COUNT_MAX / (int64_t)count)
        return lm_tpl_fail(r, LM_ELIMIT, "a list is longer than %d items", (int)COUNT_MAX);
    LM_TRY(lm_tpl_list_new(r, list->type, count * (size_t)times, ret));
    for (size_t i = 0; i < ret->list->count; i++)
        ret->list->items[i] = list->items[i % count];
    return LM_OK;
}

static enum lm_rc repeat(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value times,
                         struct lm_tpl_value *ret)
{
    const int64_t n = lm_tpl_integer(times);
    return v.kind == LM_TPL_TEXT ? repeat_text(r, v.text, n, ret) : repeat_list(r, v.list, n, ret);
}

static bool is_whole(struct lm_tpl_value v)
{
    return v.kind == LM_TPL_INT || v.kind == LM_TPL_BOOL;
}

enum lm_rc lm_tpl_math(struct lm_tpl *r, enum lm_tpl_op op, struct lm_tpl_value a, struct lm_tpl_value b,
                       struct lm_tpl_value *ret)
{
    const struct lm_tpl_value *undefined = a.kind == LM_TPL_UNDEFINED   ? &a
                                           : b.kind == LM_TPL_UNDEFINED ? &b
                                                                        : NULL;
    if (undefined)
        return lm_tpl_fail(r, LM_EINVAL, "'%.*s' is undefined",
                           undefined->name.len < 60 ? (int)undefined->name.len : 60, undefined->name.ptr);
    if (lm_tpl_is_number(a) && lm_tpl_is_number(b))
        return numbers(r, op, a, b, ret);
    if (op == LM_TPL_ADD && a.kind == LM_TPL_TEXT && b.kind == LM_TPL_TEXT)
        return lm_tpl_concat(r, a.text, b.text, ret);
    if (op == LM_TPL_ADD && is_plain_list(a) && is_plain_list(b) && a.list->type == b.list->type)
        return join_lists(r, a.list, b.list, ret);
    if (op == LM_TPL_MUL && (a.kind == LM_TPL_TEXT || is_plain_list(a)) && is_whole(b))
        return repeat(r, a, b, ret);
    if (op == LM_TPL_MUL && (b.kind == LM_TPL_TEXT || is_plain_list(b)) && is_whole(a))
        return repeat(r, b, a, ret);
    if (op == LM_TPL_MOD && a.kind == LM_TPL_TEXT)
        return lm_tpl_fail(r, LM_EINVAL, "formatting a text with %% is not supported");
    return lm_tpl_fail(r, LM_EINVAL, "%s %s %s is not possible", lm_tpl_kind_name(a), op_text[op],
                       lm_tpl_kind_name(b));
}

/* ---- indexes ---- */

/* Byte offset of a character; len when there are fewer. */
static size_t offset_of(struct lm_tpl_text text, size_t chars)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    uint32_t cp;
    while (chars-- > 0 && at < end)
        at += lm_tpl_char(at, end, &cp);
    return (size_t)(at - text.ptr);
}

enum lm_rc lm_tpl_index(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value at,
                        struct lm_tpl_value *ret)
{
    const bool indexed = v.kind == LM_TPL_TEXT || (v.kind == LM_TPL_LIST && v.list->type < LM_TPL_SEQ_VIEW);
    *ret = lm_tpl_undefined(LM_STR("item"));
    if (!indexed || !is_whole(at))
        return LM_OK;
    int64_t count = 0, i = lm_tpl_integer(at);
    LM_TRY(lm_tpl_length(r, v, &count));
    i += i < 0 ? count : 0;
    if (i < 0 || i >= count)
        return LM_OK;
    if (v.kind == LM_TPL_LIST) {
        *ret = lm_tpl_list_at(v.list, (size_t)i);
        return LM_OK;
    }
    const size_t from = offset_of(v.text, (size_t)i);
    uint32_t cp;
    *ret = lm_tpl_sub(v.text, from, from + lm_tpl_char(v.text.ptr + from, v.text.ptr + v.text.len, &cp));
    return LM_OK;
}

/* Python's slice.indices: *start, and how many steps of *step from there. */
static enum lm_rc bounds_of(struct lm_tpl *r, const struct lm_tpl_value bounds[3], int64_t count,
                            int64_t *ret_start, int64_t *ret_step, int64_t *ret_steps)
{
    int64_t value[3] = { 0, 0, 1 };
    for (size_t i = 0; i < 3; i++) {
        if (bounds[i].kind == LM_TPL_NONE)
            continue;
        if (!is_whole(bounds[i]))
            return lm_tpl_fail(r, LM_EINVAL, "%s cannot bound a slice", lm_tpl_kind_name(bounds[i]));
        value[i] = lm_tpl_integer(bounds[i]);
    }
    const int64_t step = value[2];
    if (step == 0)
        return lm_tpl_fail(r, LM_EINVAL, "the step of a slice cannot be 0");
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
    for (size_t i = 0; i < 2; i++) {
        if (bounds[i].kind == LM_TPL_NONE) {
            value[i] = (step > 0) == (i == 0) ? low : high;
            continue;
        }
        value[i] += value[i] < 0 ? count : 0;
        value[i] = value[i] < low ? low : value[i] > high ? high : value[i];
    }
    const int64_t span = step > 0 ? value[1] - value[0] : value[0] - value[1];
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    *ret_start = value[0];
    *ret_step = step;
    *ret_steps = span > 0 ? (int64_t)(((uint64_t)span - 1) / stride) + 1 : 0;
    return LM_OK;
}

static enum lm_rc slice_text(struct lm_tpl *r, struct lm_tpl_text text, int64_t start, int64_t step,
                             int64_t steps, struct lm_tpl_value *ret)
{
    if (step == 1) {
        const size_t from = offset_of(text, (size_t)start);
        const struct lm_tpl_text rest = { text.ptr + from, text.origin + from, text.len - from };
        *ret = lm_tpl_sub(rest, 0, offset_of(rest, (size_t)steps));
        return LM_OK;
    }
    struct lm_tpl_list *chars;
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_iterate(r, lm_tpl_text(text), &chars));
    for (int64_t i = 0; i < steps; i++)
        LM_TRY(lm_tpl_put(r, chars->items[start + i * step].text));
    return lm_tpl_cut(r, mark, ret);
}

/* from + steps * step; what wraps around is behind the end of the range, and not looked at. */
static int64_t along(int64_t from, int64_t steps, int64_t step)
{
    return (int64_t)((uint64_t)from + (uint64_t)steps * (uint64_t)step);
}

enum lm_rc lm_tpl_slice(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value bounds[3],
                        struct lm_tpl_value *ret)
{
    int64_t count, start, step, steps;
    if (v.kind != LM_TPL_TEXT && !(v.kind == LM_TPL_LIST && v.list->type < LM_TPL_SEQ_VIEW))
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be sliced", lm_tpl_kind_name(v));
    LM_TRY(lm_tpl_length(r, v, &count));
    LM_TRY(bounds_of(r, bounds, count, &start, &step, &steps));
    if (v.kind == LM_TPL_TEXT)
        return slice_text(r, v.text, start, step, steps, ret);
    if (v.list->type == LM_TPL_SEQ_RANGE) {
        LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_RANGE, (size_t)steps, ret));
        ret->list->start = along(v.list->start, start, v.list->step);
        ret->list->step = along(0, step, v.list->step);
        ret->list->stop = along(ret->list->start, steps, ret->list->step);
        return LM_OK;
    }
    LM_TRY(lm_tpl_list_new(r, v.list->type, (size_t)steps, ret));
    for (int64_t i = 0; i < steps; i++)
        ret->list->items[i] = v.list->items[start + i * step];
    return LM_OK;
}
