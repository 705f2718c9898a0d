/* The Kneser-Ney model: probabilities add up to one, and equal those of a second, slow implementation
 * straight from the definition (all counts by scanning the corpus). */
#include "check.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "token/ngram.h"

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

static struct lm_ngram *train(const struct corpus *c, int order)
{
    struct lm_ngram *m;
    assert_int_equal(lm_ngram_new(order, VOCAB, &m, NULL), LM_OK);
    for (size_t d = 0; d < DOCUMENTS; d++)
        assert_int_equal(lm_ngram_add(m, c->tokens[d], c->len[d], NULL), LM_OK);
    lm_ngram_end(m);
    return m;
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
    struct lm_ngram *m = train(c, ORDER);
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
    free(c);
}

static void probabilities_add_up_to_one(void **state)
{
    (void)state;
    struct corpus *c = lm_zalloc(1, sizeof *c);
    make_corpus(c);
    struct lm_rng rng = lm_rng_make(2, 0);
    for (int order = 1; order <= 5; order++) {
        struct lm_ngram *m = train(c, order);
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
    free(c);
}

/* One text many times over: no n-gram of count 1, so the estimated discounts are worthless. */
static void an_unseen_token_has_a_probability_in_the_poorest_corpus(void **state)
{
    (void)state;
    const uint32_t text[] = { END, 1, 2, 3, 4, 2, 3, END };
    struct lm_ngram *m;
    assert_int_equal(lm_ngram_new(4, VOCAB, &m, NULL), LM_OK);
    for (size_t d = 0; d < DOCUMENTS; d++)
        assert_int_equal(lm_ngram_add(m, text, sizeof text / sizeof *text, NULL), LM_OK);
    lm_ngram_end(m);
    double sum = 0;
    for (uint32_t token = 0; token < VOCAB; token++) {
        const double ln_p = lm_ngram_logprob(m, text + 1, 3, token);
        assert_true(isfinite(ln_p));
        sum += exp(ln_p);
    }
    assert_true(fabs(sum - 1) < 1e-9);
    lm_ngram_free(m);
}

static void impossible_orders_are_refused(void **state)
{
    (void)state;
    struct lm_ngram *m = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_ngram_new(0, VOCAB, &m, &err), LM_EINVAL);
    assert_int_equal(lm_ngram_new(6, VOCAB, &m, &err), LM_EINVAL);
    assert_contains(err.text, "order 6 is outside 1..5");
}

static void a_file_gives_the_same_answers(void **state)
{
    (void)state;
    uint8_t sha[32] = { 7 }, got[32];
    struct corpus *c = lm_zalloc(1, sizeof *c);
    make_corpus(c);
    struct lm_ngram *m = train(c, 4), *again;
    assert_int_equal(lm_ngram_save(m, sha, "m.ngram", NULL), LM_OK);
    assert_int_equal(lm_ngram_open("m.ngram", got, &again, NULL), LM_OK);
    assert_memory_equal(got, sha, sizeof sha);
    assert_int_equal(lm_ngram_order(again), 4);
    assert_int_equal(lm_ngram_vocab_size(again), VOCAB);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        double sum = 0;
        for (size_t i = 1; i < c->len[d]; i++)
            sum += lm_ngram_logprob(m, c->tokens[d], i, c->tokens[d][i]);
        assert_true(lm_ngram_score(again, c->tokens[d], c->len[d]) == sum);
    }
    lm_ngram_free(again);
    lm_ngram_free(m);
    free(c);
}

/* Bytes changed, cuts: all refused. */
static void damage_is_refused(void **state)
{
    (void)state;
    const uint8_t sha[32] = { 7 };
    const uint32_t text[] = { END, 1, 2, 3, 4, 2, 3, END };
    struct lm_ngram *m;
    struct lm_buf file = { 0 };
    uint8_t got[32];
    assert_int_equal(lm_ngram_new(2, VOCAB, &m, NULL), LM_OK);
    assert_int_equal(lm_ngram_add(m, text, sizeof text / sizeof *text, NULL), LM_OK);
    lm_ngram_end(m);
    assert_int_equal(lm_ngram_save(m, sha, "d.ngram", NULL), LM_OK);
    lm_ngram_free(m);
    assert_int_equal(lm_file_read("d.ngram", 1 << 20, &file, NULL), LM_OK);
    for (size_t i = 0; i < file.len; i += i < 200 ? 1 : 37) {
        struct lm_err err = { 0 };
        file.ptr[i] ^= 0x41;
        assert_int_equal(lm_file_write("e.ngram", lm_buf_str(&file), NULL), LM_OK);
        file.ptr[i] ^= 0x41;
        assert_int_equal(lm_ngram_open("e.ngram", got, &m, &err), LM_EFORMAT);
        assert_contains(err.text, "e.ngram");
    }
    for (size_t len = 0; len < file.len; len += len < 100 ? 9 : 61) {
        assert_int_equal(lm_file_write("e.ngram", (struct lm_str){ file.ptr, len }, NULL), LM_OK);
        assert_int_equal(lm_ngram_open("e.ngram", got, &m, NULL), LM_EFORMAT);
    }
    lm_buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_definition_gives_the_same_probabilities),
        cmocka_unit_test(probabilities_add_up_to_one),
        cmocka_unit_test(an_unseen_token_has_a_probability_in_the_poorest_corpus),
        cmocka_unit_test(impossible_orders_are_refused),
        cmocka_unit_test(a_file_gives_the_same_answers),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
