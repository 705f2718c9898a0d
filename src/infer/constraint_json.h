#ifndef LM_INFER_CONSTRAINT_JSON_H
#define LM_INFER_CONSTRAINT_JSON_H
/* infer/constraint_json.h - the rules of JSON itself.
 *
 * Behind { [ , and before } ] may stand one blank, or a line end and up to 24 blanks or 8 tabs; behind a
 * colon one blank.  So models that lose themselves in white space come to an end of it.  Numbers have at most
 * DIGITS_MAX digits before the point and behind it, and two in the exponent.  An escape stands for one
 * character, never for half of one. */

#include "infer/constraint_nfa.h"

enum { LM_JSON_DIGITS_MAX = 17 };

/* The first rules of the automaton: these are their numbers. */
enum lm_json_rule {
    LM_RULE_BLANK,
    LM_RULE_CHAR,      // of a string, as it is written there
    LM_RULE_STRING,    // any
    LM_RULE_NUMBER,    // any
    LM_RULE_INTEGER,   // any
    LM_RULE_VALUE,     // any
    LM_RULE_OBJECT,    // any
    LM_RULE_ARRAY,     // any
    LM_RULE_JSON_COUNT,
};

void lm_json_rules(struct lm_nfa *a);   // before anything else is made

static inline struct lm_frag lm_json_call(struct lm_nfa *a, enum lm_json_rule rule)
{
    return lm_nfa_call(a, rule);
}

struct lm_frag lm_json_comma(struct lm_nfa *a);   // with what blanks may follow
struct lm_frag lm_json_colon(struct lm_nfa *a);

#endif
