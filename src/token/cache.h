#ifndef LM_TOKEN_CACHE_H
#define LM_TOKEN_CACHE_H
/* token/cache.h - piece to ids, for the pieces that encoders have met.
 *
 * A table of 32-byte entries, two a cache line.  The key of a piece of up to 15 bytes is the piece itself
 * with its length in the top byte; of a longer one its hash, length and place in `data`.  Up to three ids
 * sit in the entry, more in `data`.  A search looks at LM_CACHE_PROBES entries and no further, so that a text
 * made to collide costs no more than one without repetition.
 *
 * Entries are only added, and stay as and where they are: encoders of several threads share one table without
 * locks.  A free entry is claimed, filled, and published by its key.hi, which readers load first.  A table
 * that fills up is replaced between two batches of pieces, by a larger one that knows the same or, from a
 * size on, by an empty one; the old one lives until the last encoder has left it. */

#include "base/mem.h"
#include "base/str.h"

enum {
    LM_CACHE_PROBES = 8,
    LM_CACHE_INLINE_IDS = 3,
    LM_CACHE_SHORT_MAX = 15,
    LM_CACHE_PIECE_MAX = 512,         // bytes; longer pieces are not kept
    LM_CACHE_ENTRIES_MAX = 1 << 20,   // 32 MiB
    LM_CACHE_DATA_MAX = 32 << 20,     // words: 128 MiB
};

struct lm_cache_key {
    uint64_t lo, hi;
};

struct lm_cache_entry {
    struct lm_cache_key key;   // hi == 0: free
    uint32_t count;
    uint32_t ids[LM_CACHE_INLINE_IDS];   // or, when count is larger, ids[0] is the place in `data`
};

/* What an encoder sees of the table that it shares; owner: one thread. */
struct lm_cache {
    struct lm_cache_entry *entries;
    size_t mask;
    uint32_t *data;
    struct lm_cache_table *table;
    struct lm_cache_tables *tables;
    size_t data_at, data_end;   // words of `data` that nobody else writes to
    size_t added;               // entries that the table has not been told of
};

void lm_cache_init(struct lm_cache *c);
void lm_cache_join(struct lm_cache *c, struct lm_cache *other);   // as init, sharing what the other knows
void lm_cache_release(struct lm_cache *c);

/* As much text is to come: makes room for what it may hold, instead of growing step by step. */
void lm_cache_expect(struct lm_cache *c, size_t text_bytes);

/* Between two batches of pieces: goes on with another table when this one is full.  Homes change. */
void lm_cache_renew(struct lm_cache *c);

/* The key of a piece; `readable` says that 16 bytes may be read at its start. */
struct lm_cache_key lm_cache_long_key(struct lm_str piece);

static inline struct lm_cache_key lm_cache_key(struct lm_str piece, bool readable)
{
    if (piece.len > LM_CACHE_SHORT_MAX)
        return lm_cache_long_key(piece);
    /* From the end of the zeros backwards: len bytes of ones, then zeros.  No branch: lengths are as good as
     * random.  Word by word: a structure would go through memory. */
    static const uint64_t masks[4] = { UINT64_MAX, UINT64_MAX, 0, 0 };
    uint64_t lo = 0, hi = 0;
    if (readable) {
        uint64_t mask_lo, mask_hi;
        memcpy(&lo, piece.ptr, sizeof(lo));
        memcpy(&hi, piece.ptr + sizeof(lo), sizeof(hi));
        memcpy(&mask_lo, (const char *)masks + 16 - piece.len, sizeof(mask_lo));
        memcpy(&mask_hi, (const char *)masks + 24 - piece.len, sizeof(mask_hi));
        lo &= mask_lo;
        hi &= mask_hi;
    } else {
        char bytes[16] = { 0 };
        memcpy(bytes, piece.ptr, piece.len);
        memcpy(&lo, bytes, sizeof(lo));
        memcpy(&hi, bytes + sizeof(lo), sizeof(hi));
    }
    return (struct lm_cache_key){ lo, hi | (uint64_t)piece.len << 56 };
}

/* The first entry of a cache line.  Both halves of one wide product, so that every bit of the key reaches the
 * low bits. */
static inline size_t lm_cache_home(const struct lm_cache *c, struct lm_cache_key key)
{
    const unsigned __int128 product =
        (unsigned __int128)(key.lo ^ 0x9e3779b97f4a7c15) * (key.hi ^ 0xd6e8feb86659fd93);
    return ((uint64_t)product ^ (uint64_t)(product >> 64)) & c->mask & ~(size_t)1;
}

/* NULL: not kept. */
const struct lm_cache_entry *lm_cache_find_far(const struct lm_cache *c, struct lm_cache_key key, size_t home,
                                               struct lm_str piece);

/* 0: the entry is of this key, and all of it may be read. */
static inline uint64_t lm_cache_differs(const struct lm_cache_entry *e, uint64_t lo, uint64_t hi)
{
    hi ^= __atomic_load_n(&e->key.hi, __ATOMIC_ACQUIRE);
    return hi | (lo ^ __atomic_load_n(&e->key.lo, __ATOMIC_RELAXED));
}

static inline const struct lm_cache_entry *lm_cache_find(const struct lm_cache *c, struct lm_cache_key key,
                                                         size_t home, struct lm_str piece)
{
    const struct lm_cache_entry *e = &c->entries[home];
    if (!e)
        __builtin_unreachable();   // which the callers need not ask then
    if (__builtin_expect(lm_cache_differs(&e[0], key.lo, key.hi) == 0, 1))
        return e;
    if (__builtin_expect(lm_cache_differs(&e[1], key.lo, key.hi) == 0, 1))
        return e + 1;
    return lm_cache_find_far(c, key, home, piece);
}

static inline const uint32_t *lm_cache_ids(const struct lm_cache *c, const struct lm_cache_entry *e)
{
    return e->count <= LM_CACHE_INLINE_IDS ? e->ids : c->data + e->ids[0];
}

/* Keeps what a piece became, if there is room. */
void lm_cache_put(struct lm_cache *c, struct lm_cache_key key, struct lm_str piece, const uint32_t *ids,
                  size_t count);

#endif
