#ifndef LM_REVIEW_RUN_PAGE_H
#define LM_REVIEW_RUN_PAGE_H
/* review/run_page.h - training.html: the curves of one run, beside its model. */

#include "base/err.h"

/* Reads dir/metrics.jsonl and writes dir/training.html: loss, held-out loss, learning rate, norm of the
 * gradient. A pure function of the metrics.  A run without a single step gets no page. */
enum lm_rc lm_run_page(const char *dir, const char *title, struct lm_err *err);

#endif
