/* What an open GGUF file says: keys and tensors by name, values by kind. */
#include "model/gguf.h"

#include <math.h>

/* Index of the name in a sorted list of pointers to structs that begin with it, or NULL. */
static const void *search(const void *const *sorted, size_t count, const char *name)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int order = lm_str_cmp(*(const struct lm_str *)sorted[mid], lm_str(name));
        if (order == 0)
            return sorted[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

_Static_assert(offsetof(struct lm_gguf_value, key) == 0 && offsetof(struct lm_gguf_tensor, name) == 0,
               "search reads the name at the front");

const struct lm_gguf_value *lm_gguf_find(const struct lm_gguf *g, const char *key)
{
    return search((const void *const *)g->by_key, g->value_count, key);
}

const struct lm_gguf_tensor *lm_gguf_tensor_find(const struct lm_gguf *g, const char *name)
{
    return search((const void *const *)g->by_name, g->tensor_count, name);
}

// clang-format off
static const char *const kind_names[] = {
    [LM_GGUF_U8] = "u8",       [LM_GGUF_I8] = "i8",        [LM_GGUF_U16] = "u16",  [LM_GGUF_I16] = "i16",
    [LM_GGUF_U32] = "u32",     [LM_GGUF_I32] = "i32",      [LM_GGUF_F32] = "f32",  [LM_GGUF_BOOL] = "a truth value",
    [LM_GGUF_STRING] = "text", [LM_GGUF_ARRAY] = "a list", [LM_GGUF_U64] = "u64",  [LM_GGUF_I64] = "i64",
    [LM_GGUF_F64] = "f64",
};
// clang-format on

static enum lm_rc fail_kind(const struct lm_gguf *g, const struct lm_gguf_value *v, const char *wanted,
                            struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: key '%.*s' (byte %llu) is %s%s, not %s", g->name,
                   (int)(v->key.len < 200 ? v->key.len : 200), v->key.ptr, (unsigned long long)v->offset,
                   kind_names[v->kind == LM_GGUF_ARRAY ? v->item : v->kind],
                   v->kind == LM_GGUF_ARRAY ? " in a list" : "", wanted);
}

/* The stored value in the type of its kind. */
#define AS(type, v)                                                                                          \
    ({                                                                                                       \
        type as_;                                                                                            \
        memcpy(&as_, (v)->bytes, sizeof as_);                                                                \
        as_;                                                                                                 \
    })

enum lm_rc lm_gguf_get_int(const struct lm_gguf *g, const char *key, int64_t *ret, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    switch (v->kind) {
    case LM_GGUF_U8:
        *ret = AS(uint8_t, v);
        return LM_OK;
    case LM_GGUF_I8:
        *ret = (int64_t)AS(int8_t, v);
        return LM_OK;
    case LM_GGUF_U16:
        *ret = AS(uint16_t, v);
        return LM_OK;
    case LM_GGUF_I16:
        *ret = AS(int16_t, v);
        return LM_OK;
    case LM_GGUF_U32:
        *ret = AS(uint32_t, v);
        return LM_OK;
    case LM_GGUF_I32:
        *ret = AS(int32_t, v);
        return LM_OK;
    case LM_GGUF_I64:
        *ret = AS(int64_t, v);
        return LM_OK;
    case LM_GGUF_U64:
        if (AS(uint64_t, v) > INT64_MAX)
            return lm_fail(err, LM_EFORMAT, "%s: key '%s' (byte %llu): %llu is too large", g->name, key,
                           (unsigned long long)v->offset, (unsigned long long)AS(uint64_t, v));
        *ret = AS(int64_t, v);
        return LM_OK;
    default:
        return fail_kind(g, v, "a whole number", err);
    }
}

enum lm_rc lm_gguf_get_real(const struct lm_gguf *g, const char *key, double *ret, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_F32 && v->kind != LM_GGUF_F64)
        return fail_kind(g, v, "a number with a fraction (f32 or f64)", err);
    const double value = v->kind == LM_GGUF_F32 ? (double)AS(float, v) : AS(double, v);
    if (!isfinite(value))
        return lm_fail(err, LM_EFORMAT, "%s: key '%s' (byte %llu) is no finite number", g->name, key,
                       (unsigned long long)v->offset);
    *ret = value;
    return LM_OK;
}

enum lm_rc lm_gguf_get_bool(const struct lm_gguf *g, const char *key, bool *ret, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_BOOL)
        return fail_kind(g, v, "a truth value", err);
    *ret = v->bytes[0] != 0;
    return LM_OK;
}

/* The string at *bytes, which moves on behind it; lengths were proved when the file was opened. */
static struct lm_str string_at(const unsigned char **bytes)
{
    uint64_t len;
    memcpy(&len, *bytes, sizeof len);
    const struct lm_str ret = { (const char *)*bytes + sizeof len, len };
    *bytes += sizeof len + len;
    return ret;
}

enum lm_rc lm_gguf_get_str(const struct lm_gguf *g, const char *key, struct lm_str *ret, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_STRING)
        return fail_kind(g, v, "text", err);
    const unsigned char *at = v->bytes;
    *ret = string_at(&at);
    return LM_OK;
}

enum lm_rc lm_gguf_get_strings(const struct lm_gguf *g, const char *key, struct lm_str **ret,
                               size_t *ret_count, struct lm_err *err)
{
    const struct lm_gguf_value *v = lm_gguf_find(g, key);
    if (!v)
        return LM_OK;
    if (v->kind != LM_GGUF_ARRAY || v->item != LM_GGUF_STRING)
        return fail_kind(g, v, "a list of texts", err);
    struct lm_arena *arena = (struct lm_arena *)&g->arena;   // grows; nothing that a reader sees changes
    struct lm_str *items = lm_arena_alloc(arena, (v->count + 1) * sizeof *items);
    const unsigned char *at = v->bytes;
    for (uint64_t i = 0; i < v->count; i++)
        items[i] = string_at(&at);
    *ret = items;
    *ret_count = v->count;
    return LM_OK;
}
