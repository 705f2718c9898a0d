/* token/template_char.c - characters of the template engine: UTF-8 that survives any bytes, Python's classes
 * and cases.
 *
 * A byte that is no UTF-8 is a character of its own and is passed on as it is.  Case is mapped character by
 * character, so that each result has the origin of what it was made from; only the final sigma looks around.
 */
#include "token/template_impl.h"

#include <unicode/uchar.h>
#include <unicode/ustring.h>

/* Unicode 15, table 3-7. */
size_t lm_tpl_char(const char *at, const char *end, uint32_t *ret)
{
    const uint8_t *p = (const uint8_t *)at;
    const size_t left = (size_t)(end - at);
    const uint8_t first = p[0];
    *ret = first;
    if (first < 0x80)
        return 1;
    const size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t cp = first & (0x7f >> len);
    bool good = first >= 0xc2 && first <= 0xf4 && len <= left;
    for (size_t i = 1; good && i < len; i++) {
        good = (p[i] & 0xc0) == 0x80;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (!good || cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) {
        *ret = LM_TPL_BAD_BYTE + first;
        return 1;
    }
    *ret = cp;
    return len;
}

size_t lm_tpl_char_back(const char *start, const char *end, uint32_t *ret)
{
    LM_DASSERT(end > start);
    for (size_t len = 2; len <= 4 && len <= (size_t)(end - start); len++)
        if (lm_tpl_char(end - len, end, ret) == len)
            return len;
    return lm_tpl_char(end - 1, end, ret);
}

size_t lm_tpl_put_char(uint32_t cp, char ret[4])
{
    if (cp >= LM_TPL_BAD_BYTE) {
        ret[0] = (char)(cp - LM_TPL_BAD_BYTE);
        return 1;
    }
    if (cp < 0x80) {
        ret[0] = (char)cp;
        return 1;
    }
    const size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; cp >>= 6)
        ret[i] = (char)(0x80 | (cp & 0x3f));
    static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    ret[0] = (char)(lead[len] | cp);
    return len;
}

bool lm_tpl_is_blank(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1f);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

bool lm_tpl_is_printable(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 0x20 && cp < 0x7f;
    if (cp >= LM_TPL_BAD_BYTE)
        return false;
    switch (u_charType((UChar32)cp)) {
    case U_UNASSIGNED:
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_PRIVATE_USE_CHAR:
    case U_SURROGATE:
    case U_SPACE_SEPARATOR:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
        return false;
    default:
        return true;
    }
}

/* ---- case ---- */

static bool is_cased(uint32_t cp)
{
    return cp < LM_TPL_BAD_BYTE && u_hasBinaryProperty((UChar32)cp, UCHAR_CASED);
}

static bool is_ignorable(uint32_t cp)
{
    return cp < LM_TPL_BAD_BYTE && u_hasBinaryProperty((UChar32)cp, UCHAR_CASE_IGNORABLE);
}

/* A cased letter before, none behind. */
static bool is_final(struct lm_tpl_text text, size_t at, size_t len)
{
    const char *start = text.ptr, *end = text.ptr + text.len;
    uint32_t cp = 0;
    size_t before = at, behind = at + len;
    while (before > 0) {
        before -= lm_tpl_char_back(start, start + before, &cp);
        if (!is_ignorable(cp))
            break;
    }
    if (!is_cased(cp))
        return false;
    cp = 0;
    while (behind < text.len) {
        behind += lm_tpl_char(start + behind, end, &cp);
        if (!is_ignorable(cp))
            break;
    }
    return !is_cased(cp);
}

/* The full mapping of one character as UTF-8; the result has its length. */
static size_t map(uint32_t cp, enum lm_tpl_case to, bool final, char ret[16])
{
    UChar from[2], wide[8];
    UErrorCode code = U_ZERO_ERROR;
    int32_t n = 0, len = 0;
    if (cp < 0x80) {
        const bool upper = cp >= 'A' && cp <= 'Z', lower = cp >= 'a' && cp <= 'z';
        ret[0] = (char)(to == LM_TPL_LOWER ? (upper ? cp + 32 : cp) : lower ? cp - 32 : cp);
        return 1;
    }
    if (cp >= LM_TPL_BAD_BYTE)
        return lm_tpl_put_char(cp, ret);
    if (to == LM_TPL_LOWER && cp == 0x3a3)
        return lm_tpl_put_char(final ? 0x3c2 : 0x3c3, ret);
    U16_APPEND_UNSAFE(from, n, cp);
    const int32_t room = sizeof(wide) / sizeof(wide[0]);
    if (to == LM_TPL_UPPER)
        len = u_strToUpper(wide, room, from, n, "", &code);
    else if (to == LM_TPL_LOWER)
        len = u_strToLower(wide, room, from, n, "", &code);
    else
        len = u_strToTitle(wide, room, from, n, NULL, "", &code);
    if (U_FAILURE(code) || len > 4)
        return lm_tpl_put_char(cp, ret);
    size_t bytes = 0;
    for (int32_t i = 0; i < len;) {
        UChar32 mapped;
        U16_NEXT(wide, i, len, mapped);
        bytes += lm_tpl_put_char((uint32_t)mapped, ret + bytes);
    }
    return bytes;
}

enum lm_rc lm_tpl_put_case(struct lm_tpl *r, struct lm_tpl_text text, enum lm_tpl_case to)
{
    const char *end = text.ptr + text.len;
    bool in_word = false, first = true;
    LM_TRY(lm_tpl_work(r, text.len / 4));
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        char mapped[16];
        const size_t len = lm_tpl_char(text.ptr + at, end, &cp);
        enum lm_tpl_case one = to;
        if (to == LM_TPL_CAPITALIZE)
            one = first ? LM_TPL_TITLE : LM_TPL_LOWER;
        else if (to == LM_TPL_TITLE)
            one = in_word ? LM_TPL_LOWER : LM_TPL_TITLE;
        else if (to == LM_TPL_WORDS)
            one = first ? LM_TPL_UPPER : LM_TPL_LOWER;
        in_word = is_cased(cp);
        first = to == LM_TPL_WORDS && (lm_tpl_is_blank(cp) || (cp < 0x80 && strchr("-({[<", (int)cp)));
        const bool final = one == LM_TPL_LOWER && cp == 0x3a3 && is_final(text, at, len);
        const size_t mapped_len = map(cp, one, final, mapped);
        LM_TRY(lm_tpl_put_own(r, (struct lm_str){ mapped, mapped_len }, text.origin[at]));
        at += len;
    }
    return LM_OK;
}
