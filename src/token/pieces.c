#include "token/pieces.h"

#include "text/text.h"

static const char blank[] = "\xe2\x96\x81";   // U+2581
enum { BLANK_BYTES = 3 };

int lm_piece_byte(struct lm_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    if (s.len != 6 || memcmp(s.ptr, "<0x", 3) != 0 || s.ptr[5] != '>')
        return -1;
    const char *high = memchr(digits, s.ptr[3], 16), *low = memchr(digits, s.ptr[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* ---- blanks ---- */

/* The next U+2581 from `at` on, or the end. */
static size_t find_blank(struct lm_str text, size_t at)
{
    const ptrdiff_t found =
        lm_str_find((struct lm_str){ text.ptr + at, text.len - at }, (struct lm_str){ blank, BLANK_BYTES });
    return found < 0 ? text.len : at + (size_t)found;
}

void lm_piece_to_text(struct lm_str spelling, struct lm_buf *ret)
{
    for (size_t at = 0; at < spelling.len;) {
        const size_t end = find_blank(spelling, at);
        lm_buf_add(ret, spelling.ptr + at, end - at);
        if (end < spelling.len)
            lm_buf_putc(ret, ' ');
        at = end + BLANK_BYTES;
    }
}

void lm_piece_from_text(struct lm_str text, struct lm_buf *ret)
{
    for (size_t at = 0; at < text.len; at++) {
        if (text.ptr[at] == ' ')
            lm_buf_puts(ret, blank);
        else
            lm_buf_putc(ret, text.ptr[at]);
    }
}

/* As sentencepiece does: U+2581 counts as a blank at the end, not at the start. */
static struct lm_str without_ends(struct lm_str text)
{
    while (text.len > 0 && text.ptr[0] == ' ')
        text = (struct lm_str){ text.ptr + 1, text.len - 1 };
    for (;;) {
        if (text.len > 0 && text.ptr[text.len - 1] == ' ')
            text.len--;
        else if (lm_str_ends(text, (struct lm_str){ blank, BLANK_BYTES }))
            text.len -= BLANK_BYTES;
        else
            return text;
    }
}

static void add_squeezed(struct lm_str text, struct lm_buf *ret)
{
    for (size_t at = 0; at < text.len; at++)
        if (text.ptr[at] != ' ' || text.ptr[at - 1] != ' ')   // the first is none
            lm_buf_putc(ret, text.ptr[at]);
}

static bool wants_prefix(const struct lm_piece_rules *r, struct lm_str text, bool starts)
{
    if (r->prefix == LM_BLANK_NEVER || (r->prefix == LM_BLANK_FIRST && !starts))
        return false;
    return !r->prefix_if_none ||
           !(text.ptr[0] == ' ' || lm_str_starts(text, (struct lm_str){ blank, BLANK_BYTES }));
}

struct lm_str lm_pieces_normal(const struct lm_piece_rules *r, struct lm_str text, bool starts,
                               struct lm_buf *buf)
{
    if (r->trim)
        text = without_ends(text);
    if (text.len == 0)
        return text;
    const bool prefix = wants_prefix(r, text, starts);
    if (!prefix && !r->trim && find_blank(text, 0) == text.len)
        return text;
    lm_buf_reset(buf);
    lm_buf_space(buf, text.len + 1);
    if (prefix)
        lm_buf_putc(buf, ' ');
    if (!r->trim) {
        lm_piece_to_text(text, buf);
        return lm_buf_str(buf);
    }
    struct lm_buf single = { 0 };   // U+2581 in the text is not squeezed, so one after the other
    add_squeezed(text, &single);
    lm_piece_to_text(lm_buf_str(&single), buf);
    lm_buf_release(&single);
    return lm_buf_str(buf);
}

/* ---- characters to ids ---- */

/* The bytes of a character as ids; 0 when one of them has none. */
static size_t put_bytes(const struct lm_tokenizer *t, struct lm_str bytes, uint32_t *ids)
{
    for (size_t i = 0; i < bytes.len; i++) {
        ids[i] = t->bpe.byte_id[(uint8_t)bytes.ptr[i]];
        if (ids[i] == LM_TOKEN_NONE)
            return 0;
    }
    return bytes.len;
}

/* Hugging Face writes an unknown token only when a known one follows or the piece ends, so that bytes
 * overtake it; where a vocabulary has some bytes and not others, so do we. */
size_t lm_pieces_ids(const struct lm_tokenizer *t, struct lm_str piece, uint32_t *ids)
{
    size_t count = 0, unknown = 0;   // unknown: tokens not yet written, 0 or 1
    for (size_t at = 0, len; at < piece.len; at += len) {
        uint32_t cp;
        len = lm_utf8_next(piece, at, &cp);
        const struct lm_str c = { piece.ptr + at, len };
        const uint32_t id = lm_token_map_find(&t->model, &t->vocab, c);
        if (id != LM_TOKEN_NONE && t->vocab.items[id].kind != LM_TOKEN_SPECIAL) {
            if (unknown)
                ids[count++] = t->unknown;
            ids[count++] = id;
            unknown = 0;
            continue;
        }
        const struct lm_str bytes = *c.ptr == ' ' ? (struct lm_str){ blank, BLANK_BYTES } : c;
        const size_t put = t->pieces.byte_fallback ? put_bytes(t, bytes, ids + count) : 0;
        count += put;
        if (!put && unknown && !t->pieces.fuse_unknown)
            ids[count++] = t->unknown;
        if (!put)
            unknown = 1;
    }
    if (unknown)
        ids[count++] = t->unknown;
    return count;
}

/* ---- where merging may be cut ---- */

static size_t scan_words(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    size_t count = 0, pos = *at;
    while (count < ends_max && pos < text.len) {
        while (pos < text.len && text.ptr[pos] == ' ')
            pos++;
        const char *next = memchr(text.ptr + pos, ' ', text.len - pos);
        pos = next ? (size_t)(next - text.ptr) : text.len;
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

static size_t scan_blanks(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    size_t count = 0, pos = *at;
    while (count < ends_max && pos < text.len) {
        const char *next = memchr(text.ptr + pos + 1, ' ', text.len - pos - 1);
        pos = next ? (size_t)(next - text.ptr) : text.len;
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

static size_t scan_whole(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    (void)ends_max;
    if (*at == text.len)
        return 0;
    ret_ends[0] = (uint32_t)text.len;
    *at = text.len;
    return 1;
}

const struct lm_grammar lm_grammar_words = { .name = "words", .scan = scan_words };
const struct lm_grammar lm_grammar_blanks = { .name = "blanks", .scan = scan_blanks };
const struct lm_grammar lm_grammar_whole = { .name = "whole", .scan = scan_whole };
