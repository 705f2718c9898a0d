#ifndef LM_MODEL_LLAMA_H
#define LM_MODEL_LLAMA_H
/* model/llama.h - what loom trains, the Llama-2 family and GPT-2's: configuration, parameter table, weights
 * in memory.
 *
 * Letters: B batch, T positions, C width (dim), H heads, K KV heads, D head width (C / H), F feed-forward
 * width, V vocabulary, L layers.  Weights are f32, row-major, as Hugging Face stores them: a product is y = x
 * W^T with W (out, in); RoPE rotates halves (d, d + D/2).  Touvron et al. 2023, arXiv:2307.09288.
 *
 * GPT-2 (Radford et al. 2019) has LayerNorm with biases, learned positions, one feed-forward matrix up with
 * GELU (by tanh) instead of two with SwiGLU, and a bias in every product but the head.  A tensor that the
 * family does not have has 0 rows, columns and layers.
 *
 * One slab holds all parameters; tensors of one kind lie together, layer by layer, in the order of the table
 * below.  Training uses the same layout for gradients and optimiser moments. */

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

enum lm_family { LM_FAMILY_LLAMA, LM_FAMILY_GPT2 };
extern const char *const lm_family_names[];   // "llama", "gpt2", NULL

struct lm_llama_config {
    int64_t vocab_size, dim, layers, heads, kv_heads, ffn_dim, context;
    double rope_theta, norm_eps;   // rope_theta: Llama's
    bool tied;                     // the head is the embedding
    int64_t bos_id, eos_id;        // -1: none
    enum lm_family family;
};

enum lm_llama_tensor {
    LM_LLAMA_EMBED,       // (V, C)
    LM_LLAMA_ATTN_NORM,   // (L, C)
    LM_LLAMA_WQ,          // (L, H*D, C)
    LM_LLAMA_WK,          // (L, K*D, C)
    LM_LLAMA_WV,          // (L, K*D, C)
    LM_LLAMA_WO,          // (L, C, H*D)
    LM_LLAMA_FFN_NORM,    // (L, C)
    LM_LLAMA_W_GATE,      // (L, F, C); Llama only
    LM_LLAMA_W_UP,        // (L, F, C)
    LM_LLAMA_W_DOWN,      // (L, C, F)
    LM_LLAMA_NORM,        // (C)
    LM_LLAMA_HEAD,        // (V, C); no storage of its own when tied
    /* GPT-2 only */
    LM_LLAMA_POSITION,         // (context, C)
    LM_LLAMA_ATTN_NORM_BIAS,   // (L, C)
    LM_LLAMA_BQ,               // (L, C)
    LM_LLAMA_BK,               // (L, C)
    LM_LLAMA_BV,               // (L, C)
    LM_LLAMA_BO,               // (L, C)
    LM_LLAMA_FFN_NORM_BIAS,    // (L, C)
    LM_LLAMA_B_UP,             // (L, F)
    LM_LLAMA_B_DOWN,           // (L, C)
    LM_LLAMA_NORM_BIAS,        // (C)
    LM_LLAMA_TENSOR_COUNT,
};

/* One row per kind: Hugging Face name ("model.layers.%d.self_attn.q_proj.weight"), and its shape. */
struct lm_llama_tensor_info {
    const char *hf_name;   // with one %d when per_layer
    bool per_layer, is_matrix;
    const char *gpt2_name;   // the same of GPT-2, whose files join Q, K and V; NULL: the family has none
    float start;             // of a vector, before training
};
extern const struct lm_llama_tensor_info lm_llama_tensors[LM_LLAMA_TENSOR_COUNT];

bool lm_llama_has(const struct lm_llama_config *config, enum lm_llama_tensor tensor);
/* The name in the model's family, for messages. */
enum { LM_LLAMA_NAME_MAX = 96 };
void lm_llama_name(const struct lm_llama_config *config, enum lm_llama_tensor tensor, size_t layer,
                   char ret[LM_LLAMA_NAME_MAX]);

/* Rows and columns of one layer's tensor (rows = 1 for a vector; both 0 for one that is not there). */
void lm_llama_shape(const struct lm_llama_config *config, enum lm_llama_tensor tensor, size_t *ret_rows,
                    size_t *ret_cols);
size_t lm_llama_layer_count(const struct lm_llama_config *config, enum lm_llama_tensor tensor);   // L, 1 or 0
size_t lm_llama_parameter_count(const struct lm_llama_config *config);
enum lm_rc lm_llama_config_check(const struct lm_llama_config *config, struct lm_err *err);

/* Offsets of every kind in a slab of lm_llama_parameter_count floats; HEAD == EMBED when tied. */
void lm_llama_offsets(const struct lm_llama_config *config, size_t ret[LM_LLAMA_TENSOR_COUNT]);

/* Owns the slab.  Zero-initialised is empty. */
struct lm_llama {
    struct lm_llama_config config;
    float *params;                          // the slab, 64-byte aligned
    float *tensor[LM_LLAMA_TENSOR_COUNT];   // first layer of each kind, inside the slab
    size_t parameter_count;
};

void lm_llama_init(struct lm_llama *m,
                   const struct lm_llama_config *config);   // zeroed weights; checked config
void lm_llama_release(struct lm_llama *m);
float *lm_llama_at(const struct lm_llama *m, enum lm_llama_tensor tensor, size_t layer);

/* Random start: normal(0, 0.02), output projections (WO, W_DOWN) divided by sqrt(2 L), gains 1, biases 0.
 * Depends on the seed only. */
void lm_llama_random(struct lm_llama *m, uint64_t seed);

/* ---- Hugging Face folders: model/hf_config.c, model/hf_folder.c, model/hf_gpt2.c ----
 * config.json, generation_config.json, model.safetensors (f32 when written; f32, f16, bf16, also in several
 * files with an index, when read).  The caller adds tokenizer.json and tokenizer_config.json.  What the
 * family has and loom does not compute (scaled RoPE, biases, other activations) is refused by name, as is a
 * tensor that is missing, unknown or of another shape. */
enum lm_rc lm_llama_save(const struct lm_llama *m, const char *dir, struct lm_err *err);
enum lm_rc lm_llama_load(struct lm_llama *ret, const char *dir, struct lm_err *err);
enum lm_rc lm_llama_load_config(struct lm_llama_config *ret, const char *dir, struct lm_err *err);

/* config.json alone.  Parsing checks; ids that are absent are -1. */
enum lm_rc lm_llama_config_parse(struct lm_llama_config *ret, struct lm_str json, const char *name,
                                 struct lm_err *err);
void lm_llama_config_json(const struct lm_llama_config *config, struct lm_buf *ret);

#endif
