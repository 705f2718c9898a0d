#include "train/account.h"

#include <math.h>
#include <string.h>

const char *const lm_dp_accountants[LM_DP_ACCOUNTANT_COUNT + 1] = { "best", "rdp", "prv", "gdp", NULL };

/* ---- Gaussian ---- */

/* delta of the Gaussian mechanism with mean mu, at epsilon. */
static double gaussian_delta(double mu, double epsilon)
{
    const double above = (epsilon / mu - mu / 2) / sqrt(2), below = (epsilon / mu + mu / 2) / sqrt(2);
    return 0.5 * (erfc(above) - exp(epsilon + lm_log_erfc(below)));
}

double lm_gdp_epsilon(const struct lm_dp_phase *phases, size_t count, double delta)
{
    double square = 0;   // of mu; they add up
    for (size_t i = 0; i < count; i++) {
        const struct lm_dp_phase *p = &phases[i];
        const double precision = 1 / (p->sigma * p->sigma), steps = (double)p->steps;
        square += p->q == 1 ? steps * precision : p->q * p->q * steps * expm1(precision);
    }
    const double mu = sqrt(square);
    if (!isfinite(mu))
        return INFINITY;
    double low = 0, high = 1;
    if (gaussian_delta(mu, 0) <= delta)
        return 0;
    while (gaussian_delta(mu, high) > delta)
        high *= 2;
    enum { HALVINGS = 80 };
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (gaussian_delta(mu, middle) > delta)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* ---- all three ---- */

static enum lm_rc check(const struct lm_dp_phase *phases, size_t count, double delta, struct lm_err *err)
{
    if (!(delta > 0 && delta < 1))
        return lm_fail(err, LM_EINVAL, "privacy: delta %g is not between 0 and 1", delta);
    if (count > LM_DP_PHASES_MAX)
        return lm_fail(err, LM_ELIMIT, "privacy: %zu different settings are more than %d", count,
                       LM_DP_PHASES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct lm_dp_phase *p = &phases[i];
        if (!(p->sigma > 0 && isfinite(p->sigma)))
            return lm_fail(err, LM_EINVAL,
                           "privacy: noise of %g times the clipping norm is no protection; give more than 0",
                           p->sigma);
        if (!(p->q > 0 && p->q <= 1))
            return lm_fail(err, LM_EINVAL, "privacy: the sampling rate %g is outside (0, 1]", p->q);
        if (p->steps == 0)
            return lm_fail(err, LM_EINVAL, "privacy: a phase needs at least one step");
    }
    return LM_OK;
}

static bool all_whole(const struct lm_dp_phase *phases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (phases[i].q < 1)
            return false;
    return true;
}

enum lm_rc lm_dp_account(const struct lm_dp_phase *phases, size_t count, double delta,
                         struct lm_dp_spent *ret, struct lm_err *err)
{
    struct lm_dp_spent spent = { 0 };
    LM_TRY(check(phases, count, delta, err));
    if (count > 0) {
        spent.rdp = lm_rdp_epsilon(phases, count, delta, &spent.rdp_order, &spent.rdp_order_at_end);
        spent.gdp = lm_gdp_epsilon(phases, count, delta);
        if (lm_prv_epsilon(phases, count, delta, &spent.prv, &spent.prv_lower, NULL) != LM_OK) {
            spent.prv = INFINITY;
            spent.prv_lower = 0;
        }
        spent.epsilon = fmin(spent.rdp, spent.prv);
        if (all_whole(phases, count))   // exact
            spent.epsilon = fmin(spent.epsilon, spent.gdp);
    }
    *ret = spent;
    return LM_OK;
}

/* ---- noise for a target ---- */

/* Epsilon of what is behind and of the goal's steps at this sigma. */
static double epsilon_with(const struct lm_dp_goal *goal, struct lm_dp_phase *phases, size_t count,
                           double sigma)
{
    struct lm_dp_spent spent;
    double upper = INFINITY, lower;
    phases[count - 1].sigma = sigma;
    switch (goal->accountant) {
    case LM_DP_RDP:
        return lm_rdp_epsilon(phases, count, goal->delta, NULL, NULL);
    case LM_DP_GDP:
        return lm_gdp_epsilon(phases, count, goal->delta);
    case LM_DP_PRV:
        lm_prv_epsilon(phases, count, goal->delta, &upper, &lower, NULL);
        return upper;
    default:
        return lm_dp_account(phases, count, goal->delta, &spent, NULL) == LM_OK ? spent.epsilon : INFINITY;
    }
}

/* Between low (too little noise) and high (enough): the secant in logarithms of both, as long as it gains
 * more than a halving would. */
static double search(const struct lm_dp_goal *goal, struct lm_dp_phase *phases, size_t count, double low,
                     double low_epsilon, double high, double high_epsilon)
{
    enum { ROUNDS = 60 };
    const double near = 1e-4;
    for (int i = 0; i < ROUNDS && high_epsilon < goal->epsilon * (1 - near) && high / low > 1 + 1e-9; i++) {
        const double a = log(low_epsilon / goal->epsilon), b = log(high_epsilon / goal->epsilon + near / 2);
        double share = a / (a - b);
        if (i % 3 == 2 || !(share > 0.001 && share < 0.999))
            share = 0.5;
        const double sigma = low * pow(high / low, share);
        const double epsilon = epsilon_with(goal, phases, count, sigma);
        if (epsilon > goal->epsilon) {
            low = sigma;
            low_epsilon = epsilon;
        } else {
            high = sigma;
            high_epsilon = epsilon;
        }
    }
    return high;
}

/* Where to start looking: the bound by RDP is cheap and a little above the others. */
static double first_guess(const struct lm_dp_goal *goal, const struct lm_dp_phase *behind, size_t count)
{
    double sigma = 1;
    const struct lm_dp_goal cheap = { LM_DP_RDP, goal->epsilon, goal->delta, goal->q, goal->steps };
    if (goal->accountant == LM_DP_RDP || lm_dp_noise(&cheap, behind, count, &sigma, NULL) != LM_OK)
        return 1;
    return sigma;
}

/* Whether the goal can be reached at all. */
static enum lm_rc check_goal(const struct lm_dp_goal *goal, const struct lm_dp_phase *behind, size_t count,
                             struct lm_err *err)
{
    if (!(goal->epsilon > 0 && isfinite(goal->epsilon)))
        return lm_fail(err, LM_EINVAL, "privacy: epsilon %g is not above 0", goal->epsilon);
    if (count + 1 > LM_DP_PHASES_MAX)
        return lm_fail(err, LM_ELIMIT, "privacy: more than %d different settings are behind",
                       LM_DP_PHASES_MAX - 1);
    const struct lm_dp_phase ahead = { 1, goal->q, goal->steps };
    LM_TRY(check(&ahead, 1, goal->delta, err));
    LM_TRY(check(behind, count, goal->delta, err));
    struct lm_dp_phase phases[LM_DP_PHASES_MAX];
    if (count == 0)
        return LM_OK;
    memcpy(phases, behind, count * sizeof *behind);
    const double spent = epsilon_with(goal, phases, count, behind[count - 1].sigma);
    if (spent >= goal->epsilon)
        return lm_fail(err, LM_EDENIED,
                       "privacy: %.4g of epsilon %g is spent already (delta %g); no noise brings it back",
                       spent, goal->epsilon, goal->delta);
    return LM_OK;
}

enum lm_rc lm_dp_noise(const struct lm_dp_goal *goal, const struct lm_dp_phase *behind, size_t count,
                       double *ret_sigma, struct lm_err *err)
{
    struct lm_dp_phase phases[LM_DP_PHASES_MAX];
    const double sigma_max = 1e6, sigma_min = 1e-3, pace = goal->accountant == LM_DP_RDP ? 1.5 : 1.1;
    LM_TRY(check_goal(goal, behind, count, err));
    for (size_t i = 0; i < count; i++)
        phases[i] = behind[i];
    phases[count] = (struct lm_dp_phase){ 1, goal->q, goal->steps };

    double low = first_guess(goal, behind, count), high = low;
    double low_epsilon = epsilon_with(goal, phases, count + 1, low), high_epsilon = low_epsilon;
    while (high_epsilon > goal->epsilon) {
        low = high;
        low_epsilon = high_epsilon;
        high *= pace;
        if (high > sigma_max)
            return lm_fail(err, LM_EDENIED,
                           "privacy: no noise keeps epsilon within %g: with a million times the clipping "
                           "norm it is %.3g",
                           goal->epsilon, high_epsilon);
        high_epsilon = epsilon_with(goal, phases, count + 1, high);
    }
    while (low_epsilon <= goal->epsilon && low > sigma_min) {
        high = low;
        high_epsilon = low_epsilon;
        low /= pace;
        low_epsilon = epsilon_with(goal, phases, count + 1, low);
    }
    *ret_sigma = search(goal, phases, count + 1, low, low_epsilon, high, high_epsilon);
    return LM_OK;
}
