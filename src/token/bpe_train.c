/* token/bpe_train.c - learning merges, incrementally.
 *
 * Every pair knows its count, and a heap entry the words it was last seen to appear in.  Counts of entries
 * are refreshed when they come to the top.  Where two ways lead to one token ("aa"+"a", "a"+"aa") a pair can
 * be in the heap twice and the counts of merged pairs stay as they were: odd, and kept, because the result is
 * to be Hugging Face's line by line. */
#include "token/bpe_train.h"

#include "base/sys.h"

struct pair {
    uint64_t key;   // left << 32 | right
    int64_t count;
    uint32_t *words;   // that gained the pair in this step, ascending
    uint32_t len, cap;
};

struct candidate {
    uint64_t count, key, turn;   // turn: order of pushing, settles what HF leaves open
    uint32_t *words;
    uint32_t len;
};

struct learner {
    const struct lm_words *words;
    uint32_t *ids;             // the words as ids, one after the other
    size_t *starts;            // [words.len]
    uint32_t *lens;            // [words.len], shrinking
    struct lm_token_map map;   // bytes to id
    struct pair *pairs;
    size_t pair_count, pair_cap;
    uint32_t *slots;   // index of a pair + 1; 0: free
    size_t mask;
    uint32_t *touched;   // pairs with words of this step
    size_t touched_len, touched_cap;
    struct candidate *heap;
    size_t heap_len, heap_cap;
    uint64_t turn;
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

static void gain(struct learner *l, uint64_t key, uint64_t count, uint32_t word)
{
    struct pair *p = find_pair(l, key);
    p->count += (int64_t)count;
    if (p->len == 0) {
        lm_grow(&l->touched, &l->touched_cap, l->touched_len + 1, sizeof(*l->touched));
        l->touched[l->touched_len++] = (uint32_t)(p - l->pairs);
    } else if (p->words[p->len - 1] == word) {
        return;
    }
    if (p->len == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 2;
        p->words = lm_realloc(p->words, p->cap, sizeof(*p->words));
    }
    p->words[p->len++] = word;
}

/* ---- the heap: larger count first, then smaller pair ---- */

static bool goes_before(const struct candidate *a, const struct candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->key != b->key ? a->key < b->key : a->turn < b->turn;
}

static void heap_push(struct learner *l, struct candidate c)
{
    lm_grow(&l->heap, &l->heap_cap, l->heap_len + 1, sizeof(*l->heap));
    size_t i = l->heap_len++;
    for (; i > 0 && goes_before(&c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
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
        child += child + 1 < l->heap_len && goes_before(&l->heap[child + 1], &l->heap[child]);
        if (!goes_before(&l->heap[child], &last))
            break;
        l->heap[i] = l->heap[child];
        i = child;
    }
    l->heap[i] = last;
    return top;
}

/* Pairs that gained words in this step become candidates. */
static void push_touched(struct learner *l)
{
    for (size_t i = 0; i < l->touched_len; i++) {
        struct pair *p = &l->pairs[l->touched[i]];
        if (p->count > 0)
            heap_push(l, (struct candidate){ (uint64_t)p->count, p->key, l->turn++, p->words, p->len });
        else
            free(p->words);
        p->words = NULL;
        p->len = p->cap = 0;
    }
    l->touched_len = 0;
}

/* The best pair, its count brought up to date; false when none occurs often enough. */
static bool next_candidate(struct learner *l, uint64_t frequency_min, struct candidate *ret)
{
    while (l->heap_len > 0) {
        struct candidate c = heap_pop(l);
        const int64_t count = find_pair(l, c.key)->count;
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
    uint32_t *ids = l->ids + l->starts[word];
    const uint64_t count = l->words->items[word].count;
    const uint32_t len = l->lens[word];
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
    l->lens[word] = out;
}

/* The id of left + right: an existing token of these bytes, or the next free one; LM_TOKEN_NONE when they
 * spell a special token. */
static uint32_t make_token(struct learner *l, uint64_t key)
{
    struct lm_vocab *v = &l->out->vocab;
    struct lm_buf bytes = { 0 };
    lm_buf_add_str(&bytes, lm_vocab_bytes(v, (uint32_t)(key >> 32)));
    lm_buf_add_str(&bytes, lm_vocab_bytes(v, (uint32_t)key));
    uint32_t id = lm_token_map_find(&l->map, v, lm_buf_str(&bytes));
    if (id == LM_TOKEN_NONE) {
        id = (uint32_t)v->size;
        lm_vocab_set(v, id, lm_buf_str(&bytes), LM_TOKEN_MODEL);
        lm_token_map_put(&l->map, v, id);
    } else if (v->items[id].kind == LM_TOKEN_SPECIAL) {
        id = LM_TOKEN_NONE;
    }
    lm_buf_release(&bytes);
    return id;
}

static void merge_candidate(struct learner *l, const struct candidate *c)
{
    const uint32_t left = (uint32_t)(c->key >> 32), right = (uint32_t)c->key;
    const uint32_t made = make_token(l, c->key);
    if (made == LM_TOKEN_NONE)
        return;
    struct lm_learned *out = l->out;
    lm_grow(&out->merges, &out->merge_cap, out->merge_count + 1, sizeof(*out->merges));
    out->merges[out->merge_count++] = (struct lm_learned_merge){ left, right, made };
    for (uint32_t i = 0; i < c->len; i++)
        merge_in_word(l, c->words[i], left, right, made);
    push_touched(l);
}

/* ---- start and end ---- */

static void start_vocab(struct learner *l, const struct lm_str *special, size_t special_count)
{
    struct lm_vocab *v = &l->out->vocab;
    for (size_t i = 0; i < special_count; i++)
        lm_vocab_set(v, (uint32_t)i, special[i], LM_TOKEN_SPECIAL);
    for (size_t i = 0; i < 256; i++) {
        const char byte = (char)lm_byte_in_order(i);
        lm_vocab_set(v, (uint32_t)(special_count + i), (struct lm_str){ &byte, 1 }, LM_TOKEN_MODEL);
    }
    for (size_t i = 0; i < v->size; i++)
        lm_token_map_put(&l->map, v, (uint32_t)i);
}

static void start_words(struct learner *l, size_t special_count)
{
    uint32_t byte_id[256];
    for (size_t i = 0; i < 256; i++)
        byte_id[lm_byte_in_order(i)] = (uint32_t)(special_count + i);
    const struct lm_words *w = l->words;
    l->ids = lm_alloc((w->bytes.len + 1) * sizeof(*l->ids));
    l->starts = lm_alloc((w->len + 1) * sizeof(*l->starts));
    l->lens = lm_alloc((w->len + 1) * sizeof(*l->lens));
    size_t at = 0;
    for (size_t i = 0; i < w->len; i++) {
        const uint8_t *bytes = (const uint8_t *)w->bytes.ptr + w->items[i].at;
        l->starts[i] = at;
        l->lens[i] = w->items[i].len;
        for (size_t k = 0; k < w->items[i].len; k++) {
            l->ids[at++] = byte_id[bytes[k]];
            if (k > 0)
                gain(l, pair_key(l->ids[at - 2], l->ids[at - 1]), w->items[i].count, (uint32_t)i);
        }
    }
    push_touched(l);
}

static void learner_release(struct learner *l)
{
    for (size_t i = 0; i < l->heap_len; i++)
        free(l->heap[i].words);
    free(l->heap);
    free(l->ids);
    free(l->starts);
    free(l->lens);
    free(l->pairs);
    free(l->slots);
    free(l->touched);
    lm_token_map_release(&l->map);
}

enum lm_rc lm_bpe_learn(const struct lm_words *words, const struct lm_str *special, size_t special_count,
                        size_t vocab_size, uint64_t frequency_min, struct lm_learned *ret, struct lm_err *err)
{
    LM_ASSERT(vocab_size >= special_count + 256 && vocab_size <= LM_VOCAB_SIZE_MAX);
    *ret = (struct lm_learned){ 0 };
    struct learner l = { .words = words, .out = ret };
    start_vocab(&l, special, special_count);
    start_words(&l, special_count);

    struct lm_progress progress = lm_progress_start("learn merges", "tokens", vocab_size);
    struct candidate c;
    bool stopped = false;
    while (!stopped && ret->vocab.size < vocab_size && next_candidate(&l, frequency_min, &c)) {
        merge_candidate(&l, &c);
        free(c.words);   // NOLINT(clang-analyzer-unix.Malloc): popped from the heap, ours alone
        lm_progress_at(&progress, ret->vocab.size, NULL);
        stopped = lm_stop_asked();
    }
    lm_progress_end(&progress, ret->vocab.size);
    for (size_t i = 0; i < words->len; i++)
        ret->tokens += words->items[i].count * l.lens[i];
    learner_release(&l);
    if (!stopped)
        return LM_OK;
    lm_learned_release(ret);
    return lm_fail(err, LM_ESTOP, "stopped while learning merges");
}

void lm_learned_release(struct lm_learned *l)
{
    lm_vocab_release(&l->vocab);
    free(l->merges);
    *l = (struct lm_learned){ 0 };
}
