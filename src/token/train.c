/* token/train.c - the stage `tokenizer`: texts in, tokenizer.json, tokenizer_config.json, vocab.json (or
 * vocab.txt), vocab.bin, report.json out.  tokenizer.json is read back before anything is written: what
 * cannot be loaded is not left behind. */
#include "token/train.h"

#include "base/file.h"
#include "base/json.h"
#include "token/chat.h"
#include "token/normal.h"
#include "token/pieces.h"
#include "token/write.h"

enum { SPECIAL_MAX = 1024, TEMPLATE_BYTES_MAX = 1 << 20, WEIGHT_UNITS = 1000, WEIGHT_MAX = 1000000 };

/* In the order of enum lm_grammar_id, lm_learn_kind, lm_tie. */
static const char *const pretokenizers[] = { "gpt2", "llama3", "smollm", "qwen2", NULL };
static const char *const kinds[] = { "bpe", "sentencepiece", "wordpiece", NULL };
static const char *const tie_names[] = { "hf", "raw", "bytes", "spm", NULL };

#define ROW(field) LM_OPT_AT(struct lm_tokenizer_config, field)
// clang-format off
static const struct lm_opt rows[] = {
    { "vocab-size", LM_OPT_INT, ROW(vocab_size), "32000", 64, 1 << 20, "entries",
      .help = "vocabulary, with special tokens and alphabet" },
    { "frequency-min", LM_OPT_INT, ROW(frequency_min), "2", 1, 1e12, "times",
      .help = "a pair must occur to be merged" },
    { "pretokenizer", LM_OPT_CHOICE, ROW(pretokenizer), "llama3",
      .help = "how text is cut before merging (bpe)", .choices = pretokenizers },
    { "special", LM_OPT_LIST, ROW(special), NULL,
      .help = "in the order of their ids (default of bpe: <|endoftext|>, <|im_start|>, <|im_end|>)" },
    { "chat-template", LM_OPT_STRING, ROW(chat_template), NULL,
      .help = "file with the Jinja template to store (default: ChatML)" },
    { "kind", LM_OPT_CHOICE, ROW(kind), "bpe",
      .help = "byte-level BPE; BPE of characters with bytes for the rest; WordPiece", .choices = kinds },
    { "tie", LM_OPT_CHOICE, ROW(tie), "hf",
      .help = "which of equally frequent pairs comes first", .choices = tie_names },
    { "token-chars-max", LM_OPT_INT, ROW(chars_max), "0", 0, 1000, "characters",
      .help = "longest token; 0: no maximum" },
    { "word-frequency-min", LM_OPT_INT, ROW(word_frequency_min), "1", 1, 1e12, "times",
      .help = "a word must occur to be learned from" },
    { "coverage", LM_OPT_REAL, ROW(coverage), "0.9995", 0.5, 1, "of characters",
      .help = "that get a token; the rest is spelt in bytes (sentencepiece)" },
    { "alphabet-max", LM_OPT_INT, ROW(alphabet_max), "1000", 1, 1 << 17, "characters",
      .help = "that get a token (wordpiece)" },
    { "lowercase", LM_OPT_BOOL, ROW(lowercase), "true",
      .help = "no capitals and no accents (wordpiece)" },
    { "digits-apart", LM_OPT_BOOL, ROW(digits_apart), "true",
      .help = "each digit is a token (sentencepiece)" },
    { "weight", LM_OPT_LIST, ROW(weight), NULL,
      .help = "SOURCE=NUMBER: documents of the source count so many times" },
    { "document-weights", LM_OPT_BOOL, ROW(document_weights), "false",
      .help = "a document counts as often as its attribute 'weight' says" },
    { "mem", LM_OPT_INT, ROW(mem_mb), "64", 1, 1 << 20, "MB",
      .help = "of counted words in memory; more go to disk", .neutral = true },
};
// clang-format on
const struct lm_opt_table lm_tokenizer_options = LM_OPT_TABLE("tokenizer", struct lm_tokenizer_config, rows);

/* ---- special tokens ---- */

/* A list option has at most one default, so an empty list stands for these; the first ones of the others are
 * needed by what they are. */
static const char *special_bpe[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };
static const char *special_pieces[] = { "<unk>", "<s>", "</s>" };
static const char *special_words[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };

static const struct {
    const char *const *usual;
    size_t count;
    bool always;   // in front of those that are asked for
} specials[] = {
    [LM_LEARN_BYTES] = { special_bpe, 3, false },
    [LM_LEARN_PIECES] = { special_pieces, 3, true },
    [LM_LEARN_WORDS] = { special_words, 5, true },
};

/* Into ret, which has room for SPECIAL_MAX; their number. */
static size_t special_tokens(const struct lm_tokenizer_config *c, struct lm_str *ret)
{
    size_t count = 0;
    if (c->special.len == 0 || specials[c->kind].always)
        for (size_t i = 0; i < specials[c->kind].count; i++)
            ret[count++] = lm_str(specials[c->kind].usual[i]);
    for (size_t i = 0; i < c->special.len && count < SPECIAL_MAX; i++)
        ret[count++] = lm_str(c->special.items[i]);
    return count;
}

static enum lm_rc check_special(const struct lm_tokenizer_config *c, size_t *ret_count, struct lm_err *err)
{
    struct lm_str special[SPECIAL_MAX];
    const size_t count = special_tokens(c, special);
    if (c->special.len > SPECIAL_MAX - specials[c->kind].count)
        return lm_fail(err, LM_EINVAL, "tokenizer: %zu special tokens, more than %zu", c->special.len,
                       SPECIAL_MAX - specials[c->kind].count);
    for (size_t i = 0; i < count; i++) {
        if (special[i].len < 2)
            return lm_fail(err, LM_EINVAL, "tokenizer: special token '%s' is shorter than 2 bytes",
                           special[i].ptr);
        for (size_t k = 0; k < i; k++)
            if (lm_str_eq(special[i], special[k]))
                return lm_fail(err, LM_EINVAL, "tokenizer: special token '%s' is listed twice",
                               special[i].ptr);
    }
    *ret_count = count;
    return LM_OK;
}

static enum lm_rc check_weight(const char *item, struct lm_err *err)
{
    const char *equals = strrchr(item, '=');
    double value = 0;
    if (equals && equals > item && lm_str_to_f64(lm_str(equals + 1), &value) && value >= 0 &&
        value <= WEIGHT_MAX)
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "tokenizer: weight '%s' is not SOURCE=NUMBER with a number in 0..%d", item,
                   WEIGHT_MAX);
}

static enum lm_rc check_config(const struct lm_tokenizer_config *c, struct lm_err *err)
{
    LM_ASSERT(c->pretokenizer >= 0 && c->pretokenizer < LM_GRAMMAR_COUNT);
    size_t count = 0;
    LM_TRY(check_special(c, &count, err));
    for (size_t i = 0; i < c->weight.len; i++)
        LM_TRY(check_weight(c->weight.items[i], err));
    const size_t bytes = c->kind == LM_LEARN_WORDS ? 0 : 256;
    if (c->vocab_size < (int64_t)(count + bytes) || c->vocab_size > LM_VOCAB_SIZE_MAX)
        return lm_fail(
            err, LM_EINVAL,
            "tokenizer: vocab-size %lld is too small for %zu special tokens and %zu bytes; ask for "
            "more than %zu",
            (long long)c->vocab_size, count, bytes, count + bytes);
    return LM_OK;
}

/* ---- texts ---- */

struct lm_trainer {
    struct lm_tokenizer_config config;
    struct lm_word_counter *counter;
    struct lm_train_report *report;
    uint64_t texts, text_bytes, unit;   // unit: what weight 1 counts
    bool *weighed;                      // [config.weight.len] whether some text is of the source
    struct lm_word_text *batch;
    size_t batch_cap;
};

static const struct lm_piece_rules piece_rules = { .prefix = LM_BLANK_ALWAYS };
static const struct lm_word_rules word_rules[2] = {
    { .clean = true, .han_apart = true },
    { .clean = true, .han_apart = true, .strip_accents = true, .lowercase = true },
};

static struct lm_str nfc_text(const void *user, struct lm_str text, struct lm_buf *buf)
{
    (void)user;
    return lm_token_nfc(text, buf);
}

static struct lm_str piece_text(const void *user, struct lm_str text, struct lm_buf *buf)
{
    return lm_pieces_normal(user, text, true, buf);
}

static struct lm_str word_text(const void *user, struct lm_str text, struct lm_buf *buf)
{
    return lm_words_normal(user, text, buf);
}

static struct lm_word_cut cut_of(const struct lm_tokenizer_config *c)
{
    const struct lm_grammar *g = &lm_grammars[c->pretokenizer];
    if (c->kind == LM_LEARN_PIECES)
        return (struct lm_word_cut){ &lm_grammar_train_pieces, piece_text, &piece_rules };
    if (c->kind == LM_LEARN_WORDS)
        return (struct lm_word_cut){ &lm_grammar_bert, word_text, &word_rules[c->lowercase] };
    return (struct lm_word_cut){ g, g->nfc ? nfc_text : NULL, NULL };
}

enum lm_rc lm_trainer_new(const struct lm_tokenizer_config *config, const char *tmp_dir,
                          struct lm_trainer **ret, struct lm_err *err)
{
    LM_TRY(check_config(config, err));
    struct lm_trainer *t = lm_zalloc(1, sizeof(*t));
    t->config = *config;
    t->unit = config->weight.len > 0 || config->document_weights ? WEIGHT_UNITS : 1;
    t->weighed = lm_zalloc(config->weight.len + 1, sizeof(*t->weighed));
    t->counter = lm_word_counter_new(cut_of(config), (uint64_t)config->mem_mb << 20, tmp_dir);
    t->report = lm_train_report_new();
    *ret = t;
    return LM_OK;
}

void lm_trainer_free(struct lm_trainer *t)
{
    if (!t)
        return;
    lm_word_counter_free(t->counter);
    lm_train_report_free(t->report);
    free(t->batch);
    free(t->weighed);
    free(t);
}

static double source_weight(struct lm_trainer *t, struct lm_str source)
{
    const struct lm_tokenizer_config *c = &t->config;
    for (size_t i = 0; i < c->weight.len; i++) {
        const char *item = c->weight.items[i], *equals = strrchr(item, '=');
        double value = 1;
        if (lm_str_eq(source, (struct lm_str){ item, (size_t)(equals - item) }) &&
            lm_str_to_f64(lm_str(equals + 1), &value)) {
            t->weighed[i] = true;
            return value;
        }
    }
    return 1;
}

enum lm_rc lm_trainer_add(struct lm_trainer *t, const struct lm_train_text *texts, size_t count,
                          struct lm_err *err)
{
    lm_grow(&t->batch, &t->batch_cap, count, sizeof(*t->batch));
    for (size_t i = 0; i < count; i++) {
        const double weight = texts[i].weight * source_weight(t, texts[i].source);
        const struct lm_str name = texts[i].name.len > 0 ? texts[i].name : LM_STR("a text");
        if (texts[i].text.len > LM_TOKEN_TEXT_MAX)
            return lm_fail(err, LM_ELIMIT,
                           "%.*s: the text has %zu bytes, more than %zu; break it into several",
                           (int)name.len, name.ptr, texts[i].text.len, LM_TOKEN_TEXT_MAX);
        if (!(weight >= 0 && weight <= WEIGHT_MAX))
            return lm_fail(err, LM_EINVAL, "%.*s: the weight %g is outside 0..%d", (int)name.len, name.ptr,
                           weight, WEIGHT_MAX);
        t->batch[i] = (struct lm_word_text){ .text = texts[i].text,
                                             .weight = (uint64_t)(weight * (double)t->unit + 0.5),
                                             .lines = texts[i].lines,
                                             .name = texts[i].name };
        t->texts++;
        t->text_bytes += texts[i].text.len;
        lm_train_report_add(t->report, &texts[i]);
    }
    return lm_word_counter_add(t->counter, t->batch, count, err);
}

/* ---- what was learned, as a tokenizer ---- */

static enum lm_rc learn(const struct lm_trainer *t, struct lm_words *words, struct lm_learned *ret,
                        struct lm_err *err)
{
    const struct lm_tokenizer_config *c = &t->config;
    struct lm_str special[SPECIAL_MAX];
    const struct lm_learn_options options = {
        .kind = (enum lm_learn_kind)c->kind,
        .tie = (enum lm_tie)c->tie,
        .special = special,
        .special_count = special_tokens(c, special),
        .vocab_size = (size_t)c->vocab_size,
        .frequency_min = (uint64_t)c->frequency_min * t->unit,
        .chars_max = (size_t)c->chars_max,
        .coverage = c->coverage,
        .alphabet_max = c->kind == LM_LEARN_WORDS ? (size_t)c->alphabet_max : 0,
        .digits_apart = c->digits_apart,
    };
    return lm_bpe_learn_spending(words, &options, ret, err);
}

static enum lm_rc to_tokenizer(const struct lm_tokenizer_config *c, const struct lm_learned *learned,
                               struct lm_tokenizer **ret, struct lm_err *err)
{
    static const char name[] = "the trained tokenizer";
    if (c->kind != LM_LEARN_BYTES)
        return lm_write_learned(learned, (enum lm_learn_kind)c->kind, c->lowercase, name, ret, err);
    struct lm_buf json = { 0 };
    lm_write_tokenizer_json(learned, &lm_grammars[c->pretokenizer], &json);
    const enum lm_rc rc = lm_tokenizer_parse(lm_buf_str(&json), name, ret, err);
    lm_buf_release(&json);
    return rc;
}

/* ---- files ---- */

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
                              const struct lm_buf *report, const char *dir, struct lm_err *err)
{
    struct lm_buf template = { 0 }, config = { 0 }, vocab = { 0 }, vocab_bin = { 0 };
    enum lm_rc rc = read_template(c, t, &template, err);
    if (rc == LM_OK) {
        lm_write_tokenizer_config(t, lm_buf_str(&template), &config);
        if (t->family == LM_FAMILY_WORDS)
            lm_write_vocab_txt(t, &vocab);
        else
            lm_write_vocab_json(t, &vocab);
        lm_write_vocab_bin(t, &vocab_bin);
        const struct {
            const char *name;
            const struct lm_buf *content;
        } files[] = { { "tokenizer.json", &t->json },
                      { "tokenizer_config.json", &config },
                      { t->family == LM_FAMILY_WORDS ? "vocab.txt" : "vocab.json", &vocab },
                      { "vocab.bin", &vocab_bin },
                      { "report.json", report } };
        for (size_t i = 0; rc == LM_OK && i < sizeof(files) / sizeof(files[0]); i++)
            rc = write_file(dir, files[i].name, files[i].content, err);
    }
    lm_buf_release(&template);
    lm_buf_release(&config);
    lm_buf_release(&vocab);
    lm_buf_release(&vocab_bin);
    return rc;
}

static void add_metrics(const struct lm_trainer *t, const struct lm_words *words,
                        const struct lm_learned *learned, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "texts", (int64_t)t->texts);
    lm_json_key_int(ret, "text_bytes", (int64_t)t->text_bytes);
    lm_json_key_int(ret, "pieces", (int64_t)(words->total / t->unit));
    lm_json_key_int(ret, "unique_pieces", (int64_t)words->len);
    lm_json_key_int(ret, "vocab_size", (int64_t)learned->vocab.size);
    lm_json_key_int(ret, "merges", (int64_t)learned->merge_count);
    lm_json_key_int(ret, "tokens", (int64_t)(learned->tokens / t->unit));
    lm_json_key_num(ret, "bytes_per_token",
                    learned->tokens ? (double)t->text_bytes * (double)t->unit / (double)learned->tokens : 0);
    lm_json_key_str(ret, "tie", lm_str(tie_names[t->config.tie]));
    lm_buf_putc(ret, '}');
}

static enum lm_rc end_with(struct lm_trainer *t, struct lm_words *words, const char *out_dir,
                           struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_learned learned = { 0 };
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_buf report = { 0 };
    LM_TRY(learn(t, words, &learned, err));
    enum lm_rc rc = to_tokenizer(&t->config, &learned, &tokenizer, err);
    if (rc == LM_OK) {
        lm_train_report_write(t->report, tokenizer, &learned, t->unit, &report);
        rc = write_files(&t->config, tokenizer, &report, out_dir, err);
    }
    if (rc == LM_OK)
        add_metrics(t, words, &learned, metrics);
    lm_buf_release(&report);
    lm_tokenizer_free(tokenizer);
    lm_learned_release(&learned);
    return rc;
}

enum lm_rc lm_trainer_end(struct lm_trainer *t, const char *out_dir, struct lm_buf *metrics,
                          struct lm_err *err)
{
    struct lm_words words = { 0 };
    if (t->text_bytes == 0)
        return lm_fail(err, LM_EINVAL, "tokenizer: there is no text to learn from");
    for (size_t i = 0; i < t->config.weight.len; i++)
        if (!t->weighed[i])
            return lm_fail(
                err, LM_EINVAL,
                "tokenizer: weight '%s' is for a source that no text is of; report.json of a training "
                "without it names the sources",
                t->config.weight.items[i]);
    const uint64_t count_min = (uint64_t)t->config.word_frequency_min * t->unit;
    LM_TRY(lm_word_counter_end(t->counter, t->config.word_frequency_min > 1 ? count_min : 1, &words, err));
    const enum lm_rc rc = end_with(t, &words, out_dir, metrics, err);
    lm_words_release(&words);
    return rc;
}

enum lm_rc lm_tokenizer_train(const struct lm_tokenizer_config *config, const struct lm_str *texts,
                              size_t count, const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_trainer *t = NULL;
    LM_TRY(lm_trainer_new(config, out_dir, &t, err));
    struct lm_train_text *items = lm_zalloc(count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[i] = (struct lm_train_text){ .text = texts[i], .weight = 1 };
    enum lm_rc rc = lm_trainer_add(t, items, count, err);
    if (rc == LM_OK)
        rc = lm_trainer_end(t, out_dir, metrics, err);
    free(items);
    lm_trainer_free(t);
    return rc;
}
