/* flow/project.c - reads loom.yaml. */

#include "flow/project.h"

#include "base/file.h"

#include <stddef.h>

#define AT(field) offsetof(struct lm_project, field)
/* One row a section that is a plain option table.  `lists`: keys the row's own reader takes. */
static const struct section {
    const struct lm_opt_table *table;
    size_t offset;
    const char *const *lists;
} sections[] = {
    { &lm_prepare_options, AT(prepare), NULL },
    { &lm_pairs_options, AT(pairs), NULL },
    { &lm_tokenizer_options, AT(tokenizer), NULL },
    { &lm_tokens_options, AT(tokens), NULL },
    { &lm_pretrain_options, AT(pretrain), NULL },
    { &lm_finetune_options, AT(finetune), (const char *const[]){ "snapshots", NULL } },
    { &lm_review_options, AT(review), NULL },
};
enum { SECTION_COUNT = sizeof(sections) / sizeof(sections[0]) };

/* The last three are read by `loom serve`, `loom tune` and all that train. */
static const char *const other_keys[] = { "name", "collect", "serve", "tune", "tracking" };

static bool is_known(struct lm_str key)
{
    for (size_t i = 0; i < sizeof(other_keys) / sizeof(other_keys[0]); i++)
        if (lm_str_eq(key, lm_str(other_keys[i])))
            return true;
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (lm_str_eq(key, lm_str(sections[i].table->name)))
            return true;
    return false;
}

static enum lm_rc check_keys(const struct lm_yaml *root, const char *file, struct lm_err *err)
{
    for (const struct lm_yaml *section = root->child; section; section = section->next) {
        if (is_known(section->key))
            continue;
        const char *nearest = NULL;
        for (size_t i = 0; i < SECTION_COUNT && !nearest; i++)
            if (lm_str_distance(section->key.ptr, sections[i].table->name) <= 2)
                nearest = sections[i].table->name;
        return lm_fail(err, LM_EINVAL, "%s:%zu: unknown section '%.*s'%s%s%s", file, section->line,
                       (int)section->key.len, section->key.ptr, nearest ? "; did you mean '" : "",
                       nearest ? nearest : "", nearest ? "'?" : "");
    }
    return LM_OK;
}

static const char *relative_to(struct lm_arena *arena, const char *dir, const char *path)
{
    return path && path[0] != '/' ? lm_arena_printf(arena, "%s/%s", dir, path) : path;
}

/* The items of a list below section.key; an absent list has none. */
static enum lm_rc list_items(const struct lm_yaml *root, const char *section, const char *key,
                             size_t count_max, const char *file, const struct lm_yaml **ret_first,
                             size_t *ret_count, struct lm_err *err)
{
    const struct lm_yaml *list = lm_yaml_get(lm_yaml_get(root, section), key);
    *ret_first = NULL;
    *ret_count = 0;
    if (lm_yaml_is_null(list))
        return LM_OK;
    if (list->kind != LM_YAML_LIST)
        return lm_fail(err, LM_EINVAL, "%s:%zu: '%s' must be a list ('- name: ...')", file, list->line, key);
    *ret_first = list->child;
    for (const struct lm_yaml *item = list->child; item; item = item->next)
        ++*ret_count;
    if (*ret_count > count_max)
        return lm_fail(err, LM_ELIMIT, "%s:%zu: '%s' has %zu entries; at most %zu are allowed", file,
                       list->line, key, *ret_count, count_max);
    return LM_OK;
}

static enum lm_rc read_sources(const struct lm_yaml *root, const char *file, struct lm_arena *arena,
                               struct lm_project *p, struct lm_err *err)
{
    const struct lm_yaml *item, *section = lm_yaml_get(root, "collect");
    LM_TRY(list_items(root, "collect", "sources", LM_SOURCES_MAX, file, &item, &p->source_count, err));
    for (const struct lm_yaml *key = section ? section->child : NULL; key; key = key->next)
        if (!lm_str_eq(key->key, LM_STR("sources")))
            return lm_fail(err, LM_EINVAL, "%s:%zu: unknown key '%.*s' in collect; it has 'sources'", file,
                           key->line, (int)key->key.len, key->key.ptr);
    if (p->source_count == 0)
        return lm_fail(err, LM_EINVAL,
                       "%s: there is no source: add 'collect: sources: - name: ... path: ...'", file);
    p->sources = lm_arena_alloc(arena, p->source_count * sizeof(*p->sources));
    for (size_t i = 0; item; item = item->next, i++) {
        static const char *const also[] = { "path", NULL };
        struct lm_source *s = &p->sources[i];
        const struct lm_yaml *path = lm_yaml_get(item, "path");
        if (lm_yaml_is_null(path) || path->kind != LM_YAML_SCALAR)
            return lm_fail(err, LM_EINVAL, "%s:%zu: a source needs a path", file, item->line);
        lm_opt_defaults(&lm_source_options, s);
        LM_TRY(lm_opt_from_yaml(&lm_source_options, s, item, file, also, arena, err));
        s->path = relative_to(arena, p->dir, path->value.ptr);
        s->name = s->name ? s->name : lm_path_base(path->value.ptr);
    }
    return LM_OK;
}

static enum lm_rc read_snapshots(const struct lm_yaml *root, const char *file, struct lm_arena *arena,
                                 struct lm_project *p, struct lm_err *err)
{
    static const char *const also[] = { "name", NULL };
    const struct lm_yaml *item;
    LM_TRY(list_items(root, "finetune", "snapshots", LM_SNAPSHOTS_MAX, file, &item, &p->snapshot_count, err));
    p->snapshots = lm_arena_alloc(arena, (p->snapshot_count + 1) * sizeof(*p->snapshots));
    for (size_t i = 0; item; item = item->next, i++) {
        struct lm_project_snapshot *s = &p->snapshots[i];
        const struct lm_yaml *name = lm_yaml_get(item, "name");
        if (lm_yaml_is_null(name) || name->kind != LM_YAML_SCALAR)
            return lm_fail(err, LM_EINVAL, "%s:%zu: a snapshot needs a name", file, item->line);
        if (strspn(name->value.ptr, "abcdefghijklmnopqrstuvwxyz0123456789-_") != name->value.len)
            return lm_fail(err, LM_EINVAL, "%s:%zu: snapshot name '%s' may hold a-z, 0-9, '-' and '_' only",
                           file, name->line, name->value.ptr);
        for (size_t k = 0; k < i; k++)
            if (strcmp(p->snapshots[k].name, name->value.ptr) == 0)
                return lm_fail(err, LM_EINVAL, "%s:%zu: snapshot '%s' is there twice", file, name->line,
                               name->value.ptr);
        s->name = name->value.ptr;
        s->config = p->finetune;
        LM_TRY(lm_opt_from_yaml(&lm_finetune_options, &s->config, item, file, also, arena, err));
        if (!s->config.snapshot)
            s->config.snapshot = s->name;
    }
    return LM_OK;
}

enum lm_rc lm_project_load(const char *dir, struct lm_arena *arena, struct lm_project *ret,
                           struct lm_err *err)
{
    const char *file = lm_arena_printf(arena, "%s/loom.yaml", dir);
    if (!lm_path_exists(file))
        return lm_fail(err, LM_ENOENT, "there is no '%s'; 'loom init' makes one", file);
    const struct lm_yaml *root = NULL;
    LM_TRY(lm_yaml_read(file, arena, &root, err));
    if (root->kind != LM_YAML_MAP)
        return lm_fail(err, LM_EINVAL, "%s: the file must be a map of sections", file);
    LM_TRY(check_keys(root, file, err));

    struct lm_project p = {
        .dir = lm_arena_strdup(arena, dir),
        .state_dir = lm_arena_printf(arena, "%s/.loom", dir),
    };
    const struct lm_yaml *name = lm_yaml_get(root, "name");
    p.name = lm_yaml_is_null(name) ? "loom" : name->value.ptr;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        void *config = (char *)&p + sections[i].offset;
        const struct lm_yaml *section = lm_yaml_get(root, sections[i].table->name);
        lm_opt_defaults(sections[i].table, config);
        if (!lm_yaml_is_null(section))
            LM_TRY(lm_opt_from_yaml(sections[i].table, config, section, file, sections[i].lists, arena, err));
    }
    p.tokenizer.chat_template = relative_to(arena, dir, p.tokenizer.chat_template);
    LM_TRY(read_sources(root, file, arena, &p, err));
    LM_TRY(read_snapshots(root, file, arena, &p, err));
    *ret = p;
    return LM_OK;
}
