/* token/template_expr.c - operators: in the order of precedence of jinja2's parser.
 *
 * Chains (a + b + c, x.a.b|f) become one flat node, so that depth is the depth of brackets and prefixes only;
 * lm_tpl_enter limits it. */
#include "token/template_impl.h"

struct joint {
    const char *text;
    enum lm_tpl_op op;
};

static const struct joint *find_joint(const struct lm_tpl_parser *p, const struct joint *ops)
{
    while (ops->text && !lm_tpl_at_op(p, ops->text))
        ops++;
    return ops->text ? ops : NULL;
}

typedef enum lm_rc parse_fn(struct lm_tpl_parser *p, struct lm_tpl_expr **ret);

/* operand (operator operand)*: one flat node. */
static enum lm_rc parse_chain(struct lm_tpl_parser *p, const struct joint *ops, parse_fn *operand,
                              enum lm_tpl_expr_kind kind, struct lm_tpl_expr **ret)
{
    const struct joint *op;
    LM_TRY(operand(p, ret));
    if (!find_joint(p, ops))
        return LM_OK;
    const size_t from = p->stack_len;
    struct lm_buf codes = { 0 };
    enum lm_rc rc = LM_OK;
    lm_tpl_push(p, *ret);
    while (rc == LM_OK && (op = find_joint(p, ops)) != NULL) {
        p->at++;
        lm_buf_putc(&codes, (char)op->op);
        rc = operand(p, ret);
        lm_tpl_push(p, *ret);
    }
    *ret = lm_tpl_node(p, kind, from);
    (*ret)->ops = (const uint8_t *)lm_arena_strndup(&p->t->arena, codes.ptr, codes.len);
    lm_buf_release(&codes);
    return rc;
}

static enum lm_rc parse_term(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    return lm_tpl_parse_term(p, true, ret);
}

static enum lm_rc parse_product(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    static const struct joint ops[] = {
        { "*", LM_TPL_MUL }, { "/", LM_TPL_DIV }, { "//", LM_TPL_FLOORDIV }, { "%", LM_TPL_MOD }, { NULL, 0 }
    };
    return parse_chain(p, ops, parse_term, LM_TPL_E_MATH, ret);
}

static enum lm_rc parse_concat(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    static const struct joint ops[] = { { "~", LM_TPL_ADD }, { NULL, 0 } };
    return parse_chain(p, ops, parse_product, LM_TPL_E_CONCAT, ret);
}

static enum lm_rc parse_sum(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    static const struct joint ops[] = { { "+", LM_TPL_ADD }, { "-", LM_TPL_SUB }, { NULL, 0 } };
    return parse_chain(p, ops, parse_concat, LM_TPL_E_MATH, ret);
}

static bool skip_comparison(struct lm_tpl_parser *p, enum lm_tpl_op *ret)
{
    static const struct joint ops[] = { { "==", LM_TPL_EQ }, { "!=", LM_TPL_NE }, { "<=", LM_TPL_LE },
                                        { ">=", LM_TPL_GE }, { "<", LM_TPL_LT },  { ">", LM_TPL_GT },
                                        { NULL, 0 } };
    const struct joint *op = find_joint(p, ops);
    if (op) {
        *ret = op->op;
        p->at++;
        return true;
    }
    *ret = lm_tpl_at_name(p, "not") ? LM_TPL_NOT_IN : LM_TPL_IN;
    const struct lm_tpl_token *in = p->at + (*ret == LM_TPL_NOT_IN);
    if (in->kind != LM_TPL_T_NAME || !lm_str_eq(in->text, LM_STR("in")))
        return false;
    p->at = in + 1;
    return true;
}

static enum lm_rc parse_comparison(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    enum lm_tpl_op op;
    LM_TRY(parse_sum(p, ret));
    if (!skip_comparison(p, &op))
        return LM_OK;
    const size_t from = p->stack_len;
    struct lm_buf codes = { 0 };
    enum lm_rc rc;
    lm_tpl_push(p, *ret);
    do {
        lm_buf_putc(&codes, (char)op);
        rc = parse_sum(p, ret);
        lm_tpl_push(p, *ret);
    } while (rc == LM_OK && skip_comparison(p, &op));
    *ret = lm_tpl_node(p, LM_TPL_E_COMPARE, from);
    (*ret)->ops = (const uint8_t *)lm_arena_strndup(&p->t->arena, codes.ptr, codes.len);
    lm_buf_release(&codes);
    return rc;
}

static enum lm_rc parse_not(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    if (!lm_tpl_skip_name(p, "not"))
        return parse_comparison(p, ret);
    LM_TRY(lm_tpl_enter(p));
    struct lm_tpl_expr *of;
    LM_TRY(parse_not(p, &of));
    lm_tpl_push(p, of);
    *ret = lm_tpl_node(p, LM_TPL_E_NOT, p->stack_len - 1);
    p->depth--;
    return LM_OK;
}

/* and, or: operands joined by a word. */
static enum lm_rc parse_words(struct lm_tpl_parser *p, const char *word, parse_fn *operand,
                              enum lm_tpl_expr_kind kind, struct lm_tpl_expr **ret)
{
    LM_TRY(operand(p, ret));
    if (!lm_tpl_at_name(p, word))
        return LM_OK;
    const size_t from = p->stack_len;
    lm_tpl_push(p, *ret);
    while (lm_tpl_skip_name(p, word)) {
        LM_TRY(operand(p, ret));
        lm_tpl_push(p, *ret);
    }
    *ret = lm_tpl_node(p, kind, from);
    return LM_OK;
}

static enum lm_rc parse_and(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    return parse_words(p, "and", parse_not, LM_TPL_E_AND, ret);
}

enum lm_rc lm_tpl_parse_no_if(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    return parse_words(p, "or", parse_and, LM_TPL_E_OR, ret);
}

/* then if condition else other; the other is again such an expression. */
static enum lm_rc parse_if(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    struct lm_tpl_expr *condition, *other = NULL;
    LM_TRY(lm_tpl_parse_no_if(p, ret));
    while (lm_tpl_skip_name(p, "if")) {
        const size_t from = p->stack_len;
        LM_TRY(lm_tpl_parse_no_if(p, &condition));
        other = NULL;
        LM_TRY(lm_tpl_enter(p));
        if (lm_tpl_skip_name(p, "else"))
            LM_TRY(parse_if(p, &other));
        p->depth--;
        lm_tpl_push(p, *ret);
        lm_tpl_push(p, condition);
        lm_tpl_push(p, other);
        *ret = lm_tpl_node(p, LM_TPL_E_IF, from);
    }
    return LM_OK;
}

enum lm_rc lm_tpl_parse_expr(struct lm_tpl_parser *p, struct lm_tpl_expr **ret)
{
    return parse_if(p, ret);
}

/* a, or a tuple a, b without brackets. */
enum lm_rc lm_tpl_parse_tuple(struct lm_tpl_parser *p, bool with_if, struct lm_tpl_expr **ret)
{
    parse_fn *item = with_if ? lm_tpl_parse_expr : lm_tpl_parse_no_if;
    LM_TRY(item(p, ret));
    if (!lm_tpl_at_op(p, ","))
        return LM_OK;
    const size_t from = p->stack_len;
    lm_tpl_push(p, *ret);
    while (lm_tpl_skip_op(p, ",")) {
        const bool ends =
            p->at->kind == LM_TPL_T_BLOCK_END || p->at->kind == LM_TPL_T_PRINT_END || lm_tpl_at_op(p, ")");
        if (ends)
            break;
        LM_TRY(item(p, ret));
        lm_tpl_push(p, *ret);
    }
    *ret = lm_tpl_node(p, LM_TPL_E_TUPLE, from);
    return LM_OK;
}
