#ifndef LM_REVIEW_HTML_H
#define LM_REVIEW_HTML_H
/* review/html.h - text into HTML.  Everything that is not a literal of the report goes through these. */

#include "base/str.h"

/* Escaped for element content and quoted attributes; control characters and invalid UTF-8 become U+FFFD. */
void lm_html_add(struct lm_buf *ret, struct lm_str text);

/* Literal markup with %s (escaped) and %% only. */
void lm_html_addf(struct lm_buf *ret, const char *markup, ...) __attribute__((format(printf, 2, 3)));

#endif
