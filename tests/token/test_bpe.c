/* Merging one piece: both ways of doing it against the rule as dumb as possible. */
#include "check.h"

#include "token/bpe_wide.h"

enum { LETTERS = 4, MERGES = 60, IDS_MAX = 100 };

/* Merge the pair that is first in the list, leftmost, until there is none. */
static size_t merge_naively(const struct lm_bpe *bpe, uint32_t *ids, size_t count)
{
    for (;;) {
        size_t best = count;
        uint32_t rank = UINT32_MAX, made = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const struct lm_merge *m = lm_bpe_find(bpe, ids[i], ids[i + 1]);
            if (m && m->rank < rank) {
                best = i;
                rank = m->rank;
                made = m->id;
            }
        }
        if (best == count)
            return count;
        ids[best] = made;
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof(*ids));
        count--;
    }
}

/* A random list: every line joins two tokens known so far and makes a new one. */
static void random_merges(struct lm_rng *rng, struct lm_bpe *bpe)
{
    lm_bpe_init(bpe, MERGES);
    uint32_t known = LETTERS;
    for (uint32_t rank = 0; rank < MERGES; rank++) {
        const uint32_t left = (uint32_t)lm_rng_below(rng, known), right = (uint32_t)lm_rng_below(rng, known);
        if (!lm_bpe_find(bpe, left, right))
            lm_bpe_put(bpe, left, right, rank, known++);
    }
}

static void both_ways_of_merging_follow_the_rule(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(1, 0);
    struct lm_bpe_scratch scratch = { 0 };
    for (size_t list = 0; list < 60; list++) {
        struct lm_bpe bpe;
        random_merges(&rng, &bpe);
        for (size_t round = 0; round < 300; round++) {
            uint32_t want[IDS_MAX], scanned[IDS_MAX], heaped[IDS_MAX];
            const size_t len = lm_rng_below(&rng, round % 10 ? 33 : IDS_MAX + 1);
            for (size_t i = 0; i < len; i++)
                want[i] = scanned[i] = heaped[i] = (uint32_t)lm_rng_below(&rng, LETTERS);
            const size_t left = merge_naively(&bpe, want, len);
            bpe.several_ways = false;
            assert_int_equal(lm_bpe_merge(&bpe, &scratch, scanned, len), left);
            bpe.several_ways = true;   // forbids the short cut
            assert_int_equal(lm_bpe_merge(&bpe, &scratch, heaped, len), left);
            assert_memory_equal(scanned, want, left * sizeof(*want));
            assert_memory_equal(heaped, want, left * sizeof(*want));
        }
        lm_bpe_release(&bpe);
    }
    lm_bpe_scratch_release(&scratch);
}

enum { WORDS = 200, WORD_MAX = 70 };

static uint32_t find_word(char words[][WORD_MAX + 1], uint32_t known, const char *word, size_t len)
{
    uint32_t i = 0;
    while (i < known && (strncmp(words[i], word, len) != 0 || words[i][len] != '\0'))
        i++;
    return i;
}

/* A list of strings over two letters, each made in every way that the strings before it allow: many lines
 * make the same token, as in vocabularies without a list of their own. */
static void merges_of_strings(struct lm_rng *rng, struct lm_bpe *bpe)
{
    static char words[WORDS][WORD_MAX + 1];
    uint32_t known = 2, rank = 0;
    snprintf(words[0], sizeof(words[0]), "a");
    snprintf(words[1], sizeof(words[1]), "b");
    lm_bpe_init(bpe, WORDS * WORD_MAX);
    for (size_t round = 0; round < WORDS * 3 && known < WORDS; round++) {
        char made[2 * WORD_MAX + 1];
        snprintf(made, sizeof(made), "%s%s", words[lm_rng_below(rng, known)],
                 words[lm_rng_below(rng, known)]);
        bool new = strlen(made) <= WORD_MAX;
        for (uint32_t i = 0; i < known && new; i++)
            new = strcmp(words[i], made) != 0;
        if (!new)
            continue;
        memcpy(words[known], made, strlen(made) + 1);
        for (size_t k = 1; k < strlen(made); k++) {
            const uint32_t l = find_word(words, known, made, k);
            const uint32_t r = find_word(words, known, made + k, strlen(made) - k);
            if (l < known && r < known)
                lm_bpe_put(bpe, l, r, rank++, known);
        }
        known++;
    }
}

/* Windows, and windows that do not fit at once: runs of one letter become tokens longer than a window. */
static void registers_and_windows_follow_the_heap(void **state)
{
    (void)state;
    enum { LISTS = 12, ROUNDS = 80, LEN_MAX = 700 };
    struct lm_rng rng = lm_rng_make(5, 0);
    struct lm_bpe_scratch scratch = { 0 };
    for (size_t list = 0; list < LISTS; list++) {
        struct lm_bpe bpe;
        struct lm_bpe_wide wide;
        merges_of_strings(&rng, &bpe);
        assert_true(lm_bpe_wide_init(&wide, &bpe));
        for (size_t round = 0; round < ROUNDS; round++) {
            uint32_t want[LEN_MAX], got[LEN_MAX];
            const size_t len = 1 + lm_rng_below(&rng, round % 2 ? LEN_MAX : 70);
            const uint64_t ones = round % 3 ? 2 : 1 + lm_rng_below(&rng, 100);
            for (size_t i = 0; i < len; i++)
                want[i] = got[i] = lm_rng_below(&rng, ones) == 0;
            const size_t left = lm_bpe_merge_heap(&bpe, &scratch, want, len, NULL);
            assert_int_equal(lm_bpe_wide_merge(&wide, &scratch, got, len), left);
            assert_memory_equal(got, want, left * sizeof(*want));
        }
        lm_bpe_wide_release(&wide);
        lm_bpe_release(&bpe);
    }
    lm_bpe_scratch_release(&scratch);
}

/* Parts side by side, of all lengths, as if each were alone.  Ids beyond the table of the first ones, too. */
static void parts_at_once_follow_the_heap(void **state)
{
    (void)state;
    enum { LISTS = 12, ROUNDS = 60, PARTS_MAX = 600, PART_MAX = 40 };
    struct lm_rng rng = lm_rng_make(6, 0);
    struct lm_bpe_scratch scratch = { 0 };
    uint32_t *ids = lm_zalloc(PARTS_MAX * PART_MAX, sizeof(*ids));
    uint32_t *want = lm_zalloc(PARTS_MAX * PART_MAX, sizeof(*want));
    for (size_t list = 0; list < LISTS; list++) {
        struct lm_bpe bpe;
        struct lm_bpe_wide wide;
        if (list % 2)
            random_merges(&rng, &bpe);
        else
            merges_of_strings(&rng, &bpe);
        assert_true(lm_bpe_wide_init(&wide, &bpe));
        for (size_t round = 0; round < ROUNDS; round++) {
            uint32_t lens[PARTS_MAX], old_lens[PARTS_MAX];
            const size_t count = lm_rng_below(&rng, round % 4 ? 20 : PARTS_MAX) + 1;
            const uint64_t letters = list % 2 ? LETTERS : 2, rare = round % 3 ? 0 : 200;
            size_t all = 0;
            for (size_t i = 0; i < count; i++) {
                old_lens[i] = lens[i] = 1 + (uint32_t)lm_rng_below(&rng, round % 2 ? 16 : PART_MAX);
                for (size_t k = 0; k < lens[i]; k++, all++)
                    want[all] = ids[all] =
                        (uint32_t)(lm_rng_below(&rng, rare + 2) > 200 ? 300 : lm_rng_below(&rng, letters));
            }
            lm_bpe_wide_merge_parts(&wide, &scratch, ids, lens, count);
            for (size_t i = 0, at = 0; i < count; at += old_lens[i++]) {
                assert_int_equal(lens[i], lm_bpe_merge_heap(&bpe, &scratch, want + at, old_lens[i], NULL));
                assert_memory_equal(ids + at, want + at, lens[i] * sizeof(*ids));
            }
        }
        lm_bpe_wide_release(&wide);
        lm_bpe_release(&bpe);
    }
    free(ids);
    free(want);
    lm_bpe_scratch_release(&scratch);
}

static void of_equal_lines_the_last_counts(void **state)
{
    (void)state;
    struct lm_bpe bpe;
    lm_bpe_init(&bpe, 3);
    lm_bpe_put(&bpe, 0, 1, 0, 10);
    lm_bpe_put(&bpe, 1, 2, 1, 11);
    lm_bpe_put(&bpe, 0, 1, 2, 10);
    struct lm_bpe_scratch scratch = { 0 };
    uint32_t ids[] = { 0, 1, 2 };
    assert_int_equal(lm_bpe_merge(&bpe, &scratch, ids, 3), 2);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 11);
    lm_bpe_scratch_release(&scratch);
    lm_bpe_release(&bpe);
}

static void a_megabyte_of_one_letter_takes_no_quadratic_time(void **state)
{
    (void)state;
    enum { LEN = 1 << 18 };
    struct lm_bpe bpe;
    lm_bpe_init(&bpe, 8);
    for (uint32_t i = 0; i < 8; i++)
        lm_bpe_put(&bpe, i, i, i, i + 1);
    LM_FREE uint32_t *ids = lm_zalloc(LEN, sizeof(*ids));
    struct lm_bpe_scratch scratch = { 0 };
    assert_int_equal(lm_bpe_merge(&bpe, &scratch, ids, LEN), LEN / 256);   // quadratic: minutes
    assert_int_equal(ids[0], 8);
    lm_bpe_scratch_release(&scratch);
    lm_bpe_release(&bpe);
}

static void bytes_and_their_printable_form_are_one_to_one(void **state)
{
    (void)state;
    bool seen[324] = { false };
    for (unsigned b = 0; b < 256; b++) {
        const uint32_t cp = lm_byte_to_char((uint8_t)b);
        assert_true(cp < 324 && !seen[cp]);
        seen[cp] = true;
        struct lm_buf text = { 0 }, back = { 0 };
        const char byte = (char)b;
        lm_bytes_to_text((struct lm_str){ &byte, 1 }, &text);
        assert_true(lm_text_to_bytes(lm_buf_str(&text), &back));
        assert_int_equal(back.len, 1);
        assert_int_equal((unsigned char)back.ptr[0], b);
        if (b > 0)   // in the order of ids the characters ascend
            assert_true(lm_byte_to_char(lm_byte_in_order(b - 1)) < lm_byte_to_char(lm_byte_in_order(b)));
        lm_buf_release(&text);
        lm_buf_release(&back);
    }
    struct lm_buf none = { 0 };
    assert_false(lm_text_to_bytes(LM_STR("a b"), &none));
    assert_false(lm_text_to_bytes(LM_STR("\xc5\xbf"), &none));
    assert_int_equal(none.len, 0);
    lm_buf_release(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_of_merging_follow_the_rule),
        cmocka_unit_test(registers_and_windows_follow_the_heap),
        cmocka_unit_test(parts_at_once_follow_the_heap),
        cmocka_unit_test(of_equal_lines_the_last_counts),
        cmocka_unit_test(a_megabyte_of_one_letter_takes_no_quadratic_time),
        cmocka_unit_test(bytes_and_their_printable_form_are_one_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
