#include "train/checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "model/safetensors.h"

#include <jansson.h>
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

/* Removes what is older than the newest KEEP; the manifest first, so that none is left without its data. */
static enum lm_rc prune(const struct lm_checkpoint_place *place, struct lm_err *err)
{
    uint64_t *steps;
    size_t count;
    LM_TRY(list_steps(place, &steps, &count, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = KEEP; i < count && rc == LM_OK; i++) {
        char *manifest = path_of(place, steps[i], "json"), *data = path_of(place, steps[i], "safetensors");
        rc = lm_path_remove(manifest, err);
        if (rc == LM_OK)
            rc = lm_path_remove(data, err);
        free(manifest);
        free(data);
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
    lm_buf_putc(&text, '{');
    lm_json_key_int(&text, "step", (int64_t)c->step);
    lm_json_key_int(&text, "evaluated", (int64_t)c->evaluated);
    lm_json_key_num(&text, "loss", c->loss);
    lm_json_key_num(&text, "heldout_loss", c->heldout_loss);
    lm_json_key_num(&text, "heldout_bits_per_byte", c->heldout_bits_per_byte);
    lm_json_key_str(&text, "recipe", lm_str(place->recipe));
    lm_json_key_str(&text, "isa", lm_str(place->isa));
    lm_json_key_str(&text, "version", lm_str(lm_version));
    lm_json_key_str(&text, "sha256", lm_str(sha256));
    lm_buf_puts(&text, "}\n");
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
    };
    char *path = path_of(place, c->step, "safetensors");
    char sha256[LM_SHA256_HEX];
    enum lm_rc rc = lm_safetensors_write(path, tensors, sizeof tensors / sizeof tensors[0], LM_STR(""), err);
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
    const struct lm_tensor_view *log = lm_safetensors_find(&st, "log");
    if (rc == LM_OK && (!log || log->dtype != LM_U8))
        rc = lm_fail(err, LM_EFORMAT, "'%s': tensor 'log' is missing", path);
    if (rc == LM_OK) {
        lm_buf_reset(&c->log);
        lm_buf_add(&c->log, log->data, log->bytes);
    }
    lm_safetensors_close(&st);
    return rc;
}

/* Takes the fields of a manifest; LM_EFORMAT when one is missing. */
static enum lm_rc take_manifest(const struct lm_checkpoint_place *place, json_t *o, const char *path,
                                struct lm_checkpoint *c, const char **ret_sha256, struct lm_err *err)
{
    const char *recipe = json_string_value(json_object_get(o, "recipe"));
    const char *isa = json_string_value(json_object_get(o, "isa"));
    *ret_sha256 = json_string_value(json_object_get(o, "sha256"));
    const json_int_t step = json_integer_value(json_object_get(o, "step"));
    const json_int_t evaluated = json_integer_value(json_object_get(o, "evaluated"));
    if (!recipe || !isa || !*ret_sha256 || step < 1 || evaluated < 0)
        return lm_fail(err, LM_EFORMAT, "'%s' is not a checkpoint's manifest", path);
    if (strcmp(recipe, place->recipe) != 0)
        return lm_fail(err, LM_EFORMAT, "'%s' belongs to another configuration", path);
    if (strcmp(isa, place->isa) != 0)
        lm_warn("'%s' was made with %s kernels; with %s the last bits of the result may differ", path, isa,
                place->isa);
    c->step = (uint64_t)step;
    c->evaluated = (uint64_t)evaluated;
    c->loss = json_number_value(json_object_get(o, "loss"));
    c->heldout_loss = json_number_value(json_object_get(o, "heldout_loss"));
    c->heldout_bits_per_byte = json_number_value(json_object_get(o, "heldout_bits_per_byte"));
    return LM_OK;
}

static enum lm_rc load_step(const struct lm_checkpoint_place *place, uint64_t step, struct lm_checkpoint *c,
                            struct lm_err *err)
{
    char *manifest = path_of(place, step, "json"), *data = path_of(place, step, "safetensors");
    char found[LM_SHA256_HEX];
    const char *sha256 = NULL;
    struct lm_buf text = { 0 };
    json_t *object = NULL;
    enum lm_rc rc = lm_file_read(manifest, MANIFEST_BYTES_MAX, &text, err);
    if (rc == LM_OK && !(object = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL)))
        rc = lm_fail(err, LM_EFORMAT, "'%s' is not JSON", manifest);
    if (rc == LM_OK)
        rc = take_manifest(place, object, manifest, c, &sha256, err);
    if (rc == LM_OK)
        rc = lm_sha256_file(data, found, err);
    if (rc == LM_OK && strcmp(found, sha256) != 0)
        rc = lm_fail(err, LM_EFORMAT, "'%s' does not have the SHA-256 of its manifest", data);
    if (rc == LM_OK)
        rc = read_tensors(data, c, err);
    json_decref(object);
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
