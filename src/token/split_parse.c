/* token/split_parse.c - a pattern to a program, by Oniguruma's rules for Ruby, which are those of Hugging
 * Face. */
#include "token/split_parser.h"

#include "text/text.h"

struct node *lm_split_node(struct split_parser *p, enum kind kind, struct node *a, struct node *b)
{
    struct node *n = lm_arena_alloc(&p->arena, sizeof(*n));
    n->kind = kind;
    n->a = a;
    n->b = b;
    return n;
}

bool lm_split_take(struct split_parser *p, const char *text)
{
    const size_t len = strlen(text);
    if (!lm_str_starts(p->rest, (struct lm_str){ text, len }))
        return false;
    p->rest = (struct lm_str){ p->rest.ptr + len, p->rest.len - len };
    return true;
}

enum lm_rc lm_split_refuse(struct split_parser *p, const char *what)
{
    enum { SHOWN = 24 };
    size_t shown = 0;
    uint32_t cp;
    for (size_t len; shown < p->rest.len; shown += len) {
        len = lm_utf8_next(p->rest, shown, &cp);
        if (shown + len > SHOWN)
            break;
    }
    return lm_fail(p->err, LM_EINVAL, "%s at '%.*s' is not supported", what, (int)shown, p->rest.ptr);
}

/* ---- one character ---- */

static enum lm_rc parse_set(struct split_parser *p, struct node **ret)
{
    uint16_t set;
    uint32_t literal;
    LM_TRY(lm_split_parse_set(p, &set, &literal));
    *ret = lm_split_node(p, SET, NULL, NULL);
    (*ret)->set = set;
    (*ret)->literal = p->any_case ? literal : 0;
    return LM_OK;
}

static struct node *look_new(struct split_parser *p, uint16_t set, bool end, bool negated)
{
    struct node *n = lm_split_node(p, LOOK, NULL, NULL);
    n->set = set;
    n->end = end;
    n->negated = negated;
    return n;
}

/* The end of the text, or of a line. */
static enum lm_rc parse_end(struct split_parser *p, bool line, struct node **ret)
{
    static const uint32_t newline[] = { '\n' };
    uint16_t set;
    LM_TRY(lm_split_set_of(p, newline, line, &set));
    *ret = look_new(p, set, true, false);
    return LM_OK;
}

/* ---- groups ---- */

static enum lm_rc close_group(struct split_parser *p)
{
    return lm_split_take(p, ")") ? LM_OK : lm_split_refuse(p, "a group without its end");
}

static bool is_one_character(const struct node *n)
{
    if (n->kind == EITHER)
        return is_one_character(n->a) && is_one_character(n->b);
    return n->kind == SET || (n->kind == LOOK && !n->negated);
}

/* Alternatives of one character, or of the end, as what may come. */
static enum lm_rc as_look(struct split_parser *p, const struct node *n, struct node **ret)
{
    struct node *a = NULL, *b = NULL;
    uint16_t set;
    if (n->kind == SET || (n->kind == LOOK && !n->negated)) {
        *ret = look_new(p, n->set, n->kind == LOOK && n->end, false);
        return LM_OK;
    }
    LM_TRY(as_look(p, n->a, &a));
    LM_TRY(as_look(p, n->b, &b));
    LM_ASSERT(a && b);
    LM_TRY(lm_split_set_union(p, a->set, b->set, &set));
    *ret = look_new(p, set, a->end || b->end, false);
    return LM_OK;
}

static enum lm_rc parse_look(struct split_parser *p, bool negated, struct node **ret)
{
    struct node *inner = NULL;
    LM_TRY(lm_split_parse_either(p, &inner));
    if (is_one_character(inner))
        LM_TRY(as_look(p, inner, ret));
    else
        LM_TRY(lm_split_ask_ahead(p, inner, ret));
    (*ret)->negated = negated;
    return close_group(p);
}

/* Behind "?": letters of options; "(?i)" is for the rest of the group around it, "(?i:" for its own. */
static enum lm_rc parse_options(struct split_parser *p, bool *ret_rest)
{
    const struct lm_str here = p->rest;
    for (bool on = true;;) {
        if (lm_split_take(p, "-"))
            on = false;
        else if (lm_split_take(p, "i"))
            p->any_case = on;
        else if (lm_split_take(p, "m"))
            p->any_char = on;
        else
            break;
    }
    *ret_rest = lm_str_starts(p->rest, LM_STR(")"));
    if (*ret_rest || lm_split_take(p, ":"))
        return LM_OK;
    p->rest = (struct lm_str){ here.ptr - 1, here.len + 1 };
    return lm_split_refuse(p, "a group of this kind");
}

static enum lm_rc parse_behind(struct split_parser *p, bool negated, struct node **ret)
{
    struct node *inner = NULL;
    LM_TRY(lm_split_parse_either(p, &inner));
    LM_TRY(lm_split_ask_behind(p, inner, ret));
    (*ret)->negated = negated;
    return close_group(p);
}

static bool take_name(struct split_parser *p)
{
    const char *end = lm_str_starts(p->rest, LM_STR("?<")) ? memchr(p->rest.ptr, '>', p->rest.len) : NULL;
    if (!end || p->rest.len < 3 || p->rest.ptr[2] == '=' || p->rest.ptr[2] == '!')
        return false;
    const size_t used = (size_t)(end - p->rest.ptr) + 1;
    p->rest = (struct lm_str){ p->rest.ptr + used, p->rest.len - used };
    return true;
}

static enum lm_rc parse_group(struct split_parser *p, struct node **ret)
{
    const bool any_case = p->any_case, any_char = p->any_char;
    bool rest = false;
    if (lm_split_take(p, "?!"))
        return parse_look(p, true, ret);
    if (lm_split_take(p, "?="))
        return parse_look(p, false, ret);
    if (lm_split_take(p, "?<!"))
        return parse_behind(p, true, ret);
    if (lm_split_take(p, "?<="))
        return parse_behind(p, false, ret);
    const bool atomic = lm_split_take(p, "?>");
    if (!atomic && !take_name(p) && lm_split_take(p, "?"))
        LM_TRY(parse_options(p, &rest));
    if (rest)
        LM_TRY(close_group(p));
    LM_TRY(lm_split_parse_either(p, ret));
    if (atomic)
        *ret = lm_split_node(p, ATOMIC, *ret, NULL);
    p->any_case = any_case;
    p->any_char = any_char;
    return rest ? LM_OK : close_group(p);   // else the group around it ends here, too
}

static enum lm_rc parse_atom(struct split_parser *p, struct node **ret)
{
    if (lm_split_take(p, "(")) {
        if (++p->depth > SPLIT_DEPTH_MAX)
            return lm_split_refuse(p, "nesting so deep");
        LM_TRY(parse_group(p, ret));
        p->depth--;
        return LM_OK;
    }
    if (lm_split_take(p, "$"))
        return parse_end(p, true, ret);
    if (lm_split_take(p, "\\z"))
        return parse_end(p, false, ret);
    bool asks;
    LM_TRY(lm_split_parse_ask(p, ret, &asks));
    if (asks)
        return LM_OK;
    static const char *const refused[] = { "*", "+", "?", "{", "\\G" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (lm_str_starts(p->rest, lm_str(refused[i])))
            return lm_split_refuse(p, "the operator");
    return parse_set(p, ret);
}

/* ---- repetitions ---- */

static bool parse_number(struct split_parser *p, uint32_t *ret)
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

static enum lm_rc parse_counts(struct split_parser *p, struct node *n)
{
    const bool low = parse_number(p, &n->min);
    n->max = n->min;
    if (lm_split_take(p, ",") && !parse_number(p, &n->max))
        n->max = UINT32_MAX;
    if (!lm_split_take(p, "}") || (!low && n->max == UINT32_MAX) || n->min > SPLIT_REPEAT_MAX ||
        (n->max != UINT32_MAX && (n->max > SPLIT_REPEAT_MAX || n->max < n->min)))
        return lm_split_refuse(p, "the repetition before what stands");
    return LM_OK;
}

static struct node *repeat_new(struct split_parser *p, struct node *n, uint32_t min, uint32_t max)
{
    struct node *repeat = lm_split_node(p, REPEAT, n, NULL);
    repeat->min = min;
    repeat->max = max;
    return repeat;
}

/* A repetition that gives nothing back.  Of single characters: it ends where no other follows. */
static struct node *possessive(struct split_parser *p, struct node *n)
{
    if (n->a->kind != SET)
        return lm_split_node(p, ATOMIC, n, NULL);
    struct node *last = look_new(p, n->a->set, false, true);
    return n->max == 1 ? lm_split_node(p, EITHER, n->a, last) : lm_split_node(p, JOIN, n, last);
}

static bool has_characters(const struct node *n)
{
    return n->kind != EMPTY && n->kind != LOOK && n->kind != ASK;
}

/* One operator behind *ret, if there is one. */
static enum lm_rc parse_operator(struct split_parser *p, struct node **ret, bool *ret_found)
{
    static const struct {
        const char *text;
        uint32_t min, max;
    } operators[] = { { "*", 0, UINT32_MAX }, { "+", 1, UINT32_MAX }, { "?", 0, 1 } };
    struct node *repeat = NULL;
    bool counted = false;
    for (size_t i = 0; i < 3 && !repeat; i++)
        if (lm_split_take(p, operators[i].text))
            repeat = repeat_new(p, *ret, operators[i].min, operators[i].max);
    if (!repeat && lm_split_take(p, "{")) {
        repeat = repeat_new(p, *ret, 0, 0);
        LM_TRY(parse_counts(p, repeat));
        counted = true;
    }
    *ret_found = repeat != NULL;
    if (!repeat)
        return LM_OK;
    if (!has_characters(*ret))
        return lm_split_refuse(p, "a repetition of something without characters before what stands");
    *ret = repeat;
    if (counted && repeat->min == repeat->max)
        return LM_OK;   // {n}? is {n} or nothing
    repeat->lazy = lm_split_take(p, "?");
    if (!repeat->lazy && !counted && lm_split_take(p, "+"))   // {n,m}+ is a repetition of it
        *ret = possessive(p, repeat);
    return LM_OK;
}

static enum lm_rc parse_repeat(struct split_parser *p, struct node **ret)
{
    enum { OPERATORS_MAX = 4 };   // of one another
    bool found = true;
    LM_TRY(parse_atom(p, ret));
    LM_ASSERT(*ret);   // an atom is a node
    for (size_t i = 0; found; i++) {
        if (i == OPERATORS_MAX)
            return lm_split_refuse(p, "a repetition of a repetition");
        LM_TRY(parse_operator(p, ret, &found));
    }
    return LM_OK;
}

/* ---- letters without case that are others together: ss is a sharp s ---- */

// clang-format off
static const struct {
    uint32_t letters[3], same[2];
} ligatures[] = {
    { { 'f', 'f', 'i' }, { 0xfb03 } },
    { { 'f', 'f', 'l' }, { 0xfb04 } },
    { { 'f', 'f' },      { 0xfb00 } },
    { { 'f', 'i' },      { 0xfb01 } },
    { { 'f', 'l' },      { 0xfb02 } },
    { { 's', 's' },      { 0xdf, 0x1e9e } },
    { { 's', 't' },      { 0xfb05, 0xfb06 } },
};
// clang-format on
enum { LIGATURES = sizeof(ligatures) / sizeof(ligatures[0]) };

/* How many letters from items[at] on are a ligature; 0: none. */
static size_t ligature_at(struct node *const *items, size_t count, size_t at, size_t *ret_which)
{
    for (size_t i = 0; i < LIGATURES; i++) {
        size_t len = 0;
        while (len < 3 && ligatures[i].letters[len] && at + len < count && items[at + len]->kind == SET &&
               (items[at + len]->literal | 0x20) == ligatures[i].letters[len])
            len++;
        if (len == 3 || (len == 2 && !ligatures[i].letters[2])) {
            *ret_which = i;
            return len;
        }
    }
    return 0;
}

static enum lm_rc join(struct split_parser *p, struct node *const *items, size_t count, struct node **ret)
{
    *ret = lm_split_node(p, EMPTY, NULL, NULL);
    for (size_t i = 0; i < count;) {
        size_t which = 0, other;
        const size_t len = ligature_at(items, count, i, &which);
        struct node *next = items[i];
        for (size_t k = 1; k < len; k++) {
            if (k > 1 || len == 3 || ligature_at(items, count, i + k, &other))
                return lm_split_refuse(p, "(?i) with ligatures of more than one reading before what stands");
            next = lm_split_node(p, JOIN, next, items[i + k]);
        }
        if (len > 0) {
            struct node *one = lm_split_node(p, SET, NULL, NULL);
            LM_TRY(lm_split_set_of(p, ligatures[which].same, 1 + (ligatures[which].same[1] > 0), &one->set));
            next = lm_split_node(p, EITHER, next, one);
        }
        *ret = (*ret)->kind == EMPTY ? next : lm_split_node(p, JOIN, *ret, next);
        i += len > 0 ? len : 1;
    }
    return LM_OK;
}

static enum lm_rc parse_join(struct split_parser *p, struct node **ret)
{
    struct node **items = NULL;
    size_t count = 0, cap = 0;
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && p->rest.len > 0 && *p->rest.ptr != '|' && *p->rest.ptr != ')') {
        lm_grow(&items, &cap, count + 1, sizeof(*items));
        items[count] = NULL;
        rc = parse_repeat(p, &items[count]);
        count++;
    }
    if (rc == LM_OK)
        rc = join(p, items, count, ret);
    free(items);
    return rc;
}

enum lm_rc lm_split_parse_either(struct split_parser *p, struct node **ret)
{
    LM_TRY(parse_join(p, ret));
    while (lm_split_take(p, "|")) {
        struct node *next = NULL;
        LM_TRY(parse_join(p, &next));
        *ret = lm_split_node(p, EITHER, *ret, next);
    }
    return LM_OK;
}

/* ---- the program, from its end ---- */

static enum lm_rc emit(struct split_parser *p, struct split_inst inst, uint16_t *ret)
{
    if (p->p->len == SPLIT_PROGRAM_MAX)
        return lm_fail(p->err, LM_EINVAL, "it is longer than %d steps", SPLIT_PROGRAM_MAX);
    p->p->code[p->p->len] = inst;
    *ret = (uint16_t)p->p->len++;
    return LM_OK;
}

static enum lm_rc compile(struct split_parser *p, const struct node *n, uint16_t next, uint16_t *ret);

static enum lm_rc fork_to(struct split_parser *p, bool lazy, uint16_t again, uint16_t next, uint16_t *ret)
{
    const struct split_inst fork = { .op = SPLIT_FORK,
                                     .to = lazy ? next : again,
                                     .other = lazy ? again : next };
    return emit(p, fork, ret);
}

static enum lm_rc compile_repeat(struct split_parser *p, const struct node *n, uint16_t next, uint16_t *ret)
{
    uint16_t at = next;
    if (n->max == UINT32_MAX) {
        uint16_t loop, body;
        LM_TRY(fork_to(p, n->lazy, 0, next, &loop));
        LM_TRY(compile(p, n->a, loop, &body));
        *(n->lazy ? &p->p->code[loop].other : &p->p->code[loop].to) = body;
        p->p->code[loop].loop = !n->lazy;
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

/* Whether there is more than one way to match. */
static bool chooses(const struct node *n)
{
    if (n->kind == ASK)
        return false;
    if (n->kind == EITHER || (n->kind == REPEAT && n->min != n->max))
        return true;
    return (n->a && chooses(n->a)) || (n->b && chooses(n->b));
}

static enum lm_rc compile_ask(struct split_parser *p, const struct node *n, uint16_t next, uint16_t *ret)
{
    if (n->a)   // what is looked ahead at is a program of its own
        LM_TRY(compile(p, n->a, p->match, &p->p->questions[n->set].start));
    return emit(p, (struct split_inst){ .op = SPLIT_ASK, .set = n->set, .negated = n->negated, .to = next },
                ret);
}

static enum lm_rc compile(struct split_parser *p, const struct node *n, uint16_t next, uint16_t *ret)
{
    uint16_t a, b;
    switch (n->kind) {
    case ASK:
        return compile_ask(p, n, next, ret);
    case SET:
        return emit(p, (struct split_inst){ .op = SPLIT_CHAR, .set = n->set, .to = next }, ret);
    case LOOK:
        return emit(p,
                    (struct split_inst){
                        .op = SPLIT_LOOK, .set = n->set, .end = n->end, .negated = n->negated, .to = next },
                    ret);
    case ATOMIC:
        if (p->p->code[next].op != SPLIT_MATCH && chooses(n->a))
            return lm_fail(p->err, LM_EINVAL,
                           "a choice that is final, (?>..) or a possessive repetition of a group, is "
                           "supported at the end of a pattern only");
        return compile(p, n->a, next, ret);
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
    struct split_parser p = { .rest = pattern, .p = ret, .err = err };
    struct node *tree = NULL;
    if (pattern.len > PATTERN_BYTES_MAX)
        return lm_fail(err, LM_ELIMIT, "it has more than %d bytes", PATTERN_BYTES_MAX);
    enum lm_rc rc = lm_split_parse_either(&p, &tree);
    if (rc == LM_OK && p.rest.len > 0)
        rc = lm_split_refuse(&p, "what is left over");
    if (rc == LM_OK)
        rc = emit(&p, (struct split_inst){ .op = SPLIT_MATCH }, &p.match);
    if (rc == LM_OK)
        rc = compile(&p, tree, p.match, &ret->start);
    lm_arena_release(&p.arena);
    return rc;
}

void lm_split_program_release(struct split_program *p)
{
    for (size_t i = 0; i < SPLIT_SETS_MAX; i++)
        free(p->sets[i].ranges);
}
