#include "tensor/simd_avx512.h"

#include "tensor/kernels_simd.h"

LM_KERNELS_ROW(lm_kernels_avx512);
