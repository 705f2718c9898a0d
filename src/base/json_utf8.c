#include "base/json_utf8.h"

#include "base/err.h"

const char *lm_json_run_end(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        const uint64_t stops = lm_json_stops(lm_json_load8(at));
        if (stops)
            return at + __builtin_ctzll(stops) / 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20)
        at++;
    return at;
}

/* Length of a sequence and range of its second byte, by lead byte; len 0 = no lead byte. */
struct lead {
    uint8_t len, low, high;
};

static struct lead lead_of(uint8_t byte)
{
    /* Unicode 15, table 3-7: the narrow ranges keep out overlong forms, surrogates, and above U+10FFFF. */
    if (byte < 0x80)
        return (struct lead){ 1, 0, 0 };
    if (byte < 0xc2 || byte > 0xf4)
        return (struct lead){ 0, 0, 0 };
    if (byte < 0xe0)
        return (struct lead){ 2, 0x80, 0xbf };
    if (byte < 0xf0)
        return (struct lead){ 3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf };
    return (struct lead){ 4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf };
}

static bool is_tail(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

/* How many bytes at `at` begin a well-formed sequence, and in *ret_whole whether that is all of one. */
static size_t sequence_at(const char *at, const char *end, bool *ret_whole)
{
    const struct lead lead = lead_of((uint8_t)*at);
    const size_t left = (size_t)(end - at);
    size_t len = lead.len > 0;
    if (lead.len > 1 && left > 1 && (uint8_t)at[1] >= lead.low && (uint8_t)at[1] <= lead.high) {
        len = 2;
        while (len < lead.len && len < left && is_tail(at[len]))
            len++;
    }
    *ret_whole = len > 0 && len == lead.len;
    return len;
}

const char *lm_json_utf8_end(const char *at, const char *end)
{
    while (at < end) {
        if (end - at >= 8 && !(lm_json_load8(at) & LM_JSON_EACH(0x80))) {
            at += 8;
            continue;
        }
        bool whole;
        const size_t len = sequence_at(at, end, &whole);
        if (!whole)
            return at;
        at += len;
    }
    return end;
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
