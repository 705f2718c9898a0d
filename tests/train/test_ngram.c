/* The Kneser-Ney model: probabilities add up to one, and equal those of a second, slow implementation
 * straight from the definition (all counts by scanning the corpus). */
#include "train/ngram.h"

#include "base/mem.h"
#include "base/rng.h"
#include "shards.h"

#include <math.h>

enum { VOCAB = 13, DOCUMENTS = 12, END = 0, TOKENS_MAX = 1024 };

/* The corpus as the model sees it: every document with the end of text in front. */
struct corpus {
    uint32_t tokens[DOCUMENTS][TOKENS_MAX];
    size_t len[DOCUMENTS];
};

static void make_corpus(struct corpus *c)
{
    struct lm_rng rng = lm_rng_make(11, 0);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        const size_t len = 3 + lm_rng_below(&rng, 60);
        c->tokens[d][0] = END;
        for (size_t i = 1; i <= len; i++) {   // skewed, so that counts 1 to 4 all occur
            const uint64_t a = lm_rng_below(&rng, VOCAB - 1), b = lm_rng_below(&rng, VOCAB - 1);
            c->tokens[d][i] = 1 + (uint32_t)(a < b ? a : b);
        }
        c->tokens[d][len + 1] = END;
        c->len[d] = len + 2;
    }
}

static struct lm_shard open_corpus(const struct corpus *c)
{
    struct shard_document documents[DOCUMENTS];
    for (size_t d = 0; d < DOCUMENTS; d++)
        documents[d] = (struct shard_document){ c->tokens[d] + 1, c->len[d] - 1 };
    write_shard("ngram.tokens", VOCAB, NULL, documents, DOCUMENTS);
    struct lm_shard shard;
    assert_int_equal(lm_shard_open(&shard, "ngram.tokens", NULL), LM_OK);
    return shard;
}

/* ---- the definition ---- */

static size_t occurrences(const struct corpus *c, const uint32_t *gram, size_t n, bool at_start_only)
{
    size_t count = 0;
    for (size_t d = 0; d < DOCUMENTS; d++)
        for (size_t i = 0; i + n <= c->len[d] && (i == 0 || !at_start_only); i++) {
            size_t same = 0;
            while (same < n && c->tokens[d][i + same] == gram[same])
                same++;
            /* The end of text in front of a document is a context, never a prediction. */
            count += same == n && i + n > 1;
        }
    return count;
}

/* Kneser-Ney count: occurrences at the highest order; below it, different tokens in front, and occurrences
 * where nothing can be in front because the document begins. */
static size_t kn_count(const struct corpus *c, const uint32_t *gram, size_t n, size_t order)
{
    if (n == order)
        return occurrences(c, gram, n, false);
    size_t count = n > 1 ? occurrences(c, gram, n, true) : 0;
    uint32_t longer[6];
    for (size_t i = 0; i < n; i++)
        longer[i + 1] = gram[i];
    for (longer[0] = 0; longer[0] < VOCAB; longer[0]++)
        count += occurrences(c, longer, n + 1, false) > 0;
    return count;
}

/* How many n-grams have Kneser-Ney count k = 1..4. */
static void count_of_counts(const struct corpus *c, size_t n, size_t order, double ret[5])
{
    uint32_t gram[6] = { 0 };
    for (int k = 0; k < 5; k++)
        ret[k] = 0;
    for (size_t number = 0; number < (size_t)pow(VOCAB, (double)n); number++) {
        size_t left = number;
        for (size_t i = 0; i < n; i++, left /= VOCAB)
            gram[i] = left % VOCAB;
        const size_t k = kn_count(c, gram, n, order);
        if (k >= 1 && k <= 4)
            ret[k]++;
    }
}

static double naive(const struct corpus *c, const uint32_t *gram, size_t n, size_t order,
                    double discounts[][4])
{
    const double below = n == 1 ? 1.0 / VOCAB : naive(c, gram + 1, n - 1, order, discounts);
    uint32_t other[6];
    for (size_t i = 0; i < n; i++)
        other[i] = gram[i];
    double total = 0, spare = 0;
    for (other[n - 1] = 0; other[n - 1] < VOCAB; other[n - 1]++) {
        const size_t count = kn_count(c, other, n, order);
        total += (double)count;
        spare += discounts[n][count < 3 ? count : 3];
    }
    if (total == 0)
        return below;
    const size_t count = kn_count(c, gram, n, order);
    return ((double)count - discounts[n][count < 3 ? count : 3] + spare * below) / total;
}

static void find_discounts(const struct corpus *c, size_t order, double ret[][4])
{
    for (size_t n = 1; n <= order; n++) {
        double with[5];
        count_of_counts(c, n, order, with);
        const double y = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0.5;
        ret[n][0] = 0;
        for (int k = 1; k <= 3; k++) {
            const double d = with[k] > 0 ? k - (k + 1) * y * with[k + 1] / with[k] : 0;
            ret[n][k] = d > 0 ? d : k / 2.0;
        }
    }
}

static void the_definition_gives_the_same_probabilities(void **state)
{
    (void)state;
    enum { ORDER = 3, SAMPLES = 150 };
    struct corpus *c = lm_zalloc(1, sizeof *c);
    double discounts[ORDER + 1][4];
    make_corpus(c);
    struct lm_shard shard = open_corpus(c);
    struct lm_ngram *m;
    assert_int_equal(lm_ngram_train(&shard, ORDER, END, &m, NULL), LM_OK);
    find_discounts(c, ORDER, discounts);
    struct lm_rng rng = lm_rng_make(1, 0);
    for (int i = 0; i < SAMPLES; i++) {
        const size_t d = lm_rng_below(&rng, DOCUMENTS), at = lm_rng_below(&rng, c->len[d]);
        const size_t used = at < ORDER - 1 ? at : ORDER - 1;
        uint32_t gram[ORDER];
        for (size_t j = 0; j < used; j++)
            gram[j] = c->tokens[d][at - used + j];
        gram[used] = (uint32_t)lm_rng_below(&rng, VOCAB);   // seen there or not
        const double want = log(naive(c, gram, used + 1, ORDER, discounts));
        const double got = lm_ngram_logprob(m, c->tokens[d], at, gram[used]);
        if (!(fabs(got - want) < 1e-9))
            fail_msg("sample %d: ln p is %.12g, by the definition %.12g", i, got, want);
    }
    lm_ngram_free(m);
    lm_shard_close(&shard);
    free(c);
}

static void probabilities_add_up_to_one(void **state)
{
    (void)state;
    struct corpus *c = lm_zalloc(1, sizeof *c);
    make_corpus(c);
    struct lm_shard shard = open_corpus(c);
    struct lm_rng rng = lm_rng_make(2, 0);
    for (int order = 1; order <= 5; order++) {
        struct lm_ngram *m;
        assert_int_equal(lm_ngram_train(&shard, order, END, &m, NULL), LM_OK);
        for (int i = 0; i < 200; i++) {
            uint32_t context[6];
            const size_t count = lm_rng_below(&rng, 7);   // also shorter and longer than the order
            for (size_t j = 0; j < count; j++)
                context[j] = (uint32_t)lm_rng_below(&rng, VOCAB);
            double sum = 0;
            for (uint32_t token = 0; token < VOCAB; token++) {
                const double p = lm_ngram_logprob(m, context, count, token);
                assert_true(isfinite(p));
                sum += exp(p);
            }
            assert_true(fabs(sum - 1) < 1e-9);
        }
        lm_ngram_free(m);
    }
    lm_shard_close(&shard);
    free(c);
}

/* One text many times over: no n-gram of count 1, so the estimated discounts are worthless. */
static void an_unseen_token_has_a_probability_in_the_poorest_corpus(void **state)
{
    (void)state;
    const uint32_t text[] = { 1, 2, 3, 4, 2, 3, END };
    struct shard_document documents[DOCUMENTS];
    for (size_t d = 0; d < DOCUMENTS; d++)
        documents[d] = (struct shard_document){ text, sizeof(text) / sizeof(text[0]) };
    write_shard("poor.tokens", VOCAB, NULL, documents, DOCUMENTS);
    struct lm_shard shard;
    struct lm_ngram *m;
    assert_int_equal(lm_shard_open(&shard, "poor.tokens", NULL), LM_OK);
    assert_int_equal(lm_ngram_train(&shard, 4, END, &m, NULL), LM_OK);
    double sum = 0;
    for (uint32_t token = 0; token < VOCAB; token++) {
        const double ln_p = lm_ngram_logprob(m, text, 3, token);
        assert_true(isfinite(ln_p));
        sum += exp(ln_p);
    }
    assert_true(fabs(sum - 1) < 1e-9);
    lm_ngram_free(m);
    lm_shard_close(&shard);
}

static void impossible_orders_are_refused(void **state)
{
    (void)state;
    struct corpus *c = lm_zalloc(1, sizeof *c);
    make_corpus(c);
    struct lm_shard shard = open_corpus(c);
    struct lm_ngram *m = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_ngram_train(&shard, 0, END, &m, &err), LM_EINVAL);
    assert_int_equal(lm_ngram_train(&shard, 6, END, &m, &err), LM_EINVAL);
    lm_shard_close(&shard);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_definition_gives_the_same_probabilities),
        cmocka_unit_test(probabilities_add_up_to_one),
        cmocka_unit_test(an_unseen_token_has_a_probability_in_the_poorest_corpus),
        cmocka_unit_test(impossible_orders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
