#include "stage.h"

#include "corpus/blocks.h"
#include "corpus/facts.h"

static const char sql_page[] =
    "# FROB TABLE\n\n"
    "FROB TABLE, FROB — change how a table is frobbed\n\n"
    "## Synopsis\n\n"
    "```\nFROB TABLE name\n\nwhere name is short\n```\n\n"
    "## Description\n\nIt frobs (integer)\n: Not a setting, since this is a reference page.\n";

static const char man_page[] =
    "## NAME\n\nfrob-it - frobs what it is given.\n\n"
    "## SYNOPSIS\n\nfrob it [-v] FILE...\n\nfrob it --help\n\n## OPTIONS\n\nfrob it\n";

static const char function_page[] = "# frob\n\nfrob — frob something\n\n## Synopsis\n\nfrob(int x)\n";

static const char settings_page[] =
    "# Settings\n\n## 1.1. Frobbing\n\n"
    "frob_level (integer)\n: Sets how much is frobbed in every single run of "
    "the frobbing program. More is better.\n\n"
    ": On Tuesdays it is higher. The default is 3 (three).\n\n"
    "frob_path (string), frob_dir (string)\n: Not of the form.\n\n"
    "frob_quiet, frob_silent (boolean)\n: This parameter, when on, keeps "
    "quiet. When off (the default), it does not.\n\n"
    "frob_log (string)\n: When frobbing is on, this parameter names the file to which it is logged.\n\n"
    "frobber (a tool)\n: Not a setting.\n\n"
    "frob_dead (integer)\n\n## Next\n\nframe (list)\n- Not a definition.\n";

static void assert_facts(const char *content, const char *url, const char *expected)
{
    static const char *const snapshots[] = { "sql", "tools", "settings" };
    static const char *const kinds[] = { "purpose", "syntax", "by-verb", "by-noun",
                                         "control", "type",   "default" };
    struct lm_arena arena = { 0 };
    struct lm_facts facts = { 0 };
    struct lm_buf got = { 0 };
    const struct lm_document doc = { .content = lm_str(content),
                                     .url = lm_str(url),
                                     .language = LM_STR("en") };
    lm_facts_find(&doc, &arena, &facts);
    lm_buf_puts(&got, "");
    for (size_t i = 0; i < facts.len; i++) {
        const struct lm_fact *f = &facts.items[i];
        lm_buf_printf(&got, "%s %s [%.*s] %.*s: %.*s\n", snapshots[f->snapshot], kinds[f->kind],
                      (int)f->subject.len, f->subject.ptr, (int)f->phrase.len, f->phrase.ptr,
                      (int)f->answer.len, f->answer.ptr);
    }
    assert_string_equal(got.ptr, expected);
    lm_buf_release(&got);
    free(facts.items);
    lm_arena_release(&arena);
}

static void a_reference_page_states_purpose_syntax_and_name(void **state)
{
    (void)state;
    assert_facts(sql_page, "https://example.org/postgresql/sql-frobtable.html",
                 "sql purpose [FROB TABLE] FROB TABLE: FROB TABLE is used to change how a table is frobbed.\n"
                 "sql syntax [FROB TABLE] FROB TABLE: FROB TABLE name\n\nwhere name is short\n"
                 "sql by-verb [FROB TABLE] change how a table is frobbed: FROB TABLE\n");
    assert_facts(sql_page, "frobtable.html", "");   // nothing says that it is SQL
}

static void a_unix_manual_page_is_a_reference_page(void **state)
{
    (void)state;
    assert_facts(man_page, "man1/frob-it.1.html",
                 "tools purpose [frob-it] frob-it: frob-it frobs what it is given.\n"
                 "tools syntax [frob-it] frob-it: frob it [-v] FILE...\nfrob it --help\n");
    assert_facts(function_page, "frob.html", "");   // called with brackets: no program
}

static void definitions_with_a_type_are_settings(void **state)
{
    (void)state;
    assert_facts(settings_page, "settings.html",
                 "settings control [frob_level] frob_level: frob_level sets how much is frobbed in every "
                 "single run of the "
                 "frobbing program.\n"
                 "settings type [frob_level] frob_level: frob_level takes a value of type integer.\n"
                 "settings default [frob_level] frob_level: The default of frob_level is 3 (three).\n"
                 "settings control [frob_quiet] frob_quiet: frob_quiet, when on, keeps quiet. When off (the "
                 "default), it does "
                 "not.\n"
                 "settings type [frob_quiet] frob_quiet: frob_quiet takes a value of type boolean.\n"
                 "settings default [frob_quiet] frob_quiet: When off (the default), it does not.\n"
                 "settings control [frob_log] frob_log: When frobbing is on, frob_log names the file to "
                 "which it is logged.\n"
                 "settings type [frob_log] frob_log: frob_log takes a value of type string.\n");
}

/* ---- the stage ---- */

static void add_page(struct lm_buf *records, const char *id, const char *url, const char *content)
{
    lm_buf_puts(records, "{");
    lm_json_key_str(records, "id", lm_str(id));
    lm_json_key_str(records, "url", lm_str(url));
    lm_json_key_str(records, "content", lm_str(content));
    lm_buf_puts(records, ",\"source\":\"test\",\"language\":\"en\"}\n");
}

static enum lm_rc build(const struct lm_pairs_config *config, const char *records, char **ret,
                        struct lm_buf *metrics, struct lm_err *err)
{
    const char *input = "in.jsonl";
    put_file(input, records);
    fresh_dir("out");
    lm_buf_reset(metrics);
    const enum lm_rc rc = lm_pairs_build(config, &input, 1, "out", metrics, err);
    *ret = rc == LM_OK ? lines_of("out/pairs.jsonl") : NULL;
    return rc;
}

static void every_fact_is_asked_in_two_to_four_ways(void **state)
{
    (void)state;
    struct lm_pairs_config config;
    struct lm_buf records = { 0 }, metrics = { 0 };
    char *pairs, *again;
    lm_opt_defaults(&lm_pairs_options, &config);
    config.heldout_share = 0;
    add_page(&records, "sql", "sql-frobtable.html", sql_page);
    add_page(&records, "man", "frob.html", man_page);
    add_page(&records, "copy", "frob2.html", man_page);   // its questions have been answered
    add_page(&records, "set", "settings.html", settings_page);
    assert_ok(build(&config, records.ptr, &pairs, &metrics, NULL));
    static const char *const answers[] = {
        "used to change how",     "FROB TABLE name\\n", "\"answer\":\"FROB TABLE\"",
        "frobs what it is given", "[-v] FILE",          "level takes a value"
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        assert_in_range(count_of(pairs, answers[i]), 2, 4);
    assert_int_equal(count_of(pairs, "\"split\":\"train\""), count_of(pairs, "\n"));
    assert_contains(metrics.ptr, "\"documents\":4,\"documents_used\":4");
    assert_contains(metrics.ptr, "\"sql\":{\"facts\":3,");
    assert_contains(metrics.ptr, "\"settings\":{\"facts\":8,");
    assert_null(strstr(metrics.ptr, "\"questions_repeated\":0"));
    assert_null(strstr(pairs, "{}"));

    assert_ok(build(&config, records.ptr, &again, &metrics, NULL));
    assert_string_equal(pairs, again);
    free(pairs);
    free(again);
    lm_buf_release(&records);
    lm_buf_release(&metrics);
}

/* All pairs of a page are on one side; of a page of settings, all pairs of a setting. */
static void what_belongs_together_is_held_out_together(void **state)
{
    (void)state;
    struct lm_pairs_config config;
    struct lm_buf records = { 0 }, metrics = { 0 }, settings = { 0 };
    char *pairs;
    lm_opt_defaults(&lm_pairs_options, &config);
    config.heldout_share = 0.5;
    for (int i = 0; i < 40; i++) {
        char id[LM_DOCUMENT_ID], key[16], page[512];
        snprintf(key, sizeof(key), "%d", i);
        lm_document_id(LM_STR("test"), lm_str(key), id);
        snprintf(page, sizeof(page), "FROB%c%c — frob in way %d\n\n## Synopsis\n\nFROB %d\n", 'A' + i / 26,
                 'A' + i % 26, i, i);
        add_page(&records, id, "sql-frob.html", page);
        lm_buf_printf(&settings, "frob_%02d (integer)\n: Sets the number %02d of all. The default is %d.\n\n",
                      i, i, i);
    }
    add_page(&records, "settings", "settings.html", settings.ptr);
    assert_ok(build(&config, records.ptr, &pairs, &metrics, NULL));

    size_t held_pages = 0, held_settings = 0;
    for (int i = 0; i < 40; i++) {
        char id[LM_DOCUMENT_ID], key[16], name[24];
        snprintf(key, sizeof(key), "%d", i);
        lm_document_id(LM_STR("test"), lm_str(key), id);
        snprintf(name, sizeof(name), "frob_%02d", i);
        const bool page_held = lm_heldout(lm_str(id), 0.5);
        held_pages += page_held;
        size_t of_setting = 0, of_setting_held = 0;
        char *rest = pairs;
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
            const bool held = strstr(line, "\"split\":\"heldout\"") != NULL;
            if (strstr(line, id))
                assert_int_equal(held, page_held);
            of_setting += strstr(line, name) != NULL;
            of_setting_held += strstr(line, name) && held;
            if (rest)
                rest[-1] = '\n';
        }
        assert_true(of_setting >= 4);
        assert_true(of_setting_held == 0 || of_setting_held == of_setting);
        held_settings += of_setting_held > 0;
    }
    assert_in_range(held_pages, 8, 32);
    assert_in_range(held_settings, 8, 32);
    free(pairs);
    lm_buf_release(&records);
    lm_buf_release(&metrics);
    lm_buf_release(&settings);
}

static void long_answers_end_where_something_ends(void **state)
{
    (void)state;
    struct lm_pairs_config config;
    struct lm_buf records = { 0 }, metrics = { 0 };
    char *pairs;
    lm_opt_defaults(&lm_pairs_options, &config);
    config.answer_chars_max = 60;
    add_page(&records, "a", "sql-frob.html",
             "FROB — frob\n\n## Synopsis\n\n```\nFROB this\n  AND that\n\nFROB something quite different "
             "from what was frobbed before\n```\n");
    add_page(
        &records, "b", "b.html",
        "x_one (integer)\n: Sets the one. Then there is more to say about it than fits into the limit.\n\n"
        "x_two (integer)\n: Sets the two to a value that takes a sentence which is far too long for the "
        "limit of sixty.\n");
    assert_ok(build(&config, records.ptr, &pairs, &metrics, NULL));
    assert_contains(pairs, "\"answer\":\"FROB this\\n  AND that\"");
    assert_contains(pairs, "\"answer\":\"x_one sets the one.\"");
    assert_null(strstr(pairs, "x_two sets"));
    assert_contains(metrics.ptr, "\"answers_too_long\":1");
    free(pairs);
    lm_buf_release(&records);
    lm_buf_release(&metrics);
}

static void documents_that_state_nothing_are_an_error_that_says_what_is_missing(void **state)
{
    (void)state;
    struct lm_pairs_config config;
    struct lm_buf records = { 0 }, metrics = { 0 };
    struct lm_err err = { 0 };
    char *pairs;
    lm_opt_defaults(&lm_pairs_options, &config);
    add_page(&records, "a", "a.html", "# A\n\nJust prose - with a dash. And more.\n");
    assert_int_equal(build(&config, records.ptr, &pairs, &metrics, &err), LM_ENOENT);
    assert_contains(err.text, "NAME line");
    lm_buf_release(&records);
    lm_buf_release(&metrics);
}

/* ---- blocks ---- */

static void blocks_cover_a_text_in_order(void **state)
{
    (void)state;
    static const char text[] =
        "# A title\ntext goes\non here\n\n\n- item\n  more\n1. one\n> quote\nterm\n: definition\n"
        "````\ncode\n\n```\n````\n| a | b |\n| 1 | 2 |\nend";
    static const char *const expected[] = { "h:A title",     "p:text goes\non here",   "i:item\n  more",
                                            "i:one",         "i:quote\nterm",          "i:definition",
                                            "c:code\n\n```", "t:| a | b |\n| 1 | 2 |", "p:end" };
    static const char kinds[] = "hctip";   // by enum lm_block_kind
    struct lm_blocks it = { .text = lm_str(text) };
    struct lm_block b;
    size_t at = 0, i = 0;
    for (; lm_blocks_next(&it, &b); i++, at = b.end) {
        char got[64];
        snprintf(got, sizeof(got), "%c:%.*s", kinds[b.kind], (int)b.inner.len, b.inner.ptr);
        assert_string_equal(got, expected[i]);
        for (; at < b.start; at++)
            assert_int_equal(text[at], '\n');   // nothing but blank lines is left out
    }
    assert_int_equal(i, sizeof(expected) / sizeof(expected[0]));
    assert_int_equal(at, sizeof(text) - 1);
}

int main(void)
{
    lm_progress_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_page_states_purpose_syntax_and_name),
        cmocka_unit_test(a_unix_manual_page_is_a_reference_page),
        cmocka_unit_test(definitions_with_a_type_are_settings),
        cmocka_unit_test(every_fact_is_asked_in_two_to_four_ways),
        cmocka_unit_test(what_belongs_together_is_held_out_together),
        cmocka_unit_test(long_answers_end_where_something_ends),
        cmocka_unit_test(documents_that_state_nothing_are_an_error_that_says_what_is_missing),
        cmocka_unit_test(blocks_cover_a_text_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
