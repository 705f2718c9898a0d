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
