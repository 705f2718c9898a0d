#ifndef LM_INFER_PREFIX_H
#define LM_INFER_PREFIX_H
/* infer/prefix.h - blocks of the KV cache that hold the beginnings of prompts, found again by their tokens.
 *
 * A tree: a shared block is the child of the block before it and is known by that parent, its 16 tokens and,
 * at the root, a salt.  Tokens are compared, not only their hash, so a hit is what it says.  Only whole
 * blocks of prompts are shared: what was generated may have been computed another way.
 *
 * Sequences hold references to the blocks in their tables.  A shared block without references stays, idle,
 * until the pool needs it: the one idle for longest goes first.  A sequence gives its blocks back from the
 * last to the first, so a block is never idle for longer than its children are, and what goes first is a
 * leaf.
 *
 * Owner: one thread.  Nothing allocates after lm_prefix_new. */

#include "infer/kv.h"

struct lm_prefix;

/* Hands out the blocks of pool, which is borrowed; nobody else may take from it.  share false: every prompt
 * is computed. */
struct lm_prefix *lm_prefix_new(struct lm_kv_pool *pool, bool share);
void lm_prefix_free(struct lm_prefix *p);   // NULL is fine

/* A sequence as it is seen from here. */
struct lm_prefix_table {
    const uint32_t *tokens;   // the prompt
    size_t prompt_len;
    uint64_t salt;      // other salts, other trees
    uint32_t *blocks;   // block_count of them
    size_t block_count;
    size_t shared;   // blocks at the beginning that are in the tree
};

/* Fills t->blocks and sets t->shared to what is known of the prompt already, of which the last token is never
 * part: its logits are wanted.  false, and nothing taken, if there are not enough blocks. */
bool lm_prefix_take(struct lm_prefix *p, struct lm_prefix_table *t);

/* Exchanges blocks from t->shared on for those that others have put into the tree since. */
void lm_prefix_follow(struct lm_prefix *p, struct lm_prefix_table *t);

/* The first `computed` positions are in the cache: puts the whole blocks of the prompt among them into the
 * tree.  Where another sequence was faster its block takes the place of ours: they hold the same bits. */
void lm_prefix_publish(struct lm_prefix *p, struct lm_prefix_table *t, size_t computed);

void lm_prefix_give(struct lm_prefix *p, struct lm_prefix_table *t);   // all its blocks

size_t lm_prefix_unused(const struct lm_prefix *p);   // blocks that nobody holds: free or idle

#endif
