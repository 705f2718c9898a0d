/* token/encode.c - text to ids.
 *
 * Text is cut at added tokens, what lies between goes through the pre-tokeniser in batches of pieces.  For a
 * batch all keys and hashes come first and the table lines are fetched meanwhile; then one probe a piece.
 * What the cache does not know is merged by the list (bpe.c) and kept. */
#include "token/cache.h"
#include "token/chain.h"
#include "token/cuts.h"
#include "token/grams.h"
#include "token/normal.h"
#include "token/pieces.h"
#include "token/plan.h"
#include "token/spans.h"
#include "token/words.h"

#include <sys/mman.h>

enum { LARGE = 1 << 20, BYTES_PER_ID = 2 };   // a text for which room is made beforehand, and how much
enum { LONG = 2048 };                         // bytes of a piece whose parts are not kept
enum { BATCH = 512, AHEAD = 32 };             // pieces: of a batch; whose table lines are on their way

/* In the key of a part, where nothing else of a key is: keeps it apart from a piece of the same bytes, which
 * may be a token that merges do not reach. */
static uint64_t part_mark(struct lm_str part)
{
    return (uint64_t)1 << (part.len <= LM_CACHE_SHORT_MAX ? 62 : 55);
}

struct lm_encoder {
    const struct lm_tokenizer *t;
    const struct lm_token_plan *plan;
    struct lm_cache cache;
    struct lm_bpe_scratch scratch;
    struct lm_chain_scratch chain;   // of LM_FAMILY_CHAIN
    struct lm_buf normal, word;
    uint32_t ends[BATCH];
    struct lm_cache_key keys[BATCH];
    size_t homes[BATCH];
    struct lm_span_work *spans;   // NULL: nobody asks for them
    struct lm_span part;   // of a chain: the text between added tokens, which is the range of all its ids
    bool counting;         // ids are counted and forgotten
    size_t count;
};

struct lm_encoder *lm_encoder_new(const struct lm_tokenizer *t)
{
    struct lm_encoder *e = lm_zalloc(1, sizeof(*e));
    e->t = t;
    e->plan = lm_token_plan(t);
    lm_cache_init(&e->cache);
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

/* One id a byte.  Where a byte has no token: one that UTF-8 never has reads as U+FFFD, another is left out,
 * as Hugging Face does. */
static size_t bytes_to_ids(const struct lm_bpe *bpe, struct lm_str piece, uint32_t *ids)
{
    static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
    size_t count = 0;
    for (size_t i = 0; i < piece.len; i++) {
        const uint32_t id = bpe->byte_id[(uint8_t)piece.ptr[i]];
        if (id != LM_TOKEN_NONE)
            ids[count++] = id;
        else if (!lm_utf8_has((uint8_t)piece.ptr[i]))
            for (size_t k = 0; k < sizeof(replacement); k++)
                ids[count++] = bpe->byte_id[replacement[k]];
    }
    return count;
}

/* A part of a long piece, which the cache knows or gets to know; ids has room for one a byte. */
static size_t encode_part(struct lm_encoder *e, struct lm_str part, bool readable, uint32_t *ids)
{
    struct lm_cache_key key = lm_cache_key(part, readable);
    key.hi |= part_mark(part);
    const struct lm_cache_entry *hit = lm_cache_find(&e->cache, key, lm_cache_home(&e->cache, key), part);
    if (hit) {
        memcpy(ids, hit->count <= LM_CACHE_INLINE_IDS ? hit->ids : e->cache.more + hit->ids[0],
               hit->count * sizeof(*ids));
        return hit->count;
    }
    size_t count = bytes_to_ids(&e->t->bpe, part, ids);
    count = lm_bpe_wide_merge(&e->plan->bpe, &e->scratch, ids, count);
    lm_cache_put(&e->cache, key, part, ids, count);
    return count;
}

/* A very long piece, of which hardly a part comes again: straight to merging. */
static size_t encode_long(struct lm_encoder *e, struct lm_str piece, uint32_t *ids)
{
    enum { BLOCK = 1 << 15 };   // bytes that the caches hold, with all that is made of them
    size_t count = 0;
    for (size_t from = 0, end; from < piece.len; from = end) {
        end = piece.len - from > BLOCK ? lm_grams_next(e->plan->grams, piece, from + BLOCK) : piece.len;
        const struct lm_str block = { piece.ptr + from, end - from };
        const size_t bytes = bytes_to_ids(&e->t->bpe, block, ids + count);
        count += lm_bpe_wide_merge(&e->plan->bpe, &e->scratch, ids + count, bytes);
    }
    return count;
}

static size_t encode_parts(struct lm_encoder *e, struct lm_str piece, uint32_t *ids)
{
    size_t count = 0;
    for (size_t from = 0, end; from < piece.len; from = end) {
        end = lm_grams_next(e->plan->grams, piece, from);
        count += encode_part(e, (struct lm_str){ piece.ptr + from, end - from },
                             piece.len - from >= sizeof(struct lm_cache_key), ids + count);
    }
    return count;
}

/* Ids that so many bytes may become. */
static size_t room_for(const struct lm_tokenizer *t, size_t bytes)
{
    if (t->family == LM_FAMILY_CHAIN)
        return lm_chain_room(t->chain, bytes);
    return t->bytes_missing ? bytes * 3 : bytes;
}

/* The ids of a piece that the cache does not know; there is room for as many as it may become. */
static size_t encode_piece(struct lm_encoder *e, struct lm_str piece, uint32_t *ids)
{
    const struct lm_tokenizer *t = e->t;
    if (t->family == LM_FAMILY_CHAIN)
        return lm_chain_ids(t, &e->chain, piece, ids);
    if (t->ignore_merges) {
        const uint32_t whole = lm_token_map_find(&t->model, &t->vocab, piece);
        if (whole != LM_TOKEN_NONE && t->vocab.items[whole].kind != LM_TOKEN_SPECIAL) {
            ids[0] = whole;
            return 1;
        }
    }
    if (t->family == LM_FAMILY_WORDS)
        return lm_words_ids(t, piece, &e->word, ids);
    if (e->plan->grams && piece.len > LONG)
        return encode_long(e, piece, ids);
    if (e->plan->grams && piece.len > LM_CACHE_SHORT_MAX)
        return encode_parts(e, piece, ids);
    const size_t count =
        t->family == LM_FAMILY_PIECES ? lm_pieces_ids(t, piece, ids) : bytes_to_ids(&t->bpe, piece, ids);
    return lm_bpe_wide_merge(&e->plan->bpe, &e->scratch, ids, count);
}

/* Appends the ids of piece `i` of the batch; the caller has made room. */
static inline __attribute__((always_inline)) uint32_t *emit(struct lm_encoder *e, size_t i,
                                                            struct lm_str piece, uint32_t *out)
{
    const struct lm_cache_entry *hit = lm_cache_find(&e->cache, e->keys[i], e->homes[i], piece);
    if (hit && hit->count <= LM_CACHE_INLINE_IDS) {
        memcpy(out, hit->ids, sizeof(hit->ids));   // all three: no branch on the count
        return out + hit->count;
    }
    if (hit) {
        memcpy(out, e->cache.more + hit->ids[0], hit->count * sizeof(*out));
        return out + hit->count;
    }
    const size_t mask = e->cache.mask, count = encode_piece(e, piece, out);
    lm_cache_put(&e->cache, e->keys[i], piece, out, count);
    if (e->cache.mask != mask)   // grown: the homes of the rest of the batch have moved
        for (size_t k = i + 1; k < BATCH; k++)
            e->homes[k] = lm_cache_home(&e->cache, e->keys[k]);
    return out + count;
}

/* Keys, homes and the way of the table lines into the cache, for some pieces of the batch. */
static inline __attribute__((always_inline)) size_t prepare(struct lm_encoder *e, struct lm_str text,
                                                            size_t at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct lm_str piece = { text.ptr + at, e->ends[i] - at };
        e->keys[i] = lm_cache_key(piece, text.len - at >= sizeof(struct lm_cache_key));
        e->homes[i] = lm_cache_home(&e->cache, e->keys[i]);
        __builtin_prefetch(&e->cache.entries[e->homes[i]]);
        at = e->ends[i];
    }
    return at;
}

/* The pieces that end at e->ends. */
static void encode_batch(struct lm_encoder *e, struct lm_str text, size_t start, size_t count,
                         struct lm_tokens *ret)
{
    const size_t room = room_for(e->t, e->ends[count - 1] - start) + count + LM_CACHE_INLINE_IDS;
    lm_tokens_room(ret, ret->len + room);
    uint32_t *out = ret->ids + ret->len;
    size_t ahead = prepare(e, text, start, 0, count < AHEAD ? count : AHEAD), at = start;
    for (size_t from = 0; from < count; from += AHEAD) {
        const size_t to = from + AHEAD < count ? from + AHEAD : count;
        if (to < count)
            ahead = prepare(e, text, ahead, to, to + AHEAD < count ? to + AHEAD : count);
        for (size_t i = from; i < to; i++) {
            out = emit(e, i, (struct lm_str){ text.ptr + at, e->ends[i] - at }, out);
            at = e->ends[i];
        }
    }
    ret->len = (size_t)(out - ret->ids);
}

/* Text without added tokens, normalised, that the plan or the grammar cuts into pieces that are not cut
 * again. */
static size_t scan(struct lm_encoder *e, struct lm_str text, size_t *at)
{
    return e->plan->cuts ? lm_cuts_scan(e->plan->cuts, text, at, e->ends, BATCH)
                         : lm_pretoken_scan(e->t->grammar, text, at, e->ends, BATCH);
}

/* Piece by piece, and what each became is told. */
static void encode_pieces(struct lm_encoder *e, struct lm_str text, size_t start, size_t count,
                          struct lm_tokens *ret)
{
    uint32_t ends[BATCH];
    memcpy(ends, e->ends, count * sizeof(*ends));
    for (size_t i = 0; i < count; i++) {
        const size_t before = ret->len;
        e->ends[0] = ends[i];
        encode_batch(e, text, start, 1, ret);
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
            encode_batch(e, text, start, count, ret);
        if (e->counting) {
            e->count += ret->len;
            ret->len = 0;
        }
    }
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
    struct lm_chain_pieces *p = &e->chain.pieces;
    lm_chain_cut(e->t->chain, text, starts, p);
    for (size_t done = 0, at = 0, count; done < p->count; done += count) {
        count = p->count - done < BATCH ? p->count - done : BATCH;
        memcpy(e->ends, p->ends + done, count * sizeof(*e->ends));
        const size_t before = ret->len, end = e->ends[count - 1];
        encode_batch(e, lm_buf_str(&p->text), at, count, ret);
        for (size_t i = before; e->spans && i < ret->len; i++)
            lm_spans_put(e->spans, e->part.start, e->part.end);
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
        return lm_token_form(t->form, text, buf);
    if (t->family == LM_FAMILY_CHAIN)
        return lm_chain_normal(t->chain, text, &starts, buf);
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
    struct lm_added_match match;
    if (t->family == LM_FAMILY_CHAIN)   // which says whether the text still starts where it did
        text = lm_chain_normal(t->chain, text, &starts, &e->normal);
    else
        text = whole || t->family != LM_FAMILY_PIECES ? lm_token_normal(t, text, starts, &e->normal)
                                                      : lm_pieces_normal(&no_prefix, text, false, &e->normal);
    size_t at = 0;
    if (e->spans && t->family != LM_FAMILY_CHAIN)
        lm_spans_part(e->spans, part, text);
    if (e->spans)
        e->part.start = (size_t)(part.ptr - e->spans->text.ptr);
    e->part.end = e->part.start + part.len;
    for (; lm_added_next(&t->later, text, at, allow, &match); at = match.end) {
        encode_late(e, (struct lm_str){ text.ptr + at, match.start - at }, starts && at == 0, ret);
        append(ret, &match.id, 1);
        if (e->spans && t->family == LM_FAMILY_CHAIN)
            lm_spans_put(e->spans, e->part.start, e->part.end);
        else if (e->spans && !t->pieces.late)
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
    struct lm_added_match match;
    size_t at = 0;
    lm_cache_expect(&e->cache, text.len);
    if (text.len > LARGE && !e->counting)
        lm_tokens_room(ret, ret->len + text.len / BYTES_PER_ID);
    for (; lm_added_next(&t->added, text, at, allow, &match); at = match.end) {
        encode_plain(e, (struct lm_str){ text.ptr + at, match.start - at }, starts && at == 0,
                     at > 0 || starts, allow_in(t, allow, at, match.start), ret);
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

void lm_encode_word(struct lm_encoder *e, struct lm_str word, struct lm_tokens *ret)
{
    lm_tokens_room(ret, ret->len + room_for(e->t, word.len));
    if (word.len > 0)
        ret->len += encode_piece(e, word, ret->ids + ret->len);
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
