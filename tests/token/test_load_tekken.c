/* Mistral's tekken.json.  Real files are read beside mistral-common by
 * tests/interop/check_tokenizer_mistral.py. */
#include "check.h"

#include "base/base64.h"
#include "token/load_other.h"

#define CONFIG                                                                                               \
    "\"config\":{\"pattern\":\"\\\\p{L}+|\\\\s+|.\",\"default_vocab_size\":262,\"default_num_special_"       \
    "tokens\":4}"
#define TWO_NAMED                                                                                            \
    "\"special_tokens\":[{\"rank\":2,\"token_str\":\"</s>\"},{\"rank\":1,\"token_str\":\"<s>\"}]"

/* The 256 bytes, then "ab", "abc", and one token more than the vocabulary has; more: keys before it. */
static void put_file(struct lm_buf *ret, const char *more, const char *behind)
{
    static const char *const words[] = { "ab", "abc", "abcd" };
    lm_buf_printf(ret, "{%s\"vocab\":[", more);
    for (size_t rank = 0; rank < 259; rank++) {
        const char byte = (char)rank;
        lm_buf_printf(ret, "%s{\"rank\":%zu,\"token_str\":null,\"token_bytes\":\"", rank ? "," : "", rank);
        lm_base64_put(rank < 256 ? (struct lm_str){ &byte, 1 } : lm_str(words[rank - 256]), ret);
        lm_buf_puts(ret, "\"}");
    }
    lm_buf_printf(ret, "]%s}", behind);
}

static enum lm_rc load(const char *more, const char *behind, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_buf file = { 0 }, json = { 0 };
    put_file(&file, more, behind);
    assert_true(lm_load_looks_like_tekken(lm_buf_str(&file)) || !strstr(file.ptr, "config"));
    enum lm_rc rc = lm_load_tekken(lm_buf_str(&file), "tekken.json", &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_take(&json, "tekken.json", true, ret, err);
    lm_buf_release(&file);
    lm_buf_release(&json);
    return rc;
}

static void ranks_stand_behind_the_special_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *more, *behind, *third;
    } cases[] = {
        { CONFIG ",", "", "[INST]" },
        { CONFIG "," TWO_NAMED ",", ",\"image\":{\"x\":[1]}", "<SPECIAL_3>" },
        { "\"type\":\"Tekken\",", "," TWO_NAMED "," CONFIG, "<SPECIAL_3>" },   // any order
    };
    static const uint32_t expected[] = { 4 + 257, 4 + ' ', 4 + 256, 4 + 'd', 4 + 'x' };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        struct lm_tokens tokens = { 0 };
        assert_ok_err(load(cases[i].more, cases[i].behind, &t, &err), &err);
        assert_int_equal(lm_tokenizer_vocab_size(t), 262);
        assert_true(lm_str_eq(lm_tokenizer_bytes(t, 3), lm_str(cases[i].third)));
        assert_int_equal(lm_tokenizer_end_of_text(t), 2);
        struct lm_encoder *e = lm_encoder_new(t);
        lm_encode(e, LM_STR("abc abdx"), false, &tokens);
        assert_int_equal(tokens.len, 5);
        assert_memory_equal(tokens.ids, expected, sizeof(expected));
        tokens.len = 0;
        lm_encode(e, LM_STR("a<s>"), false, &tokens);   // text stays text
        assert_int_equal(tokens.len, 4);
        lm_tokens_release(&tokens);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
}

static void damaged_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *more, *behind, *message;
    } cases[] = {
        { "", "", "tekken.json: 'config' must have pattern" },
        { "\"config\":{\"pattern\":\".\"},", "", "'config' must have pattern" },
        { "\"config\":{\"pattern\":\"a{1,2}+b\"},", "", "'}+' inside of an alternative" },
        { "\"config\":{\"default_vocab_size\":-1},", "", "the number is not in 0.." },
        { "\"config\":[],", "", "expected an object" },
        { "\"config\":{\"pattern\":\".\",\"default_vocab_size\":300,\"default_num_special_tokens\":4},", "",
          "'vocab' has 259 of the 296 ranks" },
        { CONFIG ",\"special_tokens\":[{\"rank\":4,\"token_str\":\"<s>\"}],", "",
          "special token 4 is there twice, or none of 4" },
        { CONFIG ",\"special_tokens\":[{\"rank\":1}],", "", "an entry without 'rank' or 'token_str'" },
        { CONFIG ",\"special_tokens\":[1],", "", "expected an object of the list" },
        { CONFIG ",", ",\"vocab\":[{\"rank\":7,\"token_bytes\":\"////\"}]",
          "rank 7: the rank or the token is there twice" },
        { CONFIG ",", ",\"vocab\":[{\"rank\":7,\"token_bytes\":\"/\"}]",
          "rank 7: the token is not in base64" },
        { CONFIG ",", "}", "expected the end" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        assert_int_equal(load(cases[i].more, cases[i].behind, &t, &err), LM_EFORMAT);
        assert_contains(err.text, cases[i].message);
    }
    assert_false(lm_load_looks_like_tekken(LM_STR("{\"version\":\"1.0\",\"config\":{}}")));
    assert_false(lm_load_looks_like_tekken(LM_STR("{\"a\":")));
    assert_false(lm_load_looks_like_tekken(LM_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_stand_behind_the_special_tokens),
        cmocka_unit_test(damaged_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
