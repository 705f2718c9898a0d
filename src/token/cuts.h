#ifndef LM_TOKEN_CUTS_H
#define LM_TOKEN_CUTS_H
/* token/cuts.h - pieces of sentencepiece's text that can be encoded apart from each other. */

#include "token/tokenizer_impl.h"

/* [256 * 256]: 1 where text may be cut between byte a and byte b (a * 256 + b).  NULL: this vocabulary can
 * not be treated so.  The caller frees it. */
uint8_t *lm_cuts_make(const struct lm_tokenizer *t);

static inline bool lm_cuts_between(const uint8_t *cuts, char a, char b)
{
    return cuts[(uint8_t)a * (size_t)256 + (uint8_t)b];
}

/* Pieces from *at on, as lm_pretoken_scan; ends_max >= 2. */
size_t lm_cuts_scan(const uint8_t *cuts, struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max);

#endif
