#include "tensor/simd_avx2.h"

#include "tensor/kernels_simd.h"

LM_KERNELS_ROW(lm_kernels_avx2);
