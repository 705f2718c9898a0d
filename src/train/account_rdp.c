/* Renyi differential privacy of the subsampled Gaussian mechanism. */
#include "train/account.h"

#include <math.h>

/* For x above 25: ln of the asymptotic series of erfc, whose first left-out term is below 1e-9 of a double.
 */
static double log_erfc_tail(double x)
{
    const double y = 1 / (2 * x * x);
    const double series = -y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y)));
    return -x * x - log(x) - 0.5 * log(M_PI) + log1p(series);
}

double lm_log_erfc(double x)
{
    const double tail = 25;
    return x > tail ? log_erfc_tail(x) : log(erfc(x));
}

/* A sum of positive and negative terms given by their logarithms; scaled by the largest so far. */
struct log_sum {
    double max, sum;   // the value is sum * exp(max)
};

static void log_sum_add(struct log_sum *s, double log_term, double sign)
{
    if (log_term == -INFINITY)
        return;
    if (log_term > s->max) {
        s->sum *= exp(s->max - log_term);
        s->max = log_term;
    }
    s->sum += sign * exp(log_term - s->max);
}

/* ln E[(P/Q)^a] for a whole a.  The binomial weights add up to 1, so each term is taken less its weight:
 * nothing cancels when the result is near 0. */
static double log_moment_whole(double sigma, double q, double a)
{
    struct log_sum s = { -INFINITY, 0 };
    for (int n = 2; n <= (int)a; n++) {
        const double i = n;
        const double growth = (i * i - i) / (2 * sigma * sigma);
        const double choose = lgamma(a + 1) - lgamma(i + 1) - lgamma(a - i + 1);
        log_sum_add(&s, choose + i * log(q) + (a - i) * log1p(-q) + growth + log1p(-exp(-growth)), 1);
    }
    const double log_rest = log(s.sum) + s.max;
    return log_rest > 0 ? log_rest + log1p(exp(-log_rest)) : log1p(exp(log_rest));
}

/* As above for any a > 1: the integral is cut at z0, where both parts of the mixture are equal, and each side
 * has a binomial series of its own. */
static double log_moment_any(double sigma, double q, double a)
{
    const double small = -30;   // ln of a term that no longer matters
    const double root2 = sqrt(2) * sigma, two_var = 2 * sigma * sigma;
    const double log_q = log(q), log_rest = log1p(-q);
    const double z0 = sigma * sigma * (log_rest - log_q) + 0.5;
    struct log_sum s = { -INFINITY, 0 };
    double log_choose = 0, sign = 1;   // of the generalised binomial coefficient (a over i)
    for (uint64_t n = 0;; n++) {
        const double i = (double)n, j = a - i;
        const double below = log_choose + i * log_q + j * log_rest + (i * i - i) / two_var - log(2) +
                             lm_log_erfc((i - z0) / root2);
        const double above = log_choose + j * log_q + i * log_rest + (j * j - j) / two_var - log(2) +
                             lm_log_erfc((z0 - j) / root2);
        log_sum_add(&s, below, sign);
        log_sum_add(&s, above, sign);
        if (below < small && above < small)
            return log(s.sum) + s.max;
        log_choose += log(fabs(j)) - log(i + 1);
        sign *= j < 0 ? -1 : 1;
    }
}

double lm_rdp_step(double sigma, double q, double order)
{
    LM_ASSERT(sigma > 0 && q > 0 && q <= 1);
    LM_ASSERT(order > 1);

    if (q == 1)
        return order / (2 * sigma * sigma);
    const bool whole = order == floor(order);
    return (whole ? log_moment_whole(sigma, q, order) : log_moment_any(sigma, q, order)) / (order - 1);
}

enum { TENTHS = 99, WHOLE_FIRST = 12, WHOLE_LAST = 63, ORDERS = TENTHS + WHOLE_LAST - WHOLE_FIRST + 1 };

static double order_at(int i)
{
    return i < TENTHS ? 1 + (i + 1) / 10.0 : WHOLE_FIRST + i - TENTHS;
}

/* Canonne, Kamath, Steinke 2020, arXiv:2004.00010, proposition 12. */
double lm_rdp_epsilon(const struct lm_dp_phase *phases, size_t count, double delta, double *ret_order,
                      bool *ret_at_end)
{
    double best = INFINITY;
    int best_at = 0;
    for (int o = 0; o < ORDERS; o++) {
        const double a = order_at(o);
        double rdp = 0;
        for (size_t i = 0; i < count; i++)
            rdp += (double)phases[i].steps * lm_rdp_step(phases[i].sigma, phases[i].q, a);
        const double epsilon = rdp - (log(delta) + log(a)) / (a - 1) + log1p(-1 / a);
        if (epsilon < best) {
            best = epsilon;
            best_at = o;
        }
    }
    if (ret_order)
        *ret_order = order_at(best_at);
    if (ret_at_end)
        *ret_at_end = best_at == 0 || best_at == ORDERS - 1;
    return best > 0 ? best : 0;
}
