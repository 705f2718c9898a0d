#include "infer/constraint_nfa.h"

#include "base/mem.h"
#include "base/sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void lm_nfa_init(struct lm_nfa *a, const struct lm_constraint_limits *limits, struct lm_err *err)
{
    *a = (struct lm_nfa){ .limits = *limits, .err = err };
    a->deadline_ns = lm_now_ns() + (uint64_t)limits->ms * 1000000;
    lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_FAIL });   // what fragments are after a failure
}

void lm_nfa_release(struct lm_nfa *a)
{
    free(a->states);
    free(a->sets);
    free(a->rules);
    free(a->heights);
    free(a->reaches);
    lm_arena_release(&a->names);
}

size_t lm_nfa_bytes(const struct lm_nfa *a)
{
    return a->state_cap * (sizeof(*a->states) + sizeof(*a->heights) + sizeof(*a->reaches)) +
           a->set_cap * sizeof(*a->sets) + a->rule_cap * sizeof(*a->rules) + a->names.total_bytes;
}

/* ---- failing ---- */

void lm_nfa_fail(struct lm_nfa *a, enum lm_rc rc, const char *format, ...)
{
    if (a->rc != LM_OK)
        return;
    char text[LM_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    a->rc = rc;
    (void)lm_fail(a->err, rc, "%s", text);
}

bool lm_nfa_go_on(struct lm_nfa *a)
{
    if (a->rc == LM_OK && lm_now_ns() > a->deadline_ns)
        lm_nfa_fail(a, LM_ELIMIT, "compiling took longer than %lld ms: make it simpler",
                    (long long)a->limits.ms);
    return a->rc == LM_OK;
}

/* ---- states ---- */

uint32_t lm_nfa_add(struct lm_nfa *a, struct lm_nfa_state state)
{
    if (a->rc != LM_OK)
        return 0;
    if (a->state_count >= a->limits.states) {
        lm_nfa_fail(a, LM_ELIMIT, "it needs more than %zu states: shorten repetitions, lists or properties",
                    a->limits.states);
        return 0;
    }
    if (a->state_count % 256 == 255 && !lm_nfa_go_on(a))
        return 0;
    lm_grow(&a->states, &a->state_cap, a->state_count + 1, sizeof(*a->states));
    if (lm_nfa_bytes(a) > a->limits.bytes) {
        lm_nfa_fail(a, LM_ELIMIT, "its automaton needs more than %zu bytes: make it simpler",
                    a->limits.bytes);
        return 0;
    }
    a->states[a->state_count] = state;
    return (uint32_t)a->state_count++;
}

static uint32_t add_jump(struct lm_nfa *a)
{
    return lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_JUMP, .next = LM_NFA_NONE });
}

static uint32_t add_fork(struct lm_nfa *a, uint32_t next, uint32_t other)
{
    return lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_FORK, .next = next, .other = other });
}

void lm_nfa_join(struct lm_nfa *a, uint32_t end, uint32_t target)
{
    if (a->rc != LM_OK)
        return;
    LM_ASSERT(a->states[end].kind == LM_NFA_JUMP && a->states[end].next == LM_NFA_NONE);
    a->states[end].next = target;
}

uint32_t lm_nfa_branch(struct lm_nfa *a)
{
    return add_jump(a);
}

void lm_nfa_branch_to(struct lm_nfa *a, uint32_t branch, uint32_t target)
{
    if (a->rc != LM_OK)
        return;
    if (a->states[branch].kind == LM_NFA_FORK) {
        const uint32_t rest = add_fork(a, a->states[branch].next, a->states[branch].other);
        a->states[branch].next = rest;
        a->states[branch].other = target;
    } else if (a->states[branch].next == LM_NFA_NONE) {
        a->states[branch].next = target;
    } else {
        a->states[branch].kind = LM_NFA_FORK;
        a->states[branch].other = target;
    }
}

/* A state that goes on to a new end. */
static struct lm_frag single(struct lm_nfa *a, struct lm_nfa_state state)
{
    state.next = (uint32_t)a->state_count + 1;
    const uint32_t start = lm_nfa_add(a, state);
    return (struct lm_frag){ start, add_jump(a) };
}

/* ---- fragments ---- */

struct lm_frag lm_nfa_empty(struct lm_nfa *a)
{
    const uint32_t jump = add_jump(a);
    return (struct lm_frag){ jump, jump };
}

struct lm_frag lm_nfa_never(struct lm_nfa *a)
{
    return single(a, (struct lm_nfa_state){ .kind = LM_NFA_FAIL });
}

struct lm_frag lm_nfa_bytes_frag(struct lm_nfa *a, struct lm_str bytes)
{
    const uint32_t start = (uint32_t)a->state_count;
    for (size_t i = 0; i < bytes.len && a->rc == LM_OK; i++) {
        const uint8_t byte = (uint8_t)bytes.ptr[i];
        lm_nfa_add(
            a, (struct lm_nfa_state){
                   .kind = LM_NFA_RANGE, .low = byte, .high = byte, .next = (uint32_t)a->state_count + 1 });
    }
    const uint32_t end = add_jump(a);
    return a->rc == LM_OK ? (struct lm_frag){ start, end } : (struct lm_frag){ 0, 0 };
}

struct lm_frag lm_nfa_range(struct lm_nfa *a, uint8_t low, uint8_t high)
{
    return single(a, (struct lm_nfa_state){ .kind = LM_NFA_RANGE, .low = low, .high = high });
}

struct lm_frag lm_nfa_set(struct lm_nfa *a, const struct lm_nfa_set *set)
{
    lm_grow(&a->sets, &a->set_cap, a->set_count + 1, sizeof(*a->sets));
    a->sets[a->set_count] = *set;
    return single(a, (struct lm_nfa_state){ .kind = LM_NFA_SET, .other = (uint32_t)a->set_count++ });
}

struct lm_frag lm_nfa_call(struct lm_nfa *a, uint32_t rule)
{
    return single(a, (struct lm_nfa_state){ .kind = LM_NFA_CALL, .other = rule });
}

struct lm_frag lm_nfa_cat(struct lm_nfa *a, struct lm_frag x, struct lm_frag y)
{
    lm_nfa_join(a, x.end, y.start);
    return (struct lm_frag){ x.start, y.end };
}

struct lm_frag lm_nfa_either(struct lm_nfa *a, struct lm_frag x, struct lm_frag y)
{
    const uint32_t fork = add_fork(a, x.start, y.start), end = add_jump(a);
    lm_nfa_join(a, x.end, end);
    lm_nfa_join(a, y.end, end);
    return (struct lm_frag){ fork, end };
}

struct lm_frag lm_nfa_optional(struct lm_nfa *a, struct lm_frag x)
{
    const uint32_t end = add_jump(a), fork = add_fork(a, x.start, end);
    lm_nfa_join(a, x.end, end);
    return (struct lm_frag){ fork, end };
}

/* ---- repetition ---- */

/* Copies states mark..mark + len, of which x is a fragment, with an open end. */
static struct lm_frag copy(struct lm_nfa *a, size_t mark, size_t len, struct lm_frag x)
{
    const uint32_t by = (uint32_t)(a->state_count - mark);
    for (size_t i = mark; i < mark + len && a->rc == LM_OK; i++) {
        struct lm_nfa_state s = a->states[i];
        if (i == x.end)
            s.next = LM_NFA_NONE;
        else if (s.kind != LM_NFA_END && s.kind != LM_NFA_FAIL)
            s.next += by;
        if (s.kind == LM_NFA_FORK)
            s.other += by;
        lm_nfa_add(a, s);
    }
    return a->rc == LM_OK ? (struct lm_frag){ x.start + by, x.end + by } : (struct lm_frag){ 0, 0 };
}

static struct lm_run run_left(uint8_t kinds, uint32_t max, uint32_t done)
{
    if (kinds == 0)
        return (struct lm_run){ 0, 0 };
    if (max == LM_NFA_NONE)
        return (struct lm_run){ kinds, LM_RUN_ANY };
    return (struct lm_run){ kinds, max - done < LM_RUN_ANY ? (uint8_t)(max - done) : LM_RUN_ANY - 1 };
}

struct lm_frag lm_nfa_repeat(struct lm_nfa *a, size_t mark, struct lm_frag x, uint32_t min, uint32_t max,
                             uint8_t kinds)
{
    LM_ASSERT(a->rc != LM_OK || (min <= max && mark < a->state_count));
    if (max == 0)
        return lm_nfa_empty(a);

    const bool bounded = max != LM_NFA_NONE;
    const size_t len = a->state_count - mark;
    const uint32_t copies = bounded ? max : min > 0 ? min : 1;
    const uint32_t end = add_jump(a);
    uint32_t start = end;
    struct lm_frag last = x;
    for (uint32_t i = 0; i < copies && a->rc == LM_OK; i++) {
        const uint32_t in =   // made before the copy: order of states is order of the text
            lm_nfa_add(a, (struct lm_nfa_state){ .kind = i < min ? LM_NFA_JUMP : LM_NFA_FORK,
                                                 .run = run_left(kinds, max, i),
                                                 .other = end });
        const struct lm_frag one = i == 0 ? x : copy(a, mark, len, x);
        if (a->rc == LM_OK)
            a->states[in].next = one.start;
        if (i == 0)
            start = in;
        else
            lm_nfa_join(a, last.end, in);
        last = one;
    }
    if (!bounded)
        lm_nfa_join(a, last.end,
                    lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_FORK,
                                                         .run = run_left(kinds, max, 0),
                                                         .next = last.start,
                                                         .other = end }));
    else
        lm_nfa_join(a, last.end, end);
    return (struct lm_frag){ start, end };
}

/* ---- rules ---- */

uint32_t lm_nfa_rule(struct lm_nfa *a, struct lm_str name)
{
    if (a->rc == LM_OK && a->rule_count >= LM_NFA_RULES_MAX)
        lm_nfa_fail(a, LM_ELIMIT, "it needs more than %d rules: make it simpler", LM_NFA_RULES_MAX);
    if (a->rc != LM_OK)
        return 0;
    lm_grow(&a->rules, &a->rule_cap, a->rule_count + 1, sizeof(*a->rules));
    a->rules[a->rule_count] = (struct lm_nfa_rule){
        .name = { lm_arena_strndup(&a->names, name.ptr, name.len), name.len },
        .start = LM_NFA_NONE,
    };
    return (uint32_t)a->rule_count++;
}

void lm_nfa_define(struct lm_nfa *a, uint32_t rule, struct lm_frag body)
{
    if (a->rc != LM_OK)
        return;
    LM_ASSERT(a->rules[rule].start == LM_NFA_NONE);
    a->states[body.end].kind = LM_NFA_END;
    a->rules[rule].start = body.start;
}
