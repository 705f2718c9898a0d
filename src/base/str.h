#ifndef LM_BASE_STR_H
#define LM_BASE_STR_H
/* base/str.h - text as pointer and length; a growable buffer with a ceiling.
 *
 * lm_str borrows and is passed by value; it may hold NUL and need not be terminated.
 * lm_buf owns; `ptr[len]` is always NUL once anything was written, so ptr is usable for the OS. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lm_str {
    const char *ptr;
    size_t len;
};

#define LM_STR(literal) ((struct lm_str){ "" literal, sizeof(literal) - 1 })

static inline struct lm_str lm_str(const char *s)   // NULL becomes the empty string
{
    return (struct lm_str){ s ? s : "", s ? strlen(s) : 0 };
}

static inline bool lm_str_eq(struct lm_str a, struct lm_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool lm_str_starts(struct lm_str s, struct lm_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool lm_str_ends(struct lm_str s, struct lm_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

int lm_str_cmp(struct lm_str a, struct lm_str b);               // bytewise, shorter first
struct lm_str lm_str_trim(struct lm_str s);                     // ASCII blanks on both ends
ptrdiff_t lm_str_find(struct lm_str s, struct lm_str needle);   // offset or -1
/* The next field of *rest, false after the last.  n separators make n + 1 fields, also empty ones. */
bool lm_str_split(struct lm_str *rest, char sep, struct lm_str *ret);
bool lm_str_to_i64(struct lm_str s, int64_t *ret);   // whole string, decimal, in range
bool lm_str_to_f64(struct lm_str s, double *ret);    // whole string, C locale, finite

enum { LM_F64_TEXT = 32 };
/* The shortest decimal text that reads back as the same (finite) number, in any locale; returns its length.
 */
size_t lm_f64_text(double value, char ret[LM_F64_TEXT]);

struct lm_buf {
    char *ptr;
    size_t len, cap;
    size_t len_max;   // 0 = no ceiling; beyond it `overflow` is set and nothing more is added
    bool overflow;
};

void lm_buf_add(struct lm_buf *buf, const void *bytes, size_t len);
void lm_buf_add_str(struct lm_buf *buf, struct lm_str s);
void lm_buf_puts(struct lm_buf *buf, const char *s);
void lm_buf_putc(struct lm_buf *buf, char c);
void lm_buf_printf(struct lm_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for len more bytes: fill them and add to buf->len yourself.  NULL when the ceiling forbids it. */
char *lm_buf_space(struct lm_buf *buf, size_t len);
void lm_buf_reset(struct lm_buf *buf);   // keeps the memory
void lm_buf_release(struct lm_buf *buf);
char *
lm_buf_take(struct lm_buf *buf);   // the terminated text, never NULL; free() it; buf is empty afterwards
static inline struct lm_str lm_buf_str(const struct lm_buf *buf)
{
    return (struct lm_str){ buf->ptr ? buf->ptr : "", buf->len };
}

/* Hex digits (lower case) of `len` bytes; ret holds 2 * len + 1 characters. */
void lm_hex(const void *bytes, size_t len, char *ret);

/* Edit distance with transpositions, for "did you mean"; strings of up to 63 bytes, longer ones give 64. */
size_t lm_str_distance(const char *a, const char *b);

#endif
