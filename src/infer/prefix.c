/* The tree of shared blocks: a hash table of nodes, one per block of the pool, and a list of the idle ones.
 */
#include "infer/prefix.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

#define NONE UINT32_MAX

/* What identifies a block, without padding, so that it can be hashed and compared as bytes. */
struct identity {
    uint64_t salt;     // of all blocks on the way from the root
    uint32_t parent;   // NONE at the root
    uint32_t zero;
    uint32_t tokens[LM_KV_TOKENS];
};

/* Node number = block number. */
struct node {
    struct identity identity;
    uint32_t refs;    // tables that name it
    bool shared;      // in the tree
    uint32_t next;    // in its bucket
    uint32_t older;   // idle ones: shared, no references
    uint32_t newer;
};

struct lm_prefix {
    struct lm_kv_pool *pool;
    bool share;
    struct node *nodes;   // pool->block_count
    uint32_t *buckets;
    size_t bucket_mask;
    uint32_t oldest, newest;
    size_t idle_count;
};

struct lm_prefix *lm_prefix_new(struct lm_kv_pool *pool, bool share)
{
    struct lm_prefix *p = lm_zalloc(1, sizeof *p);
    size_t buckets = 1;
    while (buckets < pool->block_count)
        buckets *= 2;
    p->pool = pool;
    p->share = share;
    p->nodes = lm_zalloc(pool->block_count, sizeof *p->nodes);
    p->buckets = lm_zalloc(buckets, sizeof *p->buckets);
    memset(p->buckets, 0xff, buckets * sizeof *p->buckets);   // NONE
    p->bucket_mask = buckets - 1;
    p->oldest = p->newest = NONE;
    return p;
}

void lm_prefix_free(struct lm_prefix *p)
{
    if (!p)
        return;
    free(p->nodes);
    free(p->buckets);
    free(p);
}

size_t lm_prefix_unused(const struct lm_prefix *p)
{
    return p->pool->free_count + p->idle_count;
}

/* ---- the list of idle blocks ---- */

static void idle_remove(struct lm_prefix *p, uint32_t block)
{
    struct node *n = &p->nodes[block];
    *(n->older == NONE ? &p->oldest : &p->nodes[n->older].newer) = n->newer;
    *(n->newer == NONE ? &p->newest : &p->nodes[n->newer].older) = n->older;
    p->idle_count--;
}

static void idle_add(struct lm_prefix *p, uint32_t block)
{
    struct node *n = &p->nodes[block];
    n->older = p->newest;
    n->newer = NONE;
    *(n->older == NONE ? &p->oldest : &p->nodes[n->older].newer) = block;
    p->newest = block;
    p->idle_count++;
}

/* ---- the tree ---- */

static struct identity identity_of(const struct lm_prefix_table *t, size_t index, uint32_t parent)
{
    struct identity id = { .salt = t->salt, .parent = parent };
    memcpy(id.tokens, t->tokens + index * LM_KV_TOKENS, sizeof id.tokens);
    return id;
}

static uint32_t *bucket_of(const struct lm_prefix *p, const struct identity *id)
{
    return &p->buckets[lm_hash64(id, sizeof *id) & p->bucket_mask];
}

static uint32_t find(const struct lm_prefix *p, const struct identity *id)
{
    uint32_t block = *bucket_of(p, id);
    while (block != NONE && memcmp(&p->nodes[block].identity, id, sizeof *id) != 0)
        block = p->nodes[block].next;
    return block;
}

static void insert(struct lm_prefix *p, uint32_t block, const struct identity *id)
{
    struct node *n = &p->nodes[block];
    uint32_t *bucket = bucket_of(p, id);
    n->identity = *id;
    n->shared = true;
    n->next = *bucket;
    *bucket = block;
}

/* The oldest idle block goes back to the pool. */
static void evict(struct lm_prefix *p)
{
    const uint32_t block = p->oldest;
    struct node *n = &p->nodes[block];
    uint32_t *at = bucket_of(p, &n->identity);
    while (*at != block)
        at = &p->nodes[*at].next;
    *at = n->next;
    n->shared = false;
    idle_remove(p, block);
    lm_kv_give(p->pool, 1, &block);
}

/* ---- references ---- */

static void ref(struct lm_prefix *p, uint32_t block)
{
    struct node *n = &p->nodes[block];
    if (n->shared && n->refs == 0)
        idle_remove(p, block);
    n->refs++;
}

static void unref(struct lm_prefix *p, uint32_t block)
{
    struct node *n = &p->nodes[block];
    LM_ASSERT(n->refs > 0);
    if (--n->refs > 0)
        return;
    if (n->shared)
        idle_add(p, block);
    else
        lm_kv_give(p->pool, 1, &block);
}

/* ---- tables ---- */

/* Block of the tree for place `index` of the table, whose place before is `parent`; NONE when there is none.
 */
static uint32_t known(const struct lm_prefix *p, const struct lm_prefix_table *t, size_t index,
                      uint32_t parent)
{
    if (!p->share || index >= (t->prompt_len - 1) / LM_KV_TOKENS)
        return NONE;
    const struct identity id = identity_of(t, index, parent);
    return find(p, &id);
}

static uint32_t parent_at(const struct lm_prefix_table *t, size_t index)
{
    return index > 0 ? t->blocks[index - 1] : NONE;
}

bool lm_prefix_take(struct lm_prefix *p, struct lm_prefix_table *t)
{
    LM_ASSERT(t->prompt_len >= 1 && t->block_count >= lm_kv_blocks(t->prompt_len));

    size_t count = 0, idle = 0;
    for (uint32_t block; (block = known(p, t, count, parent_at(t, count))) != NONE; count++) {
        t->blocks[count] = block;
        idle += p->nodes[block].refs == 0;
    }
    const size_t fresh = t->block_count - count;
    if (fresh > lm_prefix_unused(p) - idle)
        return false;
    for (size_t i = 0; i < count; i++)   // first of all, so that none of them is evicted
        ref(p, t->blocks[i]);
    while (p->pool->free_count < fresh)
        evict(p);
    const bool taken = lm_kv_take(p->pool, fresh, t->blocks + count);
    LM_ASSERT(taken);
    for (size_t i = count; i < t->block_count; i++)
        ref(p, t->blocks[i]);
    t->shared = count;
    return true;
}

static void exchange(struct lm_prefix *p, struct lm_prefix_table *t, uint32_t block)
{
    ref(p, block);
    unref(p, t->blocks[t->shared]);
    t->blocks[t->shared++] = block;
}

void lm_prefix_follow(struct lm_prefix *p, struct lm_prefix_table *t)
{
    for (uint32_t block; (block = known(p, t, t->shared, parent_at(t, t->shared))) != NONE;)
        exchange(p, t, block);
}

void lm_prefix_publish(struct lm_prefix *p, struct lm_prefix_table *t, size_t computed)
{
    const size_t len = computed < t->prompt_len ? computed : t->prompt_len;
    while (p->share && t->shared < len / LM_KV_TOKENS) {
        const struct identity id = identity_of(t, t->shared, parent_at(t, t->shared));
        const uint32_t block = find(p, &id);
        if (block != NONE)
            exchange(p, t, block);
        else
            insert(p, t->blocks[t->shared++], &id);
    }
}

void lm_prefix_give(struct lm_prefix *p, struct lm_prefix_table *t)
{
    for (size_t i = t->block_count; i-- > 0;)
        unref(p, t->blocks[i]);
    t->shared = 0;
}
