#include "token/cache.h"

#include "base/err.h"
#include "base/hash.h"

/* hi of a long key: 0xff, then 24 bit of length, then 32 bit of place in `texts` (0 until it is kept). */
enum { LONG_MARK = 0xff };

void lm_cache_init(struct lm_cache *c)
{
    enum { ENTRIES_START = 4096 };
    *c = (struct lm_cache){ .mask = ENTRIES_START - 1 };
    c->entries = lm_slab_alloc(ENTRIES_START * sizeof(*c->entries));
}

void lm_cache_release(struct lm_cache *c)
{
    free(c->entries);
    free(c->more);
    lm_buf_release(&c->texts);
    *c = (struct lm_cache){ 0 };
}

struct lm_cache_key lm_cache_long_key(struct lm_str piece)
{
    const uint64_t len = piece.len <= LM_CACHE_PIECE_MAX ? piece.len : LM_CACHE_PIECE_MAX + 1;
    return (struct lm_cache_key){ lm_hash64(piece.ptr, piece.len), (uint64_t)LONG_MARK << 56 | len << 32 };
}

static uint64_t without_place(uint64_t hi)
{
    return hi >> 56 == LONG_MARK ? hi & ~(uint64_t)UINT32_MAX : hi;
}

static const struct lm_cache_entry *find_long(const struct lm_cache *c, struct lm_cache_key key, size_t home,
                                              struct lm_str piece)
{
    for (size_t i = 0; piece.len <= LM_CACHE_PIECE_MAX && i < LM_CACHE_PROBES; i++) {
        const struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        if (e->key.hi == 0)
            break;
        if (e->key.lo == key.lo && without_place(e->key.hi) == key.hi &&
            memcmp(c->texts.ptr + (uint32_t)e->key.hi, piece.ptr, piece.len) == 0)
            return e;
    }
    return NULL;
}

const struct lm_cache_entry *lm_cache_find_far(const struct lm_cache *c, struct lm_cache_key key, size_t home,
                                               struct lm_str piece)
{
    if (piece.len > LM_CACHE_SHORT_MAX)
        return find_long(c, key, home, piece);
    for (size_t i = 0; i < LM_CACHE_PROBES; i++) {
        const struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        if (e->key.lo == key.lo && e->key.hi == key.hi)
            return e;
        if (e->key.hi == 0)
            return NULL;
    }
    return NULL;
}

/* A free entry for the key within reach, or NULL. */
static struct lm_cache_entry *free_entry(struct lm_cache *c, struct lm_cache_key key)
{
    key.hi = without_place(key.hi);
    const size_t home = lm_cache_home(c, key);
    for (size_t i = 0; i < LM_CACHE_PROBES; i++) {
        struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        if (e->key.hi == 0)
            return e;
    }
    return NULL;
}

/* Entries that no longer find a place within reach are forgotten: it is a cache. */
static void grow(struct lm_cache *c, size_t count)
{
    const struct lm_cache old = *c;
    c->mask = count - 1;
    c->len = 0;
    c->entries = lm_slab_alloc(count * sizeof(*c->entries));
    for (size_t i = 0; i <= old.mask; i++) {
        struct lm_cache_entry *e = old.entries[i].key.hi ? free_entry(c, old.entries[i].key) : NULL;
        if (e) {
            *e = old.entries[i];
            c->len++;
        }
    }
    free(old.entries);
}

void lm_cache_expect(struct lm_cache *c, size_t text_bytes)
{
    enum { BYTES_PER_ENTRY = 64, LEVEL_MAX = 1 << 19 };   // 16 MiB; what needs more grows
    size_t count = c->mask + 1;
    while (count < LEVEL_MAX && count * BYTES_PER_ENTRY < text_bytes)
        count *= 2;
    if (count > c->mask + 1)
        grow(c, count);
}

static void forget_all(struct lm_cache *c)
{
    memset(c->entries, 0, (c->mask + 1) * sizeof(*c->entries));
    c->len = c->more_len = 0;
    lm_buf_reset(&c->texts);
}

void lm_cache_put(struct lm_cache *c, struct lm_cache_key key, struct lm_str piece, const uint32_t *ids,
                  size_t count)
{
    if (piece.len > LM_CACHE_PIECE_MAX)
        return;
    /* Half full, so that nearly every key finds a place within reach. */
    if (c->len * 2 > c->mask && c->mask + 1 < LM_CACHE_ENTRIES_MAX)
        grow(c, (c->mask + 1) * 4 <= LM_CACHE_ENTRIES_MAX ? (c->mask + 1) * 4 : LM_CACHE_ENTRIES_MAX);
    else if (c->len * 4 > c->mask * 3 || c->texts.len > LM_CACHE_TEXTS_MAX || c->more_len > LM_CACHE_MORE_MAX)
        forget_all(c);
    struct lm_cache_entry *e = free_entry(c, key);
    if (!e)
        return;
    *e = (struct lm_cache_entry){ .key = key, .count = (uint32_t)count };
    if (piece.len > LM_CACHE_SHORT_MAX) {
        e->key.hi |= c->texts.len;
        lm_buf_add_str(&c->texts, piece);
    }
    if (count <= LM_CACHE_INLINE_IDS) {
        memcpy(e->ids, ids, count * sizeof(*ids));
    } else {
        e->ids[0] = (uint32_t)c->more_len;
        lm_grow(&c->more, &c->more_cap, c->more_len + count, sizeof(*c->more));
        memcpy(c->more + c->more_len, ids, count * sizeof(*ids));
        c->more_len += count;
    }
    c->len++;
}
