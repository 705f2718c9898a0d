#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_of(char c)
{
    const char *at = c ? memchr(digits, c, 64) : NULL;
    return at ? (int)(at - digits) : -1;
}

void lm_base64_put(struct lm_str bytes, struct lm_buf *ret)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < bytes.len ? (uint8_t)bytes.ptr[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            lm_buf_putc(ret, i + k > bytes.len ? '=' : digits[three >> (18 - 6 * k) & 63]);
    }
}

bool lm_base64_get(struct lm_str text, struct lm_buf *ret)
{
    uint32_t held = 0;
    unsigned bits = 0;
    if (text.len == 0 || text.len % 4 != 0)
        return false;
    for (size_t pad = 0; pad < 2 && lm_str_ends(text, LM_STR("=")); pad++)
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        const int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            lm_buf_putc(ret, (char)(held >> bits));
        }
    }
    return (held & ((1U << bits) - 1)) == 0;
}
