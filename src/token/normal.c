#include "token/normal.h"

#include "base/err.h"
#include "base/mem.h"

#include <unicode/unorm2.h>
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

static const UNormalizer2 *normalizer(enum lm_normal_form form, UErrorCode *code)
{
    switch (form) {
    case LM_FORM_NFD:
        return unorm2_getNFDInstance(code);
    case LM_FORM_NFKC:
        return unorm2_getNFKCInstance(code);
    case LM_FORM_NFKD:
        return unorm2_getNFKDInstance(code);
    default:
        return unorm2_getNFCInstance(code);
    }
}

struct lm_str lm_token_nfc(struct lm_str text, struct lm_buf *buf)
{
    return lm_token_form(LM_FORM_NFC, text, buf);
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
    const UNormalizer2 *nfc = normalizer(form, &code);
    LM_ASSERT(U_SUCCESS(code));
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
