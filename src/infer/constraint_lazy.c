#include "infer/constraint_lazy.h"

#include "base/mem.h"

#include <stdlib.h>

/* A call met while places are followed; those of one rule from one stack share a node. */
struct call {
    uint32_t stack, rule, back;
};

struct lm_lazy_scratch {
    struct lm_place *work, *reading;
    struct call *calls;
    size_t work_count, work_cap, reading_count, reading_cap, call_count, call_cap;
    struct {
        struct lm_place place;
        uint32_t stamp;
    } * seen;   // hash set; only entries with this stamp are in it
    size_t seen_size, seen_count;
    uint32_t stamp;
    bool end;
    struct lm_run run;
};

enum { SPOTS = 8192, PLACES = 65536, NODES = 8192 };   // powers of two; more may come

static void make_table(struct lm_lazy_table *t, size_t size)
{
    t->size = size;
    t->slots = lm_zalloc(size, sizeof(*t->slots));
}

static void init_tables(struct lm_lazy *l, const struct lm_nfa *nfa)
{
    *l = (struct lm_lazy){ .nfa = nfa, .spot_count = 2, .node_count = 1 };
    lm_grow(&l->spots, &l->spot_cap, SPOTS, sizeof(*l->spots));
    lm_grow(&l->rows, &l->row_cap, SPOTS * nfa->class_count, sizeof(*l->rows));
    lm_grow(&l->places, &l->place_cap, PLACES, sizeof(*l->places));
    lm_grow(&l->nodes, &l->node_cap, NODES, sizeof(*l->nodes));
    lm_grow(&l->returns, &l->return_cap, NODES, sizeof(*l->returns));
    make_table(&l->spot_table, 2 * SPOTS);
    make_table(&l->node_table, 2 * NODES);
    l->spots[0] = l->spots[1] = (struct lm_spot){ 0 };
    l->nodes[0] = (struct lm_stack_node){ 0 };
    for (size_t i = 0; i < 2 * nfa->class_count; i++)
        l->rows[i] = LM_SPOT_DEAD;
}

void lm_lazy_init(struct lm_lazy *l, const struct lm_nfa *nfa)
{
    init_tables(l, nfa);
    l->scratch = lm_zalloc(1, sizeof(*l->scratch));
}

static void free_tables(struct lm_lazy *l)
{
    free(l->rows);
    free(l->spots);
    free(l->places);
    free(l->nodes);
    free(l->returns);
    free(l->spot_table.slots);
    free(l->node_table.slots);
}

void lm_lazy_release(struct lm_lazy *l)
{
    free_tables(l);
    if (l->scratch) {
        free(l->scratch->work);
        free(l->scratch->reading);
        free(l->scratch->calls);
        free(l->scratch->seen);
        free(l->scratch);
    }
}

/* ---- tables ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t hash_node(const struct lm_lazy *l, uint32_t node)
{
    const struct lm_stack_node *n = &l->nodes[node];
    uint64_t hash = mix(n->count, n->rest);
    for (uint32_t i = 0; i < n->count; i++)
        hash = mix(hash, l->returns[n->at + i]);
    return hash;
}

static uint64_t hash_spot(const struct lm_lazy *l, uint32_t spot)
{
    const struct lm_spot *s = &l->spots[spot];
    uint64_t hash = mix(s->count, (uint64_t)s->end << 16 | s->run.kinds << 8 | s->run.chars);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lm_place p = l->places[s->at + i];
        hash = mix(hash, (uint64_t)p.state << 32 | p.stack);
    }
    return hash;
}

static bool same_node(const struct lm_lazy *l, uint32_t a, uint32_t b)
{
    const struct lm_stack_node *x = &l->nodes[a], *y = &l->nodes[b];
    return x->rest == y->rest && x->count == y->count &&
           memcmp(l->returns + x->at, l->returns + y->at, x->count * sizeof(*l->returns)) == 0;
}

static bool same_spot(const struct lm_lazy *l, uint32_t a, uint32_t b)
{
    const struct lm_spot *x = &l->spots[a], *y = &l->spots[b];
    return x->end == y->end && x->run.kinds == y->run.kinds && x->run.chars == y->run.chars &&
           x->count == y->count &&
           (x->count == 0 ||
            memcmp(l->places + x->at, l->places + y->at, x->count * sizeof(*l->places)) == 0);
}

struct kind {
    uint64_t (*hash)(const struct lm_lazy *l, uint32_t item);
    bool (*same)(const struct lm_lazy *l, uint32_t a, uint32_t b);
};
static const struct kind node_kind = { hash_node, same_node }, spot_kind = { hash_spot, same_spot };

static void grow_table(const struct lm_lazy *l, struct lm_lazy_table *t, const struct kind *kind)
{
    const struct lm_lazy_table old = *t;
    make_table(t, 2 * old.size);
    for (size_t i = 0; i < old.size; i++) {
        if (!old.slots[i])
            continue;
        size_t at = kind->hash(l, old.slots[i] - 1) & (t->size - 1);
        while (t->slots[at])
            at = (at + 1) & (t->size - 1);
        t->slots[at] = old.slots[i];
    }
    free(old.slots);
}

/* The item equal to number `item`, which is the newest; itself, and put into the table, when it is the first.
 */
static uint32_t intern(const struct lm_lazy *l, struct lm_lazy_table *t, const struct kind *kind,
                       uint32_t item)
{
    if ((size_t)item * 2 >= t->size)
        grow_table(l, t, kind);
    size_t at = kind->hash(l, item) & (t->size - 1);
    for (; t->slots[at]; at = (at + 1) & (t->size - 1))
        if (kind->same(l, t->slots[at] - 1, item))
            return t->slots[at] - 1;
    t->slots[at] = item + 1;
    return item;
}

/* ---- stacks and spots ---- */

/* Most plain characters from there on. */
static int8_t reach_of(const struct lm_lazy *l, struct lm_place p)
{
    const struct lm_reach r = l->nfa->reaches[p.state];
    const int8_t through = lm_reach_add(r.through, l->nodes[p.stack].reach);
    return r.inside > through ? r.inside : through;
}

static uint32_t push(struct lm_lazy *l, uint32_t rest, const uint32_t *returns, size_t count)
{
    lm_grow(&l->returns, &l->return_cap, l->return_count + count, sizeof(*l->returns));
    lm_grow(&l->nodes, &l->node_cap, l->node_count + 1, sizeof(*l->nodes));
    memcpy(l->returns + l->return_count, returns, count * sizeof(*returns));
    const uint32_t made = (uint32_t)l->node_count;
    l->nodes[made] =
        (struct lm_stack_node){ rest, (uint32_t)l->return_count, (uint32_t)count, l->nodes[rest].depth + 1 };
    const uint32_t found = intern(l, &l->node_table, &node_kind, made);
    if (found == made) {
        l->node_count++;
        l->return_count += count;
        l->bytes += sizeof(*l->nodes) + count * sizeof(*l->returns) + 2 * sizeof(*l->node_table.slots);
    }
    return found;
}

static int by_state_and_stack(const void *a, const void *b)
{
    const struct lm_place *x = a, *y = b;
    if (x->state != y->state)
        return x->state < y->state ? -1 : 1;
    return (x->stack > y->stack) - (x->stack < y->stack);
}

static void sort_places(struct lm_place *places, size_t count)
{
    size_t sorted = 1;
    while (sorted < count && by_state_and_stack(&places[sorted - 1], &places[sorted]) < 0)
        sorted++;
    if (sorted >= count)
        return;
    if (count > 24) {
        qsort(places, count, sizeof(*places), by_state_and_stack);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const struct lm_place p = places[i];
        size_t k = i;
        for (; k > 0 && by_state_and_stack(&places[k - 1], &p) > 0; k--)
            places[k] = places[k - 1];
        places[k] = p;
    }
}

static size_t without_doubles(struct lm_place *places, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_state_and_stack(&places[kept - 1], &places[i]) != 0)
            places[kept++] = places[i];
    return kept;
}

static uint32_t make_spot(struct lm_lazy *l, struct lm_place *places, size_t count, bool end,
                          struct lm_run run)
{
    if (count == 0 && !end)
        return LM_SPOT_DEAD;
    sort_places(places, count);
    count = without_doubles(places, count);
    const size_t classes = l->nfa->class_count;
    lm_grow(&l->places, &l->place_cap, l->place_count + count + 1, sizeof(*l->places));
    lm_grow(&l->spots, &l->spot_cap, l->spot_count + 1, sizeof(*l->spots));
    lm_grow(&l->rows, &l->row_cap, (l->spot_count + 1) * classes, sizeof(*l->rows));
    if (count > 0)
        memcpy(l->places + l->place_count, places, count * sizeof(*places));
    const uint32_t made = (uint32_t)l->spot_count;
    struct lm_spot *spot = &l->spots[made];
    *spot = (struct lm_spot){ (uint32_t)l->place_count, (uint32_t)count, end, run, 0 };
    for (size_t i = 0; i < count && spot->reach < LM_REACH_MANY; i++) {
        const int8_t reach = reach_of(l, places[i]);
        spot->reach = reach > spot->reach ? reach : spot->reach;
    }
    const uint32_t found = intern(l, &l->spot_table, &spot_kind, made);
    if (found == made) {
        l->spot_count++;
        l->place_count += count;
        memset(l->rows + made * classes, 0, classes * sizeof(*l->rows));
        l->bytes += sizeof(*spot) + count * sizeof(*places) + classes * sizeof(*l->rows) +
                    2 * sizeof(*l->spot_table.slots);
    }
    return found;
}

/* ---- following places to where bytes are read ---- */

static void grow_seen(struct lm_lazy_scratch *s)
{
    const size_t old_size = s->seen_size;
    typeof(s->seen) old = s->seen;
    s->seen_size = old_size ? 2 * old_size : 256;
    s->seen = lm_zalloc(s->seen_size, sizeof(*s->seen));
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].stamp != s->stamp)
            continue;
        size_t at = mix(old[i].place.state, old[i].place.stack) & (s->seen_size - 1);
        while (s->seen[at].stamp == s->stamp)
            at = (at + 1) & (s->seen_size - 1);
        s->seen[at] = old[i];
    }
    free(old);
}

static void follow(struct lm_lazy_scratch *s, uint32_t state, uint32_t stack)
{
    if (s->seen_count * 2 >= s->seen_size)
        grow_seen(s);
    size_t at = mix(state, stack) & (s->seen_size - 1);
    for (; s->seen[at].stamp == s->stamp; at = (at + 1) & (s->seen_size - 1))
        if (s->seen[at].place.state == state && s->seen[at].place.stack == stack)
            return;
    const struct lm_place place = { state, stack };
    s->seen[at].place = place;
    s->seen[at].stamp = s->stamp;
    s->seen_count++;
    lm_grow(&s->work, &s->work_cap, s->work_count + 1, sizeof(*s->work));
    s->work[s->work_count++] = place;
}

static void begin(struct lm_lazy_scratch *s)
{
    if (++s->stamp == 0) {   // after 2^32 steps old stamps would come true
        memset(s->seen, 0, s->seen_size * sizeof(*s->seen));
        s->stamp = 1;
    }
    s->seen_count = s->work_count = s->reading_count = s->call_count = 0;
    s->end = false;
    s->run = (struct lm_run){ 0, 0 };
}

/* Deep down only calls on a lowest way out. */
static bool may_call(const struct lm_lazy *l, const struct lm_place *p, const struct lm_nfa_state *s)
{
    if (l->nodes[p->stack].depth < LM_LAZY_DEPTH_MAX)
        return true;
    const uint16_t height = l->nfa->heights[p->state];
    return l->nfa->rules[s->other].height <= height && l->nfa->heights[s->next] <= height;
}

static void follow_call(struct lm_lazy *l, const struct lm_place *p, const struct lm_nfa_state *s)
{
    struct lm_lazy_scratch *x = l->scratch;
    if (l->nfa->rules[s->other].height == LM_NFA_HEIGHT_NONE ||
        l->nfa->heights[s->next] == LM_NFA_HEIGHT_NONE)
        return;
    if (l->nfa->states[s->next].kind == LM_NFA_END) {   // nothing to come back for
        follow(x, l->nfa->rules[s->other].start, p->stack);
        return;
    }
    if (!may_call(l, p, s))
        return;
    lm_grow(&x->calls, &x->call_cap, x->call_count + 1, sizeof(*x->calls));
    x->calls[x->call_count++] = (struct call){ p->stack, s->other, s->next };
}

static void take_run(struct lm_lazy *l, struct lm_place p)
{
    const struct lm_run run = l->nfa->states[p.state].run;
    if (run.kinds && l->nodes[p.stack].depth < LM_LAZY_DEPTH_MAX)   // deeper, calls may be refused
        l->scratch->run = lm_run_better(l->scratch->run, run);
}

/* A place that reads. */
static void arrive_at(struct lm_lazy *l, struct lm_place p)
{
    struct lm_lazy_scratch *x = l->scratch;
    lm_grow(&x->reading, &x->reading_cap, x->reading_count + 1, sizeof(*x->reading));
    x->reading[x->reading_count++] = p;
}

static void follow_one(struct lm_lazy *l, struct lm_place p)
{
    struct lm_lazy_scratch *x = l->scratch;
    const struct lm_nfa_state *s = &l->nfa->states[p.state];
    if (l->nfa->heights[p.state] == LM_NFA_HEIGHT_NONE)
        return;
    take_run(l, p);
    switch ((enum lm_nfa_kind)s->kind) {
    case LM_NFA_RANGE:
    case LM_NFA_SET:
        arrive_at(l, p);
        break;
    case LM_NFA_FORK:
        follow(x, s->next, p.stack);
        follow(x, s->other, p.stack);
        break;
    case LM_NFA_CALL:
        follow_call(l, &p, s);
        break;
    case LM_NFA_END:
        x->end |= p.stack == 0;
        if (p.stack != 0) {
            const struct lm_stack_node n = l->nodes[p.stack];
            for (uint32_t i = 0; i < n.count; i++)
                follow(x, l->returns[n.at + i], n.rest);
        }
        break;
    case LM_NFA_JUMP:
    case LM_NFA_FAIL:
        break;
    }
}

static int by_stack_and_rule(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (x->stack != y->stack)
        return x->stack < y->stack ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    return (x->back > y->back) - (x->back < y->back);
}

/* Enters the calls met so far. */
static void make_calls(struct lm_lazy *l)
{
    struct lm_lazy_scratch *x = l->scratch;
    if (x->call_count > 1)
        qsort(x->calls, x->call_count, sizeof(*x->calls), by_stack_and_rule);
    LM_FREE uint32_t *returns = NULL;
    uint32_t few[16];
    if (x->call_count > 16)
        returns = lm_zalloc(x->call_count, sizeof(*returns));
    uint32_t *backs = returns ? returns : few;
    for (size_t i = 0, k; i < x->call_count; i = k) {
        size_t count = 0;
        for (k = i; k < x->call_count && x->calls[k].stack == x->calls[i].stack &&
                    x->calls[k].rule == x->calls[i].rule;
             k++)
            if (k == i || x->calls[k].back != x->calls[k - 1].back)
                backs[count++] = x->calls[k].back;
        const uint32_t stack = push(l, x->calls[i].stack, backs, count);
        follow(x, l->nfa->rules[x->calls[i].rule].start, stack);
    }
    x->call_count = 0;
}

/* From the places that were asked for to a spot. */
static uint32_t arrive(struct lm_lazy *l)
{
    struct lm_lazy_scratch *x = l->scratch;
    for (size_t done = 0; done < x->work_count;) {   // in order: places come out nearly sorted
        while (done < x->work_count)
            follow_one(l, x->work[done++]);
        if (x->seen_count > LM_LAZY_PLACES_MAX)
            return LM_SPOT_DEAD;
        make_calls(l);
    }
    return make_spot(l, x->reading, x->reading_count, x->end, x->run);
}

uint32_t lm_lazy_start(struct lm_lazy *l)
{
    begin(l->scratch);
    follow(l->scratch, l->nfa->rules[l->nfa->start].start, 0);
    return arrive(l);
}

/* Most places only move along a literal: they need not be looked up among those seen. */
static void step_to(struct lm_lazy *l, struct lm_place p)
{
    const uint8_t kind = l->nfa->states[p.state].kind;
    if (kind != LM_NFA_RANGE && kind != LM_NFA_SET) {
        follow(l->scratch, p.state, p.stack);
    } else if (l->nfa->heights[p.state] != LM_NFA_HEIGHT_NONE) {
        take_run(l, p);
        arrive_at(l, p);
    }
}

uint32_t lm_lazy_step(struct lm_lazy *l, uint32_t spot, uint8_t class)
{
    LM_DASSERT(spot < l->spot_count && class < l->nfa->class_count);

    const size_t row = spot * l->nfa->class_count + class;
    if (l->rows[row] != LM_SPOT_UNKNOWN)
        return l->rows[row];
    const uint8_t byte = l->nfa->class_byte[class];
    const struct lm_spot s = l->spots[spot];
    begin(l->scratch);
    for (uint32_t i = 0; i < s.count; i++) {
        const struct lm_place p = l->places[s.at + i];
        const struct lm_nfa_state *state = &l->nfa->states[p.state];
        if (lm_nfa_takes(l->nfa, state, byte))
            step_to(l, (struct lm_place){ state->next, p.stack });
    }
    const bool dead = l->scratch->work_count + l->scratch->reading_count == 0;
    const uint32_t to = dead ? LM_SPOT_DEAD : arrive(l);
    l->rows[row] = to;
    return to;
}

/* ---- forgetting ---- */

/* The stack in the new tables; the old ones keep what was moved already in `moved` (number + 1). */
static uint32_t move_stack(struct lm_lazy *to, const struct lm_lazy *from, uint32_t node, uint32_t *moved,
                           uint32_t *chain)
{
    size_t count = 0;
    for (; node != 0 && !moved[node]; node = from->nodes[node].rest)
        chain[count++] = node;
    uint32_t rest = node == 0 ? 0 : moved[node] - 1;
    while (count > 0) {
        const struct lm_stack_node *n = &from->nodes[chain[--count]];
        rest = push(to, rest, from->returns + n->at, n->count);
        moved[chain[count]] = rest + 1;
    }
    return rest;
}

void lm_lazy_shrink(struct lm_lazy *l, uint32_t *spots, size_t count)
{
    struct lm_lazy old = *l;
    LM_FREE uint32_t *moved = lm_zalloc(old.node_count, sizeof(*moved));
    LM_FREE uint32_t *chain = lm_zalloc(old.node_count, sizeof(*chain));
    struct lm_lazy fresh;
    init_tables(&fresh, old.nfa);
    struct lm_lazy_scratch *x = fresh.scratch = old.scratch;
    fresh.shrunk = old.shrunk + 1;
    for (size_t i = 0; i < count; i++) {
        const struct lm_spot s = old.spots[spots[i]];
        if (spots[i] <= LM_SPOT_DEAD)
            continue;
        lm_grow(&x->reading, &x->reading_cap, s.count, sizeof(*x->reading));
        for (uint32_t k = 0; k < s.count; k++) {
            const struct lm_place p = old.places[s.at + k];
            x->reading[k] = (struct lm_place){ p.state, move_stack(&fresh, &old, p.stack, moved, chain) };
        }
        spots[i] = make_spot(&fresh, x->reading, s.count, s.end, s.run);
    }
    free_tables(&old);
    *l = fresh;
}
