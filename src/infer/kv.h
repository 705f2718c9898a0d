#ifndef LM_INFER_KV_H
#define LM_INFER_KV_H
/* infer/kv.h - the KV cache as a pool of blocks of 16 positions, handed out by number.
 *
 * A block holds its 16 positions for all layers and KV heads; a sequence names its blocks in a table, so two
 * tables may name the same block once prefixes are shared.  For each (layer, KV head), aligned to 64:
 *
 *     keys     D rows of 16 tokens:                  key[d * 16 + token]
 *     values   D / 16 panels of 16 tokens by 16 d:   value[(d / 16) * 256 + token * 16 + d % 16]
 *     scales   of 16 keys, of 16 values; floats, of signed bytes only
 *
 * Keys and values are panels as in panels.h, of the cache's type: 32-bit floats (exact), 16-bit ones (half
 * the memory, differences as small as those of 16-bit weights), or signed bytes with one scale for each head
 * and token (a quarter).  Memory is touched on first use, and the block freed last is given out first. */

#include "base/err.h"
#include "infer/panels.h"

#include <stdbool.h>
#include <stdint.h>

enum { LM_KV_TOKENS = 16 };   // of a block: one panel of keys

enum lm_kv_type { LM_KV_F32, LM_KV_F16, LM_KV_S8, LM_KV_TYPE_COUNT };
extern const char *const lm_kv_type_names[LM_KV_TYPE_COUNT + 1];   // "f32" ..., NULL

struct lm_kv_shape {
    enum lm_kv_type type;
    size_t layers, heads, head_dim;
};

struct lm_kv_pool {
    struct lm_kv_shape shape;
    enum lm_panel_type element;
    size_t values_at, scales_at, head_bytes;   // from the keys of a head, to the next head
    char *data;                                // block_count * block_bytes
    size_t block_bytes, block_count, map_bytes;
    uint32_t *free_blocks;   // a stack
    size_t free_count;
};

enum lm_rc lm_kv_pool_init(struct lm_kv_pool *pool, struct lm_kv_shape shape, size_t block_count,
                           struct lm_err *err);
void lm_kv_pool_release(struct lm_kv_pool *pool);

/* Fills count block numbers; false, and nothing taken, if there are not as many. */
bool lm_kv_take(struct lm_kv_pool *pool, size_t count, uint32_t *ret);
void lm_kv_give(struct lm_kv_pool *pool, size_t count, const uint32_t *blocks);

/* Keys of a block; values and scales follow at values_at and scales_at. */
static inline char *lm_kv_keys(const struct lm_kv_pool *pool, uint32_t block, size_t layer, size_t head)
{
    return pool->data + block * pool->block_bytes + (layer * pool->shape.heads + head) * pool->head_bytes;
}

static inline size_t lm_kv_blocks(size_t tokens)
{
    return (tokens + LM_KV_TOKENS - 1) / LM_KV_TOKENS;
}

#endif
