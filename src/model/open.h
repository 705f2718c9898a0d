#ifndef LM_MODEL_OPEN_H
#define LM_MODEL_OPEN_H
/* model/open.h - beside lm_model_open: a model from bytes in memory, for tests and fuzzing. */

#include "model/model.h"

/* A whole GGUF file; bytes are borrowed and must outlive the model. */
enum lm_rc lm_model_parse_gguf(struct lm_str bytes, const char *name, struct lm_model *ret,
                               struct lm_err *err);

#endif
