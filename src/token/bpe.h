#ifndef LM_TOKEN_BPE_H
#define LM_TOKEN_BPE_H
/* token/bpe.h - the merge list of a tokenizer, and merging one piece of text by it.
 *
 * The meaning is Hugging Face's: of all neighbours in the list merge those listed first, leftmost first.
 * Of equal lines the last counts.  The heap is the definition; short pieces take a scan for the minimum,
 * which gives the same when no two lines make the same token (several_ways is false). */

#include "token/vocab.h"

struct lm_merge {
    uint64_t pair;   // left << 32 | right; LM_MERGE_FREE: no entry
    uint32_t rank;   // line number
    uint32_t id;     // what the two become
};

#define LM_MERGE_FREE UINT64_MAX

struct lm_bpe {
    struct lm_merge *slots;   // open addressing, at most two thirds full
    size_t mask, len;
    unsigned shift;          // 64 - log2(slots)
    uint32_t byte_id[256];   // LM_TOKEN_NONE: the vocabulary has no token for the byte
    bool several_ways;       // some token is made by more than one line
};

void lm_bpe_init(struct lm_bpe *bpe, size_t merge_count);   // room for as many; byte_id all LM_TOKEN_NONE
void lm_bpe_release(struct lm_bpe *bpe);
void lm_bpe_put(struct lm_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);

static inline const struct lm_merge *lm_bpe_find(const struct lm_bpe *bpe, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    for (size_t i = (pair * 0x9e3779b97f4a7c15) >> bpe->shift;; i = (i + 1) & bpe->mask) {
        const struct lm_merge *m = &bpe->slots[i];
        if (m->pair == pair)
            return m;
        if (m->pair == LM_MERGE_FREE)
            return NULL;
    }
}

static inline void lm_bpe_fetch(const struct lm_bpe *bpe, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    __builtin_prefetch(&bpe->slots[(pair * 0x9e3779b97f4a7c15) >> bpe->shift]);
}

/* Memory that merging needs; zero-initialised is ready.  Owner: one thread. */
struct lm_bpe_scratch {
    struct lm_bpe_node *nodes;
    struct lm_bpe_step *heap;
    size_t node_cap, heap_cap, heap_len;
    size_t step;   // of bpe_long.c for the next text; 0: it may choose
};

void lm_bpe_scratch_release(struct lm_bpe_scratch *s);

/* Merges the ids in place; returns how many are left. */
size_t lm_bpe_merge(const struct lm_bpe *bpe, struct lm_bpe_scratch *s, uint32_t *ids, size_t count);

/* The definition, for at least one id.  ret_lens, when not NULL: of how many of the old ids each token is
 * made. */
size_t lm_bpe_merge_heap(const struct lm_bpe *bpe, struct lm_bpe_scratch *s, uint32_t *ids, size_t count,
                         uint32_t *ret_lens);

#endif
