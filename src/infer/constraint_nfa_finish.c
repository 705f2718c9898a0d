/* infer/constraint_nfa_finish.c - what is known of an automaton once all of it is there.
 *
 * Heights: a rule that ends without a call has height 1, one that must call a rule of height h at least h +
 * 1; the height of a state is that of the highest rule on the best way from it to the end of its own rule, 0
 * if no call is needed.  They are found level by level, backwards from the ends, in time linear in the
 * states.  What has no height cannot be completed and is never entered, so every place that can be reached
 * can be left. */
#include "base/mem.h"
#include "infer/constraint_nfa.h"

#include <stdlib.h>

/* ---- jumps ---- */

static uint32_t behind_jumps(const struct lm_nfa *a, uint32_t state)
{
    for (size_t steps = 0; a->states[state].kind == LM_NFA_JUMP; steps++) {
        if (a->states[state].next == LM_NFA_NONE || steps > a->state_count)
            return 0;   // a circle of jumps; state 0 fails
        state = a->states[state].next;
    }
    return state;
}

/* Nothing leads to a jump any more.  What fits at a jump fits where it leads. */
static void skip_jumps(struct lm_nfa *a)
{
    for (size_t i = 0; i < a->state_count; i++) {
        struct lm_nfa_state *s = &a->states[i];
        if (s->kind != LM_NFA_JUMP)
            continue;
        const uint32_t target = behind_jumps(a, (uint32_t)i);
        if (target != 0)
            a->states[target].run = lm_run_better(a->states[target].run, s->run);
        s->next = target;   // later walks over this one are short
    }
    for (size_t i = 0; i < a->state_count; i++) {
        struct lm_nfa_state *s = &a->states[i];
        if (s->kind == LM_NFA_END || s->kind == LM_NFA_FAIL || s->kind == LM_NFA_JUMP)
            continue;
        s->next = behind_jumps(a, s->next);
        if (s->kind == LM_NFA_FORK)
            s->other = behind_jumps(a, s->other);
    }
    for (size_t r = 0; r < a->rule_count; r++)
        a->rules[r].start = behind_jumps(a, a->rules[r].start);
}

/* ---- heights ---- */

/* Lists in one array: list i is items[at[i]..at[i + 1]). */
struct lists {
    uint32_t *at, *items;
};

struct solving {
    struct lm_nfa *a;
    bool through_bytes;
    struct lists before;    // state: those that lead to it
    struct lists callers;   // rule: the states that call it
    struct lists owners;    // state: rules that start there
    uint16_t *heights;      // of states
    uint16_t *rule_heights;
    uint32_t *now, *later;   // states to settle at this level, at the next
    size_t now_count, later_count;
};

static void count_edge(struct lists *l, uint32_t list)
{
    l->at[list + 1]++;
}

static void put_edge(struct lists *l, uint32_t list, uint32_t item)
{
    l->items[l->at[list]++] = item;
}

/* Visits every edge; twice, to count and to fill. */
static void each_edge(struct solving *s, void (*take)(struct lists *l, uint32_t list, uint32_t item))
{
    const struct lm_nfa *a = s->a;
    for (uint32_t i = 0; i < a->state_count; i++) {
        const struct lm_nfa_state *state = &a->states[i];
        if (state->kind == LM_NFA_END || state->kind == LM_NFA_FAIL || state->kind == LM_NFA_JUMP)
            continue;
        take(&s->before, state->next, i);
        if (state->kind == LM_NFA_FORK)
            take(&s->before, state->other, i);
        if (state->kind == LM_NFA_CALL)
            take(&s->callers, state->other, i);
    }
    for (uint32_t r = 0; r < a->rule_count; r++)
        take(&s->owners, a->rules[r].start, r);
}

static void count_item(struct lists *l, uint32_t list, uint32_t item)
{
    (void)item;
    count_edge(l, list);
}

static void make_lists(struct solving *s)
{
    struct lists *const all[] = { &s->before, &s->callers, &s->owners };
    const size_t sizes[] = { s->a->state_count, s->a->rule_count, s->a->state_count };
    for (size_t i = 0; i < 3; i++)
        all[i]->at = lm_zalloc(sizes[i] + 2, sizeof(uint32_t));
    each_edge(s, count_item);
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            all[i]->at[k + 1] += all[i]->at[k];
        all[i]->items = lm_zalloc(all[i]->at[sizes[i]] + 1, sizeof(uint32_t));
    }
    each_edge(s, put_edge);
    for (size_t i = 0; i < 3; i++) {   // filling moved each start to the next list's
        memmove(all[i]->at + 1, all[i]->at, sizes[i] * sizeof(uint32_t));
        all[i]->at[0] = 0;
    }
}

static void settle(struct solving *s, uint32_t state, uint16_t level)
{
    if (s->heights[state] != LM_NFA_HEIGHT_NONE)
        return;
    s->heights[state] = level;
    s->now[s->now_count++] = state;
}

/* The rule can end at this level: its callers can go on from the next. */
static void settle_rule(struct solving *s, uint32_t rule, uint16_t level)
{
    if (s->rule_heights[rule] != LM_NFA_HEIGHT_NONE)
        return;
    s->rule_heights[rule] = (uint16_t)(level + 1);
    for (uint32_t i = s->callers.at[rule]; i < s->callers.at[rule + 1]; i++)
        s->later[s->later_count++] = s->callers.items[i];
}

static void settle_before(struct solving *s, uint32_t state, uint16_t level)
{
    const struct lm_nfa *a = s->a;
    for (uint32_t i = s->before.at[state]; i < s->before.at[state + 1]; i++) {
        const uint32_t from = s->before.items[i];
        const struct lm_nfa_state *f = &a->states[from];
        const bool reads = f->kind == LM_NFA_RANGE || f->kind == LM_NFA_SET;
        if ((reads && !s->through_bytes) || (f->kind == LM_NFA_CALL && s->rule_heights[f->other] > level))
            continue;
        settle(s, from, level);
    }
    for (uint32_t i = s->owners.at[state]; i < s->owners.at[state + 1]; i++)
        settle_rule(s, s->owners.items[i], level);
}

static void solve(struct solving *s)
{
    const struct lm_nfa *a = s->a;
    memset(s->heights, 0xff, a->state_count * sizeof(*s->heights));
    memset(s->rule_heights, 0xff, a->rule_count * sizeof(*s->rule_heights));
    s->now_count = s->later_count = 0;
    for (uint32_t i = 0; i < a->state_count; i++)
        if (a->states[i].kind == LM_NFA_END)
            settle(s, i, 0);
    for (uint16_t level = 0; s->now_count > 0; level++) {
        while (s->now_count > 0)
            settle_before(s, s->now[--s->now_count], level);
        for (size_t i = 0; i < s->later_count; i++) {
            const uint32_t call = s->later[i];
            if (s->heights[a->states[call].next] <= level)
                settle(s, call, (uint16_t)(level + 1));
        }
        s->later_count = 0;
    }
}

static void find_heights(struct lm_nfa *a)
{
    struct solving s = { .a = a };
    make_lists(&s);
    s.now = lm_zalloc(a->state_count, sizeof(*s.now));
    s.later = lm_zalloc(a->state_count, sizeof(*s.later));
    s.heights = lm_zalloc(a->state_count, sizeof(*s.heights));
    s.rule_heights = lm_zalloc(a->rule_count, sizeof(*s.rule_heights));
    solve(&s);   // without bytes: what is nullable has a height
    for (size_t r = 0; r < a->rule_count; r++)
        a->rules[r].nullable = s.rule_heights[r] != LM_NFA_HEIGHT_NONE;
    s.through_bytes = true;
    solve(&s);
    for (size_t r = 0; r < a->rule_count; r++)
        a->rules[r].height = s.rule_heights[r];
    a->heights = s.heights;
    struct lists *const all[] = { &s.before, &s.callers, &s.owners };
    for (size_t i = 0; i < 3; i++) {
        free(all[i]->at);
        free(all[i]->items);
    }
    free(s.now);
    free(s.later);
    free(s.rule_heights);
}

/* ---- left recursion ---- */

/* Rules that `rule` calls before it has read a byte, appended to *ret. */
struct first_calls {
    uint32_t *work, *calls;
    size_t work_count, call_count, call_cap;
    uint32_t *seen;   // state: stamp of the rule that saw it
};

static void see(struct first_calls *f, uint32_t state, uint32_t stamp)
{
    if (f->seen[state] == stamp)
        return;
    f->seen[state] = stamp;
    f->work[f->work_count++] = state;
}

static void find_first_calls(const struct lm_nfa *a, struct first_calls *f, uint32_t rule)
{
    see(f, a->rules[rule].start, rule + 1);
    while (f->work_count > 0) {
        const uint32_t at = f->work[--f->work_count];
        const struct lm_nfa_state *s = &a->states[at];
        if (a->heights[at] == LM_NFA_HEIGHT_NONE)
            continue;
        if (s->kind == LM_NFA_FORK) {
            see(f, s->next, rule + 1);
            see(f, s->other, rule + 1);
        } else if (s->kind == LM_NFA_CALL) {
            lm_grow(&f->calls, &f->call_cap, f->call_count + 1, sizeof(*f->calls));
            f->calls[f->call_count++] = s->other;
            if (a->rules[s->other].nullable)
                see(f, s->next, rule + 1);
        }
    }
}

/* Takes rules without first calls away until none is left; what stays is, or leads to, a circle. */
static uint32_t find_circle(size_t rule_count, const uint32_t *at, const uint32_t *calls)
{
    LM_FREE uint32_t *left = lm_zalloc(rule_count, sizeof(*left));   // calls not yet taken away
    LM_FREE uint32_t *work = lm_zalloc(rule_count, sizeof(*work));
    struct lists callers = { .at = lm_zalloc(rule_count + 2, sizeof(uint32_t)),
                             .items = lm_zalloc(at[rule_count] + 1, sizeof(uint32_t)) };
    for (uint32_t i = 0; i < at[rule_count]; i++)
        count_edge(&callers, calls[i]);
    for (size_t r = 0; r < rule_count; r++)
        callers.at[r + 1] += callers.at[r];
    for (uint32_t r = 0; r < rule_count; r++)
        for (uint32_t i = at[r]; i < at[r + 1]; i++)
            put_edge(&callers, calls[i], r);
    size_t work_count = 0;
    for (uint32_t r = 0; r < rule_count; r++)
        if ((left[r] = at[r + 1] - at[r]) == 0)
            work[work_count++] = r;
    while (work_count > 0) {
        const uint32_t done = work[--work_count];
        for (uint32_t i = done ? callers.at[done - 1] : 0; i < callers.at[done];
             i++)   // starts have moved on
            if (--left[callers.items[i]] == 0)
                work[work_count++] = callers.items[i];
    }
    uint32_t at_rule = LM_NFA_NONE;
    for (uint32_t r = 0; r < rule_count && at_rule == LM_NFA_NONE; r++)
        if (left[r] > 0)
            at_rule = r;
    for (size_t step = 0; at_rule != LM_NFA_NONE && step < rule_count; step++)   // into the circle
        for (uint32_t i = at[at_rule]; i < at[at_rule + 1]; i++)
            if (left[calls[i]] > 0) {
                at_rule = calls[i];
                break;
            }
    free(callers.at);
    free(callers.items);
    return at_rule;
}

static void refuse_left_recursion(struct lm_nfa *a)
{
    struct first_calls f = { 0 };
    lm_grow(&f.calls, &f.call_cap, 64, sizeof(*f.calls));
    f.work = lm_zalloc(a->state_count, sizeof(*f.work));
    f.seen = lm_zalloc(a->state_count, sizeof(*f.seen));
    LM_FREE uint32_t *at = lm_zalloc(a->rule_count + 1, sizeof(*at));
    for (uint32_t r = 0; r < a->rule_count; r++) {
        find_first_calls(a, &f, r);
        at[r + 1] = (uint32_t)f.call_count;
    }
    const uint32_t circle = find_circle(a->rule_count, at, f.calls);
    if (circle != LM_NFA_NONE)
        lm_nfa_fail(a, LM_EINVAL,
                    "'%.*s' refers to itself before it has read anything: put something in front",
                    (int)a->rules[circle].name.len, a->rules[circle].name.ptr);
    free(f.work);
    free(f.seen);
    free(f.calls);
}

/* ---- classes of bytes ---- */

/* Splits every class of which some bytes are taken and some are not. */
static void split_classes(struct lm_nfa *a, const struct lm_nfa_state *s)
{
    uint16_t made[256] = { 0 };   // class: 1 + the new class of its taken bytes
    bool has_rest[256] = { false };
    for (unsigned b = 0; b < 256; b++)
        if (!lm_nfa_takes(a, s, b))
            has_rest[a->class_of[b]] = true;
    for (unsigned b = 0; b < 256; b++) {
        const uint8_t old = a->class_of[b];
        if (!lm_nfa_takes(a, s, b) || !has_rest[old])
            continue;
        if (!made[old])
            made[old] = (uint16_t)(1 + a->class_count++);
        a->class_of[b] = (uint8_t)(made[old] - 1);
    }
}

static void find_classes(struct lm_nfa *a)
{
    LM_FREE uint8_t *seen_range = lm_zalloc(65536, 1);
    LM_FREE uint8_t *seen_set = lm_zalloc(a->set_count + 1, 1);
    memset(a->class_of, 0, sizeof(a->class_of));
    a->class_count = 1;
    for (size_t i = 0; i < a->state_count && a->class_count < 256; i++) {
        const struct lm_nfa_state *s = &a->states[i];
        if (s->kind != LM_NFA_RANGE && s->kind != LM_NFA_SET)
            continue;
        uint8_t *seen = s->kind == LM_NFA_RANGE ? &seen_range[s->low << 8 | s->high] : &seen_set[s->other];
        if (!*seen)
            split_classes(a, s);
        *seen = 1;
    }
    for (unsigned b = 256; b-- > 0;)
        a->class_byte[a->class_of[b]] = (uint8_t)b;
}

/* ---- all of it ---- */

void lm_nfa_finish(struct lm_nfa *a, uint32_t start)
{
    if (!lm_nfa_go_on(a))
        return;
    for (size_t r = 0; r < a->rule_count; r++)
        LM_ASSERT(a->rules[r].start != LM_NFA_NONE);
    a->start = start;
    skip_jumps(a);
    find_heights(a);
    if (!lm_nfa_go_on(a))
        return;
    if (a->rules[start].height == LM_NFA_HEIGHT_NONE) {
        lm_nfa_fail(a, LM_EINVAL, "no text at all satisfies it");
        return;
    }
    refuse_left_recursion(a);
    find_classes(a);
    if (lm_nfa_go_on(a))
        lm_nfa_find_reaches(a);
    (void)lm_nfa_go_on(a);
}
