/* token/bpe_avx512.c - windows of ids merged in registers.
 *
 * Lane i of the registers is the best that ids i and its neighbour to the right could do: score << 6 | 63 -
 * i; a score of 0 when they cannot merge.  The largest is the next merge, the leftmost of equal ones.  A bit
 * mask says which ids are left.  Places 0 and count + 1 hold no id, so that every id has neighbours. */
#include "token/bpe_wide.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { NOTHING = 63 };   // lanes up to this one have no score

/* The value of a pair that belongs to a place, 0: not in the list.  Branchless but for full lines: what is
 * found is as good as random. */
INLINE uint64_t find_at(const struct lm_bpe_wide *w, struct lm_bpe_place place, uint32_t left, uint32_t right)
{
    const struct lm_bpe_line *line = &w->lines[place.line];
    const __m512i other = _mm512_xor_si512(_mm512_load_si512(line), _mm512_set1_epi64((long long)place.tag));
    const unsigned same = _mm512_testn_epi64_mask(other, _mm512_set1_epi64((long long)-(w->full << 1)));
    const uint64_t last = line->entry[LM_BPE_ENTRIES - 1];
    const uint64_t value =
        line->entry[__builtin_ctz(same | 0x80)] & (w->full - 1) & -(uint64_t)(same != 0);   // a free one is 0
    if (__builtin_expect((last & w->full) && !value, 0))
        return lm_bpe_wide_find_far(w, left, right);
    return value;
}

INLINE uint64_t find(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    return find_at(w, lm_bpe_place(w, left, right), left, right);
}

INLINE uint32_t lane_of(const struct lm_bpe_wide *w, uint64_t value, size_t place)
{
    return (uint32_t)(value >> w->id_bits) << 6 | (uint32_t)(63 - place);
}

INLINE uint32_t id_of(const struct lm_bpe_wide *w, uint64_t value)
{
    return (uint32_t)(value & (((uint64_t)1 << w->id_bits) - 1));
}

/* What a merge at a place changes: ids around it, and those that are left. */
struct merged {
    uint64_t left;
    size_t gone, next, before;
};

INLINE struct merged merge_at(uint64_t left, size_t at)
{
    const uint64_t behind = left & (UINT64_MAX - 1) << at, further = behind & (behind - 1);
    return (struct merged){
        .left = left ^ behind ^ further,
        .gone = (size_t)__builtin_ctzll(behind),
        .next = (size_t)__builtin_ctzll(further),
        .before = 63 - (size_t)__builtin_clzll(left & (((uint64_t)1 << at) - 1)),
    };
}

INLINE size_t merge(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                    uint32_t *ret_lens, const size_t registers)
{
    uint32_t id[64], start[64] = { 0 };
    uint64_t made[64];
    id[0] = id[count + 1] = w->stranger;
    for (size_t i = 0; i < count; i++)
        id[i + 1] = ids[i] < w->stranger ? ids[i] : w->stranger;
    for (size_t i = 1; i < count; i++) {
        made[i] = find(w, id[i], id[i + 1]);
        start[i] = lane_of(w, made[i], i);
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
        if (best <= NOTHING)
            break;
        const size_t at = 63 - (best & 63);
        const struct merged m = merge_at(left, at);
        left = m.left;
        id[at] = id_of(w, made[at]);
        made[at] = find(w, id[at], id[m.next]);
        made[m.before] = find(w, id[m.before], id[at]);
        const __m512i right_lane = _mm512_set1_epi32((int)lane_of(w, made[at], at));
        const __m512i left_lane = _mm512_set1_epi32((int)lane_of(w, made[m.before], m.before));
        for (size_t r = 0; r < registers; r++) {
            lanes[r] = _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << at >> 16 * r), right_lane);
            lanes[r] =
                _mm512_mask_mov_epi32(lanes[r], (__mmask16)((uint64_t)1 << m.before >> 16 * r), left_lane);
            lanes[r] = _mm512_maskz_mov_epi32((__mmask16) ~((uint64_t)1 << m.gone >> 16 * r), lanes[r]);
        }
    }

    uint64_t rest = left & ~(uint64_t)1;
    size_t tokens = 0, at = 1;
    do {
        rest &= rest - 1;
        const size_t next = (size_t)__builtin_ctzll(rest);
        ret_lens[tokens] = (uint32_t)(next - at);
        ret_ids[tokens++] = id[at] < w->stranger ? id[at] : ids[at - 1];
        at = next;
    } while (at <= count);
    return tokens;
}

/* Two or three ids need no registers. */
static size_t merge_few(const struct lm_bpe_wide *w, const uint32_t *ids, size_t count, uint32_t *ret_ids,
                        uint32_t *ret_lens)
{
    const uint32_t none = w->stranger, first_id = ids[0], second_id = ids[1], third_id = ids[count - 1];
    const uint32_t a = first_id < none ? first_id : none, b = second_id < none ? second_id : none,
                   c = count == 3 && third_id < none ? third_id : none;
    const uint64_t ab = find(w, a, b), bc = find(w, b, c);
    const bool first = ab >> w->id_bits >= bc >> w->id_bits;
    if (!(ab | bc)) {
        memmove(ret_ids, ids, count * sizeof(*ids));
        ret_lens[0] = ret_lens[1] = ret_lens[count - 1] = 1;
        return count;
    }
    const uint64_t all = first ? find(w, id_of(w, ab), c) : find(w, a, id_of(w, bc));
    ret_ids[0] = all ? id_of(w, all) : first ? id_of(w, ab) : first_id;
    ret_lens[0] = all ? (uint32_t)count : first ? 2 : 1;
    if (all || count == 2)
        return 1;
    ret_ids[1] = first ? third_id : id_of(w, bc);
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

/* ---- several windows by turns ----
 *
 * Each merge waits for two lines of a table that is larger than the caches, so SLOTS windows are at work: a
 * turn notes what the lines that it asked for say, in all windows; then merges once in each of them, and asks
 * for the next two.  What is stored one by one is so loaded as a register only when it has arrived. */

enum { SLOTS = 16, REGISTERS = 4, PLACES = 16 * REGISTERS };

struct question {
    struct lm_bpe_place place;   // where the answer is
    uint32_t left, right;
};

struct slot {
    uint32_t lanes[PLACES + 16] __attribute__((aligned(64)));   // as in merge(), and what is written at once
    uint32_t id[PLACES + 16], made[PLACES + 16];
    uint64_t left;
    uint32_t at, before;   // whose lanes wait for an answer
    struct question right_of_at, left_of_at;
    struct lm_bpe_job job;
    struct lm_bpe_window *ret;
};

INLINE struct question ask(const struct lm_bpe_wide *w, uint32_t left, uint32_t right)
{
    const struct lm_bpe_place place = lm_bpe_place(w, left, right);
    __builtin_prefetch(&w->lines[place.line]);
    return (struct question){ place, left, right };
}

INLINE uint64_t answer(const struct lm_bpe_wide *w, const struct question *q)
{
    return find_at(w, q->place, q->left, q->right);
}

/* Values of the pairs of 16 ids with those behind them, in the order of the ids; 0 where `pairs` has no bit.
 * What a window begins with are bytes mostly, and those have a table. */
INLINE void take_firsts(const struct lm_bpe_wide *w, const uint32_t *ids, __mmask16 pairs, uint64_t ret[16])
{
    const __m512i zero = _mm512_setzero_si512(), stranger = _mm512_set1_epi32((int)w->stranger);
    const __m512i left = _mm512_maskz_loadu_epi32(pairs, ids),
                  right = _mm512_maskz_loadu_epi32(pairs, ids + 1);
    const __m512i places = _mm512_add_epi32(_mm512_slli_epi32(left, 8), right);
    if (__builtin_expect(
            _mm512_cmpge_epu32_mask(_mm512_or_si512(left, right), _mm512_set1_epi32(LM_BPE_FIRSTS)), 0)) {
        uint32_t l[16], r[16];
        _mm512_storeu_si512(l, _mm512_min_epu32(left, stranger));
        _mm512_storeu_si512(r, _mm512_min_epu32(right, stranger));
        for (size_t i = 0; i < 16; i++)
            ret[i] = pairs >> i & 1 ? find(w, l[i], r[i]) : 0;
        return;
    }
    _mm512_storeu_si512(ret, _mm512_mask_i32gather_epi64(zero, (__mmask8)pairs,
                                                         _mm512_castsi512_si256(places), w->firsts, 8));
    _mm512_storeu_si512(ret + 8,
                        _mm512_mask_i32gather_epi64(zero, (__mmask8)(pairs >> 8),
                                                    _mm512_extracti64x4_epi64(places, 1), w->firsts, 8));
}

INLINE void slot_fill(const struct lm_bpe_wide *w, struct slot *s, struct lm_bpe_job job,
                      struct lm_bpe_window *ret)
{
    const uint64_t real = ((uint64_t)1 << job.count) - 1;   // as many ids; one pair less
    const __m512i stranger = _mm512_set1_epi32((int)w->stranger),
                  id_mask = _mm512_set1_epi64((long long)(((uint64_t)1 << w->id_bits) - 1));
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i count_down = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i id_bits = _mm_cvtsi32_si128((int)w->id_bits);
    s->job = job;
    s->ret = ret;
    s->at = s->before = 0;   // place 0 never merges
    s->right_of_at = s->left_of_at = ask(w, w->stranger, w->stranger);
    s->left = real << 2 | 3;
    s->id[0] = w->stranger;
    for (size_t r = 0; r < REGISTERS && r * 16 <= job.count; r++) {
        const __mmask16 here = (__mmask16)(real >> 16 * r), pairs = (__mmask16)(real >> 1 >> 16 * r);
        uint64_t values[16];
        _mm512_storeu_si512(
            s->id + 1 + 16 * r,
            _mm512_min_epu32(stranger, _mm512_mask_loadu_epi32(stranger, here, job.ids + 16 * r)));
        take_firsts(w, job.ids + 16 * r, pairs, values);
        const __m512i low = _mm512_loadu_si512(values), high = _mm512_loadu_si512(values + 8);
        const __m512i made =
            _mm512_permutex2var_epi32(_mm512_and_si512(low, id_mask), evens, _mm512_and_si512(high, id_mask));
        const __m512i scores =
            _mm512_permutex2var_epi32(_mm512_srl_epi64(low, id_bits), evens, _mm512_srl_epi64(high, id_bits));
        const __m512i marks =
            _mm512_add_epi32(count_down, _mm512_set1_epi32(47 - 16 * (int)r));   // 63 - place
        _mm512_storeu_si512(s->made + 1 + 16 * r, made);
        _mm512_storeu_si512(
            s->lanes + 1 + 16 * r,
            _mm512_maskz_or_epi32((__mmask16)(real >> 16 * r), _mm512_slli_epi32(scores, 6), marks));
    }
    for (size_t r = job.count / 16 + 1; r < REGISTERS; r++)
        _mm512_storeu_si512(s->lanes + 1 + 16 * r, _mm512_setzero_si512());
    s->lanes[0] = 0;
}

INLINE void slot_note(const struct lm_bpe_wide *w, struct slot *s)
{
    const uint64_t right = answer(w, &s->right_of_at), left = answer(w, &s->left_of_at);
    s->made[s->at] = id_of(w, right);
    s->made[s->before] = id_of(w, left);
    s->lanes[s->at] = lane_of(w, right, s->at);
    s->lanes[s->before] = lane_of(w, left, s->before);
}

/* False: nothing merges any more. */
INLINE bool slot_merge(const struct lm_bpe_wide *w, struct slot *s)
{
    __m512i most = _mm512_load_si512(s->lanes);
    for (size_t r = 1; r < REGISTERS; r++)
        most = _mm512_max_epu32(most, _mm512_load_si512(s->lanes + 16 * r));
    const uint32_t best = _mm512_reduce_max_epu32(most);
    if (best <= NOTHING)
        return false;
    const size_t at = 63 - (best & 63);
    const struct merged m = merge_at(s->left, at);
    const uint32_t id = s->made[at];
    s->left = m.left;
    s->lanes[m.gone] = 0;
    s->id[at] = id;
    s->at = (uint32_t)at;
    s->before = (uint32_t)m.before;
    s->right_of_at = ask(w, id, s->id[m.next]);
    s->left_of_at = ask(w, s->id[m.before], id);
    return true;
}

/* Strangers take part under one name; now each gets its own back. */
INLINE void slot_empty(const struct lm_bpe_wide *w, const struct slot *s)
{
    const uint64_t real = ((uint64_t)1 << s->job.count) - 1, starts = s->left >> 1;
    uint32_t *out = s->ret->ids;
    for (size_t r = 0; r < REGISTERS && r * 16 < s->job.count; r++) {
        const __mmask16 here = (__mmask16)((starts & real) >> 16 * r);
        const __m512i id = _mm512_loadu_si512(s->id + 1 + 16 * r);
        const __mmask16 strange = here & _mm512_cmpeq_epi32_mask(id, _mm512_set1_epi32((int)w->stranger));
        const __m512i own = _mm512_mask_loadu_epi32(id, strange, s->job.ids + 16 * r);
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(here, own));
        out += __builtin_popcount(here);
    }
    s->ret->tokens = (uint32_t)(out - s->ret->ids);
    s->ret->starts = starts;
}

void lm_bpe_windows_avx512(const struct lm_bpe_wide *w, const struct lm_bpe_job *jobs, size_t count,
                           struct lm_bpe_window *ret)
{
    const struct lm_bpe_wide at_hand = *w;
    struct slot slots[SLOTS];
    size_t used = 0, next = 0;
    w = &at_hand;
    for (; used < SLOTS && next < count; next++)
        slot_fill(w, &slots[used++], jobs[next], &ret[next]);
    while (used > 0) {
        for (size_t k = 0; k < used; k++)
            slot_note(w, &slots[k]);
        for (size_t k = 0; k < used; k++) {
            struct slot *s = &slots[k];
            if (slot_merge(w, s))
                continue;
            slot_empty(w, s);
            if (next < count) {
                slot_fill(w, s, jobs[next], &ret[next]);
                next++;
            } else {
                *s = slots[--used];   // which has not had its turn
                k--;
            }
        }
    }
}
