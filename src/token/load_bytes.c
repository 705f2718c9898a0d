/* token/load_bytes.c - the components of a byte-level tokenizer: GPT-2, Llama 3, Qwen 2, SmolLM. */
#include "token/load.h"

static const struct lm_model_option options[] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },
    { "continuing_subword_prefix", "null \"\"" },
    { "end_of_word_suffix", "null \"\"" },
    { "fuse_unk", NULL },
    { "byte_fallback", "false" },
    { "ignore_merges", "false true" },
    { NULL, NULL },
};

static enum lm_rc read_option(struct lm_token_load *l, const char *key, struct lm_str value,
                              struct lm_err *err)
{
    (void)err;
    if (strcmp(key, "ignore_merges") == 0)
        l->t->ignore_merges = lm_str_eq(value, LM_STR("true"));
    return LM_OK;
}

static enum lm_rc read_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    l->t->nfc = lm_load_is(n, "NFC");
    return json_is_null(n) || l->t->nfc ? LM_OK : lm_load_refuse(l, "normalizer", n, err);
}

static enum lm_rc read_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    (void)l, (void)d, (void)err;   // it has no option that changes what comes out
    return LM_OK;
}

/* Text that is not in the printable form of bytes stands for itself. */
static bool spell(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret)
{
    (void)l;
    if (lm_text_to_bytes(text, ret))
        return true;
    lm_buf_add_str(ret, text);
    return false;
}

/* ---- pre_tokenizer: a Sequence is flattened, then compared with the rows of lm_grammars ---- */

struct stages {
    bool digits, byte_level, use_regex;
    const char *pattern;   // of a Split
};

static enum lm_rc refuse_option(struct lm_token_load *l, const json_t *c, const char *option,
                                struct lm_err *err)
{
    return lm_load_refuse_option(l, "pre_tokenizer", c, option, err);
}

static enum lm_rc read_split(struct lm_token_load *l, const json_t *c, struct stages *s, struct lm_err *err)
{
    const char *behavior = json_string_value(json_object_get(c, "behavior"));
    const char *pattern = json_string_value(json_object_get(json_object_get(c, "pattern"), "Regex"));
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return refuse_option(l, c, "behavior", err);
    if (json_is_true(json_object_get(c, "invert")))
        return refuse_option(l, c, "invert", err);
    if (!pattern || s->pattern)
        return refuse_option(l, c, "pattern", err);
    s->pattern = pattern;
    return LM_OK;
}

static enum lm_rc read_stage(struct lm_token_load *l, const json_t *c, struct stages *s, struct lm_err *err)
{
    if (s->byte_level)
        return lm_load_refuse(l, "after ByteLevel, pre_tokenizer", c, err);
    if (lm_load_is(c, "Split"))
        return read_split(l, c, s, err);
    if (lm_load_is(c, "Digits") && !s->digits && !s->pattern) {
        s->digits = true;
        return json_is_true(json_object_get(c, "individual_digits"))
                   ? LM_OK
                   : refuse_option(l, c, "individual_digits", err);
    }
    if (lm_load_is(c, "ByteLevel")) {
        s->byte_level = true;
        s->use_regex = !json_is_false(json_object_get(c, "use_regex"));
        return json_is_false(json_object_get(c, "add_prefix_space"))
                   ? LM_OK
                   : refuse_option(l, c, "add_prefix_space", err);
    }
    return lm_load_refuse(l, "pre_tokenizer", c, err);
}

static enum lm_rc read_pre_tokenizer(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct stages s = { 0 };
    const json_t *c;
    for (size_t i = 0; (c = lm_load_item(p, "pretokenizers", i)); i++)
        LM_TRY(read_stage(l, c, &s, err));
    for (size_t g = 0; g < LM_GRAMMAR_COUNT && s.byte_level; g++) {
        const struct lm_grammar *row = &lm_grammars[g];
        const bool same_split = row->pattern
                                    ? s.pattern && strcmp(row->pattern, s.pattern) == 0 && !s.use_regex
                                    : !s.pattern && s.use_regex;
        if (same_split && row->digits_apart == s.digits) {
            l->t->grammar = row;
            return LM_OK;
        }
    }
    if (s.pattern)
        return lm_fail(err, LM_EFORMAT,
                       "%s: pre_tokenizer Split: the pattern '%s' is not one of those supported", l->name,
                       s.pattern);
    return lm_fail(err, LM_EFORMAT, "%s: this combination in pre_tokenizer is not supported", l->name);
}

/* ---- bytes ---- */

/* Some byte-level vocabularies leave out control characters and bytes that UTF-8 seldom or never has; one
 * that leaves out more is of another kind. */
static bool may_be_missing(unsigned byte, bool has_unknown)
{
    return !lm_utf8_has(byte) || ((byte < 0x20 || byte >= 0x7f) && byte != '\n' && !has_unknown);
}

static enum lm_rc finish(struct lm_token_load *l, struct lm_err *err)
{
    static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
    uint32_t *ids = l->t->bpe.byte_id;
    for (unsigned b = 0; b < 256; b++) {
        const char byte = (char)b;
        ids[b] = lm_load_find(l, (struct lm_str){ &byte, 1 });
        l->t->bytes_missing |= ids[b] == LM_TOKEN_NONE;
        bool needed = !may_be_missing(b, json_is_string(l->unknown));
        for (size_t k = 0; k < sizeof(replacement); k++)
            needed |= b == replacement[k];
        if (ids[b] == LM_TOKEN_NONE && needed)
            return lm_fail(
                err, LM_EFORMAT,
                "%s: no ordinary token for byte 0x%02x; only byte-level vocabularies are supported", l->name,
                b);
    }
    return LM_OK;
}

const struct lm_load_family lm_load_bytes = {
    .id = LM_FAMILY_BYTES,
    .model = "BPE",
    .decoder = "ByteLevel",
    .options = options,
    .has_merges = true,
    .normalizer = read_normalizer,
    .pre_tokenizer = read_pre_tokenizer,
    .decode = read_decoder,
    .option = read_option,
    .spell = spell,
    .finish = finish,
};
