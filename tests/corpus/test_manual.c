/* A whole manual of some thousand pages through collect, prepare and pairs, if it is installed. */
#include "stage.h"

static const char manual[] = "/usr/share/doc/postgresql-doc-15/html";

static void run_stages(const char *collected, const char *prepared, const char *paired,
                       struct lm_buf *metrics)
{
    struct lm_source source;
    struct lm_prepare_config prepare;
    struct lm_pairs_config pairs;
    lm_opt_defaults(&lm_source_options, &source);
    lm_opt_defaults(&lm_prepare_options, &prepare);
    lm_opt_defaults(&lm_pairs_options, &pairs);
    source.name = "manual";
    source.path = manual;
    fresh_dir(collected);
    fresh_dir(prepared);
    fresh_dir(paired);
    assert_ok(lm_collect(&source, 1, collected, metrics, NULL));
    assert_ok(lm_prepare(&prepare, &collected, 1, prepared, metrics, NULL));
    assert_ok(lm_pairs_build(&pairs, &prepared, 1, paired, metrics, NULL));
}

static void threads_do_not_change_a_byte_of_a_manual(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        { "collected1/documents.jsonl.zst", "collected2/documents.jsonl.zst" },
        { "prepared1/documents.jsonl.zst", "prepared2/documents.jsonl.zst" },
        { "prepared1/removed.jsonl", "prepared2/removed.jsonl" },
        { "prepared1/report.json", "prepared2/report.json" },
        { "paired1/pairs.jsonl", "paired2/pairs.jsonl" },
    };
    struct lm_buf one = { 0 }, two = { 0 };
    if (!lm_path_is_dir(manual))
        skip();
    lm_threads_set(1);
    run_stages("collected1", "prepared1", "paired1", &one);
    lm_threads_set(2);
    run_stages("collected2", "prepared2", "paired2", &two);
    lm_threads_set(0);
    assert_text(lm_buf_str(&one), two.ptr);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_same_file(files[i][0], files[i][1]);
    lm_buf_release(&one);
    lm_buf_release(&two);
}

static void nearly_all_pages_pass(void **state)
{
    (void)state;
    if (!lm_path_is_dir(manual))
        skip();
    struct lm_buf metrics = { 0 };
    run_stages("collected1", "prepared1", "paired1", &metrics);
    char *removed = lines_of("prepared1/removed.jsonl");
    assert_in_range(count_of(removed, "\n") - count_of(removed, "duplicate-paragraph\""), 1, 30);
    lm_buf_release(&metrics);
    free(removed);
}

/* ---- an independent look at the answers ---- */

struct pages {
    struct lm_arena arena;
    struct lm_document items[2000];
    size_t len;
};

static struct lm_str value_of(struct lm_str line, const char *key, struct lm_arena *arena)
{
    struct lm_json_reader r;
    enum lm_json_kind kind;
    lm_json_open(&r, line, "pair", arena);
    assert_ok(lm_json_want(&r, LM_JSON_OBJECT, NULL));
    while (lm_json_next(&r, &kind, NULL) == LM_OK && kind == LM_JSON_KEY) {
        const bool found = lm_str_eq(r.text, lm_str(key));
        assert_ok(lm_json_next(&r, &kind, NULL));
        if (found)
            return r.text;
    }
    fail_msg("no '%s' in %.*s", key, (int)line.len, line.ptr);
    return LM_STR("");
}

static struct lm_str content_of(const struct pages *pages, struct lm_str id)
{
    for (size_t i = 0; i < pages->len; i++)
        if (lm_str_eq(pages->items[i].id, id))
            return pages->items[i].content;
    return LM_STR("");
}

/* Whatever is no sentence, that is code and names, stands on the page line for line. */
static void answers_that_are_code_stand_on_their_page(void **state)
{
    (void)state;
    if (!lm_path_is_dir(manual))
        skip();
    const char *prepared = "prepared1";   // by the test before
    struct pages *pages = lm_zalloc(1, sizeof(*pages));
    struct lm_document_reader *r = NULL;
    assert_ok(lm_document_open(&prepared, 1, &r, NULL));
    while (pages->len < 2000 &&
           lm_document_next_into(r, &pages->arena, &pages->items[pages->len], NULL) == LM_OK)
        pages->len++;
    lm_document_close(r);

    struct lm_line_reader *lines = NULL;
    struct lm_str line;
    size_t pairs = 0, checked = 0;
    assert_ok(lm_line_open("paired1/pairs.jsonl", 0, &lines, NULL));
    for (; lm_line_next(lines, &line, NULL) == LM_OK; pairs++) {
        struct lm_arena arena = { 0 };
        const struct lm_str answer = value_of(line, "answer", &arena);
        if (!lm_str_ends(answer, LM_STR("."))) {
            const struct lm_str content = content_of(pages, value_of(line, "document", &arena));
            struct lm_str rest = answer, part;
            while (lm_str_split(&rest, '\n', &part))   // paragraphs of a synopsis are joined
                if (lm_str_find(content, part) < 0)
                    fail_msg("not on its page: %.*s", (int)line.len, line.ptr);
            checked++;
        }
        lm_arena_release(&arena);
    }
    lm_line_close(lines);
    assert_in_range(pairs, 4000, 8000);
    assert_in_range(checked, 800, 2000);
    lm_arena_release(&pages->arena);
    free(pages);
}

int main(void)
{
    lm_progress_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_a_byte_of_a_manual),
        cmocka_unit_test(nearly_all_pages_pass),
        cmocka_unit_test(answers_that_are_code_stand_on_their_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
