/* token/bpe_count.c - counting the words of a corpus, in parallel and within a bound.
 *
 * Each thread has a table of its own over all batches.  Which table a word is in depends on the threads; the
 * sum over the tables, sorted, does not. */
#include "token/bpe_train.h"

#include "base/hash.h"
#include "base/sys.h"

#include <malloc.h>
#include <stdatomic.h>

/* Words of one thread: open addressing over indices into `words`. */
struct tally {
    struct lm_words words;
    uint32_t *slots;    // index + 1; 0: free
    uint32_t *hashes;   // [words.len], so that growing need not read the words
    size_t hash_cap, mask;
    struct lm_buf normal;
    size_t too_long;        // bytes of a word, or more; 0: none was
    size_t too_long_text;   // which of the batch has it
};

struct lm_word_counter {
    struct lm_word_cut cut;
    uint64_t bytes_max;
    char *tmp_dir;
    int threads;
    struct tally *tallies;   // [threads]
    struct lm_word_runs runs;
};

void lm_words_put(struct lm_words *w, struct lm_str word, uint64_t count)
{
    lm_grow(&w->items, &w->cap, w->len + 1, sizeof(*w->items));
    w->items[w->len++] = (struct lm_word){ .at = w->bytes.len, .count = count, .len = (uint32_t)word.len };
    lm_buf_add_str(&w->bytes, word);
}

void lm_words_release(struct lm_words *w)
{
    free(w->items);
    lm_buf_release(&w->bytes);
    *w = (struct lm_words){ 0 };
}

void lm_words_spend(struct lm_words *w)
{
    free(w->items);
    lm_buf_release(&w->bytes);
    w->items = NULL;
    w->cap = 0;
}

/* ---- one table ---- */

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
        if (t->hashes[i] == hash && lm_str_eq(lm_word_bytes(w, i), word)) {
            w->items[i].count += count;
            return;
        }
    }
    t->slots[s] = (uint32_t)w->len + 1;
    lm_grow(&t->hashes, &t->hash_cap, w->len + 1, sizeof(*t->hashes));
    t->hashes[w->len] = hash;
    lm_words_put(w, word, count);
}

/* Bytes without a blank between, when there are too many for a word. */
static size_t find_too_long(struct lm_str text)
{
    size_t start = 0;
    while (text.len - start > LM_WORD_BYTES_MAX) {   // look back from the end of what a word may be
        size_t at = start + LM_WORD_BYTES_MAX;
        while (at > start && !strchr(" \n\t\r", text.ptr[at]))
            at--;
        if (at == start)
            return text.len - start;
        start = at;
    }
    return 0;
}

static void tally_run(struct tally *t, const struct lm_word_cut *cut, struct lm_str text, uint64_t weight)
{
    enum { BATCH = 512 };
    uint32_t ends[BATCH];
    if (cut->normal && (t->too_long = find_too_long(text)) > 0)
        return;   // before it is copied
    if (cut->normal)
        text = cut->normal(cut->user, text, &t->normal);
    size_t at = 0, start = 0, count;
    while ((count = lm_pretoken_scan(cut->grammar, text, &at, ends, BATCH)) > 0)
        for (size_t i = 0; i < count; start = ends[i++]) {
            if (ends[i] - start > LM_WORD_BYTES_MAX) {
                t->too_long = ends[i] - start;
                return;
            }
            tally_add(t, (struct lm_str){ text.ptr + start, ends[i] - start }, weight);
        }
}

static void tally_text(struct tally *t, const struct lm_word_cut *cut, const struct lm_word_text *text)
{
    if (!text->lines) {
        tally_run(t, cut, text->text, text->weight);
        return;
    }
    for (struct lm_str rest = text->text; rest.len > 0 && t->too_long == 0;) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        const size_t len = end ? (size_t)(end - rest.ptr) + 1 : rest.len;
        tally_run(t, cut, (struct lm_str){ rest.ptr, len }, text->weight);
        rest = (struct lm_str){ rest.ptr + len, rest.len - len };
    }
}

static void tally_release(struct tally *t)
{
    lm_words_release(&t->words);
    free(t->slots);
    free(t->hashes);
    lm_buf_release(&t->normal);
    *t = (struct tally){ 0 };
}

static uint64_t tally_bytes(const struct tally *t)
{
    return t->words.cap * sizeof(*t->words.items) + t->words.bytes.cap + t->hash_cap * sizeof(*t->hashes) +
           (t->slots ? (t->mask + 1) * sizeof(*t->slots) : 0);
}

/* ---- all tables ---- */

static int compare_words(const void *a, const void *b, void *context)
{
    const struct lm_word *x = a, *y = b;
    const struct lm_words *w = context;
    return lm_str_cmp((struct lm_str){ w->bytes.ptr + x->at, x->len },
                      (struct lm_str){ w->bytes.ptr + y->at, y->len });
}

/* Every table into the first one, that one sorted; the others are free. */
static struct lm_words *sort_all(struct lm_word_counter *c)
{
    struct lm_words *all = &c->tallies[0].words;
    for (int t = 1; t < c->threads; t++) {
        const struct lm_words *w = &c->tallies[t].words;
        for (size_t i = 0; i < w->len; i++)
            tally_add(&c->tallies[0], lm_word_bytes(w, i), w->items[i].count);
        tally_release(&c->tallies[t]);
    }
    if (all->len > 0)
        qsort_r(all->items, all->len, sizeof(*all->items), compare_words, all);
    return all;
}

static enum lm_rc spill(struct lm_word_counter *c, struct lm_err *err)
{
    const struct lm_words *all = sort_all(c);
    const enum lm_rc rc = all->len > 0 ? lm_word_runs_add(&c->runs, all, c->tmp_dir, err) : LM_OK;
    tally_release(&c->tallies[0]);
    return rc;
}

struct lm_word_counter *lm_word_counter_new(struct lm_word_cut cut, uint64_t bytes_max, const char *tmp_dir)
{
    /* Large arrays on pages of their own: they grow without a copy and leave no holes.  glibc's own limit
     * rises with every one that is freed. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    struct lm_word_counter *c = lm_zalloc(1, sizeof(*c));
    c->cut = cut;
    c->bytes_max = bytes_max;
    c->tmp_dir = lm_strdup(tmp_dir ? tmp_dir : ".");
    c->threads = lm_threads();
    c->tallies = lm_zalloc((size_t)c->threads, sizeof(*c->tallies));
    return c;
}

void lm_word_counter_free(struct lm_word_counter *c)
{
    if (!c)
        return;
    for (int t = 0; t < c->threads; t++)
        tally_release(&c->tallies[t]);
    lm_word_runs_release(&c->runs);
    free(c->tallies);
    free(c->tmp_dir);
    free(c);
}

static enum lm_rc word_too_long(struct lm_str name, size_t len, struct lm_err *err)
{
    const struct lm_str shown = name.len > 0 ? name : LM_STR("a text");
    return lm_fail(err, LM_ELIMIT,
                   "%.*s: it has a word of %zu bytes, more than %d: this is no text, or one without blanks; "
                   "leave it out or break it into lines",
                   (int)shown.len, shown.ptr, len, LM_WORD_BYTES_MAX);
}

enum lm_rc lm_word_counter_add(struct lm_word_counter *c, const struct lm_word_text *texts, size_t count,
                               struct lm_err *err)
{
    atomic_int next = 0;
    uint64_t bytes = 0;
#pragma omp parallel num_threads(c->threads)
    {
        struct tally *mine = &c->tallies[atomic_fetch_add(&next, 1)];
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < count; i++)
            if (!lm_stop_asked() && texts[i].weight > 0 && mine->too_long == 0) {
                mine->too_long_text = i;
                tally_text(mine, &c->cut, &texts[i]);
            }
    }
    if (lm_stop_asked())
        return lm_fail(err, LM_ESTOP, "stopped while counting words");
    const struct tally *bad = NULL;
    for (int t = 0; t < c->threads; t++) {
        const struct tally *tally = &c->tallies[t];
        if (tally->too_long > 0 && (!bad || tally->too_long_text < bad->too_long_text))
            bad = tally;
        bytes += tally_bytes(tally);
    }
    if (bad)
        return word_too_long(texts[bad->too_long_text].name, bad->too_long, err);
    return c->bytes_max > 0 && bytes > c->bytes_max ? spill(c, err) : LM_OK;
}

/* Drops rare words and sets the total; the bytes of dropped ones stay behind. */
static void finish(struct lm_words *w, uint64_t count_min)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->len; i++) {
        w->total += w->items[i].count;
        if (w->items[i].count >= count_min)
            w->items[kept++] = w->items[i];
    }
    w->len = kept;
}

enum lm_rc lm_word_counter_end(struct lm_word_counter *c, uint64_t count_min, struct lm_words *ret,
                               struct lm_err *err)
{
    if (c->runs.len > 0) {
        LM_TRY(spill(c, err));
        return lm_word_runs_merge(&c->runs, count_min, ret, err);
    }
    struct lm_words *all = sort_all(c);
    finish(all, count_min);
    *ret = *all;
    *all = (struct lm_words){ 0 };
    tally_release(&c->tallies[0]);
    return LM_OK;
}

enum lm_rc lm_words_count(const struct lm_grammar *g, const struct lm_str *texts, size_t count,
                          struct lm_words *ret, struct lm_err *err)
{
    struct lm_word_counter *c = lm_word_counter_new((struct lm_word_cut){ .grammar = g }, 0, NULL);
    struct lm_word_text *items = lm_zalloc(count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[i] = (struct lm_word_text){ .text = texts[i], .weight = 1 };
    enum lm_rc rc = lm_word_counter_add(c, items, count, err);
    free(items);
    if (rc == LM_OK)
        rc = lm_word_counter_end(c, 1, ret, err);
    lm_word_counter_free(c);
    return rc;
}
