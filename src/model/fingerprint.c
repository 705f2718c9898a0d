#include "model/fingerprint.h"

#include "base/file.h"

static bool ends_with_one_of(struct lm_str name, const char *const *ends)
{
    for (; *ends; ends++)
        if (lm_str_ends(name, lm_str(*ends)))
            return true;
    return false;
}

static bool decides(struct lm_str name)
{
    static const char *const ends[] = { ".safetensors", ".json", ".jinja", ".txt", ".model", NULL };
    return !memchr(name.ptr, '/', name.len) && ends_with_one_of(name, ends) &&
           !lm_str_eq(name, LM_STR("import.json")) && !lm_str_eq(name, LM_STR("manifest.json"));
}

static enum lm_rc of_folder(const char *path, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    struct lm_sha256 all;
    lm_sha256_init(&all);
    enum lm_rc rc = lm_file_walk(path, &files, err);
    for (size_t i = 0; i < files.len && rc == LM_OK; i++) {
        char one[LM_SHA256_HEX];
        const struct lm_str name = lm_str(files.items[i].relative);
        if (!decides(name))
            continue;
        rc = lm_sha256_file(files.items[i].path, one, err);
        if (rc == LM_OK) {
            lm_sha256_add_field(&all, name);
            lm_sha256_add_field(&all, lm_str(one));
        }
    }
    lm_file_list_release(&files);
    if (rc == LM_OK)
        lm_sha256_end_hex(&all, ret);
    return rc;
}

enum lm_rc lm_model_fingerprint(const char *path, char ret[LM_SHA256_HEX], struct lm_err *err)
{
    static const char first[] = "-00001-of-";   // x-00001-of-00003.gguf
    const size_t len = strlen(path), tail = sizeof first - 1 + sizeof "00003.gguf" - 1;
    if (lm_path_is_dir(path))
        return of_folder(path, ret, err);
    if (len > tail && memcmp(path + len - tail, first, sizeof first - 1) == 0 &&
        !lm_str_ends(lm_str(path), LM_STR("-00001-of-00001.gguf")))
        return lm_fail(err, LM_EINVAL,
                       "'%s' is the first of several files; 'loom model export' makes one of them", path);
    return lm_sha256_file(path, ret, err);
}
