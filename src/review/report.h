#ifndef LM_REVIEW_REPORT_H
#define LM_REVIEW_REPORT_H
/* review/report.h - what the files that write report.html share.  Internal to the module. */

#include "review/result.h"

extern const char lm_report_style[];

/* ---- review/report_stage.c ----
 * A report.json of any earlier stage as a section: its numbers as facts, its objects of numbers as bars, its
 * lists of objects as tables.  LM_EFORMAT when it is no JSON object. */
enum lm_rc lm_report_stage(const char *path, struct lm_buf *ret, struct lm_err *err);

/* ---- review/report_curve.c ---- */
enum lm_rc lm_report_curve(const struct lm_review_result *r, struct lm_buf *ret, struct lm_err *err);

/* ---- review/report_answers.c ---- */
void lm_report_answers(const struct lm_answers *a, struct lm_buf *ret);

#endif
