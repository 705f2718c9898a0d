#include "token/unigram.h"

#include "base/err.h"
#include "text/text.h"
#include "token/vocab.h"

#include <math.h>

static const double sum_max = 100000;   // beyond it float sums start again

enum { WINDOW = 1 << 16 };   // bytes between two places where what is decided is written out

/* The best way to a place of the text. */
struct lm_unigram_node {
    double score;
    uint32_t id, len;   // of the last piece; len 0: no way yet
};

/* What has been written, and unknown text that waits for its end. */
struct output {
    const struct lm_unigram *u;
    struct lm_str text;
    uint32_t *ids;
    struct lm_span *spans;
    size_t count;
    size_t unknown_from, unknown_to;
};

static void put_id(struct output *o, uint32_t id, size_t from, size_t to)
{
    if (o->spans)
        o->spans[o->count] = (struct lm_span){ from, to };
    o->ids[o->count++] = id;
}

/* All bytes as ids, or none. */
static size_t put_bytes(struct output *o, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (o->u->byte_id[(uint8_t)o->text.ptr[i]] == LM_TOKEN_NONE)
            return 0;
    for (size_t i = from; i < to; i++)
        put_id(o, o->u->byte_id[(uint8_t)o->text.ptr[i]], from, to);
    return to - from;
}

static void end_unknown(struct output *o)
{
    if (o->unknown_to > o->unknown_from && !put_bytes(o, o->unknown_from, o->unknown_to))
        put_id(o, o->u->unknown, o->unknown_from, o->unknown_to);
    o->unknown_from = o->unknown_to;
}

static void put(struct output *o, size_t at, const struct lm_unigram_node *node)
{
    if (node->id != o->u->unknown) {
        end_unknown(o);
        put_id(o, node->id, at, at + node->len);
        return;
    }
    if (o->unknown_to != at || o->unknown_to == o->unknown_from) {
        end_unknown(o);
        o->unknown_from = at;
    }
    o->unknown_to = at + node->len;
}

/* The best way to `end` from `start`, forwards.  nodes are those from start on. */
static void write_out(struct output *o, struct lm_unigram_node *nodes, size_t start, size_t end)
{
    size_t at = end - start, next_len = 0;
    while (at > 0) {   // turn the way around: each node gets the length of the piece that follows
        const uint32_t len = nodes[at].len;
        LM_ASSERT(len > 0 && len <= at);
        nodes[at].len = (uint32_t)next_len;
        next_len = len;
        at -= len;
    }
    for (at = 0; next_len > 0;) {
        const size_t to = at + next_len;
        const size_t after = nodes[to].len;
        const struct lm_unigram_node piece = { .id = nodes[to].id, .len = (uint32_t)next_len };
        put(o, start + at, &piece);
        at = to;
        next_len = after;
    }
}

/* next: of the node, the best that was not taken; NULL: nobody asks. */
static inline __attribute__((always_inline)) void offer(const struct lm_unigram *u,
                                                        struct lm_unigram_node *node, double score,
                                                        uint32_t id, size_t len, double *next)
{
    score = u->single ? (double)(float)score : score;
    const bool taken = node->len == 0 || score > node->score;
    if (next && node->len > 0)
        *next = fmax(*next, taken ? node->score : score);
    if (!taken)
        return;
    node->score = score;
    node->id = id;
    node->len = (uint32_t)len;
}

/* All pieces from here on; returns the bytes of the longest. */
static inline __attribute__((always_inline)) size_t
extend(const struct lm_unigram *u, struct lm_str text, size_t at, struct lm_unigram_node *here, double *next)
{
    uint32_t cp, node = 0;
    const size_t char_len =
        (uint8_t)text.ptr[at] < 0x80 ? 1 : lm_utf8_next(text, at, &cp);   // a byte that is no UTF-8: 1
    size_t longest = char_len;
    bool single = false;
    const size_t limit = text.len - at < LM_UNIGRAM_PIECE_MAX ? text.len : at + LM_UNIGRAM_PIECE_MAX;
    for (size_t end = at; end < limit && lm_trie_step(&u->trie, &node, (uint8_t)text.ptr[end]); end++) {
        const uint32_t id = u->trie.nodes[node].value;
        const size_t len = end + 1 - at;
        if (id == LM_TRIE_NONE)
            continue;
        offer(u, here + len, u->scores[id] + here->score, id, len, next ? next + len : NULL);
        single |= len == char_len;
        longest = len > longest ? len : longest;
    }
    if (!single)
        offer(u, here + char_len, u->unknown_score + here->score, u->unknown, char_len,
              next ? next + char_len : NULL);
    return longest;
}

/* Nodes without a way up to `need` and some more, at most `all`. */
static size_t clear(struct lm_unigram_scratch *s, size_t ready, size_t need, size_t all)
{
    const size_t end = all < need + WINDOW ? all : need + WINDOW;
    lm_grow(&s->nodes, &s->node_cap, end, sizeof(*s->nodes));
    memset(s->nodes + ready, 0, (end - ready) * sizeof(*s->nodes));
    return end;
}

/* Sums in float lose digits as they grow: past this one sentencepiece counts on from zero, from here to the
 * last place with a way. */
static void restart(const struct lm_unigram *u, struct lm_unigram_node *here, size_t last)
{
    const double offset = here->score;
    if (!u->single || (offset >= -sum_max && offset <= sum_max))
        return;
    here->score = 0;
    for (size_t i = 1; i <= last; i++)
        if (here[i].len > 0)
            here[i].score = (double)(float)(here[i].score - offset);
}

/* ---- words whose ways are known ----
 *
 * Every way through a text leads through the starts of its words, so a word is decided by itself, but for one
 * thing: the sum before it, to which the word's own are rounded.  With a way is kept up to which sum it is
 * the best for certain: sums of n scores up to a size of m are wrong by n * m / 2^24 at most, and no other
 * way comes as near. */

enum { BATCH = 64 };   // words

static const char blank[] = "\xe2\x96\x81";

static bool is_blank(struct lm_str text, size_t at)
{
    return text.len - at >= sizeof(blank) - 1 && memcmp(text.ptr + at, blank, sizeof(blank) - 1) == 0;
}

/* Before the next blank that has another character before it. */
static size_t word_end(struct lm_str text, size_t at)
{
    while (is_blank(text, at))
        at += sizeof(blank) - 1;
    for (const char *next; (next = memchr(text.ptr + at, blank[0], text.len - at)); at++) {
        at = (size_t)(next - text.ptr);
        if (is_blank(text, at))
            return at;
    }
    return text.len;
}

static bool has_short_words(struct lm_str text)
{
    for (size_t at = 0, end; at < text.len; at = end) {
        end = word_end(text, at);
        if (end - at > WINDOW)
            return false;
    }
    return true;
}

/* The best way through a word, in s->nodes, with what was not taken in s->next; returns its sum. */
static double find_way(const struct lm_unigram *u, struct lm_unigram_scratch *s, struct lm_str word,
                       double before)
{
    size_t reach = 0;
    uint32_t cp;
    lm_grow(&s->nodes, &s->node_cap, word.len + 1, sizeof(*s->nodes));
    lm_grow(&s->next, &s->next_cap, word.len + 1, sizeof(*s->next));
    memset(s->nodes, 0, (word.len + 1) * sizeof(*s->nodes));
    for (size_t i = 0; i <= word.len; i++)
        s->next[i] = -HUGE_VAL;
    s->nodes[0].score = before;
    for (size_t at = 0; at < word.len;) {
        struct lm_unigram_node *here = s->nodes + at;
        if (at == 0 || here->len > 0) {
            restart(u, here, reach - at);
            const size_t end = at + extend(u, word, at, here, s->next + at);
            reach = end > reach ? end : reach;
        }
        at += (uint8_t)word.ptr[at] < 0x80 ? 1 : lm_utf8_next(word, at, &cp);
    }
    return s->nodes[word.len].score;
}

/* Up to which sum before it the word goes this way for certain, and no sum becomes so large that it starts
 * again; 0: none, or it has unknown characters, which join with what is around. */
static float certain_up_to(const struct lm_unigram *u, const struct lm_unigram_scratch *s, struct lm_str word)
{
    const double count = (double)word.len + 1, before = fabs(s->nodes[0].score);
    const double size = count * (fabs(u->unknown_score) + 1);   // of the word's own sums, by far
    double gap = HUGE_VAL;
    for (size_t at = word.len; at > 0; at -= s->nodes[at].len) {
        if (s->nodes[at].id == u->unknown)
            return 0;
        gap = fmin(gap, s->nodes[at].score - s->next[at]);
    }
    if (before + size > sum_max)
        return 0;
    const double sum = fmin(gap / (count * 0x1p-23) - 2 * size - before, sum_max - size);
    return sum > 0 ? (float)(sum * 0.99) : 0;   // a float is not larger than that
}

/* A word as it was before: false when it was not, or with a sum that makes it uncertain. */
static bool put_known(struct output *o, const struct lm_cache *c, const struct lm_cache_entry *e, double *sum)
{
    const uint32_t *ids = lm_cache_ids(c, e);
    float most;
    memcpy(&most, ids, sizeof(most));
    if (!(fabs(*sum) < (double)most))
        return false;
    end_unknown(o);
    for (uint32_t i = 1; i < e->count; i++) {
        o->ids[o->count++] = ids[i];
        *sum = (double)(float)(o->u->scores[ids[i]] + *sum);
    }
    return true;
}

/* A word that is looked into; kept when it is certain. */
static double put_new(struct output *o, struct lm_unigram_scratch *s, struct lm_cache_key key, size_t at,
                      struct lm_str word, bool keep, double before)
{
    const double sum = find_way(o->u, s, word, before);
    const float most = keep ? certain_up_to(o->u, s, word) : 0;
    if (most > 0)   // it starts with a known piece, so that this is its turn
        end_unknown(o);
    const size_t first = o->count;
    write_out(o, s->nodes, at, at + word.len);
    if (most <= 0)
        return sum;
    const size_t count = o->count - first;
    lm_grow(&s->kept, &s->kept_cap, count + 1, sizeof(*s->kept));
    memcpy(s->kept, &most, sizeof(most));
    memcpy(s->kept + 1, o->ids + first, count * sizeof(*s->kept));
    lm_cache_put(&s->words, key, word, s->kept, count + 1);
    return sum;
}

/* Words and where they are looked for, whose lines are on their way meanwhile. */
struct batch {
    struct lm_str words[BATCH];
    struct lm_cache_key keys[BATCH];
    size_t homes[BATCH];
    size_t count;
};

/* Returns where the words end. */
static size_t prepare(struct batch *b, struct lm_cache *c, struct lm_str text, size_t at)
{
    lm_cache_renew(c);
    for (b->count = 0; b->count < BATCH && at < text.len; b->count++) {
        const size_t end = word_end(text, at), i = b->count;
        b->words[i] = (struct lm_str){ text.ptr + at, end - at };
        b->keys[i] = lm_cache_key(b->words[i], text.len - at >= sizeof(b->keys[i]));
        b->homes[i] = lm_cache_home(c, b->keys[i]);
        __builtin_prefetch(&c->entries[b->homes[i]]);
        at = end;
    }
    return at;
}

static size_t words_to_ids(const struct lm_unigram *u, struct lm_unigram_scratch *s, struct lm_str text,
                           uint32_t *ids)
{
    struct output o = { .u = u, .text = text, .ids = ids };
    struct batch b;
    double sum = 0;
    if (!s->words.entries)
        lm_cache_init(&s->words);
    lm_cache_expect(&s->words, text.len);
    for (size_t from = 0; from < text.len;) {
        from = prepare(&b, &s->words, text, from);
        for (size_t i = 0; i < b.count; i++) {
            const struct lm_str word = b.words[i];
            if (fabs(sum) > sum_max)   // as `restart` does where every way leads through
                sum = 0;
            const struct lm_cache_entry *e = lm_cache_find(&s->words, b.keys[i], b.homes[i], word);
            if (e && put_known(&o, &s->words, e, &sum))
                continue;
            sum = put_new(&o, s, b.keys[i], (size_t)(word.ptr - text.ptr), word,
                          !e && word.len <= LM_CACHE_PIECE_MAX, sum);
        }
    }
    end_unknown(&o);
    return o.count;
}

/* ---- all of it ---- */

size_t lm_unigram_ids(const struct lm_unigram *u, struct lm_unigram_scratch *s, struct lm_str piece,
                      uint32_t *ids, struct lm_span *spans)
{
    if (u->single && u->words && !spans && has_short_words(piece))
        return words_to_ids(u, s, piece, ids);
    struct output o = { .u = u, .text = piece, .ids = ids, .spans = spans };
    size_t base = 0, reach = 0, ready = 0;   // of the text: nodes[0]; last place with a way; nodes cleared
    double score = 0;
    for (size_t at = 0; at < piece.len;) {
        if (at == reach && at - base >= WINDOW) {   // every way leads through here
            score = s->nodes[at - base].score;
            write_out(&o, s->nodes, base, at);
            base = at;
            ready = 0;
        }
        if (ready < piece.len - base + 1 && ready < at - base + LM_UNIGRAM_PIECE_MAX + 1) {
            ready = clear(s, ready, at - base + LM_UNIGRAM_PIECE_MAX + 1, piece.len - base + 1);
            if (at == base)
                s->nodes[0].score = score;
        }
        struct lm_unigram_node *here = s->nodes + (at - base);
        if (at == base || here->len > 0) {
            restart(u, here, reach - at);
            const size_t end = at + extend(u, piece, at, here, NULL);
            reach = end > reach ? end : reach;
        }
        uint32_t cp;
        at += (uint8_t)piece.ptr[at] < 0x80 ? 1 : lm_utf8_next(piece, at, &cp);
    }
    if (piece.len > 0)
        write_out(&o, s->nodes, base, piece.len);
    end_unknown(&o);
    return o.count;
}

void lm_unigram_scratch_release(struct lm_unigram_scratch *s)
{
    free(s->nodes);
    free(s->next);
    free(s->kept);
    if (s->words.entries)
        lm_cache_release(&s->words);
    *s = (struct lm_unigram_scratch){ 0 };
}

void lm_unigram_free(struct lm_unigram *u)
{
    if (!u)
        return;
    lm_trie_release(&u->trie);
    free(u->scores);
    free(u);
}
