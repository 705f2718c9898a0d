/* review/texts.c - numbering words and n-grams. */

#include "review/texts.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

/* A slot is in use when its stamp is that of the table: so a table empties in one step. */
struct lm_word_slot {
    uint64_t hash;
    size_t at, len;   // in bytes
    uint32_t number, stamp;
};

struct lm_gram_slot {
    uint64_t key;   // number of the first n-1 words, number of the last word
    uint32_t number, stamp;
};

struct lm_gram_counts {
    uint32_t hyp;
    uint32_t best, now;   // in references: largest, and in the one at hand
};

enum { SLOTS_MIN = 256 };

void lm_texts_reset(struct lm_texts *t)
{
    t->len = t->count = 0;
    t->order = 1;
    t->word_count = 0;
    t->gram_count = 0;
    if (++t->word_stamp == 0) {   // after 2^32 texts: stamps of long ago must not come to life
        memset(t->word_slots, 0, t->word_slots_cap * sizeof(*t->word_slots));
        t->word_stamp = 1;
    }
    lm_buf_reset(&t->bytes);
}

void lm_texts_release(struct lm_texts *t)
{
    free(t->words);
    free(t->grams);
    free(t->ranges);
    free(t->word_slots);
    free(t->gram_slots);
    free(t->counts);
    free(t->bits);
    free(t->cells);
    lm_words_scratch_release(&t->scratch);
    lm_buf_release(&t->marked);
    lm_buf_release(&t->bytes);
    *t = (struct lm_texts){ 0 };
}

/* ---- words ---- */

static struct lm_word_slot *word_slot(const struct lm_texts *t, uint64_t hash, struct lm_str word)
{
    for (size_t i = hash & (t->word_slots_cap - 1);; i = (i + 1) & (t->word_slots_cap - 1)) {
        struct lm_word_slot *s = &t->word_slots[i];
        if (s->stamp != t->word_stamp)
            return s;
        if (s->hash == hash && lm_str_eq(word, (struct lm_str){ t->bytes.ptr + s->at, s->len }))
            return s;
    }
}

/* At most half full, so that a probe ends. */
static void word_room(struct lm_texts *t)
{
    if (2 * ((size_t)t->word_count + 1) <= t->word_slots_cap)
        return;
    struct lm_texts old = *t;
    t->word_slots_cap = old.word_slots_cap ? 2 * old.word_slots_cap : SLOTS_MIN;
    t->word_slots = lm_zalloc(t->word_slots_cap, sizeof(*t->word_slots));
    for (size_t i = 0; i < old.word_slots_cap; i++) {
        const struct lm_word_slot *s = &old.word_slots[i];
        if (s->stamp == t->word_stamp)
            *word_slot(t, s->hash, (struct lm_str){ t->bytes.ptr + s->at, s->len }) = *s;
    }
    free(old.word_slots);
}

static uint32_t word_number(struct lm_texts *t, struct lm_str word)
{
    word_room(t);
    const uint64_t hash = lm_hash64(word.ptr, word.len);
    struct lm_word_slot *s = word_slot(t, hash, word);
    if (s->stamp != t->word_stamp) {
        LM_ASSERT(t->word_count < UINT32_MAX);
        *s = (struct lm_word_slot){ hash, t->bytes.len, word.len, t->word_count++, t->word_stamp };
        lm_buf_add_str(&t->bytes, word);
    }
    return s->number;
}

void lm_texts_begin(struct lm_texts *t)
{
    lm_grow(&t->ranges, &t->ranges_cap, t->count + 1, sizeof(*t->ranges));
    lm_grow(&t->words, &t->words_cap, t->len + 1, sizeof(*t->words));   // also an empty text has an address
    lm_grow(&t->grams, &t->grams_cap, t->len + 1, sizeof(*t->grams));
    t->ranges[t->count++] = (struct lm_text_range){ t->len, t->len };
}

void lm_texts_add_word(struct lm_texts *t, struct lm_str word)
{
    LM_ASSERT(t->count > 0 && t->order == 1 && t->word_stamp > 0);
    lm_grow(&t->words, &t->words_cap, t->len + 1, sizeof(*t->words));
    lm_grow(&t->grams, &t->grams_cap, t->len + 1, sizeof(*t->grams));
    t->words[t->len] = t->grams[t->len] = word_number(t, word);
    t->gram_count = t->word_count;
    t->ranges[t->count - 1].end = ++t->len;
}

void lm_texts_add(struct lm_texts *t, enum lm_words how, bool lowercase, struct lm_str text)
{
    struct lm_buf lower = { 0 };
    if (lowercase) {
        lm_words_lower(text, &lower);
        text = lm_buf_str(&lower);
    }
    lm_buf_reset(&t->marked);
    lm_words_mark(how, text, &t->scratch, &t->marked);
    lm_buf_release(&lower);
    lm_texts_begin(t);
    struct lm_str rest = lm_buf_str(&t->marked), word;
    while (lm_words_next(&rest, &word))
        lm_texts_add_word(t, word);
}

size_t lm_texts_words(const struct lm_texts *t, size_t text)
{
    LM_ASSERT(text < t->count);
    return t->ranges[text].end - t->ranges[text].start;
}

size_t lm_texts_grams(const struct lm_texts *t, size_t text)
{
    const size_t words = lm_texts_words(t, text);
    return words >= t->order ? words - t->order + 1 : 0;
}

/* ---- n-grams ---- */

static void gram_room(struct lm_texts *t)
{
    if (2 * (t->len + 1) > t->gram_slots_cap) {
        free(t->gram_slots);
        size_t cap = SLOTS_MIN;
        while (cap < 2 * (t->len + 1))
            cap *= 2;
        t->gram_slots = lm_zalloc(cap, sizeof(*t->gram_slots));
        t->gram_slots_cap = cap;
        t->gram_stamp = 0;
    }
    if (++t->gram_stamp == 0) {
        memset(t->gram_slots, 0, t->gram_slots_cap * sizeof(*t->gram_slots));
        t->gram_stamp = 1;
    }
    t->gram_count = 0;
}

static uint32_t gram_number(struct lm_texts *t, uint32_t head, uint32_t word)
{
    const uint64_t key = (uint64_t)head << 32 | word;
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    for (size_t i = hash & (t->gram_slots_cap - 1);; i = (i + 1) & (t->gram_slots_cap - 1)) {
        struct lm_gram_slot *s = &t->gram_slots[i];
        if (s->stamp != t->gram_stamp)
            *s = (struct lm_gram_slot){ key, (uint32_t)t->gram_count++, t->gram_stamp };
        if (s->key == key)
            return s->number;
    }
}

void lm_texts_longer(struct lm_texts *t)
{
    gram_room(t);
    for (size_t k = 0; k < t->count; k++) {
        const struct lm_text_range r = t->ranges[k];
        for (size_t i = r.start; i + t->order < r.end; i++)
            t->grams[i] = gram_number(t, t->grams[i], t->words[i + t->order]);
    }
    t->order++;
}

size_t lm_texts_overlap(struct lm_texts *t, size_t first, size_t end)
{
    LM_ASSERT(first >= 1 && end <= t->count);
    const size_t old = t->counts_cap;
    lm_grow(&t->counts, &t->counts_cap, t->gram_count + 1, sizeof(*t->counts));
    if (t->counts_cap > old)
        memset(t->counts + old, 0, (t->counts_cap - old) * sizeof(*t->counts));

    const uint32_t *hyp = t->grams + t->ranges[0].start;
    const size_t hyp_len = lm_texts_grams(t, 0);
    for (size_t i = 0; i < hyp_len; i++)
        t->counts[hyp[i]].hyp++;
    for (size_t k = first; k < end; k++) {
        const uint32_t *ref = t->grams + t->ranges[k].start;
        const size_t ref_len = lm_texts_grams(t, k);
        for (size_t i = 0; i < ref_len; i++) {
            struct lm_gram_counts *c = &t->counts[ref[i]];
            if (++c->now > c->best)
                c->best = c->now;
        }
        for (size_t i = 0; i < ref_len; i++)
            t->counts[ref[i]].now = 0;
    }
    /* Each kind counts once: what is counted is cleared, and the next time gives nothing. */
    size_t sum = 0;
    for (size_t i = 0; i < hyp_len; i++) {
        struct lm_gram_counts *c = &t->counts[hyp[i]];
        sum += c->hyp < c->best ? c->hyp : c->best;
        *c = (struct lm_gram_counts){ 0 };
    }
    for (size_t k = first; k < end; k++)
        for (size_t i = 0; i < lm_texts_grams(t, k); i++)
            t->counts[t->grams[t->ranges[k].start + i]] = (struct lm_gram_counts){ 0 };
    return sum;
}
