#ifndef LM_MODEL_HF_SHARDS_H
#define LM_MODEL_HF_SHARDS_H
/* model/hf_shards.h - the weights of a Hugging Face folder: model.safetensors, or the files that
 * model.safetensors.index.json names ({"weight_map": {"tensor": "file", ...}}), as one set of tensors. */

#include "model/safetensors.h"

enum { LM_HF_SHARDS_MAX = 512 };

/* Zero-initialised is closed. */
struct lm_hf_shards {
    struct lm_safetensors *files;
    size_t count, cap;
    char *name;   // of the file or the index, for messages
};

/* LM_EFORMAT also for a tensor in two files, and for a file name that leads out of the folder. */
enum lm_rc lm_hf_shards_open(struct lm_hf_shards *s, const char *dir, struct lm_err *err);
void lm_hf_shards_close(struct lm_hf_shards *s);
const struct lm_tensor_view *lm_hf_shards_find(const struct lm_hf_shards *s, const char *name);

#endif
