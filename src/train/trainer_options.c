/* From the options of a run to what the loop takes. */
#include "train/trainer.h"

struct lm_trainer_config lm_trainer_config_of(const struct lm_training_options *options, const char *what,
                                              const char *work_dir, uint64_t steps)
{
    const struct lm_training_options *o = options;
    return (struct lm_trainer_config){
        .what = what,
        .work_dir = work_dir,
        .optim = { .optimizer = o->optimizer,
                   .lr = o->lr,
                   .matrix_lr = o->matrix_lr,
                   .weight_decay = o->weight_decay,
                   .beta1 = o->beta1,
                   .beta2 = o->beta2,
                   .adam_eps = o->adam_eps,
                   .clip = o->clip,
                   .steps = steps,
                   .warmup_steps = (uint64_t)o->warmup_steps,
                   .schedule = o->loop.schedule,
                   .decay_steps = (uint64_t)o->loop.decay_steps,
                   .lr_end_share = o->lr_end_share },
        .eval_every = (uint64_t)o->eval_every,
        .checkpoint_every = (uint64_t)o->checkpoint_every,
        .memory_max_mb = (uint64_t)o->memory_max_mb,
        .precision = o->precision,
        .dropout = o->dropout,
        .seed = (uint64_t)o->seed,
        .loop = o->loop,
        .rung = o->rung,
        .track = o->track,
        .ranks = o->ranks,
        .batch_parts = (uint64_t)o->batch_parts,
    };
}
