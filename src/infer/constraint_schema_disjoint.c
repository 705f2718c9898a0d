/* infer/constraint_schema_disjoint.c - do two schemas exclude each other?  Only what is easy to see: types,
 * listed values, a required property that excludes, a required property that the other forbids.  "No" means
 * not known. */
#include "infer/constraint_schema.h"

enum { DEPTH_MAX = 6, COMPARISONS_MAX = 4096 };

/* Behind "$ref", as far as that is all the schema says; NULL when it cannot be told. */
static const struct lm_tree *resolve(struct lm_schema *s, const struct lm_tree *x)
{
    for (size_t step = 0; step < 32 && x; step++) {
        const struct lm_tree *ref = lm_tree_get(x, "$ref");
        if (!ref)
            return x;
        x = lm_schema_target(s, ref);
    }
    return NULL;
}

static unsigned types_of(struct lm_schema *s, const struct lm_tree *x)
{
    const struct lm_tree *type = lm_tree_get(x, "type"), *constant = lm_tree_get(x, "const");
    const struct lm_tree *list = lm_tree_get(x, "enum");
    unsigned types = type ? lm_schema_types(s, type) : LM_TYPE_ALL;
    if (constant)
        types &= lm_schema_type_of(constant);
    if (list) {
        unsigned listed = 0;
        for (const struct lm_tree *at = list->first; at; at = at->next)
            listed |= lm_schema_type_of(at);
        types &= listed;
    }
    return types;
}

static bool is_scalar(const struct lm_tree *value)
{
    return value->kind != LM_JSON_ARRAY && value->kind != LM_JSON_OBJECT;
}

/* The first listed value; *ret_alone: it is the only one.  NULL: no list. */
static const struct lm_tree *first_value(const struct lm_tree *x, bool *ret_alone)
{
    const struct lm_tree *constant = lm_tree_get(x, "const"), *list = lm_tree_get(x, "enum");
    *ret_alone = constant != NULL;
    return constant ? constant : list ? list->first : NULL;
}

static bool values_differ(const struct lm_tree *x, const struct lm_tree *y)
{
    bool x_alone, y_alone;
    const struct lm_tree *x_first = first_value(x, &x_alone), *y_first = first_value(y, &y_alone);
    size_t comparisons = 0;
    if (!x_first || !y_first)
        return false;
    for (const struct lm_tree *a = x_first; a; a = x_alone ? NULL : a->next)
        for (const struct lm_tree *b = y_first; b; b = y_alone ? NULL : b->next)
            if (++comparisons > COMPARISONS_MAX || !is_scalar(a) || !is_scalar(b) || lm_tree_equal(a, b))
                return false;
    return true;
}

static bool requires(const struct lm_tree *x, struct lm_str name)
{
    const struct lm_tree *list = lm_tree_get(x, "required");
    for (const struct lm_tree *at = list ? list->first : NULL; at; at = at->next)
        if (at->kind == LM_JSON_STRING && lm_str_eq(at->text, name))
            return true;
    return false;
}

static bool forbids(const struct lm_tree *x, struct lm_str name)
{
    const struct lm_tree *properties = lm_tree_get(x, "properties");
    const struct lm_tree *additional = lm_tree_get(x, "additionalProperties");
    const struct lm_tree *own = properties ? lm_tree_get_str(properties, name) : NULL;
    return own ? own->kind == LM_JSON_FALSE : additional && additional->kind == LM_JSON_FALSE;
}

static bool disjoint(struct lm_schema *s, const struct lm_tree *x, const struct lm_tree *y, size_t depth);

/* Both are objects: a property that x requires is forbidden, or has to be something else, in y. */
static bool objects_differ(struct lm_schema *s, const struct lm_tree *x, const struct lm_tree *y,
                           size_t depth)
{
    const struct lm_tree *list = lm_tree_get(x, "required");
    const struct lm_tree *x_properties = lm_tree_get(x, "properties");
    const struct lm_tree *y_properties = lm_tree_get(y, "properties");
    for (const struct lm_tree *at = list ? list->first : NULL; at && lm_nfa_go_on(s->a); at = at->next) {
        if (at->kind != LM_JSON_STRING)
            continue;
        if (forbids(y, at->text))
            return true;
        const struct lm_tree *a = x_properties ? lm_tree_get_str(x_properties, at->text) : NULL;
        const struct lm_tree *b = y_properties ? lm_tree_get_str(y_properties, at->text) : NULL;
        if (a && b && requires(y, at->text) && disjoint(s, a, b, depth + 1))
            return true;
    }
    return false;
}

static bool disjoint(struct lm_schema *s, const struct lm_tree *x, const struct lm_tree *y, size_t depth)
{
    x = resolve(s, x);
    y = resolve(s, y);
    if (!x || !y || depth > DEPTH_MAX || !lm_nfa_go_on(s->a))
        return false;
    if (x->kind == LM_JSON_FALSE || y->kind == LM_JSON_FALSE)
        return true;
    const unsigned both = types_of(s, x) & types_of(s, y);
    if (both == 0 || values_differ(x, y))
        return true;
    return both == LM_TYPE_OBJECT && (objects_differ(s, x, y, depth) || objects_differ(s, y, x, depth));
}

bool lm_schema_disjoint(struct lm_schema *s, const struct lm_tree *x, const struct lm_tree *y)
{
    return disjoint(s, x, y, 0);
}
