#ifndef LM_TENSOR_QUANT_IMPL_H
#define LM_TENSOR_QUANT_IMPL_H
/* tensor/quant_impl.h - encoders of blocks, for the table in quant.c.  Private to this module. */

#include "tensor/quant.h"

enum { LM_QUANT_BLOCK = 32 };

void lm_q8_0_encode(void *ret, const float *x, size_t len);
void lm_q4_0_encode(void *ret, const float *x, size_t len);
void lm_q4_1_encode(void *ret, const float *x, size_t len);
void lm_q5_0_encode(void *ret, const float *x, size_t len);
void lm_q5_1_encode(void *ret, const float *x, size_t len);

#endif
