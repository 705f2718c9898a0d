/* token/parts_scores.c - sentencepiece's scores as a list of merges.
 *
 * By scores, the neighbours that make the piece of the highest score are merged first.  The list that says
 * the same: for every piece, in order of ids, each way to make it of two others, sorted by their ids; then
 * all lines by the score of what they make, highest first, equal ones staying in order.  So do Hugging Face's
 * converters. */
#include <math.h>

#include "token/parts_impl.h"
#include "token/pieces.h"

/* sentencepiece's own limit is 16 characters unless told; longer pieces would take quadratic time here. */
enum { PIECE_BYTES_MAX = 512 };

/* Only normal pieces are merged.  User-defined ones are cut out of text first, but for those with blanks:
 * text has U+0020 there and is cut before blanks are made. */
static bool takes_part(const struct lm_tokenizer_parts *p, size_t id)
{
    if (lm_parts_kind(p, id) == LM_TOKEN_SPECIAL)
        return false;
    const int32_t type = p->types ? p->types[id] : LM_TOKEN_NORMAL;
    if (!p->types && lm_piece_byte(p->tokens[id]) >= 0)
        return false;
    return type == LM_TOKEN_NORMAL ||
           (type == LM_TOKEN_USER_DEFINED && lm_str_find(p->tokens[id], LM_STR("\xe2\x96\x81")) >= 0);
}

static enum lm_rc index_pieces(const struct lm_tokenizer_parts *p, const char *name, struct lm_vocab *vocab,
                               struct lm_token_map *map, struct lm_err *err)
{
    for (size_t id = 0; id < p->token_count; id++) {
        if (p->tokens[id].len > PIECE_BYTES_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: tokenizer.ggml.tokens[%zu] has %zu bytes, more than %d", name,
                           id, p->tokens[id].len, PIECE_BYTES_MAX);
        lm_vocab_set(vocab, (uint32_t)id, p->tokens[id], LM_TOKEN_MODEL);
        if (lm_token_map_find(map, vocab, p->tokens[id]) != LM_TOKEN_NONE)
            return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.tokens[%zu] '%.*s' is there twice", name, id,
                           (int)p->tokens[id].len, p->tokens[id].ptr);
        lm_token_map_put(map, vocab, (uint32_t)id);
    }
    return LM_OK;
}

static void add_splits(const struct lm_tokenizer_parts *p, const struct lm_vocab *vocab,
                       const struct lm_token_map *map, uint32_t id, struct lm_score_lines *ret)
{
    const struct lm_str piece = p->tokens[id];
    for (size_t k = 1; k < piece.len; k++) {
        if (((uint8_t)piece.ptr[k] & 0xc0) == 0x80)
            continue;   // inside a character
        const uint32_t left = lm_token_map_find(map, vocab, (struct lm_str){ piece.ptr, k });
        if (left == LM_TOKEN_NONE || !takes_part(p, left))
            continue;
        const uint32_t right = lm_token_map_find(map, vocab, (struct lm_str){ piece.ptr + k, piece.len - k });
        if (right == LM_TOKEN_NONE || !takes_part(p, right))
            continue;
        lm_grow(&ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
        ret->items[ret->len++] = (struct lm_score_line){ p->scores[id], id, left, right };
    }
}

static int in_order(const void *a, const void *b)
{
    const struct lm_score_line *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return x->right < y->right ? -1 : x->right > y->right;
}

static enum lm_rc add_lines(const struct lm_tokenizer_parts *p, const char *name,
                            const struct lm_vocab *vocab, const struct lm_token_map *map,
                            struct lm_score_lines *ret, struct lm_err *err)
{
    for (uint32_t id = 0; id < p->token_count; id++) {
        const bool unused = p->types && p->types[id] == LM_TOKEN_UNUSED;
        const size_t before = ret->len;
        if (!isfinite(p->scores[id]))
            return lm_fail(err, LM_EFORMAT, "%s: tokenizer.ggml.scores[%u] is not a number", name, id);
        if (takes_part(p, id) || unused)
            add_splits(p, vocab, map, id, ret);
        if (unused && ret->len > before)
            return lm_fail(
                err, LM_EFORMAT,
                "%s: tokenizer.ggml.tokens[%u] '%.*s' is unused, but merges can make it; to split it "
                "again is not supported",
                name, id, (int)p->tokens[id].len, p->tokens[id].ptr);
    }
    return LM_OK;
}

enum lm_rc lm_parts_score_lines(const struct lm_tokenizer_parts *p, const char *name,
                                struct lm_score_lines *ret, struct lm_err *err)
{
    struct lm_vocab vocab = { 0 };
    struct lm_token_map map = { 0 };
    enum lm_rc rc = index_pieces(p, name, &vocab, &map, err);
    if (rc == LM_OK)
        rc = add_lines(p, name, &vocab, &map, ret, err);
    if (rc == LM_OK && ret->len > 0)
        qsort(ret->items, ret->len, sizeof(*ret->items), in_order);
    lm_token_map_release(&map);
    lm_vocab_release(&vocab);
    return rc;
}
