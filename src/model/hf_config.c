/* config.json of transformers' LlamaForCausalLM: which keys mean what, and which we refuse. */
#include "base/json.h"
#include "base/mem.h"
#include "model/llama.h"

enum field_type { INTEGER, REAL, FLAG, TOKEN_ID };   // TOKEN_ID: number, null, or a list whose first counts

// clang-format off
#define AT(field) offsetof(struct lm_llama_config, field)
/* Keys that carry a value.  To add one: a field of the config and a row. */
static const struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    bool required;
} fields[] = {
    { "vocab_size",              INTEGER,  AT(vocab_size), true },
    { "hidden_size",             INTEGER,  AT(dim),        true },
    { "intermediate_size",       INTEGER,  AT(ffn_dim),    true },
    { "num_hidden_layers",       INTEGER,  AT(layers),     true },
    { "num_attention_heads",     INTEGER,  AT(heads),      true },
    { "num_key_value_heads",     INTEGER,  AT(kv_heads),   false },
    { "max_position_embeddings", INTEGER,  AT(context),    true },
    { "rms_norm_eps",            REAL,     AT(norm_eps),   false },
    { "rope_theta",              REAL,     AT(rope_theta), false },
    { "tie_word_embeddings",     FLAG,     AT(tied),       false },
    { "bos_token_id",            TOKEN_ID, AT(bos_id),     false },
    { "eos_token_id",            TOKEN_ID, AT(eos_id),     false },
};
#undef AT

/* Keys that change what the model computes, and the only value we compute. */
static const struct {
    const char *key, *only;
} fixed[] = {
    { "model_type",          "llama" },
    { "hidden_act",          "silu" },
    { "attention_bias",      "false" },
    { "mlp_bias",            "false" },
    { "rope_interleaved",    "false" },
    { "quantization_config", "null" },
};

/* What LlamaConfig assumes when a key is absent; 0 heads: as many as there are query heads. */
static const struct lm_llama_config defaults = {
    .kv_heads = 0, .rope_theta = 10000, .norm_eps = 1e-6, .tied = false, .bos_id = -1, .eos_id = -1,
};
// clang-format on

enum { FIELD_COUNT = sizeof fields / sizeof fields[0], FIXED_COUNT = sizeof fixed / sizeof fixed[0] };

struct reader {
    struct lm_json_reader json;
    const char *name;
    struct lm_llama_config config;
    unsigned seen;      // bit of each field
    int64_t head_dim;   // 0: not given
};

static enum lm_rc fail_value(const struct reader *r, const char *key, const char *want, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: %s is not %s", r->name, key, want);
}

/* A scalar as text: "true", "null", "llama", "1e-05"; what is no scalar becomes "{...}" or "[...]". */
static enum lm_rc read_scalar(struct reader *r, struct lm_str *ret, enum lm_json_kind *ret_kind,
                              struct lm_err *err)
{
    static const char *const words[] = {
        [LM_JSON_TRUE] = "true", [LM_JSON_FALSE] = "false", [LM_JSON_NULL] = "null"
    };
    const struct lm_json_reader before = r->json;
    LM_TRY(lm_json_next(&r->json, ret_kind, err));
    switch (*ret_kind) {
    case LM_JSON_OBJECT:
    case LM_JSON_ARRAY:
        r->json = before;
        *ret = *ret_kind == LM_JSON_OBJECT ? LM_STR("{...}") : LM_STR("[...]");
        return lm_json_skip(&r->json, err);
    case LM_JSON_TRUE:
    case LM_JSON_FALSE:
    case LM_JSON_NULL:
        *ret = lm_str(words[*ret_kind]);
        return LM_OK;
    default:
        *ret = r->json.text;
        return LM_OK;
    }
}

static enum lm_rc read_real(struct reader *r, const char *key, double *ret, struct lm_err *err)
{
    struct lm_str text;
    enum lm_json_kind kind;
    LM_TRY(read_scalar(r, &text, &kind, err));
    if (kind != LM_JSON_NUMBER || !lm_str_to_f64(text, ret))
        return fail_value(r, key, "a number", err);
    return LM_OK;
}

static enum lm_rc read_integer(struct reader *r, const char *key, int64_t *ret, struct lm_err *err)
{
    struct lm_str text;
    enum lm_json_kind kind;
    LM_TRY(read_scalar(r, &text, &kind, err));
    if (kind != LM_JSON_NUMBER || !lm_str_to_i64(text, ret))
        return fail_value(r, key, "a whole number", err);
    return LM_OK;
}

static enum lm_rc read_token_id(struct reader *r, const char *key, int64_t *ret, struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(&r->json, &kind, err));
    const bool list = kind == LM_JSON_ARRAY;
    if (list)
        LM_TRY(lm_json_next(&r->json, &kind, err));
    if (kind == LM_JSON_NULL && !list)
        *ret = -1;
    else if (kind != LM_JSON_NUMBER || !lm_str_to_i64(r->json.text, ret) || *ret < 0)
        return fail_value(r, key, "a token id, a list of them, or null", err);
    while (list && kind != LM_JSON_ARRAY_END) {
        LM_TRY(lm_json_next(&r->json, &kind, err));
        if (kind != LM_JSON_NUMBER && kind != LM_JSON_ARRAY_END)
            return fail_value(r, key, "a token id, a list of them, or null", err);
    }
    return LM_OK;
}

static enum lm_rc read_field(struct reader *r, const struct field *f, struct lm_err *err)
{
    char *at = (char *)&r->config + f->offset;
    r->seen |= 1u << (f - fields);
    switch (f->type) {
    case INTEGER:
        return read_integer(r, f->key, (int64_t *)at, err);
    case REAL:
        return read_real(r, f->key, (double *)at, err);
    case TOKEN_ID:
        return read_token_id(r, f->key, (int64_t *)at, err);
    case FLAG:
        break;
    }
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(&r->json, &kind, err));
    if (kind != LM_JSON_TRUE && kind != LM_JSON_FALSE)
        return fail_value(r, f->key, "true or false", err);
    *(bool *)at = kind == LM_JSON_TRUE;
    return LM_OK;
}

static enum lm_rc read_fixed(struct reader *r, const char *key, const char *only, struct lm_err *err)
{
    struct lm_str text;
    enum lm_json_kind kind;
    LM_TRY(read_scalar(r, &text, &kind, err));
    if (lm_str_eq(text, lm_str(only)))
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: %s '%.*s' is not supported (only '%s')", r->name, key,
                   (int)(text.len < 80 ? text.len : 80), text.ptr, only);
}

/* rope_scaling (older) and rope_parameters (transformers 5): null, or an object that says "default". */
static enum lm_rc read_rope(struct reader *r, const char *key, struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(&r->json, &kind, err));
    if (kind == LM_JSON_NULL)
        return LM_OK;
    if (kind != LM_JSON_OBJECT)
        return fail_value(r, key, "an object or null", err);
    for (;;) {
        LM_TRY(lm_json_next(&r->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        const struct lm_str name = r->json.text;
        if (lm_str_eq(name, LM_STR("rope_theta")))
            LM_TRY(read_real(r, "rope_theta", &r->config.rope_theta, err));
        else if (lm_str_eq(name, LM_STR("rope_type")) || lm_str_eq(name, LM_STR("type")))
            LM_TRY(read_fixed(r, key, "default", err));
        else
            return lm_fail(err, LM_EFORMAT, "%s: '%.*s' in %s is not supported (only plain RoPE)", r->name,
                           (int)(name.len < 80 ? name.len : 80), name.ptr, key);
    }
}

static enum lm_rc read_architectures(struct reader *r, struct lm_err *err)
{
    bool found = false;
    LM_TRY(lm_json_want(&r->json, LM_JSON_ARRAY, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r->json, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            break;
        if (kind != LM_JSON_STRING)
            return fail_value(r, "architectures", "a list of names", err);
        found |= lm_str_eq(r->json.text, LM_STR("LlamaForCausalLM"));
    }
    return found ? LM_OK : fail_value(r, "architectures", "LlamaForCausalLM, which alone is supported", err);
}

static enum lm_rc read_key(struct reader *r, struct lm_err *err)
{
    const struct lm_str key = r->json.text;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (lm_str_eq(key, lm_str(fields[i].key)))
            return read_field(r, &fields[i], err);
    for (size_t i = 0; i < FIXED_COUNT; i++)
        if (lm_str_eq(key, lm_str(fixed[i].key)))
            return read_fixed(r, fixed[i].key, fixed[i].only, err);
    if (lm_str_eq(key, LM_STR("rope_scaling")))
        return read_rope(r, "rope_scaling", err);
    if (lm_str_eq(key, LM_STR("rope_parameters")))
        return read_rope(r, "rope_parameters", err);
    if (lm_str_eq(key, LM_STR("head_dim")))
        return read_integer(r, "head_dim", &r->head_dim, err);
    if (lm_str_eq(key, LM_STR("architectures")))
        return read_architectures(r, err);
    return lm_json_skip(&r->json, err);   // the rest does not change what is computed
}

static enum lm_rc read_config(struct reader *r, struct lm_err *err)
{
    LM_TRY(lm_json_want(&r->json, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        LM_TRY(read_key(r, err));
    }
    LM_TRY(lm_json_want(&r->json, LM_JSON_END, err));
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (fields[i].required && !(r->seen & 1u << i))
            return lm_fail(err, LM_EFORMAT, "%s: %s is missing", r->name, fields[i].key);

    struct lm_llama_config *c = &r->config;
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    struct lm_err why = { 0 };
    if (lm_llama_config_check(c, &why) != LM_OK)
        return lm_fail(err, LM_EFORMAT, "%s: %s", r->name, why.text);
    if (r->head_dim != 0 && r->head_dim != c->dim / c->heads)
        return lm_fail(err, LM_EFORMAT,
                       "%s: head_dim %lld is not supported (only hidden_size / num_attention_heads = %lld)",
                       r->name, (long long)r->head_dim, (long long)(c->dim / c->heads));
    return LM_OK;
}

enum lm_rc lm_llama_config_parse(struct lm_llama_config *ret, struct lm_str json, const char *name,
                                 struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct reader r = { .name = name, .config = defaults };
    lm_json_open(&r.json, json, name, &arena);
    const enum lm_rc rc = read_config(&r, err);
    lm_arena_release(&arena);
    if (rc == LM_OK)
        *ret = r.config;
    return rc;
}

static void add_token_id(struct lm_buf *buf, const char *key, int64_t id)
{
    lm_json_key(buf, key);
    if (id < 0)
        lm_buf_puts(buf, "null");
    else
        lm_json_int(buf, id);
}

void lm_llama_config_json(const struct lm_llama_config *c, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key(ret, "architectures");
    lm_buf_puts(ret, "[\"LlamaForCausalLM\"]");
    lm_json_key_str(ret, "model_type", LM_STR("llama"));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *f = &fields[i];
        const char *at = (const char *)c + f->offset;
        switch (f->type) {
        case INTEGER:
            lm_json_key_int(ret, f->key, *(const int64_t *)at);
            break;
        case REAL:
            lm_json_key_num(ret, f->key, *(const double *)at);
            break;
        case FLAG:
            lm_json_key_bool(ret, f->key, *(const bool *)at);
            break;
        case TOKEN_ID:
            add_token_id(ret, f->key, *(const int64_t *)at);
            break;
        }
    }
    lm_json_key_str(ret, "hidden_act", LM_STR("silu"));
    lm_json_key_bool(ret, "attention_bias", false);
    lm_json_key_bool(ret, "mlp_bias", false);
    lm_json_key_num(ret, "attention_dropout", 0);
    lm_json_key_num(ret, "initializer_range", 0.02);
    lm_json_key_bool(ret, "use_cache", true);
    lm_json_key_str(ret, "torch_dtype", LM_STR("float32"));
    lm_buf_puts(ret, "}\n");
}
