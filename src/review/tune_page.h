#ifndef LM_REVIEW_TUNE_PAGE_H
#define LM_REVIEW_TUNE_PAGE_H
/* review/tune_page.h - tune.html: all trials of a search in pictures. */

#include "base/err.h"

/* Reads dir/trials.jsonl and dir/curves/, and writes dir/tune.html: the loss of every trial over its steps,
 * the best in colour, and the loss against each parameter; below a table.  A pure function of these files;
 * also of a search that is under way. */
enum lm_rc lm_tune_page(const char *dir, struct lm_err *err);

#endif
