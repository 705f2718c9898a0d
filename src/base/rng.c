#include "base/rng.h"

#include "base/err.h"

#include <math.h>

enum { HALF = 32 };
static const uint64_t gamma_odd = 0x9e3779b97f4a7c15;   // 2^64 / golden ratio: the step of SplitMix64

/* The finaliser of SplitMix64: a bijection in which every input bit changes half of the output bits. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

struct lm_rng lm_rng_make(uint64_t seed, uint64_t stream)
{
    const uint64_t base = mix(seed + gamma_odd);
    return (struct lm_rng){ .key = mix(base ^ mix(stream * gamma_odd + 1)), .counter = 0 };
}

uint64_t lm_rng_next(struct lm_rng *rng)
{
    /* The key enters twice: with one round, two keys a multiple of gamma apart would give one sequence,
     * only shifted. */
    const uint64_t turned = rng->key << HALF | rng->key >> HALF;
    return mix(mix(rng->key + ++rng->counter * gamma_odd) ^ turned);
}

/* Lemire 2019, arXiv:1805.10941: the high half of a product, redrawn in the few cases that would favour
 * some results. */
uint64_t lm_rng_below(struct lm_rng *rng, uint64_t bound)
{
    LM_ASSERT(bound >= 1);

    unsigned __int128 product = (unsigned __int128)lm_rng_next(rng) * bound;
    if ((uint64_t)product < bound) {
        const uint64_t favoured = -bound % bound;   // 2^64 mod bound
        while ((uint64_t)product < favoured)
            product = (unsigned __int128)lm_rng_next(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

double lm_rng_unit(struct lm_rng *rng)
{
    return (double)(lm_rng_next(rng) >> 11) * 0x1p-53;
}

double lm_rng_normal(struct lm_rng *rng)
{
    const double radius = sqrt(-2 * log(1 - lm_rng_unit(rng)));   // 1 - u is in (0, 1]
    return radius * cos(2 * M_PI * lm_rng_unit(rng));
}

void lm_rng_shuffle(struct lm_rng *rng, uint32_t *items, size_t len)
{
    for (size_t left = len; left > 1; left--) {
        const size_t other = lm_rng_below(rng, left);
        const uint32_t item = items[left - 1];
        items[left - 1] = items[other];
        items[other] = item;
    }
}
