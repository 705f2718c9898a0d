#ifndef LM_BASE_RNG_H
#define LM_BASE_RNG_H
/* base/rng.h - counter-based random numbers: value i of stream s is a pure function of (seed, s, i).
 *
 * So a state is two integers that fit a checkpoint, and work split over threads draws the same numbers.
 * SplitMix64 over a keyed counter (Steele, Lea, Flood 2014).  Not for keys or noise that protects people. */

#include <stddef.h>
#include <stdint.h>

struct lm_rng {
    uint64_t key, counter;
};

struct lm_rng lm_rng_make(uint64_t seed, uint64_t stream);
uint64_t lm_rng_next(struct lm_rng *rng);
uint64_t lm_rng_below(struct lm_rng *rng, uint64_t bound);   // unbiased; bound >= 1
double lm_rng_unit(struct lm_rng *rng);                      // [0, 1), 53 bits
double lm_rng_normal(struct lm_rng *rng);                    // mean 0, variance 1 (Box-Muller, two draws)
void lm_rng_shuffle(struct lm_rng *rng, uint32_t *items, size_t len);   // Fisher-Yates

#endif
