/* token/split_sets.c - the sets of a pattern divide the characters into classes. */
#include "token/split_regex.h"

#include "token/unicode.h"
#include "token/vocab.h"

#include <unicode/uchar.h>

enum { CATEGORIES = 32, PAGES = 0x110000 / 256 };

/* Letters, numbers and blanks by the tables of the tokenizers' Unicode version; finer kinds by ICU's. */
static unsigned category_of(uint32_t cp)
{
    const int8_t type = u_charType((UChar32)cp);
    const enum lm_uclass class = lm_unicode_class(cp);
    const bool letter = (U_MASK(type) & U_GC_L_MASK) != 0, number = (U_MASK(type) & U_GC_N_MASK) != 0;
    if (class == LM_UCLASS_LETTER && !letter)
        return U_OTHER_LETTER;
    if (class == LM_UCLASS_NUMBER && !number)
        return U_OTHER_NUMBER;
    return (class != LM_UCLASS_LETTER && letter) || (class != LM_UCLASS_NUMBER && number) ? U_UNASSIGNED
                                                                                          : (unsigned)type;
}

static bool in_ranges(const struct split_set *s, uint32_t cp)
{
    for (size_t i = 0; i < s->range_count; i++)
        if (cp >= s->ranges[i].first && cp <= s->ranges[i].last)
            return true;
    return false;
}

/* \w as Oniguruma has it: some numbers of Latin-1 too. */
static bool is_word(uint32_t cp)
{
    return lm_unicode_is_word(cp) || cp == 0xb2 || cp == 0xb3 || cp == 0xb9 || (cp >= 0xbc && cp <= 0xbe);
}

/* What a set asks of a character beside its place. */
struct kind {
    unsigned category;
    bool space, word;
};

static bool has(const struct split_set *s, uint32_t cp, struct kind k)
{
    const uint32_t bit = (uint32_t)1 << k.category;
    const bool in = (s->categories & bit) || (s->not_categories && !(s->not_categories & bit)) ||
                    (s->space && k.space) || (s->not_space && !k.space) || (s->word && k.word) ||
                    (s->not_word && !k.word) || in_ranges(s, cp);
    return in != s->negated;
}

static uint64_t signature(const struct split_program *p, uint32_t cp, struct kind k)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < p->set_count; i++)
        bits |= (uint64_t)has(&p->sets[i], cp, k) << i;
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

static void fill_page(const struct split_program *p, uint32_t page, struct classes *c, uint8_t ret[256])
{
    const bool edges = has_edges(p, page);
    for (uint32_t i = 0; i < 256; i++) {
        const uint32_t cp = page << 8 | i;
        const struct kind k = { category_of(cp), lm_unicode_class(cp) == LM_UCLASS_SPACE, is_word(cp) };
        if (edges) {
            ret[i] = class_of(c, signature(p, cp, k));
            continue;
        }
        if (!c->known[k.category][k.space][k.word]) {
            c->by_category[k.category][k.space][k.word] = signature(p, cp, k);
            c->known[k.category][k.space][k.word] = true;
        }
        ret[i] = class_of(c, c->by_category[k.category][k.space][k.word]);
    }
}

enum lm_rc lm_split_classify(const struct split_program *p, struct lm_split_dfa *ret, uint64_t members[256],
                             struct lm_err *err)
{
    struct classes *c = lm_zalloc(1, sizeof(*c));
    size_t count = 0, cap = 0;
    bool many = false;
    c->members = members;
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
