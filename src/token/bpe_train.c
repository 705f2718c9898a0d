/* token/bpe_train.c - learning merges, incrementally.
 *
 * Every pair knows its count, and a heap entry the words it was last seen to appear in, as gaps: these lists
 * are most of what is in memory.  Counts of entries are refreshed when they come to the top.  Where two ways
 * lead to one token ("aa"+"a", "a"+"aa") a pair can be in the heap twice and the counts of merged pairs stay
 * as they were: odd, and kept, because the result is to be Hugging Face's line by line. */
#include "token/bpe_train.h"

#include "base/sys.h"
#include "text/text.h"
#include "token/unicode.h"
#include "token/words.h"

#include <malloc.h>

struct pair {
    uint64_t key;   // left << 32 | right
    int64_t count;
    uint32_t touched;   // its place in `touched` + 1; 0: no word gained it in this step
};

/* Words that gained a pair in this step: ascending, as gaps of 7 bits a byte, the low ones first. */
struct touched {
    uint32_t pair, last;   // last: the word that was put last
    uint8_t *bytes;
    size_t len, cap;
};

enum { FEW_BYTES = sizeof(uint8_t *) };

struct candidate {
    uint64_t count;
    uint32_t pair, turn;   // turn: order of pushing, settles what HF leaves open
    union {
        uint8_t *bytes;   // the words as in struct touched, or
        uint8_t few[FEW_BYTES];
    };
    uint32_t len;   // in bytes; up to FEW_BYTES they are in `few`
};

struct learner {
    const struct lm_learn_options *options;
    struct lm_sequences words;   // lens are shrinking,
    size_t live;                 // to this many ids in all
    struct lm_token_map map;     // bytes to id
    struct lm_buf text;          // of a token to be
    struct pair *pairs;
    size_t pair_count, pair_cap;
    uint32_t *slots;   // index of a pair + 1; 0: free
    size_t mask;
    struct touched *touched;   // [touched_cap], of which touched_len are of this step
    size_t touched_len, touched_cap;
    struct candidate *heap;
    size_t heap_len, heap_cap;
    uint32_t turn;
    struct lm_learned *out;
};

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

/* ---- pairs ---- */

static size_t pair_slot(const struct learner *l, uint64_t key)
{
    const uint64_t h = key * 0x9e3779b97f4a7c15;
    size_t s = (h ^ h >> 32) & l->mask;
    while (l->slots[s] && l->pairs[l->slots[s] - 1].key != key)
        s = (s + 1) & l->mask;
    return s;
}

static void grow_pairs(struct learner *l)
{
    const size_t slots = l->slots ? (l->mask + 1) * 2 : 1 << 14;
    free(l->slots);
    l->slots = lm_zalloc(slots, sizeof(*l->slots));
    l->mask = slots - 1;
    for (size_t i = 0; i < l->pair_count; i++)
        l->slots[pair_slot(l, l->pairs[i].key)] = (uint32_t)i + 1;
}

static struct pair *find_pair(struct learner *l, uint64_t key)
{
    if (!l->slots || l->pair_count * 2 > l->mask)
        grow_pairs(l);
    const size_t slot = pair_slot(l, key);
    if (!l->slots[slot]) {
        LM_ASSERT(l->pair_count < UINT32_MAX - 1);
        lm_grow(&l->pairs, &l->pair_cap, l->pair_count + 1, sizeof(*l->pairs));
        l->pairs[l->pair_count] = (struct pair){ .key = key };
        l->slots[slot] = (uint32_t)++l->pair_count;
    }
    return &l->pairs[l->slots[slot] - 1];
}

static void lose(struct learner *l, uint64_t key, uint64_t count)
{
    find_pair(l, key)->count -= (int64_t)count;
}

static void put_gap(struct touched *t, uint32_t gap)
{
    enum { BYTES_MAX = 5 };
    if (t->cap - t->len < BYTES_MAX)
        lm_grow(&t->bytes, &t->cap, t->len + BYTES_MAX, 1);
    for (; gap >= 0x80; gap >>= 7)
        t->bytes[t->len++] = (uint8_t)(gap | 0x80);
    t->bytes[t->len++] = (uint8_t)gap;
}

static struct touched *touch(struct learner *l, struct pair *p)
{
    if (p->touched == 0) {
        if (l->touched_len == l->touched_cap) {
            lm_grow(&l->touched, &l->touched_cap, l->touched_len + 1, sizeof(*l->touched));
            memset(l->touched + l->touched_len, 0, (l->touched_cap - l->touched_len) * sizeof(*l->touched));
        }
        p->touched = (uint32_t)++l->touched_len;
        struct touched *fresh = &l->touched[l->touched_len - 1];
        fresh->pair = (uint32_t)(p - l->pairs);
        fresh->last = 0;
        fresh->len = 0;
    }
    return &l->touched[p->touched - 1];
}

static void gain(struct learner *l, uint64_t key, uint64_t count, uint32_t word)
{
    struct pair *p = find_pair(l, key);
    p->count += (int64_t)count;
    struct touched *t = touch(l, p);
    if (t->len > 0 && t->last == word)
        return;
    put_gap(t, word - t->last);
    t->last = word;
}

/* ---- ties ---- */

static struct lm_str left_of(const struct learner *l, uint64_t key)
{
    return lm_vocab_bytes(&l->out->vocab, (uint32_t)(key >> 32));
}

static struct lm_str right_of(const struct learner *l, uint64_t key)
{
    return lm_vocab_bytes(&l->out->vocab, (uint32_t)key);
}

/* An id as it were if the id of a byte was its value. */
static uint32_t raw_id(const struct learner *l, uint32_t id)
{
    const size_t first = l->out->alphabet_before;
    return l->options->kind == LM_LEARN_BYTES && id >= first && id < first + 256
               ? lm_byte_in_order(id - first)
               : id;
}

static int compare_raw(const struct learner *l, uint64_t a, uint64_t b)
{
    const uint64_t x = pair_key(raw_id(l, (uint32_t)(a >> 32)), raw_id(l, (uint32_t)a));
    const uint64_t y = pair_key(raw_id(l, (uint32_t)(b >> 32)), raw_id(l, (uint32_t)b));
    return (x > y) - (x < y);
}

static int compare_bytes(const struct learner *l, uint64_t a, uint64_t b)
{
    const int left = lm_str_cmp(left_of(l, a), left_of(l, b));
    return left ? left : lm_str_cmp(right_of(l, a), right_of(l, b));
}

static uint8_t joined_at(struct lm_str left, struct lm_str right, size_t i)
{
    return (uint8_t)(i < left.len ? left.ptr[i] : right.ptr[i - left.len]);
}

static int compare_spm(const struct learner *l, uint64_t a, uint64_t b)
{
    const struct lm_str al = left_of(l, a), ar = right_of(l, a), bl = left_of(l, b), br = right_of(l, b);
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
static int (*const ties[LM_TIE_COUNT])(const struct learner *l, uint64_t a, uint64_t b) = {
    [LM_TIE_RAW] = compare_raw,
    [LM_TIE_BYTES] = compare_bytes,
    [LM_TIE_SPM] = compare_spm,
};

/* ---- the heap: larger count first, then by the rule for ties ---- */

static bool goes_before(const struct learner *l, const struct candidate *a, const struct candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    const int order =
        ties[l->options->tie] ? ties[l->options->tie](l, l->pairs[a->pair].key, l->pairs[b->pair].key) : 0;
    if (order)
        return order < 0;
    return a->pair != b->pair ? l->pairs[a->pair].key < l->pairs[b->pair].key : a->turn < b->turn;
}

static void heap_push(struct learner *l, struct candidate c)
{
    lm_grow(&l->heap, &l->heap_cap, l->heap_len + 1, sizeof(*l->heap));
    size_t i = l->heap_len++;
    for (; i > 0 && goes_before(l, &c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
}

static struct candidate heap_pop(struct learner *l)
{
    const struct candidate top = l->heap[0], last = l->heap[--l->heap_len];
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

static struct candidate to_candidate(struct learner *l, struct touched *t)
{
    enum { KEPT = 1 << 12 };   // bytes of a list that stay for the next step
    LM_ASSERT(t->len <= UINT32_MAX && l->turn < UINT32_MAX);
    struct candidate c = { .count = (uint64_t)l->pairs[t->pair].count, .pair = t->pair, .turn = l->turn++ };
    c.len = (uint32_t)t->len;
    if (t->len > FEW_BYTES)
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

static void candidate_release(const struct candidate *c)
{
    if (c->len > FEW_BYTES)
        free(c->bytes);
}

/* Pairs that gained words in this step become candidates. */
static void push_touched(struct learner *l)
{
    for (size_t i = 0; i < l->touched_len; i++) {
        struct pair *p = &l->pairs[l->touched[i].pair];
        if (p->count > 0)
            heap_push(l, to_candidate(l, &l->touched[i]));
        p->touched = 0;
    }
    l->touched_len = 0;
}

/* The best pair, its count brought up to date; false when none occurs often enough. */
static bool next_candidate(struct learner *l, uint64_t frequency_min, struct candidate *ret)
{
    while (l->heap_len > 0) {
        struct candidate c = heap_pop(l);
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

/* ---- merging ---- */

static void merge_in_word(struct learner *l, uint32_t word, uint32_t left, uint32_t right, uint32_t made)
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
            lose(l, pair_key(ids[out - 1], left), count);
            gain(l, pair_key(ids[out - 1], made), count, word);
        }
        if (in + 2 < len) {
            lose(l, pair_key(right, ids[in + 2]), count);
            gain(l, pair_key(made, ids[in + 2]), count, word);
        }
        ids[out++] = made;
        in++;
    }
    l->live -= len - out;
    l->words.lens[word] = out;
}

/* Words have shrunk: closes the gaps when they are most of it, and gives the memory back. */
static void close_gaps(struct learner *l)
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
static struct lm_str join(struct learner *l, uint64_t key)
{
    struct lm_str right = right_of(l, key);
    if (l->options->kind == LM_LEARN_WORDS && lm_str_starts(right, LM_STR(LM_WORDS_INSIDE)))
        right = (struct lm_str){ right.ptr + 2, right.len - 2 };
    lm_buf_reset(&l->text);
    lm_buf_add_str(&l->text, left_of(l, key));
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

static bool is_allowed(const struct learner *l, struct lm_str text)
{
    const struct lm_learn_options *o = l->options;
    if (o->chars_max > 0 && lm_utf8_count(text) > o->chars_max)
        return false;
    return !(o->digits_apart && o->kind == LM_LEARN_PIECES && has_digit(text));
}

/* The id of left + right: an existing token of these bytes, or the next free one; LM_TOKEN_NONE when they
 * spell a special token or what the options forbid. */
static uint32_t make_token(struct learner *l, uint64_t key)
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

static void merge_candidate(struct learner *l, const struct candidate *c)
{
    const uint64_t key = l->pairs[c->pair].key;
    const uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
    const uint32_t made = make_token(l, key);
    if (made == LM_TOKEN_NONE)
        return;
    struct lm_learned *out = l->out;
    lm_grow(&out->merges, &out->merge_cap, out->merge_count + 1, sizeof(*out->merges));
    out->merges[out->merge_count++] = (struct lm_learned_merge){ left, right, made };
    const uint8_t *at = c->len > FEW_BYTES ? c->bytes : c->few, *end = at + c->len;
    for (uint32_t word = 0; at < end;) {
        uint32_t gap = 0;
        unsigned shift = 0;
        for (; *at >= 0x80; shift += 7)
            gap |= (uint32_t)(*at++ & 0x7f) << shift;
        word += gap | (uint32_t)*at++ << shift;
        merge_in_word(l, word, left, right, made);
    }
    push_touched(l);
}

/* ---- start and end ---- */

/* Texts that merges may make; not the names of bytes. */
static void start_map(struct learner *l)
{
    const struct lm_vocab *v = &l->out->vocab;
    for (uint32_t id = 0; id < v->size; id++)
        if (id >= l->out->alphabet_before || v->items[id].kind == LM_TOKEN_SPECIAL)
            lm_token_map_put(&l->map, v, id);
}

static void start_pairs(struct learner *l)
{
    const struct lm_sequences *w = &l->words;
    for (size_t i = 0; i < w->len; i++) {
        const uint32_t *ids = w->ids + w->starts[i];
        for (size_t k = 1; k < w->lens[i]; k++)
            gain(l, pair_key(ids[k - 1], ids[k]), w->counts[i], (uint32_t)i);
    }
    push_touched(l);
}

static void learner_release(struct learner *l)
{
    for (size_t i = 0; i < l->heap_len; i++)
        candidate_release(&l->heap[i]);
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

static void count_tokens(struct learner *l)
{
    struct lm_learned *out = l->out;
    out->counts = lm_zalloc(out->vocab.size + 1, sizeof(*out->counts));
    for (size_t i = 0; i < l->words.len; i++) {
        for (size_t k = 0; k < l->words.lens[i]; k++)
            out->counts[l->words.ids[l->words.starts[i] + k]] += l->words.counts[i];
        out->tokens += l->words.counts[i] * l->words.lens[i];
    }
}

static enum lm_rc run(struct learner *l, struct lm_err *err)
{
    const size_t vocab_size = l->options->vocab_size;
    struct lm_progress progress = lm_progress_start("learn merges", "tokens", vocab_size);
    struct candidate c;
    bool stopped = false;
    while (!stopped && l->out->vocab.size < vocab_size && next_candidate(l, l->options->frequency_min, &c)) {
        merge_candidate(l, &c);
        close_gaps(l);
        candidate_release(&c);   // NOLINT(clang-analyzer-unix.Malloc): popped from the heap, ours alone
        lm_progress_at(&progress, l->out->vocab.size, NULL);
        stopped = lm_stop_asked();
    }
    lm_progress_end(&progress, l->out->vocab.size);
    count_tokens(l);
    return stopped ? lm_fail(err, LM_ESTOP, "stopped while learning merges") : LM_OK;
}

static enum lm_rc learn(struct learner *l, struct lm_err *err)
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
    struct learner l = { .options = options, .out = ret };
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
    struct learner l = { .options = options, .out = ret, .words = *words };
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
