#include "infer/constraint_schema.h"

#include "base/mem.h"
#include "infer/constraint_front.h"
#include "infer/constraint_json.h"

#include <stdlib.h>

/* ---- rules ---- */

static bool same_conj(const struct lm_schema_conj *x, const struct lm_schema_conj *y)
{
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (x->parts[i].node != y->parts[i].node || x->parts[i].how != y->parts[i].how)
            return false;
    return true;
}

/* The rule of a conjunction; new ones are defined later, by define_rules. */
static uint32_t rule_of(struct lm_schema *s, const struct lm_schema_conj *conj)
{
    for (size_t i = 0; i < s->rule_count; i++)
        if (same_conj(&s->rules[i].conj, conj))
            return s->rules[i].rule;
    char pointer[LM_TREE_POINTER_MAX];
    const char *name = conj->count > 0 ? lm_tree_pointer(conj->parts[0].node, pointer) : "";
    const uint32_t rule = lm_nfa_rule(s->a, lm_str(name[0] ? name : "#"));
    lm_grow(&s->rules, &s->rule_cap, s->rule_count + 1, sizeof(*s->rules));
    s->rules[s->rule_count++] = (struct lm_schema_rule){ *conj, rule };
    return rule;
}

struct lm_frag lm_schema_call(struct lm_schema *s, const struct lm_schema_conj *conj)
{
    if (s->a->rc != LM_OK)
        return (struct lm_frag){ 0, 0 };
    return conj->count == 0 ? lm_json_call(s->a, LM_RULE_VALUE) : lm_nfa_call(s->a, rule_of(s, conj));
}

/* ---- one value ---- */

/* One of the schemas of the first choice, and all the rest. */
static struct lm_frag choices(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct lm_frag all = lm_nfa_never(s->a);
    const struct lm_tree *options = v->choices.parts[0].node;
    for (const struct lm_tree *at = options->first; at && lm_nfa_go_on(s->a); at = at->next) {
        struct lm_schema_conj conj = { .count = 0 };
        lm_schema_add_part(s, &conj, at, LM_PART_WHOLE);
        for (size_t i = 0; i < v->bare.count; i++)
            lm_schema_add_part(s, &conj, v->bare.parts[i].node, LM_PART_BARE);
        for (size_t i = 1; i < v->choices.count; i++)
            lm_schema_add_part(s, &conj, v->choices.parts[i].node, LM_PART_CHOICE);
        all = lm_nfa_either(s->a, lm_schema_frag(s, &conj), all);
    }
    return all;
}

static struct lm_frag null_frag(struct lm_schema *s, const struct lm_schema_view *v)
{
    (void)v;
    return lm_nfa_text(s->a, "null");
}

static struct lm_frag boolean_frag(struct lm_schema *s, const struct lm_schema_view *v)
{
    (void)v;
    return lm_nfa_either(s->a, lm_nfa_text(s->a, "true"), lm_nfa_text(s->a, "false"));
}

static struct lm_frag from_view(struct lm_schema *s, const struct lm_schema_view *v)
{
    static const struct {
        unsigned types;
        struct lm_frag (*frag)(struct lm_schema *s, const struct lm_schema_view *v);
    } kinds[] = {
        { LM_TYPE_NULL, null_frag },
        { LM_TYPE_BOOLEAN, boolean_frag },
        { LM_TYPE_INTEGER | LM_TYPE_FRACTION, lm_schema_number },
        { LM_TYPE_STRING, lm_schema_string },
        { LM_TYPE_ARRAY, lm_schema_array },
        { LM_TYPE_OBJECT, lm_schema_object },
    };
    if (v->never || s->a->rc != LM_OK)
        return lm_nfa_never(s->a);
    if (v->choices.count > 0)
        return choices(s, v);
    if (v->bare.count == 0)
        return lm_json_call(s->a, LM_RULE_VALUE);
    if (v->slots[LM_SLOT_ENUM].count + v->slots[LM_SLOT_CONST].count > 0)
        return lm_schema_enum(s, v);
    struct lm_frag all = { 0, 0 };
    bool any = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (v->types & kinds[i].types) {
            const struct lm_frag one = kinds[i].frag(s, v);
            all = any ? lm_nfa_either(s->a, all, one) : one;
            any = true;
        }
    return any ? all : lm_nfa_never(s->a);
}

static struct lm_frag in_place(struct lm_schema *s, const struct lm_schema_conj *conj)
{
    if (s->depth >= s->a->limits.depth) {
        lm_schema_refuse_limit(s, conj->parts[0].node, "schemas are nested too deep: use $ref");
        return lm_nfa_never(s->a);
    }
    struct lm_schema_view *view = lm_zalloc(1, sizeof(*view));
    s->depth++;
    lm_schema_gather(s, conj, view);
    const struct lm_frag x = from_view(s, view);
    s->depth--;
    free(view);
    return x;
}

/* The target of a schema that says nothing but "$ref"; NULL for others. */
static const struct lm_tree *reference_only(struct lm_schema *s, const struct lm_tree *node)
{
    const struct lm_tree *ref = lm_tree_get(node, "$ref");
    return ref && node->count == 1 ? lm_schema_target(s, ref) : NULL;
}

struct lm_frag lm_schema_frag(struct lm_schema *s, const struct lm_schema_conj *conj)
{
    if (s->a->rc != LM_OK)
        return (struct lm_frag){ 0, 0 };
    if (conj->count == 0)
        return lm_json_call(s->a, LM_RULE_VALUE);
    if (conj->count > 1)
        return lm_nfa_call(s->a, rule_of(s, conj));
    if (conj->parts[0].how != LM_PART_WHOLE)
        return in_place(s, conj);
    const struct lm_tree *target = reference_only(s, conj->parts[0].node);
    if (target) {
        const struct lm_schema_conj other = { .parts = { { target, LM_PART_WHOLE } }, .count = 1 };
        return lm_nfa_call(s->a, rule_of(s, &other));
    }
    return in_place(s, conj);
}

/* ---- all of it ---- */

/* The body of a rule may be a reference to another, or to itself, which the automaton refuses. */
static void define_rules(struct lm_schema *s)
{
    for (size_t i = 0; i < s->rule_count && lm_nfa_go_on(s->a); i++) {   // grows meanwhile
        const struct lm_schema_rule r = s->rules[i];
        const bool single = r.conj.count == 1;
        lm_nfa_define(s->a, r.rule, single ? lm_schema_frag(s, &r.conj) : in_place(s, &r.conj));
    }
}

uint32_t lm_front_schema(struct lm_nfa *a, struct lm_str source)
{
    struct lm_arena arena = { 0 };
    struct lm_tree *root;
    struct lm_err err = { 0 };
    uint32_t start = 0;
    const enum lm_rc rc = lm_tree_read(source, "schema", &arena, &root, &err);
    if (rc != LM_OK) {
        lm_nfa_fail(a, rc == LM_ELIMIT ? rc : LM_EINVAL, "%s", err.text);
    } else {
        struct lm_schema s = { .a = a, .root = root };
        lm_json_rules(a);
        const struct lm_schema_conj conj = { .parts = { { root, LM_PART_WHOLE } }, .count = 1 };
        start = rule_of(&s, &conj);
        define_rules(&s);
        free(s.rules);
    }
    lm_arena_release(&arena);
    return start;
}
