#include "token/spans.h"

#include "text/text.h"
#include "token/pieces.h"
#include "token/words.h"

/* ---- from normalised bytes to characters of the text ---- */

/* One of its characters becomes the normalised bytes from `at` on. */
static size_t come_from(struct lm_span_work *w, size_t at, size_t count, struct lm_span character)
{
    for (size_t i = 0; i < count && at + i < w->normal.len; i++)
        w->origin[at + i] = character;
    return at + count;
}

/* Blanks are left out at the ends and in rows (trim), U+2581 is written as one byte, and a blank may stand in
 * front, which came from the first character. */
static void align_pieces(struct lm_span_work *w, struct lm_str part)
{
    static const char blank[] = "\xe2\x96\x81";
    const bool trim = w->t->pieces.trim;
    size_t made = 0, mapped = 0;
    for (int pass = 0; pass < 2; pass++) {   // how much there is without a prefix; then all of it
        bool row = trim, first = true;       // row: a blank now would be one too many
        made = pass ? w->normal.len - (mapped < w->normal.len ? mapped : w->normal.len) : 0;
        for (size_t at = 0, len; at < part.len; at += len) {
            uint32_t cp;
            len = lm_utf8_next(part, at, &cp);
            const struct lm_span character = { w->part + at, w->part + at + len };
            const bool is_blank =
                lm_str_starts((struct lm_str){ part.ptr + at, part.len - at }, lm_str(blank));
            const size_t bytes = is_blank ? 1 : len;
            if (row && part.ptr[at] == ' ') {
                if (pass && made > 0 && !first)
                    w->origin[made - 1] = character;
                continue;
            }
            if (pass && first)
                come_from(w, 0, made, character);
            if (pass && made + bytes <= w->normal.len)   // blanks at the end are not there any more
                come_from(w, made, bytes, character);
            made += bytes;
            first = false;
            row = trim && part.ptr[at] == ' ';
        }
        for (size_t end = part.len; trim && !pass && made > 0 && end > 0;) {   // they do not count
            const struct lm_str rest = { part.ptr, end };
            const size_t len = part.ptr[end - 1] == ' ' ? 1 : lm_str_ends(rest, lm_str(blank)) ? 3 : 0;
            if (len == 0)
                break;
            made -= len == 3 || end < 2 || part.ptr[end - 2] != ' ';
            end -= len;
        }
        mapped = pass ? mapped : made;
    }
}

/* ---- normal forms ----
 *
 * Hugging Face notes of each new character how many old ones it is for: 1 + n characters become one that n
 * compose with, and all parts of a character but the first are for none.  So parts are counted: all old
 * characters decomposed, each new one decomposed into such parts. */

struct form_part {
    uint32_t cp;
    bool first, used;   // first: of its old character
};

enum {
    CLUSTER_MAX = 128
};   // parts between two places where nothing composes; of more the first are counted

static size_t decompose(enum lm_normal_form form, struct lm_str character, struct lm_buf *buf,
                        struct form_part *parts, size_t count)
{
    const bool compatible = form == LM_FORM_NFKC || form == LM_FORM_NFKD;
    const struct lm_str normal = lm_token_form(compatible ? LM_FORM_NFKD : LM_FORM_NFD, character, buf);
    for (size_t at = 0; at < normal.len && count < CLUSTER_MAX; count++) {
        parts[count] = (struct form_part){ .first = at == 0 };
        at += lm_utf8_next(normal, at, &parts[count].cp);
    }
    return count;
}

/* Old characters that a new one is for, of those whose parts these are: marks its parts as used. */
static size_t stands_for(enum lm_normal_form form, struct lm_str character, struct lm_buf *buf,
                         struct form_part *parts, size_t count)
{
    struct form_part own[CLUSTER_MAX];
    size_t firsts = 0;
    const size_t own_count = decompose(form, character, buf, own, 0);
    for (size_t k = 0; k < own_count; k++)
        for (size_t i = 0; i < count; i++)
            if (!parts[i].used && parts[i].cp == own[k].cp) {
                parts[i].used = true;
                firsts += parts[i].first;
                break;
            }
    return firsts;
}

/* A cluster: text between two places where nothing composes.  Returns where its normal form ends. */
static size_t align_cluster(struct lm_span_work *w, struct lm_str part, size_t at, size_t end, size_t made,
                            struct lm_buf buf[2])
{
    const enum lm_normal_form form = w->t->form;
    struct form_part parts[CLUSTER_MAX];
    size_t count = 0, len;
    uint32_t cp;
    for (size_t i = at; i < end; i += len) {
        len = lm_utf8_next(part, i, &cp);
        count = decompose(form, (struct lm_str){ part.ptr + i, len }, &buf[0], parts, count);
    }
    const struct lm_str normal = lm_token_form(form, (struct lm_str){ part.ptr + at, end - at }, &buf[1]);
    struct lm_span from = { w->part + at, w->part + at };   // the old character before
    for (size_t i = 0; i < normal.len; i += len) {
        len = lm_utf8_next(normal, i, &cp);
        size_t olds = stands_for(form, (struct lm_str){ normal.ptr + i, len }, &buf[0], parts, count);
        struct lm_span own = from;
        for (bool first = true; olds > 0 && at < end; olds--, first = false) {
            const size_t old_len = lm_utf8_next(part, at, &cp);
            from = (struct lm_span){ w->part + at, w->part + at + old_len };
            own = first ? from : own;
            at += old_len;
        }
        made = come_from(w, made, len, own);
    }
    return made;
}

static void align_forms(struct lm_span_work *w, struct lm_str part)
{
    struct lm_buf buf[2] = { { 0 }, { 0 } };
    size_t made = 0;
    for (size_t at = 0, end; at < part.len; at = end) {
        uint32_t cp;
        end = at + lm_utf8_next(part, at, &cp);
        for (size_t len; end < part.len; end += len) {
            len = lm_utf8_next(part, end, &cp);
            if (lm_token_form_boundary(w->t->form, cp))
                break;
        }
        made = align_cluster(w, part, at, end, made, buf);
    }
    lm_buf_release(&buf[0]);
    lm_buf_release(&buf[1]);
}

/* ---- words ----
 *
 * BertNormalizer looks at one character after the other, but where accents are left out marks first get their
 * order, and then the first of them is for the first old one, whichever that was. */

struct mark_part {
    uint32_t cp;
    bool first;   // of its old character
    uint8_t class;
};

/* A character's parts, put among the marks before by their class. */
static size_t add_parts(struct lm_str character, struct lm_buf *buf, struct mark_part *parts, size_t count)
{
    struct form_part own[CLUSTER_MAX];
    const size_t own_count = decompose(LM_FORM_NFD, character, buf, own, 0);
    for (size_t i = 0; i < own_count && count < CLUSTER_MAX; i++, count++) {
        const struct mark_part part = { own[i].cp, own[i].first, lm_token_form_class(own[i].cp) };
        size_t at = count;
        for (; part.class > 0 && at > 0 && parts[at - 1].class > part.class; at--)
            parts[at] = parts[at - 1];
        parts[at] = part;
    }
    return count;
}

/* Part of a text: a character with the marks behind it.  Returns where its normal form ends. */
static size_t align_marks(struct lm_span_work *w, struct lm_str part, size_t at, size_t end, size_t made,
                          struct lm_buf buf[2])
{
    struct mark_part parts[CLUSTER_MAX];
    struct lm_span olds[CLUSTER_MAX];
    size_t count = 0, old_count = 0, old = 0, len;
    uint32_t cp;
    for (; at < end && count < CLUSTER_MAX; at += len) {
        len = lm_utf8_next(part, at, &cp);
        if (lm_words_removes(&w->t->words, cp))
            continue;
        olds[old_count++] = (struct lm_span){ w->part + at, w->part + at + len };
        count = add_parts((struct lm_str){ part.ptr + at, len }, &buf[0], parts, count);
    }
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        const struct lm_str character = { bytes, lm_utf8_put(parts[i].cp, bytes) };
        old += i > 0 && parts[i].first;
        made = come_from(w, made, lm_words_normal(&w->t->words, character, &buf[1]).len, olds[old]);
    }
    return made;
}

static void align_words(struct lm_span_work *w, struct lm_str part)
{
    const bool bare = w->t->words.strip_accents;
    struct lm_buf buf[2] = { { 0 }, { 0 } };
    size_t made = 0;
    for (size_t at = 0, end; at < part.len; at = end) {
        uint32_t cp;
        const size_t one = lm_utf8_next(part, at, &cp);
        end = at + one;
        for (size_t len; bare && end < part.len; end += len) {
            len = lm_utf8_next(part, end, &cp);
            if (lm_token_form_class(cp) == 0 && !lm_words_removes(&w->t->words, cp))
                break;
        }
        const struct lm_str character = { part.ptr + at, one };
        const struct lm_span from = { w->part + at, w->part + at + one };
        made = end > at + one
                   ? align_marks(w, part, at, end, made, buf)
                   : come_from(w, made, lm_words_normal(&w->t->words, character, &buf[0]).len, from);
    }
    lm_buf_release(&buf[0]);
    lm_buf_release(&buf[1]);
}

void lm_spans_part(struct lm_span_work *w, struct lm_str part, struct lm_str normal)
{
    LM_ASSERT(part.ptr >= w->text.ptr && part.ptr + part.len <= w->text.ptr + w->text.len);
    w->part = (size_t)(part.ptr - w->text.ptr);
    w->normal = normal;
    w->same = normal.len == 0 || normal.ptr == part.ptr;
    if (w->same)
        return;
    lm_grow(&w->origin, &w->origin_cap, normal.len, sizeof(*w->origin));
    for (size_t i = 0; i < normal.len; i++)
        w->origin[i] = (struct lm_span){ w->part, w->part };
    if (w->t->family == LM_FAMILY_WORDS)
        align_words(w, part);
    else if (w->t->family == LM_FAMILY_PIECES)
        align_pieces(w, part);
    else
        align_forms(w, part);
}

/* ---- ids ---- */

void lm_spans_put(struct lm_span_work *w, size_t start, size_t end)
{
    struct lm_spans *out = w->out;
    LM_ASSERT(start <= end && end <= w->text.len);
    lm_grow(&out->items, &out->cap, out->len + 1, sizeof(*out->items));
    out->items[out->len++] = (struct lm_span){ start, end };
}

static bool is_inside(struct lm_str text, size_t at)   // of a character
{
    return at > 0 && at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80;
}

void lm_spans_range(struct lm_span_work *w, size_t start, size_t end)
{
    start = start < w->normal.len ? start : w->normal.len;
    end = end < w->normal.len ? end : w->normal.len;
    if (!w->same && end > start) {
        const struct lm_span first = w->origin[start], last = w->origin[end - 1];
        lm_spans_put(w, first.start, last.end > first.start ? last.end : first.start);
        return;
    }
    size_t from = w->same ? w->part + start : w->part, to = w->same ? w->part + end : w->part;
    while (from < to && is_inside(w->text, from))
        from--;
    while (from < to && is_inside(w->text, to))
        to++;
    lm_spans_put(w, from, to);
}

/* Bytes that an unknown token of sentencepiece's kind stands for. */
static size_t unknown_len(const struct lm_tokenizer *t, struct lm_str rest)
{
    size_t len = 0;
    do {
        uint32_t cp;
        const size_t one = lm_utf8_next(rest, len, &cp);
        const struct lm_str character = { rest.ptr + len, one };
        if (len > 0 && lm_token_map_find(&t->model, &t->vocab, character) != LM_TOKEN_NONE)
            break;
        len += one;
    } while (t->pieces.fuse_unknown && len < rest.len);
    return len;
}

/* Normalised bytes that an id at the start of `rest` stands for. */
static size_t id_len(const struct lm_tokenizer *t, uint32_t id, struct lm_str rest, bool inside)
{
    const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    if (t->family == LM_FAMILY_BYTES)
        return bytes.len;
    if (id == t->unknown)
        return t->family == LM_FAMILY_WORDS ? rest.len : rest.len ? unknown_len(t, rest) : 0;
    return bytes.len - (t->family == LM_FAMILY_WORDS && inside ? strlen(LM_WORDS_INSIDE) : 0);
}

/* Byte tokens of U+2581, which is one byte in here: all of them stand for it. */
static bool is_blank_byte(const struct lm_tokenizer *t, uint32_t id, struct lm_str rest)
{
    return t->family == LM_FAMILY_PIECES && rest.len > 0 && rest.ptr[0] == ' ' &&
           (id == t->bpe.byte_id[0xe2] || id == t->bpe.byte_id[0x96]);
}

void lm_spans_piece(struct lm_span_work *w, struct lm_str piece, const uint32_t *ids, size_t count)
{
    LM_ASSERT(piece.ptr >= w->normal.ptr && piece.ptr + piece.len <= w->normal.ptr + w->normal.len);
    const size_t base = (size_t)(piece.ptr - w->normal.ptr);
    size_t at = w->t->family == LM_FAMILY_WORDS ? lm_words_start(piece) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct lm_str rest = { piece.ptr + at, piece.len - at };
        const bool blank = is_blank_byte(w->t, ids[i], rest);
        size_t len = blank ? 1 : id_len(w->t, ids[i], rest, i > 0);
        len = len < rest.len ? len : rest.len;
        lm_spans_range(w, base + at, base + at + len);
        at += blank ? 0 : len;
    }
}

/* ---- what the post-processor of a byte-level file does to them ---- */

static size_t blanks_at(struct lm_str text, bool end)
{
    size_t count = 0;
    while (count < text.len && text.ptr[end ? text.len - 1 - count : count] == ' ')
        count++;
    return count;
}

/* Blanks at the ends of a token are not in its range.  Where a text starts, a blank that was put there stays,
 * as Hugging Face takes it. */
static void trim(const struct lm_tokenizer *t, const uint32_t *ids, struct lm_spans *spans, size_t from)
{
    for (size_t i = from; i < spans->len; i++) {
        struct lm_span *s = &spans->items[i];
        const struct lm_str bytes = lm_vocab_bytes(&t->vocab, ids[i - from]);
        size_t leading = blanks_at(bytes, false);
        const size_t trailing = blanks_at(bytes, true);
        if (leading && t->trim_keeps_one && (i == from || s->start == 0))
            leading = 0;
        s->start = s->start + leading < s->end ? s->start + leading : s->end;
        if (trailing && s->end >= trailing)
            s->end = s->end - trailing > s->start ? s->end - trailing : s->start;
    }
}

void lm_encode_spans(struct lm_encoder *e, struct lm_str text, bool allow_special, struct lm_tokens *ret,
                     struct lm_spans *ret_spans)
{
    struct lm_span_work work = { .t = lm_encoder_tokenizer(e), .text = text, .out = ret_spans };
    const size_t ids = ret->len, spans = ret_spans->len;
    lm_encode_traced(e, text, allow_special, &work, ret);
    LM_ASSERT(ret_spans->len - spans == ret->len - ids);
    if (work.t->trim_offsets)
        trim(work.t, ret->ids + ids, ret_spans, spans);
    free(work.origin);
}

void lm_spans_release(struct lm_spans *spans)
{
    free(spans->items);
    *spans = (struct lm_spans){ 0 };
}
