/* token/chain_cut.c - pre-tokenisers, one behind the other: each cuts the pieces of the one before. */
#include "token/chain.h"

#include "base/err.h"
#include "text/text.h"
#include "token/bert_tables.h"
#include "token/unicode.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

/* ---- patterns ---- */

static bool is_of(enum lm_chain_match kind, uint32_t cp)
{
    if (kind == LM_MATCH_BLANK)
        return cp < 0x80 ? cp == ' ' || (cp >= '\t' && cp <= '\r') : lm_unicode_class(cp) == LM_UCLASS_SPACE;
    if (kind == LM_MATCH_NUMBER)
        return cp < 0x80 ? cp - '0' < 10 : lm_unicode_is_digit(cp);
    return lm_bert_is_punctuation(cp);
}

/* Behind ASCII characters where no match starts, as they and the next one say. */
static size_t skip_ascii(const struct lm_split_dfa *d, struct lm_str text, size_t at)
{
    const uint8_t *s = (const uint8_t *)text.ptr;
    const uint16_t *first = d->next + d->symbols;   // of state 1
    for (; !d->asks && at < text.len && s[at] < 0x80; at++) {
        const uint16_t step = first[d->ascii[s[at]]];
        if (step < 2)
            continue;
        if (at + 1 == text.len || s[at + 1] >= 0x80 ||
            d->next[(step >> 1) * d->symbols + d->ascii[s[at + 1]]] != 0)
            break;
    }
    return at;
}

static bool find_regex(const struct lm_split_dfa *d, struct lm_str text, size_t at,
                       struct lm_split_facts *facts, size_t *ret_start, size_t *ret_end)
{
    uint32_t cp;
    for (; at < text.len; at += lm_utf8_next(text, at, &cp)) {
        at = skip_ascii(d, text, at);
        if (at == text.len)
            break;
        const size_t end = lm_split_match(d, (const uint8_t *)text.ptr, at, text.len, false, facts);
        if (end > at) {
            *ret_start = at;
            *ret_end = end;
            return true;
        }
    }
    return false;
}

static bool find_text(struct lm_str wanted, struct lm_str text, size_t at, size_t *ret_start, size_t *ret_end)
{
    const char *found = memmem(text.ptr + at, text.len - at, wanted.ptr, wanted.len);
    if (!found)
        return false;
    *ret_start = (size_t)(found - text.ptr);
    *ret_end = *ret_start + wanted.len;
    return true;
}

bool lm_chain_find(const struct lm_chain_pattern *p, struct lm_str text, size_t at,
                   struct lm_split_facts *facts, size_t *ret_start, size_t *ret_end)
{
    if (p->kind == LM_MATCH_REGEX)
        return find_regex(&p->dfa, text, at, facts, ret_start, ret_end);
    if (at == text.len)
        return false;
    if (p->kind == LM_MATCH_TEXT)
        return find_text(p->text, text, at, ret_start, ret_end);
    uint32_t cp;
    for (size_t len; at < text.len; at += len) {
        len = 1;
        cp = (uint8_t)text.ptr[at];
        if (cp >= 0x80)
            len = lm_utf8_next(text, at, &cp);
        if (!is_of(p->kind, cp) || (cp == 0xfffd && len == 1))
            continue;
        *ret_start = at;
        *ret_end = at + len;
        return true;
    }
    return false;
}

/* ---- what a step writes: pieces of `next`, which then becomes `now` ---- */

static void end_piece(struct lm_chain_pieces *p)
{
    struct lm_chain_cut_text *n = &p->next;
    if (n->text.len == (n->count ? n->ends[n->count - 1] : 0))   // empty ones are left out
        return;
    if (n->count == n->ends_cap)
        lm_grow(&n->ends, &n->ends_cap, n->count + 1, sizeof(*n->ends));
    n->ends[n->count++] = (uint32_t)n->text.len;
}

/* `source`, in the text that is cut: the bytes since `before` come from where it does, each from where the
 * byte at its place does (copied), or all from the first. */
static void trace(struct lm_chain_pieces *p, size_t before, const char *source, bool copied)
{
    struct lm_chain_cut_text *n = &p->next;
    if (!p->traced)
        return;
    lm_grow(&n->from, &n->from_cap, n->text.len, sizeof(*n->from));
    const struct lm_span *from = p->now.from + (source - p->now.text.ptr);
    for (size_t i = before; i < n->text.len; i++)
        n->from[i] = from[copied ? i - before : 0];
}

/* A word is a few bytes: mostly there is room. */
static inline void append(struct lm_buf *buf, struct lm_str text)
{
    if (buf->cap - buf->len <= text.len) {
        lm_buf_add_str(buf, text);
        return;
    }
    memcpy(buf->ptr + buf->len, text.ptr, text.len);
    buf->len += text.len;
}

static void add(struct lm_chain_pieces *p, struct lm_str text)
{
    const size_t before = p->next.text.len;
    append(&p->next.text, text);
    trace(p, before, text.ptr, true);
}

static void add_piece(struct lm_chain_pieces *p, struct lm_str piece)
{
    add(p, piece);
    end_piece(p);
}

/* Something that stands for what is at source. */
static void add_instead(struct lm_chain_pieces *p, struct lm_str text, const char *source)
{
    const size_t before = p->next.text.len;
    append(&p->next.text, text);
    trace(p, before, source, false);
}

/* ---- Split ---- */

/* Parts of a piece as they are found, matches and what lies between, merged by the behaviour. */
struct parts {
    const struct lm_chain_cut *cut;
    struct lm_chain_pieces *p;
    struct lm_str piece;
    size_t from, to;   // a part that waits for the next one
    bool waits, match;
    bool start_removed;
};

static void flush(struct parts *s)
{
    if (s->waits)
        add_piece(s->p, (struct lm_str){ s->piece.ptr + s->from, s->to - s->from });
    s->waits = false;
}

/* Whether a part joins the one that waits. */
static bool joins(const struct parts *s, bool match)
{
    if (!s->waits)
        return false;
    if (s->cut->behavior == LM_CHAIN_CONTIGUOUS)
        return s->match == match;
    if (s->cut->behavior == LM_CHAIN_MERGED_WITH_PREVIOUS)
        return match && !s->match;
    return s->cut->behavior == LM_CHAIN_MERGED_WITH_NEXT && s->match && !match;
}

static void add_part(struct parts *s, size_t from, size_t to, bool found)
{
    const bool match = found != s->cut->invert;
    if (from == to)
        return;
    if (s->cut->behavior == LM_CHAIN_REMOVED && match) {
        s->start_removed |= from == 0;
        return;
    }
    if (joins(s, match)) {
        s->to = to;
        s->match = match;
        return;
    }
    flush(s);
    s->from = from;
    s->to = to;
    s->match = match;
    s->waits = true;
}

/* False when what the piece starts with is removed. */
static bool split(const struct lm_chain_cut *cut, struct lm_str piece, struct lm_chain_pieces *p)
{
    struct parts s = { .cut = cut, .p = p, .piece = piece };
    struct lm_split_facts facts = { 0 };   // of this piece
    size_t at = 0, start, end;
    while (lm_chain_find(&cut->pattern, piece, at, &facts, &start, &end)) {
        add_part(&s, at, start, false);
        add_part(&s, start, end, true);
        at = end;
    }
    add_part(&s, at, piece.len, false);
    flush(&s);
    return !s.start_removed;
}

/* ---- the other kinds ---- */

static void prefix(const struct lm_chain_cut *cut, struct lm_str piece, bool first, struct lm_chain_pieces *p)
{
    const bool wanted = cut->prefix == LM_BLANK_ALWAYS || (cut->prefix == LM_BLANK_FIRST && first);
    if (wanted && !lm_str_starts(piece, cut->content))
        add_instead(p, cut->content, piece.ptr);
    add_piece(p, piece);
}

/* Behind a word: where a blank stands, or what stands for one. */
static inline size_t word_end(struct lm_str piece, size_t at, struct lm_str blank)
{
    for (; at < piece.len && piece.ptr[at] != ' '; at++)
        if (piece.ptr[at] == *blank.ptr &&
            lm_str_starts((struct lm_str){ piece.ptr + at, piece.len - at }, blank))
            break;
    return at;
}

static void metaspace(const struct lm_chain_cut *cut, struct lm_str piece, bool first,
                      struct lm_chain_pieces *p)
{
    const struct lm_str blank = cut->content;
    const bool wanted = cut->prefix == LM_BLANK_ALWAYS || (cut->prefix == LM_BLANK_FIRST && first);
    size_t end = word_end(piece, 0, blank);
    (void)lm_buf_space(&p->next.text, (piece.len + 1) * blank.len);   // as much as it may become
    if (wanted && end > 0)
        add_instead(p, blank, piece.ptr);
    add(p, (struct lm_str){ piece.ptr, end });
    for (size_t at = end; at < piece.len; at = end) {   // a blank and a word
        const size_t word = at + (piece.ptr[at] == *blank.ptr ? blank.len : 1);
        if (cut->split)
            end_piece(p);
        add_instead(p, blank, piece.ptr + at);
        end = word_end(piece, word, blank);
        add(p, (struct lm_str){ piece.ptr + word, end - word });
    }
    end_piece(p);
}

static void bytes(struct lm_str piece, struct lm_chain_pieces *p)
{
    const size_t step = p->traced ? 1 : piece.len;
    for (size_t at = 0; at < piece.len; at += step) {
        const size_t before = p->next.text.len;
        lm_bytes_to_text((struct lm_str){ piece.ptr + at, step }, &p->next.text);
        trace(p, before, piece.ptr + at, false);
    }
    end_piece(p);
}

static void fixed(const struct lm_chain_cut *cut, struct lm_str piece, struct lm_chain_pieces *p)
{
    uint32_t cp;
    size_t count = 0, start = 0;
    for (size_t at = 0; at < piece.len;) {
        at += lm_utf8_next(piece, at, &cp);
        if (++count < cut->length && at < piece.len)
            continue;
        add_piece(p, (struct lm_str){ piece.ptr + start, at - start });
        start = at;
        count = 0;
    }
}

/* Scripts of Unicode 9.0 as Hugging Face joins them: kana and the long vowel mark are Han, a blank goes with
 * anything but falls out at the start. */
static int script_of(uint32_t cp)
{
    static const struct {
        uint32_t cp;
        int script;
    } moved[] = {
        // to another script since
        { 0x589, USCRIPT_COMMON },
        { 0x61c, USCRIPT_COMMON },
        { 0x953, USCRIPT_DEVANAGARI },
        { 0x954, USCRIPT_DEVANAGARI },
    };
    UErrorCode code = U_ZERO_ERROR;
    if (cp < 0x80 && cp != ' ')
        return (cp | 0x20) - 'a' < 26 ? USCRIPT_LATIN : USCRIPT_COMMON;
    if (cp == ' ')
        return -1;
    if (cp == 0x30fc)
        return USCRIPT_HAN;
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++)
        if (cp == moved[i].cp)
            return moved[i].script;
    UVersionInfo age;
    u_charAge((UChar32)cp, age);
    if (age[0] == 0 || age[0] > 9)
        return -1;
    const int script = uscript_getScript((UChar32)cp, &code);
    if (script == USCRIPT_UNKNOWN)
        return -1;
    return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

/* False when the start of the piece falls out. */
static bool scripts(struct lm_str piece, struct lm_chain_pieces *p)
{
    int last = -1;
    size_t start = 0;
    uint32_t cp;
    for (size_t at = 0, len; at < piece.len; at += len) {
        len = lm_utf8_next(piece, at, &cp);
        const int script = script_of(cp);
        if (script >= 0 && script != last) {
            if (last >= 0)
                add_piece(p, (struct lm_str){ piece.ptr + start, at - start });
            start = at;
        }
        if (script >= 0)
            last = script;
    }
    if (last >= 0)
        add_piece(p, (struct lm_str){ piece.ptr + start, piece.len - start });
    return last < 0 || *piece.ptr != ' ';
}

/* Words, and runs of what is neither word nor blank; false when the piece starts with a blank. */
static bool words(struct lm_str piece, struct lm_chain_pieces *p)
{
    enum { BLANK, WORD, OTHER } last = BLANK, kind;
    uint32_t cp;
    size_t start = 0;
    for (size_t at = 0, len; at < piece.len; at += len, last = kind) {
        len = lm_utf8_next(piece, at, &cp);
        kind = is_of(LM_MATCH_BLANK, cp)                                ? BLANK
               : lm_unicode_is_word(cp) || cp == 0x200c || cp == 0x200d ? WORD
                                                                        : OTHER;
        if (at == 0 || kind == last)
            continue;
        if (last != BLANK)
            add_piece(p, (struct lm_str){ piece.ptr + start, at - start });
        start = at;
    }
    if (last != BLANK)
        add_piece(p, (struct lm_str){ piece.ptr + start, piece.len - start });
    uint32_t first = ' ';
    if (piece.len > 0)
        lm_utf8_next(piece, 0, &first);
    return !is_of(LM_MATCH_BLANK, first);
}

/* ---- the steps ---- */

static void cut_piece(const struct lm_chain_cut *cut, struct lm_str piece, bool first,
                      struct lm_chain_pieces *p)
{
    switch (cut->kind) {
    case LM_CUT_SPLIT:
        if (!split(cut, piece, p) && first)
            p->first = false;
        return;
    case LM_CUT_PREFIX:
        prefix(cut, piece, first, p);
        return;
    case LM_CUT_METASPACE:
        metaspace(cut, piece, first, p);
        return;
    case LM_CUT_BYTES:
        bytes(piece, p);
        return;
    case LM_CUT_FIXED:
        fixed(cut, piece, p);
        return;
    case LM_CUT_WORDS:
        if (!words(piece, p) && first)
            p->first = false;
        return;
    case LM_CUT_SCRIPTS:
        if (!scripts(piece, p) && first)
            p->first = false;
        return;
    }
}

static void take_next(struct lm_chain_pieces *p)
{
    const struct lm_chain_cut_text now = p->now;
    p->now = p->next;
    p->next = now;
    lm_buf_reset(&p->next.text);
    p->next.count = 0;
}

static void start(struct lm_chain_cut_text *n, struct lm_str text, const struct lm_span *from)
{
    lm_buf_reset(&n->text);
    lm_buf_add_str(&n->text, text);
    lm_grow(&n->ends, &n->ends_cap, 1, sizeof(*n->ends));
    n->ends[0] = (uint32_t)text.len;
    n->count = text.len > 0;
    if (!from || text.len == 0)
        return;
    lm_grow(&n->from, &n->from_cap, text.len, sizeof(*n->from));
    memcpy(n->from, from, text.len * sizeof(*n->from));
}

void lm_chain_cut(const struct lm_chain *c, struct lm_str text, bool first, const struct lm_span *from,
                  struct lm_chain_pieces *ret)
{
    ret->first = first;
    ret->traced = from;
    lm_buf_reset(&ret->next.text);
    ret->next.count = 0;
    start(&ret->now, text, from);
    for (size_t i = 0; i < c->cut_count; i++) {
        const struct lm_chain_cut_text *now = &ret->now;
        for (size_t k = 0, at = 0; k < now->count; at = now->ends[k++])
            cut_piece(&c->cuts[i], (struct lm_str){ now->text.ptr + at, now->ends[k] - at },
                      k == 0 && ret->first, ret);
        take_next(ret);
    }
}

static void release(struct lm_chain_cut_text *t)
{
    lm_buf_release(&t->text);
    free(t->ends);
    free(t->from);
}

void lm_chain_pieces_release(struct lm_chain_pieces *p)
{
    release(&p->now);
    release(&p->next);
    *p = (struct lm_chain_pieces){ 0 };
}
