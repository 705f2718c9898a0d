#include "train/checkpoint_manifest.h"

#include "base/file.h"
#include "base/sys.h"
#include "model/safetensors.h"

#include <stdlib.h>

enum { RECIPE_CHARS = 12, KEEP = 2, MANIFEST_BYTES_MAX = 1 << 16, NAME_MAX_BYTES = 64 };

static char *path_of(const struct lm_checkpoint_place *place, uint64_t step, const char *suffix)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "%.*s-%010llu.%s", RECIPE_CHARS, place->recipe, (unsigned long long)step,
             suffix);
    return lm_path_join(place->dir, name);
}

/* The step in "<recipe>-<step>.json", or false when the name is another's. */
static bool step_of(const struct lm_checkpoint_place *place, const char *name, uint64_t *ret)
{
    const struct lm_str s = lm_str(name), json = LM_STR(".json");
    int64_t step;
    if (strncmp(name, place->recipe, RECIPE_CHARS) != 0 || name[RECIPE_CHARS] != '-' || !lm_str_ends(s, json))
        return false;
    const struct lm_str digits = { name + RECIPE_CHARS + 1, s.len - RECIPE_CHARS - 1 - json.len };
    if (!lm_str_to_i64(digits, &step) || step < 0)
        return false;
    *ret = (uint64_t)step;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Steps that have a manifest, newest first; free() *ret. */
static enum lm_rc list_steps(const struct lm_checkpoint_place *place, uint64_t **ret, size_t *ret_count,
                             struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    *ret = NULL;
    *ret_count = 0;
    LM_TRY(lm_file_walk(place->dir, &files, err));
    size_t cap = 0;
    for (size_t i = 0; i < files.len; i++) {
        uint64_t step;
        if (!step_of(place, files.items[i].relative, &step))
            continue;
        lm_grow(ret, &cap, *ret_count + 1, sizeof **ret);
        (*ret)[(*ret_count)++] = step;
    }
    lm_file_list_release(&files);
    if (*ret_count > 0)
        qsort(*ret, *ret_count, sizeof **ret, newest_first);
    return LM_OK;
}

/* The manifest first, so that none is left without its data. */
static enum lm_rc remove_step(const struct lm_checkpoint_place *place, uint64_t step, struct lm_err *err)
{
    LM_FREE char *manifest = path_of(place, step, "json"), *data = path_of(place, step, "safetensors");
    LM_TRY(lm_path_remove(manifest, err));
    return lm_path_remove(data, err);
}

/* Removes what is older than the newest KEEP, except for the newest anchor. */
static enum lm_rc prune(const struct lm_checkpoint_place *place, struct lm_err *err)
{
    uint64_t *steps;
    size_t count;
    LM_TRY(list_steps(place, &steps, &count, err));
    enum lm_rc rc = LM_OK;
    bool anchored = place->anchor_every == 0;
    for (size_t i = 0; i < count && rc == LM_OK; i++) {
        const bool anchor = !anchored && steps[i] % place->anchor_every == 0;
        anchored = anchored || anchor;
        if (i >= KEEP && !anchor)
            rc = remove_step(place, steps[i], err);
    }
    free(steps);
    return rc;
}

static struct lm_tensor_view view_of(const char *name, enum lm_dtype dtype, const void *data, size_t count)
{
    return (struct lm_tensor_view){ .name = lm_str(name),
                                    .dtype = dtype,
                                    .dims = 1,
                                    .shape = { count },
                                    .data = data,
                                    .bytes = count * lm_dtype_bytes[dtype] };
}

static enum lm_rc write_manifest(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                                 const char *sha256, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    lm_manifest_write(place, c, sha256, &text);
    char *path = path_of(place, c->step, "json");
    const enum lm_rc rc = lm_file_write(path, lm_buf_str(&text), err);
    free(path);
    lm_buf_release(&text);
    return rc;
}

enum lm_rc lm_checkpoint_save(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                              struct lm_err *err)
{
    LM_ASSERT(c->log.len > 0);

    const struct lm_tensor_view tensors[] = {
        view_of("params", LM_F32, c->params, c->count),
        view_of("m", LM_F32, c->m, c->count),
        view_of("v", LM_F32, c->v, c->count),
        view_of("log", LM_U8, c->log.ptr, c->log.len),
        view_of("samples", LM_U8, c->samples.ptr, c->samples.len),
    };
    const size_t count = sizeof tensors / sizeof tensors[0] - (c->samples.len == 0);
    char *path = path_of(place, c->step, "safetensors");
    char sha256[LM_SHA256_HEX];
    enum lm_rc rc = lm_safetensors_write(path, tensors, count, LM_STR(""), err);
    if (rc == LM_OK)
        rc = lm_sha256_file(path, sha256, err);
    if (rc == LM_OK)
        rc = write_manifest(place, c, sha256, err);
    if (rc == LM_OK)
        rc = prune(place, err);
    free(path);
    return rc;
}

/* Copies a tensor of exactly `bytes` bytes. */
static enum lm_rc copy_tensor(const struct lm_safetensors *st, const char *name, enum lm_dtype dtype,
                              void *ret, size_t bytes, const char *path, struct lm_err *err)
{
    const struct lm_tensor_view *view = lm_safetensors_find(st, name);
    if (!view || view->dtype != dtype || view->bytes != bytes)
        return lm_fail(err, LM_EFORMAT, "'%s': tensor '%s' is not of %zu bytes of %s", path, name, bytes,
                       lm_dtype_names[dtype]);
    memcpy(ret, view->data, bytes);
    return LM_OK;
}

static enum lm_rc copy_text(const struct lm_safetensors *st, const char *name, struct lm_buf *ret,
                            const char *path, struct lm_err *err)
{
    const struct lm_tensor_view *view = lm_safetensors_find(st, name);
    if (!view || view->dtype != LM_U8)
        return lm_fail(err, LM_EFORMAT, "'%s': tensor '%s' is missing", path, name);
    lm_buf_reset(ret);
    lm_buf_add(ret, view->data, view->bytes);
    return LM_OK;
}

static enum lm_rc read_tensors(const char *path, struct lm_checkpoint *c, struct lm_err *err)
{
    struct lm_safetensors st = { 0 };
    LM_TRY(lm_safetensors_open(&st, path, err));
    const size_t bytes = c->count * sizeof(float);
    enum lm_rc rc = copy_tensor(&st, "params", LM_F32, c->params, bytes, path, err);
    if (rc == LM_OK)
        rc = copy_tensor(&st, "m", LM_F32, c->m, bytes, path, err);
    if (rc == LM_OK)
        rc = copy_tensor(&st, "v", LM_F32, c->v, bytes, path, err);
    if (rc == LM_OK)
        rc = copy_text(&st, "log", &c->log, path, err);
    lm_buf_reset(&c->samples);
    if (rc == LM_OK && lm_safetensors_find(&st, "samples"))
        rc = copy_text(&st, "samples", &c->samples, path, err);
    lm_safetensors_close(&st);
    return rc;
}

static enum lm_rc load_step(const struct lm_checkpoint_place *place, uint64_t step, struct lm_checkpoint *c,
                            struct lm_err *err)
{
    char *manifest = path_of(place, step, "json"), *data = path_of(place, step, "safetensors");
    char found[LM_SHA256_HEX], sha256[LM_SHA256_HEX];
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(manifest, MANIFEST_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_manifest_parse(place, lm_buf_str(&text), manifest, c, sha256, err);
    if (rc == LM_OK)
        rc = lm_sha256_file(data, found, err);
    if (rc == LM_OK && strcmp(found, sha256) != 0)
        rc = lm_fail(err, LM_EFORMAT, "'%s' does not have the SHA-256 of its manifest", data);
    if (rc == LM_OK)
        rc = read_tensors(data, c, err);
    lm_buf_release(&text);
    free(manifest);
    free(data);
    return rc;
}

enum lm_rc lm_checkpoint_load(const struct lm_checkpoint_place *place, struct lm_checkpoint *c,
                              struct lm_err *err)
{
    uint64_t *steps;
    size_t count;
    LM_TRY(list_steps(place, &steps, &count, err));
    enum lm_rc rc = LM_ENOTHING;
    for (size_t i = 0; i < count && rc != LM_OK; i++) {
        struct lm_err why = { 0 };
        rc = load_step(place, steps[i], c, &why);
        if (rc != LM_OK)
            lm_warn("this checkpoint is passed over: %s", why.text);
    }
    free(steps);
    return rc == LM_OK ? LM_OK : LM_ENOTHING;
}

enum lm_rc lm_checkpoint_rewind(const struct lm_checkpoint_place *place, uint64_t step,
                                struct lm_checkpoint *c, struct lm_err *err)
{
    uint64_t *steps;
    size_t count;
    LM_TRY(load_step(place, step, c, err));
    LM_TRY(list_steps(place, &steps, &count, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < count && steps[i] > step && rc == LM_OK; i++)
        rc = remove_step(place, steps[i], err);
    free(steps);
    return rc;
}

static char *path_of_best(const struct lm_checkpoint_place *place, uint64_t step)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "%.*s-best-%010llu.safetensors", RECIPE_CHARS, place->recipe,
             (unsigned long long)step);
    return lm_path_join(place->dir, name);
}

enum lm_rc lm_checkpoint_save_best(const struct lm_checkpoint_place *place, uint64_t before,
                                   struct lm_checkpoint *c, struct lm_err *err)
{
    const struct lm_tensor_view params = view_of("params", LM_F32, c->params, c->count);
    LM_FREE char *path = path_of_best(place, c->best.step), *old = path_of_best(place, before);
    LM_TRY(lm_safetensors_write(path, &params, 1, LM_STR(""), err));
    LM_TRY(lm_sha256_file(path, c->best.sha256, err));
    return before > 0 && before != c->best.step ? lm_path_remove(old, err) : LM_OK;
}

enum lm_rc lm_checkpoint_load_best(const struct lm_checkpoint_place *place, struct lm_checkpoint *c,
                                   struct lm_err *err)
{
    struct lm_safetensors st = { 0 };
    char found[LM_SHA256_HEX];
    LM_FREE char *path = path_of_best(place, c->best.step);
    LM_TRY(lm_sha256_file(path, found, err));
    if (strcmp(found, c->best.sha256) != 0)
        return lm_fail(err, LM_EFORMAT,
                       "'%s', the best weights, is damaged; remove the checkpoints beside it to train anew",
                       path);
    LM_TRY(lm_safetensors_open(&st, path, err));
    const enum lm_rc rc = copy_tensor(&st, "params", LM_F32, c->params, c->count * sizeof(float), path, err);
    lm_safetensors_close(&st);
    return rc;
}

/* The recipe that a name like one of ours begins with, or NULL. */
static const char *recipe_of(const char *name)
{
    static const char suffix[] = "-0000000000.json";
    const size_t len = strlen(name);
    if (len != RECIPE_CHARS + sizeof suffix - 1 || strspn(name, "0123456789abcdef") != RECIPE_CHARS)
        return NULL;
    return name[RECIPE_CHARS] == '-' && strspn(name + RECIPE_CHARS + 1, "0123456789") == 10 &&
                   strcmp(name + len - 5, ".json") == 0
               ? name
               : NULL;
}

enum lm_rc lm_checkpoint_check_place(const struct lm_checkpoint_place *place, struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    const char *other = NULL;
    bool own = false;
    LM_TRY(lm_file_walk(place->dir, &files, err));
    for (size_t i = 0; i < files.len; i++) {
        const char *recipe = recipe_of(files.items[i].relative);
        if (recipe && strncmp(recipe, place->recipe, RECIPE_CHARS) == 0)
            own = true;
        else if (recipe)
            other = files.items[i].path;
    }
    enum lm_rc rc = LM_OK;
    if (other && !own)
        rc = lm_fail(
            err, LM_EEXIST,
            "'%s' is a checkpoint of another run: other data, model, options or version of the program; "
            "go on with the command that made it, give another --out, or remove '%s'",
            other, place->dir);
    lm_file_list_release(&files);
    return rc;
}
