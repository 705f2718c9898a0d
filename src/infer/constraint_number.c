#include "infer/constraint_number.h"

#include "infer/constraint_json.h"
#include "infer/constraint_regex.h"

#include <stdio.h>

enum { DIGITS = LM_JSON_DIGITS_MAX };
static const lm_decimal one = (lm_decimal)100000000000000000;   // 10^17
_Static_assert(DIGITS == 17, "`one` has so many zeros");

/* ---- decimals ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Shifts by a power of ten; false if digits would be lost. */
static bool shift(lm_decimal *value, int64_t by)
{
    const lm_decimal most = 100 * one * one;
    for (; by > 0 && *value != 0 && *value < most; by--)
        *value *= 10;
    for (; by < 0 && *value != 0; by++) {
        if (*value % 10 != 0)
            return false;
        *value /= 10;
    }
    return true;
}

bool lm_decimal_read(struct lm_str number, lm_decimal *ret)
{
    const lm_decimal most = 100 * one * one;   // 10^19
    size_t i = number.len > 0 && number.ptr[0] == '-';
    const bool negative = i > 0;
    lm_decimal value = 0;
    int64_t scale = DIGITS, exponent = 0;
    bool point = false;
    for (; i < number.len && (is_digit(number.ptr[i]) || number.ptr[i] == '.'); i++) {
        if (number.ptr[i] == '.') {
            point = true;
        } else if (value < most) {
            value = value * 10 + (number.ptr[i] - '0');
            scale -= point;
        } else if (point && number.ptr[i] != '0') {
            return false;
        } else {
            scale += !point;
        }
    }
    if (i + 1 < number.len) {
        struct lm_str text = { number.ptr + i + 1, number.len - i - 1 };
        if (text.ptr[0] == '+')
            text = (struct lm_str){ text.ptr + 1, text.len - 1 };
        if (!lm_str_to_i64(text, &exponent) || exponent > 1000 || exponent < -1000)
            return false;
    }
    if (!shift(&value, scale + exponent))
        return false;
    value = value > most ? most : value;
    *ret = negative ? -value : value;
    return true;
}

/* ---- comparing digit by digit ---- */

/* How the digits so far stand to the two bounds: between them, or equal to one, or to both. */
enum { LOOSE, LOW, HIGH, BOTH, TIGHTNESSES };

struct ways {
    uint32_t to[TIGHTNESSES];
};

/* Adds: a digit of low..high leads to `to`. */
static void add_way(struct lm_nfa *a, uint32_t *state, int low, int high, uint32_t to)
{
    if (low > high || to == LM_NFA_NONE)
        return;
    const uint32_t digit = lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_RANGE,
                                                                .low = (uint8_t)('0' + low),
                                                                .high = (uint8_t)('0' + high),
                                                                .next = to });
    *state =
        *state == LM_NFA_NONE
            ? digit
            : lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_FORK, .next = digit, .other = *state });
}

/* Which tightnesses can come up at all: saves the states of the others. */
struct wanted {
    bool low, high;
};

/* The ways before a digit, from those behind it; low and high are the bounds' digits there. */
static struct ways before_digit(struct lm_nfa *a, int low, int high, struct wanted wanted, struct ways behind)
{
    struct ways w;
    memset(&w, 0xff, sizeof(w));
    add_way(a, &w.to[LOOSE], 0, 9, behind.to[LOOSE]);
    if (wanted.low) {
        add_way(a, &w.to[LOW], low, low, behind.to[LOW]);
        add_way(a, &w.to[LOW], low + 1, 9, behind.to[LOOSE]);
    }
    if (wanted.high) {
        add_way(a, &w.to[HIGH], high, high, behind.to[HIGH]);
        add_way(a, &w.to[HIGH], 0, high - 1, behind.to[LOOSE]);
    }
    if (wanted.low && wanted.high && low == high) {
        add_way(a, &w.to[BOTH], low, low, behind.to[BOTH]);
    } else if (wanted.low && wanted.high && low < high) {
        add_way(a, &w.to[BOTH], low, low, behind.to[LOW]);
        add_way(a, &w.to[BOTH], high, high, behind.to[HIGH]);
        add_way(a, &w.to[BOTH], low + 1, high - 1, behind.to[LOOSE]);
    }
    return w;
}

/* What is not wanted is as if that bound were far away. */
static void drop_unwanted(struct ways *w, struct wanted wanted)
{
    if (!wanted.low) {
        w->to[LOW] = w->to[LOOSE];
        w->to[BOTH] = w->to[HIGH];
    }
    if (!wanted.high) {
        w->to[HIGH] = w->to[LOOSE];
        w->to[BOTH] = w->to[LOW];
    }
}

/* ---- fractions ---- */

static void add_end(struct lm_nfa *a, uint32_t *state, uint32_t end)
{
    *state = *state == LM_NFA_NONE
                 ? end
                 : lm_nfa_add(a, (struct lm_nfa_state){ .kind = LM_NFA_FORK, .next = *state, .other = end });
}

/* With digits that stand so to the bounds, which continue with what is left of them: may the number end? */
static bool may_end(size_t tightness, lm_decimal low_left, lm_decimal high_left,
                    const struct lm_number_bounds *b)
{
    const bool low_good = (tightness != LOW && tightness != BOTH) || (low_left == 0 && !b->low_open);
    const bool high_good = (tightness != HIGH && tightness != BOTH) || high_left > 0 || !b->high_open;
    return low_good && high_good;
}

/* What may follow the digits before the point, by how those stand to the bounds; low and high >= 0 (the
 * absent bound is never tight). */
static struct ways fraction_ways(struct lm_nfa *a, const struct lm_number_bounds *b, uint32_t end)
{
    const lm_decimal low = b->low % one, high = b->high % one;
    const struct wanted wanted = { low > 0 || b->low_open, b->has_high };
    struct ways w;
    memset(&w, 0xff, sizeof(w));
    lm_decimal unit = one;   // of the last digit written
    for (size_t i = 0; i < b->fraction_digits_max; i++)
        unit /= 10;
    for (size_t digits = b->fraction_digits_max; digits > 0; digits--, unit *= 10) {
        for (size_t t = 0; t < TIGHTNESSES; t++)
            if (may_end(t, low % unit, high % unit, b))
                add_end(a, &w.to[t], end);
        w = before_digit(a, (int)(low / unit % 10), (int)(high / unit % 10), wanted, w);
    }
    for (size_t t = 0; t < TIGHTNESSES; t++) {
        if (w.to[t] != LM_NFA_NONE)
            w.to[t] = lm_nfa_add(
                a, (struct lm_nfa_state){ .kind = LM_NFA_RANGE, .low = '.', .high = '.', .next = w.to[t] });
        if (may_end(t, low, high, b))
            add_end(a, &w.to[t], end);
    }
    drop_unwanted(&w, wanted);
    return w;
}

/* ---- digits before the point ---- */

struct magnitude {
    struct lm_nfa *a;
    int64_t low, high;   // of the bounds, without what is behind the point
    struct ways fraction;
    uint32_t loose[DIGITS + 1];   // so many digits of any kind, then the fraction
    uint32_t start;
};

/* Numbers of exactly `digits` digits, which are least..most. */
static void add_length(struct magnitude *m, size_t digits, int64_t least, int64_t most)
{
    const int64_t low = m->low > least ? m->low : least, high = m->high < most ? m->high : most;
    const struct wanted wanted = { low == m->low, high == m->high };
    if (low > high)
        return;
    if (low == least && !wanted.low && high == most && !wanted.high) {
        add_way(m->a, &m->start, digits > 1, 9, m->loose[digits - 1]);
        return;
    }
    /* Here the least and the most of this length are bounds too, if not of the fraction. */
    struct ways w = m->fraction;
    drop_unwanted(&w, wanted);
    int64_t unit = 1;
    for (size_t i = 0; i < digits; i++, unit *= 10) {
        w.to[LOOSE] = m->loose[i];
        w = before_digit(m->a, (int)(low / unit % 10), (int)(high / unit % 10), (struct wanted){ true, true },
                         w);
    }
    if (w.to[BOTH] != LM_NFA_NONE)
        add_end(m->a, &m->start, w.to[BOTH]);
}

static int64_t whole(lm_decimal value)
{
    const lm_decimal most = 10 * one;   // of more digits than are written
    return (int64_t)(value / one < most ? value / one : most);
}

/* Numbers that are not negative; the bounds are not either. */
static uint32_t magnitude(struct lm_nfa *a, const struct lm_number_bounds *b, uint32_t end)
{
    struct magnitude m = { .a = a, .start = LM_NFA_NONE };
    m.low = whole(b->low);
    m.high = b->has_high ? whole(b->high) : INT64_MAX;
    m.fraction = fraction_ways(a, b, end);
    m.loose[0] = m.fraction.to[LOOSE];
    for (size_t i = 1; i <= DIGITS; i++) {
        m.loose[i] = LM_NFA_NONE;
        add_way(a, &m.loose[i], 0, 9, m.loose[i - 1]);
    }
    int64_t least = 0, most = 9;
    for (size_t digits = 1; digits <= DIGITS && a->rc == LM_OK; digits++) {
        add_length(&m, digits, least, most);
        least = most + 1;
        most = most * 10 + 9;
    }
    return m.start;
}

/* ---- both signs ---- */

static struct lm_number_bounds negated(const struct lm_number_bounds *b)
{
    return (struct lm_number_bounds){
        .has_low = b->has_high,
        .has_high = b->has_low,
        .low_open = b->high_open,
        .high_open = b->low_open,
        .low = -b->high,
        .high = -b->low,
        .fraction_digits_max = b->fraction_digits_max,
    };
}

static void raise_low(struct lm_number_bounds *b, lm_decimal low, bool open)
{
    if (b->has_low && (b->low > low || (b->low == low && b->low_open)))
        return;
    b->has_low = true;
    b->low = low;
    b->low_open = open;
}

/* The part on this side of zero, with zero or without. */
static uint32_t side(struct lm_nfa *a, struct lm_number_bounds b, bool without_zero, uint32_t end)
{
    raise_low(&b, 0, without_zero);
    if (b.has_high && (b.high < b.low || (b.high == b.low && (b.low_open || b.high_open))))
        return LM_NFA_NONE;
    return magnitude(a, &b, end);
}

struct lm_frag lm_number_frag(struct lm_nfa *a, const struct lm_number_bounds *b)
{
    LM_ASSERT(b->fraction_digits_max <= DIGITS);
    const struct lm_frag out = lm_nfa_empty(a);
    uint32_t start = side(a, *b, false, out.end);
    const uint32_t negative = side(a, negated(b), true, out.end);
    if (negative != LM_NFA_NONE)
        add_end(a, &start,
                lm_nfa_add(a, (struct lm_nfa_state){
                                  .kind = LM_NFA_RANGE, .low = '-', .high = '-', .next = negative }));
    if (start == LM_NFA_NONE)
        start = lm_nfa_never(a).start;
    return (struct lm_frag){ start, out.end };
}
