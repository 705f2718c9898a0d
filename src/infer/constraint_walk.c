#include "infer/constraint_impl.h"

#include "base/mem.h"

#include <stdlib.h>

struct lm_constraint_walk {
    const struct lm_constraint *constraint;
    struct lm_walk_memory *memory;
    uint32_t *path;   // path[0]: where the text so far led; [d]: spot behind the first d bytes of a token
    uint64_t *mask;   // [words], handed out
};

/* ---- memory ---- */

static struct lm_walk_memory *memory_new(const struct lm_constraint *c)
{
    struct lm_walk_memory *m = lm_zalloc(1, sizeof(*m));
    lm_lazy_init(&m->lazy, &c->nfa);
    m->masks = lm_zalloc(LM_WALK_MASKS * c->vocab->words, sizeof(*m->masks));
    return m;
}

void lm_walk_memory_free(struct lm_walk_memory *m)
{
    if (!m)
        return;
    lm_lazy_release(&m->lazy);
    free(m->masks);
    free(m);
}

static struct lm_walk_memory *take_idle(struct lm_constraint_idle *idle)
{
    pthread_mutex_lock(&idle->lock);
    struct lm_walk_memory *m = idle->count > 0 ? idle->memories[--idle->count] : NULL;
    pthread_mutex_unlock(&idle->lock);
    return m;
}

static void leave_idle(struct lm_constraint_idle *idle, struct lm_walk_memory *m)
{
    if (m->lazy.bytes > LM_WALK_IDLE_BYTES_MAX)
        lm_lazy_shrink(&m->lazy, NULL, 0);
    pthread_mutex_lock(&idle->lock);
    const bool kept = idle->count < LM_WALK_IDLE_MAX;
    if (kept)
        idle->memories[idle->count++] = m;
    pthread_mutex_unlock(&idle->lock);
    if (!kept)
        lm_walk_memory_free(m);
}

struct lm_constraint_walk *lm_constraint_walk_new(const struct lm_constraint *c)
{
    struct lm_constraint_walk *w = lm_zalloc(1, sizeof(*w));
    w->constraint = c;
    w->memory = take_idle(c->idle);
    if (!w->memory)
        w->memory = memory_new(c);
    w->path = lm_zalloc(c->vocab->depth_max + 2, sizeof(*w->path));
    w->mask = lm_zalloc(c->vocab->words + 1, sizeof(*w->mask));
    w->path[0] = lm_lazy_start(&w->memory->lazy);
    return w;
}

void lm_constraint_walk_free(struct lm_constraint_walk *w)
{
    if (!w)
        return;
    leave_idle(w->constraint->idle, w->memory);
    free(w->path);
    free(w->mask);
    free(w);
}

/* ---- steps ---- */

/* The spot behind path[depth] and a byte, when the row does not know it. */
static uint32_t find(struct lm_constraint_walk *w, size_t depth, uint8_t class)
{
    struct lm_lazy *l = &w->memory->lazy;
    if (lm_lazy_full(l))
        lm_lazy_shrink(l, w->path, depth + 1);
    return lm_lazy_step(l, w->path[depth], class);
}

static void set_bits(const uint32_t *ids, size_t from, size_t to, uint64_t *mask)
{
    for (size_t i = from; i < to; i++)
        mask[ids[i] / 64] |= UINT64_C(1) << ids[i] % 64;
}

static bool is_within(struct lm_run below, struct lm_run run)
{
    return !(below.kinds & ~run.kinds) && below.chars <= run.chars;
}

/* Sets the bits of all tokens of the trie that fit behind path[0].  Plain tokens of up to `chars` characters
 * are known to fit and have been set. */
static void look(struct lm_constraint_walk *w, const struct lm_trie *trie, uint8_t chars, uint64_t *mask)
{
    const struct lm_lazy *l = &w->memory->lazy;
    const struct lm_nfa *nfa = &w->constraint->nfa;
    const struct lm_trie_node *nodes = trie->nodes;
    for (size_t i = 0; i < trie->count;) {
        const struct lm_trie_node *n = &nodes[i];
        if (n->chars <= chars) {
            i = n->next;
            continue;
        }
        const uint8_t class = nfa->class_of[n->byte];
        uint32_t to = l->rows[w->path[n->depth] * nfa->class_count + class];
        if (to == LM_SPOT_UNKNOWN)
            to = find(w, n->depth, class);
        if (to == LM_SPOT_DEAD) {
            i = n->next;
        } else if (chars == 0 && is_within(n->below, l->spots[to].run)) {   // else most have been set
            set_bits(trie->ids, n->token, nodes[n->next].token, mask);
            i = n->next;
        } else {
            set_bits(trie->ids, n->token, n[1].token, mask);
            w->path[n->depth + 1] = to;
            i++;
        }
    }
}

static size_t count_bits(const uint64_t *mask, size_t words)
{
    size_t count = 0;
    for (size_t i = 0; i < words; i++)
        count += (size_t)__builtin_popcountll(mask[i]);
    return count;
}

static void set_plain(const struct lm_constraint_vocab *v, uint8_t chars, uint64_t *mask)
{
    const size_t row = chars < LM_PLAIN_CHARS_MAX ? chars : LM_PLAIN_CHARS_MAX;
    memcpy(mask, v->plain_masks + row * v->words, v->words * sizeof(*mask));
    for (size_t i = 0; row < chars && i < v->long_count; i++)
        if (v->longs[i].chars <= chars)
            mask[v->longs[i].id / 64] |= UINT64_C(1) << v->longs[i].id % 64;
}

/* The mask of path[0] without the ends. */
static size_t compute(struct lm_constraint_walk *w, uint64_t *mask)
{
    const struct lm_constraint_vocab *v = w->constraint->vocab;
    const struct lm_spot spot = w->memory->lazy.spots[w->path[0]];
    const uint8_t chars =
        spot.run.kinds == LM_KINDS_PLAIN ? spot.run.chars : 0;   // plain ones that surely fit
    set_plain(v, chars, mask);
    if (chars < v->plain_chars_max && (chars < spot.reach || spot.reach == LM_REACH_MANY))
        look(w, &v->plain, chars, mask);
    look(w, &v->rest, 0, mask);
    return count_bits(mask, v->words);
}

/* The mask without the ends, from those kept or made and kept now. */
static const uint64_t *find_mask(struct lm_constraint_walk *w, size_t *ret_count)
{
    struct lm_walk_memory *m = w->memory;
    const size_t words = w->constraint->vocab->words;
    size_t slot = w->path[0] % LM_WALK_MASKS;
    if (m->kept[slot].spot != w->path[0] || m->kept[slot].shrunk != m->lazy.shrunk) {
        if (lm_lazy_full(&m->lazy)) {
            lm_lazy_shrink(&m->lazy, w->path, 1);
            slot = w->path[0] % LM_WALK_MASKS;
        }
        uint64_t *mask = m->masks + slot * words;
        const size_t count = compute(w, mask);   // may renumber path[0]: then it is not found again
        m->kept[slot].spot = w->path[0];
        m->kept[slot].shrunk = m->lazy.shrunk;
        m->kept[slot].count = count;
    }
    *ret_count = m->kept[slot].count;
    return m->masks + slot * words;
}

const uint64_t *lm_constraint_mask(struct lm_constraint_walk *w, const uint32_t *ends, size_t end_count,
                                   size_t *ret_count)
{
    const struct lm_constraint_vocab *v = w->constraint->vocab;
    size_t count;
    memcpy(w->mask, find_mask(w, &count), v->words * sizeof(*w->mask));
    const bool may_end = lm_constraint_may_end(w);
    for (size_t i = 0; i < end_count; i++) {
        if (ends[i] >= v->vocab_size)
            continue;
        uint64_t *word = &w->mask[ends[i] / 64];
        const uint64_t bit = UINT64_C(1) << ends[i] % 64;
        count += may_end && !(*word & bit);
        count -= !may_end && (*word & bit);
        *word = may_end ? *word | bit : *word & ~bit;
    }
    *ret_count = count;
    return w->mask;
}

bool lm_constraint_accept(struct lm_constraint_walk *w, uint32_t id)
{
    const struct lm_constraint_vocab *v = w->constraint->vocab;
    if (id >= v->vocab_size || lm_tokenizer_is_special(v->tokenizer, id))
        return false;
    const struct lm_str bytes = lm_tokenizer_bytes(v->tokenizer, id);
    if (bytes.len == 0 || bytes.len > LM_TRIE_TOKEN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < bytes.len; i++) {
        w->path[i + 1] = find(w, i, w->constraint->nfa.class_of[(uint8_t)bytes.ptr[i]]);
        if (w->path[i + 1] == LM_SPOT_DEAD)
            return false;
    }
    w->path[0] = w->path[bytes.len];
    return true;
}

bool lm_constraint_may_end(const struct lm_constraint_walk *w)
{
    return w->memory->lazy.spots[w->path[0]].end;
}
