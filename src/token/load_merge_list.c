/* token/load_merge_list.c - what the lines of model.merges mean: ids for sides, into the merge table.
 *
 * A line needs three look-ups in tables larger than the caches, so lines are taken in batches and each step
 * is done for a whole batch: the memory of one line is on its way while the others are worked on.  What a
 * line makes is mostly what the line before made, or the token behind it: that is tried first. */
#include "token/load.h"

#include "base/json.h"
#include "base/sys.h"

enum { BATCH = 64, SIDES = 3 };   // left, right, both together

/* ---- short tokens: the bytes themselves are the key, and one place in memory has all ---- */

enum { SHORT_MAX = LM_MERGE_SPARE };

struct short_slot {
    uint64_t word;      // the bytes, zeros behind them
    uint32_t id, len;   // len 0: free
};

struct short_map {
    struct short_slot *slots;
    unsigned shift;   // 64 - log2(number of slots)
};

static size_t short_home(const struct short_map *m, uint64_t word, size_t len)
{
    return ((word ^ len) * 0x9e3779b97f4a7c15) >> m->shift;
}

/* 8 bytes from `at` on may be read. */
static uint64_t short_word(const char *at, size_t len)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word & UINT64_MAX >> 8 * (SHORT_MAX - len);
}

static struct short_slot *short_find(const struct short_map *m, uint64_t word, size_t len)
{
    const size_t mask = ((size_t)1 << (64 - m->shift)) - 1;
    size_t at = short_home(m, word, len);
    while (m->slots[at].len && (m->slots[at].word != word || m->slots[at].len != len))
        at = (at + 1) & mask;
    return &m->slots[at];
}

static bool is_short(struct lm_str text)
{
    return text.len - 1 < SHORT_MAX;   // and not empty
}

/* Of what merges may make; other tokens are found the long way. */
static void short_make(struct short_map *m, struct lm_vocab *v)
{
    *m = (struct short_map){ .shift = 60 };
    while ((size_t)1 << (64 - m->shift) < v->size * 2)
        m->shift--;
    m->slots = lm_slab_alloc(((size_t)1 << (64 - m->shift)) * sizeof(*m->slots));
    lm_buf_space(&v->bytes, SHORT_MAX);
    for (uint32_t id = 0; id < v->size; id++) {
        const struct lm_str text = lm_vocab_bytes(v, id);
        if (!v->items[id].merged || !is_short(text))
            continue;
        const uint64_t word = short_word(text.ptr, text.len);
        *short_find(m, word, text.len) = (struct short_slot){ word, id, (uint32_t)text.len };
    }
}

/* ---- lines ---- */

struct line {
    size_t at[SIDES];   // in l->lines.bytes: left, right, the end
    uint32_t hash[SIDES], id[SIDES];
};

struct batch {
    struct line lines[BATCH];
    size_t len, first;   // first: number of the first line
    uint32_t made;       // by a line before
    struct short_map shorts;
};

uint32_t lm_load_find(const struct lm_token_load *l, struct lm_str bytes)
{
    const uint32_t id = lm_token_map_find(&l->t->model, &l->t->vocab, bytes);
    return id != LM_TOKEN_NONE && l->t->vocab.items[id].kind != LM_TOKEN_SPECIAL ? id : LM_TOKEN_NONE;
}

static struct lm_str side_bytes(const struct lm_token_load *l, const struct line *line, size_t side)
{
    const size_t from = line->at[side % 2], to = side == 0 ? line->at[1] : line->at[2];
    return (struct lm_str){ l->lines.bytes.ptr + from, to - from };
}

/* The line is read again, for its text as it is written. */
static enum lm_rc fail_line(struct lm_token_load *l, const struct line *line, size_t number,
                            struct lm_err *err)
{
    struct lm_json_reader r;
    struct lm_str sides[2] = { { 0 }, { 0 } };
    lm_json_open(&r, l->lines.json, l->name, &l->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_ARRAY, err));
    for (size_t i = 0; i <= number; i++) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        LM_TRY(lm_load_merge_sides(l, &r, kind, i, &sides[0], &sides[1], err));
    }
    for (size_t i = 0; i < 2; i++)
        if (line->id[i] == LM_TOKEN_NONE)
            return lm_load_merge_unknown(l, number, sides[i], err);
    return lm_fail(err, LM_EFORMAT,
                   "%s: merge %zu: '%.*s' + '%.*s' makes no ordinary token of the vocabulary", l->name,
                   number, (int)sides[0].len, sides[0].ptr, (int)sides[1].len, sides[1].ptr);
}

static enum lm_rc put_line(struct lm_token_load *l, const struct line *line, size_t number,
                           struct lm_err *err)
{
    const uint32_t made = line->id[2];
    for (size_t i = 0; i < SIDES; i++)
        if (line->id[i] == LM_TOKEN_NONE)
            return fail_line(l, line, number, err);
    if (l->made[made] && !lm_bpe_find(&l->t->bpe, line->id[0], line->id[1]))
        l->t->bpe.several_ways = true;
    l->made[made] = true;
    lm_bpe_put(&l->t->bpe, line->id[0], line->id[1], l->ranks ? made : (uint32_t)number, made);
    return LM_OK;
}

/* Whether a line makes this token; a wrong no is all right. */
static bool makes(const struct lm_token_load *l, const struct line *line, uint32_t id)
{
    const struct lm_vocab *v = &l->t->vocab;
    return id < v->size && v->items[id].merged && lm_str_eq(lm_vocab_bytes(v, id), side_bytes(l, line, 2));
}

/* The sides of a line that are not known yet are bits of what this returns. */
static unsigned guess(const struct lm_token_load *l, struct batch *b, struct line *line)
{
    const uint32_t made = b->made + !makes(l, line, b->made);
    if (made != b->made && !makes(l, line, made))
        return 7;
    line->id[2] = b->made = made;
    return 3;
}

static void fetch_side(const struct lm_token_load *l, const struct batch *b, struct line *line, size_t k)
{
    const struct lm_str side = side_bytes(l, line, k);
    if (is_short(side)) {
        const uint64_t word = short_word(side.ptr, side.len);
        __builtin_prefetch(&b->shorts.slots[short_home(&b->shorts, word, side.len)]);
        return;
    }
    line->hash[k] = lm_token_hash(side);
    lm_token_map_fetch_slot(&l->t->model, line->hash[k]);
}

static void find_side(const struct lm_token_load *l, const struct batch *b, struct line *line, size_t k)
{
    const struct lm_vocab *v = &l->t->vocab;
    const struct lm_str side = side_bytes(l, line, k);
    const bool small = is_short(side);
    if (small) {
        const struct short_slot *slot = short_find(&b->shorts, short_word(side.ptr, side.len), side.len);
        line->id[k] = slot->id;
        if (slot->len)
            return;
        line->hash[k] = lm_token_hash(side);
    }
    line->id[k] = lm_token_map_find_hashed(&l->t->model, v, side, line->hash[k]);
    if (line->id[k] != LM_TOKEN_NONE && v->items[line->id[k]].kind == LM_TOKEN_SPECIAL)
        line->id[k] = LM_TOKEN_NONE;
}

/* Ids of the sides of all lines of a batch. */
static void find_batch(const struct lm_token_load *l, struct batch *b)
{
    const struct lm_token_map *m = &l->t->model;
    const struct lm_vocab *v = &l->t->vocab;
    unsigned sought[BATCH] = { 0 },
             far[BATCH] = { 0 };   // sides, as bits; far: of them those that are not short
    for (size_t i = 0; i < b->len; i++) {
        sought[i] = guess(l, b, &b->lines[i]);
        far[i] = 0;
        for (unsigned k = 0; k < SIDES; k++)
            if (sought[i] >> k & 1) {
                fetch_side(l, b, &b->lines[i], k);
                far[i] |= (unsigned)!is_short(side_bytes(l, &b->lines[i], k)) << k;
            }
    }
    for (size_t i = 0; i < b->len; i++)
        for (unsigned rest = far[i]; rest; rest &= rest - 1)
            lm_token_map_fetch_item(m, v, b->lines[i].hash[__builtin_ctz(rest)]);
    for (size_t i = 0; i < b->len; i++)
        for (unsigned rest = far[i]; rest; rest &= rest - 1)
            lm_token_map_fetch_bytes(m, v, b->lines[i].hash[__builtin_ctz(rest)]);
    for (size_t i = 0; i < b->len; i++) {
        struct line *line = &b->lines[i];
        for (unsigned rest = sought[i]; rest; rest &= rest - 1)
            find_side(l, b, line, (size_t)__builtin_ctz(rest));
        b->made = line->id[2];
    }
}

static enum lm_rc put_batch(struct lm_token_load *l, struct batch *b, struct lm_err *err)
{
    for (size_t i = 0; i < b->len; i++)
        lm_bpe_fetch(&l->t->bpe, b->lines[i].id[0], b->lines[i].id[1]);
    for (size_t i = 0; i < b->len; i++)
        LM_TRY(put_line(l, &b->lines[i], b->first + i, err));
    return LM_OK;
}

static void begin_batch(const struct lm_merge_lines *m, struct batch *b, size_t first)
{
    b->first = first;
    b->len = m->count - first < BATCH ? m->count - first : BATCH;
    for (size_t i = 0; i < b->len; i++) {
        b->lines[i].at[0] = first + i > 0 ? m->ends[first + i - 1][1] : 0;
        b->lines[i].at[1] = m->ends[first + i][0];
        b->lines[i].at[2] = m->ends[first + i][1];
    }
}

/* ---- of many lines, the ids of the second half are found by a thread of their own ---- */

struct half {
    const struct lm_token_load *l;
    struct batch *b;
    uint32_t (*ids)[SIDES];   // [count - first]
    size_t first;             // line
    pthread_t thread;
    bool running;
};

static void *find_half(void *half)
{
    const struct half *h = half;
    for (size_t first = h->first; first < h->l->lines.count; first += BATCH) {
        begin_batch(&h->l->lines, h->b, first);
        find_batch(h->l, h->b);
        for (size_t i = 0; i < h->b->len; i++)
            memcpy(h->ids[first - h->first + i], h->b->lines[i].id, sizeof(*h->ids));
    }
    return NULL;
}

static void start_half(struct half *h, struct lm_token_load *l, struct short_map shorts)
{
    enum { MANY = 1 << 16 };
    const size_t count = l->lines.count;
    *h = (struct half){ .l = l, .first = count / 2 / BATCH * BATCH };
    if (count < MANY || lm_threads() == 1)
        return;
    h->b = lm_arena_alloc(&l->arena, sizeof(*h->b));
    h->b->shorts = shorts;
    h->ids = lm_alloc((count - h->first) * sizeof(*h->ids));
    h->running = lm_thread_beside(&h->thread, find_half, h);
}

static void end_half(struct half *h)
{
    if (h->running)
        pthread_join(h->thread, NULL);
    h->running = false;
}

/* The ids of a batch, by whoever it is. */
static void take_batch(struct lm_token_load *l, struct half *h, struct batch *b, bool halved)
{
    if (!halved || b->first < h->first) {
        find_batch(l, b);
        return;
    }
    end_half(h);
    for (size_t i = 0; i < b->len; i++)
        memcpy(b->lines[i].id, h->ids[b->first - h->first + i], sizeof(*h->ids));
}

enum lm_rc lm_load_merges(struct lm_token_load *l, struct lm_err *err)
{
    LM_TRY(lm_load_merges_wait(l, err));
    struct batch *b = lm_arena_alloc(&l->arena, sizeof(*b));
    struct half half;
    enum lm_rc rc = LM_OK;
    short_make(&b->shorts, &l->t->vocab);
    start_half(&half, l, b->shorts);
    const bool halved = half.running;
    lm_bpe_init(&l->t->bpe, l->lines.count);
    l->made = lm_arena_alloc(&l->arena, l->t->vocab.size + 1);
    for (size_t first = 0; first < l->lines.count && rc == LM_OK; first += BATCH) {
        begin_batch(&l->lines, b, first);
        take_batch(l, &half, b, halved);
        rc = put_batch(l, b, err);
    }
    end_half(&half);
    free(half.ids);
    free(b->shorts.slots);
    return rc;
}
