#ifndef LM_INFER_PANELS_EXP_H
#define LM_INFER_PANELS_EXP_H
/* infer/panels_exp.h - the numbers behind exp, the same for every instruction set.
 *
 * exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2, and a Taylor polynomial of degree 7 for
 * exp(r): its error, (ln 2 / 2)^8 / 8! = 5e-9, is below the rounding of a float. */

enum { LM_EXP_TERMS = 8 };
#define LM_EXP_LOW (-87.0f)   // smaller: 0
#define LM_EXP_HIGH 88.0f     // larger: as for this
#define LM_EXP_LOG2E 1.44269504f
#define LM_EXP_LN2_HIGH (-0.693359375f)   // 9 bits: n times it is exact
#define LM_EXP_LN2_LOW 2.12194440e-4f

/* Highest power first. */
static const float lm_exp_poly[LM_EXP_TERMS] = {
    1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2, 1, 1,
};

/* erf(x) = 1 - (a1 t + ... + a5 t^5) exp(-x^2) for x >= 0, t = 1 / (1 + p x); Abramowitz and Stegun, 7.1.26.
 */
enum { LM_ERF_TERMS = 5 };
#define LM_ERF_P 0.3275911f
static const float lm_erf_poly[LM_ERF_TERMS] = {
    1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f,
};
#define LM_SQRT_HALF 0.70710678f
#define LM_GELU_SCALE (-1.59576912f)   // -2 sqrt(2 / pi)
#define LM_GELU_CUBE 0.044715f

#endif
