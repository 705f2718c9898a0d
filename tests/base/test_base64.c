/* Vectors of RFC 4648, section 10. */
#include "check.h"

#include "base/base64.h"

static void bytes_go_out_and_come_back(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        { "f", "Zg==" },         { "fo", "Zm8=" },         { "foo", "Zm9v" },          { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfb", "//77" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_buf text = { 0 }, bytes = { 0 };
        lm_base64_put(lm_str(cases[i].bytes), &text);
        assert_true(lm_str_eq(lm_buf_str(&text), lm_str(cases[i].text)));
        assert_true(lm_base64_get(lm_buf_str(&text), &bytes));
        assert_true(lm_str_eq(lm_buf_str(&bytes), lm_str(cases[i].bytes)));
        lm_buf_release(&text);
        lm_buf_release(&bytes);
    }
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = { "",     "Z",    "Zg=",    "Zg",   "Z===",
                                         "Zh==", "Zm9=", "Zm9v\n", "Zm-v", "=m9v" };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lm_buf bytes = { 0 };
        assert_false(lm_base64_get(lm_str(cases[i]), &bytes));
        lm_buf_release(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_out_and_come_back),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
