/* token/load_folder.c - the files beside tokenizer.json: which tokens have a role, and the chat template; and
 * vocab.txt instead of it. */
#include "base/file.h"
#include "text/text.h"
#include "token/load.h"
#include "token/parts_impl.h"
#include "token/words.h"

enum { COMPANION_BYTES_MAX = 16 << 20, VOCAB_TXT_BYTES_MAX = 64 << 20 };

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

static const char *const role_keys[LM_ROLE_COUNT] = {
    [LM_ROLE_BOS] = "bos_token",   [LM_ROLE_EOS] = "eos_token", [LM_ROLE_UNK] = "unk_token",
    [LM_ROLE_PAD] = "pad_token",   [LM_ROLE_SEP] = "sep_token", [LM_ROLE_CLS] = "cls_token",
    [LM_ROLE_MASK] = "mask_token",
};

/* The content of a role's token; ptr NULL when the file does not name one. */
static enum lm_rc role_text(const json_t *config, size_t role, const char *path, struct lm_str *ret,
                            struct lm_err *err)
{
    const json_t *value = role_keys[role] ? json_object_get(config, role_keys[role]) : NULL;
    if (json_is_object(value))   // an added token written out
        value = json_object_get(value, "content");
    *ret = (struct lm_str){ json_string_value(value), json_string_length(value) };
    if (!value || json_is_null(value) || json_is_false(value) || ret->ptr)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: '%s' is neither text nor a token", path, role_keys[role]);
}

static enum lm_rc read_roles(struct lm_tokenizer *t, const json_t *config, const char *path,
                             struct lm_err *err)
{
    for (size_t role = 0; role < LM_ROLE_COUNT; role++) {
        struct lm_str text;
        LM_TRY(role_text(config, role, path, &text, err));
        if (text.ptr)
            lm_tokenizer_find(t, text, &t->roles[role]);   // one that is not special has no role here
    }
    return LM_OK;
}

/* The file as a tree, or NULL when it is not there. */
enum lm_rc lm_load_config(const char *path, json_t **ret, struct lm_err *err)
{
    struct lm_buf file = { 0 };
    json_error_t problem;
    if (!lm_path_exists(path))
        return LM_OK;
    LM_TRY(lm_file_read(path, COMPANION_BYTES_MAX, &file, err));
    /* model_max_length may be 1e30, written as an integer: numbers are read as real. */
    *ret = json_loadb(file.ptr ? file.ptr : "", file.len, JSON_DECODE_INT_AS_REAL, &problem);
    lm_buf_release(&file);
    if (*ret && json_is_object(*ret))
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: %s", path, *ret ? "not an object" : problem.text);
}

static enum lm_rc read_config(struct lm_tokenizer *t, const char *path, struct lm_err *err)
{
    LM_TREE_FREE json_t *config = NULL;
    LM_TRY(lm_load_config(path, &config, err));
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
    LM_TRY(read_config(t, config, err));
    if (lm_path_exists(jinja)) {   // where both are, this one counts
        lm_buf_reset(&t->chat_template);
        LM_TRY(lm_file_read(jinja, COMPANION_BYTES_MAX, &t->chat_template, err));
    }
    lm_tokenizer_find_roles(t);
    return LM_OK;
}

/* ---- vocab.txt ---- */

static const char *flag_of(const json_t *config, const char *key, const char *fallback)
{
    const json_t *value = json_object_get(config, key);
    return json_is_true(value) ? "true" : json_is_false(value) ? "false" : fallback;
}

/* One token a line; the roles' tokens by the names in the configuration, else by BERT's. */
static enum lm_rc read_vocab_txt(struct lm_str text, const json_t *config, const char *path,
                                 struct lm_arena *arena, struct lm_tokenizer_parts *ret, struct lm_err *err)
{
    static const char *const usual[LM_ROLE_COUNT] = {
        [LM_ROLE_UNK] = "[UNK]", [LM_ROLE_PAD] = "[PAD]",   [LM_ROLE_SEP] = "[SEP]",
        [LM_ROLE_CLS] = "[CLS]", [LM_ROLE_MASK] = "[MASK]",
    };
    struct lm_str *tokens = lm_arena_alloc(arena, (text.len + 1) / 2 * sizeof(*tokens) + sizeof(*tokens));
    struct lm_str rest = text, line, names[LM_ROLE_COUNT];
    size_t count = 0;
    for (size_t role = 0; role < LM_ROLE_COUNT; role++) {
        LM_TRY(role_text(config, role, path, &names[role], err));
        if (!names[role].ptr)
            names[role] = lm_str(usual[role]);
        lm_parts_set_role(ret, role, -1);
    }
    while (lm_str_split(&rest, '\n', &line) && (rest.ptr || line.len > 0)) {
        if (lm_str_ends(line, LM_STR("\r")))
            line.len--;
        if (line.len == 0 || !lm_utf8_valid(line))
            return lm_fail(err, LM_EFORMAT, "%s: line %zu is %s, not a token", path, count + 1,
                           line.len == 0 ? "empty" : "not UTF-8");
        for (size_t role = 0; role < LM_ROLE_COUNT; role++)
            if (names[role].len > 0 && lm_str_eq(line, names[role]))
                lm_parts_set_role(ret, role, (int64_t)count);
        tokens[count++] = line;
    }
    ret->tokens = tokens;
    ret->token_count = count;
    return LM_OK;
}

static enum lm_rc write_vocab_txt(struct lm_str text, const json_t *config, const char *path,
                                  struct lm_buf *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts p = { .model = LM_STR("bert") };
    const bool lower = strcmp(flag_of(config, "do_lower_case", "true"), "true") == 0;
    const char *strip = flag_of(config, "strip_accents", lower ? "true" : "false");
    const struct lm_word_rules rules = {
        .clean = true,
        .han_apart = strcmp(flag_of(config, "tokenize_chinese_chars", "true"), "true") == 0,
        .strip_accents = strcmp(strip, "true") == 0,
        .lowercase = lower,
        .cleanup = true,
        .chars_max = LM_WORDS_CHARS_MAX,
    };
    enum lm_rc rc = read_vocab_txt(text, config, path, &arena, &p, err);
    if (rc == LM_OK)
        rc = lm_parts_check(&p, path, err);
    if (rc == LM_OK)
        rc = lm_words_write_json(&p, &rules, (struct lm_parts_around){ p.cls_id, p.sep_id }, path, ret, err);
    lm_arena_release(&arena);
    return rc;
}

enum lm_rc lm_load_vocab_txt(const char *dir, const char *path, struct lm_buf *ret, struct lm_err *err)
{
    LM_FREE char *config_path = lm_path_join(dir, "tokenizer_config.json");
    LM_TREE_FREE json_t *config = NULL;
    struct lm_buf text = { 0 };
    LM_TRY(lm_load_config(config_path, &config, err));
    enum lm_rc rc = lm_file_read(path, VOCAB_TXT_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = write_vocab_txt(lm_buf_str(&text), config, path, ret, err);
    lm_buf_release(&text);
    return rc;
}
