#include "govern/govern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- policies ---- */

/* The built-in policy with other output rules; only they matter here. */
static struct lm_policy *policy_with(const char *output)
{
    const struct lm_str text = lm_policy_default_text();
    const ptrdiff_t from = lm_str_find(text, LM_STR("output:\n")),
                    to = lm_str_find(text, LM_STR("messages:\n"));
    assert_true(from > 0 && to > from);
    struct lm_buf changed = { 0 };
    lm_buf_add(&changed, text.ptr, (size_t)from);
    lm_buf_puts(&changed, output);
    lm_buf_add(&changed, text.ptr + to, text.len - (size_t)to);
    struct lm_policy *p = NULL;
    struct lm_err err = { 0 };
    if (lm_policy_parse(lm_buf_str(&changed), "test", &p, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_buf_release(&changed);
    return p;
}

static const char *const accounts[] = { "55120" };
static const struct lm_subject maria = {
    .user = "u-11", .role = "end-user", .accounts = accounts, .account_count = 1, .key_state = "active"
};

static struct lm_output_filter *filter_for(const struct lm_policy *p)
{
    struct lm_output_filter *f = NULL;
    assert_int_equal(lm_output_filter_new(p, &maria, &f, NULL), LM_OK);
    return f;
}

/* ---- running text through, cut at up to two places ---- */

static enum lm_rc run_cut(const struct lm_policy *p, const char *text, size_t len, size_t a, size_t b,
                          struct lm_buf *ret)
{
    struct lm_output_filter *f = filter_for(p);
    enum lm_rc rc = lm_output_filter_add(f, (struct lm_str){ text, a }, ret, NULL);
    if (rc == LM_OK)
        rc = lm_output_filter_add(f, (struct lm_str){ text + a, b - a }, ret, NULL);
    if (rc == LM_OK)
        rc = lm_output_filter_add(f, (struct lm_str){ text + b, len - b }, ret, NULL);
    if (rc == LM_OK)
        rc = lm_output_filter_end(f, ret, NULL);
    lm_output_filter_free(f);
    return rc;
}

static enum lm_rc run_bytes(const struct lm_policy *p, const char *text, size_t len, struct lm_buf *ret)
{
    struct lm_output_filter *f = filter_for(p);
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < len; i++) {
        rc = lm_output_filter_add(f, (struct lm_str){ text + i, 1 }, ret, NULL);
        if (rc == LM_OK)
            rc = lm_output_filter_add(f, LM_STR(""), ret, NULL);
    }
    if (rc == LM_OK)
        rc = lm_output_filter_end(f, ret, NULL);
    lm_output_filter_free(f);
    return rc;
}

/* Every cut at two places gives `want`, and so does one byte at a time; in long texts, every cut at one place
 * and a sample of the rest. */
static void check_all_cuts(const struct lm_policy *p, const char *text, const char *want)
{
    const size_t len = strlen(text), stride = len > 60 ? 97 : 1;
    for (size_t a = 0; a <= len; a++)
        for (size_t b = a; b <= len; b += stride) {
            struct lm_buf out = { 0 };
            assert_int_equal(run_cut(p, text, len, a, b, &out), LM_OK);
            if (!lm_str_eq(lm_buf_str(&out), lm_str(want)))
                fail_msg("cut at %zu, %zu: '%s' became '%s'", a, b, text, out.ptr);
            lm_buf_release(&out);
        }
    struct lm_buf out = { 0 };
    assert_int_equal(run_bytes(p, text, len, &out), LM_OK);
    assert_true(lm_str_eq(lm_buf_str(&out), lm_str(want)));
    lm_buf_release(&out);
}

/* Whatever the cuts: stopped, and what came out is a beginning of `before`. */
static void check_all_cuts_stop(const struct lm_policy *p, const char *text, const char *before)
{
    const size_t len = strlen(text);
    for (size_t a = 0; a <= len; a++)
        for (size_t b = a; b <= len; b++) {
            struct lm_buf out = { 0 };
            assert_int_equal(run_cut(p, text, len, a, b, &out), LM_EDENIED);
            assert_true(lm_str_starts(lm_str(before), lm_buf_str(&out)));
            lm_buf_release(&out);
        }
    struct lm_buf out = { 0 };
    assert_int_equal(run_bytes(p, text, len, &out), LM_EDENIED);
    assert_true(lm_str_starts(lm_str(before), lm_buf_str(&out)));
    lm_buf_release(&out);
}

/* ---- forbidden strings ---- */

static const char *const words[] = { "aba", "abba", "bb", "baab", "cab" };
enum { WORDS = sizeof(words) / sizeof(words[0]), TEXT_MAX = 8 };

static bool is_at(const char *text, size_t len, size_t at, const char *word)
{
    return at + strlen(word) <= len && memcmp(text + at, word, strlen(word)) == 0;
}

/* The rule, as dumb as possible: mark every byte of every occurrence, join those that overlap. */
static void naive_mask(const char *text, size_t len, struct lm_buf *ret)
{
    for (size_t at = 0; at < len;) {
        size_t end = at;
        for (size_t i = at; i < len && (i == at || i < end); i++)
            for (size_t w = 0; w < WORDS; w++)
                if (is_at(text, len, i, words[w]) && i + strlen(words[w]) > end)
                    end = i + strlen(words[w]);
        if (end > at)
            lm_buf_puts(ret, "[Withheld]");
        else
            lm_buf_putc(ret, text[end++]);
        at = end;
    }
}

/* Bytes of the longest end of the text that a word begins with, but is not yet. */
static size_t naive_hold(const char *text, size_t len)
{
    for (size_t k = len; k > 0; k--)
        for (size_t w = 0; w < WORDS; w++)
            if (k < strlen(words[w]) && memcmp(text + len - k, words[w], k) == 0)
                return k;
    return 0;
}

static void check_text(const struct lm_policy *p, const char *text, size_t len)
{
    struct lm_buf want = { 0 }, out = { 0 };
    naive_mask(text, len, &want);
    assert_int_equal(run_bytes(p, text, len, &out), LM_OK);
    if (!lm_str_eq(lm_buf_str(&out), lm_buf_str(&want)))
        fail_msg("'%.*s' became '%s', not '%s'", (int)len, text, out.ptr, want.ptr);
    if (want.len == len) {   // clean: what is released after the last byte is known, too
        struct lm_output_filter *f = filter_for(p);
        lm_buf_reset(&out);
        assert_int_equal(lm_output_filter_add(f, (struct lm_str){ text, len }, &out, NULL), LM_OK);
        assert_int_equal(out.len, len - naive_hold(text, len));
        lm_output_filter_free(f);
    }
    lm_buf_release(&want);
    lm_buf_release(&out);
}

static void every_short_text_is_masked_as_the_rule_says(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with(
        "output:\n  pii: {}\n  forbidden: { aba: mask, abba: mask, bb: mask, baab: mask, cab: mask }\n");
    char text[TEXT_MAX];
    for (size_t len = 0, count = 1; len <= TEXT_MAX; len++, count *= 3)
        for (size_t number = 0; number < count; number++) {
            for (size_t i = 0, rest = number; i < len; i++, rest /= 3)
                text[i] = (char)('a' + rest % 3);
            check_text(p, text, len);
        }
    lm_policy_free(p);
}

static void a_forbidden_string_never_leaks_however_it_is_cut(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: {}\n  forbidden:\n    Project Nightfall: mask\n"
                                      "    'Größe XL': mask\n    fall guy: stop\n"
                                      "    top secret: mask\n    secret: stop\n");
    check_all_cuts(p, "About Project Nightfall: no.", "About [Withheld]: no.");
    check_all_cuts(p, "PROJECT \n nightFALL", "[Withheld]");
    check_all_cuts(p, "Pro\u200bject Night\u00adfall!", "[Withheld]!");
    check_all_cuts(p, "\uff30roject \uff2eightfall", "[Withheld]");
    check_all_cuts(p, "gro\u0308sse xl, GRÖSSE XL", "[Withheld], [Withheld]");
    check_all_cuts(p, "Project Nightfal", "Project Nightfal");
    check_all_cuts(p, "Projekt Nacht – größer €uro 𝔘", "Projekt Nacht – größer €uro 𝔘");
    check_all_cuts_stop(p, "He is a fall guy now", "He is a ");
    check_all_cuts_stop(p, "Project Nightfall guy", "");   // both at once: the stricter wins
    check_all_cuts_stop(p, "It is top secret.", "It is ");
    lm_policy_free(p);
}

static void a_stopped_answer_stays_stopped(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: {}\n  forbidden: { secret: stop }\n");
    struct lm_output_filter *f = filter_for(p);
    struct lm_buf out = { 0 };
    assert_int_equal(lm_output_filter_add(f, LM_STR("a secret"), &out, NULL), LM_EDENIED);
    assert_int_equal(lm_output_filter_add(f, LM_STR("more"), &out, NULL), LM_EDENIED);
    assert_int_equal(lm_output_filter_end(f, &out, NULL), LM_EDENIED);
    assert_true(lm_str_starts(LM_STR("a "), lm_buf_str(&out)));
    lm_buf_release(&out);
    lm_output_filter_free(f);
    lm_policy_free(p);
}

static void broken_utf8_is_mended_at_any_cut(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: {}\n  forbidden: { zz: stop }\n");
    check_all_cuts(p,
                   "a\xff"
                   "b\xc3",
                   "a\ufffd"
                   "b\ufffd");
    check_all_cuts(p,
                   "\xe2\x82"
                   "x\xf0\x9f\x98\x80",
                   "\ufffd\ufffdx\U0001f600");
    lm_policy_free(p);
}

/* ---- personal data and identifiers ---- */

static const char filler[] =
    "The quick brown fox jumps over the lazy dog and finds that nothing in this sentence is "
    "worth hiding from anybody who might read it, then or later. ";

static void check_with_filler(const struct lm_policy *p, const char *text, const char *want)
{
    struct lm_buf whole = { 0 }, expected = { 0 };
    lm_buf_printf(&whole, "%s%s%s%s", filler, text, filler, text);
    lm_buf_printf(&expected, "%s%s%s%s", filler, want, filler, want);
    check_all_cuts(p, whole.ptr, expected.ptr);
    for (size_t shift = 0; shift < 64; shift++) {   // wherever the window stands
        struct lm_buf out = { 0 };
        assert_int_equal(run_bytes(p, whole.ptr + shift, whole.len - shift, &out), LM_OK);
        assert_string_equal(out.ptr, expected.ptr + shift);
        lm_buf_release(&out);
    }
    lm_buf_release(&whole);
    lm_buf_release(&expected);
}

static void personal_data_is_masked_the_same_however_it_is_cut(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: { email: mask, iban: mask }\n");
    check_with_filler(p, "Write to maria.lopez@example.org today. ", "Write to [Email] today. ");
    check_with_filler(p, "Pay to DE89 3704 0044 0532 0130 00 now. ", "Pay to [IBAN] now. ");
    check_with_filler(p, "Nothing here, not even a@ or @b. ", "Nothing here, not even a@ or @b. ");
    check_all_cuts(p, "x@example.org", "[Email]");
    check_all_cuts(p, "", "");
    lm_policy_free(p);
}

static void a_class_that_stops_is_never_shown(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: { email: stop }\n");
    check_all_cuts_stop(p, "Write to maria.lopez@example.org today", "Write to ");
    lm_policy_free(p);
}

static void numbers_of_others_are_masked_and_ones_own_are_not(void **state)
{
    (void)state;
    struct lm_policy *p =
        policy_with("output_identifier_re: '\\b\\d{5}\\b'\noutput:\n  pii: {}\n  identifiers: mask\n");
    check_with_filler(p, "From 55120 to 61347: 551201 euro. ", "From 55120 to [Identifier]: 551201 euro. ");
    lm_policy_free(p);
    p = policy_with("output_identifier_re: '\\b\\d{5}\\b'\noutput:\n  pii: {}\n");
    check_all_cuts(p, "Your 55120 holds 12.", "Your 55120 holds 12.");
    check_all_cuts_stop(p, "From 55120 to 61347.", "From 55120 to ");
    lm_policy_free(p);
}

static void long_runs_and_scripts_without_blanks_come_through(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: { email: mask }\n");
    struct lm_buf text = { 0 }, out = { 0 };
    for (int i = 0; i < 3000; i++)
        lm_buf_puts(&text, i < 2000 ? "a" : "漢");
    assert_int_equal(run_bytes(p, text.ptr, text.len, &out), LM_OK);
    assert_true(lm_str_eq(lm_buf_str(&out), lm_buf_str(&text)));
    lm_buf_release(&text);
    lm_buf_release(&out);
    lm_policy_free(p);
}

static void a_role_without_redaction_waits_for_nothing(void **state)
{
    (void)state;
    struct lm_policy *p = policy_with("output:\n  pii: { email: mask }\n");
    struct lm_subject admin = maria;
    admin.role = "administrator";
    struct lm_output_filter *f = NULL;
    struct lm_buf out = { 0 };
    assert_int_equal(lm_output_filter_new(p, &admin, &f, NULL), LM_OK);
    assert_int_equal(lm_output_filter_add(f, LM_STR("x@example.org"), &out, NULL), LM_OK);
    assert_string_equal(out.ptr, "x@example.org");
    admin.role = "nobody";
    struct lm_output_filter *none = NULL;
    assert_int_equal(lm_output_filter_new(p, &admin, &none, NULL), LM_EINVAL);
    lm_output_filter_free(f);
    lm_buf_release(&out);
    lm_policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_text_is_masked_as_the_rule_says),
        cmocka_unit_test(a_forbidden_string_never_leaks_however_it_is_cut),
        cmocka_unit_test(a_stopped_answer_stays_stopped),
        cmocka_unit_test(broken_utf8_is_mended_at_any_cut),
        cmocka_unit_test(personal_data_is_masked_the_same_however_it_is_cut),
        cmocka_unit_test(a_class_that_stops_is_never_shown),
        cmocka_unit_test(numbers_of_others_are_masked_and_ones_own_are_not),
        cmocka_unit_test(long_runs_and_scripts_without_blanks_come_through),
        cmocka_unit_test(a_role_without_redaction_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
