#ifndef LM_INFER_SAMPLE_H
#define LM_INFER_SAMPLE_H
/* infer/sample.h - from one row of logits to one token.
 *
 *     bias -> mask -> penalties -> temperature -> top_k -> top_p (of what top_k left) -> min_p -> draw
 *
 * The draw takes number `position` of the stream of the seed, so a token depends on the logits, the
 * parameters and its place, not on what else is sampled.  Equal logits: the smaller id first.  NaN counts as
 * impossible, unless a mask leaves nothing else. */

#include "infer/engine.h"
#include "infer/panels.h"

enum { LM_TOP_LOGPROBS_MAX = 20 };

/* Below this a temperature means greedy. */
#define LM_TEMPERATURE_MIN 1e-4

/* Owner: one worker. */
struct lm_sample_scratch {
    float *logits;   // as many as the vocabulary
    struct lm_candidate *candidates;
};
void lm_sample_scratch_init(struct lm_sample_scratch *s, size_t vocab);
void lm_sample_scratch_release(struct lm_sample_scratch *s);

struct lm_choice {
    struct lm_token_logprob token;
    struct lm_token_logprob top[LM_TOP_LOGPROBS_MAX];
    size_t top_count;
    bool none;   // the mask leaves no token: the rest is 0
};

/* What a token is chosen from. */
struct lm_sample_row {
    const float *logits;    // (vocab)
    size_t vocab, usable;   // ids from `usable` on are never chosen
    const uint32_t *seen;   // [id] = 2 * (times generated) + (in the prompt); NULL without penalties
    const uint64_t *mask;   // a bit per id, 64 a word: those that may come; NULL: all
    uint64_t position;      // tokens generated before
};

/* LM_EINVAL that names the field, for what is out of its range. */
enum lm_rc lm_sampling_check(const struct lm_sampling *s, struct lm_err *err);
bool lm_sampling_has_penalties(const struct lm_sampling *s);

/* Log-probabilities are the model's own: before bias, mask, penalties and temperature, and 0 when not asked
 * for.  scratch may be NULL for plain greedy choice. */
void lm_sample(const struct lm_sampling *s, const struct lm_sample_row *row,
               struct lm_sample_scratch *scratch, struct lm_choice *ret);

/* ln P(id) from a row of logits. */
double lm_logprob(const float *logits, size_t vocab, uint32_t id);

#endif
