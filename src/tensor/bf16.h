#ifndef LM_TENSOR_BF16_H
#define LM_TENSOR_BF16_H
/* tensor/bf16.h - the hot loops of training in bf16: operands rounded to bf16, sums in f32.
 *
 * As in kernels.h a row of the table is an instruction set; row SCALAR is plain C and the definition. Kernels
 * do not allocate, lock, log, fail or start threads, and no result depends on how the caller splits the work.
 *
 * A bf16 matrix lies in one of two ways:
 *     rows     (m, k): row i at ptr + i * stride; the left operand of a product, k taken in pairs
 *     panels   (k, n): 16 columns at a time, panel j at ptr + j * stride: element (l, 16 j + i) at
 *              [(l / 2 * 16 + i) * 2 + l % 2]; the right operand; columns behind n are 0
 * k is even: whoever makes an operand of an odd k puts a 0 behind it.  Strides count elements.
 *
 * A sum is the chain of infer/pairs.h, front to back, whatever the tile: the odd one of a pair comes first,
 *     c = fma(a[2p], b[2p], fma(a[2p + 1], b[2p + 1], c))
 * and denormals are taken for zero where VDPBF16PS does so.
 *
 * Letters as in kernels.h. */

#include "tensor/kernels.h"

#include <stdbool.h>

enum {
    LM_BF16_PANEL = 16,    // columns of a panel
    LM_BF16_GROUP = 64,    // columns of the loss that lie side by side
    LM_BF16_SPAN = 2048,   // columns of the loss that share a power of two, whole groups
    LM_BF16_BLOCK = 64,    // positions of a block of attention
};

/* n rounded up to whole panels: the stride of a matrix whose padding is kept 0. */
static inline size_t lm_bf16_pad(size_t n)
{
    return (n + LM_BF16_PANEL - 1) / LM_BF16_PANEL * LM_BF16_PANEL;
}

/* c (m, n) = base + bias + a b + low_a low_b, as f32 to c or rounded to c16; exactly one of them is given.
 * base may be c, and NULL is 0; bias (n) is added to every row, NULL is 0.  c and base share a stride.  c16
 * is written in whole panels, c up to n.  The second product goes on with the sums of the first: what an
 * adapter of low rank adds; low_k 0: there is none. */
struct lm_bf16_product {
    const uint16_t *a;   // rows
    const uint16_t *b;   // panels
    float *c;
    const float *base, *bias;
    uint16_t *c16;
    size_t m, n, k;
    size_t a_stride, b_stride, c_stride;
    const uint16_t *low_a, *low_b;   // rows (m, low_k), panels (low_k, n)
    size_t low_k, low_a_stride, low_b_stride;
};

/* Logits of some rows, kept as what the way back needs: of every span s of columns a whole number top[i, s]
 * near its largest logit, in powers of two, total[i, s] = sum of exp(logit) / 2^top, and share[i, j] =
 * exp(logit) / 2^top rounded.  Shares lie group by
 * group, as the way back reads them: row i of group g at share + g * share_stride + i * LM_BF16_GROUP,
 * written in whole panels.  at_target[i] gets the logit of column target[i]. */
struct lm_bf16_logits {
    struct lm_bf16_product product;   // c and c16 unused
    uint16_t *share;                  // (groups, m, LM_BF16_GROUP)
    float *top, *total;               // (m, spans)
    size_t share_stride, spans;
    const uint32_t *target;
    float *at_target;
};

/* The part [first, first + count) of the columns, first a multiple of the group, back to logit gradients:
 *     d[i, j] = share[i, j] * (factor[i, j / span] * scale[i]) - (j == target[i]) * scale[i]
 * in both ways that products want: rows (m, count), written in whole panels, and transposed (count, m), whose
 * stride is a multiple of 32 and which is written in whole 32; the padding is 0.  transposed NULL: only rows.
 */
struct lm_bf16_loss_back {
    const uint16_t *share;
    const float *factor;   // (m, spans)
    const uint32_t *target;
    const float *scale;                       // (m)
    size_t m, columns, share_stride, spans;   // columns: all there are
    uint16_t *rows, *transposed;
    size_t rows_stride, transposed_stride;
};

/* Attention of one sequence, and where a position's queries, keys and values are: q at qkv + t * stride, and
 * so on.  out and its gradient have out_stride. */
struct lm_bf16_attention {
    struct lm_attention shape;
    size_t stride, k_at, v_at, out_stride;
};

struct lm_bf16_kernels {
    /* Rows [row, row + rows) and columns [col, col + cols) of a product; col is a multiple of the panel, of
     * the span for logits. */
    void (*product)(const struct lm_bf16_product *p, size_t row, size_t rows, size_t col, size_t cols);
    void (*logits)(const struct lm_bf16_logits *l, size_t row, size_t rows, size_t col, size_t cols);
    void (*loss_back)(const struct lm_bf16_loss_back *l, size_t first, size_t count);

    /* Weights w (out, in) in f32 to panels of w^T (k = in), of w (k = out): `count` columns from `first` on.
     */
    void (*pack_forward)(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                         size_t first, size_t count);
    void (*pack_backward)(uint16_t *ret, size_t ret_stride, const float *w, size_t out, size_t in,
                          size_t first, size_t count);
    /* x (rows, cols) to panels with k = rows, or to rows of x^T; `count` columns from `first` on, a multiple
     * of the panel.  An odd number of rows gets a 0 behind it; a transposed row is filled up with 0 to whole
     * 32, its stride is a multiple of that. */
    void (*pack)(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows, size_t cols,
                 size_t first, size_t count);
    void (*transpose)(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                      size_t cols, size_t first, size_t count);

    /* RMSNorm of f32 rows (rows, dim) to bf16 rows; scale[r] = 1 / sqrt(mean square + eps) is kept. */
    void (*rmsnorm)(uint16_t *y, size_t stride, float *scale, const float *x, const float *gain, size_t rows,
                    size_t dim, float eps);
    /* dx[r,i] += as in kernels.h, dx16 = dx rounded; dgain[i] = sum over these rows. */
    void (*rmsnorm_back)(float *dx, uint16_t *dx16, float *dgain, const uint16_t *dy, size_t stride,
                         const float *x, const float *scale, const float *gain, size_t rows, size_t dim);
    /* These as in kernels.h; computed in f32, the result rounded. */
    void (*rope)(uint16_t *x, const float *cos_sin, size_t heads, size_t head_dim, float direction);
    void (*swiglu)(uint16_t *y, const uint16_t *gate, const uint16_t *up, size_t n);
    /* Replaces gate and up by their gradients, dy by y. */
    void (*swiglu_back)(uint16_t *gate, uint16_t *up, uint16_t *dy, size_t n);
    /* LayerNorm of f32 rows as rmsnorm above; mean[r] is kept too. */
    void (*layernorm)(uint16_t *y, size_t stride, float *mean, float *scale, const float *x,
                      const float *gain, const float *bias, size_t rows, size_t dim, float eps);
    void (*layernorm_back)(float *dx, uint16_t *dx16, float *dgain, float *dbias, const uint16_t *dy,
                           size_t stride, const float *x, const float *mean, const float *scale,
                           const float *gain, size_t rows, size_t dim);
    void (*gelu)(uint16_t *y, const uint16_t *x, size_t n);
    /* Replaces x by its gradient, dy by y. */
    void (*gelu_back)(uint16_t *x, uint16_t *dy, size_t n);
    /* ret[i] += sum_j x[i,j] */
    void (*row_sums)(float *ret, const uint16_t *x, size_t stride, size_t rows, size_t cols);
    void (*round)(uint16_t *y, const float *x, size_t n);

    /* As in kernels.h, of the query heads that share KV head `kv`; scratch: lm_bf16_attention_bytes(). */
    void (*attention)(const struct lm_bf16_attention *a, size_t kv, uint16_t *out, float *lse,
                      const uint16_t *qkv, void *scratch);
    void (*attention_back)(const struct lm_bf16_attention *a, size_t kv, uint16_t *dqkv, const uint16_t *dout,
                           const uint16_t *out, const float *lse, const uint16_t *qkv, void *scratch);

    /* Multiplies bf16 pairs in registers for `rounds` rounds; returns how many operations that was. */
    double (*burn)(size_t rounds);
};

extern const struct lm_bf16_kernels lm_bf16_scalar;
#ifdef __x86_64__
extern const struct lm_bf16_kernels lm_bf16_avx512;
#endif

const struct lm_bf16_kernels *lm_bf16_kernels(void);   // the row for this processor, see lm_isa

size_t lm_bf16_attention_bytes(size_t positions, size_t head_dim);

/* ---- threaded, same bits for any number of threads ---- */

void lm_bf16_run(const struct lm_bf16_product *p);
void lm_bf16_pack(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                  size_t cols);
void lm_bf16_transpose(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                       size_t cols);

/* As lm_peak_gflops, in bf16 products. */
double lm_bf16_peak_gflops(int ms);

#endif
