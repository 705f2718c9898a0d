#ifndef LM_REVIEW_WORDS_H
#define LM_REVIEW_WORDS_H
/* review/words.h - what a metric takes for a word.  A rule writes blanks into the text where words end; then
 * the text is split on Unicode white space.  Rules are named in signatures and never change under their name.
 */

#include "base/str.h"

#include <stdint.h>

enum lm_words {
    LM_WORDS_DEFAULT,    // the metric decides
    LM_WORDS_NONE,       // white space alone
    LM_WORDS_13A,        // mteval-v13a, as sacreBLEU
    LM_WORDS_INTL,       // mteval-v14 international, as sacreBLEU
    LM_WORDS_CHAR,       // every character
    LM_WORDS_ROUGE155,   // lower case; runs of [a-z0-9]: nothing is left of other scripts
    LM_WORDS_UNICODE,    // lower case; runs of letters, marks and numbers
    LM_WORDS_COUNT,
};
extern const char *const lm_words_names[];   // ends with NULL

/* Zero-initialised is ready; keeps its memory between texts. */
struct lm_words_scratch {
    uint32_t *points, *other;
    size_t points_cap, other_cap;
    struct lm_buf text;
};
void lm_words_scratch_release(struct lm_words_scratch *s);

/* Appends the text with its words marked off by blanks. */
void lm_words_mark(enum lm_words how, struct lm_str text, struct lm_words_scratch *scratch,
                   struct lm_buf *ret);

/* The next word of *rest, false after the last: white space as Python's str.split() sees it. */
bool lm_words_next(struct lm_str *rest, struct lm_str *ret);

/* Appends the text in lower case: Unicode's full mapping, no language's exceptions. */
void lm_words_lower(struct lm_str text, struct lm_buf *ret);

#endif
