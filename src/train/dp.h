#ifndef LM_TRAIN_DP_H
#define LM_TRAIN_DP_H
/* train/dp.h - training that keeps a promise of privacy: DP-SGD.  Abadi et al. 2016, arXiv:1607.00133.
 *
 * A unit is a document or a person.  In every step each unit takes part by itself with probability q; each
 * that does is one sequence of its own data alone, whose gradient, over everything that is trained, is cut to
 * the norm `clip`.  Normal noise of sigma times clip is added to the sum, and the sum is divided by the
 * expected number of units, q N: never by the number that came, which is a secret.  A step in which none came
 * is a step.
 *
 * Who takes part and the noise come from ChaCha20 under a key of the run, as a function of the step: a step
 * that is made again after a kill is the same one, and costs nothing twice.  The key lies beside the
 * checkpoints, readable by the owner only, and never in the model's folder.  Noise is made and added in
 * double and rounded once, to the weights' float.
 *
 * Nothing that depends on raw gradients or losses is written to the log: it would not be covered. */

#include "train/account.h"
#include "train/dp_noise.h"
#include "train/net.h"
#include "train/ranks.h"

#include "base/hash.h"

enum lm_dp_unit { LM_DP_DOCUMENT, LM_DP_PERSON };
extern const char *const lm_dp_units[];   // NULL-terminated

/* The options, the same for every kind of training. */
struct lm_dp_options {
    double epsilon;        // to keep within; 0: noise says it
    double delta, noise;   // noise 0: from epsilon; both 0: no privacy is asked for
    double clip;
    int unit;                // enum lm_dp_unit
    const char *partition;   // of the ledger
};
static inline bool lm_dp_wanted(const struct lm_dp_options *o)
{
    return o->epsilon > 0 || o->noise > 0;
}

/* Where the units are.  fill puts one sequence of the unit into a batch of one row, chosen by `draw` where
 * the unit has more than one; a unit without targets leaves batch->trained 0. */
struct lm_dp_source {
    void *state;
    uint64_t units;
    void (*fill)(void *state, uint64_t unit, uint64_t draw, struct lm_batch *ret);
};

struct lm_dp {
    struct lm_dp_options options;
    struct lm_dp_phase phase;   // the whole run
    const struct lm_dp_source *source;
    double expected;   // units a step
    uint8_t key[LM_DP_KEY_BYTES];
    char run[LM_SHA256_HEX];   // names the key without giving it away
};

/* Finds rate and noise; reads the key of this recipe from work_dir or makes one; puts its name into the
 * recipe, so that checkpoints under another key are not taken.  Of several ranks the first finds the key, in
 * its work_dir, and sends it to the others.  LM_EINVAL for options that promise nothing. */
enum lm_rc lm_dp_init(struct lm_dp *dp, const struct lm_dp_options *options,
                      const struct lm_dp_source *source, size_t rows, uint64_t steps, const char *work_dir,
                      struct lm_ranks *ranks, char recipe[LM_SHA256_HEX], struct lm_err *err);

/* A step, first half: adds the clipped gradients of those units of part `part` of `parts` that take part in
 * it to sum (laid out like `unit`, the scratch for one unit's, which must be zero and is zero again
 * afterwards).  Parts are neighbouring units, and each is added up from its first to its last.  batch has one
 * row. */
enum lm_rc lm_dp_add(const struct lm_dp *dp, struct lm_net *net, struct lm_batch *batch, uint64_t step,
                     size_t part, size_t parts, struct lm_gradient *unit, float *sum, struct lm_err *err);
/* Second half: the sum over all units becomes the step's noisy mean, at first..first + count - 1.  Every
 * place gets its noise once: where ranks share the sum, from the one that has the whole of it. */
void lm_dp_finish(const struct lm_dp *dp, uint64_t step, float *sum, size_t first, size_t count);

/* Whether a unit takes part in a step, and the draw for its sequence; exposed for tests. */
bool lm_dp_takes_part(const struct lm_dp *dp, uint64_t step, uint64_t unit, uint64_t *ret_draw);
/* sum += factor * g where the norm of g is cut to clip, and g = 0; a norm that is not finite adds nothing. */
void lm_dp_clip_add(float *sum, float *g, size_t count, double norm, double clip);

/* What the run promises, as an object: {"epsilon":..,"delta":..,"unit":..,...} */
enum lm_rc lm_dp_json(const struct lm_dp *dp, struct lm_buf *ret, struct lm_err *err);

/* ---- train/dp_units.c ---- */

/* Documents of a shard: a window of each, at a place that is drawn. */
struct lm_shard_units;
struct lm_shard;
struct lm_shard_units *lm_shard_units_new(const struct lm_shard *shard, uint32_t end_of_text,
                                          size_t positions, struct lm_dp_source *ret);
void lm_shard_units_free(struct lm_shard_units *u);

/* Pairs by document or person; pieces of the unit fill the row, from a drawn one on.  LM_EINVAL when a pair
 * does not say its person. */
struct lm_pair_units;
struct lm_pair_set;
enum lm_rc lm_pair_units_new(const struct lm_pair_set *set, enum lm_dp_unit unit, struct lm_pair_units **ret,
                             struct lm_dp_source *ret_source, struct lm_err *err);
void lm_pair_units_free(struct lm_pair_units *u);

#endif
