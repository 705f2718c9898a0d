#include "govern/policy_values.h"

/* ---- messages ---- */

enum lm_rc lm_policy_fail_node(const struct lm_policy_loader *l, const struct lm_yaml *node,
                               const char *problem)
{
    return lm_fail(l->err, LM_EFORMAT, "%s:%zu: '%.*s' %s", l->name, node->line, (int)node->key.len,
                   node->key.ptr, problem);
}

/* "'rols' is not known; did you mean 'roles'?" */
static enum lm_rc fail_unknown(const struct lm_policy_loader *l, const struct lm_yaml *node, const char *what,
                               struct lm_str word, const char *nearest)
{
    return lm_fail(l->err, LM_EFORMAT, "%s:%zu: unknown %s '%.*s'%s%s%s", l->name, node->line, what,
                   (int)word.len, word.ptr, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                   nearest ? "'?" : "");
}

struct lm_policy_nearest lm_policy_nearest_to(const struct lm_policy_loader *l, struct lm_str word)
{
    const char *copy = lm_arena_strndup(&l->p->arena, word.ptr, word.len);
    return (struct lm_policy_nearest){ .word = copy, .distance = word.len / 2 + 1 };
}

void lm_policy_nearest_try(struct lm_policy_nearest *n, const char *name)
{
    const size_t distance = lm_str_distance(n->word, name);
    if (distance < n->distance) {
        n->distance = distance;
        n->name = name;
    }
}

/* ---- values ---- */

enum lm_rc lm_policy_need(const struct lm_policy_loader *l, const struct lm_yaml *node,
                          enum lm_yaml_kind kind)
{
    static const char *const problems[] = { "must be a single value", "must be a map", "must be a list" };
    if (node->kind == kind || (kind != LM_YAML_SCALAR && lm_yaml_is_null(node)))
        return LM_OK;
    return lm_policy_fail_node(l, node, problems[kind]);
}

size_t lm_policy_count_children(const struct lm_yaml *node)
{
    size_t count = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        count++;
    return count;
}

void *lm_policy_make_items(struct lm_policy_loader *l, const struct lm_yaml *node, size_t size,
                           size_t *ret_len)
{
    *ret_len = lm_policy_count_children(node);
    return lm_arena_alloc(&l->p->arena, (*ret_len ? *ret_len : 1) * size);
}

enum lm_rc lm_policy_read_int(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_SCALAR));
    int64_t value;
    if (!lm_str_to_i64(node->value, &value) || value < 0)
        return lm_policy_fail_node(l, node, "must be a whole number of 0 or more");
    *(int64_t *)target = value;
    return LM_OK;
}

enum lm_rc lm_policy_read_bool(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_SCALAR));
    const bool yes = lm_str_eq(node->value, LM_STR("true"));
    if (!yes && !lm_str_eq(node->value, LM_STR("false")))
        return lm_policy_fail_node(l, node, "must be true or false");
    *(bool *)target = yes;
    return LM_OK;
}

enum lm_rc lm_policy_read_string(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_SCALAR));
    *(const char **)target = node->value.ptr;
    return LM_OK;
}

enum lm_rc lm_policy_read_strings(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_LIST));
    struct lm_strings list;
    list.items = lm_policy_make_items(l, node, sizeof(*list.items), &list.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(lm_policy_read_string(l, c, &list.items[i++]));
    *(struct lm_strings *)target = list;
    return LM_OK;
}

enum lm_rc lm_policy_read_pairs(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    struct lm_pairs pairs;
    pairs.items = lm_policy_make_items(l, node, sizeof(*pairs.items), &pairs.len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        pairs.items[i].key = c->key.ptr;
        LM_TRY(lm_policy_read_string(l, c, &pairs.items[i].value));
    }
    *(struct lm_pairs *)target = pairs;
    return LM_OK;
}

static enum lm_rc read_any_pattern(struct lm_policy_loader *l, const struct lm_yaml *node, bool ignore_case,
                                   struct lm_pattern *ret)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_SCALAR));
    const char *where = lm_arena_printf(&l->p->arena, "%s:%zu", l->name, node->line);
    return lm_pattern_compile(ret, node->value, ignore_case, where, l->err);
}

enum lm_rc lm_policy_read_pattern(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    return read_any_pattern(l, node, false, target);
}

enum lm_rc lm_policy_read_patterns(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_LIST));
    struct lm_patterns *list = target;
    list->items = lm_policy_make_items(l, node, sizeof(*list->items), &list->len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next)
        LM_TRY(read_any_pattern(l, c, true, &list->items[i++]));
    return LM_OK;
}

enum lm_rc lm_policy_read_named_patterns(struct lm_policy_loader *l, const struct lm_yaml *node, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_LIST));
    struct lm_named_patterns *list = target;
    list->items = lm_policy_make_items(l, node, sizeof(*list->items), &list->len);
    size_t i = 0;
    for (const struct lm_yaml *c = node->child; c; c = c->next, i++) {
        if (c->kind != LM_YAML_LIST || lm_policy_count_children(c) != 2)
            return lm_policy_fail_node(l, node, "must be a list of [name, pattern]");
        LM_TRY(lm_policy_read_string(l, c->child, &list->items[i].name));
        LM_TRY(lm_policy_read_pattern(l, c->child->next, &list->items[i].pattern));
    }
    return LM_OK;
}

/* ---- maps ---- */

enum lm_rc lm_policy_read_map(struct lm_policy_loader *l, const struct lm_yaml *node,
                              const struct lm_policy_key *keys, size_t count, void *target)
{
    LM_TRY(lm_policy_need(l, node, LM_YAML_MAP));
    for (const struct lm_yaml *c = node->child; c; c = c->next) {
        const struct lm_policy_key *key = NULL;
        struct lm_policy_nearest nearest = lm_policy_nearest_to(l, c->key);
        for (size_t i = 0; i < count && !key; i++) {
            lm_policy_nearest_try(&nearest, keys[i].name);
            key = lm_str_eq(c->key, lm_str(keys[i].name)) ? &keys[i] : NULL;
        }
        if (!key)
            return fail_unknown(l, c, "key", c->key, nearest.name);
        LM_TRY(key->read(l, c, (char *)target + key->offset));
    }
    for (size_t i = 0; i < count; i++)
        if (keys[i].required && !lm_yaml_get(node, keys[i].name))
            return lm_fail(l->err, LM_EFORMAT, "%s:%zu: the key '%s' is missing", l->name, node->line,
                           keys[i].name);
    return LM_OK;
}

enum lm_rc lm_policy_read_word(struct lm_policy_loader *l, const struct lm_yaml *node, const char *what,
                               struct lm_str value, const char *const *words, size_t count, size_t *ret)
{
    struct lm_policy_nearest nearest = lm_policy_nearest_to(l, value);
    for (size_t i = 0; i < count; i++) {
        if (lm_str_eq(value, lm_str(words[i]))) {
            *ret = i;
            return LM_OK;
        }
        lm_policy_nearest_try(&nearest, words[i]);
    }
    return fail_unknown(l, node, what, value, nearest.name);
}
