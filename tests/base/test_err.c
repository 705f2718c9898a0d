#include "check.h"

#include <errno.h>

static void a_failure_leaves_its_sentence_and_returns_its_code(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_fail(&err, LM_EINVAL, "size %d is outside %s", 7, "1..5"), LM_EINVAL);
    assert_int_equal(err.rc, LM_EINVAL);
    assert_string_equal(err.text, "size 7 is outside 1..5");
    assert_int_equal(lm_fail(NULL, LM_EIO, "nobody asks"), LM_EIO);
}

static void errno_is_appended_and_kept(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    errno = ENOENT;
    assert_int_equal(lm_fail_errno(&err, LM_EIO, "cannot open '%s'", "x"), LM_EIO);
    assert_string_equal(err.text, "cannot open 'x': No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void a_prefix_goes_in_front_and_keeps_the_code(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    (void)lm_fail(&err, LM_EFORMAT, "inner");
    assert_int_equal(lm_err_prefix(&err, LM_EIO, "outer %d", 1), LM_EFORMAT);
    assert_string_equal(err.text, "outer 1: inner");
    assert_int_equal(lm_err_prefix(NULL, LM_EIO, "outer"), LM_EIO);
}

static void a_sentence_that_is_too_long_is_cut_at_its_end(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    char big[2 * LM_ERR_TEXT_MAX];
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    errno = ENOENT;
    (void)lm_fail_errno(&err, LM_EIO, "%s", big);
    assert_int_equal(strlen(err.text), LM_ERR_TEXT_MAX - 1);
    (void)lm_err_prefix(&err, LM_EIO, "front");
    assert_int_equal(strlen(err.text), LM_ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "front: xxx", 10);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = LM_ENOMEM; a <= LM_OK; a++) {
        assert_string_not_equal(lm_rc_name((enum lm_rc)a), "unknown");
        for (int b = LM_ENOMEM; b < a; b++)
            assert_string_not_equal(lm_rc_name((enum lm_rc)a), lm_rc_name((enum lm_rc)b));
    }
    assert_string_equal(lm_rc_name(LM_EFORMAT), "format");
    assert_string_equal(lm_rc_name((enum lm_rc) - 99), "unknown");
    assert_string_equal(lm_rc_name((enum lm_rc)1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_leaves_its_sentence_and_returns_its_code),
        cmocka_unit_test(errno_is_appended_and_kept),
        cmocka_unit_test(a_prefix_goes_in_front_and_keeps_the_code),
        cmocka_unit_test(a_sentence_that_is_too_long_is_cut_at_its_end),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
