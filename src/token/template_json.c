/* token/template_json.c - JSON to values: every text in it is data, and that of the assistant's messages an
 * answer. */
#include "token/template_impl.h"

#include "base/json.h"

struct reader {
    struct lm_tpl *r;
    struct lm_json_reader json;
    uint8_t origin;
};

static enum lm_rc read_number(struct reader *x, struct lm_str text, struct lm_tpl_value *ret)
{
    int64_t integer;
    double real;
    if (lm_str_to_i64(text, &integer))
        *ret = lm_tpl_int(integer);
    else if (lm_str_to_f64(text, &real))
        *ret = (struct lm_tpl_value){ .kind = LM_TPL_FLOAT, .real = real };
    else
        return lm_tpl_fail(x->r, LM_EFORMAT, "the number %.*s is too large",
                           text.len < 40 ? (int)text.len : 40, text.ptr);
    ret->origin = x->origin;
    return LM_OK;
}

/* Texts that the reader decoded live in the arena, the others in the caller's JSON: both outlive this. */
static enum lm_rc read_text(struct reader *x, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_work(x->r, x->json.text.len / 16));
    return lm_tpl_data(x->r, x->json.text, x->origin, ret);
}

static enum lm_rc read_value(struct reader *x, enum lm_json_kind kind, struct lm_tpl_value *ret);

static enum lm_rc read_list(struct reader *x, struct lm_tpl_value *ret)
{
    enum lm_json_kind kind;
    size_t cap = 0;
    LM_TRY(lm_tpl_list_new(x->r, LM_TPL_SEQ_LIST, 0, ret));
    for (;;) {
        struct lm_tpl_value item;
        LM_TRY(lm_json_next(&x->json, &kind, x->r->err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        LM_TRY(read_value(x, kind, &item));
        LM_TRY(lm_tpl_list_add(x->r, ret->list, &cap, item));
    }
}

static enum lm_rc read_object(struct reader *x, struct lm_tpl_value *ret)
{
    enum lm_json_kind kind;
    LM_TRY(lm_tpl_dict_new(x->r, LM_TPL_DICT, ret));
    for (;;) {
        struct lm_tpl_value key, value;
        LM_TRY(lm_json_next(&x->json, &kind, x->r->err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        LM_TRY(read_text(x, &key));
        LM_TRY(lm_json_next(&x->json, &kind, x->r->err));
        LM_TRY(read_value(x, kind, &value));
        LM_TRY(lm_tpl_dict_put(x->r, ret->dict, key, value));
    }
}

static enum lm_rc read_value(struct reader *x, enum lm_json_kind kind, struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_work(x->r, 1));
    switch (kind) {
    case LM_JSON_NULL:
        *ret = lm_tpl_none();
        return LM_OK;
    case LM_JSON_TRUE:
    case LM_JSON_FALSE:
        *ret = lm_tpl_bool(kind == LM_JSON_TRUE);
        return LM_OK;
    case LM_JSON_NUMBER:
        return read_number(x, x->json.text, ret);
    case LM_JSON_STRING:
        return read_text(x, ret);
    default:
        break;
    }
    if (x->json.depth > LM_TEMPLATE_DEPTH_MAX)
        return lm_tpl_fail(x->r, LM_ELIMIT, "the data are nested deeper than %d", LM_TEMPLATE_DEPTH_MAX);
    return kind == LM_JSON_ARRAY ? read_list(x, ret) : read_object(x, ret);
}

/* ---- messages ---- */

/* Templates make control tokens of roles ('<|' + role + '|>'): those that every model knows are as good as
 * the template's own text. */
uint8_t lm_tpl_role_origin(struct lm_str role)
{
    static const char *const known[] = { "system", "user", "assistant", "tool", "developer" };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (lm_str_eq(role, lm_str(known[i])))
            return LM_ORIGIN_TEMPLATE;
    return LM_ORIGIN_DATA;
}

/* The origins of texts in here are of this rendering, and nobody has seen them yet. */
static void mark(struct lm_tpl_value v, uint8_t origin)
{
    if (v.kind == LM_TPL_TEXT)
        memset((uint8_t *)v.text.origin, origin, v.text.len);
    for (size_t i = 0; v.kind == LM_TPL_LIST && i < v.list->count; i++)
        mark(v.list->items[i], origin);
    for (size_t i = 0; v.kind == LM_TPL_DICT && i < v.dict->count; i++)
        mark(v.dict->pairs[i].value, origin);
}

static enum lm_rc mark_messages(struct lm_tpl *r, const struct lm_tpl_dict *members)
{
    const uint8_t zeros[8] = { 0 };
    const struct lm_tpl_value *messages, *role;
    size_t answers = 0;
    LM_TRY(
        lm_tpl_dict_find(r, members, lm_tpl_text((struct lm_tpl_text){ "messages", zeros, 8 }), &messages));
    for (size_t i = 0; messages && messages->kind == LM_TPL_LIST && i < messages->list->count; i++) {
        const struct lm_tpl_value m = messages->list->items[i];
        if (m.kind != LM_TPL_DICT)
            continue;
        LM_TRY(lm_tpl_dict_find(r, m.dict, lm_tpl_text((struct lm_tpl_text){ "role", zeros, 4 }), &role));
        if (!role || role->kind != LM_TPL_TEXT)
            continue;
        mark(*role, lm_tpl_role_origin(lm_tpl_str(*role)));
        if (!lm_tpl_is(*role, "assistant"))
            continue;
        const uint8_t odd = answers++ % 2 ? LM_ORIGIN_ODD : 0;
        for (size_t k = 0; k < m.dict->count; k++)
            if (&m.dict->pairs[k].value != role)
                mark(m.dict->pairs[k].value, LM_ORIGIN_DATA | LM_ORIGIN_ANSWER | odd);
    }
    return LM_OK;
}

enum lm_rc lm_tpl_read_json(struct lm_tpl *r, struct lm_str json, struct lm_tpl_value *ret)
{
    struct reader x = { .r = r, .origin = LM_ORIGIN_DATA };
    if (json.len > LM_TEMPLATE_OUTPUT_MAX)
        return lm_tpl_fail(r, LM_ELIMIT, "the data are larger than %d MiB", LM_TEMPLATE_OUTPUT_MAX >> 20);
    lm_json_open(&x.json, json, "data of a chat template", &r->arena);
    LM_TRY(lm_json_want(&x.json, LM_JSON_OBJECT, r->err));
    LM_TRY(read_object(&x, ret));
    LM_TRY(lm_json_want(&x.json, LM_JSON_END, r->err));
    return mark_messages(r, ret->dict);
}
