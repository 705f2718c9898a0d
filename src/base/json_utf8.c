#include "base/json_utf8.h"

#include "base/err.h"

/* Well-formed UTF-8 as an automaton (Unicode 15, table 3-7; overlong forms, surrogates and what is above
 * U+10FFFF lead to BAD).  A state is a bit offset and a row holds the next state of each at its offset, so
 * that a step is one shift, without a branch to mispredict (P. Vognsen, "Shift-based DFAs", 2021). */
enum {
    BAD = 0,
    GOOD = 6,      // between characters
    TAIL_1 = 12,   // one more byte of 80..BF
    TAIL_2 = 18,
    TAIL_3 = 24,
    AFTER_E0 = 30,   // two more, of which the first is limited
    AFTER_ED = 36,
    AFTER_F0 = 42,   // three more, likewise
    AFTER_F4 = 48,
    STATE_MASK = 63,
};

#define FROM(state, next) ((uint64_t)(next) << (state))
#define ANY_TAIL (FROM(TAIL_1, GOOD) | FROM(TAIL_2, TAIL_1) | FROM(TAIL_3, TAIL_2))

static const uint64_t steps[256] = {
    [0x00 ... 0x7f] = FROM(GOOD, GOOD),
    [0x80 ... 0x8f] = ANY_TAIL | FROM(AFTER_ED, TAIL_1) | FROM(AFTER_F4, TAIL_2),
    [0x90 ... 0x9f] = ANY_TAIL | FROM(AFTER_ED, TAIL_1) | FROM(AFTER_F0, TAIL_2),
    [0xa0 ... 0xbf] = ANY_TAIL | FROM(AFTER_E0, TAIL_1) | FROM(AFTER_F0, TAIL_2),
    [0xc2 ... 0xdf] = FROM(GOOD, TAIL_1),
    [0xe0] = FROM(GOOD, AFTER_E0),
    [0xe1 ... 0xec] = FROM(GOOD, TAIL_2),
    [0xed] = FROM(GOOD, AFTER_ED),
    [0xee ... 0xef] = FROM(GOOD, TAIL_2),
    [0xf0] = FROM(GOOD, AFTER_F0),
    [0xf1 ... 0xf3] = FROM(GOOD, TAIL_3),
    [0xf4] = FROM(GOOD, AFTER_F4),
};

static uint64_t step(uint64_t state, char byte)
{
    return steps[(uint8_t)byte] >> (state & STATE_MASK);
}

/* How many bytes at `at` begin a well-formed sequence, and in *ret_whole whether that is all of one. */
static size_t sequence_at(const char *at, const char *end, bool *ret_whole)
{
    uint64_t state = GOOD;
    size_t len = 0;
    do {
        state = step(state, at[len]) & STATE_MASK;
        len += state != BAD;
    } while (state != BAD && state != GOOD && at + len < end);
    *ret_whole = state == GOOD;
    return len;
}

static bool is_ascii32(const char *at)
{
    return !((lm_json_load8(at) | lm_json_load8(at + 8) | lm_json_load8(at + 16) | lm_json_load8(at + 24)) &
             LM_JSON_EACH(0x80));
}

/* From a place between characters, one character after the other. */
static const char *search_end(const char *at, const char *end)
{
    while (at < end) {
        if (end - at >= 8 && !(lm_json_load8(at) & LM_JSON_EACH(0x80))) {
            at += 8;
            continue;
        }
        bool whole;
        const size_t len = sequence_at(at, end, &whole);
        if (!whole)
            break;
        at += len;
    }
    return at;
}

/* Up to 8 bytes as a word, zeros behind them. */
static uint64_t load_some(const char *at, size_t len)
{
    uint32_t low, high;
    if (len >= 8)
        return lm_json_load8(at);
    if (len >= 4) {
        memcpy(&low, at, sizeof(low));
        memcpy(&high, at + len - 4, sizeof(high));
        return low | (uint64_t)high << (8 * (len - 4));
    }
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(uint8_t)at[i] << 8 * i;
    return word;
}

/* Short texts of ASCII and of characters of two bytes, which is how vocabularies are written: true when all
 * of it is that, and well-formed.  A word that ends in the middle of a character gives its last byte back. */
static bool is_narrow(const char *at, const char *end)
{
    while (at < end) {
        const size_t left = (size_t)(end - at), len = left < 8 ? left : 8;
        LM_ASSERT(len > 0);
        const uint64_t word = load_some(at, len), high = word & LM_JSON_EACH(0x80);
        uint64_t lead = high & word << 1;   // C0 and above
        const uint64_t last = lead & (uint64_t)0x80 << 8 * (len - 1);
        lead &= ~last;
        if ((high ^ lead ^ last) != lead << 8 || (lead & word << 2) ||   // a tail each; below E0
            (lead & ~(word << 3 | word << 4 | word << 5 | word << 6)) || len - !!last == 0)   // C2 and above
            return false;
        at += len - !!last;
    }
    return true;
}

/* Large steps: in text of one script the question "ASCII?" has the same answer nearly every time, which a
 * finer one has not. */
const char *lm_json_utf8_end(const char *at, const char *end)
{
    enum { SHORT_MAX = 64 };
    if (end - at <= SHORT_MAX && is_narrow(at, end))
        return end;
    const char *safe = at;   // between characters, and nothing bad before it
    uint64_t state = GOOD;
    while (end - at >= 32 && (state & STATE_MASK) != BAD) {
        if ((state & STATE_MASK) == GOOD) {
            while (end - at >= 32 && is_ascii32(at))
                at += 32;
            safe = at;
            if (end - at < 32)
                break;
        }
        for (size_t i = 0; i < 32; i++)
            state = step(state, at[i]);
        at += 32;
    }
    if ((state & STATE_MASK) == GOOD)
        safe = at;
    return search_end(safe, end);   // the last few bytes, or the neighbourhood of the bad place
}

size_t lm_json_utf8_bad_len(const char *at, const char *end)
{
    LM_ASSERT(at < end);

    bool whole;
    const size_t len = sequence_at(at, end, &whole);
    LM_ASSERT(!whole);
    return len ? len : 1;
}

size_t lm_json_utf8_put(uint32_t code, char *ret)
{
    LM_ASSERT(code <= 0x10ffff);

    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    const size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        ret[i] = (char)(0x80 | (code & 0x3f));
    ret[0] = (char)(marks[len] | code);
    return len;
}
