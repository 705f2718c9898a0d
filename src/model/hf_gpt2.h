#ifndef LM_MODEL_HF_GPT2_H
#define LM_MODEL_HF_GPT2_H
/* model/hf_gpt2.h - GPT-2's weights in a Hugging Face folder: matrices lie transposed (in, out), those of Q,
 * K and V side by side in one.  Private to this module. */

#include "model/llama.h"

/* model.safetensors in F32. */
enum lm_rc lm_gpt2_save_weights(const struct lm_llama *m, const char *dir, struct lm_err *err);
enum lm_rc lm_gpt2_load(struct lm_llama *ret, const struct lm_llama_config *config, const char *dir,
                        struct lm_err *err);

#endif
