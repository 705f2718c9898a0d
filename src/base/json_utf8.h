#ifndef LM_BASE_JSON_UTF8_H
#define LM_BASE_JSON_UTF8_H
/* base/json_utf8.h - what the JSON writer and reader share: looking at eight bytes at a time, and UTF-8.
 *
 * Private to base; the module `text` owns UTF-8 for everybody else. */

#include "base/str.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte in memory is the lowest of a word");

#define LM_JSON_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t lm_json_load8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Top bits mark bytes that end a run inside a string: a quote, a backslash, a control character.  Marks
 * above the lowest one may be wrong (a borrow), the lowest is exact: use ctz. */
static inline uint64_t lm_json_stops(uint64_t word)
{
    const uint64_t quote = word ^ LM_JSON_EACH('"');
    const uint64_t slash = word ^ LM_JSON_EACH('\\');
    return (((quote - LM_JSON_EACH(1)) & ~quote) | ((slash - LM_JSON_EACH(1)) & ~slash) |
            ((word - LM_JSON_EACH(0x20)) & ~word)) &
           LM_JSON_EACH(0x80);
}

/* The first byte in at..end that ends a run; end if none does. */
static inline const char *lm_json_run_end(const char *at, const char *end)
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

/* The first byte in at..end that is not part of well-formed UTF-8 (Unicode 15, table 3-7); end if all is. */
const char *lm_json_utf8_end(const char *at, const char *end);

/* Bytes to step over at an ill-formed place: the longest start of a sequence that could have been one. */
size_t lm_json_utf8_bad_len(const char *at, const char *end);

/* Writes 1 to 4 bytes; returns how many. */
size_t lm_json_utf8_put(uint32_t code, char *ret);

#endif
