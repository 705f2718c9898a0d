/* token/chain_normal.c - normalisers, one behind the other. */
#include "token/chain.h"

#include "text/text.h"
#include "token/unicode.h"
#include "token/words.h"

#include <unicode/uchar.h>

#define BLANK "\xe2\x96\x81"   // U+2581

static bool is_blank(uint32_t cp)
{
    return cp < 0x80 ? cp == ' ' || (cp >= '\t' && cp <= '\r') : lm_unicode_class(cp) == LM_UCLASS_SPACE;
}

/* ---- single characters ---- */

/* \p{M} of Unicode 9.0, which Hugging Face's normalisers know. */
static bool is_mark(uint32_t cp)
{
    UVersionInfo age;
    if (cp == 0x1cf2 || cp == 0x1cf3)   // letters since
        return true;
    if (cp < 0x300 || cp == 0x111c9 || !(U_MASK(u_charType((UChar32)cp)) & U_GC_M_MASK))
        return false;
    u_charAge((UChar32)cp, age);
    return age[0] <= 9;
}

static bool is_nmt_control(uint32_t cp)
{
    return (cp >= 1 && cp <= 8) || cp == 0x0b || (cp >= 0x0e && cp <= 0x1f) || cp == 0x7f || cp == 0x8f ||
           cp == 0x9f;
}

static bool is_nmt_blank(uint32_t cp)
{
    return cp == 9 || cp == 0x0a || cp == 0x0c || cp == 0x0d || cp == 0x1680 ||
           (cp >= 0x200b && cp <= 0x200f) || cp == 0x2028 || cp == 0x2029 || cp == 0x2581 || cp == 0xfeff;
}

static struct lm_str without_marks(struct lm_str text, struct lm_buf *buf)
{
    uint32_t cp;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        if (!is_mark(cp))
            lm_buf_add(buf, text.ptr + at, len);
    }
    return lm_buf_str(buf);
}

static struct lm_str nmt(struct lm_str text, struct lm_buf *buf)
{
    uint32_t cp;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        if (is_nmt_control(cp))
            continue;
        if (is_nmt_blank(cp) || (cp == 0xfffd && len == 3))
            lm_buf_putc(buf, ' ');
        else
            lm_buf_add(buf, text.ptr + at, len);
    }
    return lm_buf_str(buf);
}

static struct lm_str stripped(const struct lm_chain_normal *n, struct lm_str text)
{
    uint32_t cp;
    for (size_t len; n->left && text.len > 0; text = (struct lm_str){ text.ptr + len, text.len - len }) {
        len = lm_utf8_next(text, 0, &cp);
        if (!is_blank(cp))
            break;
    }
    while (n->right && text.len > 0) {
        size_t start = text.len - 1;
        while (start > 0 && text.len - start < 4 && ((uint8_t)text.ptr[start] & 0xc0) == 0x80)
            start--;
        if (lm_utf8_next(text, start, &cp) != text.len - start || !is_blank(cp))
            break;
        text.len = start;
    }
    return text;
}

/* ---- patterns ---- */

/* first: whether the text still starts where it did.  A match that is replaced by something starts where its
 * last character was. */
static struct lm_str replaced(const struct lm_chain_normal *n, struct lm_str text, bool *first,
                              struct lm_buf *buf)
{
    struct lm_split_facts facts = { 0 };
    size_t at = 0, start, end;
    while (lm_chain_find(&n->pattern, text, at, &facts, &start, &end)) {
        if (start == 0 && (n->content.len == 0 || lm_utf8_count((struct lm_str){ text.ptr, end }) > 1))
            *first = false;
        lm_buf_add(buf, text.ptr + at, start - at);
        lm_buf_add_str(buf, n->content);
        at = end;
    }
    if (at == 0)
        return text;
    lm_buf_add(buf, text.ptr + at, text.len - at);
    return lm_buf_str(buf);
}

/* ---- sentencepiece's own ---- */

/* What stands at text[at..): a text that is kept, what the map makes of it, or a character. */
static struct lm_str next_part(const struct lm_chain_normal *n, struct lm_str text, size_t at,
                               size_t *ret_len)
{
    const struct lm_str rest = { text.ptr + at, text.len - at };
    struct lm_str part;
    uint32_t cp;
    if (n->kept.nodes && lm_trie_longest(&n->kept, text, at, ret_len) != LM_TRIE_NONE)
        return (struct lm_str){ rest.ptr, *ret_len };
    if (n->map.units && lm_charsmap_longest(&n->map, rest, &part, ret_len))
        return part;
    *ret_len = lm_utf8_next(text, at, &cp);
    return (struct lm_str){ rest.ptr, *ret_len };
}

static void add_with_blanks(struct lm_str part, struct lm_buf *buf)
{
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] == ' ')
            lm_buf_puts(buf, BLANK);
        else
            lm_buf_putc(buf, part.ptr[i]);
    }
}

/* The characters of a part come from all that it was made of; a blank before the text from the first part. */
static void trace_part(struct lm_trace *t, bool blank_before, struct lm_str part, struct lm_str old)
{
    const size_t count = t->move_count;
    uint32_t cp;
    if (part.len == 0) {
        lm_trace_drop(t, lm_utf8_count(old));
        return;
    }
    if (blank_before && count == 0)
        lm_trace_put(t, sizeof(BLANK) - 1, 0);
    for (size_t at = 0, len; at < part.len; at += len) {
        len = lm_utf8_next(part, at, &cp);
        lm_trace_put(t, cp == ' ' ? sizeof(BLANK) - 1 : len, 0);
    }
    for (size_t i = count; i < t->move_count; i++)
        t->moves[i].of = i == count ? LM_TRACE_ALL : LM_TRACE_SAME;
    t->moves[count].olds = (uint32_t)lm_utf8_count(old);
}

static struct lm_str sentencepiece(const struct lm_chain_normal *n, struct lm_str text, struct lm_buf *buf,
                                   struct lm_trace *trace)
{
    size_t at = 0, len;
    for (; n->right && at < text.len; at += len)
        if (!lm_str_eq(next_part(n, text, at, &len), LM_STR(" ")))
            break;
    if (at == text.len)
        return (struct lm_str){ "", 0 };
    if (trace)
        lm_trace_drop(trace, lm_utf8_count((struct lm_str){ text.ptr, at }));
    if (n->left)
        lm_buf_puts(buf, BLANK);
    const bool fast = n->map.units && !n->kept.nodes && !trace;
    for (bool blank_before = n->right; at < text.len; at += len) {
        if (fast) {   // words that stay what they are
            const size_t end = lm_charsmap_alone(&n->map, text, at);
            lm_buf_add(buf, text.ptr + at, end - at);
            blank_before &= end == at;
            at = end;
            if (at == text.len)
                break;
            if (text.ptr[at] == ' ' && n->map.alone[' '] &&
                (at + 1 == text.len || (uint8_t)text.ptr[at + 1] < 0x80)) {
                if (!blank_before)
                    lm_buf_add(buf, BLANK, sizeof(BLANK) - 1);
                blank_before = n->right;
                len = 1;
                continue;
            }
        }
        struct lm_str part = next_part(n, text, at, &len);
        while (blank_before && part.len > 0 && *part.ptr == ' ')
            part = (struct lm_str){ part.ptr + 1, part.len - 1 };
        if (part.len > 0) {
            add_with_blanks(part, buf);
            blank_before = part.ptr[part.len - 1] == ' ';
        }
        blank_before = blank_before && n->right;
        if (trace)
            trace_part(trace, n->left, part, (struct lm_str){ text.ptr + at, len });
    }
    while (n->right && lm_str_ends(lm_buf_str(buf), LM_STR(BLANK))) {
        buf->len -= sizeof(BLANK) - 1;
        if (trace && trace->move_count > 0)
            trace->move_count--;
    }
    return lm_buf_str(buf);
}

/* ---- the steps ---- */

struct lm_str lm_chain_step(const struct lm_chain_normal *n, struct lm_str text, bool *first,
                            struct lm_buf *buf, struct lm_trace *trace)
{
    lm_buf_reset(buf);
    switch (n->kind) {
    case LM_NORMAL_FORM:
        return n->form == LM_FORM_NFC ? lm_token_nfc(text, buf) : lm_token_form(n->form, text, buf);
    case LM_NORMAL_BERT:
        return lm_words_normal(&n->rules, text, buf);
    case LM_NORMAL_STRIP: {
        const struct lm_str rest = stripped(n, text);
        *first &= rest.ptr == text.ptr;
        return rest;
    }
    case LM_NORMAL_ACCENTS:
        return without_marks(text, buf);
    case LM_NORMAL_NMT:
        return nmt(text, buf);
    case LM_NORMAL_BYTES:
        lm_bytes_to_text(text, buf);
        return lm_buf_str(buf);
    case LM_NORMAL_PREPEND:
        if (text.len > 0) {
            lm_buf_add_str(buf, n->content);
            lm_buf_add_str(buf, text);
        }
        return lm_buf_str(buf);
    case LM_NORMAL_REPLACE:
        return replaced(n, text, first, buf);
    case LM_NORMAL_CHARSMAP:
        return lm_charsmap_graphemes(&n->map, text, buf);
    case LM_NORMAL_SENTENCEPIECE:
        return sentencepiece(n, text, buf, trace);
    }
    return text;
}

/* Whether the first character of the text falls out, by itself. */
static bool loses_start(const struct lm_chain_normal *n, struct lm_str text)
{
    uint32_t cp;
    struct lm_buf buf = { .ptr = NULL };
    if (text.len == 0 ||
        (n->kind != LM_NORMAL_BERT && n->kind != LM_NORMAL_ACCENTS && n->kind != LM_NORMAL_NMT))
        return false;
    const struct lm_str c = { text.ptr, lm_utf8_next(text, 0, &cp) };
    bool same = true;
    const bool lost = lm_chain_step(n, c, &same, &buf, NULL).len == 0;
    lm_buf_release(&buf);
    return lost;
}

static bool holds(const struct lm_buf *buf, struct lm_str text)
{
    return buf->ptr && text.ptr >= buf->ptr && text.ptr <= buf->ptr + buf->len;
}

struct lm_str lm_chain_normal(const struct lm_chain *c, struct lm_str text, bool *first, struct lm_buf *buf,
                              struct lm_trace *trace)
{
    struct lm_buf other = { 0 };
    for (size_t i = 0; i < c->normal_count; i++) {
        if (*first && loses_start(&c->normals[i], text))
            *first = false;
        const struct lm_str made =
            lm_chain_step(&c->normals[i], text, first, holds(buf, text) ? &other : buf, trace);
        if (trace)
            lm_chain_trace(&c->normals[i], text, made, trace);
        text = made;
    }
    if (holds(&other, text)) {   // the two change places
        const struct lm_buf kept = *buf;
        *buf = other;
        other = kept;
    }
    lm_buf_release(&other);
    return text;
}
