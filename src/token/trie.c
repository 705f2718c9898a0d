#include "token/trie.h"

#include "base/err.h"

enum { BLOCK = 256, OPEN_MAX = 16, TRIES_MAX = 8 };

/* Blocks of 256 nodes that still take children.  One that has refused often is closed: then the search for
 * room takes a bounded time a node. */
struct open_block {
    uint32_t block, refusals;
};

struct builder {
    struct lm_trie *t;
    size_t cap;
    struct open_block open[OPEN_MAX];
    size_t open_count;
    uint64_t *free;   // a bit for each node
    size_t free_cap;
    const struct lm_trie_key *keys;
};

/* The first eight bytes as a number that compares as they do; zeros behind a shorter key. */
static uint64_t start_of(struct lm_str bytes)
{
    uint64_t start = 0;
    memcpy(&start, bytes.ptr, bytes.len < sizeof(start) ? bytes.len : sizeof(start));
    return __builtin_bswap64(start);
}

static int by_bytes(const void *a, const void *b)
{
    const struct lm_trie_key *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return lm_str_cmp(x->bytes, y->bytes);
}

static void add_block(struct builder *b)
{
    struct lm_trie *t = b->t;
    LM_ASSERT(t->size + BLOCK < LM_TRIE_NONE);
    lm_grow(&t->nodes, &b->cap, t->size + BLOCK, sizeof(*t->nodes));
    for (size_t i = 0; i < BLOCK; i++)
        t->nodes[t->size + i] = (struct lm_trie_node){ 0, LM_TRIE_NONE, LM_TRIE_NONE };
    lm_grow(&b->free, &b->free_cap, (t->size + BLOCK) / 64, sizeof(*b->free));
    memset(b->free + t->size / 64, 0xff, BLOCK / 8);
    if (t->size == 0)
        b->free[0] &= ~UINT64_C(1);   // node 0 is the root
    if (b->open_count == OPEN_MAX)    // the oldest is the fullest
        memmove(b->open, b->open + 1, --b->open_count * sizeof(*b->open));
    b->open[b->open_count++] = (struct open_block){ .block = (uint32_t)(t->size / BLOCK) };
    t->size += BLOCK;
}

static bool is_free(const struct builder *b, uint32_t node)
{
    return b->free[node / 64] >> node % 64 & 1;
}

/* A base in the block for which all labels are free; false when there is none.  Only the bases that put the
 * first label on a free node are looked at. */
static bool find_base(const struct builder *b, uint32_t block, const uint8_t *labels, size_t count,
                      uint32_t *ret)
{
    for (uint32_t word = block * BLOCK / 64; word < (block + 1) * BLOCK / 64; word++)
        for (uint64_t free = b->free[word]; free; free &= free - 1) {
            const uint32_t base = (word * 64 + (uint32_t)__builtin_ctzll(free)) ^ labels[0];
            size_t i = 1;
            while (i < count && is_free(b, base ^ labels[i]))
                i++;
            if (i == count) {
                *ret = base;
                return true;
            }
        }
    return false;
}

static uint32_t take_base(struct builder *b, const uint8_t *labels, size_t count)
{
    uint32_t base;
    for (size_t i = 0; i < b->open_count;) {
        if (find_base(b, b->open[i].block, labels, count, &base))
            return base;
        if (++b->open[i].refusals < TRIES_MAX) {
            i++;
            continue;
        }
        b->open_count--;
        memmove(b->open + i, b->open + i + 1, (b->open_count - i) * sizeof(*b->open));
    }
    add_block(b);
    const bool found = find_base(b, (uint32_t)(b->t->size / BLOCK) - 1, labels, count, &base);
    LM_ASSERT(found);   // a new block has room for any 256 children
    return base;
}

/* Keys that share the first `depth` bytes: the children of one node. */
struct range {
    size_t from, to, depth;
    uint32_t node;
};

struct work {
    struct range *items;
    size_t len, cap;
};

/* Places the children of a node, and leaves them to be done. */
static void place(struct builder *b, struct range r, struct work *pending)
{
    uint8_t labels[BLOCK];
    size_t starts[BLOCK + 1], count = 0;
    if (b->keys[r.from].bytes.len == r.depth)
        b->t->nodes[r.node].value = b->keys[r.from++].value;
    for (size_t i = r.from; i < r.to; i++) {
        const uint8_t label = (uint8_t)b->keys[i].bytes.ptr[r.depth];
        if (count > 0 && labels[count - 1] == label)
            continue;
        starts[count] = i;
        labels[count++] = label;
    }
    if (count == 0)
        return;
    starts[count] = r.to;
    const uint32_t base = take_base(b, labels, count);
    b->t->nodes[r.node].base = base;
    lm_grow(&pending->items, &pending->cap, pending->len + count, sizeof(*pending->items));
    for (size_t i = 0; i < count; i++) {
        b->t->nodes[base ^ labels[i]].check = r.node;
        b->free[(base ^ labels[i]) / 64] &= ~(UINT64_C(1) << (base ^ labels[i]) % 64);
        pending->items[pending->len++] =
            (struct range){ starts[i], starts[i + 1], r.depth + 1, base ^ labels[i] };
    }
}

void lm_trie_make(struct lm_trie *t, struct lm_trie_key *keys, size_t count)
{
    struct builder b = { .t = t, .keys = keys };
    struct work pending = { 0 };
    *t = (struct lm_trie){ 0 };
    for (size_t i = 0; i < count; i++)
        keys[i].start = start_of(keys[i].bytes);
    if (count > 0)
        qsort(keys, count, sizeof(*keys), by_bytes);
    add_block(&b);
    if (count > 0)
        place(&b, (struct range){ 0, count, 0, 0 }, &pending);
    while (pending.len > 0)
        place(&b, pending.items[--pending.len], &pending);
    free(pending.items);
    free(b.free);
}

void lm_trie_release(struct lm_trie *t)
{
    free(t->nodes);
    *t = (struct lm_trie){ 0 };
}

uint32_t lm_trie_longest(const struct lm_trie *t, struct lm_str text, size_t at, size_t *ret_len)
{
    uint32_t node = 0, found = LM_TRIE_NONE;
    for (size_t i = at; i < text.len && lm_trie_step(t, &node, (uint8_t)text.ptr[i]); i++) {
        if (t->nodes[node].value == LM_TRIE_NONE)
            continue;
        found = t->nodes[node].value;
        *ret_len = i + 1 - at;
    }
    return found;
}
