#ifndef LM_TOKEN_PRETOKEN_WIDE_H
#define LM_TOKEN_PRETOKEN_WIDE_H
/* token/pretoken_wide.h - 64 bytes of text cut at once.
 *
 * A window starts where a piece starts, so it needs nothing of what came before.  Each byte is one bit of a
 * mask per class; a character of several bytes has its class on all of them.  Where pieces start is then a
 * matter of shifts.  What depends on bytes behind the window is not used: the last piece start that is no
 * blank, and far enough from the end, is where the next window begins.  A piece that fills a window is cut by
 * the definition (pretoken_impl.h). */

#include "token/pretoken_wide_kinds.h"

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

/* Piece starts of the grammars whose words take any one character before them (cl100k). */
INLINE uint64_t window_starts_prefixed(const struct lm_grammar g, const struct lm_window *w)
{
    const uint64_t letter = w->m.letter, blank = w->m.blank, other = ~(letter | w->m.number | blank);
    const uint64_t other_starts = other & ~(other << 1) & ~(w->m.space << 1);
    const uint64_t prefixed = window_behind(w, other_starts) | (blank & ~w->m.newline) << 1;
    return (letter & ~(letter << 1) & ~prefixed) | other_starts | window_numbers(g, w) |
           window_starts_blank(w, window_runs(w->m.newline, w->m.newline & other << 1), 0);
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
    size_t limit = LM_WINDOW;
    uint64_t cut;
    if (g.cuts != LM_CUTS_WORDS) {
        cut = window_starts_kinds(g, masks, s, &w, &limit);
        cut = (cut & ~w.inside) | 1;
    } else {
        if (masks.wide)
            window_paint(&w, s);
        const uint64_t starts =
            g.prefix == LM_PREFIX_SPACE ? window_starts_plain(g, &w) : window_starts_prefixed(g, &w);
        cut = window_contractions(g, &w, s, (starts & ~w.inside) | 1);
    }
    const uint64_t next = cut & ~w.m.blank & (((uint64_t)2 << LM_WINDOW_TRUSTED) - 2) & bits_below(limit);
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

/* By grammar: lm_grammars, then lm_known. */
extern lm_pretoken_scan_fn *const lm_pretoken_avx512[LM_SCANNERS];
extern lm_pretoken_scan_fn *const lm_pretoken_avx2[LM_SCANNERS];

#endif
