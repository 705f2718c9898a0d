#include "token/ngram_impl.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Where the key is, or the free slot where it would be. */
static size_t slot(const struct ngram_table *t, uint64_t key)
{
    size_t i = (size_t)((unsigned __int128)key * t->size >> 64);   // keys are spread over all 64 bits
    while (t->keys[i] != 0 && t->keys[i] != key)
        i = i + 1 < t->size ? i + 1 : 0;
    return i;
}

static const uint32_t *find(const struct ngram_table *t, enum ngram_columns columns, uint64_t key)
{
    if (t->size == 0)
        return NULL;
    const size_t i = slot(t, key);
    return t->keys[i] ? t->values + i * columns : NULL;
}

static void resize(struct ngram_table *t, enum ngram_columns columns, size_t size)
{
    const struct ngram_table old = *t;
    t->size = size;
    t->keys = lm_zalloc(size, sizeof *t->keys);
    t->values = lm_zalloc(size * columns, sizeof *t->values);
    for (size_t i = 0; i < old.size; i++)
        if (old.keys[i]) {
            const size_t to = slot(t, old.keys[i]);
            t->keys[to] = old.keys[i];
            memcpy(t->values + to * columns, old.values + i * columns, columns * sizeof *t->values);
        }
    free(old.keys);
    free(old.values);
}

/* Valid until the next call for this table. */
static uint32_t *add(struct ngram_table *t, enum ngram_columns columns, uint64_t key)
{
    enum { START = 16 };
    if (4 * (t->used + 1) > 3 * t->size)
        resize(t, columns, t->size ? t->size + t->size / 2 : START);
    const size_t i = slot(t, key);
    if (t->keys[i] == 0) {
        t->keys[i] = key;
        t->used++;
    }
    return t->values + i * columns;
}

/* As small as a table of these keys may be. */
static void shrink(struct ngram_table *t, enum ngram_columns columns)
{
    if (t->used > 0)
        resize(t, columns, (4 * t->used + 2) / 3);
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

static int class_of(uint32_t count)
{
    return (int)(count < NGRAM_CLASSES ? count : NGRAM_CLASSES) - 1;
}

/* One more of an n-gram; true when it was seen before. */
static bool count_up(struct lm_ngram *m, int n, uint64_t hash, uint32_t token)
{
    uint32_t *count = add(&m->grams[n], NGRAM_COUNT, chain(hash, token));
    uint32_t *totals = add(&m->contexts[n], NGRAM_TOTALS, hash), *classes = totals + 1;
    if (*count > 0)
        classes[class_of(*count)]--;
    ++*count;
    classes[class_of(*count)]++;
    ++*totals;
    return *count > 1;
}

/* An n-gram seen for the first time is one more token before the (n-1)-gram behind its first token: that is
 * what the lower orders count.  N-grams that begin the document have nothing before them and are counted as
 * they are. */
enum lm_rc lm_ngram_add(struct lm_ngram *m, const uint32_t *tokens, size_t count, struct lm_err *err)
{
    LM_ASSERT(!m->map.ptr);
    if (count > UINT32_MAX - m->tokens)
        return lm_fail(err, LM_EINVAL, "n-gram: more than %u tokens; train it on a part of the documents",
                       UINT32_MAX);
    m->tokens += count;
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
    return LM_OK;
}

/* Chen & Goodman 1998, equation 26: discounts from how many n-grams have count 1 to 4.  Where a small corpus
 * makes the estimate meaningless (an empty class, a discount that is not positive), half of the count stands
 * in: without any discount an unseen token would have probability 0. */
static void find_discounts(struct lm_ngram *m, int n)
{
    double with[NGRAM_CLASSES + 2] = { 0 };
    const struct ngram_table *grams = &m->grams[n];
    for (size_t i = 0; i < grams->size; i++)
        if (grams->keys[i] != 0 && grams->values[i] <= NGRAM_CLASSES + 1)
            with[grams->values[i]]++;
    const double y = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0.5;
    for (int c = 1; c <= NGRAM_CLASSES; c++) {
        const double d = with[c] > 0 ? c - (c + 1) * y * with[c + 1] / with[c] : 0;
        m->discount[n][c] = d > 0 ? d : 0.5 * c;
    }
}

void lm_ngram_end(struct lm_ngram *m)
{
    for (int n = 1; n <= m->order; n++) {
        find_discounts(m, n);
        shrink(&m->grams[n], NGRAM_COUNT);
        shrink(&m->contexts[n], NGRAM_TOTALS);
    }
}

void lm_ngram_free(struct lm_ngram *m)
{
    if (!m)
        return;
    for (int n = 1; n <= LM_NGRAM_ORDER_MAX && !m->map.ptr; n++) {
        free(m->grams[n].keys);
        free(m->grams[n].values);
        free(m->contexts[n].keys);
        free(m->contexts[n].values);
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
        const uint32_t *total = find(&m->contexts[n], NGRAM_TOTALS, hash);
        if (!total)
            break;   // a longer context that ends in this one was not seen either
        const uint32_t *own = find(&m->grams[n], NGRAM_COUNT, chain(hash, token)), *classes = total + 1;
        const double *discount = m->discount[n];
        double share = own ? (double)*own - discount[1 + class_of(*own)] : 0, spare = 0;
        for (int c = 1; c <= NGRAM_CLASSES; c++)
            spare += discount[c] * (double)classes[c - 1];
        p = (share + spare * p) / (double)*total;
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
