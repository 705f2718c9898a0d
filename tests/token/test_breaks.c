/* Parts of a text, broken at every place that is said to be one, have the ids of the whole: of vocabularies
 * whose merges join what stands side by side, blanks and line ends too, so that every other piece shows. */
#include "check.h"

#include "token/plan.h"

/* Letters, blank and line end merge with each other, and so do these pairs. */
static void put_model(struct lm_buf *json)
{
    static const char *const symbols[] = { "a", "b", "\u0120", "\u010a" };
    enum { SYMBOLS = 4 };
    struct lm_buf merges = { 0 };
    unsigned id = 0;
    lm_buf_puts(json, "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned byte = 0; byte < 256; byte++) {
        const char c = (char)lm_byte_in_order(byte);
        struct lm_buf text = { 0 };
        lm_bytes_to_text((struct lm_str){ &c, 1 }, &text);
        lm_buf_printf(json, c == '"' || c == '\\' ? "%s\"\\%s\":%u" : "%s\"%s\":%u", id ? "," : "", text.ptr,
                      id);
        lm_buf_release(&text);
        id++;
    }
    for (size_t x = 0; x < SYMBOLS; x++)
        for (size_t y = 0; y < SYMBOLS; y++, id++) {
            lm_buf_printf(json, ",\"%s%s\":%u", symbols[x], symbols[y], id);
            lm_buf_printf(&merges, "%s[\"%s\",\"%s\"]", merges.len ? "," : "", symbols[x], symbols[y]);
        }
    lm_buf_printf(json, "},\"merges\":[%s]}}", merges.ptr);
    lm_buf_release(&merges);
}

/* split: the stages before ByteLevel; NULL: GPT-2's own. */
static struct lm_tokenizer *made(const char *split, const char *added)
{
    struct lm_buf json = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    lm_buf_printf(&json,
                  "{\"version\":\"1.0\",\"added_tokens\":[%s],\"normalizer\":null,\"pre_tokenizer\":", added);
    if (split)
        lm_buf_printf(&json, "{\"type\":\"Sequence\",\"pretokenizers\":[%s,", split);
    lm_buf_printf(
        &json,
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":%s}%s,",
        split ? "false" : "true", split ? "]}" : "");
    lm_buf_puts(&json, "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},");
    put_model(&json);
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&json), "x.json", &t, &err), &err);
    lm_buf_release(&json);
    return t;
}

#define SPLIT(pattern, behavior)                                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"" behavior                   \
    "\",\"invert\":false}"
#define LAST "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define ADDED(content, strip)                                                                                \
    "{\"id\":300,\"content\":\"" content "\",\"single_word\":false,\"lstrip\":" strip ",\"rstrip\":false,"   \
    "\"normalized\":false,\"special\":false}"

static const struct {
    const char *split, *added;
    bool blanks, lines;   // whether there are such breaks
} cases[] = {
    { NULL, "", true, true },
    { SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*" LAST,
            "Isolated"),
      "", true, true },
    { SPLIT("\\\\p{N}{1,3}", "Isolated") "," SPLIT("[!-~][A-Za-z]+|[^\\\\r\\\\n\\\\p{L}]?[\\\\p{L}\\\\p{M}]+|"
                                                   " ?[\\\\p{P}\\\\p{S}\\\\p{N}]+[\\\\r\\\\n]*" LAST,
                                                   "Isolated"),
      "", true, true },
    { SPLIT("[^\\\\n]+|\\\\n", "Isolated"), "", false, false },
    { SPLIT("a b|.|\\\\n", "Isolated"), "", false, false },
    { SPLIT("\\\\w+\\\\s?|\\\\W", "Isolated"), "", false, false },
    { SPLIT("ab(?= )|\\\\w|\\\\W", "Isolated"), "", false, false },      // reads on to the blank
    { SPLIT("\\\\w+|\\\\W", "Contiguous"), "", false, false },           // joins what it found
    { SPLIT("\\\\d+", "Isolated"), "", false, false },                   // and all else is a piece
    { SPLIT(" ?\\\\w+|[^\\\\w]\\\\w?", "Isolated"), "", true, false },   // the line end takes a letter
    { NULL, ADDED("b a", "false"), false, false },
    { NULL, ADDED("a\\nb", "false"), true, false },
    { NULL, ADDED("b", "true"), false, false },
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void make_text(struct lm_rng *rng, struct lm_buf *ret)
{
    static const char *const parts[] = { "a",
                                         "b",
                                         " ",
                                         "\n",
                                         "a",
                                         "b",
                                         " ",
                                         "\n",
                                         "1",
                                         ".",
                                         "'s",
                                         "\xe4\xb8\xad",
                                         "\xe3\x80\x82",
                                         "\xe3\x80\x80",
                                         "\xc3\xa9",
                                         "\xcc\x81",
                                         "\xff",
                                         "\r" };
    lm_buf_reset(ret);
    for (size_t i = 0, count = 1 + lm_rng_below(rng, 40); i < count; i++)
        lm_buf_puts(ret, parts[lm_rng_below(rng, sizeof(parts) / sizeof(parts[0]))]);
}

static void check_at(struct lm_encoder *e, struct lm_str text, size_t at, size_t which)
{
    struct lm_tokens whole = { 0 }, parts = { 0 };
    lm_encode(e, text, false, &whole);
    lm_encode_part(e, text, 0, at, false, &parts);
    lm_encode_part(e, text, at, text.len, false, &parts);
    if (whole.len != parts.len || memcmp(whole.ids, parts.ids, whole.len * sizeof(*whole.ids)) != 0)
        fail_msg("%zu: other ids for '%.*s', broken at %zu", which, (int)text.len, text.ptr, at);
    lm_tokens_release(&whole);
    lm_tokens_release(&parts);
}

/* Every place that is said to be one; counts those before blanks and those behind line ends. */
static void check_text(const struct lm_tokenizer *t, struct lm_encoder *e, struct lm_str text, size_t which,
                       size_t counts[2])
{
    for (size_t at = 1; at < text.len; at++) {
        at = lm_breaks_next(&lm_token_plan(t)->breaks, text, at);
        if (at == text.len)
            return;
        counts[text.ptr[at] != ' ']++;
        check_at(e, text, at, which);
    }
}

static void parts_have_the_ids_of_the_whole(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(31, 0);
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < CASES; i++) {
        struct lm_tokenizer *t = made(cases[i].split, cases[i].added);
        struct lm_encoder *e = lm_encoder_new(t);
        size_t counts[2] = { 0 };
        for (size_t round = 0; round < 2000; round++) {
            make_text(&rng, &text);
            check_text(t, e, lm_buf_str(&text), i, counts);
        }
        if ((counts[0] > 0) != cases[i].blanks || (counts[1] > 0) != cases[i].lines)
            fail_msg("case %zu breaks %zu times before blanks and %zu times behind lines", i, counts[0],
                     counts[1]);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    lm_buf_release(&text);
}

static void golden_vocabularies_break(void **state)
{
    (void)state;
    static const char *const names[] = { "gpt2",         "llama3",    "smollm", "qwen2",
                                         "several_ways", "metaspace", "bert" };
    struct lm_rng rng = lm_rng_make(32, 0);
    struct lm_buf text = { 0 }, part = { 0 };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct lm_tokenizer *t = golden_tokenizer(names[i]);
        struct lm_encoder *e = lm_encoder_new(t);
        size_t counts[2] = { 0 };
        for (size_t round = 0; round < 1000; round++) {
            lm_buf_reset(&text);
            for (size_t k = 0; k < 4; k++) {
                random_text(&rng, 12, &part);
                lm_buf_add_str(&text, lm_buf_str(&part));
                lm_buf_puts(&text, k % 2 ? " the\nold" : "er words\n\xe4\xb8\xad");
            }
            check_text(t, e, lm_buf_str(&text), i, counts);
        }
        const bool whole = strcmp(names[i], "several_ways") == 0 || strcmp(names[i], "metaspace") == 0;
        if (!whole)
            assert_true(counts[0] > 0 && counts[1] > 0);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    lm_buf_release(&text);
    lm_buf_release(&part);
}

/* Letters without an end are broken where no token can lie across; one letter again and again is not. */
static void words_without_end_break(void **state)
{
    (void)state;
    enum { LEN = 3 << 20, JOB = 1 << 20 };
    struct lm_tokenizer *t = golden_tokenizer("llama3");
    struct lm_encoder *e = lm_encoder_new(t);
    const struct lm_breaks *breaks = &lm_token_plan(t)->breaks;
    struct lm_rng rng = lm_rng_make(33, 0);
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < LEN; i++)
        lm_buf_putc(&text, (char)('a' + lm_rng_below(&rng, 26)));
    const size_t at = lm_breaks_next(breaks, lm_buf_str(&text), JOB);
    assert_true(at > JOB && at < 2 * JOB);
    check_at(e, lm_buf_str(&text), at, 0);
    memset(text.ptr, 'e', LEN);
    lm_buf_puts(&text, " end");
    memset(text.ptr + LEN - 2, 'o', 1);
    const struct lm_breaks blind = { .blanks = true };
    assert_int_equal(lm_breaks_next(&blind, lm_buf_str(&text), JOB), LEN);
    lm_buf_release(&text);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_the_ids_of_the_whole),
        cmocka_unit_test(golden_vocabularies_break),
        cmocka_unit_test(words_without_end_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
