/* The GGUF writer: version 3, keys as they were put, tensors back to back in the order of the table. */
#include "model/gguf.h"

#include <stdlib.h>

enum { VERSION = 3, ALIGNMENT = 32 };

static void add(struct lm_buf *to, const void *bytes, size_t len)
{
    if (len > 0)
        lm_buf_add(to, bytes, len);
}

static void add_string(struct lm_buf *to, struct lm_str s)
{
    const uint64_t len = s.len;
    add(to, &len, sizeof len);
    add(to, s.ptr, s.len);
}

/* ---- keys ---- */

static void put_key(struct lm_gguf_out *o, struct lm_str key, enum lm_gguf_kind kind)
{
    const uint32_t id = kind;
    add_string(&o->keys, key);
    add(&o->keys, &id, sizeof id);
    o->key_count++;
}

static void put_array_head(struct lm_gguf_out *o, struct lm_str key, enum lm_gguf_kind item, uint64_t count)
{
    const uint32_t id = item;
    put_key(o, key, LM_GGUF_ARRAY);
    add(&o->keys, &id, sizeof id);
    add(&o->keys, &count, sizeof count);
}

// clang-format off
static const struct {
    size_t bytes;
    int64_t min, max;   // of whole numbers
} kinds[] = {
    [LM_GGUF_U8]  = { 1, 0, UINT8_MAX },  [LM_GGUF_I8]  = { 1, INT8_MIN, INT8_MAX },
    [LM_GGUF_U16] = { 2, 0, UINT16_MAX }, [LM_GGUF_I16] = { 2, INT16_MIN, INT16_MAX },
    [LM_GGUF_U32] = { 4, 0, UINT32_MAX }, [LM_GGUF_I32] = { 4, INT32_MIN, INT32_MAX },
    [LM_GGUF_U64] = { 8, 0, INT64_MAX },  [LM_GGUF_I64] = { 8, INT64_MIN, INT64_MAX },
    [LM_GGUF_F32] = { 4, 1, 0 },          [LM_GGUF_F64] = { 8, 1, 0 },
    [LM_GGUF_BOOL] = { 1, 0, 1 },         [LM_GGUF_STRING] = { 0, 1, 0 },
    [LM_GGUF_ARRAY] = { 0, 1, 0 },
};
// clang-format on

void lm_gguf_put_int(struct lm_gguf_out *o, const char *key, enum lm_gguf_kind kind, int64_t value)
{
    LM_ASSERT(value >= kinds[kind].min && value <= kinds[kind].max);
    put_key(o, lm_str(key), kind);
    add(&o->keys, &value, kinds[kind].bytes);   // little-endian: the low bytes come first
}

void lm_gguf_put_real(struct lm_gguf_out *o, const char *key, double value)
{
    const float single = (float)value;
    put_key(o, lm_str(key), LM_GGUF_F32);
    add(&o->keys, &single, sizeof single);
}

void lm_gguf_put_bool(struct lm_gguf_out *o, const char *key, bool value)
{
    lm_gguf_put_int(o, key, LM_GGUF_BOOL, value);
}

void lm_gguf_put_str(struct lm_gguf_out *o, const char *key, struct lm_str value)
{
    put_key(o, lm_str(key), LM_GGUF_STRING);
    add_string(&o->keys, value);
}

void lm_gguf_put_strings(struct lm_gguf_out *o, const char *key, const struct lm_str *items, size_t count)
{
    put_array_head(o, lm_str(key), LM_GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        add_string(&o->keys, items[i]);
}

void lm_gguf_put_array(struct lm_gguf_out *o, const char *key, enum lm_gguf_kind item, const void *items,
                       size_t count)
{
    LM_ASSERT(kinds[item].bytes > 0);
    put_array_head(o, lm_str(key), item, count);
    add(&o->keys, items, count * kinds[item].bytes);
}

void lm_gguf_put_value(struct lm_gguf_out *o, const struct lm_gguf_value *value)
{
    if (value->kind == LM_GGUF_ARRAY)
        put_array_head(o, value->key, value->item, value->count);
    else
        put_key(o, value->key, value->kind);
    add(&o->keys, value->bytes, value->bytes_len);
}

void lm_gguf_out_release(struct lm_gguf_out *o)
{
    lm_buf_release(&o->keys);
    o->key_count = 0;
}

/* ---- tensors ---- */

static uint64_t tensor_bytes(const struct lm_gguf_out_tensor *t)
{
    uint64_t bytes = lm_type_bytes(t->type, t->shape[0]);
    for (size_t d = 1; d < t->dims; d++)
        bytes *= t->shape[d];
    return bytes;
}

static uint64_t padding(uint64_t bytes)
{
    return (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;
}

/* Everything before the data; ends at a multiple of ALIGNMENT. */
static void make_head(const struct lm_gguf_out *keys, const struct lm_gguf_out_tensor *tensors, size_t count,
                      struct lm_buf *ret)
{
    const uint32_t version = VERSION;
    const uint64_t tensor_count = count;
    uint64_t offset = 0;
    lm_buf_puts(ret, "GGUF");
    add(ret, &version, sizeof version);
    add(ret, &tensor_count, sizeof tensor_count);
    add(ret, &keys->key_count, sizeof keys->key_count);
    add(ret, keys->keys.ptr, keys->keys.len);
    for (size_t i = 0; i < count; i++) {
        const struct lm_gguf_out_tensor *t = &tensors[i];
        const uint32_t dims = (uint32_t)t->dims, type = lm_types[t->type].gguf_id;
        LM_ASSERT(dims >= 1 && dims <= LM_GGUF_DIMS_MAX && t->name[0]);
        add_string(ret, lm_str(t->name));
        add(ret, &dims, sizeof dims);
        add(ret, t->shape, t->dims * sizeof t->shape[0]);
        add(ret, &type, sizeof type);
        add(ret, &offset, sizeof offset);
        offset += tensor_bytes(t) + padding(tensor_bytes(t));
    }
    static const char zeros[ALIGNMENT];
    add(ret, zeros, padding(ret->len));
}

/* One tensor and its padding.  A full disk is noticed here, not after the last tensor. */
static enum lm_rc write_tensor(struct lm_writer *w, const char *path, const struct lm_gguf_out_tensor *t,
                               lm_gguf_fill *fill, struct lm_err *err)
{
    static const char zeros[ALIGNMENT];
    const uint64_t bytes = tensor_bytes(t);
    const off_t start = ftello(w->stream);
    LM_TRY(fill(t, w->stream, err));
    fwrite(zeros, 1, padding(bytes), w->stream);
    if (ferror(w->stream))
        return lm_fail_errno(err, LM_EIO, "cannot write tensor '%s' of '%s'", t->name, path);
    LM_ASSERT((uint64_t)(ftello(w->stream) - start) == bytes + padding(bytes));
    return LM_OK;
}

enum lm_rc lm_gguf_write(const char *path, const struct lm_gguf_out *keys,
                         const struct lm_gguf_out_tensor *tensors, size_t count, lm_gguf_fill *fill,
                         struct lm_err *err)
{
    struct lm_writer w = { 0 };
    struct lm_buf head = { 0 };
    LM_TRY(lm_writer_open(&w, path, err));
    make_head(keys, tensors, count, &head);
    fwrite(head.ptr, 1, head.len, w.stream);
    lm_buf_release(&head);
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < count && rc == LM_OK; i++)
        rc = write_tensor(&w, path, &tensors[i], fill, err);
    if (rc == LM_OK)
        return lm_writer_commit(&w, err);
    lm_writer_abort(&w);
    return rc;
}
