/* token/train.c - the stage `tokenizer`: texts in, tokenizer.json, tokenizer_config.json, vocab.json,
 * vocab.bin out.  tokenizer.json is read back before anything is written: what cannot be loaded is not left
 * behind. */
#include "base/file.h"
#include "base/json.h"
#include "token/chat.h"
#include "token/write.h"

enum { SPECIAL_MAX = 1024, TEMPLATE_BYTES_MAX = 1 << 20 };

/* In the order of enum lm_grammar_id. */
static const char *const pretokenizers[] = { "gpt2", "llama3", "smollm", "qwen2", NULL };

#define ROW(field) LM_OPT_AT(struct lm_tokenizer_config, field)
// clang-format off
static const struct lm_opt rows[] = {
    { "vocab-size", LM_OPT_INT, ROW(vocab_size), "32000", 257, 1 << 20, "entries",
      .help = "vocabulary, with special tokens and the 256 bytes" },
    { "frequency-min", LM_OPT_INT, ROW(frequency_min), "2", 1, 1e12, "times",
      .help = "a pair must occur to be merged" },
    { "pretokenizer", LM_OPT_CHOICE, ROW(pretokenizer), "llama3",
      .help = "how text is cut before merging", .choices = pretokenizers },
    { "special", LM_OPT_LIST, ROW(special), NULL,
      .help = "in the order of their ids (default: <|endoftext|>, <|im_start|>, <|im_end|>)" },
    { "chat-template", LM_OPT_STRING, ROW(chat_template), NULL,
      .help = "file with the Jinja template to store (default: ChatML)" },
};
// clang-format on
const struct lm_opt_table lm_tokenizer_options = LM_OPT_TABLE("tokenizer", struct lm_tokenizer_config, rows);

/* A list option has at most one default, so an empty list stands for these. */
static const char *default_special[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };

static struct lm_opt_list special_tokens(const struct lm_tokenizer_config *c)
{
    if (c->special.len > 0)
        return c->special;
    return (struct lm_opt_list){ default_special, sizeof(default_special) / sizeof(default_special[0]), 0 };
}

static enum lm_rc check_config(const struct lm_tokenizer_config *c, struct lm_err *err)
{
    LM_ASSERT(c->pretokenizer >= 0 && c->pretokenizer < LM_GRAMMAR_COUNT);
    const struct lm_opt_list s = special_tokens(c);
    if (s.len > SPECIAL_MAX)
        return lm_fail(err, LM_EINVAL, "tokenizer: %zu special tokens, more than %d", s.len, SPECIAL_MAX);
    for (size_t i = 0; i < s.len; i++) {
        if (strlen(s.items[i]) < 2)
            return lm_fail(err, LM_EINVAL, "tokenizer: special token '%s' is shorter than 2 bytes",
                           s.items[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(s.items[i], s.items[k]) == 0)
                return lm_fail(err, LM_EINVAL, "tokenizer: special token '%s' is listed twice", s.items[i]);
    }
    if (c->vocab_size < (int64_t)(s.len + 256) || c->vocab_size > LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EINVAL,
                       "tokenizer: vocab-size %lld is too small for %zu special tokens and 256 bytes",
                       (long long)c->vocab_size, s.len);
    return LM_OK;
}

static enum lm_rc learn(const struct lm_tokenizer_config *c, const struct lm_words *words,
                        struct lm_learned *ret, struct lm_err *err)
{
    const struct lm_opt_list s = special_tokens(c);
    struct lm_str special[SPECIAL_MAX];
    for (size_t i = 0; i < s.len; i++)
        special[i] = lm_str(s.items[i]);
    return lm_bpe_learn(words, special, s.len, (size_t)c->vocab_size, (uint64_t)c->frequency_min, ret, err);
}

static enum lm_rc read_template(const struct lm_tokenizer_config *c, const struct lm_tokenizer *t,
                                struct lm_buf *ret, struct lm_err *err)
{
    if (c->chat_template)
        return lm_file_read(c->chat_template, TEMPLATE_BYTES_MAX, ret, err);
    if (t->turn_start != LM_TOKEN_NONE && t->turn_end != LM_TOKEN_NONE)
        lm_buf_puts(ret, lm_chatml);   // what lm_chat_encode does, for programs that render templates
    return LM_OK;
}

static enum lm_rc write_file(const char *dir, const char *name, const struct lm_buf *content,
                             struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(content), err);
}

static enum lm_rc write_files(const struct lm_tokenizer_config *c, const struct lm_tokenizer *t,
                              const char *dir, struct lm_err *err)
{
    struct lm_buf template = { 0 }, config = { 0 }, vocab_json = { 0 }, vocab_bin = { 0 };
    enum lm_rc rc = read_template(c, t, &template, err);
    if (rc == LM_OK) {
        lm_write_tokenizer_config(lm_vocab_bytes(&t->vocab, t->end_of_text), lm_buf_str(&template), &config);
        lm_write_vocab_json(&t->vocab, &vocab_json);
        lm_write_vocab_bin(t, &vocab_bin);
        const struct {
            const char *name;
            const struct lm_buf *content;
        } files[] = { { "tokenizer.json", &t->json },
                      { "tokenizer_config.json", &config },
                      { "vocab.json", &vocab_json },
                      { "vocab.bin", &vocab_bin } };
        for (size_t i = 0; rc == LM_OK && i < sizeof(files) / sizeof(files[0]); i++)
            rc = write_file(dir, files[i].name, files[i].content, err);
    }
    lm_buf_release(&template);
    lm_buf_release(&config);
    lm_buf_release(&vocab_json);
    lm_buf_release(&vocab_bin);
    return rc;
}

static void add_metrics(const struct lm_words *words, const struct lm_learned *learned, size_t texts,
                        uint64_t text_bytes, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "texts", (int64_t)texts);
    lm_json_key_int(ret, "text_bytes", (int64_t)text_bytes);
    lm_json_key_int(ret, "pieces", (int64_t)words->total);
    lm_json_key_int(ret, "unique_pieces", (int64_t)words->len);
    lm_json_key_int(ret, "vocab_size", (int64_t)learned->vocab.size);
    lm_json_key_int(ret, "merges", (int64_t)learned->merge_count);
    lm_json_key_int(ret, "tokens", (int64_t)learned->tokens);
    lm_json_key_num(ret, "bytes_per_token", (double)text_bytes / (double)learned->tokens);
    lm_buf_putc(ret, '}');
}

enum lm_rc lm_tokenizer_train(const struct lm_tokenizer_config *config, const struct lm_str *texts,
                              size_t count, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    LM_TRY(check_config(config, err));
    const struct lm_grammar *grammar = &lm_grammars[config->pretokenizer];
    uint64_t text_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (texts[i].len > LM_TOKEN_TEXT_MAX)
            return lm_fail(err, LM_ELIMIT, "tokenizer: text %zu has %zu bytes, more than %zu", i,
                           texts[i].len, LM_TOKEN_TEXT_MAX);
        text_bytes += texts[i].len;
    }
    if (text_bytes == 0)
        return lm_fail(err, LM_EINVAL, "tokenizer: there is no text to learn from");

    struct lm_words words = { 0 };
    struct lm_learned learned = { 0 };
    struct lm_buf json = { 0 };
    struct lm_tokenizer *t = NULL;
    enum lm_rc rc = lm_words_count(grammar, texts, count, &words, err);
    if (rc == LM_OK)
        rc = learn(config, &words, &learned, err);
    if (rc == LM_OK) {
        lm_write_tokenizer_json(&learned, grammar, &json);
        rc = lm_tokenizer_parse(lm_buf_str(&json), "the trained tokenizer", &t, err);
    }
    if (rc == LM_OK)
        rc = write_files(config, t, out_dir, err);
    if (rc == LM_OK)
        add_metrics(&words, &learned, count, text_bytes, metrics);
    lm_tokenizer_free(t);
    lm_buf_release(&json);
    lm_learned_release(&learned);
    lm_words_release(&words);
    return rc;
}
