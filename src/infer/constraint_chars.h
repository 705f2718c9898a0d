#ifndef LM_INFER_CONSTRAINT_CHARS_H
#define LM_INFER_CONSTRAINT_CHARS_H
/* infer/constraint_chars.h - sets of characters, and the bytes that spell them. */

#include "infer/constraint_nfa.h"

enum { LM_CHAR_MAX = 0x10ffff };

struct lm_chars_range {
    uint32_t low, high;
};

/* Zero-initialised is empty.  Ranges may overlap and come in any order until lm_chars_normalize. */
struct lm_chars {
    struct lm_chars_range *ranges;
    size_t count, cap;
};

/* How a character is written. */
enum lm_spelling {
    LM_SPELL_TEXT,   // UTF-8
    LM_SPELL_JSON,   // inside a JSON string: quote, backslash and controls as escapes
};

void lm_chars_add(struct lm_chars *c, uint32_t low, uint32_t high);
void lm_chars_add_all(struct lm_chars *c, const struct lm_chars *other);
void lm_chars_normalize(struct lm_chars *c);        // sorted, joined
void lm_chars_invert(struct lm_chars *c);           // within U+0000..U+10FFFF
uint8_t lm_chars_kinds(const struct lm_chars *c);   // of which it has every character; c is normalized
void lm_chars_release(struct lm_chars *c);

/* Exactly one character of the set (surrogates never); c is normalized.  An empty set matches nothing. */
struct lm_frag lm_chars_frag(struct lm_nfa *a, const struct lm_chars *c, enum lm_spelling spelling);

/* One given character. */
struct lm_frag lm_char_frag(struct lm_nfa *a, uint32_t c, enum lm_spelling spelling);

/* The first character of well-formed UTF-8 and its bytes; 0 bytes if it is not well-formed, or the end. */
size_t lm_char_read(struct lm_str text, uint32_t *ret);

#endif
