/* token/load_chain_steps.c - normalisers, pre-tokenisers and decoders of a chain by their names.
 *
 * A table for each: to add a component, a reader and a row. */
#include "base/json.h"
#include "text/text.h"
#include "token/load_chain.h"
#include "token/load_other.h"

enum { DEPTH_MAX = 16 };   // of Sequences inside one another

struct reading {
    struct lm_token_load *l;
    struct lm_chain *c;
    const char *part, *list;   // "normalizer", "normalizers"
};

struct component {
    const char *type;
    enum lm_rc (*read)(struct reading *r, const json_t *c, struct lm_err *err);
};

static enum lm_rc read_sequence(struct reading *r, const struct component *table, size_t count,
                                const json_t *c, size_t depth, struct lm_err *err)
{
    if (lm_load_is(c, "Sequence")) {
        const json_t *list = json_object_get(c, r->list);
        if (!json_is_array(list) || depth == DEPTH_MAX)
            return lm_load_refuse_option(r->l, r->part, c, r->list, err);
        for (size_t i = 0; i < json_array_size(list); i++)
            LM_TRY(read_sequence(r, table, count, json_array_get(list, i), depth + 1, err));
        return LM_OK;
    }
    for (size_t i = 0; i < count; i++)
        if (lm_load_is(c, table[i].type))
            return table[i].read(r, c, err);
    return lm_load_refuse(r->l, r->part, c, err);
}

static enum lm_rc refuse_option(struct reading *r, const json_t *c, const char *option, struct lm_err *err)
{
    return lm_load_refuse_option(r->l, r->part, c, option, err);
}

/* ---- options ---- */

static bool flag(const json_t *c, const char *key, bool usual)
{
    const json_t *value = json_object_get(c, key);
    return json_is_boolean(value) ? json_is_true(value) : usual;
}

static struct lm_str keep(struct reading *r, struct lm_str text)
{
    return (struct lm_str){ lm_arena_strndup(&r->c->arena, text.ptr, text.len), text.len };
}

/* A text; false when it is none. */
static bool text_of(struct reading *r, const json_t *c, const char *key, struct lm_str *ret)
{
    const json_t *value = json_object_get(c, key);
    if (!json_is_string(value))
        return false;
    *ret = keep(r, (struct lm_str){ json_string_value(value), json_string_length(value) });
    return true;
}

/* A text of one character. */
static bool character_of(struct reading *r, const json_t *c, const char *key, struct lm_str *ret)
{
    uint32_t cp;
    return text_of(r, c, key, ret) && ret->len > 0 && lm_utf8_next(*ret, 0, &cp) == ret->len;
}

static bool size_of(const json_t *c, const char *key, size_t *ret)
{
    const json_t *value = json_object_get(c, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (size_t)json_integer_value(value);
    return true;
}

static enum lm_rc compile(struct reading *r, struct lm_str pattern, struct lm_chain_pattern *ret,
                          struct lm_err *err)
{
    const enum lm_rc rc = lm_split_compile(pattern, &ret->dfa, err);
    bool empty = false;
    ret->kind = LM_MATCH_REGEX;
    if (rc != LM_OK) {
        lm_err_prefix(err, rc, "%s: %s: the pattern '%.*s' is not supported", r->l->name, r->part,
                      pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
        if (err)
            err->rc = LM_EFORMAT;   // of the file, whatever it is of the pattern
        return LM_EFORMAT;
    }
    for (size_t symbol = 0; symbol < ret->dfa.symbols; symbol++)
        empty |= ret->dfa.next[ret->dfa.symbols + symbol] & 1;   // of state 1, where all begin
    if (!empty)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: %s: the pattern '%.*s' matches where there is nothing", r->l->name,
                   r->part, pattern.len < 200 ? (int)pattern.len : 200, pattern.ptr);
}

/* {"String":".."} or {"Regex":".."}. */
static enum lm_rc read_pattern(struct reading *r, const json_t *c, struct lm_chain_pattern *ret,
                               struct lm_err *err)
{
    const json_t *pattern = json_object_get(c, "pattern");
    if (text_of(r, pattern, "String", &ret->text) && ret->text.len > 0) {
        ret->kind = LM_MATCH_TEXT;
        return LM_OK;
    }
    if (text_of(r, pattern, "Regex", &ret->text) && ret->text.len > 0)
        return compile(r, ret->text, ret, err);
    return refuse_option(r, c, "pattern", err);
}

/* ---- normalisers ---- */

static struct lm_chain_normal *add_normal(struct reading *r, enum lm_chain_normal_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->normals, &c->normal_cap, c->normal_count + 1, sizeof(*c->normals));
    c->normals[c->normal_count] = (struct lm_chain_normal){ .kind = kind };
    return &c->normals[c->normal_count++];
}

static enum lm_rc read_form(struct reading *r, const json_t *c, struct lm_err *err)
{
    static const char *const forms[LM_FORM_COUNT] = {
        [LM_FORM_NFC] = "NFC", [LM_FORM_NFD] = "NFD", [LM_FORM_NFKC] = "NFKC", [LM_FORM_NFKD] = "NFKD"
    };
    (void)err;
    size_t form = 0;
    while (form + 1 < LM_FORM_COUNT && !lm_load_is(c, forms[form]))
        form++;
    add_normal(r, LM_NORMAL_FORM)->form = (enum lm_normal_form)form;
    return LM_OK;
}

static enum lm_rc read_bert(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_word_rules *rules = &add_normal(r, LM_NORMAL_BERT)->rules;
    (void)err;
    rules->clean = flag(c, "clean_text", true);
    rules->han_apart = flag(c, "handle_chinese_chars", true);
    rules->lowercase = flag(c, "lowercase", true);
    rules->strip_accents = flag(c, "strip_accents", rules->lowercase);
    return LM_OK;
}

static enum lm_rc read_lowercase(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_BERT)->rules.lowercase = true;
    return LM_OK;
}

static enum lm_rc read_strip(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_STRIP);
    (void)err;
    n->left = flag(c, "strip_left", true);
    n->right = flag(c, "strip_right", true);
    return LM_OK;
}

static enum lm_rc read_accents(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_ACCENTS);
    return LM_OK;
}

static enum lm_rc read_nmt(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_NMT);
    return LM_OK;
}

static enum lm_rc read_bytes_normal(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_BYTES);
    return LM_OK;
}

static enum lm_rc read_prepend(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_PREPEND);
    return text_of(r, c, "prepend", &n->content) ? LM_OK : refuse_option(r, c, "prepend", err);
}

static enum lm_rc read_replace(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_REPLACE);
    if (!text_of(r, c, "content", &n->content))
        return refuse_option(r, c, "content", err);
    return read_pattern(r, c, &n->pattern, err);
}

static enum lm_rc read_precompiled(struct reading *r, const json_t *c, struct lm_err *err)
{
    const json_t *text = json_object_get(c, "precompiled_charsmap");
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_CHARSMAP);
    struct lm_buf blob = { 0 };
    if (!json_is_string(text) ||
        !lm_from_base64((struct lm_str){ json_string_value(text), json_string_length(text) }, &blob)) {
        lm_buf_release(&blob);
        return refuse_option(r, c, "precompiled_charsmap", err);
    }
    const enum lm_rc rc = lm_charsmap_load(lm_buf_str(&blob), &n->map, err);
    lm_buf_release(&blob);
    if (rc != LM_OK)
        lm_err_prefix(err, rc, "%s: %s Precompiled", r->l->name, r->part);
    return rc;
}

static const struct component normalizers[] = {
    { "NFC", read_form },
    { "NFD", read_form },
    { "NFKC", read_form },
    { "NFKD", read_form },
    { "BertNormalizer", read_bert },
    { "Lowercase", read_lowercase },
    { "Strip", read_strip },
    { "StripAccents", read_accents },
    { "Nmt", read_nmt },
    { "ByteLevel", read_bytes_normal },
    { "Prepend", read_prepend },
    { "Replace", read_replace },
    { "Precompiled", read_precompiled },
};

enum lm_rc lm_load_chain_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    struct reading r = { l, l->t->chain, "normalizer", "normalizers" };
    return json_is_null(n)
               ? LM_OK
               : read_sequence(&r, normalizers, sizeof(normalizers) / sizeof(*normalizers), n, 0, err);
}

/* ---- pre-tokenisers ---- */

static struct lm_chain_cut *add_cut(struct reading *r, enum lm_chain_cut_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->cuts, &c->cut_cap, c->cut_count + 1, sizeof(*c->cuts));
    c->cuts[c->cut_count] = (struct lm_chain_cut){ .kind = kind };
    return &c->cuts[c->cut_count++];
}

static struct lm_chain_cut *add_kind(struct reading *r, enum lm_chain_match match,
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

static enum lm_rc read_bert_cut(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_kind(r, LM_MATCH_BLANK, LM_CHAIN_REMOVED);
    add_kind(r, LM_MATCH_PUNCTUATION, LM_CHAIN_ISOLATED);
    return LM_OK;
}

static enum lm_rc read_blanks(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_kind(r, LM_MATCH_BLANK, LM_CHAIN_REMOVED);
    return LM_OK;
}

static enum lm_rc read_words(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_cut(r, LM_CUT_WORDS);
    return LM_OK;
}

static enum lm_rc read_punctuation(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_kind(r, LM_MATCH_PUNCTUATION, LM_CHAIN_ISOLATED);
    return !json_object_get(c, "behavior") || read_behavior(c, &cut->behavior)
               ? LM_OK
               : refuse_option(r, c, "behavior", err);
}

static enum lm_rc read_digits(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)err;
    add_kind(r, LM_MATCH_NUMBER,
             flag(c, "individual_digits", false) ? LM_CHAIN_ISOLATED : LM_CHAIN_CONTIGUOUS);
    return LM_OK;
}

static enum lm_rc read_delimiter(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_kind(r, LM_MATCH_TEXT, LM_CHAIN_REMOVED);
    return character_of(r, c, "delimiter", &cut->pattern.text) ? LM_OK
                                                               : refuse_option(r, c, "delimiter", err);
}

static enum lm_rc read_split(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_SPLIT);
    cut->invert = flag(c, "invert", false);
    if (!read_behavior(c, &cut->behavior))
        return refuse_option(r, c, "behavior", err);
    return read_pattern(r, c, &cut->pattern, err);
}

static enum lm_rc read_byte_level(struct reading *r, const json_t *c, struct lm_err *err)
{
    if (flag(c, "add_prefix_space", true)) {
        struct lm_chain_cut *prefix = add_cut(r, LM_CUT_PREFIX);
        prefix->content = LM_STR(" ");
        prefix->prefix = LM_BLANK_ALWAYS;
    }
    if (flag(c, "use_regex", true)) {
        struct lm_chain_cut *split = add_cut(r, LM_CUT_SPLIT);
        split->behavior = LM_CHAIN_ISOLATED;
        LM_TRY(compile(r, lm_str(lm_gpt2_pattern), &split->pattern, err));
    }
    add_cut(r, LM_CUT_BYTES);
    return LM_OK;
}

static bool read_scheme(const json_t *c, enum lm_blank_prefix *ret)
{
    static const char *const schemes[] = {
        [LM_BLANK_NEVER] = "never", [LM_BLANK_ALWAYS] = "always", [LM_BLANK_FIRST] = "first"
    };
    const json_t *scheme = json_object_get(c, "prepend_scheme");
    const char *name = scheme ? json_string_value(scheme) : "always";
    for (size_t i = 0; name && i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strcmp(name, schemes[i]) == 0) {
            *ret = (enum lm_blank_prefix)i;
            return flag(c, "add_prefix_space", true) || *ret == LM_BLANK_NEVER;
        }
    return false;
}

static enum lm_rc read_metaspace(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_str blank;
    enum lm_blank_prefix scheme;
    if (!character_of(r, c, "replacement", &blank))
        return refuse_option(r, c, "replacement", err);
    if (!read_scheme(c, &scheme))
        return refuse_option(r, c, "prepend_scheme", err);
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_METASPACE);
    cut->content = blank;
    cut->prefix = scheme;
    cut->split = flag(c, "split", true);
    return LM_OK;
}

static enum lm_rc read_fixed(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_cut *cut = add_cut(r, LM_CUT_FIXED);
    cut->length = 5;
    return (!json_object_get(c, "length") || size_of(c, "length", &cut->length)) && cut->length > 0
               ? LM_OK
               : refuse_option(r, c, "length", err);
}

static enum lm_rc read_scripts(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_cut(r, LM_CUT_SCRIPTS);
    return LM_OK;
}

static const struct component pre_tokenizers[] = {
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
    struct reading r = { l, l->t->chain, "pre_tokenizer", "pretokenizers" };
    return json_is_null(p) ? LM_OK
                           : read_sequence(&r, pre_tokenizers,
                                           sizeof(pre_tokenizers) / sizeof(*pre_tokenizers), p, 0, err);
}

/* ---- decoders ---- */

static struct lm_chain_decode *add_decode(struct reading *r, enum lm_chain_decode_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->decodes, &c->decode_cap, c->decode_count + 1, sizeof(*c->decodes));
    c->decodes[c->decode_count] = (struct lm_chain_decode){ .kind = kind };
    return &c->decodes[c->decode_count++];
}

static enum lm_rc decode_bytes(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_BYTES);
    return LM_OK;
}

static enum lm_rc decode_fuse(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_FUSE);
    return LM_OK;
}

static enum lm_rc decode_fallback(struct reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_FALLBACK);
    return LM_OK;
}

static enum lm_rc decode_words(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_WORDPIECE);
    d->cleanup = flag(c, "cleanup", true);
    return text_of(r, c, "prefix", &d->content) ? LM_OK : refuse_option(r, c, "prefix", err);
}

static enum lm_rc decode_metaspace(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_METASPACE);
    enum lm_blank_prefix scheme;
    if (!character_of(r, c, "replacement", &d->content))
        return refuse_option(r, c, "replacement", err);
    if (!read_scheme(c, &scheme))
        return refuse_option(r, c, "prepend_scheme", err);
    d->strip = scheme != LM_BLANK_NEVER;
    return LM_OK;
}

static enum lm_rc decode_suffix(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_SUFFIX);
    return text_of(r, c, "suffix", &d->content) && d->content.len > 0 ? LM_OK
                                                                      : refuse_option(r, c, "suffix", err);
}

static enum lm_rc decode_ctc(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_CTC);
    d->cleanup = flag(c, "cleanup", true);
    if (!text_of(r, c, "pad_token", &d->content) || d->content.len == 0)
        return refuse_option(r, c, "pad_token", err);
    return text_of(r, c, "word_delimiter_token", &d->other) && d->other.len > 0
               ? LM_OK
               : refuse_option(r, c, "word_delimiter_token", err);
}

static enum lm_rc decode_replace(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_REPLACE);
    if (!text_of(r, c, "content", &d->content))
        return refuse_option(r, c, "content", err);
    return read_pattern(r, c, &d->pattern, err);
}

static enum lm_rc decode_strip(struct reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_STRIP);
    if (!character_of(r, c, "content", &d->content))
        return refuse_option(r, c, "content", err);
    return size_of(c, "start", &d->start) && size_of(c, "stop", &d->stop) ? LM_OK
                                                                          : refuse_option(r, c, "start", err);
}

static const struct component decoders[] = {
    { "ByteLevel", decode_bytes }, { "Fuse", decode_fuse },           { "ByteFallback", decode_fallback },
    { "WordPiece", decode_words }, { "Metaspace", decode_metaspace }, { "BPEDecoder", decode_suffix },
    { "CTC", decode_ctc },         { "Replace", decode_replace },     { "Strip", decode_strip },
};

enum lm_rc lm_load_chain_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    struct reading r = { l, l->t->chain, "decoder", "decoders" };
    r.c->no_decoder = json_is_null(d);
    return json_is_null(d) ? LM_OK
                           : read_sequence(&r, decoders, sizeof(decoders) / sizeof(*decoders), d, 0, err);
}
