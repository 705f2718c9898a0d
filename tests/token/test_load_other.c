/* Files that are not tokenizer.json: tiktoken, sentencepiece, vocab.json with merges.txt. */
#include "check.h"

#include "base/json.h"
#include "token/load_other.h"

static void refused(enum lm_rc rc, enum lm_rc expected, const struct lm_err *err, const char *message)
{
    assert_int_equal(rc, expected);
    assert_contains(err->text, message);
}

/* ---- tiktoken ---- */

static enum lm_rc tiktoken(const char *file, const char *encoding, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    const enum lm_rc rc = lm_load_tiktoken(lm_str(file), encoding, "x.tiktoken", &json, err);
    lm_buf_release(&json);
    return rc;
}

static void a_tiktoken_file_needs_the_name_of_its_pattern(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_true(lm_load_looks_like_tiktoken(LM_STR("IQ== 0\nIg== 1\n")));
    assert_false(lm_load_looks_like_tiktoken(LM_STR("{\"version\":\"1.0\"}")));
    refused(tiktoken("IQ== 0\n", NULL, &err), LM_EINVAL, &err, "'x.tiktoken:cl100k_base'");
    refused(tiktoken("IQ== 0\n", "cl100k", &err), LM_EINVAL, &err, "known are gpt2, r50k_base");
    refused(tiktoken("IQ== 0\n", "cl100k_base", &err), LM_EFORMAT, &err,
            "1 ranks, but cl100k_base has 100256");
}

static void damaged_tiktoken_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *message;
    } cases[] = {
        { "IQ== 0\nI%== 1\n", "x.tiktoken:2: not a token in base64" },
        { "IQ== 0\nIR== 1\n", "x.tiktoken:2: not a token in base64" },   // bits left over
        { "IQ== 0\nIQ\n", "x.tiktoken:2: not a token in base64" },
        { "IQ== -1\n", "x.tiktoken:1: the rank is outside" },
        { "IQ== 99999999\n", "x.tiktoken:1: the rank is outside" },
        { "IQ== 0\nIg== 0\n", "x.tiktoken:2: the rank or the token is there twice" },
        { "IQ== 0\nIQ== 1\n", "x.tiktoken:2: the rank or the token is there twice" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        refused(tiktoken(cases[i].file, "gpt2", &err), LM_EFORMAT, &err, cases[i].message);
    }
}

static enum lm_rc settings(const char *text, struct lm_err *err)
{
    struct lm_buf json = { 0 };
    const enum lm_rc rc = lm_load_ranks(LM_STR("IQ== 0\nIg== 1\n"), lm_str(text), "x", &json, err);
    lm_buf_release(&json);
    return rc;
}

static void damaged_settings_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "{", "x: line 1: " },
        { "{\"special_tokens\":{}}", "'pat_str', the pattern that cuts text, is missing" },
        { "{\"pat_str\":\"\"}", "'pat_str', the pattern that cuts text, is missing" },
        { "{\"pat_str\":\"a{1,2}+b\"}", "'}+' inside of an alternative" },
        { "{\"pat_str\":\".\",\"special_tokens\":{\"<x>\":-1}}", "an id outside 0.." },
        { "{\"pat_str\":\".\",\"special_tokens\":{\"\":7}}", "an empty token" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_err err = { 0 };
        refused(settings(cases[i].text, &err), LM_EFORMAT, &err, cases[i].message);
    }
    struct lm_err err = { 0 };
    assert_ok_err(settings("{\"pat_str\":\"[$]|\\\\p{L}+|a{2}+|b$\",\"special_tokens\":{\"<x>\":2}}", &err),
                  &err);
}

/* ---- sentencepiece ---- */

static void put_varint(struct lm_buf *b, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        lm_buf_putc(b, (char)(value | 128));
    lm_buf_putc(b, (char)value);
}

static void put_bytes(struct lm_buf *b, uint32_t number, struct lm_str bytes)
{
    put_varint(b, number << 3 | 2);
    put_varint(b, bytes.len);
    lm_buf_add_str(b, bytes);
}

static void put_int(struct lm_buf *b, uint32_t number, int64_t value)
{
    put_varint(b, number << 3);
    put_varint(b, (uint64_t)value);
}

static void put_piece(struct lm_buf *model, struct lm_str text, float score, int type)
{
    struct lm_buf piece = { 0 };
    put_bytes(&piece, 1, text);
    put_varint(&piece, 2 << 3 | 5);
    lm_buf_add(&piece, &score, sizeof(score));
    if (type != 1)
        put_int(&piece, 3, type);
    put_bytes(model, 1, lm_buf_str(&piece));
    lm_buf_release(&piece);
}

#define BLANK "\xe2\x96\x81"

static void put_model(struct lm_buf *ret, int kind, struct lm_str charsmap)
{
    static const char *const pieces[] = { BLANK, "a", "b", "c", "ab", BLANK "ab", "bc" };
    struct lm_buf trainer = { 0 }, normalizer = { 0 };
    put_piece(ret, LM_STR("<unk>"), 0, 2);
    put_piece(ret, LM_STR("<s>"), 0, 3);
    put_piece(ret, LM_STR("</s>"), 0, 3);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        put_piece(ret, lm_str(pieces[i]), -(float)i, 1);
    put_int(&trainer, 3, kind);
    put_int(&trainer, 43, -1);
    put_bytes(ret, 2, lm_buf_str(&trainer));
    put_bytes(&normalizer, 2, charsmap);
    put_int(&normalizer, 4, 0);
    put_bytes(ret, 3, lm_buf_str(&normalizer));
    lm_buf_release(&trainer);
    lm_buf_release(&normalizer);
}

static enum lm_rc spm(struct lm_str file, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts;
    const enum lm_rc rc = lm_load_spm(file, "x.model", &arena, &parts, err);
    lm_arena_release(&arena);
    return rc;
}

static void a_sentencepiece_model_merges_by_score(void **state)
{
    (void)state;
    struct lm_buf model = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    struct lm_tokens tokens = { 0 };
    put_model(&model, 2, LM_STR(""));
    assert_true(lm_load_looks_like_spm(lm_buf_str(&model)));
    assert_int_equal(lm_file_write("small.model", lm_buf_str(&model), NULL), LM_OK);
    assert_ok_err(lm_tokenizer_load("small.model", &t, &err), &err);
    struct lm_encoder *e = lm_encoder_new(t);
    lm_encode_with_specials(e, LM_STR("abc zbc"), false, &tokens);
    const uint32_t expected[] = { 1, 8, 6, 3, 0, 9 };   // <s> _ab c _ <unk> bc: "ab" scores above "bc"
    assert_int_equal(tokens.len, 6);
    assert_memory_equal(tokens.ids, expected, sizeof(expected));
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    lm_buf_release(&model);
}

static void a_sentencepiece_model_of_unigrams_takes_the_best_sum(void **state)
{
    (void)state;
    struct lm_buf model = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    struct lm_tokens tokens = { 0 };
    put_model(&model, 1, LM_STR(""));
    assert_int_equal(lm_file_write("unigram.model", lm_buf_str(&model), NULL), LM_OK);
    assert_ok_err(lm_tokenizer_load("unigram.model", &t, &err), &err);
    struct lm_encoder *e = lm_encoder_new(t);
    lm_encode_with_specials(e, LM_STR("abc zzbc"), false, &tokens);
    const uint32_t expected[] = {
        3, 4, 5, 6, 3, 0, 5, 6
    };   // _ a b c: -6 is above _ab c: -8; zz is one unknown
    assert_int_equal(tokens.len, 8);
    assert_memory_equal(tokens.ids, expected, sizeof(expected));
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    lm_buf_reset(&model);
    t = NULL;
    put_model(&model, 1, LM_STR("trie"));
    assert_int_equal(lm_file_write("unigram.model", lm_buf_str(&model), NULL), LM_OK);
    refused(lm_tokenizer_load("unigram.model", &t, &err), LM_EFORMAT, &err,
            "precompiled_charsmap is cut off");
    lm_buf_release(&model);
}

static void other_sentencepiece_models_are_refused_by_name(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    struct lm_buf words = { 0 }, normal = { 0 }, cut = { 0 };
    put_model(&words, 3, LM_STR(""));
    refused(spm(lm_buf_str(&words), &err), LM_EFORMAT, &err, "is of words or characters");
    put_model(&normal, 2, LM_STR("trie"));
    struct lm_tokenizer *t = NULL;
    assert_int_equal(lm_file_write("mapped.model", lm_buf_str(&normal), NULL), LM_OK);
    refused(lm_tokenizer_load("mapped.model", &t, &err), LM_EFORMAT, &err, "precompiled_charsmap is cut off");
    struct lm_buf user = { 0 };
    put_model(&user, 2, LM_STR("trie"));
    put_piece(&user, LM_STR("<sep>"), 0, 4);
    assert_int_equal(lm_file_write("mapped.model", lm_buf_str(&user), NULL), LM_OK);
    refused(lm_tokenizer_load("mapped.model", &t, &err), LM_EFORMAT, &err,
            "piece 10, '<sep>', is user-defined");
    lm_buf_release(&user);
    for (size_t len = 0; len < normal.len; len++) {   // a file cut between fields is a model with fewer
        err = (struct lm_err){ 0 };
        assert_true((spm((struct lm_str){ normal.ptr, len }, &err) == LM_OK) != (err.text[0] != 0));
    }
    refused(spm((struct lm_str){ normal.ptr, normal.len - 1 }, &err), LM_EFORMAT, &err, "or a damaged one");
    char *long_piece = lm_zalloc(1 << 20, 1);
    put_piece(&cut, (struct lm_str){ long_piece, 1 << 20 }, 0, 1);
    refused(spm(lm_buf_str(&cut), &err), LM_ELIMIT, &err, "piece 0 has 1048576 bytes, more than 4096");
    free(long_piece);
    lm_buf_release(&words);
    lm_buf_release(&normal);
    lm_buf_release(&cut);
}

/* ---- vocab.json and merges.txt ---- */

static void write_text(const char *path, const struct lm_buf *text)
{
    assert_int_equal(lm_file_write(path, lm_buf_str(text), NULL), LM_OK);
}

static void vocab_json_and_merges_txt_are_a_tokenizer(void **state)
{
    (void)state;
    struct lm_buf vocab = { 0 }, merges = { 0 };
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_tokens tokens = { 0 };
    assert_int_equal(lm_dir_make("pair", NULL), LM_OK);
    lm_buf_putc(&vocab, '{');
    for (size_t i = 0; i < 256; i++) {
        const char byte = (char)lm_byte_in_order(i);
        struct lm_buf text = { 0 };
        lm_bytes_to_text((struct lm_str){ &byte, 1 }, &text);
        lm_json_sep(&vocab);
        lm_json_str(&vocab, lm_buf_str(&text));
        lm_buf_printf(&vocab, ":%zu", i);
        lm_buf_release(&text);
    }
    lm_buf_puts(&vocab, ",\"ab\":256,\"abc\":257,\"<|endoftext|>\":258}\n");
    lm_buf_puts(&merges, "#version: 0.2\na b\r\nab c\n");
    write_text("pair/vocab.json", &vocab);
    write_text("pair/merges.txt", &merges);
    assert_ok_err(lm_tokenizer_load("pair", &t, &err), &err);
    struct lm_encoder *e = lm_encoder_new(t);
    lm_encode(e, LM_STR("abc<|endoftext|>ab"), true, &tokens);
    const uint32_t expected[] = { 257, 258, 256 };
    assert_int_equal(tokens.len, 3);
    assert_memory_equal(tokens.ids, expected, sizeof(expected));
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    lm_buf_reset(&merges);
    lm_buf_puts(&merges, "#version: 0.2\na b\nab\n");
    write_text("pair/merges.txt", &merges);
    refused(lm_tokenizer_load("pair", &t, &err), LM_EFORMAT, &err, "pair/merges.txt:3: not two tokens");
    lm_buf_release(&vocab);
    lm_buf_release(&merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiktoken_file_needs_the_name_of_its_pattern),
        cmocka_unit_test(damaged_tiktoken_lines_are_named),
        cmocka_unit_test(damaged_settings_are_named),
        cmocka_unit_test(a_sentencepiece_model_merges_by_score),
        cmocka_unit_test(a_sentencepiece_model_of_unigrams_takes_the_best_sum),
        cmocka_unit_test(other_sentencepiece_models_are_refused_by_name),
        cmocka_unit_test(vocab_json_and_merges_txt_are_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
