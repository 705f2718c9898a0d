#ifndef LM_TRAIN_LOOP_H
#define LM_TRAIN_LOOP_H
/* train/loop.h - the options that pre-training and fine-tuning share. */

#include "train/dp.h"
#include "train/rung.h"
#include "train/track.h"

#include <stdbool.h>
#include <stdint.h>

struct lm_db;
struct lm_ranks;

/* What the loop does beside its steps. */
struct lm_loop_options {
    /* learning rate (train/optim.h) */
    int schedule;          // enum lm_schedule
    int64_t decay_steps;   // of WSD; 0: a fifth of all
    /* when to stop, and when to go back (train/trainer_watch.c) */
    int64_t patience;          // evaluations without a better held-out loss, 0: any number
    double spike_deviations;   // a loss so far above the mean of the last ones is a spike; 0: none is
    int64_t spike_back;        // steps between the points that a run goes back to
    int64_t rollbacks_max;     // 0..LM_ROLLBACKS_MAX
    /* what is left on the way (train/trainer_leave.c) */
    int64_t snapshot_every, keep_snapshots;   // steps; newest ones, 0: all
    int64_t sample_every, sample_tokens;      // steps; tokens at most
    const char *sample_prompt;                // NULL: the beginning of a text
    /* memory */
    bool recompute;   // activations are computed again on the way back, not kept; the bits are the same
};

struct lm_training_options {
    /* a step */
    int64_t batch_tokens, batch_parts, warmup_steps;
    double lr, matrix_lr, lr_end_share, weight_decay, beta1, beta2, adam_eps, clip;   // matrix_lr: Muon's
    int optimizer;                                                                    // adamw | muon
    double dropout;
    int precision;   // auto | f32 | bf16
    /* the run */
    int64_t seed, eval_every, checkpoint_every, memory_max_mb;
    struct lm_loop_options loop;
    struct lm_dp_options dp;
    /* where it happens; no options */
    struct lm_db *ledger;           // where private runs are entered; NULL: nowhere
    struct lm_rung *rung;           // where to stop early; NULL: nowhere
    const struct lm_track *track;   // told of every line of the log; NULL: nobody is
    struct lm_ranks *ranks;         // processes that share the run; NULL: it is alone
};

#endif
