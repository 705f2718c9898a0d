#ifndef LM_TRAIN_CHECKPOINT_H
#define LM_TRAIN_CHECKPOINT_H
/* train/checkpoint.h - the state of a run on disk.
 *
 * Two files: <recipe>-<step>.safetensors with params, m, v (F32) and log (U8, the lines of metrics.jsonl so
 * far, and where there are any those of samples.jsonl), and after it <recipe>-<step>.json, which names its
 * SHA-256 and holds the rest.  Both are whole or absent, so a kill at any moment leaves a checkpoint that
 * loads.  <recipe> is the start of the hash of everything that shapes the run; files of other recipes are not
 * touched.  The last two are kept: when the newest turns out damaged, the one before serves; with them the
 * newest anchor, a point that a run goes back to. Beside them, for a run that writes its best weights,
 * <recipe>-best-<step>.safetensors. */

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

enum { LM_ROLLBACKS_MAX = 16 };

/* Batches that were left out: those of the steps that were undone, and the one whose loss jumped. */
struct lm_skip {
    uint64_t first, count;
};

struct lm_spikes {
    double mean, variance;   // of the last losses
    uint64_t seen;           // losses
    struct lm_skip skipped[LM_ROLLBACKS_MAX];
    size_t rollbacks;
};

struct lm_best {
    uint64_t step;   // with the lowest held-out loss; 0: none yet
    double loss, bits_per_byte;
    uint64_t worse;   // evaluations since
    char sha256[LM_SHA256_HEX];
};

struct lm_checkpoint {
    uint64_t step;        // updates done
    uint64_t evaluated;   // step of the last evaluation in the log
    uint64_t sampled;     // step of the last text in samples
    double loss, heldout_loss, heldout_bits_per_byte;
    struct lm_spikes spikes;
    struct lm_best best;
    struct lm_buf log, samples;
    float *params, *m, *v;   // borrowed, `count` floats each
    size_t count;
};

/* Where, and of what: recipe is a hex digest; isa and library are for a warning when they changed. */
struct lm_checkpoint_place {
    const char *dir;
    const char *recipe;
    const char *isa;
    uint64_t anchor_every;   // steps; 0: there are no anchors
    uint64_t steps;          // of the whole run: a checkpoint cannot be beyond; 0: any
};

enum lm_rc lm_checkpoint_save(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                              struct lm_err *err);

/* The newest whole checkpoint of this recipe; LM_ENOTHING (err untouched) when there is none.  Warns about
 * damaged ones it passes over.  params, m and v are filled, log and samples are replaced. */
enum lm_rc lm_checkpoint_load(const struct lm_checkpoint_place *place, struct lm_checkpoint *c,
                              struct lm_err *err);

/* LM_EEXIST when there are checkpoints, and all are other recipes': who goes on here would lose them at the
 * end.
 */
enum lm_rc lm_checkpoint_check_place(const struct lm_checkpoint_place *place, struct lm_err *err);

/* The anchor of this step, and forgets what is newer. */
enum lm_rc lm_checkpoint_rewind(const struct lm_checkpoint_place *place, uint64_t step,
                                struct lm_checkpoint *c, struct lm_err *err);

/* The parameters as c->best.step's, in place of those of the best before; notes their hash. */
enum lm_rc lm_checkpoint_save_best(const struct lm_checkpoint_place *place, uint64_t before,
                                   struct lm_checkpoint *c, struct lm_err *err);
enum lm_rc lm_checkpoint_load_best(const struct lm_checkpoint_place *place, struct lm_checkpoint *c,
                                   struct lm_err *err);

#endif
