/* Split patterns against PCRE2, and sequences of stages against doing one after the other. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "check.h"

#include <pcre2.h>

#include "base/sys.h"
#include "token/split.h"

/* ---- one pattern ---- */

static const char *const patterns[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{M}]*[\\p{Ll}\\p{M}]+(?i:'s|'t)?|[\\p{Lu}]+[\\p{Ll}]*|\\s+$|.",
    "ab*?c|a|(?:bc|b)+|c{2}|\\d{2,3}|\\s",
    "(a|ab)(c|bcd)(d*)|b",
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$"
    "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
    "a?+ab|b*+[bc]d|[\\p{Han}c]++(?=\\s|$)|(?>'|'s)",
    "(?:a(?i)b)|(?i:B(?-i:a))|\\P{Lu}\\pN|[\\P{L}\\p{^N}]!|\\p{Lm}",
    "[[:alpha:]]{1,2}|[[:^punct:]]!|\\p{Upper}+\\p{Lower}|[[:digit:][:blank:]]+",
    "^[ab]+|\\b\\w{2}|\\Bc|(?<=a|é| b)[^a]|(?<!\\s)\\n|\\A.",
    "a(?!bc|d{2})|b(?=\\s?c)|(?<=^|[\\s!])\\d|\\s\\Z|\\w+\\b|(?<!^)!|.(?=(?<!b)a)",
    "a{0,2}b|[a-c&]|x?",
};

enum { MATCHING = 11 };   // of them; the last may match nothing

static void mixed_text(struct lm_rng *rng, struct lm_buf *ret)
{
    static const char *const pool[] = { "a", "b", "c",  "d",  "A",  "B",      "'s",     "'T",
                                        "1", "2", " ",  "  ", "\n", "\r\n",   "!",      "&",
                                        "é", "É", "中", "½",  "\t", "\u0301", "\u3000", "\u017f" };
    lm_buf_reset(ret);
    for (size_t i = lm_rng_below(rng, 14); i-- > 0;)
        lm_buf_puts(ret, pool[lm_rng_below(rng, sizeof(pool) / sizeof(pool[0]))]);
    lm_buf_add(ret, "", 0);
}

static size_t pcre2_match_at(pcre2_code *code, pcre2_match_data *data, struct lm_str text, size_t at)
{
    const int rc = pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, at,
                               PCRE2_ANCHORED | PCRE2_NOTEMPTY_ATSTART, data, NULL);
    return rc > 0 ? pcre2_get_ovector_pointer(data)[1] : at;
}

static void matches_are_those_of_pcre2(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(21, 0);
    struct lm_buf text = { 0 };
    size_t compared = 0;
    for (size_t p = 0; p < MATCHING; p++) {
        struct lm_split_dfa dfa;
        struct lm_err err = { 0 };
        int code_error;
        PCRE2_SIZE place;
        assert_ok_err(lm_split_compile(lm_str(patterns[p]), &dfa, &err), &err);
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)patterns[p], PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code_error, &place, NULL);
        pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
        for (size_t round = 0; round < 4000; round++) {
            struct lm_split_facts facts = { .next = 0 };
            mixed_text(&rng, &text);
            const struct lm_str s = lm_buf_str(&text);
            if (strstr(patterns[p], "\\w") && memmem(s.ptr, s.len, "\u0301", 2))
                continue;   // marks are parts of words here
            for (size_t at = 0; at < s.len; at++) {
                if (((uint8_t)s.ptr[at] & 0xc0) == 0x80)
                    continue;
                const size_t mine = lm_split_match(&dfa, (const uint8_t *)s.ptr, at, s.len, false, &facts);
                const size_t theirs = pcre2_match_at(code, data, s, at);
                if (mine != theirs)
                    print_error("%s at %zu of '%.*s'\n", patterns[p], at, (int)s.len, s.ptr);
                assert_int_equal(mine, theirs);
                compared++;
            }
        }
        pcre2_match_data_free(data);
        pcre2_code_free(code);
        lm_split_release(&dfa);
    }
    assert_true(compared > 50000);
    lm_buf_release(&text);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *message;
    } cases[] = {
        { "x?", "can match nothing at all" },
        { "(?<=a+)b", "looking back at this" },
        { "(?<=abcdefghi)b", "looking back at so many characters" },
        { "(?<=[ab][cd]|(?:a|b|c|d){4})b", "looking back at so many texts" },
        { "(?<=\\b)b", "looking around inside of looking back" },
        { "a(?=b*c)", "it looks ahead without bound" },
        { "\\b", "can match nothing at all" },
        { "(?:^)*a", "a repetition of something without characters" },
        { "(?:a|ab)++c", "a choice that is final" },
        { "\\p{Greekish}", "the category at '{Greekish}'" },
        { "a\\p{Gré", "a category without its end at 'Gré'" },
        { "[a&&b", "a set without its bracket" },
        { "[[:alph:]]", "the set" },
        { "(?i:[\\p{Lu}])", "(?i) with such a set" },
        { "(?i:sss)", "ligatures of more than one reading" },
        { "(?x: a)", "a group of this kind" },
        { "\\Ga", "the operator at '\\Ga'" },
        { "[a", "a set without its bracket" },
        { "(a", "a group without its end" },
        { "a)", "what is left over at ')'" },
        { "a{3,2}", "the repetition" },
        { "a{1000}", "the repetition" },
        { "\\1", "the escape at '1'" },
        { "(?:ab)+c|a", "reads ahead without bound" },
        { "(((((((((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))))))))",
          "nesting so deep" },
        { "(?:a{255}){255}", "longer than" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_split_dfa dfa;
        struct lm_err err = { 0 };
        assert_int_equal(lm_split_compile(lm_str(cases[i].pattern), &dfa, &err), LM_EINVAL);
        assert_contains(err.text, cases[i].message);
    }
}

/* A pattern that backtracking takes exponential time for, and ones that read on through a run and fall back.
 */
static void time_is_linear_in_the_text(void **state)
{
    (void)state;
    static const char *const hard[] = { "(?:a|aa)+b|a", "a+b|a", "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+|a",
                                        "(?<!b)a+\\B(?!ab)b|(?=aaaa)a" };
    enum { LEN = 1 << 20 };
    char *text = lm_alloc(LEN);
    for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
        struct lm_split *split = lm_zalloc(1, sizeof(*split));
        struct lm_err err = { 0 };
        memset(text, i == 2 ? ' ' : 'a', LEN);
        if (i == 2)
            text[0] = '\n';
        if (lm_split_compile(lm_str(hard[i]), &split->stages[0].dfa, &err) != LM_OK) {
            assert_contains(err.text, "reads ahead without bound");
            lm_split_free(split);
            continue;
        }
        split->count = 1;
        uint32_t ends[256];
        size_t at = 0, count = 0;
        const uint64_t start = lm_now_ns();
        for (size_t n; (n = lm_split_scan(split, (struct lm_str){ text, LEN }, &at, ends, 256)) > 0;)
            count += n;
        assert_int_equal(at, LEN);
        assert_true(count >= 1);
        assert_true(lm_now_ns() - start < 20ull * 1000 * 1000 * 1000);   // quadratic time is hours
        lm_split_free(split);
    }
    free(text);
}

/* ---- sequences ---- */

/* Cuts every piece by the next stage, all in memory. */
static size_t naive(const struct lm_split *split, struct lm_str text, uint32_t *ret)
{
    uint32_t ends[2][512] = { { (uint32_t)text.len } };
    size_t count = 1, from = 0;
    for (size_t s = 0; s < split->count; s++, from = !from) {
        size_t made = 0, start = 0;
        for (size_t i = 0; i < count; start = ends[from][i++]) {
            struct lm_split one = { .count = 1 };
            one.stages[0] = split->stages[s];
            size_t at = 0;
            const struct lm_str piece = { text.ptr + start, ends[from][i] - start };
            uint32_t inner[512];
            const size_t n = lm_split_scan(&one, piece, &at, inner, 512);
            for (size_t k = 0; k < n; k++)
                ends[!from][made++] = (uint32_t)start + inner[k];
        }
        count = made;
    }
    memcpy(ret, ends[from], count * sizeof(*ret));
    return count;
}

static void stages_in_batches_are_stages_one_by_one(void **state)
{
    (void)state;
    static const char *const stages[] = { "\\p{N}{1,3}", "[a-c]+|!|(?<=\\s)d|^é", "\\s+|\\bb|\\Ac" };
    struct lm_rng rng = lm_rng_make(22, 0);
    struct lm_buf text = { 0 };
    struct lm_split *split = lm_zalloc(1, sizeof(*split));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(lm_split_compile(lm_str(stages[i]), &split->stages[i].dfa, NULL), LM_OK);
    split->count = 3;
    for (size_t round = 0; round < 3000; round++) {
        for (size_t i = 0; i < 3; i++)
            split->stages[i].behavior = (enum lm_split_behavior)lm_rng_below(&rng, 4);
        mixed_text(&rng, &text);
        const struct lm_str s = lm_buf_str(&text);
        uint32_t expected[512], ends[512];
        const size_t count = s.len ? naive(split, s, expected) : 0;
        size_t at = 0, made = 0;
        for (size_t n; (n = lm_split_scan(split, s, &at, ends + made, 1 + round % 3)) > 0;)
            made += n;
        assert_int_equal(made, count);
        if (count > 0)
            assert_memory_equal(ends, expected, count * sizeof(*ends));
    }
    lm_split_free(split);
    lm_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_those_of_pcre2),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(time_is_linear_in_the_text),
        cmocka_unit_test(stages_in_batches_are_stages_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
