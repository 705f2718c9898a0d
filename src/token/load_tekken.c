/* token/load_tekken.c - Mistral's tekken.json: tiktoken's ranks with their pattern, ids behind special
 * tokens.
 *
 *     {"config": {"pattern": "..", "default_vocab_size": 131072, "default_num_special_tokens": 1000, ..},
 *      "special_tokens": [{"rank": 0, "token_str": "<unk>", ..}, ..],
 *      "vocab": [{"rank": 0, "token_bytes": "AA==", ..}, ..], ..}
 *
 * Token r has the id default_num_special_tokens + r, and the vocabulary ends at default_vocab_size: the file
 * may hold more.  Special tokens that it does not name are "<SPECIAL_ID>".  As mistral-common reads it. */
#include "token/load_other.h"

#include "base/base64.h"
#include "base/json.h"
#include "token/token_ranks.h"

/* What files of before 2025 leave out. */
static const char *const usual_special[] = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
};

struct tekken {
    struct lm_json_reader json;
    struct lm_arena *arena;
    const char *name;   // of the file
    const char *pattern;
    int64_t vocab_size, special_count;
    struct lm_token_rank_special *special;   // [special_count]; text NULL: not named
    bool names_special;
    struct lm_token_ranks ranks;
    struct lm_buf bytes;   // of one token
};

/* ---- JSON ---- */

typedef enum lm_rc read_fn(struct tekken *t, struct lm_err *err);

/* Calls read where `key` stands, with its value to come; all else is skipped. */
struct field {
    const char *key;
    read_fn *read;
};

static enum lm_rc read_object(struct tekken *t, const struct field *fields, size_t count, struct lm_err *err)
{
    LM_TRY(lm_json_want(&t->json, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&t->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        size_t i = 0;
        while (i < count && !lm_str_eq(t->json.text, lm_str(fields[i].key)))
            i++;
        LM_TRY(i < count ? fields[i].read(t, err) : lm_json_skip(&t->json, err));
    }
}

#define READ_OBJECT(t, fields, err) read_object(t, fields, sizeof(fields) / sizeof((fields)[0]), err)

static enum lm_rc read_count(struct tekken *t, int64_t *ret, struct lm_err *err)
{
    LM_TRY(lm_json_want(&t->json, LM_JSON_NUMBER, err));
    if (!lm_str_to_i64(t->json.text, ret) || *ret < 0 || *ret > LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: the number is not in 0..%d", t->name,
                       lm_json_offset(&t->json), LM_VOCAB_SIZE_MAX);
    return LM_OK;
}

/* ---- config ---- */

static enum lm_rc read_pattern(struct tekken *t, struct lm_err *err)
{
    LM_TRY(lm_json_want(&t->json, LM_JSON_STRING, err));
    return lm_token_ranks_pattern(t->json.text, t->name, t->arena, &t->pattern, err);
}

static enum lm_rc read_vocab_size(struct tekken *t, struct lm_err *err)
{
    return read_count(t, &t->vocab_size, err);
}

static enum lm_rc read_special_count(struct tekken *t, struct lm_err *err)
{
    return read_count(t, &t->special_count, err);
}

static enum lm_rc read_config(struct tekken *t, struct lm_err *err)
{
    static const struct field fields[] = {
        { "pattern", read_pattern },
        { "default_vocab_size", read_vocab_size },
        { "default_num_special_tokens", read_special_count },
    };
    return READ_OBJECT(t, fields, err);
}

static enum lm_rc check_config(struct tekken *t, struct lm_err *err)
{
    if (!t->pattern || !t->pattern[0] || t->special_count < 1 || t->vocab_size <= t->special_count)
        return lm_fail(err, LM_EFORMAT,
                       "%s: 'config' must have pattern, default_num_special_tokens (1 or more) and "
                       "default_vocab_size (larger)",
                       t->name);
    t->special = lm_arena_alloc(t->arena, (size_t)t->special_count * sizeof(*t->special));
    for (int64_t i = 0; i < t->special_count; i++)
        t->special[i] = (struct lm_token_rank_special){ NULL, (uint32_t)i };
    return LM_OK;
}

/* ---- lists of {"rank": .., "..": ".."} ---- */

static enum lm_rc read_entry(struct tekken *t, const char *text_key, int64_t *ret_rank,
                             struct lm_str *ret_text, struct lm_err *err)
{
    *ret_rank = -1;
    *ret_text = (struct lm_str){ 0 };
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&t->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(t->json.text, LM_STR("rank"))) {
            LM_TRY(read_count(t, ret_rank, err));
        } else if (lm_str_eq(t->json.text, lm_str(text_key))) {
            LM_TRY(lm_json_want(&t->json, LM_JSON_STRING, err));
            *ret_text = t->json.text;
        } else {
            LM_TRY(lm_json_skip(&t->json, err));
        }
    }
    if (*ret_rank < 0 || ret_text->len == 0)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: an entry without 'rank' or '%s'", t->name,
                       lm_json_offset(&t->json), text_key);
    return LM_OK;
}

static enum lm_rc add_special(struct tekken *t, int64_t rank, struct lm_str text, struct lm_err *err)
{
    if (rank >= t->special_count || t->special[rank].text || memchr(text.ptr, 0, text.len))
        return lm_fail(err, LM_EFORMAT,
                       "%s: special token %lld is there twice, or none of %lld, or has a zero byte", t->name,
                       (long long)rank, (long long)t->special_count);
    t->special[rank].text = lm_arena_strndup(t->arena, text.ptr, text.len);
    return LM_OK;
}

static enum lm_rc add_token(struct tekken *t, int64_t rank, struct lm_str base64, struct lm_err *err)
{
    if (rank >= t->vocab_size - t->special_count)
        return LM_OK;   // the vocabulary ends before
    lm_buf_reset(&t->bytes);
    const char *problem = !lm_base64_get(base64, &t->bytes)
                              ? "the token is not in base64"
                              : lm_token_ranks_add(&t->ranks, t->special_count + rank, lm_buf_str(&t->bytes));
    return problem ? lm_fail(err, LM_EFORMAT, "%s: rank %lld: %s", t->name, (long long)rank, problem) : LM_OK;
}

static enum lm_rc read_list(struct tekken *t, const char *text_key,
                            enum lm_rc (*add)(struct tekken *, int64_t, struct lm_str, struct lm_err *),
                            struct lm_err *err)
{
    LM_TRY(lm_json_want(&t->json, LM_JSON_ARRAY, err));
    for (;;) {
        enum lm_json_kind kind;
        int64_t rank;
        struct lm_str text;
        LM_TRY(lm_json_next(&t->json, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (kind != LM_JSON_OBJECT)
            return lm_fail(err, LM_EFORMAT, "%s: byte %zu: expected an object of the list", t->name,
                           lm_json_offset(&t->json));
        LM_TRY(read_entry(t, text_key, &rank, &text, err));
        LM_TRY(add(t, rank, text, err));
    }
}

static enum lm_rc read_special(struct tekken *t, struct lm_err *err)
{
    t->names_special = true;
    return read_list(t, "token_str", add_special, err);
}

static enum lm_rc read_vocab(struct tekken *t, struct lm_err *err)
{
    return read_list(t, "token_bytes", add_token, err);
}

/* ---- the file ---- */

static void name_rest_of_special(struct tekken *t)
{
    const size_t usual = t->names_special ? 0 : sizeof(usual_special) / sizeof(usual_special[0]);
    for (size_t i = 0; i < (size_t)t->special_count; i++)
        if (!t->special[i].text)
            t->special[i].text = i < usual ? usual_special[i] : lm_arena_printf(t->arena, "<SPECIAL_%zu>", i);
}

/* Keys may come in any order, and lists need the numbers of config: the file is read twice. */
static enum lm_rc read_file(struct tekken *t, struct lm_str file, struct lm_err *err)
{
    static const struct field first[] = { { "config", read_config } };
    static const struct field then[] = { { "special_tokens", read_special }, { "vocab", read_vocab } };
    lm_json_open(&t->json, file, t->name, t->arena);
    LM_TRY(READ_OBJECT(t, first, err));
    LM_TRY(check_config(t, err));
    lm_json_open(&t->json, file, t->name, t->arena);
    LM_TRY(READ_OBJECT(t, then, err));
    LM_TRY(lm_json_want(&t->json, LM_JSON_END, err));
    name_rest_of_special(t);
    const size_t ranks = (size_t)(t->vocab_size - t->special_count);
    return t->ranks.map.len == ranks
               ? LM_OK
               : lm_fail(err, LM_EFORMAT, "%s: 'vocab' has %zu of the %zu ranks that config asks for",
                         t->name, (size_t)t->ranks.map.len, ranks);
}

static int64_t find_special(const struct tekken *t, const char *text)
{
    for (int64_t i = 0; i < t->special_count; i++)
        if (strcmp(t->special[i].text, text) == 0)
            return i;
    return -1;
}

enum lm_rc lm_load_tekken(struct lm_str file, const char *name, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct tekken t = { .arena = &arena, .name = name };
    const enum lm_rc rc = read_file(&t, file, err);
    if (rc == LM_OK) {
        const struct lm_token_ranks_settings settings = { .grammar = -1,
                                                          .pattern = t.pattern,
                                                          .special = t.special,
                                                          .special_count = (size_t)t.special_count,
                                                          .first = find_special(&t, "<s>") };
        lm_token_ranks_write(&t.ranks, &settings, ret);
    }
    lm_buf_release(&t.bytes);
    lm_token_ranks_release(&t.ranks);
    lm_arena_release(&arena);
    return rc;
}

/* The first key that one of both kinds of files has tells them apart. */
bool lm_load_looks_like_tekken(struct lm_str file)
{
    static const char *const others[] = { "version", "added_tokens", "model" };   // of tokenizer.json
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    enum lm_json_kind kind = LM_JSON_END;
    bool yes = false, no = false;
    lm_json_open(&r, file, "", &arena);
    no = lm_json_want(&r, LM_JSON_OBJECT, NULL) != LM_OK;
    while (!yes && !no) {
        no = lm_json_next(&r, &kind, NULL) != LM_OK || kind != LM_JSON_KEY;
        yes = !no && lm_str_eq(r.text, LM_STR("config"));
        for (size_t i = 0; !yes && i < sizeof(others) / sizeof(others[0]); i++)
            no = no || lm_str_eq(r.text, lm_str(others[i]));
        if (!yes && !no)
            no = lm_json_skip(&r, NULL) != LM_OK;
    }
    lm_arena_release(&arena);
    return yes;
}
