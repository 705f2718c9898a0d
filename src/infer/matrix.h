#ifndef LM_INFER_MATRIX_H
#define LM_INFER_MATRIX_H
/* infer/matrix.h - one weight matrix, packed in panels of whatever type it is stored in, and its product.
 *
 * Floats stay floats of their width (panels.h, pairs.h), GGUF's blocks stay codes and factors (blocks.h): a
 * packed matrix takes about as much memory as the stored one and is read once from front to back. */

#include "infer/blocks.h"
#include "infer/pairs.h"
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

/* The form in which a matrix reads its inputs; several matrices may read different ones. */
enum lm_input_form {
    LM_INPUT_FLOATS = 1,
    LM_INPUT_BLOCKS = 2,   // lm_blocks()->prepare
    LM_INPUT_PAIRS = 4,    // lm_pairs()->prepare
};
enum lm_input_form lm_matrix_input(const struct lm_matrix *m);   // FLOATS for one without panels

/* A batch of input rows, in each form that some matrix asks for. */
struct lm_inputs {
    const float *x;
    const char *codes;
    const uint16_t *pairs;
    size_t x_stride, codes_bytes, pairs_stride;   // floats, bytes, 16-bit values from row to row
    size_t rows;
};

/* y[m * y_stride + 16 j + i] (+)= the product of row m with output i of panel first + j, for j < count;
 * without `add` it begins with the bias. */
void lm_matrix_product(const struct lm_matrix *m, const struct lm_inputs *in, float *y, size_t y_stride,
                       size_t first, size_t count, bool add);

#endif
