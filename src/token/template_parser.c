/* token/template_parser.c - what all of the parser stands on: looking at tokens, refusing, making nodes. */
#include "token/template_impl.h"

#include <stdarg.h>
#include <stdio.h>

const struct lm_str lm_tpl_block_name = { "\0block", 6 };   // no name in a source can be this

#undef lm_tpl_refuse
enum lm_rc lm_tpl_refuse(struct lm_tpl_parser *p, enum lm_rc rc, uint32_t line, const char *format, ...)
{
    char text[LM_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return lm_fail(p->err, rc, "%s, line %u: %s", p->t->name, line, text);
}

static int shown(struct lm_str s)   // of a name in a message
{
    return s.len < 40 ? (int)s.len : 40;
}

enum lm_rc lm_tpl_unexpected(struct lm_tpl_parser *p, const char *wanted)
{
    const struct lm_tpl_token *t = p->at;
    static const char *const kinds[] = {
        [LM_TPL_T_END] = "the end of the template",
        [LM_TPL_T_DATA] = "text",
        [LM_TPL_T_BLOCK] = "{%",
        [LM_TPL_T_BLOCK_END] = "%}",
        [LM_TPL_T_PRINT] = "{{",
        [LM_TPL_T_PRINT_END] = "}}",
        [LM_TPL_T_TEXT] = "a text",
    };
    if (t->kind < sizeof(kinds) / sizeof(kinds[0]) && kinds[t->kind])
        return lm_tpl_refuse(p, LM_EFORMAT, t->line, "expected %s, found %s", wanted, kinds[t->kind]);
    return lm_tpl_refuse(p, LM_EFORMAT, t->line, "expected %s, found '%.*s'", wanted, shown(t->text),
                         t->text.ptr);
}

bool lm_tpl_at_op(const struct lm_tpl_parser *p, const char *op)
{
    return p->at->kind == LM_TPL_T_OP && lm_str_eq(p->at->text, lm_str(op));
}

bool lm_tpl_at_name(const struct lm_tpl_parser *p, const char *name)
{
    return p->at->kind == LM_TPL_T_NAME && lm_str_eq(p->at->text, lm_str(name));
}

bool lm_tpl_skip_op(struct lm_tpl_parser *p, const char *op)
{
    const bool found = lm_tpl_at_op(p, op);
    p->at += found;
    return found;
}

bool lm_tpl_skip_name(struct lm_tpl_parser *p, const char *name)
{
    const bool found = lm_tpl_at_name(p, name);
    p->at += found;
    return found;
}

enum lm_rc lm_tpl_want_op(struct lm_tpl_parser *p, const char *op)
{
    char wanted[8];
    snprintf(wanted, sizeof(wanted), "'%s'", op);
    return lm_tpl_skip_op(p, op) ? LM_OK : lm_tpl_unexpected(p, wanted);
}

enum lm_rc lm_tpl_want_name(struct lm_tpl_parser *p, struct lm_tpl_name *ret)
{
    if (p->at->kind != LM_TPL_T_NAME)
        return lm_tpl_unexpected(p, "a name");
    *ret = lm_tpl_name(p->at++->text);
    return LM_OK;
}

enum lm_rc lm_tpl_enter(struct lm_tpl_parser *p)
{
    if (p->depth == LM_TEMPLATE_DEPTH_MAX)
        return lm_tpl_refuse(p, LM_ELIMIT, p->at->line, "blocks and expressions are nested deeper than %d",
                             LM_TEMPLATE_DEPTH_MAX);
    p->depth++;
    return LM_OK;
}

void lm_tpl_push(struct lm_tpl_parser *p, void *item)
{
    lm_grow(&p->stack, &p->stack_cap, p->stack_len + 1, sizeof(*p->stack));
    p->stack[p->stack_len++] = item;
}

void *lm_tpl_pop_list(struct lm_tpl_parser *p, size_t from)
{
    const size_t bytes = (p->stack_len - from) * sizeof(*p->stack);
    void *list = lm_arena_alloc(&p->t->arena, bytes);
    if (bytes > 0)
        memcpy(list, p->stack + from, bytes);
    p->stack_len = from;
    return list;
}

struct lm_tpl_expr *lm_tpl_expr_new(struct lm_tpl_parser *p, enum lm_tpl_expr_kind kind)
{
    struct lm_tpl_expr *e = lm_arena_alloc(&p->t->arena, sizeof(*e));
    e->kind = kind;
    e->line = p->at->line;
    return e;
}

struct lm_tpl_expr *lm_tpl_node(struct lm_tpl_parser *p, enum lm_tpl_expr_kind kind, size_t from)
{
    struct lm_tpl_expr *e = lm_tpl_expr_new(p, kind);
    e->count = p->stack_len - from;
    e->kids = lm_tpl_pop_list(p, from);
    if (e->count > 0 && e->kids[0])
        e->line = e->kids[0]->line;
    return e;
}

struct lm_tpl_expr *lm_tpl_value_node(struct lm_tpl_parser *p, struct lm_tpl_value value)
{
    struct lm_tpl_expr *e = lm_tpl_expr_new(p, LM_TPL_E_VALUE);
    e->value = value;
    return e;
}
