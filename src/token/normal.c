#include "token/normal.h"

#include "base/err.h"
#include "base/mem.h"
#include "text/text.h"

#include <pthread.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>

static bool is_ascii(struct lm_str text)
{
    uint8_t any = 0;
    for (size_t i = 0; i < text.len; i++)
        any |= (uint8_t)text.ptr[i];
    return any < 128;
}

/* UTF-16 of the text, or NULL when it is not UTF-8 or too long for ICU's 32-bit lengths. */
static UChar *to_utf16(struct lm_str text, int32_t *ret_len)
{
    if (text.len > INT32_MAX / 4)
        return NULL;
    UErrorCode code = U_ZERO_ERROR;
    UChar *wide = lm_alloc((text.len + 1) * sizeof(*wide));
    u_strFromUTF8(wide, (int32_t)text.len + 1, ret_len, text.ptr, (int32_t)text.len, &code);
    if (U_SUCCESS(code))
        return wide;
    free(wide);
    return NULL;
}

static struct lm_str to_utf8(const UChar *wide, int32_t wide_len, struct lm_buf *buf)
{
    UErrorCode code = U_ZERO_ERROR;
    int32_t len = 0;
    lm_buf_reset(buf);
    char *space = lm_buf_space(buf, (size_t)wide_len * 3 + 1);
    u_strToUTF8(space, wide_len * 3 + 1, &len, wide, wide_len, &code);
    LM_ASSERT(U_SUCCESS(code));   // it came from UTF-8 and there is room for the longest form
    buf->len += (size_t)len;
    return lm_buf_str(buf);
}

static const UNormalizer2 *normalizers[LM_FORM_COUNT];

/* Hugging Face's normalisers know Unicode 9.0; what came later does not compose, decompose or change places.
 */
static void make_normalizers(void)
{
    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *const all[LM_FORM_COUNT] = {
        [LM_FORM_NFC] = unorm2_getNFCInstance(&code),
        [LM_FORM_NFD] = unorm2_getNFDInstance(&code),
        [LM_FORM_NFKC] = unorm2_getNFKCInstance(&code),
        [LM_FORM_NFKD] = unorm2_getNFKDInstance(&code),
    };
    USet *known = uset_openPattern(u"[:age=9.0:]", -1, &code);
    LM_ASSERT(U_SUCCESS(code));
    uset_freeze(known);
    for (size_t form = 0; form < LM_FORM_COUNT; form++)
        normalizers[form] = unorm2_openFiltered(all[form], known, &code);
    LM_ASSERT(U_SUCCESS(code));   // they and the set stay for as long as the process
}

static const UNormalizer2 *normalizer(enum lm_normal_form form)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_normalizers);
    return normalizers[form];
}

/* ---- NFC, most of which is looking on ---- */

/* Characters in NFC that compose with nothing before them: a text is normalised apart on both sides of them.
 * Not all, but what most texts are made of. */
static bool is_plain(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } plain[] = { { 0, 0x2ff },       { 0x388, 0x482 },   { 0x2002, 0x2060 }, { 0x20a0, 0x20bf },
                  { 0x2100, 0x2125 }, { 0x212c, 0x2328 }, { 0x232b, 0x2adb }, { 0x3001, 0x3029 },
                  { 0x3030, 0x3098 }, { 0x309b, 0x30ff }, { 0x4e00, 0x9fff }, { 0xac00, 0xd7a3 },
                  { 0xff01, 0xff9d }, { 0xfffd, 0xfffd } };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (cp <= plain[i].last)
            return cp >= plain[i].first;
    return false;
}

/* Behind the ASCII characters from `at` on, eight at a time. */
static size_t skip_ascii(struct lm_str text, size_t at)
{
    uint64_t eight;
    for (; text.len - at >= sizeof(eight); at += sizeof(eight)) {
        memcpy(&eight, text.ptr + at, sizeof(eight));
        if (eight & 0x8080808080808080)
            break;
    }
    while (at < text.len && (uint8_t)text.ptr[at] < 0x80)
        at++;
    return at;
}

struct lm_str lm_token_nfc(struct lm_str text, struct lm_buf *buf)
{
    struct lm_buf part = { 0 };
    bool changed = false;
    size_t done = 0, last = 0;   // of the text; start of the character before
    for (size_t at = 0, len; at < text.len; last = at, at += len) {
        const size_t ascii = skip_ascii(text, at);
        last = ascii > at ? ascii - 1 : last;
        at = ascii;
        if (at == text.len)
            break;
        uint32_t cp;
        len = lm_utf8_next(text, at, &cp);
        if (is_plain(cp))
            continue;
        size_t end = at + len;
        while (end < text.len && (len = lm_utf8_next(text, end, &cp), !is_plain(cp)))
            end += len;
        const struct lm_str found = { text.ptr + last, end - last };
        const struct lm_str normal = lm_token_form(LM_FORM_NFC, found, &part);
        if (normal.ptr != found.ptr) {
            if (!changed)
                lm_buf_reset(buf);
            changed = true;
            lm_buf_add(buf, text.ptr + done, last - done);
            lm_buf_add_str(buf, normal);
            done = end;
        }
        at = end;
        len = 0;
    }
    lm_buf_release(&part);
    if (!changed)
        return text;
    lm_buf_add(buf, text.ptr + done, text.len - done);
    return lm_buf_str(buf);
}

struct lm_str lm_token_form(enum lm_normal_form form, struct lm_str text, struct lm_buf *buf)
{
    int32_t wide_len = 0;
    if (is_ascii(text))
        return text;
    LM_FREE UChar *wide = to_utf16(text, &wide_len);
    if (!wide)
        return text;

    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *nfc = normalizer(form);
    if (unorm2_isNormalized(nfc, wide, wide_len, &code) && U_SUCCESS(code))
        return text;
    const int32_t expansion = form == LM_FORM_NFC ? 3 : form == LM_FORM_NFD ? 4 : 18;   // of a unit (UAX #15)
    if (wide_len > INT32_MAX / expansion / 4)
        return text;
    const int32_t room = wide_len * expansion + 1;
    LM_FREE UChar *normal = lm_alloc((size_t)room * sizeof(*normal));
    const int32_t normal_len = unorm2_normalize(nfc, wide, wide_len, normal, room, &code);
    LM_ASSERT(U_SUCCESS(code));
    return to_utf8(normal, normal_len, buf);
}

bool lm_token_form_boundary(enum lm_normal_form form, uint32_t cp)
{
    return cp < 0x80 || unorm2_hasBoundaryBefore(normalizer(form), (UChar32)cp);
}

uint8_t lm_token_form_class(uint32_t cp)
{
    UVersionInfo age;
    const uint8_t class = cp < 0x300 ? 0 : u_getCombiningClass((UChar32)cp);
    if (class == 0)
        return 0;
    u_charAge((UChar32)cp, age);
    return age[0] <= 9 ? class : 0;
}
