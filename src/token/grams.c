#include "token/grams.h"

enum set { INSIDE, STARTS, ENDS };   // of grams of 4, 3 and 3 bytes

static uint64_t place(const struct lm_grams *g, enum set set, uint32_t gram)
{
    return (((uint64_t)set << 32 | gram) * 0x9e3779b97f4a7c15) >> g->shift;
}

static void put(struct lm_grams *g, enum set set, uint32_t gram)
{
    const uint64_t at = place(g, set, gram);
    g->bits[at / 64] |= (uint64_t)1 << at % 64;
}

static bool has(const struct lm_grams *g, enum set set, uint32_t gram)
{
    const uint64_t at = place(g, set, gram);
    return g->bits[at / 64] >> at % 64 & 1;
}

static uint32_t gram_at(const uint8_t *s, size_t len)
{
    uint32_t gram = 0;
    for (size_t i = 0; i < len; i++)
        gram = gram << 8 | s[i];
    return gram;
}

static void put_token(struct lm_grams *g, struct lm_str token)
{
    const uint8_t *s = (const uint8_t *)token.ptr;
    for (size_t i = 0; i + 1 < token.len; i++)
        g->pairs[gram_at(s + i, 2)] |= token.len == 2 ? LM_GRAM_WHOLE : LM_GRAM_INSIDE;
    for (size_t i = 0; i + 3 < token.len; i++)
        put(g, INSIDE, gram_at(s + i, 4));
    if (token.len > 2) {
        put(g, STARTS, gram_at(s, 3));
        put(g, ENDS, gram_at(s + token.len - 3, 3));
    }
}

struct lm_grams *lm_grams_make(const struct lm_tokenizer *t)
{
    if (t->family != LM_FAMILY_BYTES || t->bytes_missing)
        return NULL;
    size_t bytes = 0;
    for (size_t id = 0; id < t->vocab.size; id++)
        bytes += t->vocab.items[id].kind == LM_TOKEN_HOLE ? 0 : t->vocab.items[id].len;
    struct lm_grams *g = lm_zalloc(1, sizeof(*g));
    for (g->shift = 64 - 12; g->shift > 64 - 22 && (size_t)1 << (64 - g->shift) < bytes * 8;)
        g->shift--;
    g->bits = lm_zalloc((size_t)1 << (64 - g->shift) >> 6, sizeof(*g->bits));
    for (uint32_t id = 0; id < t->vocab.size; id++)   // added tokens, too: some are made by merges
        if (t->vocab.items[id].kind != LM_TOKEN_HOLE)
            put_token(g, lm_vocab_bytes(&t->vocab, id));
    return g;
}

void lm_grams_free(struct lm_grams *grams)
{
    if (!grams)
        return;
    free(grams->bits);
    free(grams);
}

/* Whether a token may hold the bytes at `at` - 1 and `at`. */
static bool joined(const struct lm_grams *g, struct lm_str piece, size_t at)
{
    const uint8_t *s = (const uint8_t *)piece.ptr;
    const uint8_t pair = g->pairs[gram_at(s + at - 1, 2)];
    if (pair != LM_GRAM_INSIDE)
        return pair != 0;
    const bool left = at >= 2, right = at + 2 <= piece.len;
    return (left && has(g, ENDS, gram_at(s + at - 2, 3))) ||
           (right && has(g, STARTS, gram_at(s + at - 1, 3))) ||
           (left && right && has(g, INSIDE, gram_at(s + at - 2, 4)));
}

size_t lm_grams_next(const struct lm_grams *grams, struct lm_str piece, size_t from)
{
    enum { PART_MIN = 3 };   // shorter parts are not worth a search of the cache
    for (size_t at = from + PART_MIN; at + PART_MIN <= piece.len; at++)
        if (!joined(grams, piece, at))
            return at;
    return piece.len;
}
