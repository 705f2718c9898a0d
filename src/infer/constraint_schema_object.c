/* infer/constraint_schema_object.c - objects of a schema.
 *
 * Members come in the order of `properties`, then those that are only `required`, then others if they are
 * allowed.  Two rows of branches say whether a comma is due: `first[i]`, nothing has been written before
 * member i; `next[i]`, something has. */
#include "base/mem.h"
#include "infer/constraint_json.h"
#include "infer/constraint_schema.h"
#include "infer/constraint_words.h"

#include <stdlib.h>

struct member {
    struct lm_str name;
    struct lm_schema_conj conj;
    bool required;
};

struct object {
    struct lm_schema *s;
    const struct lm_schema_view *view;
    struct member *members;
    size_t count, cap;
    uint32_t *slots;                    // member + 1, by hash of the name
    size_t slot_size;                   // a power of two
    bool others;                        // members of other names are allowed ...
    struct lm_schema_conj other_conj;   // ... with such values
};

/* ---- members ---- */

static size_t slot_of(const struct object *o, struct lm_str name)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.ptr[i]) * 0x100000001b3;
    size_t at = hash & (o->slot_size - 1);
    while (o->slots[at] && !lm_str_eq(o->members[o->slots[at] - 1].name, name))
        at = (at + 1) & (o->slot_size - 1);
    return at;
}

static struct member *find_member(struct object *o, struct lm_str name)
{
    if (o->slot_size == 0)
        return NULL;
    const uint32_t slot = o->slots[slot_of(o, name)];
    return slot ? &o->members[slot - 1] : NULL;
}

static struct member *take_member(struct object *o, struct lm_str name)
{
    struct member *found = find_member(o, name);
    if (found)
        return found;
    if (2 * (o->count + 1) >= o->slot_size) {
        free(o->slots);
        o->slot_size = o->slot_size ? 2 * o->slot_size : 32;
        o->slots = lm_zalloc(o->slot_size, sizeof(*o->slots));
        for (size_t i = 0; i < o->count; i++)
            o->slots[slot_of(o, o->members[i].name)] = (uint32_t)i + 1;
    }
    lm_grow(&o->members, &o->cap, o->count + 1, sizeof(*o->members));
    o->members[o->count] = (struct member){ .name = name };
    o->slots[slot_of(o, name)] = (uint32_t)o->count + 1;
    return &o->members[o->count++];
}

static void take_properties(struct object *o)
{
    const struct lm_schema_values *v = &o->view->slots[LM_SLOT_PROPERTIES];
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i]->kind != LM_JSON_OBJECT)
            lm_schema_refuse(o->s, v->items[i], "expected an object of schemas");
        for (const struct lm_tree *at = v->items[i]->first; at && lm_nfa_go_on(o->s->a); at = at->next)
            lm_schema_add_part(o->s, &take_member(o, at->key)->conj, at, LM_PART_WHOLE);
    }
}

static void take_required(struct object *o)
{
    const struct lm_schema_values *v = &o->view->slots[LM_SLOT_REQUIRED];
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i]->kind != LM_JSON_ARRAY)
            lm_schema_refuse(o->s, v->items[i], "expected an array of names");
        for (const struct lm_tree *at = v->items[i]->first; at && lm_nfa_go_on(o->s->a); at = at->next)
            if (at->kind != LM_JSON_STRING)
                lm_schema_refuse(o->s, at, "expected the name of a property");
            else
                take_member(o, at->text)->required = true;
    }
}

/* Every schema that has additionalProperties says what members may be that it does not list itself. */
static void take_additional(struct object *o)
{
    const struct lm_schema_view *v = o->view;
    const struct lm_schema_values *additional = &v->slots[LM_SLOT_ADDITIONAL];
    /* Without the keyword anything goes, but what is not asked for is written only if nothing else is. */
    o->others = additional->count > 0 || v->slots[LM_SLOT_PROPERTIES].count == 0;
    for (size_t i = 0; i < additional->count && o->s->a->rc == LM_OK; i++) {
        const struct lm_tree *value = additional->items[i];
        const struct lm_tree *own = lm_tree_get(value->parent, "properties");
        for (size_t m = 0; m < o->count && lm_nfa_go_on(o->s->a); m++)
            if (!own || !lm_tree_get_str(own, o->members[m].name))
                lm_schema_add_part(o->s, &o->members[m].conj, value, LM_PART_WHOLE);
        if (value->kind == LM_JSON_FALSE)
            o->others = false;
        else
            lm_schema_add_part(o->s, &o->other_conj, value, LM_PART_WHOLE);
    }
}

/* Numbers of members are supported where names and requirements fix them already. */
static void check_counts(struct object *o)
{
    const struct lm_schema_values *lows = &o->view->slots[LM_SLOT_MIN_PROPERTIES];
    const struct lm_schema_values *highs = &o->view->slots[LM_SLOT_MAX_PROPERTIES];
    const uint32_t min = lm_schema_size_most(o->s, lows, 0),
                   max = lm_schema_size_least(o->s, highs, UINT32_MAX);
    size_t required = 0;
    for (size_t m = 0; m < o->count; m++)
        required += o->members[m].required;
    if (min > required)
        lm_schema_refuse(o->s, lows->items[0], "supported only up to the number of required properties");
    if (highs->count > 0 && (o->others || max < o->count))
        lm_schema_refuse(
            o->s, highs->items[0],
            "supported only where additionalProperties is false, from the number of properties on");
}

/* ---- the automaton ---- */

/* "name": value, behind `start`; returns its end. */
static struct lm_frag member_frag(struct object *o, const struct member *m)
{
    struct lm_nfa *a = o->s->a;
    struct lm_buf name = { 0 };
    lm_json_str(&name, m->name);
    const struct lm_frag key = lm_nfa_cat(a, lm_nfa_bytes_frag(a, lm_buf_str(&name)), lm_json_colon(a));
    lm_buf_release(&name);
    return lm_nfa_cat(a, key, lm_schema_frag(o->s, &m->conj));
}

/* A member whose name is none of those listed. */
static struct lm_frag other_frag(struct object *o)
{
    struct lm_nfa *a = o->s->a;
    if (o->count == 0)
        return lm_nfa_cat(a, lm_nfa_cat(a, lm_json_call(a, LM_RULE_STRING), lm_json_colon(a)),
                          lm_schema_call(o->s, &o->other_conj));
    LM_FREE struct lm_str *names = lm_zalloc(o->count, sizeof(*names));
    for (size_t m = 0; m < o->count; m++)
        names[m] = o->members[m].name;
    const struct lm_frag open = lm_nfa_text(a, "\"");
    const struct lm_frag name = lm_nfa_cat(a, open, lm_other_words_frag(a, names, o->count));
    return lm_nfa_cat(a, lm_nfa_cat(a, name, lm_json_colon(a)), lm_schema_call(o->s, &o->other_conj));
}

/* One member between the branches: begins from `first`, or behind a comma from `next`; goes on at `after`. */
static void lay(struct lm_nfa *a, struct lm_frag x, uint32_t first, uint32_t next, uint32_t after)
{
    const struct lm_frag comma = lm_json_comma(a);
    lm_nfa_join(a, comma.end, x.start);
    lm_nfa_branch_to(a, first, x.start);
    lm_nfa_branch_to(a, next, comma.start);
    lm_nfa_join(a, x.end, after);
}

static struct lm_frag object_frag(struct object *o)
{
    struct lm_nfa *a = o->s->a;
    const struct lm_frag head = lm_nfa_cat(a, lm_nfa_text(a, "{"), lm_json_call(a, LM_RULE_BLANK));
    uint32_t first = lm_nfa_branch(a), next = lm_nfa_branch(a);
    lm_nfa_join(a, head.end, first);
    for (size_t m = 0; m < o->count && lm_nfa_go_on(a); m++) {
        const uint32_t first_after = lm_nfa_branch(a), next_after = lm_nfa_branch(a);
        lay(a, member_frag(o, &o->members[m]), first, next, next_after);
        if (!o->members[m].required) {
            lm_nfa_branch_to(a, first, first_after);
            lm_nfa_branch_to(a, next, next_after);
        }
        first = first_after;
        next = next_after;
    }
    if (o->others)
        lay(a, other_frag(o), first, next, next);
    const struct lm_frag blank = lm_json_call(a, LM_RULE_BLANK), close = lm_nfa_text(a, "}");
    lm_nfa_branch_to(a, next, blank.start);
    lm_nfa_join(a, blank.end, close.start);
    lm_nfa_branch_to(a, first, close.start);
    return (struct lm_frag){ head.start, close.end };
}

struct lm_frag lm_schema_object(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct object o = { .s = s, .view = v };
    take_properties(&o);
    take_required(&o);
    take_additional(&o);
    check_counts(&o);
    struct lm_frag x = { 0, 0 };
    if (s->a->rc == LM_OK)
        x = o.count == 0 && o.others && o.other_conj.count == 0 ? lm_json_call(s->a, LM_RULE_OBJECT)
                                                                : object_frag(&o);
    free(o.members);
    free(o.slots);
    return x;
}
