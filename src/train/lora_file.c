/* Adapters on disk, as PEFT writes and reads them. */
#include "train/lora.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20, NAME_BYTES = 192 };

/* "base_model.model." + the matrix's name without ".weight" + ".lora_A.weight" */
static void tensor_name(enum lm_llama_tensor kind, size_t layer, char part, char ret[NAME_BYTES])
{
    char matrix[NAME_BYTES / 2];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(matrix, sizeof matrix, lm_llama_tensors[kind].hf_name, (int)layer);   // a table
#pragma GCC diagnostic pop
    const int len = (int)(strlen(matrix) - strlen(".weight"));
    snprintf(ret, NAME_BYTES, "base_model.model.%.*s.lora_%c.weight", len, matrix, part);
}

/* ---- writing ---- */

static void config_json(const struct lm_lora *l, const char *base, struct lm_buf *ret)
{
    lm_buf_puts(ret, "{\"peft_type\":\"LORA\",\"task_type\":\"CAUSAL_LM\",\"inference_mode\":true");
    lm_json_key_str(ret, "base_model_name_or_path", lm_str(base));
    lm_json_key_int(ret, "r", l->config.rank);
    lm_json_key_num(ret, "lora_alpha", l->config.alpha);
    lm_json_key_bool(ret, "use_rslora", l->config.stabilized);
    lm_json_key_num(ret, "lora_dropout", l->config.dropout);
    lm_buf_puts(ret, ",\"bias\":\"none\",\"fan_in_fan_out\":false,\"use_dora\":false,"
                     "\"init_lora_weights\":true,\"modules_to_save\":null,\"rank_pattern\":{},"
                     "\"alpha_pattern\":{},\"target_modules\":[");
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        if (lm_lora_has(l, kind)) {
            lm_json_sep(ret);
            lm_json_str(ret, lm_str(lm_lora_target_name(kind)));
        }
    lm_buf_puts(ret, "]}\n");
}

static enum lm_rc write_tensors(const struct lm_lora *l, const char *path, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    const size_t layers = (size_t)l->model->config.layers, rank = (size_t)l->config.rank;
    struct lm_tensor_view *views = lm_arena_alloc(&arena, 2 * layers * LM_LLAMA_TENSOR_COUNT * sizeof *views);
    size_t count = 0;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t layer = 0; lm_lora_has(l, kind) && layer < layers; layer++) {
            char name[NAME_BYTES];
            size_t out, in;
            lm_llama_shape(&l->model->config, kind, &out, &in);
            tensor_name(kind, layer, 'A', name);
            views[count++] = (struct lm_tensor_view){ .name = lm_str(lm_arena_strdup(&arena, name)),
                                                      .dims = 2,
                                                      .shape = { rank, in },
                                                      .data = lm_lora_a(l, kind, layer),
                                                      .bytes = rank * in * sizeof(float) };
            tensor_name(kind, layer, 'B', name);
            views[count++] = (struct lm_tensor_view){ .name = lm_str(lm_arena_strdup(&arena, name)),
                                                      .dims = 2,
                                                      .shape = { out, rank },
                                                      .data = lm_lora_b(l, kind, layer),
                                                      .bytes = rank * out * sizeof(float) };
        }
    const enum lm_rc rc = lm_safetensors_write(path, views, count, LM_STR("{\"format\":\"pt\"}"), err);
    lm_arena_release(&arena);
    return rc;
}

enum lm_rc lm_lora_save(const struct lm_lora *l, const char *base, const char *dir, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    LM_TRY(lm_dir_make(dir, err));
    LM_FREE char *config = lm_path_join(dir, "adapter_config.json");
    LM_FREE char *tensors = lm_path_join(dir, "adapter_model.safetensors");
    config_json(l, base, &json);
    enum lm_rc rc = lm_file_write(config, lm_buf_str(&json), err);
    lm_buf_release(&json);
    return rc == LM_OK ? write_tensors(l, tensors, err) : rc;
}

/* ---- reading ---- */

/* What must be absent, null, false or empty: loom computes none of it. */
static const char *const refused[] = { "use_dora",
                                       "rank_pattern",
                                       "alpha_pattern",
                                       "fan_in_fan_out",
                                       "modules_to_save",
                                       "trainable_token_indices",
                                       "lora_bias",
                                       "use_qalora",
                                       "target_parameters",
                                       "layer_replication",
                                       "alora_invocation_tokens" };

static bool says_something(const json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value) &&
           !(json_is_object(value) && json_object_size(value) == 0) &&
           !(json_is_array(value) && json_array_size(value) == 0);
}

static enum lm_rc read_config(const json_t *o, const char *name, struct lm_lora_config *ret,
                              struct lm_err *err)
{
    const char *type = json_string_value(json_object_get(o, "peft_type"));
    const char *bias = json_string_value(json_object_get(o, "bias"));
    const json_t *rank = json_object_get(o, "r"), *alpha = json_object_get(o, "lora_alpha");
    const json_t *dropout = json_object_get(o, "lora_dropout");
    if (!type || strcmp(type, "LORA") != 0)
        return lm_fail(err, LM_EFORMAT, "%s: peft_type is not \"LORA\", the only adapter loom reads", name);
    if (bias && strcmp(bias, "none") != 0)
        return lm_fail(err, LM_EFORMAT, "%s: bias is \"%s\"; loom reads adapters without biases", name, bias);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (says_something(json_object_get(o, refused[i])))
            return lm_fail(err, LM_EFORMAT, "%s: %s is set, and loom does not compute it", name, refused[i]);
    if (!json_is_integer(rank) || json_integer_value(rank) < 1 || json_integer_value(rank) > LM_LORA_RANK_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: r is not a rank between 1 and %d", name, LM_LORA_RANK_MAX);
    if (dropout &&
        !(json_is_number(dropout) && json_number_value(dropout) >= 0 && json_number_value(dropout) < 1))
        return lm_fail(err, LM_EFORMAT, "%s: lora_dropout is not a share between 0 and 1", name);
    if (!json_is_number(alpha) || !(json_number_value(alpha) > 0))
        return lm_fail(err, LM_EFORMAT, "%s: lora_alpha is not a number above 0", name);
    *ret = (struct lm_lora_config){
        .rank = json_integer_value(rank),
        .alpha = json_number_value(alpha),
        .stabilized = json_is_true(json_object_get(o, "use_rslora")),
        .dropout = dropout ? json_number_value(dropout) : 0,
    };
    return LM_OK;
}

enum lm_rc lm_lora_config_parse(struct lm_lora_config *ret, struct lm_str json, const char *name,
                                struct lm_err *err)
{
    json_error_t why;
    json_t *o = json_loadb(json.ptr ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        return lm_fail(err, LM_EFORMAT, "%s, line %d: %s", name, why.line, why.text);
    const enum lm_rc rc = read_config(o, name, ret, err);
    json_decref(o);
    return rc;
}

/* Which matrices the file's tensors stand for; LM_EFORMAT for one that stands for none. */
static enum lm_rc find_targets(const struct lm_safetensors *st, const struct lm_llama_config *model,
                               const char *path, uint32_t *ret, struct lm_err *err)
{
    size_t known = 0;
    uint32_t bits = 0;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t layer = 0; lm_lora_target_name(kind) && layer < (size_t)model->layers; layer++) {
            char a[NAME_BYTES], b[NAME_BYTES];
            tensor_name(kind, layer, 'A', a);
            tensor_name(kind, layer, 'B', b);
            const bool has_a = lm_safetensors_find(st, a), has_b = lm_safetensors_find(st, b);
            if (has_a != has_b)
                return lm_fail(err, LM_EFORMAT, "'%s': '%s' is there without '%s'", path, has_a ? a : b,
                               has_a ? b : a);
            known += has_a ? 2 : 0;
            bits |= has_a ? UINT32_C(1) << kind : 0;
        }
    for (size_t i = 0; known < st->count && i < st->count; i++) {
        bool found = false;
        for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT && !found; kind++)
            for (size_t layer = 0; lm_lora_target_name(kind) && layer < (size_t)model->layers; layer++) {
                char a[NAME_BYTES], b[NAME_BYTES];
                tensor_name(kind, layer, 'A', a);
                tensor_name(kind, layer, 'B', b);
                found |=
                    lm_str_eq(st->tensors[i].name, lm_str(a)) || lm_str_eq(st->tensors[i].name, lm_str(b));
            }
        if (!found)
            return lm_fail(err, LM_EFORMAT, "'%s': tensor '%.*s' belongs to no matrix of this model", path,
                           (int)st->tensors[i].name.len, st->tensors[i].name.ptr);
    }
    *ret = bits;
    return LM_OK;
}

/* Copies one part; an absent one (a layer without adapter) stays 0. */
static enum lm_rc copy_part(const struct lm_safetensors *st, const char *name, float *to, size_t rows,
                            size_t cols, const char *path, struct lm_err *err)
{
    const struct lm_tensor_view *v = lm_safetensors_find(st, name);
    if (!v)
        return LM_OK;
    if (v->dims != 2 || v->shape[0] != rows || v->shape[1] != cols)
        return lm_fail(err, LM_EFORMAT, "'%s': '%s' is not %zu x %zu, as r and the model want it", path, name,
                       rows, cols);
    if (!lm_tensor_to_f32(v, to))
        return lm_fail(err, LM_EFORMAT, "'%s': '%s' is of a type that holds no weights", path, name);
    return LM_OK;
}

static enum lm_rc copy_all(struct lm_lora *l, const struct lm_safetensors *st, const char *path,
                           struct lm_err *err)
{
    const size_t rank = (size_t)l->config.rank;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++)
        for (size_t layer = 0; lm_lora_has(l, kind) && layer < (size_t)l->model->config.layers; layer++) {
            char name[NAME_BYTES];
            size_t out, in;
            lm_llama_shape(&l->model->config, kind, &out, &in);
            tensor_name(kind, layer, 'A', name);
            LM_TRY(copy_part(st, name, lm_lora_a(l, kind, layer), rank, in, path, err));
            tensor_name(kind, layer, 'B', name);
            LM_TRY(copy_part(st, name, lm_lora_b(l, kind, layer), out, rank, path, err));
        }
    return LM_OK;
}

enum lm_rc lm_lora_load(struct lm_lora *l, struct lm_llama *model, const char *dir, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    struct lm_lora_config config = { 0 };
    struct lm_safetensors st = { 0 };
    LM_FREE char *config_path = lm_path_join(dir, "adapter_config.json");
    LM_FREE char *path = lm_path_join(dir, "adapter_model.safetensors");
    enum lm_rc rc = lm_file_read(config_path, CONFIG_BYTES_MAX, &json, err);
    if (rc == LM_OK)
        rc = lm_lora_config_parse(&config, lm_buf_str(&json), config_path, err);
    lm_buf_release(&json);
    LM_TRY(rc);
    LM_TRY(lm_safetensors_open(&st, path, err));
    rc = find_targets(&st, &model->config, path, &config.targets, err);
    if (rc == LM_OK)
        rc = lm_lora_init(l, &config, model, err);
    if (rc == LM_OK && (rc = copy_all(l, &st, path, err)) != LM_OK)
        lm_lora_release(l);
    lm_safetensors_close(&st);
    return rc;
}
