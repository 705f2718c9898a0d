/* Stored tensors become weights: found by name, type and shape proved, nothing left over. */
#include "model/source.h"

#include <stdlib.h>

static int stored_by_name(const void *a, const void *b)
{
    const struct lm_stored *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void lm_source_sort(struct lm_model_source *s)
{
    qsort(s->stored, s->stored_count, sizeof *s->stored, stored_by_name);
}

static struct lm_stored *find_exactly(const struct lm_model_source *s, const char *name)
{
    const struct lm_stored key = { .name = name };
    return s->stored_count ? bsearch(&key, s->stored, s->stored_count, sizeof key, stored_by_name) : NULL;
}

struct lm_stored *lm_source_find(const struct lm_model_source *s, const char *name)
{
    return find_exactly(s, name);
}

void *lm_source_copy(struct lm_model_source *s, size_t bytes)
{
    lm_grow(&s->copies, &s->copy_cap, s->copy_count + 1, sizeof *s->copies);
    return s->copies[s->copy_count++] = lm_slab_alloc(bytes);
}

void lm_source_note(struct lm_model_source *s, struct lm_str key, struct lm_str value)
{
    lm_grow(&s->notes, &s->note_cap, s->note_count + 1, sizeof *s->notes);
    s->notes[s->note_count++] = (struct lm_note){
        .key = lm_arena_strndup(&s->arena, key.ptr, key.len),
        .value = { lm_arena_strndup(&s->arena, value.ptr, value.len), value.len },
    };
}

/* ---- one weight ---- */

/* A weight and its place in the stored tensor: all of it, or the rows of Q, K or V. */
struct place {
    struct lm_model_source *source;
    const struct lm_model_config *config;
    const struct lm_tensor_name *row;
    struct lm_stored *stored;
    bool matrix, transposed;
    size_t rows, cols;       // of the weight
    size_t outs, outs_all;   // its outputs (rows of a matrix, values of a vector), those of the tensor
    size_t outs_before;      // of Q, K that stand before it
};

static void place_measure(struct place *p)
{
    const struct lm_model_config *c = p->config;
    const enum lm_part part = p->row->part[p->source->naming];
    lm_model_shape(c, p->row->tensor, &p->rows, &p->cols);
    p->matrix = lm_tensor_is_matrix(p->row->tensor);
    p->transposed = p->source->naming == LM_NAMING_HF && p->row->transposed;
    p->outs = p->outs_all = p->matrix ? p->rows : p->cols;
    if (part == LM_PART_WHOLE)
        return;
    const size_t q = (size_t)(c->heads * c->head_dim), kv = (size_t)(c->kv_heads * c->head_dim);
    p->outs_all = q + 2 * kv;
    p->outs_before = part == LM_PART_Q ? 0 : part == LM_PART_K ? q : q + kv;
}

static void shape_text(const uint64_t *shape, size_t dims, char *ret, size_t bytes)
{
    size_t at = 0;
    for (size_t d = 0; d < dims && at < bytes; d++)
        at += (size_t)snprintf(ret + at, bytes - at, "%s%llu", d ? ", " : "", (unsigned long long)shape[d]);
}

/* ggml drops dimensions of 1 at the outside: there one row may be a vector, and the other way. */
static bool has_shape(const struct lm_stored *s, const uint64_t want[2], bool matrix, enum lm_naming naming)
{
    const size_t dims = matrix ? 2 : 1;
    if (s->dims == dims)
        return memcmp(s->shape, want + 2 - dims, dims * sizeof *want) == 0;
    return naming == LM_NAMING_GGUF && want[0] == 1 && (s->dims == 1 || (s->dims == 2 && s->shape[0] == 1)) &&
           s->shape[s->dims - 1] == want[1];
}

static enum lm_rc place_check(const struct place *p, struct lm_err *err)
{
    const struct lm_stored *s = p->stored;
    const char *file = p->source->name;
    if (s->type == LM_TYPE_COUNT)
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is %s; only F32, F16 and BF16 are supported", file,
                       s->name, s->type_name);
    if (lm_types[s->type].block_len > 1 && (!p->matrix || p->transposed))
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is %s; a vector must be F32, F16 or BF16", file,
                       s->name, s->type_name);
    const uint64_t want[2] = {
        !p->matrix      ? 1
        : p->transposed ? p->cols
                        : p->outs_all,
        !p->matrix || p->transposed ? p->outs_all : p->cols,
    };
    if (has_shape(s, want, p->matrix, p->source->naming)) {
        if (!p->matrix || p->cols % lm_types[s->type].block_len == 0)
            return LM_OK;
        return lm_fail(err, LM_EFORMAT, "%s: tensor '%s': rows of %zu are not whole blocks of %s", file,
                       s->name, p->cols, s->type_name);
    }
    char found[LM_TENSOR_DIMS_MAX * 24] = "", asked[2 * 24];
    shape_text(s->shape, s->dims, found, sizeof found);
    shape_text(want + !p->matrix, p->matrix ? 2 : 1, asked, sizeof asked);
    return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' has shape (%s), but %s asks for (%s)", file, s->name,
                   found, p->source->naming == LM_NAMING_HF ? "config.json" : "the header", asked);
}

/* ret[r][c] = from[c][r + outs_before]; values of `size` bytes. */
static const void *transposed(const struct place *p, size_t size)
{
    char *ret = lm_source_copy(p->source, p->rows * p->cols * size);
    const char *from = p->stored->data;
    for (size_t c = 0; c < p->cols; c++)
        for (size_t r = 0; r < p->rows; r++)
            memcpy(ret + (r * p->cols + c) * size, from + (c * p->outs_all + p->outs_before + r) * size,
                   size);
    return ret;
}

/* The bias of Q or K in the order of meaning: in GGUF's llama it has the order of the rows of its matrix. */
static const void *unpaired(const struct place *p, const char *from, size_t size)
{
    char *ret = lm_source_copy(p->source, p->cols * size);
    const size_t head = (size_t)p->config->head_dim, half = head / 2;
    for (size_t i = 0; i < p->cols; i++) {
        const size_t d = i % head;
        memcpy(ret + i * size, from + (i - d + 2 * (d % half) + d / half) * size, size);
    }
    return ret;
}

static bool is_paired(const struct place *p)
{
    return p->source->naming == LM_NAMING_GGUF && strcmp(lm_archs[p->config->arch].gguf_name, "llama") == 0 &&
           (p->row->tensor == LM_T_WQ || p->row->tensor == LM_T_WK || p->row->tensor == LM_T_BQ ||
            p->row->tensor == LM_T_BK);
}

static void place_weight(const struct place *p, struct lm_weight *ret)
{
    const struct lm_type_info *type = &lm_types[p->stored->type];
    const size_t size = type->block_bytes;
    *ret = (struct lm_weight){ .type = p->stored->type, .rows = p->rows, .cols = p->cols };
    p->stored->used = true;
    if (p->transposed) {
        ret->data = transposed(p, size);
        return;
    }
    const size_t out_bytes = p->matrix ? lm_type_bytes(p->stored->type, p->cols) : size;
    const char *from = (const char *)p->stored->data + p->outs_before * out_bytes;
    if (is_paired(p) && !p->matrix) {
        ret->data = unpaired(p, from, size);
        return;
    }
    ret->data = from;
    ret->paired = is_paired(p) ? (size_t)p->config->head_dim : 0;
    if (type->block_len == 1 && (uintptr_t)from % size != 0) {
        void *copy = lm_source_copy(p->source, p->outs * out_bytes);
        ret->data = memcpy(copy, from, p->outs * out_bytes);
    }
}

/* ---- all of them ---- */

/* Hugging Face names also with, or without, the usual prefix. */
static struct lm_stored *find_row(const struct lm_model_source *s, enum lm_arch arch,
                                  const struct lm_tensor_name *row, size_t layer)
{
    char name[LM_TENSOR_NAME_MAX], other[2 * LM_TENSOR_NAME_MAX];
    lm_tensor_name_text(row, s->naming, layer, name);
    struct lm_stored *found = find_exactly(s, name);
    if (found || s->naming != LM_NAMING_HF)
        return found;
    const char *prefix = lm_hf_prefix(arch);
    if (lm_str_starts(lm_str(name), lm_str(prefix)))
        return find_exactly(s, name + strlen(prefix));
    snprintf(other, sizeof other, "%s%s", prefix, name);
    return find_exactly(s, other);
}

static enum lm_rc place_tensor(struct lm_model_source *s, struct lm_model *m, enum lm_tensor tensor,
                               size_t layer, bool required, struct lm_err *err)
{
    size_t count;
    const enum lm_arch arch = m->config.arch;
    const struct lm_tensor_name *rows = lm_tensor_names(arch, &count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].tensor != tensor || !rows[i].name[s->naming])
            continue;
        struct place p = { .source = s, .config = &m->config, .row = &rows[i] };
        p.stored = find_row(s, arch, &rows[i], layer);
        if (!p.stored)
            continue;
        place_measure(&p);
        LM_TRY(place_check(&p, err));
        place_weight(&p, &m->weights[(size_t)tensor * (size_t)m->config.layers + layer]);
        return LM_OK;
    }
    if (!required)
        return LM_OK;
    char name[LM_TENSOR_NAME_MAX];
    lm_tensor_name_text(lm_tensor_name_find(arch, tensor, s->naming), s->naming, layer, name);
    return lm_fail(err, LM_EFORMAT, "%s: tensor '%s' is missing", s->name, name);
}

/* A head that repeats the embedding is no surprise in a folder that ties them. */
static bool is_spare_head(const struct lm_model_source *s, const struct lm_model *m, const char *name)
{
    const struct lm_tensor_name *head = lm_tensor_name_find(m->config.arch, LM_T_HEAD, s->naming);
    return m->config.tied && head && strcmp(name, head->name[s->naming]) == 0;
}

static enum lm_rc check_leftovers(const struct lm_model_source *s, const struct lm_model *m,
                                  struct lm_err *err)
{
    for (size_t i = 0; i < s->stored_count; i++) {
        const struct lm_stored *t = &s->stored[i];
        if (!t->used && !lm_tensor_is_harmless(m->config.arch, s->naming, t->name) &&
            !is_spare_head(s, m, t->name))
            return lm_fail(err, LM_EFORMAT, "%s: tensor '%.200s' is not part of a %s model as loom knows it",
                           s->name, t->name, lm_archs[m->config.arch].name);
    }
    return LM_OK;
}

enum lm_rc lm_source_place(struct lm_model_source *s, struct lm_model *ret, uint32_t required,
                           uint32_t optional, struct lm_err *err)
{
    const size_t layers = (size_t)ret->config.layers;
    if (ret->config.tied)
        required &= ~(UINT32_C(1) << LM_T_HEAD);
    ret->weights = lm_zalloc(LM_T_COUNT * layers, sizeof *ret->weights);
    for (int t = 0; t < LM_T_COUNT; t++) {
        if (!((required | optional) >> t & 1))
            continue;
        for (size_t l = 0; l < (lm_tensor_per_layer(t) ? layers : 1); l++)
            LM_TRY(place_tensor(s, ret, t, l, required >> t & 1, err));
    }
    if (ret->config.tied)
        ret->weights[LM_T_HEAD * layers] = ret->weights[LM_T_EMBED * layers];
    return check_leftovers(s, ret, err);
}
