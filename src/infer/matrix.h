#ifndef LM_INFER_MATRIX_H
#define LM_INFER_MATRIX_H
/* infer/matrix.h - one weight matrix, packed in panels of whatever type it is stored in, and its product.
 *
 * Floats stay floats of their width (panels.h), GGUF's blocks stay codes and factors (blocks.h): a packed
 * matrix takes about as much memory as the stored one and is read once from front to back. */

#include "infer/blocks.h"
#include "infer/panels.h"
#include "model/model.h"

/* Rows are outputs.  Output r of `group` neighbouring ones lies at r within the group; each group begins a
 * panel, so that heads of any width do.  Lanes without an output give 0. */
struct lm_matrix {
    enum lm_type type;   // as stored
    size_t rows, cols, group;
    size_t panel_count, panel_bytes;
    const char *panels;   // aligned to 64
    const float *bias;    // panel_count * 16, 0 in lanes without an output; NULL: none
};

/* Sizes only; w must outlive what follows.  group divides rows; rows itself: no groups. */
void lm_matrix_plan(struct lm_matrix *m, const struct lm_weight *w, size_t group);
size_t lm_matrix_bytes(const struct lm_matrix *m);   // a multiple of 64

/* Fills the panels first .. first + count - 1 at m->panels. */
void lm_matrix_pack(const struct lm_matrix *m, const struct lm_weight *w, size_t first, size_t count);

/* Whether products read prepared inputs (lm_blocks()->prepare) instead of floats. */
bool lm_matrix_has_blocks(const struct lm_matrix *m);

/* A batch of input rows.  A matrix of blocks reads codes, others x. */
struct lm_inputs {
    const float *x;
    const char *codes;
    size_t x_stride, codes_bytes;   // floats, bytes from row to row
    size_t rows;
};

/* y[m * y_stride + 16 j + i] (+)= the product of row m with output i of panel first + j, for j < count;
 * without `add` it begins with the bias. */
void lm_matrix_product(const struct lm_matrix *m, const struct lm_inputs *in, float *y, size_t y_stride,
                       size_t first, size_t count, bool add);

#endif
