/* token/bpe_heap.c - which pair is merged next: of the most frequent ones that which the rule for ties says.
 *
 * Counts of entries are refreshed when they come to the top. */
#include "token/bpe_learner.h"

#include "text/text.h"

/* ---- ties ---- */

/* An id as it were if the id of a byte was its value. */
static uint32_t raw_id(const struct lm_learner *l, uint32_t id)
{
    const size_t first = l->out->alphabet_before;
    return l->options->kind == LM_LEARN_BYTES && id >= first && id < first + 256
               ? lm_byte_in_order(id - first)
               : id;
}

static int compare_raw(const struct lm_learner *l, uint64_t a, uint64_t b)
{
    const uint64_t x = lm_pair_key(raw_id(l, (uint32_t)(a >> 32)), raw_id(l, (uint32_t)a));
    const uint64_t y = lm_pair_key(raw_id(l, (uint32_t)(b >> 32)), raw_id(l, (uint32_t)b));
    return (x > y) - (x < y);
}

static int compare_bytes(const struct lm_learner *l, uint64_t a, uint64_t b)
{
    const int left = lm_str_cmp(lm_pair_left(l, a), lm_pair_left(l, b));
    return left ? left : lm_str_cmp(lm_pair_right(l, a), lm_pair_right(l, b));
}

static uint8_t joined_at(struct lm_str left, struct lm_str right, size_t i)
{
    return (uint8_t)(i < left.len ? left.ptr[i] : right.ptr[i - left.len]);
}

static int compare_spm(const struct lm_learner *l, uint64_t a, uint64_t b)
{
    const struct lm_str al = lm_pair_left(l, a), ar = lm_pair_right(l, a), bl = lm_pair_left(l, b),
                        br = lm_pair_right(l, b);
    const size_t a_chars = lm_utf8_count(al) + lm_utf8_count(ar);
    const size_t b_chars = lm_utf8_count(bl) + lm_utf8_count(br);
    if (a_chars != b_chars)
        return a_chars < b_chars ? -1 : 1;
    const size_t a_len = al.len + ar.len, b_len = bl.len + br.len;
    for (size_t i = 0; i < a_len && i < b_len; i++)
        if (joined_at(al, ar, i) != joined_at(bl, br, i))
            return joined_at(al, ar, i) < joined_at(bl, br, i) ? -1 : 1;
    return (a_len > b_len) - (a_len < b_len);
}

/* By enum lm_tie; NULL: by the pair itself. */
static int (*const ties[LM_TIE_COUNT])(const struct lm_learner *l, uint64_t a, uint64_t b) = {
    [LM_TIE_RAW] = compare_raw,
    [LM_TIE_BYTES] = compare_bytes,
    [LM_TIE_SPM] = compare_spm,
};

/* ---- the heap: larger count first, then by the rule for ties ---- */

static bool goes_before(const struct lm_learner *l, const struct lm_candidate *a,
                        const struct lm_candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    const int order =
        ties[l->options->tie] ? ties[l->options->tie](l, l->pairs[a->pair].key, l->pairs[b->pair].key) : 0;
    if (order)
        return order < 0;
    return a->pair != b->pair ? l->pairs[a->pair].key < l->pairs[b->pair].key : a->turn < b->turn;
}

static void heap_push(struct lm_learner *l, struct lm_candidate c)
{
    lm_grow(&l->heap, &l->heap_cap, l->heap_len + 1, sizeof(*l->heap));
    size_t i = l->heap_len++;
    for (; i > 0 && goes_before(l, &c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
}

static struct lm_candidate heap_pop(struct lm_learner *l)
{
    const struct lm_candidate top = l->heap[0], last = l->heap[--l->heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= l->heap_len)
            break;
        child += child + 1 < l->heap_len && goes_before(l, &l->heap[child + 1], &l->heap[child]);
        if (!goes_before(l, &l->heap[child], &last))
            break;
        l->heap[i] = l->heap[child];
        i = child;
    }
    l->heap[i] = last;
    return top;
}

static struct lm_candidate to_candidate(struct lm_learner *l, struct lm_touched *t)
{
    enum { KEPT = 1 << 12 };   // bytes of a list that stay for the next step
    LM_ASSERT(t->len <= UINT32_MAX && l->turn < UINT32_MAX);
    struct lm_candidate c = { .count = (uint64_t)l->pairs[t->pair].count,
                              .pair = t->pair,
                              .turn = l->turn++ };
    c.len = (uint32_t)t->len;
    if (t->len > LM_FEW_BYTES)
        c.bytes = lm_memdup(t->bytes, t->len);
    else
        memcpy(c.few, t->bytes, t->len);
    if (t->cap > KEPT) {
        free(t->bytes);
        t->bytes = NULL;
        t->cap = 0;
    }
    return c;
}

void lm_candidate_release(const struct lm_candidate *c)
{
    if (c->len > LM_FEW_BYTES)
        free(c->bytes);
}

void lm_learner_push(struct lm_learner *l)
{
    for (size_t i = 0; i < l->touched_len; i++) {
        struct lm_pair *p = &l->pairs[l->touched[i].pair];
        if (p->count > 0)
            heap_push(l, to_candidate(l, &l->touched[i]));
        p->touched = 0;
    }
    l->touched_len = 0;
}

bool lm_learner_next(struct lm_learner *l, uint64_t frequency_min, struct lm_candidate *ret)
{
    while (l->heap_len > 0) {
        struct lm_candidate c = heap_pop(l);
        const int64_t count = l->pairs[c.pair].count;
        const uint64_t now = count > 0 ? (uint64_t)count : 0;
        const bool current = c.count == now;
        c.count = now;
        if (!current || now == 0 || now < frequency_min)
            heap_push(l, c);   // in the last two cases it stays where it is, on top
        if (current) {
            *ret = c;
            return now > 0 && now >= frequency_min;
        }
    }
    return false;
}
