/* token/split_regex.c - a program as a finite automaton whose states are ordered lists of places in it.
 *
 * The order is the priority of a backtracking engine (R. Cox, Regular Expression Matching: the Virtual
 * Machine Approach, 2009): when a place with a match is reached, all behind it is given up.  A match is noted
 * on the step that reads the next character, so that looking one character ahead costs nothing. */
#include "token/split_regex.h"

#include "text/text.h"

/* Places, and the questions that are answered. */
struct list {
    uint16_t *at;
    size_t len;
    uint32_t yes, no;
};

struct builder {
    const struct split_program *p;
    const uint64_t *members;
    struct lm_split_dfa *d;
    struct list *states;
    size_t count, cap, next_cap, ask_cap;
    uint16_t *out;   // the list being made
    size_t out_len;
    uint32_t *seen, *put;   // [program] = turn when reached, when put into out
    uint32_t turn;
    uint32_t yes, no;    // of the state being made
    uint16_t question;   // 1 + one that it depends on; 0: none is open
};

static bool holds(const struct builder *b, const struct split_inst *i, uint32_t symbol)
{
    const bool end = symbol == b->d->symbols - 1;
    const bool in = end ? i->end : b->members[symbol] >> i->set & 1;
    return in != i->negated;
}

/* Follows a place up to the characters it can read; true when it is a match. */
static bool follow(struct builder *b, uint16_t at, uint32_t symbol)
{
    uint16_t stack[SPLIT_PROGRAM_MAX];
    size_t depth = 0;
    stack[depth++] = at;
    while (depth > 0) {
        const uint16_t pc = stack[--depth];
        const struct split_inst *i = &b->p->code[pc];
        if (b->seen[pc] == b->turn) {
            if (i->loop && depth < SPLIT_PROGRAM_MAX)   // around once without a character: the loop ends
                stack[depth++] = i->other;
            continue;
        }
        b->seen[pc] = b->turn;
        if (i->op == SPLIT_MATCH)
            return true;
        if (i->op == SPLIT_FORK) {
            if (depth + 2 > SPLIT_PROGRAM_MAX)
                continue;   // cannot be: every place is on the stack at most twice, and half of them fork
            stack[depth++] = i->other;
            stack[depth++] = i->to;
        } else if (i->op == SPLIT_LOOK) {
            if (holds(b, i, symbol))
                stack[depth++] = i->to;
        } else if (i->op == SPLIT_ASK) {
            const uint32_t bit = UINT32_C(1) << i->set;
            if (!((b->yes | b->no) & bit)) {
                b->question = i->set + 1;
                return true;   // all the same
            }
            if (!(b->yes & bit) == i->negated)
                stack[depth++] = i->to;
        } else if (symbol < b->d->symbols - 1 && (b->members[symbol] >> i->set & 1) &&
                   b->put[i->to] != b->turn) {
            b->put[i->to] = b->turn;
            b->out[b->out_len++] = i->to;
        }
    }
    return false;
}

static uint16_t state_of(struct builder *b, const uint16_t *at, size_t len, uint32_t yes, uint32_t no)
{
    if (len == 0)
        return 0;
    for (size_t s = 1; s < b->count; s++)
        if (b->states[s].len == len && b->states[s].yes == yes && b->states[s].no == no &&
            memcmp(b->states[s].at, at, len * sizeof(*at)) == 0)
            return (uint16_t)s;
    lm_grow(&b->states, &b->cap, b->count + 1, sizeof(*b->states));
    b->states[b->count] = (struct list){ lm_memdup(at, len * sizeof(*at)), len, yes, no };
    return (uint16_t)b->count++;
}

/* The steps from a state, or that a question comes before them. */
static void build_state(struct builder *b, size_t s)
{
    const struct list here = b->states[s];
    b->yes = here.yes;
    b->no = here.no;
    b->question = 0;
    for (uint32_t symbol = 0; symbol < b->d->symbols && b->question == 0; symbol++) {
        bool match = false;
        b->turn++;
        b->out_len = 0;
        for (size_t i = 0; !match && i < here.len; i++)
            match = follow(b, here.at[i], symbol);
        if (b->question == 0)
            b->d->next[s * b->d->symbols + symbol] =
                (uint16_t)(2 * state_of(b, b->out, b->out_len, 0, 0) + match);
    }
    if (!b->d->asks)
        return;
    struct lm_split_asks *asks = b->d->asks;
    lm_grow(&asks->states, &b->ask_cap, s + 1, sizeof(*asks->states));
    memset(&asks->states[s], 0, sizeof(*asks->states));
    if (b->question == 0)
        return;
    const uint32_t bit = UINT32_C(1) << (b->question - 1);
    memset(b->d->next + s * b->d->symbols, 0, b->d->symbols * sizeof(*b->d->next));
    asks->states[s].question = b->question;
    asks->states[s].yes = state_of(b, here.at, here.len, here.yes | bit, here.no);
    asks->states[s].no = state_of(b, here.at, here.len, here.yes, here.no | bit);
}

static enum lm_rc build(struct builder *b, struct lm_err *err)
{
    b->count = 1;   // state 0 is the end
    lm_grow(&b->states, &b->cap, 1, sizeof(*b->states));
    b->states[0] = (struct list){ 0 };
    state_of(b, &b->p->start, 1, 0, 0);
    for (size_t i = 0; b->d->asks && i < b->d->asks->count; i++) {
        struct split_question *q = &b->d->asks->questions[i];
        if (q->kind == SPLIT_AHEAD)
            q->start = state_of(b, &q->start, 1, 0, 0);
    }
    for (size_t s = 0; s < b->count; s++) {
        if (b->count > SPLIT_STATES_MAX)
            return lm_fail(err, LM_EINVAL, "it needs more than %d states", SPLIT_STATES_MAX);
        lm_grow(&b->d->next, &b->next_cap, (s + 1) * b->d->symbols, sizeof(*b->d->next));
        build_state(b, s);
    }
    return LM_OK;
}

/* ---- what must hold ---- */

/* Where steps without a match lead from each state, questions answered either way. */
struct steps {
    const struct lm_split_dfa *d;
    uint16_t **to;   // [states], each ends with 0
    bool *matches;   // [states] some step is a match
};

static void add_steps(const struct steps *e, size_t root, size_t state, bool *seen)
{
    const struct lm_split_asks *asks = e->d->asks;
    if (state == 0)
        return;
    if (asks && asks->states[state].question) {
        add_steps(e, root, asks->states[state].yes, seen);
        add_steps(e, root, asks->states[state].no, seen);
        return;
    }
    for (uint32_t symbol = 0; symbol < e->d->symbols; symbol++) {
        const uint16_t step = e->d->next[state * e->d->symbols + symbol];
        e->matches[root] |= step & 1;
        seen[step >> 1] |= !(step & 1);
    }
}

static struct steps steps_make(const struct lm_split_dfa *d)
{
    const struct steps e = { d, lm_zalloc(d->states, sizeof(*e.to)),
                             lm_zalloc(d->states, sizeof(*e.matches)) };
    LM_FREE bool *seen = lm_alloc(d->states * sizeof(*seen));
    for (size_t state = 0; state < d->states; state++) {
        size_t count = 0;
        memset(seen, 0, d->states * sizeof(*seen));
        add_steps(&e, state, state, seen);
        for (size_t to = 1; to < d->states; to++)
            count += seen[to];
        e.to[state] = lm_zalloc(count + 1, sizeof(**e.to));
        count = 0;
        for (size_t to = 1; to < d->states; to++)
            if (seen[to])
                e.to[state][count++] = (uint16_t)to;
    }
    return e;
}

static void steps_release(struct steps *e)
{
    for (size_t state = 0; state < e->d->states; state++)
        free(e->to[state]);
    free(e->to);
    free(e->matches);
}

/* Depth first over steps without a match from `root`; mark 1: on the way, 2: done.  A way that comes back to
 * itself could read on and on and then match nothing of it; only when it stays in one state do lm_split_facts
 * help, and only if that is not refused too. */
static bool reads_on(const struct steps *e, size_t root, bool stays, uint8_t *mark)
{
    struct {
        uint16_t state;
        const uint16_t *next;
    } *way = lm_alloc((e->d->states + 1) * sizeof(*way));
    bool found = false;
    size_t depth = mark[root] == 0;
    way[0].state = (uint16_t)root;
    way[0].next = e->to[root];
    mark[root] = mark[root] ? mark[root] : 1;
    while (depth > 0 && !found) {
        const uint16_t state = way[depth - 1].state, next = *way[depth - 1].next++;
        if (next == 0) {
            mark[state] = 2;
            depth--;
        } else if (next == state || mark[next] != 0) {
            found = next == state ? stays : mark[next] == 1;
        } else {
            mark[next] = 1;
            way[depth].state = next;
            way[depth++].next = e->to[next];
        }
    }
    free(way);
    return found;
}

static bool is_endless(const struct steps *e)
{
    LM_FREE uint8_t *mark = lm_zalloc(e->d->states, 1);
    bool endless = false;
    for (size_t root = 1; root < e->d->states && !endless; root++)
        endless = reads_on(e, root, false, mark);
    return endless;
}

/* The same of what is looked ahead at, where nothing is remembered. */
static bool looks_on(const struct steps *e)
{
    LM_FREE uint8_t *mark = lm_zalloc(e->d->states, 1);
    bool endless = false;
    for (size_t i = 0; e->d->asks && i < e->d->asks->count && !endless; i++)
        if (e->d->asks->questions[i].kind == SPLIT_AHEAD)
            endless = reads_on(e, e->d->asks->questions[i].start, true, mark);
    return endless;
}

static enum lm_rc check(struct lm_split_dfa *d, struct lm_err *err)
{
    struct steps e = steps_make(d);
    const bool empty = e.matches[1], endless = is_endless(&e), ahead = !endless && looks_on(&e);
    steps_release(&e);
    if (empty)
        return lm_fail(err, LM_EINVAL, "it can match nothing at all");
    if (endless)
        return lm_fail(err, LM_EINVAL, "it reads ahead without bound before it knows whether it matches");
    if (ahead)
        return lm_fail(err, LM_EINVAL, "it looks ahead without bound");
    d->total = !d->asks;
    for (uint32_t symbol = 0; symbol + 1 < d->symbols; symbol++) {
        const size_t state = d->next[d->symbols + symbol] >> 1;
        for (uint32_t next = 0; next < d->symbols; next++)
            d->total &= d->next[state * d->symbols + next] & 1;
    }
    return LM_OK;
}

/* The questions of a program, for its automaton. */
static struct lm_split_asks *asks_of(const struct split_program *p, const uint64_t members[256])
{
    if (p->question_count == 0)
        return NULL;
    struct lm_split_asks *asks = lm_zalloc(1, sizeof(*asks));
    memcpy(asks->questions, p->questions, sizeof(asks->questions));
    memcpy(asks->members, members, sizeof(asks->members));
    asks->count = p->question_count;
    return asks;
}

enum lm_rc lm_split_compile(struct lm_str pattern, struct lm_split_dfa *ret, struct lm_err *err)
{
    uint64_t members[256] = { 0 };
    struct lm_split_dfa d = { 0 };
    struct split_program *p = lm_zalloc(1, sizeof(*p));
    struct builder b = { .p = p, .members = members, .d = &d };
    enum lm_rc rc = lm_split_parse(pattern, p, err);
    if (rc == LM_OK)
        rc = lm_split_classify(p, &d, members, err);
    if (rc == LM_OK) {
        b.out = lm_alloc((p->len + 1) * sizeof(*b.out));
        b.seen = lm_zalloc(p->len + 1, sizeof(*b.seen));
        b.put = lm_zalloc(p->len + 1, sizeof(*b.put));
        d.asks = asks_of(p, members);
        rc = build(&b, err);
    }
    d.states = (uint32_t)b.count;
    if (rc == LM_OK)
        rc = check(&d, err);
    for (size_t s = 0; s < b.count; s++)
        free(b.states[s].at);
    free(b.states);
    free(b.out);
    free(b.seen);
    free(b.put);
    lm_split_program_release(p);
    free(p);
    if (rc == LM_OK)
        *ret = d;
    else
        lm_split_release(&d);
    return rc;
}

void lm_split_release(struct lm_split_dfa *d)
{
    free(d->next);
    free(d->page);
    free(d->pages);
    if (d->asks)
        free(d->asks->states);
    free(d->asks);
    *d = (struct lm_split_dfa){ 0 };
}

/* ---- matching ---- */

uint32_t lm_split_symbol(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                         size_t *ret_len)
{
    *ret_len = 1;
    if (at == end)
        return d->symbols - 1;
    if (bytes)
        return d->byte[s[at]];
    if (s[at] < 128)
        return d->ascii[s[at]];
    uint32_t cp;
    *ret_len = lm_utf8_next((struct lm_str){ (const char *)s, end }, at, &cp);
    return d->pages[d->page[cp >> 8]][cp & 255];
}

/* Runs in one state since the last match. */
struct runs {
    struct {
        size_t state, from, to;
    } items[LM_SPLIT_FACTS];
    size_t len;
};

static bool is_hopeless(const struct lm_split_facts *f, const struct lm_split_dfa *d, const uint8_t *s,
                        size_t state, size_t at, size_t end)
{
    for (size_t i = 0; i < LM_SPLIT_FACTS; i++)
        if (f->items[i].dfa == d && f->items[i].text == s && f->items[i].state == state &&
            f->items[i].end == end && at >= f->items[i].from && at <= f->items[i].to)
            return true;
    return false;
}

/* The automaton stays in its state without a match; false when that is known to lead nowhere. */
static bool stay(struct runs *r, const struct lm_split_facts *f, const struct lm_split_dfa *d,
                 const uint8_t *s, size_t state, size_t at, size_t end)
{
    if (r->len > 0 && r->items[r->len - 1].state == state) {
        r->items[r->len - 1].to = at;
        return true;
    }
    if (is_hopeless(f, d, s, state, at, end))
        return false;
    if (r->len < LM_SPLIT_FACTS) {
        r->items[r->len].state = state;
        r->items[r->len].from = r->items[r->len].to = at;
        r->len++;
    }
    return true;
}

static void keep(const struct runs *r, const struct lm_split_dfa *d, const uint8_t *s, size_t end,
                 struct lm_split_facts *f)
{
    enum { WORTH = 32 };   // characters; shorter runs are read again
    for (size_t i = 0; i < r->len; i++) {
        if (r->items[i].to - r->items[i].from < WORTH)
            continue;
        f->items[f->next].dfa = d;
        f->items[f->next].text = s;
        f->items[f->next].state = r->items[i].state;
        f->items[f->next].from = r->items[i].from;
        f->items[f->next].to = r->items[i].to;
        f->items[f->next].end = end;
        f->next = (f->next + 1) % LM_SPLIT_FACTS;
    }
}

size_t lm_split_match(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                      struct lm_split_facts *facts)
{
    struct runs runs;
    size_t state = 1, last = at;
    runs.len = 0;   // and no more: clearing all would cost as much as a short match
    for (size_t pos = at, len;; pos += len) {
        const size_t arrived = state;   // before questions are answered
        if (d->asks)
            state = lm_split_ask(d, s, pos, end, bytes, state);
        if (state == 0)
            break;
        const uint16_t *row = d->next + state * d->symbols;
        const size_t start = pos;
        while (!bytes && pos < end && s[pos] < 0x80 && row[d->ascii[s[pos]]] == (2 * state | 1))
            pos++;   // as below: most of a word
        if (pos > start) {
            last = pos - 1;
            runs.len = 0;
        }
        const uint16_t step = row[lm_split_symbol(d, s, pos, end, bytes, &len)];
        if (step & 1) {
            last = pos;
            runs.len = 0;
        }
        if (step >> 1 == 0)
            break;
        if (step == 2 * arrived && !stay(&runs, facts, d, s, arrived, pos, end))
            break;
        state = step >> 1;
    }
    keep(&runs, d, s, end, facts);
    return last;
}
