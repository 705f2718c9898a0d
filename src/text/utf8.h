#ifndef LM_TEXT_UTF8_H
#define LM_TEXT_UTF8_H
/* text/utf8.h - what the files of `text` share about UTF-8, beside the public functions of text/text.h. */

#include "base/str.h"

/* Length of the ASCII run at the start of s. */
size_t lm_utf8_ascii_run(struct lm_str s);

/* s with every undecodable byte replaced by U+FFFD. */
void lm_utf8_repair(struct lm_str s, struct lm_buf *ret);

/* Appends one code point. */
void lm_utf8_add(struct lm_buf *buf, uint32_t cp);

/* White space as Unicode's White_Space property, without U+0085 and the C0 controls but TAB, LF, VT, FF, CR.
 */
bool lm_utf8_is_blank(uint32_t cp);

static inline bool lm_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool lm_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool lm_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || lm_is_upper(c);
}

static inline bool lm_is_alnum(char c)
{
    return lm_is_digit(c) || lm_is_alpha(c);
}

static inline bool lm_is_space(char c)   // as HTML: TAB, LF, FF, CR, space
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}

static inline char lm_to_lower(char c)
{
    return lm_is_upper(c) ? (char)(c + 32) : c;
}

static inline bool lm_is_ascii(char c)
{
    return (signed char)c >= 0;
}

#endif
