/* token/template_eval.c - the value of an expression. */
#include "token/template_impl.h"

#include <stdio.h>

/* ---- arguments ---- */

static enum lm_rc eval_args(struct lm_tpl *r, const struct lm_tpl_args *args, struct lm_tpl_value *ret)
{
    for (size_t i = 0; i < args->count; i++)
        LM_TRY(lm_tpl_eval(r, args->items[i], &ret[i]));
    return LM_OK;
}

static struct lm_tpl_call call_of(const struct lm_tpl_args *args, const struct lm_tpl_value *values)
{
    return (struct lm_tpl_call){ values, args->names, args->count, args->position_count };
}

/* ---- attributes ---- */

static bool has_method(const struct lm_tpl_filter *m, struct lm_tpl_value v)
{
    return m && ((v.kind == LM_TPL_TEXT && m->run) || (v.kind == LM_TPL_DICT && m->on_dict) ||
                 (v.kind == LM_TPL_LIST && m->on_list));
}

static struct lm_tpl_value method_or_undefined(struct lm_tpl_value v, struct lm_str name)
{
    if (has_method(lm_tpl_method_find(name), v))
        return (struct lm_tpl_value){ .kind = LM_TPL_METHOD, .name = name };
    return lm_tpl_undefined(name);
}

static enum lm_rc fail_undefined(struct lm_tpl *r, struct lm_tpl_value v)
{
    return lm_tpl_fail(r, LM_EINVAL, "'%.*s' is undefined", v.name.len < 60 ? (int)v.name.len : 60,
                       v.name.ptr);
}

static struct lm_tpl_value loop_attr(const struct lm_tpl_loop *loop, struct lm_str name)
{
    const int64_t at = (int64_t)loop->at, count = (int64_t)loop->list->count;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "index", at + 1 },
                    { "index0", at },
                    { "revindex", count - at },
                    { "revindex0", count - at - 1 },
                    { "length", count },
                    { "depth", 1 },
                    { "depth0", 0 } };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (lm_str_eq(name, lm_str(numbers[i].name)))
            return lm_tpl_int(numbers[i].value);
    if (lm_str_eq(name, LM_STR("first")))
        return lm_tpl_bool(at == 0);
    if (lm_str_eq(name, LM_STR("last")))
        return lm_tpl_bool(at + 1 == count);
    if (lm_str_eq(name, LM_STR("previtem")) && at > 0)
        return lm_tpl_list_at(loop->list, loop->at - 1);
    if (lm_str_eq(name, LM_STR("nextitem")) && at + 1 < count)
        return lm_tpl_list_at(loop->list, loop->at + 1);
    return lm_tpl_undefined(name);
}

static enum lm_rc find_key(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value key,
                           struct lm_tpl_value *ret)
{
    const struct lm_tpl_value *known;
    LM_TRY(lm_tpl_dict_find(r, v.dict, key, &known));
    if (known)
        *ret = *known;
    else
        *ret = lm_tpl_undefined(key.kind == LM_TPL_TEXT ? lm_tpl_str(key) : LM_STR("item"));
    return LM_OK;
}

static struct lm_tpl_value text_of(struct lm_str name)   // to look up only: it has no origin
{
    return lm_tpl_text((struct lm_tpl_text){ name.ptr, NULL, name.len });
}

/* v.name */
static enum lm_rc attribute(struct lm_tpl *r, struct lm_tpl_value v, struct lm_str name,
                            struct lm_tpl_value *ret)
{
    if (v.kind == LM_TPL_UNDEFINED)
        return fail_undefined(r, v);
    *ret = method_or_undefined(v, name);
    if (ret->kind == LM_TPL_METHOD)
        return LM_OK;
    if (v.kind == LM_TPL_DICT || v.kind == LM_TPL_NAMESPACE)
        LM_TRY(find_key(r, v, text_of(name), ret));
    else if (v.kind == LM_TPL_LOOP)
        *ret = loop_attr(v.loop, name);
    return LM_OK;
}

enum lm_rc lm_tpl_attr(struct lm_tpl *r, struct lm_tpl_value v, struct lm_tpl_value name,
                       struct lm_tpl_value *ret)
{
    if (v.kind == LM_TPL_UNDEFINED)
        return fail_undefined(r, v);
    if (v.kind == LM_TPL_DICT) {
        LM_TRY(find_key(r, v, name, ret));
        if (ret->kind != LM_TPL_UNDEFINED || name.kind != LM_TPL_TEXT)
            return LM_OK;
    }
    if (name.kind == LM_TPL_TEXT)
        return attribute(r, v, lm_tpl_str(name), ret);
    return lm_tpl_index(r, v, name, ret);
}

/* ---- steps ---- */

static enum lm_rc call_method(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *attr,
                              const struct lm_tpl_args *args, struct lm_tpl_value *ret)
{
    struct lm_tpl_value values[LM_TEMPLATE_ARGS_MAX], bound[LM_TPL_PARAMS_MAX] = { 0 };
    char name[32];
    if (v.kind == LM_TPL_UNDEFINED)
        return fail_undefined(r, v);
    const struct lm_tpl_filter *m = lm_tpl_method_find(attr->name);
    if (!has_method(m, v))
        return lm_tpl_fail(r, LM_EINVAL, "%s has no method '%s'", lm_tpl_kind_name(v), m->name);
    LM_TRY(eval_args(r, args, values));
    r->line = attr->line;
    const struct lm_tpl_call call = call_of(args, values);
    snprintf(name, sizeof(name), "%s()", m->name);
    LM_TRY(lm_tpl_bind_args(r, name, m->params, m->required, &call, bound));
    lm_tpl_filter_fn *run = v.kind == LM_TPL_TEXT ? m->run : v.kind == LM_TPL_DICT ? m->on_dict : m->on_list;
    return run(r, v, bound, ret);
}

static enum lm_rc call_value(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                             struct lm_tpl_value *ret)
{
    struct lm_tpl_value values[LM_TEMPLATE_ARGS_MAX];
    if (v.kind == LM_TPL_UNDEFINED)
        return fail_undefined(r, v);
    if (v.kind != LM_TPL_FUNCTION && v.kind != LM_TPL_MACRO)
        return lm_tpl_fail(r, LM_EINVAL, "%s cannot be called", lm_tpl_kind_name(v));
    LM_TRY(eval_args(r, &step->args, values));
    r->line = step->line;
    const struct lm_tpl_call call = call_of(&step->args, values);
    if (v.kind == LM_TPL_FUNCTION)
        return v.function->run(r, &call, ret);
    return lm_tpl_call_macro(r, v.macro, &call, step == r->caller_step ? r->caller : NULL, ret);
}

static enum lm_rc apply_filter(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                               struct lm_tpl_value *ret)
{
    struct lm_tpl_value values[LM_TEMPLATE_ARGS_MAX];
    LM_TRY(eval_args(r, &step->args, values));
    r->line = step->line;
    const struct lm_tpl_call call = call_of(&step->args, values);
    return lm_tpl_run_filter(r, step->filter, v, &call, ret);
}

static enum lm_rc apply_test(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                             struct lm_tpl_value *ret)
{
    struct lm_tpl_value values[LM_TEMPLATE_ARGS_MAX];
    bool truth;
    LM_TRY(eval_args(r, &step->args, values));
    r->line = step->line;
    const struct lm_tpl_call call = call_of(&step->args, values);
    LM_TRY(lm_tpl_run_test(r, step->test, v, &call, &truth));
    *ret = lm_tpl_bool(truth != step->negated);
    return LM_OK;
}

static enum lm_rc apply_slice(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                              struct lm_tpl_value *ret)
{
    struct lm_tpl_value bounds[3];
    for (size_t i = 0; i < 3; i++) {
        bounds[i] = lm_tpl_none();
        if (step->index[i])
            LM_TRY(lm_tpl_eval(r, step->index[i], &bounds[i]));
    }
    r->line = step->line;
    return v.kind == LM_TPL_UNDEFINED ? fail_undefined(r, v) : lm_tpl_slice(r, v, bounds, ret);
}

static enum lm_rc apply_index(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                              struct lm_tpl_value *ret)
{
    struct lm_tpl_value at;
    LM_TRY(lm_tpl_eval(r, step->index[0], &at));
    r->line = step->line;
    return lm_tpl_attr(r, v, at, ret);
}

static enum lm_rc apply(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_step *step,
                        struct lm_tpl_value *ret)
{
    r->line = step->line;
    switch (step->kind) {
    case LM_TPL_STEP_ATTR:
        return attribute(r, v, step->name, ret);
    case LM_TPL_STEP_INDEX:
        return apply_index(r, v, step, ret);
    case LM_TPL_STEP_SLICE:
        return apply_slice(r, v, step, ret);
    case LM_TPL_STEP_CALL:
        return call_value(r, v, step, ret);
    case LM_TPL_STEP_FILTER:
        return apply_filter(r, v, step, ret);
    case LM_TPL_STEP_TEST:
        return apply_test(r, v, step, ret);
    }
    LM_ASSERT(!"a step has one of these kinds");
    return LM_EINVAL;
}

static enum lm_rc eval_postfix(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    struct lm_tpl_value v;
    LM_TRY(lm_tpl_eval(r, e->kids[0], &v));
    for (size_t i = 0; i < e->step_count; i++) {
        const struct lm_tpl_step *step = &e->steps[i];
        const struct lm_tpl_step *next = i + 1 < e->step_count ? step + 1 : NULL;
        struct lm_tpl_value made = lm_tpl_none();
        LM_TRY(lm_tpl_work(r, 1));
        if (step->kind == LM_TPL_STEP_ATTR && next && next->kind == LM_TPL_STEP_CALL) {
            LM_TRY(call_method(r, v, step, &next->args, &made));
            i++;
        } else {
            LM_TRY(apply(r, v, step, &made));
        }
        v = made;
    }
    *ret = v;
    return LM_OK;
}

/* ---- operators ---- */

static enum lm_rc eval_list(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    const enum lm_tpl_sequence type = e->kind == LM_TPL_E_LIST ? LM_TPL_SEQ_LIST : LM_TPL_SEQ_TUPLE;
    LM_TRY(lm_tpl_list_new(r, type, e->count, ret));
    for (size_t i = 0; i < e->count; i++)
        LM_TRY(lm_tpl_eval(r, e->kids[i], &ret->list->items[i]));
    return LM_OK;
}

static enum lm_rc eval_dict(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_dict_new(r, LM_TPL_DICT, ret));
    for (size_t i = 0; i < e->count; i += 2) {
        struct lm_tpl_value key, value;
        LM_TRY(lm_tpl_eval(r, e->kids[i], &key));
        LM_TRY(lm_tpl_eval(r, e->kids[i + 1], &value));
        LM_TRY(lm_tpl_dict_put(r, ret->dict, key, value));
    }
    return LM_OK;
}

static enum lm_rc eval_math(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_eval(r, e->kids[0], ret));
    for (size_t i = 1; i < e->count; i++) {
        struct lm_tpl_value right, made;
        LM_TRY(lm_tpl_eval(r, e->kids[i], &right));
        r->line = e->kids[i]->line;
        LM_TRY(lm_tpl_math(r, (enum lm_tpl_op)e->ops[i - 1], *ret, right, &made));
        *ret = made;
    }
    return LM_OK;
}

static enum lm_rc eval_concat(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    struct lm_tpl_text text = { "", (const uint8_t *)"", 0 };
    for (size_t i = 0; i < e->count; i++) {
        struct lm_tpl_value v;
        struct lm_tpl_text right;
        LM_TRY(lm_tpl_eval(r, e->kids[i], &v));
        LM_TRY(lm_tpl_to_text(r, v, &right));
        LM_TRY(lm_tpl_concat(r, text, right, ret));
        text = ret->text;
    }
    return LM_OK;
}

static enum lm_rc compare(struct lm_tpl *r, enum lm_tpl_op op, struct lm_tpl_value a, struct lm_tpl_value b,
                          bool *ret)
{
    int order;
    switch (op) {
    case LM_TPL_EQ:
        return lm_tpl_equal(r, a, b, ret);
    case LM_TPL_NE:
        LM_TRY(lm_tpl_equal(r, a, b, ret));
        *ret = !*ret;
        return LM_OK;
    case LM_TPL_IN:
        return lm_tpl_contains(r, a, b, ret);
    case LM_TPL_NOT_IN:
        LM_TRY(lm_tpl_contains(r, a, b, ret));
        *ret = !*ret;
        return LM_OK;
    default:
        break;
    }
    LM_TRY(lm_tpl_order(r, a, b, &order));
    *ret = (op == LM_TPL_LT && order == -1) || (op == LM_TPL_GT && order == 1) ||
           (op == LM_TPL_LE && (order == -1 || order == 0)) ||
           (op == LM_TPL_GE && (order == 1 || order == 0));
    return LM_OK;
}

static enum lm_rc eval_compare(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    struct lm_tpl_value left, right;
    bool truth = true;
    LM_TRY(lm_tpl_eval(r, e->kids[0], &left));
    for (size_t i = 1; i < e->count && truth; i++) {
        LM_TRY(lm_tpl_eval(r, e->kids[i], &right));
        r->line = e->kids[i]->line;
        LM_TRY(compare(r, (enum lm_tpl_op)e->ops[i - 1], left, right, &truth));
        left = right;
    }
    *ret = lm_tpl_bool(truth);
    return LM_OK;
}

/* The first operand that decides, itself. */
static enum lm_rc eval_words(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    for (size_t i = 0; i < e->count; i++) {
        LM_TRY(lm_tpl_eval(r, e->kids[i], ret));
        if (lm_tpl_true(*ret) == (e->kind == LM_TPL_E_OR))
            return LM_OK;
    }
    return LM_OK;
}

static enum lm_rc eval_if(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    struct lm_tpl_value condition;
    LM_TRY(lm_tpl_eval(r, e->kids[1], &condition));
    if (lm_tpl_true(condition))
        return lm_tpl_eval(r, e->kids[0], ret);
    if (e->kids[2])
        return lm_tpl_eval(r, e->kids[2], ret);
    *ret = lm_tpl_undefined(LM_STR("inline if without else"));
    return LM_OK;
}

static enum lm_rc eval_unary(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    struct lm_tpl_value v;
    LM_TRY(lm_tpl_eval(r, e->kids[0], &v));
    r->line = e->line;
    if (e->kind == LM_TPL_E_NOT) {
        *ret = lm_tpl_bool(!lm_tpl_true(v));
        return LM_OK;
    }
    if (e->kind == LM_TPL_E_NEGATE)
        return lm_tpl_negate(r, v, ret);
    if (!lm_tpl_is_number(v))
        return lm_tpl_fail(r, LM_EINVAL, "+ cannot stand before %s", lm_tpl_kind_name(v));
    *ret = v.kind == LM_TPL_BOOL ? lm_tpl_int(v.truth) : v;
    return LM_OK;
}

static enum lm_rc eval_node(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    switch (e->kind) {
    case LM_TPL_E_LIST:
    case LM_TPL_E_TUPLE:
        return eval_list(r, e, ret);
    case LM_TPL_E_DICT:
        return eval_dict(r, e, ret);
    case LM_TPL_E_MATH:
        return eval_math(r, e, ret);
    case LM_TPL_E_CONCAT:
        return eval_concat(r, e, ret);
    case LM_TPL_E_COMPARE:
        return eval_compare(r, e, ret);
    case LM_TPL_E_AND:
    case LM_TPL_E_OR:
        return eval_words(r, e, ret);
    case LM_TPL_E_IF:
        return eval_if(r, e, ret);
    case LM_TPL_E_POSTFIX:
        return eval_postfix(r, e, ret);
    default:
        return eval_unary(r, e, ret);
    }
}

enum lm_rc lm_tpl_eval(struct lm_tpl *r, const struct lm_tpl_expr *e, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_work(r, 1));
    r->line = e->line;
    if (e->kind == LM_TPL_E_VALUE) {
        *ret = e->value;
        return LM_OK;
    }
    if (e->kind == LM_TPL_E_NAME) {
        const struct lm_tpl_name name = { e->name, e->hash };
        return lm_tpl_lookup(r, &name, ret);
    }
    LM_TRY(lm_tpl_deeper(r));
    const enum lm_rc rc = eval_node(r, e, ret);
    r->nest--;
    return rc;
}
