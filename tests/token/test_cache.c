/* The piece cache: what is found is right, what was kept is found, and threads may share it. */
#include "check.h"

#include "token/cache.h"

#include <pthread.h>

/* Pieces that differ in one byte only, at every place of every length. */
static size_t make_piece(char piece[64], size_t len, size_t place, size_t variant)
{
    memset(piece, 'x', len);
    piece[place] = (char)('a' + variant);
    return len;
}

enum { LEN_MAX = 40, VARIANTS = 4 };

static const struct lm_cache_entry *find(const struct lm_cache *c, struct lm_str piece)
{
    const struct lm_cache_key key = lm_cache_key(piece, false);
    return lm_cache_find(c, key, lm_cache_home(c, key), piece);
}

static void put(struct lm_cache *c, struct lm_str piece, const uint32_t *ids, size_t count)
{
    lm_cache_put(c, lm_cache_key(piece, false), piece, ids, count);
}

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
                    put(&cache, piece, ids, count);
                    lm_cache_renew(&cache);
                    kept++;
                    continue;
                }
                const struct lm_cache_entry *e = find(&cache, piece);
                if (!e)
                    continue;
                found++;
                assert_int_equal(e->count, count);
                assert_memory_equal(lm_cache_ids(&cache, e), ids, count * sizeof(*ids));
            }
        }
    }
    assert_true(found * 100 > kept * 98);   // a weak hash fills the places within reach of one home
    lm_cache_release(&cache);
}

static void a_long_piece_is_more_than_its_hash(void **state)
{
    (void)state;
    struct lm_cache cache;
    lm_cache_init(&cache);
    const struct lm_str kept = LM_STR("a piece of many letters"), other = LM_STR("another of many letters");
    const uint32_t id = 7;
    assert_int_equal(kept.len, other.len);
    put(&cache, kept, &id, 1);   // the first, whose place is the lowest there is
    const struct lm_cache_key key = lm_cache_key(kept, false);
    assert_non_null(lm_cache_find(&cache, key, lm_cache_home(&cache, key), kept));
    assert_null(lm_cache_find(&cache, key, lm_cache_home(&cache, key), other));
    lm_cache_release(&cache);
}

/* ---- threads ---- */

enum { THREADS = 3, IDS_MAX = 1500 };

/* Piece `number`: short ones and long ones, with few ids and with many. */
static struct lm_str numbered(size_t number, bool large, char *bytes, uint32_t *ids, size_t *ret_count)
{
    const size_t len = large ? LM_CACHE_PIECE_MAX : number % 2 ? 8 : 40;
    *ret_count = large ? IDS_MAX : number % 3 ? 1 + number % 3 : 4 + number % 20;
    memset(bytes, 'p', len);
    memcpy(bytes, &number, sizeof(number));
    for (size_t i = 0; i < *ret_count; i++)
        ids[i] = (uint32_t)(number * 31 + i);
    return (struct lm_str){ bytes, len };
}

/* Whether the piece is known; wrong ids fail. */
static bool knows(const struct lm_cache *c, size_t number, bool large, size_t *wrong)
{
    char bytes[LM_CACHE_PIECE_MAX];
    uint32_t ids[IDS_MAX];
    size_t count;
    const struct lm_str piece = numbered(number, large, bytes, ids, &count);
    const struct lm_cache_entry *e = find(c, piece);
    if (e && (e->count != count || memcmp(lm_cache_ids(c, e), ids, count * sizeof(*ids)) != 0))
        ++*wrong;
    return e != NULL;
}

struct user {
    struct lm_cache *shared;
    pthread_barrier_t *start;
    size_t pieces;
    bool large;
    size_t wrong, mask_max;
};

/* All meet the same pieces in the same order, as fast as they can. */
static void *meet(void *data)
{
    struct user *u = data;
    struct lm_cache cache;
    lm_cache_join(&cache, u->shared);
    pthread_barrier_wait(u->start);
    for (size_t i = 0; i < u->pieces; i++) {
        char bytes[LM_CACHE_PIECE_MAX];
        uint32_t ids[IDS_MAX];
        size_t count;
        const struct lm_str piece = numbered(i, u->large, bytes, ids, &count);
        if (!knows(&cache, i, u->large, &u->wrong))
            put(&cache, piece, ids, count);
        (void)knows(&cache, i, u->large, &u->wrong);
        (void)knows(&cache, i * 7919 % (i + 1), u->large, &u->wrong);
        if (i % 50 == 0)
            lm_cache_renew(&cache);
        u->mask_max = cache.mask > u->mask_max ? cache.mask : u->mask_max;
    }
    lm_cache_release(&cache);
    return NULL;
}

static void share(struct lm_cache *cache, struct user users[THREADS], size_t pieces, bool large)
{
    pthread_barrier_t start;
    pthread_t threads[THREADS];
    pthread_barrier_init(&start, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){ .shared = cache, .start = &start, .pieces = pieces, .large = large };
        assert_int_equal(pthread_create(&threads[i], NULL, meet, &users[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

static void threads_know_what_one_of_them_has_met(void **state)
{
    (void)state;
    enum { PIECES = 40000 };
    struct lm_cache cache;
    struct user users[THREADS];
    lm_cache_init(&cache);
    const size_t mask = cache.mask;
    for (uint32_t id = 0; id <= mask / 2 + 64;
         id++)   // full, so that the cache that joins them later moves on, too
        put(&cache, (struct lm_str){ (const char *)&id, sizeof(id) }, &id, 1);
    share(&cache, users, PIECES, false);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(users[i].wrong, 0);
        assert_true(users[i].mask_max > mask * 4);
    }
    lm_cache_renew(&cache);
    size_t known = 0, wrong = 0;
    for (size_t i = 0; i < PIECES; i++)
        known += knows(&cache, i, false, &wrong);
    assert_int_equal(wrong, 0);
    assert_true(known * 2 > PIECES);   // who is late while another makes the next table loses some
    lm_cache_release(&cache);
}

static void a_full_cache_starts_anew(void **state)
{
    (void)state;
    enum { WORDS = LM_CACHE_PIECE_MAX / 4 + IDS_MAX, PIECES = LM_CACHE_DATA_MAX / WORDS * 5 / 4 };
    struct lm_cache cache;
    struct user users[THREADS];
    lm_cache_init(&cache);
    share(&cache, users, PIECES, true);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(users[i].wrong, 0);
    const uint32_t *before = cache.data, id = 7;
    lm_cache_renew(&cache);
    assert_ptr_not_equal(cache.data, before);   // what was in it is forgotten
    put(&cache, LM_STR("new"), &id, 1);
    assert_non_null(find(&cache, LM_STR("new")));
    lm_cache_release(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearly_all_that_was_kept_is_found_and_right),
        cmocka_unit_test(a_long_piece_is_more_than_its_hash),
        cmocka_unit_test(threads_know_what_one_of_them_has_met),
        cmocka_unit_test(a_full_cache_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
