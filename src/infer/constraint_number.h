#ifndef LM_INFER_CONSTRAINT_NUMBER_H
#define LM_INFER_CONSTRAINT_NUMBER_H
/* infer/constraint_number.h - JSON numbers between bounds, exactly: an automaton over digits.
 *
 * Bounded numbers are written without an exponent, with at most LM_JSON_DIGITS_MAX digits before the point
 * and behind it; what a bound would allow beyond that is not written.  Zero has no sign. */

#include "infer/constraint_nfa.h"

/* In units of 10^-17. */
typedef __int128 lm_decimal;

/* False when it has more than 17 digits behind the point; beyond +-10^19 it is +-10^19. */
bool lm_decimal_read(struct lm_str number, lm_decimal *ret);

struct lm_number_bounds {
    bool has_low, has_high, low_open, high_open;   // open: the bound itself is outside
    lm_decimal low, high;
    size_t fraction_digits_max;   // 0: integers
};

struct lm_frag lm_number_frag(struct lm_nfa *a, const struct lm_number_bounds *b);

#endif
