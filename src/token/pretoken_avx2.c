/* token/pretoken_avx2.c - the scanners of pretoken_wide.h with two registers per window. */
#include "token/pretoken_wide.h"

#include <immintrin.h>

INLINE __m256i at_most(__m256i v, int first, int last)   // bytes of first..last
{
    const __m256i from = _mm256_sub_epi8(v, _mm256_set1_epi8((char)first));
    return _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8((char)(last - first))), from);
}

INLINE __m256i equal(__m256i v, int c)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8((char)c));
}

INLINE uint64_t bits(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

INLINE struct lm_window_masks classify(const uint8_t *s)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)s), b = _mm256_loadu_si256((const __m256i *)s + 1);
    const __m256i low_a = _mm256_or_si256(a, _mm256_set1_epi8(0x20));
    const __m256i low_b = _mm256_or_si256(b, _mm256_set1_epi8(0x20));
    const uint64_t space = bits(equal(a, ' '), equal(b, ' '));
    return (struct lm_window_masks){
        .letter = bits(at_most(low_a, 'a', 'z'), at_most(low_b, 'a', 'z')),
        .number = bits(at_most(a, '0', '9'), at_most(b, '0', '9')),
        .space = space,
        .blank = space | bits(at_most(a, '\t', '\r'), at_most(b, '\t', '\r')),
        .newline = bits(equal(a, '\n'), equal(b, '\n')) | bits(equal(a, '\r'), equal(b, '\r')),
        .quote = bits(equal(a, '\''), equal(b, '\'')),
        .wide = bits(a, b),
        .upper = bits(at_most(a, 'A', 'Z'), at_most(b, 'A', 'Z')),
        .slash = bits(equal(a, '/'), equal(b, '/')),
        .control = bits(at_most(a, 0, 8), at_most(b, 0, 8)) | bits(at_most(a, 14, 31), at_most(b, 14, 31)) |
                   bits(equal(a, 127), equal(b, 127)),
    };
}

INLINE size_t write_places(uint64_t bits, size_t base, uint32_t *ret)
{
    size_t count = 0;
    for (; bits; bits &= bits - 1)
        ret[count++] = (uint32_t)(base + (size_t)__builtin_ctzll(bits));
    return count;
}

INLINE size_t scan(const struct lm_grammar g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                   size_t ends_max)
{
    return window_scan(g, text, at, ret_ends, ends_max, classify, write_places);
}

LM_GRAMMAR_SCANNERS

lm_pretoken_scan_fn *const lm_pretoken_avx2[LM_SCANNERS] = { LM_GRAMMAR_SCANNER_TABLE };
