/* token/load_splits.c - pre_tokenizer of a byte-level tokenizer.
 *
 * A Sequence becomes a list of stages, each of which is a pattern.  Lists that a row of lm_grammars stands
 * for get its scanner; all others are made into automata (split.h). */
#include "token/bert_tables.h"
#include "token/load.h"
#include "token/split.h"
#include "token/unicode.h"

const char lm_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct stage {
    const char *pattern;   // regular expression, or
    const char *text;      // what stands there literally
    enum lm_split_behavior behavior;
    bool removed;       // only allowed if nothing is ever removed
    bool bytes;         // behind ByteLevel
    bool digits;        // Digits(individual_digits)
    bool own_regex;     // ByteLevel(use_regex)
    bool punctuation;   // Punctuation: the characters that BERT cuts apart
};

struct stages {
    struct stage items[LM_SPLIT_STAGES_MAX];
    size_t len;
    bool byte_level;
};

static enum lm_rc refuse_option(struct lm_token_load *l, const json_t *c, const char *option,
                                struct lm_err *err)
{
    return lm_load_refuse_option(l, "pre_tokenizer", c, option, err);
}

static bool find_behavior(const char *name, enum lm_split_behavior *ret)
{
    static const char *const names[] = {
        [LM_SPLIT_ISOLATED] = "Isolated",
        [LM_SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [LM_SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
        [LM_SPLIT_CONTIGUOUS] = "Contiguous",
    };
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum lm_split_behavior)i;
            return true;
        }
    return false;
}

/* ---- components to stages ---- */

static enum lm_rc read_split(struct lm_token_load *l, const json_t *c, struct stage *s, struct lm_err *err)
{
    const char *behavior = json_string_value(json_object_get(c, "behavior"));
    const json_t *pattern = json_object_get(c, "pattern");
    const bool invert = json_is_true(json_object_get(c, "invert"));
    s->pattern = json_string_value(json_object_get(pattern, "Regex"));
    s->text = json_string_value(json_object_get(pattern, "String"));
    if (!s->pattern && (!s->text || !*s->text))
        return refuse_option(l, c, "pattern", err);
    if (behavior && strcmp(behavior, "Removed") == 0 && invert) {
        s->removed = true;
        return LM_OK;
    }
    if (!find_behavior(behavior, &s->behavior))
        return refuse_option(l, c, "behavior", err);
    return invert && s->behavior != LM_SPLIT_ISOLATED ? refuse_option(l, c, "invert", err) : LM_OK;
}

json_t *lm_load_split_regex(const json_t *c)
{
    const char *behavior = json_string_value(json_object_get(c, "behavior"));
    const bool invert = json_is_true(json_object_get(c, "invert"));
    json_t *regex = json_object_get(json_object_get(c, "pattern"), "Regex");
    if (!lm_load_is(c, "Split") || !behavior || !json_is_string(regex))
        return NULL;
    return strcmp(behavior, "Isolated") == 0 || (invert && strcmp(behavior, "Removed") == 0) ? regex : NULL;
}

static enum lm_rc read_digits(struct lm_token_load *l, const json_t *c, struct stage *s, struct lm_err *err)
{
    (void)l, (void)err;
    s->digits = json_is_true(json_object_get(c, "individual_digits"));
    s->pattern = s->digits ? LM_UNICODE_DIGITS : LM_UNICODE_DIGITS "+";
    return LM_OK;
}

static enum lm_rc read_punctuation(struct lm_token_load *l, const json_t *c, struct stage *s,
                                   struct lm_err *err)
{
    const json_t *behavior = json_object_get(c, "behavior");
    s->punctuation = true;
    return !behavior || find_behavior(json_string_value(behavior), &s->behavior)
               ? LM_OK
               : refuse_option(l, c, "behavior", err);
}

static enum lm_rc read_byte_level(struct lm_token_load *l, const json_t *c, struct stage *s,
                                  struct lm_err *err)
{
    s->own_regex = !json_is_false(json_object_get(c, "use_regex"));
    s->pattern = s->own_regex ? lm_gpt2_pattern : NULL;
    return json_is_false(json_object_get(c, "add_prefix_space"))
               ? LM_OK
               : refuse_option(l, c, "add_prefix_space", err);
}

/* To add a component: a reader and a row. */
static const struct {
    const char *type;
    enum lm_rc (*read)(struct lm_token_load *l, const json_t *c, struct stage *s, struct lm_err *err);
} components[] = {
    { "Split", read_split },
    { "Digits", read_digits },
    { "Punctuation", read_punctuation },
    { "ByteLevel", read_byte_level },
};

static enum lm_rc read_component(struct lm_token_load *l, const json_t *c, struct stages *s,
                                 struct lm_err *err)
{
    struct stage stage = { .bytes = s->byte_level };
    size_t i = 0;
    while (i < sizeof(components) / sizeof(components[0]) && !lm_load_is(c, components[i].type))
        i++;
    if (i == sizeof(components) / sizeof(components[0]))
        return lm_load_refuse(l, "pre_tokenizer", c, err);
    const bool byte_level = lm_load_is(c, "ByteLevel");
    if (byte_level && s->byte_level)
        return lm_load_refuse(l, "a second pre_tokenizer", c, err);
    LM_TRY(components[i].read(l, c, &stage, err));
    s->byte_level |= byte_level;
    if (!stage.pattern && !stage.text && !stage.punctuation)
        return LM_OK;
    if (s->len == LM_SPLIT_STAGES_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: pre_tokenizer has more than %d stages", l->name,
                       LM_SPLIT_STAGES_MAX);
    s->items[s->len++] = stage;
    return LM_OK;
}

/* ---- stages to a grammar ---- */

static bool is_isolated(const struct stage *s)
{
    return s->behavior == LM_SPLIT_ISOLATED && !s->bytes;
}

/* The same pattern: line ends may stand in it as they are, instead of as \r and \n. */
static bool is_pattern(const char *found, const char *wanted)
{
    for (; *found; found++) {
        const bool line_end = *found == '\r' || *found == '\n';
        if (line_end && *wanted++ != '\\')
            return false;
        if (*wanted++ != (*found == '\r' ? 'r' : *found == '\n' ? 'n' : *found))
            return false;
    }
    return !*wanted;
}

/* Whether the stages are exactly the patterns of a grammar of lm_known.  A pattern that stands alone there
 * matches every character: nothing would be removed. */
static bool is_known(size_t known, const struct stages *s)
{
    const char *const *patterns = lm_known_patterns[known];
    size_t i = 0;
    for (; i < s->len && patterns[i]; i++)
        if (!is_isolated(&s->items[i]) || (s->items[i].removed && patterns[1]) || !s->items[i].pattern ||
            !is_pattern(s->items[i].pattern, patterns[i]))
            return false;
    return i == s->len && !patterns[i];
}

static bool is_row(const struct lm_grammar *row, const struct stages *s)
{
    size_t i = 0;
    if (row->digits_apart && !(i < s->len && s->items[i].digits && is_isolated(&s->items[i++])))
        return false;
    if (i + 1 != s->len || !is_isolated(&s->items[i]))
        return false;
    if (!row->pattern)
        return s->items[i].own_regex;
    return s->items[i].pattern && is_pattern(s->items[i].pattern, row->pattern);
}

static void escape(const char *text, struct lm_buf *ret)
{
    for (; *text; text++) {
        if (strchr("\\|()[]{}*+?.^$", *text))
            lm_buf_putc(ret, '\\');
        lm_buf_putc(ret, *text);
    }
}

/* A set of all of them. */
static void put_punctuation(struct lm_buf *ret)
{
    lm_buf_puts(ret, "[!-/:-@\\[-`{-~");
    for (size_t i = 0; i < lm_bert_punctuation_count; i++)
        lm_buf_printf(ret, "\\x{%x}-\\x{%x}", (unsigned)lm_bert_punctuation[i].first,
                      (unsigned)lm_bert_punctuation[i].last);
    lm_buf_putc(ret, ']');
}

static enum lm_rc compile(struct lm_token_load *l, const struct stage *s, struct lm_split_stage *ret,
                          struct lm_err *err)
{
    struct lm_buf pattern = { 0 };
    if (s->punctuation)
        put_punctuation(&pattern);
    else if (s->pattern)
        lm_buf_puts(&pattern, s->pattern);
    else
        escape(s->text, &pattern);
    enum lm_rc rc = lm_split_compile(lm_buf_str(&pattern), &ret->dfa, err);
    if (rc != LM_OK) {
        lm_err_prefix(err, rc, "%s: pre_tokenizer: the pattern '%.*s' is not supported", l->name,
                      pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
        rc = LM_EFORMAT;   // of the file, whatever it is of the pattern
        if (err)
            err->rc = rc;
    } else if (s->removed && !ret->dfa.total)
        rc = lm_fail(err, LM_EFORMAT,
                     "%s: pre_tokenizer Split: text that the pattern '%.*s' does not match would be removed, "
                     "which is not supported",
                     l->name, pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
    ret->behavior = s->behavior;
    ret->bytes = s->bytes;
    lm_buf_release(&pattern);
    return rc;
}

enum lm_rc lm_load_splits(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct stages s = { .len = 0 };
    const json_t *c;
    for (size_t i = 0; (c = lm_load_item(p, "pretokenizers", i)); i++)
        LM_TRY(read_component(l, c, &s, err));
    if (!s.byte_level || s.len == 0)
        return lm_fail(err, LM_EFORMAT, "%s: pre_tokenizer has no %s, which is not supported", l->name,
                       s.byte_level ? "pattern to cut by" : "ByteLevel");
    for (size_t g = 0; g < LM_GRAMMAR_COUNT; g++)
        if (is_row(&lm_grammars[g], &s)) {
            l->t->grammar = &lm_grammars[g];
            return LM_OK;
        }
    for (size_t k = 0; k < LM_KNOWN_COUNT; k++)
        if (is_known(k, &s)) {
            l->t->grammar = &lm_known[k];
            return LM_OK;
        }
    l->t->split = lm_zalloc(1, sizeof(*l->t->split));
    for (size_t i = 0; i < s.len; i++) {
        l->t->split->count++;   // before: what was made is released with the rest
        LM_TRY(compile(l, &s.items[i], &l->t->split->stages[i], err));
    }
    l->t->own = (struct lm_grammar){ .name = "own", .split = l->t->split };
    l->t->grammar = &l->t->own;
    return LM_OK;
}
