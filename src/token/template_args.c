/* token/template_args.c - arguments to parameters, and the functions of templates: range, namespace, dict,
 * raise_exception, strftime_now. */
#include "token/template_impl.h"

#include <stdio.h>

static int shown(struct lm_str s)   // of a name in a message
{
    return s.len < 60 ? (int)s.len : 60;
}

/* Index of `name` among the blank-separated params; LM_TPL_PARAMS_MAX when it is not there. */
static size_t find_param(const char *params, struct lm_str name)
{
    struct lm_str rest = lm_str(params), param;
    for (size_t i = 0; params[0] && lm_str_split(&rest, ' ', &param); i++)
        if (lm_str_eq(param, name))
            return i;
    return LM_TPL_PARAMS_MAX;
}

static size_t count_params(const char *params)
{
    size_t count = params[0] != '\0';
    for (const char *p = params; *p; p++)
        count += *p == ' ';
    return count;
}

enum lm_rc lm_tpl_bind_args(struct lm_tpl *r, const char *what, const char *params, size_t required,
                            const struct lm_tpl_call *call, struct lm_tpl_value ret[LM_TPL_PARAMS_MAX])
{
    const size_t count = count_params(params);
    LM_ASSERT(count <= LM_TPL_PARAMS_MAX);
    for (size_t i = 0; i < LM_TPL_PARAMS_MAX; i++)
        ret[i] = (struct lm_tpl_value){ .kind = LM_TPL_UNDEFINED };
    if (call->position_count > count)
        return lm_tpl_fail(r, LM_EINVAL, "%s takes at most %zu arguments, and got %zu", what, count,
                           call->position_count);
    for (size_t i = 0; i < call->count; i++) {
        const size_t param = i < call->position_count ? i : find_param(params, call->names[i]);
        if (param == LM_TPL_PARAMS_MAX)
            return lm_tpl_fail(r, LM_EINVAL, "%s has no parameter '%.*s'", what, shown(call->names[i]),
                               call->names[i].ptr);
        if (lm_tpl_given(ret[param]))
            return lm_tpl_fail(r, LM_EINVAL, "%s got argument %zu twice", what, param + 1);
        ret[param] = call->items[i];
    }
    for (size_t i = 0; i < required; i++)
        if (!lm_tpl_given(ret[i]))
            return lm_tpl_fail(r, LM_EINVAL, "%s lacks its argument %zu", what, i + 1);
    return LM_OK;
}

enum lm_rc lm_tpl_want_text(struct lm_tpl *r, struct lm_tpl_value v, const char *what,
                            struct lm_tpl_text *ret)
{
    if (v.kind != LM_TPL_TEXT)
        return lm_tpl_fail(r, LM_EINVAL, "%s must be a text, and is %s", what, lm_tpl_kind_name(v));
    *ret = v.text;
    return LM_OK;
}

enum lm_rc lm_tpl_want_int(struct lm_tpl *r, struct lm_tpl_value v, const char *what, int64_t *ret)
{
    if (v.kind != LM_TPL_INT && v.kind != LM_TPL_BOOL)
        return lm_tpl_fail(r, LM_EINVAL, "%s must be an integer, and is %s", what, lm_tpl_kind_name(v));
    *ret = lm_tpl_integer(v);
    return LM_OK;
}

/* ---- functions ---- */

static enum lm_rc range(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    int64_t bound[3] = { 0, 0, 1 };
    LM_TRY(lm_tpl_bind_args(r, "range()", "start stop step", 1, call, args));
    for (size_t i = 0; i < 3; i++)
        if (lm_tpl_given(args[i]))
            LM_TRY(lm_tpl_want_int(r, args[i], "a bound of range()", &bound[i]));
    if (!lm_tpl_given(args[1])) {
        bound[1] = bound[0];
        bound[0] = 0;
    }
    if (bound[2] == 0)
        return lm_tpl_fail(r, LM_EINVAL, "the step of range() cannot be 0");
    const bool up = bound[2] > 0;
    uint64_t count = 0;
    if (up ? bound[0] < bound[1] : bound[0] > bound[1]) {
        const uint64_t span =
            up ? (uint64_t)bound[1] - (uint64_t)bound[0] : (uint64_t)bound[0] - (uint64_t)bound[1];
        const uint64_t stride = up ? (uint64_t)bound[2] : 0 - (uint64_t)bound[2];
        count = (span - 1) / stride + 1;
    }
    if (count > LM_TEMPLATE_RANGE_MAX)
        return lm_tpl_fail(r, LM_ELIMIT, "range() of %llu items is longer than %d", (unsigned long long)count,
                           LM_TEMPLATE_RANGE_MAX);
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_RANGE, (size_t)count, ret));
    ret->list->start = bound[0];
    ret->list->stop = bound[1];
    ret->list->step = bound[2];
    return LM_OK;
}

/* namespace(a=1), dict(a=1), dict(other, a=1). */
static enum lm_rc make_dict(struct lm_tpl *r, enum lm_tpl_kind kind, const struct lm_tpl_call *call,
                            struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_dict_new(r, kind, ret));
    if (call->position_count > 1)
        return lm_tpl_fail(r, LM_EINVAL, "a dict is made of one other dict at most");
    if (call->position_count == 1 && call->items[0].kind != LM_TPL_DICT)
        return lm_tpl_fail(r, LM_EINVAL, "a dict cannot be made of %s", lm_tpl_kind_name(call->items[0]));
    for (size_t i = 0; call->position_count == 1 && i < call->items[0].dict->count; i++) {
        const struct lm_tpl_pair *pair = &call->items[0].dict->pairs[i];
        LM_TRY(lm_tpl_dict_put(r, ret->dict, pair->key, pair->value));
    }
    for (size_t i = call->position_count; i < call->count; i++) {
        struct lm_tpl_value key;
        LM_TRY(lm_tpl_data(r, call->names[i], LM_ORIGIN_TEMPLATE, &key));
        LM_TRY(lm_tpl_dict_put(r, ret->dict, key, call->items[i]));
    }
    return LM_OK;
}

static enum lm_rc make_namespace(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    return make_dict(r, LM_TPL_NAMESPACE, call, ret);
}

static enum lm_rc make_plain_dict(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    return make_dict(r, LM_TPL_DICT, call, ret);
}

static enum lm_rc raise(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    enum { SHOWN_MAX = 300 };
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    struct lm_tpl_text text;
    (void)ret;
    LM_TRY(lm_tpl_bind_args(r, "raise_exception()", "message", 1, call, args));
    LM_TRY(lm_tpl_to_text(r, args[0], &text));
    return lm_tpl_fail(r, LM_EINVAL, "the template refuses the conversation: %.*s",
                       text.len < SHOWN_MAX ? (int)text.len : SHOWN_MAX, text.ptr);
}

/* One directive of strftime, in English; `plain` leaves out the zeros in front (%-d). */
static bool put_time(char directive, bool plain, const struct tm *t, struct lm_buf *ret)
{
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };
    const int hour12 = (t->tm_hour + 11) % 12 + 1;
    const struct {
        char letter;
        uint8_t width;
        int value;
    } numbers[] = { { 'Y', 4, t->tm_year + 1900 }, { 'm', 2, t->tm_mon + 1 },  { 'd', 2, t->tm_mday },
                    { 'H', 2, t->tm_hour },        { 'M', 2, t->tm_min },      { 'S', 2, t->tm_sec },
                    { 'y', 2, t->tm_year % 100 },  { 'j', 3, t->tm_yday + 1 }, { 'I', 2, hour12 } };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (directive == numbers[i].letter) {
            lm_buf_printf(ret, "%0*d", plain ? 1 : numbers[i].width, numbers[i].value);
            return true;
        }
    const char *const month = months[t->tm_mon], *const day = days[t->tm_wday];
    switch (directive) {
    case 'B':
    case 'b':
        lm_buf_printf(ret, "%.*s", directive == 'b' ? 3 : 9, month);
        return true;
    case 'A':
    case 'a':
        lm_buf_printf(ret, "%.*s", directive == 'a' ? 3 : 9, day);
        return true;
    case 'p':
        lm_buf_puts(ret, t->tm_hour < 12 ? "AM" : "PM");
        return true;
    case '%':
        lm_buf_putc(ret, '%');
        return true;
    default:
        return false;
    }
}

static enum lm_rc format_time(struct lm_tpl *r, struct lm_tpl_text format, const struct tm *t,
                              struct lm_buf *ret)
{
    for (size_t i = 0; i < format.len; i++) {
        if (format.ptr[i] != '%') {
            lm_buf_putc(ret, format.ptr[i]);
            continue;
        }
        const bool plain = i + 1 < format.len && format.ptr[i + 1] == '-';
        i += 1 + (size_t)plain;
        if (i >= format.len || !put_time(format.ptr[i], plain, t, ret))
            return lm_tpl_fail(r, LM_EINVAL, "strftime_now() does not know %%%.*s", i < format.len ? 1 : 0,
                               i < format.len ? format.ptr + i : "");
    }
    return LM_OK;
}

static enum lm_rc strftime_now(struct lm_tpl *r, const struct lm_tpl_call *call, struct lm_tpl_value *ret)
{
    enum { FORMAT_MAX = 128 };
    struct lm_tpl_value args[LM_TPL_PARAMS_MAX];
    struct lm_tpl_text format;
    const time_t now = (time_t)r->now_s;
    struct tm parts;
    struct lm_buf text = { 0 };
    LM_TRY(lm_tpl_bind_args(r, "strftime_now()", "format", 1, call, args));
    LM_TRY(lm_tpl_want_text(r, args[0], "the format of strftime_now()", &format));
    if (format.len > FORMAT_MAX || !gmtime_r(&now, &parts))
        return lm_tpl_fail(r, LM_ELIMIT, "the format of strftime_now() is longer than %d bytes", FORMAT_MAX);
    const size_t mark = r->out_len;
    enum lm_rc rc = format_time(r, format, &parts, &text);
    if (rc == LM_OK)
        rc = lm_tpl_put_own(r, lm_buf_str(&text), lm_tpl_origin(args[0]));
    lm_buf_release(&text);
    return rc == LM_OK ? lm_tpl_cut(r, mark, ret) : rc;
}

/* A row: a name that templates may call. */
static const struct lm_tpl_function functions[] = {
    { "range", range },           { "namespace", make_namespace },  { "dict", make_plain_dict },
    { "raise_exception", raise }, { "strftime_now", strftime_now },
};

const struct lm_tpl_function *lm_tpl_function_find(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (lm_str_eq(name, lm_str(functions[i].name)))
            return &functions[i];
    return NULL;
}
