/* token/template_parse.c - statements: tokens to tree; and a template as a whole. */
#include "token/template_impl.h"

static int shown(struct lm_str s)   // of a name in a message
{
    return s.len < 40 ? (int)s.len : 40;
}

static struct lm_tpl_stmt *stmt_new(struct lm_tpl_parser *p, enum lm_tpl_stmt_kind kind)
{
    struct lm_tpl_stmt *s = lm_arena_alloc(&p->t->arena, sizeof(*s));
    s->kind = kind;
    s->line = p->at->line;
    return s;
}

static enum lm_rc want_block_end(struct lm_tpl_parser *p)
{
    if (p->at->kind != LM_TPL_T_BLOCK_END)
        return lm_tpl_unexpected(p, "%}");
    p->at++;
    return LM_OK;
}

/* ---- bodies ---- */

/* Is the parser at `{% word` with one of these words? */
static bool at_tag(const struct lm_tpl_parser *p, const char *const *words)
{
    if (p->at->kind != LM_TPL_T_BLOCK || p->at[1].kind != LM_TPL_T_NAME)
        return false;
    for (; *words; words++)
        if (lm_str_eq(p->at[1].text, lm_str(*words)))
            return true;
    return false;
}

static bool at_end_tag(const struct lm_tpl_parser *p)
{
    static const char *const words[] = { "elif",    "else",          "endif",   "endfor",
                                         "endset",  "endmacro",      "endcall", "endfilter",
                                         "endwith", "endgeneration", NULL };
    return at_tag(p, words);
}

static enum lm_rc parse_stmt(struct lm_tpl_parser *p, struct lm_tpl_stmt **ret);

/* Statements up to a tag that ends a body, or to the end of the template. */
enum lm_rc lm_tpl_parse_body(struct lm_tpl_parser *p, struct lm_tpl_stmt **ret)
{
    struct lm_tpl_stmt **next = ret;
    *ret = NULL;
    LM_TRY(lm_tpl_enter(p));
    while (p->at->kind != LM_TPL_T_END && !at_end_tag(p)) {
        LM_TRY(parse_stmt(p, next));
        next = &(*next)->next;
    }
    p->depth--;
    return LM_OK;
}

/* Body and its end tag: the parser is behind `{% word ... %}` and then behind `{% end %}`. */
static enum lm_rc parse_until(struct lm_tpl_parser *p, const char *end, uint32_t line,
                              struct lm_tpl_stmt **ret)
{
    const char *const words[] = { end, NULL };
    LM_TRY(want_block_end(p));
    LM_TRY(lm_tpl_parse_body(p, ret));
    if (!at_tag(p, words)) {
        if (p->at->kind == LM_TPL_T_END)
            return lm_tpl_refuse(p, LM_EFORMAT, line, "this block has no {%% %s %%}", end);
        return lm_tpl_refuse(p, LM_EFORMAT, p->at->line, "found {%% %.*s %%}, expected {%% %s %%}",
                             shown(p->at[1].text), p->at[1].text.ptr, end);
    }
    p->at += 2;
    return want_block_end(p);
}

/* ---- statements ---- */

/* a, or (a, b), or a, b: names that are set. */
static enum lm_rc parse_targets(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    const bool bracket = lm_tpl_skip_op(p, "(");
    size_t cap = 0;
    struct lm_tpl_name *names = NULL;
    enum lm_rc rc;
    do {
        lm_grow(&names, &cap, s->name_count + 1, sizeof(*names));
        rc = lm_tpl_want_name(p, &names[s->name_count]);
        s->name_count += rc == LM_OK;
    } while (rc == LM_OK && lm_tpl_skip_op(p, ",") && !lm_tpl_at_name(p, "in") && !lm_tpl_at_op(p, "="));
    s->names = lm_arena_alloc(&p->t->arena, s->name_count * sizeof(*names));
    if (s->name_count > 0)
        memcpy(s->names, names, s->name_count * sizeof(*names));
    free(names);
    LM_TRY(rc);
    return bracket ? lm_tpl_want_op(p, ")") : LM_OK;
}

static enum lm_rc parse_for(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    static const char *const other[] = { "else", NULL }, *const end[] = { "endfor", NULL };
    LM_TRY(parse_targets(p, s));
    if (!lm_tpl_skip_name(p, "in"))
        return lm_tpl_unexpected(p, "'in'");
    LM_TRY(lm_tpl_parse_tuple(p, false, &s->expr));
    if (lm_tpl_skip_name(p, "if"))
        LM_TRY(lm_tpl_parse_expr(p, &s->condition));
    if (lm_tpl_at_name(p, "recursive"))
        return lm_tpl_refuse(p, LM_EFORMAT, s->line, "for ... recursive is not supported");
    LM_TRY(want_block_end(p));
    p->loops++;
    LM_TRY(lm_tpl_parse_body(p, &s->body));
    p->loops--;
    if (at_tag(p, other)) {
        p->at += 2;
        LM_TRY(want_block_end(p));
        LM_TRY(lm_tpl_parse_body(p, &s->other));
    }
    if (!at_tag(p, end))
        return lm_tpl_refuse(p, LM_EFORMAT, s->line, "this for has no {%% endfor %%}");
    p->at += 2;
    return want_block_end(p);
}

static enum lm_rc parse_if(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    static const char *const elif[] = { "elif", NULL }, *const other[] = { "else", NULL },
                             *const end[] = { "endif", NULL };
    const size_t from = p->stack_len;
    bool last = false;
    do {
        struct lm_tpl_branch *branch = lm_arena_alloc(&p->t->arena, sizeof(*branch));
        lm_tpl_push(p, branch);
        if (!last)
            LM_TRY(lm_tpl_parse_tuple(p, false, &branch->condition));
        LM_TRY(want_block_end(p));
        LM_TRY(lm_tpl_parse_body(p, &branch->body));
        if (last || (!at_tag(p, elif) && !at_tag(p, other)))
            break;
        last = at_tag(p, other);
        p->at += 2;
    } while (true);
    if (!at_tag(p, end))
        return lm_tpl_refuse(p, LM_EFORMAT, s->line, "this if has no {%% endif %%}");
    p->at += 2;
    s->branch_count = p->stack_len - from;
    s->branches = lm_arena_alloc(&p->t->arena, s->branch_count * sizeof(*s->branches));
    for (size_t i = 0; i < s->branch_count; i++)
        s->branches[i] = *(const struct lm_tpl_branch *)p->stack[from + i];
    p->stack_len = from;
    return want_block_end(p);
}

/* What filters of {% filter %} and {% set x | f %} work on. */
static struct lm_tpl_expr *block_expr(struct lm_tpl_parser *p)
{
    const struct lm_tpl_name name = lm_tpl_name(lm_tpl_block_name);
    struct lm_tpl_expr *e = lm_tpl_expr_new(p, LM_TPL_E_NAME);
    e->name = name.text;
    e->hash = name.hash;
    return e;
}

static enum lm_rc parse_set(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    LM_TRY(parse_targets(p, s));
    if (s->name_count == 1 && lm_tpl_skip_op(p, ".")) {
        s->of_namespace = true;
        LM_TRY(lm_tpl_want_name(p, &s->name));
    }
    if (lm_tpl_skip_op(p, "=")) {
        LM_TRY(lm_tpl_parse_tuple(p, true, &s->expr));
        return want_block_end(p);
    }
    s->kind = LM_TPL_S_SET_BLOCK;
    if (s->name_count > 1)
        return lm_tpl_unexpected(p, "'='");
    if (lm_tpl_at_op(p, "|")) {
        s->expr = block_expr(p);
        LM_TRY(lm_tpl_parse_filters(p, false, &s->expr));
    }
    return parse_until(p, "endset", s->line, &s->body);
}

/* (a, b=1): names and default values of a macro or a call block. */
static enum lm_rc parse_params(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    struct lm_tpl_name names[LM_TEMPLATE_ARGS_MAX];
    const size_t from = p->stack_len;
    while (!lm_tpl_at_op(p, ")")) {
        struct lm_tpl_expr *value = NULL;
        if (s->name_count > 0)
            LM_TRY(lm_tpl_want_op(p, ","));
        if (s->name_count == LM_TEMPLATE_ARGS_MAX)
            return lm_tpl_refuse(p, LM_ELIMIT, s->line, "a macro has more than %d parameters",
                                 LM_TEMPLATE_ARGS_MAX);
        LM_TRY(lm_tpl_want_name(p, &names[s->name_count++]));
        if (lm_tpl_skip_op(p, "="))
            LM_TRY(lm_tpl_parse_expr(p, &value));
        else if (p->stack_len > from && p->stack[p->stack_len - 1])
            return lm_tpl_refuse(p, LM_EFORMAT, p->at->line,
                                 "a parameter without a default value follows one with it");
        lm_tpl_push(p, value);
    }
    p->at++;
    s->values = lm_tpl_pop_list(p, from);
    s->names = lm_arena_alloc(&p->t->arena, s->name_count * sizeof(*names));
    if (s->name_count > 0)
        memcpy(s->names, names, s->name_count * sizeof(*names));
    return LM_OK;
}

static enum lm_rc parse_macro(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    LM_TRY(lm_tpl_want_name(p, &s->name));
    LM_TRY(lm_tpl_want_op(p, "("));
    LM_TRY(parse_params(p, s));
    return parse_until(p, "endmacro", s->line, &s->body);
}

static enum lm_rc parse_call(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    if (lm_tpl_skip_op(p, "("))
        LM_TRY(parse_params(p, s));
    LM_TRY(lm_tpl_parse_expr(p, &s->expr));
    const struct lm_tpl_expr *e = s->expr;
    if (e->kind != LM_TPL_E_POSTFIX || e->steps[e->step_count - 1].kind != LM_TPL_STEP_CALL)
        return lm_tpl_refuse(p, LM_EFORMAT, s->line, "{%% call %%} needs the call of a macro");
    return parse_until(p, "endcall", s->line, &s->body);
}

static enum lm_rc parse_filter(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    s->expr = block_expr(p);
    LM_TRY(lm_tpl_parse_filters(p, true, &s->expr));
    return parse_until(p, "endfilter", s->line, &s->body);
}

static enum lm_rc parse_with(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    struct lm_tpl_name names[LM_TEMPLATE_ARGS_MAX];
    const size_t from = p->stack_len;
    while (p->at->kind != LM_TPL_T_BLOCK_END) {
        struct lm_tpl_expr *value;
        if (s->name_count > 0)
            LM_TRY(lm_tpl_want_op(p, ","));
        if (s->name_count == LM_TEMPLATE_ARGS_MAX)
            return lm_tpl_refuse(p, LM_ELIMIT, s->line, "{%% with %%} sets more than %d names",
                                 LM_TEMPLATE_ARGS_MAX);
        LM_TRY(lm_tpl_want_name(p, &names[s->name_count++]));
        LM_TRY(lm_tpl_want_op(p, "="));
        LM_TRY(lm_tpl_parse_expr(p, &value));
        lm_tpl_push(p, value);
    }
    s->values = lm_tpl_pop_list(p, from);
    s->names = lm_arena_alloc(&p->t->arena, s->name_count * sizeof(*names));
    if (s->name_count > 0)
        memcpy(s->names, names, s->name_count * sizeof(*names));
    return parse_until(p, "endwith", s->line, &s->body);
}

static enum lm_rc parse_generation(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    p->t->marks_generation = true;
    return parse_until(p, "endgeneration", s->line, &s->body);
}

static enum lm_rc parse_jump(struct lm_tpl_parser *p, struct lm_tpl_stmt *s)
{
    if (p->loops == 0)
        return lm_tpl_refuse(p, LM_EFORMAT, s->line, "{%% %s %%} outside of a loop",
                             s->kind == LM_TPL_S_BREAK ? "break" : "continue");
    return want_block_end(p);
}

static const struct {
    const char *word;
    enum lm_tpl_stmt_kind kind;
    enum lm_rc (*parse)(struct lm_tpl_parser *p, struct lm_tpl_stmt *s);
} tags[] = {
    { "for", LM_TPL_S_FOR, parse_for },      { "if", LM_TPL_S_IF, parse_if },
    { "set", LM_TPL_S_SET, parse_set },      { "macro", LM_TPL_S_MACRO, parse_macro },
    { "call", LM_TPL_S_CALL, parse_call },   { "filter", LM_TPL_S_FILTER, parse_filter },
    { "with", LM_TPL_S_WITH, parse_with },   { "generation", LM_TPL_S_GENERATION, parse_generation },
    { "break", LM_TPL_S_BREAK, parse_jump }, { "continue", LM_TPL_S_CONTINUE, parse_jump },
};

static enum lm_rc parse_tag(struct lm_tpl_parser *p, struct lm_tpl_stmt **ret)
{
    if (p->at->kind != LM_TPL_T_NAME)
        return lm_tpl_unexpected(p, "the name of a statement");
    const struct lm_str word = p->at->text;
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (lm_str_eq(word, lm_str(tags[i].word))) {
            *ret = stmt_new(p, tags[i].kind);
            p->at++;
            return tags[i].parse(p, *ret);
        }
    return lm_tpl_refuse(p, LM_EFORMAT, p->at->line, "statement '%.*s' is not supported", shown(word),
                         word.ptr);
}

static enum lm_rc parse_stmt(struct lm_tpl_parser *p, struct lm_tpl_stmt **ret)
{
    const struct lm_tpl_token *t = p->at++;
    if (t->kind == LM_TPL_T_BLOCK)
        return parse_tag(p, ret);
    if (t->kind == LM_TPL_T_PRINT) {
        *ret = stmt_new(p, LM_TPL_S_PRINT);
        LM_TRY(lm_tpl_parse_tuple(p, true, &(*ret)->expr));
        if (p->at->kind != LM_TPL_T_PRINT_END)
            return lm_tpl_unexpected(p, "}}");
        p->at++;
        return LM_OK;
    }
    LM_ASSERT(t->kind == LM_TPL_T_DATA);
    *ret = stmt_new(p, LM_TPL_S_TEXT);
    (*ret)->line = t->line;
    const uint8_t *origin = lm_arena_alloc(&p->t->arena, t->text.len);   // zero: the template's
    (*ret)->text = (struct lm_tpl_text){ t->text.ptr, origin, t->text.len };
    return LM_OK;
}

/* ---- the whole ---- */

static enum lm_rc parse_all(struct lm_template *t, const struct lm_tpl_tokens *tokens, struct lm_err *err)
{
    struct lm_tpl_parser p = { .t = t, .at = tokens->items, .err = err };
    enum lm_rc rc = lm_tpl_parse_body(&p, &t->body);
    if (rc == LM_OK && p.at->kind != LM_TPL_T_END)
        rc = lm_tpl_refuse(&p, LM_EFORMAT, p.at->line, "{%% %.*s %%} ends no block", shown(p.at[1].text),
                           p.at[1].text.ptr);
    free(p.stack);
    return rc;
}

enum lm_rc lm_template_parse(struct lm_str source, const char *name, struct lm_template **ret,
                             struct lm_err *err)
{
    if (source.len > LM_TEMPLATE_SOURCE_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: %zu bytes are more than %d", name, source.len,
                       LM_TEMPLATE_SOURCE_MAX);
    struct lm_template *t = lm_zalloc(1, sizeof(*t));
    struct lm_tpl_tokens tokens = { 0 };
    t->name = lm_arena_strdup(&t->arena, name);
    char *copy = lm_arena_strndup(&t->arena, source.ptr, source.len);
    enum lm_rc rc = lm_tpl_lex(t, copy, source.len, &tokens, err);
    if (rc == LM_OK)
        rc = parse_all(t, &tokens, err);
    free(tokens.items);
    if (rc != LM_OK) {
        lm_template_free(t);
        return rc;
    }
    *ret = t;
    return LM_OK;
}

void lm_template_free(struct lm_template *t)
{
    if (!t)
        return;
    lm_arena_release(&t->arena);
    free(t);
}

bool lm_template_marks_generation(const struct lm_template *t)
{
    return t->marks_generation;
}
