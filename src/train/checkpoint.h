#ifndef LM_TRAIN_CHECKPOINT_H
#define LM_TRAIN_CHECKPOINT_H
/* train/checkpoint.h - the state of a run on disk.
 *
 * Two files: <recipe>-<step>.safetensors with params, m, v (F32) and log (U8, the lines of metrics.jsonl so
 * far), and after it <recipe>-<step>.json, which names its SHA-256 and holds the rest.  Both are whole or
 * absent, so a kill at any moment leaves a checkpoint that loads.  <recipe> is the start of the hash of
 * everything that shapes the run; files of other recipes are not touched.  The last two are kept: when the
 * newest turns out damaged, the one before serves. */

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct lm_checkpoint {
    uint64_t step;        // updates done
    uint64_t evaluated;   // step of the last evaluation in the log
    double loss, heldout_loss, heldout_bits_per_byte;
    struct lm_buf log;
    float *params, *m, *v;   // borrowed, `count` floats each
    size_t count;
};

/* Where, and of what: recipe is a hex digest; isa and library are for a warning when they changed. */
struct lm_checkpoint_place {
    const char *dir;
    const char *recipe;
    const char *isa;
};

enum lm_rc lm_checkpoint_save(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                              struct lm_err *err);

/* The newest whole checkpoint of this recipe; LM_ENOTHING (err untouched) when there is none.  Warns about
 * damaged ones it passes over.  params, m and v are filled, the log is replaced. */
enum lm_rc lm_checkpoint_load(const struct lm_checkpoint_place *place, struct lm_checkpoint *c,
                              struct lm_err *err);

#endif
