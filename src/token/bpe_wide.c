#include "token/bpe_wide.h"

#include "base/sys.h"

enum { SCORE_BITS_MAX = 26 };   // with the place in a window a score fills 32

static unsigned bits_of(uint64_t most)
{
    return 64 - (unsigned)__builtin_clzll(most | 1);
}

typedef uint32_t words __attribute__((vector_size(16)));   // of a merge: right, left, rank, id

/* The largest of each that occurs.  Free places, half of all at random, are no branch. */
static words largest(const struct lm_bpe *bpe)
{
    _Static_assert(sizeof(struct lm_merge) == sizeof(words) && offsetof(struct lm_merge, rank) == 8,
                   "words are those of a merge");
    words most = { 0 };
    for (size_t i = 0; i <= bpe->mask; i++) {
        words w;
        memcpy(&w, &bpe->slots[i], sizeof(w));
        w &= (words)(w != (words){ UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX });
        const words more = (words)(w > most);
        most = (w & more) | (most & ~more);
    }
    return most;
}

/* How wide the parts of an entry are; false: too wide. */
static bool measure(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    enum { ENTRY_BITS = 63, LINES_SPARE = 3 };
    const words most = largest(bpe);
    w->score_max = most[2] + 1;
    w->stranger = most[0] > most[1] ? most[0] : most[1];
    w->stranger = (most[3] > w->stranger ? most[3] : w->stranger) + 1;
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

static struct lm_bpe_place place_of(const struct lm_bpe_wide *w, const struct lm_merge *m)
{
    return lm_bpe_place(w, (uint32_t)(m->pair >> 32), (uint32_t)m->pair);
}

/* taken: entries of each line. */
static void put(struct lm_bpe_wide *w, const struct lm_merge *m, uint8_t *taken)
{
    const uint32_t left = (uint32_t)(m->pair >> 32), right = (uint32_t)m->pair;
    const uint64_t value = (uint64_t)(w->score_max - m->rank) << w->id_bits | m->id;
    if ((left | right) < LM_BPE_FIRSTS)
        w->firsts[left * LM_BPE_FIRSTS + right] = value;
    const struct lm_bpe_place place = place_of(w, m);
    uint64_t *entry = w->lines[place.line].entry;
    if (taken[place.line] < LM_BPE_ENTRIES)
        entry[taken[place.line]++] = place.tag | value;
    else
        entry[LM_BPE_ENTRIES - 1] |= w->full;
}

/* The line of what is put some entries later is on its way. */
static void put_all(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    enum { AHEAD = 16 };
    LM_FREE uint8_t *taken = lm_zalloc((size_t)1 << w->line_bits, sizeof(*taken));
    LM_FREE uint32_t *used = lm_alloc((bpe->mask + 1) * sizeof(*used));   // slots that are not free
    size_t count = 0;
    for (size_t i = 0; i <= bpe->mask; i++) {
        used[count] = (uint32_t)i;
        count += bpe->slots[i].pair != LM_MERGE_FREE;
    }
    LM_ASSERT(count == bpe->len);
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(&w->lines[place_of(w, &bpe->slots[used[i + AHEAD]]).line], 1);
        put(w, &bpe->slots[used[i]], taken);
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
