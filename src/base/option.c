#include "base/option.h"

#include <stdlib.h>

static void *field_of(const struct lm_opt *opt, void *config)
{
    return (char *)config + opt->offset;
}

/* ---- setting one row ---- */

static enum lm_rc fail_bounds(const struct lm_opt *opt, struct lm_str value, const char *where,
                              struct lm_err *err)
{
    char low[LM_F64_TEXT], high[LM_F64_TEXT];
    lm_f64_text(opt->min, low);
    lm_f64_text(opt->max, high);
    return lm_fail(err, LM_EINVAL, "%s: %s must be between %s and %s, not %.*s", where, opt->name, low, high,
                   (int)value.len, value.ptr);
}

static enum lm_rc fail_kind(const struct lm_opt *opt, const char *kind, struct lm_str value,
                            const char *where, struct lm_err *err)
{
    const int shown = value.len < 100 ? (int)value.len : 100;
    return lm_fail(err, LM_EINVAL, "%s: %s must be %s, not '%.*s'", where, opt->name, kind, shown, value.ptr);
}

static bool in_bounds(const struct lm_opt *opt, double value)
{
    return (opt->min == 0 && opt->max == 0) || (value >= opt->min && value <= opt->max);
}

static enum lm_rc set_int(const struct lm_opt *opt, void *field, struct lm_str value, const char *where,
                          struct lm_err *err)
{
    int64_t number;
    if (!lm_str_to_i64(value, &number))
        return fail_kind(opt, "a whole number", value, where, err);
    if (!in_bounds(opt, (double)number))
        return fail_bounds(opt, value, where, err);
    *(int64_t *)field = number;
    return LM_OK;
}

static enum lm_rc set_real(const struct lm_opt *opt, void *field, struct lm_str value, const char *where,
                           struct lm_err *err)
{
    double number;
    if (!lm_str_to_f64(value, &number))
        return fail_kind(opt, "a number", value, where, err);
    if (!in_bounds(opt, number))
        return fail_bounds(opt, value, where, err);
    *(double *)field = number;
    return LM_OK;
}

static enum lm_rc set_bool(const struct lm_opt *opt, void *field, struct lm_str value, const char *where,
                           struct lm_err *err)
{
    const bool yes = lm_str_eq(value, LM_STR("true"));
    if (!yes && !lm_str_eq(value, LM_STR("false")))
        return fail_kind(opt, "true or false", value, where, err);
    *(bool *)field = yes;
    return LM_OK;
}

static enum lm_rc set_choice(const struct lm_opt *opt, void *field, struct lm_str value, const char *where,
                             struct lm_err *err)
{
    struct lm_buf known = { 0 };
    for (int i = 0; opt->choices[i]; i++) {
        if (lm_str_eq(value, lm_str(opt->choices[i]))) {
            *(int *)field = i;
            lm_buf_release(&known);
            return LM_OK;
        }
        lm_buf_printf(&known, "%s%s", i ? (opt->choices[i + 1] ? ", " : " or ") : "", opt->choices[i]);
    }
    const enum lm_rc rc = fail_kind(opt, lm_buf_str(&known).ptr, value, where, err);
    lm_buf_release(&known);
    return rc;
}

/* A default list borrows its one word from the table and has cap 0; the first word given replaces it. */
static void list_add(struct lm_opt_list *list, struct lm_str word, struct lm_arena *arena)
{
    if (list->cap == 0)
        list->len = 0;
    if (list->len == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 4;
        const char **items = lm_arena_alloc(arena, cap * sizeof(*items));
        if (list->len)
            memcpy(items, list->items, list->len * sizeof(*items));
        list->items = items;
        list->cap = cap;
    }
    list->items[list->len++] = lm_arena_strndup(arena, word.ptr, word.len);
}

static enum lm_rc set_list(const struct lm_opt *opt, void *field, struct lm_str value, const char *where,
                           struct lm_arena *arena, struct lm_err *err)
{
    struct lm_str rest = value, word;
    while (lm_str_split(&rest, ',', &word))
        if (lm_str_trim(word).len == 0)
            return fail_kind(opt, "words separated by commas", value, where, err);
    rest = value;
    while (lm_str_split(&rest, ',', &word))
        list_add(field, lm_str_trim(word), arena);
    return LM_OK;
}

enum lm_rc lm_opt_set(const struct lm_opt *opt, void *config, struct lm_str value, const char *where,
                      struct lm_arena *arena, struct lm_err *err)
{
    void *field = field_of(opt, config);
    if (value.len && memchr(value.ptr, '\0', value.len))
        return lm_fail(err, LM_EINVAL, "%s: %s must not hold a NUL byte", where, opt->name);
    switch (opt->type) {
    case LM_OPT_INT:
        return set_int(opt, field, value, where, err);
    case LM_OPT_REAL:
        return set_real(opt, field, value, where, err);
    case LM_OPT_BOOL:
        return set_bool(opt, field, value, where, err);
    case LM_OPT_STRING:
        *(const char **)field = lm_arena_strndup(arena, value.ptr, value.len);
        return LM_OK;
    case LM_OPT_CHOICE:
        return set_choice(opt, field, value, where, err);
    case LM_OPT_LIST:
        return set_list(opt, field, value, where, arena, err);
    }
    LM_ASSERT(!"a known type");
    return LM_EINVAL;
}

/* ---- whole tables ---- */

static void set_default(const struct lm_opt *opt, void *config)
{
    void *field = field_of(opt, config);
    if (!opt->fallback)
        return;   // zero already
    if (opt->type == LM_OPT_STRING) {
        *(const char **)field = opt->fallback;
    } else if (opt->type == LM_OPT_LIST) {
        LM_ASSERT(!strchr(opt->fallback, ','));   // without an arena there is room for one word only
        *(struct lm_opt_list *)field = (struct lm_opt_list){ (const char **)(uintptr_t)&opt->fallback, 1, 0 };
    } else {
        struct lm_err err = { 0 };
        const enum lm_rc rc = lm_opt_set(opt, config, lm_str(opt->fallback), "default", NULL, &err);
        LM_ASSERT(rc == LM_OK);   // the row contradicts itself
    }
}

void lm_opt_defaults(const struct lm_opt_table *table, void *config)
{
    memset(config, 0, table->config_bytes);
    for (size_t i = 0; i < table->len; i++)
        set_default(&table->rows[i], config);
}

const struct lm_opt *lm_opt_find(const struct lm_opt_table *table, struct lm_str name)
{
    for (size_t i = 0; i < table->len; i++)
        if (lm_str_eq(lm_str(table->rows[i].name), name))
            return &table->rows[i];
    return NULL;
}

const char *lm_opt_nearest(const struct lm_opt_table *table, struct lm_str name)
{
    char wrong[64];
    if (name.len == 0 || name.len >= sizeof(wrong) || memchr(name.ptr, '\0', name.len))
        return NULL;
    memcpy(wrong, name.ptr, name.len);
    wrong[name.len] = '\0';
    const char *nearest = NULL;
    size_t best =
        2 + name.len / 4;   // one more than may be wrong: 1 in a short name, 1 in 4 letters of a long one
    for (size_t i = 0; i < table->len; i++) {
        const size_t distance = lm_str_distance(wrong, table->rows[i].name);
        if (distance < best) {
            best = distance;
            nearest = table->rows[i].name;
        }
    }
    for (size_t i = 0; !nearest && i < table->len; i++)   // "window" for "window-size"
        if (lm_str_starts(lm_str(table->rows[i].name), name))
            nearest = table->rows[i].name;
    return nearest;
}

enum lm_rc lm_opt_check(const struct lm_opt_table *table, const void *config, struct lm_err *err)
{
    for (size_t i = 0; i < table->len; i++) {
        const struct lm_opt *opt = &table->rows[i];
        const void *field = (const char *)config + opt->offset;
        bool missing = false;
        if (opt->type == LM_OPT_STRING) {
            const char *text = *(const char *const *)field;
            missing = !text || !*text;
        } else if (opt->type == LM_OPT_LIST) {
            missing = ((const struct lm_opt_list *)field)->len == 0;
        }
        if (opt->required && missing)
            return lm_fail(err, LM_EINVAL, "%s: %s is required (%s)", table->name, opt->name, opt->help);
    }
    return LM_OK;
}

/* ---- YAML ---- */

static bool named_in(const char *const *names, struct lm_str name)
{
    for (; names && *names; names++)
        if (lm_str_eq(lm_str(*names), name))
            return true;
    return false;
}

static enum lm_rc fail_unknown(const struct lm_opt_table *table, const struct lm_yaml *node, const char *file,
                               struct lm_err *err)
{
    const char *nearest = lm_opt_nearest(table, node->key);
    return lm_fail(err, LM_EINVAL, "%s:%zu: unknown key '%.*s' in %s%s%s%s", file, node->line,
                   (int)(node->key.len < 100 ? node->key.len : 100), node->key.ptr, table->name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static enum lm_rc set_from_list(const struct lm_opt *opt, void *config, const struct lm_yaml *node,
                                const char *where, struct lm_arena *arena, struct lm_err *err)
{
    struct lm_opt_list list = { 0 };
    for (const struct lm_yaml *item = node->child; item; item = item->next) {
        if (item->kind != LM_YAML_SCALAR || lm_yaml_is_null(item) ||
            memchr(item->value.ptr, '\0', item->value.len))
            return lm_fail(err, LM_EINVAL, "%s: %s must be a list of words", where, opt->name);
        list_add(&list, item->value, arena);
    }
    *(struct lm_opt_list *)field_of(opt, config) = list;
    return LM_OK;
}

static enum lm_rc set_from_node(const struct lm_opt *opt, void *config, const struct lm_yaml *node,
                                const char *file, struct lm_arena *arena, struct lm_err *err)
{
    const char *where = lm_arena_printf(arena, "%s:%zu", file, node->line);
    if (lm_yaml_is_null(node))
        return LM_OK;   // "key:" with nothing behind it keeps the default
    if (node->kind == LM_YAML_LIST && opt->type == LM_OPT_LIST)
        return set_from_list(opt, config, node, where, arena, err);
    if (node->kind != LM_YAML_SCALAR)
        return lm_fail(err, LM_EINVAL, "%s: %s must be one value, not a %s", where, opt->name,
                       node->kind == LM_YAML_LIST ? "list" : "mapping");
    return lm_opt_set(opt, config, node->value, where, arena, err);
}

enum lm_rc lm_opt_from_yaml(const struct lm_opt_table *table, void *config, const struct lm_yaml *map,
                            const char *file, const char *const *also, struct lm_arena *arena,
                            struct lm_err *err)
{
    if (lm_yaml_is_null(map))
        return LM_OK;
    if (map->kind != LM_YAML_MAP)
        return lm_fail(err, LM_EINVAL, "%s:%zu: %s must be a mapping of keys to values", file, map->line,
                       table->name);
    for (const struct lm_yaml *node = map->child; node; node = node->next) {
        const struct lm_opt *opt = lm_opt_find(table, node->key);
        if (opt)
            LM_TRY(set_from_node(opt, config, node, file, arena, err));
        else if (!named_in(also, node->key))
            return fail_unknown(table, node, file, err);
    }
    return LM_OK;
}
