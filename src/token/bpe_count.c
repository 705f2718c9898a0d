#include "token/bpe_train.h"

#include "base/hash.h"
#include "base/sys.h"
#include "token/normal.h"

#include <stdatomic.h>

/* Words of one thread: open addressing over indices into `words`. */
struct tally {
    struct lm_words words;
    uint32_t *slots;    // index + 1; 0: free
    uint32_t *hashes;   // [words.len], so that growing need not read the words
    size_t hash_cap, mask;
    struct lm_buf normal;
};

static struct lm_str word_bytes(const struct lm_words *w, size_t i)
{
    return (struct lm_str){ w->bytes.ptr + w->items[i].at, w->items[i].len };
}

static void grow_slots(struct tally *t)
{
    const size_t slots = t->slots ? (t->mask + 1) * 2 : 1 << 14;
    free(t->slots);
    t->slots = lm_zalloc(slots, sizeof(*t->slots));
    t->mask = slots - 1;
    for (size_t i = 0; i < t->words.len; i++) {
        size_t s = t->hashes[i] & t->mask;
        while (t->slots[s])
            s = (s + 1) & t->mask;
        t->slots[s] = (uint32_t)i + 1;
    }
}

static void tally_add(struct tally *t, struct lm_str word, uint64_t count)
{
    LM_ASSERT(t->words.len < UINT32_MAX - 1);
    if (!t->slots || t->words.len * 2 > t->mask)
        grow_slots(t);
    const uint32_t hash = (uint32_t)lm_hash64(word.ptr, word.len);
    struct lm_words *w = &t->words;
    size_t s = hash & t->mask;
    for (; t->slots[s]; s = (s + 1) & t->mask) {
        const size_t i = t->slots[s] - 1;
        if (t->hashes[i] == hash && lm_str_eq(word_bytes(w, i), word)) {
            w->items[i].count += count;
            return;
        }
    }
    t->slots[s] = (uint32_t)w->len + 1;
    lm_grow(&t->hashes, &t->hash_cap, w->len + 1, sizeof(*t->hashes));
    t->hashes[w->len] = hash;
    lm_grow(&w->items, &w->cap, w->len + 1, sizeof(*w->items));
    w->items[w->len++] = (struct lm_word){ .at = w->bytes.len, .count = count, .len = (uint32_t)word.len };
    lm_buf_add_str(&w->bytes, word);
}

static void tally_text(struct tally *t, const struct lm_grammar *g, struct lm_str text)
{
    enum { BATCH = 512 };
    uint32_t ends[BATCH];
    if (g->nfc)
        text = lm_token_nfc(text, &t->normal);
    size_t at = 0, start = 0, count;
    while ((count = lm_pretoken_scan(g, text, &at, ends, BATCH)) > 0)
        for (size_t i = 0; i < count; start = ends[i++])
            tally_add(t, (struct lm_str){ text.ptr + start, ends[i] - start }, 1);
}

static void tally_release(struct tally *t)
{
    lm_words_release(&t->words);
    free(t->slots);
    free(t->hashes);
    lm_buf_release(&t->normal);
}

static int compare_words(const void *a, const void *b, void *context)
{
    const struct lm_word *x = a, *y = b;
    const struct lm_words *w = context;
    return lm_str_cmp((struct lm_str){ w->bytes.ptr + x->at, x->len },
                      (struct lm_str){ w->bytes.ptr + y->at, y->len });
}

enum lm_rc lm_words_count(const struct lm_grammar *g, const struct lm_str *texts, size_t count,
                          struct lm_words *ret, struct lm_err *err)
{
    const int threads = lm_threads();
    struct tally *tallies = lm_zalloc((size_t)threads, sizeof(*tallies));
    atomic_int next = 0;
#pragma omp parallel num_threads(threads)
    {
        struct tally *mine = &tallies[atomic_fetch_add(&next, 1)];
#pragma omp for schedule(dynamic, 16)
        for (size_t i = 0; i < count; i++)
            if (!lm_stop_asked())
                tally_text(mine, g, texts[i]);
    }
    struct lm_words *all = &tallies[0].words;
    for (int t = 1; t < threads; t++) {
        const struct lm_words *w = &tallies[t].words;
        for (size_t i = 0; i < w->len; i++)
            tally_add(&tallies[0], word_bytes(w, i), w->items[i].count);
        tally_release(&tallies[t]);
    }
    /* Which word came first depends on the threads; the order of the words does not. */
    qsort_r(all->items, all->len, sizeof(*all->items), compare_words, all);
    for (size_t i = 0; i < all->len; i++)
        all->total += all->items[i].count;
    *ret = *all;
    *all = (struct lm_words){ 0 };
    tally_release(&tallies[0]);
    free(tallies);
    if (!lm_stop_asked())
        return LM_OK;
    lm_words_release(ret);
    return lm_fail(err, LM_ESTOP, "stopped while counting words");
}

void lm_words_release(struct lm_words *w)
{
    free(w->items);
    lm_buf_release(&w->bytes);
    *w = (struct lm_words){ 0 };
}
