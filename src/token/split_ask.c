/* token/split_ask.c - what a pattern asks of a place beside the character that comes: what stands before it,
 * and whether more than one character follow.
 *
 * The automaton has a state for each answer.  A question is answered by looking at the text, a bounded number
 * of characters forwards or backwards, so that matching stays linear. */
#include "token/split_parser.h"

#include "text/text.h"

/* ---- patterns ---- */

/* Simple questions that are the same are one. */
static enum lm_rc put(struct split_parser *p, const struct split_question *q, struct node **ret)
{
    struct split_program *program = p->p;
    size_t i = 0;
    const bool simple = q->kind != SPLIT_AHEAD && q->kind != SPLIT_BEHIND;
    while (i < program->question_count &&
           !(simple && program->questions[i].kind == q->kind && program->questions[i].set == q->set))
        i++;
    if (i == SPLIT_QUESTIONS_MAX)
        return lm_split_refuse(p, "a pattern that looks around so often before what stands");
    program->questions[i] = *q;
    program->question_count += i == program->question_count;
    *ret = lm_split_node(p, ASK, NULL, NULL);
    (*ret)->set = (uint16_t)i;
    return LM_OK;
}

static enum lm_rc set_of_newline(struct split_parser *p, uint16_t *ret)
{
    static const uint32_t newline[] = { '\n' };
    return lm_split_set_of(p, newline, 1, ret);
}

/* The end, or a line end before it. */
static enum lm_rc parse_last_line(struct split_parser *p, struct node **ret)
{
    struct node *newline = lm_split_node(p, SET, NULL, NULL), *end = lm_split_node(p, LOOK, NULL, NULL);
    LM_TRY(set_of_newline(p, &newline->set));
    LM_TRY(lm_split_set_of(p, NULL, 0, &end->set));
    end->end = true;
    struct node *perhaps = lm_split_node(p, REPEAT, newline, NULL);
    perhaps->max = 1;
    return lm_split_ask_ahead(p, lm_split_node(p, JOIN, perhaps, end), ret);
}

enum lm_rc lm_split_parse_ask(struct split_parser *p, struct node **ret, bool *ret_found)
{
    static const struct {
        const char *text;
        enum split_question_kind kind;
        bool negated;
    } asks[] = { { "^", SPLIT_LINE_START, false },
                 { "\\A", SPLIT_TEXT_START, false },
                 { "\\b", SPLIT_WORD_EDGE, false },
                 { "\\B", SPLIT_WORD_EDGE, true } };
    *ret_found = lm_split_take(p, "\\Z");
    if (*ret_found)
        return parse_last_line(p, ret);
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        struct split_question q = { .kind = asks[i].kind };
        if (!lm_split_take(p, asks[i].text))
            continue;
        *ret_found = true;
        if (q.kind == SPLIT_LINE_START)
            LM_TRY(set_of_newline(p, &q.set));
        if (q.kind == SPLIT_WORD_EDGE)
            LM_TRY(lm_split_set_word(p, &q.set));
        LM_TRY(put(p, &q, ret));
        (*ret)->negated = asks[i].negated;
        return LM_OK;
    }
    return LM_OK;
}

/* ---- (?<=..): all texts that it stands for, as sets of characters ---- */

static enum lm_rc add_ways(struct split_parser *p, const struct node *n, struct split_question *q);

static enum lm_rc add_set(struct split_parser *p, uint16_t set, struct split_question *q)
{
    for (size_t i = 0; i < q->way_count; i++) {
        if (q->ways[i].len == SPLIT_BEHIND_MAX)
            return lm_split_refuse(p, "looking back at so many characters before what stands");
        q->ways[i].sets[q->ways[i].len++] = set;
    }
    return LM_OK;
}

static enum lm_rc add_either(struct split_parser *p, const struct node *n, struct split_question *q)
{
    struct split_question other = *q;
    LM_TRY(add_ways(p, n->a, q));
    LM_TRY(add_ways(p, n->b, &other));
    if (q->way_count + other.way_count > SPLIT_WAYS_MAX)
        return lm_split_refuse(p, "looking back at so many texts before what stands");
    memcpy(q->ways + q->way_count, other.ways, other.way_count * sizeof(*q->ways));
    q->way_count += other.way_count;
    return LM_OK;
}

/* ^ or \A, before all characters. */
static enum lm_rc add_start(struct split_parser *p, const struct node *n, struct split_question *q)
{
    const enum split_question_kind kind = p->p->questions[n->set].kind;
    for (size_t i = 0; i < q->way_count; i++) {
        if (n->negated || q->ways[i].len > 0 || kind == SPLIT_AHEAD || kind == SPLIT_BEHIND ||
            kind == SPLIT_WORD_EDGE)
            return lm_split_refuse(p, "looking around inside of looking back before what stands");
        q->ways[i].starts = true;
        q->ways[i].line = kind == SPLIT_LINE_START;
        q->ways[i].newline = p->p->questions[n->set].set;
    }
    return LM_OK;
}

static enum lm_rc add_ways(struct split_parser *p, const struct node *n, struct split_question *q)
{
    switch (n->kind) {
    case EMPTY:
        return LM_OK;
    case SET:
        return add_set(p, n->set, q);
    case JOIN:
        LM_TRY(add_ways(p, n->a, q));
        return add_ways(p, n->b, q);
    case EITHER:
        return add_either(p, n, q);
    case ASK:
        return add_start(p, n, q);
    case REPEAT:
        for (uint32_t i = 0; n->min == n->max && i < n->min; i++)
            LM_TRY(add_ways(p, n->a, q));
        if (n->min == n->max)
            return LM_OK;
        break;
    case LOOK:
    case ATOMIC:
        break;
    }
    return lm_split_refuse(p, "looking back at this before what stands");
}

enum lm_rc lm_split_ask_behind(struct split_parser *p, const struct node *inside, struct node **ret)
{
    struct split_question q = { .kind = SPLIT_BEHIND, .way_count = 1 };
    LM_TRY(add_ways(p, inside, &q));
    return put(p, &q, ret);
}

enum lm_rc lm_split_ask_ahead(struct split_parser *p, struct node *inside, struct node **ret)
{
    const struct split_question q = { .kind = SPLIT_AHEAD };
    LM_TRY(put(p, &q, ret));
    (*ret)->a = inside;
    return LM_OK;
}

/* ---- answers ---- */

/* The sets of the character that ends at `at`, which is not the start of the text, and where it starts. */
static uint64_t before(const struct lm_split_dfa *d, const uint8_t *s, size_t at, bool bytes,
                       size_t *ret_start)
{
    uint32_t cp;
    size_t start = at - 1, len;
    while (!bytes && start > 0 && at - start < 4 && (s[start] & 0xc0) == 0x80)
        start--;
    if (!bytes && lm_utf8_next((struct lm_str){ (const char *)s, at }, start, &cp) != at - start)
        start = at - 1;   // no UTF-8
    *ret_start = start;
    return d->asks->members[lm_split_symbol(d, s, start, at, bytes, &len)];
}

static bool line_starts(const struct lm_split_dfa *d, uint16_t newline, const uint8_t *s, size_t at,
                        size_t end, bool bytes)
{
    size_t start;
    return at == 0 || (at < end && (before(d, s, at, bytes, &start) >> newline & 1));
}

static bool has_way(const struct lm_split_dfa *d, const struct split_way *w, const uint8_t *s, size_t at,
                    size_t end, bool bytes)
{
    for (size_t i = w->len; i-- > 0;)
        if (at == 0 || !(before(d, s, at, bytes, &at) >> w->sets[i] & 1))
            return false;
    if (!w->starts)
        return true;
    return at == 0 || (w->line && line_starts(d, w->newline, s, at, end, bytes));
}

static bool is_of_word(const struct lm_split_dfa *d, uint16_t word, const uint8_t *s, size_t at, size_t end,
                       bool bytes)
{
    size_t len;
    return at < end && (d->asks->members[lm_split_symbol(d, s, at, end, bytes, &len)] >> word & 1);
}

static bool comes(const struct lm_split_dfa *d, size_t state, const uint8_t *s, size_t at, size_t end,
                  bool bytes)
{
    for (size_t len;; at += len) {
        state = lm_split_ask(d, s, at, end, bytes, state);
        if (state == 0)
            return false;
        const uint16_t step = d->next[state * d->symbols + lm_split_symbol(d, s, at, end, bytes, &len)];
        if (step & 1)
            return true;
        state = step >> 1;
    }
}

static bool answer(const struct lm_split_dfa *d, const struct split_question *q, const uint8_t *s, size_t at,
                   size_t end, bool bytes)
{
    size_t start;
    switch (q->kind) {
    case SPLIT_TEXT_START:
        return at == 0;
    case SPLIT_LINE_START:
        return line_starts(d, q->set, s, at, end, bytes);
    case SPLIT_WORD_EDGE:
        return (at > 0 && (before(d, s, at, bytes, &start) >> q->set & 1)) !=
               is_of_word(d, q->set, s, at, end, bytes);
    case SPLIT_AHEAD:
        return comes(d, q->start, s, at, end, bytes);
    case SPLIT_BEHIND:
        for (size_t i = 0; i < q->way_count; i++)
            if (has_way(d, &q->ways[i], s, at, end, bytes))
                return true;
        break;
    }
    return false;
}

size_t lm_split_ask(const struct lm_split_dfa *d, const uint8_t *s, size_t at, size_t end, bool bytes,
                    size_t state)
{
    for (uint16_t q; (q = d->asks->states[state].question) != 0;)
        state = answer(d, &d->asks->questions[q - 1], s, at, end, bytes) ? d->asks->states[state].yes
                                                                         : d->asks->states[state].no;
    return state;
}
