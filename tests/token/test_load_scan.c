/* Where values of JSON end: as a plain walk, byte by byte, says; for random texts over the bytes that matter.
 */
#include "check.h"

#include "base/rng.h"
#include "token/load.h"

/* The rule, one byte at a time, without blocks. */
static size_t plain_end(const char *text, size_t len)
{
    size_t depth = 0;
    bool inside = false;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        if (inside && c == '\\') {
            i++;
        } else if (c == '"') {
            inside = !inside;
        } else if (!inside && (c == '[' || c == '{')) {
            depth++;
        } else if (!inside && (c == ']' || c == '}')) {
            if (--depth == 0)
                return i + 1;
        }
    }
    return 0;
}

/* Random bytes, of which some are frequent: a bracket each 2 to 100 bytes, and so on. */
static void fill(struct lm_rng *rng, char *text, size_t len)
{
    static const char bytes[] = "\"\\[]{}";
    const uint32_t rare = 2 + (uint32_t)lm_rng_below(rng, 100);
    const bool slashes = lm_rng_below(rng, 3) == 0;
    for (size_t i = 0; i < len; i++) {
        char c = lm_rng_below(rng, rare) ? (char)('a' + lm_rng_below(rng, 26)) : bytes[lm_rng_below(rng, 6)];
        text[i] = c == '\\' && !slashes ? '"' : c;
    }
    text[0] = '[';
}

static void values_end_where_a_plain_walk_says(void **state)
{
    (void)state;
    enum { ROUNDS = 100000, LEN_MAX = 400 };
    struct lm_rng rng = lm_rng_make(7, 7);
    size_t ended = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t len = 1 + lm_rng_below(&rng, LEN_MAX);
        LM_FREE char *text = lm_alloc(len);   // exactly as long, so that reading further is seen
        fill(&rng, text, len);
        const size_t expected = plain_end(text, len);
        const char *end = lm_load_value_end(text, text + len);
        assert_ptr_equal(end, expected ? text + expected : NULL);
        ended += expected > 64;
    }
    assert_true(ended > ROUNDS / 100);
}

static void bytes_are_counted(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(8, 8);
    for (size_t len = 0; len < 200; len++) {
        LM_FREE char *text = lm_alloc(len + 1);
        size_t count = 0;
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)('a' + lm_rng_below(&rng, 3));
            count += text[i] == 'b';
        }
        assert_int_equal(lm_load_count((struct lm_str){ text, len }, 'b'), count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end_where_a_plain_walk_says),
        cmocka_unit_test(bytes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
