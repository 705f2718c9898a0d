#ifndef LM_MODEL_GGUF_H
#define LM_MODEL_GGUF_H
/* model/gguf.h - the GGUF container, versions 2 and 3: typed keys, and tensors in one aligned data section.
 *
 * Everything is checked before the first use: counts and lengths by the bytes that are left, dimensions and
 * offsets by checked arithmetic, every range inside the file, tensors that do not overlap, no key and no name
 * twice.  docs/formats/gguf.md has the byte tables.  A set of split files (split.count, split.no) is opened
 * by its first file and looks like one. */

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "tensor/quant.h"

enum lm_gguf_kind {
    LM_GGUF_U8,
    LM_GGUF_I8,
    LM_GGUF_U16,
    LM_GGUF_I16,
    LM_GGUF_U32,
    LM_GGUF_I32,
    LM_GGUF_F32,
    LM_GGUF_BOOL,
    LM_GGUF_STRING,
    LM_GGUF_ARRAY,
    LM_GGUF_U64,
    LM_GGUF_I64,
    LM_GGUF_F64,
};
enum { LM_GGUF_DIMS_MAX = 4, LM_GGUF_NAME_MAX = 63 };

struct lm_gguf_value {
    struct lm_str key;
    enum lm_gguf_kind kind, item;   // item: of an array
    uint64_t count;                 // items of an array, else 1
    const unsigned char *bytes;     // the value, or the first item, as stored
    size_t bytes_len;
    uint64_t offset;   // of the key in its file, for messages
};

struct lm_gguf_tensor {
    struct lm_str name;
    enum lm_type type;
    size_t dims;
    uint64_t shape[LM_GGUF_DIMS_MAX];   // shape[0] is the length of a row
    const void *data;
    uint64_t bytes;
};

struct lm_gguf {
    const char *name;   // of the first file, for messages
    struct lm_gguf_value *values;
    struct lm_gguf_tensor *tensors;
    size_t value_count, tensor_count;
    const struct lm_gguf_value **by_key;   // sorted; the arrays above are in the order of the file
    const struct lm_gguf_tensor **by_name;
    struct lm_map *maps;
    size_t map_count;
    struct lm_arena arena;
};

enum lm_rc lm_gguf_open(struct lm_gguf *g, const char *path, struct lm_err *err);
enum lm_rc lm_gguf_parse(struct lm_gguf *g, struct lm_str bytes, const char *name,
                         struct lm_err *err);   // borrows
void lm_gguf_close(struct lm_gguf *g);

const struct lm_gguf_value *lm_gguf_find(const struct lm_gguf *g, const char *key);
const struct lm_gguf_tensor *lm_gguf_tensor_find(const struct lm_gguf *g, const char *name);

/* Values of any integer kind, of f32 or f64, ...; absent: *ret stays; LM_EFORMAT names key and offset. */
enum lm_rc lm_gguf_get_int(const struct lm_gguf *g, const char *key, int64_t *ret, struct lm_err *err);
enum lm_rc lm_gguf_get_real(const struct lm_gguf *g, const char *key, double *ret, struct lm_err *err);
enum lm_rc lm_gguf_get_bool(const struct lm_gguf *g, const char *key, bool *ret, struct lm_err *err);
enum lm_rc lm_gguf_get_str(const struct lm_gguf *g, const char *key, struct lm_str *ret, struct lm_err *err);
/* All strings of an array, in memory of the file's arena; borrowed text. */
enum lm_rc lm_gguf_get_strings(const struct lm_gguf *g, const char *key, struct lm_str **ret,
                               size_t *ret_count, struct lm_err *err);

/* ---- writing: model/gguf_write.c ---- */

/* Keys in the order put, then tensors back to back in the order given; whole or absent. */
struct lm_gguf_out {
    struct lm_buf keys;
    uint64_t key_count;
};
void lm_gguf_put_int(struct lm_gguf_out *o, const char *key, enum lm_gguf_kind kind, int64_t value);
void lm_gguf_put_real(struct lm_gguf_out *o, const char *key, double value);   // f32
void lm_gguf_put_bool(struct lm_gguf_out *o, const char *key, bool value);
void lm_gguf_put_str(struct lm_gguf_out *o, const char *key, struct lm_str value);
void lm_gguf_put_strings(struct lm_gguf_out *o, const char *key, const struct lm_str *items, size_t count);
void lm_gguf_put_array(struct lm_gguf_out *o, const char *key, enum lm_gguf_kind item, const void *items,
                       size_t count);                                               // of numbers
void lm_gguf_put_value(struct lm_gguf_out *o, const struct lm_gguf_value *value);   // as it was read
void lm_gguf_out_release(struct lm_gguf_out *o);

/* A tensor to write.  fill is called once, in order, and writes `bytes` bytes of stored rows to the stream.
 */
struct lm_gguf_out_tensor {
    char name[LM_GGUF_NAME_MAX + 1];
    enum lm_type type;
    size_t dims;
    uint64_t shape[LM_GGUF_DIMS_MAX];
    const void *user;
};
typedef enum lm_rc lm_gguf_fill(const struct lm_gguf_out_tensor *tensor, FILE *to, struct lm_err *err);
enum lm_rc lm_gguf_write(const char *path, const struct lm_gguf_out *keys,
                         const struct lm_gguf_out_tensor *tensors, size_t count, lm_gguf_fill *fill,
                         struct lm_err *err);

#endif
