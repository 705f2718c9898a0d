/* The pool of KV blocks: a lazily touched mapping and a stack of free numbers. */
#include "infer/kv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

enum lm_rc lm_kv_pool_init(struct lm_kv_pool *pool, size_t block_floats, size_t block_count,
                           struct lm_err *err)
{
    size_t bytes;
    *pool = (struct lm_kv_pool){ 0 };
    if (block_count == 0 || block_count > UINT32_MAX ||
        __builtin_mul_overflow(block_floats * sizeof(float), block_count, &bytes))
        return lm_fail(err, LM_ELIMIT, "a KV cache of %zu blocks is not possible", block_count);
    void *data =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return lm_fail_errno(err, LM_ENOMEM, "cannot reserve %zu bytes for the KV cache", bytes);
    pool->data = data;
    pool->map_bytes = bytes;
    pool->block_floats = block_floats;
    pool->block_count = pool->free_count = block_count;
    pool->free_blocks = lm_zalloc(block_count, sizeof *pool->free_blocks);
    for (size_t i = 0; i < block_count; i++)
        pool->free_blocks[i] = (uint32_t)(block_count - 1 - i);   // block 0 on top
    return LM_OK;
}

void lm_kv_pool_release(struct lm_kv_pool *pool)
{
    if (pool->data)
        munmap(pool->data, pool->map_bytes);
    free(pool->free_blocks);
    *pool = (struct lm_kv_pool){ 0 };
}

bool lm_kv_take(struct lm_kv_pool *pool, size_t count, uint32_t *ret)
{
    if (count > pool->free_count)
        return false;
    for (size_t i = 0; i < count; i++)
        ret[i] = pool->free_blocks[--pool->free_count];
    return true;
}

void lm_kv_give(struct lm_kv_pool *pool, size_t count, const uint32_t *blocks)
{
    LM_ASSERT(pool->free_count + count <= pool->block_count);
    while (count > 0)
        pool->free_blocks[pool->free_count++] = blocks[--count];
}
