#include "token/convert.h"

#include "base/file.h"
#include "base/json.h"
#include "token/load.h"
#include "token/write.h"
#include "token/write_files.h"

static enum lm_rc write_file(const char *dir, const char *name, const struct lm_buf *bytes,
                             struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(bytes), err);
}

/* ---- the formats ---- */

static enum lm_rc write_json(const struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    lm_buf_add_str(&json, lm_tokenizer_json(t));
    const enum lm_rc rc = write_file(dir, "tokenizer.json", &json, err);
    lm_buf_release(&json);
    return rc;
}

/* A side of a merge as the two notations have it: "a b" or ["a","b"]. */
static enum lm_rc put_merge(const json_t *merge, struct lm_buf *ret, struct lm_err *err)
{
    if (json_is_string(merge)) {
        lm_buf_add(ret, json_string_value(merge), json_string_length(merge));
    } else {
        for (size_t i = 0; i < 2; i++) {
            const json_t *side = json_array_get(merge, i);
            const struct lm_str text = { json_string_value(side), json_string_length(side) };
            if (!text.ptr || lm_str_find(text, LM_STR(" ")) >= 0 || lm_str_find(text, LM_STR("\n")) >= 0)
                return lm_fail(err, LM_EINVAL, "convert: merges.txt cannot hold a token with a blank in it");
            lm_buf_add_str(ret, text);
            lm_buf_puts(ret, i == 0 ? " " : "");
        }
    }
    lm_buf_putc(ret, '\n');
    return LM_OK;
}

static enum lm_rc write_merges(const struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    struct lm_buf vocab = { 0 }, merges = { 0 };
    if (t->family != LM_FAMILY_BYTES)
        return lm_fail(err, LM_EINVAL, "convert: vocab.json and merges.txt hold byte-level BPE only");
    const struct lm_str json = lm_tokenizer_json(t);
    LM_TREE_FREE json_t *tree = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *list = json_object_get(json_object_get(tree, "model"), "merges");
    enum lm_rc rc = json_is_array(list)
                        ? LM_OK
                        : lm_fail(err, LM_EINVAL, "convert: this tokenizer came without a list of merges");
    lm_buf_puts(&merges, "#version: 0.2\n");
    for (size_t i = 0; rc == LM_OK && i < json_array_size(list); i++)
        rc = put_merge(json_array_get(list, i), &merges, err);
    lm_write_vocab_json(t, &vocab);
    if (rc == LM_OK)
        rc = write_file(dir, "vocab.json", &vocab, err);
    if (rc == LM_OK)
        rc = write_file(dir, "merges.txt", &merges, err);
    lm_buf_release(&vocab);
    lm_buf_release(&merges);
    return rc;
}

static enum lm_rc write_words(const struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    struct lm_buf vocab = { 0 };
    if (t->family != LM_FAMILY_WORDS)
        return lm_fail(err, LM_EINVAL, "convert: vocab.txt holds BERT's WordPiece only");
    lm_write_vocab_txt(t, &vocab);
    const enum lm_rc rc = write_file(dir, "vocab.txt", &vocab, err);
    lm_buf_release(&vocab);
    return rc;
}

static enum lm_rc write_spm(const struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    struct lm_buf model = { 0 };
    enum lm_rc rc = lm_write_spm(t, &model, err);
    if (rc == LM_OK)
        rc = write_file(dir, "tokenizer.model", &model, err);
    lm_buf_release(&model);
    return rc;
}

static enum lm_rc write_ranks(const struct lm_tokenizer *t, const char *dir, struct lm_err *err)
{
    struct lm_buf ranks = { 0 }, settings = { 0 };
    enum lm_rc rc = lm_write_ranks(t, &ranks, &settings, err);
    if (rc == LM_OK)
        rc = write_file(dir, LM_TIKTOKEN_RANKS, &ranks, err);
    if (rc == LM_OK)
        rc = write_file(dir, LM_TIKTOKEN_SETTINGS, &settings, err);
    lm_buf_release(&ranks);
    lm_buf_release(&settings);
    return rc;
}

/* To add a format: a writer and a row. */
static const struct format {
    const char *name;
    enum lm_rc (*write)(const struct lm_tokenizer *t, const char *dir, struct lm_err *err);
    bool text_only;   // it says nothing of what goes around a text
} formats[] = {
    { "tokenizer.json", write_json, false }, { "vocab+merges", write_merges, false },
    { "vocab.txt", write_words, false },     { "tiktoken", write_ranks, true },
    { "sentencepiece", write_spm, true },
};

/* ---- what was written means the same ---- */

/* Every token with others around it, what a blank, digits, punctuation and scripts do, and some bytes. */
static void write_probe(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    static const char hard[] = "Hello  wor1d's\n\n caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 1234567 \t x\xcc\x81 "
                               "I'LL don't \xe2\x96\x81 ... <|x|>\r\n\xc2\xa0\xe3\x80\x80 _a_ \xff ";
    lm_buf_puts(ret, hard);
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(t); id++) {
        lm_buf_add_str(ret, lm_tokenizer_bytes(t, id));
        lm_buf_puts(ret, id % 3 == 0 ? " " : id % 3 == 1 ? "" : "7, ");
    }
    lm_buf_puts(ret, hard);
}

static enum lm_rc check(const struct lm_tokenizer *t, const struct format *format, const char *dir,
                        struct lm_err *err)
{
    struct lm_tokenizer *again = NULL;
    struct lm_buf text = { 0 };
    struct lm_tokens ids[2] = { { 0 }, { 0 } };
    LM_TRY(lm_tokenizer_load(dir, &again, err));
    write_probe(t, &text);
    for (size_t i = 0; i < 4; i++) {   // special tokens forbidden, allowed; around a text of its own
        struct lm_encoder *e = lm_encoder_new(i % 2 == 0 ? t : again);
        if (i < 2 || format->text_only)
            lm_encode(e, lm_buf_str(&text), i >= 2, &ids[i % 2]);
        else
            lm_encode_with_specials(e, lm_buf_str(&text), true, &ids[i % 2]);
        lm_encoder_free(e);
    }
    size_t at = 0;
    while (at < ids[0].len && at < ids[1].len && ids[0].ids[at] == ids[1].ids[at])
        at++;
    const bool same = at == ids[0].len && at == ids[1].len;
    lm_tokens_release(&ids[0]);
    lm_tokens_release(&ids[1]);
    lm_buf_release(&text);
    lm_tokenizer_free(again);
    return same ? LM_OK
                : lm_fail(err, LM_EINVAL,
                          "convert: %s cannot say all of this tokenizer (pre-tokeniser, normaliser, special "
                          "tokens): ids differ from the %zuth of a text of all tokens on",
                          format->name, at + 1);
}

enum lm_rc lm_tokenizer_convert(const struct lm_tokenizer *t, const char *format, const char *dir,
                                struct lm_err *err)
{
    struct lm_buf config = { 0 };
    size_t i = 0;
    while (i < sizeof(formats) / sizeof(formats[0]) && strcmp(formats[i].name, format) != 0)
        i++;
    if (i == sizeof(formats) / sizeof(formats[0]))
        return lm_fail(err, LM_EINVAL,
                       "convert: unknown format '%s'; known are tokenizer.json, vocab+merges, "
                       "vocab.txt, tiktoken, sentencepiece",
                       format);
    LM_TRY(formats[i].write(t, dir, err));
    lm_write_tokenizer_config(t, lm_tokenizer_chat_template(t), &config);
    config.len--;                         // the brace
    if (t->family == LM_FAMILY_WORDS) {   // vocab.txt says nothing of them
        lm_json_key_bool(&config, "do_lower_case", t->words.lowercase);
        lm_json_key_bool(&config, "strip_accents", t->words.strip_accents);
        lm_json_key_bool(&config, "tokenize_chinese_chars", t->words.han_apart);
    }
    lm_buf_puts(&config, ",\"additional_special_tokens\":[");
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(t); id++)
        if (lm_tokenizer_is_special(t, id)) {
            lm_json_sep(&config);
            lm_json_str(&config, lm_vocab_bytes(&t->vocab, id));
        }
    lm_buf_puts(&config, "]}");
    const enum lm_rc rc = write_file(dir, "tokenizer_config.json", &config, err);
    lm_buf_release(&config);
    LM_TRY(rc);
    return check(t, &formats[i], dir, err);
}
