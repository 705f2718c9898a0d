#ifndef LM_TRAIN_ACCOUNT_H
#define LM_TRAIN_ACCOUNT_H
/* train/account.h - what noisy training steps cost in privacy.
 *
 * The mechanism: every unit (document, person) joins a step by itself with probability q; the clipped
 * gradients of those that joined are summed, and normal noise of sigma times the clipping norm is added.  Two
 * data sets are neighbours when one unit was added or removed.  After some steps the result is (epsilon,
 * delta)-private.
 *
 * Three accountants.  RDP: Renyi divergences added up, a bound.  PRV: the distribution of the privacy loss,
 * composed by Fourier transform, a bound that is hardly above the truth.  GDP: the central limit, which is
 * below the truth when q < 1 and therefore shown but never promised; exact when q = 1.
 *
 * Pure functions of their arguments; any thread. */

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Steps under the same noise and rate.  sigma > 0, 0 < q <= 1, steps >= 1. */
struct lm_dp_phase {
    double sigma, q;
    uint64_t steps;
};

struct lm_dp_spent {
    double epsilon;          // what holds: the smallest of the bounds
    double rdp, rdp_order;   // and the order that gave it
    bool rdp_order_at_end;   // no order on one side was tried: the bound may be loose
    double prv, prv_lower;   // upper bound, and the lower one of the same computation; infinite when
                             // the grid would need more than LM_PRV_POINTS_MAX points
    double gdp;              // no guarantee, unless every q is 1
};

enum { LM_PRV_POINTS_MAX = 1 << 24, LM_DP_PHASES_MAX = 4096 };

/* LM_EINVAL, naming the value, for a phase or a delta out of range. */
enum lm_rc lm_dp_account(const struct lm_dp_phase *phases, size_t count, double delta,
                         struct lm_dp_spent *ret, struct lm_err *err);

enum lm_dp_accountant { LM_DP_BEST, LM_DP_RDP, LM_DP_PRV, LM_DP_GDP, LM_DP_ACCOUNTANT_COUNT };
extern const char *const lm_dp_accountants[LM_DP_ACCOUNTANT_COUNT + 1];   // NULL-terminated names

/* The least sigma, to a ten-thousandth of epsilon and never above it, with which `steps` more steps at rate q
 * keep the whole within (epsilon, delta), after the phases that are behind (count may be 0).  LM_EDENIED when
 * they alone are above it. */
struct lm_dp_goal {
    enum lm_dp_accountant accountant;
    double epsilon, delta, q;
    uint64_t steps;
};
enum lm_rc lm_dp_noise(const struct lm_dp_goal *goal, const struct lm_dp_phase *behind, size_t count,
                       double *ret_sigma, struct lm_err *err);

/* ---- train/account_rdp.c: Mironov, Talwar, Zhang 2019, arXiv:1908.10530 ---- */

/* Renyi divergence of one step, of an order > 1. */
double lm_rdp_step(double sigma, double q, double order);
/* Epsilon over the usual orders: 1.1 to 10.9 by tenths, 12 to 63.  Checked phases. */
double lm_rdp_epsilon(const struct lm_dp_phase *phases, size_t count, double delta, double *ret_order,
                      bool *ret_at_end);

/* ---- train/account_prv.c: Gopi, Lee, Wutschitz 2021, arXiv:2106.02848 ---- */

/* Upper and lower bound of epsilon, 0.01 beside the truth and at delta -+ delta / 1000.  LM_ELIMIT when the
 * grid would be too large, or rounding larger than delta.  Checked phases. */
enum lm_rc lm_prv_epsilon(const struct lm_dp_phase *phases, size_t count, double delta, double *ret_upper,
                          double *ret_lower, struct lm_err *err);

/* ---- train/account.c: Dong, Roth, Su 2022; Bu et al. 2020, arXiv:1911.11607 ---- */
double lm_gdp_epsilon(const struct lm_dp_phase *phases, size_t count, double delta);

/* ln erfc(x), also where erfc is 0 in double. */
double lm_log_erfc(double x);

#endif
