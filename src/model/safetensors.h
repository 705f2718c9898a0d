#ifndef LM_MODEL_SAFETENSORS_H
#define LM_MODEL_SAFETENSORS_H
/* model/safetensors.h - named tensors in one file.
 *
 *     0    8      N, length of the header, little-endian
 *     8    N      JSON: {"__metadata__":{"k":"v"},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}
 *     8+N  ...    raw little-endian data; offsets count from here
 *
 * https://github.com/huggingface/safetensors (format section).  Everything is checked before the first use:
 * header length, offsets in range, without gaps or overlap, to the last byte; size = product of the shape;
 * no name twice.  Tensors need not be aligned: read them with memcpy or lm_tensor_to_f32. */

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
    uint32_t *by_name;                // indexes of tensors, sorted by name
    size_t count;
    struct lm_str metadata;   // JSON object "__metadata__", "" when absent
};

enum lm_rc lm_safetensors_open(struct lm_safetensors *st, const char *path, struct lm_err *err);
enum lm_rc lm_safetensors_parse(struct lm_safetensors *st, struct lm_str bytes, const char *name,
                                struct lm_err *err);   // borrows bytes; for fuzzing and tests
void lm_safetensors_close(struct lm_safetensors *st);
const struct lm_tensor_view *lm_safetensors_find(const struct lm_safetensors *st, const char *name);

/* F32, F16 and BF16 widened to f32, without loss; false for another type.  ret holds bytes / type size
 * floats. */
bool lm_tensor_to_f32(const struct lm_tensor_view *tensor, float *ret);

/* Writes whole or absent, tensors in the order given.  metadata: JSON object of strings, or empty. */
enum lm_rc lm_safetensors_write(const char *path, const struct lm_tensor_view *tensors, size_t count,
                                struct lm_str metadata, struct lm_err *err);

/* What stands before the data: length, JSON, blanks up to a multiple of 8 bytes.  Appends. */
void lm_safetensors_header(const struct lm_tensor_view *tensors, size_t count, struct lm_str metadata,
                           struct lm_buf *ret);

#endif
