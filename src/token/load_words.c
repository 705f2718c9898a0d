/* token/load_words.c - the components of a WordPiece tokenizer: BERT and the embedding models made of it. */
#include "token/load.h"
#include "token/words.h"

enum { CHARS_MAX_MAX = 250 };   // more characters in a word than any model asks for

static const struct lm_model_option options[] = {
    { "type", "\"WordPiece\"" },
    { "unk_token", NULL },
    { "continuing_subword_prefix", "\"" LM_WORDS_INSIDE "\"" },
    { "max_input_chars_per_word", NULL },
    { NULL, NULL },
};

static enum lm_rc read_option(struct lm_token_load *l, const char *key, struct lm_str value,
                              struct lm_err *err)
{
    int64_t chars = LM_WORDS_CHARS_MAX;
    if (strcmp(key, "max_input_chars_per_word") != 0)
        return LM_OK;
    if (value.len > 0 && (!lm_str_to_i64(value, &chars) || chars < 1 || chars > CHARS_MAX_MAX))
        return lm_fail(err, LM_EFORMAT, "%s: model option %s is outside 1..%d", l->name, key, CHARS_MAX_MAX);
    l->t->words.chars_max = (size_t)chars;
    return LM_OK;
}

static enum lm_rc read_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    const json_t *strip = json_object_get(n, "strip_accents");
    struct lm_word_rules *r = &l->t->words;
    if (!lm_load_is(n, "BertNormalizer"))
        return lm_load_refuse(l, "normalizer", n, err);
    r->clean = json_is_true(json_object_get(n, "clean_text"));
    r->han_apart = json_is_true(json_object_get(n, "handle_chinese_chars"));
    r->lowercase = json_is_true(json_object_get(n, "lowercase"));
    r->strip_accents = json_is_boolean(strip) ? json_is_true(strip) : r->lowercase;
    return LM_OK;
}

static enum lm_rc read_pre_tokenizer(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    l->t->grammar = &lm_grammar_bert;
    return lm_load_is(p, "BertPreTokenizer") ? LM_OK : lm_load_refuse(l, "pre_tokenizer", p, err);
}

static enum lm_rc read_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    const char *prefix = json_string_value(json_object_get(d, "prefix"));
    l->t->words.cleanup = json_is_true(json_object_get(d, "cleanup"));
    return prefix && strcmp(prefix, LM_WORDS_INSIDE) == 0
               ? LM_OK
               : lm_load_refuse_option(l, "decoder", d, "prefix", err);
}

static bool spell(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret)
{
    (void)l;
    lm_buf_add_str(ret, text);
    return true;
}

enum lm_rc lm_load_words_end(struct lm_token_load *l, struct lm_err *err)
{
    struct lm_tokenizer *t = l->t;
    LM_TRY(lm_load_unknown(l, &t->unknown, err));
    if (t->unknown == LM_TOKEN_NONE)
        return lm_fail(err, LM_EFORMAT, "%s: the model has no unk_token", l->name);
    for (size_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.items[id].len > t->words.longest)
            t->words.longest = t->vocab.items[id].len;
    return LM_OK;
}

const struct lm_load_family lm_load_words = {
    .id = LM_FAMILY_WORDS,
    .model = "WordPiece",
    .decoder = "WordPiece",
    .options = options,
    .has_merges = false,
    .normalizer = read_normalizer,
    .pre_tokenizer = read_pre_tokenizer,
    .decode = read_decoder,
    .option = read_option,
    .spell = spell,
    .finish = lm_load_words_end,
};
