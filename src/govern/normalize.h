#ifndef LM_GOVERN_NORMALIZE_H
#define LM_GOVERN_NORMALIZE_H
/* govern/normalize.h - one spelling for what a reader takes for the same, before any rule looks at a text. */

#include "base/err.h"
#include "base/str.h"

enum { LM_REQUEST_TEXT_MAX = 1 << 20 };

/* NFKC; invisible and unassigned characters (Cf, Co, Cn) dropped; digits of all scripts to 0-9; all hyphens
 * to
 * '-'; white space to single blanks; invalid UTF-8 to U+FFFD.  Appends valid UTF-8. */
enum lm_rc lm_request_normalize(struct lm_str text, struct lm_buf *ret, struct lm_err *err);

/* Four or more spelled-out digits in a row to digits; groups of digits split by blanks or hyphens, and groups
 * of exactly three behind a dot, put together.  A decimal stays: an amount must not become an account number.
 * Takes and appends lower-case normalised text. */
void lm_request_join_digits(struct lm_str lower, struct lm_buf *ret);

enum lm_rc lm_request_lower(struct lm_str text, struct lm_buf *ret, struct lm_err *err);   // in no language

#endif
