/* infer/constraint_nfa_counted.c - a fragment times a counter of characters.
 *
 * A state of the product is a state of the fragment and the number of characters so far; without an upper
 * bound counting ends at the lower one.  Only what can be reached is made.  States from which the count
 * cannot come out right match nothing and are left out later, like all such states. */
#include "base/mem.h"
#include "infer/constraint_nfa.h"

#include <stdlib.h>

struct counting {
    struct lm_nfa *a;
    size_t mark, len;   // of the fragment's states
    uint32_t x_end, end;
    uint32_t min, max, levels;            // counts are below levels
    uint32_t *made;                       // [len][levels], state + 1
    size_t *work, work_count, work_cap;   // indices of made
};

static uint32_t state_at(struct counting *c, uint32_t state, uint32_t count)
{
    const size_t index = (state - c->mark) * c->levels + count;
    if (c->made[index])
        return c->made[index] - 1;
    struct lm_nfa_state s = c->a->states[state];
    s.run = (struct lm_run){ 0, 0 };
    const uint32_t made = lm_nfa_add(c->a, s);
    c->made[index] = made + 1;
    lm_grow(&c->work, &c->work_cap, c->work_count + 1, sizeof(*c->work));
    c->work[c->work_count++] = index;
    return made;
}

/* Is the end of the fragment among the states that forks and jumps lead to? */
static bool may_end(const struct counting *c, uint32_t state, size_t steps)
{
    const struct lm_nfa_state *s = &c->a->states[state];
    if (state == c->x_end)
        return true;
    if (steps == 0 || (s->kind != LM_NFA_FORK && s->kind != LM_NFA_JUMP))
        return false;
    return may_end(c, s->next, steps - 1) || (s->kind == LM_NFA_FORK && may_end(c, s->other, steps - 1));
}

/* Where the text may end after any character of the run, the run holds as far as the count allows. */
static struct lm_run run_left(const struct counting *c, uint32_t state, uint32_t count)
{
    enum { STEPS = 6 };
    struct lm_run run = c->a->states[state].run;
    if (!run.kinds || !may_end(c, state, STEPS) || (run.chars != LM_RUN_ANY && count + run.chars < c->min))
        return (struct lm_run){ 0, 0 };
    if (c->max != LM_NFA_NONE && c->max - count < run.chars)
        run.chars = (uint8_t)(c->max - count);
    return run;
}

static void connect(struct counting *c, size_t index)
{
    const uint32_t from = (uint32_t)(c->mark + index / c->levels), count = (uint32_t)(index % c->levels);
    const struct lm_nfa_state s = c->a->states[from];
    const uint32_t made = c->made[index] - 1;
    const bool reads = s.kind == LM_NFA_RANGE || s.kind == LM_NFA_SET;
    uint32_t next = 0, other = s.other, after = count + (reads && s.first_of_char);
    if (after == c->levels && c->max == LM_NFA_NONE)
        after--;
    if (from == c->x_end)
        next = count >= c->min ? c->end : 0;   // state 0 fails
    else if (s.kind != LM_NFA_FAIL && after < c->levels)
        next = state_at(c, s.next, after);
    if (s.kind == LM_NFA_FORK)
        other = state_at(c, s.other, count);
    if (c->a->rc != LM_OK)
        return;
    c->a->states[made].next = next;
    c->a->states[made].other = other;
    c->a->states[made].run = run_left(c, from, count);
}

struct lm_frag lm_nfa_counted(struct lm_nfa *a, size_t mark, struct lm_frag x, uint32_t min, uint32_t max)
{
    struct counting c = {
        .a = a, .mark = mark, .len = a->state_count - mark, .x_end = x.end, .min = min, .max = max
    };
    if (a->rc != LM_OK)
        return (struct lm_frag){ 0, 0 };
    c.levels = 1 + (max == LM_NFA_NONE ? min : max);
    if (c.len * c.levels > 16 * a->limits.states) {
        lm_nfa_fail(a, LM_ELIMIT,
                    "a pattern with a length bound needs more than %zu states: shorten one of them",
                    a->limits.states);
        return (struct lm_frag){ 0, 0 };
    }
    c.made = lm_zalloc(c.len * c.levels, sizeof(*c.made));
    c.end = lm_nfa_empty(a).end;
    const uint32_t start = state_at(&c, x.start, 0);
    while (c.work_count > 0 && a->rc == LM_OK)
        connect(&c, c.work[--c.work_count]);
    free(c.made);
    free(c.work);
    return a->rc == LM_OK ? (struct lm_frag){ start, c.end } : (struct lm_frag){ 0, 0 };
}
