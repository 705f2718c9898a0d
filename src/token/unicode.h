#ifndef LM_TOKEN_UNICODE_H
#define LM_TOKEN_UNICODE_H
/* token/unicode.h - the character classes of pre-tokenisers: \p{L}, \p{N}, \s and the rest.
 *
 * Unicode 16.0, as in Hugging Face's tokenizers; the version is part of what a tokenizer means, so the tables
 * are our own (gen_unicode.mjs makes them) and do not change with an installed library. */

#include <stdbool.h>
#include <stdint.h>

enum lm_uclass { LM_UCLASS_OTHER, LM_UCLASS_LETTER, LM_UCLASS_NUMBER, LM_UCLASS_SPACE };

extern const char lm_unicode_version[];
extern const uint8_t lm_unicode_index[0x110000 / 128];   // block of 128 code points
extern const uint8_t lm_unicode_blocks[][32];            // four classes a byte

/* What words are made of: letters, marks, digits, connecting punctuation (UTS #18, annex C, without its
 * joiners). */
bool lm_unicode_is_word(uint32_t cp);

/* What Digits of Hugging Face takes for a number: those of Unicode 17.0. */
bool lm_unicode_is_digit(uint32_t cp);
#define LM_UNICODE_DIGITS "[\\p{N}\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}]"   // the same as a pattern

static inline enum lm_uclass lm_unicode_class(uint32_t cp)   // cp <= 0x10ffff
{
    const uint8_t four = lm_unicode_blocks[lm_unicode_index[cp >> 7]][(cp & 127) >> 2];
    return (enum lm_uclass)(four >> (2 * (cp & 3)) & 3);
}

/* The same, finer, for patterns that tell cases, marks and signs apart. */
enum lm_ukind {
    LM_UKIND_REST,    // none of these: control characters, formats, what is not assigned
    LM_UKIND_UPPER,   // Lu, Lt
    LM_UKIND_LOWER,   // Ll
    LM_UKIND_BOTH,    // Lm, Lo: letters without case
    LM_UKIND_MARK,
    LM_UKIND_NUMBER,
    LM_UKIND_SPACE,
    LM_UKIND_SIGN,   // P, S
};

extern const uint8_t lm_unicode_kind_index[0x110000 / 128];   // block of 128 code points
extern const uint8_t lm_unicode_kind_blocks[][64];            // two kinds a byte

static inline enum lm_ukind lm_unicode_kind(uint32_t cp)   // cp <= 0x10ffff
{
    const uint8_t two = lm_unicode_kind_blocks[lm_unicode_kind_index[cp >> 7]][(cp & 127) >> 1];
    return (enum lm_ukind)(two >> (4 * (cp & 1)) & 15);
}

#endif
