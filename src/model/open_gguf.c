/* A GGUF file as a model: which key means what. */
#include "model/gguf_keys.h"
#include "model/limits.h"
#include "model/source.h"

#include <math.h>

struct reader {
    const struct lm_gguf *gguf;
    struct lm_model_source *source;
    struct lm_model_config *config;
    const struct lm_arch_info *arch;
    char key[LM_GGUF_KEY_MAX];
};

// clang-format off
/* Whole numbers that change what is computed, and the value that changes nothing; -1: the head width. */
static const struct {
    const char *key;
    int64_t only;
} fixed[] = {
    { "expert_count",           0 },
    { "attention.value_length", -1 },
    { "rope.dimension_count",   -1 },
};

/* Keys of relatives of our architectures, whose mere presence changes what is computed. */
static const char *const foreign[] = {
    "logit_scale",     "residual_scale",     "embedding_scale",           "attention.scale",
    "attention.clamp_kqv", "attn_logit_softcapping", "final_logit_softcapping", "use_parallel_residual",
    "rope.scaling.yarn_ext_factor", "expert_used_count",
};
// clang-format on

static const char *full_key(struct reader *r, const char *key)
{
    lm_gguf_key(r->config->arch, key, r->key);
    return r->key;
}

static enum lm_rc fail_key(const struct reader *r, const char *key, struct lm_err *err)
{
    if (!lm_gguf_find(r->gguf, key))
        return lm_fail(err, LM_EFORMAT, "%s: key '%s' is missing", r->gguf->name, key);
    return lm_fail(err, LM_EFORMAT, "%s: key '%s' (byte %llu) has a value that is not supported",
                   r->gguf->name, key, (unsigned long long)lm_gguf_find(r->gguf, key)->offset);
}

static enum lm_rc read_arch(struct reader *r, struct lm_err *err)
{
    struct lm_str name = { 0 };
    LM_TRY(lm_gguf_get_str(r->gguf, "general.architecture", &name, err));
    if (!name.ptr)
        return fail_key(r, "general.architecture", err);
    for (int a = 0; a < LM_ARCH_COUNT; a++)
        if (lm_str_eq(name, lm_str(lm_archs[a].gguf_name))) {
            r->config->arch = a;
            r->arch = &lm_archs[a];
            return LM_OK;
        }
    return lm_fail(err, LM_EFORMAT,
                   "%s: architecture '%.*s' is not supported (llama, qwen2, qwen3, gpt2, bert are)",
                   r->gguf->name, (int)(name.len < 80 ? name.len : 80), name.ptr);
}

static enum lm_rc read_integer(struct reader *r, const struct lm_gguf_integer_key *row, struct lm_err *err)
{
    int64_t *to = (int64_t *)((char *)r->config + row->offset);
    const struct lm_gguf_value *value = lm_gguf_find(r->gguf, full_key(r, row->key));
    if (!value)
        return row->required ? fail_key(r, r->key, err) : LM_OK;
    LM_TRY(lm_gguf_get_int(r->gguf, r->key, to, err));
    char what[512];
    snprintf(what, sizeof what, "%s: key '%s' (byte %llu):", r->gguf->name, r->key,
             (unsigned long long)value->offset);
    return lm_model_limit_check(row->offset, *to, what, err);
}

/* The file has f32; what was meant is the shortest decimal that rounds to it: 1e-05, not 9.99999974e-06. */
static double as_written(double value)
{
    char text[LM_F64_TEXT];
    for (int digits = 1; digits < 9; digits++) {
        double shorter;
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (lm_str_to_f64(lm_str(text), &shorter) && (float)shorter == (float)value)
            return shorter;
    }
    return value;
}

static enum lm_rc read_numbers(struct reader *r, struct lm_err *err)
{
    for (size_t i = 0; i < lm_gguf_integer_key_count; i++)
        LM_TRY(read_integer(r, &lm_gguf_integer_keys[i], err));
    const unsigned is = lm_gguf_traits(r->config->arch);
    for (size_t i = 0; i < lm_gguf_real_key_count; i++) {
        const struct lm_gguf_real_key *row = &lm_gguf_real_keys[i];
        double *to = (double *)((char *)r->config + row->offset);
        full_key(r, row->key);
        if ((row->needed_by & is) && !lm_gguf_find(r->gguf, r->key))
            return fail_key(r, r->key, err);
        if (!(row->used_by & is))
            continue;
        LM_TRY(lm_gguf_get_real(r->gguf, r->key, to, err));
        *to = as_written(*to);
    }
    return LM_OK;
}

static enum lm_rc read_fixed(struct reader *r, struct lm_err *err)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const int64_t only = fixed[i].only < 0 ? r->config->head_dim : fixed[i].only;
        int64_t value = only;
        LM_TRY(lm_gguf_get_int(r->gguf, full_key(r, fixed[i].key), &value, err));
        if (value != only)
            return lm_fail(err, LM_EFORMAT, "%s: key '%s' (byte %llu): %lld is not supported (only %lld)",
                           r->gguf->name, r->key, (unsigned long long)lm_gguf_find(r->gguf, r->key)->offset,
                           (long long)value, (long long)only);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (lm_gguf_find(r->gguf, full_key(r, foreign[i])))
            return fail_key(r, r->key, err);
    bool causal = r->arch->causal;
    LM_TRY(lm_gguf_get_bool(r->gguf, full_key(r, "attention.causal"), &causal, err));
    return causal == r->arch->causal ? LM_OK : fail_key(r, r->key, err);
}

/* ---- positions ---- */

/* rope_freqs.weight, as Llama 3 files have it in place of keys. */
static enum lm_rc read_factors(struct reader *r, struct lm_err *err)
{
    struct lm_stored *t = lm_source_find(r->source, "rope_freqs.weight");
    if (!t)
        return LM_OK;
    const size_t half = (size_t)r->config->head_dim / 2;
    if (t->type != LM_TYPE_F32 || t->dims != 1 || t->shape[0] != half)
        return lm_fail(err, LM_EFORMAT, "%s: tensor 'rope_freqs.weight' is not %zu values of F32",
                       r->gguf->name, half);
    t->used = true;
    void *copy = lm_source_copy(r->source, half * sizeof(float));
    r->config->rope.factors = memcpy(copy, t->data, half * sizeof(float));
    r->config->rope.kind = LM_ROPE_FACTORS;
    return LM_OK;
}

static enum lm_rc read_rope(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = r->config;
    struct lm_str type = LM_STR("");
    double multiplier = 0;
    LM_TRY(lm_gguf_get_real(r->gguf, full_key(r, "rope.scaling.yarn_log_multiplier"), &multiplier, err));
    if (multiplier != 0)
        return fail_key(r, r->key, err);
    LM_TRY(lm_gguf_get_str(r->gguf, full_key(r, "rope.scaling.type"), &type, err));
    if (lm_str_eq(type, LM_STR("yarn"))) {
        c->rope.kind = LM_ROPE_YARN;
        if (c->rope.original_context == 0)
            c->rope.original_context = c->context;
        if (c->rope.factor > 1)
            c->rope.attention *= 1 + 0.1 * log(c->rope.factor);
    } else if (type.len == 0 || lm_str_eq(type, LM_STR("linear"))) {
        c->rope.kind = c->rope.factor == 1 ? LM_ROPE_PLAIN : LM_ROPE_LINEAR;
    } else if (!lm_str_eq(type, LM_STR("none"))) {
        return fail_key(r, r->key, err);
    }
    if (c->rope.kind != LM_ROPE_YARN)
        c->rope.attention = 1;
    return read_factors(r, err);
}

/* ---- vocabulary ---- */

static enum lm_rc rows_of(const struct reader *r, const char *tensor, int64_t *ret, struct lm_err *err)
{
    const struct lm_stored *t = lm_source_find(r->source, tensor);
    if (!t)
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is missing", r->gguf->name, tensor);
    if (t->dims == 0 || t->dims > 2 || t->shape[0] > INT32_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is no matrix of a sensible size", r->gguf->name,
                       tensor);
    *ret = t->dims == 1 ? 1 : (int64_t)t->shape[0];
    return LM_OK;
}

static enum lm_rc read_end_tokens(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = r->config;
    LM_TRY(lm_gguf_get_int(r->gguf, "tokenizer.ggml.bos_token_id", &c->bos_id, err));
    for (size_t i = 0; i < LM_GGUF_END_KEYS; i++) {
        int64_t id = -1;
        LM_TRY(lm_gguf_get_int(r->gguf, lm_gguf_end_keys[i], &id, err));
        bool known = id == -1;
        for (size_t k = 0; k < c->eos_count; k++)
            known |= c->eos_ids[k] == id;
        if (!known)
            c->eos_ids[c->eos_count++] = id;
    }
    return LM_OK;
}

static enum lm_rc read_vocabulary(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = r->config;
    LM_TRY(rows_of(r, "token_embd.weight", &c->vocab_size, err));
    if (c->arch == LM_ARCH_BERT)
        LM_TRY(rows_of(r, "token_types.weight", &c->token_types, err));
    int64_t said = c->vocab_size;
    LM_TRY(lm_gguf_get_int(r->gguf, full_key(r, "vocab_size"), &said, err));
    const struct lm_gguf_value *tokens = lm_gguf_find(r->gguf, "tokenizer.ggml.tokens");
    const char *key = said != c->vocab_size ? r->key : "tokenizer.ggml.tokens";
    if (said == c->vocab_size && tokens && tokens->count > (uint64_t)c->vocab_size)
        said = (int64_t)tokens->count;
    if (said != c->vocab_size)
        return lm_fail(err, LM_EFORMAT,
                       "%s: key '%s' (byte %llu) gives %lld tokens, but the embedding has %lld rows",
                       r->gguf->name, key, (unsigned long long)lm_gguf_find(r->gguf, key)->offset,
                       (long long)said, (long long)c->vocab_size);
    return read_end_tokens(r, err);
}

/* One truth value per layer: which of them slide.  Only the lower layers may see everything. */
static enum lm_rc read_window(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = r->config;
    const struct lm_gguf_value *v = lm_gguf_find(r->gguf, full_key(r, "attention.sliding_window_pattern"));
    if (!v || c->window == 0)
        return LM_OK;
    if (v->kind != LM_GGUF_ARRAY || v->item != LM_GGUF_BOOL || v->count != (uint64_t)c->layers)
        return fail_key(r, r->key, err);
    while (c->window_from_layer < c->layers && !v->bytes[c->window_from_layer])
        c->window_from_layer++;
    for (int64_t l = c->window_from_layer; l < c->layers; l++)
        if (!v->bytes[l])
            return fail_key(r, r->key, err);
    return LM_OK;
}

static enum lm_rc read_config(struct reader *r, struct lm_err *err)
{
    struct lm_model_config *c = r->config;
    LM_TRY(read_arch(r, err));
    LM_TRY(read_numbers(r, err));
    LM_TRY(read_window(r, err));
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->head_dim == 0) {
        if (c->dim % c->heads != 0)
            return lm_fail(err, LM_EFORMAT, "%s: embedding length %lld is not a multiple of %lld heads",
                           r->gguf->name, (long long)c->dim, (long long)c->heads);
        c->head_dim = c->dim / c->heads;
    }
    LM_TRY(read_fixed(r, err));
    LM_TRY(read_vocabulary(r, err));
    if (r->arch->rope)
        LM_TRY(read_rope(r, err));
    c->tied = r->arch->causal && !lm_source_find(r->source, "output.weight");
    struct lm_err why = { 0 };
    const enum lm_rc rc = lm_model_config_check(c, &why);
    return rc == LM_OK ? LM_OK : lm_fail(err, rc, "%s: %s", r->gguf->name, why.text);
}

/* ---- the rest ---- */

static void list_tensors(struct lm_model_source *s)
{
    const struct lm_gguf *g = &s->gguf;
    s->stored_count = g->tensor_count;
    s->stored = lm_zalloc(g->tensor_count + 1, sizeof *s->stored);
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct lm_gguf_tensor *t = &g->tensors[i];
        struct lm_stored *to = &s->stored[i];
        *to = (struct lm_stored){
            .name = lm_arena_strndup(&s->arena, t->name.ptr, t->name.len),
            .type_name = lm_types[t->type].name,
            .type = t->type,
            .dims = t->dims,
            .data = t->data,
        };
        for (size_t d = 0; d < t->dims; d++)
            to->shape[d] = t->shape[t->dims - 1 - d];
    }
    lm_source_sort(s);
}

/* general.license, general.name, ...: strings, numbers, and lists of strings. */
static enum lm_rc add_notes(struct lm_model_source *s, struct lm_err *err)
{
    const struct lm_gguf *g = &s->gguf;
    const struct lm_str prefix = LM_STR("general.");
    for (size_t i = 0; i < g->value_count; i++) {
        const struct lm_gguf_value *v = &g->values[i];
        if (!lm_str_starts(v->key, prefix) || v->key.len > 200)
            continue;
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)v->key.len, v->key.ptr);
        struct lm_buf text = { 0 };
        if (v->kind == LM_GGUF_STRING) {
            struct lm_str value = { 0 };
            LM_TRY(lm_gguf_get_str(g, key, &value, err));
            lm_buf_add_str(&text, value);
        } else if (v->kind == LM_GGUF_ARRAY && v->item == LM_GGUF_STRING) {
            struct lm_str *items;
            size_t count;
            LM_TRY(lm_gguf_get_strings(g, key, &items, &count, err));
            for (size_t k = 0; k < count; k++) {
                lm_buf_puts(&text, k ? ", " : "");
                lm_buf_add_str(&text, items[k]);
            }
        }
        if (text.len)
            lm_source_note(s, (struct lm_str){ v->key.ptr + prefix.len, v->key.len - prefix.len },
                           lm_buf_str(&text));
        lm_buf_release(&text);
    }
    return LM_OK;
}

enum lm_rc lm_source_open_gguf(struct lm_model_source *s, struct lm_model *ret, struct lm_err *err)
{
    s->name = s->gguf.name;
    s->naming = LM_NAMING_GGUF;
    list_tensors(s);
    ret->config = (struct lm_model_config){
        .bos_id = -1,
        .rope = { .theta = 10000, .factor = 1, .attention = 1, .beta_fast = 32, .beta_slow = 1 },
    };
    struct reader r = { .gguf = &s->gguf, .source = s, .config = &ret->config };
    LM_TRY(read_config(&r, err));
    LM_TRY(add_notes(s, err));
    return lm_source_place(s, ret, r.arch->required, r.arch->optional, err);
}
