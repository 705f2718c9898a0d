#include "token/split.h"

void lm_split_free(struct lm_split *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        lm_split_release(&s->stages[i].dfa);
    free(s);
}

/* ---- one stage in a piece of the stage before ---- */

static size_t char_len(const uint8_t *s, size_t at, size_t end, bool bytes)
{
    size_t next = at + 1;
    while (!bytes && s[at] >= 0xc0 && next < end && next < at + 4 && (s[next] & 0xc0) == 0x80)
        next++;
    return next - at;
}

/* The next match from `at` on; its start is `end` when there is none. */
static void find(const struct lm_split_stage *stage, const uint8_t *s, size_t at, size_t end,
                 struct lm_split_facts *facts, size_t *ret_start, size_t *ret_end)
{
    const struct lm_split_dfa *d = &stage->dfa;
    const uint16_t *first = d->next + d->symbols;   // of state 1
    const uint8_t *symbols = stage->bytes ? d->byte : d->ascii;
    while (at < end) {
        if (!d->asks && (stage->bytes || s[at] < 0x80) &&
            first[symbols[s[at]]] < 2) {   // nothing starts here
            at++;
            continue;
        }
        const size_t match = lm_split_match(&stage->dfa, s, at, end, stage->bytes, facts);
        if (match > at) {
            *ret_start = at;
            *ret_end = match;
            return;
        }
        at += char_len(s, at, end, stage->bytes);
    }
    *ret_start = *ret_end = end;
}

/* The end of the stage's piece that starts at `at`, in the piece of the stage before: that is s to `end`. */
static size_t piece_end(const struct lm_split_stage *stage, const uint8_t *s, size_t at, size_t end,
                        struct lm_split_facts *facts)
{
    size_t start, stop;
    find(stage, s, at, end, facts, &start, &stop);
    if (start > at)   // text between matches
        return stage->behavior == LM_SPLIT_MERGED_WITH_PREVIOUS ? stop : start;
    if (stage->behavior == LM_SPLIT_ISOLATED || stage->behavior == LM_SPLIT_MERGED_WITH_PREVIOUS)
        return stop;
    size_t next_start, next_stop;
    find(stage, s, stop, end, facts, &next_start, &next_stop);
    if (stage->behavior == LM_SPLIT_MERGED_WITH_NEXT)
        return next_start > stop ? next_start : stop;
    while (next_start == stop && next_stop > stop) {
        stop = next_stop;
        find(stage, s, stop, end, facts, &next_start, &next_stop);
    }
    return stop;
}

/* ---- all stages ---- */

/* Where a scan stopped: the ends of the pieces of every stage that it is inside of.  A scan may stop in the
 * middle of a piece of an early stage, which cannot be found again from there. */
struct place {
    const struct lm_split *split;
    const char *text;
    size_t len, at;
    size_t starts[LM_SPLIT_STAGES_MAX], ends[LM_SPLIT_STAGES_MAX];
    struct lm_split_facts facts;
};
static _Thread_local struct place stopped;

static void open_pieces(const struct lm_split *split, struct lm_str text, struct place *p)
{
    const uint8_t *const s = (const uint8_t *)text.ptr;
    const size_t at = p->at;
    size_t start = 0, limit = text.len;
    for (size_t i = 0; i < split->count; i++) {
        if (p->ends[i] <= at) {
            p->starts[i] = at;
            p->ends[i] =
                start + piece_end(&split->stages[i], s + start, at - start, limit - start, &p->facts);
        }
        start = p->starts[i];
        limit = p->ends[i];
    }
}

size_t lm_split_scan(const struct lm_split *split, struct lm_str text, size_t *at, uint32_t *ret_ends,
                     size_t ends_max)
{
    LM_ASSERT(split->count > 0);
    struct place here = { .split = split, .text = text.ptr, .len = text.len, .at = *at };
    if (*at > 0 && stopped.split == split && stopped.text == text.ptr && stopped.len == text.len &&
        stopped.at == *at)
        here = stopped;
    size_t count = 0;
    while (count < ends_max && here.at < text.len) {
        open_pieces(split, text, &here);
        here.at = here.ends[split->count - 1];
        ret_ends[count++] = (uint32_t)here.at;
    }
    *at = here.at;
    stopped = here;
    return count;
}
