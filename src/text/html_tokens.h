#ifndef LM_TEXT_HTML_TOKENS_H
#define LM_TEXT_HTML_TOKENS_H
/* text/html_tokens.h - the bytes of a page as a stream of tags and text, after the HTML standard's tokenizer
 * without its error messages.  Every byte is looked at a bounded number of times, nothing is copied. */

#include "base/str.h"

enum lm_html_token_type {
    LM_HTML_TEXT,    // `text`: raw, entities not decoded
    LM_HTML_START,   // `text`: the name as written; `attrs`: what follows it up to '>'
    LM_HTML_END,
};

struct lm_html_token {
    enum lm_html_token_type type;
    struct lm_str text, attrs;
};

/* Zero-initialise, then set `in`. */
struct lm_html_scanner {
    struct lm_str in;
    size_t at;
    const char *raw;   // inside this element (script, title, ...) nothing but its end tag is a tag
};

/* Comments, declarations and processing instructions are passed over.  False at the end. */
bool lm_html_next(struct lm_html_scanner *s, struct lm_html_token *ret);

/* Next name and raw value (empty if it has none) of *attrs; false at the end. */
bool lm_html_attr_next(struct lm_str *attrs, struct lm_str *ret_name, struct lm_str *ret_value);

/* Value of the attribute `name` (lower case); false if it is not there. */
bool lm_html_attr(struct lm_str attrs, const char *name, struct lm_str *ret_value);

/* Same letters but for ASCII case; `lower` is lower case. */
bool lm_html_is(struct lm_str name, const char *lower);

/* Reads the character reference at s.ptr[0] == '&' into at most 8 bytes of UTF-8.  Returns the bytes used, 0
 * if it is none.  In an attribute "&copy=" is no reference. */
size_t lm_html_entity(struct lm_str s, bool in_attribute, char ret[8], size_t *ret_len);

/* Raw text or an attribute value with its character references replaced. */
void lm_html_decode(struct lm_str raw, bool in_attribute, struct lm_buf *ret);

#endif
