#include "infer/constraint_vocab.h"

#include "base/mem.h"

#include <stdlib.h>

/* ---- plain text ---- */

static bool is_inner(char byte)   // of a character, not its first
{
    return ((uint8_t)byte & 0xc0) == 0x80;
}

/* Bytes of the well-formed character at `s`; 0 if there is none (Unicode 15, table 3-7). */
static size_t character_bytes(struct lm_str s)
{
    static const struct {
        uint8_t low, high, second_low, second_high, bytes;
    } rows[] = {
        { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    const uint8_t *at = (const uint8_t *)s.ptr;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        if (at[0] < rows[r].low || at[0] > rows[r].high)
            continue;
        if (s.len < rows[r].bytes)
            return 0;
        if (rows[r].bytes > 1 && (at[1] < rows[r].second_low || at[1] > rows[r].second_high))
            return 0;
        for (size_t i = 2; i < rows[r].bytes; i++)
            if (at[i] < 0x80 || at[i] > 0xbf)
                return 0;
        return rows[r].bytes;
    }
    return 0;
}

static uint8_t kind_of(uint8_t first)
{
    if (first >= 'a' && first <= 'z')
        return LM_KIND_LOWER;
    if (first >= 'A' && first <= 'Z')
        return LM_KIND_UPPER;
    if (first >= '0' && first <= '9')
        return LM_KIND_DIGIT;
    if (first < 0x20 || first == '"' || first == '\\')
        return LM_KIND_OTHER;
    return first == ' '   ? LM_KIND_BLANK
           : first == '_' ? LM_KIND_UNDERSCORE
           : first < 0x80 ? LM_KIND_SIGN
                          : LM_KIND_HIGH;
}

/* The kind of character that each byte is part of. */
static void find_kinds(struct lm_str text, uint8_t *ret)
{
    size_t bytes;
    for (size_t i = 0; i < text.len; i += bytes ? bytes : 1) {
        bytes = character_bytes((struct lm_str){ text.ptr + i, text.len - i });
        if (bytes == 0)
            ret[i] = LM_KIND_OTHER;
        else
            memset(ret + i, kind_of((uint8_t)text.ptr[i]), bytes);
    }
}

/* Characters of a plain text; 0 if it is not plain, or empty. */
static size_t plain_chars(struct lm_str text)
{
    uint8_t kinds[LM_TRIE_TOKEN_BYTES_MAX];
    size_t chars = 0;
    find_kinds(text, kinds);
    for (size_t i = 0; i < text.len; i++) {
        if (kinds[i] == LM_KIND_OTHER)
            return 0;
        chars += !is_inner(text.ptr[i]);
    }
    return chars;
}

/* ---- building ---- */

struct entry {
    struct lm_str bytes;
    uint32_t id;
    uint8_t chars;   // LM_TRIE_CHARS_MANY: not plain
};

static int by_bytes(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int order = lm_str_cmp(x->bytes, y->bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static size_t common_bytes(struct lm_str a, struct lm_str b)
{
    size_t i = 0;
    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
        i++;
    return i;
}

static void add_below(struct lm_trie_node *nodes, const size_t *path, struct lm_str bytes)
{
    uint8_t kinds[LM_TRIE_TOKEN_BYTES_MAX];
    struct lm_run behind = { 0, 0 };
    find_kinds(bytes, kinds);
    for (size_t d = bytes.len; d-- > 0;) {
        struct lm_run *below = &nodes[path[d]].below;
        below->kinds |= behind.kinds;
        below->chars = behind.chars > below->chars ? behind.chars : below->chars;
        behind.kinds |= kinds[d];
        behind.chars += !is_inner(bytes.ptr[d]) && behind.chars < LM_RUN_ANY;
    }
}

/* Sorted entries, so a token's nodes beyond what it shares with the one before are new, and come last. */
static void build_trie(const struct entry *entries, size_t count, struct lm_trie *ret)
{
    size_t path[LM_TRIE_TOKEN_BYTES_MAX], cap = 0, depth = 0;
    ret->ids = lm_zalloc(count + 1, sizeof(*ret->ids));
    for (size_t i = 0; i < count; i++) {
        const struct lm_str bytes = entries[i].bytes;
        const size_t shared = i > 0 ? common_bytes(entries[i - 1].bytes, bytes) : 0;
        while (depth > shared)
            ret->nodes[path[--depth]].next = (uint32_t)ret->count;
        for (; depth < bytes.len; depth++) {
            lm_grow(&ret->nodes, &cap, ret->count + 2, sizeof(*ret->nodes));
            path[depth] = ret->count;
            ret->nodes[ret->count++] = (struct lm_trie_node){
                .token = (uint32_t)i,
                .depth = (uint16_t)depth,
                .byte = (uint8_t)bytes.ptr[depth],
            };
        }
        for (size_t d = 0; d < depth; d++)
            if (entries[i].chars > ret->nodes[path[d]].chars)
                ret->nodes[path[d]].chars = entries[i].chars;
        add_below(ret->nodes, path, bytes);
        ret->ids[i] = entries[i].id;
    }
    while (depth > 0)
        ret->nodes[path[--depth]].next = (uint32_t)ret->count;
    if (!ret->nodes)
        ret->nodes = lm_zalloc(1, sizeof(*ret->nodes));
    ret->nodes[ret->count] = (struct lm_trie_node){ .token = (uint32_t)count };
    ret->id_count = count;
}

static void make_plain_masks(struct lm_constraint_vocab *v, const struct entry *plain, size_t count)
{
    v->plain_masks = lm_zalloc(v->words * (LM_PLAIN_CHARS_MAX + 1), sizeof(*v->plain_masks));
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &plain[i];
        if (e->chars > v->plain_chars_max)
            v->plain_chars_max = e->chars;
        for (size_t chars = e->chars; chars <= LM_PLAIN_CHARS_MAX; chars++)
            v->plain_masks[chars * v->words + e->id / 64] |= UINT64_C(1) << e->id % 64;
        if (e->chars > LM_PLAIN_CHARS_MAX) {
            lm_grow(&v->longs, &v->long_cap, v->long_count + 1, sizeof(*v->longs));
            v->longs[v->long_count++] = (struct lm_long_token){ e->id, e->chars };
        }
    }
}

/* A node's own tokens come before those of its children, since shorter bytes sort first. */
struct lm_constraint_vocab *lm_constraint_vocab_new(const struct lm_tokenizer *t)
{
    struct lm_constraint_vocab *v = lm_zalloc(1, sizeof(*v));
    v->tokenizer = t;
    v->vocab_size = lm_tokenizer_vocab_size(t);
    v->words = (v->vocab_size + 63) / 64;
    LM_FREE struct entry *entries = lm_zalloc(2 * v->vocab_size + 1, sizeof(*entries));
    struct entry *plain = entries, *rest = entries + v->vocab_size;
    size_t plain_count = 0, rest_count = 0;
    for (uint32_t id = 0; id < v->vocab_size; id++) {
        const struct lm_str bytes = lm_tokenizer_bytes(t, id);
        if (bytes.len == 0 || bytes.len > LM_TRIE_TOKEN_BYTES_MAX || lm_tokenizer_is_special(t, id))
            continue;
        if (bytes.len > v->depth_max)
            v->depth_max = bytes.len;
        const size_t chars = plain_chars(bytes);
        struct entry e = { bytes, id, LM_TRIE_CHARS_MANY };
        if (chars > 0) {
            e.chars = chars < LM_TRIE_CHARS_MANY ? (uint8_t)chars : LM_TRIE_CHARS_MANY - 1;
            plain[plain_count++] = e;
        } else {
            rest[rest_count++] = e;
        }
    }
    qsort(plain, plain_count, sizeof(*plain), by_bytes);
    qsort(rest, rest_count, sizeof(*rest), by_bytes);
    build_trie(plain, plain_count, &v->plain);
    build_trie(rest, rest_count, &v->rest);
    make_plain_masks(v, plain, plain_count);
    return v;
}

void lm_constraint_vocab_free(struct lm_constraint_vocab *v)
{
    if (!v)
        return;
    free(v->plain.nodes);
    free(v->plain.ids);
    free(v->rest.nodes);
    free(v->rest.ids);
    free(v->plain_masks);
    free(v->longs);
    free(v);
}
