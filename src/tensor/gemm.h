#ifndef LM_TENSOR_GEMM_H
#define LM_TENSOR_GEMM_H
/* tensor/gemm.h - large matrix products by oneDNN, behind one struct.
 *
 * All tensors are row-major f32.  A primitive is made once per shape and kept.  Same bits for any number of
 * threads (oneDNN promises nothing: test_gemm.c holds it to it).  Products in bf16 are tensor/bf16.h's.
 *
 * Owner: one thread, which may run products inside no parallel region.  oneDNN's threads are OpenMP's. */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct lm_gemm;

enum lm_rc lm_gemm_new(struct lm_gemm **ret, struct lm_err *err);
void lm_gemm_free(struct lm_gemm *g);
size_t lm_gemm_bytes(const struct lm_gemm *g);   // scratch held now, for memory plans

/* c (m, n) = a (m, k) b (k, n), or c += with accumulate.  a_t: a is stored (k, m); b_t: b is stored (n, k).
 * So with weights w (out, in):
 *     forward          y  = x w^T     b = w, b_t
 *     to the input     dx = dy w      b = w
 *     to the weights   dw += dy^T x   a = dy, a_t, accumulate
 * c overlaps neither.  LM_EINVAL when oneDNN refuses (out of memory, an unknown processor). */
struct lm_product {
    float *c;
    const float *a, *b;
    size_t m, n, k;
    bool a_t, b_t, accumulate;
};
enum lm_rc lm_gemm_run(struct lm_gemm *g, const struct lm_product *p, struct lm_err *err);

#endif
