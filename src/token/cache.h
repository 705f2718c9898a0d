#ifndef LM_TOKEN_CACHE_H
#define LM_TOKEN_CACHE_H
/* token/cache.h - piece to ids, for the pieces an encoder has met.  Owner: one thread.
 *
 * A table of 32-byte entries, two a cache line.  The key of a piece of up to 15 bytes is the piece itself
 * with its length in the top byte; of a longer one its hash, length and place in `texts`.  Up to three ids
 * sit in the entry, more in `more`.  A search looks at LM_CACHE_PROBES entries and no further, so that a text
 * made to collide costs no more than one without repetition; a full cache starts anew. */

#include "base/mem.h"
#include "base/str.h"

enum {
    LM_CACHE_PROBES = 8,
    LM_CACHE_INLINE_IDS = 3,
    LM_CACHE_SHORT_MAX = 15,
    LM_CACHE_PIECE_MAX = 512,         // bytes; longer pieces are not kept
    LM_CACHE_ENTRIES_MAX = 1 << 20,   // 32 MiB
    LM_CACHE_TEXTS_MAX = 16 << 20,    // bytes
    LM_CACHE_MORE_MAX = 4 << 20,      // ids
};

struct lm_cache_key {
    uint64_t lo, hi;
};

struct lm_cache_entry {
    struct lm_cache_key key;   // hi == 0: free
    uint32_t count;
    uint32_t ids[LM_CACHE_INLINE_IDS];   // or, when count is larger, ids[0] is the place in `more`
};

struct lm_cache {
    struct lm_cache_entry *entries;
    size_t mask, len;
    struct lm_buf texts;
    uint32_t *more;
    size_t more_len, more_cap;
};

void lm_cache_init(struct lm_cache *c);
void lm_cache_release(struct lm_cache *c);

/* The key of a piece; `readable` says that 16 bytes may be read at its start. */
struct lm_cache_key lm_cache_long_key(struct lm_str piece);

static inline struct lm_cache_key lm_cache_key(struct lm_str piece, bool readable)
{
    if (piece.len > LM_CACHE_SHORT_MAX)
        return lm_cache_long_key(piece);
    /* Read from 16 - len: len bytes of ones, then zeros.  No branch: lengths are as good as random. */
    static const uint64_t masks[4] = { UINT64_MAX, UINT64_MAX, 0, 0 };
    struct lm_cache_key key = { 0, 0 };
    if (readable) {
        struct lm_cache_key mask;
        memcpy(&key, piece.ptr, sizeof(key));
        memcpy(&mask, (const char *)masks + sizeof(mask) - piece.len, sizeof(mask));
        key.lo &= mask.lo;
        key.hi &= mask.hi;
    } else {
        memcpy(&key, piece.ptr, piece.len);
    }
    key.hi |= (uint64_t)piece.len << 56;
    return key;
}

/* Both halves of one wide product, so that every bit of the key reaches the low bits. */
static inline size_t lm_cache_home(const struct lm_cache *c, struct lm_cache_key key)
{
    const unsigned __int128 product =
        (unsigned __int128)(key.lo ^ 0x9e3779b97f4a7c15) * (key.hi ^ 0xd6e8feb86659fd93);
    return ((uint64_t)product ^ (uint64_t)(product >> 64)) & c->mask;
}

/* NULL: not kept. */
const struct lm_cache_entry *lm_cache_find_long(const struct lm_cache *c, struct lm_cache_key key,
                                                struct lm_str piece);

static inline const struct lm_cache_entry *lm_cache_find(const struct lm_cache *c, struct lm_cache_key key,
                                                         size_t home, struct lm_str piece)
{
    if (piece.len > LM_CACHE_SHORT_MAX)
        return lm_cache_find_long(c, key, piece);
    for (size_t i = 0; i < LM_CACHE_PROBES; i++) {
        const struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        if (e->key.lo == key.lo && e->key.hi == key.hi)
            return e;
        if (e->key.hi == 0)
            return NULL;
    }
    return NULL;
}

void lm_cache_put(struct lm_cache *c, struct lm_cache_key key, struct lm_str piece, const uint32_t *ids,
                  size_t count);

#endif
