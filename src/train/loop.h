#ifndef LM_TRAIN_LOOP_H
#define LM_TRAIN_LOOP_H
/* train/loop.h - what the loop does beside its steps: the options that pre-training and fine-tuning share. */

#include <stdbool.h>
#include <stdint.h>

struct lm_loop_options {
    /* learning rate (train/optim.h) */
    int schedule;          // enum lm_schedule
    int64_t decay_steps;   // of WSD; 0: a fifth of all
    /* memory */
    bool recompute;   // activations are computed again on the way back, not kept; the bits are the same
};

#endif
