#include "token/vocab.h"

#include "base/hash.h"

void lm_vocab_set(struct lm_vocab *v, uint32_t id, struct lm_str bytes, enum lm_token_kind kind)
{
    LM_ASSERT(id < LM_VOCAB_SIZE_MAX);
    LM_ASSERT(v->bytes.len + bytes.len <= UINT32_MAX);

    if (id >= v->size && !v->items) {   // added tokens begin far up: pages of zeros below cost nothing
        v->cap = ((size_t)id + 1) * 2;
        v->items = lm_zalloc(v->cap, sizeof(*v->items));
        v->size = (size_t)id + 1;
    }
    if (id >= v->size) {
        lm_grow(&v->items, &v->cap, (size_t)id + 1, sizeof(*v->items));
        memset(v->items + v->size, 0, (id + 1 - v->size) * sizeof(*v->items));
        v->size = (size_t)id + 1;
    }
    v->items[id] =
        (struct lm_token){ .at = (uint32_t)v->bytes.len, .len = (uint32_t)bytes.len, .kind = kind };
    lm_buf_add_str(&v->bytes, bytes);
}

void lm_vocab_room(struct lm_vocab *v, size_t count, size_t bytes)
{
    lm_grow(&v->items, &v->cap, count < LM_VOCAB_SIZE_MAX ? count : LM_VOCAB_SIZE_MAX, sizeof(*v->items));
    lm_buf_space(&v->bytes, bytes);
}

void lm_vocab_release(struct lm_vocab *v)
{
    lm_buf_release(&v->bytes);
    free(v->items);
    *v = (struct lm_vocab){ 0 };
}

/* ---- bytes to id ---- */

uint32_t lm_token_hash(struct lm_str bytes)
{
    return (uint32_t)(lm_hash64(bytes.ptr, bytes.len) >> 32);
}

static uint32_t id_in(uint64_t slot)
{
    return (uint32_t)slot;
}

/* The slot that holds equal bytes, or the free one where they would go. */
static uint64_t *find_slot(const struct lm_token_map *m, const struct lm_vocab *v, struct lm_str bytes,
                           uint32_t hash)
{
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        const uint64_t slot = m->slots[i];
        if (id_in(slot) == LM_TOKEN_NONE ||
            (slot >> 32 == hash && lm_str_eq(lm_vocab_bytes(v, id_in(slot)), bytes)))
            return &m->slots[i];
    }
}

/* All that are there differ, so their hashes say where they go. */
static void grow(struct lm_token_map *m, size_t count)
{
    const struct lm_token_map old = *m;
    m->mask = count - 1;
    m->slots = lm_alloc(count * sizeof(*m->slots));
    memset(m->slots, 0xff, count * sizeof(*m->slots));
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        if (id_in(old.slots[i]) == LM_TOKEN_NONE)
            continue;
        size_t at = (old.slots[i] >> 32) & m->mask;
        while (id_in(m->slots[at]) != LM_TOKEN_NONE)
            at = (at + 1) & m->mask;
        m->slots[at] = old.slots[i];
    }
    free(old.slots);
}

enum { SLOTS_MIN = 1024 };

void lm_token_map_room(struct lm_token_map *m, size_t count)
{
    size_t slots = SLOTS_MIN;
    while (slots / 2 <= count)
        slots *= 2;
    if (!m->slots || slots > m->mask + 1)
        grow(m, slots);
}

static uint64_t *slot_for(struct lm_token_map *m, const struct lm_vocab *v, uint32_t id, uint32_t *ret_hash)
{
    LM_ASSERT(id < v->size);
    if (!m->slots || (m->len + 1) * 2 > m->mask)
        grow(m, m->slots ? (m->mask + 1) * 2 : SLOTS_MIN);
    const struct lm_str bytes = lm_vocab_bytes(v, id);
    *ret_hash = lm_token_hash(bytes);
    return find_slot(m, v, bytes, *ret_hash);
}

void lm_token_map_put(struct lm_token_map *m, const struct lm_vocab *v, uint32_t id)
{
    uint32_t hash;
    uint64_t *slot = slot_for(m, v, id, &hash);
    m->len += id_in(*slot) == LM_TOKEN_NONE;
    *slot = (uint64_t)hash << 32 | id;
}

bool lm_token_map_add(struct lm_token_map *m, const struct lm_vocab *v, uint32_t id)
{
    uint32_t hash;
    uint64_t *slot = slot_for(m, v, id, &hash);
    if (id_in(*slot) != LM_TOKEN_NONE)
        return false;
    m->len++;
    *slot = (uint64_t)hash << 32 | id;
    return true;
}

uint32_t lm_token_map_find_hashed(const struct lm_token_map *m, const struct lm_vocab *v, struct lm_str bytes,
                                  uint32_t hash)
{
    return m->slots ? id_in(*find_slot(m, v, bytes, hash)) : LM_TOKEN_NONE;
}

uint32_t lm_token_map_find(const struct lm_token_map *m, const struct lm_vocab *v, struct lm_str bytes)
{
    return lm_token_map_find_hashed(m, v, bytes, lm_token_hash(bytes));
}

void lm_token_map_release(struct lm_token_map *m)
{
    free(m->slots);
    *m = (struct lm_token_map){ 0 };
}

/* ---- bytes as characters ---- */

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* How many of the bytes below this one do not stand for themselves. */
static uint32_t moved_below(uint32_t byte)
{
    if (byte <= 33)
        return byte;
    if (byte <= 126)
        return 33;
    if (byte <= 161)
        return 33 + byte - 127;
    return byte <= 173 ? 33 + 34 : 33 + 35;
}

uint32_t lm_byte_to_char(uint8_t byte)
{
    return stands_for_itself(byte) ? byte : 256 + moved_below(byte);
}

/* The byte that a code point stands for, or -1. */
static int char_to_byte(uint32_t cp)
{
    if (cp < 256)
        return stands_for_itself(cp) ? (int)cp : -1;
    const uint32_t moved = cp - 256;
    if (moved >= 68)
        return -1;
    return (int)(moved < 33 ? moved : moved < 67 ? moved - 33 + 127 : 173);
}

uint8_t lm_byte_in_order(size_t index)
{
    LM_ASSERT(index < 256);
    size_t seen = 0;
    for (uint32_t cp = 0;; cp++) {   // ends: 256 of the first 324 code points stand for a byte
        const int byte = char_to_byte(cp);
        if (byte >= 0 && seen++ == index)
            return (uint8_t)byte;
    }
}

void lm_bytes_to_text(struct lm_str bytes, struct lm_buf *ret)
{
    for (size_t i = 0; i < bytes.len; i++) {
        const uint32_t cp = lm_byte_to_char((uint8_t)bytes.ptr[i]);
        if (cp < 128) {
            lm_buf_putc(ret, (char)cp);
        } else {
            lm_buf_putc(ret, (char)(0xc0 | cp >> 6));
            lm_buf_putc(ret, (char)(0x80 | (cp & 0x3f)));
        }
    }
}

/* Eight bytes of 34 to 126, which stand for themselves?  A wrong no is all right. */
static bool plain(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, tops = ones * 0x80;
    return !((word | (word - ones * 34) | (word + ones)) & tops);
}

/* How many bytes from `at` on stand for themselves, as far as can be said quickly; copies them. */
static size_t copy_plain(struct lm_str text, size_t at, char *out)
{
    const size_t start = at;
    uint64_t eight;
    uint32_t four;
    for (; text.len - at >= sizeof(eight); at += sizeof(eight), out += sizeof(eight)) {
        memcpy(&eight, text.ptr + at, sizeof(eight));
        if (!plain(eight))
            break;
        memcpy(out, &eight, sizeof(eight));
    }
    if (text.len - at >= sizeof(four)) {
        memcpy(&four, text.ptr + at, sizeof(four));
        if (plain(four | (uint64_t)four << 32)) {
            memcpy(out, &four, sizeof(four));
            at += sizeof(four);
        }
    }
    return at - start;
}

bool lm_text_to_bytes(struct lm_str text, struct lm_buf *ret)
{
    char *out = lm_buf_space(ret, text.len + 1);
    const bool blank =
        text.len > 1 && (uint8_t)text.ptr[0] == 0xc4 && (uint8_t)text.ptr[1] == 0xa0;   // U+0120
    size_t len = 0, i = 0;
    if (blank) {   // how half of all tokens begin
        out[len++] = ' ';
        i = 2;
    }
    const size_t copied = copy_plain(text, i, out + len);
    len += copied;
    for (i += copied; i < text.len; i++) {
        uint32_t cp = (uint8_t)text.ptr[i];
        if (cp > 32 && cp < 127) {   // nearly all of them
            out[len++] = (char)cp;
            continue;
        }
        if (cp >= 0xc0 && cp < 0xe0 && i + 1 < text.len)   // all of them are below U+0800
            cp = (cp & 0x1f) << 6 | ((uint8_t)text.ptr[++i] & 0x3f);
        else if (cp >= 128)
            return false;
        const int byte = char_to_byte(cp);
        if (byte < 0)
            return false;
        out[len++] = (char)byte;
    }
    ret->len += len;
    if (ret->ptr)
        ret->ptr[ret->len] = 0;
    return true;
}
