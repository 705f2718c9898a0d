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

#endif
