/* Muon: the momentum of a matrix, made orthogonal, is its update.
 *
 * Newton-Schulz: with X scaled to norm 1 and A = X X^T, five rounds of X <- (a I + b A + c A^2) X push all
 * singular values towards 1; a, b, c are Jordan's, chosen for speed, so that values end between 0.7 and 1.2.
 * X lies on its long side: a tall matrix is turned when it comes and when it goes, so A is the smaller one.
 * Products are oneDNN's in f32, or those of tensor/bf16.h: such an X needs no more than bf16 has. */
#include "train/optim.h"

#include "base/mem.h"
#include "base/sys.h"
#include "tensor/bf16.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 5, UNIT = 1 << 13, TURN = 32, PACK_COLS = 64, PANEL = LM_BF16_PANEL };
static const float coefficient_a = 3.4445f, coefficient_b = -4.7750f, coefficient_c = 2.0315f;

/* Of X: side <= depth. */
struct extent {
    size_t side, depth;
};

struct lm_muon {
    struct lm_gemm *gemm;   // NULL: products in bf16
    const struct lm_kernels *kernels;
    const struct lm_bf16_kernels *kernels16;
    float *x, *gram;                               // X (side, depth) and A (side, side)
    float *next, *polynomial;                      // f32: the next X, a I + b A + c A^2
    uint16_t *x_rows, *x_panels, *turned_panels;   // bf16: X; X, X^T as right operands
    uint16_t *gram_rows, *gram_panels;             // c A; A as right operand
    uint16_t *polynomial_rows;
};

bool lm_muon_handles(enum lm_llama_tensor kind)
{
    return lm_llama_tensors[kind].is_matrix && lm_llama_tensors[kind].per_layer;
}

/* What the largest matrices need, with whole panels. */
static void largest(const struct lm_llama_config *model, size_t *ret_x, size_t *ret_gram)
{
    *ret_x = *ret_gram = 0;
    for (int kind = 0; kind < LM_LLAMA_TENSOR_COUNT; kind++) {
        size_t rows, cols;
        if (!lm_muon_handles(kind))
            continue;
        lm_llama_shape(model, kind, &rows, &cols);
        const size_t side = lm_bf16_pad(rows < cols ? rows : cols), x = lm_bf16_pad(rows) * lm_bf16_pad(cols);
        *ret_x = x > *ret_x ? x : *ret_x;
        *ret_gram = side * side > *ret_gram ? side * side : *ret_gram;
    }
}

size_t lm_muon_bytes(const struct lm_llama_config *model, bool bf16)
{
    size_t x, gram;
    largest(model, &x, &gram);
    return (x + gram) * (bf16 ? sizeof(float) + 3 * sizeof(uint16_t) : 2 * sizeof(float));
}

struct lm_muon *lm_muon_new(const struct lm_llama_config *model, struct lm_gemm *gemm)
{
    size_t x, gram;
    largest(model, &x, &gram);
    struct lm_muon *m = lm_alloc(sizeof *m);
    *m = (struct lm_muon){
        .gemm = gemm,
        .kernels = lm_kernels(),
        .kernels16 = lm_bf16_kernels(),
        .x = lm_slab_alloc(x * sizeof(float)),
        .gram = lm_slab_alloc(gram * sizeof(float)),
    };
    if (gemm) {
        m->next = lm_slab_alloc(x * sizeof(float));
        m->polynomial = lm_slab_alloc(gram * sizeof(float));
        return m;
    }
    m->x_rows = lm_slab_alloc(3 * x * sizeof(uint16_t));
    m->x_panels = m->x_rows + x;
    m->turned_panels = m->x_panels + x;
    m->gram_rows = lm_slab_alloc(3 * gram * sizeof(uint16_t));
    m->gram_panels = m->gram_rows + gram;
    m->polynomial_rows = m->gram_panels + gram;
    return m;
}

void lm_muon_free(struct lm_muon *m)
{
    if (!m)
        return;
    free(m->x);
    free(m->gram);
    free(m->next);
    free(m->polynomial);
    free(m->x_rows);
    free(m->gram_rows);
    free(m);
}

/* ---- the two kinds of products ---- */

/* polynomial = a I + b gram + c gram^2, where it holds gram^2 already. */
static void combine(const struct lm_muon *m, size_t side)
{
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < side; i++) {
        float *row = m->polynomial + i * side;
        const float *gram = m->gram + i * side;
        for (size_t j = 0; j < side; j++)
            row[j] = coefficient_c * row[j] + coefficient_b * gram[j];
        row[i] += coefficient_a;
    }
}

static enum lm_rc round_f32(struct lm_muon *m, struct extent e, struct lm_err *err)
{
    const struct lm_product gram = {
        .c = m->gram, .a = m->x, .b = m->x, .m = e.side, .n = e.side, .k = e.depth, .b_t = true
    };
    const struct lm_product square = {
        .c = m->polynomial, .a = m->gram, .b = m->gram, .m = e.side, .n = e.side, .k = e.side
    };
    const struct lm_product apply = {
        .c = m->next, .a = m->polynomial, .b = m->x, .m = e.side, .n = e.depth, .k = e.side
    };
    LM_TRY(lm_gemm_run(m->gemm, &gram, err));
    LM_TRY(lm_gemm_run(m->gemm, &square, err));
    combine(m, e.side);
    LM_TRY(lm_gemm_run(m->gemm, &apply, err));
    float *swap = m->x;
    m->x = m->next;
    m->next = swap;
    return LM_OK;
}

static size_t even(size_t n)
{
    return (n + 1) / 2 * 2;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* x (rows, cols) rounded, to rows with a 0 behind an odd end. */
static void round_rows(const struct lm_muon *m, uint16_t *ret, const float *x, size_t rows, size_t cols)
{
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < rows; i++) {
        uint16_t *row = ret + i * lm_bf16_pad(cols);
        m->kernels16->round(row, x + i * cols, cols);
        if (cols % 2)
            row[cols] = 0;
    }
}

/* x (rows, cols) as the right operand with k = rows; with turned, x^T with k = cols as well. */
static void pack(const struct lm_muon *m, uint16_t *ret, uint16_t *turned, const float *x, size_t rows,
                 size_t cols)
{
    const size_t stride = even(rows) * PANEL, turned_stride = even(cols) * PANEL;
    const size_t units = (cols + PACK_COLS - 1) / PACK_COLS,
                 more = turned ? (rows + PACK_COLS - 1) / PACK_COLS : 0;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < units + more; unit++) {
        const size_t j = (unit < units ? unit : unit - units) * PACK_COLS;
        if (unit < units)
            m->kernels16->pack_backward(ret, stride, x, rows, cols, j, smaller(PACK_COLS, cols - j));
        else
            m->kernels16->pack_forward(turned, turned_stride, x, rows, cols, j, smaller(PACK_COLS, rows - j));
    }
}

/* gram_rows = c A; A itself becomes a I + b A, to which c A A is added. */
static void split_gram(const struct lm_muon *m, size_t side)
{
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < side; i++) {
        float *gram = m->gram + i * side;
        uint16_t *row = m->gram_rows + i * lm_bf16_pad(side);
        for (size_t j = 0; j < side; j++)
            gram[j] *= coefficient_c;
        m->kernels16->round(row, gram, side);
        if (side % 2)
            row[side] = 0;
        for (size_t j = 0; j < side; j++)
            gram[j] *= coefficient_b / coefficient_c;
        gram[i] += coefficient_a;
    }
}

static void round_bf16(struct lm_muon *m, struct extent e)
{
    const size_t side16 = lm_bf16_pad(e.side), depth16 = lm_bf16_pad(e.depth);
    const struct lm_bf16_product gram = { .a = m->x_rows,
                                          .a_stride = depth16,
                                          .b = m->turned_panels,
                                          .b_stride = even(e.depth) * PANEL,
                                          .c = m->gram,
                                          .c_stride = e.side,
                                          .m = e.side,
                                          .n = e.side,
                                          .k = even(e.depth) };
    const struct lm_bf16_product polynomial = { .a = m->gram_rows,
                                                .a_stride = side16,
                                                .b = m->gram_panels,
                                                .b_stride = even(e.side) * PANEL,
                                                .base = m->gram,
                                                .c = m->gram,
                                                .c_stride = e.side,
                                                .m = e.side,
                                                .n = e.side,
                                                .k = even(e.side) };
    const struct lm_bf16_product apply = { .a = m->polynomial_rows,
                                           .a_stride = side16,
                                           .b = m->x_panels,
                                           .b_stride = even(e.side) * PANEL,
                                           .c = m->x,
                                           .c_stride = e.depth,
                                           .m = e.side,
                                           .n = e.depth,
                                           .k = even(e.side) };
    round_rows(m, m->x_rows, m->x, e.side, e.depth);
    pack(m, m->x_panels, m->turned_panels, m->x, e.side, e.depth);
    lm_bf16_run(&gram);
    pack(m, m->gram_panels, NULL, m->gram, e.side, e.side);
    split_gram(m, e.side);
    lm_bf16_run(&polynomial);
    round_rows(m, m->polynomial_rows, m->gram, e.side, e.side);
    lm_bf16_run(&apply);
}

/* ---- one matrix ---- */

/* The momentum moves on; x becomes gradient plus momentum (Nesterov), on its long side. */
static void start(const struct lm_muon *m, const struct lm_muon_update *u)
{
    const bool tall = u->rows > u->cols;
    const size_t unit = tall ? TURN : UNIT / u->cols + 1;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < u->rows; first += unit) {
        const size_t last = smaller(first + unit, u->rows);
        for (size_t i = first * u->cols; i < last * u->cols; i++)
            u->momentum[i] = u->beta * u->momentum[i] + u->grad[i] * u->grad_scale;
        for (size_t j = 0; tall && j < u->cols; j++)
            for (size_t i = first; i < last; i++)
                m->x[j * u->rows + i] =
                    u->grad[i * u->cols + j] * u->grad_scale + u->beta * u->momentum[i * u->cols + j];
        for (size_t i = first * u->cols; !tall && i < last * u->cols; i++)
            m->x[i] = u->grad[i] * u->grad_scale + u->beta * u->momentum[i];
    }
}

static void scale(float *x, size_t count, float factor)
{
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < count; first += UNIT)
        for (size_t i = first; i < smaller(first + UNIT, count); i++)
            x[i] *= factor;
}

/* w = keep w + step x, x turned back where it was turned. */
static void finish(const struct lm_muon *m, const struct lm_muon_update *u, float keep, float step)
{
    const bool tall = u->rows > u->cols;
    const size_t unit = tall ? TURN : UNIT / u->cols + 1;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < u->rows; first += unit) {
        const size_t last = smaller(first + unit, u->rows);
        for (size_t j = 0; tall && j < u->cols; j++)
            for (size_t i = first; i < last; i++)
                u->w[i * u->cols + j] = keep * u->w[i * u->cols + j] + step * m->x[j * u->rows + i];
        for (size_t i = first * u->cols; !tall && i < last * u->cols; i++)
            u->w[i] = keep * u->w[i] + step * m->x[i];
    }
}

enum lm_rc lm_muon_step(struct lm_muon *m, const struct lm_muon_update *u, struct lm_err *err)
{
    const size_t count = u->rows * u->cols;
    const struct extent e =
        u->rows > u->cols ? (struct extent){ u->cols, u->rows } : (struct extent){ u->rows, u->cols };
    start(m, u);
    scale(m->x, count, (float)(1 / (sqrt(lm_sum_squares(m->x, count)) + 1e-7)));
    for (int i = 0; i < ROUNDS; i++)
        if (m->gemm)
            LM_TRY(round_f32(m, e, err));
        else
            round_bf16(m, e);
    const float shape = sqrtf(u->rows > u->cols ? (float)u->rows / (float)u->cols : 1);
    finish(m, u, 1 - u->lr * u->decay, -u->lr * shape);
    return LM_OK;
}
