/* infer/constraint_grammar.c - grammars as llama.cpp writes them (GBNF), and plain EBNF close to it.
 *
 *     root  ::= item ("," item)*          # a comment
 *     item  ::= [a-z0-9]+ | 'x'{2,3} | . | <other-rule>
 *
 * A rule is a name, one of ::= := = : and alternatives; it ends where the next begins, or at a semicolon.
 * Names are letters, digits, - and _.  Literals take \n \r \t \\ \" \' \[ \] \xHH \uHHHH \UHHHHHHHH.  A dot
 * is any character.  The text starts with `root`, or with the first rule if there is none of that name. */
#include "base/mem.h"
#include "infer/constraint_chars.h"
#include "infer/constraint_front.h"

#include <stdlib.h>

struct grammar {
    struct lm_nfa *a;
    struct lm_str source;
    size_t at, depth;
    uint32_t *slots;    // rule + 1, by hash of its name
    size_t slot_size;   // a power of two
};

/* ---- reading ---- */

static struct lm_frag refuse_at(struct grammar *g, size_t at, enum lm_rc rc, const char *problem)
{
    lm_nfa_fail(g->a, rc, "grammar: byte %zu: %s", at, problem);
    g->at = g->source.len;
    return (struct lm_frag){ 0, 0 };
}

static char peek(const struct grammar *g)
{
    return g->at < g->source.len ? g->source.ptr[g->at] : '\0';
}

static bool at_end(const struct grammar *g)
{
    return g->at >= g->source.len;
}

static bool skip(struct grammar *g, const char *text)
{
    const struct lm_str rest = { g->source.ptr + g->at, g->source.len - g->at };
    if (!lm_str_starts(rest, lm_str(text)))
        return false;
    g->at += strlen(text);
    return true;
}

static void skip_blanks(struct grammar *g)
{
    bool comment = false;   // to the end of the line
    for (; !at_end(g); g->at++) {
        const char c = peek(g);
        comment = c == '#' || (comment && c != '\n');
        if (!comment && c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
    }
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static struct lm_str read_name(struct grammar *g)
{
    const size_t start = g->at;
    while (!at_end(g) && is_name_char(peek(g)))
        g->at++;
    return (struct lm_str){ g->source.ptr + start, g->at - start };
}

static bool skip_defines(struct grammar *g)
{
    return skip(g, "::=") || skip(g, ":=") || skip(g, "=") || skip(g, ":");
}

/* A name and the sign that begins a rule stand here. */
static bool at_rule(struct grammar *g)
{
    const size_t start = g->at;
    const bool named = read_name(g).len > 0;
    skip_blanks(g);
    const bool found = named && skip_defines(g);
    g->at = start;
    return found;
}

/* ---- names ---- */

static size_t name_slot(const struct grammar *g, struct lm_str name)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.ptr[i]) * 0x100000001b3;
    size_t at = hash & (g->slot_size - 1);
    while (g->slots[at] && !lm_str_eq(g->a->rules[g->slots[at] - 1].name, name))
        at = (at + 1) & (g->slot_size - 1);
    return at;
}

static void grow_slots(struct grammar *g)
{
    free(g->slots);
    g->slot_size = g->slot_size ? 2 * g->slot_size : 64;
    g->slots = lm_zalloc(g->slot_size, sizeof(*g->slots));
    for (uint32_t r = 0; r < g->a->rule_count; r++)
        g->slots[name_slot(g, g->a->rules[r].name)] = r + 1;
}

/* The rule of this name, new if it has not been met. */
static uint32_t rule_named(struct grammar *g, struct lm_str name)
{
    if (2 * g->a->rule_count >= g->slot_size)
        grow_slots(g);
    const size_t at = name_slot(g, name);
    if (!g->slots[at]) {
        const uint32_t made = lm_nfa_rule(g->a, name);
        if (g->a->rc != LM_OK)
            return 0;
        g->slots[at] = made + 1;
    }
    return g->slots[at] - 1;
}

/* ---- characters ---- */

static bool read_hex(struct grammar *g, size_t digits, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, g->at++) {
        const char c = peek(g), lower = (char)(c | 0x20);
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (lower < 'a' || lower > 'f')) {
            refuse_at(g, g->at, LM_EINVAL, "expected a hex digit");
            return false;
        }
        value = value << 4 | (uint32_t)(digit ? c - '0' : lower - 'a' + 10);
    }
    *ret = value;
    return true;
}

/* A character of a literal or a class, which may be an escape. */
static bool read_char(struct grammar *g, uint32_t *ret)
{
    static const char letters[] = "nrt\\\"'[]-^", values[] = "\n\r\t\\\"'[]-^";
    const size_t start = g->at;
    const struct lm_str rest = { g->source.ptr + g->at, g->source.len - g->at };
    if (!skip(g, "\\")) {
        const size_t bytes = lm_char_read(rest, ret);
        g->at += bytes;
        if (bytes == 0)
            refuse_at(g, start, LM_EINVAL, at_end(g) ? "the grammar ends too early" : "not UTF-8");
        return bytes > 0;
    }
    const char c = peek(g);
    const char *letter = c ? strchr(letters, c) : NULL;
    g->at += !at_end(g);
    if (letter) {
        *ret = (uint8_t)values[letter - letters];
        return true;
    }
    if (c != 'x' && c != 'u' && c != 'U') {
        refuse_at(g, start, LM_EINVAL, "unknown escape");
        return false;
    }
    if (!read_hex(g, c == 'x' ? 2 : c == 'u' ? 4 : 8, ret))
        return false;
    if (*ret > LM_CHAR_MAX || (*ret >= 0xd800 && *ret < 0xe000)) {
        refuse_at(g, start, LM_EINVAL, "not a character of Unicode");
        return false;
    }
    return true;
}

static struct lm_frag literal(struct grammar *g, const char *quote)
{
    struct lm_frag all = lm_nfa_empty(g->a);
    const size_t start = g->at - 1;
    while (!skip(g, quote)) {
        uint32_t c = 0;
        if (at_end(g))
            return refuse_at(g, start, LM_EINVAL, "the literal does not end");
        if (!read_char(g, &c))
            return (struct lm_frag){ 0, 0 };
        all = lm_nfa_cat(g->a, all, lm_char_frag(g->a, c, LM_SPELL_TEXT));
    }
    return all;
}

static bool read_class(struct grammar *g, struct lm_chars *ret)
{
    const size_t start = g->at - 1;
    const bool inverted = skip(g, "^");
    while (!skip(g, "]")) {
        const size_t at = g->at;
        uint32_t low = 0, high = 0;
        if (at_end(g)) {
            refuse_at(g, start, LM_EINVAL, "the class does not end");
            return false;
        }
        if (!read_char(g, &low))
            return false;
        high = low;
        const bool dash = peek(g) == '-' && g->at + 1 < g->source.len && g->source.ptr[g->at + 1] != ']';
        g->at += dash;
        if (dash && !read_char(g, &high))
            return false;
        if (low > high) {
            refuse_at(g, at, LM_EINVAL, "not a range of characters from lower to higher");
            return false;
        }
        lm_chars_add(ret, low, high);
    }
    if (inverted)
        lm_chars_invert(ret);
    lm_chars_normalize(ret);
    return true;
}

/* ---- elements ---- */

static struct lm_frag alternatives(struct grammar *g);

static struct lm_frag group(struct grammar *g)
{
    const size_t start = g->at - 1;
    if (++g->depth > g->a->limits.depth)
        return refuse_at(g, start, LM_ELIMIT, "groups are nested too deep");
    const struct lm_frag x = alternatives(g);
    g->depth--;
    if (g->a->rc == LM_OK && !skip(g, ")"))
        return refuse_at(g, start, LM_EINVAL, "the group does not end");
    return x;
}

static struct lm_frag set(struct grammar *g, bool dot, uint8_t *ret_kinds)
{
    struct lm_chars chars = { 0 };
    if (dot)
        lm_chars_add(&chars, 0, LM_CHAR_MAX);
    struct lm_frag x = { 0, 0 };
    if (dot || read_class(g, &chars)) {
        *ret_kinds = lm_chars_kinds(&chars);
        x = lm_chars_frag(g->a, &chars, LM_SPELL_TEXT);
    }
    lm_chars_release(&chars);
    return x;
}

static struct lm_frag element(struct grammar *g, uint8_t *ret_kinds)
{
    *ret_kinds = 0;
    if (skip(g, "("))
        return group(g);
    if (skip(g, "["))
        return set(g, false, ret_kinds);
    if (skip(g, "."))
        return set(g, true, ret_kinds);
    if (skip(g, "\""))
        return literal(g, "\"");
    if (skip(g, "'"))
        return literal(g, "'");
    const size_t start = g->at;
    const bool angled = skip(g, "<");
    const struct lm_str name = read_name(g);
    if (name.len == 0 || (angled && !skip(g, ">")))
        return refuse_at(g, start, LM_EINVAL, "expected a literal, a class, a group or the name of a rule");
    return lm_nfa_call(g->a, rule_named(g, name));
}

static bool read_number(struct grammar *g, uint32_t *ret)
{
    const size_t start = g->at;
    uint32_t value = 0;
    for (; peek(g) >= '0' && peek(g) <= '9'; g->at++)
        value = value > 100000000 ? value : value * 10 + (uint32_t)(peek(g) - '0');
    *ret = value;
    return g->at > start;
}

/* {n} {n,} {,m} {n,m} behind the brace. */
static bool read_bounds(struct grammar *g, uint32_t *ret_min, uint32_t *ret_max)
{
    const size_t start = g->at - 1;
    skip_blanks(g);
    const bool low = read_number(g, ret_min);
    skip_blanks(g);
    *ret_max = *ret_min;
    bool good = low;
    if (skip(g, ",")) {
        skip_blanks(g);
        const bool high = read_number(g, ret_max);
        if (!high)
            *ret_max = LM_NFA_NONE;
        good = low || high;
    }
    skip_blanks(g);
    if (!good || !skip(g, "}")) {
        refuse_at(g, start, LM_EINVAL, "expected a repetition like {2}, {2,} or {2,4}");
        return false;
    }
    const size_t limit = g->a->limits.repetition;
    if (*ret_min > limit || (*ret_max != LM_NFA_NONE && *ret_max > limit)) {
        refuse_at(g, start, LM_ELIMIT, "the repetition is beyond the limit");
        return false;
    }
    if (*ret_min > *ret_max)
        refuse_at(g, start, LM_EINVAL, "the repetition has its bounds the wrong way round");
    return *ret_min <= *ret_max;
}

/* An element and what repeats it. */
static struct lm_frag piece(struct grammar *g)
{
    const size_t mark = g->a->state_count;
    uint8_t kinds;
    const struct lm_frag x = element(g, &kinds);
    uint32_t min, max = LM_NFA_NONE;
    if (skip(g, "*")) {
        min = 0;
    } else if (skip(g, "+")) {
        min = 1;
    } else if (skip(g, "?")) {
        min = 0;
        max = 1;
    } else if (g->a->rc != LM_OK || !skip(g, "{") || !read_bounds(g, &min, &max)) {
        return x;
    }
    if (peek(g) == '*' || peek(g) == '+' || peek(g) == '?' || peek(g) == '{')
        return refuse_at(g, g->at, LM_EINVAL, "a repetition of a repetition: use a group");
    return g->a->rc == LM_OK ? lm_nfa_repeat(g->a, mark, x, min, max, kinds) : x;
}

static struct lm_frag sequence(struct grammar *g)
{
    struct lm_frag all = lm_nfa_empty(g->a);
    for (;;) {
        skip_blanks(g);
        const char c = peek(g);
        if (at_end(g) || c == '|' || c == ')' || c == ';' || at_rule(g) || !lm_nfa_go_on(g->a))
            return all;
        all = lm_nfa_cat(g->a, all, piece(g));
    }
}

static struct lm_frag alternatives(struct grammar *g)
{
    struct lm_frag all = sequence(g);
    while (g->a->rc == LM_OK && skip(g, "|"))
        all = lm_nfa_either(g->a, all, sequence(g));
    return all;
}

/* ---- rules ---- */

static void read_rule(struct grammar *g)
{
    const size_t start = g->at;
    if (!at_rule(g)) {
        refuse_at(g, start, LM_EINVAL, "expected a rule: name ::= what it matches");
        return;
    }
    const uint32_t rule = rule_named(g, read_name(g));
    skip_blanks(g);
    skip_defines(g);
    const struct lm_frag body = alternatives(g);
    if (g->a->rc != LM_OK)
        return;
    if (peek(g) == ')') {
        refuse_at(g, g->at, LM_EINVAL, "a bracket closes that was not opened");
        return;
    }
    skip(g, ";");
    skip_blanks(g);
    if (g->a->rules[rule].start != LM_NFA_NONE)
        refuse_at(g, start, LM_EINVAL, "the rule has been defined before");
    else
        lm_nfa_define(g->a, rule, body);
}

uint32_t lm_front_grammar(struct lm_nfa *a, struct lm_str source)
{
    struct grammar g = { .a = a, .source = source };
    skip_blanks(&g);
    if (at_end(&g))
        refuse_at(&g, 0, LM_EINVAL, "there is no rule");
    while (a->rc == LM_OK && !at_end(&g))
        read_rule(&g);
    uint32_t start = 0;
    for (uint32_t r = 0; r < a->rule_count && a->rc == LM_OK; r++) {
        const struct lm_str name = a->rules[r].name;
        if (lm_str_eq(name, LM_STR("root")))
            start = r;
        if (a->rules[r].start == LM_NFA_NONE)
            lm_nfa_fail(a, LM_EINVAL, "grammar: the rule '%.*s' is used but not defined", (int)name.len,
                        name.ptr);
    }
    free(g.slots);
    return start;
}
