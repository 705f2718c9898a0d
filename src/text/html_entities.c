/* Character references: &name; &name &#decimal; &#xhex;, as the HTML standard reads them. */
#include "base/err.h"
#include "text/html_tokens.h"
#include "text/text.h"
#include "text/utf8.h"

#include "text/html_entities.inc"

enum { ENTITY_COUNT = sizeof entity_at / sizeof *entity_at, NAME_BYTES_MAX = 32, LEGACY_BYTES_MAX = 6 };

/* What pages mean by &#128; .. &#159;: windows-1252.  0 stands for itself. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

/* The name's UTF-8; NULL if there is no such name. */
static const char *find_name(struct lm_str name)
{
    size_t low = 0, high = ENTITY_COUNT;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const char *row = entity_pool + entity_at[middle];
        const size_t len = strlen(row);
        const int order = lm_str_cmp((struct lm_str){ row, len }, name);
        if (order == 0)
            return row + len + 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static size_t hex_value(char c)
{
    if (lm_is_digit(c))
        return (size_t)(c - '0');
    c = lm_to_lower(c);
    return c >= 'a' && c <= 'f' ? (size_t)(c - 'a' + 10) : 16;
}

static size_t numeric(struct lm_str s, char ret[8], size_t *ret_len)
{
    const bool hex = s.len > 2 && (s.ptr[2] == 'x' || s.ptr[2] == 'X');
    const size_t base = hex ? 16 : 10, first = hex ? 3 : 2;
    uint32_t cp = 0;
    size_t at = first;
    for (; at < s.len && hex_value(s.ptr[at]) < base; at++)
        if (cp <= 0x10ffff)   // stays too large once it is
            cp = cp * (uint32_t)base + (uint32_t)hex_value(s.ptr[at]);
    if (at == first)
        return 0;
    if (cp >= 0x80 && cp < 0xa0 && windows_1252[cp - 0x80])
        cp = windows_1252[cp - 0x80];
    if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    *ret_len = lm_utf8_put(cp, ret);
    return at + (at < s.len && s.ptr[at] == ';');
}

size_t lm_html_entity(struct lm_str s, bool in_attribute, char ret[8], size_t *ret_len)
{
    LM_DASSERT(s.len > 0 && s.ptr[0] == '&');
    if (s.len > 2 && s.ptr[1] == '#')
        return numeric(s, ret, ret_len);
    size_t len = 0;   // of the name
    while (len < NAME_BYTES_MAX && 1 + len < s.len && lm_is_alnum(s.ptr[1 + len]))
        len++;
    const char *text = NULL;
    if (1 + len < s.len && s.ptr[1 + len] == ';') {
        text = find_name((struct lm_str){ s.ptr + 1, len + 1 });
        len += text != NULL;
    }
    if (!text) {   // the longest of the old names that need no ';'
        const size_t whole = len;
        len = len < LEGACY_BYTES_MAX ? len : LEGACY_BYTES_MAX;
        while (len > 1 && !(text = find_name((struct lm_str){ s.ptr + 1, len })))
            len--;
        const bool equals = 1 + len < s.len && s.ptr[1 + len] == '=';
        if (in_attribute && (len < whole || equals))
            return 0;
    }
    if (!text)
        return 0;
    *ret_len = strlen(text);
    memcpy(ret, text, *ret_len);
    return 1 + len;
}

void lm_html_decode(struct lm_str raw, bool in_attribute, struct lm_buf *ret)
{
    size_t at = 0;
    while (at < raw.len) {
        const char *amp = memchr(raw.ptr + at, '&', raw.len - at);
        const size_t stop = amp ? (size_t)(amp - raw.ptr) : raw.len;
        lm_buf_add(ret, raw.ptr + at, stop - at);
        if (!amp)
            return;
        char bytes[8];
        size_t len = 0;
        const size_t used = lm_html_entity((struct lm_str){ amp, raw.len - stop }, in_attribute, bytes, &len);
        lm_buf_add(ret, used ? bytes : "&", used ? len : 1);
        at = stop + (used ? used : 1);
    }
}
