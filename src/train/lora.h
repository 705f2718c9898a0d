#ifndef LM_TRAIN_LORA_H
#define LM_TRAIN_LORA_H
/* train/lora.h - low-rank adapters: W = W0 + scale B A, where only A (r, in) and B (out, r) are trained.
 *
 * Hu et al. 2021, arXiv:2106.09685; scale = alpha / r, or alpha / sqrt(r) when rank-stabilised (Kalajdzievski
 * 2023, arXiv:2312.03732).  The model stays as it is while an adapter is trained: what the adapter adds is a
 * product of its own, y = x W0^T + scale (x A^T) B^T, and on the way back
 *     dB = scale dy^T (x A^T),   dA = scale (dy B)^T x,   dx = dy W0 + scale (dy B) A;
 * the frozen matrices have no gradient.  lm_lora_merge makes a model of the sum, at the end. */

#include "model/llama.h"
#include "tensor/gemm.h"

#include <stdint.h>

enum { LM_LORA_RANK_MAX = 1024 };

struct lm_lora_config {
    int64_t rank;       // 1..LM_LORA_RANK_MAX
    double alpha;       // > 0
    bool stabilized;    // rsLoRA
    double dropout;     // share of its input that is dropped in training; 0..1
    uint32_t targets;   // bits 1 << LM_LLAMA_WQ ...: matrices inside layers
};

/* "q,v" or the names of Hugging Face ("q_proj"), or "all"; LM_EINVAL for another name, or none. */
enum lm_rc lm_lora_targets_parse(const char *const *names, size_t count, uint32_t *ret, struct lm_err *err);
/* "q_proj", NULL for what can be no target. */
const char *lm_lora_target_name(enum lm_llama_tensor kind);

struct lm_lora {
    struct lm_lora_config config;
    struct lm_llama *model;   // borrowed; the base
    float scale;
    float *params;   // slab of every A and B: per target kind A (L, r, in), then B (L, out, r)
    size_t count;    // floats in it
    size_t a[LM_LLAMA_TENSOR_COUNT], b[LM_LLAMA_TENSOR_COUNT];   // offsets
};

/* A and B are 0. */
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

/* Adds scale B A to the model's matrices: once, for it is the base no longer. */
enum lm_rc lm_lora_merge(const struct lm_lora *l, struct lm_gemm *gemm, struct lm_err *err);

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
