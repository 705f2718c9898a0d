/* token/template_primary.c - operands: literals, names, brackets, and what follows them (.a [b] (c) | d, is
 * e). */
#include "token/template_impl.h"

static int shown(struct lm_str s)   // of a name in a message
{
    return s.len < 40 ? (int)s.len : 40;
}

/* ---- primaries ---- */

/* Neighbouring text literals are one. */
static void parse_text(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    struct lm_str text = p->at->text;
    const struct lm_tpl_token *first = p->at++;
    if (p->at->kind == LM_TPL_T_TEXT) {
        size_t len = 0;
        const struct lm_tpl_token *end = first;
        for (; end->kind == LM_TPL_T_TEXT; end++)
            len += end->text.len;
        char *joined = lm_arena_alloc(&p->t->arena, len);
        text = (struct lm_str){ joined, len };
        for (; p->at < end; p->at++)
            ;
        for (const struct lm_tpl_token *t = first; t < end; joined += t++->text.len)
            if (t->text.len > 0)
                memcpy(joined, t->text.ptr, t->text.len);
    }
    const uint8_t *origin = lm_arena_alloc(&p->t->arena, text.len);   // zero: the template's
    *ret = lm_tpl_value_node(p, lm_tpl_text((struct lm_tpl_text){ text.ptr, origin, text.len }));
    (*ret)->line = first->line;
}

static enum lm_rc parse_dict(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    const size_t from = p->stack_len;
    while (!lm_tpl_at_op(p, "}")) {
        struct lm_tpl_expr *key, *value;
        if (p->stack_len > from)
            LM_TRY(lm_tpl_want_op(p, ","));
        if (lm_tpl_at_op(p, "}"))
            break;
        LM_TRY(lm_tpl_parse_expr(p, &key));
        LM_TRY(lm_tpl_want_op(p, ":"));
        LM_TRY(lm_tpl_parse_expr(p, &value));
        lm_tpl_push(p, key);
        lm_tpl_push(p, value);
    }
    p->at++;
    *ret = lm_tpl_node(p, LM_TPL_E_DICT, from);
    return LM_OK;
}

static enum lm_rc parse_list(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    const size_t from = p->stack_len;
    while (!lm_tpl_at_op(p, "]")) {
        struct lm_tpl_expr *item;
        if (p->stack_len > from)
            LM_TRY(lm_tpl_want_op(p, ","));
        if (lm_tpl_at_op(p, "]"))
            break;
        LM_TRY(lm_tpl_parse_expr(p, &item));
        lm_tpl_push(p, item);
    }
    p->at++;
    *ret = lm_tpl_node(p, LM_TPL_E_LIST, from);
    return LM_OK;
}

/* (a), (a,), (a, b), (). */
static enum lm_rc parse_bracket(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    if (lm_tpl_skip_op(p, ")")) {
        *ret = lm_tpl_node(p, LM_TPL_E_TUPLE, p->stack_len);
        return LM_OK;
    }
    LM_TRY(lm_tpl_parse_tuple(p, true, ret));
    return lm_tpl_want_op(p, ")");
}

static void parse_name(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    static const struct {
        const char *name;
        enum lm_tpl_kind kind;
        bool truth;
    } constants[] = {
        { "true", LM_TPL_BOOL, true },   { "True", LM_TPL_BOOL, true }, { "false", LM_TPL_BOOL, false },
        { "False", LM_TPL_BOOL, false }, { "none", LM_TPL_NONE, 0 },    { "None", LM_TPL_NONE, 0 },
    };
    const struct lm_tpl_name name = lm_tpl_name(p->at->text);
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
        if (lm_str_eq(name.text, lm_str(constants[i].name))) {
            const bool none = constants[i].kind == LM_TPL_NONE;
            *ret = lm_tpl_value_node(p, none ? lm_tpl_none() : lm_tpl_bool(constants[i].truth));
            p->at++;
            return;
        }
    *ret = lm_tpl_expr_new(p, LM_TPL_E_NAME);
    (*ret)->name = name.text;
    (*ret)->hash = name.hash;
    p->at++;
}

static enum lm_rc parse_primary(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    const struct lm_tpl_token *t = p->at;
    switch (t->kind) {
    case LM_TPL_T_NAME:
        parse_name(p, ret);
        return LM_OK;
    case LM_TPL_T_TEXT:
        parse_text(p, ret);
        return LM_OK;
    case LM_TPL_T_INT:
        *ret = lm_tpl_value_node(p, lm_tpl_int(t->integer));
        p->at++;
        return LM_OK;
    case LM_TPL_T_FLOAT:
        *ret = lm_tpl_value_node(p, (struct lm_tpl_value){ .kind = LM_TPL_FLOAT, .real = t->real });
        p->at++;
        return LM_OK;
    default:
        break;
    }
    LM_TRY(lm_tpl_enter(p));
    enum lm_rc rc;
    if (lm_tpl_skip_op(p, "("))
        rc = parse_bracket(p, ret);
    else if (lm_tpl_skip_op(p, "["))
        rc = parse_list(p, ret);
    else if (lm_tpl_skip_op(p, "{"))
        rc = parse_dict(p, ret);
    else
        rc = lm_tpl_unexpected(p, "a value");
    p->depth--;
    return rc;
}

/* ---- calls, attributes, filters, tests ---- */

static enum lm_rc parse_argument(struct lm_tpl_parser *p, bool *named, struct lm_tpl_expr **ret,
                                 struct lm_str *ret_name)
{
    if (lm_tpl_at_op(p, "*"))
        return lm_tpl_refuse(p, LM_EFORMAT, p->at->line, "arguments with * are not supported");
    *ret_name = LM_STR("");
    if (p->at->kind == LM_TPL_T_NAME && p->at[1].kind == LM_TPL_T_OP &&
        lm_str_eq(p->at[1].text, LM_STR("="))) {
        *ret_name = p->at->text;
        p->at += 2;
        *named = true;
    } else if (*named) {
        return lm_tpl_refuse(p, LM_EFORMAT, p->at->line,
                             "an argument without a name follows one with a name");
    }
    return lm_tpl_parse_expr(p, ret);
}

/* Behind "(". */
static enum lm_rc parse_args(struct lm_tpl_parser *p, struct lm_tpl_args *ret)
{
    struct lm_str names[LM_TEMPLATE_ARGS_MAX];
    const size_t from = p->stack_len;
    size_t count = 0, position_count = 0;
    bool named = false;
    while (!lm_tpl_at_op(p, ")")) {
        struct lm_tpl_expr *item = NULL;
        if (count > 0)
            LM_TRY(lm_tpl_want_op(p, ","));
        if (lm_tpl_at_op(p, ")"))
            break;
        if (count == LM_TEMPLATE_ARGS_MAX)
            return lm_tpl_refuse(p, LM_ELIMIT, p->at->line, "a call has more than %d arguments",
                                 LM_TEMPLATE_ARGS_MAX);
        LM_TRY(parse_argument(p, &named, &item, &names[count]));
        position_count += !named;
        count++;
        lm_tpl_push(p, item);
    }
    p->at++;
    struct lm_str *kept = lm_arena_alloc(&p->t->arena, count * sizeof(*kept));
    if (count > 0)
        memcpy(kept, names, count * sizeof(*kept));
    *ret = (struct lm_tpl_args){ lm_tpl_pop_list(p, from), kept, count, position_count };
    return LM_OK;
}

static enum lm_rc parse_call(struct lm_tpl_parser *p, struct lm_tpl_args *ret)
{
    LM_TRY(lm_tpl_enter(p));
    const enum lm_rc rc = parse_args(p, ret);
    p->depth--;
    return rc;
}

static struct lm_tpl_step *push_step(struct lm_tpl_parser *p, enum lm_tpl_step_kind kind)
{
    struct lm_tpl_step *step = lm_arena_alloc(&p->t->arena, sizeof(*step));
    step->kind = kind;
    step->line = p->at->line;
    lm_tpl_push(p, step);
    return step;
}

static enum lm_rc parse_subscript(struct lm_tpl_parser *p)
{
    struct lm_tpl_step *step = push_step(p, LM_TPL_STEP_INDEX);
    size_t part = 0;
    bool empty = true;
    while (!lm_tpl_at_op(p, "]")) {
        if (lm_tpl_skip_op(p, ":")) {
            if (++part > 2)
                return lm_tpl_refuse(p, LM_EFORMAT, step->line, "a slice has more than three parts");
            step->kind = LM_TPL_STEP_SLICE;
            empty = true;
            continue;
        }
        if (lm_tpl_at_op(p, ","))
            return lm_tpl_refuse(p, LM_EFORMAT, step->line, "an index of several values is not supported");
        if (!empty)
            return lm_tpl_unexpected(p, "']'");
        LM_TRY(lm_tpl_enter(p));
        LM_TRY(lm_tpl_parse_expr(p, &step->index[part]));
        p->depth--;
        empty = false;
    }
    if (step->kind == LM_TPL_STEP_INDEX && empty)
        return lm_tpl_unexpected(p, "an index");
    p->at++;
    return LM_OK;
}

static enum lm_rc parse_attribute(struct lm_tpl_parser *p)
{
    struct lm_tpl_step *step = push_step(p, LM_TPL_STEP_ATTR);
    if (p->at->kind == LM_TPL_T_INT) {
        step->kind = LM_TPL_STEP_INDEX;
        step->index[0] = lm_tpl_value_node(p, lm_tpl_int(p->at->integer));
        p->at++;
        return LM_OK;
    }
    if (p->at->kind != LM_TPL_T_NAME)
        return lm_tpl_unexpected(p, "the name of an attribute");
    step->name = p->at++->text;
    if (lm_tpl_at_op(p, "(") && !lm_tpl_method_find(step->name))
        return lm_tpl_refuse(p, LM_EFORMAT, step->line, "method '%.*s' is not supported", shown(step->name),
                             step->name.ptr);
    return LM_OK;
}

static enum lm_rc parse_filter(struct lm_tpl_parser *p)
{
    struct lm_tpl_step *step = push_step(p, LM_TPL_STEP_FILTER);
    struct lm_tpl_name name;
    LM_TRY(lm_tpl_want_name(p, &name));
    step->name = name.text;
    step->filter = lm_tpl_filter_find(name.text);
    if (!step->filter)
        return lm_tpl_refuse(p, LM_EFORMAT, step->line, "filter '%.*s' is not supported", shown(name.text),
                             name.text.ptr);
    return lm_tpl_skip_op(p, "(") ? parse_call(p, &step->args) : LM_OK;
}

static enum lm_rc parse_postfix(struct lm_tpl_parser *p, struct lm_tpl_expr **in_out, bool filters);

/* `x is divisibleby 3`: one argument without brackets. */
static enum lm_rc parse_test_argument(struct lm_tpl_parser *p, struct lm_tpl_args *ret)
{
    static const char *const opens[] = { "(", "[", "{" };
    bool begins = p->at->kind >= LM_TPL_T_NAME && p->at->kind <= LM_TPL_T_FLOAT;
    for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++)
        begins |= lm_tpl_at_op(p, opens[i]);
    if (!begins || lm_tpl_at_name(p, "else") || lm_tpl_at_name(p, "or") || lm_tpl_at_name(p, "and"))
        return LM_OK;
    if (lm_tpl_at_name(p, "is"))
        return lm_tpl_refuse(p, LM_EFORMAT, p->at->line, "tests cannot be chained with is");
    struct lm_tpl_expr *value;
    LM_TRY(parse_primary(p, &value));
    LM_TRY(parse_postfix(p, &value, false));
    lm_tpl_push(p, value);
    *ret = (struct lm_tpl_args){ lm_tpl_pop_list(p, p->stack_len - 1),
                                 lm_arena_alloc(&p->t->arena, sizeof(struct lm_str)), 1, 1 };
    return LM_OK;
}

static enum lm_rc parse_test(struct lm_tpl_parser *p)
{
    struct lm_tpl_step *step = push_step(p, LM_TPL_STEP_TEST);
    struct lm_tpl_name name;
    step->negated = lm_tpl_skip_name(p, "not");
    LM_TRY(lm_tpl_want_name(p, &name));
    step->test = lm_tpl_test_find(name.text);
    if (!step->test)
        return lm_tpl_refuse(p, LM_EFORMAT, step->line, "test '%.*s' is not supported", shown(name.text),
                             name.text.ptr);
    return lm_tpl_skip_op(p, "(") ? parse_call(p, &step->args) : parse_test_argument(p, &step->args);
}

static enum lm_rc parse_call_step(struct lm_tpl_parser *p, const struct lm_tpl_expr *base, size_t from)
{
    static const char *const others[] = { "lipsum", "cycler", "joiner", "super", "self", "gettext", "_" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (base->kind == LM_TPL_E_NAME && p->stack_len == from && lm_str_eq(base->name, lm_str(others[i])))
            return lm_tpl_refuse(p, LM_EFORMAT, base->line, "function '%s' is not supported", others[i]);
    return parse_call(p, &push_step(p, LM_TPL_STEP_CALL)->args);
}

/* .a [b] (c), and with `filters` also | d and `is e`. */
static enum lm_rc parse_steps(struct lm_tpl_parser *p, const struct lm_tpl_expr *base, bool filters)
{
    const size_t from = p->stack_len;
    bool filtered = false;
    for (;;) {
        if (!filtered && lm_tpl_skip_op(p, "."))
            LM_TRY(parse_attribute(p));
        else if (!filtered && lm_tpl_skip_op(p, "["))
            LM_TRY(parse_subscript(p));
        else if (lm_tpl_skip_op(p, "("))
            LM_TRY(parse_call_step(p, base, from));
        else if (filters && lm_tpl_skip_op(p, "|"))
            LM_TRY(parse_filter(p));
        else if (filters && lm_tpl_skip_name(p, "is"))
            LM_TRY(parse_test(p));
        else
            return LM_OK;
        const struct lm_tpl_step *last = p->stack[p->stack_len - 1];
        filtered |= last->kind >= LM_TPL_STEP_FILTER;
    }
}

/* The pushed steps since `from`, in one array behind *in_out. */
static void add_steps(struct lm_tpl_parser *p, struct lm_tpl_expr **in_out, size_t from)
{
    const size_t count = p->stack_len - from;
    if (count == 0)
        return;
    struct lm_tpl_step *steps = lm_arena_alloc(&p->t->arena, count * sizeof(*steps));
    for (size_t i = 0; i < count; i++)
        steps[i] = *(const struct lm_tpl_step *)p->stack[from + i];
    p->stack_len = from;
    lm_tpl_push(p, *in_out);
    *in_out = lm_tpl_node(p, LM_TPL_E_POSTFIX, from);
    (*in_out)->steps = steps;
    (*in_out)->step_count = count;
}

static enum lm_rc parse_postfix(struct lm_tpl_parser *p, struct lm_tpl_expr **in_out, bool filters)
{
    const size_t from = p->stack_len;
    LM_TRY(parse_steps(p, *in_out, filters));
    add_steps(p, in_out, from);
    return LM_OK;
}

enum lm_rc lm_tpl_parse_filters(struct lm_tpl_parser *p, bool at_first, struct lm_tpl_expr **in_out)
{
    const size_t from = p->stack_len;
    while (at_first || lm_tpl_skip_op(p, "|")) {
        at_first = false;
        LM_TRY(parse_filter(p));
    }
    add_steps(p, in_out, from);
    return LM_OK;
}

/* ---- signs ---- */

enum lm_rc lm_tpl_parse_term(struct lm_tpl_parser *p, bool filters, struct lm_tpl_expr **ret)
{
    const bool minus = lm_tpl_at_op(p, "-");
    if (!minus && !lm_tpl_at_op(p, "+")) {
        struct lm_tpl_expr *primary = NULL;
        LM_TRY(parse_primary(p, &primary));
        LM_ASSERT(primary);
        *ret = primary;
        return parse_postfix(p, ret, filters);
    }
    LM_TRY(lm_tpl_enter(p));
    p->at++;
    struct lm_tpl_expr *of = NULL;
    LM_TRY(lm_tpl_parse_term(p, false, &of));
    LM_ASSERT(of);
    lm_tpl_push(p, of);
    *ret = lm_tpl_node(p, minus ? LM_TPL_E_NEGATE : LM_TPL_E_PLUS, p->stack_len - 1);
    p->depth--;
    return parse_postfix(p, ret, filters);
}
