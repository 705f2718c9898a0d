#include "flow/adopt.h"

#include "base/file.h"
#include "base/json.h"
#include "model/fingerprint.h"
#include "model/model.h"

#include <jansson.h>

enum { RECORD_BYTES_MAX = 64 << 20 };

const char *lm_artifact_model_path(const struct lm_artifact *artifact, struct lm_arena *arena)
{
    for (size_t i = 0; i < artifact->file_count; i++)
        if (lm_str_ends(lm_str(artifact->files[i].path), LM_STR(".gguf")))
            return lm_arena_printf(arena, "%s/%s", artifact->dir, artifact->files[i].path);
    return artifact->dir;
}

/* ---- an artifact of files that are there ---- */

/* The record of `loom model import` that lies beside a file. */
static enum lm_rc copy_record(const char *from, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *beside = lm_strdup(from);
    beside[lm_path_base(beside) - beside] = '\0';
    LM_FREE char *record = lm_path_join(beside[0] ? beside : ".", "import.json");
    LM_FREE char *to = lm_path_join(out_dir, "import.json");
    return lm_path_exists(record) ? lm_file_copy(record, to, err) : LM_OK;
}

/* `from` is a file or a folder. */
static enum lm_rc copy_into(const char *from, const char *out_dir, struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    if (!lm_path_is_dir(from))
        LM_TRY(copy_record(from, out_dir, err));
    enum lm_rc rc = lm_file_walk(from, &files, err);
    for (size_t i = 0; i < files.len && rc == LM_OK; i++) {
        LM_FREE char *to = lm_path_join(out_dir, files.items[i].relative);
        LM_FREE char *parent = lm_strdup(to);
        parent[lm_path_base(parent) - parent - 1] = '\0';
        if (strcmp(files.items[i].relative, "manifest.json") == 0)   // of an artifact it was before
            continue;
        rc = lm_dir_make(parent, err);
        if (rc == LM_OK)
            rc = lm_file_copy(files.items[i].path, to, err);
    }
    lm_file_list_release(&files);
    return rc;
}

static enum lm_rc make(const char *store_dir, const struct lm_recipe *recipe, const char *from,
                       struct lm_str metrics, struct lm_arena *arena, struct lm_artifact *ret,
                       struct lm_err *err)
{
    struct lm_making making;
    const enum lm_rc found = lm_artifact_find(store_dir, recipe, arena, ret, err);
    if (found != LM_ENOENT)
        return found;
    LM_TRY(lm_making_begin(&making, store_dir, recipe, err));
    enum lm_rc rc = copy_into(from, making.out_dir, err);
    if (rc == LM_OK)
        rc = lm_making_commit(&making, recipe, metrics, arena, ret, err);
    lm_making_release(&making, rc != LM_OK);
    return rc;
}

/* ---- the model ---- */

static enum lm_rc adopt_model(const char *store_dir, const char *path, const char *fingerprint,
                              struct lm_arena *arena, struct lm_artifact *ret, struct lm_err *err)
{
    struct lm_model m = { 0 };
    struct lm_buf metrics = { 0 };
    const struct lm_artifact_input source = { "source", fingerprint };
    const struct lm_recipe recipe = { "import", 1, LM_STR("{}"), &source, 1 };
    LM_TRY(lm_model_open(path, &m, err));
    lm_buf_putc(&metrics, '{');
    lm_json_key_str(&metrics, "architecture", lm_str(lm_archs[m.config.arch].name));
    lm_json_key_int(&metrics, "parameters", (int64_t)lm_model_parameters(&m.config));
    lm_json_key_int(&metrics, "file_bytes", (int64_t)lm_model_file_bytes(&m));
    lm_json_key_str(&metrics, "license", lm_model_note(&m, "license"));
    lm_buf_putc(&metrics, '}');
    lm_model_close(&m);
    const enum lm_rc rc = make(store_dir, &recipe, path, lm_buf_str(&metrics), arena, ret, err);
    lm_buf_release(&metrics);
    return rc;
}

/* ---- the review ---- */

static bool judged(const json_t *review, const char *fingerprint)
{
    const json_t *list = json_object_get(review, "judged"), *one;
    for (size_t i = 0; i < json_array_size(list); i++) {
        one = json_object_get(json_array_get(list, i), "sha256");
        if (json_is_string(one) && strcmp(json_string_value(one), fingerprint) == 0)
            return true;
    }
    return false;
}

static void add_bits(const json_t *heldout, const char *whose, const char *key, struct lm_buf *ret)
{
    const json_t *bits = json_object_get(json_object_get(heldout, whose), "bits_per_byte");
    lm_json_key_num(ret, key, json_number_value(json_object_get(bits, "value")));
}

static void add_metrics(const json_t *review, struct lm_buf *ret)
{
    const json_t *heldout = json_object_get(review, "heldout");
    lm_buf_putc(ret, '{');
    lm_json_key_bool(ret, "passed", json_is_true(json_object_get(review, "passed")));
    add_bits(heldout, "model", "bits_per_byte", ret);
    add_bits(heldout, "baseline", "baseline_bits_per_byte", ret);
    lm_buf_putc(ret, '}');
}

static enum lm_rc adopt_review(const char *store_dir, const char *dir, const json_t *review,
                               const char *sha256, const struct lm_artifact *model, struct lm_arena *arena,
                               struct lm_artifact *ret, struct lm_err *err)
{
    const struct lm_artifact_input inputs[] = { { "model", model->id }, { "source", sha256 } };
    struct lm_buf metrics = { 0 };
    char *options = json_dumps(json_object_get(review, "options"), JSON_COMPACT | JSON_SORT_KEYS);
    const struct lm_recipe recipe = { "review", 1, lm_str(options ? options : "{}"), inputs, 2 };
    add_metrics(review, &metrics);
    const enum lm_rc rc = make(store_dir, &recipe, dir, lm_buf_str(&metrics), arena, ret, err);
    lm_buf_release(&metrics);
    free(options);
    return rc;
}

static enum lm_rc read_review(const char *path, json_t **ret, char sha256[LM_SHA256_HEX], struct lm_err *err)
{
    struct lm_buf text = { 0 };
    json_error_t why;
    enum lm_rc rc = lm_file_read(path, RECORD_BYTES_MAX, &text, err);
    if (rc == LM_OK) {
        lm_sha256_hex(lm_buf_str(&text), sha256);
        *ret = json_loadb(text.ptr, text.len, 0, &why);
        if (!json_is_object(*ret))
            rc = lm_fail(err, LM_EFORMAT, "'%s' is no record of a review: %s", path,
                         *ret ? "no JSON object" : why.text);
    }
    lm_buf_release(&text);
    return rc;
}

enum lm_rc lm_adopt(const char *store_dir, const char *model_path, const char *review_dir,
                    struct lm_arena *arena, struct lm_artifact *ret_model, struct lm_artifact *ret_review,
                    struct lm_err *err)
{
    char fingerprint[LM_SHA256_HEX], sha256[LM_SHA256_HEX];
    json_t *review = NULL;
    LM_FREE char *record = lm_path_join(review_dir, "review.json");
    LM_TRY(lm_model_fingerprint(model_path, fingerprint, err));
    enum lm_rc rc = read_review(record, &review, sha256, err);
    if (rc == LM_OK && !judged(review, fingerprint))
        rc = lm_fail(err, LM_EDENIED, "'%s' judged other models, not '%s' (%.12s): review that one", record,
                     model_path, fingerprint);
    if (rc == LM_OK)
        rc = adopt_model(store_dir, model_path, fingerprint, arena, ret_model, err);
    if (rc == LM_OK)
        rc = adopt_review(store_dir, review_dir, review, sha256, ret_model, arena, ret_review, err);
    json_decref(review);
    return rc;
}
