#ifndef LM_CORPUS_SLOT_H
#define LM_CORPUS_SLOT_H
/* corpus/slot.h - memory of a place in a batch, used again for the next document.  Internal to the module.
 *
 * What one huge document needed is given back: else a batch would in time hold as many as it has places. */

#include "base/mem.h"
#include "base/str.h"

enum { LM_SLOT_BYTES_MAX = 1 << 20 };   // kept from one document to the next, for each buffer and arena

static inline void lm_slot_buf_reset(struct lm_buf *buf)
{
    if (buf->cap > LM_SLOT_BYTES_MAX)
        lm_buf_release(buf);
    else
        lm_buf_reset(buf);
}

static inline void lm_slot_arena_reset(struct lm_arena *arena)
{
    if (arena->total_bytes > LM_SLOT_BYTES_MAX)
        lm_arena_release(arena);
    else
        lm_arena_reset(arena);
}

#endif
