#ifndef LM_MODEL_HF_CONFIG_H
#define LM_MODEL_HF_CONFIG_H
/* model/hf_config.h - config.json and generation_config.json of transformers, for every architecture.
 *
 * What changes the computation and is not implemented is refused by name; keys that change nothing are
 * skipped.  Written by transformers 4 (rope_theta, rope_scaling) or 5 (rope_parameters, layer_types). */

#include "model/model.h"

enum { LM_HF_CONFIG_BYTES_MAX = 4 << 20 };

/* ret_biases: bits of optional tensors that this configuration makes required. */
enum lm_rc lm_hf_config_parse(struct lm_str json, const char *name, struct lm_model_config *ret,
                              uint32_t *ret_biases, struct lm_err *err);

/* generation_config.json: its bos and eos tokens replace those of config.json. */
enum lm_rc lm_hf_generation_parse(struct lm_str json, const char *name, struct lm_model_config *config,
                                  struct lm_err *err);

/* Both files of a folder; the second may be absent. */
enum lm_rc lm_hf_config_load(const char *dir, struct lm_model_config *ret, uint32_t *ret_biases,
                             struct lm_err *err);

/* Appends the config.json of a model that stores its weights as `dtype` ("float32", "bfloat16"), with the
 * optional biases of the architecture or without.  Reading it gives the same config. */
void lm_hf_config_json(const struct lm_model_config *config, bool biases, const char *dtype,
                       struct lm_buf *ret);

#endif
