#include "token/unigram.h"

#include "base/err.h"
#include "text/text.h"
#include "token/vocab.h"

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

static inline void offer(const struct lm_unigram *u, struct lm_unigram_node *node, double score, uint32_t id,
                         size_t len)
{
    score = u->single ? (double)(float)score : score;
    if (node->len > 0 && !(score > node->score))
        return;
    node->score = score;
    node->id = id;
    node->len = (uint32_t)len;
}

/* All pieces from here on; returns the bytes of the longest. */
static size_t extend(const struct lm_unigram *u, struct lm_str text, size_t at, struct lm_unigram_node *here)
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
        offer(u, here + len, u->scores[id] + here->score, id, len);
        single |= len == char_len;
        longest = len > longest ? len : longest;
    }
    if (!single)
        offer(u, here + char_len, u->unknown_score + here->score, u->unknown, char_len);
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
    static const double far = 100000;
    const double offset = here->score;
    if (!u->single || (offset >= -far && offset <= far))
        return;
    here->score = 0;
    for (size_t i = 1; i <= last; i++)
        if (here[i].len > 0)
            here[i].score = (double)(float)(here[i].score - offset);
}

size_t lm_unigram_ids(const struct lm_unigram *u, struct lm_unigram_scratch *s, struct lm_str piece,
                      uint32_t *ids, struct lm_span *spans)
{
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
            const size_t end = at + extend(u, piece, at, here);
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
