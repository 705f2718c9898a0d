#ifndef LM_TENSOR_QUANT_H
#define LM_TENSOR_QUANT_H
/* tensor/quant.h - the types of stored weights: plain floats and GGUF's blocks of small integers.
 *
 * A row of a matrix is a whole number of blocks; a block is block_len neighbouring values of one row in
 * block_bytes bytes, little-endian, at any alignment.  Layouts: ggml's, as in docs/formats/gguf.md.
 * decode is exact (the value of a block is a product and a sum of floats, rounded as written there); encode
 * is the reference rounding of the type, so equal input gives the bytes that ggml gives. */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lm_type {
    LM_TYPE_F32,
    LM_TYPE_F16,
    LM_TYPE_BF16,
    LM_TYPE_Q8_0,
    LM_TYPE_Q4_0,
    LM_TYPE_Q4_1,
    LM_TYPE_Q5_0,
    LM_TYPE_Q5_1,
    LM_TYPE_Q4_K,
    LM_TYPE_Q5_K,
    LM_TYPE_Q6_K,
    LM_TYPE_COUNT,
};

struct lm_type_info {
    const char *name;   // "Q8_0"
    uint32_t gguf_id;
    size_t block_len, block_bytes;
    void (*decode)(float *ret, const void *blocks, size_t len);   // len is a multiple of block_len
    void (*encode)(void *ret, const float *x, size_t len);        // NULL: loom reads the type only
};
extern const struct lm_type_info lm_types[LM_TYPE_COUNT];

bool lm_type_by_name(const char *name, enum lm_type *ret);   // any case
bool lm_type_by_gguf(uint32_t gguf_id, enum lm_type *ret);
size_t lm_type_bytes(enum lm_type type, size_t len);   // len must be a multiple of block_len

/* One value; exact both ways but for encode's rounding to nearest, ties to even. */
float lm_f16_decode(uint16_t half);
uint16_t lm_f16_encode(float x);
float lm_bf16_decode(uint16_t half);
uint16_t lm_bf16_encode(float x);

#endif
