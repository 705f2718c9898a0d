#include "check.h"

#include "base/mem.h"

static void arena_pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct lm_arena arena = { 0 };
    char *pieces[COUNT];
    size_t total = 0;
    for (int round = 0; round < 2; round++) {   // the second one meets used memory
        for (size_t i = 0; i < COUNT; i++) {
            const size_t size = i * 7 % 300;
            pieces[i] = lm_arena_alloc(&arena, size);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(pieces[i][k], 0);
            memset(pieces[i], (int)(i % 251) + 1, size);
            total += (size + 15) / 16 * 16;
        }
        for (size_t i = 0; i < COUNT; i++)
            for (size_t k = 0; k < i * 7 % 300; k++)
                assert_int_equal((uint8_t)pieces[i][k], i % 251 + 1);
        assert_int_equal(arena.total_bytes, total);
        total = 0;
        lm_arena_reset(&arena);
        assert_int_equal(arena.total_bytes, 0);
    }
    lm_arena_release(&arena);
    assert_null(arena.block);
}

static void a_piece_larger_than_any_block_fits(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    lm_arena_alloc(&arena, 1);
    char *big = lm_arena_alloc(&arena, 5 << 20);
    big[(5 << 20) - 1] = 1;
    lm_arena_release(&arena);
}

static void arena_text_is_copied_and_terminated(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    assert_string_equal(lm_arena_strdup(&arena, "whole"), "whole");
    assert_string_equal(lm_arena_strndup(&arena, "first half", 5), "first");
    assert_string_equal(lm_arena_strndup(&arena, NULL, 0), "");
    assert_string_equal(lm_arena_printf(&arena, "%s:%d", "file", 12), "file:12");
    lm_arena_release(&arena);
}

static void growing_doubles_and_keeps_what_is_there(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0, moves = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        const size_t before = cap;
        lm_grow(&items, &cap, i + 1, sizeof(*items));
        moves += cap != before;
        items[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);
    assert_true(moves < 15);
    lm_grow(&items, &cap, 100000, sizeof(*items));   // one step to what is asked for
    assert_int_equal(cap, 100000);
    free(items);
}

static void touching_memory_changes_nothing_of_it(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    LM_FREE char *there = lm_alloc(BYTES), *fresh = lm_zalloc(BYTES, 1);
    memset(there, 'x', BYTES);
    for (size_t len = 0; len <= BYTES; len += len < 3 ? 1 : BYTES / 4 - 1) {
        lm_mem_touch(there + (BYTES - len), len);
        lm_mem_touch(fresh + (BYTES - len), len);
    }
    for (size_t i = 0; i < BYTES; i++)
        assert_true(there[i] == 'x' && fresh[i] == 0);
}

static void slabs_are_aligned_and_zeroed(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, (5 << 20) + 1 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        LM_FREE char *slab = lm_slab_alloc(sizes[i]);
        assert_int_equal((uintptr_t)slab % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            if (slab[k] != 0)
                fail_msg("byte %zu of %zu is not zero", k, sizes[i]);
    }
}

static void copies_are_equal_and_independent(void **state)
{
    (void)state;
    char text[] = "abc";
    LM_FREE char *copy = lm_strdup(text);
    LM_FREE char *bytes = lm_memdup(text, 2);
    text[0] = 'x';
    assert_string_equal(copy, "abc");
    assert_memory_equal(bytes, "ab", 2);
    LM_FREE void *nothing = lm_memdup(NULL, 0);
    assert_non_null(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(a_piece_larger_than_any_block_fits),
        cmocka_unit_test(arena_text_is_copied_and_terminated),
        cmocka_unit_test(growing_doubles_and_keeps_what_is_there),
        cmocka_unit_test(touching_memory_changes_nothing_of_it),
        cmocka_unit_test(slabs_are_aligned_and_zeroed),
        cmocka_unit_test(copies_are_equal_and_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
