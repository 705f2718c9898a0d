#include "infer/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LEN_MAX = 8 };

/* The rule, letter by letter: where a stop string ends first, the text ends before the longest such one. */
static bool reference_cut(struct lm_str text, const struct lm_str *stops, size_t count, size_t *ret)
{
    for (size_t end = 1; end <= text.len; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < count; i++)
            if (lm_str_ends((struct lm_str){ text.ptr, end }, stops[i]) && stops[i].len > longest)
                longest = stops[i].len;
        if (longest > 0) {
            *ret = end - longest;
            return true;
        }
    }
    *ret = text.len;
    return false;
}

/* Letters that may still become a stop string: the longest suffix that begins one. */
static size_t reference_held(struct lm_str text, const struct lm_str *stops, size_t count)
{
    for (size_t len = text.len; len > 0; len--)
        for (size_t i = 0; i < count; i++)
            if (lm_str_starts(stops[i], (struct lm_str){ text.ptr + text.len - len, len }))
                return len;
    return 0;
}

static void check_case(const struct lm_str *stops, size_t count, struct lm_str text, unsigned cuts)
{
    struct lm_stop_filter f;
    struct lm_buf out = { 0 };
    lm_stop_filter_init(&f, stops, count, LEN_MAX);
    bool stopped = false;
    size_t start = 0, want;
    for (size_t i = 0; i < text.len && !stopped; i++) {
        if (i + 1 < text.len && !(cuts >> i & 1))
            continue;
        stopped = lm_stop_filter_add(&f, (struct lm_str){ text.ptr + start, i + 1 - start }, &out);
        start = i + 1;
        if (!stopped)
            assert_int_equal(out.len,
                             start - reference_held((struct lm_str){ text.ptr, start }, stops, count));
    }
    assert_true(stopped == reference_cut(text, stops, count, &want));
    if (!stopped)
        lm_stop_filter_end(&f, &out);
    assert_int_equal(out.len, want);
    assert_memory_equal(lm_buf_str(&out).ptr, text.ptr, want);
    lm_buf_release(&out);
    lm_stop_filter_release(&f);
}

static void every_short_text_in_every_cut_follows_the_rule(void **state)
{
    (void)state;
    static const char *const sets[][4] = {
        { "ab" },           { "aab" }, { "abab", "ba" }, { "a" },           { "aaa", "abaabb", "bb" },
        { "ababb", "bab" }, { NULL },  { "b", "aab" },   { "abb", "babb" },
    };
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        struct lm_str stops[4];
        size_t count = 0;
        while (count < 4 && sets[s][count]) {
            stops[count] = lm_str(sets[s][count]);
            count++;
        }
        for (size_t len = 0; len <= LEN_MAX; len++)
            for (unsigned letters = 0; letters < 1u << len; letters++) {
                char text[LEN_MAX];
                for (size_t i = 0; i < len; i++)
                    text[i] = letters >> i & 1 ? 'b' : 'a';
                const unsigned step = len > 6 ? 13 : 1;   // enough of the longer ones
                for (unsigned cuts = 0; cuts < 1u << len; cuts += step)
                    check_case(stops, count, (struct lm_str){ text, len }, cuts);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_text_in_every_cut_follows_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
