/* The accountants against opacus, against figures that others have published, and against the exact Gaussian.
 */
#include "train/account.h"

#include "../lib/check.h"

#include <math.h>
#include <stdio.h>

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.12g is not within %g of %.12g", got, tolerance, want);
}

static struct lm_dp_spent account(const struct lm_dp_phase *phases, size_t count, double delta)
{
    struct lm_dp_spent s;
    assert_ok(lm_dp_account(phases, count, delta, &s, NULL));
    return s;
}

static void every_setting_costs_what_opacus_says(void **state)
{
    (void)state;
    FILE *f = fopen(LOOM_TEST_DIR "/golden/train/accountant.csv", "r");
    assert_non_null(f);
    char line[512];
    int rows = 0;
    assert_non_null(fgets(line, sizeof line, f));   // the names
    while (fgets(line, sizeof line, f)) {
        double s[2], q[2], steps[2], delta, rdp, order, prv, gdp;
        assert_int_equal(sscanf(line, "%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &s[0], &q[0], &steps[0],
                                &s[1], &q[1], &steps[1], &delta, &rdp, &order, &prv, &gdp),
                         11);
        const struct lm_dp_phase phases[] = { { s[0], q[0], (uint64_t)steps[0] },
                                              { s[1], q[1], (uint64_t)steps[1] } };
        const struct lm_dp_spent got = account(phases, steps[1] > 0 ? 2 : 1, delta);
        assert_near(got.rdp, rdp, 1e-8 * fmax(rdp, 1));
        assert_near(got.rdp_order, order, 1e-9);
        assert_near(got.prv, prv, 1e-6 * fmax(prv, 1));
        if (steps[1] == 0)
            assert_near(got.gdp, gdp, 1e-8 * fmax(gdp, 1));
        assert_true(got.rdp > got.prv && got.prv > got.prv_lower);
        assert_true(got.epsilon == got.prv);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 34);
}

/* Balle and Wang 2018: the root of delta = Phi(-e/mu + mu/2) - exp(e) Phi(-e/mu - mu/2), to 1e-13. */
static void without_sampling_the_cost_is_exact(void **state)
{
    (void)state;
    const struct {
        struct lm_dp_phase phase;
        double delta, epsilon;
    } rows[] = {
        { { 1, 1, 10 }, 1e-5, 17.856586830107627 },
        { { 1, 1, 1 }, 1e-5, 4.377178095681225 },
        { { 2, 1, 1 }, 1e-6, 2.2540846502197422 },
        { { 0.5, 1, 1 }, 1e-5, 9.997256146434298 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct lm_dp_spent got = account(&rows[i].phase, 1, rows[i].delta);
        assert_near(got.gdp, rows[i].epsilon, 1e-9);
        assert_near(got.epsilon, rows[i].epsilon, 1e-9);
        assert_true(got.prv > rows[i].epsilon && got.prv < rows[i].epsilon + 0.011);
        assert_true(got.prv_lower < rows[i].epsilon && got.prv_lower > rows[i].epsilon - 0.011);
        assert_true(got.rdp > rows[i].epsilon);
    }
}

/* The moment by its definition: E over x ~ N(0, s^2) of ((1 - q) + q exp((2x - 1) / (2 s^2)))^a, by the
 * trapezoidal rule, which is exact to rounding for such an integrand. */
static double moment_by_quadrature(double sigma, double q, double a)
{
    double sum = 0;
    const double h = sigma / 400;
    for (double x = -40 * sigma; x < 40 * sigma + 2 * a; x += h) {
        const double power = a * log1p(q * expm1((2 * x - 1) / (2 * sigma * sigma)));
        const double weight = -x * x / (2 * sigma * sigma);
        sum += power > 1 ? exp(weight + power) - exp(weight) : exp(weight) * expm1(power);
    }
    return log1p(sum * h / (sigma * sqrt(2 * M_PI))) / (a - 1);
}

static void one_step_is_the_integral_of_its_definition(void **state)
{
    (void)state;
    const double settings[][2] = { { 1, 0.01 }, { 1.5, 0.04 }, { 0.8, 0.3 }, { 4, 0.001 }, { 2, 0.7 } };
    const double orders[] = { 1.5, 2, 3.3, 8, 10.9, 20 };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        for (size_t o = 0; o < sizeof orders / sizeof orders[0]; o++) {
            const double want = moment_by_quadrature(settings[i][0], settings[i][1], orders[o]);
            const double got = lm_rdp_step(settings[i][0], settings[i][1], orders[o]);
            assert_near(got, want, (orders[o] == floor(orders[o]) ? 1e-9 : 2e-8) * want + 1e-11);
        }
}

static void noise_is_found_for_a_target(void **state)
{
    (void)state;
    const struct {
        enum lm_dp_accountant accountant;
        uint64_t steps;
        double root, published;
    } rows[] = {
        { LM_DP_RDP, 2250, 1.415787129847522, 1.416 },
        { LM_DP_RDP, 2000, 1.3561342250434227, 1.3562 },
        { LM_DP_PRV, 2250, 1.347000894762693, 1.34765625 },
        { LM_DP_PRV, 2000, 1.291000276550078, 1.2915 },
        { LM_DP_BEST, 2000, 1.291000276550078, 1.2915 },
        { LM_DP_GDP, 2250, 1.3227311184158903, 1.3232421875 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct lm_dp_goal goal = { rows[i].accountant, 8, 1e-5, 0.04, rows[i].steps };
        double sigma;
        assert_ok(lm_dp_noise(&goal, NULL, 0, &sigma, NULL));
        if (!(sigma >= rows[i].root - 1e-4 && sigma <= rows[i].published + 1e-3))
            fail_msg("row %zu: noise %.6g", i, sigma);
        const struct lm_dp_phase phase = { sigma, 0.04, rows[i].steps };
        const struct lm_dp_spent spent = account(&phase, 1, 1e-5);
        const double epsilon[] = { spent.epsilon, spent.rdp, spent.prv, spent.gdp };
        assert_true(epsilon[rows[i].accountant] <= 8 && epsilon[rows[i].accountant] > 7.99);
    }
}

static void what_is_behind_counts(void **state)
{
    (void)state;
    const struct lm_dp_phase behind = { 1.5, 0.01, 500 };
    const struct lm_dp_goal goal = { LM_DP_BEST, 2, 1e-5, 0.01, 500 };
    double alone, after;
    assert_ok(lm_dp_noise(&goal, NULL, 0, &alone, NULL));
    assert_ok(lm_dp_noise(&goal, &behind, 1, &after, NULL));
    assert_true(after > alone);
    const struct lm_dp_phase both[] = { behind, { after, 0.01, 500 } };
    assert_true(account(both, 2, 1e-5).epsilon <= 2);

    /* Two phases of equal settings are one. */
    const struct lm_dp_phase halves[] = { { 1.5, 0.01, 200 }, { 1.5, 0.01, 300 } };
    assert_near(account(halves, 2, 1e-5).prv, account(&behind, 1, 1e-5).prv, 1e-7);

    const struct lm_dp_phase much = { 0.5, 0.1, 1000 };
    struct lm_err err = { 0 };
    assert_int_equal(lm_dp_noise(&goal, &much, 1, &after, &err), LM_EDENIED);
    assert_contains(err.text, "of epsilon 2 is spent already");
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const struct {
        struct lm_dp_phase phase;
        double delta;
        const char *message;
    } rows[] = {
        { { 0, 0.1, 1 }, 1e-5, "noise of 0" },
        { { NAN, 0.1, 1 }, 1e-5, "noise of nan" },
        { { 1, 0, 1 }, 1e-5, "sampling rate 0" },
        { { 1, 1.5, 1 }, 1e-5, "sampling rate 1.5" },
        { { 1, 0.1, 0 }, 1e-5, "at least one step" },
        { { 1, 0.1, 1 }, 0, "delta 0" },
        { { 1, 0.1, 1 }, 1, "delta 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lm_dp_spent s;
        struct lm_err err = { 0 };
        assert_int_equal(lm_dp_account(&rows[i].phase, 1, rows[i].delta, &s, &err), LM_EINVAL);
        assert_contains(err.text, rows[i].message);
    }
}

static void too_large_a_grid_leaves_the_other_bound(void **state)
{
    (void)state;
    const struct lm_dp_phase phase = { 0.3, 0.9, 100000 };
    const struct lm_dp_spent s = account(&phase, 1, 1e-5);
    assert_true(isinf(s.prv) && isfinite(s.rdp) && s.epsilon == s.rdp);
    assert_int_equal(account(NULL, 0, 1e-5).epsilon, 0);   // nothing done, nothing spent
}

static void the_tail_of_erfc_joins_smoothly(void **state)
{
    (void)state;
    assert_near(lm_log_erfc(25 + 1e-9), lm_log_erfc(25 - 1e-9), 1e-6);
    assert_near(lm_log_erfc(26), log(erfc(26)), 1e-9);
    assert_near(lm_log_erfc(100), -10005.177585, 1e-6);   // mpmath: log(erfc(100))
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_costs_what_opacus_says),
        cmocka_unit_test(without_sampling_the_cost_is_exact),
        cmocka_unit_test(one_step_is_the_integral_of_its_definition),
        cmocka_unit_test(noise_is_found_for_a_target),
        cmocka_unit_test(what_is_behind_counts),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(too_large_a_grid_leaves_the_other_bound),
        cmocka_unit_test(the_tail_of_erfc_joins_smoothly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
