/* token/chain_model.c - the ids of one piece, by each kind of model. */
#include "token/chain.h"

#include "base/err.h"
#include "text/text.h"

/* A token that text may become. */
static uint32_t find(const struct lm_tokenizer *t, struct lm_str spelling)
{
    const uint32_t id = lm_token_map_find(&t->model, &t->vocab, spelling);
    return id != LM_TOKEN_NONE && t->vocab.items[id].kind != LM_TOKEN_SPECIAL ? id : LM_TOKEN_NONE;
}

/* One token for all of a piece. */
static size_t put_whole(uint32_t id, struct lm_str piece, uint32_t *ids, struct lm_span *spans)
{
    ids[0] = id;
    if (spans)
        spans[0] = (struct lm_span){ 0, piece.len };
    return 1;
}

/* ---- BPE ---- */

/* The bytes of a spelling as ids; 0 when one has none. */
static size_t put_bytes(const struct lm_tokenizer *t, struct lm_str bytes, uint32_t *ids)
{
    for (size_t i = 0; i < bytes.len; i++) {
        ids[i] = t->bpe.byte_id[(uint8_t)bytes.ptr[i]];
        if (ids[i] == LM_TOKEN_NONE)
            return 0;
    }
    return bytes.len;
}

/* A character as it is spelt at its place in the word. */
static struct lm_str spelling(const struct lm_chain *c, struct lm_str character, bool starts, bool ends,
                              struct lm_buf *buf)
{
    if ((starts || c->prefix.len == 0) && (!ends || c->suffix.len == 0))
        return character;
    lm_buf_reset(buf);
    if (!starts)
        lm_buf_add_str(buf, c->prefix);
    lm_buf_add_str(buf, character);
    if (ends)
        lm_buf_add_str(buf, c->suffix);
    return lm_buf_str(buf);
}

/* What the characters of a piece become: ids, and of each how many bytes it is for (NULL: nobody asks).  An
 * unknown token is written when a known one follows or the piece ends, so that bytes overtake it. */
struct symbols {
    uint32_t *ids;
    struct lm_span *lens;   // from 0
    size_t count;
    size_t unknown;   // bytes of the one that waits; 0: none does
};

static void put(struct symbols *s, uint32_t id, size_t bytes)
{
    if (s->lens)
        s->lens[s->count] = (struct lm_span){ 0, bytes };
    s->ids[s->count++] = id;
}

static void put_unknown(const struct lm_tokenizer *t, struct symbols *s)
{
    if (s->unknown)
        put(s, t->unknown, s->unknown);
    s->unknown = 0;
}

static size_t characters(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                         uint32_t *ids, struct lm_span *lens)
{
    const struct lm_chain *c = t->chain;
    struct symbols made = { .ids = ids, .lens = lens };
    uint32_t cp;
    for (size_t at = 0, len; at < piece.len; at += len) {
        len = lm_utf8_next(piece, at, &cp);
        const struct lm_str text =
            spelling(c, (struct lm_str){ piece.ptr + at, len }, at == 0, at + len == piece.len, &s->spelling);
        const uint32_t id = find(t, text);
        if (id != LM_TOKEN_NONE) {
            put_unknown(t, &made);
            put(&made, id, len);
            continue;
        }
        const size_t bytes = c->byte_fallback ? put_bytes(t, text, ids + made.count) : 0;
        for (size_t i = 0; i < bytes; i++)
            put(&made, ids[made.count], 1);
        if (bytes || t->unknown == LM_TOKEN_NONE)
            continue;
        if (!c->fuse_unknown)
            put_unknown(t, &made);
        made.unknown += len;
    }
    put_unknown(t, &made);
    return made.count;
}

/* Symbols that were merged: each token takes as many as it is spelt with. */
static void join_lens(const struct lm_tokenizer *t, const uint32_t *symbols, size_t symbol_count,
                      const uint32_t *ids, size_t count, struct lm_span *lens)
{
    const size_t prefix = t->chain->prefix.len;
    size_t from = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t wanted = lm_vocab_bytes(&t->vocab, ids[i]).len;
        size_t spelt = 0, end = at;
        do {
            const size_t own = lm_vocab_bytes(&t->vocab, symbols[from]).len;
            spelt += spelt ? own - (own < prefix ? own : prefix) : own;
            end += lens[from++].end;
        } while (from < symbol_count && spelt < wanted);
        lens[i] = (struct lm_span){ at, end };
        at = end;
    }
}

static size_t merge_traced(const struct lm_tokenizer *t, struct lm_chain_scratch *s, uint32_t *ids,
                           size_t count, struct lm_span *spans)
{
    lm_grow(&s->symbols, &s->symbols_cap, count, sizeof(*s->symbols));
    memcpy(s->symbols, ids, count * sizeof(*ids));
    const size_t merged = count < 2 ? count : lm_bpe_merge(&t->bpe, &s->bpe, ids, count);
    join_lens(t, s->symbols, count, ids, merged, spans);
    return merged;
}

static size_t bpe(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                  uint32_t *ids, struct lm_span *spans)
{
    const uint32_t whole = t->ignore_merges ? find(t, piece) : LM_TOKEN_NONE;
    if (whole != LM_TOKEN_NONE)
        return put_whole(whole, piece, ids, spans);
    const size_t count = characters(t, s, piece, ids, spans);
    if (count > 0 && spans)
        return merge_traced(t, s, ids, count, spans);
    return count < 2 ? count : lm_bpe_merge(&t->bpe, &s->bpe, ids, count);
}

/* ---- WordPiece, WordLevel ---- */

/* The longest token at piece[at..), LM_TOKEN_NONE without one. */
static uint32_t longest(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                        size_t at, size_t *ret_len)
{
    size_t len = piece.len - at;
    if (len > t->words.longest)
        len = t->words.longest;
    for (; len > 0; len--) {
        if (at + len < piece.len && ((uint8_t)piece.ptr[at + len] & 0xc0) == 0x80)
            continue;   // not inside a character
        const struct lm_str part = { piece.ptr + at, len };
        const uint32_t id = find(t, spelling(t->chain, part, at == 0, false, &s->spelling));
        if (id == LM_TOKEN_NONE)
            continue;
        *ret_len = len;
        return id;
    }
    return LM_TOKEN_NONE;
}

static size_t wordpiece(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                        uint32_t *ids, struct lm_span *spans)
{
    size_t count = 0;
    const bool fits = piece.len <= t->chain->chars_max || lm_utf8_count(piece) <= t->chain->chars_max;
    for (size_t at = 0, len = 0; fits && at < piece.len; at += len) {
        ids[count] = longest(t, s, piece, at, &len);
        if (ids[count] == LM_TOKEN_NONE) {
            count = 0;
            break;
        }
        if (spans)
            spans[count] = (struct lm_span){ at, at + len };
        count++;
    }
    return count ? count : put_whole(t->unknown, piece, ids, spans);
}

/* ---- all of them ---- */

size_t lm_chain_ids(const struct lm_tokenizer *t, struct lm_chain_scratch *s, struct lm_str piece,
                    uint32_t *ids, struct lm_span *spans)
{
    switch (t->chain->model) {
    case LM_CHAIN_BPE:
        return bpe(t, s, piece, ids, spans);
    case LM_CHAIN_UNIGRAM:
        return lm_unigram_ids(t->chain->unigram, &s->unigram, piece, ids, spans);
    case LM_CHAIN_WORDPIECE:
        return wordpiece(t, s, piece, ids, spans);
    case LM_CHAIN_WORDLEVEL:
        break;
    }
    const uint32_t id = find(t, piece);
    return put_whole(id != LM_TOKEN_NONE ? id : t->unknown, piece, ids, spans);
}

size_t lm_chain_room(const struct lm_chain *c, size_t bytes)
{
    return bytes * (1 + (c->byte_fallback ? c->prefix.len + c->suffix.len : 0)) + 1;
}

void lm_chain_scratch_release(struct lm_chain_scratch *s)
{
    lm_bpe_scratch_release(&s->bpe);
    lm_unigram_scratch_release(&s->unigram);
    lm_buf_release(&s->spelling);
    lm_chain_pieces_release(&s->pieces);
    free(s->spans);
    free(s->symbols);
}

void lm_chain_free(struct lm_chain *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->normal_count; i++) {
        lm_split_release(&c->normals[i].pattern.dfa);
        lm_charsmap_release(&c->normals[i].map);
        lm_trie_release(&c->normals[i].kept);
    }
    for (size_t i = 0; i < c->cut_count; i++)
        lm_split_release(&c->cuts[i].pattern.dfa);
    for (size_t i = 0; i < c->decode_count; i++)
        lm_split_release(&c->decodes[i].pattern.dfa);
    free(c->normals);
    free(c->cuts);
    free(c->decodes);
    lm_unigram_free(c->unigram);
    for (size_t i = 0; c->shown && i < 2; i++)
        lm_vocab_release(&c->shown[i]);
    free(c->shown);
    lm_arena_release(&c->arena);
    free(c);
}
