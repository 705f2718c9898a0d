#include "infer/constraint_chars.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- sets ---- */

void lm_chars_add(struct lm_chars *c, uint32_t low, uint32_t high)
{
    LM_ASSERT(low <= high && high <= LM_CHAR_MAX);
    lm_grow(&c->ranges, &c->cap, c->count + 1, sizeof(*c->ranges));
    c->ranges[c->count++] = (struct lm_chars_range){ low, high };
}

void lm_chars_add_all(struct lm_chars *c, const struct lm_chars *other)
{
    for (size_t i = 0; i < other->count; i++)
        lm_chars_add(c, other->ranges[i].low, other->ranges[i].high);
}

static int by_low(const void *a, const void *b)
{
    const struct lm_chars_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

void lm_chars_normalize(struct lm_chars *c)
{
    if (c->count < 2)
        return;
    qsort(c->ranges, c->count, sizeof(*c->ranges), by_low);
    size_t last = 0;
    for (size_t i = 1; i < c->count; i++) {
        if (c->ranges[i].low > c->ranges[last].high + 1)
            c->ranges[++last] = c->ranges[i];
        else if (c->ranges[i].high > c->ranges[last].high)
            c->ranges[last].high = c->ranges[i].high;
    }
    c->count = last + 1;
}

void lm_chars_invert(struct lm_chars *c)
{
    lm_chars_normalize(c);
    struct lm_chars out = { 0 };
    uint32_t from = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->ranges[i].low > from)
            lm_chars_add(&out, from, c->ranges[i].low - 1);
        from = c->ranges[i].high + 1;
    }
    if (from <= LM_CHAR_MAX)
        lm_chars_add(&out, from, LM_CHAR_MAX);
    lm_chars_release(c);
    *c = out;
}

static bool has_range(const struct lm_chars *c, uint32_t low, uint32_t high)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->ranges[i].low <= low && c->ranges[i].high >= high)
            return true;
    return false;
}

uint8_t lm_chars_kinds(const struct lm_chars *c)
{
    static const struct {
        uint32_t low, high;
        uint8_t kind;
    } rows[] = {
        { 'a', 'z', LM_KIND_LOWER },      { 'A', 'Z', LM_KIND_UPPER },
        { '0', '9', LM_KIND_DIGIT },      { ' ', ' ', LM_KIND_BLANK },
        { '_', '_', LM_KIND_UNDERSCORE }, { '!', '!', LM_KIND_SIGN },
        { '#', '/', LM_KIND_SIGN },       { ':', '@', LM_KIND_SIGN },
        { '[', '[', LM_KIND_SIGN },       { ']', '^', LM_KIND_SIGN },
        { '`', '`', LM_KIND_SIGN },       { '{', 0x7f, LM_KIND_SIGN },
        { 0x80, 0xd7ff, LM_KIND_HIGH },   { 0xe000, LM_CHAR_MAX, LM_KIND_HIGH },
    };
    uint8_t kinds = LM_KINDS_PLAIN;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!has_range(c, rows[i].low, rows[i].high))
            kinds &= (uint8_t)~rows[i].kind;
    return kinds;
}

void lm_chars_release(struct lm_chars *c)
{
    free(c->ranges);
    *c = (struct lm_chars){ 0 };
}

/* ---- UTF-8 ---- */

static size_t encode(uint32_t c, uint8_t ret[4])
{
    static const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    const size_t bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = bytes; i-- > 1; c >>= 6)
        ret[i] = (uint8_t)(0x80 | (c & 0x3f));
    ret[0] = (uint8_t)(marks[bytes] | c);
    return bytes;
}

size_t lm_char_read(struct lm_str text, uint32_t *ret)
{
    static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (text.len == 0)
        return 0;
    const uint8_t *at = (const uint8_t *)text.ptr;
    const size_t bytes = at[0] < 0x80   ? 1
                         : at[0] < 0xc2 ? 0
                         : at[0] < 0xe0 ? 2
                         : at[0] < 0xf0 ? 3
                         : at[0] < 0xf5 ? 4
                                        : 0;
    if (bytes == 0 || bytes > text.len)
        return 0;
    uint32_t c = bytes == 1 ? at[0] : at[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3f);
    }
    if (c < lowest[bytes] || c > LM_CHAR_MAX || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return bytes;
}

static void mark_first(struct lm_nfa *a, uint32_t state)
{
    if (a->rc == LM_OK)
        a->states[state].first_of_char = true;
}

/* States that have been made for the set, by bytes and target, so that common endings are shared. */
struct spelling {
    struct lm_nfa *a;
    uint32_t end;
    struct {
        uint32_t next, state;
        uint8_t low, high;
    } * made;
    size_t made_count, made_cap;
    uint32_t start;   // fork over all that was added; LM_NFA_NONE: nothing yet
};

static uint32_t byte_state(struct spelling *s, uint8_t low, uint8_t high, uint32_t next)
{
    for (size_t i = 0; i < s->made_count; i++)
        if (s->made[i].low == low && s->made[i].high == high && s->made[i].next == next)
            return s->made[i].state;
    const uint32_t state = lm_nfa_add(
        s->a, (struct lm_nfa_state){ .kind = LM_NFA_RANGE, .low = low, .high = high, .next = next });
    if (s->made_count < 64) {   // more would be slow to search
        lm_grow(&s->made, &s->made_cap, s->made_count + 1, sizeof(*s->made));
        typeof(s->made) m = &s->made[s->made_count++];
        m->next = next;
        m->state = state;
        m->low = low;
        m->high = high;
    }
    return state;
}

static void add_way(struct spelling *s, uint32_t state)
{
    s->start =
        s->start == LM_NFA_NONE
            ? state
            : lm_nfa_add(s->a,
                         (struct lm_nfa_state){ .kind = LM_NFA_FORK, .next = state, .other = s->start });
}

/* Byte i of all characters between runs over low[i]..high[i], whatever the others are. */
static void add_sequence(struct spelling *s, const uint8_t *low, const uint8_t *high, size_t bytes)
{
    uint32_t state = s->end;
    for (size_t i = bytes; i-- > 0;)
        state = byte_state(s, low[i], high[i], state);
    mark_first(s->a, state);
    add_way(s, state);
}

/* Cuts a range of characters of equal length where lower bytes do not run over all values. */
static void add_range(struct spelling *s, uint32_t low, uint32_t high, size_t bytes)
{
    for (size_t tail = bytes - 1; tail > 0; tail--) {
        const uint32_t mask = (UINT32_C(1) << 6 * tail) - 1;
        if ((low & ~mask) == (high & ~mask))
            continue;
        if ((low & mask) != 0) {
            add_range(s, low, low | mask, bytes);
            add_range(s, (low | mask) + 1, high, bytes);
            return;
        }
        if ((high & mask) != mask) {
            add_range(s, low, (high & ~mask) - 1, bytes);
            add_range(s, high & ~mask, high, bytes);
            return;
        }
    }
    uint8_t first[4] = { 0 }, last[4] = { 0 };
    encode(low, first);
    encode(high, last);
    add_sequence(s, first, last, bytes);
}

static void add_long_characters(struct spelling *s, const struct lm_chars *c)
{
    static const struct lm_chars_range parts[] = {
        { 0x80, 0x7ff }, { 0x800, 0xd7ff }, { 0xe000, 0xffff }, { 0x10000, LM_CHAR_MAX }
    };
    static const size_t part_bytes[] = { 2, 3, 3, 4 };
    for (size_t i = 0; i < c->count && s->a->rc == LM_OK; i++)
        for (size_t p = 0; p < 4; p++) {
            const struct lm_chars_range r = c->ranges[i], part = parts[p];
            const uint32_t low = r.low > part.low ? r.low : part.low;
            const uint32_t high = r.high < part.high ? r.high : part.high;
            if (low <= high)
                add_range(s, low, high, part_bytes[p]);
        }
}

/* ---- fragments ---- */

static bool needs_escape(uint32_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static struct lm_frag escape(struct lm_nfa *a, uint32_t c)
{
    static const char names[][3] = { ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
                                     ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\" };
    char text[8];
    snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
    const struct lm_frag x = lm_nfa_text(a, names[c][0] ? names[c] : text);
    mark_first(a, x.start);
    return x;
}

struct lm_frag lm_char_frag(struct lm_nfa *a, uint32_t c, enum lm_spelling spelling)
{
    if (spelling == LM_SPELL_JSON && needs_escape(c))
        return escape(a, c);
    uint8_t bytes[4];
    const size_t len = encode(c, bytes);
    const struct lm_frag x = lm_nfa_bytes_frag(a, (struct lm_str){ (const char *)bytes, len });
    mark_first(a, x.start);
    return x;
}

struct lm_frag lm_chars_frag(struct lm_nfa *a, const struct lm_chars *c, enum lm_spelling spelling)
{
    struct lm_nfa_set ascii = { { 0 } };
    struct lm_frag all = lm_nfa_never(a);
    for (size_t i = 0; i < c->count; i++)
        for (uint32_t ch = c->ranges[i].low; ch < 0x80 && ch <= c->ranges[i].high; ch++) {
            if (spelling == LM_SPELL_JSON && needs_escape(ch))
                all = lm_nfa_either(a, escape(a, ch), all);
            else
                ascii.bits[ch / 64] |= UINT64_C(1) << ch % 64;
        }
    if (ascii.bits[0] || ascii.bits[1]) {
        const struct lm_frag one = lm_nfa_set(a, &ascii);
        mark_first(a, one.start);
        all = lm_nfa_either(a, one, all);
    }
    const struct lm_frag out = lm_nfa_empty(a);
    struct spelling s = { .a = a, .end = out.end, .start = LM_NFA_NONE };
    add_long_characters(&s, c);
    free(s.made);
    if (s.start == LM_NFA_NONE)
        return all;
    return lm_nfa_either(a, (struct lm_frag){ s.start, out.end }, all);
}
