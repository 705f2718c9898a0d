/* The database wrapper: schema steps are applied once, values come back as they went in. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/db.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const steps[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, weight REAL, data BLOB);",
    "ALTER TABLE item ADD COLUMN note TEXT;",
};

static void schema_steps_are_applied_once(void **state)
{
    (void)state;
    char path[] = "/tmp/loom-db-XXXXXX";
    close(mkstemp(path));
    struct lm_err err = { 0 };
    for (size_t known = 1; known <= 2; known++)
        for (int again = 0; again < 2; again++) {
            struct lm_db *db = NULL;
            assert_int_equal(lm_db_open(path, &db, &err), LM_OK);
            assert_int_equal(lm_db_schema(db, "test", steps, known, &err), LM_OK);
            lm_db_close(db);
        }
    struct lm_db *db = NULL;
    assert_int_equal(lm_db_open(path, &db, &err), LM_OK);
    assert_int_equal(lm_db_schema(db, "test", steps, 1, &err), LM_EFORMAT);   // made by a newer program
    assert_non_null(strstr(err.text, "newer"));
    lm_db_close(db);
    lm_path_remove(path, NULL);
}

static void values_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_err err = { 0 };
    assert_int_equal(lm_db_open(":memory:", &db, &err), LM_OK);
    assert_int_equal(lm_db_schema(db, "test", steps, 2, &err), LM_OK);
    const struct lm_str blob = { "\0\xff\1", 3 };
    assert_int_equal(lm_db_run(db, &err,
                               "INSERT INTO item (id, name, weight, data, note) VALUES (?, ?, ?, ?, ?)",
                               "isdbs", INT64_MAX, "a 'quoted' name", 0.1, blob, (const char *)NULL),
                     LM_OK);
    assert_int_equal(lm_db_changes(db), 1);
    struct lm_db_rows *rows = NULL;
    assert_int_equal(lm_db_query(db, &rows, &err, "SELECT id, name, weight, data, note FROM item", ""),
                     LM_OK);
    assert_int_equal(lm_db_next(rows, &err), LM_OK);
    assert_true(lm_db_int(rows, 0) == INT64_MAX);
    assert_string_equal(lm_db_text(rows, 1).ptr, "a 'quoted' name");
    assert_true(lm_db_real(rows, 2) == 0.1);
    assert_true(lm_str_eq(lm_db_text(rows, 3), blob));
    assert_true(lm_db_is_null(rows, 4));
    assert_int_equal(lm_db_next(rows, &err), LM_ENOTHING);
    lm_db_end(rows);
    assert_int_equal(
        lm_db_run(db, &err, "INSERT INTO item (name) VALUES (?)", "t", LM_STR("a 'quoted' name")), LM_EEXIST);
    int64_t none = 7;
    assert_int_equal(lm_db_get_int(db, &none, &err, "SELECT id FROM item WHERE name = ?", "s", "nobody"),
                     LM_ENOENT);
    assert_int_equal(none, 7);
    lm_db_close(db);
}

static void a_rolled_back_transaction_leaves_nothing(void **state)
{
    (void)state;
    struct lm_db *db = NULL;
    struct lm_err err = { 0 };
    int64_t count = -1;
    assert_int_equal(lm_db_open(":memory:", &db, &err), LM_OK);
    assert_int_equal(lm_db_schema(db, "test", steps, 2, &err), LM_OK);
    assert_int_equal(lm_db_begin(db, &err), LM_OK);
    assert_int_equal(lm_db_run(db, &err, "INSERT INTO item (name) VALUES ('x')", ""), LM_OK);
    lm_db_rollback(db);
    lm_db_rollback(db);   // fine when none is open
    assert_int_equal(lm_db_get_int(db, &count, &err, "SELECT count(*) FROM item", ""), LM_OK);
    assert_int_equal(count, 0);
    lm_db_close(db);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/loom-db-XXXXXX";
    close(mkstemp(path));
    struct lm_err err = { 0 };
    struct lm_db *db = NULL;
    assert_int_equal(
        lm_file_write(path, LM_STR("this is not a database, but it is long enough to look"), &err), LM_OK);
    assert_int_equal(lm_db_open(path, &db, &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, path));
    lm_path_remove(path, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_steps_are_applied_once),
        cmocka_unit_test(values_come_back_as_they_went_in),
        cmocka_unit_test(a_rolled_back_transaction_leaves_nothing),
        cmocka_unit_test(a_file_that_is_no_database_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
