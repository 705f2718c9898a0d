/* token/pretoken_avx512.c - the scanners of pretoken_wide.h with one register per window. */
#include "token/pretoken_wide.h"

#include <immintrin.h>

INLINE uint64_t within(__m512i v, int first, int last)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8((char)first)),
                                  _mm512_set1_epi8((char)(last - first)));
}

INLINE uint64_t equal(__m512i v, int c)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8((char)c));
}

/* First bytes of Han (U+4E00 to U+9FFF), kana and Hangul, all of them letters but for a few among the kana.
 */
INLINE uint64_t asian_letters(__m512i v)
{
    const uint64_t han = within(v, 0xe5, 0xe9) | (equal(v, 0xe4) & within(v, 0xb8, 0xbf) >> 1);
    const uint64_t hangul = within(v, 0xeb, 0xec) | (equal(v, 0xea) & within(v, 0xb0, 0xbf) >> 1) |
                            (equal(v, 0xed) & within(v, 0x80, 0x9d) >> 1);
    const uint64_t kana =
        equal(v, 0xe3) & ((equal(v, 0x81) >> 1 & ~(equal(v, 0x80) >> 2)) |
                          (equal(v, 0x82) >> 1 & ~((within(v, 0x97, 0x9c) | equal(v, 0xa0)) >> 2)) |
                          (equal(v, 0x83) >> 1 & ~(equal(v, 0xbb) >> 2)));
    const uint64_t tail = within(v, 0x80, 0xbf);
    return (han | hangul | kana) & tail >> 1 & tail >> 2;
}

/* First bytes of U+4E00 to U+9FA5 and U+3040 to U+30FF. */
INLINE uint64_t han_and_kana(__m512i v)
{
    const uint64_t tail = within(v, 0x80, 0xbf), kana = equal(v, 0xe3) & within(v, 0x81, 0x83) >> 1;
    const uint64_t last =
        equal(v, 0xe9) & (within(v, 0xbf, 0xbf) | (equal(v, 0xbe) & within(v, 0xa6, 0xbf) >> 1)) >> 1;
    const uint64_t han = (within(v, 0xe5, 0xe9) & ~last) | (equal(v, 0xe4) & within(v, 0xb8, 0xbf) >> 1);
    return (han | kana) & tail >> 1 & tail >> 2;
}

INLINE struct lm_window_masks classify(const uint8_t *s)
{
    const __m512i v = _mm512_loadu_si512(s);
    const __m512i lower = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
    const uint64_t space = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(' '));
    const uint64_t wide = _mm512_movepi8_mask(v);
    return (struct lm_window_masks){
        .letter = _mm512_cmple_epu8_mask(_mm512_sub_epi8(lower, _mm512_set1_epi8('a')),
                                         _mm512_set1_epi8('z' - 'a')),
        .number =
            _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('0')), _mm512_set1_epi8('9' - '0')),
        .space = space,
        .blank = space | _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('\t')),
                                                _mm512_set1_epi8('\r' - '\t')),
        .newline = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n')) |
                   _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\r')),
        .quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\'')),
        .wide = wide,
        .upper = within(v, 'A', 'Z'),
        .slash = equal(v, '/'),
        .control = within(v, 0, 8) | within(v, 14, 31) | equal(v, 127),
        .letters3 = wide ? asian_letters(v) : 0,
        .hard3 = wide ? asian_letters(v) & han_and_kana(v) : 0,
    };
}

/* The places of the bits, plus base; ret has room for 64. */
INLINE size_t write_places(uint64_t bits, size_t base, uint32_t *ret)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t count = 0;
    for (size_t part = 0; part < LM_WINDOW; part += 16) {
        const __mmask16 here = (__mmask16)(bits >> part);
        const __m512i places = _mm512_add_epi32(lane, _mm512_set1_epi32((int)(base + part)));
        _mm512_storeu_si512(ret + count, _mm512_maskz_compress_epi32(here, places));
        count += (size_t)__builtin_popcount(here);
    }
    return count;
}

INLINE size_t scan(const struct lm_grammar g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                   size_t ends_max)
{
    return window_scan(g, text, at, ret_ends, ends_max, classify, write_places);
}

LM_GRAMMAR_SCANNERS

lm_pretoken_scan_fn *const lm_pretoken_avx512[LM_SCANNERS] = { LM_GRAMMAR_SCANNER_TABLE };
