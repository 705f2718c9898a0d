#ifndef LM_TENSOR_GEMM_H
#define LM_TENSOR_GEMM_H
/* tensor/gemm.h - large matrix products by oneDNN, behind one struct.
 *
 * All tensors are row-major f32.  A primitive is made once per shape and kept.  In bf16 mode both operands
 * are rounded to bf16 and summed in f32; matrices announced as weights are rounded and packed once per step,
 * not once per product.  Same bits for any number of threads (oneDNN promises nothing: test_gemm.c holds it
 * to it).
 *
 * Owner: one thread, which may run products inside no parallel region.  oneDNN's threads are OpenMP's. */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum lm_gemm_type { LM_GEMM_F32, LM_GEMM_BF16 };

struct lm_gemm;

/* Asks for bf16 only where lm_isa() is AVX512_BF16; if oneDNN then refuses, falls back to f32 and says so. */
enum lm_rc lm_gemm_new(enum lm_gemm_type wanted, struct lm_gemm **ret, struct lm_err *err);
void lm_gemm_free(struct lm_gemm *g);
enum lm_gemm_type lm_gemm_type(const struct lm_gemm *g);
size_t lm_gemm_bytes(const struct lm_gemm *g);   // packed weights and scratch held now, for memory plans

/* A weight matrix whose values change only between steps.  Register every one, then call lm_gemm_pack before
 * the first product and after every change.  In f32 mode both do nothing. */
void lm_gemm_weight(struct lm_gemm *g, const float *w);
void lm_gemm_pack(struct lm_gemm *g);

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
    bool f32;   // never in bf16, whatever the mode (optimiser)
};
enum lm_rc lm_gemm_run(struct lm_gemm *g, const struct lm_product *p, struct lm_err *err);

#endif
