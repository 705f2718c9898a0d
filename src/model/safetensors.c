/* Reader and writer of safetensors files: the header is parsed and proved, then tensors are views. */
#include "model/safetensors.h"

#include "base/json.h"

#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is little-endian and read in place");

enum { LENGTH_BYTES = 8, ALIGN_BYTES = 8 };

// clang-format off
const char *const lm_dtype_names[LM_DTYPE_COUNT] = {
    [LM_F32] = "F32", [LM_F16] = "F16", [LM_BF16] = "BF16", [LM_F64] = "F64", [LM_I64] = "I64",
    [LM_I32] = "I32", [LM_U32] = "U32", [LM_U16] = "U16",   [LM_U8] = "U8",
};
const size_t lm_dtype_bytes[LM_DTYPE_COUNT] = {
    [LM_F32] = 4, [LM_F16] = 2, [LM_BF16] = 2, [LM_F64] = 8, [LM_I64] = 8,
    [LM_I32] = 4, [LM_U32] = 4, [LM_U16] = 2,  [LM_U8] = 1,
};
// clang-format on

/* A tensor as the header states it; data is a pointer only after the offsets are proved. */
struct entry {
    struct lm_tensor_view view;
    uint64_t begin, end;
};

struct header {
    struct lm_json_reader json;
    const char *name;   // of the file
    struct entry *entries;
    size_t len, cap;
    struct lm_str metadata;
};

/* ---- header: JSON to entries ---- */

/* The number just read: whole, without sign, fraction or exponent, below 2^63. */
static enum lm_rc take_count(const struct header *h, enum lm_json_kind kind, uint64_t *ret,
                             struct lm_err *err)
{
    int64_t value;
    if (kind != LM_JSON_NUMBER || !lm_str_to_i64(h->json.text, &value) || value < 0)
        return lm_fail(err, LM_EFORMAT, "%s: byte %zu of the header: a size is not a whole number", h->name,
                       lm_json_offset(&h->json));
    *ret = (uint64_t)value;
    return LM_OK;
}

static enum lm_rc fail_tensor(const struct header *h, struct lm_str tensor, const char *problem,
                              struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s' %s", h->name,
                   (int)(tensor.len < 200 ? tensor.len : 200), tensor.ptr, problem);
}

static enum lm_rc read_dtype(struct header *h, struct entry *e, struct lm_err *err)
{
    LM_TRY(lm_json_want(&h->json, LM_JSON_STRING, err));
    for (int d = 0; d < LM_DTYPE_COUNT; d++)
        if (lm_str_eq(h->json.text, lm_str(lm_dtype_names[d]))) {
            e->view.dtype = (enum lm_dtype)d;
            return LM_OK;
        }
    return fail_tensor(h, e->view.name,
                       "has a data type that is not supported (F64, F32, F16, BF16, I64, ...)", err);
}

static enum lm_rc read_shape(struct header *h, struct entry *e, struct lm_err *err)
{
    LM_TRY(lm_json_want(&h->json, LM_JSON_ARRAY, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&h->json, &kind, err));
        if (kind == LM_JSON_ARRAY_END)
            return LM_OK;
        if (e->view.dims == LM_TENSOR_DIMS_MAX)
            return fail_tensor(h, e->view.name, "has more than 8 dimensions", err);
        LM_TRY(take_count(h, kind, &e->view.shape[e->view.dims], err));
        e->view.dims++;
    }
}

static enum lm_rc read_offsets(struct header *h, struct entry *e, struct lm_err *err)
{
    uint64_t *const ends[] = { &e->begin, &e->end };
    LM_TRY(lm_json_want(&h->json, LM_JSON_ARRAY, err));
    for (size_t i = 0; i < 2; i++) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&h->json, &kind, err));
        LM_TRY(take_count(h, kind, ends[i], err));
    }
    return lm_json_want(&h->json, LM_JSON_ARRAY_END, err);
}

/* {"dtype":...,"shape":...,"data_offsets":...}: each key once, in any order, no other. */
static enum lm_rc read_entry(struct header *h, struct entry *e, struct lm_err *err)
{
    static const struct {
        const char *key;
        enum lm_rc (*read)(struct header *h, struct entry *e, struct lm_err *err);
    } fields[] = { { "dtype", read_dtype }, { "shape", read_shape }, { "data_offsets", read_offsets } };
    enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

    unsigned seen = 0;
    LM_TRY(lm_json_want(&h->json, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&h->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        size_t f = 0;
        while (f < FIELD_COUNT && !lm_str_eq(h->json.text, lm_str(fields[f].key)))
            f++;
        if (f == FIELD_COUNT || seen & 1u << f)
            return fail_tensor(h, e->view.name, "has an unknown or repeated key in the header", err);
        seen |= 1u << f;
        LM_TRY(fields[f].read(h, e, err));
    }
    if (seen != (1u << FIELD_COUNT) - 1)
        return fail_tensor(h, e->view.name, "lacks dtype, shape or data_offsets", err);
    return LM_OK;
}

/* An object of strings, kept as the text it is. */
static enum lm_rc read_metadata(struct header *h, struct lm_err *err)
{
    if (h->metadata.len > 0)
        return lm_fail(err, LM_EFORMAT, "%s: __metadata__ occurs twice in the header", h->name);
    LM_TRY(lm_json_want(&h->json, LM_JSON_OBJECT, err));
    const char *start = h->json.at - 1;
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&h->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        LM_TRY(lm_json_want(&h->json, LM_JSON_STRING, err));
    }
    h->metadata = (struct lm_str){ start, (size_t)(h->json.at - start) };
    return LM_OK;
}

static enum lm_rc read_header(struct header *h, struct lm_err *err)
{
    LM_TRY(lm_json_want(&h->json, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&h->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(h->json.text, LM_STR("__metadata__"))) {
            LM_TRY(read_metadata(h, err));
            continue;
        }
        lm_grow(&h->entries, &h->cap, h->len + 1, sizeof *h->entries);
        struct entry *e = &h->entries[h->len++];
        *e = (struct entry){ .view.name = h->json.text };
        LM_TRY(read_entry(h, e, err));
    }
    return lm_json_want(&h->json, LM_JSON_END, err);
}

/* ---- proof: entries tile the data and have the size of their shape ---- */

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return lm_str_cmp(x->view.name, y->view.name);   // empty tensors: any fixed order
}

static enum lm_rc check_places(struct header *h, struct lm_str data, struct lm_err *err)
{
    if (h->len > 0)
        qsort(h->entries, h->len, sizeof *h->entries, by_place);
    uint64_t at = 0;
    for (size_t i = 0; i < h->len; i++) {
        struct entry *e = &h->entries[i];
        uint64_t bytes = lm_dtype_bytes[e->view.dtype];
        bool overflow = false;
        for (size_t d = 0; d < e->view.dims; d++)
            overflow |= __builtin_mul_overflow(bytes, e->view.shape[d], &bytes);
        if (e->begin != at)
            return fail_tensor(h, e->view.name,
                               e->begin < at ? "overlaps the tensor before it"
                                             : "leaves a gap behind the tensor before it",
                               err);
        if (e->end < e->begin || overflow || e->end - e->begin != bytes)
            return fail_tensor(h, e->view.name, "has data_offsets that do not fit its shape", err);
        if (e->end > data.len)
            return fail_tensor(h, e->view.name, "reaches past the end of the file: the file was cut", err);
        e->view.data = data.ptr + e->begin;
        e->view.bytes = bytes;
        at = e->end;
    }
    if (at != data.len)
        return lm_fail(err, LM_EFORMAT, "%s: %llu bytes behind the last tensor belong to none", h->name,
                       (unsigned long long)(data.len - at));
    return LM_OK;
}

static int by_name(const void *a, const void *b, void *views)
{
    const struct lm_tensor_view *v = views;
    return lm_str_cmp(v[*(const uint32_t *)a].name, v[*(const uint32_t *)b].name);
}

static enum lm_rc index_names(struct lm_safetensors *st, const char *name, struct lm_err *err)
{
    for (uint32_t i = 0; i < st->count; i++)
        st->by_name[i] = i;
    qsort_r(st->by_name, st->count, sizeof *st->by_name, by_name, st->tensors);
    for (size_t i = 1; i < st->count; i++) {
        const struct lm_str twice = st->tensors[st->by_name[i]].name;
        if (lm_str_eq(twice, st->tensors[st->by_name[i - 1]].name))
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.*s' occurs twice", name,
                           (int)(twice.len < 200 ? twice.len : 200), twice.ptr);
    }
    return LM_OK;
}

/* ---- public ---- */

static enum lm_rc parse_parts(struct lm_safetensors *st, struct header *h, struct lm_str data,
                              struct lm_err *err)
{
    LM_TRY(read_header(h, err));
    LM_TRY(check_places(h, data, err));
    st->count = h->len;
    st->metadata = h->metadata;
    st->tensors = lm_zalloc(h->len + 1, sizeof *st->tensors);
    st->by_name = lm_zalloc(h->len + 1, sizeof *st->by_name);
    for (size_t i = 0; i < h->len; i++)
        st->tensors[i] = h->entries[i].view;
    return index_names(st, h->name, err);
}

enum lm_rc lm_safetensors_parse(struct lm_safetensors *st, struct lm_str bytes, const char *name,
                                struct lm_err *err)
{
    *st = (struct lm_safetensors){ 0 };
    uint64_t header_len;
    if (bytes.len < LENGTH_BYTES)
        return lm_fail(err, LM_EFORMAT, "%s: %zu bytes are too few for a safetensors file", name, bytes.len);
    memcpy(&header_len, bytes.ptr, LENGTH_BYTES);
    if (header_len > LM_SAFETENSORS_HEADER_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: a header of %llu bytes is beyond the limit of %d", name,
                       (unsigned long long)header_len, LM_SAFETENSORS_HEADER_MAX);
    if (header_len > bytes.len - LENGTH_BYTES)
        return lm_fail(err, LM_EFORMAT,
                       "%s: the header of %llu bytes reaches past the end of the file: the file was cut",
                       name, (unsigned long long)header_len);

    const struct lm_str text = { bytes.ptr + LENGTH_BYTES, header_len };
    const struct lm_str data = { text.ptr + text.len, bytes.len - LENGTH_BYTES - header_len };
    struct header h = { .name = name };
    lm_json_open(&h.json, text, name, &st->arena);
    const enum lm_rc rc = parse_parts(st, &h, data, err);
    free(h.entries);
    if (rc != LM_OK)
        lm_safetensors_close(st);
    return rc;
}

enum lm_rc lm_safetensors_open(struct lm_safetensors *st, const char *path, struct lm_err *err)
{
    struct lm_map map = { 0 };
    *st = (struct lm_safetensors){ 0 };
    LM_TRY(lm_map_open(&map, path, err));
    const enum lm_rc rc = lm_safetensors_parse(st, (struct lm_str){ map.ptr, map.len }, path, err);
    if (rc == LM_OK)
        st->map = map;
    else
        lm_map_close(&map);
    return rc;
}

void lm_safetensors_close(struct lm_safetensors *st)
{
    if (!st)
        return;
    free(st->tensors);
    free(st->by_name);
    lm_arena_release(&st->arena);
    lm_map_close(&st->map);
    *st = (struct lm_safetensors){ 0 };
}

const struct lm_tensor_view *lm_safetensors_find(const struct lm_safetensors *st, const char *name)
{
    size_t low = 0, high = st->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const struct lm_tensor_view *view = &st->tensors[st->by_name[mid]];
        const int order = lm_str_cmp(view->name, lm_str(name));
        if (order == 0)
            return view;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* IEEE half to single: exact.  Subnormals are multiples of 2^-24. */
static float half_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 0) {
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    const uint32_t bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool lm_tensor_to_f32(const struct lm_tensor_view *tensor, float *ret)
{
    const char *from = tensor->data;
    const size_t count = tensor->bytes / lm_dtype_bytes[tensor->dtype];
    switch (tensor->dtype) {
    case LM_F32:
        if (count > 0)
            memcpy(ret, from, tensor->bytes);
        return true;
    case LM_F16:
        for (size_t i = 0; i < count; i++) {
            uint16_t half;
            memcpy(&half, from + 2 * i, sizeof half);
            ret[i] = half_to_f32(half);
        }
        return true;
    case LM_BF16:
        for (size_t i = 0; i < count; i++) {
            uint16_t half;
            memcpy(&half, from + 2 * i, sizeof half);
            const uint32_t bits = (uint32_t)half << 16;
            memcpy(&ret[i], &bits, sizeof bits);
        }
        return true;
    default:
        return false;
    }
}

static void add_header_entry(struct lm_buf *header, const struct lm_tensor_view *t, uint64_t begin)
{
    lm_json_sep(header);
    lm_json_str(header, t->name);
    lm_buf_putc(header, ':');
    lm_buf_putc(header, '{');
    lm_json_key_str(header, "dtype", lm_str(lm_dtype_names[t->dtype]));
    lm_json_key(header, "shape");
    lm_buf_putc(header, '[');
    for (size_t d = 0; d < t->dims; d++) {
        lm_json_sep(header);
        lm_json_int(header, (int64_t)t->shape[d]);
    }
    lm_buf_puts(header, "],\"data_offsets\":[");
    lm_json_int(header, (int64_t)begin);
    lm_json_sep(header);
    lm_json_int(header, (int64_t)(begin + t->bytes));
    lm_buf_puts(header, "]}");
}

void lm_safetensors_header(const struct lm_tensor_view *tensors, size_t count, struct lm_str metadata,
                           struct lm_buf *ret)
{
    const size_t start = ret->len;
    uint64_t len = 0, at = 0;
    lm_buf_add(ret, &len, LENGTH_BYTES);   // set when known
    lm_buf_putc(ret, '{');
    if (metadata.len > 0) {
        lm_json_key(ret, "__metadata__");
        lm_buf_add_str(ret, metadata);
    }
    for (size_t i = 0; i < count; at += tensors[i].bytes, i++)
        add_header_entry(ret, &tensors[i], at);
    lm_buf_putc(ret, '}');
    while ((ret->len - start) % ALIGN_BYTES != 0)
        lm_buf_putc(ret, ' ');
    len = ret->len - start - LENGTH_BYTES;
    memcpy(ret->ptr + start, &len, LENGTH_BYTES);
}

enum lm_rc lm_safetensors_write(const char *path, const struct lm_tensor_view *tensors, size_t count,
                                struct lm_str metadata, struct lm_err *err)
{
    struct lm_writer w = { 0 };
    LM_TRY(lm_writer_open(&w, path, err));
    struct lm_buf header = { 0 };
    lm_safetensors_header(tensors, count, metadata, &header);
    fwrite(header.ptr, 1, header.len, w.stream);
    lm_buf_release(&header);
    for (size_t i = 0; i < count; i++)
        if (tensors[i].bytes > 0)
            fwrite(tensors[i].data, 1, tensors[i].bytes, w.stream);
    return lm_writer_commit(&w, err);   // reports what any of the writes met
}
