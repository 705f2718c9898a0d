#ifndef LM_REVIEW_NUMBER_H
#define LM_REVIEW_NUMBER_H
/* review/number.h - numbers for people to read, the same in every locale. */

#include "base/str.h"

#include <stdint.h>

/* "1.40" with decimals 2; halves away from zero; "n/a" when not finite. */
void lm_number_add(struct lm_buf *ret, double value, int decimals);

void lm_number_add_count(struct lm_buf *ret, uint64_t count);   // "1,234,567"

#endif
