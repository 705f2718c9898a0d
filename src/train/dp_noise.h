#ifndef LM_TRAIN_DP_NOISE_H
#define LM_TRAIN_DP_NOISE_H
/* train/dp_noise.h - the secret random numbers of a private run: a pure function of key, step and place. */

#include <stddef.h>
#include <stdint.h>

enum { LM_DP_KEY_BYTES = 32 };
enum lm_dp_stream { LM_DP_SAMPLING, LM_DP_NOISE };

/* Bytes of ChaCha20 from block `block` (of 64 bytes) on. */
void lm_dp_stream(const uint8_t key[LM_DP_KEY_BYTES], enum lm_dp_stream stream, uint64_t step, uint64_t block,
                  void *ret, size_t bytes);

/* values[i] = (values[i] + deviation * normal) * scale for i in first..first + count - 1, in double, with the
 * noise of a step.  The noise of place i is the same whatever the range, and on any number of threads. */
void lm_dp_noise_add(const uint8_t key[LM_DP_KEY_BYTES], uint64_t step, float *values, size_t first,
                     size_t count, double deviation, double scale);

#endif
