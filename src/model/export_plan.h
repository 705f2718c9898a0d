#ifndef LM_MODEL_EXPORT_PLAN_H
#define LM_MODEL_EXPORT_PLAN_H
/* model/export_plan.h - which tensors a written model has, of which types, made of which weights.  Private to
 * this module. */

#include "model/export.h"
#include "model/names.h"

enum { LM_EXPORT_PARTS = 3 };

/* One tensor to write.  rows and cols are those of (out, in), of the joined parts; a vector has one row. */
struct lm_export_item {
    char name[LM_TENSOR_NAME_MAX];
    enum lm_type type;
    bool matrix, transposed, fell_back;
    size_t rows, cols;
    const struct lm_weight *parts[LM_EXPORT_PARTS];   // their rows (or values) one after the other
    size_t part_count;
    size_t paired;   // the outputs are interleaved in heads of this width
};

struct lm_export_plan {
    struct lm_export_item *items;
    size_t count, cap;
};

enum lm_rc lm_export_plan_make(const struct lm_model *m, enum lm_naming naming,
                               const struct lm_export_options *options, struct lm_export_plan *ret,
                               struct lm_err *err);
void lm_export_plan_release(struct lm_export_plan *plan);
struct lm_export_item *lm_export_plan_add(struct lm_export_plan *plan);   // zeroed
uint64_t lm_export_item_bytes(const struct lm_export_item *item);
void lm_export_plan_report(const struct lm_export_plan *plan, struct lm_export_report *ret);

/* The type of most of the values of the weights that are matrices. */
enum lm_type lm_export_main_type(const struct lm_model *m);

/* Writes the item's bytes; LM_EIO when the stream breaks. */
enum lm_rc lm_export_item_write(const struct lm_export_item *item, FILE *to, struct lm_err *err);

#endif
