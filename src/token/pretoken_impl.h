#ifndef LM_TOKEN_PRETOKEN_IMPL_H
#define LM_TOKEN_PRETOKEN_IMPL_H
/* token/pretoken_impl.h - where a piece ends: the definition that the wide scanners follow and fall back on.
 *
 * Everything is static, so that a file compiled for wider instructions keeps its own copy. */

#include "token/pretoken.h"
#include "token/unicode.h"

#define INLINE static inline __attribute__((always_inline))

/* One character: its class and its length in bytes. */
struct glyph {
    enum lm_uclass class;
    uint32_t len;
};

// clang-format off
/* Class of a byte that is a character; R: a blank that ends a line; X: of a longer character, or not UTF-8. */
enum { NEWLINE = 4, LONG = 8, O = LM_UCLASS_OTHER, L = LM_UCLASS_LETTER, N = LM_UCLASS_NUMBER,
       S = LM_UCLASS_SPACE, R = LM_UCLASS_SPACE | NEWLINE, X = LONG };
static const uint8_t classes[256] = {
    O, O, O, O, O, O, O, O, O, S, R, S, S, R, O, O,   O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,   N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,   L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,   L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,   X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,   X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,   X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,   X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
// clang-format on

/* A character of two to four bytes; whatever is not UTF-8 counts as one byte of no class. */
static struct glyph any_glyph(const uint8_t *s, size_t left)
{
    static const struct {
        uint8_t len, mask;
        uint32_t min;
    } lead[16] = { [12] = { 2, 0x1f, 0x80 },
                   [13] = { 2, 0x1f, 0x80 },
                   [14] = { 3, 0x0f, 0x800 },
                   [15] = { 4, 0x07, 0x10000 } };
    const struct glyph bad = { LM_UCLASS_OTHER, 1 };
    const uint32_t len = lead[s[0] >> 4].len;
    if (len == 0 || len > left)
        return bad;
    uint32_t cp = s[0] & lead[s[0] >> 4].mask;
    for (uint32_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return bad;
        cp = cp << 6 | (s[i] & 0x3f);
    }
    if (cp < lead[s[0] >> 4].min || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000) || s[0] >= 0xf8)
        return bad;
    return (struct glyph){ lm_unicode_class(cp), len };
}

/* The same, quick for two and three bytes. */
INLINE struct glyph long_glyph(const uint8_t *s, size_t left)
{
    uint32_t four;
    if (left < sizeof(four))
        return any_glyph(s, left);
    memcpy(&four, s, sizeof(four));
    if ((four & 0xc0c0f0) == 0x8080e0) {
        const uint32_t cp = (four & 0xf) << 12 | (four >> 2 & 0xfc0) | (four >> 16 & 0x3f);
        if (cp >= 0x800 && (cp < 0xd800 || cp >= 0xe000))
            return (struct glyph){ lm_unicode_class(cp), 3 };
    } else if ((four & 0xc0e0) == 0x80c0 && (four & 0x1e) != 0) {
        return (struct glyph){ lm_unicode_class((four & 0x1f) << 6 | (four >> 8 & 0x3f)), 2 };
    }
    return any_glyph(s, left);
}

INLINE struct glyph glyph_at(const uint8_t *s, size_t at, size_t len)
{
    if (classes[s[at]] != LONG)
        return (struct glyph){ (enum lm_uclass)(classes[s[at]] & 3), 1 };
    return long_glyph(s + at, len - at);
}

INLINE bool is_newline(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* End of the run of characters of one class, not that of blanks, that starts at `at`. */
INLINE size_t run_end(const uint8_t *s, size_t at, size_t len, enum lm_uclass class)
{
    for (;;) {
        while (at < len && classes[s[at]] == class)
            at++;
        if (at == len || classes[s[at]] != LONG)
            return at;
        const struct glyph g = long_glyph(s + at, len - at);
        if (g.class != class)
            return at;
        at += g.len;
    }
}

/* Length of 's 't 'm 'd 're 've 'll at an apostrophe; 0: none.  Any case: (?i:s) also matches U+017F. */
INLINE size_t contraction(const uint8_t *s, size_t left, bool any_case)
{
    if (left < 2)
        return 0;
    const uint8_t fold = any_case ? 0x20 : 0;
    const uint8_t a = s[1] | fold, b = left > 2 ? s[2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    return any_case && left > 2 && s[1] == 0xc5 && s[2] == 0xbf ? 3 : 0;
}

/* The end of a piece that starts with a blank.  In the order of the expression: a word with this blank as its
 * prefix, \s*[\r\n]+, \s+(?!\S) - all but the last blank before something - and \s+. */
INLINE size_t blank_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    size_t end = at, last = at, newline_end = 0;   // last: start of the run's last character
    while (end < len) {
        const struct glyph b = glyph_at(s, end, len);
        if (b.class != LM_UCLASS_SPACE)
            break;
        last = end;
        end += b.len;
        if (is_newline(s[last]))
            newline_end = end;
    }
    const enum lm_uclass next = end < len ? glyph_at(s, end, len).class : LM_UCLASS_SPACE;
    const bool hard_edge = end == len || (g.digits_apart && next == LM_UCLASS_NUMBER);
    if (last == at && !hard_edge) {   // a single blank: perhaps the prefix of what follows
        const bool space = s[at] == ' ';
        if (next == LM_UCLASS_LETTER && (space || (g.prefix == LM_PREFIX_ANY && !is_newline(s[at]))))
            return run_end(s, end, len, LM_UCLASS_LETTER);
        if (next == LM_UCLASS_NUMBER && space && g.number_max == LM_NUMBER_UNLIMITED)
            return run_end(s, end, len, LM_UCLASS_NUMBER);
        if (next == LM_UCLASS_OTHER && space) {
            end = run_end(s, end, len, LM_UCLASS_OTHER);
            while (g.newlines && end < len && is_newline(s[end]))
                end++;
            return end;
        }
    }
    if (g.newlines && newline_end)
        return newline_end;
    return hard_edge || last == at ? end : last;
}

INLINE size_t number_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    const int max = g.digits_apart ? 1 : g.number_max;
    if (max == LM_NUMBER_UNLIMITED)
        return run_end(s, at, len, LM_UCLASS_NUMBER);
    for (int i = 0; i < max && at < len; i++) {
        const struct glyph n = glyph_at(s, at, len);
        if (n.class != LM_UCLASS_NUMBER)
            break;
        at += n.len;
    }
    return at;
}

INLINE size_t other_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len,
                        uint32_t first_len)
{
    if (s[at] == '\'') {
        const size_t contracted = contraction(s + at, len - at, g.contractions == LM_CONTRACT_ANY_CASE);
        if (contracted)
            return at + contracted;
    }
    size_t end = at + first_len;
    if (g.prefix == LM_PREFIX_ANY && end < len && glyph_at(s, end, len).class == LM_UCLASS_LETTER)
        return run_end(s, end, len, LM_UCLASS_LETTER);
    end = run_end(s, end, len, LM_UCLASS_OTHER);
    while (g.newlines && end < len && is_newline(s[end]))
        end++;
    return end;
}

INLINE size_t words_end(const struct lm_grammar g, const uint8_t *s, size_t at, size_t len)
{
    const struct glyph first = glyph_at(s, at, len);
    switch (first.class) {
    case LM_UCLASS_LETTER:
        return run_end(s, at, len, LM_UCLASS_LETTER);
    case LM_UCLASS_NUMBER:
        return number_end(g, s, at, len);
    case LM_UCLASS_SPACE:
        return blank_end(g, s, at, len);
    case LM_UCLASS_OTHER:
        break;
    }
    return other_end(g, s, at, len, first.len);
}

#endif
