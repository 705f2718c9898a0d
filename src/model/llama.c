/* The parameter table, the slab and its random start. */
#include "model/llama.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

// clang-format off
const char *const lm_family_names[] = { "llama", "gpt2", NULL };

/* To add a tensor: a row here, its place in the enum, its shape below. */
const struct lm_llama_tensor_info lm_llama_tensors[LM_LLAMA_TENSOR_COUNT] = {
    [LM_LLAMA_EMBED]           = { "model.embed_tokens.weight",                        false, true,  "transformer.wte.weight",                   0 },
    [LM_LLAMA_ATTN_NORM]       = { "model.layers.%d.input_layernorm.weight",           true,  false, "transformer.h.%d.ln_1.weight",             1 },
    [LM_LLAMA_WQ]              = { "model.layers.%d.self_attn.q_proj.weight",          true,  true,  "transformer.h.%d.attn.c_attn.weight (q)",  0 },
    [LM_LLAMA_WK]              = { "model.layers.%d.self_attn.k_proj.weight",          true,  true,  "transformer.h.%d.attn.c_attn.weight (k)",  0 },
    [LM_LLAMA_WV]              = { "model.layers.%d.self_attn.v_proj.weight",          true,  true,  "transformer.h.%d.attn.c_attn.weight (v)",  0 },
    [LM_LLAMA_WO]              = { "model.layers.%d.self_attn.o_proj.weight",          true,  true,  "transformer.h.%d.attn.c_proj.weight",      0 },
    [LM_LLAMA_FFN_NORM]        = { "model.layers.%d.post_attention_layernorm.weight",  true,  false, "transformer.h.%d.ln_2.weight",             1 },
    [LM_LLAMA_W_GATE]          = { "model.layers.%d.mlp.gate_proj.weight",             true,  true,  NULL,                                       0 },
    [LM_LLAMA_W_UP]            = { "model.layers.%d.mlp.up_proj.weight",               true,  true,  "transformer.h.%d.mlp.c_fc.weight",         0 },
    [LM_LLAMA_W_DOWN]          = { "model.layers.%d.mlp.down_proj.weight",             true,  true,  "transformer.h.%d.mlp.c_proj.weight",       0 },
    [LM_LLAMA_NORM]            = { "model.norm.weight",                                false, false, "transformer.ln_f.weight",                  1 },
    [LM_LLAMA_HEAD]            = { "lm_head.weight",                                   false, true,  "lm_head.weight",                           0 },
    [LM_LLAMA_POSITION]        = { NULL,                                               false, true,  "transformer.wpe.weight",                   0 },
    [LM_LLAMA_ATTN_NORM_BIAS]  = { NULL,                                               true,  false, "transformer.h.%d.ln_1.bias",               0 },
    [LM_LLAMA_BQ]              = { NULL,                                               true,  false, "transformer.h.%d.attn.c_attn.bias (q)",    0 },
    [LM_LLAMA_BK]              = { NULL,                                               true,  false, "transformer.h.%d.attn.c_attn.bias (k)",    0 },
    [LM_LLAMA_BV]              = { NULL,                                               true,  false, "transformer.h.%d.attn.c_attn.bias (v)",    0 },
    [LM_LLAMA_BO]              = { NULL,                                               true,  false, "transformer.h.%d.attn.c_proj.bias",        0 },
    [LM_LLAMA_FFN_NORM_BIAS]   = { NULL,                                               true,  false, "transformer.h.%d.ln_2.bias",               0 },
    [LM_LLAMA_B_UP]            = { NULL,                                               true,  false, "transformer.h.%d.mlp.c_fc.bias",           0 },
    [LM_LLAMA_B_DOWN]          = { NULL,                                               true,  false, "transformer.h.%d.mlp.c_proj.bias",         0 },
    [LM_LLAMA_NORM_BIAS]       = { NULL,                                               false, false, "transformer.ln_f.bias",                    0 },
};

/* What a configuration may say, and what it is called in config.json. */
static const struct {
    const char *name;
    size_t offset;
    int64_t min, max;
} limits[] = {
    { "vocab_size",              offsetof(struct lm_llama_config, vocab_size), 1, 1 << 24 },
    { "hidden_size",             offsetof(struct lm_llama_config, dim),        2, 1 << 16 },
    { "num_hidden_layers",       offsetof(struct lm_llama_config, layers),     1, 1 << 10 },
    { "num_attention_heads",     offsetof(struct lm_llama_config, heads),      1, 1 << 10 },
    { "num_key_value_heads",     offsetof(struct lm_llama_config, kv_heads),   1, 1 << 10 },
    { "intermediate_size",       offsetof(struct lm_llama_config, ffn_dim),    1, 1 << 18 },
    { "max_position_embeddings", offsetof(struct lm_llama_config, context),    1, 1 << 24 },
};
// clang-format on

enum lm_rc lm_llama_config_check(const struct lm_llama_config *c, struct lm_err *err)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int64_t value;
        memcpy(&value, (const char *)c + limits[i].offset, sizeof value);
        if (value < limits[i].min || value > limits[i].max)
            return lm_fail(err, LM_EINVAL, "%s %lld is outside %lld..%lld", limits[i].name, (long long)value,
                           (long long)limits[i].min, (long long)limits[i].max);
    }
    if (c->dim % c->heads != 0 || c->dim / c->heads % 2 != 0)
        return lm_fail(err, LM_EINVAL,
                       "hidden_size %lld divided by num_attention_heads %lld is not an even whole number",
                       (long long)c->dim, (long long)c->heads);
    if (c->heads % c->kv_heads != 0)
        return lm_fail(err, LM_EINVAL,
                       "num_attention_heads %lld is not a multiple of num_key_value_heads %lld",
                       (long long)c->heads, (long long)c->kv_heads);
    if (c->family == LM_FAMILY_GPT2 && c->heads != c->kv_heads)
        return lm_fail(err, LM_EINVAL, "GPT-2 has as many key-value heads as heads, not %lld for %lld",
                       (long long)c->kv_heads, (long long)c->heads);
    if (c->family == LM_FAMILY_LLAMA && !(c->rope_theta >= 1 && c->rope_theta <= 1e12))
        return lm_fail(err, LM_EINVAL, "rope_theta %g is outside 1..1e12", c->rope_theta);
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return lm_fail(err, LM_EINVAL, "%s %g is not between 0 and 1",
                       c->family == LM_FAMILY_GPT2 ? "layer_norm_epsilon" : "rms_norm_eps", c->norm_eps);
    if (c->bos_id < -1 || c->bos_id >= c->vocab_size || c->eos_id < -1 || c->eos_id >= c->vocab_size)
        return lm_fail(err, LM_EINVAL,
                       "bos_token_id %lld or eos_token_id %lld is not in a vocabulary of %lld tokens",
                       (long long)c->bos_id, (long long)c->eos_id, (long long)c->vocab_size);
    return LM_OK;
}

bool lm_llama_has(const struct lm_llama_config *c, enum lm_llama_tensor tensor)
{
    return c->family == LM_FAMILY_GPT2 ? lm_llama_tensors[tensor].gpt2_name != NULL
                                       : lm_llama_tensors[tensor].hf_name != NULL;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void lm_llama_name(const struct lm_llama_config *c, enum lm_llama_tensor tensor, size_t layer,
                   char ret[LM_LLAMA_NAME_MAX])
{
    const struct lm_llama_tensor_info *info = &lm_llama_tensors[tensor];
    LM_ASSERT(lm_llama_has(c, tensor));
    snprintf(ret, LM_LLAMA_NAME_MAX, c->family == LM_FAMILY_GPT2 ? info->gpt2_name : info->hf_name,
             (int)layer);   // %d or nothing: a table
}
#pragma GCC diagnostic pop

void lm_llama_shape(const struct lm_llama_config *c, enum lm_llama_tensor tensor, size_t *ret_rows,
                    size_t *ret_cols)
{
    const size_t kv_dim = (size_t)(c->dim / c->heads * c->kv_heads);
    const size_t dim = (size_t)c->dim, ffn = (size_t)c->ffn_dim, vocab = (size_t)c->vocab_size;
    const size_t shape[LM_LLAMA_TENSOR_COUNT][2] = {
        [LM_LLAMA_EMBED] = { vocab, dim }, [LM_LLAMA_ATTN_NORM] = { 1, dim },
        [LM_LLAMA_WQ] = { dim, dim },      [LM_LLAMA_WK] = { kv_dim, dim },
        [LM_LLAMA_WV] = { kv_dim, dim },   [LM_LLAMA_WO] = { dim, dim },
        [LM_LLAMA_FFN_NORM] = { 1, dim },  [LM_LLAMA_W_GATE] = { ffn, dim },
        [LM_LLAMA_W_UP] = { ffn, dim },    [LM_LLAMA_W_DOWN] = { dim, ffn },
        [LM_LLAMA_NORM] = { 1, dim },      [LM_LLAMA_HEAD] = { vocab, dim },
        [LM_LLAMA_B_UP] = { 1, ffn },      [LM_LLAMA_POSITION] = { (size_t)c->context, dim },
    };
    const bool vector = shape[tensor][0] == 0;   // the biases of C that are not named here
    *ret_rows = !lm_llama_has(c, tensor) ? 0 : vector ? 1 : shape[tensor][0];
    *ret_cols = !lm_llama_has(c, tensor) ? 0 : vector ? dim : shape[tensor][1];
}

size_t lm_llama_layer_count(const struct lm_llama_config *c, enum lm_llama_tensor tensor)
{
    return !lm_llama_has(c, tensor) ? 0 : lm_llama_tensors[tensor].per_layer ? (size_t)c->layers : 1;
}

/* Floats of one kind over all layers; 0 for a head that is the embedding. */
static size_t kind_floats(const struct lm_llama_config *c, enum lm_llama_tensor tensor)
{
    if (tensor == LM_LLAMA_HEAD && c->tied)
        return 0;
    size_t rows, cols;
    lm_llama_shape(c, tensor, &rows, &cols);
    return lm_llama_layer_count(c, tensor) * rows * cols;
}

/* The limits keep this below 2^48, so nothing here overflows. */
size_t lm_llama_parameter_count(const struct lm_llama_config *c)
{
    size_t sum = 0;
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
        sum += kind_floats(c, t);
    return sum;
}

void lm_llama_offsets(const struct lm_llama_config *c, size_t ret[LM_LLAMA_TENSOR_COUNT])
{
    size_t at = 0;
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++) {
        ret[t] = t == LM_LLAMA_HEAD && c->tied ? ret[LM_LLAMA_EMBED] : at;
        at += kind_floats(c, t);
    }
}

void lm_llama_init(struct lm_llama *m, const struct lm_llama_config *config)
{
    LM_ASSERT(lm_llama_config_check(config, NULL) == LM_OK);

    size_t offsets[LM_LLAMA_TENSOR_COUNT];
    lm_llama_offsets(config, offsets);
    *m = (struct lm_llama){ .config = *config, .parameter_count = lm_llama_parameter_count(config) };
    m->params = lm_slab_alloc(m->parameter_count * sizeof *m->params);
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++)
        m->tensor[t] = m->params + offsets[t];
}

void lm_llama_release(struct lm_llama *m)
{
    if (!m)
        return;
    free(m->params);
    *m = (struct lm_llama){ 0 };
}

float *lm_llama_at(const struct lm_llama *m, enum lm_llama_tensor tensor, size_t layer)
{
    LM_DASSERT(layer == 0 || !lm_llama_has(&m->config, tensor) ||
               layer < lm_llama_layer_count(&m->config, tensor));
    size_t rows, cols;
    lm_llama_shape(&m->config, tensor, &rows, &cols);
    return m->tensor[tensor] + layer * rows * cols;
}

enum { RANDOM_CHUNK = 1 << 14 };

/* Each chunk draws from its own stream, so any number of threads gives the same weights. */
static void fill_normal(float *x, size_t count, double deviation, uint64_t seed, uint64_t stream)
{
    const size_t chunks = (count + RANDOM_CHUNK - 1) / RANDOM_CHUNK;
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        struct lm_rng rng = lm_rng_make(seed, stream + k);
        const size_t end = (k + 1) * RANDOM_CHUNK < count ? (k + 1) * RANDOM_CHUNK : count;
        for (size_t i = k * RANDOM_CHUNK; i < end; i++)
            x[i] = (float)(deviation * lm_rng_normal(&rng));
    }
}

void lm_llama_random(struct lm_llama *m, uint64_t seed)
{
    const double deviation = 0.02, residual = deviation / sqrt(2.0 * (double)m->config.layers);
    for (int t = 0; t < LM_LLAMA_TENSOR_COUNT; t++) {
        const size_t count = kind_floats(&m->config, t);
        const bool is_residual = t == LM_LLAMA_WO || t == LM_LLAMA_W_DOWN;
        if (lm_llama_tensors[t].is_matrix)
            fill_normal(m->tensor[t], count, is_residual ? residual : deviation, seed, (uint64_t)t << 40);
        else
            for (size_t i = 0; i < count; i++)
                m->tensor[t][i] = lm_llama_tensors[t].start;
    }
}
