#ifndef LM_TEST_VALUES_H
#define LM_TEST_VALUES_H
/* tests/tensor/values.h - random tensors and their comparison, for the tests of tensor and train. */

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* free() it: exactly n floats, so that AddressSanitizer sees one too many. */
static inline float *random_values(uint64_t seed, size_t n, double deviation)
{
    struct lm_rng rng = lm_rng_make(seed, 0);
    float *x = lm_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(deviation * lm_rng_normal(&rng));
    return x;
}

/* |a - b| <= tolerance * (1 + |b|) everywhere. */
static inline void assert_near(const float *a, const float *b, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= tolerance * (1 + fabs((double)b[i]))))
            fail_msg("%s[%zu] is %.9g, expected %.9g", what, i, (double)a[i], (double)b[i]);
}

#endif
