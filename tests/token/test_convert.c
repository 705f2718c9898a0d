/* What convert writes is read again, and means the same; what a format cannot say is refused by name. */
#include "check.h"

#include "parts_file.h"
#include "text/text.h"
#include "token/convert.h"
#include "token/tokenizer_impl.h"

static struct lm_tokenizer *llama(void)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    json_t *file = json_load_file(GOLDEN "llama.parts.json", 0, NULL);
    assert_non_null(file);
    const struct lm_tokenizer_parts p = parts_from_json(file, &arena);
    assert_ok_err(lm_tokenizer_from_parts(&p, "llama", &t, &err), &err);
    lm_arena_release(&arena);
    json_decref(file);
    return t;
}

/* The small vocabulary of a Unigram model with bytes, a user-defined and an unused piece. */
static struct lm_tokenizer *unigram(void)
{
    static char names[256][8];
    struct lm_str tokens[264] = { LM_STR("<unk>"),
                                  LM_STR("<s>"),
                                  LM_STR("</s>"),
                                  LM_STR("\xe2\x96\x81"),
                                  LM_STR("a"),
                                  LM_STR("aa"),
                                  LM_STR("\xe2\x96\x81"
                                         "b"),
                                  LM_STR("the") };
    int32_t types[264] = { LM_TOKEN_UNKNOWN, LM_TOKEN_CONTROL, LM_TOKEN_CONTROL, LM_TOKEN_NORMAL,
                           LM_TOKEN_NORMAL,  LM_TOKEN_UNUSED,  LM_TOKEN_NORMAL,  LM_TOKEN_USER_DEFINED };
    float scores[264] = { 0, 0, 0, -1.5F, -2.25F, -1, -3.1F, 0 };
    for (size_t b = 0; b < 256; b++) {
        snprintf(names[b], sizeof(names[b]), "<0x%02zX>", b);
        tokens[8 + b] = lm_str(names[b]);
        types[8 + b] = LM_TOKEN_BYTE;
    }
    const struct lm_tokenizer_parts p = {
        .model = LM_STR("t5"),
        .tokens = tokens,
        .types = types,
        .scores = scores,
        .token_count = 264,
        .score_count = 264,
        .unk_id = 0,
        .bos_id = 1,
        .eos_id = 2,
        .pad_id = -1,
        .sep_id = -1,
        .cls_id = -1,
        .mask_id = -1,
        .eot_id = -1,
        .add_bos = 0,
        .add_eos = 0,
        .add_space_prefix = 1,
        .remove_extra_blanks = 0,
    };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_from_parts(&p, "unigram", &t, &err), &err);
    return t;
}

static void same_ids(const struct lm_tokenizer *a, const struct lm_tokenizer *b, struct lm_str text)
{
    struct lm_encoder *one = lm_encoder_new(a), *two = lm_encoder_new(b);
    struct lm_tokens x = { 0 }, y = { 0 };
    for (int special = 0; special < 2; special++) {
        lm_encode(one, text, special, &x);
        lm_encode(two, text, special, &y);
    }
    assert_int_equal(x.len, y.len);
    assert_true(x.len == 0 || memcmp(x.ids, y.ids, x.len * sizeof(*x.ids)) == 0);
    lm_tokens_release(&x);
    lm_tokens_release(&y);
    lm_encoder_free(one);
    lm_encoder_free(two);
}

/* Converted, read, and converted again: the same ids, and the same file (NULL: other roles may come from
 * tokenizer_config.json).
 */
static void goes_there_and_back(const struct lm_tokenizer *t, const char *format, const char *file)
{
    struct lm_tokenizer *again = NULL;
    struct lm_err err = { 0 };
    struct lm_buf first = { 0 }, second = { 0 }, path = { 0 };
    lm_buf_printf(&path, "%s.out", format);
    assert_int_equal(lm_dir_make(path.ptr, NULL), LM_OK);
    assert_ok_err(lm_tokenizer_convert(t, format, path.ptr, &err), &err);
    assert_ok_err(lm_tokenizer_load(path.ptr, &again, &err), &err);
    same_ids(
        t, again,
        LM_STR("The quick  brown fox,\n\n isn't the 12345th <|endoftext|> </s> aaaa the b\xff\xe4\xb8\xad"));
    same_ids(t, again, LM_STR(""));
    if (file) {
        LM_FREE char *name = lm_path_join(path.ptr, file);
        assert_int_equal(lm_file_read(name, 1 << 24, &first, NULL), LM_OK);
        assert_ok_err(lm_tokenizer_convert(again, format, path.ptr, &err), &err);
        assert_int_equal(lm_file_read(name, 1 << 24, &second, NULL), LM_OK);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.ptr, second.ptr, first.len);
    }
    lm_tokenizer_free(again);
    lm_buf_release(&first);
    lm_buf_release(&second);
    lm_buf_release(&path);
}

static void every_format_goes_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *format, *file;
    } cases[] = {
        { "gpt2", "tiktoken", "tokenizer.tiktoken" }, { "gpt2", "vocab+merges", "merges.txt" },
        { "llama3", "tiktoken", "tiktoken.json" },    { "qwen2", "tokenizer.json", "tokenizer.json" },
        { "bert", "vocab.txt", "vocab.txt" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_tokenizer *t = golden_tokenizer(cases[i].golden);
        goes_there_and_back(t, cases[i].format, cases[i].file);
        lm_tokenizer_free(t);
    }
    struct lm_tokenizer *pieces[] = { llama(), unigram() };
    for (size_t i = 0; i < 2; i++) {
        goes_there_and_back(pieces[i], "sentencepiece", NULL);
        lm_tokenizer_free(pieces[i]);
    }
}

/* What a pattern matches is kept, as tiktoken means it, instead of what is cut at its matches. */
static void a_pattern_may_name_what_is_kept(void **state)
{
    (void)state;
    static const char cut[] = "\"behavior\":\"Isolated\",\"invert\":false",
                      kept[] = "\"behavior\":\"Removed\",\"invert\":true";
    struct lm_buf json = { 0 }, changed = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_read(LOOM_TEST_DIR "/golden/token/llama3.tokenizer.json", 1 << 24, &json, NULL),
                     LM_OK);
    const ptrdiff_t at = lm_str_find(lm_buf_str(&json), lm_str(cut));
    assert_true(at > 0);
    lm_buf_add(&changed, json.ptr, (size_t)at);
    lm_buf_puts(&changed, kept);
    lm_buf_puts(&changed, json.ptr + at + strlen(cut));
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&changed), "kept", &t, &err), &err);
    goes_there_and_back(t, "tiktoken", "tiktoken.json");
    lm_tokenizer_free(t);
    lm_buf_release(&json);
    lm_buf_release(&changed);
}

/* DeepSeek's file has line ends in its patterns as they are. */
static void line_ends_in_a_pattern_may_be_escaped_or_not(void **state)
{
    (void)state;
    struct lm_buf json = { 0 }, changed = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_read(LOOM_TEST_DIR "/golden/token/llama3.tokenizer.json", 1 << 24, &json, NULL),
                     LM_OK);
    const ptrdiff_t end = lm_str_find(lm_buf_str(&json), LM_STR("\"post_processor\""));
    size_t count = 0;
    for (size_t i = 0; i < json.len; i++) {
        const bool escaped = (ptrdiff_t)i < end && strncmp(json.ptr + i, "\\\\", 2) == 0 &&
                             (json.ptr[i + 2] == 'r' || json.ptr[i + 2] == 'n');
        i += escaped;
        count += escaped;
        lm_buf_putc(&changed, json.ptr[i]);
    }
    assert_true(count > 2);
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&changed), "raw", &t, &err), &err);
    assert_ptr_equal(t->grammar, &lm_grammars[LM_GRAMMAR_LLAMA3]);
    assert_null(t->split);
    lm_tokenizer_free(t);
    lm_buf_release(&json);
    lm_buf_release(&changed);
}

static void what_a_format_cannot_say_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *format, *message;
    } cases[] = {
        { "gpt2", "yaml", "known are tokenizer.json, vocab+merges, vocab.txt, tiktoken, sentencepiece" },
        { "gpt2", "sentencepiece", "holds BPE of pieces and Unigram only" },
        { "bert", "sentencepiece", "holds BPE of pieces and Unigram only" },
        { "bert", "tiktoken", "they hold byte-level BPE only" },
        { "qwen2", "tiktoken", "it normalises text" },
        { "smollm", "tiktoken", "more than one pattern" },
        { "several_ways", "tiktoken", "not in the order of ids, or several make one token" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_tokenizer *t = golden_tokenizer(cases[i].golden);
        struct lm_err err = { 0 };
        assert_int_equal(lm_tokenizer_convert(t, cases[i].format, "refused.out", &err), LM_EINVAL);
        assert_contains(err.text, cases[i].message);
        lm_tokenizer_free(t);
    }
}

/* The map of characters, scores and types of a Unigram model survive as GGUF's arrays. */
static void unigram_goes_into_gguf_and_back(void **state)
{
    (void)state;
    struct lm_tokenizer *t = unigram(), *again = NULL;
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts p = { 0 };
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_to_parts(t, &arena, &p, &err), &err);
    assert_true(lm_str_eq(p.model, LM_STR("t5")));
    assert_int_equal(p.types[5], LM_TOKEN_UNUSED);
    assert_int_equal(p.types[7], LM_TOKEN_USER_DEFINED);
    assert_int_equal(p.types[8], LM_TOKEN_BYTE);
    assert_true(p.scores[6] == -3.1F);
    assert_int_equal(p.remove_extra_blanks, 0);
    assert_ok_err(lm_tokenizer_from_parts(&p, "again", &again, &err), &err);
    same_ids(t, again, LM_STR("aaa b the\xc3\xa9 a"));
    lm_tokenizer_free(again);
    lm_tokenizer_free(t);
    lm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_goes_there_and_back),
        cmocka_unit_test(a_pattern_may_name_what_is_kept),
        cmocka_unit_test(line_ends_in_a_pattern_may_be_escaped_or_not),
        cmocka_unit_test(what_a_format_cannot_say_is_refused),
        cmocka_unit_test(unigram_goes_into_gguf_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
