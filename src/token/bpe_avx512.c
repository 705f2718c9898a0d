/* token/bpe_avx512.c - one window of ids merged in registers.
 *
 * Lane i of the registers is the best that ids i and its neighbour to the right could do: score << 6 | 63 -
 * i, 0 when they cannot merge.  The largest is the next merge, the leftmost of equal ones.  A bit mask says
 * which ids are left.  Places 0 and count + 1 hold no id, so that every id has neighbours. */
#include "token/bpe_wide.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* The value of a pair, 0: not in the list.  Branchless but for full lines: what is found is as good as
 * random. */
INLINE uint64_t find(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    const struct lm_bpe_line *line = &w->lines[(pair * 0x9e3779b97f4a7c15) >> w->shift];
    uint64_t value = 0;
    for (size_t k = 0; k < 4; k++)
        value |= -(uint64_t)(line->entry[k].pair == pair) & line->entry[k].value;
    if (__builtin_expect((line->entry[3].value & LM_BPE_LINE_FULL) && !value, 0))
        return lm_bpe_wide_find_far(w, pair);
    return value & ~LM_BPE_LINE_FULL;
}

INLINE uint32_t lane_of(uint64_t value, size_t place)
{
    const uint32_t score = (uint32_t)(value >> 32);
    return score ? score << 6 | (uint32_t)(63 - place) : 0;
}

INLINE size_t merge(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                    uint32_t *ret_lens, const size_t registers)
{
    uint32_t id[64], made[64], start[64] = { 0 };
    id[0] = id[count + 1] = LM_TOKEN_NONE;
    memcpy(id + 1, ids, count * sizeof(*ids));
    for (size_t i = 1; i < count; i++) {
        const uint64_t value = find(w, id[i], id[i + 1]);
        made[i] = (uint32_t)value;
        start[i] = lane_of(value, i);
    }
    __m512i lanes[4];
    for (size_t r = 0; r < registers; r++)
        lanes[r] = _mm512_loadu_si512(start + 16 * r);

    uint64_t left = ((uint64_t)2 << (count + 1)) - 1;
    left = count + 1 == 63 ? UINT64_MAX : left;
    for (;;) {
        __m512i most = lanes[0];
        for (size_t r = 1; r < registers; r++)
            most = _mm512_max_epu32(most, lanes[r]);
        const uint32_t best = _mm512_reduce_max_epu32(most);
        if (best == 0)
            break;
        const size_t at = 63 - (best & 63);
        const uint64_t behind = left & (UINT64_MAX - 1) << at;
        const size_t gone = (size_t)__builtin_ctzll(behind);
        left &= ~((uint64_t)1 << gone);
        const size_t next = (size_t)__builtin_ctzll(behind & (behind - 1));
        const size_t before = 63 - (size_t)__builtin_clzll(left & (((uint64_t)1 << at) - 1));
        id[at] = made[at];
        const uint64_t right_value = find(w, id[at], id[next]), left_value = find(w, id[before], id[at]);
        made[at] = (uint32_t)right_value;
        made[before] = (uint32_t)left_value;
        const __m512i right_lane = _mm512_set1_epi32((int)lane_of(right_value, at));
        const __m512i left_lane = _mm512_set1_epi32((int)lane_of(left_value, before));
        for (size_t r = 0; r < registers; r++) {
            lanes[r] = _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << at >> 16 * r), right_lane);
            lanes[r] =
                _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << before >> 16 * r), left_lane);
            lanes[r] = _mm512_maskz_mov_epi32((__mmask16) ~((uint64_t)1 << gone >> 16 * r), lanes[r]);
        }
    }

    size_t tokens = 0;
    uint64_t rest = left & ~(uint64_t)1;
    for (size_t at = (size_t)__builtin_ctzll(rest); at <= count; tokens++) {
        rest &= rest - 1;
        const size_t next = (size_t)__builtin_ctzll(rest);
        ret_ids[tokens] = id[at];
        ret_lens[tokens] = (uint32_t)(next - at);
        at = next;
    }
    return tokens;
}

/* Two or three ids need no registers. */
static size_t merge_few(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                        uint32_t *ret_lens)
{
    const uint32_t a = ids[0], b = ids[1], c = count == 3 ? ids[2] : LM_TOKEN_NONE;
    const uint64_t ab = find(w, a, b), bc = find(w, b, c);
    const bool first = ab >> 32 >= bc >> 32;
    if (!(ab | bc)) {
        memmove(ret_ids, ids, count * sizeof(*ids));
        ret_lens[0] = ret_lens[1] = ret_lens[count - 1] = 1;
        return count;
    }
    const uint32_t left = first ? (uint32_t)ab : a, right = first ? c : (uint32_t)bc;
    const uint64_t all = find(w, left, right);
    ret_ids[0] = all ? (uint32_t)all : left;
    ret_lens[0] = all ? (uint32_t)count : first ? 2 : 1;
    if (all || count == 2)
        return 1;
    ret_ids[1] = right;
    ret_lens[1] = first ? 1 : 2;
    return 2;
}

size_t lm_bpe_window_avx512(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                            uint32_t *ret_lens)
{
    if (count <= 3)
        return merge_few(w, ids, count, ret_ids, ret_lens);
    if (count <= 14)
        return merge(w, ids, count, ret_ids, ret_lens, 1);
    if (count <= 30)
        return merge(w, ids, count, ret_ids, ret_lens, 2);
    return merge(w, ids, count, ret_ids, ret_lens, 4);
}

/* ---- several short parts by turns ----
 *
 * Each merge waits for two lines of a table that is larger than the caches, so SLOTS parts are at work: a
 * turn takes what the lines that it asked for say, merges once, and asks for the next two. */

enum { SLOTS = 12 };

struct slot {
    uint32_t lanes[48] __attribute__((aligned(64)));   // as in merge(); 32, and what is written at once
    uint32_t id[48], made[48];
    uint64_t left;
    uint32_t at, before, next;   // the pairs that are asked for: before and at, at and next
    uint32_t part;
};

/* The line of a pair; the first line, which is at hand, where one of the two is an end: no line has it. */
INLINE const struct lm_bpe_line *line_of(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    const bool real = (left != LM_TOKEN_NONE) & (right != LM_TOKEN_NONE);
    return &w->lines[(pair * 0x9e3779b97f4a7c15) >> w->shift & -(uint64_t)real];
}

INLINE void ask(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    __builtin_prefetch(line_of(w, left, right));
}

/* As find(), with one comparison of the whole line. */
INLINE uint64_t take(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    const struct lm_bpe_line *line = line_of(w, left, right);
    const unsigned same =
        0x55 & _mm512_cmpeq_epi64_mask(_mm512_load_si512(line), _mm512_set1_epi64((long long)pair));
    const uint64_t value = line->entry[__builtin_ctz(same | 0x80) / 2].value & -(uint64_t)(same != 0);
    if (__builtin_expect((line->entry[3].value & LM_BPE_LINE_FULL) && !value, 0))
        return lm_bpe_wide_find_far(w, pair);
    return value & ~LM_BPE_LINE_FULL;
}

/* Values of the pairs of 16 ids with those behind them, in the order of the ids; 0 where `pairs` has no bit.
 * What a part begins with are bytes mostly, and those have a table. */
INLINE void take_firsts(const struct lm_bpe_wide *w, const uint32_t *ids, __mmask16 pairs, uint64_t ret[16])
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i left = _mm512_maskz_loadu_epi32(pairs, ids),
                  right = _mm512_maskz_loadu_epi32(pairs, ids + 1);
    const __m512i places = _mm512_add_epi32(_mm512_slli_epi32(left, 8), right);
    if (__builtin_expect(
            _mm512_cmpge_epu32_mask(_mm512_or_si512(left, right), _mm512_set1_epi32(LM_BPE_FIRSTS)), 0)) {
        for (size_t i = 0; i < 16; i++)
            ret[i] = pairs >> i & 1 ? take(w, ids[i], ids[i + 1]) : 0;
        return;
    }
    _mm512_storeu_si512(ret, _mm512_mask_i32gather_epi64(zero, (__mmask8)pairs,
                                                         _mm512_castsi512_si256(places), w->firsts, 8));
    _mm512_storeu_si512(ret + 8,
                        _mm512_mask_i32gather_epi64(zero, (__mmask8)(pairs >> 8),
                                                    _mm512_extracti64x4_epi64(places, 1), w->firsts, 8));
}

INLINE void slot_fill(const struct lm_bpe_wide *w, struct slot *s, const uint32_t *ids, size_t count,
                      size_t part, const size_t registers)
{
    const uint64_t real = ((uint64_t)1 << count) - 1;   // as many ids; one pair less
    s->part = (uint32_t)part;
    s->at = 0;
    s->left = (real << 2) | 3;
    s->id[0] = LM_TOKEN_NONE;
    for (size_t r = 0; r < registers; r++) {
        const __mmask16 here = (__mmask16)(real >> 16 * r), pairs = (__mmask16)(real >> 1 >> 16 * r);
        uint64_t values[16];
        _mm512_storeu_si512(s->id + 1 + 16 * r,
                            _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), here, ids + 16 * r));
        take_firsts(w, ids + 16 * r, pairs, values);
        const __m512i low = _mm512_loadu_si512(values), high = _mm512_loadu_si512(values + 8);
        const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        const __m512i odds = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
        const __m512i count_down = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i scores = _mm512_permutex2var_epi32(low, odds, high);
        const __m512i marks =
            _mm512_add_epi32(count_down, _mm512_set1_epi32(47 - 16 * (int)r));   // 63 - place
        _mm512_storeu_si512(s->made + 1 + 16 * r, _mm512_permutex2var_epi32(low, evens, high));
        _mm512_storeu_si512(s->lanes + 1 + 16 * r,
                            _mm512_maskz_or_epi32(_mm512_test_epi32_mask(scores, scores),
                                                  _mm512_slli_epi32(scores, 6), marks));
    }
    s->lanes[0] = 0;
}

/* False: nothing merges any more.  Lanes are changed in registers: storing one and loading all would wait. */
INLINE bool slot_turn(const struct lm_bpe_wide *w, struct slot *s, const size_t registers)
{
    __m512i lanes[2], most;
    for (size_t r = 0; r < registers; r++)
        lanes[r] = _mm512_load_si512(s->lanes + 16 * r);
    if (s->at) {
        const uint64_t right = take(w, s->id[s->at], s->id[s->next]);
        const uint64_t left = take(w, s->id[s->before], s->id[s->at]);
        s->made[s->at] = (uint32_t)right;
        s->made[s->before] = (uint32_t)left;
        const __m512i right_lane = _mm512_set1_epi32((int)lane_of(right, s->at));
        const __m512i left_lane = _mm512_set1_epi32((int)lane_of(left, s->before));
        for (size_t r = 0; r < registers; r++) {
            lanes[r] =
                _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << s->at >> 16 * r), right_lane);
            lanes[r] =
                _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << s->before >> 16 * r), left_lane);
        }
    }
    most = registers == 2 ? _mm512_max_epu32(lanes[0], lanes[1]) : lanes[0];
    const uint32_t best = _mm512_reduce_max_epu32(most);
    if (best == 0)
        return false;
    const size_t at = 63 - (best & 63);
    const uint64_t behind = s->left & (UINT64_MAX - 1) << at;
    const size_t gone = (size_t)__builtin_ctzll(behind);
    s->left &= ~((uint64_t)1 << gone);
    for (size_t r = 0; r < registers; r++)
        _mm512_store_si512(s->lanes + 16 * r,
                           _mm512_maskz_mov_epi32((__mmask16) ~((uint64_t)1 << gone >> 16 * r), lanes[r]));
    s->at = (uint32_t)at;
    s->next = (uint32_t)__builtin_ctzll(behind & (behind - 1));
    s->before = 63 - (uint32_t)__builtin_clzll(s->left & (((uint64_t)1 << at) - 1));
    s->id[at] = s->made[at];
    ask(w, s->id[at], s->id[s->next]);
    ask(w, s->id[s->before], s->id[at]);
    return true;
}

INLINE uint32_t slot_empty(const struct slot *s, uint32_t *ids, const size_t registers)
{
    const uint64_t end = (uint64_t)1 << (63 - __builtin_clzll(s->left)), rest = s->left & ~end & ~(uint64_t)1;
    uint32_t count = 0;
    for (size_t r = 0; r < registers; r++) {
        const __mmask16 here = (__mmask16)(rest >> 16 * r);
        const uint32_t some = (uint32_t)__builtin_popcount(here);
        const __m512i left = _mm512_maskz_compress_epi32(here, _mm512_loadu_si512(s->id + 16 * r));
        _mm512_mask_storeu_epi32(ids + count, (__mmask16)(((uint32_t)1 << some) - 1), left);
        count += some;
    }
    return count;
}

/* Parts of min to max ids, which these registers hold. */
INLINE void merge_by_turns(const struct lm_bpe_wide *w, uint32_t *ids, const uint32_t *starts, uint32_t *lens,
                           size_t count, uint32_t min, uint32_t max, const size_t registers)
{
    struct slot slots[SLOTS];
    size_t used = 0, part = 0;
    for (;;) {
        for (; used < SLOTS && part < count; part++)
            if (lens[part] - min <= max - min)
                slot_fill(w, &slots[used++], ids + starts[part], lens[part], part, registers);
        if (used == 0)
            return;
        for (size_t k = 0; k < used; k++) {
            struct slot *s = &slots[k];
            if (slot_turn(w, s, registers))
                continue;
            lens[s->part] = slot_empty(s, ids + starts[s->part], registers) | LM_BPE_DONE;
            while (part < count && lens[part] - min > max - min)
                part++;
            if (part == count)
                *s = slots[--used];   // its turn is the next time
            else
                slot_fill(w, s, ids + starts[part], lens[part], part, registers);
            part += part < count;
        }
    }
}

void lm_bpe_parts_avx512(const struct lm_bpe_wide *w, uint32_t *ids, const uint32_t *starts, uint32_t *lens,
                         size_t count)
{
    merge_by_turns(w, ids, starts, lens, count, 2, 14, 1);
    merge_by_turns(w, ids, starts, lens, count, 15, LM_BPE_LANES, 2);
}
