/* The keys of config.json. */
#include "model/hf_keys.h"

#define AT(field) offsetof(struct lm_model_config, field)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define INTEGER LM_HF_INTEGER
#define REAL LM_HF_REAL
#define FLAG LM_HF_FLAG

enum {
    LLAMA = LM_HF_LLAMA,
    MISTRAL = LM_HF_MISTRAL,
    QWEN = LM_HF_QWEN,
    GPT2 = LM_HF_GPT2,
    BERT = LM_HF_BERT,
    ROPES = LM_HF_ROPES,
    ALL = LM_HF_ALL
};

// clang-format off
/* To add one: a field of the config and a row. */
const struct lm_hf_field lm_hf_fields[] = {
    { "vocab_size",              INTEGER, AT(vocab_size),  ALL,          ALL },
    { "hidden_size",             INTEGER, AT(dim),         ROPES | BERT, ROPES | BERT },
    { "intermediate_size",       INTEGER, AT(ffn_dim),     ROPES | BERT, ROPES | BERT },
    { "num_hidden_layers",       INTEGER, AT(layers),      ROPES | BERT, ROPES | BERT },
    { "num_attention_heads",     INTEGER, AT(heads),       ROPES | BERT, ROPES | BERT },
    { "num_key_value_heads",     INTEGER, AT(kv_heads),    ROPES,        MISTRAL | QWEN },
    { "head_dim",                INTEGER, AT(head_dim),    ROPES,        0 },
    { "max_position_embeddings", INTEGER, AT(context),     ROPES | BERT, ROPES | BERT },
    { "type_vocab_size",         INTEGER, AT(token_types), BERT,         BERT },
    { "n_embd",                  INTEGER, AT(dim),         GPT2,         GPT2 },
    { "n_inner",                 INTEGER, AT(ffn_dim),     GPT2,         0 },
    { "n_layer",                 INTEGER, AT(layers),      GPT2,         GPT2 },
    { "n_head",                  INTEGER, AT(heads),       GPT2,         GPT2 },
    { "n_positions",             INTEGER, AT(context),     GPT2,         GPT2 },
    { "rms_norm_eps",            REAL,    AT(norm_eps),    ROPES,        0 },
    { "layer_norm_eps",          REAL,    AT(norm_eps),    BERT,         0 },
    { "layer_norm_epsilon",      REAL,    AT(norm_eps),    GPT2,         0 },
    { "rope_theta",              REAL,    AT(rope.theta),  ROPES,        0 },
    { "tie_word_embeddings",     FLAG,    AT(tied),        ROPES | GPT2, 0 },
};

const struct lm_hf_defaults lm_hf_defaults[LM_ARCH_COUNT] = {
    [LM_ARCH_LLAMA]   = { .norm_eps = 1e-6 },
    [LM_ARCH_MISTRAL] = { .norm_eps = 1e-6, .window = 4096 },
    [LM_ARCH_QWEN2]   = { .norm_eps = 1e-6, .window = 4096 },
    [LM_ARCH_QWEN3]   = { .norm_eps = 1e-6, .window = 4096, .head_dim = 128 },
    [LM_ARCH_GPT2]    = { .norm_eps = 1e-5, .tied = true },
    [LM_ARCH_BERT]    = { .norm_eps = 1e-12 },
};

const struct lm_hf_fixed lm_hf_fixed[] = {
    { "hidden_act",                       ROPES, { "silu" }, true },
    { "hidden_act",                       BERT,  { "gelu" }, true },
    { "activation_function",              GPT2,  { "gelu_new", "gelu_pytorch_tanh" }, true },
    { "mlp_bias",                         LLAMA, { "false" }, true },
    { "rope_interleaved",                 ROPES, { "false" }, false },
    { "partial_rotary_factor",            ROPES, { "1" }, false },
    { "position_embedding_type",          BERT,  { "absolute" }, false },
    { "is_decoder",                       BERT,  { "false" }, false },
    { "add_cross_attention",              BERT,  { "false" }, false },
    { "add_cross_attention",              GPT2,  { "false" }, false },
    { "scale_attn_weights",               GPT2,  { "true" }, true },
    { "scale_attn_by_inverse_layer_idx",  GPT2,  { "false" }, true },
    { "quantization_config",              ALL,   { "null" }, false },
};

/* Classes beside hf_class. */
static const struct {
    enum lm_arch arch;
    const char *name;
} other_classes[] = {
    { LM_ARCH_GPT2, "GPT2Model" },
    { LM_ARCH_BERT, "BertForMaskedLM" },
    { LM_ARCH_BERT, "BertForPreTraining" },
};

enum { LINEAR = 1 << LM_ROPE_LINEAR, LLAMA3 = 1 << LM_ROPE_LLAMA3, YARN = 1 << LM_ROPE_YARN, ANY = LM_HF_ROPE_ANY };
const struct lm_hf_field lm_hf_rope_fields[] = {
    { "rope_theta",                       REAL,    AT(rope.theta),            ANY,                    0 },
    { "factor",                           REAL,    AT(rope.factor),           LINEAR | LLAMA3 | YARN, LINEAR | LLAMA3 | YARN },
    { "low_freq_factor",                  REAL,    AT(rope.low_factor),       LLAMA3,                 LLAMA3 },
    { "high_freq_factor",                 REAL,    AT(rope.high_factor),      LLAMA3,                 LLAMA3 },
    { "beta_fast",                        REAL,    AT(rope.beta_fast),        YARN,                   0 },
    { "beta_slow",                        REAL,    AT(rope.beta_slow),        YARN,                   0 },
    { "attention_factor",                 REAL,    AT(rope.attention),        YARN,                   0 },
    { "original_max_position_embeddings", INTEGER, AT(rope.original_context), LLAMA3 | YARN,          LLAMA3 },
};

const char *const lm_hf_rope_names[LM_HF_ROPE_NAMES] = {
    [LM_ROPE_PLAIN] = "default", [LM_ROPE_LINEAR] = "linear", [LM_ROPE_LLAMA3] = "llama3", [LM_ROPE_YARN] = "yarn",
};
// clang-format on

const size_t lm_hf_field_count = COUNT(lm_hf_fields);
const size_t lm_hf_fixed_count = COUNT(lm_hf_fixed);
const size_t lm_hf_rope_field_count = COUNT(lm_hf_rope_fields);

bool lm_hf_is_class_of(enum lm_arch arch, const char *name)
{
    if (strcmp(name, lm_archs[arch].hf_class) == 0)
        return true;
    for (size_t i = 0; i < COUNT(other_classes); i++)
        if (other_classes[i].arch == arch && strcmp(other_classes[i].name, name) == 0)
            return true;
    return false;
}
