/* Muon: the momentum of a matrix, made orthogonal, is its update.
 *
 * Newton-Schulz: with X scaled to norm 1 and A = X X^T, five rounds of X <- (a I + b A + c A^2) X push all
 * singular values towards 1; a, b, c are Jordan's, chosen for speed, so that values end between 0.7 and 1.2.
 * A tall matrix is multiplied from the other side, so A always has the smaller of the two sizes. */
#include "train/optim.h"

#include "base/mem.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 5, UNIT = 1 << 13 };
static const float coefficient_a = 3.4445f, coefficient_b = -4.7750f, coefficient_c = 2.0315f;

struct lm_muon {
    struct lm_gemm *gemm;
    const struct lm_kernels *kernels;
    float *x, *next;            // (rows, cols) of the largest matrix
    float *gram, *polynomial;   // (side, side), the smaller size
};

bool lm_muon_handles(enum lm_llama_tensor kind)
{
    return lm_llama_tensors[kind].is_matrix && lm_llama_tensors[kind].per_layer;
}

/* Floats of the largest matrix, and the largest smaller side. */
static void extents(const struct lm_llama_config *model, size_t *ret_size, size_t *ret_side)
{
    *ret_size = *ret_side = 0;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        size_t rows, cols;
        if (!lm_muon_handles(kind))
            continue;
        lm_llama_shape(model, kind, &rows, &cols);
        const size_t side = rows < cols ? rows : cols;
        *ret_size = rows * cols > *ret_size ? rows * cols : *ret_size;
        *ret_side = side > *ret_side ? side : *ret_side;
    }
}

size_t lm_muon_bytes(const struct lm_llama_config *model)
{
    size_t size, side;
    extents(model, &size, &side);
    return 2 * (size + side * side) * sizeof(float);
}

struct lm_muon *lm_muon_new(const struct lm_llama_config *model, struct lm_gemm *gemm)
{
    size_t size, side;
    extents(model, &size, &side);
    struct lm_muon *m = lm_alloc(sizeof *m);
    *m = (struct lm_muon){
        .gemm = gemm,
        .kernels = lm_kernels(),
        .x = lm_slab_alloc(size * sizeof(float)),
        .next = lm_slab_alloc(size * sizeof(float)),
        .gram = lm_slab_alloc(side * side * sizeof(float)),
        .polynomial = lm_slab_alloc(side * side * sizeof(float)),
    };
    return m;
}

void lm_muon_free(struct lm_muon *m)
{
    if (!m)
        return;
    free(m->x);
    free(m->next);
    free(m->gram);
    free(m->polynomial);
    free(m);
}

/* Elementwise: the momentum moves on, x becomes gradient plus momentum (Nesterov). */
static void start(const struct lm_muon *m, const struct lm_muon_update *u)
{
    const size_t count = u->rows * u->cols;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < count; first += UNIT)
        for (size_t i = first; i < count && i < first + UNIT; i++) {
            const float grad = u->grad[i] * u->grad_scale;
            u->momentum[i] = u->beta * u->momentum[i] + grad;
            m->x[i] = grad + u->beta * u->momentum[i];
        }
}

static void scale(float *x, size_t count, float factor)
{
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

/* polynomial = a I + b gram + c gram^2, where it holds gram^2 already. */
static void combine(const struct lm_muon *m, size_t side)
{
    for (size_t i = 0; i < side * side; i++)
        m->polynomial[i] = coefficient_c * m->polynomial[i] + coefficient_b * m->gram[i];
    for (size_t i = 0; i < side; i++)
        m->polynomial[i * side + i] += coefficient_a;
}

static enum lm_rc orthogonalise(struct lm_muon *m, size_t rows, size_t cols, struct lm_err *err)
{
    const bool tall = rows > cols;
    const size_t side = tall ? cols : rows, depth = tall ? rows : cols;
    const double norm = sqrt(lm_sum_squares(m->x, rows * cols));
    scale(m->x, rows * cols, (float)(1 / (norm + 1e-7)));
    for (int round = 0; round < ROUNDS; round++) {
        const struct lm_product gram = {
            .c = m->gram, .a = m->x, .b = m->x, .m = side, .n = side, .k = depth, .a_t = tall, .b_t = !tall
        };
        const struct lm_product square = {
            .c = m->polynomial, .a = m->gram, .b = m->gram, .m = side, .n = side, .k = side
        };
        LM_TRY(lm_gemm_run(m->gemm, &gram, err));
        LM_TRY(lm_gemm_run(m->gemm, &square, err));
        combine(m, side);
        const struct lm_product apply = { .c = m->next,
                                          .a = tall ? m->x : m->polynomial,
                                          .b = tall ? m->polynomial : m->x,
                                          .m = rows,
                                          .n = cols,
                                          .k = side };
        LM_TRY(lm_gemm_run(m->gemm, &apply, err));
        float *swap = m->x;
        m->x = m->next;
        m->next = swap;
    }
    return LM_OK;
}

enum lm_rc lm_muon_step(struct lm_muon *m, const struct lm_muon_update *u, struct lm_err *err)
{
    start(m, u);
    LM_TRY(orthogonalise(m, u->rows, u->cols, err));
    const float shape = sqrtf(u->rows > u->cols ? (float)u->rows / (float)u->cols : 1);
    scale(u->w, u->rows * u->cols, 1 - u->lr * u->decay);
    m->kernels->axpy(u->w, -u->lr * shape, m->x, u->rows * u->cols);
    return LM_OK;
}
