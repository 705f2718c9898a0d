#include "token/bpe.h"

enum { SHORT_MAX = 32 };   // ids for which the scan beats the heap

struct lm_bpe_node {
    uint32_t id, prev, next;   // LM_TOKEN_NONE: no neighbour; id LM_TOKEN_NONE: merged away
};

struct lm_bpe_step {
    uint64_t order;   // rank << 32 | position: the smallest is next
    uint32_t id;      // what it would make
};

void lm_bpe_init(struct lm_bpe *bpe, size_t merge_count)
{
    *bpe = (struct lm_bpe){ .shift = 60 };
    while (((size_t)1 << (64 - bpe->shift)) / 3 * 2 <= merge_count)
        bpe->shift--;
    const size_t slots = (size_t)1 << (64 - bpe->shift);
    bpe->mask = slots - 1;
    bpe->slots = lm_slab_raw(slots * sizeof(*bpe->slots));
    memset(bpe->slots, 0xff, slots * sizeof(*bpe->slots));
    memset(bpe->byte_id, 0xff, sizeof(bpe->byte_id));
}

void lm_bpe_release(struct lm_bpe *bpe)
{
    free(bpe->slots);
    *bpe = (struct lm_bpe){ 0 };
}

void lm_bpe_put(struct lm_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    struct lm_merge *slot = (struct lm_merge *)lm_bpe_find(bpe, left, right);
    if (!slot) {
        LM_ASSERT(bpe->len < bpe->mask);   // a free slot must stay, or a search would not end
        const uint64_t pair = (uint64_t)left << 32 | right;
        size_t i = (pair * 0x9e3779b97f4a7c15) >> bpe->shift;
        while (bpe->slots[i].pair != LM_MERGE_FREE)
            i = (i + 1) & bpe->mask;
        slot = &bpe->slots[i];
        bpe->len++;
    }
    *slot = (struct lm_merge){ (uint64_t)left << 32 | right, rank, id };
}

/* ---- short pieces: scan for the smallest rank, shift the rest up ---- */

struct lane {
    uint32_t rank[SHORT_MAX], made[SHORT_MAX];   // of (ids[i], ids[i + 1])
};

static inline void look(const struct lm_bpe *bpe, const uint32_t *ids, struct lane *lane, size_t i)
{
    const struct lm_merge *m = lm_bpe_find(bpe, ids[i], ids[i + 1]);
    lane->rank[i] = m ? m->rank : LM_TOKEN_NONE;
    lane->made[i] = m ? m->id : LM_TOKEN_NONE;
}

static size_t merge_short(const struct lm_bpe *bpe, uint32_t *ids, size_t count)
{
    struct lane lane;
    for (size_t i = 0; i + 1 < count; i++)
        look(bpe, ids, &lane, i);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            best = lane.rank[i] < lane.rank[best] ? i : best;
        if (lane.rank[best] == LM_TOKEN_NONE)
            break;
        ids[best] = lane.made[best];
        count--;
        for (size_t i = best + 1; i < count; i++)
            ids[i] = ids[i + 1];
        for (size_t i = best + 1; i + 1 < count; i++) {
            lane.rank[i] = lane.rank[i + 1];
            lane.made[i] = lane.made[i + 1];
        }
        if (best > 0)
            look(bpe, ids, &lane, best - 1);
        if (best + 1 < count)
            look(bpe, ids, &lane, best);
    }
    return count;
}

/* ---- the definition: a heap of possible merges over a linked list ---- */

static void heap_push(struct lm_bpe_scratch *s, struct lm_bpe_step step)
{
    lm_grow(&s->heap, &s->heap_cap, s->heap_len + 1, sizeof(*s->heap));
    size_t i = s->heap_len++;
    for (; i > 0 && s->heap[(i - 1) / 2].order > step.order; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = step;
}

static struct lm_bpe_step heap_pop(struct lm_bpe_scratch *s)
{
    const struct lm_bpe_step top = s->heap[0], last = s->heap[--s->heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_len)
            break;
        child += child + 1 < s->heap_len && s->heap[child + 1].order < s->heap[child].order;
        if (s->heap[child].order >= last.order)
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;   // also when the heap is empty now: slot 0 is free
    return top;
}

/* Notes the merge of node `at` with the one behind it, if the list has it. */
static void offer(const struct lm_bpe *bpe, struct lm_bpe_scratch *s, uint32_t at)
{
    if (at == LM_TOKEN_NONE || s->nodes[at].next == LM_TOKEN_NONE)
        return;
    const struct lm_merge *m = lm_bpe_find(bpe, s->nodes[at].id, s->nodes[s->nodes[at].next].id);
    if (m)
        heap_push(s, (struct lm_bpe_step){ (uint64_t)m->rank << 32 | at, m->id });
}

/* Hugging Face tests an entry that may be out of date by what it makes, not by its line: with several lines
 * for one token an entry can fire for another pair of the same result.  To be equal, so do we. */
static bool still_makes(const struct lm_bpe *bpe, const struct lm_bpe_scratch *s, uint32_t at, uint32_t id)
{
    const struct lm_bpe_node *node = &s->nodes[at];
    if (node->id == LM_TOKEN_NONE || node->next == LM_TOKEN_NONE)
        return false;
    const struct lm_merge *m = lm_bpe_find(bpe, node->id, s->nodes[node->next].id);
    return m && m->id == id;
}

size_t lm_bpe_merge_heap(const struct lm_bpe *bpe, struct lm_bpe_scratch *s, uint32_t *ids, size_t count,
                         uint32_t *ret_lens)
{
    LM_ASSERT(count > 0 && count < LM_TOKEN_NONE);
    lm_grow(&s->nodes, &s->node_cap, count, sizeof(*s->nodes));
    for (size_t i = 0; i < count; i++)
        s->nodes[i] = (struct lm_bpe_node){ ids[i], (uint32_t)i - 1, (uint32_t)i + 1 };
    s->nodes[count - 1].next = LM_TOKEN_NONE;   // and nodes[0].prev is 0 - 1, the same
    s->heap_len = 0;
    for (size_t i = 0; i < count; i++)
        offer(bpe, s, (uint32_t)i);

    while (s->heap_len > 0) {
        const struct lm_bpe_step step = heap_pop(s);
        const uint32_t at = (uint32_t)step.order;
        if (!still_makes(bpe, s, at, step.id))
            continue;
        struct lm_bpe_node *node = &s->nodes[at], *right = &s->nodes[node->next];
        node->id = step.id;
        right->id = LM_TOKEN_NONE;
        node->next = right->next;
        if (node->next != LM_TOKEN_NONE)
            s->nodes[node->next].prev = at;
        offer(bpe, s, node->prev);
        offer(bpe, s, at);
    }

    size_t left = 0;
    for (uint32_t i = 0; i != LM_TOKEN_NONE; i = s->nodes[i].next) {
        if (ret_lens)
            ret_lens[left] = (s->nodes[i].next == LM_TOKEN_NONE ? (uint32_t)count : s->nodes[i].next) - i;
        ids[left++] = s->nodes[i].id;
    }
    return left;
}

size_t lm_bpe_merge(const struct lm_bpe *bpe, struct lm_bpe_scratch *s, uint32_t *ids, size_t count)
{
    LM_ASSERT(count < LM_TOKEN_NONE);
    if (count < 2)
        return count;
    if (count <= SHORT_MAX && !bpe->several_ways)
        return merge_short(bpe, ids, count);
    return lm_bpe_merge_heap(bpe, s, ids, count, NULL);
}

void lm_bpe_scratch_release(struct lm_bpe_scratch *s)
{
    free(s->nodes);
    free(s->heap);
    *s = (struct lm_bpe_scratch){ 0 };
}
