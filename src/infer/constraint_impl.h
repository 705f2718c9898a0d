#ifndef LM_INFER_CONSTRAINT_IMPL_H
#define LM_INFER_CONSTRAINT_IMPL_H
/* infer/constraint_impl.h - what a compiled constraint is; what its walks leave behind for the next. */

#include "infer/constraint_lazy.h"
#include "infer/constraint_nfa.h"
#include "infer/constraint_vocab.h"

#include <pthread.h>

enum {
    LM_WALK_MASKS = 32,                 // masks kept, by number of the spot
    LM_WALK_IDLE_BYTES_MAX = 1 << 20,   // in one left behind
    LM_WALK_IDLE_MAX = 2,
};

/* What a walk learns of the automaton; another walk over the same constraint can go on with it. */
struct lm_walk_memory {
    struct lm_lazy lazy;
    uint64_t *masks;   // [LM_WALK_MASKS][words], without the ends
    struct {
        uint32_t spot;
        uint64_t shrunk;   // spot is a number of this time
        size_t count;
    } kept[LM_WALK_MASKS];
};

struct lm_constraint {
    const struct lm_constraint_vocab *vocab;
    struct lm_nfa nfa;
    struct lm_constraint_idle *idle;
};

struct lm_constraint_idle {
    pthread_mutex_t lock;   // guards the rest
    struct lm_walk_memory *memories[LM_WALK_IDLE_MAX];
    size_t count;
};

void lm_walk_memory_free(struct lm_walk_memory *m);

#endif
