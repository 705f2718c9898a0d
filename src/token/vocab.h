#ifndef LM_TOKEN_VOCAB_H
#define LM_TOKEN_VOCAB_H
/* token/vocab.h - ids and the bytes they stand for, both ways. */

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum { LM_VOCAB_SIZE_MAX = 1 << 22 };   // highest id + 1 that a file may ask for
#define LM_TOKEN_NONE UINT32_MAX

enum lm_token_kind {
    LM_TOKEN_HOLE,      // no token has this id
    LM_TOKEN_MODEL,     // made by merges, or a byte
    LM_TOKEN_ADDED,     // cut out of text before everything else
    LM_TOKEN_SPECIAL,   // an added token that text may spell only when the caller allows it
};

struct lm_token {
    uint32_t at, len;   // in bytes
    enum lm_token_kind kind;
    bool lstrip, rstrip;   // an added token swallows the blanks before or behind it
    bool merged;           // of the model, and what merges may make
    bool single_word;      // it does not touch letters, digits, marks and the like
};

struct lm_vocab {
    struct lm_buf bytes;
    struct lm_token *items;   // [size]
    size_t size, cap;
};

/* Gives an id its bytes; a hole becomes a token, a token is replaced (its old bytes stay behind unused). */
void lm_vocab_set(struct lm_vocab *v, uint32_t id, struct lm_str bytes, enum lm_token_kind kind);
void lm_vocab_release(struct lm_vocab *v);

static inline struct lm_str lm_vocab_bytes(const struct lm_vocab *v, uint32_t id)
{
    return (struct lm_str){ v->bytes.ptr + v->items[id].at, v->items[id].len };
}

/* Bytes to id, for some of a vocabulary's tokens.  Zero-initialised is empty. */
struct lm_token_map {
    uint64_t *slots;   // upper half of the hash << 32 | id, or LM_TOKEN_NONE: free
    size_t mask, len;
};

void lm_vocab_room(struct lm_vocab *v, size_t count, size_t bytes);   // for as many tokens, to grow only once
void lm_token_map_room(struct lm_token_map *m, size_t count);
/* Equal bytes: put replaces, add leaves what is there and returns false. */
void lm_token_map_put(struct lm_token_map *m, const struct lm_vocab *v, uint32_t id);
bool lm_token_map_add(struct lm_token_map *m, const struct lm_vocab *v, uint32_t id);
uint32_t lm_token_map_find(const struct lm_token_map *m, const struct lm_vocab *v, struct lm_str bytes);
/* For many look-ups at a time: each step of one waits for memory while the others go on. */
uint32_t lm_token_hash(struct lm_str bytes);
uint32_t lm_token_map_find_hashed(const struct lm_token_map *m, const struct lm_vocab *v, struct lm_str bytes,
                                  uint32_t hash);
static inline void lm_token_map_fetch_slot(const struct lm_token_map *m, uint32_t hash)
{
    if (m->slots)
        __builtin_prefetch(&m->slots[hash & m->mask]);
}
static inline void lm_token_map_fetch_item(const struct lm_token_map *m, const struct lm_vocab *v,
                                           uint32_t hash)
{
    const uint32_t id = m->slots ? (uint32_t)m->slots[hash & m->mask] : LM_TOKEN_NONE;
    if (id < v->size)
        __builtin_prefetch(&v->items[id]);
}
static inline void lm_token_map_fetch_bytes(const struct lm_token_map *m, const struct lm_vocab *v,
                                            uint32_t hash)
{
    const uint32_t id = m->slots ? (uint32_t)m->slots[hash & m->mask] : LM_TOKEN_NONE;
    if (id < v->size)
        __builtin_prefetch(v->bytes.ptr + v->items[id].at);
}

void lm_token_map_release(struct lm_token_map *m);

/* ---- GPT-2's printable form of bytes, in which vocabularies are written ----
 * Bytes 33-126, 161-172, 174-255 stand for themselves as code points; the other 68 are, in order, U+0100...
 */

uint32_t lm_byte_to_char(uint8_t byte);
uint8_t lm_byte_in_order(size_t index);   // the 256 bytes sorted by that character: the order of ids

void lm_bytes_to_text(struct lm_str bytes, struct lm_buf *ret);   // appends UTF-8
/* Appends the bytes; false, nothing appended, when a character stands for no byte. */
bool lm_text_to_bytes(struct lm_str text, struct lm_buf *ret);

#endif
