#ifndef LM_INFER_CONSTRAINT_LAZY_H
#define LM_INFER_CONSTRAINT_LAZY_H
/* infer/constraint_lazy.h - the automaton made deterministic, as far as texts have led so far.
 *
 * A place is a state of the automaton and a stack of calls to return to; what is kept is a set of places, a
 * "spot", with one transition per class of bytes, found when first asked for.  Stacks share their tails: a
 * node holds the places to return to, several when calls of one rule fell together (Tomita's graph-structured
 * stack, so ambiguity does not multiply with depth).  Equal stacks are equal numbers.
 *
 * From DEPTH_MAX calls on only the ways out are followed that need the fewest calls, so nesting is bounded
 * and never a dead end.
 *
 * Memory has a ceiling: when it is full, lm_lazy_shrink forgets everything but the spots named.  Address
 * space for most of it is taken at the start, so that steps do not wait for copies.  Owner: one thread. */

#include "infer/constraint_nfa.h"

enum {
    LM_SPOT_UNKNOWN = 0,   // in a row of transitions: not found yet
    LM_SPOT_DEAD = 1,
    LM_LAZY_DEPTH_MAX = 96,        // calls
    LM_LAZY_PLACES_MAX = 4096,     // of one spot; a more ambiguous text does not fit
    LM_LAZY_BYTES_MAX = 4 << 20,   // then it is full
};

struct lm_spot {
    uint32_t at, count;   // its places
    bool end;             // the text may end here
    struct lm_run run;    // the best that fits here
    int8_t reach;         // most plain characters that fit here; LM_REACH_MANY: that or more
};

struct lm_place {
    uint32_t state, stack;   // a state that reads; stack 0 is empty
};

struct lm_stack_node {
    uint32_t at, count;   // places to return to, all on older nodes
    uint16_t depth;       // longest way down
    int8_t reach;         // most plain characters after returning
};

struct lm_lazy_table {   // open addressing; slots hold number + 1, of a spot or node with this hash
    uint32_t *slots;
    size_t size;   // a power of two
};

struct lm_lazy {
    const struct lm_nfa *nfa;
    uint32_t *rows;   // [spot][class]
    struct lm_spot *spots;
    struct lm_place *places;
    struct lm_stack_node *nodes;
    struct lm_place *returns;
    size_t row_cap, spot_count, spot_cap, place_count, place_cap, node_count, node_cap, return_count,
        return_cap;
    struct lm_lazy_table spot_table, node_table;
    size_t bytes;      // in use
    uint64_t shrunk;   // how often: numbers of spots are valid for one value
    struct lm_lazy_scratch *scratch;
};

void lm_lazy_init(struct lm_lazy *l, const struct lm_nfa *nfa);
void lm_lazy_release(struct lm_lazy *l);

uint32_t lm_lazy_start(struct lm_lazy *l);

/* The spot behind a byte of this class; fills the row. */
uint32_t lm_lazy_step(struct lm_lazy *l, uint32_t spot, uint8_t class);

static inline bool lm_lazy_full(const struct lm_lazy *l)
{
    return l->bytes > LM_LAZY_BYTES_MAX;
}

/* Keeps only these, and gives them new numbers. */
void lm_lazy_shrink(struct lm_lazy *l, uint32_t *spots, size_t count);

#endif
