/* The three families of names. */
#include "model/names.h"

#define N(which) .tensor = LM_T_##which, .name
#define Q LM_PART_Q
#define K LM_PART_K
#define V LM_PART_V

// clang-format off
#define L "model.layers.%d."
#define B "blk.%d."
/* Llama, Mistral, Qwen2, Qwen3. */
static const struct lm_tensor_name llama_names[] = {
    { N(EMBED)     = { "model.embed_tokens.weight",          "token_embd.weight" } },
    { N(ATTN_NORM) = { L "input_layernorm.weight",           B "attn_norm.weight" } },
    { N(WQ)        = { L "self_attn.q_proj.weight",          B "attn_q.weight" } },
    { N(WK)        = { L "self_attn.k_proj.weight",          B "attn_k.weight" } },
    { N(WV)        = { L "self_attn.v_proj.weight",          B "attn_v.weight" } },
    { N(WO)        = { L "self_attn.o_proj.weight",          B "attn_output.weight" } },
    { N(BQ)        = { L "self_attn.q_proj.bias",            B "attn_q.bias" } },
    { N(BK)        = { L "self_attn.k_proj.bias",            B "attn_k.bias" } },
    { N(BV)        = { L "self_attn.v_proj.bias",            B "attn_v.bias" } },
    { N(BO)        = { L "self_attn.o_proj.bias",            B "attn_output.bias" } },
    { N(Q_NORM)    = { L "self_attn.q_norm.weight",          B "attn_q_norm.weight" } },
    { N(K_NORM)    = { L "self_attn.k_norm.weight",          B "attn_k_norm.weight" } },
    { N(FFN_NORM)  = { L "post_attention_layernorm.weight",  B "ffn_norm.weight" } },
    { N(W_GATE)    = { L "mlp.gate_proj.weight",             B "ffn_gate.weight" } },
    { N(W_UP)      = { L "mlp.up_proj.weight",               B "ffn_up.weight" } },
    { N(W_DOWN)    = { L "mlp.down_proj.weight",             B "ffn_down.weight" } },
    { N(NORM)      = { "model.norm.weight",                  "output_norm.weight" } },
    { N(HEAD)      = { "lm_head.weight",                     "output.weight" } },
};
#undef L

#define L "transformer.h.%d."
static const struct lm_tensor_name gpt2_names[] = {
    { N(EMBED)          = { "transformer.wte.weight",  "token_embd.weight" } },
    { N(POSITION)       = { "transformer.wpe.weight",  "position_embd.weight" } },
    { N(ATTN_NORM)      = { L "ln_1.weight",           B "attn_norm.weight" } },
    { N(ATTN_NORM_BIAS) = { L "ln_1.bias",             B "attn_norm.bias" } },
    { N(WQ)             = { L "attn.c_attn.weight",    B "attn_qkv.weight" }, { Q, Q }, true },
    { N(WK)             = { L "attn.c_attn.weight",    B "attn_qkv.weight" }, { K, K }, true },
    { N(WV)             = { L "attn.c_attn.weight",    B "attn_qkv.weight" }, { V, V }, true },
    { N(WO)             = { L "attn.c_proj.weight",    B "attn_output.weight" }, .transposed = true },
    { N(BQ)             = { L "attn.c_attn.bias",      B "attn_qkv.bias" }, { Q, Q } },
    { N(BK)             = { L "attn.c_attn.bias",      B "attn_qkv.bias" }, { K, K } },
    { N(BV)             = { L "attn.c_attn.bias",      B "attn_qkv.bias" }, { V, V } },
    { N(BO)             = { L "attn.c_proj.bias",      B "attn_output.bias" } },
    { N(FFN_NORM)       = { L "ln_2.weight",           B "ffn_norm.weight" } },
    { N(FFN_NORM_BIAS)  = { L "ln_2.bias",             B "ffn_norm.bias" } },
    { N(W_UP)           = { L "mlp.c_fc.weight",       B "ffn_up.weight" }, .transposed = true },
    { N(W_DOWN)         = { L "mlp.c_proj.weight",     B "ffn_down.weight" }, .transposed = true },
    { N(B_UP)           = { L "mlp.c_fc.bias",         B "ffn_up.bias" } },
    { N(B_DOWN)         = { L "mlp.c_proj.bias",       B "ffn_down.bias" } },
    { N(NORM)           = { "transformer.ln_f.weight", "output_norm.weight" } },
    { N(NORM_BIAS)      = { "transformer.ln_f.bias",   "output_norm.bias" } },
    { N(HEAD)           = { "lm_head.weight",          "output.weight" } },
};
#undef L

#define E "embeddings."
#define L "encoder.layer.%d."
static const struct lm_tensor_name bert_names[] = {
    { N(EMBED)           = { E "word_embeddings.weight",             "token_embd.weight" } },
    { N(POSITION)        = { E "position_embeddings.weight",         "position_embd.weight" } },
    { N(TOKEN_TYPE)      = { E "token_type_embeddings.weight",       "token_types.weight" } },
    { N(EMBED_NORM)      = { E "LayerNorm.weight",                   "token_embd_norm.weight" } },
    { N(EMBED_NORM_BIAS) = { E "LayerNorm.bias",                     "token_embd_norm.bias" } },
    { N(ATTN_NORM)       = { L "attention.output.LayerNorm.weight",  B "attn_output_norm.weight" } },
    { N(ATTN_NORM_BIAS)  = { L "attention.output.LayerNorm.bias",    B "attn_output_norm.bias" } },
    { N(WQ)              = { L "attention.self.query.weight",        B "attn_q.weight" } },
    { N(WK)              = { L "attention.self.key.weight",          B "attn_k.weight" } },
    { N(WV)              = { L "attention.self.value.weight",        B "attn_v.weight" } },
    { N(WO)              = { L "attention.output.dense.weight",      B "attn_output.weight" } },
    { N(BQ)              = { L "attention.self.query.bias",          B "attn_q.bias" } },
    { N(BK)              = { L "attention.self.key.bias",            B "attn_k.bias" } },
    { N(BV)              = { L "attention.self.value.bias",          B "attn_v.bias" } },
    { N(BO)              = { L "attention.output.dense.bias",        B "attn_output.bias" } },
    { N(FFN_NORM)        = { L "output.LayerNorm.weight",            B "layer_output_norm.weight" } },
    { N(FFN_NORM_BIAS)   = { L "output.LayerNorm.bias",              B "layer_output_norm.bias" } },
    { N(W_UP)            = { L "intermediate.dense.weight",          B "ffn_up.weight" } },
    { N(W_DOWN)          = { L "output.dense.weight",                B "ffn_down.weight" } },
    { N(B_UP)            = { L "intermediate.dense.bias",            B "ffn_up.bias" } },
    { N(B_DOWN)          = { L "output.dense.bias",                  B "ffn_down.bias" } },
    /* Spellings that are only read: TensorFlow's norms, and Q, K, V in one tensor. */
    { N(EMBED_NORM)      = { E "LayerNorm.gamma" } },
    { N(EMBED_NORM_BIAS) = { E "LayerNorm.beta" } },
    { N(ATTN_NORM)       = { L "attention.output.LayerNorm.gamma" } },
    { N(ATTN_NORM_BIAS)  = { L "attention.output.LayerNorm.beta" } },
    { N(FFN_NORM)        = { L "output.LayerNorm.gamma" } },
    { N(FFN_NORM_BIAS)   = { L "output.LayerNorm.beta" } },
    { N(WQ)              = { NULL, B "attn_qkv.weight" }, { 0, Q } },
    { N(WK)              = { NULL, B "attn_qkv.weight" }, { 0, K } },
    { N(WV)              = { NULL, B "attn_qkv.weight" }, { 0, V } },
    { N(BQ)              = { NULL, B "attn_qkv.bias" }, { 0, Q } },
    { N(BK)              = { NULL, B "attn_qkv.bias" }, { 0, K } },
    { N(BV)              = { NULL, B "attn_qkv.bias" }, { 0, V } },
};
#undef L
#undef E
#undef B

#define FAMILY(rows) rows, sizeof rows / sizeof rows[0]
static const struct {
    const struct lm_tensor_name *rows;
    size_t count;
    const char *hf_prefix;
} families[LM_ARCH_COUNT] = {
    [LM_ARCH_LLAMA]   = { FAMILY(llama_names), "model." },
    [LM_ARCH_MISTRAL] = { FAMILY(llama_names), "model." },
    [LM_ARCH_QWEN2]   = { FAMILY(llama_names), "model." },
    [LM_ARCH_QWEN3]   = { FAMILY(llama_names), "model." },
    [LM_ARCH_GPT2]    = { FAMILY(gpt2_names),  "transformer." },
    [LM_ARCH_BERT]    = { FAMILY(bert_names),  "bert." },
};

/* By beginning (without the prefix of the architecture) or by end. */
static const struct {
    enum lm_arch arch;
    enum lm_naming naming;
    const char *begins, *ends;
} harmless[] = {
    { LM_ARCH_LLAMA,   LM_NAMING_HF,   "layers.",                 ".rotary_emb.inv_freq" },
    { LM_ARCH_MISTRAL, LM_NAMING_HF,   "layers.",                 ".rotary_emb.inv_freq" },
    { LM_ARCH_LLAMA,   LM_NAMING_GGUF, "blk.",                    ".attn_rot_embd" },
    { LM_ARCH_GPT2,    LM_NAMING_HF,   "h.",                      ".attn.bias" },
    { LM_ARCH_GPT2,    LM_NAMING_HF,   "h.",                      ".attn.masked_bias" },
    { LM_ARCH_BERT,    LM_NAMING_HF,   "embeddings.position_ids", "" },
    { LM_ARCH_BERT,    LM_NAMING_HF,   "pooler.",                 "" },
    { LM_ARCH_BERT,    LM_NAMING_HF,   "cls.",                    "" },
};
// clang-format on

const struct lm_tensor_name *lm_tensor_names(enum lm_arch arch, size_t *ret_count)
{
    *ret_count = families[arch].count;
    return families[arch].rows;
}

const char *lm_hf_prefix(enum lm_arch arch)
{
    return families[arch].hf_prefix;
}

const struct lm_tensor_name *lm_tensor_name_find(enum lm_arch arch, enum lm_tensor tensor,
                                                 enum lm_naming naming)
{
    for (size_t i = 0; i < families[arch].count; i++) {
        const struct lm_tensor_name *row = &families[arch].rows[i];
        if (row->tensor == tensor && row->name[naming])
            return row;
    }
    return NULL;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void lm_tensor_name_text(const struct lm_tensor_name *row, enum lm_naming naming, size_t layer,
                         char ret[LM_TENSOR_NAME_MAX])
{
    snprintf(ret, LM_TENSOR_NAME_MAX, row->name[naming], (int)layer);   // %d or nothing: a table
}
#pragma GCC diagnostic pop

bool lm_tensor_is_harmless(enum lm_arch arch, enum lm_naming naming, const char *name)
{
    struct lm_str rest = lm_str(name);
    const struct lm_str prefix = lm_str(lm_hf_prefix(arch));
    if (naming == LM_NAMING_HF && lm_str_starts(rest, prefix))
        rest.ptr += prefix.len, rest.len -= prefix.len;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (harmless[i].arch == arch && harmless[i].naming == naming &&
            lm_str_starts(rest, lm_str(harmless[i].begins)) && lm_str_ends(rest, lm_str(harmless[i].ends)))
            return true;
    return false;
}
