/* AVX2 row: the two floats of a pair are the upper and the shifted lower half of its 32 bits. */
#include "infer/pairs.h"

#include <immintrin.h>

typedef __m256 V;
typedef __m256i W;
enum { VN = 8 };
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)

#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, a) _mm256_storeu_ps(p, a)
#define v_zero() _mm256_setzero_ps()
#define w_load(p) _mm256_loadu_si256((const void *)(p))

static inline W w_pair(const uint16_t *p)
{
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}

static inline V odd(W pair)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xffff0000)));
}

static inline V even(W pair)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
}

static inline V v_add_pair(V sum, W x, W w)
{
    return _mm256_fmadd_ps(even(x), even(w), _mm256_fmadd_ps(odd(x), odd(w), sum));
}

#include "infer/pairs_body.h"

const struct lm_pair_kernels lm_pairs_avx2 = { .prepare = prepare, .product = product };
