#include "stage.h"

#include <unistd.h>

static struct lm_source source(const char *name, const char *path)
{
    struct lm_source s;
    lm_opt_defaults(&lm_source_options, &s);
    s.name = name;
    s.path = path;
    return s;
}

static enum lm_rc collect(const struct lm_source *sources, size_t count, const char *out,
                          struct lm_buf *metrics, struct lm_err *err)
{
    fresh_dir(out);
    lm_buf_reset(metrics);
    return lm_collect(sources, count, out, metrics, err);
}

static void make_tree(void)
{
    fresh_dir("tree");
    put_file("tree/b.html", "<html><body><p>Caf\xe9</p></body></html>");   // windows-1252
    put_file("tree/a.txt", "plain");
    put_file("tree/sub/c.md", "# Title\n");
    put_file("tree/sub/D.HTM", "<p>d</p>");
    put_file("tree/r.jsonl", "{\"text\":\"one\",\"id\":\"r1\",\"labels\":[\"own\"]}\n"
                             "{\"content\":\"two\",\"license\":\"MIT\",\"source\":\"elsewhere\"}\n\n"
                             "{\"content\":\"three\",\"id\":\"r1\"}\n");
    put_file("tree/photo.png", "x");
    put_file("tree/other.PNG", "x");
    put_file("tree/Makefile", "x");
    (void)!symlink("..", "tree/sub/loop");
}

static void a_tree_becomes_records_in_path_order(void **state)
{
    (void)state;
    make_tree();
    const char *labels[] = { "public" };
    struct lm_source s = source("docs", "tree");
    s.license = "PostgreSQL";
    s.author = "The Group";
    s.labels = (struct lm_opt_list){ labels, 1, 1 };
    s.base_url = "https://example.org/docs";
    struct lm_buf metrics = { 0 };
    assert_ok(collect(&s, 1, "out", &metrics, NULL));

    char *lines = lines_of("out/documents.jsonl.zst");
    static const char *const order[] = { "\"content\":\"plain\"",
                                         "Caf\xc3\xa9",
                                         "\"content\":\"one\"",
                                         "\"content\":\"two\"",
                                         "\"content\":\"three\"",
                                         "<p>d</p>",
                                         "# Title" };
    const char *at = lines;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("no '%s' in its place in %s", order[i], lines);
    }
    char id[LM_DOCUMENT_ID];
    lm_document_id(LM_STR("docs"), LM_STR("a.txt"), id);
    assert_contains(lines, id);
    assert_contains(lines, "\"url\":\"https://example.org/docs/sub/c.md\"");
    assert_contains(lines, "\"media_type\":\"text/html\"");
    assert_contains(lines, "\"charset\":\"windows-1252\"");
    assert_contains(lines, "\"license\":\"MIT\"");
    assert_contains(lines, "\"record_source\":\"elsewhere\"");
    assert_contains(lines, "\"labels\":[\"own\",\"public\"]");
    assert_int_equal(count_of(lines, "\"license\":\"PostgreSQL\""), 6);
    assert_int_equal(count_of(lines, "\"source\":\"docs\""), 7);
    free(lines);

    assert_contains(metrics.ptr, "\"documents\":7");
    assert_contains(metrics.ptr, "\"ids_replaced\":1");   // r1 occurs twice
    assert_contains(metrics.ptr, "\"unsupported\":{\"(none)\":1,\".PNG\":2}");
    lm_buf_release(&metrics);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    make_tree();
    for (int i = 0; i < 600; i++) {   // more than two batches
        char path[64], text[128];
        snprintf(path, sizeof(path), "tree/many/%03d.txt", i);
        snprintf(text, sizeof(text), "document number %d", i);
        put_file(path, text);
    }
    const struct lm_source s = source("docs", "tree");
    struct lm_buf one = { 0 }, two = { 0 };
    lm_threads_set(1);
    assert_ok(collect(&s, 1, "out1", &one, NULL));
    lm_threads_set(2);
    assert_ok(collect(&s, 1, "out2", &two, NULL));
    lm_threads_set(0);
    assert_same_file("out1/documents.jsonl.zst", "out2/documents.jsonl.zst");
    assert_text(lm_buf_str(&one), two.ptr);
    lm_buf_release(&one);
    lm_buf_release(&two);
}

static void globs_choose_files(void **state)
{
    (void)state;
    make_tree();
    const char *include[] = { "*.txt", "sub/*" }, *exclude[] = { "*.HTM" };
    struct lm_source s = source("docs", "tree");
    s.include = (struct lm_opt_list){ include, 2, 2 };
    s.exclude = (struct lm_opt_list){ exclude, 1, 1 };
    struct lm_buf metrics = { 0 };
    assert_ok(collect(&s, 1, "out", &metrics, NULL));
    assert_contains(metrics.ptr, "\"documents\":2");
    assert_contains(metrics.ptr, "\"excluded\":6");
    lm_buf_release(&metrics);
}

static void a_source_without_documents_is_an_error_that_helps(void **state)
{
    (void)state;
    fresh_dir("empty");
    put_file("empty/a.pdf", "x");
    const struct lm_source s[] = { source("a", "tree"), source("b", "empty") };
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    assert_int_equal(collect(s, 2, "out", &metrics, &err), LM_ENOENT);
    assert_contains(err.text, "source 'b'");
    assert_contains(err.text, "'empty'");
    assert_contains(err.text, ".html");
    assert_false(lm_path_exists("out/documents.jsonl.zst"));

    const struct lm_source missing = source("c", "nowhere");
    assert_int_equal(collect(&missing, 1, "out", &metrics, &err), LM_ENOENT);
    assert_contains(err.text, "nowhere");
    lm_buf_release(&metrics);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    make_tree();
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    const struct lm_source twice[] = { source("a", "tree"), source("a", "tree") };
    assert_int_equal(collect(twice, 2, "out", &metrics, &err), LM_EINVAL);
    assert_contains(err.text, "'a'");
    const struct lm_source nameless = source(NULL, "tree");
    assert_int_equal(collect(&nameless, 1, "out", &metrics, &err), LM_EINVAL);
    assert_contains(err.text, "name");

    put_file("tree/bad.jsonl", "{\"text\":\"good\"}\n{\"text\":}\n");
    const struct lm_source bad = source("a", "tree");
    assert_int_equal(collect(&bad, 1, "out", &metrics, &err), LM_EFORMAT);
    assert_contains(err.text, "tree/bad.jsonl:2");
    lm_buf_release(&metrics);
}

static void a_stop_leaves_no_output(void **state)
{
    (void)state;
    make_tree();
    const struct lm_source s = source("a", "tree");
    struct lm_buf metrics = { 0 };
    struct lm_err err = { 0 };
    lm_stop_request(15);
    assert_int_equal(collect(&s, 1, "out", &metrics, &err), LM_ESTOP);
    lm_stop_request(0);
    assert_false(lm_path_exists("out/documents.jsonl.zst"));
    lm_buf_release(&metrics);
}

int main(void)
{
    lm_progress_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_becomes_records_in_path_order),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(globs_choose_files),
        cmocka_unit_test(a_source_without_documents_is_an_error_that_helps),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_stop_leaves_no_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
