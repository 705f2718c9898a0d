/* token/split_parse.c - a pattern to a program. */
#include "token/split_regex.h"

#include "text/text.h"

#include <unicode/uchar.h>

/* A tree first: repetitions copy what they repeat. */
enum kind { EMPTY, SET, JOIN, EITHER, REPEAT, LOOK, END };

struct node {
    enum kind kind;
    uint16_t set;
    bool negated, lazy;
    uint32_t min, max;   // REPEAT; max UINT32_MAX: no maximum
    struct node *a, *b;
};

struct parser {
    struct lm_str rest;
    struct split_program *p;
    struct lm_arena arena;
    unsigned depth;
    bool any_case;
    struct lm_err *err;
};

static struct node *node_new(struct parser *p, enum kind kind, struct node *a, struct node *b)
{
    struct node *n = lm_arena_alloc(&p->arena, sizeof(*n));
    n->kind = kind;
    n->a = a;
    n->b = b;
    return n;
}

static bool take(struct parser *p, const char *text)
{
    const size_t len = strlen(text);
    if (!lm_str_starts(p->rest, (struct lm_str){ text, len }))
        return false;
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return true;
}

static enum lm_rc refuse(struct parser *p, const char *what)
{
    return lm_fail(p->err, LM_EINVAL, "%s at '%.*s' is not supported", what,
                   p->rest.len < 24 ? (int)p->rest.len : 24, p->rest.ptr);
}

/* ---- sets ---- */

static enum lm_rc add_range(struct parser *p, struct split_set *s, uint32_t first, uint32_t last)
{
    if (s->range_count == SPLIT_RANGES_MAX)
        return refuse(p, "a set of so many ranges");
    s->ranges[s->range_count].first = first;
    s->ranges[s->range_count++].last = last;
    return LM_OK;
}

/* The other case of a letter, where case does not matter; U+017F is an s, U+212A a k. */
static enum lm_rc add_char(struct parser *p, struct split_set *s, uint32_t cp)
{
    LM_TRY(add_range(p, s, cp, cp));
    if (!p->any_case || cp >= 128 || (cp | 0x20) - 'a' >= 26)
        return p->any_case && cp >= 128 ? refuse(p, "(?i) with letters beyond ASCII, which") : LM_OK;
    LM_TRY(add_range(p, s, cp ^ 0x20, cp ^ 0x20));
    if ((cp | 0x20) == 's')
        return add_range(p, s, 0x17f, 0x17f);
    return (cp | 0x20) == 'k' ? add_range(p, s, 0x212a, 0x212a) : LM_OK;
}

// clang-format off
static const struct {
    const char *name;
    uint32_t mask;
} categories[] = {
    { "L", U_GC_L_MASK }, { "Lu", U_GC_LU_MASK }, { "Ll", U_GC_LL_MASK }, { "Lt", U_GC_LT_MASK },
    { "Lm", U_GC_LM_MASK }, { "Lo", U_GC_LO_MASK }, { "M", U_GC_M_MASK }, { "Mn", U_GC_MN_MASK },
    { "Me", U_GC_ME_MASK }, { "Mc", U_GC_MC_MASK }, { "N", U_GC_N_MASK }, { "Nd", U_GC_ND_MASK },
    { "Nl", U_GC_NL_MASK }, { "No", U_GC_NO_MASK }, { "P", U_GC_P_MASK }, { "Pc", U_GC_PC_MASK },
    { "Pd", U_GC_PD_MASK }, { "Ps", U_GC_PS_MASK }, { "Pe", U_GC_PE_MASK }, { "Pi", U_GC_PI_MASK },
    { "Pf", U_GC_PF_MASK }, { "Po", U_GC_PO_MASK }, { "S", U_GC_S_MASK }, { "Sm", U_GC_SM_MASK },
    { "Sc", U_GC_SC_MASK }, { "Sk", U_GC_SK_MASK }, { "So", U_GC_SO_MASK }, { "Z", U_GC_Z_MASK },
    { "Zs", U_GC_ZS_MASK }, { "Zl", U_GC_ZL_MASK }, { "Zp", U_GC_ZP_MASK }, { "C", U_GC_C_MASK },
    { "Cc", U_GC_CC_MASK }, { "Cf", U_GC_CF_MASK }, { "Cn", U_GC_CN_MASK }, { "Co", U_GC_CO_MASK },
    { "Cs", U_GC_CS_MASK },
};
// clang-format on

static enum lm_rc parse_category(struct parser *p, bool negated, struct split_set *s)
{
    struct lm_str name = { p->rest.ptr, 1 };
    size_t used = 1;
    if (take(p, "{")) {
        const char *end = memchr(p->rest.ptr, '}', p->rest.len);
        if (!end)
            return refuse(p, "a category without its brace");
        name = (struct lm_str){ p->rest.ptr, (size_t)(end - p->rest.ptr) };
        used = name.len + 1;
    }
    for (size_t i = 0; p->rest.len >= used && i < sizeof(categories) / sizeof(categories[0]); i++)
        if (lm_str_eq(name, lm_str(categories[i].name))) {
            p->rest = (struct lm_str){ p->rest.ptr + used, p->rest.len - used };
            *(negated ? &s->not_categories : &s->categories) |= categories[i].mask;
            return LM_OK;
        }
    return refuse(p, "the category");
}

static bool parse_hex(struct parser *p, size_t digits_max, uint32_t *ret)
{
    const bool braces = take(p, "{");
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
    return digits > 0 && value <= 0x10ffff && (!braces || take(p, "}"));
}

/* Behind a backslash: a set (true) or one character. */
static enum lm_rc parse_escape(struct parser *p, struct split_set *s, bool *ret_is_set, uint32_t *ret_char)
{
    static const char from[] = "rntfv0ae", to[] = "\r\n\t\f\v\0\a\x1b";
    if (p->rest.len == 0)
        return refuse(p, "a backslash");
    const char c = *p->rest.ptr;
    const struct lm_str here = p->rest;
    p->rest = (struct lm_str){ p->rest.ptr + 1, p->rest.len - 1 };
    *ret_is_set = true;
    switch (c) {
    case 's':
        s->space = true;
        return LM_OK;
    case 'S':
        s->not_space = true;
        return LM_OK;
    case 'd':
        s->categories |= U_GC_ND_MASK;
        return LM_OK;
    case 'D':
        s->not_categories |= U_GC_ND_MASK;
        return LM_OK;
    case 'w':   // as Oniguruma has it
        s->word = true;
        return LM_OK;
    case 'W':
        s->not_word = true;
        return LM_OK;
    case 'p':
    case 'P':
        return parse_category(p, c == 'P', s);
    default:
        break;
    }
    *ret_is_set = false;
    const char *known = memchr(from, c, sizeof(from) - 1);
    if (known) {
        *ret_char = (uint8_t)to[known - from];
        return LM_OK;
    }
    if (c == 'x' || c == 'u')
        return parse_hex(p, c == 'x' ? 2 : 4, ret_char) ? LM_OK : refuse(p, "the number");
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        p->rest = here;
        return refuse(p, "the escape");
    }
    p->rest = here;
    const size_t len = lm_utf8_next(p->rest, 0, ret_char);
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return LM_OK;
}

static enum lm_rc next_char(struct parser *p, struct split_set *s, bool *ret_is_set, uint32_t *ret_char)
{
    *ret_is_set = false;
    if (take(p, "\\"))
        return parse_escape(p, s, ret_is_set, ret_char);
    const size_t len = lm_utf8_next(p->rest, 0, ret_char);
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return LM_OK;
}

/* Behind "[". */
static enum lm_rc parse_class(struct parser *p, struct split_set *s)
{
    bool first = true;
    s->negated = take(p, "^");
    while (first || !lm_str_starts(p->rest, LM_STR("]"))) {
        bool is_set = false;
        uint32_t low = 0, high = 0;
        first = false;
        if (p->rest.len == 0)
            return refuse(p, "a set without its bracket");
        if (lm_str_starts(p->rest, LM_STR("[")) || lm_str_starts(p->rest, LM_STR("&&")))
            return refuse(p, "a set inside of a set");
        LM_TRY(next_char(p, s, &is_set, &low));
        if (is_set)
            continue;
        if (p->rest.len < 2 || p->rest.ptr[0] != '-' || p->rest.ptr[1] == ']') {
            LM_TRY(add_char(p, s, low));
            continue;
        }
        take(p, "-");
        LM_TRY(next_char(p, s, &is_set, &high));
        if (is_set || high < low)
            return refuse(p, "the range");
        if (p->any_case && low != high)
            for (uint32_t cp = low; cp <= high && cp < 128; cp++)
                LM_TRY(add_char(p, s, cp));
        LM_TRY(add_range(p, s, low, high));
    }
    take(p, "]");
    return LM_OK;
}

static enum lm_rc open_set(struct parser *p, struct split_set **ret, uint16_t *ret_index)
{
    if (p->p->set_count == SPLIT_SETS_MAX)
        return refuse(p, "a pattern with so many sets");
    *ret_index = (uint16_t)p->p->set_count;
    *ret = &p->p->sets[p->p->set_count++];
    return LM_OK;
}

static bool same_set(const struct split_set *a, const struct split_set *b)
{
    return a->categories == b->categories && a->not_categories == b->not_categories && a->space == b->space &&
           a->not_space == b->not_space && a->negated == b->negated && a->range_count == b->range_count &&
           memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

/* Equal sets are one. */
static uint16_t close_set(struct parser *p, uint16_t index)
{
    for (uint16_t i = 0; i < index; i++)
        if (same_set(&p->p->sets[i], &p->p->sets[index])) {
            p->p->set_count--;
            memset(&p->p->sets[index], 0, sizeof(p->p->sets[index]));
            return i;
        }
    return index;
}

/* ---- the tree ---- */

static enum lm_rc parse_either(struct parser *p, struct node **ret);

static enum lm_rc parse_set(struct parser *p, struct node **ret)
{
    struct split_set *s;
    uint16_t index;
    LM_TRY(open_set(p, &s, &index));
    if (take(p, "[")) {
        LM_TRY(parse_class(p, s));
    } else if (take(p, ".")) {
        s->negated = true;
        LM_TRY(add_range(p, s, '\n', '\n'));
    } else {
        bool is_set;
        uint32_t cp = 0;
        LM_TRY(next_char(p, s, &is_set, &cp));
        if (!is_set)
            LM_TRY(add_char(p, s, cp));
    }
    *ret = node_new(p, SET, NULL, NULL);
    (*ret)->set = close_set(p, index);
    return LM_OK;
}

static enum lm_rc close_group(struct parser *p)
{
    return take(p, ")") ? LM_OK : refuse(p, "a group without its end");
}

static enum lm_rc parse_look(struct parser *p, bool negated, struct node **ret)
{
    struct node *inner = NULL;
    LM_TRY(parse_either(p, &inner));
    if (inner->kind != SET)
        return refuse(p, "looking ahead at more than one character");
    *ret = node_new(p, LOOK, NULL, NULL);
    (*ret)->set = inner->set;
    (*ret)->negated = negated;
    return close_group(p);
}

static enum lm_rc parse_group(struct parser *p, struct node **ret)
{
    const bool before = p->any_case;
    if (take(p, "?!"))
        return parse_look(p, true, ret);
    if (take(p, "?="))
        return parse_look(p, false, ret);
    if (take(p, "?i:"))
        p->any_case = true;
    else if (!take(p, "?:") && lm_str_starts(p->rest, LM_STR("?")))
        return refuse(p, "a group of this kind");
    LM_TRY(parse_either(p, ret));
    p->any_case = before;
    return close_group(p);
}

static enum lm_rc parse_atom(struct parser *p, struct node **ret)
{
    if (take(p, "(")) {
        if (++p->depth > SPLIT_DEPTH_MAX)
            return refuse(p, "nesting so deep");
        LM_TRY(parse_group(p, ret));
        p->depth--;
        return LM_OK;
    }
    if (take(p, "$") || take(p, "\\z")) {
        *ret = node_new(p, END, NULL, NULL);
        return LM_OK;
    }
    static const char *const refused[] = { "^", "*", "+", "?", "{", "\\A", "\\b", "\\B", "\\G", "\\Z" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (lm_str_starts(p->rest, lm_str(refused[i])))
            return refuse(p, "the operator");
    return parse_set(p, ret);
}

static bool parse_number(struct parser *p, uint32_t *ret)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; p->rest.len > 0 && *p->rest.ptr >= '0' && *p->rest.ptr <= '9' && digits < 4; digits++) {
        value = value * 10 + (uint32_t)(*p->rest.ptr - '0');
        p->rest = (struct lm_str){ p->rest.ptr + 1, p->rest.len - 1 };
    }
    *ret = value;
    return digits > 0;
}

static enum lm_rc parse_counts(struct parser *p, struct node *n)
{
    const bool low = parse_number(p, &n->min);
    n->max = n->min;
    if (take(p, ",") && !parse_number(p, &n->max))
        n->max = UINT32_MAX;
    if (!take(p, "}") || (!low && n->max == UINT32_MAX) || n->min > SPLIT_REPEAT_MAX ||
        (n->max != UINT32_MAX && (n->max > SPLIT_REPEAT_MAX || n->max < n->min)))
        return refuse(p, "the repetition");
    return LM_OK;
}

static enum lm_rc parse_repeat(struct parser *p, struct node **ret)
{
    static const struct {
        const char *text;
        uint32_t min, max;
    } operators[] = { { "*", 0, UINT32_MAX }, { "+", 1, UINT32_MAX }, { "?", 0, 1 } };
    struct node *n = NULL;
    LM_TRY(parse_atom(p, &n));
    LM_ASSERT(n);   // an atom is a node
    struct node *repeat = node_new(p, REPEAT, n, NULL);
    for (size_t i = 0; i < 3 && !*ret; i++)
        if (take(p, operators[i].text)) {
            repeat->min = operators[i].min;
            repeat->max = operators[i].max;
            *ret = repeat;
        }
    if (!*ret && take(p, "{")) {
        LM_TRY(parse_counts(p, repeat));
        *ret = repeat;
    }
    if (!*ret) {
        *ret = n;
        return LM_OK;
    }
    if (n->kind != SET && n->kind != JOIN && n->kind != EITHER && n->kind != REPEAT)
        return refuse(p, "a repetition of something without characters");
    if (lm_str_starts(p->rest, LM_STR("+")))
        return refuse(p, "a possessive repetition");
    if (lm_str_starts(p->rest, LM_STR("*")) || lm_str_starts(p->rest, LM_STR("{")))
        return refuse(p, "a repetition of a repetition");
    repeat->lazy = take(p, "?");
    return LM_OK;
}

static enum lm_rc parse_join(struct parser *p, struct node **ret)
{
    *ret = node_new(p, EMPTY, NULL, NULL);
    while (p->rest.len > 0 && *p->rest.ptr != '|' && *p->rest.ptr != ')') {
        struct node *next = NULL;
        LM_TRY(parse_repeat(p, &next));
        *ret = (*ret)->kind == EMPTY ? next : node_new(p, JOIN, *ret, next);
    }
    return LM_OK;
}

static enum lm_rc parse_either(struct parser *p, struct node **ret)
{
    LM_TRY(parse_join(p, ret));
    while (take(p, "|")) {
        struct node *next = NULL;
        LM_TRY(parse_join(p, &next));
        *ret = node_new(p, EITHER, *ret, next);
    }
    return LM_OK;
}

/* ---- the program, from its end ---- */

static enum lm_rc emit(struct parser *p, struct split_inst inst, uint16_t *ret)
{
    if (p->p->len == SPLIT_PROGRAM_MAX)
        return lm_fail(p->err, LM_EINVAL, "it is longer than %d steps", SPLIT_PROGRAM_MAX);
    p->p->code[p->p->len] = inst;
    *ret = (uint16_t)p->p->len++;
    return LM_OK;
}

static enum lm_rc compile(struct parser *p, const struct node *n, uint16_t next, uint16_t *ret);

static enum lm_rc fork_to(struct parser *p, bool lazy, uint16_t again, uint16_t next, uint16_t *ret)
{
    const struct split_inst fork = { .op = SPLIT_FORK,
                                     .to = lazy ? next : again,
                                     .other = lazy ? again : next };
    return emit(p, fork, ret);
}

static enum lm_rc compile_repeat(struct parser *p, const struct node *n, uint16_t next, uint16_t *ret)
{
    uint16_t at = next;
    if (n->max == UINT32_MAX) {
        uint16_t loop, body;
        LM_TRY(fork_to(p, n->lazy, 0, next, &loop));
        LM_TRY(compile(p, n->a, loop, &body));
        *(n->lazy ? &p->p->code[loop].other : &p->p->code[loop].to) = body;
        at = loop;
    }
    for (uint32_t i = n->min; n->max != UINT32_MAX && i < n->max; i++) {
        uint16_t body;
        LM_TRY(compile(p, n->a, at, &body));
        LM_TRY(fork_to(p, n->lazy, body, next, &at));
    }
    for (uint32_t i = 0; i < n->min; i++)
        LM_TRY(compile(p, n->a, at, &at));
    *ret = at;
    return LM_OK;
}

static enum lm_rc compile(struct parser *p, const struct node *n, uint16_t next, uint16_t *ret)
{
    uint16_t a, b;
    switch (n->kind) {
    case SET:
        return emit(p, (struct split_inst){ .op = SPLIT_CHAR, .set = n->set, .to = next }, ret);
    case LOOK:
        return emit(p,
                    (struct split_inst){ .op = SPLIT_LOOK, .set = n->set, .negated = n->negated, .to = next },
                    ret);
    case END:
        return emit(p, (struct split_inst){ .op = SPLIT_LOOK, .end = true, .to = next }, ret);
    case JOIN:
        LM_TRY(compile(p, n->b, next, &b));
        return compile(p, n->a, b, ret);
    case EITHER:
        LM_TRY(compile(p, n->a, next, &a));
        LM_TRY(compile(p, n->b, next, &b));
        return fork_to(p, false, a, b, ret);
    case REPEAT:
        return compile_repeat(p, n, next, ret);
    case EMPTY:
        break;
    }
    *ret = next;
    return LM_OK;
}

enum { PATTERN_BYTES_MAX = 16 << 10 };

enum lm_rc lm_split_parse(struct lm_str pattern, struct split_program *ret, struct lm_err *err)
{
    struct parser p = { .rest = pattern, .p = ret, .err = err };
    struct node *tree = NULL;
    uint16_t match = 0;
    if (pattern.len > PATTERN_BYTES_MAX)
        return lm_fail(err, LM_ELIMIT, "it has more than %d bytes", PATTERN_BYTES_MAX);
    enum lm_rc rc = parse_either(&p, &tree);
    if (rc == LM_OK && p.rest.len > 0)
        rc = refuse(&p, "what is left over");
    if (rc == LM_OK)
        rc = emit(&p, (struct split_inst){ .op = SPLIT_MATCH }, &match);
    if (rc == LM_OK)
        rc = compile(&p, tree, match, &ret->start);
    lm_arena_release(&p.arena);
    return rc;
}
