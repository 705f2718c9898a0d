/* The piece cache: what is found is right, and what was kept is found. */
#include "check.h"

#include "token/cache.h"

/* Pieces that differ in one byte only, at every place of every length. */
static size_t make_piece(char piece[64], size_t len, size_t place, size_t variant)
{
    memset(piece, 'x', len);
    piece[place] = (char)('a' + variant);
    return len;
}

enum { LEN_MAX = 40, VARIANTS = 4 };

static void nearly_all_that_was_kept_is_found_and_right(void **state)
{
    (void)state;
    struct lm_cache cache;
    lm_cache_init(&cache);
    size_t kept = 0, found = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t number = 0;
        for (size_t len = 1; len <= LEN_MAX; len++) {
            for (size_t i = 0; i < len * VARIANTS; i++, number++) {
                char bytes[64];
                const struct lm_str piece = { bytes, make_piece(bytes, len, i / VARIANTS, i % VARIANTS) };
                const struct lm_cache_key key = lm_cache_key(piece, true);
                const struct lm_cache_key tail = lm_cache_key(piece, false);
                assert_memory_equal(&key, &tail, sizeof(key));
                uint32_t ids[8];
                const size_t count = 1 + number % 8;
                for (size_t k = 0; k < count; k++)
                    ids[k] = number + (uint32_t)k;
                if (pass == 0) {
                    lm_cache_put(&cache, key, piece, ids, count);
                    kept++;
                    continue;
                }
                const struct lm_cache_entry *e =
                    lm_cache_find(&cache, key, lm_cache_home(&cache, key), piece);
                if (!e)
                    continue;
                found++;
                assert_int_equal(e->count, count);
                assert_memory_equal(count <= LM_CACHE_INLINE_IDS ? e->ids : cache.more + e->ids[0], ids,
                                    count * sizeof(*ids));
            }
        }
    }
    assert_true(found * 100 > kept * 98);   // a weak hash fills the places within reach of one home
    lm_cache_release(&cache);
}

static void a_full_cache_starts_anew(void **state)
{
    (void)state;
    struct lm_cache cache;
    lm_cache_init(&cache);
    char bytes[LM_CACHE_PIECE_MAX];
    memset(bytes, 'y', sizeof(bytes));
    const uint32_t id = 7;
    for (uint32_t i = 0; i < 100000; i++) {   // 50 MB of pieces
        memcpy(bytes, &i, sizeof(i));
        const struct lm_str piece = { bytes, sizeof(bytes) };
        lm_cache_put(&cache, lm_cache_key(piece, true), piece, &id, 1);
        assert_true(cache.texts.len <= LM_CACHE_TEXTS_MAX + sizeof(bytes));
    }
    const struct lm_str last = { bytes, sizeof(bytes) };
    const struct lm_cache_key key = lm_cache_key(last, true);
    assert_non_null(lm_cache_find(&cache, key, lm_cache_home(&cache, key), last));
    lm_cache_release(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearly_all_that_was_kept_is_found_and_right),
        cmocka_unit_test(a_full_cache_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
