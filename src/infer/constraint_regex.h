#ifndef LM_INFER_CONSTRAINT_REGEX_H
#define LM_INFER_CONSTRAINT_REGEX_H
/* infer/constraint_regex.h - regular expressions as fragments.
 *
 *     a  .  [a-z]  [^a-z]  \d \D \w \W \s \S  \t \n \r \f \v \0  \xHH  \uHHHH  \u{H..}  \ and punctuation
 *     (x)  (?:x)  (?<name>x)   x|y   x*  x+  x?  x{n}  x{n,}  x{n,m}, each also with ? behind it
 *
 * \d \w \s are those of ECMA-262: ASCII digits, ASCII words, all blanks.  A dot is any character but a line
 * feed.  ^ and $ may only stand at the ends of an alternative outside of all groups.  Refused, with the
 * offset: look-around, back-references, \b, \p, flags, possessive repetition. */

#include "infer/constraint_chars.h"

struct lm_regex_options {
    enum lm_spelling spelling;
    bool search;         // may match anywhere: only ^ and $ tie it to the ends of the text
    bool own;            // of the program: not held to the limits of outside sources
    const char *where;   // begins messages
};

struct lm_frag lm_regex_frag(struct lm_nfa *a, struct lm_str source, const struct lm_regex_options *options);

/* For expressions of the program itself, which are text and match whole. */
struct lm_frag lm_regex_own(struct lm_nfa *a, const char *source);

#endif
