#ifndef LM_TRAIN_TRAINER_IMPL_H
#define LM_TRAIN_TRAINER_IMPL_H
/* train/trainer_impl.h - the inside of the loop: trainer.c goes from step to step, trainer_step.c makes one,
 * trainer_plan.c counts memory, trainer_eval.c measures, trainer_guard.c stops what diverges,
 * trainer_watch.c stops early and goes back,
 * trainer_leave.c writes snapshots and samples, trainer_ranks.c
 * is for runs of several processes, trainer_write.c writes the result. */

#include "base/energy.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

struct lm_training {
    const struct lm_trainer_config *config;
    struct lm_llama *model;
    const struct lm_feed *feed;
    const struct lm_eval_set *heldout;
    struct lm_gemm *gemm;
    struct lm_net *net;
    struct lm_gradient gradient;
    struct lm_gradient noisy;   // of a private step; gradient is one unit's then
    struct lm_optim optim;
    struct lm_batch_parts parts;   // of a batch
    bool stop;                     // all ranks know that the run is to stop here
    struct lm_batch batch, eval_batch;
    struct lm_checkpoint_place place;
    struct lm_checkpoint state;
    uint64_t saved;   // step of the newest checkpoint; 0: none
    struct lm_track_speed speed;
    size_t planned_bytes;
    struct lm_energy energy;
};

/* ---- trainer_plan.c ---- */

struct lm_net_config lm_trainer_net_config(const struct lm_trainer_config *config, const struct lm_feed *feed,
                                           bool bf16);
/* Says what the run will hold; LM_ENOMEM when that is more than memory_max_mb. */
enum lm_rc lm_trainer_plan(struct lm_training *t, bool bf16, struct lm_err *err);
void lm_trainer_tell_memory(const struct lm_training *t);   // what was resident, beside the plan

/* ---- trainer_step.c ---- */

/* The step after state.step, of the kind that the configuration asks for, and its line of the log. */
enum lm_rc lm_trainer_step(struct lm_training *t, struct lm_err *err);

/* ---- trainer_eval.c ---- */

/* Into state and log. */
enum lm_rc lm_trainer_evaluate(struct lm_training *t, struct lm_err *err);
uint64_t lm_trainer_rung_step(const struct lm_rung *r, uint64_t steps);
/* Measures here, aside from log and state, and leaves with LM_ESTOP. */
enum lm_rc lm_trainer_stop_at_rung(struct lm_training *t, bool saved, struct lm_err *err);

/* ---- trainer_ranks.c: as their namesakes, by rank 0 for all ---- */

struct lm_ranks *lm_trainer_ranks(const struct lm_trainer_config *config);
size_t lm_trainer_parts(const struct lm_trainer_config *config, const struct lm_feed *feed);
/* LM_ELIMIT or LM_EINVAL when the ranks cannot share this run, or do not have the same one. */
enum lm_rc lm_trainer_join(struct lm_training *t, struct lm_err *err);
enum lm_rc lm_trainer_save(struct lm_training *t, struct lm_err *err);
enum lm_rc lm_trainer_load(struct lm_training *t, struct lm_err *err);
enum lm_rc lm_trainer_rewind(struct lm_training *t, uint64_t step, struct lm_err *err);
enum lm_rc lm_trainer_measure(struct lm_training *t, struct lm_measure *ret, struct lm_err *err);

/* ---- trainer_watch.c ---- */

/* LM_EINVAL when the options ask for what this run has not. */
enum lm_rc lm_trainer_watch_check(const struct lm_training *t, struct lm_err *err);
/* After an evaluation: keeps the weights if they are the best so far. */
enum lm_rc lm_trainer_note_heldout(struct lm_training *t, struct lm_err *err);
bool lm_trainer_out_of_patience(const struct lm_training *t);
/* At the end: puts the best weights in place of the last, where the best are kept. */
enum lm_rc lm_trainer_take_best(struct lm_training *t, struct lm_err *err);
/* The batch of the step after state.step: skipped ones are left out. */
uint64_t lm_trainer_batch_number(const struct lm_training *t);
bool lm_trainer_is_spike(const struct lm_training *t, double loss);
void lm_trainer_note_loss(struct lm_training *t);   // state.loss, of a step that was made
/* Back to the last anchor, with a line of the log; LM_EFORMAT when that was done too often. */
enum lm_rc lm_trainer_roll_back(struct lm_training *t, double loss, struct lm_err *err);

/* ---- trainer_guard.c: LM_EFORMAT, naming step and tensor ---- */

enum lm_rc lm_trainer_check_model(const struct lm_training *t, struct lm_err *err);   // before the first step
enum lm_rc lm_trainer_check_params(const struct lm_training *t, struct lm_err *err);   // before a checkpoint
/* By all ranks; t->gradient is of the step that has this loss, and used up when it fails. */
enum lm_rc lm_trainer_check_loss(struct lm_training *t, double loss, struct lm_err *err);

/* ---- trainer_leave.c ---- */

/* Snapshot and sample, if they are due after this step. */
enum lm_rc lm_trainer_leave(struct lm_training *t, struct lm_err *err);
char *lm_trainer_snapshots_dir(const struct lm_training *t);   // free() it

/* ---- trainer.c ---- */

void lm_trainer_tell(struct lm_training *t);   // the tracker, of a new line of the log

#endif
