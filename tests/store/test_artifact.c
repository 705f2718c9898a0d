/* Artifacts: equal recipes give equal ids, damage is named, killed makings leave nothing that counts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/artifact.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

static int make_store(void **state)
{
    char *dir = lm_strdup("/tmp/loom-store-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_store(void **state)
{
    lm_path_remove(*state, NULL);
    free(*state);
    return 0;
}

static const struct lm_artifact_input inputs[] = { { "documents", "00112233445566778899aabbccddeeff" } };

static struct lm_recipe recipe_with(const char *options)
{
    return (struct lm_recipe){ "prepare", 1, lm_str(options), inputs, 1 };
}

static void write_output(const struct lm_making *making, const char *name, const char *text)
{
    LM_FREE char *path = lm_path_join(making->out_dir, name);
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_write(path, lm_str(text), &err), LM_OK);
}

static struct lm_artifact make(const char *store, const char *options, const char *text,
                               struct lm_arena *arena)
{
    const struct lm_recipe recipe = recipe_with(options);
    struct lm_making making;
    struct lm_artifact artifact;
    struct lm_err err = { 0 };
    assert_int_equal(lm_making_begin(&making, store, &recipe, &err), LM_OK);
    write_output(&making, "b.txt", text);
    write_output(&making, "a.txt", "a");
    assert_int_equal(lm_making_commit(&making, &recipe, LM_STR("{\"documents\":3}"), arena, &artifact, &err),
                     LM_OK);
    return artifact;
}

static void what_was_made_is_found_again_by_its_recipe(void **state)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    struct lm_artifact found;
    const struct lm_recipe recipe = recipe_with("{\"x\":1}"), other = recipe_with("{\"x\":2}");
    assert_int_equal(lm_artifact_find(*state, &recipe, &arena, &found, &err), LM_ENOENT);
    const struct lm_artifact made = make(*state, "{\"x\":1}", "text", &arena);
    assert_int_equal(lm_artifact_find(*state, &recipe, &arena, &found, &err), LM_OK);
    assert_string_equal(found.id, made.id);
    assert_int_equal(found.file_count, 2);
    assert_string_equal(found.files[0].path, "a.txt");   // sorted, whatever the order of writing
    assert_int_equal(found.input_count, 1);
    assert_string_equal(found.inputs[0].id, inputs[0].id);
    assert_string_equal(found.metrics.ptr, "{\"documents\":3}");
    assert_int_equal(lm_artifact_find(*state, &other, &arena, &found, &err), LM_ENOENT);
    assert_int_equal(lm_artifact_load(*state, lm_arena_strndup(&arena, made.id, 8), &arena, &found, &err),
                     LM_OK);
    assert_string_equal(found.id, made.id);
    lm_arena_release(&arena);
}

static void equal_making_gives_equal_bytes_in_another_store(void **state)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    char other[] = "/tmp/loom-store-XXXXXX";
    assert_non_null(mkdtemp(other));
    const struct lm_artifact a = make(*state, "{}", "text", &arena), b = make(other, "{}", "text", &arena);
    assert_string_equal(a.id, b.id);
    struct lm_buf x = { 0 }, y = { 0 };
    assert_int_equal(lm_file_read(lm_arena_printf(&arena, "%s/manifest.json", a.dir), 1 << 20, &x, &err),
                     LM_OK);
    assert_int_equal(lm_file_read(lm_arena_printf(&arena, "%s/manifest.json", b.dir), 1 << 20, &y, &err),
                     LM_OK);
    assert_true(lm_str_eq(lm_buf_str(&x), lm_buf_str(&y)));
    lm_buf_release(&x);
    lm_buf_release(&y);
    lm_path_remove(other, NULL);
    lm_arena_release(&arena);
}

static void a_changed_file_is_named(void **state)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    const struct lm_artifact a = make(*state, "{}", "text", &arena);
    assert_int_equal(lm_artifact_verify(&a, &err), LM_OK);
    const char *path = lm_arena_printf(&arena, "%s/b.txt", a.dir);
    assert_int_equal(lm_file_write(path, LM_STR("test"), &err), LM_OK);
    assert_int_equal(lm_artifact_verify(&a, &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "b.txt"));
    const char *manifest = lm_arena_printf(&arena, "%s/manifest.json", a.dir);
    assert_int_equal(lm_file_write(manifest, LM_STR("{\"manifest\":1,"), &err), LM_OK);
    struct lm_artifact loaded;
    assert_int_equal(lm_artifact_load(*state, a.id, &arena, &loaded, &err), LM_EFORMAT);
    assert_non_null(strstr(err.text, "manifest.json"));
    lm_arena_release(&arena);
}

static void a_second_maker_is_refused_and_leftovers_do_not_count(void **state)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    const struct lm_recipe recipe = recipe_with("{}");
    struct lm_making first, second;
    struct lm_artifact found;
    assert_int_equal(lm_making_begin(&first, *state, &recipe, &err), LM_OK);
    assert_int_equal(lm_making_begin(&second, *state, &recipe, &err), LM_EEXIST);
    write_output(&first, "half.txt", "half of some");
    LM_FREE char *checkpoint = lm_path_join(first.work_dir, "checkpoint");
    assert_int_equal(lm_file_write(checkpoint, LM_STR("step 7"), &err), LM_OK);
    lm_making_release(&first, false);   // as a kill would leave it
    assert_int_equal(lm_artifact_find(*state, &recipe, &arena, &found, &err), LM_ENOENT);
    assert_int_equal(lm_making_begin(&second, *state, &recipe, &err), LM_OK);
    LM_FREE char *half = lm_path_join(second.out_dir, "half.txt");
    assert_false(lm_path_exists(half));
    assert_true(lm_path_exists(checkpoint));
    assert_int_equal(lm_making_commit(&second, &recipe, LM_STR("{}"), &arena, &found, &err),
                     LM_EINVAL);   // empty
    lm_making_release(&second, true);
    lm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_made_is_found_again_by_its_recipe, make_store, remove_store),
        cmocka_unit_test_setup_teardown(equal_making_gives_equal_bytes_in_another_store, make_store,
                                        remove_store),
        cmocka_unit_test_setup_teardown(a_changed_file_is_named, make_store, remove_store),
        cmocka_unit_test_setup_teardown(a_second_maker_is_refused_and_leftovers_do_not_count, make_store,
                                        remove_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
