/* infer/constraint_nfa_reach.c - how many plain characters may follow, at most.
 *
 * Longest ways through a graph with circles, each step along a character worth 1: values grow until nothing
 * changes, and MANY is as good as infinite, so there are at most so many rounds as that for every circle.
 * States are mostly made in the order of the text, so rounds run backwards, and few are needed. */
#include "base/mem.h"
#include "infer/constraint_nfa.h"

/* What reading one of its bytes adds: 1 where one begins a plain character, 0 inside one, NONE for others. */
static int8_t worth(const struct lm_nfa *a, const struct lm_nfa_state *s)
{
    const bool range = s->kind == LM_NFA_RANGE;
    int8_t best = LM_REACH_NONE;
    for (unsigned byte = range ? s->low : 0; byte <= (range ? s->high : 255u) && best < 1; byte++) {
        if (!lm_nfa_takes(a, s, byte))
            continue;
        if (byte >= 0x80 && byte < 0xc0)
            best = 0;
        else if (byte >= 0x20 && byte != '"' && byte != '\\')
            best = 1;
    }
    return best;
}

enum { ROUNDS_EXACT = 8 };

struct reaching {
    const struct lm_nfa *a;
    int8_t *worths;   // of states that read
    size_t rounds;
};

static bool raise_to(const struct reaching *x, int8_t *value, int8_t to)
{
    if (to <= *value)
        return false;
    *value = x->rounds < ROUNDS_EXACT ? to : LM_REACH_MANY;
    return true;
}

/* Takes over what the state's ways on reach; false when nothing has changed. */
static bool update(const struct reaching *x, uint32_t at)
{
    const struct lm_nfa *a = x->a;
    const struct lm_nfa_state *s = &a->states[at];
    struct lm_reach *r = &a->reaches[at], more;
    if (s->kind == LM_NFA_END || s->kind == LM_NFA_JUMP || s->kind == LM_NFA_FAIL)
        return false;
    const struct lm_reach next = a->reaches[s->next];
    bool changed = false;
    if (s->kind == LM_NFA_FORK) {
        more = a->reaches[s->other];
        changed = raise_to(x, &r->inside, next.inside);
        changed |= raise_to(x, &r->through, next.through);
    } else if (s->kind == LM_NFA_CALL) {
        const struct lm_reach called = a->reaches[a->rules[s->other].start];
        more = (struct lm_reach){ lm_reach_add(called.through, next.inside),
                                  lm_reach_add(called.through, next.through) };
        changed = raise_to(x, &r->inside, called.inside);
    } else {
        more = (struct lm_reach){ lm_reach_add(x->worths[at], next.inside),
                                  lm_reach_add(x->worths[at], next.through) };
    }
    changed |= raise_to(x, &r->inside, more.inside);
    return raise_to(x, &r->through, more.through) || changed;
}

void lm_nfa_find_reaches(struct lm_nfa *a)
{
    struct reaching x = { .a = a, .worths = lm_zalloc(a->state_count, sizeof(*x.worths)) };
    a->reaches = lm_zalloc(a->state_count, sizeof(*a->reaches));
    for (uint32_t i = 0; i < a->state_count; i++) {
        const struct lm_nfa_state *s = &a->states[i];
        x.worths[i] = s->kind == LM_NFA_RANGE || s->kind == LM_NFA_SET ? worth(a, s) : LM_REACH_NONE;
        a->reaches[i].through = s->kind == LM_NFA_END ? 0 : LM_REACH_NONE;
    }
    for (bool changed = true; changed && lm_nfa_go_on(a); x.rounds++) {
        changed = false;
        for (uint32_t i = (uint32_t)a->state_count; i-- > 0;)
            if (a->heights[i] != LM_NFA_HEIGHT_NONE)
                changed |= update(&x, i);
    }
    free(x.worths);
}
