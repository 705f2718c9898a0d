#include "infer/constraint_schema.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- failing ---- */

void lm_schema_refuse(struct lm_schema *s, const struct lm_tree *at, const char *format, ...)
{
    char pointer[LM_TREE_POINTER_MAX], text[LM_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lm_nfa_fail(s->a, LM_EINVAL, "schema at '%s': %.400s", lm_tree_pointer(at, pointer), text);
}

void lm_schema_refuse_limit(struct lm_schema *s, const struct lm_tree *at, const char *problem)
{
    char pointer[LM_TREE_POINTER_MAX];
    lm_nfa_fail(s->a, LM_ELIMIT, "schema at '%s': %s", lm_tree_pointer(at, pointer), problem);
}

/* ---- keywords ---- */

enum row_kind { IGNORED, SLOT, REFERENCE, ALL_OF, CHOICE, ONE_OF };

/* To support a keyword: a slot in the header, a row here, its meaning in the file of its type. */
// clang-format off
static const struct row {
    const char *name;
    enum row_kind kind;
    enum lm_schema_slot slot;
} rows[] = {
    { "type",                 SLOT, LM_SLOT_TYPE },
    { "enum",                 SLOT, LM_SLOT_ENUM },
    { "const",                SLOT, LM_SLOT_CONST },
    { "minimum",              SLOT, LM_SLOT_MINIMUM },
    { "maximum",              SLOT, LM_SLOT_MAXIMUM },
    { "exclusiveMinimum",     SLOT, LM_SLOT_EXCLUSIVE_MINIMUM },
    { "exclusiveMaximum",     SLOT, LM_SLOT_EXCLUSIVE_MAXIMUM },
    { "multipleOf",           SLOT, LM_SLOT_MULTIPLE_OF },
    { "minLength",            SLOT, LM_SLOT_MIN_LENGTH },
    { "maxLength",            SLOT, LM_SLOT_MAX_LENGTH },
    { "pattern",              SLOT, LM_SLOT_PATTERN },
    { "format",               SLOT, LM_SLOT_FORMAT },
    { "items",                SLOT, LM_SLOT_ITEMS },
    { "prefixItems",          SLOT, LM_SLOT_PREFIX_ITEMS },
    { "minItems",             SLOT, LM_SLOT_MIN_ITEMS },
    { "maxItems",             SLOT, LM_SLOT_MAX_ITEMS },
    { "properties",           SLOT, LM_SLOT_PROPERTIES },
    { "required",             SLOT, LM_SLOT_REQUIRED },
    { "additionalProperties", SLOT, LM_SLOT_ADDITIONAL },
    { "minProperties",        SLOT, LM_SLOT_MIN_PROPERTIES },
    { "maxProperties",        SLOT, LM_SLOT_MAX_PROPERTIES },
    { "$ref",                 REFERENCE, 0 },
    { "allOf",                ALL_OF, 0 },
    { "anyOf",                CHOICE, 0 },
    { "oneOf",                ONE_OF, 0 },
    { "title",                IGNORED, 0 },
    { "description",          IGNORED, 0 },
    { "default",              IGNORED, 0 },
    { "examples",             IGNORED, 0 },
    { "example",              IGNORED, 0 },
    { "deprecated",           IGNORED, 0 },
    { "readOnly",             IGNORED, 0 },
    { "writeOnly",            IGNORED, 0 },
    { "contentMediaType",     IGNORED, 0 },
    { "contentEncoding",      IGNORED, 0 },
    { "$schema",              IGNORED, 0 },
    { "$id",                  IGNORED, 0 },
    { "$comment",             IGNORED, 0 },
    { "$defs",                IGNORED, 0 },
    { "definitions",          IGNORED, 0 },
};
// clang-format on

static const struct row *find_row(struct lm_str name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (lm_str_eq(name, lm_str(rows[i].name)))
            return &rows[i];
    return NULL;
}

/* ---- references ---- */

const struct lm_tree *lm_schema_target(struct lm_schema *s, const struct lm_tree *ref)
{
    const struct lm_tree *target = NULL;
    if (ref->kind == LM_JSON_STRING && ref->text.len > 0 && ref->text.ptr[0] == '#')
        target = lm_tree_find(s->root, (struct lm_str){ ref->text.ptr + 1, ref->text.len - 1 });
    if (!target)
        lm_schema_refuse(s, ref, "a reference must lead to a place in the schema, like \"#/$defs/name\"");
    return target;
}

void lm_schema_add_part(struct lm_schema *s, struct lm_schema_conj *conj, const struct lm_tree *node,
                        enum lm_schema_how how)
{
    for (size_t i = 0; i < conj->count; i++)
        if (conj->parts[i].node == node && conj->parts[i].how == how)
            return;
    if (conj->count == LM_SCHEMA_PARTS_MAX) {
        lm_schema_refuse_limit(s, node, "too many schemas apply to one value: merge some");
        return;
    }
    conj->parts[conj->count++] = (struct lm_schema_part){ node, how };
}

/* ---- types ---- */

unsigned lm_schema_type_of(const struct lm_tree *value)
{
    double number;
    switch (value->kind) {
    case LM_JSON_NULL:
        return LM_TYPE_NULL;
    case LM_JSON_TRUE:
    case LM_JSON_FALSE:
        return LM_TYPE_BOOLEAN;
    case LM_JSON_STRING:
        return LM_TYPE_STRING;
    case LM_JSON_ARRAY:
        return LM_TYPE_ARRAY;
    case LM_JSON_OBJECT:
        return LM_TYPE_OBJECT;
    default:
        return lm_str_to_f64(value->text, &number) && number == __builtin_floor(number) ? LM_TYPE_INTEGER
                                                                                        : LM_TYPE_FRACTION;
    }
}

static unsigned type_named(struct lm_schema *s, const struct lm_tree *name)
{
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {
        { "null", LM_TYPE_NULL },       { "boolean", LM_TYPE_BOOLEAN },
        { "integer", LM_TYPE_INTEGER }, { "number", LM_TYPE_INTEGER | LM_TYPE_FRACTION },
        { "string", LM_TYPE_STRING },   { "array", LM_TYPE_ARRAY },
        { "object", LM_TYPE_OBJECT },
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name->kind == LM_JSON_STRING && lm_str_eq(name->text, lm_str(names[i].name)))
            return names[i].types;
    lm_schema_refuse(s, name, "a type is one of null, boolean, integer, number, string, array, object");
    return 0;
}

unsigned lm_schema_types(struct lm_schema *s, const struct lm_tree *type)
{
    if (type->kind != LM_JSON_ARRAY)
        return type_named(s, type);
    unsigned types = 0;
    for (const struct lm_tree *at = type->first; at; at = at->next)
        types |= type_named(s, at);
    return types;
}

/* ---- gathering ---- */

struct gathering {
    struct lm_schema *s;
    struct lm_schema_view *view;
    struct lm_schema_conj whole;   // met so far; a part of it is taken up once
};

static bool is_array(struct lm_schema *s, const struct lm_tree *value)
{
    if (value->kind == LM_JSON_ARRAY && value->count > 0)
        return true;
    lm_schema_refuse(s, value, "expected an array of schemas");
    return false;
}

static void take_one_of(struct lm_schema *s, const struct lm_tree *choices)
{
    for (const struct lm_tree *x = choices->first; x && lm_nfa_go_on(s->a); x = x->next)
        for (const struct lm_tree *y = x->next; y && lm_nfa_go_on(s->a); y = y->next)
            if (!lm_schema_disjoint(s, x, y)) {
                lm_schema_refuse(s, y,
                                 "oneOf is supported where its schemas exclude each other by type or by a "
                                 "required constant; this and number %zu may not: use anyOf",
                                 x->index);
                return;
            }
}

static void take_keyword(struct gathering *g, const struct lm_tree *member, const struct row *row, bool bare)
{
    struct lm_schema *s = g->s;
    if (row->kind == SLOT) {
        struct lm_schema_values *v = &g->view->slots[row->slot];
        if (v->count == LM_SCHEMA_PARTS_MAX)
            lm_schema_refuse_limit(s, member, "too many schemas apply to one value: merge some");
        else
            v->items[v->count++] = member;
        return;
    }
    if (bare)
        return;
    if (row->kind == REFERENCE) {
        const struct lm_tree *target = lm_schema_target(s, member);
        if (target)
            lm_schema_add_part(s, &g->whole, target, LM_PART_WHOLE);
    } else if (is_array(s, member)) {
        if (row->kind == ALL_OF)
            for (const struct lm_tree *at = member->first; at && s->a->rc == LM_OK; at = at->next)
                lm_schema_add_part(s, &g->whole, at, LM_PART_WHOLE);
        else
            lm_schema_add_part(s, &g->view->choices, member, LM_PART_CHOICE);
        if (row->kind == ONE_OF)
            take_one_of(s, member);
    }
}

/* A keyword that is not supported, with the value that means the same as leaving it out. */
static bool says_nothing(const struct lm_tree *member)
{
    return lm_str_eq(member->key, LM_STR("uniqueItems")) && member->kind == LM_JSON_FALSE;
}

static void take_schema(struct gathering *g, const struct lm_tree *node, bool bare)
{
    bool constrains = false;
    if (node->kind == LM_JSON_TRUE)
        return;
    if (node->kind == LM_JSON_FALSE) {
        g->view->never = true;
        return;
    }
    if (node->kind != LM_JSON_OBJECT) {
        lm_schema_refuse(g->s, node, "a schema is an object, true or false");
        return;
    }
    for (const struct lm_tree *at = node->first; at && lm_nfa_go_on(g->s->a); at = at->next) {
        const struct row *row = find_row(at->key);
        if (!row && (lm_str_starts(at->key, LM_STR("x-")) || says_nothing(at)))
            continue;
        if (!row) {
            lm_schema_refuse(g->s, at, "the keyword '%.*s' is not supported", (int)at->key.len, at->key.ptr);
            return;
        }
        if (row->kind == IGNORED || lm_tree_get_str(node, at->key) != at)
            continue;
        constrains |= row->kind == SLOT;
        take_keyword(g, at, row, bare);
    }
    if (constrains)
        lm_schema_add_part(g->s, &g->view->bare, node, LM_PART_BARE);
}

void lm_schema_gather(struct lm_schema *s, const struct lm_schema_conj *conj, struct lm_schema_view *ret)
{
    struct gathering g = { .s = s, .view = ret };
    *ret = (struct lm_schema_view){ .types = LM_TYPE_ALL };
    for (size_t i = 0; i < conj->count; i++) {
        const struct lm_schema_part part = conj->parts[i];
        if (part.how == LM_PART_CHOICE)
            lm_schema_add_part(s, &ret->choices, part.node, part.how);
        else if (part.how == LM_PART_BARE)
            take_schema(&g, part.node, true);
        else
            lm_schema_add_part(s, &g.whole, part.node, part.how);
    }
    for (size_t i = 0; i < g.whole.count && s->a->rc == LM_OK; i++)   // grows meanwhile
        take_schema(&g, g.whole.parts[i].node, false);
    for (size_t i = 0; i < ret->slots[LM_SLOT_TYPE].count; i++)
        ret->types &= lm_schema_types(s, ret->slots[LM_SLOT_TYPE].items[i]);
}

/* ---- sizes ---- */

bool lm_schema_size(struct lm_schema *s, const struct lm_tree *value, uint32_t *ret)
{
    double number;
    if (value->kind != LM_JSON_NUMBER || !lm_str_to_f64(value->text, &number) || number < 0 ||
        number != __builtin_floor(number)) {
        lm_schema_refuse(s, value, "expected a whole number of 0 or more");
        return false;
    }
    *ret = number < 1e9 ? (uint32_t)number : 1000000000;
    return true;
}

uint32_t lm_schema_size_most(struct lm_schema *s, const struct lm_schema_values *v, uint32_t fallback)
{
    uint32_t most = fallback, one;
    for (size_t i = 0; i < v->count; i++)
        if (lm_schema_size(s, v->items[i], &one) && (i == 0 || one > most))
            most = one;
    return most;
}

uint32_t lm_schema_size_least(struct lm_schema *s, const struct lm_schema_values *v, uint32_t fallback)
{
    uint32_t least = fallback, one;
    for (size_t i = 0; i < v->count; i++)
        if (lm_schema_size(s, v->items[i], &one) && (i == 0 || one < least))
            least = one;
    return least;
}
