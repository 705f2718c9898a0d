#ifndef LM_TESTS_TOKEN_PARTS_FILE_H
#define LM_TESTS_TOKEN_PARTS_FILE_H
/* tests/token/parts_file.h - lm_tokenizer_parts from a JSON file whose keys are the names of its fields; and
 * vectors, {"strings":[{"text":..,"ids":[..]},..]}. */

#include <jansson.h>

#include "token/parts.h"

static inline struct lm_str parts_text(const json_t *value)
{
    return value ? (struct lm_str){ json_string_value(value), json_string_length(value) } : LM_STR("");
}

static inline const struct lm_str *parts_texts(struct lm_arena *arena, const json_t *list, size_t *ret_count)
{
    struct lm_str *texts = lm_arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*texts));
    *ret_count = json_array_size(list);
    for (size_t i = 0; i < *ret_count; i++)
        texts[i] = parts_text(json_array_get(list, i));
    return texts;
}

static inline int64_t parts_number(const json_t *file, const char *key)
{
    const json_t *value = json_object_get(file, key);
    return json_is_boolean(value) ? json_is_true(value) : value ? json_integer_value(value) : -1;
}

/* Borrows from the tree. */
static inline struct lm_tokenizer_parts parts_from_json(const json_t *file, struct lm_arena *arena)
{
    struct lm_tokenizer_parts p = {
        .model = parts_text(json_object_get(file, "model")),
        .pre = parts_text(json_object_get(file, "pre")),
        .chat_template = parts_text(json_object_get(file, "chat_template")),
        .bos_id = parts_number(file, "bos_id"),
        .eos_id = parts_number(file, "eos_id"),
        .unk_id = parts_number(file, "unk_id"),
        .pad_id = parts_number(file, "pad_id"),
        .sep_id = parts_number(file, "sep_id"),
        .cls_id = parts_number(file, "cls_id"),
        .mask_id = parts_number(file, "mask_id"),
        .eot_id = parts_number(file, "eot_id"),
        .add_bos = (int)parts_number(file, "add_bos"),
        .add_eos = (int)parts_number(file, "add_eos"),
        .add_space_prefix = (int)parts_number(file, "add_space_prefix"),
        .remove_extra_blanks = (int)parts_number(file, "remove_extra_blanks"),
    };
    const json_t *types = json_object_get(file, "types"), *scores = json_object_get(file, "scores");
    p.tokens = parts_texts(arena, json_object_get(file, "tokens"), &p.token_count);
    p.merges = parts_texts(arena, json_object_get(file, "merges"), &p.merge_count);
    p.score_count = json_array_size(scores);
    int32_t *codes = lm_arena_alloc(arena, (p.token_count + 1) * sizeof(*codes));
    float *values = lm_arena_alloc(arena, (p.score_count + 1) * sizeof(*values));
    for (size_t i = 0; i < json_array_size(types) && i < p.token_count; i++)
        codes[i] = (int32_t)json_integer_value(json_array_get(types, i));
    for (size_t i = 0; i < p.score_count; i++)
        values[i] = (float)json_number_value(json_array_get(scores, i));
    p.types = types ? codes : NULL;
    p.scores = scores ? values : NULL;
    return p;
}

/* Every text of the vectors file gives its ids; special tokens are allowed when asked. */
static inline void check_vectors_file(const struct lm_tokenizer *t, const char *path, bool allow_special)
{
    json_t *file = json_load_file(path, JSON_ALLOW_NUL, NULL), *strings = json_object_get(file, "strings");
    assert_true(json_array_size(strings) >= 50);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens got = { 0 };
    for (size_t i = 0; i < 2 * json_array_size(strings); i++) {   // the second time from the cache
        const json_t *vector = json_array_get(strings, i % json_array_size(strings));
        const json_t *ids = json_object_get(vector, "ids");
        got.len = 0;
        lm_encode(e, parts_text(json_object_get(vector, "text")), allow_special, &got);
        assert_int_equal(got.len, json_array_size(ids));
        for (size_t k = 0; k < got.len; k++)
            assert_int_equal(got.ids[k], json_integer_value(json_array_get(ids, k)));
    }
    lm_tokens_release(&got);
    lm_encoder_free(e);
    json_decref(file);
}

#endif
