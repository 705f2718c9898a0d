/* Passages lie in the text without gaps, are whole characters, and end where the rule says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/passages.h"
#include "text/text.h"

enum { TEXT_MAX = 400, ROUNDS = 3000 };

static uint64_t state = 1;
static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* Characters of one to four bytes; line ends and blanks in some texts often, in some never. */
static size_t make_text(char *ret)
{
    static const char *const chars[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", " ", "\n" };
    const uint32_t kinds = 4 + draw(3), rarity = 1 + draw(30);
    const size_t wanted = draw(TEXT_MAX - 4);
    size_t len = 0;
    while (len < wanted) {
        uint32_t kind = draw(kinds);
        if (kind >= 4 && draw(rarity) > 0)
            kind = 0;
        memcpy(ret + len, chars[kind], strlen(chars[kind]));
        len += strlen(chars[kind]);
    }
    return len;
}

static bool is_inside(struct lm_str s, size_t at)
{
    return at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80;
}

/* The rule, by ranking every end there could be: line ends before blanks before characters, later before
 * earlier; line ends and blanks of the second half only. */
static size_t naive_end(struct lm_str s, size_t max)
{
    size_t best = 0, best_rank = 0;
    if (s.len <= max)
        return s.len;
    for (size_t end = 1; end <= max; end++) {
        size_t rank = 1;
        if (is_inside(s, end))
            continue;
        if (s.ptr[end - 1] == '\n' && end > max / 2)
            rank = 3;
        else if (s.ptr[end] == ' ' && end > max / 2)
            rank = 2;
        if (rank >= best_rank) {
            best = end;
            best_rank = rank;
        }
    }
    return best;
}

static void every_end_is_the_rules(void **unused)
{
    (void)unused;
    char text[TEXT_MAX];
    for (int i = 0; i < ROUNDS; i++) {
        const struct lm_str s = { text, make_text(text) };
        const size_t max = LM_PASSAGE_BYTES_MIN + draw(100);
        assert_int_equal(lm_passage_end(s, max), naive_end(s, max));
    }
}

static void passages_are_the_text(void **unused)
{
    (void)unused;
    char text[TEXT_MAX];
    for (int i = 0; i < 200; i++) {
        struct lm_err err = { 0 };
        const struct lm_str s = { text, make_text(text) };
        const size_t max = LM_PASSAGE_BYTES_MIN + draw(100), all = LM_PASSAGE_BYTES_MIN + draw(TEXT_MAX);
        struct lm_passages p = { 0 };
        assert_int_equal(lm_file_write("passages.txt", s, &err), LM_OK);
        const enum lm_rc rc = lm_passages_read("passages.txt", all, max, &p, &err);
        assert_int_equal(rc, s.len ? LM_OK : LM_ENOENT);
        size_t at = 0;
        for (size_t k = 0; k < p.count; k++) {
            assert_true(p.items[k].len > 0 && p.items[k].len <= max);
            assert_true(lm_utf8_valid(p.items[k]));
            assert_memory_equal(p.items[k].ptr, text + at, p.items[k].len);
            at += p.items[k].len;
        }
        assert_int_equal(at, naive_end(s, all));
        assert_int_equal(at, p.bytes);
        lm_passages_release(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_is_the_rules),
        cmocka_unit_test(passages_are_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
