/* Training against a trainer as dumb as possible: count all pairs, merge the best, start again. */
#include "check.h"

#include "base/json.h"
#include "base/sys.h"
#include "token/bpe_train.h"

enum { WORDS_MAX = 400, WORD_LEN_MAX = 64, TOKENS_MAX = 400, TOKEN_LEN_MAX = 64 };

struct naive {
    uint32_t ids[WORDS_MAX][WORD_LEN_MAX];
    size_t lens[WORDS_MAX];
    uint64_t counts[WORDS_MAX];
    size_t word_count;
    char tokens[TOKENS_MAX][TOKEN_LEN_MAX];
    size_t token_lens[TOKENS_MAX], token_count;
    struct lm_learned_merge merges[TOKENS_MAX];
    size_t merge_count;
    uint64_t pairs[TOKENS_MAX][TOKENS_MAX];
};

static void naive_start(struct naive *n, const struct lm_words *words, size_t special_count)
{
    uint32_t byte_id[256];
    n->token_count = special_count;
    for (size_t i = 0; i < 256; i++) {
        byte_id[lm_byte_in_order(i)] = (uint32_t)n->token_count;
        n->tokens[n->token_count][0] = (char)lm_byte_in_order(i);
        n->token_lens[n->token_count++] = 1;
    }
    for (size_t w = 0; w < words->len && w < WORDS_MAX; w++) {
        n->lens[w] = words->items[w].len;
        n->counts[w] = words->items[w].count;
        for (size_t i = 0; i < n->lens[w]; i++)
            n->ids[w][i] = byte_id[(uint8_t)words->bytes.ptr[words->items[w].at + i]];
        n->word_count++;
    }
}

/* The pair as a text that sorts as the rule says; its number of characters (ASCII here) in front. */
static void tie_text(const struct naive *n, enum lm_tie tie, uint32_t a, uint32_t b, char ret[200])
{
    const int a_len = (int)n->token_lens[a], b_len = (int)n->token_lens[b];
    memset(ret, 0, 200);
    if (tie == LM_TIE_HF)
        snprintf(ret, 200, "%06u %06u", a, b);
    else if (tie == LM_TIE_RAW)
        snprintf(ret, 200, "%06u %06u", a_len == 1 ? (uint8_t)n->tokens[a][0] : a,
                 b_len == 1 ? (uint8_t)n->tokens[b][0] : b);
    else if (tie == LM_TIE_BYTES)
        snprintf(ret, 200, "%.*s\001%.*s", a_len, n->tokens[a], b_len, n->tokens[b]);
    else
        snprintf(ret, 200, "%06d %.*s%.*s", a_len + b_len, a_len, n->tokens[a], b_len, n->tokens[b]);
}

static bool naive_before(const struct naive *n, enum lm_tie tie, uint32_t a, uint32_t b, uint32_t c,
                         uint32_t d)
{
    char x[200], y[200];
    tie_text(n, tie, a, b, x);
    tie_text(n, tie, c, d, y);
    return strcmp(x, y) < 0;
}

/* Larger count, then the rule. */
static bool naive_best(struct naive *n, enum lm_tie tie, uint64_t frequency_min, uint32_t *left,
                       uint32_t *right)
{
    memset(n->pairs, 0, sizeof(n->pairs));
    uint64_t best = 0;
    for (size_t w = 0; w < n->word_count; w++)
        for (size_t i = 0; i + 1 < n->lens[w]; i++)
            n->pairs[n->ids[w][i]][n->ids[w][i + 1]] += n->counts[w];
    for (uint32_t a = 0; a < n->token_count; a++)
        for (uint32_t b = 0; b < n->token_count; b++)
            if (n->pairs[a][b] > best ||
                (best > 0 && n->pairs[a][b] == best && naive_before(n, tie, a, b, *left, *right))) {
                best = n->pairs[a][b];
                *left = a;
                *right = b;
            }
    return best >= frequency_min && best > 0;
}

static uint32_t naive_token(struct naive *n, uint32_t left, uint32_t right)
{
    char text[TOKEN_LEN_MAX];
    const size_t len = n->token_lens[left] + n->token_lens[right];
    assert_true(len <= TOKEN_LEN_MAX);
    memcpy(text, n->tokens[left], n->token_lens[left]);
    memcpy(text + n->token_lens[left], n->tokens[right], n->token_lens[right]);
    for (uint32_t id = 0; id < n->token_count; id++)
        if (n->token_lens[id] == len && memcmp(n->tokens[id], text, len) == 0)
            return id;
    memcpy(n->tokens[n->token_count], text, len);
    n->token_lens[n->token_count] = len;
    return (uint32_t)n->token_count++;
}

static void naive_learn(struct naive *n, enum lm_tie tie, size_t vocab_size, uint64_t frequency_min)
{
    uint32_t left = 0, right = 0;
    while (n->token_count < vocab_size && naive_best(n, tie, frequency_min, &left, &right)) {
        const uint32_t made = naive_token(n, left, right);
        n->merges[n->merge_count++] = (struct lm_learned_merge){ left, right, made };
        for (size_t w = 0; w < n->word_count; w++) {
            size_t out = 0;
            for (size_t i = 0; i < n->lens[w]; i++) {
                const bool here = n->ids[w][i] == left && i + 1 < n->lens[w] && n->ids[w][i + 1] == right;
                n->ids[w][out++] = here ? made : n->ids[w][i];
                i += here;
            }
            n->lens[w] = out;
        }
    }
}

/* Words from a small alphabet, so that counts tie often. */
static void random_words(struct lm_rng *rng, struct lm_buf *ret)
{
    lm_buf_reset(ret);
    for (size_t i = 0; i < 120; i++) {
        const size_t len = 1 + lm_rng_below(rng, 8);
        for (size_t k = 0; k < len; k++)
            lm_buf_putc(ret, (char)('a' + lm_rng_below(rng, 5)));
        lm_buf_puts(ret, lm_rng_below(rng, 8) ? " " : "\n");
    }
}

static enum lm_rc learn(const struct lm_words *words, enum lm_tie tie, const struct lm_str *special,
                        size_t special_count, size_t vocab_size, uint64_t frequency_min,
                        struct lm_learned *ret)
{
    const struct lm_learn_options options = { .tie = tie,
                                              .special = special,
                                              .special_count = special_count,
                                              .vocab_size = vocab_size,
                                              .frequency_min = frequency_min };
    return lm_bpe_learn(words, &options, ret, NULL);
}

static void merges_are_those_of_the_dumb_trainer(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(11, 0);
    struct lm_buf text = { 0 };
    const struct lm_str special[] = { LM_STR("<|endoftext|>") };
    for (size_t round = 0; round < 24; round++) {
        random_words(&rng, &text);
        const struct lm_str all = lm_buf_str(&text);
        struct lm_words words = { 0 };
        assert_int_equal(lm_words_count(&lm_grammars[LM_GRAMMAR_GPT2], &all, 1, &words, NULL), LM_OK);
        const uint64_t frequency_min = 1 + round % 3;
        struct naive *naive = lm_zalloc(1, sizeof(*naive));
        naive_start(naive, &words, 1);
        const enum lm_tie tie = (enum lm_tie)(round % LM_TIE_COUNT);
        naive_learn(naive, tie, 340, frequency_min);
        struct lm_learned learned;
        assert_int_equal(learn(&words, tie, special, 1, 340, frequency_min, &learned), LM_OK);
        assert_int_equal(learned.merge_count, naive->merge_count);
        assert_true(learned.merge_count > 20);
        assert_memory_equal(learned.merges, naive->merges, learned.merge_count * sizeof(*learned.merges));
        uint64_t tokens = 0;
        for (size_t w = 0; w < naive->word_count; w++)
            tokens += naive->counts[w] * naive->lens[w];
        assert_int_equal(learned.tokens, tokens);
        free(naive);
        lm_learned_release(&learned);
        lm_words_release(&words);
    }
    lm_buf_release(&text);
}

/* ---- counting ---- */

static void count_in(struct lm_word_counter *c, const struct lm_word_text *texts, size_t count,
                     struct lm_words *ret)
{
    for (size_t i = 0; i < count; i += 3)
        assert_int_equal(lm_word_counter_add(c, texts + i, count - i < 3 ? count - i : 3, NULL), LM_OK);
    assert_int_equal(lm_word_counter_end(c, 1, ret, NULL), LM_OK);
    lm_word_counter_free(c);
}

static void assert_same_words(const struct lm_words *a, const struct lm_words *b)
{
    assert_int_equal(a->len, b->len);
    assert_int_equal(a->total, b->total);
    for (size_t i = 0; i < a->len; i++) {
        assert_true(lm_str_eq(lm_word_bytes(a, i), lm_word_bytes(b, i)));
        assert_int_equal(a->items[i].count, b->items[i].count);
    }
}

static void words_on_disk_and_in_memory_are_the_same_in_any_order(void **state)
{
    (void)state;
    enum { TEXTS = 20 };
    struct lm_rng rng = lm_rng_make(13, 0);
    struct lm_buf parts[TEXTS] = { 0 };
    struct lm_word_text texts[TEXTS], backwards[TEXTS];
    const struct lm_word_cut cut = { .grammar = &lm_grammars[LM_GRAMMAR_GPT2] };
    for (size_t i = 0; i < TEXTS; i++) {
        random_words(&rng, &parts[i]);
        texts[i] = (struct lm_word_text){ .text = lm_buf_str(&parts[i]), .weight = i % 3, .lines = i % 2 };
        backwards[TEXTS - 1 - i] = texts[i];
    }
    struct lm_words memory = { 0 }, disk = { 0 }, other = { 0 };
    count_in(lm_word_counter_new(cut, 0, NULL), texts, TEXTS, &memory);
    count_in(lm_word_counter_new(cut, 1, "."), texts, TEXTS, &disk);
    count_in(lm_word_counter_new(cut, 1 << 16, "."), backwards, TEXTS, &other);
    assert_true(memory.len > 200);
    assert_same_words(&memory, &disk);
    assert_same_words(&memory, &other);
    lm_words_release(&memory);
    lm_words_release(&disk);
    lm_words_release(&other);
    for (size_t i = 0; i < TEXTS; i++)
        lm_buf_release(&parts[i]);
}

static void a_text_counts_as_often_as_its_weight(void **state)
{
    (void)state;
    struct lm_word_text once = { .text = LM_STR("one two"), .weight = 5 };
    struct lm_word_text five[5];
    for (size_t i = 0; i < 5; i++)
        five[i] = (struct lm_word_text){ .text = once.text, .weight = 1 };
    const struct lm_word_cut cut = { .grammar = &lm_grammars[LM_GRAMMAR_GPT2] };
    struct lm_words a = { 0 }, b = { 0 };
    count_in(lm_word_counter_new(cut, 0, NULL), &once, 1, &a);
    count_in(lm_word_counter_new(cut, 0, NULL), five, 5, &b);
    assert_int_equal(a.total, 10);
    assert_same_words(&a, &b);
    lm_words_release(&a);
    lm_words_release(&b);
}

static void a_folder_that_cannot_be_written_stops_counting(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    const struct lm_word_cut cut = { .grammar = &lm_grammars[LM_GRAMMAR_GPT2] };
    const struct lm_word_text text = { .text = LM_STR("words"), .weight = 1 };
    struct lm_word_counter *c = lm_word_counter_new(cut, 1, "no/such/folder");
    assert_int_equal(lm_word_counter_add(c, &text, 1, &err), LM_EIO);
    assert_contains(err.text, "no/such/folder");
    lm_word_counter_free(c);
}

static void counts_beyond_32_bits_are_kept(void **state)
{
    (void)state;
    struct lm_word items[] = { { .at = 0, .len = 2, .count = 1ull << 31 },
                               { .at = 2, .len = 2, .count = 3ull << 32 } };
    struct lm_words words = { .items = items, .len = 2 };
    lm_buf_puts(&words.bytes, "abcd");
    struct lm_learned learned;
    assert_int_equal(learn(&words, LM_TIE_HF, NULL, 0, 300, 1ull << 32, &learned), LM_OK);
    assert_int_equal(learned.merge_count, 1);
    assert_true(lm_str_eq(lm_vocab_bytes(&learned.vocab, 256), LM_STR("cd")));
    lm_learned_release(&learned);
    lm_buf_release(&words.bytes);
}

static void what_would_spell_a_special_token_is_never_merged(void **state)
{
    (void)state;
    struct lm_word items[] = { { .at = 0, .len = 4, .count = 9 } };
    struct lm_words words = { .items = items, .len = 1 };
    lm_buf_puts(&words.bytes, "abab");
    const struct lm_str special[] = { LM_STR("ab") };
    struct lm_learned learned;
    assert_int_equal(learn(&words, LM_TIE_HF, special, 1, 300, 1, &learned), LM_OK);
    for (size_t i = 0; i < learned.merge_count; i++)
        assert_int_not_equal(learned.merges[i].id, 0);
    assert_true(learned.merge_count > 0);
    lm_learned_release(&learned);
    lm_buf_release(&words.bytes);
}

/* ---- the stage ---- */

static const char *const outputs[] = { "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.bin" };

static void train_into(const char *dir, int threads, const struct lm_str *texts, size_t count)
{
    struct lm_tokenizer_config config;
    struct lm_err err = { 0 };
    struct lm_buf metrics = { 0 };
    lm_opt_defaults(&lm_tokenizer_options, &config);
    config.vocab_size = 700;
    lm_threads_set(threads);
    assert_ok_err(lm_dir_make(dir, &err), &err);
    assert_ok_err(lm_tokenizer_train(&config, texts, count, dir, &metrics, &err), &err);
    assert_contains(metrics.ptr, "\"vocab_size\":700");
    lm_buf_release(&metrics);
    lm_threads_set(0);
}

static void one_and_two_threads_write_the_same_bytes(void **state)
{
    (void)state;
    enum { TEXTS = 300 };
    struct lm_rng rng = lm_rng_make(12, 0);
    struct lm_buf parts[TEXTS] = { 0 };
    struct lm_str texts[TEXTS];
    for (size_t i = 0; i < TEXTS; i++) {
        random_words(&rng, &parts[i]);
        texts[i] = lm_buf_str(&parts[i]);
    }
    train_into("one", 1, texts, TEXTS);
    train_into("two", 2, texts, TEXTS);
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        struct lm_buf a = { 0 }, b = { 0 };
        LM_FREE char *one = lm_path_join("one", outputs[i]);
        LM_FREE char *two = lm_path_join("two", outputs[i]);
        assert_int_equal(lm_file_read(one, 1 << 24, &a, NULL), LM_OK);
        assert_int_equal(lm_file_read(two, 1 << 24, &b, NULL), LM_OK);
        assert_true(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
        lm_buf_release(&a);
        lm_buf_release(&b);
    }
    for (size_t i = 0; i < TEXTS; i++)
        lm_buf_release(&parts[i]);
}

/* ---- other kinds ---- */

static struct lm_tokenizer *train_kind(int kind, const char *dir, const struct lm_str *texts, size_t count)
{
    struct lm_tokenizer_config config;
    struct lm_err err = { 0 };
    struct lm_buf metrics = { 0 };
    struct lm_tokenizer *t = NULL;
    lm_opt_defaults(&lm_tokenizer_options, &config);
    config.kind = kind;
    config.vocab_size = 320;
    config.frequency_min = 1;
    assert_ok_err(lm_dir_make(dir, &err), &err);
    assert_ok_err(lm_tokenizer_train(&config, texts, count, dir, &metrics, &err), &err);
    assert_ok_err(lm_tokenizer_load(dir, &t, &err), &err);
    lm_buf_release(&metrics);
    return t;
}

static size_t encoded_len(const struct lm_tokenizer *t, struct lm_str text, struct lm_buf *ret_text)
{
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens tokens = { 0 };
    lm_encode(e, text, false, &tokens);
    assert_int_equal(lm_decode(t, tokens.ids, tokens.len, false, ret_text, NULL), LM_OK);
    const size_t len = tokens.len;
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    return len;
}

static void sentencepiece_learns_characters_and_keeps_bytes_for_the_rest(void **state)
{
    (void)state;
    const struct lm_str texts[] = { LM_STR("hello hello hello caf\xc3\xa9 world 12 12 12\n"),
                                    LM_STR("hello world caf\xc3\xa9 12") };
    struct lm_tokenizer *t = train_kind(LM_LEARN_PIECES, "pieces", texts, 2);
    struct lm_buf text = { 0 };
    assert_int_equal(encoded_len(t, LM_STR("hello caf\xc3\xa9"), &text), 2);
    assert_true(lm_str_eq(lm_buf_str(&text), LM_STR("hello caf\xc3\xa9")));
    lm_buf_reset(&text);
    assert_int_equal(encoded_len(t, LM_STR("12"), &text), 3);   // a blank, digits apart
    lm_buf_reset(&text);
    assert_int_equal(encoded_len(t, LM_STR("\xe4\xb8\xad"), &text), 4);   // three bytes
    assert_true(lm_str_eq(lm_buf_str(&text), LM_STR("\xe4\xb8\xad")));
    lm_buf_release(&text);
    lm_tokenizer_free(t);
}

static void wordpiece_learns_words_without_case_and_accents(void **state)
{
    (void)state;
    const struct lm_str texts[] = { LM_STR("Hello hello HELLO caf\xc3\xa9, world!"),
                                    LM_STR("hello cafe world") };
    struct lm_tokenizer *t = train_kind(LM_LEARN_WORDS, "words", texts, 2);
    struct lm_buf text = { 0 };
    assert_int_equal(encoded_len(t, LM_STR("Hello Caf\xc3\xa9!"), &text), 3);
    assert_true(lm_str_eq(lm_buf_str(&text), LM_STR("hello cafe!")));
    lm_buf_reset(&text);
    assert_int_equal(encoded_len(t, LM_STR("q"), &text), 1);
    assert_true(lm_str_eq(lm_buf_str(&text), LM_STR("[UNK]")));
    assert_true(lm_path_exists("words/vocab.txt"));
    lm_buf_release(&text);
    lm_tokenizer_free(t);
}

static void the_report_tells_languages_and_sources_apart(void **state)
{
    (void)state;
    struct lm_tokenizer_config config;
    struct lm_err err = { 0 };
    struct lm_trainer *trainer = NULL;
    struct lm_buf metrics = { 0 }, report = { 0 };
    const struct lm_train_text texts[] = {
        { LM_STR("the old words of the old"), LM_STR("en"), LM_STR("a"), 1, false },
        { LM_STR("die alten Worte"), LM_STR("de"), LM_STR("b"), 0.5, false },
    };
    lm_opt_defaults(&lm_tokenizer_options, &config);
    const char *weights[] = { "b=4" }, *of_none[] = { "b=4", "c=2" };
    config.weight = (struct lm_opt_list){ weights, 1, 0 };
    config.vocab_size = 280;
    assert_ok_err(lm_dir_make("report", &err), &err);
    assert_ok_err(lm_trainer_new(&config, ".", &trainer, &err), &err);
    assert_ok_err(lm_trainer_add(trainer, texts, 2, &err), &err);
    assert_ok_err(lm_trainer_end(trainer, "report", &metrics, &err), &err);
    lm_trainer_free(trainer);
    assert_contains(metrics.ptr, "\"pieces\":12");   // 6 once, 3 twice
    config.weight = (struct lm_opt_list){ of_none, 2, 0 };
    assert_ok_err(lm_trainer_new(&config, ".", &trainer, &err), &err);
    assert_ok_err(lm_trainer_add(trainer, texts, 2, &err), &err);
    assert_int_equal(lm_trainer_end(trainer, "report", &metrics, &err), LM_EINVAL);
    assert_contains(err.text, "weight 'c=2' is for a source that no text is of");
    lm_trainer_free(trainer);
    assert_int_equal(lm_file_read("report/report.json", 1 << 20, &report, NULL), LM_OK);
    assert_contains(report.ptr, "\"languages\":[{\"name\":\"de\",\"texts\":1");
    assert_contains(report.ptr, "{\"name\":\"en\",\"texts\":1");
    assert_contains(report.ptr, "\"sources\":[{\"name\":\"a\"");
    lm_buf_release(&metrics);
    lm_buf_release(&report);
}

static uint64_t little_endian(const char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

/* Reads vocab.bin by what docs/formats/vocab.md says. */
static void vocab_bin_holds_the_bytes_of_every_token(void **state)
{
    (void)state;
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_load("one", &t, &err), &err);
    struct lm_buf file = { 0 };
    assert_int_equal(lm_file_read("one/vocab.bin", 1 << 24, &file, NULL), LM_OK);
    assert_memory_equal(file.ptr, "LOOMVOC1", 8);
    const size_t size = little_endian(file.ptr + 8, 4), bytes = little_endian(file.ptr + 16, 8);
    assert_int_equal(size, lm_tokenizer_vocab_size(t));
    assert_int_equal(little_endian(file.ptr + 12, 4), lm_tokenizer_end_of_text(t));
    assert_memory_equal(file.ptr + 24, lm_tokenizer_sha256(t), 32);
    const size_t kinds = (64 + (size + 1) * 4 + 7) / 8 * 8, text = (kinds + size + 7) / 8 * 8;
    assert_int_equal(file.len, text + bytes);
    for (uint32_t id = 0; id < size; id++) {
        const size_t from = little_endian(file.ptr + 64 + 4 * id, 4),
                     to = little_endian(file.ptr + 68 + 4 * id, 4);
        assert_true(
            lm_str_eq((struct lm_str){ file.ptr + text + from, to - from }, lm_tokenizer_bytes(t, id)));
        assert_int_equal(file.ptr[kinds + id] == 3, lm_tokenizer_is_special(t, id));
    }
    lm_buf_release(&file);
    lm_tokenizer_free(t);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    struct lm_tokenizer_config config;
    struct lm_err err = { 0 };
    const struct lm_str text = LM_STR("some text");
    const char *twice[] = { "<a>", "<a>" }, *brief[] = { "a" };
    lm_opt_defaults(&lm_tokenizer_options, &config);
    config.vocab_size = 258;
    assert_int_equal(lm_tokenizer_train(&config, &text, 1, ".", NULL, &err), LM_EINVAL);
    assert_contains(err.text, "vocab-size 258 is too small");
    config.vocab_size = 300;
    assert_int_equal(lm_tokenizer_train(&config, &text, 0, ".", NULL, &err), LM_EINVAL);
    assert_contains(err.text, "no text");
    config.special = (struct lm_opt_list){ twice, 2, 0 };
    assert_int_equal(lm_tokenizer_train(&config, &text, 1, ".", NULL, &err), LM_EINVAL);
    assert_contains(err.text, "'<a>' is listed twice");
    config.special = (struct lm_opt_list){ brief, 1, 0 };
    assert_int_equal(lm_tokenizer_train(&config, &text, 1, ".", NULL, &err), LM_EINVAL);
    assert_contains(err.text, "shorter than 2 bytes");
}

/* One word that fills the text: refused before it is copied or cut, whatever the kind. */
static void a_word_without_end_is_refused(void **state)
{
    (void)state;
    for (int kind = LM_LEARN_BYTES; kind <= LM_LEARN_WORDS; kind++) {
        struct lm_tokenizer_config config = { .vocab_size = 1000,
                                              .frequency_min = 2,
                                              .kind = kind,
                                              .mem_mb = 64,
                                              .word_frequency_min = 1,
                                              .coverage = 1,
                                              .alphabet_max = 100 };
        struct lm_buf text = { 0 }, metrics = { 0 };
        struct lm_err err = { 0 };
        const size_t len = LM_WORD_BYTES_MAX + 1;
        memset(lm_buf_space(&text, len), 'a', len);
        text.len = len;
        const struct lm_str whole = lm_buf_str(&text);
        assert_int_equal(lm_tokenizer_train(&config, &whole, 1, ".", &metrics, &err), LM_ELIMIT);
        assert_contains(err.text, "without blanks");
        lm_buf_release(&text);
        lm_buf_release(&metrics);
    }
}

int main(void)
{
    lm_progress_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_those_of_the_dumb_trainer),
        cmocka_unit_test(words_on_disk_and_in_memory_are_the_same_in_any_order),
        cmocka_unit_test(a_text_counts_as_often_as_its_weight),
        cmocka_unit_test(a_folder_that_cannot_be_written_stops_counting),
        cmocka_unit_test(counts_beyond_32_bits_are_kept),
        cmocka_unit_test(what_would_spell_a_special_token_is_never_merged),
        cmocka_unit_test(one_and_two_threads_write_the_same_bytes),
        cmocka_unit_test(sentencepiece_learns_characters_and_keeps_bytes_for_the_rest),
        cmocka_unit_test(wordpiece_learns_words_without_case_and_accents),
        cmocka_unit_test(the_report_tells_languages_and_sources_apart),
        cmocka_unit_test(vocab_bin_holds_the_bytes_of_every_token),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(a_word_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
