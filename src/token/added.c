/* token/added.c - added tokens in text.
 *
 * A position is looked at only when an added token starts with its byte; then one hash look-up for each
 * distinct length, longest first.  So a hundred thousand added tokens load and search as fast as three. */
#include "token/tokenizer_impl.h"

void lm_added_put(struct lm_added *a, const struct lm_vocab *v, uint32_t id)
{
    const struct lm_str content = lm_vocab_bytes(v, id);
    LM_ASSERT(content.len > 0);
    lm_token_map_put(&a->map, v, id);
    a->first[(uint8_t)content.ptr[0]] = true;
    a->ordinary_count += v->items[id].kind != LM_TOKEN_SPECIAL;

    size_t at = 0;
    while (at < a->length_count && a->lengths[at] > content.len)
        at++;
    if (at < a->length_count && a->lengths[at] == content.len)
        return;
    lm_grow(&a->lengths, &a->length_cap, a->length_count + 1, sizeof(*a->lengths));
    memmove(a->lengths + at + 1, a->lengths + at, (a->length_count - at) * sizeof(*a->lengths));
    a->lengths[at] = (uint32_t)content.len;
    a->length_count++;
}

void lm_added_release(struct lm_added *a)
{
    lm_token_map_release(&a->map);
    free(a->lengths);
    *a = (struct lm_added){ 0 };
}

/* The longest added token that starts at the first byte of rest, or LM_TOKEN_NONE. */
static uint32_t longest(const struct lm_added *a, const struct lm_vocab *v, struct lm_str rest,
                        bool allow_special)
{
    for (size_t i = 0; i < a->length_count; i++) {
        if (a->lengths[i] > rest.len)
            continue;
        const uint32_t id = lm_token_map_find(&a->map, v, (struct lm_str){ rest.ptr, a->lengths[i] });
        if (id != LM_TOKEN_NONE && (allow_special || v->items[id].kind != LM_TOKEN_SPECIAL))
            return id;
    }
    return LM_TOKEN_NONE;
}

size_t lm_added_next(const struct lm_added *a, const struct lm_vocab *v, struct lm_str text, size_t from,
                     bool allow_special, uint32_t *ret_id)
{
    if (!allow_special && a->ordinary_count == 0)
        return text.len;
    for (size_t at = from; at < text.len; at++) {
        if (!a->first[(uint8_t)text.ptr[at]])
            continue;
        const uint32_t id = longest(a, v, (struct lm_str){ text.ptr + at, text.len - at }, allow_special);
        if (id != LM_TOKEN_NONE) {
            *ret_id = id;
            return at;
        }
    }
    return text.len;
}
