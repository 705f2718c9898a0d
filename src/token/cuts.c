/* token/cuts.c - where sentencepiece's text may be cut so that nothing changes.
 *
 * A merge across a place makes a token that holds both bytes around it, side by side.  Where no token does,
 * none can happen, and what is left and right is encoded on its own: mostly words and punctuation, which the
 * cache knows. */
#include "token/cuts.h"
#include "token/pieces.h"

enum { BYTES = 256 };

/* Whether merges know bytes as such; then what they make does not show the text it stands for. */
static bool merges_bytes(const struct lm_tokenizer *t)
{
    LM_FREE bool *is_byte = lm_zalloc(t->vocab.size, sizeof(*is_byte));
    for (size_t b = 0; b < BYTES; b++)
        if (t->bpe.byte_id[b] < t->vocab.size)
            is_byte[t->bpe.byte_id[b]] = true;
    for (size_t i = 0; i <= t->bpe.mask; i++) {
        const uint64_t pair = t->bpe.slots[i].pair;
        if (pair != LM_MERGE_FREE && (is_byte[pair >> 32] || is_byte[(uint32_t)pair]))
            return true;
    }
    return false;
}

/* Unknown neighbours are looked at together, so no text with unknown characters may be cut. */
static bool has_unknown(const struct lm_tokenizer *t)
{
    bool missing = !t->pieces.byte_fallback;
    for (size_t b = 0; b < BYTES; b++)
        missing |= lm_utf8_has((unsigned)b) && b >= 0x80 && t->bpe.byte_id[b] == LM_TOKEN_NONE;
    for (size_t b = 0; b < 0x80 && !missing; b++) {
        const char c = (char)b;
        const uint32_t id = lm_token_map_find(&t->model, &t->vocab, (struct lm_str){ &c, 1 });
        missing |= t->bpe.byte_id[b] == LM_TOKEN_NONE &&
                   (id == LM_TOKEN_NONE || t->vocab.items[id].kind == LM_TOKEN_SPECIAL);
    }
    return missing;
}

uint8_t *lm_cuts_make(const struct lm_tokenizer *t)
{
    if (t->family != LM_FAMILY_PIECES || !t->bpe.slots || has_unknown(t) || merges_bytes(t))
        return NULL;
    uint8_t *cuts = lm_alloc((size_t)BYTES * BYTES);
    for (size_t pair = 0; pair < (size_t)BYTES * BYTES; pair++)
        cuts[pair] = (pair & 0xc0) != 0x80;   // not inside a character
    for (size_t i = 0; i <= t->bpe.mask; i++) {
        if (t->bpe.slots[i].pair == LM_MERGE_FREE)
            continue;
        const struct lm_str made = lm_vocab_bytes(&t->vocab, t->bpe.slots[i].id);
        for (size_t k = 1; k < made.len; k++)
            cuts[(uint8_t)made.ptr[k - 1] * BYTES + (uint8_t)made.ptr[k]] = 0;
    }
    for (size_t a = 0; t->grammar == &lm_grammar_blanks && a < BYTES; a++)
        cuts[a * BYTES + ' '] = 1;
    return cuts;
}

size_t lm_cuts_scan(const uint8_t *cuts, struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    const uint8_t *s = (const uint8_t *)text.ptr;
    size_t count = 0, pos = *at;
    if (pos == text.len)
        return 0;
    while (pos + 1 < text.len && count + 1 < ends_max) {
        ret_ends[count] = (uint32_t)++pos;   // stays when it is a cut: no branch
        count += cuts[s[pos - 1] * (size_t)BYTES + s[pos]];
    }
    if (pos + 1 == text.len)
        ret_ends[count++] = (uint32_t)++pos;
    *at = count ? ret_ends[count - 1] : pos;
    return count;
}
