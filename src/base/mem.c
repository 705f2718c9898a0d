#include "base/mem.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* No sentence can be built and no work saved without memory: say it with what is on the stack and stop. */
static _Noreturn void out_of_memory(size_t bytes)
{
    fprintf(stderr, "loom: out of memory: the system refused %zu bytes\n", bytes);
    abort();
}

static size_t product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(SIZE_MAX);
    return bytes;
}

void *lm_alloc(size_t bytes)
{
    void *ptr = malloc(bytes ? bytes : 1);
    if (!ptr)
        out_of_memory(bytes);
    return ptr;
}

void *lm_zalloc(size_t count, size_t size)
{
    const size_t bytes = product(count, size);
    void *ptr = calloc(1, bytes ? bytes : 1);
    if (!ptr)
        out_of_memory(bytes);
    return ptr;
}

void *lm_realloc(void *ptr, size_t count, size_t size)
{
    const size_t bytes = product(count, size);
    void *moved = realloc(ptr, bytes ? bytes : 1);
    if (!moved)
        out_of_memory(bytes);
    return moved;
}

char *lm_strdup(const char *s)
{
    return lm_memdup(s, strlen(s) + 1);
}

void *lm_memdup(const void *ptr, size_t bytes)
{
    void *copy = lm_alloc(bytes);
    if (bytes)
        memcpy(copy, ptr, bytes);
    return copy;
}

void lm_mem_touch(void *ptr, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t start = (uintptr_t)ptr & ~(page - 1), end = ((uintptr_t)ptr + bytes) & ~(page - 1);
    unsigned char is_there = 0;
    if (start < end && (mincore((void *)(end - page), page, &is_there) != 0 || !(is_there & 1)))
        (void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);   // nothing is lost if refused
#else
    (void)ptr, (void)bytes;
#endif
}

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

/* Large slabs start on a huge page: a matrix product then misses the TLB about 500 times less. */
static size_t slab_align(size_t bytes)
{
    return bytes >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : LINE;
}

static size_t slab_bytes(size_t bytes)
{
    const size_t align = slab_align(bytes), rounded = (bytes + align - 1) / align * align;
    if (rounded < bytes)
        out_of_memory(bytes);
    return rounded ? rounded : align;
}

void *lm_slab_raw(size_t bytes)
{
    const size_t align = slab_align(bytes), rounded = slab_bytes(bytes);
    void *slab = aligned_alloc(align, rounded);
    if (!slab)
        out_of_memory(bytes);
    if (align == HUGE_PAGE)
        (void)madvise(slab, rounded, MADV_HUGEPAGE);   // a hint; nothing is lost if refused
    return slab;
}

void *lm_slab_alloc(size_t bytes)
{
    void *slab = lm_slab_raw(bytes);
    memset(slab, 0, slab_bytes(bytes));
    return slab;
}

void lm_grow(void *items, size_t *cap, size_t need, size_t size)
{
    enum { FIRST = 16 };

    if (need <= *cap)
        return;
    size_t grown = *cap > SIZE_MAX / 2 ? need : *cap * 2;
    if (grown < FIRST)
        grown = FIRST;
    if (grown < need)
        grown = need;
    void *ptr;
    memcpy(&ptr, items, sizeof(ptr));   // `items` is the address of a pointer of any type
    ptr = lm_realloc(ptr, grown, size);
    memcpy(items, &ptr, sizeof(ptr));
    *cap = grown;
}

/* ---- arena ---- */

enum { ALIGN = 16, BLOCK_MIN = 16 << 10, BLOCK_DOUBLE_MAX = 64 << 20 };

struct lm_arena_block {
    struct lm_arena_block *older;
    size_t cap;
    _Alignas(ALIGN) char bytes[];
};

/* Each block is twice the one before, so an arena that is reset and filled again soon needs one block. */
static void add_block(struct lm_arena *arena, size_t need)
{
    size_t cap = arena->block ? arena->block->cap * 2 : BLOCK_MIN;
    if (cap > BLOCK_DOUBLE_MAX)
        cap = BLOCK_DOUBLE_MAX;
    if (cap < need)
        cap = need;
    if (cap > SIZE_MAX - sizeof(struct lm_arena_block))
        out_of_memory(cap);
    struct lm_arena_block *block = lm_alloc(sizeof(*block) + cap);
    block->older = arena->block;
    block->cap = cap;
    arena->block = block;
    arena->used = 0;
}

/* Room for `bytes`, contents undefined: strings overwrite it at once. */
static void *take(struct lm_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGN)
        out_of_memory(bytes);
    const size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!arena->block || rounded > arena->block->cap - arena->used)
        add_block(arena, rounded);
    void *ptr = arena->block->bytes + arena->used;
    arena->used += rounded;
    arena->total_bytes += rounded;
    return ptr;
}

void *lm_arena_alloc(struct lm_arena *arena, size_t bytes)
{
    return memset(take(arena, bytes), 0, bytes);
}

char *lm_arena_strdup(struct lm_arena *arena, const char *s)
{
    return lm_arena_strndup(arena, s, strlen(s));
}

char *lm_arena_strndup(struct lm_arena *arena, const char *s, size_t len)
{
    char *copy = take(arena, len + 1);
    if (len)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *lm_arena_printf(struct lm_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    LM_ASSERT(len >= 0);
    char *text = take(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

static void free_from(struct lm_arena_block *block)
{
    while (block) {
        struct lm_arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void lm_arena_reset(struct lm_arena *arena)
{
    if (arena->block) {
        free_from(arena->block->older);
        arena->block->older = NULL;
    }
    arena->used = 0;
    arena->total_bytes = 0;
}

void lm_arena_release(struct lm_arena *arena)
{
    free_from(arena->block);
    *arena = (struct lm_arena){ 0 };
}

void lm_free_cleanup(void *ptr_to_ptr)
{
    void *ptr;
    memcpy(&ptr, ptr_to_ptr, sizeof(ptr));
    free(ptr);
}
