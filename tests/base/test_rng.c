#include "check.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

_Noreturn void lm_broken(const char *expression, const char *file, int line)
{
    mock_assert(0, expression, file, line);
    abort();
}

/* Runs recorded in checkpoints and manifests depend on these numbers: they may never change. */
static void the_first_numbers_are_those_of_version_1(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(42, 7);
    static const uint64_t expected[] = { 0x6a99f2e42b395269, 0xc5affa750eb9c445, 0xd566c8ce2f511f91,
                                         0x5cf2dbf675623759 };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(lm_rng_next(&rng) == expected[i]);
}

static void a_draw_depends_on_seed_stream_and_index_only(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct lm_rng whole = lm_rng_make(3, 5);
    uint64_t values[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        values[i] = lm_rng_next(&whole);
    for (size_t start = 0; start < COUNT; start += 37) {   // a worker that begins in the middle
        struct lm_rng part = lm_rng_make(3, 5);
        part.counter = start;
        assert_true(lm_rng_next(&part) == values[start]);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void streams_share_no_number(void **state)
{
    (void)state;
    enum { STREAMS = 64, DRAWS = 1000 };
    uint64_t *all = calloc(2 * STREAMS * DRAWS, sizeof(*all));
    assert_non_null(all);
    size_t len = 0;
    for (uint64_t seed = 0; seed < 2; seed++)
        for (uint64_t stream = 0; stream < STREAMS; stream++) {
            struct lm_rng rng = lm_rng_make(seed, stream);
            for (size_t i = 0; i < DRAWS; i++)
                all[len++] = lm_rng_next(&rng);
        }
    qsort(all, len, sizeof(*all), by_value);
    for (size_t i = 1; i < len; i++)   // chance of a true collision: 128000^2 / 2^65 = 4e-10
        assert_true(all[i] != all[i - 1]);
    free(all);
}

static void every_bit_is_set_half_of_the_time(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    int ones[64] = { 0 };
    for (uint64_t stream = 0; stream < DRAWS; stream++) {   // across streams: keys must be mixed, too
        struct lm_rng rng = lm_rng_make(0, stream);
        const uint64_t value = lm_rng_next(&rng);
        for (int bit = 0; bit < 64; bit++)
            ones[bit] += value >> bit & 1;
    }
    for (int bit = 0; bit < 64; bit++)
        assert_true(abs(ones[bit] - DRAWS / 2) < 5 * 100);   // 5 sigma; sigma = sqrt(DRAWS) / 2
}

static void below_is_unbiased(void **state)
{
    (void)state;
    enum { BOUND = 7, DRAWS = 70000 };
    struct lm_rng rng = lm_rng_make(1, 2);
    int counts[BOUND] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        const uint64_t value = lm_rng_below(&rng, BOUND);
        assert_true(value < BOUND);
        counts[value]++;
    }
    double chi2 = 0;
    for (int i = 0; i < BOUND; i++)
        chi2 += pow(counts[i] - DRAWS / BOUND, 2) / (DRAWS / BOUND);
    assert_true(chi2 < 22.46);   // 6 degrees of freedom, p = 0.001

    /* Of four numbers for three results, one result would come twice as often: every third, as it happens. */
    const uint64_t bound = UINT64_C(3) << 62;
    int thirds = 0;
    for (int i = 0; i < 30000; i++)
        thirds += lm_rng_below(&rng, bound) % 3 == 0;
    assert_true(abs(thirds - 10000) < 500);
    assert_int_equal(lm_rng_below(&rng, 1), 0);
    expect_assert_failure(lm_rng_below(&rng, 0));
}

static void unit_and_normal_have_their_moments(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    struct lm_rng rng = lm_rng_make(9, 9);
    double sum = 0, normal_sum = 0, normal_squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        const double u = lm_rng_unit(&rng), z = lm_rng_normal(&rng);
        assert_true(u >= 0 && u < 1);
        assert_true(isfinite(z));
        sum += u;
        normal_sum += z;
        normal_squares += z * z;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.005);
    assert_true(fabs(normal_sum / DRAWS) < 0.02);
    assert_true(fabs(normal_squares / DRAWS - 1) < 0.03);
}

static void shuffling_gives_every_order_equally_often(void **state)
{
    (void)state;
    enum { DRAWS = 24000 };
    struct lm_rng rng = lm_rng_make(4, 4);
    int counts[256] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        uint32_t items[4] = { 0, 1, 2, 3 };
        lm_rng_shuffle(&rng, items, 4);
        counts[items[0] | items[1] << 2 | items[2] << 4 | items[3] << 6]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++)
        if (counts[i]) {
            orders++;
            assert_true(abs(counts[i] - DRAWS / 24) < 160);   // 5 sigma
        }
    assert_int_equal(orders, 24);
    lm_rng_shuffle(&rng, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_numbers_are_those_of_version_1),
        cmocka_unit_test(a_draw_depends_on_seed_stream_and_index_only),
        cmocka_unit_test(streams_share_no_number),
        cmocka_unit_test(every_bit_is_set_half_of_the_time),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(unit_and_normal_have_their_moments),
        cmocka_unit_test(shuffling_gives_every_order_equally_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
