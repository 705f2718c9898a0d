/* infer/constraint_schema_array.c - arrays of a schema. */
#include "infer/constraint_json.h"
#include "infer/constraint_schema.h"

/* Item number `index` must satisfy all of these; false: there may be none. */
static bool item_conj(struct lm_schema *s, const struct lm_schema_view *v, size_t index,
                      struct lm_schema_conj *ret)
{
    const struct lm_schema_values *prefixes = &v->slots[LM_SLOT_PREFIX_ITEMS],
                                  *items = &v->slots[LM_SLOT_ITEMS];
    ret->count = 0;
    bool in_prefix = false;
    for (size_t i = 0; i < prefixes->count; i++) {
        const struct lm_tree *at = prefixes->items[i]->first;
        while (at && at->index < index)
            at = at->next;
        if (at)
            lm_schema_add_part(s, ret, at, LM_PART_WHOLE);
        in_prefix |= at != NULL;
    }
    for (size_t i = 0; i < items->count && !in_prefix; i++) {
        if (items->items[i]->kind == LM_JSON_FALSE)
            return false;
        lm_schema_add_part(s, ret, items->items[i], LM_PART_WHOLE);
    }
    return true;
}

static bool check_keywords(struct lm_schema *s, const struct lm_schema_view *v)
{
    const struct lm_schema_values *prefixes = &v->slots[LM_SLOT_PREFIX_ITEMS],
                                  *items = &v->slots[LM_SLOT_ITEMS];
    for (size_t i = 0; i < prefixes->count; i++)
        if (prefixes->items[i]->kind != LM_JSON_ARRAY)
            lm_schema_refuse(s, prefixes->items[i], "expected an array of schemas");
    for (size_t i = 0; i < items->count; i++)
        if (items->items[i]->kind == LM_JSON_ARRAY)
            lm_schema_refuse(s, items->items[i],
                             "a list of schemas for items is not supported: use prefixItems");
    if (prefixes->count > 1 || (prefixes->count == 1 && items->count > 1))
        lm_schema_refuse(s, prefixes->items[0],
                         "prefixItems is not supported where several schemas describe the items");
    return s->a->rc == LM_OK;
}

/* Items from number `prefix` on, all alike: min..max of them, each with its comma unless it is the first of
 * all. */
static struct lm_frag rest_items(struct lm_schema *s, const struct lm_schema_conj *conj, size_t prefix,
                                 uint32_t min, uint32_t max)
{
    struct lm_nfa *a = s->a;
    if (max == 0)
        return lm_nfa_empty(a);
    struct lm_frag first = { 0, 0 };
    if (prefix == 0) {
        first = lm_schema_call(s, conj);
        max = max == LM_NFA_NONE ? max : max - 1;
    }
    const size_t mark = a->state_count;
    const struct lm_frag comma = lm_json_comma(a);
    struct lm_frag more = lm_nfa_cat(a, comma, lm_schema_call(s, conj));
    more = lm_nfa_repeat(a, mark, more, prefix == 0 && min > 0 ? min - 1 : min, max, 0);
    if (prefix > 0)
        return more;
    const struct lm_frag all = lm_nfa_cat(a, first, more);
    return min == 0 ? lm_nfa_optional(a, all) : all;
}

/* Items from number `index` on, the later ones first. */
static struct lm_frag items_from(struct lm_schema *s, const struct lm_schema_view *v, size_t prefix,
                                 uint32_t min, uint32_t max)
{
    struct lm_nfa *a = s->a;
    struct lm_schema_conj conj;
    const uint32_t left_min = min > prefix ? min - (uint32_t)prefix : 0;
    uint32_t left_max = max == LM_NFA_NONE ? max : max > prefix ? max - (uint32_t)prefix : 0;
    if (!item_conj(s, v, prefix, &conj)) {
        if (left_min > 0)
            return lm_nfa_never(a);
        left_max = 0;
    }
    struct lm_frag all = rest_items(s, &conj, prefix, left_min, left_max);
    for (size_t i = prefix; i-- > 0 && lm_nfa_go_on(a);) {
        if (i >= max) {
            all = lm_nfa_empty(a);   // whatever would come is too much
            continue;
        }
        item_conj(s, v, i, &conj);
        struct lm_frag one = lm_schema_frag(s, &conj);
        if (i > 0)
            one = lm_nfa_cat(a, lm_json_comma(a), one);
        all = lm_nfa_cat(a, one, all);
        if (i >= min)
            all = lm_nfa_optional(a, all);
    }
    return all;
}

struct lm_frag lm_schema_array(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct lm_nfa *a = s->a;
    if (!check_keywords(s, v))
        return (struct lm_frag){ 0, 0 };
    const struct lm_schema_values *lows = &v->slots[LM_SLOT_MIN_ITEMS], *highs = &v->slots[LM_SLOT_MAX_ITEMS];
    const struct lm_schema_values *prefixes = &v->slots[LM_SLOT_PREFIX_ITEMS];
    const uint32_t min = lm_schema_size_most(s, lows, 0), max = lm_schema_size_least(s, highs, LM_NFA_NONE);
    const size_t prefix = prefixes->count > 0 ? prefixes->items[0]->count : 0;
    const size_t limit = a->limits.repetition;
    if (min > limit)
        lm_schema_refuse_limit(s, lows->items[0], "the number of items is beyond the limit");
    else if (max != LM_NFA_NONE && max > limit)
        lm_schema_refuse_limit(s, highs->items[0], "the number of items is beyond the limit");
    if (a->rc != LM_OK || min > max)
        return lm_nfa_never(a);
    if (prefix == 0 && v->slots[LM_SLOT_ITEMS].count == 0 && min == 0 && max == LM_NFA_NONE)
        return lm_json_call(a, LM_RULE_ARRAY);
    const struct lm_frag items = items_from(s, v, prefix, min, max);
    const struct lm_frag open = lm_nfa_cat(a, lm_nfa_text(a, "["), lm_json_call(a, LM_RULE_BLANK));
    const struct lm_frag close = lm_nfa_cat(a, lm_json_call(a, LM_RULE_BLANK), lm_nfa_text(a, "]"));
    return lm_nfa_cat(a, lm_nfa_cat(a, open, items), close);
}
