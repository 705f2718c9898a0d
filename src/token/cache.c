#include "token/cache.h"

#include "base/err.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* hi of a long key: 0xff, then 24 bit of length, then 32 bit of place in `data` (never 0, which is that of a
 * piece that is looked for).  CLAIMED: of an entry that somebody fills; no key is that. */
enum { LONG_MARK = 0xff };
static const uint64_t CLAIMED = (uint64_t)1 << 63;

struct pages {
    void *ptr;
    size_t bytes;
};

/* Texts of long pieces, and ids where there are many.  Places stay when a larger table takes over, so that
 * what was met early, which comes often, stays together. */
struct lm_cache_data {
    struct pages pages;
    uint32_t *words;   // [LM_CACHE_DATA_MAX]
    size_t tables;     // that use it; guarded by the tables' lock
    char apart[64];    // what is read from what is added to
    size_t len;
};

/* One table.  `users` is guarded by the tables' lock. */
struct lm_cache_table {
    struct pages pages;
    struct lm_cache_entry *entries;
    size_t mask;
    struct lm_cache_data *data;
    size_t users;
    bool full;
    char apart[64];   // what is read from what is added to
    size_t len;
};

/* What caches that share share. */
struct lm_cache_tables {
    pthread_mutex_t lock;
    struct lm_cache_table *now;
    size_t users;
};

/* ---- tables ---- */

enum { HUGE_PAGE = 2 << 20 };

/* Zeros that take memory only as they are written to: by the thread that does it.  Large ones start on a huge
 * page.  Returns where they start. */
static void *map_pages(struct pages *p, size_t bytes)
{
    const size_t spare = bytes >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : 0;
    p->bytes = bytes + spare;
    p->ptr = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->ptr == MAP_FAILED) {   // where addresses count as memory; it says so if there is none
        p->ptr = lm_slab_alloc(bytes);
        p->bytes = 0;
        return p->ptr;
    }
    return (char *)p->ptr + (spare ? HUGE_PAGE - (uintptr_t)p->ptr % HUGE_PAGE : 0);
}

static void unmap_pages(struct pages *p)
{
    if (p->bytes)
        munmap(p->ptr, p->bytes);
    else
        free(p->ptr);
}

static struct lm_cache_data *data_new(void)
{
    struct lm_cache_data *d = lm_zalloc(1, sizeof(*d));
    d->words = map_pages(&d->pages, LM_CACHE_DATA_MAX * sizeof(*d->words));
    d->len = 1;   // no place is 0
    return d;
}

static struct lm_cache_table *table_new(size_t count, struct lm_cache_data *data)
{
    const size_t bytes = count * sizeof(struct lm_cache_entry);
    struct lm_cache_table *t = lm_zalloc(1, sizeof(*t));
    t->mask = count - 1;
    t->data = data;
    data->tables++;
    t->entries = map_pages(&t->pages, bytes);
    if (bytes >= 2 * (size_t)HUGE_PAGE) {   // hints
        (void)madvise(t->entries, bytes, MADV_HUGEPAGE);
        (void)madvise(data->words, LM_CACHE_DATA_MAX * sizeof(*data->words), MADV_HUGEPAGE);
    }
    return t;
}

static void table_free(struct lm_cache_table *t)
{
    if (--t->data->tables == 0) {
        unmap_pages(&t->data->pages);
        free(t->data);
    }
    unmap_pages(&t->pages);
    free(t);
}

/* Takes the table of now; the lock is held. */
static void enter(struct lm_cache *c)
{
    struct lm_cache_table *t = c->tables->now;
    t->users++;
    c->table = t;
    c->entries = t->entries;
    c->mask = t->mask;
    c->added = 0;
    if (c->data != t->data->words)
        c->data_at = c->data_end = 0;
    c->data = t->data->words;
}

static void leave(struct lm_cache *c)
{
    struct lm_cache_table *t = c->table;
    if (--t->users == 0 && t != c->tables->now)
        table_free(t);
}

void lm_cache_init(struct lm_cache *c)
{
    enum { ENTRIES_START = 4096 };
    struct lm_cache_tables *tables = lm_zalloc(1, sizeof(*tables));
    pthread_mutex_init(&tables->lock, NULL);
    tables->now = table_new(ENTRIES_START, data_new());
    tables->users = 1;
    *c = (struct lm_cache){ .tables = tables };
    enter(c);
}

void lm_cache_join(struct lm_cache *c, struct lm_cache *other)
{
    struct lm_cache_tables *tables = other->tables;
    *c = (struct lm_cache){ .tables = tables };
    pthread_mutex_lock(&tables->lock);
    tables->users++;
    enter(c);
    pthread_mutex_unlock(&tables->lock);
}

void lm_cache_release(struct lm_cache *c)
{
    struct lm_cache_tables *tables = c->tables;
    if (!tables)
        return;
    pthread_mutex_lock(&tables->lock);
    leave(c);
    const bool last = --tables->users == 0;
    pthread_mutex_unlock(&tables->lock);
    *c = (struct lm_cache){ 0 };
    if (!last)
        return;
    table_free(tables->now);
    pthread_mutex_destroy(&tables->lock);
    free(tables);
}

/* ---- search ---- */

struct lm_cache_key lm_cache_long_key(struct lm_str piece)
{
    const bool kept = piece.len <= LM_CACHE_PIECE_MAX;
    const uint64_t len = kept ? piece.len : LM_CACHE_PIECE_MAX + 1;
    return (struct lm_cache_key){ kept ? lm_hash64(piece.ptr, piece.len) : 0,
                                  (uint64_t)LONG_MARK << 56 | len << 32 };
}

static uint64_t without_place(uint64_t hi)
{
    return hi >> 56 == LONG_MARK ? hi & ~(uint64_t)UINT32_MAX : hi;
}

const struct lm_cache_entry *lm_cache_find_far(const struct lm_cache *c, struct lm_cache_key key, size_t home,
                                               struct lm_str piece)
{
    const bool is_long = piece.len > LM_CACHE_SHORT_MAX;
    for (size_t i = 0; piece.len <= LM_CACHE_PIECE_MAX && i < LM_CACHE_PROBES; i++) {
        const struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        const uint64_t hi = __atomic_load_n(&e->key.hi, __ATOMIC_ACQUIRE);
        if (hi == 0)
            break;
        if (without_place(hi) != key.hi || __atomic_load_n(&e->key.lo, __ATOMIC_RELAXED) != key.lo)
            continue;
        if (!is_long || memcmp(c->data + (uint32_t)hi, piece.ptr, piece.len) == 0)
            return e;
    }
    return NULL;
}

/* ---- adding ---- */

/* A free entry for the key within reach, which is the caller's now, or NULL. */
static struct lm_cache_entry *claim(struct lm_cache *c, struct lm_cache_key key)
{
    const size_t home = lm_cache_home(c, key);
    for (size_t i = 0; i < LM_CACHE_PROBES; i++) {
        struct lm_cache_entry *e = &c->entries[(home + i) & c->mask];
        uint64_t hi = __atomic_load_n(&e->key.hi, __ATOMIC_RELAXED);
        if (hi == 0 &&
            __atomic_compare_exchange_n(&e->key.hi, &hi, CLAIMED, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return e;
    }
    return NULL;
}

static bool is_full(const struct lm_cache_table *t)
{
    return __atomic_load_n(&t->full, __ATOMIC_RELAXED);
}

static void set_full(struct lm_cache_table *t)
{
    __atomic_store_n(&t->full, true, __ATOMIC_RELAXED);
}

static bool is_spent(const struct lm_cache_data *d)
{
    return __atomic_load_n(&d->len, __ATOMIC_RELAXED) > LM_CACHE_DATA_MAX;
}

/* The place of so many words of `data` to write to; 0: there are no more. */
static size_t take_data(struct lm_cache *c, size_t words)
{
    enum { AT_ONCE = 4096 };   // so that threads do not meet
    struct lm_cache_data *d = c->table->data;
    if (c->data_end - c->data_at < words) {
        const size_t some = words > AT_ONCE ? words : AT_ONCE;
        c->data_at = is_spent(d) ? LM_CACHE_DATA_MAX : __atomic_fetch_add(&d->len, some, __ATOMIC_RELAXED);
        c->data_end = c->data_at + some;
        if (c->data_end > LM_CACHE_DATA_MAX) {
            c->data_at = c->data_end = 0;
            set_full(c->table);
            return 0;
        }
    }
    const size_t at = c->data_at;
    c->data_at += words;
    return at;
}

/* All may see the entry from now on.  The table is told of it later, with others. */
static void publish(struct lm_cache *c, struct lm_cache_entry *e, struct lm_cache_key key)
{
    enum { AT_ONCE = 64 };
    struct lm_cache_table *t = c->table;
    __atomic_store_n(&e->key.lo, key.lo, __ATOMIC_RELAXED);
    __atomic_store_n(&e->key.hi, key.hi, __ATOMIC_RELEASE);
    if (++c->added < AT_ONCE)
        return;
    const size_t len = __atomic_add_fetch(&t->len, c->added, __ATOMIC_RELAXED), count = t->mask + 1;
    /* Half full, so that nearly every key finds a place within reach; the largest is used up further. */
    if (len > (count < LM_CACHE_ENTRIES_MAX ? count / 2 : count / 4 * 3))
        set_full(t);
    c->added = 0;
}

void lm_cache_put(struct lm_cache *c, struct lm_cache_key key, struct lm_str piece, const uint32_t *ids,
                  size_t count)
{
    if (piece.len > LM_CACHE_PIECE_MAX)
        return;
    const size_t text_words = piece.len > LM_CACHE_SHORT_MAX ? (piece.len + 3) / 4 : 0,
                 id_words = count > LM_CACHE_INLINE_IDS ? count : 0;
    const size_t words = text_words + id_words, place = words ? take_data(c, words) : 0;
    struct lm_cache_entry *e = words == 0 || place ? claim(c, key) : NULL;
    if (!e)
        return;
    if (text_words)
        memcpy(c->data + place, piece.ptr, piece.len);
    if (id_words)
        e->ids[0] = (uint32_t)(place + text_words);
    memcpy(id_words ? c->data + place + text_words : e->ids, ids, count * sizeof(*ids));
    e->count = (uint32_t)count;
    if (text_words)
        key.hi |= place;
    publish(c, e, key);
}

/* ---- from table to table ---- */

/* Adds the entries of another table over the same data.  What no longer finds a place within reach is
 * forgotten: it is a cache. */
static void put_all(struct lm_cache *c, const struct lm_cache_table *old)
{
    for (size_t i = 0; i <= old->mask; i++) {
        const struct lm_cache_entry *from = &old->entries[i];
        const uint64_t hi = __atomic_load_n(&from->key.hi, __ATOMIC_ACQUIRE);
        if (hi == 0 || hi == CLAIMED)
            continue;
        const uint64_t lo = __atomic_load_n(&from->key.lo, __ATOMIC_RELAXED);
        struct lm_cache_entry *e = claim(c, (struct lm_cache_key){ lo, without_place(hi) });
        if (!e)
            continue;
        e->count = from->count;
        memcpy(e->ids, from->ids, sizeof(e->ids));
        publish(c, e, (struct lm_cache_key){ lo, hi });
    }
}

/* The next table, of so many entries; the lock is held. */
static void replace(struct lm_cache *c, size_t count)
{
    struct lm_cache_table *old = c->tables->now;
    const bool keeps = count > old->mask + 1 && !is_spent(old->data);
    leave(c);
    c->tables->now = table_new(count, keeps ? old->data : data_new());
    enter(c);
    if (keeps)
        put_all(c, old);
    if (old->users == 0)
        table_free(old);
}

void lm_cache_renew(struct lm_cache *c)
{
    if (!is_full(c->table) || pthread_mutex_trylock(&c->tables->lock) != 0)
        return;   // another thread makes the next one: until then this one does
    const size_t count = c->mask + 1;
    if (c->table == c->tables->now) {
        replace(c, count * 4 <= LM_CACHE_ENTRIES_MAX ? count * 4 : LM_CACHE_ENTRIES_MAX);
    } else {
        leave(c);
        enter(c);
    }
    pthread_mutex_unlock(&c->tables->lock);
}

void lm_cache_expect(struct lm_cache *c, size_t text_bytes)
{
    enum { BYTES_PER_ENTRY = 64, LEVEL_MAX = 1 << 19 };   // 16 MiB; what needs more grows
    size_t count = c->mask + 1;
    while (count < LEVEL_MAX && count * BYTES_PER_ENTRY < text_bytes)
        count *= 2;
    if (count == c->mask + 1)
        return;
    pthread_mutex_lock(&c->tables->lock);
    if (count > c->tables->now->mask + 1) {
        replace(c, count);
    } else if (c->table != c->tables->now) {
        leave(c);
        enter(c);
    }
    pthread_mutex_unlock(&c->tables->lock);
}
