/* token/encode_piece.c - pieces to ids.
 *
 * For a batch of pieces all keys and hashes come first, and the table lines are fetched meanwhile; then one
 * probe a piece.  What the cache does not know waits, with room for its ids where they belong, until the
 * batch is through: many are merged by turns in a fraction of the time.  Then the ids close up. */
#include "token/encode_impl.h"
#include "token/grams.h"
#include "token/pieces.h"
#include "token/words.h"

enum { LONG = 2048 };   // bytes of a piece whose parts are not kept
enum { AHEAD = LM_ENCODE_AHEAD, RING = 2 * AHEAD };
enum { WAITING_MAX = 512 };   // about as many are settled together

/* In the key of a part, where nothing else of a key is: keeps it apart from a piece of the same bytes, which
 * may be a token that merges do not reach. */
static uint64_t part_mark(struct lm_str part)
{
    return (uint64_t)1 << (part.len <= LM_CACHE_SHORT_MAX ? 62 : 55);
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

/* Ids that so many bytes may become. */
static size_t room_for(const struct lm_tokenizer *t, size_t bytes)
{
    if (t->family == LM_FAMILY_CHAIN)
        return lm_chain_room(t->chain, bytes);
    return t->bytes_missing ? bytes * 3 : bytes;
}

/* ---- what the cache does not know ---- */

static struct lm_waiting *wait_for(struct lm_encoder *e, int kind, uint32_t *at)
{
    lm_grow(&e->waiting, &e->waiting_cap, e->waiting_len + 1, sizeof(*e->waiting));
    struct lm_waiting *w = &e->waiting[e->waiting_len++];
    w->kind = kind;
    w->at = at;
    w->room = 0;
    w->sought = false;
    return w;
}

/* Text whose first ids are at `ids`: waits, or is merged at once and kept.  Returns how many ids there are,
 * or are kept free. */
static size_t merge_ids(struct lm_encoder *e, struct lm_cache_key key, struct lm_str text, uint32_t *ids,
                        size_t count)
{
    if (count < 2 || count > LM_BPE_WINDOW) {
        count = lm_bpe_wide_merge(&e->plan->bpe, &e->scratch, ids, count);
        lm_cache_put(&e->cache, key, text, ids, count);
        return count;
    }
    struct lm_waiting *w = wait_for(e, LM_WAITING_IDS, ids);
    w->text = text;
    w->key = key;
    w->room = count;
    return count;
}

/* A part of a long piece, which the cache knows or gets to know. */
static size_t encode_part(struct lm_encoder *e, struct lm_str part, bool readable, uint32_t *ids)
{
    struct lm_cache_key key = lm_cache_key(part, readable);
    key.hi |= part_mark(part);
    const struct lm_cache_entry *hit = lm_cache_find(&e->cache, key, lm_cache_home(&e->cache, key), part);
    if (hit) {
        memcpy(ids, lm_cache_ids(&e->cache, hit), hit->count * sizeof(*ids));
        return hit->count;
    }
    return merge_ids(e, key, part, ids, bytes_to_ids(&e->t->bpe, part, ids));
}

static size_t encode_parts(struct lm_encoder *e, struct lm_cache_key key, struct lm_str piece, uint32_t *ids)
{
    const size_t start = e->waiting_len;
    size_t count = 0;
    (void)wait_for(e, LM_WAITING_START, ids);
    for (size_t from = 0, end; from < piece.len; from = end) {
        end = lm_grams_next(e->plan->grams, piece, from);
        count += encode_part(e, (struct lm_str){ piece.ptr + from, end - from },
                             piece.len - from >= sizeof(struct lm_cache_key), ids + count);
    }
    if (e->waiting_len == start + 1) {   // none has to wait
        e->waiting_len = start;
        lm_cache_put(&e->cache, key, piece, ids, count);
        return count;
    }
    struct lm_waiting *end = wait_for(e, LM_WAITING_END, ids + count);
    end->text = piece;
    end->key = key;
    end->index = start;
    return count;
}

/* The token that all of a piece is, where merges do not matter then. */
static uint32_t whole_token(const struct lm_tokenizer *t, struct lm_str piece, uint32_t hash)
{
    const uint32_t id = lm_token_map_find_hashed(&t->model, &t->vocab, piece, hash);
    return id != LM_TOKEN_NONE && t->vocab.items[id].kind != LM_TOKEN_SPECIAL ? id : LM_TOKEN_NONE;
}

/* The same for a piece that has to be looked for: that waits, too. */
static size_t seek_or_merge(struct lm_encoder *e, struct lm_cache_key key, struct lm_str piece, uint32_t *ids)
{
    const size_t before = e->waiting_len,
                 count = merge_ids(e, key, piece, ids, bytes_to_ids(&e->t->bpe, piece, ids));
    if (!e->t->ignore_merges || e->waiting_len == before)
        return count;
    struct lm_waiting *w = &e->waiting[before];
    w->sought = true;
    w->hash = lm_token_hash(piece);
    lm_token_map_fetch_slot(&e->t->model, w->hash);
    return count;
}

/* A piece that the cache does not know; there is room for as many ids as it may become.  Returns how many
 * there are, or are kept free. */
static size_t encode_new(struct lm_encoder *e, struct lm_cache_key key, struct lm_str piece, uint32_t *ids)
{
    const struct lm_tokenizer *t = e->t;
    const bool bytes = t->family == LM_FAMILY_BYTES;
    if (bytes && piece.len > 1 && piece.len <= LM_CACHE_SHORT_MAX)
        return seek_or_merge(e, key, piece, ids);
    size_t count = 1;
    if (t->ignore_merges && t->family != LM_FAMILY_CHAIN &&
        (*ids = whole_token(t, piece, lm_token_hash(piece))) != LM_TOKEN_NONE)
        ;
    else if (t->family == LM_FAMILY_CHAIN)
        count = lm_chain_ids(t, &e->chain, piece, ids, NULL);
    else if (t->family == LM_FAMILY_WORDS)
        count = lm_words_ids(t, piece, &e->word, ids);
    else if (t->family == LM_FAMILY_PIECES)
        return merge_ids(e, key, piece, ids, lm_pieces_ids(t, piece, ids));
    else if (e->plan->grams && piece.len > LONG)
        count = encode_long(e, piece, ids);
    else if (e->plan->grams && piece.len > LM_CACHE_SHORT_MAX)
        return encode_parts(e, key, piece, ids);
    else
        return merge_ids(e, key, piece, ids, bytes_to_ids(&t->bpe, piece, ids));
    lm_cache_put(&e->cache, key, piece, ids, count);
    return count;
}

/* Looks for the tokens that what waits may be, all at once; the rest become jobs. */
static void seek(struct lm_encoder *e)
{
    const struct lm_tokenizer *t = e->t;
    const size_t count = e->waiting_len;
    for (size_t i = 0; i < count; i++)
        if (e->waiting[i].sought)
            lm_token_map_fetch_item(&t->model, &t->vocab, e->waiting[i].hash);
    for (size_t i = 0; i < count; i++)
        if (e->waiting[i].sought)
            lm_token_map_fetch_bytes(&t->model, &t->vocab, e->waiting[i].hash);
    lm_grow(&e->jobs, &e->jobs_cap, count, sizeof(*e->jobs));
    e->jobs_len = 0;
    for (size_t i = 0; i < count; i++) {
        struct lm_waiting *w = &e->waiting[i];
        w->whole = w->sought ? whole_token(t, w->text, w->hash) : LM_TOKEN_NONE;
        if (w->kind == LM_WAITING_IDS && w->whole == LM_TOKEN_NONE) {
            w->index = e->jobs_len;
            e->jobs[e->jobs_len++] = (struct lm_bpe_job){ w->at, w->room };
        }
    }
}

/* The same text may wait twice. */
static void keep(struct lm_encoder *e, const struct lm_waiting *w, const uint32_t *ids, size_t count)
{
    if (!lm_cache_find(&e->cache, w->key, lm_cache_home(&e->cache, w->key), w->text))
        lm_cache_put(&e->cache, w->key, w->text, ids, count);
}

/* Merges all that wait; the ids up to `out` close up.  Returns their new end. */
static uint32_t *settle(struct lm_encoder *e, uint32_t *out)
{
    if (e->waiting_len == 0)
        return out;
    seek(e);
    lm_grow(&e->merged, &e->merged_cap, e->jobs_len, sizeof(*e->merged));
    lm_bpe_wide_merge_jobs(&e->plan->bpe, &e->scratch, e->jobs, e->jobs_len, e->merged);
    uint32_t *from = e->waiting[0].at, *to = from;
    for (size_t i = 0; i < e->waiting_len; i++) {
        struct lm_waiting *w = &e->waiting[i];
        const size_t between = (size_t)(w->at - from);
        memmove(to, from, between * sizeof(*to));
        to += between;
        from = w->at + w->room;
        w->at = to;
        if (w->whole != LM_TOKEN_NONE) {
            *to = w->whole;
            keep(e, w, to++, 1);
        } else if (w->kind == LM_WAITING_IDS) {
            const struct lm_bpe_window *m = &e->merged[w->index];
            memcpy(to, m->ids, m->tokens * sizeof(*to));
            keep(e, w, to, m->tokens);
            to += m->tokens;
        } else if (w->kind == LM_WAITING_END) {
            const uint32_t *start = e->waiting[w->index].at;
            keep(e, w, start, (size_t)(to - start));
        }
    }
    const size_t rest = (size_t)(out - from);
    memmove(to, from, rest * sizeof(*to));
    e->waiting_len = 0;
    return to + rest;
}

void lm_encode_word(struct lm_encoder *e, struct lm_str word, struct lm_tokens *ret)
{
    lm_cache_renew(&e->cache);
    lm_tokens_room(ret, ret->len + room_for(e->t, word.len));
    if (word.len == 0)
        return;
    lm_encode_expect(e, word.len);
    uint32_t *out = ret->ids + ret->len;
    out = settle(e, out + encode_new(e, lm_cache_key(word, false), word, out));
    ret->len = (size_t)(out - ret->ids);
}

/* ---- batches ---- */

/* Piece `i` of the batch, which is not in the cache. */
static __attribute__((noinline)) uint32_t *emit_new(struct lm_encoder *e, size_t i, struct lm_str piece,
                                                    uint32_t *out)
{
    out += encode_new(e, e->keys[i % RING], piece, out);
    return e->waiting_len > WAITING_MAX ? settle(e, out) : out;
}

/* Appends the ids of piece `i` of the batch; the caller has made room. */
static inline __attribute__((always_inline)) uint32_t *emit(struct lm_encoder *e, size_t i,
                                                            struct lm_str piece, uint32_t *out)
{
    const struct lm_cache_entry *hit = lm_cache_find(&e->cache, e->keys[i % RING], e->homes[i % RING], piece);
    if (hit && hit->count <= LM_CACHE_INLINE_IDS) {
        memcpy(out, hit->ids, sizeof(hit->ids));   // all three: no branch on the count
        return out + hit->count;
    }
    if (hit) {
        memcpy(out, e->cache.data + hit->ids[0], hit->count * sizeof(*out));
        return out + hit->count;
    }
    return emit_new(e, i, piece, out);
}

/* Keys, homes and the way of the table lines into the cache, for some pieces of the batch. */
static inline __attribute__((always_inline)) size_t prepare(struct lm_encoder *e, struct lm_str text,
                                                            size_t at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct lm_str piece = { text.ptr + at, e->ends[i] - at };
        e->keys[i % RING] = lm_cache_key(piece, text.len - at >= sizeof(struct lm_cache_key));
        e->homes[i % RING] = lm_cache_home(&e->cache, e->keys[i % RING]);
        __builtin_prefetch(&e->cache.entries[e->homes[i % RING]]);
        at = e->ends[i];
    }
    return at;
}

void lm_encode_ends(struct lm_encoder *e, struct lm_str text, size_t start, size_t count,
                    struct lm_tokens *ret)
{
    lm_cache_renew(&e->cache);
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
    out = settle(e, out);
    ret->len = (size_t)(out - ret->ids);
}
