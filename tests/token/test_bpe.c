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

enum { LONG_MAX = 6000 };

/* Letters, repetitions of a few of them, and both in turn; now and then an id that no pair has. */
static void long_text(struct lm_rng *rng, uint64_t letters, size_t len, uint32_t *ids)
{
    for (size_t at = 0; at < len;) {
        const size_t period = 1 + lm_rng_below(rng, 9), start = at;
        const size_t end = at + 1 + lm_rng_below(rng, lm_rng_below(rng, 3) ? 300 : 3000);
        const bool repeat = lm_rng_below(rng, 2);
        for (; at < end && at < len; at++) {
            ids[at] = (uint32_t)lm_rng_below(rng, letters);
            if (repeat && at >= start + period)
                ids[at] = ids[at - period];
            else if (lm_rng_below(rng, 200) == 0)
                ids[at] = 100000 + (uint32_t)lm_rng_below(rng, 3);
        }
    }
}

/* Many windows, which agree or do not, repetitions to skip, and ids that are in no pair. */
static void joined_windows_follow_the_heap(void **state)
{
    (void)state;
    enum { LISTS = 20, ROUNDS = 30 };
    struct lm_rng rng = lm_rng_make(6, 0);
    struct lm_bpe_scratch scratch = { 0 };
    uint32_t *got = lm_zalloc(LONG_MAX, sizeof(*got)), *want = lm_zalloc(LONG_MAX, sizeof(*want));
    for (size_t list = 0; list < LISTS; list++) {
        struct lm_bpe bpe;
        struct lm_bpe_wide wide;
        if (list % 2)
            random_merges(&rng, &bpe);
        else
            merges_of_strings(&rng, &bpe);
        assert_true(lm_bpe_wide_init(&wide, &bpe));
        for (size_t round = 0; round < ROUNDS; round++) {
            const size_t len = LM_BPE_WINDOW + 1 + lm_rng_below(&rng, LONG_MAX - LM_BPE_WINDOW);
            long_text(&rng, list % 2 ? LETTERS : 2, len, want);
            memcpy(got, want, len * sizeof(*got));
            const size_t left = lm_bpe_merge_heap(&bpe, &scratch, want, len, NULL);
            assert_int_equal(lm_bpe_wide_merge(&wide, &scratch, got, len), left);
            assert_memory_equal(got, want, left * sizeof(*want));
        }
        lm_bpe_wide_release(&wide);
        lm_bpe_release(&bpe);
    }
    free(got);
    free(want);
    lm_bpe_scratch_release(&scratch);
}

static void expect_as_heap(const struct lm_bpe *bpe, const uint32_t *ids, size_t len)
{
    struct lm_bpe_scratch scratch = { 0 };
    struct lm_bpe_wide wide;
    LM_FREE uint32_t *got = lm_alloc(len * sizeof(*got)), *want = lm_alloc(len * sizeof(*want));
    memcpy(got, ids, len * sizeof(*got));
    memcpy(want, ids, len * sizeof(*want));
    assert_true(lm_bpe_wide_init(&wide, bpe));
    const size_t left = lm_bpe_merge_heap(bpe, &scratch, want, len, NULL);
    assert_int_equal(lm_bpe_wide_merge(&wide, &scratch, got, len), left);
    assert_memory_equal(got, want, left * sizeof(*want));
    lm_bpe_wide_release(&wide);
    lm_bpe_scratch_release(&scratch);
}

/* Where one letter repeats, tokens of 3, 9, 27 ... of it are never at the same place in two windows. */
static void repetitions_follow_the_heap(void **state)
{
    (void)state;
    enum { LEN = 8000, POWERS = 5 };
    struct lm_rng rng = lm_rng_make(8, 0);
    struct lm_bpe bpe;
    lm_bpe_init(&bpe, 2 * POWERS);
    for (uint32_t id = 0, rank = 0; rank < 2 * POWERS; id += 20) {
        lm_bpe_put(&bpe, id, id, rank++, id + 10);
        lm_bpe_put(&bpe, id + 10, id, rank++, id + 20);
    }
    for (size_t round = 0; round < 60; round++) {
        uint32_t ids[LEN];
        for (size_t i = 0; i < LEN; i++)
            ids[i] = lm_rng_below(&rng, 20 + 40 * round) ? 0 : 1;
        expect_as_heap(&bpe, ids, 100 + lm_rng_below(&rng, LEN - 100));
    }
    lm_bpe_release(&bpe);
}

/* In a row of ids that count up, merges go from its end to its start by fives: a window that does not hold
 * the end is wrong from its first token on. */
static void what_the_end_decides_follows_the_heap(void **state)
{
    (void)state;
    enum { ROW = 600, FIVE = 5, LEN = 4000 };
    struct lm_rng rng = lm_rng_make(9, 0);
    struct lm_bpe bpe;
    lm_bpe_init(&bpe, ROW * FIVE);
    for (uint32_t i = 0; i + 1 < ROW; i++)
        for (uint32_t made = 1; made < FIVE; made++)   // id made * ROW + i is made + 1 of the row, from i on
            lm_bpe_put(&bpe, i, (made - 1) * ROW + i + 1, (ROW - i) * FIVE + made, made * ROW + i);
    for (size_t round = 0; round < 40; round++) {
        uint32_t ids[LEN], next = 0;
        const uint64_t rare = 20 + 20 * round;
        for (size_t i = 0; i < LEN; i++) {
            ids[i] = next = lm_rng_below(&rng, rare) ? next : (uint32_t)lm_rng_below(&rng, ROW);
            next = (next + 1) % ROW;
        }
        expect_as_heap(&bpe, ids, 100 + lm_rng_below(&rng, LEN - 100));
    }
    lm_bpe_release(&bpe);
}

/* More pairs than the lines of the wide table hold are found, too. */
static void a_crowded_table_has_all_pairs(void **state)
{
    (void)state;
    enum { IDS = 400, LEN = 50 };
    struct lm_rng rng = lm_rng_make(7, 0);
    struct lm_bpe_scratch scratch = { 0 };
    struct lm_bpe bpe;
    struct lm_bpe_wide wide;
    lm_bpe_init(&bpe, IDS * IDS);
    for (uint32_t left = 0; left < IDS; left++)
        for (uint32_t right = 0; right < IDS; right++)
            if (lm_rng_below(&rng, 4) == 0)
                lm_bpe_put(&bpe, left, right, (uint32_t)bpe.len, IDS + (uint32_t)bpe.len);
    assert_true(lm_bpe_wide_init(&wide, &bpe));
    size_t full = 0;
    for (size_t i = 0; i < (size_t)1 << wide.line_bits; i++)
        full += (wide.lines[i].entry[LM_BPE_ENTRIES - 1] & wide.full) != 0;
    assert_true(full > 0);   // or this tests nothing
    for (size_t round = 0; round < 5000; round++) {
        uint32_t want[LEN], got[LEN];
        const size_t len = 1 + lm_rng_below(&rng, LEN);
        for (size_t i = 0; i < len; i++)
            want[i] = got[i] = (uint32_t)lm_rng_below(&rng, IDS);
        const size_t left = lm_bpe_merge_heap(&bpe, &scratch, want, len, NULL);
        assert_int_equal(lm_bpe_wide_merge(&wide, &scratch, got, len), left);
        assert_memory_equal(got, want, left * sizeof(*want));
    }
    lm_bpe_wide_release(&wide);
    lm_bpe_release(&bpe);
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
        cmocka_unit_test(joined_windows_follow_the_heap),
        cmocka_unit_test(repetitions_follow_the_heap),
        cmocka_unit_test(what_the_end_decides_follows_the_heap),
        cmocka_unit_test(a_crowded_table_has_all_pairs),
        cmocka_unit_test(of_equal_lines_the_last_counts),
        cmocka_unit_test(a_megabyte_of_one_letter_takes_no_quadratic_time),
        cmocka_unit_test(bytes_and_their_printable_form_are_one_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
