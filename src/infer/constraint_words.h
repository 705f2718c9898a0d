#ifndef LM_INFER_CONSTRAINT_WORDS_H
#define LM_INFER_CONSTRAINT_WORDS_H
/* infer/constraint_words.h - lists of words as tries, and what is in no list. */

#include "infer/constraint_nfa.h"

/* Exactly one of the words; sorts them.  No word at all: nothing matches. */
struct lm_frag lm_words_frag(struct lm_nfa *a, struct lm_str *words, size_t count);

/* The rest of a JSON string behind its opening quote, up to and with the closing one: plain characters that
 * spell none of the words (given as they stand between the quotes; sorted here). */
struct lm_frag lm_other_words_frag(struct lm_nfa *a, struct lm_str *words, size_t count);

#endif
