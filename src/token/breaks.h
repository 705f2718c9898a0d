#ifndef LM_TOKEN_BREAKS_H
#define LM_TOKEN_BREAKS_H
/* token/breaks.h - where a text may be broken into parts that are encoded apart from each other, so that
 * their ids, put together, are those of the whole.
 *
 *     " "   before a blank between two ASCII letters,
 *     LF    behind one line end between what is no blank and a letter,
 *     word  inside a run of small ASCII letters that is longer than any token, where no token holds the bytes
 *           on both sides (token/grams.h); only where nothing else comes.
 *
 * At the first two a piece starts in every grammar of this module, whatever stands further away.  Of a
 * pattern that a file brings along its automaton is asked whether a match could lie across. */

#include "token/grams.h"

struct lm_breaks {
    bool blanks, lines;
    const uint8_t *cuts;            // of sentencepiece: token/cuts.h; NULL: not asked
    const struct lm_grams *words;   // NULL: words stay whole
};

/* All false: the texts of this tokenizer stay whole. */
struct lm_breaks lm_breaks_make(const struct lm_tokenizer *t, const uint8_t *cuts,
                                const struct lm_grams *grams);

/* The first place at or behind `at` >= 1 where text may be broken; text.len when there is none. */
size_t lm_breaks_next(const struct lm_breaks *b, struct lm_str text, size_t at);

#endif
