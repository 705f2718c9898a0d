/* infer/constraint_schema_scalar.c - numbers and strings of a schema. */
#include "infer/constraint_json.h"
#include "infer/constraint_number.h"
#include "infer/constraint_regex.h"
#include "infer/constraint_schema.h"

#include <stdio.h>

/* ---- numbers ---- */

/* 1, or a power of ten below it: so many digits behind the point. */
static bool read_step(struct lm_schema *s, const struct lm_tree *value, size_t *ret_digits)
{
    lm_decimal step = 0, one = 0;
    const bool good = value->kind == LM_JSON_NUMBER && lm_decimal_read(value->text, &step) &&
                      lm_decimal_read(LM_STR("1"), &one);
    size_t digits = 0;
    for (; good && step > 0 && step < one; step *= 10)
        digits++;
    if (!good || step != one) {
        lm_schema_refuse(s, value, "multipleOf is supported for 1, 0.1, 0.01 and so on");
        return false;
    }
    *ret_digits = digits;
    return true;
}

static void take_bound(struct lm_schema *s, const struct lm_tree *value, bool low, bool open,
                       struct lm_number_bounds *b)
{
    lm_decimal number;
    if (value->kind != LM_JSON_NUMBER) {
        lm_schema_refuse(s, value, "expected a number");
    } else if (!lm_decimal_read(value->text, &number)) {
        lm_schema_refuse(s, value, "a bound has at most %d digits behind the point", LM_JSON_DIGITS_MAX);
    } else if (low && (!b->has_low || number > b->low || (number == b->low && open))) {
        b->has_low = true;
        b->low = number;
        b->low_open = open;
    } else if (!low && (!b->has_high || number < b->high || (number == b->high && open))) {
        b->has_high = true;
        b->high = number;
        b->high_open = open;
    }
}

bool lm_schema_bounds(struct lm_schema *s, const struct lm_schema_view *v, struct lm_number_bounds *ret)
{
    static const struct {
        enum lm_schema_slot slot;
        bool low, open;
    } rows[] = {
        { LM_SLOT_MINIMUM, true, false },
        { LM_SLOT_EXCLUSIVE_MINIMUM, true, true },
        { LM_SLOT_MAXIMUM, false, false },
        { LM_SLOT_EXCLUSIVE_MAXIMUM, false, true },
    };
    *ret = (struct lm_number_bounds){ .fraction_digits_max =
                                          v->types & LM_TYPE_FRACTION ? LM_JSON_DIGITS_MAX : 0 };
    for (size_t r = 0; r < 4; r++)
        for (size_t i = 0; i < v->slots[rows[r].slot].count; i++)
            take_bound(s, v->slots[rows[r].slot].items[i], rows[r].low, rows[r].open, ret);
    for (size_t i = 0; i < v->slots[LM_SLOT_MULTIPLE_OF].count; i++) {
        size_t digits;
        if (read_step(s, v->slots[LM_SLOT_MULTIPLE_OF].items[i], &digits) &&
            digits < ret->fraction_digits_max)
            ret->fraction_digits_max = digits;
    }
    return s->a->rc == LM_OK;
}

struct lm_frag lm_schema_number(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct lm_number_bounds b;
    if (!lm_schema_bounds(s, v, &b))
        return (struct lm_frag){ 0, 0 };
    if (b.has_low || b.has_high || (b.fraction_digits_max > 0 && b.fraction_digits_max < LM_JSON_DIGITS_MAX))
        return lm_number_frag(s->a, &b);
    return lm_json_call(s->a, b.fraction_digits_max > 0 ? LM_RULE_NUMBER : LM_RULE_INTEGER);
}

/* ---- strings ---- */

/* Between the quotes.  No character of theirs needs an escape. */
// clang-format off
#define DATE "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])))"
#define TIME "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 "(?:" OCTET "(?:\\." OCTET "){3})"
#define LABEL "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"
#define HOST "(?:" LABEL "(?:\\." LABEL "){0,4})"
#define PATH "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"
#define HEX4 "[0-9a-fA-F]{4}"

static const struct {
    const char *name, *pattern;
} formats[] = {
    { "date", DATE },
    { "time", TIME },
    { "date-time", DATE "T" TIME },
    { "duration", "P(?:[0-9]{1,4}D|[0-9]{1,4}W|(?:[0-9]{1,4}D)?T[0-9]{1,4}[HMS]|[0-9]{1,4}[YM])" },
    { "uuid", "[0-9a-fA-F]{8}-" HEX4 "-" HEX4 "-" HEX4 "-[0-9a-fA-F]{12}" },
    { "ipv4", IPV4 },
    { "ipv6", "(?:" HEX4 ":){7}" HEX4 },
    { "hostname", HOST },
    { "email", "[a-zA-Z0-9_+-]{1,32}(?:\\.[a-zA-Z0-9_+-]{1,16}){0,3}@" LABEL "(?:\\." LABEL "){1,4}" },
    { "uri", "[a-z][a-z0-9+.-]{1,15}://" HOST "(?::[0-9]{1,5})?(?:/" PATH "*)*(?:\\?" PATH "*)?(?:#" PATH "*)?" },
    { "json-pointer", "(?:/(?:[a-zA-Z0-9._-]|~[01]){0,64}){0,16}" },
};
// clang-format on
_Static_assert(sizeof(formats) / sizeof(formats[0]) <= LM_SCHEMA_FORMATS_MAX, "one rule each");

/* In place, so that it can be counted; else as a rule. */
static struct lm_frag format_frag(struct lm_schema *s, const struct lm_tree *format, bool in_place)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (format->kind != LM_JSON_STRING || !lm_str_eq(format->text, lm_str(formats[i].name)))
            continue;
        if (in_place)
            return lm_regex_own(s->a, formats[i].pattern);
        if (!s->format_rules[i]) {
            const uint32_t rule = lm_nfa_rule(s->a, format->text);
            lm_nfa_define(s->a, rule, lm_regex_own(s->a, formats[i].pattern));
            s->format_rules[i] = rule + 1;
        }
        return lm_nfa_call(s->a, s->format_rules[i] - 1);
    }
    lm_schema_refuse(s, format, "this format is not supported: use a pattern");
    return (struct lm_frag){ 0, 0 };
}

static struct lm_frag pattern_frag(struct lm_schema *s, const struct lm_tree *pattern)
{
    char pointer[LM_TREE_POINTER_MAX], where[LM_TREE_POINTER_MAX + 16];
    if (pattern->kind != LM_JSON_STRING) {
        lm_schema_refuse(s, pattern, "expected a regular expression");
        return (struct lm_frag){ 0, 0 };
    }
    snprintf(where, sizeof(where), "schema at '%s'", lm_tree_pointer(pattern, pointer));
    const struct lm_regex_options options = { .spelling = LM_SPELL_JSON, .search = true, .where = where };
    return lm_regex_frag(s->a, pattern->text, &options);
}

struct lengths {
    uint32_t min, max;   // max LM_NFA_NONE: no bound
    bool any;            // some bound is given
};

/* False, refused, when they are beyond the limit. */
static bool read_lengths(struct lm_schema *s, const struct lm_schema_view *v, struct lengths *ret)
{
    const struct lm_schema_values *lows = &v->slots[LM_SLOT_MIN_LENGTH],
                                  *highs = &v->slots[LM_SLOT_MAX_LENGTH];
    const size_t limit = s->a->limits.repetition;
    ret->min = lm_schema_size_most(s, lows, 0);
    ret->max = lm_schema_size_least(s, highs, LM_NFA_NONE);
    ret->any = lows->count + highs->count > 0;
    if (ret->min > limit)
        lm_schema_refuse_limit(s, lows->items[0], "the length is beyond the limit");
    else if (ret->max != LM_NFA_NONE && ret->max > limit)
        lm_schema_refuse_limit(s, highs->items[0], "the length is beyond the limit");
    return s->a->rc == LM_OK;
}

/* What stands between the quotes. */
static struct lm_frag body_frag(struct lm_schema *s, const struct lm_schema_view *v,
                                const struct lengths *lengths)
{
    struct lm_nfa *a = s->a;
    const struct lm_schema_values *patterns = &v->slots[LM_SLOT_PATTERN], *kinds = &v->slots[LM_SLOT_FORMAT];
    const size_t mark = a->state_count;
    if (lengths->min > lengths->max)
        return lm_nfa_never(a);
    if (patterns->count + kinds->count == 0)
        return lm_nfa_repeat(a, mark, lm_json_call(a, LM_RULE_CHAR), lengths->min, lengths->max,
                             LM_KINDS_PLAIN);
    const struct lm_frag x = patterns->count > 0 ? pattern_frag(s, patterns->items[0])
                                                 : format_frag(s, kinds->items[0], lengths->any);
    return lengths->any ? lm_nfa_counted(a, mark, x, lengths->min, lengths->max) : x;
}

struct lm_frag lm_schema_string(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct lm_nfa *a = s->a;
    struct lengths lengths;
    const struct lm_schema_values *patterns = &v->slots[LM_SLOT_PATTERN], *kinds = &v->slots[LM_SLOT_FORMAT];
    if (patterns->count + kinds->count > 1)
        lm_schema_refuse(s, patterns->count > 0 ? patterns->items[0] : kinds->items[0],
                         "one string can have one pattern or one format");
    if (!read_lengths(s, v, &lengths))
        return (struct lm_frag){ 0, 0 };
    if (patterns->count + kinds->count == 0 && !lengths.any)
        return lm_json_call(a, LM_RULE_STRING);
    const struct lm_frag open = lm_nfa_text(a, "\"");
    const struct lm_frag body = body_frag(s, v, &lengths);
    return lm_nfa_cat(a, lm_nfa_cat(a, open, body), lm_nfa_text(a, "\""));
}
