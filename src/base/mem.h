#ifndef LM_BASE_MEM_H
#define LM_BASE_MEM_H
/* base/mem.h - memory by lifetime.
 *
 * Small allocations cannot fail in a way a caller could mend: lm_alloc and friends end the program with a
 * message when the system is out of memory.  Sizes that come from outside are checked against a named
 * maximum before they get here.  An arena frees everything made in it at once. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *lm_alloc(size_t bytes);                             // never NULL; contents undefined
void *lm_zalloc(size_t count, size_t size);               // zeroed; overflow-checked
void *lm_realloc(void *ptr, size_t count, size_t size);   // overflow-checked
char *lm_strdup(const char *s);                           // free() it
void *lm_memdup(const void *ptr, size_t bytes);           // free() it

/* Memory that is about to be written: has its pages made at once, which takes about half the time of making
 * each when it is touched.  Nothing happens when the last of them is there.  A hint. */
void lm_mem_touch(void *ptr, size_t bytes);

/* 64-byte aligned slab for tensors; free() it.  Zeroed. */
void *lm_slab_alloc(size_t bytes);
void *lm_slab_raw(size_t bytes);   // the same, not zeroed

/* Grows *items (of `size` bytes each) so that at least `need` fit; doubles.  *cap is in items. */
void lm_grow(void *items, size_t *cap, size_t need, size_t size);

/* Owner: one thread.  Zero-initialised is ready to use. */
struct lm_arena {
    struct lm_arena_block *block;   // newest first
    size_t used;                    // bytes used in the newest block
    size_t total_bytes;             // handed out since the last reset
};

void *lm_arena_alloc(struct lm_arena *arena, size_t bytes);   // 16-byte aligned, zeroed
char *lm_arena_strdup(struct lm_arena *arena, const char *s);
char *lm_arena_strndup(struct lm_arena *arena, const char *s, size_t len);   // always terminated
char *lm_arena_printf(struct lm_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lm_arena_reset(struct lm_arena *arena);     // keeps one block
void lm_arena_release(struct lm_arena *arena);   // gives all memory back; usable again afterwards

/* Cleanup attribute: `LM_FREE char *path = ...;` */
void lm_free_cleanup(void *ptr_to_ptr);
#define LM_FREE __attribute__((cleanup(lm_free_cleanup)))

#endif
