#include "token/ngram_impl.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t context_empty = 0x9e3779b97f4a7c15;

/* The finaliser of SplitMix64 over the chain so far and one token. */
static uint64_t chain(uint64_t hash, uint32_t token)
{
    uint64_t z = (hash ^ (token + 1ull)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return z ? z : 1;
}

/* ---- tables ---- */

static void *slot(const struct ngram_table *t, size_t bytes, uint64_t key)
{
    size_t i = key & (t->size - 1);
    for (;; i = (i + 1) & (t->size - 1)) {
        char *at = (char *)t->slots + i * bytes;
        const uint64_t there = *(const uint64_t *)at;   // the first member of both kinds
        if (there == 0 || there == key)
            return at;
    }
}

static const void *find(const struct ngram_table *t, size_t bytes, uint64_t key)
{
    if (!t->slots)
        return NULL;
    const uint64_t *at = slot(t, bytes, key);
    return *at ? at : NULL;
}

static void grow(struct ngram_table *t, size_t bytes)
{
    enum { START = 16 };
    const struct ngram_table old = *t;
    t->size = old.size ? 2 * old.size : START;
    t->slots = lm_zalloc(t->size, bytes);
    for (size_t i = 0; i < old.size; i++) {
        const char *from = (const char *)old.slots + i * bytes;
        if (*(const uint64_t *)from)
            memcpy(slot(t, bytes, *(const uint64_t *)from), from, bytes);
    }
    free(old.slots);
}

/* Valid until the next call for this table. */
static void *add(struct ngram_table *t, size_t bytes, uint64_t key)
{
    if (2 * (t->used + 1) > t->size)
        grow(t, bytes);
    uint64_t *at = slot(t, bytes, key);
    if (*at == 0) {
        *at = key;
        t->used++;
    }
    return at;
}

/* ---- training ---- */

enum lm_rc lm_ngram_new(int order, uint32_t vocab_size, struct lm_ngram **ret, struct lm_err *err)
{
    if (order < 1 || order > LM_NGRAM_ORDER_MAX)
        return lm_fail(err, LM_EINVAL, "n-gram: order %d is outside 1..%d", order, LM_NGRAM_ORDER_MAX);
    LM_ASSERT(vocab_size > 0);
    struct lm_ngram *m = lm_zalloc(1, sizeof *m);
    m->order = order;
    m->vocab_size = vocab_size;
    *ret = m;
    return LM_OK;
}

static int class_of(uint64_t count)
{
    return (int)(count < NGRAM_CLASSES ? count : NGRAM_CLASSES) - 1;
}

/* One more of an n-gram; true when it was seen before. */
static bool count_up(struct lm_ngram *m, int n, uint64_t hash, uint32_t token)
{
    struct ngram_gram *gram = add(&m->grams[n], sizeof *gram, chain(hash, token));
    struct ngram_context *context = add(&m->contexts[n], sizeof *context, hash);
    if (gram->count > 0)
        context->classes[class_of(gram->count)]--;
    gram->count++;
    context->classes[class_of(gram->count)]++;
    context->total++;
    return gram->count > 1;
}

/* An n-gram seen for the first time is one more token before the (n-1)-gram behind its first token: that is
 * what the lower orders count.  N-grams that begin the document have nothing before them and are counted as
 * they are. */
void lm_ngram_add(struct lm_ngram *m, const uint32_t *tokens, size_t count)
{
    LM_ASSERT(!m->map.ptr);
    for (size_t i = 1; i < count; i++) {
        const int top = i + 1 < (size_t)m->order ? (int)i + 1 : m->order;
        bool seen = false;
        for (int n = top; n >= 1 && !seen; n--) {
            uint64_t hash = context_empty;   // oldest token first, so contexts chain into n-grams
            for (size_t j = i - (size_t)(n - 1); j < i; j++)
                hash = chain(hash, tokens[j]);
            seen = count_up(m, n, hash, tokens[i]);   // then the lower orders know this token before them
        }
    }
}

/* Chen & Goodman 1998, equation 26: discounts from how many n-grams have count 1 to 4.  Where a small corpus
 * makes the estimate meaningless (an empty class, a discount that is not positive), half of the count stands
 * in: without any discount an unseen token would have probability 0. */
static void find_discounts(struct lm_ngram *m, int n)
{
    double with[NGRAM_CLASSES + 2] = { 0 };
    const struct ngram_gram *grams = m->grams[n].slots;
    for (size_t i = 0; i < m->grams[n].size; i++)
        if (grams[i].key != 0 && grams[i].count <= NGRAM_CLASSES + 1)
            with[grams[i].count]++;
    const double y = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0.5;
    for (int c = 1; c <= NGRAM_CLASSES; c++) {
        const double d = with[c] > 0 ? c - (c + 1) * y * with[c + 1] / with[c] : 0;
        m->discount[n][c] = d > 0 ? d : 0.5 * c;
    }
}

void lm_ngram_end(struct lm_ngram *m)
{
    for (int n = 1; n <= m->order; n++)
        find_discounts(m, n);
}

void lm_ngram_free(struct lm_ngram *m)
{
    if (!m)
        return;
    for (int n = 1; n <= LM_NGRAM_ORDER_MAX && !m->map.ptr; n++) {
        free(m->grams[n].slots);
        free(m->contexts[n].slots);
    }
    lm_map_close(&m->map);
    free(m);
}

/* ---- asking ---- */

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
        const struct ngram_context *total = find(&m->contexts[n], sizeof *total, hash);
        if (!total)
            break;   // a longer context that ends in this one was not seen either
        const struct ngram_gram *gram = find(&m->grams[n], sizeof *gram, chain(hash, token));
        const double *discount = m->discount[n];
        double spare = 0, own = 0;
        for (int c = 1; c <= NGRAM_CLASSES; c++)
            spare += discount[c] * (double)total->classes[c - 1];
        if (gram)
            own = (double)gram->count - discount[1 + class_of(gram->count)];
        p = (own + spare * p) / (double)total->total;
    }
    return log(p);
}

double lm_ngram_score(const struct lm_ngram *m, const uint32_t *tokens, size_t count)
{
    double sum = 0;
    for (size_t i = 1; i < count; i++)
        sum += lm_ngram_logprob(m, tokens, i, tokens[i]);
    return sum;
}

uint32_t lm_ngram_vocab_size(const struct lm_ngram *m)
{
    return m->vocab_size;
}

int lm_ngram_order(const struct lm_ngram *m)
{
    return m->order;
}
