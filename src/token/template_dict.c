/* token/template_dict.c - methods of dicts and lists, as Python's; those that change one are forbidden. */
#include "token/template_impl.h"

enum what { KEYS, VALUES, ITEMS };

static enum lm_rc view(struct lm_tpl *r, const struct lm_tpl_dict *d, enum what what,
                       struct lm_tpl_value *ret)
{
    LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_VIEW, d->count, ret));
    for (size_t i = 0; i < d->count; i++) {
        struct lm_tpl_value *item = &ret->list->items[i];
        if (what != ITEMS) {
            *item = what == KEYS ? d->pairs[i].key : d->pairs[i].value;
            continue;
        }
        LM_TRY(lm_tpl_list_new(r, LM_TPL_SEQ_TUPLE, 2, item));
        item->list->items[0] = d->pairs[i].key;
        item->list->items[1] = d->pairs[i].value;
    }
    return LM_OK;
}

enum lm_rc lm_tpl_dict_items(struct lm_tpl *r, struct lm_tpl_value dict, struct lm_tpl_value *ret)
{
    return view(r, dict.dict, ITEMS, ret);
}

enum lm_rc lm_tpl_dict_items_of(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                                struct lm_tpl_value *ret)
{
    (void)args;
    return view(r, v.dict, ITEMS, ret);
}

enum lm_rc lm_tpl_dict_keys(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                            struct lm_tpl_value *ret)
{
    (void)args;
    return view(r, v.dict, KEYS, ret);
}

enum lm_rc lm_tpl_dict_values(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                              struct lm_tpl_value *ret)
{
    (void)args;
    return view(r, v.dict, VALUES, ret);
}

enum lm_rc lm_tpl_dict_get(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                           struct lm_tpl_value *ret)
{
    const struct lm_tpl_value *known;
    LM_TRY(lm_tpl_dict_find(r, v.dict, args[0], &known));
    *ret = known ? *known : lm_tpl_given(args[1]) ? args[1] : lm_tpl_none();
    return LM_OK;
}

enum lm_rc lm_tpl_forbidden(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                            struct lm_tpl_value *ret)
{
    (void)args, (void)ret;
    return lm_tpl_fail(r, LM_EINVAL, "a template may not change %s", lm_tpl_kind_name(v));
}

enum lm_rc lm_tpl_list_count(struct lm_tpl *r, struct lm_tpl_value v, const struct lm_tpl_value *args,
                             struct lm_tpl_value *ret)
{
    int64_t found = 0;
    for (size_t i = 0; i < v.list->count; i++) {
        bool same;
        LM_TRY(lm_tpl_equal(r, lm_tpl_list_at(v.list, i), args[0], &same));
        found += same;
    }
    *ret = lm_tpl_int(found);
    return LM_OK;
}
