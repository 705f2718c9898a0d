#include "infer/constraint_lazy.h"

#include "base/mem.h"

#include <stdlib.h>

/* A call met while places are followed; those of one rule share a node. */
struct call {
    uint32_t rule;
    struct lm_place back;
};

struct lm_lazy_scratch {
    struct lm_place *work, *reading;
    struct call *calls;
    struct lm_place *backs;
    size_t back_cap;
    size_t work_count, work_cap, reading_count, reading_cap, call_count, call_cap;
    struct {
        struct lm_place place;
        uint32_t stamp;
    } * seen;   // hash set; only entries with this stamp are in it
    size_t seen_size, seen_count;
    uint32_t stamp;
    bool end, too_many;
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
        free(l->scratch->backs);
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

static uint64_t mix_place(uint64_t hash, struct lm_place p)
{
    return mix(hash, (uint64_t)p.state << 32 | p.stack);
}

static uint64_t hash_node(const struct lm_lazy *l, uint32_t node)
{
    const struct lm_stack_node *n = &l->nodes[node];
    uint64_t hash = n->count;
    for (uint32_t i = 0; i < n->count; i++)
        hash = mix_place(hash, l->returns[n->at + i]);
    return hash;
}

static uint64_t hash_spot(const struct lm_lazy *l, uint32_t spot)
{
    const struct lm_spot *s = &l->spots[spot];
    uint64_t hash = mix(s->count, (uint64_t)s->end << 16 | s->run.kinds << 8 | s->run.chars);
    for (uint32_t i = 0; i < s->count; i++)
        hash = mix_place(hash, l->places[s->at + i]);
    return hash;
}

static bool same_node(const struct lm_lazy *l, uint32_t a, uint32_t b)
{
    const struct lm_stack_node *x = &l->nodes[a], *y = &l->nodes[b];
    return x->count == y->count &&
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

static uint32_t push(struct lm_lazy *l, const struct lm_place *returns, size_t count)
{
    lm_grow(&l->returns, &l->return_cap, l->return_count + count, sizeof(*l->returns));
    lm_grow(&l->nodes, &l->node_cap, l->node_count + 1, sizeof(*l->nodes));
    memcpy(l->returns + l->return_count, returns, count * sizeof(*returns));
    const uint32_t made = (uint32_t)l->node_count;
    struct lm_stack_node *node = &l->nodes[made];
    *node = (struct lm_stack_node){ .at = (uint32_t)l->return_count, .count = (uint32_t)count };
    for (size_t i = 0; i < count; i++) {
        const uint16_t depth = (uint16_t)(l->nodes[returns[i].stack].depth + 1);
        const int8_t reach = reach_of(l, returns[i]);
        node->depth = depth > node->depth ? depth : node->depth;
        node->reach = reach > node->reach ? reach : node->reach;
    }
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
    if (s->seen_count >= LM_LAZY_PLACES_MAX) {
        s->too_many = true;
        return;
    }
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
    s->end = s->too_many = false;
    s->run = (struct lm_run){ 0, 0 };
}

static bool is_deep(const struct lm_lazy *l, struct lm_place p)
{
    return l->nodes[p.stack].depth >= LM_LAZY_DEPTH_MAX;
}

/* Ways on from the place have at most this height.  Deep down only the lowest: then every call is lower than
 * the one it is made in, and there is an end to them. */
static uint16_t height_max(const struct lm_lazy *l, struct lm_place p)
{
    return is_deep(l, p) ? l->nfa->heights[p.state] : LM_NFA_HEIGHT_NONE - 1;
}

static void follow_fork(struct lm_lazy *l, struct lm_place p)
{
    const struct lm_nfa_state *s = &l->nfa->states[p.state];
    const uint16_t max = height_max(l, p);
    if (l->nfa->heights[s->next] <= max)
        follow(l->scratch, s->next, p.stack);
    if (l->nfa->heights[s->other] <= max)
        follow(l->scratch, s->other, p.stack);
}

static void follow_call(struct lm_lazy *l, struct lm_place p)
{
    struct lm_lazy_scratch *x = l->scratch;
    const struct lm_nfa_state *s = &l->nfa->states[p.state];
    const struct lm_nfa_rule *called = &l->nfa->rules[s->other];
    const uint16_t max = height_max(l, p);
    if (called->height > max || l->nfa->heights[s->next] > max)
        return;
    if (l->nfa->states[s->next].kind == LM_NFA_END) {   // nothing to come back for
        follow(x, called->start, p.stack);
        return;
    }
    lm_grow(&x->calls, &x->call_cap, x->call_count + 1, sizeof(*x->calls));
    x->calls[x->call_count++] = (struct call){ s->other, { s->next, p.stack } };
}

static void take_run(struct lm_lazy *l, struct lm_place p)
{
    const struct lm_run run = l->nfa->states[p.state].run;
    if (run.kinds && !is_deep(l, p))
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
        follow_fork(l, p);
        break;
    case LM_NFA_CALL:
        follow_call(l, p);
        break;
    case LM_NFA_END:
        x->end |= p.stack == 0;
        if (p.stack != 0) {
            const struct lm_stack_node n = l->nodes[p.stack];
            for (uint32_t i = 0; i < n.count; i++)
                follow(x, l->returns[n.at + i].state, l->returns[n.at + i].stack);
        }
        break;
    case LM_NFA_JUMP:
    case LM_NFA_FAIL:
        break;
    }
}

static int by_rule_and_place(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    return by_state_and_stack(&x->back, &y->back);
}

/* Enters the calls met so far. */
static void make_calls(struct lm_lazy *l)
{
    struct lm_lazy_scratch *x = l->scratch;
    if (x->call_count > 1)
        qsort(x->calls, x->call_count, sizeof(*x->calls), by_rule_and_place);
    lm_grow(&x->backs, &x->back_cap, x->call_count, sizeof(*x->backs));
    for (size_t i = 0, k; i < x->call_count; i = k) {
        size_t count = 0;
        for (k = i; k < x->call_count && x->calls[k].rule == x->calls[i].rule; k++)
            x->backs[count++] = x->calls[k].back;
        count = without_doubles(x->backs, count);
        follow(x, l->nfa->rules[x->calls[i].rule].start, push(l, x->backs, count));
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
        if (x->too_many || x->reading_count > LM_LAZY_PLACES_MAX)
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

static void mark(const struct lm_place *places, size_t count, uint32_t *moved)
{
    for (size_t i = 0; i < count; i++)
        moved[places[i].stack] = 1;
}

static void move_places(const struct lm_place *from, size_t count, const uint32_t *moved, struct lm_place *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (struct lm_place){ from[i].state, moved[from[i].stack] };
}

/* Nodes that spots need, and the nodes below them, into the new tables.  A node is newer than those below it.
 * moved[]: first whether a node is needed, then its new number. */
static void move_nodes(struct lm_lazy *to, const struct lm_lazy *from, uint32_t *moved)
{
    struct lm_lazy_scratch *x = to->scratch;
    for (size_t n = from->node_count; n-- > 1;)
        if (moved[n])
            mark(from->returns + from->nodes[n].at, from->nodes[n].count, moved);
    moved[0] = 0;
    for (size_t n = 1; n < from->node_count; n++) {
        const struct lm_stack_node node = from->nodes[n];
        if (!moved[n])
            continue;
        lm_grow(&x->backs, &x->back_cap, node.count, sizeof(*x->backs));
        move_places(from->returns + node.at, node.count, moved, x->backs);
        moved[n] = push(to, x->backs, node.count);
    }
}

void lm_lazy_shrink(struct lm_lazy *l, uint32_t *spots, size_t count)
{
    struct lm_lazy old = *l;
    LM_FREE uint32_t *moved = lm_zalloc(old.node_count, sizeof(*moved));
    init_tables(l, old.nfa);
    struct lm_lazy_scratch *x = l->scratch = old.scratch;
    l->shrunk = old.shrunk + 1;
    for (size_t i = 0; i < count; i++)
        mark(old.places + old.spots[spots[i]].at, old.spots[spots[i]].count, moved);
    move_nodes(l, &old, moved);
    for (size_t i = 0; i < count; i++) {
        const struct lm_spot s = old.spots[spots[i]];
        if (spots[i] <= LM_SPOT_DEAD)
            continue;
        lm_grow(&x->reading, &x->reading_cap, s.count, sizeof(*x->reading));
        move_places(old.places + s.at, s.count, moved, x->reading);
        spots[i] = make_spot(l, x->reading, s.count, s.end, s.run);
    }
    free_tables(&old);
}
