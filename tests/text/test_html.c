/* Pages and their text lie in data/: <name>.html and <name>.txt. */
#include "check.h"

#include "base/file.h"

#include <stdio.h>
#include <time.h>

static void assert_page(const char *name)
{
    char path[512];
    struct lm_buf page = { 0 }, want = { 0 };
    struct lm_err err = { 0 };
    snprintf(path, sizeof path, LOOM_TEST_DIR "/text/data/%s.html", name);
    if (lm_file_read(path, 1 << 20, &page, &err) != LM_OK)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, LOOM_TEST_DIR "/text/data/%s.txt", name);
    if (lm_file_read(path, 1 << 20, &want, &err) != LM_OK)
        fail_msg("%s", err.text);
    struct lm_arena arena = { 0 };
    struct lm_html_result result;
    assert_int_equal(lm_html_extract(lm_buf_str(&page), &arena, &result, &err), LM_OK);
    if (!lm_str_eq(result.text, lm_str_trim(lm_buf_str(&want))))
        fail_msg("%s\ngot:\n%.*s", path, (int)result.text.len, result.text.ptr);
    lm_arena_release(&arena);
    lm_buf_release(&page);
    lm_buf_release(&want);
}

static void a_reference_page_reads_like_its_manual(void **state)
{
    (void)state;
    assert_page("reference");
}

static void an_article_loses_what_is_around_it(void **state)
{
    (void)state;
    assert_page("article");
}

static void every_kind_of_block_has_its_form(void **state)
{
    (void)state;
    assert_page("blocks");
}

static void assert_html(const char *html, const char *want)
{
    struct lm_arena arena = { 0 };
    struct lm_html_result result;
    assert_int_equal(lm_html_extract(lm_str(html), &arena, &result, NULL), LM_OK);
    assert_text(result.text, want);
    lm_arena_release(&arena);
}

static void inline_tags_never_separate_words_and_blocks_always_do(void **state)
{
    (void)state;
    assert_html("<div>a<b>b</b>c<span>d</span></div><div>e</div>f", "abcd\n\ne\n\nf");
    assert_html("<p>one<p>two<br>three<br><br>four", "one\n\ntwo\nthree\n\nfour");
}

static void character_references_are_read_as_browsers_read_them(void **state)
{
    (void)state;
    assert_html("&lt;a&gt; &AMP &copy2 &notit; &NotEqualTilde; &nosuch; &#150; &#x41; &#0; &#xd800; & &#;",
                "<a> & ©2 ¬it; ≂̸ &nosuch; – A \xef\xbf\xbd \xef\xbf\xbd & &#;");
}

static void metadata_comes_from_the_head(void **state)
{
    (void)state;
    struct lm_arena arena = { 0 };
    struct lm_html_result r;
    const char *html = "<html lang=de><title> A\n&amp; B </title><meta name=author content='X &lt;Y'>"
                       "<meta property='article:published_time' content=2024-05-06><body><h1>H</h1><p>Text.";
    assert_int_equal(lm_html_extract(lm_str(html), &arena, &r, NULL), LM_OK);
    assert_text(r.title, "A & B");
    assert_text(r.language, "de");
    assert_text(r.author, "X <Y");
    assert_text(r.date_published, "2024-05-06");
    assert_text(r.text, "# H\n\nText.");
    lm_arena_release(&arena);
}

/* A million tags of a kind, open, closed or crossed: linear time, no recursion. */
static void hostile_nesting_is_linear(void **state)
{
    (void)state;
    static const char *const units[] = { "<div>",
                                         "</div>",
                                         "<p><table><tr><td>",
                                         "<b><i>",
                                         "<li>",
                                         "<dl><dt>",
                                         "<a href=x>",
                                         "<h1>",
                                         "<header>",
                                         "<table>",
                                         "</p>",
                                         "<!--",
                                         "&amp",
                                         "<blockquote><ul>",
                                         "<script>",
                                         "<q>",
                                         "<p class='" };
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct lm_buf page = { 0 };
        while (page.len < 1 << 20)
            lm_buf_puts(&page, units[u]);
        lm_buf_puts(&page, "end");
        struct lm_arena arena = { 0 };
        struct lm_html_result r;
        const clock_t start = clock();
        assert_int_equal(lm_html_extract(lm_buf_str(&page), &arena, &r, NULL), LM_OK);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC <
                    5);   // sanitized; a quadratic loop takes hours
        lm_arena_release(&arena);
        lm_buf_release(&page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_page_reads_like_its_manual),
        cmocka_unit_test(an_article_loses_what_is_around_it),
        cmocka_unit_test(every_kind_of_block_has_its_form),
        cmocka_unit_test(inline_tags_never_separate_words_and_blocks_always_do),
        cmocka_unit_test(character_references_are_read_as_browsers_read_them),
        cmocka_unit_test(metadata_comes_from_the_head),
        cmocka_unit_test(hostile_nesting_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
