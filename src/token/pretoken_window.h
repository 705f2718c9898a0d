#ifndef LM_TOKEN_PRETOKEN_WINDOW_H
#define LM_TOKEN_PRETOKEN_WINDOW_H
/* token/pretoken_window.h - 64 bytes of text as masks of classes, and what all grammars do with them. */

#include "token/pretoken_rows.h"

enum { LM_WINDOW = 64, LM_WINDOW_TRUSTED = 60 };   // bits above depend on what is behind the window

/* The classes of the ASCII characters of a window. */
struct lm_window_masks {
    uint64_t letter, number, space, blank, newline, quote, wide;   // wide: bytes of longer characters
    uint64_t letters3;   // first bytes of letters of three bytes, as far as masks tell; the rest is painted
    /* For the grammars of pretoken_kinds.h; in others nobody asks. */
    uint64_t upper, slash, control;   // control: no blanks
    uint64_t hard3;                   // of letters3, what LM_CUTS_APART cuts out
};

struct lm_window {
    struct lm_window_masks m;            // of all characters
    uint64_t two, three, four, inside;   // first bytes by length; bytes that are not the first
    uint64_t both, hard;                 // kinds of pretoken_kinds.h
    uint64_t strange;                    // what is left to the definition, with all that depends on it
};

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

/* Blanks in a grammar with newlines: those behind punctuation belong to it (taken), then all up to the last
 * newline of the run, then all but the last blank, or that one, too, where an edge follows. */
INLINE uint64_t window_starts_blank(const struct lm_window *w, uint64_t taken, uint64_t edges)
{
    const uint64_t blank = w->m.blank, newline = w->m.newline, still = blank & ~newline;
    const uint64_t first = (blank & ~(blank << 1) & ~taken) | (still & taken << 1);
    uint64_t behind = still & newline << 1;   // a newline: starts a piece unless another newline follows
    const uint64_t groups = still & ~(still << 1);
    for (uint64_t ends = (still + groups) & ~still & newline; ends; ends &= ends - 1) {
        const uint64_t below = groups & ((ends & -ends) - 1);
        behind &= ~((uint64_t)1 << (63 - __builtin_clzll(below)));
    }
    return first | behind | window_firsts(w, still & ~((blank | edges) >> 1));
}

#endif
