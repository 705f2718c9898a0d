/* The keys of GGUF files. */
#include "model/gguf_keys.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define AT(field) offsetof(struct lm_model_config, field)

enum { RMS = LM_GGUF_RMS, LAYER_NORM = LM_GGUF_LAYER_NORM, ROPE = LM_GGUF_ROPE };
enum { ANY = ~0, LINEAR = 1 << LM_ROPE_LINEAR, YARN = 1 << LM_ROPE_YARN };

// clang-format off
/* To add one: a field of the config and a row. */
const struct lm_gguf_integer_key lm_gguf_integer_keys[] = {
    { "block_count",                          AT(layers),                true,  LM_GGUF_ALWAYS },
    { "context_length",                       AT(context),               true,  LM_GGUF_ALWAYS },
    { "embedding_length",                     AT(dim),                   true,  LM_GGUF_ALWAYS },
    { "feed_forward_length",                  AT(ffn_dim),               true,  LM_GGUF_ALWAYS },
    { "attention.head_count",                 AT(heads),                 true,  LM_GGUF_ALWAYS },
    { "attention.head_count_kv",              AT(kv_heads),              false, LM_GGUF_ALWAYS },
    { "attention.key_length",                 AT(head_dim),              false, LM_GGUF_ODD_HEAD },
    { "attention.sliding_window",             AT(window),                false, LM_GGUF_NOT_0 },
    { "rope.scaling.original_context_length", AT(rope.original_context), false, LM_GGUF_NOT_0 },
};

const struct lm_gguf_real_key lm_gguf_real_keys[] = {
    { "attention.layer_norm_rms_epsilon", AT(norm_eps),       RMS,        RMS,        ANY },
    { "attention.layer_norm_epsilon",     AT(norm_eps),       LAYER_NORM, LAYER_NORM, ANY },
    { "rope.freq_base",                   AT(rope.theta),     0,          ROPE,       ANY },
    { "rope.scale_linear",                AT(rope.factor),    0,          ROPE,       0 },
    { "rope.scaling.factor",              AT(rope.factor),    0,          ROPE,       LINEAR | YARN },
    { "rope.scaling.attn_factor",         AT(rope.attention), 0,          ROPE,       YARN },
    { "rope.scaling.yarn_attn_factor",    AT(rope.attention), 0,          ROPE,       0 },
    { "rope.scaling.yarn_beta_fast",      AT(rope.beta_fast), 0,          ROPE,       YARN },
    { "rope.scaling.yarn_beta_slow",      AT(rope.beta_slow), 0,          ROPE,       YARN },
};
#undef AT

const char *const lm_gguf_end_keys[LM_GGUF_END_KEYS] = {
    "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
};

#define AT(field) offsetof(struct lm_tokenizer_parts, field)
const struct lm_gguf_token_key lm_gguf_token_ids[] = {
    { "tokenizer.ggml.bos_token_id",       AT(bos_id) },
    { "tokenizer.ggml.eos_token_id",       AT(eos_id) },
    { "tokenizer.ggml.unknown_token_id",   AT(unk_id) },
    { "tokenizer.ggml.padding_token_id",   AT(pad_id) },
    { "tokenizer.ggml.seperator_token_id", AT(sep_id) },   // sic
    { "tokenizer.ggml.cls_token_id",       AT(cls_id) },
    { "tokenizer.ggml.mask_token_id",      AT(mask_id) },
    { "tokenizer.ggml.eot_token_id",       AT(eot_id) },
};

const struct lm_gguf_token_key lm_gguf_token_flags[] = {
    { "tokenizer.ggml.add_bos_token",            AT(add_bos) },
    { "tokenizer.ggml.add_eos_token",            AT(add_eos) },
    { "tokenizer.ggml.add_space_prefix",         AT(add_space_prefix) },
    { "tokenizer.ggml.remove_extra_whitespaces", AT(remove_extra_blanks) },
};

const struct lm_gguf_token_key lm_gguf_token_texts[] = {
    { "tokenizer.ggml.model",    AT(model) },
    { "tokenizer.ggml.pre",      AT(pre) },
    { "tokenizer.chat_template", AT(chat_template) },
};
// clang-format on

const size_t lm_gguf_integer_key_count = COUNT(lm_gguf_integer_keys);
const size_t lm_gguf_real_key_count = COUNT(lm_gguf_real_keys);
const size_t lm_gguf_token_id_count = COUNT(lm_gguf_token_ids);
const size_t lm_gguf_token_flag_count = COUNT(lm_gguf_token_flags);
const size_t lm_gguf_token_text_count = COUNT(lm_gguf_token_texts);

unsigned lm_gguf_traits(enum lm_arch arch)
{
    return (lm_archs[arch].layer_norm ? LAYER_NORM : RMS) | (lm_archs[arch].rope ? ROPE : 0);
}

void lm_gguf_key(enum lm_arch arch, const char *key, char ret[LM_GGUF_KEY_MAX])
{
    snprintf(ret, LM_GGUF_KEY_MAX, "%s.%s", lm_archs[arch].gguf_name, key);
}
