/* WordPiece: against Hugging Face, over all code points, and by the rule as dumb as possible. */
#include "check.h"

#include "base/hash.h"
#include "parts_file.h"
#include "text/text.h"
#include "token/normal.h"
#include "token/words.h"

/* The options of BertNormalizer that the golden files have vectors for. */
static const struct variant {
    const char *key, *find, *put;
    bool lowercase, strip;
} variants[] = {
    { "strings", "", "", false, false },
    { "true-null", "\"lowercase\":false", "\"lowercase\":true ", true, true },
    { "true-false", "\"strip_accents\":null,\"lowercase\":false",
      "\"strip_accents\":false,\"lowercase\":true", true, false },
    { "false-true", "\"strip_accents\":null", "\"strip_accents\":true", false, true },
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

/* The golden file with one place changed; NULL and the message when it is refused. */
static struct lm_tokenizer *load_changed(const char *find, const char *put, struct lm_err *err)
{
    struct lm_buf file = { 0 }, changed = { 0 };
    struct lm_tokenizer *t = NULL;
    assert_int_equal(lm_file_read(GOLDEN "bert.tokenizer.json", 1 << 20, &file, NULL), LM_OK);
    const ptrdiff_t at = lm_str_find(lm_buf_str(&file), lm_str(find));
    if (at < 0)
        fail_msg("no %s in the file", find);
    lm_buf_add(&changed, file.ptr, (size_t)at);
    lm_buf_puts(&changed, put);
    lm_buf_puts(&changed, file.ptr + (size_t)at + strlen(find));
    lm_tokenizer_parse(lm_buf_str(&changed), "x.json", &t, err);
    lm_buf_release(&file);
    lm_buf_release(&changed);
    return t;
}

static void check_vector(struct lm_encoder *e, const struct lm_tokenizer *t, const json_t *vector)
{
    const json_t *ids = json_object_get(vector, "ids");
    struct lm_tokens got = { 0 };
    struct lm_buf text = { 0 }, streamed = { 0 };
    struct lm_decode_stream stream = { 0 };
    lm_encode_with_specials(e, parts_text(json_object_get(vector, "text")), true, &got);
    assert_int_equal(got.len, json_array_size(ids));
    for (size_t i = 0; i < got.len; i++) {
        assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, i)));
        lm_decode_step(t, &stream, got.ids[i], true, &streamed);
    }
    lm_decode_end(&stream, &streamed);
    assert_int_equal(lm_decode(t, got.ids, got.len, true, &text, NULL), LM_OK);
    assert_true(lm_str_eq(lm_buf_str(&text), parts_text(json_object_get(vector, "decoded"))));
    assert_true(lm_str_eq(lm_buf_str(&text), lm_buf_str(&streamed)));
    lm_buf_release(&text);
    lm_buf_release(&streamed);
    lm_tokens_release(&got);
}

static void ids_and_texts_are_those_of_hugging_face(void **state)
{
    (void)state;
    json_t *file = json_load_file(GOLDEN "bert.vectors.json", JSON_ALLOW_NUL, NULL);
    for (size_t v = 0; v < VARIANTS; v++) {
        const json_t *strings = json_object_get(file, variants[v].key);
        struct lm_err err = { 0 };
        struct lm_tokenizer *t = load_changed(variants[v].find, variants[v].put, &err);
        struct lm_encoder *e = lm_encoder_new(t);
        assert_true(json_array_size(strings) >= 80);
        for (size_t pass = 0; pass < 2; pass++)   // the second time from the cache
            for (size_t i = 0; i < json_array_size(strings); i++)
                check_vector(e, t, json_array_get(strings, i));
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    json_decref(file);
}

/* ---- every code point ---- */

static size_t put_utf8(uint32_t cp, char *ret)
{
    if (cp < 0x80)
        return ret[0] = (char)cp, 1;
    const size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6)
        ret[i] = (char)(0x80 | (cp & 0x3f));
    ret[0] = (char)((0xf00 >> len & 0xf0) | cp);
    return len;
}

/* Of a c b.  A piece carries the blanks before its word: when there are two, c is one and the word is "b". */
static struct lm_str cut_into_words(struct lm_str text, struct lm_buf *ret)
{
    uint32_t ends[8];
    size_t at = 0, start = 0;
    lm_buf_reset(ret);
    const size_t count = lm_pretoken_scan(&lm_grammar_bert, text, &at, ends, 8);
    for (size_t i = 0; i < count; start = ends[i++]) {
        if (count == 2 && i == 1)
            start = text.len - 1;
        lm_buf_add(ret, text.ptr + start, ends[i] - start);
        lm_buf_putc(ret, ' ');
    }
    return lm_buf_str(ret);
}

static void check_sum(const json_t *sums, const char *key, struct lm_sha256 *sha)
{
    uint8_t digest[LM_SHA256_BYTES];
    char hex[2 * LM_SHA256_BYTES + 1];
    lm_sha256_end(sha, digest);
    lm_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, json_string_value(json_object_get(sums, key)));
}

static void every_code_point_is_normalised_as_hugging_face_does(void **state)
{
    (void)state;
    json_t *sums = json_load_file(GOLDEN "bert.sha256.json", 0, NULL);
    struct lm_buf buf = { 0 };
    for (size_t v = 0; v < VARIANTS; v++) {
        const struct lm_word_rules rules = { .clean = true,
                                             .han_apart = true,
                                             .lowercase = variants[v].lowercase,
                                             .strip_accents = variants[v].strip };
        struct lm_sha256 sha;
        lm_sha256_init(&sha);
        for (uint32_t cp = 0; cp < 0x110000; cp += cp == 0xd7ff ? 0x801 : 1) {
            char text[8] = "a";
            const size_t len = put_utf8(cp, text + 1);
            text[1 + len] = 'b';
            const struct lm_str normal = lm_words_normal(&rules, (struct lm_str){ text, len + 2 }, &buf);
            lm_sha256_add(&sha, normal.ptr, normal.len);
            lm_sha256_add(&sha, "\n", 1);
        }
        check_sum(sums, variants[v].key, &sha);
    }
    lm_buf_release(&buf);
    json_decref(sums);
}

/* Of marks that stay and of notes, which come apart into such, the decomposed form leaves nothing out. */
static void marks_have_the_order_of_the_decomposed_form(void **state)
{
    (void)state;
    static const uint32_t pool[] = { 'x',    0x11446, 0x1e94a, 0x1b44, 0xa953,  0x1134d, 0x1d165, 0x1d172,
                                     0x302e, 0x1d16d, 0x8d4,   0x1dfb, 0x1e02a, 0x1d15e, 0x1d1c0, 0x4e2d };
    const struct lm_word_rules rules = { .strip_accents = true };
    struct lm_buf text = { 0 }, one = { 0 }, two = { 0 };
    uint64_t seed = 7;
    for (size_t n = 0; n < 20000; n++) {
        lm_buf_reset(&text);
        for (size_t len = n % 9; len > 0; len--) {
            char bytes[4];
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            lm_buf_add(&text, bytes, lm_utf8_put(pool[seed >> 60], bytes));
        }
        const struct lm_str bare = lm_words_normal(&rules, lm_buf_str(&text), &one);
        const struct lm_str form = lm_token_form(LM_FORM_NFD, lm_buf_str(&text), &two);
        assert_int_equal(bare.len, form.len);
        assert_int_equal(bare.len ? memcmp(bare.ptr, form.ptr, bare.len) : 0, 0);
    }
    lm_buf_release(&text);
    lm_buf_release(&one);
    lm_buf_release(&two);
}

static void every_code_point_cuts_as_hugging_face_does(void **state)
{
    (void)state;
    json_t *sums = json_load_file(GOLDEN "bert.sha256.json", 0, NULL);
    struct lm_buf buf = { 0 };
    struct lm_sha256 sha;
    lm_sha256_init(&sha);
    for (uint32_t cp = 0; cp < 0x110000; cp += cp == 0xd7ff ? 0x801 : 1) {
        char text[8] = "a";
        const size_t len = put_utf8(cp, text + 1);
        text[1 + len] = 'b';
        const struct lm_str words = cut_into_words((struct lm_str){ text, len + 2 }, &buf);
        lm_sha256_add(&sha, words.ptr, words.len);
        lm_sha256_add(&sha, "\n", 1);
    }
    check_sum(sums, "cut", &sha);
    lm_buf_release(&buf);
    json_decref(sums);
}

/* ---- the rule as dumb as possible ---- */

static uint32_t find_token(const json_t *vocab, const char *prefix, const char *text, size_t len)
{
    char token[64];
    snprintf(token, sizeof(token), "%s%.*s", prefix, (int)len, text);
    const json_t *id = json_object_get(vocab, token);
    return id ? (uint32_t)json_integer_value(id) : UINT32_MAX;
}

/* One word; what is no whole character is no token either. */
static size_t encode_naively(const json_t *vocab, const char *word, size_t len, uint32_t *ret)
{
    size_t count = 0;
    for (size_t at = 0; at < len; count++) {
        size_t end = len;
        while (end > at &&
               (ret[count] = find_token(vocab, at ? "##" : "", word + at, end - at)) == UINT32_MAX)
            end--;
        if (end == at) {
            ret[0] = 1;   // [UNK]
            return 1;
        }
        at = end;
    }
    return count;
}

enum { LEN_MAX = 60 };

static size_t random_letters(struct lm_rng *rng, char *ret)
{
    static const char letters[] = "helowrdthiinaeWHZ";
    const size_t len = 1 + lm_rng_below(rng, 24);
    for (size_t i = 0; i < len; i++)
        ret[i] = letters[lm_rng_below(rng, sizeof(letters) - 1)];
    return len;
}

/* Neither changed by the normaliser nor cut. */
static bool is_one_word(struct lm_str text)
{
    static const struct lm_word_rules rules = { .clean = true, .han_apart = true };
    struct lm_buf buf = { 0 };
    uint32_t ends[2] = { 0 };
    size_t at = 0;
    const bool same = lm_str_eq(lm_words_normal(&rules, text, &buf), text);
    lm_pretoken_scan(&lm_grammar_bert, text, &at, ends, 2);
    lm_buf_release(&buf);
    return same && ends[0] == text.len && *text.ptr != ' ';
}

/* Two tokens behind each other, so that the longest ones occur too. */
static size_t two_tokens(struct lm_rng *rng, const struct lm_tokenizer *t, char *ret)
{
    size_t len;
    do {
        len = 0;
        for (size_t i = 0; i < 2; i++) {
            const struct lm_str token =
                lm_tokenizer_bytes(t, (uint32_t)lm_rng_below(rng, lm_tokenizer_vocab_size(t)));
            const size_t fits = len + token.len <= LEN_MAX ? token.len : 0;
            memcpy(ret + len, token.ptr, fits);
            len += fits;
        }
    } while (len == 0 || !is_one_word((struct lm_str){ ret, len }));
    return len;
}

static void words_follow_the_rule(void **state)
{
    (void)state;
    json_t *file = json_load_file(GOLDEN "bert.tokenizer.json", 0, NULL);
    const json_t *vocab = json_object_get(json_object_get(file, "model"), "vocab");
    struct lm_tokenizer *t = golden_tokenizer("bert");
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_rng rng = lm_rng_make(21, 0);
    struct lm_tokens got = { 0 };
    for (size_t round = 0; round < 6000; round++) {
        char word[LEN_MAX];
        uint32_t want[LEN_MAX];
        const size_t len = round % 2 ? random_letters(&rng, word) : two_tokens(&rng, t, word);
        const size_t count = encode_naively(vocab, word, len, want);
        got.len = 0;
        lm_encode(e, (struct lm_str){ word, len }, false, &got);
        assert_int_equal(got.len, count);
        assert_memory_equal(got.ids, want, count * sizeof(*want));
    }
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    json_decref(file);
}

/* ---- the same vocabulary in other files ---- */

static struct lm_str vocab_text(const json_t *vocab, struct lm_buf *ret)
{
    const size_t count = json_object_size(vocab);
    const char *token;
    json_t *id;
    const char **tokens = lm_zalloc(count, sizeof(*tokens));
    json_object_foreach((json_t *)vocab, token, id) tokens[json_integer_value(id)] = token;
    for (size_t i = 0; i < count; i++) {
        lm_buf_puts(ret, tokens[i]);
        lm_buf_puts(ret, i % 2 ? "\n" : "\r\n");
    }
    free(tokens);
    return lm_buf_str(ret);
}

static void write_file(const char *dir, const char *name, struct lm_str content)
{
    struct lm_err err = { 0 };
    LM_FREE char *path = lm_path_join(dir, name);
    assert_ok_err(lm_file_write(path, content, &err), &err);
}

static void check_variant(const struct lm_tokenizer *t, const char *key)
{
    json_t *file = json_load_file(GOLDEN "bert.vectors.json", JSON_ALLOW_NUL, NULL);
    const json_t *strings = json_object_get(file, key);
    struct lm_encoder *e = lm_encoder_new(t);
    for (size_t i = 0; i < json_array_size(strings); i++)
        check_vector(e, t, json_array_get(strings, i));
    lm_encoder_free(e);
    json_decref(file);
}

static void a_folder_with_vocab_txt_means_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *config, *key;
    } cases[] = {
        { "{\"do_lower_case\":false}", "strings" },
        { "{}", "true-null" },
        { "{\"do_lower_case\":true,\"strip_accents\":false}", "true-false" },
        { "{\"do_lower_case\":false,\"strip_accents\":true,\"cls_token\":\"[CLS]\"}", "false-true" },
    };
    char dir[] = "/tmp/loom-words-XXXXXX";
    assert_non_null(mkdtemp(dir));
    json_t *file = json_load_file(GOLDEN "bert.tokenizer.json", 0, NULL);
    struct lm_buf text = { 0 };
    struct lm_err err = { 0 };
    write_file(dir, "vocab.txt", vocab_text(json_object_get(json_object_get(file, "model"), "vocab"), &text));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_tokenizer *t = NULL;
        write_file(dir, "tokenizer_config.json", lm_str(cases[i].config));
        assert_ok_err(lm_tokenizer_load(dir, &t, &err), &err);
        check_variant(t, cases[i].key);
        lm_tokenizer_free(t);
    }
    struct lm_tokenizer *t = NULL;
    write_file(dir, "vocab.txt", LM_STR("[UNK]\n\n[CLS]\n"));
    assert_int_equal(lm_tokenizer_load(dir, &t, &err), LM_EFORMAT);
    assert_contains(err.text, "vocab.txt: line 2 is empty");
    assert_ok_err(lm_path_remove(dir, &err), &err);
    lm_buf_release(&text);
    json_decref(file);
}

static void the_way_to_gguf_and_back_keeps_all(void **state)
{
    (void)state;
    static const struct lm_str first = { "\xe2\x96\x81"
                                         "a",
                                         4 };
    struct lm_tokenizer *t = golden_tokenizer("bert"), *again = NULL;
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts;
    struct lm_err err = { 0 };
    bool starts = false, inside = false;
    assert_ok_err(lm_tokenizer_to_parts(t, &arena, &parts, &err), &err);
    assert_true(lm_str_eq(parts.model, LM_STR("bert")));
    assert_int_equal(parts.cls_id, 2);
    assert_int_equal(parts.sep_id, 3);
    assert_int_equal(parts.unk_id, 1);
    for (size_t i = 0; i < parts.token_count;
         i++) {   // GGUF's spelling: U+2581 starts a word, ## is left out
        starts |= lm_str_eq(parts.tokens[i], first);
        inside |= lm_str_eq(parts.tokens[i], LM_STR("a"));
        assert_false(lm_str_eq(parts.tokens[i], LM_STR("##a")));
    }
    assert_true(starts && inside);
    assert_ok_err(lm_tokenizer_from_parts(&parts, "x.gguf", &again, &err), &err);
    check_variant(again, "strings");
    assert_true(lm_str_eq(lm_tokenizer_bytes(again, 5), lm_tokenizer_bytes(t, 5)));
    lm_tokenizer_free(again);
    lm_arena_release(&arena);
    lm_tokenizer_free(t);
}

static void what_gguf_cannot_say_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *message;
    } cases[] = {
        { "\"lowercase\":false", "\"lowercase\":true", "lower-cased" },   // there are capitals
        { "\"strip_accents\":null", "\"strip_accents\":true", "accents" },
        { "\"clean_text\":true", "\"clean_text\":false", "not cleaned" },
        { "\"max_input_chars_per_word\":100", "\"max_input_chars_per_word\":99", "how long a word may be" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        struct lm_arena arena = { 0 };
        struct lm_tokenizer_parts parts;
        struct lm_tokenizer *t = load_changed(cases[i].find, cases[i].put, &err);
        assert_non_null(t);
        assert_int_equal(lm_tokenizer_to_parts(t, &arena, &parts, &err), LM_EINVAL);
        assert_contains(err.text, "GGUF cannot say");
        assert_contains(err.text, cases[i].message);
        lm_arena_release(&arena);
        lm_tokenizer_free(t);
    }
}

/* ---- hostile text, refusals ---- */

static void a_megabyte_without_blanks_takes_no_quadratic_time(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    struct lm_tokenizer *t = golden_tokenizer("bert");
    struct lm_encoder *e = lm_encoder_new(t);
    LM_FREE char *text = lm_alloc(LEN);
    struct lm_tokens got = { 0 };
    memset(text, 'l', LEN);
    lm_encode(e, (struct lm_str){ text, LEN }, false, &got);
    assert_int_equal(got.len, 1);   // longer than a word may be
    assert_int_equal(got.ids[0], 1);
    memset(text, '!', LEN);
    got.len = 0;
    lm_encode(e, (struct lm_str){ text, LEN }, false, &got);
    assert_int_equal(got.len, LEN);
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void text_becomes_a_special_token_only_when_allowed(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("bert");
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens got = { 0 };
    lm_encode(e, LM_STR("[CLS][MASK]"), true, &got);
    assert_int_equal(got.len, 2);
    assert_int_equal(got.ids[0], 2);
    got.len = 0;
    lm_encode(e, LM_STR("[CLS][MASK]"), false, &got);
    for (size_t i = 0; i < got.len; i++)
        assert_true(got.ids[i] == 1 || !lm_tokenizer_is_special(t, got.ids[i]));
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *message;
    } cases[] = {
        { "\"type\":\"BertNormalizer\"", "\"type\":\"Lowerbound\"", "normalizer 'Lowerbound'" },
        { "\"type\":\"BertPreTokenizer\"", "\"type\":\"Whitepaper\"", "pre_tokenizer 'Whitepaper'" },
        { "\"type\":\"TemplateProcessing\"", "\"type\":\"Template\"", "post_processor 'Template'" },
        { "\"post_processor\":",
          "\"post_processor\":{\"type\":\"Sequence\",\"processors\":["
          "{\"type\":\"BertProcessing\",\"sep\":[\"a\",1],\"cls\":[\"b\",2]},"
          "{\"type\":\"BertProcessing\",\"sep\":[\"a\",1],\"cls\":[\"b\",2]}]},\"truncation\":",
          "that another component has added" },
        { "\"SpecialToken\":{\"id\":\"[CLS]\"", "\"SpecialToken\":{\"id\":\"[XXX]\"", "item 0 of 'single'" },
        { "\"ids\":[3]", "\"ids\":[9999]", "id 9999 is not in the vocabulary" },
        { "\"decoder\":{\"type\":\"WordPiece\"", "\"decoder\":{\"type\":\"Megaspace\"",
          "decoder 'Megaspace'" },
        { "\"continuing_subword_prefix\":\"##\"", "\"continuing_subword_prefix\":\"@@@@@@@@@@@@@@@@@@@@\"",
          "20 bytes" },
        { "\"max_input_chars_per_word\":100", "\"max_input_chars_per_word\":-1", "outside 0.." },
        { "\"unk_token\":\"[UNK]\"", "\"unk_token\":\"[NOT]\"", "unk_token is not a token" },
        { "\"unk_token\":\"[UNK]\",", "", "no unk_token" },
        { "\"model\":{\"type\":\"WordPiece\"", "\"model\":{\"type\":\"Trigram\"", "type = \"Trigram\"" },
        { "\"vocab\"", "\"words\"", "unknown key 'words' in the model" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        struct lm_tokenizer *t = load_changed(cases[i].find, cases[i].put, &err);
        if (t)
            fail_msg("loaded in spite of %s", cases[i].put);
        assert_contains(err.text, "x.json");
        assert_contains(err.text, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_texts_are_those_of_hugging_face),
        cmocka_unit_test(every_code_point_is_normalised_as_hugging_face_does),
        cmocka_unit_test(marks_have_the_order_of_the_decomposed_form),
        cmocka_unit_test(every_code_point_cuts_as_hugging_face_does),
        cmocka_unit_test(words_follow_the_rule),
        cmocka_unit_test(a_folder_with_vocab_txt_means_the_same),
        cmocka_unit_test(the_way_to_gguf_and_back_keeps_all),
        cmocka_unit_test(what_gguf_cannot_say_is_refused),
        cmocka_unit_test(a_megabyte_without_blanks_takes_no_quadratic_time),
        cmocka_unit_test(text_becomes_a_special_token_only_when_allowed),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
