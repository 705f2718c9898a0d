#include "base/file.h"
#include "govern/govern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

static struct lm_db *open_db(const char *path)
{
    struct lm_db *db = NULL;
    struct lm_err err = { 0 };
    if (lm_db_open(path, &db, &err) != LM_OK || lm_users_schema(db, &err) != LM_OK)
        fail_msg("%s", err.text);
    return db;
}

static struct lm_db *db_with_maria(void)
{
    struct lm_db *db = open_db(":memory:");
    assert_int_equal(lm_user_add(db, "maria", "end-user", "retail, corporate", "55120", NULL), LM_OK);
    return db;
}

static struct lm_subject lookup(struct lm_db *db, const char *key, int64_t now_ms, struct lm_arena *arena)
{
    struct lm_subject s;
    assert_int_equal(lm_key_lookup(db, lm_str(key), now_ms, arena, &s, NULL), LM_OK);
    return s;
}

static void a_key_leads_to_its_user(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    struct lm_arena arena = { 0 };
    char key[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, key, NULL), LM_OK);
    assert_int_equal(strlen(key), LM_API_KEY_TEXT - 1);

    const struct lm_subject s = lookup(db, key, 1, &arena);
    assert_string_equal(s.key_state, "active");
    assert_string_equal(s.user, "maria");
    assert_string_equal(s.role, "end-user");
    assert_memory_equal(s.key_prefix, key + 5, 8);
    assert_int_equal(s.partition_count, 2);
    assert_string_equal(s.partitions[1], "corporate");
    assert_int_equal(s.account_count, 1);
    assert_string_equal(s.accounts[0], "55120");
    lm_arena_release(&arena);
    lm_db_close(db);
}

static void a_key_with_any_character_changed_is_unknown(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    struct lm_arena arena = { 0 };
    char key[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, key, NULL), LM_OK);
    for (size_t i = 0; key[i]; i++) {
        const char was = key[i];
        key[i] = was == 'a' ? 'b' : 'a';
        const struct lm_subject s = lookup(db, key, 1, &arena);
        assert_string_equal(s.key_state, "unknown");
        assert_string_equal(s.user, "");
        key[i] = was;
    }
    assert_string_equal(lookup(db, "", 1, &arena).key_state, "unknown");
    assert_string_equal(lookup(db, "loom_", 1, &arena).key_state, "unknown");
    assert_string_equal(lookup(db, key, 1, &arena).key_state, "active");
    lm_arena_release(&arena);
    lm_db_close(db);
}

static void the_database_never_holds_a_key(void **state)
{
    (void)state;
    lm_path_remove("keys.db", NULL);
    struct lm_db *db = open_db("keys.db");
    char key[LM_API_KEY_TEXT];
    assert_int_equal(lm_user_add(db, "maria", "end-user", NULL, NULL, NULL), LM_OK);
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, key, NULL), LM_OK);
    lm_db_close(db);
    struct lm_buf bytes = { 0 };
    assert_int_equal(lm_file_read("keys.db", 1 << 20, &bytes, NULL), LM_OK);
    assert_true(lm_str_find(lm_buf_str(&bytes), (struct lm_str){ key + 5, 8 }) >= 0);      // the prefix
    assert_true(lm_str_find(lm_buf_str(&bytes), (struct lm_str){ key + 14, 43 }) == -1);   // not the secret
    lm_buf_release(&bytes);
}

static void keys_expire_are_revoked_and_follow_their_user(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    struct lm_arena arena = { 0 };
    char key[LM_API_KEY_TEXT], other[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "maria", "analyst", 1000, key, NULL), LM_OK);
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, other, NULL), LM_OK);
    assert_string_equal(lookup(db, key, 999, &arena).key_state, "active");
    assert_string_equal(lookup(db, key, 999, &arena).role, "analyst");
    assert_string_equal(lookup(db, key, 1000, &arena).key_state, "expired");
    assert_string_equal(lookup(db, other, INT64_MAX, &arena).key_state, "active");

    assert_int_equal(lm_user_block(db, "maria", true, NULL), LM_OK);
    assert_string_equal(lookup(db, other, 1, &arena).key_state, "blocked");
    assert_int_equal(lm_user_block(db, "maria", false, NULL), LM_OK);

    other[13] = '\0';
    assert_int_equal(lm_key_revoke(db, other + 5, NULL), LM_OK);
    other[13] = '_';
    assert_string_equal(lookup(db, other, 1, &arena).key_state, "revoked");
    assert_int_equal(lm_key_revoke(db, "nobody00", NULL), LM_ENOENT);

    assert_int_equal(lm_user_remove(db, "maria", NULL), LM_OK);
    assert_string_equal(lookup(db, key, 1, &arena).key_state, "unknown");
    assert_int_equal(lm_user_remove(db, "maria", NULL), LM_ENOENT);
    lm_arena_release(&arena);
    lm_db_close(db);
}

static void two_keys_are_never_alike(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    char a[LM_API_KEY_TEXT], b[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, a, NULL), LM_OK);
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, b, NULL), LM_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(lm_key_create(db, "nobody", NULL, 0, a, NULL), LM_ENOENT);
    lm_db_close(db);
}

static void names_that_could_be_misread_are_refused(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    assert_int_equal(lm_user_add(db, "maria", "analyst", NULL, NULL, NULL), LM_EEXIST);
    assert_int_equal(lm_user_add(db, "", "analyst", NULL, NULL, NULL), LM_EINVAL);
    assert_int_equal(lm_user_add(db, "a b", "analyst", NULL, NULL, NULL), LM_EINVAL);
    assert_int_equal(lm_user_add(db, "a\"b", "analyst", NULL, NULL, NULL), LM_EINVAL);
    assert_int_equal(lm_user_add(db, "anna", "", NULL, NULL, NULL), LM_EINVAL);
    lm_db_close(db);
}

static void lists_are_in_order(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    struct lm_arena arena = { 0 };
    assert_int_equal(lm_user_add(db, "henrik", "analyst", "retail", NULL, NULL), LM_OK);
    assert_int_equal(lm_user_quota(db, "henrik", 500, NULL), LM_OK);
    char key[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "henrik", NULL, 77, key, NULL), LM_OK);

    struct lm_user_row *users;
    struct lm_key_row *keys;
    size_t count;
    assert_int_equal(lm_user_list(db, &arena, &users, &count, NULL), LM_OK);
    assert_int_equal(count, 2);
    assert_string_equal(users[0].user, "henrik");
    assert_int_equal(users[0].quota_tokens, 500);
    assert_string_equal(users[1].accounts, "55120");
    assert_int_equal(lm_key_list(db, &arena, &keys, &count, NULL), LM_OK);
    assert_int_equal(count, 1);
    assert_int_equal(keys[0].expires_ms, 77);
    lm_arena_release(&arena);
    lm_db_close(db);
}

static void a_new_agreement_is_asked_for_again(void **state)
{
    (void)state;
    struct lm_db *db = db_with_maria();
    struct lm_arena arena = { 0 };
    char key[LM_API_KEY_TEXT];
    assert_int_equal(lm_key_create(db, "maria", NULL, 0, key, NULL), LM_OK);
    assert_int_equal(lm_agreement_accept(db, "maria", 1, NULL), LM_ENOENT);
    assert_int_equal(lm_agreement_publish(db, 1, LM_STR("be kind"), NULL), LM_OK);
    assert_int_equal(lm_agreement_publish(db, 1, LM_STR("be kind"), NULL), LM_OK);
    assert_int_equal(lm_agreement_publish(db, 1, LM_STR("be rude"), NULL), LM_EEXIST);
    assert_int_equal(lookup(db, key, 1, &arena).agreement_required, 1);
    assert_int_equal(lookup(db, key, 1, &arena).agreement_version, 0);
    assert_int_equal(lm_agreement_accept(db, "maria", 1, NULL), LM_OK);
    assert_int_equal(lm_agreement_accept(db, "nobody", 1, NULL), LM_ENOENT);
    assert_int_equal(lookup(db, key, 1, &arena).agreement_version, 1);
    assert_int_equal(lm_agreement_publish(db, 2, LM_STR("be kinder"), NULL), LM_OK);
    assert_int_equal(lookup(db, key, 1, &arena).agreement_required, 2);
    lm_arena_release(&arena);
    lm_db_close(db);
}

enum { THREADS = 4, REQUESTS = 25, RESERVED = 10, USED = 7, QUOTA = 333 };

static void *spend(void *user)
{
    intptr_t *granted = user;
    struct lm_db *db = open_db("quota.db");
    for (int i = 0; i < REQUESTS; i++)
        if (lm_usage_reserve(db, "maria", RESERVED, NULL) == LM_OK)
            *granted += lm_usage_add(db, "maria", USED - RESERVED, NULL) == LM_OK;
    lm_db_close(db);
    return NULL;
}

static void requests_in_parallel_never_overspend(void **state)
{
    (void)state;
    lm_path_remove("quota.db", NULL);
    struct lm_db *db = open_db("quota.db");
    assert_int_equal(lm_user_add(db, "maria", "end-user", NULL, NULL, NULL), LM_OK);
    assert_int_equal(lm_user_quota(db, "maria", QUOTA, NULL), LM_OK);
    pthread_t threads[THREADS];
    intptr_t granted[THREADS] = { 0 }, total = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spend, &granted[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        total += granted[i];
    }
    int64_t used = 0;
    assert_int_equal(lm_db_get_int(db, &used, NULL, "SELECT used_tokens FROM users", ""), LM_OK);
    assert_int_equal(used, total * USED);
    assert_true(used <= QUOTA);
    assert_true(total >= (QUOTA - THREADS * RESERVED) / USED);
    assert_int_equal(lm_usage_reserve(db, "nobody", 1, NULL), LM_EDENIED);
    lm_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_leads_to_its_user),
        cmocka_unit_test(a_key_with_any_character_changed_is_unknown),
        cmocka_unit_test(the_database_never_holds_a_key),
        cmocka_unit_test(keys_expire_are_revoked_and_follow_their_user),
        cmocka_unit_test(two_keys_are_never_alike),
        cmocka_unit_test(names_that_could_be_misread_are_refused),
        cmocka_unit_test(lists_are_in_order),
        cmocka_unit_test(a_new_agreement_is_asked_for_again),
        cmocka_unit_test(requests_in_parallel_never_overspend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
