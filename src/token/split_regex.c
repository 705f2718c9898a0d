/* token/split_regex.c - a program as a finite automaton whose states are ordered lists of places in it.
 *
 * The order is the priority of a backtracking engine (R. Cox, Regular Expression Matching: the Virtual
 * Machine Approach, 2009): when a place with a match is reached, all behind it is given up.  A match is noted
 * on the step that reads the next character, so that looking one character ahead costs nothing. */
#include "token/split_regex.h"

#include "text/text.h"

struct list {
    uint16_t *at;
    size_t len;
};

struct builder {
    const struct split_program *p;
    const uint64_t *members;
    struct lm_split_dfa *d;
    struct list *states;
    size_t count, cap, next_cap;
    uint16_t *out;   // the list being made
    size_t out_len;
    uint32_t *seen, *put;   // [program] = turn when reached, when put into out
    uint32_t turn;
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
        if (b->seen[pc] == b->turn)
            continue;
        b->seen[pc] = b->turn;
        const struct split_inst *i = &b->p->code[pc];
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
        } else if (symbol < b->d->symbols - 1 && (b->members[symbol] >> i->set & 1) &&
                   b->put[i->to] != b->turn) {
            b->put[i->to] = b->turn;
            b->out[b->out_len++] = i->to;
        }
    }
    return false;
}

static uint16_t state_of(struct builder *b, const uint16_t *at, size_t len)
{
    if (len == 0)
        return 0;
    for (size_t s = 1; s < b->count; s++)
        if (b->states[s].len == len && memcmp(b->states[s].at, at, len * sizeof(*at)) == 0)
            return (uint16_t)s;
    lm_grow(&b->states, &b->cap, b->count + 1, sizeof(*b->states));
    b->states[b->count] = (struct list){ lm_memdup(at, len * sizeof(*at)), len };
    return (uint16_t)b->count++;
}

static enum lm_rc build(struct builder *b, struct lm_err *err)
{
    b->count = 1;   // state 0 is the end
    lm_grow(&b->states, &b->cap, 1, sizeof(*b->states));
    b->states[0] = (struct list){ 0 };
    state_of(b, &b->p->start, 1);
    for (size_t s = 0; s < b->count; s++) {
        if (b->count > SPLIT_STATES_MAX)
            return lm_fail(err, LM_EINVAL, "it needs more than %d states", SPLIT_STATES_MAX);
        lm_grow(&b->d->next, &b->next_cap, (s + 1) * b->d->symbols, sizeof(*b->d->next));
        for (uint32_t symbol = 0; symbol < b->d->symbols; symbol++) {
            bool match = false;
            b->turn++;
            b->out_len = 0;
            for (size_t i = 0; !match && i < b->states[s].len; i++)
                match = follow(b, b->states[s].at[i], symbol);
            b->d->next[s * b->d->symbols + symbol] = (uint16_t)(2 * state_of(b, b->out, b->out_len) + match);
        }
    }
    return LM_OK;
}

/* ---- what must hold ---- */

/* Depth first over steps without a match; 1: on the way, 2: done.  A way that comes back to itself could read
 * on and on and then match nothing of it; only when it stays in one state do lm_split_facts help. */
static bool reads_on(const struct lm_split_dfa *d, uint8_t *mark, size_t count)
{
    struct {
        uint16_t state;
        uint32_t symbol;
    } *way = lm_alloc((count + 1) * sizeof(*way));
    bool found = false;
    for (uint16_t root = 1; root < count && !found; root++) {
        size_t depth = 0;
        if (mark[root] != 0)
            continue;
        way[depth].state = root;
        way[depth++].symbol = 0;
        mark[root] = 1;
        while (depth > 0 && !found) {
            const uint16_t state = way[depth - 1].state;
            if (way[depth - 1].symbol == d->symbols) {
                mark[state] = 2;
                depth--;
                continue;
            }
            const uint16_t step = d->next[state * d->symbols + way[depth - 1].symbol++];
            const uint16_t next = step >> 1;
            if ((step & 1) || next == 0 || next == state || mark[next] == 2)
                continue;
            found = mark[next] == 1;
            mark[next] = 1;
            way[depth].state = next;
            way[depth++].symbol = 0;
        }
    }
    free(way);
    return found;
}

static enum lm_rc check(struct lm_split_dfa *d, size_t count, struct lm_err *err)
{
    for (uint32_t symbol = 0; symbol < d->symbols; symbol++)
        if (d->next[d->symbols + symbol] & 1)
            return lm_fail(err, LM_EINVAL, "it can match nothing at all");
    uint8_t *mark = lm_zalloc(count, 1);
    const bool endless = reads_on(d, mark, count);
    free(mark);
    if (endless)
        return lm_fail(err, LM_EINVAL, "it reads ahead without bound before it knows whether it matches");
    d->total = true;
    for (uint32_t symbol = 0; symbol + 1 < d->symbols; symbol++) {
        const size_t state = d->next[d->symbols + symbol] >> 1;
        for (uint32_t next = 0; next < d->symbols; next++)
            d->total &= d->next[state * d->symbols + next] & 1;
    }
    return LM_OK;
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
        rc = build(&b, err);
    }
    d.states = (uint32_t)b.count;
    if (rc == LM_OK)
        rc = check(&d, b.count, err);
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
    *d = (struct lm_split_dfa){ 0 };
}

/* ---- matching ---- */

static uint32_t symbol_at(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
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

static bool is_hopeless(const struct lm_split_facts *f, const struct lm_split_dfa *d, size_t state, size_t at,
                        size_t end)
{
    for (size_t i = 0; i < LM_SPLIT_FACTS; i++)
        if (f->items[i].dfa == d && f->items[i].state == state && f->items[i].end == end &&
            at >= f->items[i].from && at <= f->items[i].to)
            return true;
    return false;
}

/* The automaton stays in its state without a match; false when that is known to lead nowhere. */
static bool stay(struct runs *r, const struct lm_split_facts *f, const struct lm_split_dfa *d, size_t state,
                 size_t at, size_t end)
{
    if (r->len > 0 && r->items[r->len - 1].state == state) {
        r->items[r->len - 1].to = at;
        return true;
    }
    if (is_hopeless(f, d, state, at, end))
        return false;
    if (r->len < LM_SPLIT_FACTS) {
        r->items[r->len].state = state;
        r->items[r->len].from = r->items[r->len].to = at;
        r->len++;
    }
    return true;
}

static void keep(const struct runs *r, const struct lm_split_dfa *d, size_t end, struct lm_split_facts *f)
{
    enum { WORTH = 32 };   // characters; shorter runs are read again
    for (size_t i = 0; i < r->len; i++) {
        if (r->items[i].to - r->items[i].from < WORTH)
            continue;
        f->items[f->next].dfa = d;
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
        const uint16_t *row = d->next + state * d->symbols;
        const size_t start = pos;
        while (!bytes && pos < end && s[pos] < 0x80 && row[d->ascii[s[pos]]] == (2 * state | 1))
            pos++;   // as below: most of a word
        if (pos > start) {
            last = pos - 1;
            runs.len = 0;
        }
        const uint16_t step = row[symbol_at(d, s, pos, end, bytes, &len)];
        if (step & 1) {
            last = pos;
            runs.len = 0;
        }
        if (step >> 1 == 0)
            break;
        if (step == 2 * state && !stay(&runs, facts, d, state, pos, end))
            break;
        state = step >> 1;
    }
    keep(&runs, d, end, facts);
    return last;
}
