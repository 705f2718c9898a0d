#ifndef LM_TOKEN_CHARSMAP_H
#define LM_TOKEN_CHARSMAP_H
/* token/charsmap.h - sentencepiece's precompiled_charsmap: which characters become which.
 *
 *     u32   bytes of the trie (little endian), a multiple of 4
 *     u32*  the trie: a double array of darts-clone
 *     ...   the texts to write instead, each ended by NUL; a value of the trie is a place in here
 *
 * A unit of the trie: bits 0-7 its label, bit 8 has a value, bits 9-30 where its children are; a value is a
 * unit with bit 31 set. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct lm_charsmap {
    uint32_t *units;   // [count]
    size_t count;
    char *texts;   // [texts_len], the last is NUL
    size_t texts_len;
    bool plain[256];   // ASCII characters that stay what they are before another one; not CR
    bool alone[256];   // those that begin no longer key of ASCII characters either
};

/* A copy of the blob.  Every unit that can be reached is looked at: a trie with a value outside the blob, or
 * to a text that is not there, is refused (LM_EFORMAT, without the name of the file). */
enum lm_rc lm_charsmap_load(struct lm_str blob, struct lm_charsmap *ret, struct lm_err *err);
void lm_charsmap_release(struct lm_charsmap *m);

/* What the shortest, the longest key that s starts with becomes; false when there is none. */
bool lm_charsmap_shortest(const struct lm_charsmap *m, struct lm_str s, struct lm_str *ret);
bool lm_charsmap_longest(const struct lm_charsmap *m, struct lm_str s, struct lm_str *ret, size_t *ret_len);

/* As Hugging Face's Precompiled: each grapheme of less than 6 bytes, else each of its characters, by the
 * shortest key it starts with.  A walk starts with its text alone; false at its end. */
struct lm_charsmap_walk {
    struct lm_str text, old, made;   // all of it; a part of it, and what that becomes
    size_t at, end;                  // behind that part, and behind its grapheme
};
bool lm_charsmap_next(const struct lm_charsmap *m, struct lm_charsmap_walk *w);

/* Behind plain characters from `at` on, which are graphemes by themselves. */
size_t lm_charsmap_plain(const struct lm_charsmap *m, struct lm_str text, size_t at);
/* The same for longest keys, up to a blank. */
size_t lm_charsmap_alone(const struct lm_charsmap *m, struct lm_str text, size_t at);

/* All of it, written into buf. */
struct lm_str lm_charsmap_graphemes(const struct lm_charsmap *m, struct lm_str text, struct lm_buf *buf);

#endif
