#ifndef LM_TESTS_TOKEN_CHECK_H
#define LM_TESTS_TOKEN_CHECK_H
/* tests/token/check.h - cmocka with the headers it wants first, and what the tests of this module share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "token/tokenizer.h"

#define GOLDEN LOOM_TEST_DIR "/golden/token/"

static inline void assert_ok_err(enum lm_rc rc, const struct lm_err *err)
{
    if (rc != LM_OK)
        fail_msg("%s", err->text);
}

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

static inline struct lm_tokenizer *golden_tokenizer(const char *name)
{
    struct lm_err err = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_buf path = { 0 };
    lm_buf_printf(&path, GOLDEN "%s.tokenizer.json", name);
    assert_ok_err(lm_tokenizer_load(path.ptr, &t, &err), &err);
    lm_buf_release(&path);
    lm_tokenizer_prepare(t);   // the fast ways are tested, not only those of the first texts
    return t;
}

/* Random text of up to chars_max characters that pre-tokenisers treat differently: classes side by side, runs
 * of blanks, apostrophes, letters of two to four bytes, marks. */
static inline void random_text(struct lm_rng *rng, size_t chars_max, struct lm_buf *ret)
{
    static const char *const parts[] = {
        "a",
        "b",
        "S",
        "T",
        "e",
        "x",
        "'s",
        "'S",
        "'t",
        "'re",
        "'VE",
        "'ll",
        "'d",
        "'m",
        "'",
        "1",
        "2",
        "9",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\v",
        "\xc2\x85",
        "\xc2\xa0",
        "\xe3\x80\x80",
        "\xe2\x80\xa8",
        ".",
        ",",
        "!",
        "-",
        "_",
        "(",
        "\xc3\xa9",
        "\xc5\xbf",
        "\xce\xb1",
        "\xe4\xb8\xad",
        "\xed\x95\x9c",
        "\xf0\x90\x90\x80",
        "\xf0\x9f\x98\x80",
        "\xcc\x81",
        "\xe0\xa5\x87",
        "\xc2\xb2",
        "\xd9\xa3",
        "\xe2\x85\xa7",
        "\xe2\x82\xac",
        "\xe2\x80\x8b",
        "\xe2\x80\x9c",
        "\x1c",
        "\x7f",
    };
    lm_buf_reset(ret);
    const size_t chars = lm_rng_below(rng, chars_max + 1);
    for (size_t i = 0; i < chars; i++)
        lm_buf_puts(ret, parts[lm_rng_below(rng, sizeof(parts) / sizeof(parts[0]))]);
}

#endif
