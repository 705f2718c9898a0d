/* Tables by context length: order n holds every n-gram seen, with its count (the highest order, and n-grams
 * that begin a document) or the number of different tokens before it (the others), and per context the total
 * and how many n-grams have count 1, 2, 3 or more.
 *
 * A context is a 64-bit hash of its tokens chained token by token; an n-gram is its context's hash and a
 * token. Two of N n-grams collide with probability below N^2 / 2^65: 10^-5 for the 10 million of a large
 * shard. */
#include "train/ngram.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { ORDER_MAX = 5, CLASSES = 3 };

/* Open addressing, linear probing, at most half full; key 0 is empty. */
struct entry {
    uint64_t key;
    uint32_t count;              // of an n-gram
    uint32_t total;              // of a context: sum of the counts that follow
    uint32_t classes[CLASSES];   // of a context: n-grams with count 1, 2, 3 or more
};

struct table {
    struct entry *entries;
    size_t len, mask;
};

struct lm_ngram {
    int order;
    uint32_t vocab_size;
    struct table grams[ORDER_MAX + 1];      // [n]: n-grams
    struct table contexts[ORDER_MAX + 1];   // [n]: contexts of n-grams, n - 1 tokens long
    double discount[ORDER_MAX + 1][CLASSES + 1];
};

static const uint64_t context_empty = 0x9e3779b97f4a7c15;

/* The finaliser of SplitMix64 over the chain so far and one token. */
static uint64_t chain(uint64_t hash, uint32_t token)
{
    uint64_t z = (hash ^ (token + 1ull)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return z ? z : 1;
}

static struct entry *slot(const struct table *t, uint64_t key)
{
    size_t i = key & t->mask;
    while (t->entries[i].key != 0 && t->entries[i].key != key)
        i = (i + 1) & t->mask;
    return &t->entries[i];
}

static void table_grow(struct table *t)
{
    enum { START = 1 << 10 };
    const struct table old = *t;
    const size_t size = old.entries ? 2 * (old.mask + 1) : START;
    t->entries = lm_zalloc(size, sizeof *t->entries);
    t->mask = size - 1;
    for (size_t i = 0; old.entries && i <= old.mask; i++)
        if (old.entries[i].key != 0)
            *slot(t, old.entries[i].key) = old.entries[i];
    free(old.entries);
}

/* Valid until the next call for this table. */
static struct entry *table_add(struct table *t, uint64_t key)
{
    if (!t->entries || 2 * (t->len + 1) > t->mask + 1)
        table_grow(t);
    struct entry *e = slot(t, key);
    if (e->key == 0) {
        e->key = key;
        t->len++;
    }
    return e;
}

static const struct entry *table_find(const struct table *t, uint64_t key)
{
    if (!t->entries)
        return NULL;
    const struct entry *e = slot(t, key);
    return e->key ? e : NULL;
}

/* hashes[n] = context of the n - 1 tokens before position i, n = 1..order; fewer when the document begins.
 * Returns the highest n. */
static int contexts_at(const struct lm_ngram *m, const uint32_t *tokens, size_t i, uint64_t *hashes)
{
    const int top = i + 1 < (size_t)m->order ? (int)i + 1 : m->order;
    hashes[1] = context_empty;
    for (int n = 2; n <= top; n++) {
        uint64_t hash = context_empty;   // oldest token first, so contexts chain into n-grams
        for (size_t j = i - (size_t)(n - 1); j < i; j++)
            hash = chain(hash, tokens[j]);
        hashes[n] = hash;
    }
    return top;
}

static void count_up(struct lm_ngram *m, int n, uint64_t context, uint32_t token)
{
    struct entry *gram = table_add(&m->grams[n], chain(context, token));
    gram->count += gram->count < UINT32_MAX;
}

/* One document, tokens[0] being the end of text before it.  An n-gram seen for the first time is one more
 * token before the (n-1)-gram behind its first token: that is what the lower orders count.  N-grams that
 * begin the document have nothing before them and are counted as they are. */
static void add_document(struct lm_ngram *m, const uint32_t *tokens, size_t len)
{
    uint64_t hashes[ORDER_MAX + 1];
    for (size_t i = 1; i < len; i++) {
        const int top = contexts_at(m, tokens, i, hashes);
        for (int n = top; n >= 1; n--) {
            const struct entry *seen = table_find(&m->grams[n], chain(hashes[n], tokens[i]));
            count_up(m, n, hashes[n], tokens[i]);
            if (seen)
                break;   // the lower orders know this token before them already
        }
    }
}

/* Totals and classes of every context, from one more pass: each n-gram is met often, but counted once. */
static void sum_document(struct lm_ngram *m, const uint32_t *tokens, size_t len)
{
    uint64_t hashes[ORDER_MAX + 1];
    for (size_t i = 1; i < len; i++)
        for (int n = contexts_at(m, tokens, i, hashes); n >= 1; n--) {
            struct entry *gram = slot(&m->grams[n], chain(hashes[n], tokens[i]));
            if (gram->total)
                continue;
            gram->total = 1;   // done
            struct entry *context = table_add(&m->contexts[n], hashes[n]);
            context->total += gram->count;
            context->classes[(gram->count < CLASSES ? gram->count : CLASSES) - 1]++;
        }
}

/* Chen & Goodman 1998, equation 26: discounts from how many n-grams have count 1 to 4.  Where a small corpus
 * makes the estimate meaningless (an empty class, a discount that is not positive), half of the count stands
 * in: without any discount an unseen token would have probability 0. */
static void find_discounts(struct lm_ngram *m, int n)
{
    double with[CLASSES + 2] = { 0 };
    for (size_t i = 0; m->grams[n].entries && i <= m->grams[n].mask; i++) {
        const struct entry *e = &m->grams[n].entries[i];
        if (e->key != 0 && e->count <= CLASSES + 1)
            with[e->count]++;
    }
    const double y = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0.5;
    for (int c = 1; c <= CLASSES; c++) {
        const double d = with[c] > 0 ? c - (c + 1) * y * with[c + 1] / with[c] : 0;
        m->discount[n][c] = d > 0 ? d : 0.5 * c;
    }
}

static void each_document(struct lm_ngram *m, const struct lm_shard *shard, uint32_t end_of_text,
                          void (*visit)(struct lm_ngram *, const uint32_t *, size_t))
{
    uint32_t *tokens = NULL;
    size_t cap = 0;
    for (uint64_t d = 0; d < shard->document_count; d++) {
        const uint64_t first = lm_shard_doc_start(shard, d);
        const size_t len = (size_t)(shard->ends[d] - first);
        lm_grow(&tokens, &cap, len + 1, sizeof *tokens);
        tokens[0] = end_of_text;
        lm_shard_get(shard, first, len, tokens + 1);
        visit(m, tokens, len + 1);
    }
    free(tokens);
}

enum lm_rc lm_ngram_train(const struct lm_shard *shard, int order, uint32_t end_of_text,
                          struct lm_ngram **ret, struct lm_err *err)
{
    if (order < 1 || order > ORDER_MAX)
        return lm_fail(err, LM_EINVAL, "n-gram: order %d is outside 1..%d", order, ORDER_MAX);
    if (shard->vocab_size == 0)
        return lm_fail(err, LM_EINVAL, "n-gram: the shard has no vocabulary");
    struct lm_ngram *m = lm_zalloc(1, sizeof *m);
    m->order = order;
    m->vocab_size = shard->vocab_size;
    each_document(m, shard, end_of_text, add_document);
    each_document(m, shard, end_of_text, sum_document);
    for (int n = 1; n <= order; n++)
        find_discounts(m, n);
    *ret = m;
    return LM_OK;
}

void lm_ngram_free(struct lm_ngram *m)
{
    if (!m)
        return;
    for (int n = 1; n <= ORDER_MAX; n++) {
        free(m->grams[n].entries);
        free(m->contexts[n].entries);
    }
    free(m);
}

double lm_ngram_logprob(const struct lm_ngram *m, const uint32_t *context, size_t count, uint32_t token)
{
    LM_ASSERT(token < m->vocab_size);

    double p = 1.0 / m->vocab_size;
    const size_t longest = count < (size_t)m->order - 1 ? count : (size_t)m->order - 1;
    for (size_t used = 0; used <= longest; used++) {
        uint64_t hash = context_empty;
        for (size_t j = count - used; j < count; j++)
            hash = chain(hash, context[j]);
        const size_t n = used + 1;
        const struct entry *total = table_find(&m->contexts[n], hash);
        if (!total)
            break;   // a longer context that ends in this one was not seen either
        const struct entry *gram = table_find(&m->grams[n], chain(hash, token));
        const double *discount = m->discount[n];
        double spare = 0, own = 0;
        for (int c = 1; c <= CLASSES; c++)
            spare += discount[c] * total->classes[c - 1];
        if (gram)
            own = gram->count - discount[gram->count < CLASSES ? gram->count : CLASSES];
        p = (own + spare * p) / total->total;
    }
    return log(p);
}
