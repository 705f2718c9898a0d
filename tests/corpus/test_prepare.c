#include "stage.h"

#include "text/text.h"

/* Twenty-four words and more that no other document has. */
#define PROSE(n)                                                                                             \
    "The " n " river flows slowly through the old town, and the people of the " n                            \
    " valley have always known "                                                                             \
    "that its water is cold, clear and good to drink in every season of the " n " year."

/* ---- a search for personal data that can fail ---- */

enum lm_rc __real_lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                              struct lm_err *err);
enum lm_rc __wrap_lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                              struct lm_err *err);

enum lm_rc __wrap_lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                              struct lm_err *err)
{
    if (lm_str_find(text, LM_STR("UNSEARCHABLE")) >= 0)
        return lm_fail(err, LM_EIO, "the search broke at 'UNSEARCHABLE secret'");
    return __real_lm_pii_find(pii, text, ret, err);
}

/* ---- running the stage ---- */

struct run {
    struct lm_prepare_config config;
    struct lm_buf records, metrics;
    char *out, *removed, *report;
    enum lm_rc rc;
    struct lm_err err;
};

static void begin(struct run *r)
{
    static const char *none[] = { "none" };   // compiling the patterns takes longer than all the rest
    *r = (struct run){ 0 };
    lm_opt_defaults(&lm_prepare_options, &r->config);
    r->config.anonymize = (struct lm_opt_list){ none, 1, 1 };
}

static void record(struct run *r, const char *id, const char *content, const char *more)
{
    lm_buf_puts(&r->records, "{");
    lm_json_key_str(&r->records, "id", lm_str(id));
    lm_json_key_str(&r->records, "content", lm_str(content));
    lm_buf_puts(&r->records, ",\"source\":\"test\"");
    lm_buf_puts(&r->records, more);
    lm_buf_puts(&r->records, "}\n");
}

static void run(struct run *r)
{
    const char *input = "in.jsonl";
    put_file(input, r->records.ptr);
    fresh_dir("out");
    r->rc = lm_prepare(&r->config, &input, 1, "out", &r->metrics, &r->err);
    if (r->rc == LM_OK)
        r->out = lines_of("out/documents.jsonl.zst");
    if (lm_path_exists("out/removed.jsonl")) {
        r->removed = lines_of("out/removed.jsonl");
        r->report = lines_of("out/report.json");
    }
}

static void end(struct run *r)
{
    lm_buf_release(&r->records);
    lm_buf_release(&r->metrics);
    free(r->out);
    free(r->removed);
    free(r->report);
}

static const char *standard[] = { "standard" };

/* ---- tests ---- */

/* One document for each reason, and a good one. */
static void every_reason_to_remove_has_a_case(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    struct lm_buf lines = { 0 }, digits = { 0 }, repeats = { 0 }, symbols = { 0 }, longer = { 0 },
                  after = { 0 };
    const char *languages[] = { "en" };
    r.config.languages = (struct lm_opt_list){ languages, 1, 1 };
    r.config.language_confidence_min = 0;
    r.config.words_min = 20;
    r.config.words_max = 400;
    r.config.anonymize = (struct lm_opt_list){ standard, 1, 1 };
    for (int i = 0; i < 12; i++)
        lm_buf_puts(&lines, "The same line of the text is here again and again.\n");
    lm_buf_puts(&lines, PROSE("first"));
    for (int i = 0; i < 60; i++)
        lm_buf_printf(&digits, "%d ", 1000 + 37 * i);
    lm_buf_puts(&digits, PROSE("second"));
    for (int i = 0; i < 30; i++)
        lm_buf_printf(&repeats, "go there now %s ",
                      (const char *[]){ "and", "or", "but", "so", "then" }[i % 5]);
    lm_buf_puts(&repeats, PROSE("third"));
    for (int i = 0; i < 40; i++)
        lm_buf_puts(&symbols, "the #tag ");
    lm_buf_puts(&symbols, PROSE("fourth"));
    for (int i = 0; i < 30; i++)
        lm_buf_printf(&longer, "Number %d of the story: " PROSE("fifth") "\n", i);
    lm_buf_puts(&after, PROSE("good") "\n\nThis is all that is new here, and it is short.");

    record(&r, "good", PROSE("good") "\n\n" PROSE("other"), "");
    record(&r, "good", PROSE("sixth"), "");
    record(&r, "empty", " \n\t\n", "");
    record(&r, "german",
           "Der Fluss ist kalt und klar, und die Leute in dem alten Tal haben immer gewusst, dass das "
           "Wasser gut ist und dass man es trinken kann, wenn der Sommer kommt und es warm wird.",
           "");
    record(&r, "short", "The river is cold and the water of the town is good for all of the people in it.",
           "");
    record(&r, "long", longer.ptr, "");
    record(&r, "lines", lines.ptr, "");
    record(&r, "symbols", symbols.ptr, "");
    record(&r, "digits", digits.ptr, "");
    record(&r, "repeats", repeats.ptr, "");
    record(&r, "pii", "UNSEARCHABLE " PROSE("seventh"), "");
    record(
        &r, "double",
        "  the GOOD river" /* folds to the first document */
        " flows slowly through the old town, and the people of the good valley have always known that "
        "its water is cold, clear and good to drink in every season of the good year.\n\n\n" PROSE("other"),
        "");
    record(&r, "paragraph", PROSE("good") "\n\n" PROSE("eighth"), "");
    record(&r, "after", after.ptr, "");
    r.config.dedup_paragraph_chars_min = 150;
    run(&r);
    if (r.rc != LM_OK)
        fail_msg("%s", r.err.text);
    static const char *const reasons[] = { "duplicate-id",
                                           "empty",
                                           "other-language",
                                           "too-short",
                                           "too-long",
                                           "duplicate-lines",
                                           "symbols",
                                           "few-letters",
                                           "repeats",
                                           "pii-failed",
                                           "duplicate",
                                           "duplicate-paragraph",
                                           "too-short-after-dedup" };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        char part[64];
        snprintf(part, sizeof(part), "\"reason\":\"%s\"", reasons[i]);
        if (count_of(r.removed, part) != 1)
            fail_msg("%zu times %s in\n%s", count_of(r.removed, part), part, r.removed);
    }
    assert_int_equal(count_of(r.out, "\n"), 2);   // the good one, and the one that lost a paragraph
    assert_null(strstr(r.removed, "secret"));     // an error may quote the text: it is no evidence
    assert_null(strstr(r.out, "UNSEARCHABLE"));
    assert_contains(r.report, "\"documents_in\":14,\"documents_out\":2");
    assert_contains(r.report, "\"paragraphs_removed\":1");
    lm_buf_putc(&r.metrics, '\n');
    assert_text(lm_buf_str(&r.metrics), r.report);
    lm_buf_release(&lines);
    lm_buf_release(&digits);
    lm_buf_release(&repeats);
    lm_buf_release(&symbols);
    lm_buf_release(&longer);
    lm_buf_release(&after);
    end(&r);
}

static void an_unsure_language_is_removed_with_its_confidence(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    const char *languages[] = { "en" };
    r.config.languages = (struct lm_opt_list){ languages, 1, 1 };
    r.config.language_confidence_min = 1;
    record(&r, "a", PROSE("first"), "");
    run(&r);
    assert_int_equal(r.rc, LM_ENOENT);   // nothing is left
    assert_contains(r.err.text, "language-unsure");
    assert_contains(r.err.text, "language-confidence-min");
    assert_contains(r.removed, "\"threshold\":1");
    assert_contains(r.removed, "\"evidence\":\"en\"");
    assert_null(r.out);
    end(&r);
}

/* dedup(x + x) = x, and dedup(unique) = identity. */
static void a_corpus_twice_is_the_corpus(void **state)
{
    (void)state;
    struct run once, twice;
    begin(&once);
    begin(&twice);
    twice.config.dedup_documents = once.config.dedup_documents = true;
    for (int copy = 0; copy < 2; copy++) {
        for (int i = 0; i < 300; i++) {
            char id[48], text[512];
            snprintf(id, sizeof(id), "doc %d, copy %d", i, copy);
            snprintf(text, sizeof(text), "Chapter %d. " PROSE("long"), i);
            record(&twice, id, text, "");
            if (copy == 0)
                record(&once, id, text, "");
        }
    }
    run(&once);
    assert_ok(once.rc);
    assert_int_equal(count_of(once.out, "\n"), 300);   // all are unique
    assert_string_equal(once.removed, "");
    run(&twice);
    assert_ok(twice.rc);
    assert_string_equal(once.out, twice.out);
    assert_int_equal(count_of(twice.removed, "\"reason\":\"duplicate\""), 300);
    end(&once);
    end(&twice);
}

static void what_a_dropped_document_held_is_not_seen(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    r.config.duplicate_line_share_max = r.config.top_ngram_share_max = 1;
    r.config.dedup_paragraph_chars_min = 150;
    r.config.words_min = 60;   // two of the paragraphs
    record(&r, "a", PROSE("first") "\n\n" PROSE("filler"), "");
    record(&r, "b", PROSE("first") "\n\n" PROSE("second"), "");   // falls to dedup, with the second
    record(&r, "c", PROSE("second") "\n\n" PROSE("third") "\n\n" PROSE("third"), "");   // twice in itself
    run(&r);
    assert_ok(r.rc);
    assert_int_equal(count_of(r.out, "\n"), 2);
    assert_int_equal(count_of(r.out, "second river"), 1);
    assert_int_equal(count_of(r.out, "third river"), 1);
    assert_int_equal(count_of(r.removed, "too-short-after-dedup"), 1);
    assert_int_equal(count_of(r.removed, "\"reason\":\"duplicate-paragraph\""), 1);
    end(&r);
}

static void only_prose_that_stands_alone_is_cut(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    r.config.dedup_paragraph_chars_min = 20;
    const char *shared = "## A heading that is long enough\n\n- an item that is long enough to go\n\nterm\n: "
                         "the definition is "
                         "long enough as well\n\n```\ncode that is repeated, too\n\nand goes on here\n```";
    char text[1024];
    snprintf(text, sizeof(text), PROSE("first") "\n\n%s", shared);
    record(&r, "a", text, "");
    snprintf(text, sizeof(text), PROSE("second") "\n\n%s", shared);
    record(&r, "b", text, "");
    run(&r);
    assert_ok(r.rc);
    assert_string_equal(r.removed, "");
    assert_int_equal(count_of(r.out, "and goes on here"), 2);
    end(&r);
}

static void personal_data_becomes_placeholders_everywhere(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    r.config.anonymize = (struct lm_opt_list){ standard, 1, 1 };
    record(&r, "a", "Please write to jane.roe@example.com for more. " PROSE("first"),
           ",\"title\":\"Mail jane.roe@example.com\"");
    record(&r, "b",
           "Please write to jane.roe@example.com, who knows all about it and answers soon. " PROSE("second"),
           "");
    record(&r, "c",
           "Something else about a river.\n\nPlease write to jane.roe@example.com, who knows all about it "
           "and answers soon. " PROSE("second"),
           "");
    r.config.dedup_paragraph_chars_min = 60;
    r.config.words_min = 4;
    run(&r);
    assert_ok(r.rc);
    assert_null(strstr(r.out, "jane"));
    assert_null(strstr(r.removed, "jane"));
    assert_contains(r.out, "\"title\":\"Mail [Email]\"");
    assert_contains(r.out, "Please write to [Email] for more.");
    assert_contains(r.out, "\"pii\":{\"email\":2}");
    assert_contains(r.removed, "\"evidence\":\"Please write to [Email], who knows");
    assert_contains(r.report, "\"pii\":{\"email\":4}");
    end(&r);
}

static void a_page_becomes_text_with_attributes(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    record(
        &r, "a",
        "<html><head><title>Rivers</title></head><body><nav><a href=x>Home</a></nav><h1>Rivers</h1><p>" PROSE(
            "first") "</p><p>" PROSE("second") "</p></body></html>",
        ",\"media_type\":\"text/html\",\"note\":{\"kept\":true},\"attributes\":{\"words\":-1}");
    run(&r);
    assert_ok(r.rc);
    assert_contains(r.out, "\"title\":\"Rivers\"");
    assert_contains(r.out, "\"media_type\":\"text/markdown\"");
    assert_contains(r.out, "\"language\":\"en\"");
    assert_contains(r.out, "\"note\":{\"kept\":true}");
    assert_null(strstr(r.out, "<p>"));
    assert_null(strstr(r.out, "\"words\":-1"));
    assert_contains(r.out, "\"source_id\":\"a\"");

    /* The last sentence ends with the text. */
    struct lm_arena arena = { 0 };
    struct lm_document doc;
    char last[32];
    assert_ok(lm_document_parse(lm_str_trim(lm_str(r.out)), "out", &arena, &doc, NULL));
    snprintf(last, sizeof(last), ",%zu]}", doc.content.len);
    assert_true(lm_str_ends(doc.attributes, lm_str(last)));
    lm_arena_release(&arena);
    end(&r);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    static const char *const files[] = { "documents.jsonl.zst", "removed.jsonl", "report.json" };
    struct run r;
    for (int threads = 1; threads <= 2; threads++) {
        begin(&r);
        r.config.dedup_paragraph_chars_min = 100;
        for (int i = 0; i < 700; i++) {
            char id[32], text[1024];
            snprintf(id, sizeof(id), "%d", i);
            snprintf(text, sizeof(text), "Number %d. " PROSE("long") "\n\nTale %d: " PROSE("short"), i % 290,
                     i % 31);
            record(&r, id, i % 7 ? text : "short", "");
        }
        lm_threads_set(threads);
        run(&r);
        assert_ok(r.rc);
        end(&r);
        if (threads == 1) {
            assert_ok(lm_path_remove("out.one", NULL));
            assert_ok(lm_path_rename("out", "out.one", NULL));
        }
    }
    lm_threads_set(0);
    for (size_t i = 0; i < 3; i++) {
        char one[64], two[64];
        snprintf(one, sizeof(one), "out.one/%s", files[i]);
        snprintf(two, sizeof(two), "out/%s", files[i]);
        assert_same_file(one, two);
    }
}

/* What was prepared passes again unchanged. */
static void preparing_twice_is_preparing_once(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    for (int i = 0; i < 20; i++) {
        char id[32], text[512];
        snprintf(id, sizeof(id), "%d", i);
        snprintf(text, sizeof(text), "# Head %d\n\n\n\n" PROSE("long"), i);
        record(&r, id, text, "");
    }
    run(&r);
    assert_ok(r.rc);
    const char *input = "out.again";
    assert_ok(lm_path_remove(input, NULL));
    assert_ok(lm_path_rename("out", input, NULL));
    fresh_dir("out");
    assert_ok(lm_prepare(&r.config, &input, 1, "out", &r.metrics, NULL));
    char *again = lines_of("out/documents.jsonl.zst");
    assert_int_equal(count_of(again, "\n"), 20);
    assert_contains(again, "Head 19\\n\\nThe long river");
    free(again);
    end(&r);
}

static void an_unknown_kind_of_personal_data_is_refused(void **state)
{
    (void)state;
    const char *words[] = { "email", "shoe-size" };
    struct run r;
    begin(&r);
    r.config.anonymize = (struct lm_opt_list){ words, 2, 2 };
    record(&r, "a", PROSE("first"), "");
    run(&r);
    assert_int_equal(r.rc, LM_EINVAL);
    assert_contains(r.err.text, "shoe-size");
    assert_contains(r.err.text, "email phone");
    end(&r);
}

int main(void)
{
    lm_progress_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_to_remove_has_a_case),
        cmocka_unit_test(an_unsure_language_is_removed_with_its_confidence),
        cmocka_unit_test(a_corpus_twice_is_the_corpus),
        cmocka_unit_test(what_a_dropped_document_held_is_not_seen),
        cmocka_unit_test(only_prose_that_stands_alone_is_cut),
        cmocka_unit_test(personal_data_becomes_placeholders_everywhere),
        cmocka_unit_test(a_page_becomes_text_with_attributes),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(preparing_twice_is_preparing_once),
        cmocka_unit_test(an_unknown_kind_of_personal_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
