/* Versions and aliases: nothing that failed its gates is promoted, and the way back is known. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/registry.h"

static struct lm_artifact artifact(const char *id, const char *metrics)
{
    struct lm_artifact a = { .metrics = lm_str(metrics) };
    memcpy(a.id, id, LM_ARTIFACT_ID - 1);
    return a;
}

#define ID(letter) letter letter letter letter letter letter letter letter
#define ID32(letter) ID(letter) ID(letter) ID(letter) ID(letter)

static struct lm_db *db;
static struct lm_err err;

static int open_db(void **state)
{
    (void)state;
    assert_int_equal(lm_db_open(":memory:", &db, &err), LM_OK);
    return lm_registry_schema(db, &err);
}

static int close_db(void **state)
{
    (void)state;
    lm_db_close(db);
    return 0;
}

static int64_t add(const char *model, const char *id, const char *verdict)
{
    const struct lm_artifact a = artifact(id, "{}"), review = artifact(ID32("e"), verdict);
    int64_t version = 0;
    assert_int_equal(lm_registry_add(db, model, &a, &review, 1000, &version, &err), LM_OK);
    return version;
}

#define PASSED "{\"passed\":true}"
#define FAILED "{\"passed\":false}"

static enum lm_rc promote(const char *model, int64_t version)
{
    return lm_registry_promote(db, model, version, "champion", "test", "why", 2000, &err);
}

static int64_t champion(const char *model)
{
    struct lm_arena arena = { 0 };
    struct lm_model_version v = { 0 };
    const enum lm_rc rc = lm_registry_get(db, model, 0, "champion", &arena, &v, &err);
    lm_arena_release(&arena);
    return rc == LM_OK ? v.version : -1;
}

static void versions_count_up_and_know_themselves(void **state)
{
    (void)state;
    assert_int_equal(add("mail", ID32("a"), PASSED), 1);
    assert_int_equal(add("mail", ID32("b"), PASSED), 2);
    assert_int_equal(add("mail", ID32("a"), PASSED), 1);
    assert_int_equal(add("chat", ID32("a"), PASSED), 1);
}

static void what_failed_its_gates_is_refused(void **state)
{
    (void)state;
    assert_int_equal(add("mail", ID32("a"), FAILED), 1);
    assert_int_equal(promote("mail", 0), LM_EDENIED);
    assert_non_null(strstr(err.text, "did not pass"));
    assert_int_equal(champion("mail"), -1);
    assert_int_equal(add("mail", ID32("b"), "not even JSON"), 2);
    assert_int_equal(promote("mail", 2), LM_EDENIED);
    assert_int_equal(promote("mail", 3), LM_ENOENT);
    assert_int_equal(promote("nobody", 0), LM_ENOENT);
}

static void rollback_goes_to_the_version_before(void **state)
{
    (void)state;
    int64_t version = 0;
    add("mail", ID32("a"), PASSED);
    add("mail", ID32("b"), PASSED);
    assert_int_equal(promote("mail", 1), LM_OK);
    assert_int_equal(lm_registry_rollback(db, "mail", "champion", "test", "", 3000, &version, &err),
                     LM_ENOENT);
    assert_int_equal(promote("mail", 0), LM_OK);   // the newest
    assert_int_equal(champion("mail"), 2);
    assert_int_equal(promote("mail", 2), LM_ENOTHING);
    assert_int_equal(lm_registry_rollback(db, "mail", "champion", "test", "slow", 3000, &version, &err),
                     LM_OK);
    assert_int_equal(version, 1);
    assert_int_equal(champion("mail"), 1);

    struct lm_arena arena = { 0 };
    struct lm_alias_change *changes;
    size_t count;
    assert_int_equal(lm_registry_history(db, "mail", &arena, &changes, &count, &err), LM_OK);
    assert_int_equal(count, 3);
    assert_int_equal(changes[2].from_version, 2);
    assert_int_equal(changes[2].to_version, 1);
    assert_string_equal(changes[2].reason, "slow");
    lm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_count_up_and_know_themselves, open_db, close_db),
        cmocka_unit_test_setup_teardown(what_failed_its_gates_is_refused, open_db, close_db),
        cmocka_unit_test_setup_teardown(rollback_goes_to_the_version_before, open_db, close_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
