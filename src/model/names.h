#ifndef LM_MODEL_NAMES_H
#define LM_MODEL_NAMES_H
/* model/names.h - what each tensor is called in Hugging Face folders and in GGUF files.
 *
 * One row per tensor and family of names, used to load and to write.  The first row of a tensor that has a
 * name is how it is written; later rows are other spellings that are read. */

#include "model/model.h"

enum lm_naming { LM_NAMING_HF, LM_NAMING_GGUF, LM_NAMING_COUNT };

enum lm_part {
    LM_PART_WHOLE,
    LM_PART_Q,
    LM_PART_K,
    LM_PART_V
};   // the latter: rows of Q, K, V in one tensor

struct lm_tensor_name {
    enum lm_tensor tensor;
    const char *name[LM_NAMING_COUNT];   // one %d when per layer; NULL: not under this row
    enum lm_part part[LM_NAMING_COUNT];
    bool transposed;   // Hugging Face stores (in, out): GPT-2's Conv1D
};

const struct lm_tensor_name *lm_tensor_names(enum lm_arch arch, size_t *ret_count);

/* Names that may stand before every Hugging Face name, and need not ("transformer."); never NULL. */
const char *lm_hf_prefix(enum lm_arch arch);

enum { LM_TENSOR_NAME_MAX = 96 };
void lm_tensor_name_text(const struct lm_tensor_name *row, enum lm_naming naming, size_t layer,
                         char ret[LM_TENSOR_NAME_MAX]);

/* The row to write a tensor by; NULL when the format has none. */
const struct lm_tensor_name *lm_tensor_name_find(enum lm_arch arch, enum lm_tensor tensor,
                                                 enum lm_naming naming);

/* Tensors that carry nothing for the computation: buffers, poolers, heads of other tasks. */
bool lm_tensor_is_harmless(enum lm_arch arch, enum lm_naming naming, const char *name);

#endif
