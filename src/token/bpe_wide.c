#include "token/bpe_wide.h"

#include "base/sys.h"

enum { SCORE_BITS_MAX = 26 };   // with the place in a window a score fills 32

static unsigned bits_of(uint64_t most)
{
    return 64 - (unsigned)__builtin_clzll(most | 1);
}

/* How wide the parts of an entry are; false: too wide. */
static bool measure(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    enum { ENTRY_BITS = 63, LINES_SPARE = 3 };
    for (size_t i = 0; i <= bpe->mask; i++) {
        const struct lm_merge *m = &bpe->slots[i];
        if (m->pair == LM_MERGE_FREE)
            continue;
        const uint32_t left = (uint32_t)(m->pair >> 32), right = (uint32_t)m->pair;
        w->score_max = m->rank >= w->score_max ? m->rank + 1 : w->score_max;
        w->stranger = left >= w->stranger ? left + 1 : w->stranger;
        w->stranger = right >= w->stranger ? right + 1 : w->stranger;
        w->stranger = m->id >= w->stranger ? m->id + 1 : w->stranger;
    }
    w->score_bits = bits_of(w->score_max);
    w->id_bits = bits_of(w->stranger);
    for (w->line_bits = 1;
         (size_t)3 << w->line_bits < bpe->len;)   // of eight entries three or less are taken
        w->line_bits++;
    const unsigned spare = w->line_bits + LINES_SPARE, wide = 3 * w->id_bits + w->score_bits;
    if (wide > ENTRY_BITS + w->line_bits)
        w->line_bits = wide - ENTRY_BITS;
    return w->score_bits <= SCORE_BITS_MAX && w->line_bits <= spare && w->line_bits < 2 * w->id_bits &&
           2 * w->id_bits < 64;
}

static void put(struct lm_bpe_wide *w, const struct lm_merge *m)
{
    const uint32_t left = (uint32_t)(m->pair >> 32), right = (uint32_t)m->pair;
    const uint64_t score = w->score_max - m->rank;
    if ((left | right) < LM_BPE_FIRSTS)
        w->firsts[left * LM_BPE_FIRSTS + right] = score << w->id_bits | m->id;
    const struct lm_bpe_place place = lm_bpe_place(w, left, right);
    uint64_t *entry = w->lines[place.line].entry;
    size_t k = 0;
    while (k < LM_BPE_ENTRIES && entry[k])
        k++;
    if (k == LM_BPE_ENTRIES)
        entry[k - 1] |= w->full;
    else
        entry[k] = place.tag | score << w->id_bits | m->id;
}

/* The line of what is put some entries later is on its way. */
static void put_all(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    enum { AHEAD = 32 };
    for (size_t i = 0; i <= bpe->mask; i++) {
        const struct lm_merge *later = &bpe->slots[(i + AHEAD) & bpe->mask];
        if (later->pair != LM_MERGE_FREE)
            __builtin_prefetch(
                &w->lines[lm_bpe_place(w, (uint32_t)(later->pair >> 32), (uint32_t)later->pair).line], 1);
        if (bpe->slots[i].pair != LM_MERGE_FREE)
            put(w, &bpe->slots[i]);
    }
}

bool lm_bpe_wide_init(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    *w = (struct lm_bpe_wide){ .bpe = bpe };
    if (!measure(w, bpe))
        return false;
    w->left_factor = 0x9e3779b97f4a7c15 << (64 - w->id_bits);
    w->right_factor = 0x9e3779b97f4a7c15 << (64 - 2 * w->id_bits);
    w->full = (uint64_t)1 << (w->score_bits + w->id_bits);
    w->lines = lm_slab_alloc(sizeof(*w->lines) << w->line_bits);
    w->firsts = lm_zalloc((size_t)LM_BPE_FIRSTS * LM_BPE_FIRSTS, sizeof(*w->firsts));
    put_all(w, bpe);
    return true;
}

void lm_bpe_wide_release(struct lm_bpe_wide *w)
{
    free(w->lines);
    free(w->firsts);
    *w = (struct lm_bpe_wide){ 0 };
}

uint64_t lm_bpe_wide_find_far(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const struct lm_merge *m = lm_bpe_find(w->bpe, left, right);
    return m ? (uint64_t)(w->score_max - m->rank) << w->id_bits | m->id : 0;
}

size_t lm_bpe_wide_merge(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count)
{
    if (count < 2)
        return count;
#ifdef __x86_64__
    if (w->lines && lm_isa_has(LM_ISA_AVX512)) {
        uint32_t lens[LM_BPE_WINDOW];
        return count <= LM_BPE_WINDOW ? lm_bpe_window_avx512(w, ids, count, ids, lens)
                                      : lm_bpe_merge_long(w, s, ids, count);
    }
#endif
    return lm_bpe_merge(w->bpe, s, ids, count);
}

void lm_bpe_wide_merge_jobs(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s,
                            const struct lm_bpe_job *jobs, size_t count, struct lm_bpe_window *ret)
{
#ifdef __x86_64__
    enum { FEW = 3 };   // which would wait for themselves
    if (w->lines && lm_isa_has(LM_ISA_AVX512) && count > FEW) {
        lm_bpe_windows_avx512(w, jobs, count, ret);
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        memcpy(ret[i].ids, jobs[i].ids, jobs[i].count * sizeof(*ret[i].ids));
        ret[i].tokens = (uint32_t)lm_bpe_wide_merge(w, s, ret[i].ids, jobs[i].count);
    }
}
