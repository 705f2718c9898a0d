/* token/template_render.c - statements to text, macros, and a rendering from its input to its end. */
#include "token/template_impl.h"

static enum lm_rc run(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump);

/* ---- scopes ---- */

/* A body in a scope of its own. */
static enum lm_rc run_inside(struct lm_tpl *r, struct lm_tpl_scope *scope, const struct lm_tpl_stmt *body,
                             enum lm_tpl_stmt_kind *jump)
{
    struct lm_tpl_scope *before = r->scope;
    r->scope = scope;
    const enum lm_rc rc = run(r, body, jump);
    r->scope = before;
    return rc;
}

static enum lm_rc scope_new(struct lm_tpl *r, struct lm_tpl_scope *outer, struct lm_tpl_scope **ret)
{
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(**ret), ret));
    (*ret)->outer = outer;
    return LM_OK;
}

/* What a body prints, as a value. */
static enum lm_rc capture(struct lm_tpl *r, struct lm_tpl_scope *scope, const struct lm_tpl_stmt *body,
                          struct lm_tpl_value *ret)
{
    const size_t mark = r->out_len;
    enum lm_tpl_stmt_kind jump = LM_TPL_S_TEXT;
    LM_TRY(run_inside(r, scope, body, &jump));
    return lm_tpl_cut(r, mark, ret);
}

static enum lm_rc bind_targets(struct lm_tpl *r, struct lm_tpl_scope *scope, const struct lm_tpl_stmt *s,
                               struct lm_tpl_value v)
{
    struct lm_tpl_list *list;
    if (s->name_count == 1)
        return lm_tpl_bind(r, scope, s->names[0], v);
    LM_TRY(lm_tpl_iterate(r, v, &list));
    if (list->count != s->name_count)
        return lm_tpl_fail(r, LM_EINVAL, "%zu names are set from %zu values", s->name_count, list->count);
    for (size_t i = 0; i < s->name_count; i++)
        LM_TRY(lm_tpl_bind(r, scope, s->names[i], lm_tpl_list_at(list, i)));
    return LM_OK;
}

/* ---- macros ---- */

static enum lm_rc find_param(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_str name, size_t *ret)
{
    for (*ret = 0; *ret < s->name_count; ++*ret)
        if (lm_str_eq(s->names[*ret].text, name))
            return LM_OK;
    return lm_tpl_fail(r, LM_EINVAL, "macro '%.*s' has no parameter '%.*s'", (int)s->name.text.len,
                       s->name.text.ptr ? s->name.text.ptr : "", (int)name.len, name.ptr);
}

enum lm_rc lm_tpl_call_macro(struct lm_tpl *r, const struct lm_tpl_macro *macro,
                             const struct lm_tpl_call *call, const struct lm_tpl_value *caller,
                             struct lm_tpl_value *ret)
{
    const struct lm_tpl_stmt *s = macro->stmt;
    struct lm_tpl_scope *scope, *before = r->scope;
    const struct lm_tpl_value *given[LM_TEMPLATE_ARGS_MAX] = { NULL };
    if (call->position_count > s->name_count)
        return lm_tpl_fail(r, LM_EINVAL, "the macro takes at most %zu arguments, and got %zu", s->name_count,
                           call->position_count);
    for (size_t i = 0; i < call->count; i++) {
        size_t param = i;
        if (i >= call->position_count)
            LM_TRY(find_param(r, s, call->names[i], &param));
        if (given[param])
            return lm_tpl_fail(r, LM_EINVAL, "the macro got the argument '%.*s' twice",
                               (int)s->names[param].text.len, s->names[param].text.ptr);
        given[param] = &call->items[i];
    }
    LM_TRY(scope_new(r, macro->scope, &scope));
    r->scope = scope;
    enum lm_rc rc = lm_tpl_deeper(r);
    if (rc != LM_OK)
        return rc;
    for (size_t i = 0; rc == LM_OK && i < s->name_count; i++) {
        struct lm_tpl_value v = lm_tpl_undefined(s->names[i].text);
        if (given[i])
            v = *given[i];
        else if (s->values[i])
            rc = lm_tpl_eval(r, s->values[i], &v);
        if (rc == LM_OK)
            rc = lm_tpl_bind(r, scope, s->names[i], v);
    }
    if (rc == LM_OK && s->kind == LM_TPL_S_MACRO)
        rc = lm_tpl_bind(r, scope, lm_tpl_name(LM_STR("caller")),
                         caller ? *caller : lm_tpl_undefined(LM_STR("caller")));
    if (rc == LM_OK)
        rc = capture(r, scope, s->body, ret);
    r->nest--;
    r->scope = before;
    return rc;
}

static enum lm_rc define(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_tpl_value *ret)
{
    struct lm_tpl_macro *macro;
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(*macro), &macro));
    *macro = (struct lm_tpl_macro){ s, r->scope };
    *ret = (struct lm_tpl_value){ .kind = LM_TPL_MACRO, .macro = macro };
    return LM_OK;
}

/* ---- statements ---- */

/* What was printed since the mark is inside {% generation %}. */
static void mark_generation(struct lm_tpl *r, size_t mark)
{
    for (size_t i = mark; r->generation && i < r->out_len; i++)
        r->out_origin[i] |= r->generation;
}

static enum lm_rc run_text(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_put(r, s->text));
    mark_generation(r, mark);
    return LM_OK;
}

static enum lm_rc print(struct lm_tpl *r, const struct lm_tpl_expr *e)
{
    struct lm_tpl_value v;
    LM_TRY(lm_tpl_eval(r, e, &v));
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_print(r, v));
    mark_generation(r, mark);
    return LM_OK;
}

static enum lm_rc assign(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_tpl_value v)
{
    struct lm_tpl_value space;
    if (!s->of_namespace)
        return bind_targets(r, r->scope, s, v);
    LM_TRY(lm_tpl_lookup(r, &s->names[0], &space));
    if (space.kind != LM_TPL_NAMESPACE)
        return lm_tpl_fail(r, LM_EINVAL, "'%.*s' is no namespace: its attributes cannot be set",
                           (int)s->names[0].text.len, s->names[0].text.ptr);
    const struct lm_str name = s->name.text;
    return lm_tpl_dict_put(r, space.dict, lm_tpl_text((struct lm_tpl_text){ name.ptr, NULL, name.len }), v);
}

static enum lm_rc run_set(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    struct lm_tpl_value v;
    LM_TRY(lm_tpl_eval(r, s->expr, &v));
    r->line = s->line;
    return assign(r, s, v);
}

/* {% set x | f %} and {% filter f %}: the text of the body through the filters, if there are any. */
static enum lm_rc filtered_body(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_tpl_value *ret)
{
    struct lm_tpl_scope *scope, *before = r->scope;
    LM_TRY(scope_new(r, r->scope, &scope));
    LM_TRY(capture(r, scope, s->body, ret));
    if (!s->expr)
        return LM_OK;
    LM_TRY(lm_tpl_bind(r, scope, lm_tpl_name(lm_tpl_block_name), *ret));
    r->scope = scope;
    const enum lm_rc rc = lm_tpl_eval(r, s->expr, ret);
    r->scope = before;
    return rc;
}

static enum lm_rc run_set_block(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    struct lm_tpl_value v;
    LM_TRY(filtered_body(r, s, &v));
    r->line = s->line;
    return assign(r, s, v);
}

static enum lm_rc run_filter(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    struct lm_tpl_value v;
    LM_TRY(filtered_body(r, s, &v));
    const size_t mark = r->out_len;
    LM_TRY(lm_tpl_print(r, v));
    mark_generation(r, mark);
    return LM_OK;
}

static enum lm_rc run_if(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    for (size_t i = 0; i < s->branch_count; i++) {
        struct lm_tpl_value condition = lm_tpl_bool(true);
        if (s->branches[i].condition)
            LM_TRY(lm_tpl_eval(r, s->branches[i].condition, &condition));
        if (lm_tpl_true(condition))
            return run(r, s->branches[i].body, jump);
    }
    return LM_OK;
}

/* for ... if: the items that pass. */
static enum lm_rc pick(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_tpl_scope *scope,
                       const struct lm_tpl_list *from, struct lm_tpl_list **ret)
{
    struct lm_tpl_value kept, truth;
    struct lm_tpl_scope *before = r->scope;
    size_t cap = 0;
    enum lm_rc rc = lm_tpl_list_new(r, LM_TPL_SEQ_LIST, 0, &kept);
    r->scope = scope;
    for (size_t i = 0; rc == LM_OK && i < from->count; i++) {
        const struct lm_tpl_value item = lm_tpl_list_at(from, i);
        scope->count = 0;
        rc = bind_targets(r, scope, s, item);
        if (rc == LM_OK)
            rc = lm_tpl_eval(r, s->condition, &truth);
        if (rc == LM_OK && lm_tpl_true(truth))
            rc = lm_tpl_list_add(r, kept.list, &cap, item);
    }
    r->scope = before;
    *ret = kept.list;
    return rc;
}

/* *ret_ended: some turn came to its end; as in jinja2, `else` is for loops without one. */
static enum lm_rc run_loop(struct lm_tpl *r, const struct lm_tpl_stmt *s, struct lm_tpl_scope *scope,
                           const struct lm_tpl_list *list, bool *ret_ended)
{
    static const struct lm_str loop_name = { "loop", 4 };
    struct lm_tpl_loop *loop;
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(*loop), &loop));
    loop->list = list;
    const struct lm_tpl_value loop_value = { .kind = LM_TPL_LOOP, .loop = loop };
    for (; loop->at < list->count; loop->at++) {
        enum lm_tpl_stmt_kind jump = LM_TPL_S_TEXT;
        LM_TRY(lm_tpl_work(r, 1));
        scope->count = 0;
        r->line = s->line;
        LM_TRY(bind_targets(r, scope, s, lm_tpl_list_at(list, loop->at)));
        LM_TRY(lm_tpl_bind(r, scope, lm_tpl_name(loop_name), loop_value));
        LM_TRY(run_inside(r, scope, s->body, &jump));
        if (jump == LM_TPL_S_BREAK)
            break;
        *ret_ended |= jump == LM_TPL_S_TEXT;
    }
    return LM_OK;
}

static enum lm_rc run_for(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    struct lm_tpl_value v;
    struct lm_tpl_list *list;
    struct lm_tpl_scope *scope;
    LM_TRY(lm_tpl_eval(r, s->expr, &v));
    r->line = s->line;
    LM_TRY(lm_tpl_iterate(r, v, &list));
    LM_TRY(scope_new(r, r->scope, &scope));
    if (s->condition)
        LM_TRY(pick(r, s, scope, list, &list));
    bool ended = false;
    LM_TRY(run_loop(r, s, scope, list, &ended));
    if (ended)
        return LM_OK;
    scope->count = 0;
    return run_inside(r, scope, s->other, jump);
}

static enum lm_rc run_call(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    struct lm_tpl_value *caller;
    LM_TRY(lm_tpl_alloc(r, 1, sizeof(*caller), &caller));
    LM_TRY(define(r, s, caller));
    const struct lm_tpl_value *caller_before = r->caller;
    const struct lm_tpl_step *step_before = r->caller_step;
    r->caller = caller;
    r->caller_step = &s->expr->steps[s->expr->step_count - 1];
    const enum lm_rc rc = print(r, s->expr);
    r->caller = caller_before;
    r->caller_step = step_before;
    return rc;
}

static enum lm_rc run_with(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    struct lm_tpl_scope *scope;
    LM_TRY(scope_new(r, r->scope, &scope));
    for (size_t i = 0; i < s->name_count; i++) {
        struct lm_tpl_value v;
        LM_TRY(lm_tpl_eval(r, s->values[i], &v));
        LM_TRY(lm_tpl_bind(r, scope, s->names[i], v));
    }
    return run_inside(r, scope, s->body, jump);
}

static enum lm_rc run_generation(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    struct lm_tpl_scope *scope;
    const uint8_t before = r->generation;
    LM_TRY(scope_new(r, r->scope, &scope));
    r->generation = LM_ORIGIN_GENERATION;
    const enum lm_rc rc = run_inside(r, scope, s->body, jump);
    r->generation = before;
    return rc;
}

static enum lm_rc run_macro(struct lm_tpl *r, const struct lm_tpl_stmt *s)
{
    struct lm_tpl_value macro;
    LM_TRY(define(r, s, &macro));
    return lm_tpl_bind(r, r->scope, s->name, macro);
}

static enum lm_rc run_one(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    switch (s->kind) {
    case LM_TPL_S_TEXT:
        return run_text(r, s);
    case LM_TPL_S_PRINT:
        return print(r, s->expr);
    case LM_TPL_S_SET:
        return run_set(r, s);
    case LM_TPL_S_SET_BLOCK:
        return run_set_block(r, s);
    case LM_TPL_S_IF:
        return run_if(r, s, jump);
    case LM_TPL_S_FOR:
        return run_for(r, s, jump);
    case LM_TPL_S_MACRO:
        return run_macro(r, s);
    case LM_TPL_S_CALL:
        return run_call(r, s);
    case LM_TPL_S_FILTER:
        return run_filter(r, s);
    case LM_TPL_S_WITH:
        return run_with(r, s, jump);
    case LM_TPL_S_GENERATION:
        return run_generation(r, s, jump);
    case LM_TPL_S_BREAK:
    case LM_TPL_S_CONTINUE:
        *jump = s->kind;
        return LM_OK;
    }
    LM_ASSERT(!"a statement has one of these kinds");
    return LM_EINVAL;
}

/* *jump becomes BREAK or CONTINUE when the enclosing loop has to act on it. */
static enum lm_rc run(struct lm_tpl *r, const struct lm_tpl_stmt *s, enum lm_tpl_stmt_kind *jump)
{
    LM_TRY(lm_tpl_deeper(r));
    enum lm_rc rc = LM_OK;
    for (; rc == LM_OK && s && *jump == LM_TPL_S_TEXT; s = s->next) {
        r->line = s->line;
        rc = lm_tpl_work(r, 1);
        if (rc == LM_OK)
            rc = run_one(r, s, jump);
    }
    r->nest--;
    return rc;
}

/* ---- input ---- */

static enum lm_rc bind_global(struct lm_tpl *r, const char *name, struct lm_tpl_value v)
{
    return lm_tpl_bind(r, &r->globals, lm_tpl_name(lm_str(name)), v);
}

static struct lm_tpl_value key_of(const char *name)
{
    static const uint8_t zeros[16];
    LM_ASSERT(strlen(name) <= sizeof(zeros));
    return lm_tpl_text((struct lm_tpl_text){ name, zeros, strlen(name) });
}

static enum lm_rc make_messages(struct lm_tpl *r, const struct lm_template_input *input,
                                struct lm_tpl_value *ret)
{
    size_t answers = 0;
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_LIST, input->message_count, ret));
    for (size_t i = 0; i < input->message_count; i++) {
        const struct lm_chat_message *m = &input->messages[i];
        struct lm_tpl_value *made = &ret->list->items[i], role, content;
        uint8_t origin = LM_ORIGIN_DATA;
        if (lm_str_eq(m->role, LM_STR("assistant")))
            origin |= LM_ORIGIN_ANSWER | (answers++ % 2 ? LM_ORIGIN_ODD : 0);
        LM_TRY(lm_tpl_dict_new(r, LM_TPL_DICT, made));
        LM_TRY(lm_tpl_data(r, m->role, lm_tpl_role_origin(m->role), &role));
        LM_TRY(lm_tpl_data(r, m->content, origin, &content));
        LM_TRY(lm_tpl_dict_put(r, made->dict, key_of("role"), role));
        LM_TRY(lm_tpl_dict_put(r, made->dict, key_of("content"), content));
    }
    return LM_OK;
}

static enum lm_rc bind_json(struct lm_tpl *r, struct lm_str json)
{
    struct lm_tpl_value members;
    if (json.len == 0)
        return LM_OK;
    LM_TRY(lm_tpl_read_json(r, json, &members));
    for (size_t i = 0; i < members.dict->count; i++) {
        const struct lm_tpl_pair *pair = &members.dict->pairs[i];
        LM_TRY(lm_tpl_bind(r, &r->globals, lm_tpl_name(lm_tpl_str(pair->key)), pair->value));
    }
    return LM_OK;
}

static enum lm_rc bind_input(struct lm_tpl *r, const struct lm_template_input *input)
{
    struct lm_tpl_value messages;
    LM_TRY(bind_global(r, "tools", lm_tpl_none()));
    LM_TRY(bind_global(r, "documents", lm_tpl_none()));
    LM_TRY(make_messages(r, input, &messages));
    LM_TRY(bind_global(r, "messages", messages));
    LM_TRY(bind_global(r, "add_generation_prompt", lm_tpl_bool(input->add_generation)));
    LM_TRY(bind_json(r, input->json));
    if (input->message_count > 0)
        LM_TRY(bind_global(r, "messages", messages));
    for (size_t i = 0; i < input->own_count; i++) {
        struct lm_tpl_value v;
        LM_TRY(lm_tpl_data(r, input->own[i].text, LM_ORIGIN_TEMPLATE, &v));
        LM_TRY(bind_global(r, input->own[i].name, v));
    }
    return LM_OK;
}

void lm_template_text_release(struct lm_template_text *text)
{
    lm_buf_release(&text->bytes);
    lm_buf_release(&text->origins);
}

enum lm_rc lm_template_render(const struct lm_template *t, const struct lm_template_input *input,
                              struct lm_template_text *ret, struct lm_err *err)
{
    struct lm_tpl r = { .t = t, .err = err, .line = 1, .now_s = input->now_s };
    struct lm_tpl_scope top = { .outer = &r.globals };
    enum lm_tpl_stmt_kind jump = LM_TPL_S_TEXT;
    r.scope = &top;
    enum lm_rc rc = bind_input(&r, input);
    if (rc == LM_OK)
        rc = run(&r, t->body, &jump);
    if (rc == LM_OK && r.out_len > 0) {
        lm_buf_add(&ret->bytes, r.out, r.out_len);
        lm_buf_add(&ret->origins, r.out_origin, r.out_len);
    }
    lm_arena_release(&r.arena);
    free(r.out);
    free(r.out_origin);
    return rc;
}
