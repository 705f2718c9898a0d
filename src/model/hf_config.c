/* config.json of transformers: which keys mean what, and which we refuse. */
#include "model/hf_config.h"

#include "base/mem.h"
#include "model/hf_keys.h"

#include <jansson.h>
#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct reader {
    const json_t *root;
    const char *name;
    struct lm_model_config config;
    unsigned arch_bit;
};

/* ---- values ---- */

static enum lm_rc fail_value(const struct reader *r, const char *key, const char *want, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s is not %s", r->name, key, want);
}

/* NULL when absent or null. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

/* A scalar as text: "true", "null", "llama", "1e-05"; what is no scalar becomes "{...}" or "[...]". */
static const char *scalar_text(const json_t *value, char ret[LM_F64_TEXT])
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "{...}";
    case JSON_ARRAY:
        return "[...]";
    case JSON_STRING:
        return json_string_value(value);
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    default:
        lm_f64_text(json_number_value(value), ret);
        return ret;
    }
}

static enum lm_rc store(struct reader *r, const json_t *value, const char *key, enum lm_hf_field_type type,
                        size_t offset, struct lm_err *err)
{
    char *at = (char *)&r->config + offset;
    switch (type) {
    case LM_HF_INTEGER:
        if (!json_is_integer(value))
            return fail_value(r, key, "a whole number", err);
        *(int64_t *)at = json_integer_value(value);
        return LM_OK;
    case LM_HF_REAL:
        if (!json_is_number(value) || !isfinite(json_number_value(value)))
            return fail_value(r, key, "a number", err);
        *(double *)at = json_number_value(value);
        return LM_OK;
    case LM_HF_FLAG:
        break;
    }
    if (!json_is_boolean(value))
        return fail_value(r, key, "true or false", err);
    *(bool *)at = json_is_true(value);
    return LM_OK;
}

static enum lm_rc fail_fixed(const struct reader *r, const char *key, const json_t *value, const char *only,
                             struct lm_err *err)
{
    char number[LM_F64_TEXT];
    return lm_fail(err, LM_EFORMAT, "%s: %s '%.80s' is not supported (only '%s')", r->name, key,
                   scalar_text(value, number), only);
}

static enum lm_rc read_token_ids(struct reader *r, const char *key, int64_t *ret, size_t max,
                                 size_t *ret_count, struct lm_err *err)
{
    const json_t *value = json_object_get(r->root, key);
    const bool list = json_is_array(value);
    const size_t count = list ? json_array_size(value) : 1;
    if (!value)
        return LM_OK;
    if (json_is_null(value)) {
        *ret_count = 0;
        return LM_OK;
    }
    if (count > max)
        return lm_fail(err, LM_ELIMIT, "%s: %s has %zu tokens, more than %zu", r->name, key, count, max);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = list ? json_array_get(value, i) : value;
        if (!json_is_integer(id) || json_integer_value(id) < 0)
            return fail_value(r, key, "a token id, a list of them, or null", err);
        ret[i] = json_integer_value(id);
    }
    if (count == 0)
        return fail_value(r, key, "a token id, a list of them, or null", err);
    *ret_count = count;
    return LM_OK;
}

static enum lm_rc read_special(struct reader *r, struct lm_err *err)
{
    size_t bos_count = r->config.bos_id >= 0;
    LM_TRY(read_token_ids(r, "bos_token_id", &r->config.bos_id, 1, &bos_count, err));
    if (bos_count == 0)
        r->config.bos_id = -1;
    return read_token_ids(r, "eos_token_id", r->config.eos_ids, COUNT(r->config.eos_ids),
                          &r->config.eos_count, err);
}

/* ---- which architecture ---- */

static enum lm_rc read_arch(struct reader *r, struct lm_err *err)
{
    const json_t *type = get(r->root, "model_type"), *classes = get(r->root, "architectures");
    int arch = 0;
    if (!json_is_string(type))
        return lm_fail(err, LM_EFORMAT, "%s: model_type is missing", r->name);
    while (arch < LM_ARCH_COUNT && strcmp(lm_archs[arch].name, json_string_value(type)) != 0)
        arch++;
    if (arch == LM_ARCH_COUNT)
        return lm_fail(
            err, LM_EFORMAT,
            "%s: model_type '%.80s' is not supported (llama, mistral, qwen2, qwen3, gpt2, bert are)", r->name,
            json_string_value(type));
    r->config.arch = (enum lm_arch)arch;
    r->arch_bit = 1u << arch;
    bool found = !classes;
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const char *name = json_string_value(json_array_get(classes, i));
        found |= name && lm_hf_is_class_of((enum lm_arch)arch, name);
    }
    if (found)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: architectures does not name %s, which is supported", r->name,
                   lm_archs[arch].hf_class);
}

/* ---- positions ---- */

static enum lm_rc read_rope_kind(struct reader *r, const json_t *rope, const char *where, struct lm_err *err)
{
    const json_t *type = get(rope, "rope_type") ? get(rope, "rope_type") : get(rope, "type");
    if (!type)
        return LM_OK;
    for (size_t i = 0; i < LM_HF_ROPE_NAMES; i++)
        if (json_is_string(type) && strcmp(json_string_value(type), lm_hf_rope_names[i]) == 0) {
            r->config.rope.kind = (enum lm_rope_kind)i;
            return LM_OK;
        }
    return fail_fixed(r, where, type, "default, linear, llama3, yarn", err);
}

static enum lm_rc check_rope_key(const struct reader *r, const char *where, const char *key,
                                 const json_t *value, struct lm_err *err)
{
    static const char *const known[] = { "rope_type", "type", "mscale", "mscale_all_dim" };
    for (size_t i = 0; i < lm_hf_rope_field_count; i++)
        if (strcmp(lm_hf_rope_fields[i].key, key) == 0)
            return LM_OK;   // of another kind: transformers ignores it too
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(known[i], key) == 0)
            return LM_OK;
    if ((strcmp(key, "partial_rotary_factor") == 0 && json_number_value(value) == 1) ||
        (strcmp(key, "truncate") == 0 && json_is_true(value)) || json_is_null(value))
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: '%.80s' in %s is not supported", r->name, key, where);
}

/* "YaRN" section 3.4; the ratio of DeepSeek's files. */
static double yarn_attention(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static void derive_rope(struct reader *r, const json_t *rope)
{
    struct lm_model_config *c = &r->config;
    const double m = json_number_value(get(rope, "mscale")),
                 all = json_number_value(get(rope, "mscale_all_dim"));
    if (c->rope.kind != LM_ROPE_YARN || get(rope, "attention_factor"))
        return;
    if (m != 0 && all != 0)
        c->rope.attention = yarn_attention(c->rope.factor, m) / yarn_attention(c->rope.factor, all);
    else
        c->rope.attention = yarn_attention(c->rope.factor, 1);
}

/* rope_scaling (older) or rope_parameters (transformers 5). */
static enum lm_rc read_rope(struct reader *r, const char *where, struct lm_err *err)
{
    const json_t *rope = get(r->root, where), *value;
    const char *key;
    if (!rope)
        return LM_OK;
    if (!json_is_object(rope))
        return fail_value(r, where, "an object or null", err);
    LM_TRY(read_rope_kind(r, rope, where, err));
    json_object_foreach((json_t *)rope, key, value) LM_TRY(check_rope_key(r, where, key, value, err));
    const unsigned kind = 1u << r->config.rope.kind;
    if (r->config.rope.kind == LM_ROPE_YARN)
        r->config.rope.original_context = r->config.context;
    for (size_t i = 0; i < lm_hf_rope_field_count; i++) {
        value = get(rope, lm_hf_rope_fields[i].key);
        if (value && (lm_hf_rope_fields[i].used_by & kind))
            LM_TRY(store(r, value, lm_hf_rope_fields[i].key, lm_hf_rope_fields[i].type,
                         lm_hf_rope_fields[i].offset, err));
        else if (lm_hf_rope_fields[i].needed_by & kind)
            return lm_fail(err, LM_EFORMAT, "%s: %s is missing in %s", r->name, lm_hf_rope_fields[i].key,
                           where);
    }
    derive_rope(r, rope);
    return LM_OK;
}

/* ---- sliding window ---- */

/* layer_types (transformers 5): full attention first, sliding from some layer on. */
static enum lm_rc read_layer_types(struct reader *r, const json_t *types, struct lm_err *err)
{
    struct lm_model_config *c = &r->config;
    const size_t count = json_array_size(types);
    if (!json_is_array(types) || count != (size_t)c->layers)
        return fail_value(r, "layer_types", "one name for each layer", err);
    c->window_from_layer = c->layers;
    for (size_t i = 0; i < count; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const bool sliding = type && strcmp(type, "sliding_attention") == 0;
        if (!sliding && !(type && strcmp(type, "full_attention") == 0))
            return lm_fail(err, LM_EFORMAT, "%s: layer_types[%zu] '%.80s' is not supported", r->name, i,
                           type ? type : "");
        if (sliding && c->window_from_layer > (int64_t)i)
            c->window_from_layer = (int64_t)i;
        if (!sliding && c->window_from_layer < (int64_t)i)
            return lm_fail(err, LM_EFORMAT, "%s: layer_types: full after sliding attention is not supported",
                           r->name);
    }
    return LM_OK;
}

static enum lm_rc read_window(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = &r->config;
    const json_t *types = get(r->root, "layer_types");
    if (!(r->arch_bit & (LM_HF_MISTRAL | LM_HF_QWEN)))
        return LM_OK;
    if (!json_object_get(r->root, "sliding_window"))
        c->window = lm_hf_defaults[c->arch].window;
    else if (get(r->root, "sliding_window"))
        LM_TRY(store(r, get(r->root, "sliding_window"), "sliding_window", LM_HF_INTEGER,
                     offsetof(struct lm_model_config, window), err));
    if (r->arch_bit & LM_HF_QWEN) {
        c->window_from_layer = c->layers;
        if (json_is_true(get(r->root, "use_sliding_window"))) {
            const json_t *from = get(r->root, "max_window_layers");
            c->window_from_layer = json_is_integer(from) ? json_integer_value(from) : 28;
        }
    }
    if (types)
        LM_TRY(read_layer_types(r, types, err));
    if (c->window == 0 || c->window_from_layer >= c->layers)
        c->window = c->window_from_layer = 0;
    return LM_OK;
}

/* ---- the whole ---- */

static enum lm_rc read_fields(struct reader *r, struct lm_err *err)
{
    for (size_t i = 0; i < lm_hf_field_count; i++) {
        if (!(lm_hf_fields[i].used_by & r->arch_bit))
            continue;
        const json_t *value = get(r->root, lm_hf_fields[i].key);
        if (value)
            LM_TRY(store(r, value, lm_hf_fields[i].key, lm_hf_fields[i].type, lm_hf_fields[i].offset, err));
        else if (lm_hf_fields[i].needed_by & r->arch_bit)
            return lm_fail(err, LM_EFORMAT, "%s: %s is missing", r->name, lm_hf_fields[i].key);
    }
    for (size_t i = 0; i < lm_hf_fixed_count; i++) {
        const json_t *value = json_object_get(r->root, lm_hf_fixed[i].key);
        if (!value || !(lm_hf_fixed[i].used_by & r->arch_bit))
            continue;
        char number[LM_F64_TEXT];
        const char *text = scalar_text(value, number);
        if (strcmp(text, lm_hf_fixed[i].only[0]) != 0 &&
            !(lm_hf_fixed[i].only[1] && strcmp(text, lm_hf_fixed[i].only[1]) == 0))
            return fail_fixed(r, lm_hf_fixed[i].key, value, lm_hf_fixed[i].only[0], err);
    }
    return LM_OK;
}

static enum lm_rc derive(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = &r->config;
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->ffn_dim == 0 && (r->arch_bit & LM_HF_GPT2) && c->dim <= 1 << 16)
        c->ffn_dim = 4 * c->dim;
    if (c->head_dim != 0)
        return LM_OK;
    if (c->heads < 1 || c->dim % c->heads != 0)
        return lm_fail(err, LM_EFORMAT,
                       "%s: hidden_size %lld divided by num_attention_heads %lld is not a whole number",
                       r->name, (long long)c->dim, (long long)c->heads);
    c->head_dim = c->dim / c->heads;
    return LM_OK;
}

static enum lm_rc read_config(struct reader *r, uint32_t *ret_biases, struct lm_err *err)
{
    struct lm_model_config *c = &r->config;
    LM_TRY(read_arch(r, err));
    c->norm_eps = lm_hf_defaults[c->arch].norm_eps;
    c->head_dim = lm_hf_defaults[c->arch].head_dim;
    c->tied = lm_hf_defaults[c->arch].tied;
    LM_TRY(read_fields(r, err));
    LM_TRY(derive(r, err));
    LM_TRY(read_special(r, err));
    if (lm_archs[c->arch].rope) {
        LM_TRY(read_rope(r, "rope_scaling", err));
        LM_TRY(read_rope(r, "rope_parameters", err));
        LM_TRY(read_window(r, err));
    }
    const json_t *bias = get(r->root, "attention_bias");
    const uint32_t optional = lm_archs[c->arch].optional;
    if (bias && !json_is_false(bias) && !(json_is_true(bias) && optional))
        return fail_fixed(r, "attention_bias", bias, "false", err);
    *ret_biases = json_is_true(bias) ? optional : 0;
    struct lm_err why = { 0 };
    if (lm_model_config_check(c, &why) != LM_OK)
        return lm_fail(err, LM_EFORMAT, "%s: %s", r->name, why.text);
    return LM_OK;
}

static enum lm_rc parse(struct reader *r, struct lm_str json, json_t **ret, struct lm_err *err)
{
    json_error_t why;
    *ret = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &why);
    if (!*ret)
        return lm_fail(err, LM_EFORMAT, "%s: byte %d: %s", r->name, why.position, why.text);
    r->root = *ret;
    return json_is_object(*ret) ? LM_OK : lm_fail(err, LM_EFORMAT, "%s: not a JSON object", r->name);
}

enum lm_rc lm_hf_config_parse(struct lm_str json, const char *name, struct lm_model_config *ret,
                              uint32_t *ret_biases, struct lm_err *err)
{
    json_t *root = NULL;
    uint32_t biases = 0;
    struct reader r = {
        .name = name,
        .config = { .bos_id = -1,
                    .rope = { .theta = 10000,
                              .factor = 1,
                              .attention = 1,
                              .beta_fast = 32,
                              .beta_slow = 1 } },
    };
    enum lm_rc rc = parse(&r, json, &root, err);
    if (rc == LM_OK)
        rc = read_config(&r, &biases, err);
    json_decref(root);
    if (rc == LM_OK) {
        *ret = r.config;
        *ret_biases = biases;
    }
    return rc;
}

enum lm_rc lm_hf_generation_parse(struct lm_str json, const char *name, struct lm_model_config *config,
                                  struct lm_err *err)
{
    json_t *root = NULL;
    struct reader r = { .name = name, .config = *config };
    struct lm_err why = { 0 };
    enum lm_rc rc = parse(&r, json, &root, err);
    if (rc == LM_OK)
        rc = read_special(&r, err);
    json_decref(root);
    if (rc == LM_OK && lm_model_config_check(&r.config, &why) != LM_OK)
        rc = lm_fail(err, LM_EFORMAT, "%s: %s", name, why.text);
    if (rc == LM_OK)
        *config = r.config;
    return rc;
}

static enum lm_rc read_text(const char *dir, const char *name, struct lm_buf *ret, char **ret_path,
                            struct lm_err *err)
{
    *ret_path = lm_path_join(dir, name);
    return lm_file_read(*ret_path, LM_HF_CONFIG_BYTES_MAX, ret, err);
}

enum lm_rc lm_hf_config_load(const char *dir, struct lm_model_config *ret, uint32_t *ret_biases,
                             struct lm_err *err)
{
    LM_FREE char *path = NULL;
    LM_FREE char *generation = lm_path_join(dir, "generation_config.json");
    struct lm_buf text = { 0 };
    struct lm_model_config config;
    enum lm_rc rc = read_text(dir, "config.json", &text, &path, err);
    if (rc == LM_OK)
        rc = lm_hf_config_parse(lm_buf_str(&text), path, &config, ret_biases, err);
    lm_buf_reset(&text);
    if (rc == LM_OK && lm_path_exists(generation)) {
        rc = lm_file_read(generation, LM_HF_CONFIG_BYTES_MAX, &text, err);
        if (rc == LM_OK)
            rc = lm_hf_generation_parse(lm_buf_str(&text), generation, &config, err);
    }
    lm_buf_release(&text);
    if (rc == LM_OK)
        *ret = config;
    return rc;
}
