/* token/encode.c - text to ids.
 *
 * Text is cut at added tokens; what lies between goes through the pre-tokeniser, and its pieces to
 * encode_piece.c. */
#include "token/encode_impl.h"

#include "token/cuts.h"
#include "token/normal.h"
#include "token/pieces.h"
#include "token/spans.h"
#include "token/words.h"

#include <sys/mman.h>

enum { LARGE = 1 << 20, BYTES_PER_ID = 2 };   // a text for which room is made beforehand, and how much

static struct lm_encoder *encoder_of(const struct lm_tokenizer *t)
{
    struct lm_encoder *e = lm_zalloc(1, sizeof(*e));
    e->t = t;
    e->plain.bpe.bpe = &t->bpe;
    e->plan = &e->plain;
    return e;
}

struct lm_encoder *lm_encoder_new(const struct lm_tokenizer *t)
{
    struct lm_encoder *e = encoder_of(t);
    lm_cache_init(&e->cache);
    return e;
}

struct lm_encoder *lm_encoder_beside(struct lm_encoder *other)
{
    struct lm_encoder *e = encoder_of(other->t);
    lm_cache_join(&e->cache, &other->cache);
    return e;
}

void lm_encoder_free(struct lm_encoder *e)
{
    if (!e)
        return;
    lm_cache_release(&e->cache);
    lm_bpe_scratch_release(&e->scratch);
    lm_chain_scratch_release(&e->chain);
    lm_buf_release(&e->normal);
    lm_buf_release(&e->word);
    free(e->waiting);
    free(e->jobs);
    free(e->merged);
    free(e);
}

const struct lm_tokenizer *lm_encoder_tokenizer(const struct lm_encoder *e)
{
    return e->t;
}

/* Large arrays on huge pages: each page is touched for the first time, and small ones cost as much as
 * encoding. */
void lm_tokens_room(struct lm_tokens *tokens, size_t count)
{
    enum { HUGE_PAGE = 2 << 20 };
    if (count <= tokens->cap)
        return;
    if (count * sizeof(*tokens->ids) < 2 * (size_t)HUGE_PAGE) {
        lm_grow(&tokens->ids, &tokens->cap, count, sizeof(*tokens->ids));
        return;
    }
    const size_t want = count > tokens->cap * 2 ? count : tokens->cap * 2;
    const size_t bytes = (want * sizeof(*tokens->ids) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uint32_t *ids = aligned_alloc(HUGE_PAGE, bytes);
    if (!ids) {   // then perhaps not with so much to spare
        lm_grow(&tokens->ids, &tokens->cap, count, sizeof(*tokens->ids));
        return;
    }
    (void)madvise(ids, bytes, MADV_HUGEPAGE);   // a hint
    if (tokens->len > 0)
        memcpy(ids, tokens->ids, tokens->len * sizeof(*ids));
    free(tokens->ids);
    tokens->ids = ids;
    tokens->cap = bytes / sizeof(*ids);
}

void lm_tokens_release(struct lm_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct lm_tokens){ 0 };
}

void lm_encode_expect(struct lm_encoder *e, size_t bytes)
{
    const struct lm_token_plan *plan = e->plan == &e->plain ? lm_token_plan_for(e->t, bytes) : NULL;
    if (plan)
        e->plan = plan;
}

/* Text without added tokens, normalised, that the plan or the grammar cuts into pieces that are not cut
 * again. */
static size_t scan(struct lm_encoder *e, struct lm_str text, size_t *at)
{
    return e->plan->cuts ? lm_cuts_scan(e->plan->cuts, text, at, e->ends, LM_ENCODE_BATCH)
                         : lm_pretoken_scan(e->t->grammar, text, at, e->ends, LM_ENCODE_BATCH);
}

/* Piece by piece, and what each became is told. */
static void encode_pieces(struct lm_encoder *e, struct lm_str text, size_t start, size_t count,
                          struct lm_tokens *ret)
{
    uint32_t ends[LM_ENCODE_BATCH];
    memcpy(ends, e->ends, count * sizeof(*ends));
    for (size_t i = 0; i < count; i++) {
        const size_t before = ret->len;
        e->ends[0] = ends[i];
        lm_encode_ends(e, text, start, 1, ret);
        lm_spans_piece(e->spans, (struct lm_str){ text.ptr + start, ends[i] - start }, ret->ids + before,
                       ret->len - before);
        start = ends[i];
    }
}

static void encode_run(struct lm_encoder *e, struct lm_str text, struct lm_tokens *ret)
{
    size_t at = 0;
    for (;;) {
        const size_t start = at, count = scan(e, text, &at);
        if (count == 0)
            return;
        if (e->spans)
            encode_pieces(e, text, start, count, ret);
        else
            lm_encode_ends(e, text, start, count, ret);
        if (e->counting) {
            e->count += ret->len;
            ret->len = 0;
        }
    }
}

/* What lies between two added tokens, nothing where the second begins among the blanks behind the first. */
static struct lm_str between(struct lm_str text, size_t start, size_t end)
{
    return (struct lm_str){ text.ptr + start, end > start ? end - start : 0 };
}

static void append(struct lm_tokens *ret, const uint32_t *ids, size_t count)
{
    lm_tokens_room(ret, ret->len + count);
    for (size_t i = 0; i < count; i++)
        ret->ids[ret->len++] = ids[i];
}

/* The same for a chain: it makes pieces of its own. */
static void encode_chain(struct lm_encoder *e, struct lm_str text, bool starts, struct lm_tokens *ret)
{
    if (e->spans) {
        lm_spans_chain(e->spans, &e->chain, text, starts, ret);
        return;
    }
    lm_chain_cut(e->t->chain, text, starts, NULL, &e->chain.pieces);
    const struct lm_chain_cut_text *p = &e->chain.pieces.now;
    for (size_t done = 0, at = 0, count; done < p->count; done += count) {
        count = p->count - done < LM_ENCODE_BATCH ? p->count - done : LM_ENCODE_BATCH;
        memcpy(e->ends, p->ends + done, count * sizeof(*e->ends));
        const size_t end = e->ends[count - 1];
        lm_encode_ends(e, lm_buf_str(&p->text), at, count, ret);
        at = end;
        if (e->counting) {
            e->count += ret->len;
            ret->len = 0;
        }
    }
}

/* What lies between the added tokens of normal text.  starts: at the start of the text. */
static void encode_late(struct lm_encoder *e, struct lm_str text, bool starts, struct lm_tokens *ret)
{
    const struct lm_tokenizer *t = e->t;
    if (t->family == LM_FAMILY_CHAIN) {
        encode_chain(e, text, starts, ret);
        return;
    }
    const struct lm_str part = text;
    if (t->family == LM_FAMILY_PIECES && t->pieces.late) {
        text = lm_pieces_normal(&t->pieces, text, starts, &e->normal);
        if (e->spans)
            lm_spans_part(e->spans, part, text);
    }
    encode_run(e, text, ret);
}

struct lm_str lm_token_normal(const struct lm_tokenizer *t, struct lm_str text, bool starts,
                              struct lm_buf *buf)
{
    if (t->nfc)
        return t->form == LM_FORM_NFC ? lm_token_nfc(text, buf) : lm_token_form(t->form, text, buf);
    if (t->family == LM_FAMILY_CHAIN)
        return lm_chain_normal(t->chain, text, &starts, buf, NULL);
    if (t->family == LM_FAMILY_PIECES && !t->pieces.late)
        return lm_pieces_normal(&t->pieces, text, starts, buf);
    if (t->family == LM_FAMILY_WORDS)
        return lm_words_normal(&t->words, text, buf);
    return text;
}

/* What lies between the added tokens of text as it comes.  whole: it is not the rest of what was cut. */
static void encode_plain(struct lm_encoder *e, struct lm_str text, bool starts, bool whole,
                         struct lm_allow allow, struct lm_tokens *ret)
{
    static const struct lm_piece_rules no_prefix = { .prefix = LM_BLANK_NEVER };
    const struct lm_tokenizer *t = e->t;
    const struct lm_str part = text;
    struct lm_added_match match = { 0 };
    if (t->family == LM_FAMILY_CHAIN)   // which says whether the text still starts where it did
        text = lm_chain_normal(t->chain, text, &starts, &e->normal,
                               e->spans ? lm_spans_trace(e->spans, part) : NULL);
    else
        text = whole || t->family != LM_FAMILY_PIECES ? lm_token_normal(t, text, starts, &e->normal)
                                                      : lm_pieces_normal(&no_prefix, text, false, &e->normal);
    size_t at = 0;
    if (e->spans)
        lm_spans_part(e->spans, part, text);
    for (; lm_added_next(&t->later, text, allow, &match); at = match.end) {
        encode_late(e, between(text, at, match.start), starts && at == 0, ret);
        append(ret, &match.id, 1);
        if (e->spans && !t->pieces.late)
            lm_spans_range(e->spans, match.start, match.end);
        else if (e->spans)
            lm_spans_put(e->spans, (size_t)(part.ptr - e->spans->text.ptr) + match.start,
                         (size_t)(part.ptr - e->spans->text.ptr) + match.end);
    }
    encode_late(e, (struct lm_str){ text.ptr + at, text.len - at }, starts && at == 0, ret);
}

/* For the second search, after normalising, where places are not those of `plain` any more: a run that
 * touches a range has no special tokens at all. */
static struct lm_allow allow_in(const struct lm_tokenizer *t, struct lm_allow allow, size_t start, size_t end)
{
    const bool sought = t->later.map.len > 0;
    for (size_t i = 0; sought && i < allow.plain_count; i++)
        if (allow.plain[i].start < end && allow.plain[i].end > start)
            return (struct lm_allow){ .special = false };
    return (struct lm_allow){ .special = allow.special };
}

/* starts: text starts where the whole text does. */
static void encode(struct lm_encoder *e, struct lm_str text, bool starts, struct lm_allow allow,
                   struct lm_tokens *ret)
{
    LM_ASSERT(text.len <= LM_TOKEN_TEXT_MAX);
    const struct lm_tokenizer *t = e->t;
    struct lm_added_match match = { 0 };
    size_t at = 0;
    lm_encode_expect(e, text.len);
    lm_cache_expect(&e->cache, text.len);
    if (text.len > LARGE && !e->counting)
        lm_tokens_room(ret, ret->len + text.len / BYTES_PER_ID);
    for (; lm_added_next(&t->added, text, allow, &match); at = match.end) {
        encode_plain(e, between(text, at, match.start), starts && at == 0, at > 0 || starts,
                     allow_in(t, allow, at, match.start), ret);
        append(ret, &match.id, 1);
        if (e->spans)
            lm_spans_put(e->spans, match.start, match.end);
    }
    encode_plain(e, (struct lm_str){ text.ptr + at, text.len - at }, starts && at == 0, at > 0 || starts,
                 allow_in(t, allow, at, text.len), ret);
}

void lm_encode_part(struct lm_encoder *e, struct lm_str text, size_t start, size_t end, bool allow_special,
                    struct lm_tokens *ret)
{
    LM_ASSERT(start <= end && end <= text.len);
    encode(e, (struct lm_str){ text.ptr + start, end - start }, start == 0,
           (struct lm_allow){ .special = allow_special }, ret);
}

void lm_encode(struct lm_encoder *e, struct lm_str text, bool allow_special, struct lm_tokens *ret)
{
    encode(e, text, true, (struct lm_allow){ .special = allow_special }, ret);
}

void lm_encode_traced(struct lm_encoder *e, struct lm_str text, bool allow_special,
                      struct lm_span_work *spans, struct lm_tokens *ret)
{
    e->spans = spans;
    encode(e, text, true, (struct lm_allow){ .special = allow_special }, ret);
    e->spans = NULL;
}

size_t lm_encode_count(struct lm_encoder *e, struct lm_str text, bool allow_special)
{
    struct lm_tokens ids = { 0 };
    e->counting = true;
    e->count = 0;
    encode(e, text, true, (struct lm_allow){ .special = allow_special }, &ids);
    e->counting = false;
    const size_t count = e->count + ids.len;
    lm_tokens_release(&ids);
    return count;
}

void lm_encode_marked(struct lm_encoder *e, struct lm_str text, const struct lm_span *plain, size_t count,
                      struct lm_tokens *ret)
{
    for (size_t i = 0; i < count; i++)
        LM_ASSERT(plain[i].start <= plain[i].end && (i == 0 || plain[i - 1].end <= plain[i].start));
    encode(e, text, true, (struct lm_allow){ .special = true, .plain = plain, .plain_count = count }, ret);
}

void lm_encode_with_specials(struct lm_encoder *e, struct lm_str text, bool allow_special,
                             struct lm_tokens *ret)
{
    const struct lm_around *around = &e->t->around;
    append(ret, around->before, around->before_count);
    lm_encode(e, text, allow_special, ret);
    append(ret, around->after, around->after_count);
}
