#include "check.h"

#include "base/file.h"
#include "corpus/document.h"

static struct lm_document parse(const char *line, struct lm_arena *arena)
{
    struct lm_document doc;
    struct lm_err err = { 0 };
    if (lm_document_parse(lm_str(line), "x.jsonl:1", arena, &doc, &err) != LM_OK)
        fail_msg("%s: %s", line, err.text);
    return doc;
}

static void assert_refused(const char *line, const char *cause)
{
    struct lm_arena arena = { 0 };
    struct lm_document doc = { .title = LM_STR("untouched") };
    struct lm_err err = { 0 };
    assert_int_not_equal(lm_document_parse(lm_str(line), "x.jsonl:7", &arena, &doc, &err), LM_OK);
    assert_contains(err.text, "x.jsonl:7");
    assert_contains(err.text, cause);
    assert_text(doc.title, "untouched");
    lm_arena_release(&arena);
}

static void assert_written(const char *line, const char *expected)
{
    struct lm_arena arena = { 0 };
    struct lm_buf out = { 0 };
    const struct lm_document doc = parse(line, &arena);
    lm_document_write(&doc, &out);
    assert_text(lm_buf_str(&out), expected);
    lm_buf_release(&out);
    lm_arena_release(&arena);
}

static void the_written_form_is_canonical(void **state)
{
    (void)state;
    assert_written(
        " { \"labels\" : [ \"b\", \"a\" ] , \"content\":\"x\\u0041\", \"id\": \"i\", \"language\":\"en\" } ",
        "{\"id\":\"i\",\"content\":\"xA\",\"labels\":[\"b\",\"a\"],\"language\":\"en\"}");
    assert_written("{\"content\":\"\",\"title\":null,\"url\":\"\"}", "{\"content\":\"\"}");
    assert_written("{\"content\":\"x\",\"labels\":\"one\",\"id\":12}",
                   "{\"id\":\"12\",\"content\":\"x\",\"labels\":[\"one\"]}");
}

static void text_is_an_alias_of_content(void **state)
{
    (void)state;
    assert_written("{\"text\":\"x\"}", "{\"content\":\"x\"}");
    assert_written("{\"text\":\"a\",\"content\":\"b\"}",
                   "{\"content\":\"b\",\"attributes\":{\"text\":\"a\"}}");
    assert_written("{\"text\":\"a\",\"content\":\"\"}", "{\"content\":\"\",\"attributes\":{\"text\":\"a\"}}");
}

static void unknown_keys_are_kept_in_attributes(void **state)
{
    (void)state;
    assert_written(
        "{\"content\":\"x\",\"meta\":{ \"a\" : [ 1, true ] },\"attributes\":{\"k\":1.50},\"n\":null}",
        "{\"content\":\"x\",\"attributes\":{\"meta\":{\"a\":[1,true]},\"k\":1.50,\"n\":null}}");
    assert_written("{\"content\":\"x\",\"title\":[\"a\"]}",
                   "{\"content\":\"x\",\"attributes\":{\"title\":[\"a\"]}}");
    assert_written("{\"content\":\"x\",\"k\":1,\"attributes\":{\"k\":2},\"k\":3}",
                   "{\"content\":\"x\",\"attributes\":{\"k\":1}}");
}

static void what_cannot_be_understood_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("{\"title\":\"x\"}", "neither 'content' nor 'text'");
    assert_refused("{\"content\":[\"x\"]}", "'content' must be a string");
    assert_refused("{\"content\":\"x\",\"labels\":[\"a\",{}]}", "'labels'");
    assert_refused("{\"content\":\"x\",\"labels\":true}", "'labels'");
    assert_refused("{\"content\":\"x\",\"attributes\":[]}", "'attributes'");
    assert_refused("{\"content\":\"x\",\"content\":\"y\"}", "twice");
    assert_refused("{\"content\":\"x\"} {}", "x.jsonl:7");
    assert_refused("[\"content\"]", "object");
}

static void too_many_attributes_are_refused(void **state)
{
    (void)state;
    struct lm_buf line = { 0 };
    lm_buf_puts(&line, "{\"content\":\"x\"");
    for (int i = 0; i <= LM_DOCUMENT_ATTRIBUTES_MAX; i++)
        lm_buf_printf(&line, ",\"k%d\":0", i);
    lm_buf_putc(&line, '}');
    assert_refused(line.ptr, "1024 attributes");
    lm_buf_release(&line);
}

static void ids_are_settled_once(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    char id[LM_DOCUMENT_ID];
    struct lm_document doc = parse("{\"content\":\"x\",\"id\":\"doc 1\"}", &arena);
    lm_document_settle(&doc, LM_STR("src"), LM_STR("x.jsonl:1"), &arena);
    lm_document_id(LM_STR("src"), LM_STR("doc 1"), id);
    assert_text(doc.id, id);
    assert_text(doc.attributes, "{\"source_id\":\"doc 1\"}");

    lm_document_settle(&doc, LM_STR("other"), LM_STR("y.jsonl:9"), &arena);   // has the form now
    assert_text(doc.id, id);

    doc = parse("{\"content\":\"x\"}", &arena);
    lm_document_settle(&doc, LM_STR("src"), LM_STR("x.jsonl:1"), &arena);
    lm_document_id(LM_STR("src"), LM_STR("x.jsonl:1"), id);
    assert_text(doc.id, id);
    assert_int_equal(doc.attributes.len, 0);
    lm_arena_release(&arena);
}

/* printf '\3\0\0\0\0\0\0\0src\5\0\0\0\0\0\0\0a.txt' | sha256sum: both fields behind their length. */
static void the_id_is_a_published_hash(void **state)
{
    (void)state;
    char id[LM_DOCUMENT_ID];
    lm_document_id(LM_STR("src"), LM_STR("a.txt"), id);
    assert_string_equal(id, "61e0f1fe57d35cfe15c093af0638f786");
}

static void attributes_can_be_replaced(void **state)
{
    (void)state;
    static const char *const without[] = { "b", "d", NULL };
    struct lm_buf out = { 0 };
    lm_document_attributes_open(LM_STR("{\"a\":{\"b\":1},\"b\":[2,{}],\"c\":\"x\",\"d\":null}"), without,
                                &out);
    assert_text(lm_buf_str(&out), "{\"a\":{\"b\":1},\"c\":\"x\"");
    lm_buf_reset(&out);
    lm_document_attributes_open(LM_STR(""), without, &out);
    assert_text(lm_buf_str(&out), "{");
    lm_buf_release(&out);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
    assert_ok(lm_file_write(path, lm_str(text), NULL));
}

static size_t read_all(const char *const *paths, size_t count, struct lm_buf *contents)
{
    struct lm_document_reader *r = NULL;
    struct lm_document doc;
    struct lm_err err = { 0 };
    size_t documents = 0;
    enum lm_rc rc = lm_document_open(paths, count, &r, &err);
    assert_ok(rc);
    while ((rc = lm_document_next(r, &doc, &err)) == LM_OK) {
        lm_buf_add_str(contents, doc.content);
        lm_buf_putc(contents, ' ');
        documents++;
    }
    assert_int_equal(rc, LM_ENOTHING);
    lm_document_close(r);
    return documents;
}

static void a_folder_is_read_in_name_order(void **state)
{
    (void)state;
    const char *paths[] = { "folder", "single.jsonl" };
    struct lm_buf contents = { 0 };
    assert_ok(lm_path_remove("folder", NULL));
    assert_ok(lm_dir_make("folder/below", NULL));
    write_file("folder/b.jsonl", "{\"content\":\"b1\"}\n\n{\"text\":\"b2\"}\n");
    write_file("folder/a.jsonl", "{\"content\":\"a\"}");
    write_file("folder/below/c.jsonl", "{\"content\":\"below\"}");
    write_file("folder/note.txt", "not a record");
    write_file("single.jsonl", "{\"content\":\"s\"}\r\n");
    assert_int_equal(read_all(paths, 2, &contents), 4);
    assert_text(lm_buf_str(&contents), "a b1 b2 s ");

    write_file("folder/documents.jsonl", "{\"content\":\"d\"}");   // now it is the output of a stage
    lm_buf_reset(&contents);
    assert_int_equal(read_all(paths, 1, &contents), 1);
    assert_text(lm_buf_str(&contents), "d ");
    lm_buf_release(&contents);
}

static void a_folder_without_records_is_named(void **state)
{
    (void)state;
    const char *path = "nothing";
    struct lm_document_reader *r = NULL;
    struct lm_err err = { 0 };
    assert_ok(lm_dir_make(path, NULL));
    assert_int_equal(lm_document_open(&path, 1, &r, &err), LM_ENOENT);
    assert_contains(err.text, "'nothing'");
    assert_null(r);
}

static void a_cut_gz_file_is_named(void **state)
{
    (void)state;
    struct lm_line_writer *w = NULL;
    struct lm_buf gz = { 0 };
    struct lm_err err = { 0 };
    assert_ok(lm_line_create("cut.jsonl.gz", &w, NULL));
    for (int i = 0; i < 1000; i++) {
        char line[64];
        snprintf(line, sizeof(line), "{\"content\":\"document %d\"}", i * 7919);
        assert_ok(lm_line_add(w, lm_str(line), NULL));
    }
    assert_ok(lm_line_commit(w, NULL));
    assert_ok(lm_file_read("cut.jsonl.gz", 1 << 20, &gz, NULL));
    assert_ok(lm_file_write("cut.jsonl.gz", (struct lm_str){ gz.ptr, gz.len / 2 }, NULL));

    const char *path = "cut.jsonl.gz";
    struct lm_document_reader *r = NULL;
    struct lm_document doc;
    enum lm_rc rc = LM_OK;
    assert_ok(lm_document_open(&path, 1, &r, NULL));
    while (rc == LM_OK)
        rc = lm_document_next(r, &doc, &err);
    assert_int_equal(rc, LM_EFORMAT);
    assert_contains(err.text, "cut.jsonl.gz");
    lm_document_close(r);
    lm_buf_release(&gz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_written_form_is_canonical),
        cmocka_unit_test(text_is_an_alias_of_content),
        cmocka_unit_test(unknown_keys_are_kept_in_attributes),
        cmocka_unit_test(what_cannot_be_understood_is_refused_with_its_place),
        cmocka_unit_test(too_many_attributes_are_refused),
        cmocka_unit_test(ids_are_settled_once),
        cmocka_unit_test(the_id_is_a_published_hash),
        cmocka_unit_test(attributes_can_be_replaced),
        cmocka_unit_test(a_folder_is_read_in_name_order),
        cmocka_unit_test(a_folder_without_records_is_named),
        cmocka_unit_test(a_cut_gz_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
