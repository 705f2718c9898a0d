#ifndef LM_TRAIN_LORA_H
#define LM_TRAIN_LORA_H
/* train/lora.h - low-rank adapters: W = W0 + scale B A, where only A (r, in) and B (out, r) are trained.
 *
 * Hu et al. 2021, arXiv:2106.09685; scale = alpha / r, or alpha / sqrt(r) when rank-stabilised (Kalajdzievski
 * 2023, arXiv:2312.03732).  The model's target matrices always hold the sum: the way forward and the gradient
 * by the input cost what they cost without an adapter, and the merged model is the one that was trained. Only
 * the gradients differ: dB = scale dy^T (x A^T), dA = scale (dy B)^T x; the frozen matrices have none. */

#include "model/llama.h"
#include "tensor/gemm.h"

#include <stdint.h>

enum { LM_LORA_RANK_MAX = 1024 };

struct lm_lora_config {
    int64_t rank;       // 1..LM_LORA_RANK_MAX
    double alpha;       // > 0
    bool stabilized;    // rsLoRA
    uint32_t targets;   // bits 1 << LM_LLAMA_WQ ...: matrices inside layers
};

/* "q,v" or the names of Hugging Face ("q_proj"), or "all"; LM_EINVAL for another name, or none. */
enum lm_rc lm_lora_targets_parse(const char *const *names, size_t count, uint32_t *ret, struct lm_err *err);
/* "q_proj", NULL for what can be no target. */
const char *lm_lora_target_name(enum lm_llama_tensor kind);

struct lm_lora {
    struct lm_lora_config config;
    struct lm_llama *model;   // borrowed; its targets hold base + adapter after lm_lora_apply
    float scale;
    float *params;   // slab of every A and B: per target kind A (L, r, in), then B (L, out, r)
    size_t count;    // floats in it
    float *base;     // the targets as they were
    size_t a[LM_LLAMA_TENSOR_COUNT], b[LM_LLAMA_TENSOR_COUNT], kept[LM_LLAMA_TENSOR_COUNT];   // offsets
    float *scratch;                                                                           // two (rows, r)
    size_t scratch_rows;
};

/* Takes the model as it is for the base; A and B are 0. */
enum lm_rc lm_lora_init(struct lm_lora *l, const struct lm_lora_config *config, struct lm_llama *model,
                        struct lm_err *err);
void lm_lora_release(struct lm_lora *l);
/* Bytes that lm_lora_init allocates, and floats of the parameters. */
size_t lm_lora_bytes(const struct lm_lora_config *config, const struct lm_llama_config *model,
                     size_t *ret_count);

/* The start of training: A uniform in +-1 / sqrt(in), B 0, so the adapter says nothing yet. */
void lm_lora_random(struct lm_lora *l, uint64_t seed);

static inline bool lm_lora_has(const struct lm_lora *l, enum lm_llama_tensor kind)
{
    return l->config.targets >> kind & 1;
}
float *lm_lora_a(const struct lm_lora *l, enum lm_llama_tensor kind, size_t layer);   // (r, in)
float *lm_lora_b(const struct lm_lora *l, enum lm_llama_tensor kind, size_t layer);   // (out, r)

/* Writes base + scale B A into the model.  Pack the weights afterwards. */
enum lm_rc lm_lora_apply(const struct lm_lora *l, struct lm_gemm *gemm, struct lm_err *err);

/* What net.c has at a product y = x W^T when it goes back. */
struct lm_lora_back {
    enum lm_llama_tensor kind;
    size_t layer, rows;
    const float *dy, *x;   // (rows, out), (rows, in)
};
/* Adds to the gradient (laid out like params); nothing for what is no target. */
enum lm_rc lm_lora_backward(struct lm_lora *l, struct lm_gemm *gemm, const struct lm_lora_back *back,
                            float *gradient, struct lm_err *err);

/* ---- train/lora_file.c: the layout of PEFT: adapter_config.json, adapter_model.safetensors ---- */

/* base: path or name of the base model, for the record. */
enum lm_rc lm_lora_save(const struct lm_lora *l, const char *base, const char *dir, struct lm_err *err);

/* Inits from a folder.  What PEFT has and loom does not compute (DoRA, biases, patterns of ranks, trained
 * embeddings) is refused by name, as is a tensor that fits nothing in the model. */
enum lm_rc lm_lora_load(struct lm_lora *l, struct lm_llama *model, const char *dir, struct lm_err *err);

/* adapter_config.json alone; targets are left 0, for the tensors say it.  `name` is for messages. */
enum lm_rc lm_lora_config_parse(struct lm_lora_config *ret, struct lm_str json, const char *name,
                                struct lm_err *err);

#endif
