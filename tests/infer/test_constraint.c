/* Constraints: which texts they take, masks against trying every token, what is refused and why. */
#include "check.h"

#include "base/mem.h"
#include "infer/constraint.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

static struct lm_tokenizer *tokenizer;
static struct lm_constraint_vocab *vocab;

enum { VOCAB = 1200 };

static int make_vocabulary(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(7, 0);
    /* Mostly text, so that some tokens are long and plain. */
    tokenizer =
        random_vocabulary(&rng, VOCAB, 60,
                          "aaaaaaaaaaaaaaabbbbbbbbbbbbbbbccccccccccccccc000000000000000111111111111111"
                          "222222222222222      \"\"{}[]:,345 \n-.\xc3\xa9");
    vocab = lm_constraint_vocab_new(tokenizer);
    return 0;
}

static int free_vocabulary(void **state)
{
    (void)state;
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(tokenizer);
    return 0;
}

static struct lm_constraint *compile(enum lm_constraint_kind kind, const char *source)
{
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    /* Sanitized builds are slow. */
    const struct lm_constraint_limits limits = { .ms = 5000 };
    if (lm_constraint_new(vocab, kind, lm_str(source), &limits, &c, &err) != LM_OK)
        fail_msg("%s: %s", source, err.text);
    return c;
}

/* Byte by byte, and may it end there? */
static bool takes(const struct lm_constraint *c, const char *text)
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    bool good = true;
    for (size_t i = 0; text[i] && good; i++)
        good = lm_constraint_accept(w, VOCABULARY_BYTE + (uint8_t)text[i]);
    good = good && lm_constraint_may_end(w);
    lm_constraint_walk_free(w);
    return good;
}

struct texts {
    enum lm_constraint_kind kind;
    const char *source;
    const char *good[8], *bad[8];
};

#define S LM_CONSTRAINT_JSON_SCHEMA
#define R LM_CONSTRAINT_REGEX
#define G LM_CONSTRAINT_GRAMMAR

// clang-format off
static const struct texts tables[] = {
    { R, "ab*c", { "ac", "abc", "abbbc" }, { "a", "ab", "abcc", "", "xac" } },
    { R, "^(?:a|bc){2,3}$", { "aa", "abc", "bcbcbc" }, { "a", "aaaa", "ab" } },
    { R, "[^a-c\\d]x?", { "d", "dx", "\xc3\xa9", "\xf0\x9f\x98\x80x" }, { "a", "5", "\xc3", "\xff" } },
    { R, "a{3}|b{2,}|c{0,2}", { "aaa", "bb", "bbbb", "", "cc" }, { "aa", "b", "ccc" } },
    { R, "\\u00e9\\x41\\.\\t", { "\xc3\xa9" "A.\t" }, { "\xc3\xa9" "Ax\t" } },
    { R, "\\S\\s", { "a ", "\xc3\xa9\t", "a\xe2\x80\xa9" }, { "  ", "\xe2\x80\xa9 ", "ab" } },
    { R, ".*", { "", "anything", "\xe2\x82\xac" }, { "a\nb", "\xe2\x82" } },
    { G, "root ::= \"a\" list? \"z\" # so\nlist ::= item (\",\" item)*\nitem ::= [0-9]{1,2} | '(' list ')'",
      { "az", "a1z", "a12,3z", "a(1,(2))z" }, { "a", "a123z", "a(z", "a()z" } },
    { G, "s = 'x' s 'y' | 'm' ;", { "m", "xmy", "xxmyy" }, { "xm", "xmyy", "" } },
    { G, "# JSON\nroot   ::= object\nvalue  ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n\n"
         "object ::=\n  \"{\" ws (\n    string \":\" ws value\n    (\",\" ws string \":\" ws value)*\n  )? \"}\" ws\n"
         "array  ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
         "string ::= \"\\\"\" ( [^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) )* \"\\\"\" ws\n"
         "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n"
         "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n",
      { "{}", "{\"a\": [1, true, \"\\u00e9\\\\\", {}]}\n  ", "{\"\":-0.5e3}" }, { "[]", "{\"a\":}", "{\"a\":\"\\x\"}", "{,}" } },
    { G, "root ::= [^\\n\"] . <b-2>\nb-2 ::= \"\\x41\" | \"\\u00e9\"", { "abA", "..\xc3\xa9" }, { "\"bA", "abB" } },
    { LM_CONSTRAINT_JSON, "", { "{}", "{\"a\":1}", "{ \"a\": [true, null, -1.5e3, {\"b\":\"\\u00e9\\n\"}] }" },
      { "", "1", "[]", "{\"a\":1,}", "{\"a\":01}", "{\"a\":\"\n\"}", "{\"a\":\"\\ud800\"}", "{}  " } },
    { S, "true", { "1", "[]", "\"a\"", "null", "[[[]]]" }, { "", "nul", "[1,]" } },
    { S, "{\"type\":\"boolean\"}", { "true", "false" }, { "null", "tru" } },
    { S, "{\"type\":[\"null\",\"string\"],\"minLength\":1,\"maxLength\":3}",
      { "null", "\"a\"", "\"\xc3\xa9\xe2\x82\xac\\n\"" }, { "\"\"", "\"abcd\"", "\"\\u0061bcd\"" } },
    { S, "{\"type\":\"integer\",\"minimum\":-5,\"exclusiveMaximum\":120}",
      { "-5", "0", "119", "20", "-1" }, { "-6", "120", "-0", "00", "1.0", "200" } },
    { S, "{\"type\":\"number\",\"minimum\":0.25,\"maximum\":10}",
      { "0.25", "0.3", "10", "9.99", "10.000", "1" }, { "0.2", "0", "10.001", "11", "-1", "0.2499" } },
    { S, "{\"enum\":[\"a\",\"ab\",1,null,{\"x\":[1,2]}]}",
      { "\"a\"", "\"ab\"", "1", "null", "{\"x\":[1,2]}" }, { "\"b\"", "2", "\"abc\"" } },
    { S, "{\"const\":\"a\\\"b\"}", { "\"a\\\"b\"" }, { "\"a\"" } },
    { S, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"null\"}},"
         "\"required\":[\"b\"]}",
      { "{\"a\":1,\"b\":null}", "{\"b\":null}", "{ \"a\": 1, \"b\": null }" },
      { "{}", "{\"a\":1}", "{\"b\":null,\"a\":1}", "{\"a\":\"x\",\"b\":null}", "{\"b\":null,\"c\":1}" } },
    { S, "{\"properties\":{\"ab\":{\"const\":1}},\"type\":\"object\",\"additionalProperties\":{\"const\":2}}",
      { "{}", "{\"ab\":1}", "{\"a\":2}", "{\"abc\":2,\"\":2}", "{\"ab\":1,\"\xc3\xa9\":2}", "{\"b\":2}" },
      { "{\"ab\":2}", "{\"a\":1}", "{\"a\\u0062\":2}", "{\"\xc3\":2}" } },
    { S, "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}",
      { "[true]", "[true,false]", "[ true, false ]" }, { "[]", "[true,true,true]", "[1]" } },
    { S, "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}",
      { "[]", "[1]", "[1,2]" }, { "[2]", "[1,2,3]" } },
    { S, "{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2},\"minItems\":2,\"maxItems\":3}",
      { "[1,2]", "[1,2,2]" }, { "[]", "[1]", "[1,2,2,2]" } },
    { S, "{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/n\"}],\"$defs\":{\"n\":{\"type\":\"object\","
         "\"properties\":{\"next\":{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/n\"}]}},"
         "\"required\":[\"next\"]}}}",
      { "null", "{\"next\":null}", "{\"next\":{\"next\":null}}" }, { "{}", "{\"next\":{}}" } },
    { S, "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":1}}},{\"properties\":{\"a\":"
         "{\"type\":\"integer\",\"maximum\":3},\"b\":true},\"required\":[\"a\"]}]}",
      { "{\"a\":1}", "{\"a\":3,\"b\":[]}" }, { "{\"a\":0}", "{\"a\":4}", "{\"b\":1}" } },
    { S, "{\"type\":\"string\",\"pattern\":\"^[a-z\\\"]+$\"}", { "\"ab\"", "\"a\\\"\"" }, { "\"\"", "\"A\"", "\"a\"\"" } },
    { S, "{\"type\":\"string\",\"pattern\":\"b\"}", { "\"b\"", "\"abc\"", "\"\\nb\"" }, { "\"\"", "\"ac\"" } },
    { S, "{\"type\":\"string\",\"pattern\":\"^(ab|[c-e\\n\u00e9])+x?$\",\"minLength\":3,\"maxLength\":4}",
      { "\"abc\"", "\"abab\"", "\"c\\nx\"", "\"\xc3\xa9\xc3\xa9\xc3\xa9x\"", "\"dddd\"" },
      { "\"ab\"", "\"abx", "\"ababc\"", "\"ddddx\"", "\"abba\"" } },
    { S, "{\"type\":\"string\",\"pattern\":\"b\",\"maxLength\":3}", { "\"b\"", "\"abc\"", "\"\\nb\"" },
      { "\"\"", "\"abcd\"", "\"aaa\"", "\"aaab\"" } },
    { S, "{\"type\":\"string\",\"pattern\":\"^[ab]*$\",\"minLength\":2}", { "\"ab\"", "\"abababab\"" }, { "\"\"", "\"a\"" } },
    { S, "{\"type\":\"string\",\"format\":\"uuid\",\"maxLength\":36}", { "\"01234567-89ab-cdef-0123-456789abcdef\"" },
      { "\"01234567-89ab-cdef-0123-456789abcde\"" } },
    { S, "{\"type\":\"string\",\"format\":\"date\"}", { "\"2026-02-28\"", "\"2026-12-31\"" },
      { "\"2026-02-30\"", "\"2026-13-01\"", "\"26-01-01\"" } },
    { S, "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"null\"}},"
         "\"required\":[\"k\",\"v\"]},{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"}},"
         "\"required\":[\"k\"]}]}",
      { "{\"k\":\"a\",\"v\":null}", "{\"k\":\"b\"}" }, { "{\"k\":\"a\"}", "{\"k\":\"b\",\"v\":null}" } },
    { S, "{\"type\":\"string\",\"maxLength\":33}", { "\"\"", "\"abcdefghijklmnopqrstuvwxyz0123456\"" },
      { "\"abcdefghijklmnopqrstuvwxyz01234567\"" } },
    { S, "{\"anyOf\":[{\"type\":\"string\",\"maxLength\":45},{\"type\":\"string\",\"pattern\":\"^[a-c0-9]{1,70}$\"}]}",
      { "\"\"", "\"abc\"" }, { "\"" } },
    { R, "[a-c0-9]{0,50}x?|[^a]{3,5}", { "abc", "abcx", "xyz" }, { "xy", "abcxx" } },
    { S, "{\"type\":\"number\",\"multipleOf\":0.01}", { "1.25", "3", "-0.5" }, { "1.255" } },
};

struct refused {
    enum lm_constraint_kind kind;
    const char *source;
    enum lm_rc rc;
    const char *says;
};

static const struct refused refusals[] = {
    { R, "a(?=b)", LM_EINVAL, "byte 1: look-around" },
    { R, "(?<!a)b", LM_EINVAL, "byte 0: look-around" },
    { R, "(a)\\1", LM_EINVAL, "byte 3: back-references" },
    { R, "a**", LM_EINVAL, "byte 2" },
    { R, "a{1000}{1000}", LM_EINVAL, "byte 7" },
    { R, "(?:(?:a{1000}){1000})", LM_ELIMIT, "states" },
    { R, "a{2001}", LM_ELIMIT, "byte 1" },
    { R, "a{3,2}", LM_EINVAL, "byte 1" },
    { R, "(ab", LM_EINVAL, "byte 0" },
    { R, "ab)", LM_EINVAL, "byte 2" },
    { R, "[b-a]", LM_EINVAL, "byte 1" },
    { R, "[a", LM_EINVAL, "too early" },
    { R, "a^b", LM_EINVAL, "byte 1: an anchor" },
    { R, "\\bword", LM_EINVAL, "byte 0" },
    { R, "\\p{L}", LM_EINVAL, "byte 0" },
    { R, "[^\\d\\D]", LM_EINVAL, "no text" },
    { R, "((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", LM_ELIMIT, "too deep" },
    { R, "\xff", LM_EINVAL, "UTF-8" },
    { G, "root ::= root \"a\" | \"b\"", LM_EINVAL, "'root' refers to itself" },
    { G, "root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= a", LM_EINVAL, "no text" },
    { G, "root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"x\"", LM_EINVAL, "'a' refers to itself" },
    { G, "root ::= \"a\" rest", LM_EINVAL, "'rest' is used but not defined" },
    { G, "root ::= \"a", LM_EINVAL, "byte 9" },
    { G, "root ::= \"a\"\nroot ::= \"b\"", LM_EINVAL, "byte 13" },
    { G, "", LM_EINVAL, "no rule" },
    { S, "{\"type\":\"object\",\"properties\":{\"a/b\":{\"uniqueItems\":true}}}", LM_EINVAL,
      "'/properties/a~1b/uniqueItems'" },
    { S, "{\"not\":{}}", LM_EINVAL, "'/not'" },
    { S, "{\"type\":\"text\"}", LM_EINVAL, "'/type'" },
    { S, "{\"$ref\":\"#\"}", LM_EINVAL, "no text" },
    { S, "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"},"
         "{\"type\":\"null\"}]}}}", LM_EINVAL, "refers to itself" },
    { S, "{\"$ref\":\"other.json\"}", LM_EINVAL, "'/$ref'" },
    { S, "{\"type\":\"string\",\"pattern\":\"a(?!b)\"}", LM_EINVAL, "'/pattern': byte 1: look-around" },
    { S, "{\"type\":\"string\",\"maxLength\":5000}", LM_ELIMIT, "'/maxLength'" },
    { S, "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", LM_EINVAL, "'/oneOf/1'" },
    { S, "{\"type\":\"string\",\"enum\":[1,2]}", LM_EINVAL, "no text" },
    { S, "{\"type\":\"string\",\"format\":\"uuid\",\"maxLength\":35}", LM_EINVAL, "no text" },
    { S, "{\"type\":\"string\",\"format\":\"uuid\",\"pattern\":\"a\"}", LM_EINVAL, "'/pattern'" },
    { S, "{\"type\":\"string\",\"pattern\":\"^(.{0,500}x){20}$\",\"maxLength\":2000}", LM_ELIMIT, "states" },
    { S, "false", LM_EINVAL, "no text" },
    { S, "{\"type\":\"string\"", LM_EINVAL, "schema: byte 16" },
    { S, "7", LM_EINVAL, "a schema is an object" },
    { S, "{\"multipleOf\":3}", LM_EINVAL, "'/multipleOf'" },
    { S, "{\"type\":\"string\",\"format\":\"regex\"}", LM_EINVAL, "'/format'" },
};
// clang-format on

static void texts_are_taken_and_others_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        const struct texts *t = &tables[i];
        struct lm_constraint *c = compile(t->kind, t->source);
        for (size_t k = 0; k < 8 && t->good[k]; k++)
            if (!takes(c, t->good[k]))
                fail_msg("%s does not take %s", t->source, t->good[k]);
        for (size_t k = 0; k < 8 && t->bad[k]; k++)
            if (takes(c, t->bad[k]))
                fail_msg("%s takes %s", t->source, t->bad[k]);
        lm_constraint_free(c);
    }
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refused *r = &refusals[i];
        const struct lm_constraint_limits limits = { .ms = 5000 };
        struct lm_constraint *c = NULL;
        struct lm_err err = { 0 };
        const enum lm_rc rc = lm_constraint_new(vocab, r->kind, lm_str(r->source), &limits, &c, &err);
        if (rc != r->rc || !strstr(err.text, r->says))
            fail_msg("%s: %d, %s", r->source, rc, err.text);
        assert_null(c);
    }
}

/* ---- masks ---- */

/* The mask is what comes of trying each token alone; returns its size. */
static size_t check_mask(const struct lm_constraint *c, struct lm_constraint_walk *w, const uint32_t *history,
                         size_t count)
{
    static const uint32_t ends[] = { 0, 2 };
    size_t set, found = 0;
    const uint64_t *mask = lm_constraint_mask(w, ends, 2, &set);
    for (uint32_t id = 0; id < VOCAB; id++) {
        bool fits;
        if (id < VOCABULARY_BYTE) {
            fits = id != 1 && lm_constraint_may_end(w);
        } else {
            struct lm_constraint_walk *other = lm_constraint_walk_new(c);
            for (size_t i = 0; i < count; i++)
                assert_true(lm_constraint_accept(other, history[i]));
            fits = lm_constraint_accept(other, id);
            lm_constraint_walk_free(other);
        }
        if (mask_has(mask, id) != fits)
            fail_msg("token %u after %zu tokens: in the mask %d, fits %d", id, count, mask_has(mask, id),
                     fits);
        found += fits;
    }
    assert_int_equal(found, set);
    return set;
}

static void masks_are_what_trying_every_token_gives(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(3, 0);
    enum { STEPS = 12 };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct lm_constraint *c = compile(tables[i].kind, tables[i].source);
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        uint32_t history[STEPS];
        for (size_t step = 0; step < STEPS; step++) {
            if (check_mask(c, w, history, step) == 0)
                break;
            size_t set;
            const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &set);
            if (set == 0)
                break;
            const uint32_t id = random_token(&rng, mask, VOCAB);
            assert_true(lm_constraint_accept(w, id));
            history[step] = id;
        }
        lm_constraint_walk_free(w);
        lm_constraint_free(c);
    }
}

/* Masks of plain tokens by length meet every length there is. */
static void masks_inside_bounded_strings_are_too(void **state)
{
    (void)state;
    const uint32_t open = VOCABULARY_BYTE + '"';
    for (unsigned max = 0; max < 64; max++) {
        char source[64];
        snprintf(source, sizeof(source), "{\"type\":\"string\",\"maxLength\":%u}", max);
        struct lm_constraint *c = compile(LM_CONSTRAINT_JSON_SCHEMA, source);
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        assert_true(lm_constraint_accept(w, open));
        assert_true(check_mask(c, w, &open, 1) > 0);
        lm_constraint_walk_free(w);
        lm_constraint_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_taken_and_others_are_not),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(masks_are_what_trying_every_token_gives),
        cmocka_unit_test(masks_inside_bounded_strings_are_too),
    };
    return cmocka_run_group_tests(tests, make_vocabulary, free_vocabulary) != 0;
}
