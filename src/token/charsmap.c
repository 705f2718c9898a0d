#include "token/charsmap.h"

#include "text/text.h"

#include <unicode/uchar.h>

/* ---- units ---- */

static uint32_t label_of(uint32_t unit)   // of a value: none that a byte has
{
    return unit & (UINT32_C(1) << 31 | 0xff);
}

static bool has_value(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t distance_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & UINT32_C(1) << 9) >> 6);
}

/* ---- loading ---- */

struct walk {
    const struct lm_charsmap *m;
    bool *seen;
    uint32_t *pending;   // places of children: each unit is looked at once, so [count] is enough
    size_t len;
};

/* What hangs below a unit whose children are at `place`; false: the trie is broken. */
static bool check_children(struct walk *w, uint32_t place)
{
    for (uint32_t byte = 1; byte < 256; byte++) {
        const size_t at = place ^ byte;
        if (at >= w->m->count || label_of(w->m->units[at]) != byte)
            continue;
        const uint32_t below = (uint32_t)at ^ distance_of(w->m->units[at]);
        if (w->seen[at])   // keys share their ends
            continue;
        w->seen[at] = true;
        w->pending[w->len++] = below;
        if (!has_value(w->m->units[at]))
            continue;
        if (below >= w->m->count || w->m->units[below] >> 31 == 0 ||
            (w->m->units[below] & INT32_MAX) >= w->m->texts_len)
            return false;
    }
    return true;
}

/* Whether every unit with a value, reachable or not, has one that is there: mostly so, and soon seen. */
static bool has_values(const struct lm_charsmap *m)
{
    bool good = true;
    for (size_t at = 0; at < m->count && good; at++) {
        const uint32_t unit = m->units[at];
        const size_t below = at ^ distance_of(unit);
        if (unit >> 31 == 0 && has_value(unit))
            good = below < m->count && m->units[below] >> 31 && (m->units[below] & INT32_MAX) < m->texts_len;
    }
    return good;
}

static bool is_sound(const struct lm_charsmap *m)
{
    if (has_values(m))
        return true;
    LM_FREE bool *seen = lm_zalloc(m->count, sizeof(*seen));
    LM_FREE uint32_t *pending = lm_zalloc(m->count + 1, sizeof(*pending));
    struct walk w = { .m = m, .seen = seen, .pending = pending };
    if (m->count == 0)
        return true;
    w.pending[w.len++] = distance_of(m->units[0]);
    while (w.len > 0)
        if (!check_children(&w, w.pending[--w.len]))
            return false;
    return true;
}

static bool find(const struct lm_charsmap *m, struct lm_str s, bool longest, struct lm_str *ret,
                 size_t *ret_len);

/* Whether a key starts with both, or is the first. */
static bool starts_key(const struct lm_charsmap *m, unsigned first, unsigned second)
{
    const char text[] = { (char)first, (char)second };
    struct lm_str become;
    size_t len, place = m->count ? distance_of(m->units[0]) : 0;
    if (find(m, (struct lm_str){ text, 1 }, false, &become, &len))
        return true;
    for (size_t i = 0; i < 2; i++) {
        place ^= (uint8_t)text[i];
        if (text[i] == 0 || place >= m->count || label_of(m->units[place]) != (uint8_t)text[i])
            return false;
        place ^= distance_of(m->units[place]);
    }
    return true;
}

static void find_plain(struct lm_charsmap *m)
{
    for (unsigned c = 0; c < 0x80; c++) {
        const char text[] = { (char)c };
        struct lm_str become;
        size_t len;
        m->plain[c] = c != '\r' && !find(m, (struct lm_str){ text, 1 }, false, &become, &len);
        m->alone[c] = m->plain[c];
        for (unsigned next = 0; next < 0x80; next++)
            m->alone[c] &= !starts_key(m, c, next);
    }
}

enum lm_rc lm_charsmap_load(struct lm_str blob, struct lm_charsmap *ret, struct lm_err *err)
{
    const uint8_t *b = (const uint8_t *)blob.ptr;
    const size_t bytes =
        blob.len < 4 ? 0 : b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
    if (blob.len < 4 || bytes % 4 != 0 || bytes > blob.len - 4)
        return lm_fail(err, LM_EFORMAT, "the precompiled_charsmap is cut off: its trie has %zu bytes of %zu",
                       bytes, blob.len);
    struct lm_charsmap m = { .count = bytes / 4, .texts_len = blob.len - 4 - bytes };
    if (m.texts_len == 0 || blob.ptr[blob.len - 1] != 0)
        return lm_fail(err, LM_EFORMAT, "the precompiled_charsmap does not end with NUL");
    m.units = lm_alloc((m.count + 1) * sizeof(*m.units));
    for (size_t i = 0; i < m.count; i++) {
        const uint8_t *u = b + 4 + 4 * i;
        m.units[i] = u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
    }
    m.texts = lm_memdup(blob.ptr + 4 + bytes, m.texts_len);
    if (!is_sound(&m)) {
        lm_charsmap_release(&m);
        return lm_fail(err, LM_EFORMAT, "the trie of the precompiled_charsmap is broken");
    }
    find_plain(&m);
    *ret = m;
    return LM_OK;
}

void lm_charsmap_release(struct lm_charsmap *m)
{
    free(m->units);
    free(m->texts);
    *m = (struct lm_charsmap){ 0 };
}

/* ---- look-up ---- */

static bool find(const struct lm_charsmap *m, struct lm_str s, bool longest, struct lm_str *ret,
                 size_t *ret_len)
{
    bool found = false;
    size_t place = m->count ? distance_of(m->units[0]) : 0;
    for (size_t i = 0; i < s.len; i++) {
        const uint8_t byte = (uint8_t)s.ptr[i];
        place ^= byte;
        if (byte == 0 || place >= m->count || label_of(m->units[place]) != byte)
            break;
        const uint32_t unit = m->units[place];
        place ^= distance_of(unit);
        if (!has_value(unit))
            continue;
        const char *text = m->texts + (m->units[place] & INT32_MAX);
        *ret = (struct lm_str){ text, strlen(text) };
        *ret_len = i + 1;
        found = true;
        if (!longest)
            break;
    }
    return found;
}

bool lm_charsmap_shortest(const struct lm_charsmap *m, struct lm_str s, struct lm_str *ret)
{
    size_t len;
    return find(m, s, false, ret, &len);
}

bool lm_charsmap_longest(const struct lm_charsmap *m, struct lm_str s, struct lm_str *ret, size_t *ret_len)
{
    return find(m, s, true, ret, ret_len);
}

/* ---- graphemes (UAX #29) ---- */

/* What the boundary behind a character depends on. */
struct before {
    int kind;              // Grapheme_Cluster_Break
    bool pictograph;       // ExtPict Extend*
    bool pictograph_zwj;   // ... ZWJ
    bool odd_flags;        // an odd number of regional indicators
};

static bool is_control(int kind)
{
    return kind == U_GCB_CONTROL || kind == U_GCB_CR || kind == U_GCB_LF;
}

static bool goes_on(const struct before *b, int kind, bool pictograph)
{
    if (b->kind == U_GCB_CR && kind == U_GCB_LF)
        return true;
    if (is_control(b->kind) || is_control(kind))
        return false;
    if (b->kind == U_GCB_L && (kind == U_GCB_L || kind == U_GCB_V || kind == U_GCB_LV || kind == U_GCB_LVT))
        return true;
    if ((b->kind == U_GCB_LV || b->kind == U_GCB_V) && (kind == U_GCB_V || kind == U_GCB_T))
        return true;
    if ((b->kind == U_GCB_LVT || b->kind == U_GCB_T) && kind == U_GCB_T)
        return true;
    if (kind == U_GCB_EXTEND || kind == U_GCB_ZWJ || kind == U_GCB_SPACING_MARK || b->kind == U_GCB_PREPEND)
        return true;
    if (b->pictograph_zwj && pictograph)
        return true;
    return b->odd_flags && kind == U_GCB_REGIONAL_INDICATOR;
}

static struct before behind(const struct before *b, int kind, bool pictograph)
{
    return (struct before){
        .kind = kind,
        .pictograph = pictograph || (b->pictograph && kind == U_GCB_EXTEND),
        .pictograph_zwj = b->pictograph && kind == U_GCB_ZWJ,
        .odd_flags = kind == U_GCB_REGIONAL_INDICATOR && !b->odd_flags,
    };
}

/* Where the grapheme that starts at `at` ends. */
static size_t grapheme_end(struct lm_str text, size_t at)
{
    struct before b = { .kind = -1 };
    size_t end = at;
    while (end < text.len) {
        uint32_t cp;
        const size_t len = lm_utf8_next(text, end, &cp);
        if (cp >= 0x20 && cp < 0x7f && b.kind == U_GCB_OTHER)   // most text
            break;
        const int kind = u_getIntPropertyValue((UChar32)cp, UCHAR_GRAPHEME_CLUSTER_BREAK);
        const bool pictograph = cp >= 0x80 && u_hasBinaryProperty((UChar32)cp, UCHAR_EXTENDED_PICTOGRAPHIC);
        if (end > at && !goes_on(&b, kind, pictograph))
            break;
        b = behind(&b, kind, pictograph);
        end += len;
    }
    return end;
}

bool lm_charsmap_next(const struct lm_charsmap *m, struct lm_charsmap_walk *w)
{
    enum { WHOLE_MAX = 5 };   // bytes
    const size_t at = w->at;
    if (at == w->text.len)
        return false;
    if (at == w->end) {
        w->end = grapheme_end(w->text, at);
        w->old = (struct lm_str){ w->text.ptr + at, w->end - at };
        w->at = w->end;
        if (w->old.len <= WHOLE_MAX && lm_charsmap_shortest(m, w->old, &w->made))
            return true;
    }
    uint32_t cp;
    w->old = (struct lm_str){ w->text.ptr + at, lm_utf8_next(w->text, at, &cp) };
    w->at = at + w->old.len;
    if (!lm_charsmap_shortest(m, w->old, &w->made))
        w->made = w->old;
    return true;
}

/* The last one may belong to what is not ASCII behind it. */
static size_t before_others(struct lm_str text, size_t start, size_t at)
{
    return at > start && at < text.len && (uint8_t)text.ptr[at] >= 0x80 ? at - 1 : at;
}

size_t lm_charsmap_plain(const struct lm_charsmap *m, struct lm_str text, size_t at)
{
    const size_t start = at;
    while (at < text.len && m->plain[(uint8_t)text.ptr[at]])
        at++;
    return before_others(text, start, at);
}

size_t lm_charsmap_alone(const struct lm_charsmap *m, struct lm_str text, size_t at)
{
    const size_t start = at;
    while (at < text.len && text.ptr[at] != ' ' && m->alone[(uint8_t)text.ptr[at]])
        at++;
    return before_others(text, start, at);
}

struct lm_str lm_charsmap_graphemes(const struct lm_charsmap *m, struct lm_str text, struct lm_buf *buf)
{
    struct lm_charsmap_walk walk = { .text = text };
    lm_buf_reset(buf);
    do {
        if (walk.at == walk.end) {
            walk.end = lm_charsmap_plain(m, text, walk.at);
            lm_buf_add(buf, text.ptr + walk.at, walk.end - walk.at);
            walk.at = walk.end;
        }
        if (!lm_charsmap_next(m, &walk))
            break;
        lm_buf_add_str(buf, walk.made);
    } while (true);
    return lm_buf_str(buf);
}
