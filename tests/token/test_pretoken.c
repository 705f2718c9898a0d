/* Pre-tokenisers against the regular expressions they stand for, run by PCRE2.  Its Unicode is older than
 * ours (14.0 in 10.42), so the texts keep to characters whose class has not changed since. */
#include "check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/sys.h"
#include "token/pretoken_wide.h"
#include "token/unicode.h"

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* PCRE2's \s, even with UCP, leaves out nothing we need; (?!\S) acts at the end of the subject. */
static pcre2_code *compile(const char *pattern)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    assert_non_null(re);
    return re;
}

/* Appends the ends of the matches in text[from..to) as if that were all of the text. */
static size_t regex_ends(pcre2_code *re, pcre2_match_data *data, struct lm_str text, size_t from, size_t to,
                         uint32_t *ends)
{
    size_t count = 0, at = from;
    while (at < to) {
        const int rc = pcre2_match(re, (PCRE2_SPTR)text.ptr + from, to - from, at - from, 0, data, NULL);
        assert_true(rc > 0);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data);
        assert_int_equal(span[0] + from, at);   // the expressions leave no gaps
        at = span[1] + from;
        ends[count++] = (uint32_t)at;
    }
    return count;
}

/* Digits(individual_digits) first: every \p{N} is a piece, the expression sees what lies between. */
static size_t regex_ends_digits_apart(pcre2_code *re, pcre2_match_data *data, struct lm_str text,
                                      uint32_t *ends)
{
    pcre2_code *digit = compile("\\p{N}");
    size_t count = 0, at = 0;
    for (;;) {
        const int rc = pcre2_match(digit, (PCRE2_SPTR)text.ptr, text.len, at, 0, data, NULL);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data);
        const size_t from = rc > 0 ? span[0] : text.len, to = rc > 0 ? span[1] : text.len;
        count += regex_ends(re, data, text, at, from, ends + count);
        if (rc <= 0)
            break;
        ends[count++] = (uint32_t)to;
        at = to;
    }
    pcre2_code_free(digit);
    return count;
}

static void every_grammar_cuts_like_its_expression(void **state)
{
    (void)state;
    enum { ROUNDS = 4000, CHARS = 24, ENDS = 512 };
    struct lm_buf text = { 0 };
    for (size_t g = 0; g < LM_GRAMMAR_COUNT; g++) {
        const struct lm_grammar *grammar = &lm_grammars[g];
        pcre2_code *re = compile(grammar->pattern ? grammar->pattern : gpt2_pattern);
        pcre2_match_data *data = pcre2_match_data_create(4, NULL);
        struct lm_rng rng = lm_rng_make(7, g);
        for (size_t round = 0; round < ROUNDS; round++) {
            uint32_t want[ENDS], got[ENDS];
            random_text(&rng, CHARS, &text);
            const struct lm_str s = lm_buf_str(&text);
            const size_t count = grammar->digits_apart ? regex_ends_digits_apart(re, data, s, want)
                                                       : regex_ends(re, data, s, 0, s.len, want);
            size_t at = 0, found = 0, batch;
            while ((batch = lm_pretoken_scan(grammar, s, &at, got + found, 1 + lm_rng_below(&rng, 9))) > 0)
                found += batch;
            if (found != count || memcmp(got, want, count * sizeof(*got)) != 0)
                fail_msg("%s: '%s' is cut differently", grammar->name, s.ptr);
        }
        pcre2_match_data_free(data);
        pcre2_code_free(re);
    }
    lm_buf_release(&text);
}

/* Bytes at random among texts: prose, runs longer than a window, what is not UTF-8. */
static void long_text(struct lm_rng *rng, struct lm_buf *ret)
{
    static const char runs[] = "a1 !\n'\t\x80\xe3";
    struct lm_buf part = { 0 };
    lm_buf_reset(ret);
    while (ret->len < 600) {
        const size_t kind = lm_rng_below(rng, 8);
        const size_t len = lm_rng_below(rng, kind == 0 ? 80 : 8);
        if (kind < 3) {
            for (size_t i = 0; i < len; i++)
                lm_buf_putc(ret,
                            runs[kind == 0 ? len % (sizeof(runs) - 1) : lm_rng_below(rng, sizeof(runs) - 1)]);
        } else {
            random_text(rng, kind == 3 ? 40 : 6, &part);
            lm_buf_add_str(ret, lm_buf_str(&part));
        }
    }
    lm_buf_release(&part);
}

static void check_wide(lm_pretoken_scan_fn *const *scanners, struct lm_str text, size_t batch)
{
    enum { ENDS = 4096 };
    static uint32_t want[ENDS], got[ENDS];
    for (size_t g = 0; g < LM_GRAMMAR_COUNT; g++) {
        size_t want_at = 0, got_at = 0, found = 0, count;
        const size_t pieces = lm_grammars[g].scan(text, &want_at, want, ENDS);
        while ((count = scanners[g](text, &got_at, got + found, batch)) > 0)
            found += count;
        if (found != pieces || memcmp(got, want, pieces * sizeof(*want)) != 0)
            fail_msg("%s: windows cut '%s' differently", lm_grammars[g].name, text.ptr);
    }
}

static void windows_cut_like_the_definition(void **state)
{
    (void)state;
    enum { ROUNDS = 6000 };
    struct lm_rng rng = lm_rng_make(11, 0);
    struct lm_buf text = { 0 };
    for (size_t round = 0; round < ROUNDS; round++) {
        long_text(&rng, &text);
        (void)check_wide;
#ifdef __x86_64__
        const size_t batch = round % 2 ? 512 : 1 + lm_rng_below(&rng, 200);
        if (lm_isa_has(LM_ISA_AVX512))
            check_wide(lm_pretoken_avx512, lm_buf_str(&text), batch);
        if (lm_isa_has(LM_ISA_AVX2))
            check_wide(lm_pretoken_avx2, lm_buf_str(&text), batch);
#endif
    }
    lm_buf_release(&text);
}

static void bytes_that_are_not_utf8_count_as_single_characters(void **state)
{
    (void)state;
    static const char *const bad[] = { "\xff",     "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xe4\xb8", "\xf8\x88" };
    for (size_t g = 0; g < LM_GRAMMAR_COUNT; g++) {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char text[16];
            const int len = snprintf(text, sizeof(text), "a%s", bad[i]);
            uint32_t ends[16];
            size_t at = 0;
            const size_t count = lm_pretoken_scan(&lm_grammars[g], lm_str(text), &at, ends, 16);
            assert_int_equal(count, 2);   // the letter, and the run of the others
            assert_int_equal(ends[0], 1);
            assert_int_equal(ends[1], len);
        }
    }
}

static void classes_are_those_of_unicode_16(void **state)
{
    (void)state;
    static const struct {
        uint32_t cp;
        enum lm_uclass class;
    } cases[] = {
        { 'a', LM_UCLASS_LETTER },    { '7', LM_UCLASS_NUMBER },     { ' ', LM_UCLASS_SPACE },
        { 0x1c, LM_UCLASS_OTHER },    { 0x85, LM_UCLASS_SPACE },     { 0xa0, LM_UCLASS_SPACE },
        { 0xb2, LM_UCLASS_NUMBER },   { 0x301, LM_UCLASS_OTHER },    { 0x180e, LM_UCLASS_OTHER },
        { 0x200b, LM_UCLASS_OTHER },  { 0x2028, LM_UCLASS_SPACE },   { 0x3000, LM_UCLASS_SPACE },
        { 0x4e00, LM_UCLASS_LETTER }, { 0x1c89, LM_UCLASS_LETTER },  { 0xa7cb, LM_UCLASS_LETTER },
        { 0xa7ce, LM_UCLASS_OTHER },  { 0x323b0, LM_UCLASS_OTHER },  { 0x10ffff, LM_UCLASS_OTHER },
        { 0x2167, LM_UCLASS_NUMBER }, { 0x10400, LM_UCLASS_LETTER },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(lm_unicode_class(cases[i].cp), cases[i].class);
    assert_string_equal(lm_unicode_version, "16.0.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_grammar_cuts_like_its_expression),
        cmocka_unit_test(windows_cut_like_the_definition),
        cmocka_unit_test(bytes_that_are_not_utf8_count_as_single_characters),
        cmocka_unit_test(classes_are_those_of_unicode_16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
