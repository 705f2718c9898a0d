/* token/chain_decode.c - ids to text: the tokens of the vocabulary as a list, which each decoder changes.
 *
 * Bytes that make no character stay bytes, so that what was encoded comes back; U+FFFD is what shows them. */
#include "token/chain.h"

#include "base/err.h"
#include "text/text.h"
#include "token/pieces.h"

#include <pthread.h>

/* Tokens as parts of one text: token i ends at ends[i]. */
struct list {
    struct lm_buf text;
    size_t *ends;
    size_t count, cap;
};

static struct lm_str item(const struct list *l, size_t i)
{
    const size_t start = i ? l->ends[i - 1] : 0;
    return (struct lm_str){ (l->text.ptr ? l->text.ptr : "") + start, l->ends[i] - start };
}

static void end_item(struct list *l)
{
    lm_grow(&l->ends, &l->cap, l->count + 1, sizeof(*l->ends));
    l->ends[l->count++] = l->text.len;
}

static void add_item(struct list *l, struct lm_str text)
{
    lm_buf_add_str(&l->text, text);
    end_item(l);
}

static void list_release(struct list *l)
{
    lm_buf_release(&l->text);
    free(l->ends);
}

/* A token as lists have it: one of normalised text is normalised itself. */
static struct lm_str token_text(const struct lm_tokenizer *t, uint32_t id)
{
    const struct lm_vocab *later = &t->later.texts;
    return lm_vocab_bytes(id < later->size && later->items[id].kind != LM_TOKEN_HOLE ? later : &t->vocab, id);
}

/* ---- one token ---- */

/* Replaces all `from` in the buffer from `start` on. */
static void replace_text(struct lm_buf *buf, size_t start, struct lm_str from, struct lm_str to)
{
    const struct lm_str all = { buf->ptr + start, buf->len - start };
    if (buf->len == start || from.len == 0 || lm_str_find(all, from) < 0)
        return;
    LM_FREE char *copy = lm_memdup(all.ptr, all.len);
    struct lm_str rest = { copy, all.len };
    buf->len = start;
    for (ptrdiff_t at; (at = lm_str_find(rest, from)) >= 0;) {
        lm_buf_add(buf, rest.ptr, (size_t)at);
        lm_buf_add_str(buf, to);
        rest = (struct lm_str){ rest.ptr + at + from.len, rest.len - (size_t)at - from.len };
    }
    lm_buf_add_str(buf, rest);
}

/* English punctuation without the blank that WordPiece puts before it. */
static void clean_up(struct lm_buf *buf, size_t start)
{
    static const char *const rows[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        replace_text(buf, start, lm_str(rows[i][0]), lm_str(rows[i][1]));
}

static void add_replaced(const struct lm_chain_decode *d, struct lm_str token, struct lm_buf *ret)
{
    struct lm_split_facts facts = { 0 };
    size_t at = 0, start, end;
    while (lm_chain_find(&d->pattern, token, at, &facts, &start, &end)) {
        lm_buf_add(ret, token.ptr + at, start - at);
        lm_buf_add_str(ret, d->content);
        at = end;
    }
    lm_buf_add(ret, token.ptr + at, token.len - at);
}

static struct lm_str stripped(const struct lm_chain_decode *d, struct lm_str token)
{
    for (size_t i = 0; i < d->start && token.len > 0 && lm_str_starts(token, d->content); i++)
        token = (struct lm_str){ token.ptr + d->content.len, token.len - d->content.len };
    for (size_t i = 0; i < d->stop && token.len > 0 && lm_str_ends(token, d->content); i++)
        token.len -= d->content.len;
    return token;
}

static void add_word(const struct lm_chain_decode *d, struct lm_str token, bool starts, struct lm_buf *ret)
{
    const size_t start = ret->len;
    const bool inside = !starts && lm_str_starts(token, d->content);
    if (inside)
        token = (struct lm_str){ token.ptr + d->content.len, token.len - d->content.len };
    else if (!starts)
        lm_buf_putc(ret, ' ');
    lm_buf_add_str(ret, token);
    if (d->cleanup)
        clean_up(ret, start);
}

/* ---- one step over all tokens ---- */

static void fuse(const struct list *from, struct list *to)
{
    add_item(to, lm_buf_str(&from->text));
}

static void bytes(const struct list *from, struct list *to)
{
    for (size_t i = 0; i < from->count; i++)
        if (!lm_text_to_bytes(item(from, i), &to->text))
            lm_buf_add_str(&to->text, item(from, i));
    end_item(to);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* <0x0A>, as the decoder reads it: also <0x0a> and <0x+a>. */
static int byte_of(struct lm_str token)
{
    if (token.len != 6 || !lm_str_starts(token, LM_STR("<0x")) || token.ptr[5] != '>' ||
        hex(token.ptr[4]) < 0)
        return -1;
    if (token.ptr[3] == '+')
        return hex(token.ptr[4]);
    return hex(token.ptr[3]) < 0 ? -1 : hex(token.ptr[3]) * 16 + hex(token.ptr[4]);
}

static void fallback(const struct list *from, struct list *to)
{
    bool open = false;
    for (size_t i = 0; i < from->count; i++) {
        const int byte = byte_of(item(from, i));
        if (byte >= 0)
            lm_buf_putc(&to->text, (char)byte);
        if (byte < 0 && open)
            end_item(to);
        open = byte >= 0;
        if (byte < 0)
            add_item(to, item(from, i));
    }
    if (open)
        end_item(to);
}

static void ctc(const struct lm_chain_decode *d, const struct list *from, struct list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const size_t start = to->text.len;
        if (i > 0 && lm_str_eq(item(from, i), item(from, i - 1)))
            continue;
        lm_buf_add_str(&to->text, item(from, i));
        replace_text(&to->text, start, d->content, LM_STR(""));
        if (d->cleanup) {
            clean_up(&to->text, start);
            replace_text(&to->text, start, d->other, LM_STR(" "));
        }
        if (to->text.len > start)
            end_item(to);
    }
}

static void each(const struct lm_chain_decode *d, const struct list *from, struct list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct lm_str token = item(from, i);
        const size_t start = to->text.len;
        switch (d->kind) {
        case LM_DECODE_WORDPIECE:
            add_word(d, token, i == 0, &to->text);
            break;
        case LM_DECODE_METASPACE:
            lm_buf_add_str(&to->text, token);
            replace_text(&to->text, start, d->content, i == 0 && d->strip ? LM_STR("") : LM_STR(" "));
            break;
        case LM_DECODE_SUFFIX:
            lm_buf_add_str(&to->text, token);
            replace_text(&to->text, start, d->content, i + 1 == from->count ? LM_STR("") : LM_STR(" "));
            break;
        case LM_DECODE_REPLACE:
            add_replaced(d, token, &to->text);
            break;
        default:   // LM_DECODE_STRIP
            lm_buf_add_str(&to->text, stripped(d, token));
            break;
        }
        end_item(to);
    }
}

static void step(const struct lm_chain_decode *d, const struct list *from, struct list *to)
{
    switch (d->kind) {
    case LM_DECODE_BYTES:
        bytes(from, to);
        return;
    case LM_DECODE_FUSE:
        fuse(from, to);
        return;
    case LM_DECODE_FALLBACK:
        fallback(from, to);
        return;
    case LM_DECODE_CTC:
        ctc(d, from, to);
        return;
    default:
        each(d, from, to);
        return;
    }
}

/* The decoders over a list, which is used up. */
static void decode(const struct lm_chain *c, struct list *l, struct lm_buf *ret)
{
    for (size_t i = 0; i < c->decode_count; i++) {
        struct list next = { .count = 0 };
        step(&c->decodes[i], l, &next);
        list_release(l);
        *l = next;
    }
    for (size_t i = 0; c->no_decoder && i < l->count; i++) {
        if (i > 0)
            lm_buf_putc(ret, ' ');
        lm_buf_add_str(ret, item(l, i));
    }
    if (!c->no_decoder)
        lm_buf_add_str(ret, lm_buf_str(&l->text));
    list_release(l);
}

void lm_chain_decode(const struct lm_tokenizer *t, const uint32_t *ids, size_t count, bool skip_special,
                     struct lm_buf *ret)
{
    struct list l = { .count = 0 };
    for (size_t i = 0; i < count; i++)
        if (!skip_special || t->vocab.items[ids[i]].kind != LM_TOKEN_SPECIAL)
            add_item(&l, token_text(t, ids[i]));
    decode(t->chain, &l, ret);
}

/* ---- one id in the middle of others ---- */

/* The text of an id between two tokens that nothing changes, without theirs. */
static void show(const struct lm_tokenizer *t, uint32_t id, bool inside, struct lm_buf *ret)
{
    static const char around[] = "\xee\x80\x80";   // U+E000
    const struct lm_str other = { around, sizeof(around) - 1 };
    struct list l = { .count = 0 };
    bool behind = false;
    for (size_t i = 0; i < t->chain->decode_count; i++)
        behind |= t->chain->decodes[i].kind == LM_DECODE_SUFFIX;
    if (inside)
        add_item(&l, other);
    add_item(&l, token_text(t, id));
    if (behind)
        add_item(&l, other);
    lm_buf_reset(ret);
    decode(t->chain, &l, ret);
    if (inside && lm_str_starts(lm_buf_str(ret), other)) {
        memmove(ret->ptr, ret->ptr + other.len, ret->len - other.len);
        ret->len -= other.len;
    }
    if (behind && lm_str_ends(lm_buf_str(ret), other))
        ret->len -= other.len;
}

static struct lm_vocab *show_all(const struct lm_tokenizer *t)
{
    struct lm_vocab *shown = lm_zalloc(2, sizeof(*shown));
    struct lm_buf text = { 0 };
    for (uint32_t id = 0; id < t->vocab.size; id++)
        for (size_t first = 0; first < 2 && t->vocab.items[id].kind != LM_TOKEN_HOLE; first++) {
            show(t, id, first == 0, &text);
            lm_vocab_set(&shown[first], id, lm_buf_str(&text), t->vocab.items[id].kind);
        }
    lm_buf_release(&text);
    return shown;
}

const struct lm_vocab *lm_chain_shown(const struct lm_tokenizer *t)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    struct lm_vocab *shown = __atomic_load_n(&t->chain->shown, __ATOMIC_ACQUIRE);
    if (shown)
        return shown;
    pthread_mutex_lock(&making);
    if (!t->chain->shown)
        __atomic_store_n(&t->chain->shown, show_all(t), __ATOMIC_RELEASE);
    pthread_mutex_unlock(&making);
    return t->chain->shown;
}
