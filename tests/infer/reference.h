#ifndef LM_TESTS_INFER_REFERENCE_H
#define LM_TESTS_INFER_REFERENCE_H
/* tests/infer/reference.h - the model as the paper writes it: one sequence, double precision, no cache. */

#include "model/llama.h"

/* ret (count, V): logits after each position.  O(T^2). */
void reference_logits(const struct lm_llama *m, const uint32_t *tokens, size_t count, double *ret);

/* ln P(token) from one row of logits. */
double reference_logprob(const double *logits, size_t vocab, uint32_t token);

/* Random weights, larger than at the start of a training, so that logits differ clearly. */
void reference_model(struct lm_llama *m, const struct lm_llama_config *config, uint64_t seed);

/* Shapes for tests: grouped heads, a head that is no multiple of a panel, odd sizes, tied and not. */
enum { REFERENCE_CONFIGS = 3 };
extern const struct lm_llama_config reference_configs[REFERENCE_CONFIGS];

#endif
