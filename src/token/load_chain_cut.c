/* token/load_chain_cut.c - pre-tokenisers of a chain by their names. */
#include "token/load_chain_steps.h"

static struct lm_chain_cut *add_cut(struct lm_step_reading *r, enum lm_chain_cut_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->cuts, &c->cut_cap, c->cut_count + 1, sizeof(*c->cuts));
    c->cuts[c->cut_count] = (struct lm_chain_cut){ .kind = kind };
    return &c->cuts[c->cut_count++];
}

static struct lm_chain_cut *add_kind(struct lm_step_reading *r, enum lm_chain_match match,
                                     enum lm_chain_behavior behavior)
{
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_SPLIT);
    cut->pattern.kind = match;
    cut->behavior = behavior;
    return cut;
}

static bool read_behavior(const json_t *c, enum lm_chain_behavior *ret)
{
    static const char *const names[] = {
        [LM_CHAIN_REMOVED] = "Removed",
        [LM_CHAIN_ISOLATED] = "Isolated",
        [LM_CHAIN_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [LM_CHAIN_MERGED_WITH_NEXT] = "MergedWithNext",
        [LM_CHAIN_CONTIGUOUS] = "Contiguous",
    };
    const char *name = json_string_value(json_object_get(c, "behavior"));
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum lm_chain_behavior)i;
            return true;
        }
    return false;
}

static enum lm_rc read_bert_cut(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_kind(r, LM_MATCH_BLANK, LM_CHAIN_REMOVED);
    add_kind(r, LM_MATCH_PUNCTUATION, LM_CHAIN_ISOLATED);
    return LM_OK;
}

static enum lm_rc read_blanks(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_kind(r, LM_MATCH_BLANK, LM_CHAIN_REMOVED);
    return LM_OK;
}

static enum lm_rc read_words(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_cut(r, LM_CUT_WORDS);
    return LM_OK;
}

static enum lm_rc read_punctuation(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_kind(r, LM_MATCH_PUNCTUATION, LM_CHAIN_ISOLATED);
    return !json_object_get(c, "behavior") || read_behavior(c, &cut->behavior)
               ? LM_OK
               : lm_step_refuse(r, c, "behavior", err);
}

static enum lm_rc read_digits(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)err;
    add_kind(r, LM_MATCH_NUMBER,
             lm_step_flag(c, "individual_digits", false) ? LM_CHAIN_ISOLATED : LM_CHAIN_CONTIGUOUS);
    return LM_OK;
}

static enum lm_rc read_delimiter(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_kind(r, LM_MATCH_TEXT, LM_CHAIN_REMOVED);
    return lm_step_character(r, c, "delimiter", &cut->pattern.text) ? LM_OK
                                                                    : lm_step_refuse(r, c, "delimiter", err);
}

static enum lm_rc read_split(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_SPLIT);
    cut->invert = lm_step_flag(c, "invert", false);
    if (!read_behavior(c, &cut->behavior))
        return lm_step_refuse(r, c, "behavior", err);
    return lm_step_pattern(r, c, &cut->pattern, err);
}

static enum lm_rc read_byte_level(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    if (lm_step_flag(c, "add_prefix_space", true)) {
        struct lm_chain_cut *prefix = add_cut(r, LM_CUT_PREFIX);
        prefix->content = LM_STR(" ");
        prefix->prefix = LM_BLANK_ALWAYS;
    }
    if (lm_step_flag(c, "use_regex", true)) {
        struct lm_chain_cut *split = add_cut(r, LM_CUT_SPLIT);
        split->behavior = LM_CHAIN_ISOLATED;
        LM_TRY(lm_step_regex(r, lm_str(lm_gpt2_pattern), &split->pattern, err));
    }
    add_cut(r, LM_CUT_BYTES);
    return LM_OK;
}

static enum lm_rc read_metaspace(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_str blank;
    enum lm_blank_prefix scheme;
    if (!lm_step_character(r, c, "replacement", &blank))
        return lm_step_refuse(r, c, "replacement", err);
    if (!lm_step_scheme(c, &scheme))
        return lm_step_refuse(r, c, "prepend_scheme", err);
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_METASPACE);
    cut->content = blank;
    cut->prefix = scheme;
    cut->split = lm_step_flag(c, "split", true);
    return LM_OK;
}

static enum lm_rc read_fixed(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_FIXED);
    cut->length = 5;
    return (!json_object_get(c, "length") || lm_step_size(c, "length", &cut->length)) && cut->length > 0
               ? LM_OK
               : lm_step_refuse(r, c, "length", err);
}

static enum lm_rc read_scripts(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_cut(r, LM_CUT_SCRIPTS);
    return LM_OK;
}

static const struct lm_step_reader pre_tokenizers[] = {
    { "BertPreTokenizer", read_bert_cut },
    { "WhitespaceSplit", read_blanks },
    { "Whitespace", read_words },
    { "Punctuation", read_punctuation },
    { "Digits", read_digits },
    { "CharDelimiterSplit", read_delimiter },
    { "Split", read_split },
    { "ByteLevel", read_byte_level },
    { "Metaspace", read_metaspace },
    { "FixedLength", read_fixed },
    { "UnicodeScripts", read_scripts },
};

enum lm_rc lm_load_chain_pre_tokenizer(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct lm_step_reading r = { l, l->t->chain, "pre_tokenizer", "pretokenizers" };
    return lm_step_sequence(&r, pre_tokenizers, sizeof(pre_tokenizers) / sizeof(*pre_tokenizers), p, err);
}
