#include "check.h"

#include "base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t entries(const char *dir)
{
    struct lm_file_list list = { 0 };
    assert_ok(lm_file_walk(dir, &list, NULL));
    const size_t count = list.len;
    lm_file_list_release(&list);
    return count;
}

static int fresh_folder(void **state)
{
    (void)state;
    return lm_path_remove("f", NULL) || lm_dir_make("f", NULL);
}

static void assert_content(const char *path, const char *expected)
{
    struct lm_buf buf = { 0 };
    assert_ok(lm_file_read(path, 1 << 20, &buf, NULL));
    assert_text(lm_buf_str(&buf), expected);
    lm_buf_release(&buf);
}

/* ---- writing ---- */

static void a_file_appears_only_at_commit(void **state)
{
    (void)state;
    struct lm_writer w;
    assert_ok(lm_writer_open(&w, "f/x", NULL));
    fputs("new", w.stream);
    assert_false(lm_path_exists("f/x"));
    assert_ok(lm_writer_commit(&w, NULL));
    assert_content("f/x", "new");
    assert_int_equal(entries("f"), 1);
    assert_null(w.stream);
}

static void an_abort_leaves_the_old_file(void **state)
{
    (void)state;
    assert_ok(lm_file_write("f/x", LM_STR("old"), NULL));
    struct lm_writer w;
    assert_ok(lm_writer_open(&w, "f/x", NULL));
    fputs("new", w.stream);
    lm_writer_abort(&w);
    lm_writer_abort(&w);   // not open any more: nothing to do
    assert_content("f/x", "old");
    assert_int_equal(entries("f"), 1);
}

static void a_full_disk_is_an_error_and_leaves_the_old_file(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_write("/dev/full", LM_STR("x"), &err), LM_EIO);
    assert_string_equal(err.text, "cannot write '/dev/full': No space left on device");

    assert_ok(lm_file_write("f/x", LM_STR("old"), NULL));
    struct rlimit before, small = { .rlim_cur = 100000, .rlim_max = RLIM_INFINITY };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct lm_writer w;
    assert_ok(lm_writer_open(&w, "f/x", NULL));
    for (int i = 0; i < 200000; i++)
        fputc('x', w.stream);
    const enum lm_rc rc = lm_writer_commit(&w, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, LM_EIO);
    assert_contains(err.text, "f/x");
    assert_content("f/x", "old");
    assert_int_equal(entries("f"), 1);
}

static void devices_are_written_and_never_replaced(void **state)
{
    (void)state;
    assert_ok(lm_file_write("/dev/null", LM_STR("x"), NULL));
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void a_replaced_file_keeps_its_mode_and_its_link(void **state)
{
    (void)state;
    assert_ok(lm_file_write("f/secret", LM_STR("old"), NULL));
    assert_int_equal(chmod("f/secret", 0600), 0);
    assert_int_equal(symlink("secret", "f/link"), 0);
    assert_ok(lm_file_write("f/link", LM_STR("new"), NULL));
    struct stat st;
    assert_int_equal(lstat("f/link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat("f/secret", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_content("f/secret", "new");
}

static void places_that_cannot_be_written_are_named(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_write("f/no/such/x", LM_STR("x"), &err), LM_EIO);
    assert_string_equal(err.text, "cannot create 'f/no/such/x': No such file or directory");
    assert_int_equal(lm_file_write("f", LM_STR("x"), &err), LM_EIO);
    assert_contains(err.text, "it is a folder");
}

/* ---- reading ---- */

static void reading_stops_at_the_ceiling(void **state)
{
    (void)state;
    assert_ok(lm_file_write("f/x", LM_STR("12345"), NULL));
    struct lm_buf buf = { 0 };
    struct lm_err err = { 0 };
    lm_buf_puts(&buf, "kept ");
    assert_ok(lm_file_read("f/x", 5, &buf, NULL));
    assert_text(lm_buf_str(&buf), "kept 12345");
    assert_int_equal(lm_file_read("f/x", 4, &buf, &err), LM_ELIMIT);
    assert_contains(err.text, "'f/x' is larger than the 4 bytes");
    assert_text(lm_buf_str(&buf), "kept 12345");   // as before
    assert_int_equal(lm_file_read("f/x", 0, &buf, &err), LM_ELIMIT);
    assert_int_equal(lm_file_read("f/none", 5, &buf, &err), LM_ENOENT);
    assert_int_equal(lm_file_read("f", 5, &buf, &err), LM_EIO);
    lm_buf_reset(&buf);
    assert_ok(lm_file_read("/proc/self/stat", 1 << 16, &buf, NULL));   // says it has no size
    assert_true(buf.len > 0);
    lm_buf_release(&buf);
}

static void every_size_is_read_and_mapped_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 4095, 4096, 65535, 65536, 65537, 300000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        LM_FREE char *bytes = lm_alloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (char)(k * 31 >> 3);
        assert_ok(lm_file_write("f/x", (struct lm_str){ bytes, sizes[i] }, NULL));
        assert_ok(lm_file_copy("f/x", "f/y", NULL));
        struct lm_buf buf = { 0 };
        assert_ok(lm_file_read("f/y", sizes[i], &buf, NULL));
        assert_int_equal(buf.len, sizes[i]);
        assert_memory_equal(lm_buf_str(&buf).ptr, bytes, sizes[i]);
        lm_buf_release(&buf);
        struct lm_map map = { 0 };
        assert_ok(lm_map_open(&map, "f/y", NULL));
        assert_int_equal(map.len, sizes[i]);
        assert_memory_equal(map.ptr, bytes, sizes[i]);
        lm_map_close(&map);
        lm_map_close(&map);
    }
    struct lm_map map = { 0 };
    assert_int_equal(lm_map_open(&map, "f/none", NULL), LM_ENOENT);
    assert_int_equal(lm_map_open(&map, "f", NULL), LM_EIO);
}

/* ---- paths and trees ---- */

static void paths_are_joined_with_one_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = { { "a", "b", "a/b" },        { "a/", "b", "a/b" },
                                            { "", "b", "b" },           { "a", "/b", "/b" },
                                            { "/", "b", "/b" },         { "a", "", "a" },
                                            { "a/b", "c/d", "a/b/c/d" } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        LM_FREE char *joined = lm_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(joined, cases[i][2]);
    }
    assert_string_equal(lm_path_base("a/b/c.txt"), "c.txt");
    assert_string_equal(lm_path_base("c.txt"), "c.txt");
}

static void folders_are_made_with_their_parents_and_removed_whole(void **state)
{
    (void)state;
    struct lm_err err = { 0 };
    assert_ok(lm_dir_make("f/a/b/c/", NULL));
    assert_ok(lm_dir_make("f/a/b/c", NULL));
    assert_true(lm_path_is_dir("f/a/b/c"));
    assert_ok(lm_file_write("f/a/file", LM_STR("x"), NULL));
    assert_int_equal(lm_dir_make("f/a/file", &err), LM_EEXIST);
    assert_contains(err.text, "'f/a/file' is a file");
    assert_int_equal(lm_dir_make("f/a/file/d", &err), LM_EEXIST);
    assert_contains(err.text, "'f/a/file' is a file");
    assert_ok(lm_file_write("f/outside", LM_STR("x"), NULL));
    assert_int_equal(symlink("../outside", "f/a/link"), 0);
    assert_ok(lm_path_remove("f/a", NULL));
    assert_false(lm_path_exists("f/a"));
    assert_true(lm_path_exists("f/outside"));   // the link went, not its target
    assert_ok(lm_path_remove("f/a", NULL));     // absent is fine
}

static void renaming_replaces_the_target(void **state)
{
    (void)state;
    assert_ok(lm_file_write("f/x", LM_STR("new"), NULL));
    assert_ok(lm_file_write("f/y", LM_STR("old"), NULL));
    assert_ok(lm_path_rename("f/x", "f/y", NULL));
    assert_content("f/y", "new");
    struct lm_err err = { 0 };
    assert_int_equal(lm_path_rename("f/x", "f/z", &err), LM_EIO);
    assert_contains(err.text, "cannot rename 'f/x' to 'f/z'");
}

static void a_walk_lists_files_in_bytewise_order(void **state)
{
    (void)state;
    static const char *const made[] = { "b", "a/z", "a/b/c", "a.x", "a-x", ".hidden", "a/.git/x", "Z" };
    static const char *const expected[] = { "Z", "a-x", "a.x", "a/b/c", "a/z", "b", "link" };
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        LM_FREE char *path = lm_path_join("f", made[i]);
        LM_FREE char *dir = lm_strdup(path);
        *strrchr(dir, '/') = '\0';
        assert_ok(lm_dir_make(dir, NULL));
        assert_ok(lm_file_write(path, LM_STR("xyz"), NULL));
    }
    assert_int_equal(symlink("b", "f/link"), 0);
    assert_int_equal(symlink("a", "f/link-to-folder"), 0);
    assert_int_equal(symlink("nowhere", "f/link-to-nothing"), 0);
    assert_int_equal(mkfifo("f/pipe", 0600), 0);
    struct lm_file_list list = { 0 };
    assert_ok(lm_file_walk("f", &list, NULL));
    assert_int_equal(list.len, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < list.len; i++) {
        assert_string_equal(list.items[i].relative, expected[i]);
        LM_FREE char *path = lm_path_join("f", expected[i]);
        assert_string_equal(list.items[i].path, path);
        assert_int_equal(list.items[i].size_bytes, 3);
    }
    assert_ok(lm_file_walk("f/a/z", &list, NULL));   // a file is its own list, and lists append
    assert_string_equal(list.items[list.len - 1].relative, "z");
    struct lm_err err = { 0 };
    assert_int_equal(lm_file_walk("f/none", &list, &err), LM_ENOENT);
    assert_contains(err.text, "f/none");
    lm_file_list_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_file_appears_only_at_commit, fresh_folder),
        cmocka_unit_test_setup(an_abort_leaves_the_old_file, fresh_folder),
        cmocka_unit_test_setup(a_full_disk_is_an_error_and_leaves_the_old_file, fresh_folder),
        cmocka_unit_test_setup(devices_are_written_and_never_replaced, fresh_folder),
        cmocka_unit_test_setup(a_replaced_file_keeps_its_mode_and_its_link, fresh_folder),
        cmocka_unit_test_setup(places_that_cannot_be_written_are_named, fresh_folder),
        cmocka_unit_test_setup(reading_stops_at_the_ceiling, fresh_folder),
        cmocka_unit_test_setup(every_size_is_read_and_mapped_whole, fresh_folder),
        cmocka_unit_test(paths_are_joined_with_one_slash),
        cmocka_unit_test_setup(folders_are_made_with_their_parents_and_removed_whole, fresh_folder),
        cmocka_unit_test_setup(renaming_replaces_the_target, fresh_folder),
        cmocka_unit_test_setup(a_walk_lists_files_in_bytewise_order, fresh_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
