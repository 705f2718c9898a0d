#ifndef LM_TESTS_LIB_CHECK_H
#define LM_TESTS_LIB_CHECK_H
/* tests/lib/check.h - cmocka with the headers it wants first, and the few checks all of these tests share.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

#define assert_ok(call) assert_int_equal((call), LM_OK)

#define assert_text(str, expected)                                                                           \
    do {                                                                                                     \
        const struct lm_str got_ = (str), want_ = lm_str(expected);                                          \
        assert_int_equal(got_.len, want_.len);                                                               \
        assert_memory_equal(got_.ptr, want_.ptr, want_.len);                                                 \
    } while (0)

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

#endif
