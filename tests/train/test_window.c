/* Overlapping windows: the rule tried on every small case, and cases by hand. */
#include "train/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_MAX = 41 };

_Noreturn void lm_broken(const char *expression, const char *file, int line)
{
    mock_assert(0, expression, file, line);
    __builtin_unreachable();
}

/* The rule, as dumb as possible: try every start, keep a window only if it shows a new token. */
static void check_case(struct lm_window_spec spec, const uint32_t *tokens, size_t n)
{
    bool seen[N_MAX] = { false };
    size_t kept = 0;
    for (size_t start = 0; start < n; start += spec.stride) {
        const size_t end = start + spec.size < n ? start + spec.size : n;
        size_t fresh = start;
        while (fresh < end && seen[fresh])
            fresh++;
        if (fresh == end)
            continue;
        const struct lm_window w = lm_window_get(spec, tokens, n, kept++);
        assert_ptr_equal(w.tokens, tokens + start);
        assert_int_equal(w.len, end - start);
        assert_int_equal(w.fresh, fresh - start);
        for (; fresh < end; fresh++) {
            assert_false(seen[fresh]);   // fresh parts never overlap ...
            seen[fresh] = true;
        }
    }
    assert_int_equal(lm_window_count(spec, n), kept);
    for (size_t i = 0; i < n; i++)
        assert_true(seen[i]);   // ... and together they are the document
}

static void every_small_case_follows_the_rule(void **state)
{
    (void)state;
    const uint32_t tokens[N_MAX] = { 0 };
    for (size_t size = 1; size <= 12; size++)
        for (size_t stride = 1; stride <= size; stride++)
            for (size_t n = 0; n <= N_MAX; n++)
                check_case((struct lm_window_spec){ size, stride }, tokens, n);
}

static void the_example_of_the_header_holds(void **state)
{
    (void)state;
    const uint32_t tokens[28] = { 0 };
    const struct lm_window_spec spec = { 10, 5 };
    static const size_t len[] = { 10, 10, 10, 10, 8 }, fresh[] = { 0, 5, 5, 5, 5 };
    assert_int_equal(lm_window_count(spec, 28), 5);
    for (size_t i = 0; i < 5; i++) {
        const struct lm_window w = lm_window_get(spec, tokens, 28, i);
        assert_int_equal(w.tokens - tokens, 5 * i);
        assert_int_equal(w.len, len[i]);
        assert_int_equal(w.fresh, fresh[i]);
    }
    assert_int_equal(lm_window_count(spec, 25), 4);   // the last one full
    assert_int_equal(lm_window_get(spec, tokens, 25, 3).len, 10);
}

static void no_size_overflows(void **state)
{
    (void)state;
    assert_int_equal(lm_window_count((struct lm_window_spec){ 1, 1 }, SIZE_MAX), SIZE_MAX);
    assert_int_equal(lm_window_count((struct lm_window_spec){ SIZE_MAX, SIZE_MAX }, SIZE_MAX), 1);
    assert_int_equal(lm_window_count((struct lm_window_spec){ 2, 2 }, SIZE_MAX), SIZE_MAX / 2 + 1);
}

static void specs_that_skip_tokens_are_refused(void **state)
{
    (void)state;
    struct lm_err err;
    assert_int_equal(lm_window_spec_check((struct lm_window_spec){ 0, 1 }, &err), LM_EINVAL);
    assert_int_equal(lm_window_spec_check((struct lm_window_spec){ 4, 0 }, &err), LM_EINVAL);
    assert_int_equal(lm_window_spec_check((struct lm_window_spec){ 4, 5 }, &err), LM_EINVAL);
    assert_int_equal(lm_window_spec_check((struct lm_window_spec){ 4, 4 }, &err), LM_OK);
}

static void a_window_behind_the_last_is_a_broken_contract(void **state)
{
    (void)state;
    const uint32_t tokens[28] = { 0 };
    const struct lm_window_spec spec = { 10, 5 };
    expect_assert_failure(lm_window_get(spec, tokens, 28, 5));
    expect_assert_failure(lm_window_get(spec, tokens, 28, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_case_follows_the_rule),
        cmocka_unit_test(the_example_of_the_header_holds),
        cmocka_unit_test(no_size_overflows),
        cmocka_unit_test(specs_that_skip_tokens_are_refused),
        cmocka_unit_test(a_window_behind_the_last_is_a_broken_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
