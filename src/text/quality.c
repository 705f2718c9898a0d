/* Numbers about a text, for the rules of `corpus`.  Lengths are in code points, white space is Python's
 * (Unicode's plus U+001C..U+001F and U+0085), so that thresholds published for Python tools mean the same. */
#include "text/text.h"
#include "text/utf8.h"

#include "base/hash.h"

#include <unicode/uchar.h>

static bool is_space(uint32_t cp)
{
    return lm_utf8_is_blank(cp) || cp == 0x85 || (cp >= 0x1c && cp <= 0x1f);
}

static bool is_word_char(uint32_t cp)
{
    if (cp < 0x80)
        return lm_is_alnum((char)cp);
    return u_isalnum((UChar32)cp) ||
           (U_GET_GC_MASK((UChar32)cp) & U_GC_M_MASK);   // marks belong to their letter
}

/* ---- counting equal things: open addressing, hashes only ---- */

struct tally_slot {
    uint64_t hash;
    uint32_t count, chars;
};

struct tally {
    struct tally_slot *slots;
    size_t mask;
};

static struct tally tally_new(struct lm_arena *arena, size_t items_max)
{
    size_t size = 16;
    while (size < items_max * 2)
        size *= 2;
    return (struct tally){ lm_arena_alloc(arena, size * sizeof(struct tally_slot)), size - 1 };
}

/* The slot of `hash`, new ones with count 0. */
static struct tally_slot *tally_at(struct tally *t, uint64_t hash)
{
    hash += hash == 0;   // 0 marks a free slot
    size_t i = hash & t->mask;
    while (t->slots[i].hash != 0 && t->slots[i].hash != hash)
        i = (i + 1) & t->mask;
    t->slots[i].hash = hash;
    return &t->slots[i];
}

/* ---- words ---- */

struct word {
    uint64_t hash;
    uint32_t chars;
    bool has_letter;
};

struct words {
    struct word *items;
    size_t len;
    int64_t chars, with_letter;
    unsigned stop_words;   // bit i: the i-th was found
};

/* Bit of the stop word of the Gopher rules that this is, upper or lower case; 0 for another word. */
static unsigned stop_word_bit(struct lm_str word)
{
    static const char *const stop_words[] = { "the", "be", "to", "of", "and", "that", "have", "with" };
    for (unsigned w = 0; w < sizeof stop_words / sizeof *stop_words; w++) {
        size_t i = 0;
        while (i < word.len && stop_words[w][i] != '\0' && lm_to_lower(word.ptr[i]) == stop_words[w][i])
            i++;
        if (i == word.len && stop_words[w][i] == '\0')
            return 1u << w;
    }
    return 0;
}

static struct words find_words(struct lm_str text, struct lm_arena *arena)
{
    struct words ret = { 0 };
    ret.items = lm_arena_alloc(arena, (text.len / 2 + 1) * sizeof *ret.items);   // a word and what ends it
    size_t at = 0;
    while (at < text.len) {
        const size_t start = at;
        struct word w = { 0 };
        uint32_t cp;
        size_t used = lm_utf8_next(text, at, &cp);
        while (is_word_char(cp)) {
            w.chars++;
            w.has_letter |= cp < 0x80 ? lm_is_alpha((char)cp) : u_isalpha((UChar32)cp) != 0;
            at += used;
            if (at == text.len)
                break;
            used = lm_utf8_next(text, at, &cp);
        }
        if (at == start) {
            at += used;
            continue;
        }
        w.hash = lm_hash64(text.ptr + start, at - start);
        ret.items[ret.len++] = w;
        ret.chars += w.chars;
        ret.with_letter += w.has_letter;
        if (at - start <= 4)
            ret.stop_words |= stop_word_bit((struct lm_str){ text.ptr + start, at - start });
    }
    return ret;
}

/* '#', "..." (without overlap) and U+2026. */
static int64_t symbols_in(struct lm_str text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        const size_t left = text.len - i;
        if (text.ptr[i] == '#') {
            count++;
        } else if (left >= 3 &&
                   (memcmp(text.ptr + i, "...", 3) == 0 || memcmp(text.ptr + i, "\xe2\x80\xa6", 3) == 0)) {
            count++;
            i += 2;
        }
    }
    return count;
}

/* ---- repetition ---- */

static struct lm_str strip(struct lm_str s)
{
    uint32_t cp;
    size_t used;
    while (s.len > 0 && (used = lm_utf8_next(s, 0, &cp), is_space(cp)))
        s = (struct lm_str){ s.ptr + used, s.len - used };
    while (s.len > 0) {
        size_t last = s.len - 1;
        while (last > 0 && ((unsigned char)s.ptr[last] & 0xc0) == 0x80)
            last--;
        lm_utf8_next(s, last, &cp);
        if (!is_space(cp))
            break;
        s.len = last;
    }
    return s;
}

/* Characters in lines seen before.  Blank lines are no lines: they do not repeat anything. */
static int64_t duplicate_line_chars(struct lm_str text, struct lm_arena *arena)
{
    size_t line_count = 1;
    for (size_t i = 0; i < text.len; i++)
        line_count += text.ptr[i] == '\n';
    struct tally seen = tally_new(arena, line_count);
    int64_t chars = 0;
    struct lm_str rest = text, line;
    while (lm_str_split(&rest, '\n', &line)) {
        line = strip(line);
        if (line.len == 0)
            continue;
        struct tally_slot *slot = tally_at(&seen, lm_hash64(line.ptr, line.len));
        if (slot->count++ > 0)
            chars += (int64_t)lm_utf8_count(line);
    }
    return chars;
}

/* Characters (joined by one space) of the most repeated 3-gram of words.  Occurrences that overlap the one
 * before are not counted, so the sum never exceeds the text.  A count of one is no repetition: 0. */
static int64_t top_trigram_chars(const struct words *words, struct lm_arena *arena)
{
    if (words->len < 6)
        return 0;
    struct tally grams = tally_new(arena, words->len);
    int64_t best = 0;
    for (size_t i = 0; i + 3 <= words->len; i++) {
        uint64_t key[3];
        uint32_t chars = 2;
        for (size_t k = 0; k < 3; k++) {
            key[k] = words->items[i + k].hash;
            chars += words->items[i + k].chars;
        }
        struct tally_slot *slot = tally_at(&grams, lm_hash64(key, sizeof key));
        if (slot->count > 0 && i < slot->chars)
            continue;
        slot->count++;
        slot->chars = (uint32_t)(i + 3);   // first word that a new occurrence may start at
        if (slot->count >= 2 && (int64_t)slot->count * chars > best)
            best = (int64_t)slot->count * chars;
    }
    return best;
}

struct lm_quality lm_quality_measure(struct lm_str text, struct lm_arena *scratch)
{
    struct lm_quality q = { 0 };
    const double chars = (double)lm_utf8_count(text);
    if (chars == 0)
        return q;
    const struct words words = find_words(text, scratch);
    q.words = (int64_t)words.len;
    q.duplicate_line_share = (double)duplicate_line_chars(text, scratch) / chars;
    q.stop_words = __builtin_popcount(words.stop_words);
    if (words.len == 0)
        return q;
    q.mean_word_chars = (double)words.chars / (double)words.len;
    q.alpha_word_share = (double)words.with_letter / (double)words.len;
    q.symbol_share = (double)symbols_in(text) / (double)words.len;
    q.top_ngram_share = (double)top_trigram_chars(&words, scratch) / chars;
    return q;
}
