/* UTF-8, strictly as in RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
#include "text/utf8.h"
#include "text/text.h"

size_t lm_utf8_ascii_run(struct lm_str s)
{
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + at, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (at < s.len && lm_is_ascii(s.ptr[at]))
        at++;
    return at;
}

/* Smallest code point a sequence of this length may stand for. */
static const uint32_t cp_min[5] = { 0, 0, 0x80, 0x800, 0x10000 };

static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

size_t lm_utf8_next(struct lm_str s, size_t at, uint32_t *ret_cp)
{
    LM_ASSERT(at < s.len);
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    const size_t len = sequence_length(p[0]);
    *ret_cp = 0xfffd;
    if (len == 1) {
        *ret_cp = p[0];
        return 1;
    }
    if (len == 0 || len > s.len - at)
        return 1;
    uint32_t cp = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (cp < cp_min[len] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 1;
    *ret_cp = cp;
    return len;
}

bool lm_utf8_valid(struct lm_str s)
{
    size_t at = 0;
    while (at < s.len) {
        at += lm_utf8_ascii_run((struct lm_str){ s.ptr + at, s.len - at });
        while (at < s.len && !lm_is_ascii(s.ptr[at])) {
            uint32_t cp;
            const size_t used = lm_utf8_next(s, at, &cp);
            if (used == 1)   // a valid sequence that is not ASCII is longer
                return false;
            at += used;
        }
    }
    return true;
}

size_t lm_utf8_put(uint32_t cp, char ret[4])
{
    LM_ASSERT(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
    if (cp < 0x80) {
        ret[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        ret[0] = (char)(0xc0 | cp >> 6);
        ret[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        ret[0] = (char)(0xe0 | cp >> 12);
        ret[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | cp >> 18);
    ret[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

size_t lm_utf8_count(struct lm_str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return count;
}

void lm_utf8_add(struct lm_buf *buf, uint32_t cp)
{
    char bytes[4];
    lm_buf_add(buf, bytes, lm_utf8_put(cp, bytes));
}

void lm_utf8_repair(struct lm_str s, struct lm_buf *ret)
{
    size_t at = 0;
    while (at < s.len) {
        const size_t start = at;   // of a run that is fine
        uint32_t cp = 0;
        size_t used = 0;
        while (at < s.len) {
            at += lm_utf8_ascii_run((struct lm_str){ s.ptr + at, s.len - at });
            if (at == s.len)
                break;
            used = lm_utf8_next(s, at, &cp);
            if (used == 1)
                break;
            at += used;
        }
        lm_buf_add(ret, s.ptr + start, at - start);
        if (at < s.len) {
            lm_utf8_add(ret, 0xfffd);
            at++;
        }
    }
}

bool lm_utf8_is_blank(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}
