#ifndef LM_TESTS_TEXT_CHECK_H
#define LM_TESTS_TEXT_CHECK_H
/* What the tests of `text` share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/text.h"

/* Compares text with a message that shows both. */
static inline void assert_text(struct lm_str got, const char *want)
{
    if (!lm_str_eq(got, lm_str(want)))
        fail_msg("got:\n%.*s\nwanted:\n%s", (int)got.len, got.ptr, want);
}

#endif
