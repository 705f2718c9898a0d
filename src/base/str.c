#include "base/str.h"

#include "base/err.h"
#include "base/mem.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

int lm_str_cmp(struct lm_str a, struct lm_str b)
{
    const size_t shared = a.len < b.len ? a.len : b.len;
    const int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct lm_str lm_str_trim(struct lm_str s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t lm_str_find(struct lm_str s, struct lm_str needle)
{
    if (needle.len == 0)
        return 0;
    if (needle.len > s.len)
        return -1;
    const char *at = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return at ? at - s.ptr : -1;
}

bool lm_str_split(struct lm_str *rest, char sep, struct lm_str *ret)
{
    if (!rest->ptr)
        return false;
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (!at) {
        *ret = *rest;
        *rest = (struct lm_str){ 0 };   // the last field is out: the next call says so
        return true;
    }
    const size_t len = (size_t)(at - rest->ptr);
    *ret = (struct lm_str){ rest->ptr, len };
    *rest = (struct lm_str){ at + 1, rest->len - len - 1 };
    return true;
}

bool lm_str_to_i64(struct lm_str s, int64_t *ret)
{
    const bool negative = s.len && s.ptr[0] == '-';
    const size_t first = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+');
    if (first == s.len)
        return false;
    int64_t value = 0;
    for (size_t i = first; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        /* Summed below zero, where INT64_MIN has room. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.ptr[i] - '0', &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *ret = negative ? value : -value;
    return true;
}

/* ---- numbers: the decimal point is a point, whatever locale a library has set ---- */

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", NULL);
    LM_ASSERT(c_locale);
}

static locale_t get_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

bool lm_str_to_f64(struct lm_str s, double *ret)
{
    char small[64];
    LM_FREE char *large = s.len < sizeof(small) ? NULL : lm_alloc(s.len + 1);
    char *text = large ? large : small;
    for (size_t i = 0; i < s.len; i++) {
        /* strtod would also read blanks, "inf", "nan" and hexadecimal. */
        if (!s.ptr[i] || !strchr("0123456789+-.eE", s.ptr[i]))
            return false;
        text[i] = s.ptr[i];
    }
    text[s.len] = '\0';
    char *end;
    const double value = strtod_l(text, &end, get_c_locale());
    if (s.len == 0 || end != text + s.len || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

size_t lm_f64_text(double value, char ret[LM_F64_TEXT])
{
    LM_ASSERT(isfinite(value));

    const locale_t before = uselocale(get_c_locale());
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(ret, LM_F64_TEXT, "%.*g", digits, value);
        if (strtod(ret, NULL) == value)
            break;
    }
    uselocale(before);
    LM_ASSERT(len > 0 && len < LM_F64_TEXT);
    return (size_t)len;
}

/* ---- buffer ---- */

/* Makes room for len bytes and a NUL; false when the ceiling forbids it. */
static bool make_room(struct lm_buf *buf, size_t len)
{
    if (buf->overflow || (buf->len_max && len > buf->len_max - buf->len)) {
        buf->overflow = true;
        return false;
    }
    size_t need;
    if (__builtin_add_overflow(buf->len, len + 1, &need))
        need = SIZE_MAX;   // refused by the allocator, with a message
    lm_grow(&buf->ptr, &buf->cap, need, 1);
    return true;
}

void lm_buf_add(struct lm_buf *buf, const void *bytes, size_t len)
{
    if (!make_room(buf, len))
        return;
    if (len)
        memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    buf->ptr[buf->len] = '\0';
}

void lm_buf_add_str(struct lm_buf *buf, struct lm_str s)
{
    lm_buf_add(buf, s.ptr, s.len);
}

void lm_buf_puts(struct lm_buf *buf, const char *s)
{
    lm_buf_add(buf, s, strlen(s));
}

void lm_buf_putc(struct lm_buf *buf, char c)
{
    lm_buf_add(buf, &c, 1);
}

void lm_buf_printf(struct lm_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    const int len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    LM_ASSERT(len >= 0);
    if ((size_t)len < sizeof(small)) {
        lm_buf_add(buf, small, (size_t)len);
    } else if (make_room(buf, (size_t)len)) {
        vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

char *lm_buf_space(struct lm_buf *buf, size_t len)
{
    if (!make_room(buf, len))
        return NULL;
    buf->ptr[buf->len + len] = '\0';   // terminated even if the caller fills all of it
    return buf->ptr + buf->len;
}

void lm_buf_reset(struct lm_buf *buf)
{
    buf->len = 0;
    buf->overflow = false;
    if (buf->ptr)
        buf->ptr[0] = '\0';
}

void lm_buf_release(struct lm_buf *buf)
{
    free(buf->ptr);
    *buf = (struct lm_buf){ .len_max = buf->len_max };
}

char *lm_buf_take(struct lm_buf *buf)
{
    lm_grow(&buf->ptr, &buf->cap, buf->len + 1, 1);
    char *text = buf->ptr;
    text[buf->len] = '\0';
    *buf = (struct lm_buf){ .len_max = buf->len_max };
    return text;
}

/* ---- hex and distance ---- */

void lm_hex(const void *bytes, size_t len, char *ret)
{
    const uint8_t *in = bytes;
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = "0123456789abcdef"[in[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
    }
    ret[2 * len] = '\0';
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, swap two neighbours; row i of the table needs rows
 * i-1 and i-2 only. */
size_t lm_str_distance(const char *a, const char *b)
{
    enum { LEN_MAX = 63 };

    const size_t a_len = strnlen(a, LEN_MAX + 1), b_len = strnlen(b, LEN_MAX + 1);
    if (a_len > LEN_MAX || b_len > LEN_MAX)
        return LEN_MAX + 1;
    size_t rows[3][LEN_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_len];
}
