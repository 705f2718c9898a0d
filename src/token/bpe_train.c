/* token/bpe_train.c - learning merges, incrementally.
 *
 * Every pair knows its count, and a heap entry the words it was last seen to appear in, as gaps: these lists
 * are most of what is in memory.  Counts of entries are refreshed when they come to the top.  Where two ways
 * lead to one token ("aa"+"a", "a"+"aa") a pair can be in the heap twice and the counts of merged pairs stay
 * as they were: odd, and kept, because the result is to be Hugging Face's line by line. */
#include "token/bpe_learner.h"

#include "base/sys.h"
#include "text/text.h"
#include "token/unicode.h"
#include "token/words.h"

#include <malloc.h>

/* ---- pairs ---- */

static size_t pair_slot(const struct lm_learner *l, uint64_t key)
{
    const uint64_t h = key * 0x9e3779b97f4a7c15;
    size_t s = (h ^ h >> 32) & l->mask;
    while (l->slots[s] && l->pairs[l->slots[s] - 1].key != key)
        s = (s + 1) & l->mask;
    return s;
}

static void grow_pairs(struct lm_learner *l)
{
    const size_t slots = l->slots ? (l->mask + 1) * 2 : 1 << 14;
    free(l->slots);
    l->slots = lm_zalloc(slots, sizeof(*l->slots));
    l->mask = slots - 1;
    for (size_t i = 0; i < l->pair_count; i++)
        l->slots[pair_slot(l, l->pairs[i].key)] = (uint32_t)i + 1;
}

static struct lm_pair *find_pair(struct lm_learner *l, uint64_t key)
{
    if (!l->slots || l->pair_count * 2 > l->mask)
        grow_pairs(l);
    const size_t slot = pair_slot(l, key);
    if (!l->slots[slot]) {
        LM_ASSERT(l->pair_count < UINT32_MAX - 1);
        lm_grow(&l->pairs, &l->pair_cap, l->pair_count + 1, sizeof(*l->pairs));
        l->pairs[l->pair_count] = (struct lm_pair){ .key = key };
        l->slots[slot] = (uint32_t)++l->pair_count;
    }
    return &l->pairs[l->slots[slot] - 1];
}

static void lose(struct lm_learner *l, uint64_t key, uint64_t count)
{
    find_pair(l, key)->count -= (int64_t)count;
}

static void put_gap(struct lm_touched *t, uint32_t gap)
{
    enum { BYTES_MAX = 5 };
    if (t->cap - t->len < BYTES_MAX)
        lm_grow(&t->bytes, &t->cap, t->len + BYTES_MAX, 1);
    for (; gap >= 0x80; gap >>= 7)
        t->bytes[t->len++] = (uint8_t)(gap | 0x80);
    t->bytes[t->len++] = (uint8_t)gap;
}

static struct lm_touched *touch(struct lm_learner *l, struct lm_pair *p)
{
    if (p->touched == 0) {
        if (l->touched_len == l->touched_cap) {
            lm_grow(&l->touched, &l->touched_cap, l->touched_len + 1, sizeof(*l->touched));
            memset(l->touched + l->touched_len, 0, (l->touched_cap - l->touched_len) * sizeof(*l->touched));
        }
        p->touched = (uint32_t)++l->touched_len;
        struct lm_touched *fresh = &l->touched[l->touched_len - 1];
        fresh->pair = (uint32_t)(p - l->pairs);
        fresh->last = 0;
        fresh->len = 0;
    }
    return &l->touched[p->touched - 1];
}

static void gain(struct lm_learner *l, uint64_t key, uint64_t count, uint32_t word)
{
    struct lm_pair *p = find_pair(l, key);
    p->count += (int64_t)count;
    struct lm_touched *t = touch(l, p);
    if (t->len > 0 && t->last == word)
        return;
    put_gap(t, word - t->last);
    t->last = word;
}

/* ---- merging ---- */

static void merge_in_word(struct lm_learner *l, uint32_t word, uint32_t left, uint32_t right, uint32_t made)
{
    uint32_t *ids = l->words.ids + l->words.starts[word];
    const uint64_t count = l->words.counts[word];
    const uint32_t len = l->words.lens[word];
    uint32_t out = 0;
    for (uint32_t in = 0; in < len; in++) {
        if (ids[in] != left || in + 1 == len || ids[in + 1] != right) {
            ids[out++] = ids[in];
            continue;
        }
        if (out > 0) {
            lose(l, lm_pair_key(ids[out - 1], left), count);
            gain(l, lm_pair_key(ids[out - 1], made), count, word);
        }
        if (in + 2 < len) {
            lose(l, lm_pair_key(right, ids[in + 2]), count);
            gain(l, lm_pair_key(made, ids[in + 2]), count, word);
        }
        ids[out++] = made;
        in++;
    }
    l->live -= len - out;
    l->words.lens[word] = out;
}

/* Words have shrunk: closes the gaps when they are most of it, and gives the memory back. */
static void close_gaps(struct lm_learner *l)
{
    struct lm_sequences *w = &l->words;
    size_t at = 0;
    if (l->live * 2 >= w->id_count)
        return;
    for (size_t i = 0; i < w->len; i++) {
        memmove(w->ids + at, w->ids + w->starts[i], w->lens[i] * sizeof(*w->ids));
        w->starts[i] = at;
        at += w->lens[i];
    }
    LM_ASSERT(at == l->live);
    w->id_count = at;
    w->ids = lm_realloc(w->ids, at + 1, sizeof(*w->ids));
}

/* What left and right spell together. */
static struct lm_str join(struct lm_learner *l, uint64_t key)
{
    struct lm_str right = lm_pair_right(l, key);
    if (l->options->kind == LM_LEARN_WORDS && lm_str_starts(right, LM_STR(LM_WORDS_INSIDE)))
        right = (struct lm_str){ right.ptr + 2, right.len - 2 };
    lm_buf_reset(&l->text);
    lm_buf_add_str(&l->text, lm_pair_left(l, key));
    lm_buf_add_str(&l->text, right);
    return lm_buf_str(&l->text);
}

static bool has_digit(struct lm_str text)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        at += lm_utf8_next(text, at, &cp);
        if (lm_unicode_class(cp) == LM_UCLASS_NUMBER)
            return true;
    }
    return false;
}

static bool is_allowed(const struct lm_learner *l, struct lm_str text)
{
    const struct lm_learn_options *o = l->options;
    if (o->chars_max > 0 && lm_utf8_count(text) > o->chars_max)
        return false;
    return !(o->digits_apart && o->kind == LM_LEARN_PIECES && has_digit(text));
}

/* The id of left + right: an existing token of these bytes, or the next free one; LM_TOKEN_NONE when they
 * spell a special token or what the options forbid. */
static uint32_t make_token(struct lm_learner *l, uint64_t key)
{
    struct lm_vocab *v = &l->out->vocab;
    const struct lm_str text = join(l, key);
    uint32_t id = lm_token_map_find(&l->map, v, text);
    if (id != LM_TOKEN_NONE)
        return v->items[id].kind == LM_TOKEN_SPECIAL || l->options->fresh ? LM_TOKEN_NONE : id;
    if (!is_allowed(l, text))
        return LM_TOKEN_NONE;
    id = (uint32_t)v->size;
    lm_vocab_set(v, id, text, LM_TOKEN_MODEL);
    lm_token_map_put(&l->map, v, id);
    return id;
}

static void merge_candidate(struct lm_learner *l, const struct lm_candidate *c)
{
    const uint64_t key = l->pairs[c->pair].key;
    const uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
    const uint32_t made = make_token(l, key);
    if (made == LM_TOKEN_NONE)
        return;
    struct lm_learned *out = l->out;
    lm_grow(&out->merges, &out->merge_cap, out->merge_count + 1, sizeof(*out->merges));
    out->merges[out->merge_count++] = (struct lm_learned_merge){ left, right, made };
    const uint8_t *at = c->len > LM_FEW_BYTES ? c->bytes : c->few, *end = at + c->len;
    for (uint32_t word = 0; at < end;) {
        uint32_t gap = 0;
        unsigned shift = 0;
        for (; *at >= 0x80; shift += 7)
            gap |= (uint32_t)(*at++ & 0x7f) << shift;
        word += gap | (uint32_t)*at++ << shift;
        merge_in_word(l, word, left, right, made);
    }
    lm_learner_push(l);
}

/* ---- start and end ---- */

/* Texts that merges may make; not the names of bytes. */
static void start_map(struct lm_learner *l)
{
    const struct lm_vocab *v = &l->out->vocab;
    for (uint32_t id = 0; id < v->size; id++)
        if (id >= l->out->alphabet_before || v->items[id].kind == LM_TOKEN_SPECIAL)
            lm_token_map_put(&l->map, v, id);
}

static void start_pairs(struct lm_learner *l)
{
    const struct lm_sequences *w = &l->words;
    for (size_t i = 0; i < w->len; i++) {
        const uint32_t *ids = w->ids + w->starts[i];
        for (size_t k = 1; k < w->lens[i]; k++)
            gain(l, lm_pair_key(ids[k - 1], ids[k]), w->counts[i], (uint32_t)i);
    }
    lm_learner_push(l);
}

static void learner_release(struct lm_learner *l)
{
    for (size_t i = 0; i < l->heap_len; i++)
        lm_candidate_release(&l->heap[i]);
    free(l->heap);
    for (size_t i = 0; i < l->touched_cap; i++)
        free(l->touched[i].bytes);
    lm_sequences_release(&l->words);
    free(l->pairs);
    free(l->slots);
    free(l->touched);
    lm_buf_release(&l->text);
    lm_token_map_release(&l->map);
}

static void count_tokens(struct lm_learner *l)
{
    struct lm_learned *out = l->out;
    out->counts = lm_zalloc(out->vocab.size + 1, sizeof(*out->counts));
    for (size_t i = 0; i < l->words.len; i++) {
        for (size_t k = 0; k < l->words.lens[i]; k++)
            out->counts[l->words.ids[l->words.starts[i] + k]] += l->words.counts[i];
        out->tokens += l->words.counts[i] * l->words.lens[i];
    }
}

static enum lm_rc run(struct lm_learner *l, struct lm_err *err)
{
    const size_t vocab_size = l->options->vocab_size;
    struct lm_progress progress = lm_progress_start("learn merges", "tokens", vocab_size);
    struct lm_candidate c;
    bool stopped = false;
    while (!stopped && l->out->vocab.size < vocab_size && lm_learner_next(l, l->options->frequency_min, &c)) {
        merge_candidate(l, &c);
        close_gaps(l);
        lm_candidate_release(&c);   // NOLINT(clang-analyzer-unix.Malloc): popped from the heap, ours alone
        lm_progress_at(&progress, l->out->vocab.size, NULL);
        stopped = lm_stop_asked();
    }
    lm_progress_end(&progress, l->out->vocab.size);
    count_tokens(l);
    return stopped ? lm_fail(err, LM_ESTOP, "stopped while learning merges") : LM_OK;
}

static enum lm_rc learn(struct lm_learner *l, struct lm_err *err)
{
    l->live = l->words.id_count;
    start_pairs(l);
    return run(l, err);
}

static enum lm_rc learn_words(const struct lm_words *words, struct lm_words *spent,
                              const struct lm_learn_options *options, struct lm_learned *ret,
                              struct lm_err *err)
{
    LM_ASSERT(options->vocab_size <= LM_VOCAB_SIZE_MAX && options->tie < LM_TIE_COUNT);
    *ret = (struct lm_learned){ 0 };
    struct lm_learner l = { .options = options, .out = ret };
    enum lm_rc rc = lm_alphabet_start(words, options, ret, &l.words, err);
    if (rc == LM_OK && spent) {
        lm_words_spend(spent);
        malloc_trim(0);   // what counting has left goes back before the next peak
    }
    if (rc == LM_OK) {
        start_map(&l);
        rc = learn(&l, err);
    }
    learner_release(&l);
    if (rc != LM_OK)
        lm_learned_release(ret);
    return rc;
}

enum lm_rc lm_bpe_learn(const struct lm_words *words, const struct lm_learn_options *options,
                        struct lm_learned *ret, struct lm_err *err)
{
    return learn_words(words, NULL, options, ret, err);
}

enum lm_rc lm_bpe_learn_spending(struct lm_words *words, const struct lm_learn_options *options,
                                 struct lm_learned *ret, struct lm_err *err)
{
    return learn_words(words, words, options, ret, err);
}

enum lm_rc lm_bpe_learn_on(struct lm_sequences *words, bool (*known)(const void *user, uint32_t id),
                           const void *user, const struct lm_learn_options *options, struct lm_learned *ret,
                           struct lm_err *err)
{
    LM_ASSERT(options->vocab_size <= LM_VOCAB_SIZE_MAX && options->tie < LM_TIE_COUNT);
    struct lm_learner l = { .options = options, .out = ret, .words = *words };
    *words = (struct lm_sequences){ 0 };
    for (uint32_t id = 0; id < ret->vocab.size; id++)
        if (known(user, id))
            lm_token_map_put(&l.map, &ret->vocab, id);
    const enum lm_rc rc = learn(&l, err);
    learner_release(&l);
    if (rc != LM_OK)
        lm_learned_release(ret);
    return rc;
}

void lm_learned_release(struct lm_learned *l)
{
    lm_vocab_release(&l->vocab);
    free(l->merges);
    free(l->counts);
    *l = (struct lm_learned){ 0 };
}
