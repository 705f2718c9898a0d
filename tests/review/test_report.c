/* tests/review/test_report.c - report.html and the other records of an invented review. */

#include "check.h"

#include "base/file.h"
#include "base/mem.h"
#include "review/curve.h"
#include "review/html.h"
#include "review/report.h"
#include "review/run_page.h"
#include "review/svg.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct lm_interval around(double value, double width)
{
    return (struct lm_interval){ value - width, value + width };
}

static void invent_heldout(struct lm_heldout_result *h)
{
    *h = (struct lm_heldout_result){ .documents = 118, .documents_total = 118, .ratio = 0.871 };
    h->model = (struct lm_heldout_score){ .sum = { -1.1e6, 241093, 903311 },
                                          .bits_per_byte = 1.482,
                                          .perplexity = 46.91,
                                          .bits_interval = around(1.482, 0.021),
                                          .signature = "bits-per-byte|model" };
    h->baseline = (struct lm_heldout_score){ .sum = { -1.2e6, 241093, 903311 },
                                             .bits_per_byte = 1.701,
                                             .perplexity = 82.6,
                                             .bits_interval = around(1.701, 0.024),
                                             .signature = "bits-per-byte|baseline" };
}

/* What outside text may hold; the report must show it, not obey it. */
static const char hostile[] =
    "</dd><script>alert('x')</script> & \"quotes\" <img src=http://example.org/x.png> \x01\xff";

static void invent_answers(struct lm_answers *a, const char *name, size_t count)
{
    static const char *const pairs[][2] = {
        { "What is the syntax of CREATE SEQUENCE?",
          "CREATE SEQUENCE [ IF NOT EXISTS ] name [ AS data_type ]\n"
          "    [ INCREMENT [ BY ] increment ]" },
        { "What does VACUUM do?", "VACUUM reclaims storage occupied by dead tuples." },
        { "Which SQL command would I use to define a new index?", "CREATE INDEX" },
    };
    *a = (struct lm_answers){ .name = name, .questions.len = count, .questions.total = 3 * count };
    a->questions.items = lm_zalloc(count, sizeof(*a->questions.items));
    a->items = lm_zalloc(count, sizeof(*a->items));
    for (size_t i = 0; i < count; i++) {
        const char *const *pair = pairs[i % 3];
        a->questions.items[i] = (struct lm_question){ LM_STR("id"), lm_str(pair[0]), lm_str(pair[1]) };
        lm_buf_puts(&a->items[i].text, i == 1       ? hostile
                                       : i % 3 == 1 ? "VACUUM removes dead rows from a table."
                                                    : pair[1]);
        a->items[i].rouge_l = i == 1 ? 0 : (double)i / (double)count;
    }
    a->cut = 2;
    a->items[count / 2].cut = true;
    for (size_t m = 0; m < LM_ANSWER_METRICS; m++) {
        const double max = lm_metric_find(lm_answer_metrics[m].metric)->max;
        const double value = max * (0.62 - 0.08 * (double)m);
        a->scores[m] = (struct lm_metric_score){ .value = value,
                                                 .has_interval = m < 4,
                                                 .low = value - 0.04 * max,
                                                 .high = value + 0.05 * max,
                                                 .signature = "metric|signature" };
    }
    a->loss = (struct lm_answer_loss){ .snapshot = 1.12,
                                       .base = 2.91,
                                       .ratio = 1.12 / 2.91,
                                       .snapshot_interval = around(1.12, 0.07),
                                       .base_interval = around(2.91, 0.1),
                                       .ratio_interval = around(0.385, 0.02),
                                       .tokens = 4211,
                                       .signature = "answer-loss|signature" };
}

struct invented {
    struct lm_review_config config;
    struct lm_review_inputs inputs;
    struct lm_answers answers[3];
    struct lm_review_result result;
    const char *reports[1];
};

static void write_training(void)
{
    struct lm_buf jsonl = { 0 };
    for (int step = 1; step <= 1200; step++) {
        const double loss = 3.1 + 5.6 * exp(-step / 90.0) + 0.12 * sin(step * 1.7) + 0.5 * exp(-step / 600.0);
        lm_buf_printf(&jsonl, "{\"step\":%d,\"loss\":%.6f,\"lr\":0.001}\n", step, loss);
        if (step % 100 == 0)
            lm_buf_printf(&jsonl, "{\"step\":%d,\"heldout_bits_per_byte\":%.6f}\n", step,
                          1.44 + 2.2 * exp(-step / 110.0) + 0.35 * exp(-step / 500.0));
    }
    assert_ok(lm_dir_make("base", NULL));
    assert_ok(lm_file_write("base/metrics.jsonl", lm_buf_str(&jsonl), NULL));
    lm_buf_release(&jsonl);
    assert_ok(lm_file_write(
        "report.json",
        LM_STR("{\"documents_in\":1187,\"documents_out\":1093,\"bytes_in\":9811402,\"bytes_out\":9233518,"
               "\"words_out\":1502211,"
               "\"removed\":{\"too-short\":61,\"duplicate\":22,\"language\":11},\"paragraphs_removed\":410,"
               "\"sentences_out\":88211,\"pii\":{\"email\":48,\"phone\":2},"
               "\"languages\":[{\"code\":\"en\",\"documents\":1093,\"words\":1502211}],"
               "\"sources\":[{\"name\":\"postgres-manual\",\"documents_in\":1187,\"documents_out\":1093,"
               "\"bytes_in\":9811402,"
               "\"removed\":{\"too-short\":61}},{\"name\":\"<b>notes</"
               "b>\",\"documents_in\":0,\"documents_out\":0,"
               "\"bytes_in\":0}]}"),
        NULL));
}

static void invent(struct invented *i)
{
    *i = (struct invented){ .reports = { "report.json" } };
    write_training();
    lm_opt_defaults(&lm_review_options, &i->config);
    i->inputs = (struct lm_review_inputs){
        .title = "postgres-assistant", .base_dir = "base", .extra_reports = i->reports, .extra_count = 1
    };
    i->result = (struct lm_review_result){
        .config = &i->config,
        .inputs = &i->inputs,
        .base = { .vocab_size = 4096,
                  .dim = 256,
                  .layers = 6,
                  .heads = 8,
                  .kv_heads = 4,
                  .ffn_dim = 704,
                  .context = 512 },
        .base_parameters = 6112512,
        .train_bytes_per_token = 3.74,
        .snapshots = i->answers,
        .snapshot_count = 3,
    };
    invent_heldout(&i->result.heldout);
    invent_answers(&i->answers[0], "sql", 40);
    invent_answers(&i->answers[1], "tools", 2);
    i->answers[2].name = "empty";
    lm_gates_decide(&i->result);
}

static void release(struct invented *i)
{
    for (size_t k = 0; k < 3; k++)
        lm_answers_release(&i->answers[k]);
    free(i->result.gates);
}

static struct lm_buf html_of(const struct invented *i)
{
    struct lm_buf html = { 0 };
    struct lm_err err = { 0 };
    if (lm_report_html(&i->result, &html, &err) != LM_OK)
        fail_msg("%s", err.text);
    return html;
}

/* ---- the page ---- */

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = strstr(text, part); p; p = strstr(p + 1, part))
        n++;
    return n;
}

static void the_report_is_one_file_and_fetches_nothing(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    struct lm_buf html = html_of(&i);
    assert_ok(lm_file_write("report.html", lm_buf_str(&html), NULL));   // to look at
    static const char *const forbidden[] = {
        "<script", "<link", "<img", "src=", "href=", "@import", "<iframe"
    };
    for (size_t k = 0; k < sizeof(forbidden) / sizeof(forbidden[0]); k++) {
        const char *found = strstr(html.ptr, forbidden[k]);
        /* "src=" occurs in the hostile answer, as text. */
        if (found && strncmp(found, "src=http", 8) != 0)
            fail_msg("the report holds %s", forbidden[k]);
    }
    lm_buf_release(&html);
    release(&i);
}

/* Every "<" starts a tag of the report's own, and what was opened is closed in order. */
static void every_tag_is_closed(void **state)
{
    (void)state;
    static const char *const single[] = { "meta", "rect", "line", "circle", "polyline", "!doctype" };
    struct invented i;
    invent(&i);
    struct lm_buf html = html_of(&i);
    struct lm_str open[64];
    size_t depth = 0;
    for (const char *p = strchr(html.ptr, '<'); p; p = strchr(p + 1, '<')) {
        const bool closing = p[1] == '/';
        const char *name = p + 1 + closing;
        const struct lm_str tag = { name, strcspn(name, " >/\n") };
        bool is_single = false;
        for (size_t k = 0; k < sizeof(single) / sizeof(single[0]); k++)
            is_single = is_single || lm_str_eq(tag, lm_str(single[k]));
        if (is_single)
            continue;
        if (closing) {
            assert_true(depth > 0);
            if (!lm_str_eq(open[--depth], tag))
                fail_msg("%.*s closes %.*s", (int)tag.len, tag.ptr, (int)open[depth].len, open[depth].ptr);
        } else {
            assert_true(depth < 64);
            open[depth++] = tag;
        }
    }
    assert_int_equal(depth, 0);
    lm_buf_release(&html);
    release(&i);
}

static void text_from_outside_is_escaped(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    i.inputs.title = "<b>\"bold\"</b>";
    i.answers[0].name = "<i>sql</i>";
    struct lm_buf html = html_of(&i);
    assert_null(strstr(html.ptr, "<b>"));
    assert_null(strstr(html.ptr, "<i>sql"));
    assert_contains(html.ptr, "<title>Review: &lt;b&gt;&quot;bold&quot;&lt;/b&gt;</title>");
    assert_contains(html.ptr, "&lt;b&gt;notes&lt;/b&gt;");
    assert_contains(html.ptr, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quotes&quot;");
    lm_buf_release(&html);
    release(&i);
}

static void control_characters_and_broken_utf8_do_not_reach_the_page(void **state)
{
    (void)state;
    struct lm_buf b = { 0 };
    lm_html_add(&b, (struct lm_str){ "a\0\x1b\x7f\xc2\x85\xff\n\t\xc3\xa9", 11 });
    assert_text(lm_buf_str(&b), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n\t\xc3\xa9");
    lm_buf_release(&b);
}

static void the_verdict_is_in_words(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    struct lm_buf html = html_of(&i);
    assert_contains(html.ptr, "Not passed.");   // "empty" has no questions
    assert_contains(html.ptr, "2 of 7 gates do not hold");
    assert_int_equal(count(html.ptr, "not measured"), 2);
    lm_buf_release(&html);

    free(i.result.gates);
    i.result.snapshot_count = 2;
    lm_gates_decide(&i.result);
    html = html_of(&i);
    assert_contains(html.ptr, "<strong>Passed.</strong> <span>All 5 gates hold");
    lm_buf_release(&html);
    release(&i);
}

static void samples_are_those_at_fixed_percentiles(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    i.result.snapshot_count = 2;
    struct lm_buf html = html_of(&i);
    /* 40 answers give six cards; 2 give two. */
    assert_int_equal(count(html.ptr, "<article class=\"card\">"), 8);
    assert_contains(html.ptr, "<span>95th percentile</span><span>ROUGE-L 0.93</span>");
    lm_buf_release(&html);
    release(&i);
}

static void a_model_without_history_has_no_chart(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    struct lm_buf with = html_of(&i);
    assert_contains(with.ptr, "<svg class=\"chart\"");
    i.inputs.base_dir = "nowhere";
    struct lm_buf without = html_of(&i);
    assert_null(strstr(without.ptr, "<svg class=\"chart\""));
    lm_buf_release(&with);
    lm_buf_release(&without);
    release(&i);
}

static void a_baseline_without_a_value_passes_nothing_and_breaks_no_picture(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    i.result.snapshot_count = 0;
    i.result.heldout.ratio = NAN;
    i.result.heldout.baseline.bits_per_byte = INFINITY;
    free(i.result.gates);
    lm_gates_decide(&i.result);
    assert_false(i.result.passed);
    struct lm_buf html = html_of(&i);
    assert_contains(html.ptr, "<svg class=\"chart\"");
    assert_null(strstr(html.ptr, "\"n/a"));
    assert_null(strstr(html.ptr, ",n/a"));
    lm_buf_release(&html);
    release(&i);
}

static void a_damaged_report_of_a_stage_is_named(void **state)
{
    (void)state;
    struct lm_buf b = { 0 };
    struct lm_err err = { 0 };
    assert_ok(lm_file_write("damaged.json", LM_STR("{\"documents_in\":"), NULL));
    assert_int_equal(lm_report_stage("damaged.json", &b, &err), LM_EFORMAT);
    assert_contains(err.text, "damaged.json");
    assert_ok(lm_file_write("damaged.json", LM_STR("[1]"), NULL));
    assert_int_equal(lm_report_stage("damaged.json", &b, &err), LM_EFORMAT);
    lm_buf_release(&b);
}

/* ---- gates ---- */

static void gates_follow_their_thresholds(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    i.result.snapshot_count = 1;
    struct {
        double *threshold;
        double pass, fail;
    } rows[] = {
        { &i.config.gate_bits_per_byte_ratio_max, 0.871, 0.870 },
        { &i.config.gate_answer_loss_ratio_max, 0.9, 0.3 },
        { &i.config.gate_answered_share_min, 0.5, 1.0 },
    };
    i.answers[0].empty = 10;   // of 40
    for (size_t k = 0; k < 3; k++)
        *rows[k].threshold = rows[k].pass;
    free(i.result.gates);
    lm_gates_decide(&i.result);
    assert_true(i.result.passed);
    assert_int_equal(i.result.gate_count, 3);
    for (size_t k = 0; k < 3; k++) {
        *rows[k].threshold = rows[k].fail;
        free(i.result.gates);
        lm_gates_decide(&i.result);
        assert_false(i.result.passed);
        for (size_t g = 0; g < 3; g++)
            assert_int_equal(i.result.gates[g].passed, g != k);
        *rows[k].threshold = rows[k].pass;
    }
    release(&i);
}

/* ---- records ---- */

static void the_records_are_json(void **state)
{
    (void)state;
    struct invented i;
    invent(&i);
    struct lm_buf text = { 0 };
    lm_record_review(&i.result, &text);
    json_t *o = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_true(json_is_false(json_object_get(o, "passed")));
    assert_int_equal(json_array_size(json_object_get(o, "gates")), 7);
    assert_int_equal(json_array_size(json_object_get(o, "snapshots")), 3);
    json_decref(o);

    lm_buf_reset(&text);
    lm_record_metrics(&i.result, &text);
    o = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_contains(text.ptr, "\"passed\":false");
    const json_t *sql = json_object_get(json_object_get(o, "snapshots"), "sql");
    assert_true(json_number_value(json_object_get(sql, "rouge-l")) == i.answers[0].scores[0].value);
    json_decref(o);
    lm_buf_release(&text);

    assert_ok(lm_record_answers(&i.result, "answers.jsonl", NULL));
    struct lm_buf lines = { 0 };
    assert_ok(lm_file_read("answers.jsonl", 1 << 20, &lines, NULL));
    assert_int_equal(count(lines.ptr, "\n"), 42);
    lm_buf_release(&lines);
    release(&i);
}

/* ---- curve and chart ---- */

static void a_curve_is_thinned_by_means(void **state)
{
    (void)state;
    struct lm_curve c = { 0 };
    assert_ok(lm_curve_parse(
        LM_STR("{\"step\":1,\"loss\":4}\n{\"step\":2,\"loss\":2,\"heldout_bits_per_byte\":1.5}\n"
               "{\"step\":3,\"loss\":null}\n{\"step\":4,\"loss\":1,\"x\":[{}]}\n"),
        "m.jsonl", &c, NULL));
    assert_int_equal(c.loss.len, 3);
    assert_int_equal(c.heldout.len, 1);
    size_t run;
    lm_points_thin(&c.loss, 2, &run);
    assert_int_equal(run, 2);
    assert_int_equal(c.loss.len, 2);
    assert_true(c.loss.x[0] == 1.5 && c.loss.y[0] == 3 && c.loss.x[1] == 4 && c.loss.y[1] == 1);
    lm_curve_release(&c);
    struct lm_err err = { 0 };
    assert_int_equal(lm_curve_parse(LM_STR("{\"step\":1}\n{\"step\":\"x\"}\n"), "m.jsonl", &c, &err),
                     LM_EFORMAT);
    assert_contains(err.text, "m.jsonl:2");
    lm_curve_release(&c);
}

static void a_chart_of_one_point_is_drawn(void **state)
{
    (void)state;
    const double x = 5, y = 0;
    const struct lm_svg_series s = { "heldout", &x, &y, 1, true };
    struct lm_buf b = { 0 };
    lm_svg_chart(&(struct lm_svg_chart){ "t", "x", "y", &s, 1, NULL, 0, 0 }, &b);
    assert_null(strstr(b.ptr, "n/a"));
    assert_contains(b.ptr, "<circle class=\"heldout\"");
    lm_buf_release(&b);
}

/* training.html of a made-up log. */
static struct lm_buf run_page_of(const char *line, int steps, double last)
{
    struct lm_buf log = { 0 }, page = { 0 };
    assert_int_equal(lm_dir_make("run", NULL), LM_OK);
    for (int step = 1; step <= steps; step++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        lm_buf_printf(&log, line, step,
                      step == 1 ? 100.0 : last + step % 3 * 0.1);   // a line of the tests below
#pragma GCC diagnostic pop
    }
    assert_int_equal(lm_file_write("run/metrics.jsonl", lm_buf_str(&log), NULL), LM_OK);
    assert_int_equal(lm_run_page("run", "<b>finetune</b>", NULL), LM_OK);
    assert_int_equal(lm_file_read("run/training.html", 1 << 20, &page, NULL), LM_OK);
    assert_null(strstr(page.ptr, "<b>"));
    lm_buf_release(&log);
    return page;
}

static void a_page_says_what_is_cut_off(void **state)
{
    (void)state;
    static const char cut[] = "is cut off.</figcaption>";
    static const char line[] = "{\"step\":%d,\"loss\":%g,\"lr\":0.1,\"grad_norm\":1,\"tokens\":9}\n";
    struct lm_buf page = run_page_of(line, 40, 2);   // the first loss is far above all others
    assert_contains(page.ptr, cut);
    lm_buf_release(&page);
    page = run_page_of(line, 40, 99.9);
    assert_null(strstr(page.ptr, cut));
    lm_buf_release(&page);
}

static void losses_of_pairs_and_of_tokens_share_no_picture(void **state)
{
    (void)state;
    struct lm_buf page = run_page_of("{\"step\":%d,\"loss\":%g,\"margin\":0.5,\"accuracy\":1,\"lr\":0.1,"
                                     "\"grad_norm\":1,\"heldout_loss\":3}\n",
                                     10, 0.5);
    assert_contains(page.ptr, "loss, nats per pair");
    assert_contains(page.ptr, "share of the step&#39;s pairs");
    assert_contains(page.ptr, "loss, nats per token");
    assert_null(strstr(page.ptr, "on training and on held-out text"));
    lm_buf_release(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_is_one_file_and_fetches_nothing),
        cmocka_unit_test(every_tag_is_closed),
        cmocka_unit_test(text_from_outside_is_escaped),
        cmocka_unit_test(control_characters_and_broken_utf8_do_not_reach_the_page),
        cmocka_unit_test(the_verdict_is_in_words),
        cmocka_unit_test(samples_are_those_at_fixed_percentiles),
        cmocka_unit_test(a_model_without_history_has_no_chart),
        cmocka_unit_test(a_baseline_without_a_value_passes_nothing_and_breaks_no_picture),
        cmocka_unit_test(a_damaged_report_of_a_stage_is_named),
        cmocka_unit_test(gates_follow_their_thresholds),
        cmocka_unit_test(the_records_are_json),
        cmocka_unit_test(a_curve_is_thinned_by_means),
        cmocka_unit_test(a_chart_of_one_point_is_drawn),
        cmocka_unit_test(a_page_says_what_is_cut_off),
        cmocka_unit_test(losses_of_pairs_and_of_tokens_share_no_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
