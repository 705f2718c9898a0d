/* Pre-tokenisers against the regular expressions they stand for, run by PCRE2.  Its Unicode is older than
 * ours (14.0 in 10.42), so the texts keep to characters whose class has not changed since. */
#include "check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/sys.h"
#include "token/pretoken_wide.h"
#include "token/split.h"
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
    for (size_t i = 0; i < LM_SCANNERS; i++) {
        const struct lm_grammar *g = i < LM_GRAMMAR_COUNT ? &lm_grammars[i] : &lm_known[i - LM_GRAMMAR_COUNT];
        size_t want_at = 0, got_at = 0, found = 0, count;
        const size_t pieces = g->scan(text, &want_at, want, ENDS);
        while ((count = scanners[i](text, &got_at, got + found, batch)) > 0)
            found += count;
        if (found != pieces || memcmp(got, want, pieces * sizeof(*want)) != 0)
            fail_msg("%s: windows cut '%s' differently", g->name, text.ptr);
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

/* Characters that the finer grammars tell apart, side by side; more letters than anything else. */
static void kinds_text(struct lm_rng *rng, size_t chars_max, struct lm_buf *ret)
{
    static const char *const words[] = { "a",
                                         "e",
                                         "s",
                                         "ll",
                                         "A",
                                         "S",
                                         "RE",
                                         "\xc3\xa9",
                                         "\xc3\x89",
                                         "\xc7\x85",
                                         "\xca\xb0",
                                         "\xc2\xaa",
                                         "\xe4\xb8\xad",
                                         "\xe3\x81\x82",
                                         "\xed\x95\x9c" };
    static const char *const rest[] = { "'",
                                        "'s",
                                        "'S",
                                        "'ll",
                                        "'RE",
                                        "'\xc5\xbf",
                                        "1",
                                        "22",
                                        "\xc2\xb2",
                                        " ",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\t",
                                        "\xc2\xa0",
                                        "\xe3\x80\x80",
                                        "/",
                                        "/",
                                        ".",
                                        "(",
                                        "$",
                                        "!?",
                                        "\xe2\x80\x9c",
                                        "\xe3\x80\x82",
                                        "\xcc\x81",
                                        "\xe0\xa5\x87",
                                        "\xe3\x82\x99",
                                        "\xe3\x83\xbb",
                                        "\xe3\x83\xbc",
                                        "\xe9\xbe\xa5",
                                        "\xe9\xbe\xa6",
                                        "\xe3\x84\x80",
                                        "\xe2\x80\x8b",
                                        "\x01",
                                        "\x7f",
                                        "\xff",
                                        "\xe4\xb8",
                                        "\xf0\x9f\x98\x80",
                                        "\xef\xb8\x8f",
                                        "\xf0\x90\x90\x80",
                                        "\xf0\xa0\x80\x80",
                                        "\xed\xa0\x80" };
    lm_buf_reset(ret);
    const size_t chars = lm_rng_below(rng, chars_max + 1), often = lm_rng_below(rng, 8);
    for (size_t i = 0; i < chars; i++)
        lm_buf_puts(ret, lm_rng_below(rng, 8) < often
                             ? words[lm_rng_below(rng, sizeof(words) / sizeof(words[0]))]
                             : rest[lm_rng_below(rng, sizeof(rest) / sizeof(rest[0]))]);
    lm_buf_add(ret, "", 0);
}

/* Every path through a known grammar, against the automata of its patterns. */
static void known_grammars_cut_like_their_patterns(void **state)
{
    (void)state;
    enum { ROUNDS = 8000, CHARS = 300, ENDS = 4096 };
    static uint32_t want[ENDS], got[ENDS];
    struct lm_buf text = { 0 };
    for (size_t k = 0; k < LM_KNOWN_COUNT; k++) {
        struct lm_split *split = lm_zalloc(1, sizeof(*split));
        struct lm_rng rng = lm_rng_make(13, k);
        for (; lm_known_patterns[k][split->count]; split->count++)
            assert_int_equal(lm_split_compile(lm_str(lm_known_patterns[k][split->count]),
                                              &split->stages[split->count].dfa, NULL),
                             LM_OK);
        for (size_t round = 0; round < ROUNDS; round++) {
            kinds_text(&rng, round % 4 ? 12 : CHARS, &text);
            const struct lm_str s = lm_buf_str(&text);
            size_t at = 0, from = 0, found = 0, batch;
            const size_t pieces = lm_split_scan(split, s, &at, want, ENDS);
            assert_int_equal(at, s.len);
            while ((batch = lm_known[k].scan(s, &from, got + found, 1 + lm_rng_below(&rng, 90))) > 0)
                found += batch;
            if (found != pieces || memcmp(got, want, pieces * sizeof(*want)) != 0)
                fail_msg("%s: '%s' is cut differently", lm_known[k].name, s.ptr);
#ifdef __x86_64__
            const size_t most = round % 3 ? ENDS : 1 + lm_rng_below(&rng, 100);
            if (lm_isa_has(LM_ISA_AVX512))
                check_wide(lm_pretoken_avx512, s, most);
            if (lm_isa_has(LM_ISA_AVX2))
                check_wide(lm_pretoken_avx2, s, most);
#endif
        }
        lm_split_free(split);
    }
    lm_buf_release(&text);
}

static void kinds_are_those_of_the_patterns(void **state)
{
    (void)state;
    static const char *const sets[] = { [LM_UKIND_UPPER] = "[\\p{Lu}\\p{Lt}]", [LM_UKIND_LOWER] = "\\p{Ll}",
                                        [LM_UKIND_BOTH] = "[\\p{Lm}\\p{Lo}]",  [LM_UKIND_MARK] = "\\p{M}",
                                        [LM_UKIND_NUMBER] = "\\p{N}",          [LM_UKIND_SPACE] = "\\s",
                                        [LM_UKIND_SIGN] = "[\\p{P}\\p{S}]" };
    for (size_t kind = LM_UKIND_UPPER; kind <= LM_UKIND_SIGN; kind++) {
        struct lm_split_dfa dfa;
        assert_int_equal(lm_split_compile(lm_str(sets[kind]), &dfa, NULL), LM_OK);
        for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
            const uint8_t symbol = cp < 128 ? dfa.ascii[cp] : dfa.pages[dfa.page[cp >> 8]][cp & 255];
            const bool in = dfa.next[dfa.symbols + symbol] >> 1 != 0;
            const bool surrogate = cp >= 0xd800 && cp < 0xe000;   // in no text
            if (!surrogate && in != (lm_unicode_kind(cp) == kind))
                fail_msg("U+%04X is of kind %d and %s%s", cp, lm_unicode_kind(cp), in ? "" : "not ",
                         sets[kind]);
        }
        lm_split_release(&dfa);
    }
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
        cmocka_unit_test(known_grammars_cut_like_their_patterns),
        cmocka_unit_test(kinds_are_those_of_the_patterns),
        cmocka_unit_test(bytes_that_are_not_utf8_count_as_single_characters),
        cmocka_unit_test(classes_are_those_of_unicode_16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
