/* AVX-512 BF16 row: VDPBF16PS. */
#include "infer/pairs.h"

#include <immintrin.h>

typedef __m512 V;
typedef __m512i W;
enum { VN = 16 };
#define TILE_PANELS(rows) ((rows) == 1 ? 8 : 4)

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, a) _mm512_storeu_ps(p, a)
#define v_zero() _mm512_setzero_ps()
#define w_load(p) _mm512_loadu_si512(p)
#define v_add_pair(sum, x, w) _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(w))

static inline W w_pair(const uint16_t *p)
{
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

#include "infer/pairs_body.h"

const struct lm_pair_kernels lm_pairs_avx512_bf16 = { .prepare = prepare, .product = product };
