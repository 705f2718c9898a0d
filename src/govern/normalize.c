#include "govern/normalize.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

/* ---- UTF-8 <-> UTF-16, which is what ICU works on ---- */

static enum lm_rc fail_icu(struct lm_err *err, UErrorCode code)
{
    return lm_fail(err, LM_EINVAL, "the text cannot be normalised: %s", u_errorName(code));
}

static enum lm_rc to_utf16(struct lm_str text, UChar **ret, int32_t *ret_len, struct lm_err *err)
{
    if (text.len > LM_REQUEST_TEXT_MAX)
        return lm_fail(err, LM_ELIMIT, "a text of %zu bytes is longer than the %d allowed", text.len,
                       LM_REQUEST_TEXT_MAX);
    UErrorCode code = U_ZERO_ERROR;
    UChar *wide = lm_alloc((text.len + 1) * sizeof(*wide));   // never more units than bytes
    u_strFromUTF8WithSub(wide, (int32_t)text.len + 1, ret_len, text.ptr, (int32_t)text.len, 0xfffd, NULL,
                         &code);
    if (U_FAILURE(code)) {
        free(wide);
        return fail_icu(err, code);
    }
    *ret = wide;
    return LM_OK;
}

static void put_code_point(struct lm_buf *buf, UChar32 c)
{
    char bytes[4];
    int32_t len = 0;
    UBool is_error = false;
    U8_APPEND(bytes, len, 4, c, is_error);
    if (!is_error)
        lm_buf_add(buf, bytes, (size_t)len);
}

/* ---- one spelling ---- */

static bool is_dropped(UChar32 c)
{
    const int8_t category = u_charType(c);
    return category == U_FORMAT_CHAR || category == U_PRIVATE_USE_CHAR || category == U_UNASSIGNED ||
           category == U_SURROGATE;
}

static bool is_hyphen(UChar32 c)
{
    return (c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == '-';
}

static void put_folded(struct lm_buf *ret, const UChar *wide, int32_t len)
{
    bool blank = true;   // leading ones are not kept
    const size_t start = ret->len;
    for (int32_t i = 0; i < len;) {
        UChar32 c;
        U16_NEXT(wide, i, len, c);
        if (u_isUWhiteSpace(c)) {
            if (!blank)
                lm_buf_putc(ret, ' ');
            blank = true;
        } else if (!is_dropped(c)) {
            const int32_t digit = u_charDigitValue(c);
            put_code_point(ret, digit >= 0 ? '0' + digit : is_hyphen(c) ? '-' : c);
            blank = false;
        }
    }
    if (ret->len > start && ret->ptr[ret->len - 1] == ' ')
        ret->len--;
}

static enum lm_rc nfkc(const UChar *text, int32_t len, UChar **ret, int32_t *ret_len, struct lm_err *err)
{
    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *how = unorm2_getNFKCInstance(&code);
    int32_t cap = len + len / 2 + 32;
    for (;;) {
        UChar *normal = lm_alloc((size_t)cap * sizeof(*normal));
        *ret_len = unorm2_normalize(how, text, len, normal, cap, &code);
        if (U_SUCCESS(code)) {
            *ret = normal;
            return LM_OK;
        }
        free(normal);
        if (code != U_BUFFER_OVERFLOW_ERROR)
            return fail_icu(err, code);
        code = U_ZERO_ERROR;
        cap = *ret_len + 1;   // ICU has said how much it takes
    }
}

static enum lm_rc normalize_once(struct lm_str text, struct lm_buf *ret, struct lm_err *err)
{
    LM_FREE UChar *wide = NULL;
    LM_FREE UChar *normal = NULL;
    int32_t len, normal_len;
    LM_TRY(to_utf16(text, &wide, &len, err));
    LM_TRY(nfkc(wide, len, &normal, &normal_len, err));
    put_folded(ret, normal, normal_len);
    return LM_OK;
}

/* Dropped characters may have kept others apart that compose, so it is done twice. */
enum lm_rc lm_request_normalize(struct lm_str text, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_buf once = { 0 };
    enum lm_rc rc = normalize_once(text, &once, err);
    if (rc == LM_OK)
        rc = normalize_once(lm_buf_str(&once), ret, err);
    lm_buf_release(&once);
    return rc;
}

enum lm_rc lm_request_lower(struct lm_str text, struct lm_buf *ret, struct lm_err *err)
{
    enum { GROWTH_MAX = 3 };

    LM_FREE UChar *wide = NULL;
    int32_t len;
    LM_TRY(to_utf16(text, &wide, &len, err));
    UErrorCode code = U_ZERO_ERROR;
    const int32_t cap = len * GROWTH_MAX + 1;
    LM_FREE UChar *lower = lm_alloc((size_t)cap * sizeof(*lower));
    const int32_t lower_len = u_strToLower(lower, cap, wide, len, "", &code);
    if (U_FAILURE(code))
        return fail_icu(err, code);
    for (int32_t i = 0; i < lower_len;) {
        UChar32 c;
        U16_NEXT(lower, i, lower_len, c);
        put_code_point(ret, c);
    }
    return LM_OK;
}

/* ---- digits ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80) || c == '_';
}

/* Length of a spelled digit at `at`, 0 for anything else. */
static size_t digit_word(struct lm_str s, size_t at, char *ret)
{
    static const char *const words[] = { "zero", "one", "two",   "three", "four",
                                         "five", "six", "seven", "eight", "nine" };
    if (at > 0 && is_word_byte(s.ptr[at - 1]))
        return 0;
    const struct lm_str rest = { s.ptr + at, s.len - at };
    for (size_t i = 0; i < 10; i++) {
        const struct lm_str word = lm_str(words[i]);
        if (lm_str_starts(rest, word) && (rest.len == word.len || !is_word_byte(rest.ptr[word.len]))) {
            *ret = (char)('0' + i);
            return word.len;
        }
    }
    return 0;
}

static size_t skip_separators(struct lm_str s, size_t at)
{
    enum { SEPARATORS_MAX = 3 };   // " - "

    size_t n = 0;
    while (at + n < s.len && n < SEPARATORS_MAX && (s.ptr[at + n] == ' ' || s.ptr[at + n] == '-'))
        n++;
    return at + n;
}

static void put_spelled_digits(struct lm_str s, struct lm_buf *ret)
{
    enum { RUN_MIN = 4 };

    for (size_t at = 0; at < s.len;) {
        const size_t start = at, len_before = ret->len;
        size_t end = at, count = 0, len;
        char digit;
        while ((len = digit_word(s, at, &digit)) > 0) {
            lm_buf_putc(ret, digit);
            count++;
            end = at + len;
            at = skip_separators(s, end);
        }
        if (count >= RUN_MIN) {
            at = end;
            continue;
        }
        ret->len = len_before;   // too few: stay words
        at = start;
        do   // to the next place where a word may begin
            lm_buf_putc(ret, s.ptr[at++]);
        while (at < s.len && is_word_byte(s.ptr[at]) && is_word_byte(s.ptr[at - 1]));
    }
}

static bool is_group_of_three(struct lm_str s, size_t at)
{
    return at + 3 <= s.len && is_digit(s.ptr[at]) && is_digit(s.ptr[at + 1]) && is_digit(s.ptr[at + 2]) &&
           (at + 3 == s.len || !is_digit(s.ptr[at + 3]));
}

/* Where the digits go on after a gap at `at`; `at` itself if they do not. */
static size_t digits_after(struct lm_str s, size_t at)
{
    if (at < s.len && s.ptr[at] == '.')
        return is_group_of_three(s, at + 1) ? at + 1 : at;
    const size_t next = skip_separators(s, at);
    return next < s.len && is_digit(s.ptr[next]) ? next : at;
}

void lm_request_join_digits(struct lm_str lower, struct lm_buf *ret)
{
    struct lm_buf spelled = { 0 };
    put_spelled_digits(lower, &spelled);
    const struct lm_str s = lm_buf_str(&spelled);
    for (size_t at = 0; at < s.len;) {
        lm_buf_putc(ret, s.ptr[at++]);
        if (is_digit(s.ptr[at - 1]))
            at = digits_after(s, at);
    }
    lm_buf_release(&spelled);
}
