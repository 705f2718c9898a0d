#ifndef LM_MODEL_SAFETENSORS_H
#define LM_MODEL_SAFETENSORS_H
/* model/safetensors.h - named tensors in one file: 8 bytes header length, JSON header, raw data.
 * https://github.com/huggingface/safetensors (format section).  Everything is checked before the first use:
 * header length, offsets in range, ascending, without gaps or overlap, size = product of the shape. */

#include "base/err.h"
#include "base/file.h"

enum lm_dtype { LM_F32, LM_F16, LM_BF16, LM_F64, LM_I64, LM_I32, LM_U32, LM_U16, LM_U8, LM_DTYPE_COUNT };
extern const char *const lm_dtype_names[LM_DTYPE_COUNT];   // "F32" ... as in the format
extern const size_t lm_dtype_bytes[LM_DTYPE_COUNT];

enum { LM_TENSOR_DIMS_MAX = 8, LM_SAFETENSORS_HEADER_MAX = 100 << 20 };

struct lm_tensor_view {
    struct lm_str name;
    enum lm_dtype dtype;
    size_t dims;
    uint64_t shape[LM_TENSOR_DIMS_MAX];
    const void *data;
    size_t bytes;
};

struct lm_safetensors {
    struct lm_map map;
    struct lm_arena arena;
    struct lm_tensor_view *tensors;   // in file order
    size_t count;
    struct lm_str metadata;           // JSON object "__metadata__", "" when absent
};

enum lm_rc lm_safetensors_open(struct lm_safetensors *st, const char *path, struct lm_err *err);
enum lm_rc lm_safetensors_parse(struct lm_safetensors *st, struct lm_str bytes, const char *name,
                                struct lm_err *err);   // borrows bytes; for fuzzing and tests
void lm_safetensors_close(struct lm_safetensors *st);
const struct lm_tensor_view *lm_safetensors_find(const struct lm_safetensors *st, const char *name);

/* Writes whole or absent.  metadata: JSON object of strings, or empty. */
enum lm_rc lm_safetensors_write(const char *path, const struct lm_tensor_view *tensors, size_t count,
                                struct lm_str metadata, struct lm_err *err);

#endif
