#ifndef LM_TRAIN_RUNG_H
#define LM_TRAIN_RUNG_H
/* train/rung.h - a run that stops early to be compared: the schedule is that of the whole run.
 *
 * At step ceil(steps * part / parts), or where it runs out of patience before, it saves a checkpoint and
 * measures the held-out loss, which leaves no trace in log or state: a run that goes on from there ends with
 * the bytes of one that never stopped.  The run then returns LM_ESTOP with `reached` set and writes no model,
 * also when that step is its last. */

#include "base/str.h"

struct lm_rung {
    uint64_t part, parts;   // 1 <= part <= parts
    bool reached;
    uint64_t step, steps;   // where it stopped, and the length of the whole run
    double loss, heldout_loss, heldout_bits_per_byte;
    struct lm_buf log;   // the lines of metrics.jsonl up to there
};

#endif
