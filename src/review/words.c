/* review/words.c - word rules, as tables of replacements. */

#include "review/words.h"

#include "base/mem.h"
#include "text/text.h"

#include <stdlib.h>
#include <unicode/ucasemap.h>
#include <unicode/uchar.h>

const char *const lm_words_names[] = {
    "default", "none", "13a", "intl", "char", "rouge155", "unicode", NULL
};
_Static_assert(sizeof(lm_words_names) / sizeof(lm_words_names[0]) == LM_WORDS_COUNT + 1, "a name per rule");

void lm_words_scratch_release(struct lm_words_scratch *s)
{
    free(s->points);
    free(s->other);
    lm_buf_release(&s->text);
    *s = (struct lm_words_scratch){ 0 };
}

/* lm_utf8_next with a short way for ASCII. */
static inline size_t next_point(struct lm_str text, size_t at, uint32_t *ret)
{
    const unsigned char c = (unsigned char)text.ptr[at];
    if (c >= 0x80)
        return lm_utf8_next(text, at, ret);
    *ret = c;
    return 1;
}

/* ---- kinds of characters ---- */

static bool is_blank(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1f);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static bool is_no_digit(uint32_t cp)
{
    return !is_digit(cp);
}

static bool is_hyphen(uint32_t cp)
{
    return cp == '-';
}

static bool is_period_or_comma(uint32_t cp)
{
    return cp == '.' || cp == ',';
}

/* All of ASCII that is neither letter nor digit, but for ' , - . and controls. */
static bool is_13a_symbol(uint32_t cp)
{
    return (cp >= '{' && cp <= '~') || (cp >= '[' && cp <= '`') || (cp >= ' ' && cp <= '&') ||
           (cp >= '(' && cp <= '+') || (cp >= ':' && cp <= '@') || cp == '/';
}

static uint32_t category(uint32_t cp)
{
    return U_GET_GC_MASK((UChar32)cp);
}

static bool is_punctuation(uint32_t cp)
{
    return category(cp) & U_GC_P_MASK;
}

static bool is_symbol(uint32_t cp)
{
    return category(cp) & U_GC_S_MASK;
}

static bool is_no_number(uint32_t cp)
{
    return !(category(cp) & U_GC_N_MASK);
}

/* ---- replacements ---- */

/* s/(first)(second)/.../, left to right, without overlap; second NULL: first alone.  Blanks are added where
 * said. */
struct replacement {
    bool (*first)(uint32_t cp);
    bool (*second)(uint32_t cp);
    bool before, between, after;
};

static const struct replacement rules_13a[] = {
    { is_13a_symbol, NULL, .before = true, .after = true },
    { is_no_digit, is_period_or_comma, .between = true, .after = true },
    { is_period_or_comma, is_no_digit, .before = true, .between = true },
    { is_digit, is_hyphen, .between = true, .after = true },
};
static const struct replacement rules_intl[] = {
    { is_no_number, is_punctuation, .between = true, .after = true },
    { is_punctuation, is_no_number, .before = true, .between = true },
    { is_symbol, NULL, .before = true, .after = true },
};

enum { GROWTH_MAX = 3 };   // of one replacement: a character and two blanks

static size_t replace(const struct replacement *r, const uint32_t *from, size_t len, uint32_t *to)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (!r->first(from[i]) || (r->second && (i + 1 == len || !r->second(from[i + 1])))) {
            to[n++] = from[i];
            continue;
        }
        if (r->before)
            to[n++] = ' ';
        to[n++] = from[i];
        if (r->second) {
            if (r->between)
                to[n++] = ' ';
            to[n++] = from[++i];
        }
        if (r->after)
            to[n++] = ' ';
    }
    return n;
}

static size_t decode(struct lm_str text, struct lm_words_scratch *s)
{
    lm_grow(&s->points, &s->points_cap, text.len + 1, sizeof(*s->points));
    size_t n = 0;
    for (size_t at = 0; at < text.len;)
        at += next_point(text, at, &s->points[n++]);
    return n;
}

static void apply(const struct replacement *rules, size_t rule_count, struct lm_str text,
                  struct lm_words_scratch *s, struct lm_buf *ret)
{
    size_t len = decode(text, s);
    for (size_t i = 0; i < rule_count; i++) {
        lm_grow(&s->other, &s->other_cap, GROWTH_MAX * len + 1, sizeof(*s->other));
        len = replace(&rules[i], s->points, len, s->other);
        uint32_t *points = s->points;
        s->points = s->other;
        s->other = points;
        const size_t cap = s->points_cap;
        s->points_cap = s->other_cap;
        s->other_cap = cap;
    }
    char *out = lm_buf_space(ret, 4 * len + 1);
    size_t bytes = 0;
    for (size_t i = 0; i < len; i++) {
        if (s->points[i] < 0x80)
            out[bytes++] = (char)s->points[i];
        else
            bytes += lm_utf8_put(s->points[i], out + bytes);
    }
    ret->len += bytes;
}

/* ---- the rules ---- */

/* What mteval undoes before it looks for words, one after the other. */
static const struct {
    struct lm_str from, to;
} unescapes[] = {
    { { "<skipped>", 9 }, { "", 0 } }, { { "-\n", 2 }, { "", 0 } },    { { "\n", 1 }, { " ", 1 } },
    { { "&quot;", 6 }, { "\"", 1 } },  { { "&amp;", 5 }, { "&", 1 } }, { { "&lt;", 4 }, { "<", 1 } },
    { { "&gt;", 4 }, { ">", 1 } },
};

static struct lm_str replace_all(struct lm_str text, struct lm_str from, struct lm_str to, struct lm_buf *buf)
{
    ptrdiff_t at = lm_str_find(text, from);
    if (at < 0)
        return text;
    struct lm_buf out = { 0 };
    for (; at >= 0; at = lm_str_find(text, from)) {
        lm_buf_add(&out, text.ptr, (size_t)at);
        lm_buf_add_str(&out, to);
        text.ptr += (size_t)at + from.len;
        text.len -= (size_t)at + from.len;
    }
    lm_buf_add_str(&out, text);
    lm_buf_release(buf);   // `text` may have pointed into it
    *buf = out;
    return lm_buf_str(buf);
}

static void mark_13a(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    for (size_t i = 0; i < sizeof(unescapes) / sizeof(unescapes[0]); i++)
        if (memchr(text.ptr, unescapes[i].from.ptr[0], text.len))
            text = replace_all(text, unescapes[i].from, unescapes[i].to, &s->text);
    struct lm_buf padded = { 0 };
    lm_buf_putc(&padded, ' ');
    lm_buf_add_str(&padded, text);
    lm_buf_putc(&padded, ' ');
    apply(rules_13a, sizeof(rules_13a) / sizeof(rules_13a[0]), lm_buf_str(&padded), s, ret);
    lm_buf_release(&padded);
}

static void mark_intl(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    apply(rules_intl, sizeof(rules_intl) / sizeof(rules_intl[0]), text, s, ret);
}

static void mark_char(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    (void)s;
    uint32_t cp;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = next_point(text, at, &cp);
        lm_buf_add(ret, text.ptr + at, len);
        lm_buf_putc(ret, ' ');
    }
}

static void mark_none(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    (void)s;
    lm_buf_add_str(ret, text);
}

static void mark_rouge155(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    (void)s;
    const size_t start = ret->len;
    lm_words_lower(text, ret);
    for (char *p = ret->ptr + start, *end = ret->ptr + ret->len; p < end; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9'))
            *p = ' ';
}

static void mark_unicode(struct lm_str text, struct lm_words_scratch *s, struct lm_buf *ret)
{
    lm_buf_reset(&s->text);
    lm_words_lower(text, &s->text);
    const struct lm_str lower = lm_buf_str(&s->text);
    uint32_t cp;
    for (size_t at = 0, len; at < lower.len; at += len) {
        len = next_point(lower, at, &cp);
        if (category(cp) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK))
            lm_buf_add(ret, lower.ptr + at, len);
        else
            lm_buf_putc(ret, ' ');
    }
}

static void (*const marks[LM_WORDS_COUNT])(struct lm_str, struct lm_words_scratch *, struct lm_buf *) = {
    [LM_WORDS_NONE] = mark_none, [LM_WORDS_13A] = mark_13a,           [LM_WORDS_INTL] = mark_intl,
    [LM_WORDS_CHAR] = mark_char, [LM_WORDS_ROUGE155] = mark_rouge155, [LM_WORDS_UNICODE] = mark_unicode,
};

/* The last character that is no blank ends the text. */
static struct lm_str trim_end(struct lm_str text)
{
    size_t end = 0;
    uint32_t cp;
    for (size_t at = 0; at < text.len;) {
        at += next_point(text, at, &cp);
        if (!is_blank(cp))
            end = at;
    }
    return (struct lm_str){ text.ptr, end };
}

void lm_words_mark(enum lm_words how, struct lm_str text, struct lm_words_scratch *scratch,
                   struct lm_buf *ret)
{
    LM_ASSERT(how > LM_WORDS_DEFAULT && how < LM_WORDS_COUNT);
    text = trim_end(text);
    if (text.len > 0)
        marks[how](text, scratch, ret);
}

bool lm_words_next(struct lm_str *rest, struct lm_str *ret)
{
    uint32_t cp;
    size_t start = 0, len;
    for (; start < rest->len; start += len) {
        len = next_point(*rest, start, &cp);
        if (!is_blank(cp))
            break;
    }
    size_t end = start;
    for (; end < rest->len; end += len) {
        len = next_point(*rest, end, &cp);
        if (is_blank(cp))
            break;
    }
    if (end == start)
        return false;
    *ret = (struct lm_str){ rest->ptr + start, end - start };
    *rest = (struct lm_str){ rest->ptr + end, rest->len - end };
    return true;
}

/* ---- lower case ---- */

static bool lower_ascii(struct lm_str text, char *to)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if ((signed char)c < 0)
            return false;
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return true;
}

void lm_words_lower(struct lm_str text, struct lm_buf *ret)
{
    if (text.len == 0)
        return;
    if (lower_ascii(text, lm_buf_space(ret, text.len))) {
        ret->len += text.len;
        return;
    }
    LM_ASSERT(text.len <= INT32_MAX / 4);
    UErrorCode status = U_ZERO_ERROR;
    UCaseMap *map = ucasemap_open("", 0, &status);
    LM_ASSERT(U_SUCCESS(status));           // fails only without memory
    const size_t room = 3 * text.len + 1;   // the most a mapping grows
    const int32_t len = ucasemap_utf8ToLower(map, lm_buf_space(ret, room), (int32_t)room, text.ptr,
                                             (int32_t)text.len, &status);
    LM_ASSERT(U_SUCCESS(status));
    ret->len += (size_t)len;
    ucasemap_close(map);
}
