/* token/load_tiktoken.c - tiktoken's files: a token in base64, a blank and its rank, a line each. */
#include "token/load_other.h"

#include "base/base64.h"
#include "token/token_ranks.h"

#define O200K                                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"              \
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}"                                \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct lm_token_rank_special gpt2_special[] = { { "<|endoftext|>", 50256 } };
static const struct lm_token_rank_special cl100k_special[] = { { "<|endoftext|>", 100257 },
                                                               { "<|fim_prefix|>", 100258 },
                                                               { "<|fim_middle|>", 100259 },
                                                               { "<|fim_suffix|>", 100260 },
                                                               { "<|endofprompt|>", 100276 } };
static const struct lm_token_rank_special o200k_special[] = { { "<|endoftext|>", 199999 },
                                                              { "<|endofprompt|>", 200018 } };
static const struct lm_token_rank_special llama3_special[] = {
    { "<|begin_of_text|>", 128000 }, { "<|end_of_text|>", 128001 }, { "<|start_header_id|>", 128006 },
    { "<|end_header_id|>", 128007 }, { "<|eot_id|>", 128009 },
};
static const struct lm_token_rank_special qwen_special[] = { { "<|endoftext|>", 151643 },
                                                             { "<|im_start|>", 151644 },
                                                             { "<|im_end|>", 151645 } };

#define SETTINGS(grammar, pattern, special)                                                                  \
    {                                                                                                        \
        (grammar), (pattern), (special), sizeof(special) / sizeof((special)[0]), -1                          \
    }
/* What a name stands for.  To add one: a row. */
static const struct encoding {
    const char *name;
    struct lm_token_ranks_settings settings;
    uint32_t ranks;   // how many the file must have
} encodings[] = {
    { "gpt2", SETTINGS(LM_GRAMMAR_GPT2, NULL, gpt2_special), 50256 },
    { "r50k_base", SETTINGS(LM_GRAMMAR_GPT2, NULL, gpt2_special), 50256 },
    { "p50k_base", SETTINGS(LM_GRAMMAR_GPT2, NULL, gpt2_special), 50280 },
    { "cl100k_base", SETTINGS(LM_GRAMMAR_LLAMA3, NULL, cl100k_special), 100256 },
    { "o200k_base", SETTINGS(-1, O200K, o200k_special), 199998 },
    { "llama3", SETTINGS(LM_GRAMMAR_LLAMA3, NULL, llama3_special), 128000 },
    { "qwen2", SETTINGS(LM_GRAMMAR_QWEN2, NULL, qwen_special), 151643 },
};

static enum lm_rc find_encoding(const char *wanted, const char *name, const struct encoding **ret,
                                struct lm_err *err)
{
    struct lm_buf known = { 0 };
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        lm_buf_printf(&known, "%s%s", i ? ", " : "", encodings[i].name);
        if (wanted && strcmp(wanted, encodings[i].name) == 0)
            *ret = &encodings[i];
    }
    const enum lm_rc rc =
        *ret ? LM_OK
             : lm_fail(err, LM_EINVAL,
                       "%s: a tiktoken file does not say how text is cut: name it behind a colon, "
                       "as in '%s:cl100k_base'; known are %s",
                       name, name, known.ptr);
    lm_buf_release(&known);
    return rc;
}

/* ---- the file ---- */

static enum lm_rc read_line(struct lm_str line, size_t number, const char *name, struct lm_token_ranks *r,
                            struct lm_buf *bytes, struct lm_err *err)
{
    struct lm_str rank = line, text;
    int64_t id = -1;
    lm_buf_reset(bytes);
    lm_str_split(&rank, ' ', &text);
    if (!lm_base64_get(text, bytes) || bytes->len == 0 || !lm_str_to_i64(rank, &id))
        return lm_fail(err, LM_EFORMAT, "%s:%zu: not a token in base64, a blank and a rank", name, number);
    const char *problem = lm_token_ranks_add(r, id, lm_buf_str(bytes));
    if (problem)
        return lm_fail(err, LM_EFORMAT, "%s:%zu: %s", name, number, problem);
    return LM_OK;
}

static enum lm_rc read_ranks(struct lm_str file, const char *name, struct lm_token_ranks *r,
                             struct lm_err *err)
{
    struct lm_buf bytes = { 0 };
    struct lm_str rest = file, line;
    enum lm_rc rc = LM_OK;
    for (size_t number = 1; rc == LM_OK && rest.len > 0 && lm_str_split(&rest, '\n', &line); number++) {
        if (lm_str_ends(line, LM_STR("\r")))
            line.len--;
        if (line.len > 0)
            rc = read_line(line, number, name, r, &bytes, err);
    }
    lm_buf_release(&bytes);
    return rc;
}

/* ---- settings of a file's own ---- */

static enum lm_rc read_special(const json_t *list, const char *name, struct lm_arena *arena,
                               struct lm_token_ranks_settings *ret, struct lm_err *err)
{
    const size_t count = json_object_size(list);
    struct lm_token_rank_special *special = lm_arena_alloc(arena, (count + 1) * sizeof(*special));
    const char *key;
    const json_t *id;
    size_t i = 0;
    json_object_foreach((json_t *)list, key, id)
    {
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= LM_VOCAB_SIZE_MAX || !*key)
            return lm_fail(err, LM_EFORMAT, "%s: 'special_tokens' has an empty token or an id outside 0..%d",
                           name, LM_VOCAB_SIZE_MAX - 1);
        special[i].text = lm_arena_strndup(arena, key, strlen(key));
        special[i++].id = (uint32_t)value;
    }
    ret->special = special;
    ret->special_count = count;
    return LM_OK;
}

static enum lm_rc read_settings(struct lm_str settings, const char *name, struct lm_arena *arena,
                                struct lm_token_ranks_settings *ret, struct lm_err *err)
{
    json_error_t problem;
    LM_TREE_FREE json_t *tree = json_loadb(settings.ptr, settings.len, 0, &problem);
    if (!tree)
        return lm_fail(err, LM_EFORMAT, "%s: line %d: %s", name, problem.line, problem.text);
    const json_t *text = json_object_get(tree, "pat_str");
    if (!json_is_string(text) || json_string_length(text) == 0)
        return lm_fail(err, LM_EFORMAT, "%s: 'pat_str', the pattern that cuts text, is missing", name);
    LM_TRY(lm_token_ranks_pattern((struct lm_str){ json_string_value(text), json_string_length(text) }, name,
                                  arena, &ret->pattern, err));
    return read_special(json_object_get(tree, "special_tokens"), name, arena, ret, err);
}

bool lm_load_looks_like_tiktoken(struct lm_str file)
{
    struct lm_str rest = file, line, token;
    struct lm_buf bytes = { 0 };
    int64_t rank;
    lm_str_split(&rest, '\n', &line);
    const bool yes = line.len < 4096 && lm_str_split(&line, ' ', &token) && lm_base64_get(token, &bytes) &&
                     lm_str_to_i64(lm_str_trim(line), &rank);
    lm_buf_release(&bytes);
    return yes;
}

static enum lm_rc load(struct lm_str file, const struct encoding *e, const char *name, struct lm_buf *ret,
                       struct lm_err *err)
{
    struct lm_token_ranks r = { 0 };
    enum lm_rc rc = read_ranks(file, name, &r, err);
    if (rc == LM_OK && e->ranks > 0 && r.map.len != e->ranks)
        rc = lm_fail(err, LM_EFORMAT, "%s: %zu ranks, but %s has %u", name, r.map.len, e->name, e->ranks);
    if (rc == LM_OK)
        lm_token_ranks_write(&r, &e->settings, ret);
    lm_token_ranks_release(&r);
    return rc;
}

enum lm_rc lm_load_tiktoken(struct lm_str file, const char *encoding, const char *name, struct lm_buf *ret,
                            struct lm_err *err)
{
    const struct encoding *e = NULL;
    LM_TRY(find_encoding(encoding, name, &e, err));
    return load(file, e, name, ret, err);
}

enum lm_rc lm_load_ranks(struct lm_str file, struct lm_str settings, const char *name, struct lm_buf *ret,
                         struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct encoding e = { .name = name, .settings = { .grammar = -1, .first = -1 } };
    enum lm_rc rc = read_settings(settings, name, &arena, &e.settings, err);
    if (rc == LM_OK)
        rc = load(file, &e, name, ret, err);
    lm_arena_release(&arena);
    return rc;
}
