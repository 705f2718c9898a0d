#include "check.h"

/* `want`: the text after replacement at the default score. */
static void assert_replaced(const struct lm_pii *pii, const char *text, const char *want)
{
    struct lm_pii_spans spans = { 0 };
    struct lm_buf got = { 0 };
    assert_int_equal(lm_pii_find(pii, lm_str(text), &spans, NULL), LM_OK);
    lm_pii_replace(lm_str(text), &spans, &got);
    assert_text(lm_buf_str(&got), want);
    lm_buf_release(&got);
    lm_pii_spans_release(&spans);
}

static const struct {
    const char *text, *want;
} found[] = {
    { "Mail a.b+c@mail.example.org.", "Mail [Email]." },
    { "<x_1@host.co.uk>", "<[Email]>" },
    { "Card: 4111 1111 1111 1111 or 378282246310005.", "Card: [Card] or [Card]." },
    { "see 4111-1111-1111-1111", "see [Card]" },
    { "IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please" },
    { "GB82WEST12345698765432 by Friday", "[IBAN] by Friday" },
    { "call +49 30 1234567 now", "call [Phone] now" },
    { "(212) 555-0123 x44", "[Phone]" },
    { "tel. 212.555.0123", "tel. [Phone]" },
    { "phone: 030 12345678", "phone: [Phone]" },
    { "from 8.8.8.8, port 53", "from [IP], port 53" },
    { "peer 2001:4860:4860::8888 left", "peer [IP] left" },
    { "born on 3 May 1980 in Rome", "born on [Date] in Rome" },
    { "since May 3rd, 1980", "since [Date]" },
    { "born 03/05/1980", "born [Date]" },
    { "on 1980-05-03", "on [Date]" },
    { "Dr. Ludwig van der Berg spoke.", "[Name] spoke." },
    { "We met Maria Gonzalez and José Núñez.", "We met [Name] and [Name]." },
    { "Prof. J. Smith-Jones said", "[Name] said" },
};

static const char *const kept[] = {
    "version 15.4.1.2 and 15.4.1.2 of it",
    "192.168.1.1, 127.0.0.1, 10.0.0.8, 0.0.0.0, 203.0.113.9, 2001:db8::1, ::1",
    "256.1.1.1 and 1.2.3.4567 and 01.02.03.04",
    "### 24.2.2.4. Title",
    "4111 1111 1111 1112",           // Luhn
    "DE89 3704 0044 0532 0130 01",   // mod 97
    "2.718281828459045 and 4111111111111111111111",
    "the literal '1999-01-08' and d=1999-01-08",
    "10:20:30 and 2024-13-45 and 17/2",
    "from -2147483648 to +2147483647",
    "ISBN 0-201-96426-0",
    "SELECT a@b FROM t; user@localhost",
    "Use the Index Only Scan; May Day; Mark Twain St",
    "The Julian Date, Will Select",
    "```\nINSERT INTO p VALUES ('John Smith', '1980-05-03');\n```",
};

static void each_kind_is_found_and_replaced(void **state)
{
    const struct lm_pii *pii = *state;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        assert_replaced(pii, found[i].text, found[i].want);
}

static void what_only_looks_like_it_is_kept(void **state)
{
    const struct lm_pii *pii = *state;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_replaced(pii, kept[i], kept[i]);
}

static void spans_are_ordered_and_apart(void **state)
{
    const struct lm_pii *pii = *state;
    const struct lm_str text =
        LM_STR("Ann Lee <ann.lee@x.org> 4111 1111 1111 1111 +1 212 555 0123 DE89370400440532013000");
    struct lm_pii_spans s = { 0 };
    assert_int_equal(lm_pii_find(pii, text, &s, NULL), LM_OK);
    static const enum lm_pii_type want[] = { LM_PII_PERSON, LM_PII_EMAIL, LM_PII_CARD, LM_PII_PHONE,
                                             LM_PII_IBAN };
    assert_int_equal(s.len, 5);
    for (size_t i = 0; i < s.len; i++) {
        assert_int_equal(s.items[i].type, want[i]);
        assert_true(i == 0 || s.items[i].start >= s.items[i - 1].end);
    }
    lm_pii_spans_release(&s);
}

static void only_the_types_asked_for_are_found(void **state)
{
    (void)state;
    struct lm_pii *pii = NULL;
    assert_int_equal(lm_pii_new(1u << LM_PII_CARD, 0.5, &pii, NULL), LM_OK);
    assert_replaced(pii, "a@b.org 4111 1111 1111 1111 call +49 30 1234567",
                    "a@b.org [Card] call +49 30 1234567");
    lm_pii_free(pii);
    struct lm_err err = { 0 };
    assert_int_equal(lm_pii_new(0, 0.5, &pii, &err), LM_EINVAL);
    assert_int_equal(lm_pii_new(1, 1.5, &pii, &err), LM_EINVAL);
}

static int setup(void **state)
{
    return lm_pii_new((1u << LM_PII_TYPE_COUNT) - 1, 0.5, (struct lm_pii **)state, NULL);
}

static int teardown(void **state)
{
    lm_pii_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_found_and_replaced),
        cmocka_unit_test(what_only_looks_like_it_is_kept),
        cmocka_unit_test(spans_are_ordered_and_apart),
        cmocka_unit_test(only_the_types_asked_for_are_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
