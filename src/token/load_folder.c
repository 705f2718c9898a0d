/* token/load_folder.c - the files beside tokenizer.json: which tokens have a role, and the chat template. */
#include "base/file.h"
#include "token/load.h"

enum { COMPANION_BYTES_MAX = 16 << 20 };

/* The chat template: text, or [{"name":"default","template":text},..]. */
static const json_t *find_template(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_object_get(item, "template");
    }
    return value;
}

static enum lm_rc read_roles(struct lm_tokenizer *t, const json_t *config, const char *path,
                             struct lm_err *err)
{
    static const char *const keys[LM_ROLE_COUNT] = {
        [LM_ROLE_BOS] = "bos_token",   [LM_ROLE_EOS] = "eos_token", [LM_ROLE_UNK] = "unk_token",
        [LM_ROLE_PAD] = "pad_token",   [LM_ROLE_SEP] = "sep_token", [LM_ROLE_CLS] = "cls_token",
        [LM_ROLE_MASK] = "mask_token",
    };
    for (size_t role = 0; role < LM_ROLE_COUNT; role++) {
        const json_t *value = keys[role] ? json_object_get(config, keys[role]) : NULL;
        if (json_is_object(value))   // an added token written out
            value = json_object_get(value, "content");
        if (!value || json_is_null(value) || json_is_false(value))
            continue;
        const struct lm_str text = { json_string_value(value), json_string_length(value) };
        if (!text.ptr)
            return lm_fail(err, LM_EFORMAT, "%s: '%s' is neither text nor a token", path, keys[role]);
        lm_tokenizer_find(t, text, &t->roles[role]);   // one that is not special has no role here
    }
    return LM_OK;
}

static enum lm_rc read_config(struct lm_tokenizer *t, const char *path, struct lm_err *err)
{
    struct lm_buf file = { 0 };
    json_error_t problem;   // model_max_length may be 1e30, written as an integer: numbers are read as real
    const enum lm_rc rc = lm_file_read(path, COMPANION_BYTES_MAX, &file, err);
    LM_TREE_FREE json_t *config =
        rc == LM_OK ? json_loadb(file.ptr ? file.ptr : "", file.len, JSON_DECODE_INT_AS_REAL, &problem)
                    : NULL;
    lm_buf_release(&file);
    LM_TRY(rc);
    if (!json_is_object(config))
        return lm_fail(err, LM_EFORMAT, "%s: %s", path, config ? "not an object" : problem.text);
    LM_TRY(read_roles(t, config, path, err));
    const json_t *text = find_template(json_object_get(config, "chat_template"));
    if (text && !json_is_null(text) && !json_is_string(text))
        return lm_fail(err, LM_EFORMAT, "%s: 'chat_template' is neither text nor a list with a 'default'",
                       path);
    lm_buf_add_str(&t->chat_template, (struct lm_str){ json_string_value(text), json_string_length(text) });
    return LM_OK;
}

enum lm_rc lm_load_companions(struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    LM_FREE char *config = lm_path_join(dir, "tokenizer_config.json");
    LM_FREE char *jinja = lm_path_join(dir, "chat_template.jinja");
    if (lm_path_exists(config))
        LM_TRY(read_config(t, config, err));
    if (lm_path_exists(jinja)) {   // where both are, this one counts
        lm_buf_reset(&t->chat_template);
        LM_TRY(lm_file_read(jinja, COMPANION_BYTES_MAX, &t->chat_template, err));
    }
    lm_tokenizer_find_roles(t);
    return LM_OK;
}
