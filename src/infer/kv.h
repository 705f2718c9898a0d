#ifndef LM_INFER_KV_H
#define LM_INFER_KV_H
/* infer/kv.h - the KV cache as a pool of blocks of 16 positions, handed out by number.
 *
 * A block holds its 16 positions for all layers and KV heads; a sequence names its blocks in a table, so two
 * tables may name the same block once prefixes are shared.  For each (layer, KV head):
 *
 *     keys     D panels rows of 16 tokens:           key[d * 16 + token]
 *     values   D / 16 panels of 16 tokens by 16 d:   value[(d / 16) * 256 + token * 16 + d % 16]
 *
 * Both are panels as in panels.h.  Memory is touched on first use, and the block freed last is given out
 * first. */

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { LM_KV_TOKENS = 16 };   // of a block: one panel of keys

struct lm_kv_pool {
    float *data;   // block_count * block_floats
    size_t block_floats, block_count, map_bytes;
    uint32_t *free_blocks;   // a stack
    size_t free_count;
};

enum lm_rc lm_kv_pool_init(struct lm_kv_pool *pool, size_t block_floats, size_t block_count,
                           struct lm_err *err);
void lm_kv_pool_release(struct lm_kv_pool *pool);

/* Fills count block numbers; false, and nothing taken, if there are not as many. */
bool lm_kv_take(struct lm_kv_pool *pool, size_t count, uint32_t *ret);
void lm_kv_give(struct lm_kv_pool *pool, size_t count, const uint32_t *blocks);

static inline size_t lm_kv_blocks(size_t tokens)
{
    return (tokens + LM_KV_TOKENS - 1) / LM_KV_TOKENS;
}

#endif
