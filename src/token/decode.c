/* token/decode.c - ids to bytes, at once or one at a time. */
#include "token/chain.h"
#include "token/plan.h"
#include "token/words.h"

static bool is_left_out(const struct lm_tokenizer *t, uint32_t id, bool skip_special)
{
    return skip_special && t->vocab.items[id].kind == LM_TOKEN_SPECIAL;
}

struct lm_str lm_decode_bytes(const struct lm_tokenizer *t, uint32_t id, bool *inside, bool *blank)
{
    struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    *blank = false;
    if (t->family == LM_FAMILY_CHAIN)
        bytes = lm_vocab_bytes(&lm_chain_shown(t)[!*inside], id);
    if (t->family == LM_FAMILY_WORDS)
        bytes = lm_words_text(t, id, *inside, blank);
    else if (!*inside && t->pieces.strip && bytes.len > 0 && bytes.ptr[0] == ' ')
        bytes = (struct lm_str){ bytes.ptr + 1, bytes.len - 1 };
    *inside |= t->vocab.items[id].len > 0;
    return bytes;
}

static enum lm_rc refuse(const struct lm_tokenizer *t, const uint32_t *ids, size_t at, struct lm_err *err)
{
    return lm_fail(err, LM_EINVAL, "token id %u (number %zu) is not in the vocabulary of %zu ids", ids[at],
                   at, t->vocab.size);
}

/* One id the plain way. */
static void add(const struct lm_tokenizer *t, uint32_t id, bool *inside, struct lm_buf *ret)
{
    bool blank;
    const struct lm_str bytes = lm_decode_bytes(t, id, inside, &blank);
    if (blank)
        lm_buf_putc(ret, ' ');
    lm_buf_add_str(ret, bytes);
}

/* Ids inside a text up to a long one, at most `count`: each is copied whole, as many bytes as it has count.
 * ret has room for LM_SLICE_MAX bytes an id; returns how many ids were taken. */
static size_t add_slices(const struct lm_token_slices *s, bool skip_special, const uint32_t *ids,
                         size_t count, char *ret, size_t *ret_len)
{
    const uint8_t *lens = s->lens[skip_special];
    char *out = ret;
    size_t i = 0;
    for (; i < count && ids[i] < s->size; i++) {
        const size_t len = lens[ids[i]];
        if (len > LM_SLICE_MAX)
            break;
        memcpy(out, s->bytes[ids[i]], LM_SLICE_MAX);
        out += len;
    }
    *ret_len = (size_t)(out - ret);
    return i;
}

static enum lm_rc decode_chain(const struct lm_tokenizer *t, const uint32_t *ids, size_t count,
                               bool skip_special, struct lm_buf *ret, struct lm_err *err)
{
    for (size_t at = 0; at < count; at++)
        if (ids[at] >= t->vocab.size || t->vocab.items[ids[at]].kind == LM_TOKEN_HOLE)
            return refuse(t, ids, at, err);
    lm_chain_decode(t, ids, count, skip_special, ret);
    return LM_OK;
}

/* The memory of the buffer from `from` on, as far as there is some, up to what this returns. */
static size_t touch(struct lm_buf *buf, size_t from)
{
    enum { CHUNK = 256 << 10 };   // stays in the cache until it is written
    const size_t left = buf->cap - from, len = left < CHUNK ? left : CHUNK;
    lm_mem_touch(buf->ptr + from, len);
    return from + len;
}

enum lm_rc lm_decode(const struct lm_tokenizer *t, const uint32_t *ids, size_t count, bool skip_special,
                     struct lm_buf *ret, struct lm_err *err)
{
    enum { STEP = 4096 };   // ids
    if (t->family == LM_FAMILY_CHAIN)
        return decode_chain(t, ids, count, skip_special, ret, err);
    const struct lm_token_slices *slices = lm_token_slices_for(t, count);
    const size_t before = ret->len;
    size_t touched = before;
    bool inside = false;
    for (size_t at = 0; at < count;) {
        const size_t step = count - at < STEP ? count - at : STEP;
        if (slices && inside && (ret->len_max == 0 || ret->len_max - ret->len > step * LM_SLICE_MAX)) {
            size_t len = 0;
            char *room = lm_buf_space(ret, step * LM_SLICE_MAX);
            if (ret->len + step * LM_SLICE_MAX > touched)
                touched = touch(ret, touched);
            at += add_slices(slices, skip_special, ids + at, step, room, &len);
            ret->len += len;
            ret->ptr[ret->len] = '\0';
        }
        if (at == count)
            break;
        if (ids[at] >= t->vocab.size || t->vocab.items[ids[at]].kind == LM_TOKEN_HOLE) {
            ret->len = before;
            if (ret->ptr)
                ret->ptr[before] = '\0';
            return refuse(t, ids, at, err);
        }
        if (!is_left_out(t, ids[at], skip_special))
            add(t, ids[at], &inside, ret);
        at++;
    }
    return LM_OK;
}

static const char replacement[] = "\xef\xbf\xbd";   // U+FFFD

/* Bytes that belong together at the start of s, and whether they are one: a whole character (true); the
 * longest start of one, or one byte that starts none (false).  More bytes could only help if that is all of
 * s. */
static bool character_at(const unsigned char *s, size_t len, size_t *ret_len)
{
    // clang-format off
    static const struct { unsigned char first, last, len, second_min, second_max; } forms[] = {
        { 0x00, 0x7f, 1, 0x80, 0xbf }, { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
        { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
        { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
    };
    // clang-format on
    *ret_len = 1;
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        if (s[0] < forms[f].first || s[0] > forms[f].last)
            continue;
        size_t have = 1;
        while (have < forms[f].len && have < len && s[have] >= (have == 1 ? forms[f].second_min : 0x80) &&
               s[have] <= (have == 1 ? forms[f].second_max : 0xbf))
            have++;
        *ret_len = have;
        return have == forms[f].len;
    }
    return false;
}

struct lm_decode_stream lm_decode_after(const struct lm_tokenizer *t, const uint32_t *ids, size_t count)
{
    const bool text = count > 0 && (ids[count - 1] >= t->vocab.size ||
                                    t->vocab.items[ids[count - 1]].kind != LM_TOKEN_SPECIAL);
    return (struct lm_decode_stream){ .inside = text };
}

/* Gives out what has become whole characters, or cannot become one any more. */
static void push_byte(struct lm_decode_stream *s, unsigned char byte, struct lm_buf *ret)
{
    s->held[s->held_len++] = byte;
    while (s->held_len > 0) {
        size_t len = 0;
        const bool whole = character_at(s->held, s->held_len, &len);
        const bool could_start = s->held[0] >= 0xc2 && s->held[0] <= 0xf4;
        if (!whole && len == s->held_len && could_start)
            break;   // wait for the rest
        lm_buf_add(ret, whole ? (const char *)s->held : replacement, whole ? len : 3);
        s->held_len -= len;
        memmove(s->held, s->held + len, s->held_len);
    }
}

void lm_decode_step(const struct lm_tokenizer *t, struct lm_decode_stream *s, uint32_t id, bool skip_special,
                    struct lm_buf *ret)
{
    LM_ASSERT(id < t->vocab.size);
    bool blank;
    if (is_left_out(t, id, skip_special))
        return;
    const struct lm_str bytes = lm_decode_bytes(t, id, &s->inside, &blank);
    if (blank)
        push_byte(s, ' ', ret);
    for (size_t i = 0; i < bytes.len; i++)
        push_byte(s, (unsigned char)bytes.ptr[i], ret);
}

void lm_decode_end(struct lm_decode_stream *s, struct lm_buf *ret)
{
    if (s->held_len > 0)
        lm_buf_puts(ret, replacement);
    s->held_len = 0;
}
