/* token/load_scan.c - where a value of JSON ends, by its brackets and quotes alone.
 *
 * What is in the value is checked when it is read.  Files of ten megabytes are mostly strings, so 64 bytes
 * are looked at together: a mask of the quotes, from it one of what is in strings, and the brackets outside.
 */
#include "token/load.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 64 };

struct scan {
    size_t depth;
    uint64_t inside;   // all ones: in a string
    bool escaped;      // the next byte is behind a backslash
};

/* Byte by byte.  Behind the bracket that closes the first one, or NULL: not before `end`. */
static const char *scan_bytes(struct scan *s, const char *at, const char *end)
{
    for (; at < end; at++) {
        const char c = *at;
        if (s->escaped)
            s->escaped = false;
        else if (c == '"')
            s->inside = ~s->inside;
        else if (s->inside)
            s->escaped = c == '\\';
        else if (c == '{' || c == '[')
            s->depth++;
        else if ((c == '}' || c == ']') && --s->depth == 0)
            return at + 1;
    }
    return NULL;
}

#ifdef __SSE2__
struct marks {
    uint64_t quotes, slashes, opens, closes;
};

static struct marks find_marks(const char *at)
{
    struct marks m = { 0 };
    for (unsigned i = 0; i < BLOCK; i += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(at + i));
        const __m128i brackets = _mm_or_si128(bytes, _mm_set1_epi8(0x20));   // [ and { are the same then
#define MARK(vector, byte)                                                                                   \
    ((uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(vector, _mm_set1_epi8(byte))) << i)
        m.quotes |= MARK(bytes, '"');
        m.slashes |= MARK(bytes, '\\');
        m.opens |= MARK(brackets, '{');
        m.closes |= MARK(brackets, '}');
#undef MARK
    }
    return m;
}

/* Bit i: an odd number of the bits 0 to i are set. */
static uint64_t parity(uint64_t bits)
{
    for (unsigned shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

static const char *scan_block(struct scan *s, const char *at)
{
    const struct marks m = find_marks(at);
    if (m.slashes || s->escaped)
        return scan_bytes(s, at, at + BLOCK);
    const uint64_t inside = parity(m.quotes) ^ s->inside, opens = m.opens & ~inside;
    uint64_t closes = m.closes & ~inside;
    s->inside = inside >> 63 ? UINT64_MAX : 0;
    if (!(opens | closes))
        return NULL;
    const size_t opened = (size_t)__builtin_popcountll(opens), closed = (size_t)__builtin_popcountll(closes);
    for (size_t k = 0; closed >= s->depth && closes; closes &= closes - 1) {   // it may end in here
        const uint64_t before = (closes & -closes) - 1;
        k++;
        if (s->depth + (size_t)__builtin_popcountll(opens & before) == k)
            return at + __builtin_ctzll(closes) + 1;
    }
    s->depth += opened - closed;
    return NULL;
}
#endif

static const char *bracket_end(const char *at, const char *end)
{
    struct scan s = { 0 };
    const char *found = NULL;
#ifdef __SSE2__
    for (; !found && end - at >= BLOCK; at += BLOCK)
        found = scan_block(&s, at);
#endif
    return found ? found : scan_bytes(&s, at, end);
}

const char *lm_load_string_end(const char *at, const char *end)
{
    for (const char *quote = at; (quote = memchr(quote + 1, '"', (size_t)(end - quote - 1)));) {
        size_t slashes = 0;
        while (quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return quote + 1;
    }
    return NULL;
}

const char *lm_load_value_end(const char *at, const char *end)
{
    if (at == end)
        return NULL;
    if (*at == '"')
        return lm_load_string_end(at, end);
    if (*at == '{' || *at == '[')
        return bracket_end(at, end);
    const char *start = at;
    while (at < end && !strchr(",}] \t\r\n", *at))
        at++;
    return at > start ? at : NULL;
}

size_t lm_load_count(struct lm_str text, char byte)
{
    size_t count = 0, i = 0;
#ifdef __SSE2__
    const __m128i wanted = _mm_set1_epi8(byte), one = _mm_set1_epi8(1), zero = _mm_setzero_si128();
    __m128i sums = zero;   // two of 64 bits
    for (; i + 16 <= text.len; i += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text.ptr + i));
        sums = _mm_add_epi64(sums, _mm_sad_epu8(_mm_and_si128(_mm_cmpeq_epi8(bytes, wanted), one), zero));
    }
    uint64_t halves[2];
    memcpy(halves, &sums, sizeof(halves));
    count = halves[0] + halves[1];
#endif
    for (; i < text.len; i++)
        count += text.ptr[i] == byte;
    return count;
}
