#ifndef LM_TOKEN_PRETOKEN_WIDE_KINDS_H
#define LM_TOKEN_PRETOKEN_WIDE_KINDS_H
/* token/pretoken_wide_kinds.h - windows of the grammars of pretoken_kinds.h.
 *
 * Each has characters that make it hard (marks among capitals, characters that nothing matches): a window is
 * used up to the first of them, and the piece that holds it is cut by the definition. */

#include "token/pretoken_window.h"

INLINE uint64_t bits_below(size_t count)
{
    return count < LM_WINDOW ? ((uint64_t)1 << count) - 1 : UINT64_MAX;
}

/* Kinds of longer characters, as window_paint in pretoken_wide.h. */
INLINE void window_paint_kinds(const struct lm_grammar g, struct lm_window *w, const uint8_t *s)
{
    const bool cased = g.cuts == LM_CUTS_CASED;
    const unsigned word = cased ? LETTER : (LETTER | MARK) * (1 | 1 << KIND_HARD);
    const unsigned strange = cased ? MARK : REST * (1 | 1 << KIND_HARD);
    const uint64_t tails = w->m.letters3 << 1 | w->m.letters3 << 2;
    w->three = w->m.letters3;
    w->inside = tails;
    w->hard = w->m.hard3 | w->m.hard3 << 1 | w->m.hard3 << 2;
    w->both = w->m.letters3 | tails;
    w->m.letter |= w->both;
    for (uint64_t rest = w->m.wide & ~w->both; rest;) {
        const size_t at = (size_t)__builtin_ctzll(rest);
        const struct kind_glyph c = kind_at(g, s, at, LM_WINDOW);
        const uint64_t first = (uint64_t)1 << at, bits = (((uint64_t)1 << c.len) - 1) << at;
        w->inside |= bits & ~first;
        w->two |= c.len == 2 ? first : 0;
        w->three |= c.len == 3 ? first : 0;
        w->four |= c.len == 4 ? first : 0;
        w->m.letter |= kind_in(c, word) ? bits : 0;
        w->m.upper |= kind_in(c, UPPER) ? bits : 0;
        w->both |= kind_in(c, BOTH) ? bits : 0;
        w->m.number |= kind_in(c, NUMBER) ? bits : 0;
        w->m.blank |= kind_in(c, SPACE) ? bits : 0;
        w->hard |= kind_in(c, HARD) ? bits : 0;
        w->strange |= kind_in(c, strange) ? bits : 0;
        rest &= ~bits;
    }
}

/* ---- LM_CUTS_CASED ---- */

/* Where a run of letters is cut: before capitals behind small letters, and behind letters without case that
 * follow small ones.  Other letters without case stay with capitals behind them, unless these end the run.
 * *limit: places from there on are not known. */
INLINE uint64_t window_case_cuts(const struct lm_window *w, size_t *limit)
{
    const uint64_t upper = w->m.upper, both = w->both, lower = w->m.letter & ~upper & ~both;
    const uint64_t seeds = both & lower << 1, small = (both & ~(both + seeds)) | seeds;
    uint64_t cuts = upper & (lower | small) << 1;
    for (uint64_t rest = upper & (both & ~small) << 1; rest; rest &= rest - 1) {
        const size_t at = (size_t)__builtin_ctzll(rest);
        const size_t end = at + (size_t)__builtin_ctzll(~(upper >> at));
        if (end >= *limit || end > LM_WINDOW_TRUSTED) {
            *limit = at < *limit ? at : *limit;
            break;
        }
        cuts |= (lower | both) >> end & 1 ? 0 : (uint64_t)1 << at;
    }
    return cuts;
}

/* A contraction behind a word ends it. */
INLINE uint64_t window_short_ends(const struct lm_window *w, const uint8_t *s, uint64_t starts, size_t *limit)
{
    size_t fresh = LM_WINDOW;   // where a piece starts because the one before is such a word
    for (uint64_t rest = w->m.quote & starts & w->m.letter << 1; rest; rest &= rest - 1) {
        const size_t at = (size_t)__builtin_ctzll(rest);
        const size_t len = at == fresh ? 0 : contraction(s + at, LM_WINDOW - at, true);
        if (len == 0)
            continue;
        fresh = at + len;
        starts &= ~(bits_below(len) << at);
        starts |= fresh < LM_WINDOW ? (uint64_t)1 << fresh : 0;
        if (fresh < LM_WINDOW && w->both >> fresh & 1)   // whose case the contraction would seem to say
            *limit = fresh < *limit ? fresh + 1 : *limit;
    }
    return starts;
}

INLINE uint64_t window_starts_cased(const struct lm_grammar g, const struct lm_window *w, const uint8_t *s,
                                    size_t *limit)
{
    const uint64_t letter = w->m.letter, blank = w->m.blank, newline = w->m.newline;
    const uint64_t other = ~(letter | w->m.number | blank);
    const uint64_t seeds = newline & other << 1, tail = newline | w->m.slash;
    const uint64_t taken = (tail & ~(tail + seeds)) | seeds, left = other & ~taken;
    const uint64_t other_starts = left & ~(left << 1) & ~(w->m.space << 1);
    const uint64_t prefixed = window_behind(w, other_starts) | (blank & ~newline) << 1;
    const uint64_t starts = (letter & ~(letter << 1) & ~prefixed) | other_starts | window_numbers(g, w) |
                            window_starts_blank(w, taken, 0) | window_case_cuts(w, limit);
    return g.short_behind ? window_short_ends(w, s, starts & ~w->inside, limit) : starts;
}

/* ---- LM_CUTS_APART ---- */

/* ascii: letters of one byte. */
INLINE uint64_t window_starts_apart(const struct lm_grammar g, const struct lm_window *w, uint64_t ascii)
{
    const uint64_t letter = w->m.letter, blank = w->m.blank, newline = w->m.newline, number = w->m.number;
    const uint64_t edges = w->hard ^ w->hard << 1, other = ~(letter | number | blank);
    const uint64_t other_starts = other & (~(other << 1 | w->m.space << 1) | edges);
    const uint64_t words = (other_starts & ~w->m.wide) << 1 & ascii;   // of ASCII, behind one sign
    const uint64_t prefixed = words | (blank & ~newline) << 1;
    const uint64_t taken = window_runs(newline, newline & (other & ~w->hard) << 1);
    return (letter & ~(letter << 1) & ~prefixed) | (letter & (ascii + words) & ~ascii) | other_starts |
           edges | window_numbers(g, w) | window_starts_blank(w, taken, number | w->hard);
}

/* ---- both ---- */

/* *limit: starts below it are known. */
INLINE uint64_t window_starts_kinds(const struct lm_grammar g, struct lm_window_masks masks, const uint8_t *s,
                                    struct lm_window *ret, size_t *limit)
{
    const uint64_t ascii = masks.letter;
    *ret = (struct lm_window){ .m = masks, .strange = g.cuts == LM_CUTS_APART ? masks.control : 0 };
    if (masks.wide)
        window_paint_kinds(g, ret, s);
    *limit = ret->strange ? (size_t)__builtin_ctzll(ret->strange) : LM_WINDOW;
    return g.cuts == LM_CUTS_CASED ? window_starts_cased(g, ret, s, limit)
                                   : window_starts_apart(g, ret, ascii);
}

#endif
