#include "infer/constraint_json.h"

#include "infer/constraint_front.h"
#include "infer/constraint_regex.h"

struct lm_frag lm_json_comma(struct lm_nfa *a)
{
    return lm_nfa_cat(a, lm_nfa_text(a, ","), lm_json_call(a, LM_RULE_BLANK));
}

struct lm_frag lm_json_colon(struct lm_nfa *a)
{
    return lm_nfa_cat(a, lm_nfa_text(a, ":"), lm_nfa_optional(a, lm_nfa_text(a, " ")));
}

/* ---- bodies of the rules ---- */

static struct lm_frag blank(struct lm_nfa *a)
{
    return lm_regex_own(a, "(?: |\\n(?: {0,24}|\\t{0,8}))?");
}

static struct lm_frag character(struct lm_nfa *a)
{
    return lm_regex_own(a, "[^\"\\\\\\x00-\\x1f]|"
                           "\\\\([\"\\\\/bfnrt]|u([0-9a-cA-Ce-fE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}))");
}

static struct lm_frag string(struct lm_nfa *a)
{
    const struct lm_frag open = lm_nfa_text(a, "\"");
    const size_t mark = a->state_count;
    const struct lm_frag chars = lm_nfa_repeat(a, mark, character(a), 0, LM_NFA_NONE, LM_KINDS_PLAIN);
    return lm_nfa_cat(a, lm_nfa_cat(a, open, chars), lm_nfa_text(a, "\""));
}

static struct lm_frag number(struct lm_nfa *a)
{
    return lm_regex_own(a, "-?(0|[1-9][0-9]{0,16})(\\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?");
}

static struct lm_frag integer(struct lm_nfa *a)
{
    return lm_regex_own(a, "0|-?[1-9][0-9]{0,16}");
}

/* open (one (, one)* )? close */
static struct lm_frag listing(struct lm_nfa *a, const char *open, struct lm_frag first, size_t mark,
                              struct lm_frag again, const char *close)
{
    struct lm_frag items = lm_nfa_cat(a, first, lm_nfa_repeat(a, mark, again, 0, LM_NFA_NONE, 0));
    items = lm_nfa_optional(a, lm_nfa_cat(a, items, lm_json_call(a, LM_RULE_BLANK)));
    const struct lm_frag head = lm_nfa_cat(a, lm_nfa_text(a, open), lm_json_call(a, LM_RULE_BLANK));
    return lm_nfa_cat(a, head, lm_nfa_cat(a, items, lm_nfa_text(a, close)));
}

static struct lm_frag member(struct lm_nfa *a)
{
    const struct lm_frag key = lm_nfa_cat(a, lm_json_call(a, LM_RULE_STRING), lm_json_colon(a));
    return lm_nfa_cat(a, key, lm_json_call(a, LM_RULE_VALUE));
}

static struct lm_frag object(struct lm_nfa *a)
{
    const struct lm_frag first = member(a);
    const size_t mark = a->state_count;
    return listing(a, "{", first, mark, lm_nfa_cat(a, lm_json_comma(a), member(a)), "}");
}

static struct lm_frag array(struct lm_nfa *a)
{
    const struct lm_frag first = lm_json_call(a, LM_RULE_VALUE);
    const size_t mark = a->state_count;
    return listing(a, "[", first, mark, lm_nfa_cat(a, lm_json_comma(a), lm_json_call(a, LM_RULE_VALUE)), "]");
}

static struct lm_frag value(struct lm_nfa *a)
{
    static const enum lm_json_rule kinds[] = { LM_RULE_NUMBER, LM_RULE_STRING, LM_RULE_OBJECT,
                                               LM_RULE_ARRAY };
    struct lm_frag all = lm_regex_own(a, "true|false|null");
    for (size_t i = 0; i < 4; i++)
        all = lm_nfa_either(a, lm_json_call(a, kinds[i]), all);
    return all;
}

// clang-format off
static const struct {
    const char *name;
    struct lm_frag (*body)(struct lm_nfa *a);
} bodies[LM_RULE_JSON_COUNT] = {
    [LM_RULE_BLANK]   = { "blank", blank },
    [LM_RULE_CHAR]    = { "character", character },
    [LM_RULE_STRING]  = { "string", string },
    [LM_RULE_NUMBER]  = { "number", number },
    [LM_RULE_INTEGER] = { "integer", integer },
    [LM_RULE_VALUE]   = { "value", value },
    [LM_RULE_OBJECT]  = { "object", object },
    [LM_RULE_ARRAY]   = { "array", array },
};
// clang-format on

void lm_json_rules(struct lm_nfa *a)
{
    LM_ASSERT(a->rule_count == 0);
    for (size_t i = 0; i < LM_RULE_JSON_COUNT; i++)
        lm_nfa_rule(a, lm_str(bodies[i].name));
    for (uint32_t i = 0; i < LM_RULE_JSON_COUNT; i++)
        lm_nfa_define(a, i, bodies[i].body(a));
}

uint32_t lm_front_json(struct lm_nfa *a, struct lm_str source)
{
    (void)source;   // there is nothing to say
    lm_json_rules(a);
    return LM_RULE_OBJECT;
}
