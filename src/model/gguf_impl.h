#ifndef LM_MODEL_GGUF_IMPL_H
#define LM_MODEL_GGUF_IMPL_H
/* model/gguf_impl.h - reading one file, for gguf_open.c.  Private to this module. */

#include "model/gguf.h"

/* Fills keys and tensors of g, whose name is set; on failure g holds part of them, for lm_gguf_close. */
enum lm_rc lm_gguf_read(struct lm_gguf *g, struct lm_str bytes, struct lm_err *err);

/* Fills by_name, which has room for all tensors; LM_EFORMAT for a name that occurs twice. */
enum lm_rc lm_gguf_index_tensors(struct lm_gguf *g, struct lm_err *err);

#endif
