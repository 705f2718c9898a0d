#ifndef LM_TENSOR_KERNELS_ROWS_H
#define LM_TENSOR_KERNELS_ROWS_H
/* tensor/kernels_rows.h - the rows of lm_kernels_table, for the files that make them. */

#include "tensor/kernels.h"

/* Queries and keys are taken in blocks of this many positions; a multiple of every vector width. */
enum { LM_ATTENTION_BLOCK = 64 };

extern const struct lm_kernels lm_kernels_scalar;
#if defined(__x86_64__)
extern const struct lm_kernels lm_kernels_avx2, lm_kernels_avx512;
#endif

double lm_burn_scalar(size_t rounds);   // burn of the scalar rows

/* GFLOP/s of all threads that do nothing but burn for `ms`: the sum of what each reached at best. */
double lm_burn_peak(double (*burn)(size_t rounds), size_t rounds, int ms);

void lm_attention_scalar(const struct lm_attention *shape, size_t kv, float *out, float *lse, const float *q,
                         const float *k, const float *v, float *scratch);
void lm_attention_back_scalar(const struct lm_attention *shape, size_t kv, float *dq, float *dk, float *dv,
                              const float *dout, const float *out, const float *lse, const float *q,
                              const float *k, const float *v, float *scratch);

#endif
