/* token/grow.c - which tokens a vocabulary gets for new data, and what they change. */
#include "token/grow_impl.h"

#include "base/file.h"
#include "base/json.h"
#include "text/text.h"
#include "token/pieces.h"
#include "token/train.h"
#include "token/unicode.h"

#include <math.h>

#define ROW(field) LM_OPT_AT(struct lm_grow_config, field)
// clang-format off
static const struct lm_opt rows[] = {
    { "count-min", LM_OPT_INT, ROW(count_min), "100", 2, 1e12, "times",
      .help = "a new token must occur in the new data (grow)" },
    { "tokens-max", LM_OPT_INT, ROW(tokens_max), "1000", 1, 1 << 20, "tokens",
      .help = "new ones (grow)" },
    { "gain-min", LM_OPT_REAL, ROW(gain_min), "0", 0, 1, "of the tokens",
      .help = "of the new data that a new token must save (grow)" },
    { "new-chars-max", LM_OPT_INT, ROW(chars_max), "64", 2, 1000, "characters",
      .help = "longest new token (grow)" },
    { "old", LM_OPT_LIST, ROW(old), NULL,
      .help = "old data, to report what changes there (grow)" },
    { "grow-mem", LM_OPT_INT, ROW(mem_mb), "64", 1, 1 << 20, "MB",
      .help = "of counted words in memory; more go to disk (grow)", .neutral = true },
};
// clang-format on
const struct lm_opt_table lm_grow_options = LM_OPT_TABLE("grow", struct lm_grow_config, rows);

/* New and old data alike. */
struct data {
    struct lm_word_counter *counter;
    struct lm_words words;
    uint64_t texts, bytes, spaced;              // spaced: words between blanks
    uint64_t before, after, total, unchanged;   // tokens; words, and those that are spelt as before
};

enum { NEW, OLD, DATA_COUNT };

struct lm_grower {
    const struct lm_tokenizer *t;
    struct lm_grow_config config;
    struct data data[DATA_COUNT];
    struct lm_word_text *batch;
    size_t batch_cap;
};

/* ---- texts ---- */

static struct lm_str normal(const void *user, struct lm_str text, struct lm_buf *buf)
{
    const struct lm_tokenizer *t = user;
    if (t->family == LM_FAMILY_CHAIN)
        return lm_grow_chain_words(t, text, buf);
    if (t->family == LM_FAMILY_PIECES)
        return lm_pieces_normal(&t->pieces, text, true, buf);
    return lm_token_normal(t, text, true, buf);
}

enum lm_rc lm_grower_new(const struct lm_tokenizer *t, const struct lm_grow_config *config,
                         const char *tmp_dir, struct lm_grower **ret, struct lm_err *err)
{
    if (t->vocab.size >= LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_ELIMIT, "grow: the vocabulary has %zu tokens already, the most there may be",
                       t->vocab.size);
    if (t->family == LM_FAMILY_CHAIN)
        LM_TRY(lm_grow_chain_check(t, err));
    struct lm_grower *g = lm_zalloc(1, sizeof(*g));
    g->t = t;
    g->config = *config;
    const struct lm_grammar *grammar = t->family == LM_FAMILY_CHAIN    ? &lm_grammar_chain_words
                                       : t->family == LM_FAMILY_PIECES ? &lm_grammar_train_pieces
                                                                       : t->grammar;
    for (size_t i = 0; i < DATA_COUNT; i++)
        g->data[i].counter = lm_word_counter_new((struct lm_word_cut){ grammar, normal, t },
                                                 (uint64_t)config->mem_mb << 20, tmp_dir);
    *ret = g;
    return LM_OK;
}

void lm_grower_free(struct lm_grower *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < DATA_COUNT; i++) {
        lm_word_counter_free(g->data[i].counter);
        lm_words_release(&g->data[i].words);
    }
    free(g->batch);
    free(g);
}

static uint64_t count_spaced(struct lm_str text)
{
    uint64_t words = 0;
    bool inside = false;
    uint32_t cp;
    for (size_t at = 0; at < text.len;) {
        at += lm_utf8_next(text, at, &cp);
        const bool blank = lm_unicode_class(cp) == LM_UCLASS_SPACE;
        words += !blank && !inside;
        inside = !blank;
    }
    return words;
}

enum lm_rc lm_grower_add(struct lm_grower *g, const struct lm_train_text *texts, size_t count, bool old,
                         struct lm_err *err)
{
    struct data *d = &g->data[old ? OLD : NEW];
    lm_grow(&g->batch, &g->batch_cap, count, sizeof(*g->batch));
    for (size_t i = 0; i < count; i++) {
        if (texts[i].text.len > LM_TOKEN_TEXT_MAX)
            return lm_fail(err, LM_ELIMIT,
                           "%.*s: the text has %zu bytes, more than %zu; break it into several",
                           (int)texts[i].name.len, texts[i].name.ptr, texts[i].text.len, LM_TOKEN_TEXT_MAX);
        g->batch[i] = (struct lm_word_text){
            .text = texts[i].text, .weight = 1, .lines = texts[i].lines, .name = texts[i].name
        };
        d->texts++;
        d->bytes += texts[i].text.len;
        d->spaced += count_spaced(texts[i].text);
    }
    return lm_word_counter_add(d->counter, g->batch, count, err);
}

/* ---- learning ---- */

/* A token of sentencepiece that stands for a byte where a character has none. */
static bool is_byte_name(const struct lm_tokenizer *t, uint32_t id)
{
    const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    if (t->family == LM_FAMILY_CHAIN)
        return lm_grow_chain_is_byte(t, id);
    return t->family == LM_FAMILY_PIECES && bytes.len == 1 && t->bpe.byte_id[(uint8_t)*bytes.ptr] == id;
}

static bool is_known(const void *user, uint32_t id)
{
    const struct lm_tokenizer *t = user;
    return t->vocab.items[id].kind != LM_TOKEN_HOLE && !is_byte_name(t, id);
}

static bool may_join(const struct lm_tokenizer *t, uint32_t id)
{
    return id != t->unknown && t->vocab.items[id].kind == LM_TOKEN_MODEL && !is_byte_name(t, id);
}

static struct lm_str word_of(const struct lm_tokenizer *t, const struct data *d, size_t i)
{
    const struct lm_str word = lm_word_bytes(&d->words, i);
    return t->family == LM_FAMILY_CHAIN ? lm_grow_chain_word(word) : word;
}

/* The words as the old tokenizer spells them, cut at what cannot be part of a new token. */
static void spell(struct lm_grower *g, struct lm_sequences *ret)
{
    struct data *d = &g->data[NEW];
    struct lm_encoder *e = lm_encoder_new(g->t);
    struct lm_tokens tokens = { 0 };
    for (size_t i = 0; i < d->words.len; i++) {
        const uint64_t count = d->words.items[i].count;
        tokens.len = 0;
        lm_encode_word(e, word_of(g->t, d, i), &tokens);
        d->before += count * tokens.len;
        for (size_t from = 0, to; from < tokens.len; from = to + 1) {
            for (to = from; to < tokens.len && may_join(g->t, tokens.ids[to]);)
                to++;
            if (to - from > 1)
                lm_sequences_put(ret, tokens.ids + from, to - from, count);
        }
    }
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
}

/* Whether no token joins a digit with anything: then no new one does. */
static bool keeps_digits_apart(const struct lm_tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const struct lm_str text = lm_vocab_bytes(&t->vocab, id);
        for (size_t i = 0; t->vocab.items[id].kind == LM_TOKEN_MODEL && text.len > 1 && i < text.len; i++)
            if (text.ptr[i] >= '0' && text.ptr[i] <= '9')
                return false;
    }
    return true;
}

static enum lm_rc learn(struct lm_grower *g, struct lm_learned *ret, struct lm_err *err)
{
    static const enum lm_learn_kind kinds[] = {
        [LM_FAMILY_BYTES] = LM_LEARN_BYTES,
        [LM_FAMILY_PIECES] = LM_LEARN_PIECES,
        [LM_FAMILY_WORDS] = LM_LEARN_WORDS,
        [LM_FAMILY_CHAIN] = LM_LEARN_PIECES,
    };
    const struct lm_vocab *v = &g->t->vocab;
    struct lm_sequences words = { 0 };
    spell(g, &words);
    for (uint32_t id = 0; id < v->size; id++)
        lm_vocab_set(&ret->vocab, id, lm_vocab_bytes(v, id), v->items[id].kind);
    const double gain = ceil(g->config.gain_min * (double)g->data[NEW].before);
    const uint64_t most = (uint64_t)v->size + (uint64_t)g->config.tokens_max;
    const struct lm_learn_options options = {
        .kind = kinds[g->t->family],
        .tie = LM_TIE_HF,
        .vocab_size = most < LM_VOCAB_SIZE_MAX ? most : LM_VOCAB_SIZE_MAX,
        .frequency_min = (uint64_t)fmax(gain, (double)g->config.count_min),
        .chars_max = (size_t)g->config.chars_max,
        .digits_apart = keeps_digits_apart(g->t),
        .fresh = true,
    };
    return lm_bpe_learn_on(&words, is_known, g->t, &options, ret, err);
}

/* Merges need every token between; others do not, so what only led to longer tokens is left out. */
static size_t keep(const struct lm_tokenizer *t, const struct lm_learned *l, uint32_t *ret)
{
    size_t count = 0;
    for (uint32_t id = (uint32_t)t->vocab.size; id < l->vocab.size; id++)
        if (lm_grow_has_merges(t) || l->counts[id] > 0)
            ret[count++] = id;
    return count;
}

/* ---- the report ---- */

static void compare(const struct lm_tokenizer *t, const struct lm_tokenizer *grown, struct data *d)
{
    struct lm_encoder *old = lm_encoder_new(t), *new = lm_encoder_new(grown);
    struct lm_tokens a = { 0 }, b = { 0 };
    d->before = d->after = 0;
    for (size_t i = 0; i < d->words.len; i++) {
        const uint64_t count = d->words.items[i].count;
        a.len = b.len = 0;
        lm_encode_word(old, word_of(t, d, i), &a);
        lm_encode_word(new, word_of(t, d, i), &b);
        d->before += count * a.len;
        d->after += count * b.len;
        d->total += count;
        if (a.len == b.len && (a.len == 0 || memcmp(a.ids, b.ids, a.len * sizeof(*a.ids)) == 0))
            d->unchanged += count;
    }
    lm_tokens_release(&a);
    lm_tokens_release(&b);
    lm_encoder_free(old);
    lm_encoder_free(new);
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static void write_data(const char *key, const struct data *d, struct lm_buf *ret)
{
    lm_json_key(ret, key);
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "texts", (int64_t)d->texts);
    lm_json_key_int(ret, "bytes", (int64_t)d->bytes);
    lm_json_key_int(ret, "tokens_before", (int64_t)d->before);
    lm_json_key_int(ret, "tokens_after", (int64_t)d->after);
    lm_json_key_num(ret, "tokens_per_word_before", ratio(d->before, d->spaced));
    lm_json_key_num(ret, "tokens_per_word_after", ratio(d->after, d->spaced));
    lm_json_key_num(ret, "bytes_per_token_before", ratio(d->bytes, d->before));
    lm_json_key_num(ret, "bytes_per_token_after", ratio(d->bytes, d->after));
    lm_json_key_num(ret, "pieces_unchanged", ratio(d->unchanged, d->total));
    lm_buf_putc(ret, '}');
}

static void write_report(const struct lm_grower *g, const struct lm_growth *growth, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "old_size", (int64_t)g->t->vocab.size);
    lm_json_key_int(ret, "new_size", (int64_t)(g->t->vocab.size + growth->kept_count));
    lm_json_key_int(ret, "new_tokens", (int64_t)growth->kept_count);
    write_data("new", &g->data[NEW], ret);
    if (g->data[OLD].texts > 0)
        write_data("old", &g->data[OLD], ret);
    lm_buf_putc(ret, '}');
}

/* ---- the whole ---- */

static enum lm_rc write_file(const char *dir, const char *name, const struct lm_buf *content,
                             struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(content), err);
}

static enum lm_rc write_all(struct lm_grower *g, const struct lm_growth *growth, const char *from_dir,
                            const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_buf json = { 0 }, mapping = { 0 }, report = { 0 };
    struct lm_tokenizer *grown = NULL;
    enum lm_rc rc = lm_growth_json(growth, &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_parse(lm_buf_str(&json), "the grown tokenizer", &grown, err);
    if (rc == LM_OK) {
        for (size_t i = 0; i < DATA_COUNT; i++)
            compare(g->t, grown, &g->data[i]);
        memcpy(grown->roles, g->t->roles, sizeof(grown->roles));
        lm_growth_mapping(growth, grown, &mapping);
        write_report(g, growth, &report);
        rc = lm_growth_files(grown, from_dir, out_dir, err);
    }
    if (rc == LM_OK)
        rc = write_file(out_dir, "grown.json", &mapping, err);
    if (rc == LM_OK)
        rc = write_file(out_dir, "report.json", &report, err);
    if (rc == LM_OK)
        lm_buf_add_str(metrics, lm_buf_str(&report));
    lm_tokenizer_free(grown);
    lm_buf_release(&json);
    lm_buf_release(&mapping);
    lm_buf_release(&report);
    return rc;
}

enum lm_rc lm_grower_end(struct lm_grower *g, const char *from_dir, const char *out_dir,
                         struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_learned learned = { 0 };
    if (g->data[NEW].bytes == 0)
        return lm_fail(err, LM_EINVAL, "grow: there is no text to learn from");
    for (size_t i = 0; i < DATA_COUNT; i++)
        LM_TRY(lm_word_counter_end(g->data[i].counter, 1, &g->data[i].words, err));
    LM_TRY(learn(g, &learned, err));
    uint32_t *kept = lm_alloc((learned.vocab.size - g->t->vocab.size + 1) * sizeof(*kept));
    const struct lm_growth growth = {
        .t = g->t, .learned = &learned, .kept = kept, .kept_count = keep(g->t, &learned, kept)
    };
    enum lm_rc rc = LM_OK;
    if (growth.kept_count == 0)
        rc = lm_fail(err, LM_ENOTHING,
                     "grow: no two neighbouring tokens occur often enough to be one; give more text, or a "
                     "smaller --count-min or --gain-min");
    else
        rc = write_all(g, &growth, from_dir, out_dir, metrics, err);
    free(kept);
    lm_learned_release(&learned);
    return rc;
}
