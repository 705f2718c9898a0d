#ifndef LM_MODEL_MODEL_H
#define LM_MODEL_MODEL_H
/* model/model.h - a network as it is computed: its architecture, and its weights as they lie in their file.
 *
 * One form for every source: a GGUF file, a Hugging Face folder, a model made here (lm_llama).  Weights keep
 * their stored type and stay in the mapping of the file; infer packs or reads them.  Immutable once open; any
 * number of threads may read.
 *
 * Letters: C width (dim), H heads, K KV heads, D head width, F feed-forward width, V vocabulary, L layers.
 * Matrices are (out, in), row-major, in Hugging Face's meaning: RoPE rotates halves (d, d + D/2). */

#include "base/err.h"
#include "base/file.h"
#include "model/llama.h"
#include "tensor/quant.h"
#include "token/tokenizer.h"

enum lm_arch {
    LM_ARCH_LLAMA,
    LM_ARCH_MISTRAL,
    LM_ARCH_QWEN2,
    LM_ARCH_QWEN3,
    LM_ARCH_GPT2,
    LM_ARCH_BERT,
    LM_ARCH_COUNT
};

/* What an architecture computes, and from which tensors.  To add one: a row in arch.c, and its names in
 * names.c. */
struct lm_arch_info {
    const char *name;              // "llama": model_type of config.json
    const char *gguf_name;         // general.architecture
    const char *hf_class;          // "LlamaForCausalLM"
    bool causal;                   // false: an encoder, no KV cache, no head
    bool layer_norm;               // mean and bias too; else RMSNorm
    bool norm_after;               // x = norm(x + f(x)), as BERT; else x = x + f(norm(x))
    bool rope;                     // else learned positions
    bool gated;                    // SwiGLU: gate and up; else one matrix and GELU
    bool gelu_tanh;                // GELU by tanh (GPT-2); else by erf (BERT)
    uint32_t required, optional;   // bits 1 << LM_T_...; the head counts as required unless tied
};
extern const struct lm_arch_info lm_archs[LM_ARCH_COUNT];

enum lm_tensor {
    LM_T_EMBED,             // (V, C)
    LM_T_POSITION,          // (context, C); learned positions
    LM_T_TOKEN_TYPE,        // (types, C); BERT
    LM_T_EMBED_NORM,        // (C); BERT
    LM_T_EMBED_NORM_BIAS,   // (C)
    LM_T_ATTN_NORM,         // per layer from here: (C)
    LM_T_ATTN_NORM_BIAS,
    LM_T_WQ,   // (H D, C)
    LM_T_WK,   // (K D, C)
    LM_T_WV,   // (K D, C)
    LM_T_WO,   // (C, H D)
    LM_T_BQ,
    LM_T_BK,
    LM_T_BV,
    LM_T_BO,
    LM_T_Q_NORM,     // (D); Qwen3
    LM_T_K_NORM,     // (D)
    LM_T_FFN_NORM,   // (C)
    LM_T_FFN_NORM_BIAS,
    LM_T_W_GATE,   // (F, C); gated only
    LM_T_W_UP,     // (F, C)
    LM_T_W_DOWN,   // (C, F)
    LM_T_B_UP,
    LM_T_B_DOWN,   // per layer to here
    LM_T_NORM,     // (C)
    LM_T_NORM_BIAS,
    LM_T_HEAD,   // (V, C); the same weight as EMBED when tied; absent in encoders
    LM_T_COUNT,
};
bool lm_tensor_per_layer(enum lm_tensor tensor);
bool lm_tensor_is_matrix(enum lm_tensor tensor);   // two dimensions in the file, even with one row

enum lm_rope_kind { LM_ROPE_PLAIN, LM_ROPE_LINEAR, LM_ROPE_LLAMA3, LM_ROPE_YARN, LM_ROPE_FACTORS };

struct lm_model_config {
    enum lm_arch arch;
    int64_t vocab_size, dim, layers, heads, kv_heads, head_dim, ffn_dim, context;
    int64_t token_types;                 // BERT, else 0
    int64_t window, window_from_layer;   // a position sees itself and window - 1 before it, in the layers
                                         // from there on; 0: everything before it
    double norm_eps;
    bool tied;
    int64_t bos_id;   // -1: none
    int64_t eos_ids[4];
    size_t eos_count;
    struct {
        enum lm_rope_kind kind;
        double theta, factor;                     // factor: linear, llama3, yarn
        double low_factor, high_factor;           // llama3
        double beta_fast, beta_slow, attention;   // yarn; attention multiplies cosines and sines, 1 = none
        int64_t original_context;
        const float *factors;   // (D/2); divide the frequencies; LM_ROPE_FACTORS
    } rope;
};

/* LM_EINVAL or LM_ELIMIT with the name of the field; no size of a checked config overflows. */
enum lm_rc lm_model_config_check(const struct lm_model_config *config, struct lm_err *err);
void lm_model_shape(const struct lm_model_config *config, enum lm_tensor tensor, size_t *ret_rows,
                    size_t *ret_cols);
size_t
lm_model_parameters(const struct lm_model_config *config);   // of the required tensors, biases included

/* Angle of pair d at position p: p * ret[d], d < D/2; cosines and sines are multiplied by the result. */
double lm_model_rope(const struct lm_model_config *config, double *ret_frequencies);

/* One matrix or vector (rows = 1).  data NULL: the model has none.  Floats are aligned to their size (what
 * lies odd in its file was copied), blocks to nothing; vectors are F32, F16 or BF16. */
struct lm_weight {
    const void *data;
    enum lm_type type;
    size_t rows, cols;
    /* GGUF's llama stores the rows of Q and K with the halves of a head interleaved: row (h, d) of the
     * meaning above lies at (h, 2 (d mod D/2) + (d >= D/2)).  D here, 0 for plain order. */
    size_t paired;
};
const void *lm_weight_row(const struct lm_weight *w, size_t row);            // stored bytes of one row
void lm_weight_row_f32(const struct lm_weight *w, size_t row, float *ret);   // its cols values

struct lm_model {
    struct lm_model_config config;
    struct lm_weight *weights;        // LM_T_COUNT rows of L; those not per layer use the first
    struct lm_model_source *source;   // mappings, converted tensors and names; NULL for a view
};
static inline const struct lm_weight *lm_model_at(const struct lm_model *m, enum lm_tensor tensor,
                                                  size_t layer)
{
    return &m->weights[(size_t)tensor * (size_t)m->config.layers + layer];
}

/* A *.gguf file (the first of a split set), or a Hugging Face folder.  Weights stay where they are; only what
 * the file stores transposed (GPT-2 folders) is copied.  Every count, shape, type and offset is proved first.
 */
enum lm_rc lm_model_open(const char *path, struct lm_model *ret, struct lm_err *err);
void lm_model_close(struct lm_model *m);

struct lm_model_config lm_model_config_of_llama(const struct lm_llama_config *config);

/* A view of a model made here; borrows its slab, which must outlive it.  Close it too. */
void lm_model_of_llama(struct lm_model *ret, const struct lm_llama *llama);

/* Fills a model that was made with the configuration of this one. */
void lm_llama_copy(struct lm_llama *ret, const struct lm_model *m);

/* NaN or infinity in some weight: LM_EFORMAT with tensor and place.  Reads every weight. */
enum lm_rc lm_model_check_finite(const struct lm_model *m, struct lm_err *err);

/* The tokenizer that came along: tokenizer.json of the folder, tokenizer.ggml.* of the file, with the chat
 * template.  LM_EFORMAT when it disagrees with the embedding. */
enum lm_rc lm_model_tokenizer(const char *path, struct lm_tokenizer **ret, struct lm_err *err);

/* What the files say beside the numbers; "" when they do not.  Borrowed from the model. */
struct lm_str lm_model_note(const struct lm_model *m, const char *key);   // "license", "name", ...
uint64_t lm_model_file_bytes(const struct lm_model *m);

#endif
