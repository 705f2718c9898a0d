#ifndef LM_TOKEN_PRETOKEN_WIDE_H
#define LM_TOKEN_PRETOKEN_WIDE_H
/* token/pretoken_wide.h - 64 bytes of text cut at once.
 *
 * A window starts where a piece starts, so it needs nothing of what came before.  Each byte is one bit of a
 * mask per class; a character of several bytes has its class on all of them.  Where pieces start is then a
 * matter of shifts.  What depends on bytes behind the window is not used: the last piece start that is no
 * blank, and far enough from the end, is where the next window begins.  A piece that fills a window is cut by
 * the definition (pretoken_impl.h). */

#include "token/pretoken_impl.h"

enum { LM_WINDOW = 64, LM_WINDOW_TRUSTED = 60 };   // bits above depend on what is behind the window

/* The classes of the ASCII characters of a window. */
struct lm_window_masks {
    uint64_t letter, number, space, blank, newline, quote, wide;   // wide: bytes of longer characters
    uint64_t letters3;   // first bytes of letters of three bytes, as far as masks tell; the rest is painted
};

struct lm_window {
    struct lm_window_masks m;            // of all characters
    uint64_t two, three, four, inside;   // first bytes by length; bytes that are not the first
};

/* Gives the bytes of longer characters their classes; a character cut by the end of the window gets the class
 * of a byte that is not UTF-8, which is not used. */
static inline void window_paint(struct lm_window *w, const uint8_t *s)
{
    const uint64_t tails = w->m.letters3 << 1 | w->m.letters3 << 2;
    w->three = w->m.letters3;
    w->inside = tails;
    w->m.letter |= w->m.letters3 | tails;
    for (uint64_t rest = w->m.wide & ~(w->m.letters3 | tails); rest;) {
        const size_t at = (size_t)__builtin_ctzll(rest);
        const struct glyph g = long_glyph(s + at, LM_WINDOW - at);
        const uint64_t first = (uint64_t)1 << at, bits = (((uint64_t)1 << g.len) - 1) << at;
        w->inside |= bits & ~first;
        w->two |= g.len == 2 ? first : 0;
        w->three |= g.len == 3 ? first : 0;
        w->four |= g.len == 4 ? first : 0;
        w->m.letter |= g.class == LM_UCLASS_LETTER ? bits : 0;
        w->m.number |= g.class == LM_UCLASS_NUMBER ? bits : 0;
        w->m.blank |= g.class == LM_UCLASS_SPACE ? bits : 0;
        rest &= ~bits;
    }
}

/* From the last byte of characters to the first. */
INLINE uint64_t window_firsts(const struct lm_window *w, uint64_t lasts)
{
    return (lasts & ~w->m.wide) | (lasts >> 1 & w->two) | (lasts >> 2 & w->three) | (lasts >> 3 & w->four) |
           (lasts & w->m.wide & ~w->inside & ~(w->two | w->three | w->four));
}

/* From the first byte of characters to the byte behind them. */
INLINE uint64_t window_behind(const struct lm_window *w, uint64_t firsts)
{
    const uint64_t longer = w->two | w->three | w->four;
    return (firsts & ~longer) << 1 | (firsts & w->two) << 2 | (firsts & w->three) << 3 |
           (firsts & w->four) << 4;
}

/* The runs of `in` that start at a bit of `seeds`, each the first of its run. */
INLINE uint64_t window_runs(uint64_t in, uint64_t seeds)
{
    return in & ~(in + seeds);
}

/* Every character of numbers, or every third of a run of them. */
INLINE uint64_t window_numbers(const struct lm_grammar g, const struct lm_window *w)
{
    const uint64_t n = w->m.number;
    if (g.number_max != 3)
        return n & ~w->inside;
    uint64_t starts = n & ~(n << 1);
    if (!(n & w->m.wide)) {
        const uint64_t fourth = n & n << 1 & n << 2 & n << 3;
        for (uint64_t next = starts << 3 & fourth; next; next = next << 3 & fourth)
            starts |= next;
        return starts;
    }
    size_t in_run = 0;
    for (uint64_t rest = n & ~w->inside; rest; rest &= rest - 1, in_run++) {
        const uint64_t bit = rest & -rest;
        in_run = starts & bit ? 0 : in_run;
        starts |= in_run % 3 == 0 ? bit : 0;
    }
    return starts;
}

/* Piece starts of the grammars whose words take U+0020 before them and nothing else (GPT-2). */
INLINE uint64_t window_starts_plain(const struct lm_grammar g, const struct lm_window *w)
{
    const uint64_t letter = w->m.letter, number = w->m.number, blank = w->m.blank;
    const uint64_t other = ~(letter | number | blank);
    const uint64_t same = (letter & letter << 1) | (number & number << 1) | (other & other << 1);
    uint64_t starts = ~blank & ~same & ~(w->m.space << 1);
    uint64_t before = blank & ~(blank >> 1);   // the last blank before something
    if (g.digits_apart) {
        starts |= number & ~w->inside;
        before &= ~(number >> 1);
    }
    return starts | (blank & ~(blank << 1)) | window_firsts(w, before);
}

/* Blanks in a grammar with newlines: those behind punctuation belong to it, then all up to the last newline
 * of the run, then all but the last blank. */
INLINE uint64_t window_starts_blank(const struct lm_window *w, uint64_t other)
{
    const uint64_t blank = w->m.blank, newline = w->m.newline, still = blank & ~newline;
    const uint64_t taken = window_runs(newline, newline & other << 1);
    const uint64_t first = (blank & ~(blank << 1) & ~taken) | (still & taken << 1);
    uint64_t behind = still & newline << 1;   // a newline: starts a piece unless another newline follows
    const uint64_t groups = still & ~(still << 1);
    for (uint64_t ends = (still + groups) & ~still & newline; ends; ends &= ends - 1) {
        const uint64_t below = groups & ((ends & -ends) - 1);
        behind &= ~((uint64_t)1 << (63 - __builtin_clzll(below)));
    }
    return first | behind | window_firsts(w, still & ~(blank >> 1));
}

/* Piece starts of the grammars whose words take any one character before them (cl100k). */
INLINE uint64_t window_starts_prefixed(const struct lm_grammar g, const struct lm_window *w)
{
    const uint64_t letter = w->m.letter, blank = w->m.blank, other = ~(letter | w->m.number | blank);
    const uint64_t other_starts = other & ~(other << 1) & ~(w->m.space << 1);
    const uint64_t prefixed = window_behind(w, other_starts) | (blank & ~w->m.newline) << 1;
    return (letter & ~(letter << 1) & ~prefixed) | other_starts | window_numbers(g, w) |
           window_starts_blank(w, other);
}

/* An apostrophe that starts a piece may be the start of a contraction. */
INLINE uint64_t window_contractions(const struct lm_grammar g, const struct lm_window *w, const uint8_t *s,
                                    uint64_t starts)
{
    for (uint64_t rest = w->m.quote & starts; rest; rest &= rest - 1) {
        const size_t at = (size_t)__builtin_ctzll(rest);
        const size_t len = contraction(s + at, LM_WINDOW - at, g.contractions == LM_CONTRACT_ANY_CASE);
        if (len == 0)
            continue;
        starts &= ~((((uint64_t)1 << (len - 1)) - 1) << (at + 1));
        starts |= at + len < LM_WINDOW ? (uint64_t)1 << (at + len) : 0;
    }
    return starts;
}

INLINE uint64_t window_starts(const struct lm_grammar g, struct lm_window_masks masks, const uint8_t *s)
{
    struct lm_window w = { .m = masks };
    if (masks.wide)
        window_paint(&w, s);
    const uint64_t starts =
        g.prefix == LM_PREFIX_SPACE ? window_starts_plain(g, &w) : window_starts_prefixed(g, &w);
    const uint64_t cut = window_contractions(g, &w, s, (starts & ~w.inside) | 1);
    const uint64_t next = cut & ~w.m.blank & (((uint64_t)2 << LM_WINDOW_TRUSTED) - 2);
    return next ? cut & (UINT64_MAX >> __builtin_clzll(next)) & ~(uint64_t)1 : 0;
}

/* What a file gives that knows how to read a window: classes, and the places of bits plus base (ret has room
 * for 64). */
typedef struct lm_window_masks lm_window_classify_fn(const uint8_t *s);
typedef size_t lm_window_places_fn(uint64_t bits, size_t base, uint32_t *ret);

INLINE size_t window_scan(const struct lm_grammar g, struct lm_str text, size_t *at, uint32_t *ret_ends,
                          size_t ends_max, lm_window_classify_fn *classify, lm_window_places_fn *write_places)
{
    const uint8_t *s = (const uint8_t *)text.ptr;
    size_t pos = *at, count = 0;
    while (count < ends_max && pos < text.len) {
        if (text.len - pos >= LM_WINDOW && ends_max - count >= LM_WINDOW) {
            const uint64_t starts = window_starts(g, classify(s + pos), s + pos);
            if (starts) {
                count += write_places(starts, pos, ret_ends + count);
                pos = ret_ends[count - 1];
                continue;
            }
        } else if (count > 0 && text.len - pos >= LM_WINDOW) {
            break;   // the rest of the batch is too small for a window
        }
        pos = piece_end(g, s, pos, text.len);
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

typedef size_t lm_pretoken_scan_fn(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max);

/* By grammar, as lm_grammars. */
extern lm_pretoken_scan_fn *const lm_pretoken_avx512[LM_GRAMMAR_COUNT];
extern lm_pretoken_scan_fn *const lm_pretoken_avx2[LM_GRAMMAR_COUNT];

#endif
