#include "infer/constraint_regex.h"

#include "base/mem.h"

#include <stdlib.h>

struct reading {
    struct lm_nfa *a;
    const struct lm_regex_options *options;
    struct lm_str source;
    size_t at, depth;
};

/* ---- reading ---- */

static struct lm_frag refuse_at(struct reading *r, size_t at, enum lm_rc rc, const char *problem)
{
    lm_nfa_fail(r->a, rc, "%s: byte %zu: %s", r->options->where, at, problem);
    r->at = r->source.len;
    return (struct lm_frag){ 0, 0 };
}

static struct lm_frag refuse(struct reading *r, const char *problem)
{
    return refuse_at(r, r->at, LM_EINVAL, problem);
}

static bool at_end(const struct reading *r)
{
    return r->at >= r->source.len;
}

static bool next_is(const struct reading *r, const char *text)
{
    const struct lm_str rest = { r->source.ptr + r->at, r->source.len - r->at };
    return lm_str_starts(rest, lm_str(text));
}

static bool skip(struct reading *r, const char *text)
{
    if (!next_is(r, text))
        return false;
    r->at += strlen(text);
    return true;
}

/* One character as written; false, refused, where the text is not UTF-8. */
static bool read_char(struct reading *r, uint32_t *ret)
{
    const struct lm_str rest = { r->source.ptr + r->at, r->source.len - r->at };
    const size_t bytes = lm_char_read(rest, ret);
    if (bytes == 0)
        refuse(r, at_end(r) ? "the expression ends too early" : "not UTF-8");
    r->at += bytes;
    return bytes > 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return (c & ~0x20) - 'A' + 10;
    return -1;
}

static bool read_hex(struct reading *r, size_t digits, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, r->at++) {
        const int digit = at_end(r) ? -1 : hex_value(r->source.ptr[r->at]);
        if (digit < 0) {
            refuse(r, "expected a hex digit");
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    *ret = value;
    return true;
}

/* ---- escapes ---- */

/* d D w W s S, as ECMA-262 has them; false for another letter. */
static bool class_by_letter(char letter, struct lm_chars *ret)
{
    static const struct lm_chars_range digit[] = { { '0', '9' } };
    static const struct lm_chars_range word[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
    static const struct lm_chars_range blank[] = {
        { '\t', '\r' },     { ' ', ' ' },       { 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200a },
        { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 }, { 0xfeff, 0xfeff },
    };
    static const struct {
        char lower, upper;
        const struct lm_chars_range *ranges;
        size_t count;
    } rows[] = { { 'd', 'D', digit, 1 }, { 'w', 'W', word, 4 }, { 's', 'S', blank, 10 } };
    for (size_t r = 0; r < 3; r++) {
        if (letter != rows[r].lower && letter != rows[r].upper)
            continue;
        for (size_t i = 0; i < rows[r].count; i++)
            lm_chars_add(ret, rows[r].ranges[i].low, rows[r].ranges[i].high);
        if (letter == rows[r].upper)
            lm_chars_invert(ret);
        return true;
    }
    return false;
}

/* Behind \u. */
static bool read_code_point(struct reading *r, uint32_t *ret)
{
    const size_t start = r->at;
    uint32_t c = 0, low;
    if (skip(r, "{")) {
        while (!skip(r, "}")) {
            uint32_t digit;
            if (!read_hex(r, 1, &digit))
                return false;
            c = c > LM_CHAR_MAX ? c : c << 4 | digit;
        }
    } else {
        if (!read_hex(r, 4, &c))
            return false;
        if (c >= 0xd800 && c < 0xdc00 && skip(r, "\\u")) {
            if (!read_hex(r, 4, &low))
                return false;
            c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff))
                                              : LM_CHAR_MAX + 1;
        }
    }
    if (c > LM_CHAR_MAX || (c >= 0xd800 && c < 0xe000)) {
        refuse_at(r, start, LM_EINVAL, "not a character of Unicode");
        return false;
    }
    *ret = c;
    return true;
}

/* Adds what stands behind a backslash to the set; r->at is at the letter. */
static bool read_escape(struct reading *r, bool in_class, struct lm_chars *ret)
{
    static const char letters[] = "tnrfv0", values[] = "\t\n\r\f\v";
    const size_t start = r->at;
    uint32_t c = 0;
    if (!read_char(r, &c))
        return false;
    if (c < 0x80 && class_by_letter((char)c, ret))
        return true;
    const char *letter = c > 0 && c < 0x80 ? strchr(letters, (int)c) : NULL;
    const char *problem = NULL;
    if (letter) {
        c = (uint8_t)values[letter - letters];   // '0' finds the end of the text, a NUL
        if (c == 0 && !at_end(r) && r->source.ptr[r->at] >= '0' && r->source.ptr[r->at] <= '9')
            problem = "octal escapes are not supported: use \\x";
    } else if (c == 'x') {
        if (!read_hex(r, 2, &c))
            return false;
    } else if (c == 'u') {
        if (!read_code_point(r, &c))
            return false;
    } else if (c == 'b' && in_class) {
        c = '\b';
    } else if ((c >= '1' && c <= '9') || c == 'k') {
        problem = "back-references are not supported";
    } else if (c == 'b' || c == 'B' || c == 'A' || c == 'z' || c == 'Z') {
        problem = "word boundaries and anchors by letter are not supported";
    } else if (c == 'p' || c == 'P') {
        problem = "\\p is not supported: list the characters in a class";
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') {
        problem = "unknown escape";
    }
    if (problem)
        refuse_at(r, start - 1, LM_EINVAL, problem);
    else
        lm_chars_add(ret, c, c);
    return !problem;
}

/* ---- classes ---- */

/* A member of a class into `ret`; *ret_low: the character, or UINT32_MAX when it is a set like \d. */
static bool read_member(struct reading *r, struct lm_chars *ret, uint32_t *ret_low)
{
    const size_t before = ret->count;
    uint32_t c = 0;
    if (next_is(r, "[:")) {
        refuse(r, "classes by name, like [:alpha:], are not supported");
        return false;
    }
    if (skip(r, "\\")) {
        if (!read_escape(r, true, ret))
            return false;
    } else {
        if (!read_char(r, &c))
            return false;
        lm_chars_add(ret, c, c);
    }
    const struct lm_chars_range *last = &ret->ranges[ret->count - 1];
    *ret_low = ret->count == before + 1 && last->low == last->high ? last->low : UINT32_MAX;
    return true;
}

/* r->at is behind the bracket. */
static bool read_class(struct reading *r, struct lm_chars *ret)
{
    const bool inverted = skip(r, "^");
    if (next_is(r, "]")) {
        refuse(r, "a class without characters: write \\] for the bracket");
        return false;
    }
    while (!skip(r, "]")) {
        const size_t start = r->at;
        uint32_t low, high;
        struct lm_chars member = { 0 };
        bool good = read_member(r, &member, &low);
        if (good && next_is(r, "-") && !next_is(r, "-]")) {
            struct lm_chars second = { 0 };
            r->at++;
            good = read_member(r, &second, &high);
            if (good && (low == UINT32_MAX || high == UINT32_MAX || low > high)) {
                refuse_at(r, start, LM_EINVAL, "not a range of characters from lower to higher");
                good = false;
            }
            if (good)
                lm_chars_add(&member, low, high);
            lm_chars_release(&second);
        }
        lm_chars_add_all(ret, &member);
        lm_chars_release(&member);
        if (!good)
            return false;
    }
    if (inverted)
        lm_chars_invert(ret);
    return true;
}

/* ---- atoms, repetition ---- */

static struct lm_frag alternation(struct reading *r, bool top);

static struct lm_frag set_frag(struct reading *r, struct lm_chars *set, bool good, uint8_t *ret_kinds)
{
    lm_chars_normalize(set);
    *ret_kinds = good ? lm_chars_kinds(set) : 0;
    const struct lm_frag x = good ? lm_chars_frag(r->a, set, r->options->spelling) : (struct lm_frag){ 0, 0 };
    lm_chars_release(set);
    return x;
}

static struct lm_frag group(struct reading *r)
{
    const size_t start = r->at - 1;
    if (next_is(r, "?=") || next_is(r, "?!") || next_is(r, "?<=") || next_is(r, "?<!"))
        return refuse_at(r, start, LM_EINVAL, "look-around is not supported");
    if (skip(r, "?<") || skip(r, "?P<")) {
        while (!at_end(r) && !next_is(r, ">"))
            r->at++;
        if (!skip(r, ">"))
            return refuse_at(r, start, LM_EINVAL, "the name of the group does not end");
    } else if (!skip(r, "?:") && next_is(r, "?")) {
        return refuse_at(r, start, LM_EINVAL, "only the groups (x), (?:x) and (?<name>x) are supported");
    }
    if (++r->depth > r->a->limits.depth && !r->options->own)
        return refuse_at(r, start, LM_ELIMIT, "groups are nested too deep");
    const struct lm_frag x = alternation(r, false);
    r->depth--;
    if (r->a->rc == LM_OK && !skip(r, ")"))
        return refuse_at(r, start, LM_EINVAL, "the group does not end");
    return x;
}

/* *ret_kinds: it takes every single character of these. */
static struct lm_frag atom(struct reading *r, uint8_t *ret_kinds)
{
    struct lm_chars set = { 0 };
    *ret_kinds = 0;
    if (skip(r, "("))
        return group(r);
    if (skip(r, "["))
        return set_frag(r, &set, read_class(r, &set), ret_kinds);
    if (skip(r, "\\"))
        return set_frag(r, &set, read_escape(r, false, &set), ret_kinds);
    if (skip(r, ".")) {
        lm_chars_add(&set, '\n', '\n');
        lm_chars_invert(&set);
        return set_frag(r, &set, true, ret_kinds);
    }
    if (next_is(r, "^") || next_is(r, "$"))
        return refuse(r, "an anchor is supported only at the ends of the expression");
    if (next_is(r, "*") || next_is(r, "+") || next_is(r, "?"))
        return refuse(r, "nothing to repeat");
    uint32_t c = 0;
    if (!read_char(r, &c))
        return (struct lm_frag){ 0, 0 };
    return lm_char_frag(r->a, c, r->options->spelling);
}

static bool read_number(struct reading *r, uint32_t *ret)
{
    const size_t start = r->at;
    uint32_t value = 0;
    for (; !at_end(r) && r->source.ptr[r->at] >= '0' && r->source.ptr[r->at] <= '9'; r->at++)
        value = value > 100000000 ? value : value * 10 + (uint32_t)(r->source.ptr[r->at] - '0');
    *ret = value;
    return r->at > start;
}

/* {n}, {n,}, {n,m}; false, nothing read, when the brace begins something else. */
static bool read_bounds(struct reading *r, uint32_t *ret_min, uint32_t *ret_max)
{
    const size_t start = r->at;
    bool good = skip(r, "{") && read_number(r, ret_min);
    *ret_max = *ret_min;
    if (good && skip(r, ",") && !read_number(r, ret_max))
        *ret_max = LM_NFA_NONE;
    good = good && skip(r, "}");
    if (!good)
        r->at = start;
    return good;
}

static bool read_quantifier(struct reading *r, uint32_t *ret_min, uint32_t *ret_max)
{
    static const struct {
        const char *sign;
        uint32_t min, max;
    } rows[] = { { "*", 0, LM_NFA_NONE }, { "+", 1, LM_NFA_NONE }, { "?", 0, 1 } };
    for (size_t i = 0; i < 3; i++)
        if (skip(r, rows[i].sign)) {
            *ret_min = rows[i].min;
            *ret_max = rows[i].max;
            return true;
        }
    return read_bounds(r, ret_min, ret_max);
}

/* An atom and what repeats it. */
static struct lm_frag piece(struct reading *r)
{
    const size_t mark = r->a->state_count;
    uint8_t kinds;
    const struct lm_frag x = atom(r, &kinds);
    const size_t start = r->at;
    uint32_t min = 1, max = 1;
    if (r->a->rc != LM_OK || !read_quantifier(r, &min, &max))
        return x;
    const size_t limit = r->options->own ? LM_NFA_NONE : r->a->limits.repetition;
    if ((max != LM_NFA_NONE && max > limit) || min > limit)
        return refuse_at(r, start, LM_ELIMIT, "the repetition is beyond the limit");
    if (min > max)
        return refuse_at(r, start, LM_EINVAL, "the repetition has its bounds the wrong way round");
    if (next_is(r, "+"))
        return refuse(r, "possessive repetition is not supported");
    skip(r, "?");   // the fewest or the most: the same texts
    uint32_t again_min, again_max;
    const size_t behind = r->at;
    if (read_quantifier(r, &again_min, &again_max))
        return refuse_at(r, behind, LM_EINVAL, "a repetition of a repetition: use a group");
    return lm_nfa_repeat(r->a, mark, x, min, max, kinds);
}

/* ---- sequences, alternatives ---- */

static struct lm_frag anything(struct reading *r)
{
    struct lm_chars all = { 0 };
    lm_chars_add(&all, 0, LM_CHAR_MAX);
    const size_t mark = r->a->state_count;
    const struct lm_frag one = lm_chars_frag(r->a, &all, r->options->spelling);
    lm_chars_release(&all);
    return lm_nfa_repeat(r->a, mark, one, 0, LM_NFA_NONE, LM_KINDS_PLAIN);
}

static struct lm_frag sequence(struct reading *r, bool top)
{
    const bool tied_start = top && skip(r, "^");
    bool tied_end = false;
    struct lm_frag all = top && r->options->search && !tied_start ? anything(r) : lm_nfa_empty(r->a);
    while (!at_end(r) && !next_is(r, "|") && !next_is(r, ")") && lm_nfa_go_on(r->a)) {
        if (top && (next_is(r, "$|") || (next_is(r, "$") && r->at + 1 == r->source.len))) {
            r->at++;
            tied_end = true;
            break;
        }
        all = lm_nfa_cat(r->a, all, piece(r));
    }
    if (top && r->options->search && !tied_end)
        all = lm_nfa_cat(r->a, all, anything(r));
    return all;
}

static struct lm_frag alternation(struct reading *r, bool top)
{
    struct lm_frag all = sequence(r, top);
    while (r->a->rc == LM_OK && skip(r, "|"))
        all = lm_nfa_either(r->a, all, sequence(r, top));
    return all;
}

struct lm_frag lm_regex_frag(struct lm_nfa *a, struct lm_str source, const struct lm_regex_options *options)
{
    struct reading r = { .a = a, .options = options, .source = source };
    const struct lm_frag x = alternation(&r, true);
    if (a->rc == LM_OK && !at_end(&r))
        return refuse(&r, "a bracket closes that was not opened");
    return x;
}

struct lm_frag lm_regex_own(struct lm_nfa *a, const char *source)
{
    static const struct lm_regex_options options = { .where = "expression of the program", .own = true };
    return lm_regex_frag(a, lm_str(source), &options);
}
