/* token/split_sets.c - the sets of a pattern divide the characters into classes. */
#include "token/split_regex.h"

#include "token/unicode.h"
#include "token/vocab.h"

#include <unicode/uchar.h>

enum { CATEGORIES = 32, PAGES = 0x110000 / 256 };

/* Whichever version ICU has. */
static unsigned category_of(uint32_t cp)
{
    enum { TABLED = 14 };   // what came later is in split_newer
    UVersionInfo age;
    size_t low = 0, high = lm_split_newer_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (lm_split_newer[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < lm_split_newer_count && lm_split_newer[low].first <= cp)
        return lm_split_newer[low].category;
    u_charAge((UChar32)cp, age);
    return age[0] > TABLED ? U_UNASSIGNED : (unsigned)u_charType((UChar32)cp);
}

static bool in_ranges(const struct split_set *s, uint32_t cp)
{
    size_t low = 0, high = s->range_count;   // the first that does not end before it
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (s->ranges[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->range_count && s->ranges[low].first <= cp;
}

/* What a set asks of a character beside its place. */
struct kind {
    unsigned category;
    bool space, word;
};

static bool has(const struct split_program *p, size_t set, uint32_t cp, struct kind k)
{
    const struct split_set *s = &p->sets[set];
    bool in = (s->categories >> k.category & 1) || (s->space && k.space) || (s->not_space && !k.space) ||
              (s->word && k.word) || (s->not_word && !k.word) || in_ranges(s, cp);
    for (size_t i = 0; !in && i < s->inside_count; i++)
        in = has(p, s->inside[i], cp, k);
    if (s->both)
        in = in && has(p, s->both - 1U, cp, k);
    return in != s->negated;
}

static uint64_t signature(const struct split_program *p, uint32_t cp, struct kind k)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < p->set_count; i++)
        bits |= (uint64_t)has(p, i, cp, k) << i;
    return bits;
}

/* Some range of a set starts or ends in the page, so that its characters do not go by category alone. */
static bool has_edges(const struct split_program *p, uint32_t page)
{
    for (size_t i = 0; i < p->set_count; i++)
        for (size_t r = 0; r < p->sets[i].range_count; r++) {
            const uint32_t first = p->sets[i].ranges[r].first >> 8, last = p->sets[i].ranges[r].last >> 8;
            if (first <= page && page <= last)
                return true;
        }
    return false;
}

struct classes {
    bool words;   // some set asks for \w
    uint64_t *members;
    size_t count;
    uint64_t by_category[CATEGORIES][2][2];
    bool known[CATEGORIES][2][2];
};

/* The class of a signature; 255 when there are too many. */
static uint8_t class_of(struct classes *c, uint64_t bits)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i] == bits)
            return (uint8_t)i;
    if (c->count == 254)
        return 255;
    c->members[c->count] = bits;
    return (uint8_t)c->count++;
}

static uint8_t class_by_category(const struct split_program *p, uint32_t cp, struct kind k, struct classes *c)
{
    if (!c->known[k.category][k.space][k.word]) {
        c->by_category[k.category][k.space][k.word] = signature(p, cp, k);
        c->known[k.category][k.space][k.word] = true;
    }
    return class_of(c, c->by_category[k.category][k.space][k.word]);
}

/* Whole planes have one kind of character: most of the pages. */
static bool is_uniform(uint32_t page, struct kind *ret)
{
    const bool private = page >= 0xf00 && (page & 0xff) != 0xff;   // the end of a plane is no character
    *ret = (struct kind){ private ? U_PRIVATE_USE_CHAR : U_UNASSIGNED, false, false };
    return private || (page >= 0x324 && page < 0xe00) || (page >= 0xe02 && page < 0xf00);
}

static void fill_page(const struct split_program *p, uint32_t page, struct classes *c, uint8_t ret[256])
{
    const bool edges = has_edges(p, page);
    struct kind k;
    if (!edges && is_uniform(page, &k)) {
        memset(ret, class_by_category(p, page << 8, k, c), 256);
        return;
    }
    for (uint32_t i = 0; i < 256; i++) {
        const uint32_t cp = page << 8 | i;
        k = (struct kind){ category_of(cp), lm_unicode_class(cp) == LM_UCLASS_SPACE,
                           c->words && lm_unicode_is_word(cp) };
        ret[i] = edges ? class_of(c, signature(p, cp, k)) : class_by_category(p, cp, k, c);
    }
}

enum lm_rc lm_split_classify(const struct split_program *p, struct lm_split_dfa *ret, uint64_t members[256],
                             struct lm_err *err)
{
    struct classes *c = lm_zalloc(1, sizeof(*c));
    size_t count = 0, cap = 0;
    bool many = false;
    c->members = members;
    for (size_t i = 0; i < p->set_count; i++)
        c->words |= p->sets[i].word || p->sets[i].not_word;
    ret->page = lm_alloc(PAGES * sizeof(*ret->page));
    for (uint32_t page = 0; page < PAGES; page++) {
        uint8_t filled[256];
        fill_page(p, page, c, filled);
        for (size_t i = 0; i < 256; i++)
            many |= filled[i] == 255;
        size_t same = count;
        while (same > 0 && memcmp(ret->pages[same - 1], filled, sizeof(filled)) != 0)
            same--;
        if (same == 0) {
            lm_grow(&ret->pages, &cap, count + 1, sizeof(*ret->pages));
            memcpy(ret->pages[count++], filled, sizeof(filled));
            same = count;
        }
        ret->page[page] = (uint16_t)(same - 1);
    }
    for (uint32_t i = 0; i < 128; i++)
        ret->ascii[i] = ret->pages[ret->page[0]][i];
    for (uint32_t i = 0; i < 256; i++) {
        const uint32_t cp = lm_byte_to_char((uint8_t)i);
        ret->byte[i] = ret->pages[ret->page[cp >> 8]][cp & 255];
    }
    ret->symbols = (uint32_t)c->count + 1;
    free(c);
    return many ? lm_fail(err, LM_EINVAL, "it tells more than 254 kinds of characters apart") : LM_OK;
}
