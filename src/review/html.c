/* review/html.c - escaping. */

#include "review/html.h"

#include "base/err.h"
#include "text/text.h"

#include <stdarg.h>

static const char *entity(uint32_t cp)
{
    switch (cp) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void lm_html_add(struct lm_buf *ret, struct lm_str text)
{
    uint32_t cp;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        const char *escaped = entity(cp);
        char bytes[4];
        if (escaped)
            lm_buf_puts(ret, escaped);
        else if ((cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7f && cp < 0xa0))
            lm_buf_puts(ret, "\xef\xbf\xbd");
        else
            lm_buf_add(ret, bytes, lm_utf8_put(cp, bytes));
    }
}

void lm_html_addf(struct lm_buf *ret, const char *markup, ...)
{
    va_list args;
    va_start(args, markup);
    for (const char *p = markup; *p; p++) {
        if (*p != '%') {
            lm_buf_putc(ret, *p);
        } else if (*++p == 's') {
            lm_html_add(ret, lm_str(va_arg(args, const char *)));
        } else {
            LM_ASSERT(*p == '%');
            lm_buf_putc(ret, '%');
        }
    }
    va_end(args);
}
