/* Which tensors a written model has, and of which types. */
#include "model/export_plan.h"

#include "model/source.h"

#include <stdlib.h>

// clang-format off
/* Tensors of a GGUF file that do not get the type asked for.  LM_TYPE_COUNT: whatever was asked.  Positions are
 * added, not multiplied: ggml wants them as floats.  Four bits are too few for the matrix that picks the token. */
static const struct {
    enum lm_tensor tensor;
    enum lm_type asked, gets;
} exceptions[] = {
    { LM_T_POSITION,   LM_TYPE_COUNT, LM_TYPE_F32 },
    { LM_T_TOKEN_TYPE, LM_TYPE_COUNT, LM_TYPE_F32 },
    { LM_T_HEAD,       LM_TYPE_Q4_0,  LM_TYPE_Q8_0 },
    { LM_T_HEAD,       LM_TYPE_Q4_1,  LM_TYPE_Q8_0 },
};
// clang-format on

struct planner {
    const struct lm_model *m;
    enum lm_naming naming;
    const struct lm_export_options *options;
    struct lm_export_plan *plan;
    enum lm_type main_type;
};

struct lm_export_item *lm_export_plan_add(struct lm_export_plan *plan)
{
    lm_grow(&plan->items, &plan->cap, plan->count + 1, sizeof *plan->items);
    struct lm_export_item *item = &plan->items[plan->count++];
    *item = (struct lm_export_item){ 0 };
    return item;
}

void lm_export_plan_release(struct lm_export_plan *plan)
{
    free(plan->items);
    *plan = (struct lm_export_plan){ 0 };
}

/* ---- types ---- */

enum lm_type lm_export_main_type(const struct lm_model *m)
{
    uint64_t values[LM_TYPE_COUNT] = { 0 };
    enum lm_type ret = LM_TYPE_F32;
    for (int t = 0; t < LM_T_COUNT; t++)
        for (size_t l = 0; l < (lm_tensor_per_layer(t) ? (size_t)m->config.layers : 1); l++) {
            const struct lm_weight *w = lm_model_at(m, t, l);
            if (w->data && lm_tensor_is_matrix(t) && !(t == LM_T_HEAD && m->config.tied))
                values[w->type] += (uint64_t)w->rows * w->cols;
        }
    for (int t = 0; t < LM_TYPE_COUNT; t++)
        if (values[t] > values[ret])
            ret = t;
    return ret;
}

static bool is_float(enum lm_type type)
{
    return lm_types[type].block_len == 1;
}

static enum lm_type gguf_type(const struct planner *p, enum lm_tensor tensor, enum lm_type stored)
{
    const bool is_head = tensor == LM_T_EMBED && p->m->config.tied;
    if (!lm_tensor_is_matrix(tensor))
        return LM_TYPE_F32;
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (exceptions[i].tensor == (is_head ? LM_T_HEAD : tensor) &&
            (exceptions[i].asked == LM_TYPE_COUNT || exceptions[i].asked == p->options->type))
            return exceptions[i].gets;
    return p->options->type == LM_TYPE_COUNT ? stored : p->options->type;
}

/* Every value survives as `type`. */
static bool fits(const struct lm_weight *w, enum lm_type type)
{
    const size_t size = lm_types[type].block_bytes;
    LM_FREE float *row = lm_alloc(2 * w->cols * sizeof *row);
    LM_FREE void *coded = lm_alloc(w->cols * size);
    for (size_t r = 0; r < w->rows; r++) {
        lm_weight_row_f32(w, r, row);
        lm_types[type].encode(coded, row, w->cols);
        lm_types[type].decode(row + w->cols, coded, w->cols);
        if (memcmp(row, row + w->cols, w->cols * sizeof *row) != 0)
            return false;
    }
    return true;
}

/* As stored, vectors of a GGUF file are F32 only because the format wants it: they get the type of the
 * matrices again if nothing is lost by it. */
static enum lm_type folder_type(const struct planner *p, enum lm_tensor tensor,
                                const struct lm_export_item *item)
{
    if (p->options->type != LM_TYPE_COUNT)
        return p->options->type;
    const bool is_plain = !item->matrix || tensor == LM_T_POSITION || tensor == LM_T_TOKEN_TYPE;
    bool narrow =
        is_plain && is_float(p->main_type) && p->m->source && p->m->source->naming == LM_NAMING_GGUF;
    for (size_t i = 0; i < item->part_count && narrow; i++)
        narrow = fits(item->parts[i], p->main_type);
    return narrow ? p->main_type : item->parts[0]->type;
}

static enum lm_rc choose_type(const struct planner *p, enum lm_tensor tensor, struct lm_export_item *item,
                              struct lm_err *err)
{
    item->type =
        p->naming == LM_NAMING_HF ? folder_type(p, tensor, item) : gguf_type(p, tensor, item->parts[0]->type);
    const struct lm_type_info *type = &lm_types[item->type];
    if (p->naming == LM_NAMING_HF && !is_float(item->type))
        return lm_fail(err, LM_EINVAL,
                       "tensor '%s' is %s, which a folder cannot hold: choose F32, F16 or BF16", item->name,
                       type->name);
    if (item->cols % type->block_len != 0) {
        if (!p->options->fall_back)
            return lm_fail(
                err, LM_EINVAL,
                "tensor '%s': rows of %zu values are not whole blocks of %s, which are of %zu: choose "
                "another type, or let such tensors be F16",
                item->name, item->cols, type->name, type->block_len);
        item->type = LM_TYPE_F16;
        item->fell_back = true;
    }
    if (lm_types[item->type].encode)
        return LM_OK;
    for (size_t i = 0; i < item->part_count; i++)
        if (item->parts[i]->type != item->type)
            return lm_fail(err, LM_EINVAL, "tensor '%s' cannot become %s: loom only reads that type",
                           item->name, type->name);
    return LM_OK;
}

/* ---- tensors ---- */

static enum lm_rc plan_tensor(const struct planner *p, enum lm_tensor tensor, size_t layer,
                              struct lm_err *err)
{
    const struct lm_model_config *c = &p->m->config;
    const struct lm_weight *w = lm_model_at(p->m, tensor, layer);
    if (!w->data || (tensor == LM_T_HEAD && c->tied))
        return LM_OK;
    const struct lm_tensor_name *row = lm_tensor_name_find(c->arch, tensor, p->naming);
    LM_ASSERT(row);
    const enum lm_part part = row->part[p->naming];
    if (part == LM_PART_K || part == LM_PART_V)
        return LM_OK;   // written with Q
    struct lm_export_item *item = lm_export_plan_add(p->plan);
    lm_tensor_name_text(row, p->naming, layer, item->name);
    item->matrix = lm_tensor_is_matrix(tensor);
    item->transposed = p->naming == LM_NAMING_HF && row->transposed;
    item->part_count = part == LM_PART_Q ? LM_EXPORT_PARTS : 1;
    for (size_t i = 0; i < item->part_count; i++) {   // Q, K, V follow each other in the enum
        const struct lm_weight *from = lm_model_at(p->m, tensor + i, layer);
        LM_ASSERT(from->data);
        item->parts[i] = from;
        item->rows += item->matrix ? from->rows : 0;
        item->cols = item->matrix ? from->cols : item->cols + from->cols;
    }
    item->rows = item->matrix ? item->rows : 1;
    const bool is_qk = tensor == LM_T_WQ || tensor == LM_T_WK || tensor == LM_T_BQ || tensor == LM_T_BK;
    if (is_qk && p->naming == LM_NAMING_GGUF && strcmp(lm_archs[c->arch].gguf_name, "llama") == 0)
        item->paired = (size_t)c->head_dim;
    return choose_type(p, tensor, item, err);
}

/* Layer by layer, as they are read. */
static enum lm_rc plan_all(const struct planner *p, struct lm_err *err)
{
    for (int t = 0; t < LM_T_ATTN_NORM; t++)
        LM_TRY(plan_tensor(p, t, 0, err));
    for (size_t l = 0; l < (size_t)p->m->config.layers; l++)
        for (int t = LM_T_ATTN_NORM; lm_tensor_per_layer(t); t++)
            LM_TRY(plan_tensor(p, t, l, err));
    for (int t = LM_T_NORM; t < LM_T_COUNT; t++)
        LM_TRY(plan_tensor(p, t, 0, err));
    return LM_OK;
}

enum lm_rc lm_export_plan_make(const struct lm_model *m, enum lm_naming naming,
                               const struct lm_export_options *options, struct lm_export_plan *ret,
                               struct lm_err *err)
{
    *ret = (struct lm_export_plan){ 0 };
    const struct planner p = { m, naming, options, ret, lm_export_main_type(m) };
    const enum lm_rc rc = plan_all(&p, err);
    if (rc != LM_OK)
        lm_export_plan_release(ret);
    return rc;
}

/* ---- report ---- */

uint64_t lm_export_item_bytes(const struct lm_export_item *item)
{
    return item->rows * lm_type_bytes(item->type, item->cols);
}

void lm_export_plan_report(const struct lm_export_plan *plan, struct lm_export_report *ret)
{
    *ret = (struct lm_export_report){
        .tensors = lm_zalloc(plan->count + 1, sizeof *ret->tensors),
        .count = plan->count,
    };
    for (size_t i = 0; i < plan->count; i++) {
        const struct lm_export_item *item = &plan->items[i];
        struct lm_exported *to = &ret->tensors[i];
        *to = (struct lm_exported){
            .stored = item->parts[0]->type,
            .type = item->type,
            .rows = item->matrix ? item->rows : 0,
            .cols = item->cols,
            .bytes = lm_export_item_bytes(item),
            .fell_back = item->fell_back,
        };
        memcpy(to->name, item->name, sizeof to->name);
        ret->bytes += to->bytes;
    }
}

void lm_export_report_release(struct lm_export_report *report)
{
    free(report->tensors);
    *report = (struct lm_export_report){ 0 };
}
