/* Where added tokens are found, and what they take of the blanks beside them, as Hugging Face's tokenizers
 * find them. */
#include "check.h"

#include "token/tokenizer_impl.h"

enum { LEFT = 1, RIGHT = 2 };

static struct lm_added tokens_of(const char *const texts[3], const int strips[3])
{
    struct lm_added added = { 0 };
    for (uint32_t id = 0; id < 3 && texts[id]; id++)
        lm_added_put(&added, id, lm_str(texts[id]), LM_TOKEN_ADDED, strips[id] & LEFT, strips[id] & RIGHT);
    return added;
}

static void blanks_that_are_swallowed_are_tokens_as_well(void **state)
{
    (void)state;
    static const struct {
        const char *texts[3];
        int strips[3];
        const char *text, *found;   // id:start-end
    } cases[] = {
        { { "<x>" }, { LEFT | RIGHT }, "a  <x>  b <x>", "0:1-8 0:9-13 " },
        { { "<x>", "  " }, { RIGHT, 0 }, "<x>     b", "0:0-8 1:3-5 1:5-7 " },
        { { "<x>", "  " }, { RIGHT, LEFT }, "<x>  b  c", "0:0-5 1:6-8 " },
        { { "<x>", "  " }, { RIGHT, LEFT | RIGHT }, "<x>     b", "0:0-8 " },
        { { "<x>", " the", "th" }, { RIGHT, 0, 0 }, "<x>  the the", "0:0-5 1:4-8 1:8-12 " },
        { { "a", "aab" }, { 0, 0 }, "aaab", "0:0-1 1:1-4 " },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_added added = tokens_of(cases[i].texts, cases[i].strips);
        struct lm_added_match match = { 0 };
        struct lm_buf found = { 0 };
        while (lm_added_next(&added, lm_str(cases[i].text), (struct lm_allow){ 0 }, &match))
            lm_buf_printf(&found, "%u:%zu-%zu ", match.id, match.start, match.end);
        assert_string_equal(found.ptr, cases[i].found);
        lm_buf_release(&found);
        lm_added_release(&added);
    }
}

/* Tokens and texts of three letters, so that most places start a token and many tokens start alike. */
static void the_leftmost_and_longest_is_found(void **state)
{
    (void)state;
    enum { ROUNDS = 2000, TOKENS = 12, TOKEN_MAX = 9, TEXT_MAX = 40 };
    struct lm_rng rng = lm_rng_make(26, 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        char tokens[TOKENS][TOKEN_MAX + 1] = { { 0 } }, text[TEXT_MAX + 1] = { 0 };
        const size_t count = 1 + lm_rng_below(&rng, TOKENS), len = lm_rng_below(&rng, TEXT_MAX);
        struct lm_added added = { 0 };
        for (uint32_t id = 0; id < count; id++) {
            for (size_t k = 0, end = 1 + lm_rng_below(&rng, TOKEN_MAX); k < end; k++)
                tokens[id][k] = "ab\n"[lm_rng_below(&rng, 3)];
            lm_added_put(&added, id, lm_str(tokens[id]), LM_TOKEN_ADDED, false, false);
        }
        for (size_t k = 0; k < len; k++)
            text[k] = "ab\n"[lm_rng_below(&rng, 3)];
        struct lm_added_match match = { 0 };
        for (size_t at = 0; at < len;) {
            size_t longest = 0;
            for (uint32_t id = 0; id < count; id++)
                if (strncmp(text + at, tokens[id], strlen(tokens[id])) == 0 && strlen(tokens[id]) > longest)
                    longest = strlen(tokens[id]);
            if (longest > 0) {
                assert_true(lm_added_next(&added, lm_str(text), (struct lm_allow){ 0 }, &match));
                assert_int_equal(match.start, at);
                assert_int_equal(match.end, at + longest);
                assert_memory_equal(tokens[match.id], text + at, longest);
                assert_int_equal(strlen(tokens[match.id]), longest);
            }
            at += longest ? longest : 1;
        }
        assert_false(lm_added_next(&added, lm_str(text), (struct lm_allow){ 0 }, &match));
        lm_added_release(&added);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_that_are_swallowed_are_tokens_as_well),
        cmocka_unit_test(the_leftmost_and_longest_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
