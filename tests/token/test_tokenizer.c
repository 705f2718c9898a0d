/* Loading, encoding, decoding: against Hugging Face's ids, and by what must hold for any text. */
#include "check.h"

#include <jansson.h>

static const char *const names[] = { "gpt2", "llama3", "smollm", "qwen2", "several_ways" };
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void check_vector(struct lm_encoder *e, const json_t *vector)
{
    const json_t *text = json_object_get(vector, "text"), *ids = json_object_get(vector, "ids");
    struct lm_tokens got = { 0 };
    lm_encode(e, (struct lm_str){ json_string_value(text), json_string_length(text) }, true, &got);
    assert_int_equal(got.len, json_array_size(ids));
    for (size_t i = 0; i < got.len; i++)
        assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, i)));
    lm_tokens_release(&got);
}

static void ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        struct lm_encoder *e = lm_encoder_new(t);
        char path[512];
        snprintf(path, sizeof(path), GOLDEN "%s.vectors.json", names[n]);
        json_t *file = json_load_file(path, JSON_ALLOW_NUL, NULL),
               *strings = json_object_get(file, "strings");
        assert_true(json_array_size(strings) >= 50);
        for (size_t pass = 0; pass < 2; pass++)   // the second time from the cache
            for (size_t i = 0; i < json_array_size(strings); i++)
                check_vector(e, json_array_get(strings, i));
        json_decref(file);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(3, 0);
    struct lm_buf text = { 0 }, back = { 0 };
    for (size_t n = 0; n < NAMES; n++) {
        if (strcmp(names[n], "qwen2") == 0)
            continue;   // normalises
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        struct lm_encoder *e = lm_encoder_new(t);
        for (size_t round = 0; round < 1500; round++) {
            random_text(&rng, 40, &text);
            for (size_t i = 0; round % 2 && i < text.len; i++)
                if (lm_rng_below(&rng, 4) == 0)
                    text.ptr[i] = (char)lm_rng_below(&rng, 256);
            struct lm_tokens tokens = { 0 };
            lm_encode(e, lm_buf_str(&text), false, &tokens);
            lm_buf_reset(&back);
            assert_int_equal(lm_decode(t, tokens.ids, tokens.len, false, &back, NULL), LM_OK);
            assert_true(lm_str_eq(lm_buf_str(&back), lm_buf_str(&text)));
            lm_tokens_release(&tokens);
        }
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    lm_buf_release(&text);
    lm_buf_release(&back);
}

static void pieces_that_differ_in_their_last_byte_are_not_confused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("llama3");
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_buf text = { 0 }, back = { 0 };
    struct lm_tokens tokens = { 0 };
    for (size_t len = 1; len < 600; len += len < 40 ? 1 : 37)   // on both sides of every limit of the cache
        for (char last = 'a'; last <= 'z'; last++) {
            for (size_t i = 1; i < len; i++)
                lm_buf_putc(&text, 'x');
            lm_buf_putc(&text, last);
            lm_buf_putc(&text, '\n');
        }
    for (size_t pass = 0; pass < 2; pass++) {
        tokens.len = back.len = 0;
        lm_encode(e, lm_buf_str(&text), false, &tokens);
        assert_int_equal(lm_decode(t, tokens.ids, tokens.len, false, &back, NULL), LM_OK);
        assert_true(lm_str_eq(lm_buf_str(&back), lm_buf_str(&text)));
    }
    lm_buf_release(&text);
    lm_buf_release(&back);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void a_used_encoder_gives_what_a_new_one_gives(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("llama3");
    struct lm_encoder *used = lm_encoder_new(t);
    struct lm_rng rng = lm_rng_make(4, 0);
    struct lm_buf text = { 0 };
    for (size_t round = 0; round < 300; round++) {   // enough different pieces to grow the cache
        random_text(&rng, 300, &text);
        for (size_t i = 0; i < 20; i++) {   // and pieces too long for a key
            const size_t len = 10 + lm_rng_below(&rng, 30);
            lm_buf_putc(&text, ' ');
            for (size_t k = 0; k < len; k++)
                lm_buf_putc(&text, (char)('a' + lm_rng_below(&rng, k < 16 ? 26 : 2)));
        }
        struct lm_encoder *fresh = lm_encoder_new(t);
        struct lm_tokens a = { 0 }, b = { 0 };
        for (size_t pass = 0; pass < 2; pass++) {
            a.len = b.len = 0;
            lm_encode(used, lm_buf_str(&text), false, &a);
            lm_encode(fresh, lm_buf_str(&text), false, &b);
            assert_int_equal(a.len, b.len);
            if (a.len > 0)
                assert_memory_equal(a.ids, b.ids, a.len * sizeof(*a.ids));
        }
        lm_encoder_free(fresh);
        lm_tokens_release(&a);
        lm_tokens_release(&b);
    }
    lm_buf_release(&text);
    lm_encoder_free(used);
    lm_tokenizer_free(t);
}

static void text_becomes_a_special_token_only_when_allowed(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    struct lm_encoder *e = lm_encoder_new(t);
    const struct lm_str text = LM_STR("a<|im_end|><|endoftext|>b<|im_end");
    struct lm_tokens got = { 0 };
    lm_encode(e, text, false, &got);
    for (size_t i = 0; i < got.len; i++)
        assert_false(lm_tokenizer_is_special(t, got.ids[i]));
    got.len = 0;
    lm_encode(e, text, true, &got);
    uint32_t im_end = 0, end = 0;
    assert_true(lm_tokenizer_find(t, LM_STR("<|im_end|>"), &im_end));
    assert_true(lm_tokenizer_find(t, LM_STR("<|endoftext|>"), &end));
    assert_false(lm_tokenizer_find(t, LM_STR("a"), &end));
    assert_int_equal(got.ids[1], im_end);
    assert_int_equal(got.ids[2], end);
    assert_int_equal(end, lm_tokenizer_end_of_text(t));

    struct lm_buf back = { 0 };
    assert_int_equal(lm_decode(t, got.ids, got.len, true, &back, NULL), LM_OK);
    assert_string_equal(back.ptr, "ab<|im_end");
    lm_buf_release(&back);
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void streaming_gives_whole_characters_and_in_the_end_everything(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_rng rng = lm_rng_make(5, 0);
    struct lm_buf text = { 0 }, out = { 0 };
    for (size_t round = 0; round < 500; round++) {
        random_text(&rng, 30, &text);
        struct lm_tokens tokens = { 0 };
        lm_encode(e, lm_buf_str(&text), false, &tokens);
        struct lm_decode_stream stream = { 0 };
        lm_buf_reset(&out);
        for (size_t i = 0; i < tokens.len; i++) {
            lm_decode_step(t, &stream, tokens.ids[i], false, &out);
            assert_true(stream.held_len < 4);
            /* What is out starts the text and ends at a character. */
            assert_true(lm_str_starts(lm_buf_str(&text), lm_buf_str(&out)));
            assert_true(out.len == text.len || ((unsigned char)text.ptr[out.len] & 0xc0) != 0x80);
        }
        lm_decode_end(&stream, &out);
        assert_true(lm_str_eq(lm_buf_str(&text), lm_buf_str(&out)));
        lm_tokens_release(&tokens);
    }
    lm_buf_release(&text);
    lm_buf_release(&out);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void streaming_replaces_what_is_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        { "a\xff"
          "b",
          "a\xef\xbf\xbd"
          "b" },
        { "\xe4\xb8", "\xef\xbf\xbd" },                               // cut at the end
        { "\xe4\xb8x", "\xef\xbf\xbdx" },                             // cut in the middle: one for the part
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },   // a surrogate: one a byte
        { "\xf0\x9f\x98\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
    };
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    struct lm_encoder *e = lm_encoder_new(t);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct lm_tokens tokens = { 0 };
        struct lm_buf out = { 0 };
        struct lm_decode_stream stream = { 0 };
        lm_encode(e, lm_str(cases[c].bytes), false, &tokens);
        for (size_t i = 0; i < tokens.len; i++)
            lm_decode_step(t, &stream, tokens.ids[i], false, &out);
        lm_decode_end(&stream, &out);
        assert_string_equal(out.ptr, cases[c].text);
        lm_buf_release(&out);
        lm_tokens_release(&tokens);
    }
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

static void an_id_outside_the_vocabulary_is_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("gpt2");
    struct lm_err err = { 0 };
    struct lm_buf out = { 0 };
    const uint32_t ids[] = { 5, lm_tokenizer_vocab_size(t) };
    assert_int_equal(lm_decode(t, ids, 2, false, &out, &err), LM_EINVAL);
    assert_contains(err.text, "token id 420 (number 1)");
    assert_int_equal(out.len, 0);
    lm_buf_release(&out);
    lm_tokenizer_free(t);
}

/* ---- refusals: the golden file with one place changed ---- */

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *message;
    } cases[] = {
        { "\"version\":\"1.0\"", "\"version\":\"2.0\"", "version \"1.0\"" },
        { "\"version\":\"1.0\"", "\"version\":\"1.0\",\"extra\":{}", "unknown key 'extra'" },
        { "\"type\":\"BPE\"", "\"type\":\"Trigram\"", "type = \"Trigram\"" },
        { "\"dropout\":null", "\"dropout\":0.5", "dropout = 0.5" },
        { "\"fuse_unk\":false", "\"fuse_all\":false", "unknown key 'fuse_all' in the model" },
        { "\"normalizer\":null", "\"normalizer\":{\"type\":\"Uppercase\"}", "normalizer 'Uppercase'" },
        { "\\\\p{N}{1,3}", "(?x:a)b", "a group of this kind" },
        { "\"Isolated\"", "\"Moved\"", "behavior" },
        { "\"type\":\"Split\"", "\"type\":\"Slit\"", "pre_tokenizer 'Slit'" },
        { "\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordLoss\"", "decoder 'WordLoss'" },
        { "\"id\":1,", "\"id\":77,", "id 77, which another token has" },
        { "\"content\":\"<|im_end|>\"", "\"content\":\"<|im_start|>\"", "another token" },
        { "\"!\":3", "\"!\":4", "id 4, which another token has" },
        { "\"!\":3", "\"!\":99999999", "outside 0.." },
        { "\"!\":3", "\"!\":-3", "outside 0.." },
        { "\"!\":3,", "", "merge" },
        { "\"merges\":[", "\"merges\":[[\"!\",\"qqq\"],", "merge 0: 'qqq' is no ordinary token" },
        { "\"merges\":[", "\"merges\":[[\"!\",\"~\"],", "merge 0: '!' + '~' makes no ordinary token" },
        { "\"added_tokens\":[", "\"added_tokens\":[{\"id\":268,\"content\":\"!!\",\"special\":true},",
          "makes no ordinary token" },
        { "\"merges\":[", "\"merges\":[\"a b c\",", "merge 0: 'a b c' is not two tokens" },
        { "\"merges\":[", "\"merges\":[7,", "merge 0 is neither text nor a list" },
    };
    struct lm_buf file = { 0 }, changed = { 0 };
    assert_int_equal(lm_file_read(GOLDEN "llama3.tokenizer.json", 1 << 20, &file, NULL), LM_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const ptrdiff_t at = lm_str_find(lm_buf_str(&file), lm_str(cases[i].find));
        assert_true(at >= 0);
        lm_buf_reset(&changed);
        lm_buf_add(&changed, file.ptr, (size_t)at);
        lm_buf_puts(&changed, cases[i].put);
        lm_buf_puts(&changed, file.ptr + at + strlen(cases[i].find));
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        if (lm_tokenizer_parse(lm_buf_str(&changed), "x.json", &t, &err) != LM_EFORMAT)
            fail_msg("loaded in spite of %s", cases[i].put);
        assert_contains(err.text, "x.json");
        assert_contains(err.text, cases[i].message);
        assert_null(t);
    }
    lm_buf_release(&file);
    lm_buf_release(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_hugging_face),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(pieces_that_differ_in_their_last_byte_are_not_confused),
        cmocka_unit_test(a_used_encoder_gives_what_a_new_one_gives),
        cmocka_unit_test(text_becomes_a_special_token_only_when_allowed),
        cmocka_unit_test(streaming_gives_whole_characters_and_in_the_end_everything),
        cmocka_unit_test(streaming_replaces_what_is_not_utf8),
        cmocka_unit_test(an_id_outside_the_vocabulary_is_refused),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
