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

/* The steps of prepare. */
static inline void w_round(uint16_t *to, const float *from)
{
    const __m512i bits = _mm512_loadu_si512(from), half = _mm512_set1_epi32(0x7fff),
                  one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, half), odd), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan =
        _mm512_cmp_ps_mask(_mm512_castsi512_ps(bits), _mm512_castsi512_ps(bits), _CMP_UNORD_Q);
    _mm256_storeu_si256((void *)to, _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet)));
}
#define w_round w_round

#include "infer/pairs_body.h"

const struct lm_pair_kernels lm_pairs_avx512_bf16 = { .prepare = prepare, .product = product };
