#ifndef LM_MODEL_HF_KEYS_H
#define LM_MODEL_HF_KEYS_H
/* model/hf_keys.h - the keys of config.json as tables, read and written by hf_config.c and hf_config_write.c.
 * Private to this module. */

#include "model/model.h"

enum lm_hf_field_type { LM_HF_INTEGER, LM_HF_REAL, LM_HF_FLAG };

enum {   // sets of architectures
    LM_HF_LLAMA = 1 << LM_ARCH_LLAMA,
    LM_HF_MISTRAL = 1 << LM_ARCH_MISTRAL,
    LM_HF_QWEN = 1 << LM_ARCH_QWEN2 | 1 << LM_ARCH_QWEN3,
    LM_HF_GPT2 = 1 << LM_ARCH_GPT2,
    LM_HF_BERT = 1 << LM_ARCH_BERT,
    LM_HF_ROPES = LM_HF_LLAMA | LM_HF_MISTRAL | LM_HF_QWEN,
    LM_HF_ALL = LM_HF_ROPES | LM_HF_GPT2 | LM_HF_BERT,
};

/* A key that carries a value; null counts as absent.  used_by, needed_by: architectures, or kinds of RoPE. */
struct lm_hf_field {
    const char *key;
    enum lm_hf_field_type type;
    size_t offset;   // in lm_model_config
    unsigned used_by, needed_by;
};
extern const struct lm_hf_field lm_hf_fields[];
extern const size_t lm_hf_field_count;

/* The keys of rope_scaling and rope_parameters; bits 1 << enum lm_rope_kind. */
enum { LM_HF_ROPE_ANY = 1 << LM_ROPE_PLAIN | 1 << LM_ROPE_LINEAR | 1 << LM_ROPE_LLAMA3 | 1 << LM_ROPE_YARN };
enum { LM_HF_ROPE_NAMES = 4 };
extern const struct lm_hf_field lm_hf_rope_fields[];
extern const size_t lm_hf_rope_field_count;
extern const char *const lm_hf_rope_names[LM_HF_ROPE_NAMES];   // by enum lm_rope_kind

/* A key that changes what the model computes, and the values that we compute. */
struct lm_hf_fixed {
    const char *key;
    unsigned used_by;
    const char *only[2];
    bool written;
};
extern const struct lm_hf_fixed lm_hf_fixed[];
extern const size_t lm_hf_fixed_count;

/* What transformers assumes when a key is absent; 0: derived from the others. */
struct lm_hf_defaults {
    double norm_eps;
    int64_t head_dim, window;
    bool tied;
};
extern const struct lm_hf_defaults lm_hf_defaults[LM_ARCH_COUNT];

/* The classes of `architectures` whose weights are those of the architecture. */
bool lm_hf_is_class_of(enum lm_arch arch, const char *name);

#endif
