#include "token/compiled.h"

#include "token/chain.h"
#include "token/load.h"

static const char magic[] = "LOOMTOK1";
enum { VERSION = 2, ORDER = 0x01020304, ALIGN = 64, RANK_MAX = 1 << 30 };

/* ---- checks ---- */

bool lm_compiled_looks_like(struct lm_str file)
{
    return lm_str_starts(file, lm_str(magic));
}

static enum lm_rc damaged(const char *name, const char *what, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: damaged compiled tokenizer: %s; compile it again", name, what);
}

struct lm_str lm_compiled_section(const struct lm_compiled *c, enum lm_compiled_section section)
{
    return (struct lm_str){ c->base + c->header.sections[section].at, c->header.sections[section].len };
}

static uint64_t digest_of(const struct lm_compiled *c)
{
    struct lm_compiled_header header = c->header;
    const struct lm_str frame = lm_compiled_section(c, LM_COMPILED_FRAME);
    const struct lm_str template = lm_compiled_section(c, LM_COMPILED_TEMPLATE);
    struct lm_hash64_stream *h = lm_hash64_start();
    header.digest = 0;
    lm_hash64_add(h, &header, sizeof(header));
    lm_hash64_add(h, frame.ptr, frame.len);
    lm_hash64_add(h, template.ptr, template.len);
    const uint64_t digest = lm_hash64_value(h);
    lm_hash64_free(h);
    return digest;
}

/* The entries of a hash table of `size` bytes each: a power of two that the header's number of them fits. */
static bool is_table(struct lm_str section, size_t size, size_t used)
{
    const size_t count = section.len / size;
    return section.len % size == 0 && count > used && (count & (count - 1)) == 0;
}

static enum lm_rc check_header(const struct lm_compiled *c, struct lm_str file, const char *name,
                               struct lm_err *err)
{
    const struct lm_compiled_header *h = &c->header;
    if (h->order != ORDER)
        return lm_fail(err, LM_EFORMAT, "%s: compiled on a machine of another byte order; compile it here",
                       name);
    if (h->version != VERSION)
        return lm_fail(err, LM_EFORMAT, "%s: compiled tokenizer of version %u, not %d; compile it again",
                       name, h->version, VERSION);
    if (h->file_len != file.len)
        return damaged(name, "its length is not what it says", err);
    for (size_t i = 0; i < LM_COMPILED_SECTIONS; i++)
        if (h->sections[i].at % ALIGN || h->sections[i].at > file.len ||
            h->sections[i].len > file.len - h->sections[i].at)
            return damaged(name, "a section lies outside of it", err);
    if (h->digest != digest_of(c))
        return damaged(name, "the digest of its header is another", err);
    const struct lm_str merges = lm_compiled_section(c, LM_COMPILED_MERGES);
    if (h->vocab_size > LM_VOCAB_SIZE_MAX ||
        lm_compiled_section(c, LM_COMPILED_ITEMS).len != h->vocab_size * sizeof(struct lm_token) ||
        lm_compiled_section(c, LM_COMPILED_BYTES).len > UINT32_MAX || h->several_ways > 1 ||
        !is_table(lm_compiled_section(c, LM_COMPILED_MAP), sizeof(uint64_t), h->map_len) ||
        lm_compiled_section(c, LM_COMPILED_MAP).len < 2 * sizeof(uint64_t) ||
        (merges.len > 0 && (!is_table(merges, sizeof(struct lm_merge), h->merge_count) ||
                            merges.len < 16 * sizeof(struct lm_merge))))
        return damaged(name, "a table has another size than it says", err);
    return LM_OK;
}

typedef uint32_t words __attribute__((vector_size(16)));   // of an entry of a table

static words words_at(const char *at)
{
    words w;
    memcpy(&w, at, sizeof(w));
    return w;
}

/* ordinary: bits of the ids that merges and bytes may make. */
static bool check_items(const struct lm_compiled *c, uint64_t *ordinary)
{
    _Static_assert(sizeof(struct lm_token) == 16 && offsetof(struct lm_token, lstrip) == 12 &&
                       offsetof(struct lm_token, merged) == 14 && LM_TOKEN_MODEL == 1 &&
                       LM_TOKEN_ADDED == 2 && LM_TOKEN_SPECIAL == 3,
                   "the layout is the file's");
    const struct lm_str items = lm_compiled_section(c, LM_COMPILED_ITEMS);
    const words never = { 0, 0, ~(uint32_t)LM_TOKEN_SPECIAL, ~(uint32_t)0x01010101 };   // kind, four bools
    words wrong = { 0 };
    uint64_t end_max = 0;
    for (size_t id = 0, size = c->header.vocab_size; id < size;) {
        uint64_t bits = 0;
        for (size_t bit = 0; bit < 64 && id < size; bit++, id++) {
            uint32_t word[4];   // place, length, kind, four bools
            memcpy(word, items.ptr + id * sizeof(word), sizeof(word));
            const uint64_t end = (uint64_t)word[0] + word[1];
            wrong |= words_at(items.ptr + id * sizeof(word)) & never;
            end_max = end > end_max ? end : end_max;
            bits |= (uint64_t)((word[2] + 1) >> 1 & 1) << bit;   // of the model, or added
        }
        ordinary[(id - 1) / 64] = bits;
    }
    return !(wrong[2] | wrong[3]) && end_max <= lm_compiled_section(c, LM_COMPILED_BYTES).len;
}

/* One place must stay free, or a search would not end. */
static bool check_map(const struct lm_compiled *c)
{
    const struct lm_str map = lm_compiled_section(c, LM_COMPILED_MAP);
    const uint32_t size = c->header.vocab_size;
    const words bounds = { size, 0, size, 0 }, none = { LM_TOKEN_NONE, 0, LM_TOKEN_NONE, 0 };
    const words ids = { UINT32_MAX, 0, UINT32_MAX, 0 };   // of two slots; between them are hashes
    words wrong = { 0 }, counts = { 0 };
    for (size_t at = 0; at < map.len; at += sizeof(words)) {
        const words w = words_at(map.ptr + at) & ids, below = (words)(w < bounds);
        wrong |= ~(below | (words)(w == none)) & ids;
        counts -= below;   // a true word is -1
    }
    const size_t used = (size_t)counts[0] + counts[2];
    return !(wrong[0] | wrong[2]) && used == c->header.map_len && used < map.len / sizeof(uint64_t);
}

/* All words of a slot are below their bounds, or all are ones and the slot is free. */
static bool check_slots(struct lm_str section, words bounds, size_t used)
{
    _Static_assert(sizeof(struct lm_merge) == sizeof(words) && offsetof(struct lm_merge, rank) == 8,
                   "the layout is the file's");
    const words ones = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };
    words bad = { 0 }, counts = { 0 };
    for (size_t at = 0; at < section.len; at += sizeof(words)) {
        const words slot = words_at(section.ptr + at), below = (words)(slot < bounds),
                    is_free = (words)(slot == ones);
        bad |= ~(below | is_free) | (below ^ __builtin_shufflevector(below, below, 1, 2, 3, 0));
        counts -= below;   // a true word is -1
    }
    return !(bad[0] | bad[1] | bad[2] | bad[3]) && counts[3] == used;
}

/* Merges make no special token.  Mostly these come last, and that is in the bound of the ids already. */
static bool makes_ordinary(const struct lm_compiled *c, const uint64_t *ordinary)
{
    const struct lm_str section = lm_compiled_section(c, LM_COMPILED_MERGES);
    const struct lm_merge *slots = (const struct lm_merge *)(const void *)section.ptr;
    for (size_t i = 0; i < section.len / sizeof(*slots); i++)
        if (slots[i].pair != LM_MERGE_FREE && !(ordinary[slots[i].id / 64] >> slots[i].id % 64 & 1))
            return false;
    return true;
}

static bool check_merges(const struct lm_compiled *c, const uint64_t *ordinary)
{
    const struct lm_str section = lm_compiled_section(c, LM_COMPILED_MERGES);
    const uint32_t size = c->header.vocab_size;
    uint32_t first = 0;   // token that is not ordinary
    while (first < size && ordinary[first / 64] >> first % 64 & 1)
        first++;
    bool good = check_slots(section, (words){ size, size, RANK_MAX, first }, c->header.merge_count);
    good = good || (check_slots(section, (words){ size, size, RANK_MAX, size }, c->header.merge_count) &&
                    makes_ordinary(c, ordinary));
    for (size_t b = 0; b < 256; b++) {
        const uint32_t id = c->header.byte_id[b];
        good = good && (id == LM_TOKEN_NONE || (id < size && (ordinary[id / 64] >> id % 64 & 1)));
    }
    return good;
}

enum lm_rc lm_compiled_check(struct lm_str file, const char *name, struct lm_compiled *ret,
                             struct lm_err *err)
{
    LM_ASSERT((uintptr_t)file.ptr % _Alignof(uint64_t) == 0);
    struct lm_compiled c = { .base = file.ptr };
    if (!lm_compiled_looks_like(file))
        return lm_fail(err, LM_EFORMAT, "%s: not a compiled tokenizer", name);
    if (file.len < sizeof(c.header))
        return damaged(name, "it is shorter than its header", err);
    memcpy(&c.header, file.ptr, sizeof(c.header));
    LM_TRY(check_header(&c, file, name, err));
    LM_FREE uint64_t *ordinary = lm_zalloc(c.header.vocab_size / 64 + 1, sizeof(*ordinary));
    if (!check_items(&c, ordinary) || !check_map(&c) || !check_merges(&c, ordinary) ||
        !lm_compiled_check_unigram(&c, ordinary))
        return damaged(name, "a table holds an impossible number", err);
    for (size_t i = 0; i < LM_ROLE_COUNT; i++)
        if (c.header.roles[i] != LM_TOKEN_NONE && c.header.roles[i] >= c.header.vocab_size)
            return damaged(name, "a role has no token", err);
    *ret = c;
    return LM_OK;
}

/* ---- tables in the file ---- */

static unsigned log2_of(size_t power)
{
    return (unsigned)__builtin_ctzll(power);
}

void lm_compiled_attach(const struct lm_compiled *c, struct lm_tokenizer *t)
{
    const struct lm_str items = lm_compiled_section(c, LM_COMPILED_ITEMS);
    const struct lm_str bytes = lm_compiled_section(c, LM_COMPILED_BYTES);
    const struct lm_str map = lm_compiled_section(c, LM_COMPILED_MAP);
    const struct lm_str merges = lm_compiled_section(c, LM_COMPILED_MERGES);
    t->shared = true;   // nothing of it is written to, or freed
    t->vocab =
        (struct lm_vocab){ .items = (struct lm_token *)(uintptr_t)items.ptr, .size = c->header.vocab_size };
    t->vocab.bytes.ptr = (char *)(uintptr_t)bytes.ptr;
    t->vocab.bytes.len = bytes.len;
    t->model = (struct lm_token_map){ (uint64_t *)(uintptr_t)map.ptr, map.len / sizeof(uint64_t) - 1,
                                      c->header.map_len };
    memcpy(t->bpe.byte_id, c->header.byte_id, sizeof(t->bpe.byte_id));
    if (merges.len == 0)
        return;
    const size_t slots = merges.len / sizeof(struct lm_merge);
    t->bpe.slots = (struct lm_merge *)(uintptr_t)merges.ptr;
    t->bpe.mask = slots - 1;
    t->bpe.shift = 64 - log2_of(slots);
    t->bpe.len = c->header.merge_count;
    t->bpe.several_ways = c->header.several_ways;
}

void lm_compiled_detach(struct lm_tokenizer *t)
{
    if (!t->shared)
        return;
    t->vocab = (struct lm_vocab){ 0 };
    t->model = (struct lm_token_map){ 0 };
    t->bpe.slots = NULL;
    if (t->chain && t->chain->unigram)
        lm_compiled_detach_unigram(t->chain->unigram);
    t->json = (struct lm_buf){ 0 };
}

/* ---- writing ---- */

static struct lm_str section_of(const struct lm_tokenizer *t, const struct lm_buf *frame, size_t section)
{
    static const struct lm_unigram none = { 0 };
    const struct lm_unigram *u = t->chain && t->chain->unigram ? t->chain->unigram : &none;
    const struct {
        const void *ptr;
        size_t len;
    } all[LM_COMPILED_SECTIONS] = {
        [LM_COMPILED_FRAME] = { frame->ptr, frame->len },
        [LM_COMPILED_TEMPLATE] = { t->chat_template.ptr, t->chat_template.len },
        [LM_COMPILED_ITEMS] = { t->vocab.items, t->vocab.size * sizeof(*t->vocab.items) },
        [LM_COMPILED_BYTES] = { t->vocab.bytes.ptr, t->vocab.bytes.len },
        [LM_COMPILED_MAP] = { t->model.slots,
                              t->model.slots ? (t->model.mask + 1) * sizeof(*t->model.slots) : 0 },
        [LM_COMPILED_MERGES] = { t->bpe.slots, t->bpe.slots ? (t->bpe.mask + 1) * sizeof(*t->bpe.slots) : 0 },
        [LM_COMPILED_TRIE] = { u->trie.nodes, u->trie.size * sizeof(*u->trie.nodes) },
        [LM_COMPILED_SCORES] = { u->scores, u->size * sizeof(*u->scores) },
        [LM_COMPILED_JSON] = { t->json.ptr, t->json.len },
    };
    return (struct lm_str){ all[section].len ? all[section].ptr : "", all[section].len };
}

enum lm_rc lm_tokenizer_compile(const struct lm_tokenizer *t, struct lm_buf *ret, struct lm_err *err)
{
    LM_ASSERT(ret->len == 0);
    struct lm_buf frame = { 0 };
    struct lm_compiled_header h = { .version = VERSION, .order = ORDER };
    LM_TRY(lm_load_frame(lm_buf_str(&t->json), "the tokenizer", &frame, err));
    memcpy(h.magic, magic, sizeof(h.magic));
    memcpy(h.sha256, lm_tokenizer_sha256(t), sizeof(h.sha256));
    memcpy(h.roles, t->roles, sizeof(h.roles));
    memcpy(h.byte_id, t->bpe.byte_id, sizeof(h.byte_id));
    h.vocab_size = (uint32_t)t->vocab.size;
    h.map_len = (uint32_t)t->model.len;
    h.merge_count = (uint32_t)t->bpe.len;
    h.several_ways = t->bpe.several_ways;
    if (!t->bpe.slots || (t->chain && !t->chain->byte_fallback))
        memset(h.byte_id, 0xff, sizeof(h.byte_id));
    h.chain = t->family == LM_FAMILY_CHAIN;
    if (t->chain && t->chain->unigram) {
        memcpy(h.byte_id, t->chain->unigram->byte_id, sizeof(h.byte_id));
        h.unknown_score = t->chain->unigram->unknown_score;
    }
    h.file_len = sizeof(h);
    for (size_t i = 0; i < LM_COMPILED_SECTIONS; i++) {
        h.sections[i].at = (h.file_len + ALIGN - 1) / ALIGN * ALIGN;
        h.sections[i].len = section_of(t, &frame, i).len;
        h.file_len = h.sections[i].at + h.sections[i].len;
    }
    lm_buf_add(ret, &h, sizeof(h));
    for (size_t i = 0; i < LM_COMPILED_SECTIONS; i++) {
        while (ret->len < h.sections[i].at)
            lm_buf_putc(ret, 0);
        lm_buf_add_str(ret, section_of(t, &frame, i));
    }
    lm_buf_release(&frame);
    const struct lm_compiled c = { ret->ptr, h };
    h.digest = digest_of(&c);
    memcpy(ret->ptr, &h, sizeof(h));
    return LM_OK;
}
