#ifndef LM_TOKEN_GRAMS_H
#define LM_TOKEN_GRAMS_H
/* token/grams.h - where a long piece may be cut so that its ids do not change.
 *
 * Merges across a place between bytes a and b make a token that holds both.  With x before and y behind them
 * in the text, that token is "ab", ends with "xab", starts with "aby", or holds "xaby".  Where the vocabulary
 * has no such token, nothing merges, and the two sides are encoded on their own.  The sets are a bit map by
 * hash: what is wrongly thought to be in one costs a cut, no more. */

#include "token/tokenizer_impl.h"

struct lm_grams {
    uint8_t pairs[1 << 16];   // by a * 256 + b: LM_GRAM_...
    uint64_t *bits;
    unsigned shift;   // 64 - log2(number of bits)
};

enum { LM_GRAM_INSIDE = 1, LM_GRAM_WHOLE = 2 };   // some token has the pair inside; some token is the pair

/* NULL: not for this vocabulary. */
struct lm_grams *lm_grams_make(const struct lm_tokenizer *t);
void lm_grams_free(struct lm_grams *grams);

/* The end of the part that starts at `from` of piece (some bytes at least): the next place to cut. */
size_t lm_grams_next(const struct lm_grams *grams, struct lm_str piece, size_t from);

#endif
