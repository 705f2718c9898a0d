#ifndef LM_REVIEW_PAGE_H
#define LM_REVIEW_PAGE_H
/* review/page.h - the frame and the parts that all of our HTML pages share.  A page is one file: style and
 * pictures are in it, and it asks for nothing from outside. */

#include "review/svg.h"

/* Head, style sheet (and `style` behind it), the small line above the title, the title; <main> stays open. */
void lm_page_open(const char *what, const char *kicker, const char *title, const char *style,
                  struct lm_buf *ret);
void lm_page_close(struct lm_buf *ret);

/* One fact of a <dl class="facts">. */
void lm_page_fact_open(const char *name, struct lm_buf *ret);
void lm_page_fact_close(struct lm_buf *ret);
void lm_page_fact_count(const char *name, uint64_t count, struct lm_buf *ret);

/* One entry of a <ul class="legend">. */
void lm_page_legend(const char *css_class, const char *text, struct lm_buf *ret);

/* The chart and its note, and the end of the <figure>.  A reader is told when something was cut off. */
void lm_page_chart(const struct lm_svg_chart *chart, const char *note, struct lm_buf *ret);

#endif
