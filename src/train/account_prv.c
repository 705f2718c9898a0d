/* The distribution of the privacy loss on a grid, composed by Fourier transform.
 *
 * Point i of the grid stands for the loss i * mesh + shift; negative i lie in the upper half of the array, as
 * the transform wants it, so a composition of any number of steps needs no re-ordering. */
#include "train/account.h"

#include "base/mem.h"
#include "base/sys.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double epsilon_error = 0.01;
enum { DELTA_PARTS = 1000 };   // delta_error is delta / 1000

/* ---- Fourier transform of real values: radix 2, on half as many complex ones ---- */

static double complex complex_of(double re, double im)   // CMPLX, which clang does not have everywhere
{
    const double parts[2] = { re, im };
    double complex z;
    memcpy(&z, parts, sizeof z);
    return z;
}

/* Without the checks for infinities that C's product of complex numbers makes. */
static inline double complex times(double complex a, double complex b)
{
    return complex_of(creal(a) * creal(b) - cimag(a) * cimag(b), creal(a) * cimag(b) + cimag(a) * creal(b));
}

static void bit_reverse(double complex *x, size_t n)
{
    for (size_t i = 1, j = 0; i < n; i++) {
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            const double complex t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
}

/* In place, n a power of two; roots[k * stride] = exp(-2 pi i k / n). */
static void transform(double complex *x, size_t n, const double complex *roots, size_t stride)
{
    bit_reverse(x, n);
    for (size_t half = 1; half < n; half *= 2)
        for (size_t block = 0; block < n; block += 2 * half)
            for (size_t k = 0; k < half; k++) {
                const double complex even = x[block + k];
                const double complex odd = times(x[block + k + half], roots[k * (n / (2 * half)) * stride]);
                x[block + k] = even + odd;
                x[block + k + half] = even - odd;
            }
}

/* Spectrum k and m - k from those of the even and the odd values, which share x; the same formulas go back
 * when the sign is turned.  x[m] is set when going forth, read when going back. */
static void split(double complex *x, size_t m, const double complex *roots, double sign)
{
    if (sign > 0)
        x[m] = x[0];
    for (size_t k = 0; k <= m / 2; k++) {
        const double complex a = x[k], b = conj(x[m - k]);
        const double complex root = sign > 0 ? roots[k] : conj(roots[k]);
        const double complex sum = (a + b) / 2, turned = times(times(a - b, root), complex_of(0, -sign / 2));
        x[k] = sum + turned;
        x[m - k] = conj(sum - turned);
    }
}

/* 2 m real values, two in each of x[0 .. m), to frequencies x[0 .. m].  roots[k] = exp(-2 pi i k / 2m). */
static void real_forth(double complex *x, size_t m, const double complex *roots)
{
    transform(x, m, roots, 2);
    split(x, m, roots, 1);
}

static void real_back(double complex *x, size_t m, const double complex *roots)
{
    split(x, m, roots, -1);
    for (size_t k = 0; k < m; k++)
        x[k] = conj(x[k]) / (double)m;
    transform(x, m, roots, 2);
    for (size_t k = 0; k < m; k++)
        x[k] = conj(x[k]);
}

/* ---- one step's loss ---- */

struct loss {
    double sigma, q;
};

/* P[loss > t], the output drawn with the unit present.  The loss is ln(1 - q + q exp((2x - 1) / (2 sigma^2)))
 * for x normal around 1 with probability q, around 0 otherwise: the threshold for x is its inverse. */
static double survival(const struct loss *l, double t)
{
    if (t <= log1p(-l->q))
        return 1;
    const double s = l->sigma, x = s * s * log1p(expm1(t) / l->q) + 0.5, root2 = sqrt(2) * s;
    return 0.5 * (l->q * erfc((x - 1) / root2) + (1 - l->q) * erfc(x / root2));
}

/* x at which the loss is t; -infinity when it is never so small. */
static double threshold(const struct loss *l, double t)
{
    return t <= log1p(-l->q) ? -INFINITY : l->sigma * l->sigma * log1p(expm1(t) / l->q) + 0.5;
}

static double weighted_loss(const struct loss *l, double x)
{
    const double s = l->sigma, a = (x - 1) / s, b = x / s;
    const double density = (l->q * exp(-a * a / 2) + (1 - l->q) * exp(-b * b / 2)) / (s * sqrt(2 * M_PI));
    const double power = (2 * x - 1) / (2 * s * s);
    return density * log1p(l->q * expm1(power));
}

/* E[loss; -bound < loss < bound], by Simpson's rule over x. */
static double mean_within(const struct loss *l, double bound)
{
    enum { PARTS = 1 << 15 };
    const double reach = 13 * l->sigma;   // what lies beyond is below 1e-37
    const double from = fmax(threshold(l, -bound), -reach), to = fmin(threshold(l, bound), 1 + reach);
    const double h = (to - from) / PARTS;
    double sum = weighted_loss(l, from) + weighted_loss(l, to);
    for (int i = 1; i < PARTS; i++)
        sum += (i % 2 ? 4 : 2) * weighted_loss(l, from + i * h);
    return sum * h / 3;
}

/* ---- the grid ---- */

struct grid {
    double mesh;
    size_t points;           // a power of two
    double complex *one;     // [points / 2 + 1] a phase: probabilities, two in each, then their spectrum
    double complex *whole;   // [points / 2 + 1] the product of spectra, then probabilities
    double complex *roots;   // [points / 2] of unity
    double shift;            // of every point of the composition
};

static double max3(double a, double b, double c)
{
    return fmax(a, fmax(b, c));
}

/* Large enough that what is cut off weighs less than the allowed error of delta, fine enough that what is
 * rounded stays below the allowed error of epsilon (theorem 5.5). */
static enum lm_rc grid_init(struct grid *g, const struct lm_dp_phase *phases, size_t count,
                            double delta_error, struct lm_err *err)
{
    double steps = 0, one_step = 0;
    for (size_t i = 0; i < count; i++)
        steps += (double)phases[i].steps;
    for (size_t i = 0; i < count; i++) {
        const struct lm_dp_phase one = { phases[i].sigma, phases[i].q, 1 };
        one_step = fmax(one_step, lm_rdp_epsilon(&one, 1, delta_error / (8 * steps), NULL, NULL));
    }
    const double all = lm_rdp_epsilon(phases, count, delta_error / 4, NULL, NULL);
    const double bound = max3(all, one_step, epsilon_error) + 3;
    g->mesh = epsilon_error / sqrt(steps * log(12 / delta_error) / 2);
    const double wanted = 2 * (bound / g->mesh + 1);
    const double overflow = 700;   // exp of it is still a number
    g->points = 1024;
    while ((double)g->points < wanted && g->points < LM_PRV_POINTS_MAX)
        g->points *= 2;
    if ((double)g->points < wanted || (double)g->points / 2 * g->mesh > overflow)
        return lm_fail(err, LM_ELIMIT,
                       "the distribution of the privacy loss needs %.3g points, more than %d; use more noise "
                       "or fewer steps",
                       wanted, LM_PRV_POINTS_MAX);
    const size_t half = g->points / 2;
    g->one = lm_slab_alloc((half + 1) * sizeof *g->one);
    g->whole = lm_slab_alloc((half + 1) * sizeof *g->whole);
    g->roots = lm_slab_alloc(half * sizeof *g->roots);
    for (size_t k = 0; k < half; k++)
        g->roots[k] = complex_of(cos(M_PI * (double)k / (double)half), -sin(M_PI * (double)k / (double)half));
    for (size_t i = 0; i <= half; i++)
        g->whole[i] = 1;
    return LM_OK;
}

static void grid_release(struct grid *g)
{
    free(g->one);
    free(g->whole);
    free(g->roots);
}

/* Fills g->one with the probabilities of one step, cut to the grid; returns by how much every point has to
 * move so that the mean is that of the loss. */
static double discretize(struct grid *g, const struct loss *l)
{
    const double half = g->mesh / 2, bound = (double)g->points / 2 * g->mesh - half;
    const double kept = survival(l, -bound) - survival(l, bound);
    double *edge = lm_slab_alloc((g->points + 1) * sizeof *edge);   // P[loss > left edge of a point]
    const ptrdiff_t half_points = (ptrdiff_t)(g->points / 2);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (ptrdiff_t i = 0; i <= (ptrdiff_t)g->points; i++)
        edge[i] = survival(l, (double)(i - half_points) * g->mesh - half);
    double mean = 0, *probability = (double *)g->one;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)g->points; i++) {
        const double p =
            i == 0 ? 0 : (edge[i] - edge[i + 1]) / kept;   // the outermost point would be lopsided
        probability[(size_t)(i - half_points) & (g->points - 1)] = p;
        mean += p * (double)(i - half_points) * g->mesh;
    }
    free(edge);
    return mean_within(l, bound) / kept - mean;
}

static inline double complex power(double complex z, uint64_t n)
{
    double complex r = 1;
    for (; n; n >>= 1, z = times(z, z))
        if (n & 1)
            r = times(r, z);
    return r;
}

static void compose(struct grid *g, const struct lm_dp_phase *phase)
{
    const struct loss l = { phase->sigma, phase->q };
    g->shift += (double)phase->steps * discretize(g, &l);
    real_forth(g->one, g->points / 2, g->roots);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i <= g->points / 2; i++)
        g->whole[i] = times(g->whole[i], power(g->one[i], phase->steps));
}

/* The epsilon at which delta(epsilon) = sum over losses t >= epsilon of p(t) (1 - exp(epsilon - t)) falls to
 * `delta`; between two points it is a straight line in exp(epsilon). */
static double epsilon_at(const struct grid *g, double delta)
{
    const double *probability = (const double *)g->whole;
    double mass = 0, scaled = 0;   // sum of p(t), of p(t) exp(-t)
    for (ptrdiff_t i = (ptrdiff_t)(g->points / 2) - 1; i >= -(ptrdiff_t)(g->points / 2); i--) {
        const double t = (double)i * g->mesh + g->shift, p = probability[(size_t)i & (g->points - 1)];
        const double next_mass = mass + p, next_scaled = scaled + p * exp(-t);
        if (next_mass - exp(t) * next_scaled > delta)   // the root lies above this point
            return scaled > 0 ? log((mass - delta) / scaled) : t;
        mass = next_mass;
        scaled = next_scaled;
    }
    return 0;
}

enum lm_rc lm_prv_epsilon(const struct lm_dp_phase *phases, size_t count, double delta, double *ret_upper,
                          double *ret_lower, struct lm_err *err)
{
    LM_ASSERT(count > 0);

    const double delta_error = delta / DELTA_PARTS;
    struct grid g = { 0 };
    enum lm_rc rc = grid_init(&g, phases, count, delta_error, err);
    if (rc == LM_OK && (double)g.points * DBL_EPSILON > delta - delta_error)
        rc = lm_fail(err, LM_ELIMIT, "a delta of %g is below what double precision can tell", delta);
    if (rc == LM_OK) {
        for (size_t i = 0; i < count; i++)
            compose(&g, &phases[i]);
        real_back(g.whole, g.points / 2, g.roots);
        *ret_upper = fmax(epsilon_at(&g, delta - delta_error), 0) + epsilon_error;
        *ret_lower = fmax(epsilon_at(&g, delta + delta_error) - epsilon_error, 0);
    }
    grid_release(&g);
    return rc;
}
