/* token/split_class.c - sets of characters in a pattern, as Oniguruma reads them. */
#include "token/split_parser.h"

#include "text/text.h"

#include <unicode/uchar.h>
#include <unicode/uset.h>

enum { CODE_MAX = 0x10ffff };
#define ALL_CATEGORIES (((uint32_t)1 << U_CHAR_CATEGORY_COUNT) - 1)

/* ---- ranges ---- */

static void add_range(struct split_set *s, uint32_t first, uint32_t last)
{
    lm_grow(&s->ranges, &s->range_cap, s->range_count + 1, sizeof(*s->ranges));
    s->ranges[s->range_count].first = first;
    s->ranges[s->range_count++].last = last;
}

static void add_icu(struct split_set *s, const USet *set)
{
    UErrorCode code = U_ZERO_ERROR;
    for (int32_t i = 0; i < uset_getItemCount(set); i++) {
        UChar32 first, last;
        if (uset_getItem(set, i, &first, &last, NULL, 0, &code) == 0)   // not a text
            add_range(s, (uint32_t)first, (uint32_t)last);
    }
}

static int by_first(const void *a, const void *b)
{
    const struct split_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Ascending, without overlaps. */
static void tidy(struct split_set *s)
{
    size_t kept = 0;
    if (s->range_count > 1)
        qsort(s->ranges, s->range_count, sizeof(*s->ranges), by_first);
    for (size_t i = 0; i < s->range_count; i++) {
        const struct split_range r = s->ranges[i];
        if (kept > 0 && r.first <= s->ranges[kept - 1].last + 1) {
            if (r.last > s->ranges[kept - 1].last)
                s->ranges[kept - 1].last = r.last;
        } else {
            s->ranges[kept++] = r;
        }
    }
    s->range_count = kept;
}

/* What differs from the ranges in case only, too; texts of several characters are the caller's matter. */
static enum lm_rc add_other_cases(struct split_parser *p, struct split_set *s)
{
    static const uint32_t whole[] = { U_GC_L_MASK, U_GC_N_MASK, U_GC_P_MASK, U_GC_S_MASK, U_GC_Z_MASK };
    uint32_t open = s->categories;   // kinds of letters: those of the other case are others
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        if ((s->categories & whole[i]) == whole[i])
            open &= ~whole[i];
    if ((open & (U_GC_L_MASK | U_GC_M_MASK)) || s->inside_count > 0 || s->both)
        return lm_split_refuse(p, "(?i) with such a set before what stands");
    if (s->categories & U_GC_L_MASK)
        add_range(s, 0x345, 0x345);   // a mark that has a letter as its capital
    USet *set = uset_openEmpty();
    for (size_t i = 0; i < s->range_count; i++)
        uset_addRange(set, (UChar32)s->ranges[i].first, (UChar32)s->ranges[i].last);
    uset_closeOver(set, USET_CASE_INSENSITIVE);
    add_icu(s, set);
    uset_close(set);
    return LM_OK;
}

/* ---- names ---- */

// clang-format off
static const struct {
    const char *name, *in_full;
    uint32_t mask;
} categories[] = {
    { "l", "letter", U_GC_L_MASK }, { "lu", "uppercaseletter", U_GC_LU_MASK },
    { "ll", "lowercaseletter", U_GC_LL_MASK }, { "lt", "titlecaseletter", U_GC_LT_MASK },
    { "lm", "modifierletter", U_GC_LM_MASK }, { "lo", "otherletter", U_GC_LO_MASK },
    { "m", "mark", U_GC_M_MASK }, { "mn", "nonspacingmark", U_GC_MN_MASK },
    { "me", "enclosingmark", U_GC_ME_MASK }, { "mc", "spacingmark", U_GC_MC_MASK },
    { "n", "number", U_GC_N_MASK }, { "nd", "decimalnumber", U_GC_ND_MASK },
    { "nl", "letternumber", U_GC_NL_MASK }, { "no", "othernumber", U_GC_NO_MASK },
    { "p", "punctuation", U_GC_P_MASK }, { "pc", "connectorpunctuation", U_GC_PC_MASK },
    { "pd", "dashpunctuation", U_GC_PD_MASK }, { "ps", "openpunctuation", U_GC_PS_MASK },
    { "pe", "closepunctuation", U_GC_PE_MASK }, { "pi", "initialpunctuation", U_GC_PI_MASK },
    { "pf", "finalpunctuation", U_GC_PF_MASK }, { "po", "otherpunctuation", U_GC_PO_MASK },
    { "s", "symbol", U_GC_S_MASK }, { "sm", "mathsymbol", U_GC_SM_MASK },
    { "sc", "currencysymbol", U_GC_SC_MASK }, { "sk", "modifiersymbol", U_GC_SK_MASK },
    { "so", "othersymbol", U_GC_SO_MASK }, { "z", "separator", U_GC_Z_MASK },
    { "zs", "spaceseparator", U_GC_ZS_MASK }, { "zl", "lineseparator", U_GC_ZL_MASK },
    { "zp", "paragraphseparator", U_GC_ZP_MASK }, { "c", "other", U_GC_C_MASK },
    { "cc", "control", U_GC_CC_MASK }, { "cf", "format", U_GC_CF_MASK },
    { "cn", "unassigned", U_GC_CN_MASK }, { "co", "privateuse", U_GC_CO_MASK },
    { "cs", "surrogate", U_GC_CS_MASK },
    { "digit", "digit", U_GC_ND_MASK }, { "cntrl", "cntrl", U_GC_CC_MASK },
    { "punct", "punct", U_GC_P_MASK },
    { "graph", "graph", ALL_CATEGORIES & ~(U_GC_CC_MASK | U_GC_CN_MASK | U_GC_CS_MASK | U_GC_Z_MASK) },
    { "print", "print",
      ALL_CATEGORIES & ~(U_GC_CC_MASK | U_GC_CN_MASK | U_GC_CS_MASK | U_GC_ZL_MASK | U_GC_ZP_MASK) },
};

/* Names of categories and some characters more. */
static const struct {
    const char *name, *in_full;
    uint32_t mask;
    const struct split_range *more;
    const size_t *more_count;
} named[] = {
    { "alpha", "alphabetic", U_GC_L_MASK | U_GC_NL_MASK, lm_split_alphabetic, &lm_split_alphabetic_count },
    { "alnum", "alnum", U_GC_L_MASK | U_GC_NL_MASK | U_GC_ND_MASK, lm_split_alphabetic, &lm_split_alphabetic_count },
    { "upper", "uppercase", U_GC_LU_MASK, lm_split_upper, &lm_split_upper_count },
    { "lower", "lowercase", U_GC_LL_MASK, lm_split_lower, &lm_split_lower_count },
};
// clang-format on

static bool add_named(const char *name, struct split_set *s)
{
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (strcmp(name, named[i].name) != 0 && strcmp(name, named[i].in_full) != 0)
            continue;
        s->categories |= named[i].mask;
        for (size_t k = 0; k < *named[i].more_count; k++)
            add_range(s, named[i].more[k].first, named[i].more[k].last);
        return true;
    }
    return false;
}

/* What is not a category but can be said by one, by ranges or by \s and \w. */
static bool add_posix(const char *name, struct split_set *s)
{
    if (strcmp(name, "space") == 0 || strcmp(name, "whitespace") == 0) {
        s->space = true;
    } else if (strcmp(name, "word") == 0) {
        s->word = true;
    } else if (strcmp(name, "ascii") == 0) {
        add_range(s, 0, 0x7f);
    } else if (strcmp(name, "any") == 0) {
        add_range(s, 0, CODE_MAX);
    } else if (strcmp(name, "blank") == 0) {
        s->categories |= U_GC_ZS_MASK;
        add_range(s, '\t', '\t');
    } else if (strcmp(name, "xdigit") == 0 || strcmp(name, "asciihexdigit") == 0) {
        add_range(s, '0', '9');
        add_range(s, 'A', 'F');
        add_range(s, 'a', 'f');
    } else {
        return false;
    }
    return true;
}

/* Scripts of ICU, and what Unicode 16.0 has beyond it in the one that patterns name. */
static bool add_script(const char *name, struct split_set *s)
{
    UErrorCode code = U_ZERO_ERROR;
    const int32_t script = u_getPropertyValueEnum(UCHAR_SCRIPT, name);
    if (script == UCHAR_INVALID_CODE)
        return false;
    USet *set = uset_openEmpty();
    uset_applyIntPropertyValue(set, UCHAR_SCRIPT, script, &code);
    add_icu(s, set);
    uset_close(set);
    if (script == u_getPropertyValueEnum(UCHAR_SCRIPT, "Han"))
        add_range(s, 0x2ebf0, 0x2ee5d);
    return U_SUCCESS(code);
}

/* Lower case, without what names are told apart without: blanks, _ and -. */
static bool plain_name(struct lm_str name, char ret[32])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (c == ' ' || c == '_' || c == '-')
            continue;
        if ((uint8_t)((c | 0x20) - 'a') >= 26 || len == 31)
            return false;
        ret[len++] = c | 0x20;
    }
    ret[len] = '\0';
    return len > 0;
}

static bool add_property(struct lm_str name, struct split_set *s)
{
    char plain[32];
    if (!plain_name(name, plain))
        return false;
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
        if (strcmp(plain, categories[i].name) == 0 || strcmp(plain, categories[i].in_full) == 0) {
            s->categories |= categories[i].mask;
            return true;
        }
    return add_posix(plain, s) || add_named(plain, s) || add_script(plain, s);
}

/* ---- sets inside of sets ---- */

static enum lm_rc open_set(struct split_parser *p, uint16_t *ret)
{
    if (p->p->set_count == SPLIT_SETS_MAX)
        return lm_split_refuse(p, "a pattern with so many sets before what stands");
    *ret = (uint16_t)p->p->set_count++;
    return LM_OK;
}

static bool same_set(const struct split_set *a, const struct split_set *b)
{
    return a->categories == b->categories && a->space == b->space && a->not_space == b->not_space &&
           a->word == b->word && a->not_word == b->not_word && a->negated == b->negated &&
           a->both == b->both && a->inside_count == b->inside_count &&
           memcmp(a->inside, b->inside, a->inside_count * sizeof(a->inside[0])) == 0 &&
           a->range_count == b->range_count &&
           (a->range_count == 0 || memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0);
}

/* Equal sets are one. */
static uint16_t close_set(struct split_parser *p, uint16_t index)
{
    struct split_set *s = &p->p->sets[index];
    tidy(s);
    for (uint16_t i = 0; index + 1U == p->p->set_count && i < index; i++)
        if (same_set(&p->p->sets[i], s)) {
            p->p->set_count--;
            free(s->ranges);
            memset(s, 0, sizeof(*s));
            return i;
        }
    return index;
}

static enum lm_rc add_inside(struct split_parser *p, uint16_t set, uint16_t inner)
{
    struct split_set *s = &p->p->sets[set];
    if (s->inside_count == SPLIT_INSIDE_MAX)
        return lm_split_refuse(p, "a set of so many sets before what stands");
    s->inside[s->inside_count++] = inner;
    return LM_OK;
}

/* ---- members ---- */

/* A property is a set of its own where categories cannot say it. */
static enum lm_rc add_properties(struct split_parser *p, struct lm_str name, bool negated, uint16_t set,
                                 bool *ret_known)
{
    struct split_set found = { 0 };
    uint16_t inner = 0;
    *ret_known = add_property(name, &found);
    if (!*ret_known)
        return LM_OK;
    if (found.range_count == 0 && !found.space && !found.word) {
        p->p->sets[set].categories |= negated ? ALL_CATEGORIES & ~found.categories : found.categories;
        return LM_OK;
    }
    const enum lm_rc rc = open_set(p, &inner);
    if (rc != LM_OK) {
        free(found.ranges);
        return rc;
    }
    p->p->sets[inner] = found;
    p->p->sets[inner].negated = negated;
    return add_inside(p, set, close_set(p, inner));
}

/* \p{..}, \p{^..}, \pL; negated: \P. */
static enum lm_rc parse_property(struct split_parser *p, bool negated, uint16_t set)
{
    const struct lm_str here = p->rest;
    const bool braces = lm_split_take(p, "{");
    const char *end = braces ? memchr(p->rest.ptr, '}', p->rest.len) : NULL;
    bool known;
    if (p->rest.len == 0 || (braces && !end))
        return lm_split_refuse(p, "a category without its end");
    if (braces && lm_split_take(p, "^"))
        negated = !negated;
    const struct lm_str name = { p->rest.ptr, braces ? (size_t)(end - p->rest.ptr) : 1 };
    LM_TRY(add_properties(p, name, negated, set, &known));
    if (!known) {
        p->rest = here;
        return lm_split_refuse(p, "the category");
    }
    p->rest = (struct lm_str){ name.ptr + name.len + braces, p->rest.len - name.len - braces };
    return LM_OK;
}

static bool parse_hex(struct split_parser *p, size_t digits_max, uint32_t *ret)
{
    const bool braces = lm_split_take(p, "{");
    uint32_t value = 0;
    size_t digits = 0;
    while (p->rest.len > 0 && digits < (braces ? 6 : digits_max)) {
        const char c = *p->rest.ptr;
        const int digit = c >= '0' && c <= '9'                     ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                   : -1;
        if (digit < 0)
            break;
        value = value * 16 + (uint32_t)digit;
        p->rest = (struct lm_str){ p->rest.ptr + 1, p->rest.len - 1 };
        digits++;
    }
    *ret = value;
    return digits > 0 && value <= CODE_MAX && (!braces || lm_split_take(p, "}"));
}

/* \s and the like. */
static bool parse_class_escape(char c, struct split_set *s)
{
    static const uint32_t hex[][2] = { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } };
    switch (c) {
    case 's':
        s->space = true;
        return true;
    case 'S':
        s->not_space = true;
        return true;
    case 'd':
        s->categories |= U_GC_ND_MASK;
        return true;
    case 'D':
        s->categories |= ALL_CATEGORIES & ~U_GC_ND_MASK;
        return true;
    case 'w':
        s->word = true;
        return true;
    case 'W':
        s->not_word = true;
        return true;
    case 'h':
        for (size_t i = 0; i < 3; i++)
            add_range(s, hex[i][0], hex[i][1]);
        return true;
    default:
        return false;
    }
}

/* Behind a backslash: a set (true) or one character. */
static enum lm_rc parse_escape(struct split_parser *p, uint16_t set, bool *ret_is_set, uint32_t *ret_char)
{
    static const char from[] = "rntfv0ae", to[] = "\r\n\t\f\v\0\a\x1b";
    if (p->rest.len == 0)
        return lm_split_refuse(p, "a backslash");
    const char c = *p->rest.ptr;
    const struct lm_str here = p->rest;
    p->rest = (struct lm_str){ p->rest.ptr + 1, p->rest.len - 1 };
    *ret_is_set = true;
    if (c == 'p' || c == 'P')
        return parse_property(p, c == 'P', set);
    if (parse_class_escape(c, &p->p->sets[set]))
        return LM_OK;
    *ret_is_set = false;
    const char *known = memchr(from, c, sizeof(from) - 1);
    if (known) {
        *ret_char = (uint8_t)to[known - from];
        return LM_OK;
    }
    if (c == 'x' || c == 'u')
        return parse_hex(p, c == 'x' ? 2 : 4, ret_char) ? LM_OK
                                                        : lm_split_refuse(p, "the number before what stands");
    p->rest = here;
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        return lm_split_refuse(p, "the escape");
    const size_t len = lm_utf8_next(p->rest, 0, ret_char);
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return LM_OK;
}

static enum lm_rc next_char(struct split_parser *p, uint16_t set, bool *ret_is_set, uint32_t *ret_char)
{
    *ret_is_set = false;
    if (lm_split_take(p, "\\"))
        return parse_escape(p, set, ret_is_set, ret_char);
    const size_t len = lm_utf8_next(p->rest, 0, ret_char);
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return LM_OK;
}

/* ---- [..] ---- */

static enum lm_rc parse_members(struct split_parser *p, uint16_t set);

/* [:alpha:], [:^alpha:], or false: it is another set. */
static enum lm_rc parse_posix(struct split_parser *p, uint16_t set, bool *ret_taken)
{
    const struct lm_str here = p->rest;
    const char *end = here.len > 2 ? memmem(here.ptr, here.len, ":]", 2) : NULL;
    *ret_taken = false;
    if (!lm_split_take(p, "[:") || !end || end - here.ptr > 20) {
        p->rest = here;
        return LM_OK;
    }
    const bool negated = lm_split_take(p, "^");
    const struct lm_str name = { p->rest.ptr, (size_t)(end - p->rest.ptr) };
    if (lm_str_eq(name, LM_STR("punct"))) {   // symbols too, other than \p{punct}
        const uint32_t mask = U_GC_P_MASK | U_GC_S_MASK;
        p->p->sets[set].categories |= negated ? ALL_CATEGORIES & ~mask : mask;
        *ret_taken = true;
    } else {
        LM_TRY(add_properties(p, name, negated, set, ret_taken));
    }
    p->rest = here;
    if (!*ret_taken)
        return lm_split_refuse(p, "the set");
    const size_t used = (size_t)(end - here.ptr) + 2;
    p->rest = (struct lm_str){ here.ptr + used, here.len - used };
    return LM_OK;
}

static enum lm_rc parse_inner(struct split_parser *p, uint16_t set)
{
    bool taken;
    uint16_t inner = 0;
    LM_TRY(parse_posix(p, set, &taken));
    if (taken)
        return LM_OK;
    if (p->depth >= SPLIT_DEPTH_MAX)
        return lm_split_refuse(p, "nesting so deep");
    p->depth++;
    lm_split_take(p, "[");
    LM_TRY(open_set(p, &inner));
    LM_TRY(parse_members(p, inner));
    p->depth--;
    return add_inside(p, set, close_set(p, inner));
}

/* What is behind && must hold too; a ] ends it as well as the set around. */
static enum lm_rc parse_both(struct split_parser *p, uint16_t set)
{
    uint16_t other = 0;
    LM_TRY(open_set(p, &other));
    if (p->depth >= SPLIT_DEPTH_MAX)
        return lm_split_refuse(p, "nesting so deep");
    p->depth++;
    const enum lm_rc rc = parse_members(p, other);
    p->depth--;
    LM_TRY(rc);
    p->p->sets[set].both = (uint16_t)(close_set(p, other) + 1);
    return LM_OK;
}

static enum lm_rc parse_range(struct split_parser *p, uint16_t set)
{
    bool is_set = false;
    uint32_t low = 0, high = 0;
    LM_TRY(next_char(p, set, &is_set, &low));
    if (is_set)
        return LM_OK;
    if (p->rest.len < 2 || p->rest.ptr[0] != '-' || p->rest.ptr[1] == ']') {
        add_range(&p->p->sets[set], low, low);
        return LM_OK;
    }
    if (p->rest.ptr[1] == '[')
        return lm_split_refuse(p, "the range");
    lm_split_take(p, "-");
    LM_TRY(next_char(p, set, &is_set, &high));
    if (is_set || high < low)
        return lm_split_refuse(p, "a range before what stands, which");
    add_range(&p->p->sets[set], low, high);
    return LM_OK;
}

/* Behind "[" or "&&", up to and with "]". */
static enum lm_rc parse_members(struct split_parser *p, uint16_t set)
{
    bool first = true;
    const bool negated = lm_split_take(p, "^");
    for (; first || !lm_str_starts(p->rest, LM_STR("]")); first = false) {
        if (p->rest.len == 0)
            return lm_split_refuse(p, "a set without its bracket");
        if (lm_split_take(p, "&&")) {
            LM_TRY(parse_both(p, set));
            p->p->sets[set].negated = negated;
            return p->any_case ? lm_split_refuse(p, "(?i) with such a set before what stands") : LM_OK;
        }
        if (lm_str_starts(p->rest, LM_STR("[")))
            LM_TRY(parse_inner(p, set));
        else
            LM_TRY(parse_range(p, set));
    }
    lm_split_take(p, "]");
    p->p->sets[set].negated = negated;
    return p->any_case ? add_other_cases(p, &p->p->sets[set]) : LM_OK;
}

/* ---- one character of a pattern ---- */

/* Outside of brackets Oniguruma counts some numbers of Latin-1 as of words. */
static void widen_word(struct split_set *s)
{
    if (!s->word && !s->not_word)
        return;
    s->negated = s->not_word;
    s->word = true;
    s->not_word = false;
    add_range(s, 0xb2, 0xb3);
    add_range(s, 0xb9, 0xb9);
    add_range(s, 0xbc, 0xbe);
}

enum lm_rc lm_split_parse_set(struct split_parser *p, uint16_t *ret, uint32_t *ret_literal)
{
    uint16_t set = 0;
    bool is_set = false;
    uint32_t cp = 0;
    *ret_literal = 0;
    LM_TRY(open_set(p, &set));
    if (lm_split_take(p, "[")) {
        LM_TRY(parse_members(p, set));
    } else if (lm_split_take(p, ".")) {
        p->p->sets[set].negated = true;
        if (!p->any_char)
            add_range(&p->p->sets[set], '\n', '\n');
    } else {
        LM_TRY(next_char(p, set, &is_set, &cp));
        if (is_set)
            widen_word(&p->p->sets[set]);
        if (!is_set) {
            add_range(&p->p->sets[set], cp, cp);
            if (p->any_case)
                LM_TRY(add_other_cases(p, &p->p->sets[set]));
            *ret_literal = cp;
        }
    }
    *ret = close_set(p, set);
    return LM_OK;
}

enum lm_rc lm_split_set_word(struct split_parser *p, uint16_t *ret)
{
    uint16_t set = 0;
    LM_TRY(open_set(p, &set));
    p->p->sets[set].word = true;
    widen_word(&p->p->sets[set]);
    *ret = close_set(p, set);
    return LM_OK;
}

enum lm_rc lm_split_set_of(struct split_parser *p, const uint32_t *characters, size_t count, uint16_t *ret)
{
    uint16_t set = 0;
    LM_TRY(open_set(p, &set));
    for (size_t i = 0; i < count; i++)
        add_range(&p->p->sets[set], characters[i], characters[i]);
    *ret = close_set(p, set);
    return LM_OK;
}

enum lm_rc lm_split_set_union(struct split_parser *p, uint16_t a, uint16_t b, uint16_t *ret)
{
    uint16_t set = 0;
    LM_TRY(open_set(p, &set));
    LM_TRY(add_inside(p, set, a));
    LM_TRY(add_inside(p, set, b));
    *ret = close_set(p, set);
    return LM_OK;
}
