/* store/artifact.c - manifests, and the way from a work folder to an artifact. */

#include "store/artifact.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { MANIFEST_VERSION = 1, MANIFEST_BYTES_MAX = 64 << 20, ID_PREFIX_MIN = 6 };

/* ---- recipe ---- */

void lm_recipe_hash(const struct lm_recipe *recipe, char ret[LM_SHA256_HEX])
{
    struct lm_sha256 h;
    char version[24];
    snprintf(version, sizeof(version), "%lld", (long long)recipe->code_version);
    lm_sha256_init(&h);
    lm_sha256_add_field(&h, lm_str(recipe->stage));
    lm_sha256_add_field(&h, lm_str(version));
    lm_sha256_add_field(&h, recipe->options);
    for (size_t i = 0; i < recipe->input_count; i++) {
        lm_sha256_add_field(&h, lm_str(recipe->inputs[i].role));
        lm_sha256_add_field(&h, lm_str(recipe->inputs[i].id));
    }
    lm_sha256_end_hex(&h, ret);
}

/* ---- manifest out ---- */

static void manifest_write(const struct lm_artifact *a, const struct lm_recipe *recipe, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "manifest", MANIFEST_VERSION);
    lm_json_key_str(ret, "id", lm_str(a->id));
    lm_json_key_str(ret, "stage", lm_str(recipe->stage));
    lm_json_key_str(ret, "recipe", lm_str(a->recipe));
    lm_json_key_str(ret, "loom", lm_str(lm_version));
    lm_json_key_int(ret, "code_version", recipe->code_version);
    lm_json_key(ret, "options");
    lm_buf_add_str(ret, recipe->options);
    lm_json_key(ret, "inputs");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < recipe->input_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "role", lm_str(recipe->inputs[i].role));
        lm_json_key_str(ret, "id", lm_str(recipe->inputs[i].id));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
    lm_json_key(ret, "files");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < a->file_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "path", lm_str(a->files[i].path));
        lm_json_key_int(ret, "bytes", (int64_t)a->files[i].size_bytes);
        lm_json_key_str(ret, "sha256", lm_str(a->files[i].sha256));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
    lm_json_key(ret, "metrics");
    lm_buf_add_str(ret, a->metrics);
    lm_buf_puts(ret, "}\n");
}

/* ---- manifest in ---- */

static const char *json_text(const json_t *object, const char *key, struct lm_arena *arena)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? lm_arena_strndup(arena, json_string_value(v), json_string_length(v)) : NULL;
}

static struct lm_str json_dump(const json_t *value, struct lm_arena *arena)
{
    LM_FREE char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    return lm_str(lm_arena_strdup(arena, text ? text : "{}"));
}

static bool read_files(const json_t *list, struct lm_arena *arena, struct lm_artifact *ret)
{
    const size_t count = json_array_size(list);
    struct lm_artifact_file *files = lm_arena_alloc(arena, (count + 1) * sizeof(*files));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const char *path = json_text(item, "path", arena);
        const char *sha = json_text(item, "sha256", arena);
        if (!path || !sha || strlen(sha) != LM_SHA256_HEX - 1 || path[0] == '/' || strstr(path, ".."))
            return false;
        files[i].path = path;
        files[i].size_bytes = (uint64_t)json_integer_value(json_object_get(item, "bytes"));
        memcpy(files[i].sha256, sha, LM_SHA256_HEX);
    }
    ret->files = files;
    ret->file_count = count;
    return json_is_array(list);
}

static bool read_inputs(const json_t *list, struct lm_arena *arena, struct lm_artifact *ret)
{
    const size_t count = json_array_size(list);
    struct lm_artifact_input *inputs = lm_arena_alloc(arena, (count + 1) * sizeof(*inputs));
    for (size_t i = 0; i < count; i++) {
        inputs[i].role = json_text(json_array_get(list, i), "role", arena);
        inputs[i].id = json_text(json_array_get(list, i), "id", arena);
        if (!inputs[i].role || !inputs[i].id)
            return false;
    }
    ret->inputs = inputs;
    ret->input_count = count;
    return json_is_array(list);
}

static bool read_manifest(const json_t *root, const char *id, struct lm_arena *arena, struct lm_artifact *ret)
{
    const char *own_id = json_text(root, "id", arena), *recipe = json_text(root, "recipe", arena);
    if (!own_id || strcmp(own_id, id) != 0 || !recipe || strlen(recipe) != LM_SHA256_HEX - 1)
        return false;
    memcpy(ret->id, own_id, LM_ARTIFACT_ID);
    memcpy(ret->recipe, recipe, LM_SHA256_HEX);
    ret->stage = json_text(root, "stage", arena);
    ret->options = json_dump(json_object_get(root, "options"), arena);
    ret->metrics = json_dump(json_object_get(root, "metrics"), arena);
    return ret->stage && read_files(json_object_get(root, "files"), arena, ret) &&
           read_inputs(json_object_get(root, "inputs"), arena, ret);
}

static enum lm_rc load_exact(const char *store_dir, const char *id, struct lm_arena *arena,
                             struct lm_artifact *ret, struct lm_err *err)
{
    const char *dir = lm_arena_printf(arena, "%s/artifacts/%s", store_dir, id);
    const char *path = lm_arena_printf(arena, "%s/manifest.json", dir);
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, MANIFEST_BYTES_MAX, &text, err);
    if (rc == LM_OK) {
        json_error_t where;
        json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &where);
        struct lm_artifact a = { .dir = dir };
        if (!root)
            rc = lm_fail(err, LM_EFORMAT, "manifest '%s' is damaged at byte %d: %s", path, where.position,
                         where.text);
        else if (!read_manifest(root, id, arena, &a))
            rc = lm_fail(err, LM_EFORMAT, "manifest '%s' lacks a field or belongs to another artifact", path);
        else
            *ret = a;
        json_decref(root);
    }
    lm_buf_release(&text);
    return rc;
}

static bool is_id(const char *name)
{
    return strlen(name) == LM_ARTIFACT_ID - 1 && strspn(name, "0123456789abcdef") == LM_ARTIFACT_ID - 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The ids below artifacts/ that start with `prefix`, sorted.  No folder yet: none. */
static enum lm_rc list_ids(const char *store_dir, const char *prefix, struct lm_arena *arena,
                           const char ***ret, size_t *ret_count, struct lm_err *err)
{
    const char *path = lm_arena_printf(arena, "%s/artifacts", store_dir);
    DIR *dir = opendir(path);
    if (!dir && errno != ENOENT)
        return lm_fail_errno(err, LM_EIO, "cannot list '%s'", path);
    const char **found = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!is_id(entry->d_name) || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        lm_grow(&found, &cap, count + 1, sizeof(*found));
        found[count++] = lm_arena_strdup(arena, entry->d_name);
    }
    if (dir)
        closedir(dir);
    if (count)
        qsort(found, count, sizeof(*found), by_name);
    *ret = lm_arena_alloc(arena, (count + 1) * sizeof(**ret));
    if (count)
        memcpy(*ret, found, count * sizeof(**ret));
    *ret_count = count;
    free(found);
    return LM_OK;
}

/* ---- public: reading ---- */

enum lm_rc lm_artifact_load(const char *store_dir, const char *id, struct lm_arena *arena,
                            struct lm_artifact *ret, struct lm_err *err)
{
    if (strlen(id) < ID_PREFIX_MIN)
        return lm_fail(err, LM_EINVAL, "artifact id '%s' is too short: give at least %d digits", id,
                       ID_PREFIX_MIN);
    const char **ids;
    size_t count;
    LM_TRY(list_ids(store_dir, id, arena, &ids, &count, err));
    if (count == 0)
        return lm_fail(err, LM_ENOENT, "there is no artifact '%s' in '%s'", id, store_dir);
    if (count > 1)
        return lm_fail(err, LM_EINVAL, "artifact id '%s' is not unique: it is the start of %zu ids", id,
                       count);
    return load_exact(store_dir, ids[0], arena, ret, err);
}

enum lm_rc lm_artifact_list(const char *store_dir, struct lm_arena *arena, struct lm_artifact **ret,
                            size_t *ret_count, struct lm_err *err)
{
    const char **ids;
    size_t count;
    LM_TRY(list_ids(store_dir, "", arena, &ids, &count, err));
    struct lm_artifact *list = lm_arena_alloc(arena, (count + 1) * sizeof(*list));
    for (size_t i = 0; i < count; i++)
        LM_TRY(load_exact(store_dir, ids[i], arena, &list[i], err));
    *ret = list;
    *ret_count = count;
    return LM_OK;
}

enum lm_rc lm_artifact_find(const char *store_dir, const struct lm_recipe *recipe, struct lm_arena *arena,
                            struct lm_artifact *ret, struct lm_err *err)
{
    char hash[LM_SHA256_HEX];
    lm_recipe_hash(recipe, hash);
    struct lm_artifact *list;
    size_t count;
    LM_TRY(lm_artifact_list(store_dir, arena, &list, &count, err));
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].recipe, hash) == 0) {
            *ret = list[i];
            return LM_OK;
        }
    return LM_ENOENT;
}

enum lm_rc lm_artifact_verify(const struct lm_artifact *artifact, struct lm_err *err)
{
    for (size_t i = 0; i < artifact->file_count; i++) {
        const struct lm_artifact_file *file = &artifact->files[i];
        LM_FREE char *path = lm_path_join(artifact->dir, file->path);
        char sha[LM_SHA256_HEX];
        LM_TRY(lm_sha256_file(path, sha, err));
        if (strcmp(sha, file->sha256) != 0)
            return lm_fail(
                err, LM_EFORMAT,
                "'%s' is not the file that artifact %s was made with: remove the artifact's folder "
                "and run its stage again",
                path, artifact->id);
    }
    return LM_OK;
}

/* ---- public: making ---- */

enum lm_rc lm_making_begin(struct lm_making *making, const char *store_dir, const struct lm_recipe *recipe,
                           struct lm_err *err)
{
    struct lm_making m = { .store_dir = lm_strdup(store_dir), .lock_fd = -1 };
    lm_recipe_hash(recipe, m.recipe);
    LM_FREE char *work = lm_path_join(store_dir, "work");
    m.work_dir = lm_path_join(work, m.recipe);
    m.out_dir = lm_path_join(m.work_dir, "out");
    LM_FREE char *lock = lm_path_join(m.work_dir, "lock");
    enum lm_rc rc = lm_dir_make(m.work_dir, err);
    if (rc == LM_OK) {
        m.lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (m.lock_fd < 0)
            rc = lm_fail_errno(err, LM_EIO, "cannot create '%s'", lock);
        else if (flock(m.lock_fd, LOCK_EX | LOCK_NB) != 0)
            rc = lm_fail(err, LM_EEXIST, "another loom is making this '%s' right now (it holds '%s')",
                         recipe->stage, lock);
    }
    if (rc == LM_OK)
        rc = lm_path_remove(m.out_dir, err);   // what a killed run left may be half of something
    if (rc == LM_OK)
        rc = lm_dir_make(m.out_dir, err);
    if (rc != LM_OK) {
        lm_making_release(&m, false);
        return rc;
    }
    *making = m;
    return LM_OK;
}

/* Fills the file table from out/ and derives the id from it. */
static enum lm_rc take_stock(const struct lm_making *making, struct lm_arena *arena, struct lm_artifact *ret,
                             struct lm_err *err)
{
    struct lm_file_list list = { 0 };
    enum lm_rc rc = lm_file_walk(making->out_dir, &list, err);
    if (rc == LM_OK && list.len == 0)
        rc = lm_fail(err, LM_EINVAL, "a stage ended without writing a file to '%s'", making->out_dir);
    struct lm_artifact_file *files = lm_arena_alloc(arena, (list.len + 1) * sizeof(*files));
    struct lm_sha256 h;
    lm_sha256_init(&h);
    for (size_t i = 0; rc == LM_OK && i < list.len; i++) {
        files[i].path = lm_arena_strdup(arena, list.items[i].relative);
        files[i].size_bytes = list.items[i].size_bytes;
        rc = lm_sha256_file(list.items[i].path, files[i].sha256, err);
        lm_sha256_add_field(&h, lm_str(files[i].path));
        lm_sha256_add_field(&h, lm_str(files[i].sha256));
    }
    if (rc == LM_OK) {
        char hash[LM_SHA256_HEX];
        /* Two stages may give equal files (nothing removed): the recipe keeps their lineages apart. */
        lm_sha256_add_field(&h, lm_str(making->recipe));
        lm_sha256_end_hex(&h, hash);
        memcpy(ret->id, hash, LM_ARTIFACT_ID - 1);
        ret->id[LM_ARTIFACT_ID - 1] = '\0';
        ret->files = files;
        ret->file_count = list.len;
    }
    lm_file_list_release(&list);
    return rc;
}

enum lm_rc lm_making_commit(struct lm_making *making, const struct lm_recipe *recipe, struct lm_str metrics,
                            struct lm_arena *arena, struct lm_artifact *ret, struct lm_err *err)
{
    struct lm_artifact a = { .stage = lm_arena_strdup(arena, recipe->stage) };
    memcpy(a.recipe, making->recipe, LM_SHA256_HEX);
    a.metrics = metrics.len ? metrics : LM_STR("{}");
    a.options = recipe->options;
    a.inputs = recipe->inputs;
    a.input_count = recipe->input_count;
    LM_TRY(take_stock(making, arena, &a, err));
    a.dir = lm_arena_printf(arena, "%s/artifacts/%s", making->store_dir, a.id);

    struct lm_buf text = { 0 };
    manifest_write(&a, recipe, &text);
    LM_FREE char *manifest = lm_path_join(making->out_dir, "manifest.json");
    LM_FREE char *artifacts = lm_path_join(making->store_dir, "artifacts");
    enum lm_rc rc = lm_file_write(manifest, lm_buf_str(&text), err);
    lm_buf_release(&text);
    if (rc == LM_OK)
        rc = lm_dir_make(artifacts, err);
    /* Made again on request, and the same to the byte: the old one stays. */
    if (rc == LM_OK && !lm_path_exists(a.dir))
        rc = lm_path_rename(making->out_dir, a.dir, err);
    if (rc != LM_OK)
        return rc;
    const char *store_dir = lm_arena_strdup(arena, making->store_dir);
    lm_making_release(making, true);
    return load_exact(store_dir, a.id, arena, ret, err);
}

void lm_making_release(struct lm_making *making, bool discard)
{
    if (discard && making->work_dir)
        (void)lm_path_remove(making->work_dir, NULL);   // a leftover work folder is harmless
    if (making->lock_fd >= 0)
        close(making->lock_fd);
    free(making->store_dir);
    free(making->work_dir);
    free(making->out_dir);
    *making = (struct lm_making){ .lock_fd = -1 };
}
