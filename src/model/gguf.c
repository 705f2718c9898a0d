/* The GGUF reader, of one file: one pass over the header, in which every count and length is proved by the
 * bytes that are left, then the proof that the tensors lie in the file, aligned and apart. */
#include "model/gguf_impl.h"

#include <stdarg.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "values and tensors are little-endian, read in place");

enum {
    ALIGNMENT = 32,   // unless general.alignment says otherwise
    ALIGNMENT_MAX = 1 << 20,
    KEY_LEN_MAX = 65535,
    VALUE_BYTES_MIN = 8 + 1 + 4 + 1,            // of a key with a value of one byte
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8,   // of a tensor of one dimension
};

struct reader {
    const unsigned char *base;
    size_t len, at;
    const char *name;   // of the file
    /* What is being read, for messages: "key" or "tensor", its name, and where it began. */
    const char *what;
    struct lm_str subject;
    size_t start;
};

// clang-format off
static const size_t kind_bytes[] = {
    [LM_GGUF_U8] = 1,  [LM_GGUF_I8] = 1,   [LM_GGUF_U16] = 2, [LM_GGUF_I16] = 2,
    [LM_GGUF_U32] = 4, [LM_GGUF_I32] = 4,  [LM_GGUF_F32] = 4, [LM_GGUF_BOOL] = 1,
    [LM_GGUF_U64] = 8, [LM_GGUF_I64] = 8,  [LM_GGUF_F64] = 8,
    [LM_GGUF_STRING] = 0, [LM_GGUF_ARRAY] = 0,
};
enum { KIND_COUNT = sizeof kind_bytes / sizeof kind_bytes[0] };

/* Types of others, so that a message can say which it is. */
static const char *const foreign_types[] = {
    [4] = "Q4_2",     [5] = "Q4_3",     [9] = "Q8_1",    [10] = "Q2_K",   [11] = "Q3_K",   [15] = "Q8_K",
    [16] = "IQ2_XXS", [17] = "IQ2_XS",  [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
    [22] = "IQ2_S",   [23] = "IQ4_XS",  [24] = "I8",     [25] = "I16",    [26] = "I32",    [27] = "I64",
    [28] = "F64",     [29] = "IQ1_M",   [34] = "TQ1_0",  [35] = "TQ2_0",  [39] = "MXFP4",
};
enum { FOREIGN_COUNT = sizeof foreign_types / sizeof foreign_types[0] };
// clang-format on

static enum lm_rc fail(const struct reader *r, struct lm_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum lm_rc fail(const struct reader *r, struct lm_err *err, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!r->what)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu: %s", r->name, r->start, text);
    return lm_fail(err, LM_EFORMAT, "%s: %s '%.*s' (byte %zu): %s", r->name, r->what,
                   (int)(r->subject.len < 200 ? r->subject.len : 200), r->subject.ptr, r->start, text);
}

static void begin(struct reader *r)
{
    r->what = NULL;
    r->start = r->at;
}

/* ---- small parts ---- */

static enum lm_rc skip(struct reader *r, uint64_t bytes, struct lm_err *err)
{
    if (bytes > r->len - r->at)
        return fail(r, err, "%llu bytes are needed, but the file ends after %zu: it was cut",
                    (unsigned long long)bytes, r->len - r->at);
    r->at += bytes;
    return LM_OK;
}

static enum lm_rc take(struct reader *r, void *ret, size_t bytes, struct lm_err *err)
{
    LM_TRY(skip(r, bytes, err));
    memcpy(ret, r->base + r->at - bytes, bytes);
    return LM_OK;
}

static enum lm_rc take_string(struct reader *r, struct lm_str *ret, struct lm_err *err)
{
    uint64_t len;
    LM_TRY(take(r, &len, sizeof len, err));
    LM_TRY(skip(r, len, err));
    *ret = (struct lm_str){ (const char *)r->base + r->at - len, len };
    return LM_OK;
}

/* A key or the name of a tensor; from here on messages name it. */
static enum lm_rc take_name(struct reader *r, const char *what, size_t len_max, struct lm_str *ret,
                            struct lm_err *err)
{
    begin(r);
    LM_TRY(take_string(r, ret, err));
    if (ret->len == 0 || ret->len > len_max)
        return fail(r, err, "the name of a %s has %zu bytes, outside 1..%zu", what, ret->len, len_max);
    for (size_t i = 0; i < ret->len; i++)
        if (ret->ptr[i] < ' ' || ret->ptr[i] > '~')
            return fail(r, err, "the name of a %s has byte 0x%02x, which is no printable character", what,
                        (unsigned char)ret->ptr[i]);
    r->what = what;
    r->subject = *ret;
    return LM_OK;
}

/* ---- values ---- */

static enum lm_rc check_bools(const struct reader *r, const unsigned char *bytes, uint64_t count,
                              struct lm_err *err)
{
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return fail(r, err, "%u is no truth value (0 or 1)", bytes[i]);
    return LM_OK;
}

static enum lm_rc take_kind(struct reader *r, enum lm_gguf_kind *ret, struct lm_err *err)
{
    uint32_t kind;
    LM_TRY(take(r, &kind, sizeof kind, err));
    if (kind >= KIND_COUNT)
        return fail(r, err, "value type %u is unknown (0..%d are)", kind, KIND_COUNT - 1);
    *ret = kind;
    return LM_OK;
}

/* count values of one kind, which is no array. */
static enum lm_rc take_items(struct reader *r, enum lm_gguf_kind kind, uint64_t count, struct lm_err *err)
{
    const unsigned char *first = r->base + r->at;
    if (kind == LM_GGUF_STRING) {
        struct lm_str unused;
        for (uint64_t i = 0; i < count; i++)   // ends at the end of the file at the latest
            LM_TRY(take_string(r, &unused, err));
        return LM_OK;
    }
    uint64_t bytes;
    if (__builtin_mul_overflow(count, kind_bytes[kind], &bytes))
        return fail(r, err, "%llu items are too many", (unsigned long long)count);
    LM_TRY(skip(r, bytes, err));
    return kind == LM_GGUF_BOOL ? check_bools(r, first, count, err) : LM_OK;
}

static enum lm_rc take_value(struct reader *r, struct lm_gguf_value *ret, struct lm_err *err)
{
    struct lm_gguf_value v = { .offset = r->at, .count = 1 };
    LM_TRY(take_name(r, "key", KEY_LEN_MAX, &v.key, err));
    LM_TRY(take_kind(r, &v.kind, err));
    v.item = v.kind;
    if (v.kind == LM_GGUF_ARRAY) {
        LM_TRY(take_kind(r, &v.item, err));
        LM_TRY(take(r, &v.count, sizeof v.count, err));
        if (v.item == LM_GGUF_ARRAY)
            return fail(r, err, "an array of arrays is not supported");
    }
    v.bytes = r->base + r->at;
    LM_TRY(take_items(r, v.item, v.count, err));
    v.bytes_len = (size_t)(r->base + r->at - v.bytes);
    *ret = v;
    return LM_OK;
}

/* ---- tensors ---- */

static enum lm_rc take_type(struct reader *r, enum lm_type *ret, struct lm_err *err)
{
    uint32_t id;
    LM_TRY(take(r, &id, sizeof id, err));
    if (lm_type_by_gguf(id, ret))
        return LM_OK;
    if (id < FOREIGN_COUNT && foreign_types[id])
        return fail(r, err,
                    "type %s is not supported (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, "
                    "Q5_K and Q6_K are)",
                    foreign_types[id]);
    return fail(r, err, "type %u is unknown", id);
}

/* Sets t->bytes: whole blocks in every row, and a product that does not overflow. */
static enum lm_rc measure(const struct reader *r, struct lm_gguf_tensor *t, struct lm_err *err)
{
    const struct lm_type_info *type = &lm_types[t->type];
    if (t->shape[0] % type->block_len != 0)
        return fail(r, err, "rows of %llu values are not whole blocks of %s, which are of %zu",
                    (unsigned long long)t->shape[0], type->name, type->block_len);
    t->bytes = t->shape[0] / type->block_len;
    bool overflow = __builtin_mul_overflow(t->bytes, type->block_bytes, &t->bytes);
    for (size_t d = 1; d < t->dims; d++)
        overflow |= __builtin_mul_overflow(t->bytes, t->shape[d], &t->bytes);
    return overflow ? fail(r, err, "its dimensions are too large") : LM_OK;
}

/* Leaves the offset, not yet proved, in *ret_offset. */
static enum lm_rc take_tensor(struct reader *r, struct lm_gguf_tensor *ret, uint64_t *ret_offset,
                              struct lm_err *err)
{
    struct lm_gguf_tensor t = { 0 };
    uint32_t dims;
    LM_TRY(take_name(r, "tensor", LM_GGUF_NAME_MAX, &t.name, err));
    LM_TRY(take(r, &dims, sizeof dims, err));
    if (dims == 0 || dims > LM_GGUF_DIMS_MAX)
        return fail(r, err, "%u dimensions are outside 1..%d", dims, LM_GGUF_DIMS_MAX);
    t.dims = dims;
    LM_TRY(take(r, t.shape, dims * sizeof t.shape[0], err));
    for (size_t d = 0; d < dims; d++)
        if (t.shape[d] == 0)
            return fail(r, err, "dimension %zu is 0", d);
    LM_TRY(take_type(r, &t.type, err));
    LM_TRY(measure(r, &t, err));
    LM_TRY(take(r, ret_offset, sizeof *ret_offset, err));
    *ret = t;
    return LM_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct lm_gguf_tensor *x = *(const struct lm_gguf_tensor *const *)a;
    const struct lm_gguf_tensor *y = *(const struct lm_gguf_tensor *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

/* by_name serves as the list to sort; lm_gguf_index_tensors fills it again. */
static enum lm_rc check_overlaps(struct lm_gguf *g, const char *name, struct lm_err *err)
{
    for (size_t i = 0; i < g->tensor_count; i++)
        g->by_name[i] = &g->tensors[i];
    if (g->tensor_count > 0)
        qsort(g->by_name, g->tensor_count, sizeof *g->by_name, by_place);
    for (size_t i = 1; i < g->tensor_count; i++) {
        const struct lm_gguf_tensor *a = g->by_name[i - 1], *b = g->by_name[i];
        if ((const char *)a->data + a->bytes > (const char *)b->data)
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s' overlaps tensor '%.*s'", name,
                           (int)b->name.len, b->name.ptr, (int)a->name.len, a->name.ptr);
    }
    return LM_OK;
}

/* ---- one file ---- */

static enum lm_rc take_head(struct reader *r, uint64_t *ret_tensors, uint64_t *ret_values, struct lm_err *err)
{
    char magic[4];
    uint32_t version;
    LM_TRY(take(r, magic, sizeof magic, err));
    if (memcmp(magic, "GGUF", sizeof magic) != 0)
        return fail(r, err, "this is no GGUF file: it does not begin with the letters GGUF");
    LM_TRY(take(r, &version, sizeof version, err));
    if (__builtin_bswap32(version) <= 0xffff && version > 0xffff)
        return fail(r, err, "the file is big-endian, which is not supported");
    if (version != 2 && version != 3)
        return fail(r, err, "version %u is not supported (2 and 3 are)", version);
    LM_TRY(take(r, ret_tensors, sizeof *ret_tensors, err));
    LM_TRY(take(r, ret_values, sizeof *ret_values, err));
    const size_t left = r->len - r->at;
    if (*ret_values > left / VALUE_BYTES_MIN || *ret_tensors > left / TENSOR_BYTES_MIN)
        return fail(r, err, "%llu keys and %llu tensors do not fit into %zu bytes: the file was cut",
                    (unsigned long long)*ret_values, (unsigned long long)*ret_tensors, left);
    return LM_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct lm_gguf_value *x = *(const struct lm_gguf_value *const *)a;
    const struct lm_gguf_value *y = *(const struct lm_gguf_value *const *)b;
    return lm_str_cmp(x->key, y->key);
}

static enum lm_rc index_values(struct lm_gguf *g, struct lm_err *err)
{
    for (size_t i = 0; i < g->value_count; i++)
        g->by_key[i] = &g->values[i];
    if (g->value_count > 0)
        qsort(g->by_key, g->value_count, sizeof *g->by_key, by_key);
    for (size_t i = 1; i < g->value_count; i++)
        if (by_key(&g->by_key[i - 1], &g->by_key[i]) == 0) {
            const struct lm_str key = g->by_key[i]->key;
            const uint64_t a = g->by_key[i - 1]->offset, b = g->by_key[i]->offset;
            return lm_fail(err, LM_EFORMAT, "%s: key '%.*s' (byte %llu) occurs twice", g->name,
                           (int)(key.len < 200 ? key.len : 200), key.ptr,
                           (unsigned long long)(a > b ? a : b));
        }
    return LM_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct lm_gguf_tensor *x = *(const struct lm_gguf_tensor *const *)a;
    const struct lm_gguf_tensor *y = *(const struct lm_gguf_tensor *const *)b;
    return lm_str_cmp(x->name, y->name);
}

enum lm_rc lm_gguf_index_tensors(struct lm_gguf *g, struct lm_err *err)
{
    for (size_t i = 0; i < g->tensor_count; i++)
        g->by_name[i] = &g->tensors[i];
    if (g->tensor_count > 0)
        qsort(g->by_name, g->tensor_count, sizeof *g->by_name, by_name);
    for (size_t i = 1; i < g->tensor_count; i++)
        if (by_name(&g->by_name[i - 1], &g->by_name[i]) == 0)
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s' occurs twice", g->name,
                           (int)g->by_name[i]->name.len, g->by_name[i]->name.ptr);
    return LM_OK;
}

static enum lm_rc read_alignment(const struct lm_gguf *g, uint64_t *ret, struct lm_err *err)
{
    int64_t value = ALIGNMENT;
    LM_TRY(lm_gguf_get_int(g, "general.alignment", &value, err));
    if (value < 1 || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
        return lm_fail(err, LM_EFORMAT,
                       "%s: key 'general.alignment' (byte %llu): %lld is no power of two up to %d", g->name,
                       (unsigned long long)lm_gguf_find(g, "general.alignment")->offset, (long long)value,
                       ALIGNMENT_MAX);
    *ret = (uint64_t)value;
    return LM_OK;
}

static enum lm_rc take_tensors(struct reader *r, struct lm_gguf *g, uint64_t *offsets, struct lm_err *err)
{
    uint64_t alignment = 0;
    LM_TRY(read_alignment(g, &alignment, err));
    for (size_t i = 0; i < g->tensor_count; i++)
        LM_TRY(take_tensor(r, &g->tensors[i], &offsets[i], err));
    const uint64_t begin = (r->at + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < g->tensor_count; i++) {
        struct lm_gguf_tensor *t = &g->tensors[i];
        uint64_t end;
        if (offsets[i] % alignment != 0)
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s': offset %llu is no multiple of %llu", g->name,
                           (int)t->name.len, t->name.ptr, (unsigned long long)offsets[i],
                           (unsigned long long)alignment);
        if (__builtin_add_overflow(begin, offsets[i], &end) || __builtin_add_overflow(end, t->bytes, &end) ||
            end > r->len)
            return lm_fail(err, LM_EFORMAT,
                           "%s: tensor '%.*s' (%llu bytes at offset %llu) reaches past the end of the file: "
                           "the file was cut",
                           g->name, (int)t->name.len, t->name.ptr, (unsigned long long)t->bytes,
                           (unsigned long long)offsets[i]);
        t->data = r->base + begin + offsets[i];
    }
    return check_overlaps(g, g->name, err);
}

enum lm_rc lm_gguf_read(struct lm_gguf *g, struct lm_str bytes, struct lm_err *err)
{
    struct reader r = { .base = (const unsigned char *)bytes.ptr, .len = bytes.len, .name = g->name };
    uint64_t tensors = 0, values = 0;
    LM_TRY(take_head(&r, &tensors, &values, err));
    g->values = lm_zalloc(values + 1, sizeof *g->values);
    g->by_key = lm_zalloc(values + 1, sizeof(void *));
    for (; g->value_count < values; g->value_count++)
        LM_TRY(take_value(&r, &g->values[g->value_count], err));
    LM_TRY(index_values(g, err));
    g->tensors = lm_zalloc(tensors + 1, sizeof *g->tensors);
    g->by_name = lm_zalloc(tensors + 1, sizeof(void *));
    g->tensor_count = tensors;
    LM_FREE uint64_t *offsets = lm_zalloc(tensors + 1, sizeof *offsets);
    LM_TRY(take_tensors(&r, g, offsets, err));
    return lm_gguf_index_tensors(g, err);
}
