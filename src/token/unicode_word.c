#include "token/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <unicode/uchar.h>

/* Of Unicode 16.0, and not in the 15.0 that the library may have. */
static const struct {
    uint32_t first, last;
} newer[] = {
    { 0x897, 0x897 },     { 0x1c89, 0x1c8a },   { 0xa7cb, 0xa7cd },   { 0xa7da, 0xa7dc },
    { 0x105c0, 0x105f3 }, { 0x10d40, 0x10d65 }, { 0x10d69, 0x10d6d }, { 0x10d6f, 0x10d85 },
    { 0x10ec2, 0x10ec4 }, { 0x10efc, 0x10efc }, { 0x11380, 0x11389 }, { 0x1138b, 0x1138b },
    { 0x1138e, 0x1138e }, { 0x11390, 0x113b5 }, { 0x113b7, 0x113c0 }, { 0x113c2, 0x113c2 },
    { 0x113c5, 0x113c5 }, { 0x113c7, 0x113ca }, { 0x113cc, 0x113d3 }, { 0x113e1, 0x113e2 },
    { 0x116d0, 0x116e3 }, { 0x11bc0, 0x11be0 }, { 0x11bf0, 0x11bf9 }, { 0x11f5a, 0x11f5a },
    { 0x13460, 0x143fa }, { 0x16100, 0x16139 }, { 0x16d40, 0x16d6c }, { 0x16d70, 0x16d79 },
    { 0x18cff, 0x18cff }, { 0x1ccf0, 0x1ccf9 }, { 0x1e5d0, 0x1e5fa }, { 0x2ebf0, 0x2ee5d },
};

bool lm_unicode_is_word(uint32_t cp)
{
    if (cp < 0x80)
        return (cp | 0x20) - 'a' < 26 || cp - '0' < 10 || cp == '_';
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
        if (cp >= newer[i].first && cp <= newer[i].last)
            return true;
    return u_hasBinaryProperty((UChar32)cp, UCHAR_ALPHABETIC) ||
           (U_MASK(u_charType((UChar32)cp)) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool lm_unicode_is_digit(uint32_t cp)
{
    return lm_unicode_class(cp) == LM_UCLASS_NUMBER || (cp >= 0x11de0 && cp <= 0x11de9) ||
           (cp >= 0x16ff4 && cp <= 0x16ff6);
}
