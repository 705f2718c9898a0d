#ifndef LM_TOKEN_PRETOKEN_KINDS_H
#define LM_TOKEN_PRETOKEN_KINDS_H
/* token/pretoken_kinds.h - where a piece ends in the grammars that tell cases, marks and signs apart: the
 * definition, as pretoken_impl.h for the others.  What the patterns mean, the automaton of the same pattern
 * (split.h) says; tests compare both. */

#include "token/pretoken_impl.h"

/* One character by its kind; what is not UTF-8 is one byte that reads as U+FFFD, a sign. */
struct kind_glyph {
    unsigned kind;   // enum lm_ukind; KIND_HARD more: of what LM_CUTS_APART cuts out
    uint32_t len;
};
enum { KIND_HARD = 8 };

enum {
    REST = 1 << LM_UKIND_REST,
    UPPER = 1 << LM_UKIND_UPPER,
    LOWER = 1 << LM_UKIND_LOWER,
    BOTH = 1 << LM_UKIND_BOTH,
    MARK = 1 << LM_UKIND_MARK,
    NUMBER = 1 << LM_UKIND_NUMBER,
    SPACE = 1 << LM_UKIND_SPACE,
    SIGN = 1 << LM_UKIND_SIGN,
    HARD = 0xff << KIND_HARD,
    LETTER = UPPER | LOWER | BOTH,
    TO_UPPER = UPPER | BOTH | MARK,   // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    TO_LOWER = LOWER | BOTH | MARK,   // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
};

/* The code point of a character of several bytes; *ret_len 1: it is none. */
INLINE uint32_t long_point(const uint8_t *s, size_t left, uint32_t *ret_len)
{
    const uint32_t len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t cp = s[0] & (0x7fu >> len);
    *ret_len = 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > left)
        return 0xfffd;
    for (uint32_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0xfffd;
        cp = cp << 6 | (s[i] & 0x3f);
    }
    if ((len == 3 && (cp < 0x800 || (cp >= 0xd800 && cp < 0xe000))) ||
        (len == 4 && (cp < 0x10000 || cp > 0x10ffff)))
        return 0xfffd;
    *ret_len = len;
    return cp;
}

INLINE struct kind_glyph kind_at(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    uint32_t bytes = 1, cp = s[at];
    if (cp >= 0x80)
        cp = long_point(s + at, len - at, &bytes);
    const bool hard = g.cuts == LM_CUTS_APART && (cp - 0x4e00 <= 0x9fa5 - 0x4e00 || cp - 0x3040 < 0xc0);
    return (struct kind_glyph){ lm_unicode_kind(cp) + (hard ? KIND_HARD : 0u), bytes };
}

INLINE bool kind_in(struct kind_glyph glyph, unsigned set)
{
    return set >> glyph.kind & 1;
}

/* The end of the run of such characters that starts at `at`, perhaps of none. */
INLINE size_t kinds_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len, unsigned set)
{
    while (at < len) {
        const struct kind_glyph glyph = kind_at(g, s, at, len);
        if (!kind_in(glyph, set))
            break;
        at += glyph.len;
    }
    return at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a blank; before an edge as at the end of the text. */
INLINE size_t kinds_blank_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len,
                              unsigned edge)
{
    size_t end = at, last = at, newline_end = 0;
    while (end < len) {
        const struct kind_glyph glyph = kind_at(g, s, end, len);
        if (!kind_in(glyph, SPACE))
            break;
        last = end;
        end += glyph.len;
        if (is_newline(s[last]))
            newline_end = end;
    }
    if (newline_end)
        return newline_end;
    const bool whole = end == len || last == at || kind_in(kind_at(g, s, end, len), edge);
    return whole ? end : last;
}

INLINE size_t kinds_number_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    for (int i = 0; i < g.number_max && at < len; i++) {
        const struct kind_glyph glyph = kind_at(g, s, at, len);
        if (!kind_in(glyph, NUMBER))
            break;
        at += glyph.len;
    }
    return at;
}

/* ---- LM_CUTS_CASED: words end where capitals begin ---- */

/* U*W+ at `at`: capitals and then small letters, where letters without case and marks are both.  0: none. */
INLINE size_t mixed_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    size_t end = at, both_end = 0;
    while (end < len) {
        const struct kind_glyph glyph = kind_at(g, s, end, len);
        if (!kind_in(glyph, TO_UPPER))
            break;
        end += glyph.len;
        if (kind_in(glyph, TO_LOWER))
            both_end = end;
    }
    const size_t small_end = kinds_end(g, s, end, len, TO_LOWER);
    return small_end > end ? small_end : both_end;   // U* gives back what W+ needs
}

/* U+W* at `at`, where there is no U*W+: capitals only. */
INLINE size_t capitals_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    const size_t end = kinds_end(g, s, at, len, UPPER);
    return end > at ? end : 0;
}

/* P?U*W+C?|P?U+W*C?, where P is any character but a letter, a number and the end of a line; 0: none. */
INLINE size_t cased_word_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    const struct kind_glyph first = kind_at(g, s, at, len);
    const bool prefix = !kind_in(first, LETTER | NUMBER) && !is_newline(s[at]) && first.len < len - at;
    size_t end = prefix ? mixed_end(g, s, at + first.len, len) : 0;
    if (!end && kind_in(first, TO_UPPER | TO_LOWER))
        end = mixed_end(g, s, at, len);
    if (!end && prefix)
        end = capitals_end(g, s, at + first.len, len);
    if (!end)
        end = capitals_end(g, s, at, len);
    if (g.short_behind && end && end < len && s[end] == '\'')
        end += contraction(s + end, len - end, true);
    return end;
}

INLINE size_t cased_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    size_t end = cased_word_end(g, s, at, len);
    if (end)
        return end;
    const struct kind_glyph first = kind_at(g, s, at, len);
    if (kind_in(first, NUMBER))
        return kinds_number_end(g, s, at, len);
    const size_t from = at + (s[at] == ' ');
    end = kinds_end(g, s, from, len, REST | MARK | SIGN);
    if (end == from)
        return kinds_blank_end(g, s, at, len, 0);
    while (end < len && (is_newline(s[end]) || s[end] == '/'))
        end++;
    return end;
}

/* ---- LM_CUTS_APART: numbers, and Chinese with Japanese, are cut out first ---- */

INLINE bool is_ascii_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* What no alternative matches is one piece: a run of such characters (rest), up to one that begins a word. */
INLINE size_t unmatched_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len, unsigned rest,
                            unsigned word)
{
    for (size_t end = at;;) {
        const struct kind_glyph glyph = end < len ? kind_at(g, s, end, len) : (struct kind_glyph){ 0, 1 };
        const size_t next = end + glyph.len;
        if (end == len || !kind_in(glyph, rest) ||
            (end > at && next < len && kind_in(kind_at(g, s, next, len), word)))
            return end;
        end = next;
    }
}

/* A piece has hard characters only, or none. */
INLINE size_t apart_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    const struct kind_glyph first = kind_at(g, s, at, len);
    const unsigned side = first.kind & KIND_HARD;
    const unsigned word = (LETTER | MARK) << side, sign = SIGN << side, rest = REST << side;
    const size_t next = at + first.len;
    if (kind_in(first, NUMBER))
        return kinds_number_end(g, s, at, len);
    if (s[at] < 0x80 && kind_in(first, SIGN) && next < len && is_ascii_letter(s[next])) {
        size_t end = next;
        while (end < len && is_ascii_letter(s[end]))
            end++;
        return end;
    }
    const bool prefix = kind_in(first, rest | SPACE) && !is_newline(s[at]);
    if (kind_in(first, word) || (prefix && next < len && kind_in(kind_at(g, s, next, len), word)))
        return kinds_end(g, s, next, len, word);
    const size_t from = at + (s[at] == ' ');
    size_t end = kinds_end(g, s, from, len, sign);
    if (end == from)
        return kind_in(first, SPACE) ? kinds_blank_end(g, s, at, len, NUMBER | HARD)
                                     : unmatched_end(g, s, at, len, rest, word);
    while (side == 0 && end < len && is_newline(s[end]))
        end++;
    return end;
}

#endif
