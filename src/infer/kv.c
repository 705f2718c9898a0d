/* The pool of KV blocks: a lazily touched mapping and a stack of free numbers. */
#include "infer/kv.h"

#include "base/mem.h"
#include "base/sys.h"

#include <stdlib.h>
#include <sys/mman.h>

const char *const lm_kv_type_names[LM_KV_TYPE_COUNT + 1] = { "f32", "f16", "s8" };

enum lm_rc lm_kv_pool_init(struct lm_kv_pool *pool, struct lm_kv_shape shape, size_t block_count,
                           struct lm_err *err)
{
    static const enum lm_panel_type elements[LM_KV_TYPE_COUNT] = { LM_PANEL_F32, LM_PANEL_F16, LM_PANEL_S8 };
    const enum lm_panel_type element = elements[shape.type];
    const size_t row = LM_KV_TOKENS * lm_panel_element(element);
    const size_t values_at = shape.head_dim * row, scales_at = values_at + lm_panel_pad(shape.head_dim) * row;
    const size_t scales = shape.type == LM_KV_S8 ? 2 * LM_KV_TOKENS * sizeof(float) : 0;
    const size_t head_bytes = (scales_at + scales + 63) / 64 * 64;
    const size_t block_bytes = shape.layers * shape.heads * head_bytes;
    size_t bytes;
    *pool = (struct lm_kv_pool){ 0 };
    if (block_count == 0 || block_count > UINT32_MAX ||
        __builtin_mul_overflow(block_bytes, block_count, &bytes))
        return lm_fail(err, LM_ELIMIT, "a KV cache of %zu blocks is not possible", block_count);
    if (bytes > lm_ram_bytes())
        return lm_fail(err, LM_ELIMIT,
                       "a KV cache of %zu tokens takes %zu MB, this machine has %llu MB: ask for a shorter "
                       "context, fewer tokens in the cache or a smaller type",
                       block_count * LM_KV_TOKENS, bytes >> 20, (unsigned long long)lm_ram_bytes() >> 20);
    void *data =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return lm_fail_errno(err, LM_ENOMEM, "cannot reserve %zu bytes for the KV cache", bytes);
    *pool = (struct lm_kv_pool){
        .shape = shape,
        .element = element,
        .values_at = values_at,
        .scales_at = scales_at,
        .head_bytes = head_bytes,
        .data = data,
        .block_bytes = block_bytes,
        .map_bytes = bytes,
    };
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
