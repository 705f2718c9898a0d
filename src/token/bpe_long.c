/* token/bpe_long.c - the merge list for long pieces: windows some step apart, joined where they agree.
 *
 * Let neighbouring windows both hold a token at the same place.  The tokens of the first up to it, and those
 * of the second from it on, have each been neighbours in some merged form, so together they are one
 * (bpe_wide.h).  Where two windows share no token, one between the two mostly shares some with both.  Where
 * it does not, a part of twice the length takes the place of the first; when that changes how it starts, the
 * window before it is merged again, too.  The most that can come of it is one part of all ids.
 *
 * Text that repeats itself need not be merged again and again: where tokens T1 .. Tk T1 have been neighbours,
 * any number of T1 .. Tk side by side is a merged form. */
#include "token/bpe_wide.h"

#ifdef __x86_64__

/* A longer step from one window to the next saves windows until too many do not agree: it follows from what
 * came before. */
enum { STEP_MIN = 44, STEP_START = 50, STEP_MAX = 56, STEP_CHANGE = 2 };

enum {
    BATCH = 64,   // windows merged together
    COPY = 16,    // ids copied at once
};

/* Some ids as if they were all of the text: what they become, and of how many each token is made. */
struct part {
    uint32_t *ids, *lens;
    size_t ids_cap, lens_cap, from, len, tokens;
};

/* From id `entry` on the answer, of which `out` tokens came before, is that of a part.  first_len is not 0
 * when the part follows a repetition and has to start with this token. */
struct start {
    size_t from, len, entry, out;
    uint32_t first, first_len;
};

struct joiner {
    const struct lm_bpe_wide *w;
    struct lm_bpe_scratch *s;
    const uint32_t *ids;
    size_t count, step, windows;
    size_t apart;   // windows that did not agree with the next
    uint32_t *out;
    struct start *starts;   // the last one is at work
    size_t starts_cap, last;
    struct part part, other;
    size_t first, solved;   // the windows at hand; the one before them is in front
    struct lm_bpe_window between, window[1 + BATCH];
};

static void part_room(struct part *part, size_t from, size_t len)
{
    lm_grow(&part->ids, &part->ids_cap, len, sizeof(*part->ids));
    lm_grow(&part->lens, &part->lens_cap, len, sizeof(*part->lens));
    part->from = from;
    part->len = len;
}

static void solve(struct joiner *j, size_t from, size_t len, struct part *ret)
{
    part_room(ret, from, len);
    if (len > 1 && len <= LM_BPE_WINDOW) {
        ret->tokens = lm_bpe_window_avx512(j->w, j->ids + from, len, ret->ids, ret->lens);
        return;
    }
    memcpy(ret->ids, j->ids + from, len * sizeof(*ret->ids));
    ret->tokens = lm_bpe_merge_heap(j->w->bpe, j->s, ret->ids, len, ret->lens);
}

/* The last window ends with the text. */
static size_t window_start(const struct joiner *j, size_t index)
{
    const size_t start = index * j->step, last = j->count - LM_BPE_WINDOW;
    return start < last ? start : last;
}

/* Window `index` and the one before it, if that was the last one asked for. */
static const struct lm_bpe_window *window_at(struct joiner *j, size_t index)
{
    if (index < j->first || index >= j->first + j->solved) {
        if (j->solved > 0 && index == j->first + j->solved)
            j->window[0] = j->window[j->solved];
        const size_t rest = j->windows - index;
        j->first = index;
        j->solved = rest < BATCH ? rest : BATCH;
        struct lm_bpe_job jobs[BATCH];
        for (size_t i = 0; i < j->solved; i++)
            jobs[i] = (struct lm_bpe_job){ j->ids + window_start(j, index + i), LM_BPE_WINDOW };
        lm_bpe_windows_avx512(j->w, jobs, j->solved, j->window + 1);
    }
    return &j->window[1 + index - j->first];
}

static void window_part(struct joiner *j, size_t index, struct part *ret)
{
    const struct lm_bpe_window *window = window_at(j, index);
    part_room(ret, window_start(j, index), LM_BPE_WINDOW);
    ret->tokens = 0;
    for (uint64_t left = window->starts; left & (left - 1); left &= left - 1) {
        ret->ids[ret->tokens] = window->ids[ret->tokens];
        ret->lens[ret->tokens++] =
            (uint32_t)__builtin_ctzll(left & (left - 1)) - (uint32_t)__builtin_ctzll(left);
    }
}

static void push(struct joiner *j, struct start start)
{
    lm_grow(&j->starts, &j->starts_cap, j->last + 2, sizeof(*j->starts));
    j->starts[++j->last] = start;
}

/* ---- windows that agree ---- */

/* The first place where a token starts in both and ends in both alike; 64: there is none. */
static inline unsigned agree(uint64_t a, uint64_t b)
{
    const uint64_t both = a & b;
    for (uint64_t left = a | b, rest; (rest = left & (left - 1)) != 0; left = rest)
        if ((left & -left & both) && (rest & -rest & both))
            return (unsigned)__builtin_ctzll(left);
    return 64;
}

/* Tokens of a window that start before its id `end`. */
static inline size_t tokens_before(const struct lm_bpe_window *window, size_t end)
{
    return (size_t)__builtin_popcountll(window->starts & (((uint64_t)1 << end) - 1));
}

/* Goes over from a window, at work, to one that starts at id `from`; false: they share no token. */
static bool go_over(struct joiner *j, const struct lm_bpe_window *window, const struct lm_bpe_window *next,
                    size_t from)
{
    const struct start *start = &j->starts[j->last];
    const size_t step = from - start->from;
    const uint64_t least = start->entry > from ? UINT64_MAX << (start->entry - from) : UINT64_MAX;
    const uint64_t common = (((uint64_t)2 << (LM_BPE_WINDOW - step)) - 1) & least;
    const unsigned at = agree(window->starts >> step & common, next->starts & common);
    if (at == 64)
        return false;
    const size_t first = tokens_before(window, start->entry - start->from);
    const size_t count = tokens_before(window, at + step) - first, out = start->out + count;
    if (from + at + COPY <= j->count)   // no fewer ids than tokens: room for what is copied too much
        for (size_t i = 0; i < count; i += COPY)
            memcpy(j->out + start->out + i, window->ids + first + i, COPY * sizeof(*j->out));
    else
        memcpy(j->out + start->out, window->ids + first, count * sizeof(*j->out));
    push(j, (struct start){ .from = from, .len = LM_BPE_WINDOW, .entry = from + at, .out = out });
    return true;
}

/* From window `index`, at work, to the next, which may take another window between the two. */
static bool next_window(struct joiner *j, size_t index)
{
    const struct lm_bpe_window *next = window_at(j, index + 1), *window = next - 1;
    const size_t from = window_start(j, index), to = window_start(j, index + 1), half = (from + to) / 2;
    if (go_over(j, window, next, to))
        return true;
    j->apart++;
    const struct lm_bpe_job job = { j->ids + half, LM_BPE_WINDOW };
    lm_bpe_windows_avx512(j->w, &job, 1, &j->between);
    if (!go_over(j, window, &j->between, half))
        return false;
    if (go_over(j, &j->between, next, to))
        return true;
    j->last--;
    return false;
}

/* ---- and those that do not ---- */

/* The first token, from id `least` on, that both parts have at the same place. */
static bool common_token(const struct part *a, const struct part *b, size_t least, size_t *ret)
{
    size_t i = 0, k = 0, at = a->from, bt = b->from;
    while (i < a->tokens && k < b->tokens) {
        if (at == bt && at >= least && a->lens[i] == b->lens[k]) {
            *ret = at;
            return true;
        }
        if (at <= bt)
            at += a->lens[i++];
        else
            bt += b->lens[k++];
    }
    return false;
}

static bool starts_right(const struct start *start, const struct part *part)
{
    return start->first_len == 0 || (part->ids[0] == start->first && part->lens[0] == start->first_len);
}

/* Writes the tokens of a part from the entry to id `end`; returns how many there are then. */
static size_t write_part(struct joiner *j, const struct start *start, const struct part *part, size_t end)
{
    size_t at = part->from, out = start->out;
    for (size_t i = 0; i < part->tokens && at < end; at += part->lens[i++])
        if (at >= start->entry)
            j->out[out++] = part->ids[i];
    return out;
}

/* Whether the part at work goes on where the one before it ends. */
static bool enter(struct joiner *j)
{
    struct start *start = &j->starts[j->last];
    if (j->last == 0 || start->first_len > 0)
        return starts_right(start, &j->part);
    const struct start *before = start - 1;
    solve(j, before->from, before->len, &j->other);
    if (!starts_right(before, &j->other) || !common_token(&j->other, &j->part, before->entry, &start->entry))
        return false;
    start->out = write_part(j, before, &j->other, start->entry);
    return true;
}

/* Goes over from the part at work to a window. */
static bool leave(struct joiner *j, size_t *index)
{
    const struct start *start = &j->starts[j->last];
    const size_t end = j->part.from + j->part.len;
    size_t next = (end - (LM_BPE_WINDOW - j->step)) / j->step, entry;
    next = next < j->windows ? next : j->windows - 1;
    if (window_start(j, next) <= j->part.from)
        return false;
    window_part(j, next, &j->other);
    if (!common_token(&j->part, &j->other, start->entry, &entry))
        return false;
    const size_t out = write_part(j, start, &j->part, entry);
    push(j, (struct start){ .from = j->other.from, .len = LM_BPE_WINDOW, .entry = entry, .out = out });
    *index = next;
    return true;
}

/* How many ids from `at` on are followed, `period` later, by the same. */
static size_t repeated(const struct joiner *j, size_t at, size_t period)
{
    size_t same = 0;
    while (at + same + period < j->count && j->ids[at + same] == j->ids[at + same + period])
        same++;
    return same;
}

/* When the text goes on repeating what tokens of the part at work are made of: writes them as often, and the
 * rest of the part is at work behind them. */
static bool skip_repetition(struct joiner *j)
{
    enum { TIMES_MIN = 4 };
    struct part *part = &j->part;
    const struct start *start = &j->starts[j->last];
    const size_t end = part->from + part->len;
    size_t i = 0, at = part->from, times = 0, period = 0, k;
    while (i < part->tokens && (at < start->entry || at - part->from < part->len / 3))
        at += part->lens[i++];
    for (k = i; k < part->tokens; k++) {
        if (k > i && part->ids[k] == part->ids[i]) {
            const size_t same_end = at + period + repeated(j, at, period);
            times = same_end > end ? (same_end - end) / period : 0;
            if (times >= TIMES_MIN)
                break;
        }
        period += part->lens[k];
    }
    if (k >= part->tokens)
        return false;
    size_t out = write_part(j, start, part, at);
    for (size_t n = 0; n < times; n++, out += k - i)
        memcpy(j->out + out, part->ids + i, (k - i) * sizeof(*j->out));
    part->tokens -= i;
    memmove(part->ids, part->ids + i, part->tokens * sizeof(*part->ids));
    memmove(part->lens, part->lens + i, part->tokens * sizeof(*part->lens));
    part->from = at + times * period;
    part->len = end - at;
    push(j, (struct start){ part->from, part->len, part->from, out, part->ids[0], part->lens[0] });
    return true;
}

/* From the part at work, a window, to some later window; true: to the end of the text. */
static bool bridge(struct joiner *j, size_t *index, size_t *ret_count)
{
    for (size_t want = 2 * LM_BPE_WINDOW;;) {
        struct start *start = &j->starts[j->last];
        start->len = want < j->count - start->from ? want : j->count - start->from;
        solve(j, start->from, start->len, &j->part);
        want = start->len * 2;
        if (!enter(j)) {
            want += start->from - j->starts[--j->last].from;
            continue;
        }
        (void)skip_repetition(j);
        if (leave(j, index))
            return false;
        start = &j->starts[j->last];
        if (start->from + start->len == j->count) {
            *ret_count = write_part(j, start, &j->part, j->count);
            return true;
        }
        want = start->len * 2;
    }
}

/* Whether text from a window on is long the same few ids again and again. */
static bool repeats(const struct joiner *j, size_t index)
{
    enum { PERIOD_MAX = 16, IDS = 8 * LM_BPE_WINDOW, EVERY = 8 };
    const uint32_t *ids = j->ids + window_start(j, index);
    if (index % EVERY != 0 || window_start(j, index) + IDS + PERIOD_MAX > j->count)
        return false;
    for (size_t period = 1; period <= PERIOD_MAX; period++)
        if (memcmp(ids, ids + period, IDS * sizeof(*ids)) == 0)
            return true;
    return false;
}

static size_t join(struct joiner *j)
{
    size_t index = 0, count;
    lm_grow(&j->starts, &j->starts_cap, 1, sizeof(*j->starts));
    j->starts[0] = (struct start){ .len = LM_BPE_WINDOW };
    (void)window_at(j, 0);
    while (index + 1 < j->windows) {
        if (!repeats(j, index) && next_window(j, index))
            index++;
        else if (bridge(j, &index, &count))
            return count;
    }
    window_part(j, index, &j->other);
    return write_part(j, &j->starts[j->last], &j->other, j->count);
}

/* For the next text. */
static size_t next_step(const struct joiner *j)
{
    enum { MANY = 32, FEW = 128 };   // one of so many
    if (j->apart * MANY > j->windows)
        return j->step - STEP_CHANGE < STEP_MIN ? STEP_MIN : j->step - STEP_CHANGE;
    if (j->apart * FEW < j->windows)
        return j->step + STEP_CHANGE > STEP_MAX ? STEP_MAX : j->step + STEP_CHANGE;
    return j->step;
}

size_t lm_bpe_merge_long(const struct lm_bpe_wide *w, struct lm_bpe_scratch *s, uint32_t *ids, size_t count)
{
    LM_ASSERT(count > LM_BPE_WINDOW && count < LM_TOKEN_NONE);
    struct joiner *j = lm_alloc(sizeof(*j));
    memset(j, 0, offsetof(struct joiner, between));
    LM_FREE uint32_t *copy = lm_alloc(count * sizeof(*copy));
    memcpy(copy, ids, count * sizeof(*copy));
    j->w = w;
    j->s = s;
    j->ids = copy;
    j->count = count;
    j->step = s->step ? s->step : STEP_START;
    j->windows = (count - LM_BPE_WINDOW + j->step - 1) / j->step + 1;
    j->out = ids;
    const size_t tokens = join(j);
    if (j->windows > BATCH)
        s->step = next_step(j);
    free(j->part.ids);
    free(j->part.lens);
    free(j->other.ids);
    free(j->other.lens);
    free(j->starts);
    free(j);
    return tokens;
}
#endif
