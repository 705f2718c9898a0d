/* token/added.c - added tokens in text.
 *
 * A position is looked at only when an added token starts with its byte; then, if one goes on with the next
 * byte, too, one hash look-up for each distinct length at whose end a token of this length might end, longest
 * first.  So a hundred thousand added tokens load and search as fast as three. */
#include "text/text.h"
#include "token/tokenizer_impl.h"
#include "token/unicode.h"

static void put_byte(uint64_t set[4], char byte)
{
    set[(uint8_t)byte / 64] |= (uint64_t)1 << (uint8_t)byte % 64;
}

static bool has_byte(const uint64_t set[4], char byte)
{
    return set[(uint8_t)byte / 64] >> (uint8_t)byte % 64 & 1;
}

static struct lm_added_length *length_of(struct lm_added *a, size_t len)
{
    size_t at = 0;
    while (at < a->length_count && a->lengths[at].len > len)
        at++;
    if (at < a->length_count && a->lengths[at].len == len)
        return &a->lengths[at];
    lm_grow(&a->lengths, &a->length_cap, a->length_count + 1, sizeof(*a->lengths));
    memmove(a->lengths + at + 1, a->lengths + at, (a->length_count - at) * sizeof(*a->lengths));
    a->lengths[at] = (struct lm_added_length){ .len = (uint32_t)len };
    a->length_count++;
    return &a->lengths[at];
}

void lm_added_put(struct lm_added *a, uint32_t id, struct lm_str content, enum lm_token_kind kind,
                  bool lstrip, bool rstrip)
{
    LM_ASSERT(content.len > 0 && (kind == LM_TOKEN_ADDED || kind == LM_TOKEN_SPECIAL));
    lm_vocab_set(&a->texts, id, content, kind);
    a->texts.items[id].lstrip = lstrip;
    a->texts.items[id].rstrip = rstrip;
    lm_token_map_put(&a->map, &a->texts, id);
    a->first_count += !a->first[(uint8_t)content.ptr[0]];
    a->first[(uint8_t)content.ptr[0]] = true;
    a->first_byte = content.ptr[0];
    a->ordinary_count += kind != LM_TOKEN_SPECIAL;

    const uint8_t first = (uint8_t)content.ptr[0];
    a->longest[first] = content.len > a->longest[first] ? (uint32_t)content.len : a->longest[first];
    if (content.len == 1)
        a->single[first] = id + 1;
    else
        put_byte(a->pairs[first], content.ptr[1]);
    put_byte(length_of(a, content.len)->last, content.ptr[content.len - 1]);
}

void lm_added_release(struct lm_added *a)
{
    lm_token_map_release(&a->map);
    lm_vocab_release(&a->texts);
    free(a->lengths);
    *a = (struct lm_added){ 0 };
}

/* The longest added token that starts at the first byte of rest, or LM_TOKEN_NONE. */
static uint32_t longest(const struct lm_added *a, struct lm_str rest)
{
    const uint8_t first = (uint8_t)rest.ptr[0];
    const bool goes_on = rest.len > 1 && has_byte(a->pairs[first], rest.ptr[1]);
    for (size_t i = 0; goes_on && i < a->length_count && a->lengths[i].len > 1; i++) {
        const struct lm_added_length *l = &a->lengths[i];
        if (l->len > rest.len || l->len > a->longest[first] || !has_byte(l->last, rest.ptr[l->len - 1]))
            continue;
        const uint32_t id = lm_token_map_find(&a->map, &a->texts, (struct lm_str){ rest.ptr, l->len });
        if (id != LM_TOKEN_NONE)
            return id;
    }
    return a->single[first] ? a->single[first] - 1 : LM_TOKEN_NONE;
}

static bool touches_plain(struct lm_allow allow, size_t start, size_t end)
{
    size_t low = 0, high = allow.plain_count;   // the first range that ends behind start
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (allow.plain[mid].end > start)
            high = mid;
        else
            low = mid + 1;
    }
    return low < allow.plain_count && allow.plain[low].start < end;
}

static size_t blanks_before(struct lm_str text, size_t from, size_t at)
{
    while (at > from) {
        size_t start = at - 1;
        while (start > from && ((uint8_t)text.ptr[start] & 0xc0) == 0x80)
            start--;
        uint32_t cp;
        if (lm_utf8_next(text, start, &cp) != at - start || lm_unicode_class(cp) != LM_UCLASS_SPACE)
            break;
        at = start;
    }
    return at;
}

static size_t blanks_behind(struct lm_str text, size_t at)
{
    while (at < text.len) {
        uint32_t cp;
        const size_t len = lm_utf8_next(text, at, &cp);
        if (lm_unicode_class(cp) != LM_UCLASS_SPACE)
            break;
        at += len;
    }
    return at;
}

/* A token at `at` to `end` with the blanks that it swallows; those up to `from` are swallowed already. */
static struct lm_span with_blanks(const struct lm_token *token, struct lm_str text, size_t from, size_t at,
                                  size_t end)
{
    struct lm_span taken = { at, token->rstrip ? blanks_behind(text, end) : end };
    if (token->lstrip)
        taken.start = at > from ? blanks_before(text, from, at) : from;
    return taken;
}

/* Joiners count as parts of words here. */
static bool is_word(uint32_t cp)
{
    return lm_unicode_is_word(cp) || cp == 0x200c || cp == 0x200d;
}

static bool touches_word(struct lm_str text, size_t start, size_t end)
{
    uint32_t cp;
    if (end < text.len && (lm_utf8_next(text, end, &cp), is_word(cp)))
        return true;
    if (start == 0)
        return false;
    for (start--; start > 0 && ((uint8_t)text.ptr[start] & 0xc0) == 0x80;)
        start--;
    lm_utf8_next(text, start, &cp);
    return is_word(cp);
}

/* The next place from `at` on where an added token may start, or the end. */
static size_t next_first(const struct lm_added *a, struct lm_str text, size_t at)
{
    if (a->first_count == 1) {   // as in most vocabularies: '<'
        const char *found = at < text.len ? memchr(text.ptr + at, a->first_byte, text.len - at) : NULL;
        return found ? (size_t)(found - text.ptr) : text.len;
    }
    while (at < text.len && !a->first[(uint8_t)text.ptr[at]])
        at++;
    return at;
}

bool lm_added_next(const struct lm_added *a, struct lm_str text, struct lm_allow allow,
                   struct lm_added_match *match)
{
    if (a->map.len == 0 || (!allow.special && a->ordinary_count == 0))
        return false;
    for (size_t at = next_first(a, text, match->next); at < text.len; at = next_first(a, text, at + 1)) {
        const uint32_t id = longest(a, (struct lm_str){ text.ptr + at, text.len - at });
        if (id == LM_TOKEN_NONE)
            continue;
        const struct lm_token *token = &a->texts.items[id];
        const size_t end = at + token->len;
        if (token->kind == LM_TOKEN_SPECIAL && !allow.special) {
            at = end - 1;   // all of it is ordinary text, also an added token inside: so does Hugging Face
            continue;
        }
        if (token->single_word && touches_word(text, at, end)) {
            at = end - 1;
            continue;
        }
        if (token->kind == LM_TOKEN_SPECIAL && touches_plain(allow, at, end))
            continue;
        const struct lm_span taken = with_blanks(token, text, match->end, at, end);
        if (taken.start >= taken.end) {   // of blanks that are swallowed already
            at = end - 1;
            continue;
        }
        *match = (struct lm_added_match){ taken.start, taken.end, end, id };
        return true;
    }
    return false;
}
