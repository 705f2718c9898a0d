#include "token/spans.h"

#include "text/text.h"
#include "token/pieces.h"
#include "token/unicode.h"
#include "token/words.h"

/* ---- from normalised bytes of sentencepiece's kind to characters of the text ---- */

/* One of its characters becomes the normalised bytes from `at` on. */
static size_t come_from(struct lm_span_work *w, size_t at, size_t count, struct lm_span character)
{
    for (size_t i = 0; i < count && at + i < w->normal.len; i++)
        w->trace.from[at + i] = character;
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
                    w->trace.from[made - 1] = character;
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

struct lm_trace *lm_spans_trace(struct lm_span_work *w, struct lm_str part)
{
    lm_trace_start(&w->trace, part, (size_t)(part.ptr - w->text.ptr));
    return &w->trace;
}

/* What is normal by other means than a trace: from nowhere at first. */
static void start_plain(struct lm_span_work *w, size_t len)
{
    struct lm_trace *t = &w->trace;
    lm_grow(&t->from, &t->from_cap, len, sizeof(*t->from));
    for (; t->len < len; t->len++)
        t->from[t->len] = (struct lm_span){ w->part, w->part };
}

void lm_spans_part(struct lm_span_work *w, struct lm_str part, struct lm_str normal)
{
    LM_ASSERT(part.ptr >= w->text.ptr && part.ptr + part.len <= w->text.ptr + w->text.len);
    const bool chain = w->t->family == LM_FAMILY_CHAIN;
    w->part = (size_t)(part.ptr - w->text.ptr);
    w->normal = normal;
    w->same = normal.len == 0 || (!chain && normal.ptr == part.ptr);
    if (w->same)
        return;
    if (w->t->family == LM_FAMILY_WORDS)
        lm_trace_words(lm_spans_trace(w, part), &w->t->words, part);
    else if (w->t->family == LM_FAMILY_BYTES) {
        lm_trace_form(lm_spans_trace(w, part), w->t->form, part);
        lm_trace_step(&w->trace, part);
    } else if (!chain)
        w->trace.len = 0;
    start_plain(w, normal.len);
    if (w->t->family == LM_FAMILY_PIECES)
        align_pieces(w, part);
}

/* ---- what the post-processor of a byte-level file does to ranges ---- */

/* Blanks at an end of a token as Hugging Face spells it: there U+0120 is one, too. */
static size_t blanks_at(struct lm_str token, bool end)
{
    size_t count = 0;
    uint32_t cp;
    for (; token.len > 0; count++) {
        size_t start = end ? token.len - 1 : 0;
        while (start > 0 && ((uint8_t)token.ptr[start] & 0xc0) == 0x80)
            start--;
        const size_t len = lm_utf8_next(token, start, &cp);
        if (cp != 0x120 && lm_unicode_class(cp) != LM_UCLASS_SPACE)
            break;
        token =
            end ? (struct lm_str){ token.ptr, start } : (struct lm_str){ token.ptr + len, token.len - len };
    }
    return count;
}

/* So many characters of the text forwards or backwards. */
static size_t forwards(struct lm_str text, size_t at, size_t characters)
{
    uint32_t cp;
    for (; characters > 0 && at < text.len; characters--)
        at += lm_utf8_next(text, at, &cp);
    return at;
}

static size_t backwards(struct lm_str text, size_t at, size_t characters)
{
    for (; characters > 0 && at > 0; characters--)
        do
            at--;
        while (at > 0 && ((uint8_t)text.ptr[at] & 0xc0) == 0x80);
    return at;
}

/* Blanks at the ends of a token are not in its range.  Where a text starts, a single blank may have been put
 * there and stays, as Hugging Face takes it. */
static struct lm_span trimmed(const struct lm_span_work *w, enum lm_trim trim, struct lm_span s,
                              struct lm_str token)
{
    size_t leading = blanks_at(token, false);
    const size_t trailing = blanks_at(token, true);
    const bool first = trim == LM_TRIM_BUT_FIRST && w->out->len == w->before;
    if (leading == 1 && (first || (trim != LM_TRIM_ALL && s.start == 0)))
        leading = 0;
    const size_t start = forwards(w->text, s.start, leading), end = backwards(w->text, s.end, trailing);
    s.start = start < s.end ? start : s.end;
    s.end = end > s.start ? end : s.start;
    return s;
}

/* ---- ids ---- */

/* token: as Hugging Face spells it. */
static void put(struct lm_span_work *w, size_t start, size_t end, struct lm_str token)
{
    struct lm_spans *out = w->out;
    LM_ASSERT(start <= end && end <= w->text.len);
    struct lm_span s = { start, end };
    lm_grow(&out->items, &out->cap, out->len + 1, sizeof(*out->items));
    for (size_t i = 0; i < w->t->trim_count; i++)
        s = trimmed(w, w->t->trims[i], s, token);
    out->items[out->len++] = s;
}

void lm_spans_put(struct lm_span_work *w, size_t start, size_t end)
{
    LM_ASSERT(start <= end && end <= w->text.len);
    put(w, start, end, (struct lm_str){ w->text.ptr + start, end - start });
}

static bool is_inside(struct lm_str text, size_t at)   // of a character
{
    return at > 0 && at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80;
}

static void put_range(struct lm_span_work *w, size_t start, size_t end, struct lm_str token)
{
    start = start < w->normal.len ? start : w->normal.len;
    end = end < w->normal.len ? end : w->normal.len;
    if (!w->same && end > start) {
        lm_spans_from(w, w->trace.from + start, end - start, token);
        return;
    }
    size_t from = w->same ? w->part + start : w->part, to = w->same ? w->part + end : w->part;
    while (from < to && is_inside(w->text, from))
        from--;
    while (from < to && is_inside(w->text, to))
        to++;
    put(w, from, to, token);
}

void lm_spans_from(struct lm_span_work *w, const struct lm_span *from, size_t len, struct lm_str token)
{
    const struct lm_span first = from[0], last = from[len - 1];
    put(w, first.start, last.end > first.start ? last.end : first.start, token);
}

void lm_spans_range(struct lm_span_work *w, size_t start, size_t end)
{
    LM_ASSERT(start <= end && end <= w->normal.len);
    put_range(w, start, end, (struct lm_str){ w->normal.ptr + start, end - start });
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

/* The token as far as blanks at its ends matter: only those of byte-level tokens do. */
static struct lm_str spelling(const struct lm_tokenizer *t, uint32_t id, struct lm_buf *buf)
{
    lm_buf_reset(buf);
    if (t->trim_count > 0 && t->family == LM_FAMILY_BYTES)
        lm_bytes_to_text(lm_vocab_bytes(&t->vocab, id), buf);
    return lm_buf_str(buf);
}

void lm_spans_piece(struct lm_span_work *w, struct lm_str piece, const uint32_t *ids, size_t count)
{
    LM_ASSERT(piece.ptr >= w->normal.ptr && piece.ptr + piece.len <= w->normal.ptr + w->normal.len);
    const size_t base = (size_t)(piece.ptr - w->normal.ptr);
    struct lm_buf printed = { 0 };
    size_t at = w->t->family == LM_FAMILY_WORDS ? lm_words_start(piece) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct lm_str rest = { piece.ptr + at, piece.len - at };
        const bool blank = is_blank_byte(w->t, ids[i], rest);
        size_t len = blank ? 1 : id_len(w->t, ids[i], rest, i > 0);
        len = len < rest.len ? len : rest.len;
        put_range(w, base + at, base + at + len, spelling(w->t, ids[i], &printed));
        at += blank ? 0 : len;
    }
    lm_buf_release(&printed);
}

void lm_encode_spans(struct lm_encoder *e, struct lm_str text, bool allow_special, struct lm_tokens *ret,
                     struct lm_spans *ret_spans)
{
    struct lm_span_work work = {
        .t = lm_encoder_tokenizer(e), .text = text, .out = ret_spans, .before = ret_spans->len
    };
    const size_t ids = ret->len;
    lm_encode_traced(e, text, allow_special, &work, ret);
    LM_ASSERT(ret_spans->len - work.before == ret->len - ids);
    lm_trace_release(&work.trace);
}

void lm_spans_release(struct lm_spans *spans)
{
    free(spans->items);
    *spans = (struct lm_spans){ 0 };
}
