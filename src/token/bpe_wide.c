#include "token/bpe_wide.h"

#include "base/sys.h"

enum { SCORE_BITS = 26 };   // with the place in a window a score fills 32

static size_t home(const struct lm_bpe_wide *w, uint64_t pair)
{
    return (pair * 0x9e3779b97f4a7c15) >> w->shift;
}

bool lm_bpe_wide_init(struct lm_bpe_wide *w, const struct lm_bpe *bpe)
{
    *w = (struct lm_bpe_wide){ .bpe = bpe, .shift = 60 };
    for (size_t i = 0; i <= bpe->mask; i++)
        if (bpe->slots[i].pair != LM_MERGE_FREE && bpe->slots[i].rank >= w->score_max)
            w->score_max = bpe->slots[i].rank + 1;
    if (w->score_max >> SCORE_BITS)
        return false;
    while (((size_t)1 << (64 - w->shift)) < bpe->len / 3 * 2)   // of four entries one or less is taken
        w->shift--;
    w->lines = lm_slab_alloc(((size_t)1 << (64 - w->shift)) * sizeof(*w->lines));
    for (size_t i = 0; i < (size_t)1 << (64 - w->shift); i++)
        for (size_t k = 0; k < 4; k++)
            w->lines[i].entry[k].pair = LM_MERGE_FREE;
    w->firsts = lm_zalloc((size_t)LM_BPE_FIRSTS * LM_BPE_FIRSTS, sizeof(*w->firsts));
    for (size_t i = 0; i <= bpe->mask; i++) {
        const struct lm_merge *m = &bpe->slots[i];
        if (m->pair == LM_MERGE_FREE)
            continue;
        const uint64_t left = m->pair >> 32, right = (uint32_t)m->pair;
        if ((left | right) < LM_BPE_FIRSTS)
            w->firsts[left * LM_BPE_FIRSTS + right] = (uint64_t)(w->score_max - m->rank) << 32 | m->id;
        struct lm_bpe_line *line = &w->lines[home(w, m->pair)];
        size_t k = 0;
        while (k < 4 && line->entry[k].value)
            k++;
        if (k == 4) {
            line->entry[3].value |= LM_BPE_LINE_FULL;
            continue;
        }
        line->entry[k].pair = m->pair;
        line->entry[k].value = (uint64_t)(w->score_max - m->rank) << 32 | m->id;
    }
    return true;
}

void lm_bpe_wide_release(struct lm_bpe_wide *w)
{
    free(w->lines);
    free(w->firsts);
    *w = (struct lm_bpe_wide){ 0 };
}

uint64_t lm_bpe_wide_find_far(const struct lm_bpe_wide *w, uint64_t pair)
{
    const struct lm_merge *m = lm_bpe_find(w->bpe, (uint32_t)(pair >> 32), (uint32_t)pair);
    return m ? (uint64_t)(w->score_max - m->rank) << 32 | m->id : 0;
}

#ifdef __x86_64__

/* Some ids as if they were all of the text: what they become, and of how many each token is made. */
struct part {
    uint32_t *ids, *lens;
    size_t ids_cap, lens_cap, len, tokens;
};

static void solve(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, const uint32_t *ids, size_t len,
                  struct part *ret)
{
    lm_grow(&ret->ids, &ret->ids_cap, len, sizeof(*ret->ids));
    lm_grow(&ret->lens, &ret->lens_cap, len, sizeof(*ret->lens));
    ret->len = len;
    if (len > 1 && len <= LM_BPE_WINDOW) {
        ret->tokens = lm_bpe_window_avx512(w, ids, len, ret->ids, ret->lens);
        return;
    }
    memcpy(ret->ids, ids, len * sizeof(*ids));
    ret->tokens = lm_bpe_merge_heap(w->bpe, s, ret->ids, len, ret->lens);
}

/* How many tokens of a part to keep when the next part starts behind them: all but those near the end, which
 * what follows will often change, and not the last but one. */
static size_t settled(const struct part *part, size_t *ret_ids)
{
    enum { MARGIN = 12 };
    size_t at = 0, token = 0;
    while (token + 2 < part->tokens && at + part->lens[token] + MARGIN <= part->len)
        at += part->lens[token++];
    *ret_ids = at;
    return token;
}

/* Where a part starts, and the token that the part before it found there. */
struct start {
    size_t from, out;   // ids before it; tokens before it
    uint32_t id, len;
};

struct chain {
    struct start *starts;
    size_t cap, last;   // the part at work is the last one
    uint32_t *out;
    size_t out_cap;
};

static bool goes_on(const struct chain *c, const struct part *part)
{
    const struct start *start = &c->starts[c->last];
    return c->last == 0 || (part->ids[0] == start->id && part->lens[0] == start->len);
}

/* Keeps what of a part is settled and starts the next behind it. */
static void link_part(struct chain *c, const struct part *part, size_t keep, size_t step)
{
    const struct start *start = &c->starts[c->last];
    const struct start next = { start->from + step, start->out + keep, part->ids[keep], part->lens[keep] };
    lm_grow(&c->out, &c->out_cap, next.out, sizeof(*c->out));
    memcpy(c->out + start->out, part->ids, keep * sizeof(*c->out));
    lm_grow(&c->starts, &c->cap, c->last + 2, sizeof(*c->starts));
    c->starts[++c->last] = next;
}

/* Where the next part does not start as this one goes on, this one takes more; when that changes how it
 * starts itself, the one before it does.  The most that can come of it is one part of all ids. */
static size_t merge_parts(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count)
{
    struct part parts[2] = { 0 }, *part = &parts[0], *next = &parts[1];
    struct chain c = { 0 };
    lm_grow(&c.starts, &c.cap, 1, sizeof(*c.starts));
    c.starts[0] = (struct start){ 0 };
    solve(w, s, ids, LM_BPE_WINDOW, part);
    for (;;) {
        size_t from = c.starts[c.last].from, step = 0, want = part->len * 2;
        if (!goes_on(&c, part)) {
            want += from - c.starts[c.last - 1].from;
            from = c.starts[--c.last].from;
        } else if (from + part->len == count) {
            break;
        } else {
            const size_t keep = settled(part, &step), rest = count - from - step;
            solve(w, s, ids + from + step, rest < LM_BPE_WINDOW ? rest : LM_BPE_WINDOW, next);
            if (keep > 0 && next->ids[0] == part->ids[keep] && next->lens[0] == part->lens[keep]) {
                link_part(&c, part, keep, step);
                struct part *const last = part;
                part = next;
                next = last;
                continue;
            }
        }
        solve(w, s, ids + from, count - from < want ? count - from : want, part);
    }
    const size_t out = c.starts[c.last].out;
    if (out > 0)
        memcpy(ids, c.out, out * sizeof(*ids));
    memcpy(ids + out, part->ids, part->tokens * sizeof(*ids));
    const size_t tokens = out + part->tokens;
    for (size_t i = 0; i < 2; i++) {
        free(parts[i].ids);
        free(parts[i].lens);
    }
    free(c.starts);
    free(c.out);
    return tokens;
}
#endif

size_t lm_bpe_wide_merge(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count)
{
    if (count < 2)
        return count;
#ifdef __x86_64__
    if (w->lines && lm_isa_has(LM_ISA_AVX512)) {
        uint32_t lens[LM_BPE_WINDOW];
        return count <= LM_BPE_WINDOW ? lm_bpe_window_avx512(w, ids, count, ids, lens)
                                      : merge_parts(w, s, ids, count);
    }
#endif
    return lm_bpe_merge(w->bpe, s, ids, count);
}

enum { PARTS = 256 };   // worked on together

static void merge_some(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, uint32_t *lens,
                       size_t count)
{
    uint32_t starts[PARTS], at = 0;
    for (size_t i = 0; i < count; i++) {
        starts[i] = at;
        at += lens[i];
    }
    bool done = false;
#ifdef __x86_64__
    done = w->lines && lm_isa_has(LM_ISA_AVX512);
    for (size_t i = 0; done && i < count; i++)
        if (lens[i] > LM_BPE_LANES)   // first: what is merged by now must not be taken for a short part
            lens[i] = (uint32_t)lm_bpe_wide_merge(w, s, ids + starts[i], lens[i]) | LM_BPE_DONE;
    if (done)
        lm_bpe_parts_avx512(w, ids, starts, lens, count);
    for (size_t i = 0; done && i < count; i++)
        lens[i] &= ~LM_BPE_DONE;
#endif
    for (size_t i = 0; !done && i < count; i++)
        lens[i] = (uint32_t)lm_bpe_wide_merge(w, s, ids + starts[i], lens[i]);
}

void lm_bpe_wide_merge_parts(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids,
                             uint32_t *lens, size_t count)
{
    for (size_t from = 0; from < count; from += PARTS) {
        const size_t some = count - from < PARTS ? count - from : PARTS;
        size_t all = 0;
        for (size_t i = 0; i < some; i++)
            all += lens[from + i];
        merge_some(w, s, ids, lens + from, some);
        ids += all;
    }
}
