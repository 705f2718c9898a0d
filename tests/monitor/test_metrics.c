#include "base/err.h"
#include "monitor/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a strict reader of the text format, as the format's description has it ---- */

struct sample {
    char name[128], labels[512], le[256];   // labels: as written, without le
    double value;
};

static const char *read_word(const char *at, char *ret, size_t size)
{
    size_t n = 0;
    while (isalnum((unsigned char)*at) || *at == '_' || *at == ':') {
        assert_true(n + 1 < size);
        ret[n++] = *at++;
    }
    ret[n] = '\0';
    assert_true(n > 0 && !isdigit((unsigned char)ret[0]));
    return at;
}

static const char *read_value(const char *at, char *ret, size_t size)
{
    size_t n = 0;
    assert_int_equal(*at++, '"');
    for (; *at != '"'; at++) {
        assert_true(*at != '\n' && *at != '\0' && n + 2 < size);
        ret[n++] = *at;
        if (*at == '\\') {
            at++;
            assert_non_null(strchr("\\\"n", *at));
            ret[n++] = *at;
        }
    }
    ret[n] = '\0';
    return at + 1;
}

static const char *read_labels(const char *at, struct sample *s)
{
    if (*at != '{')
        return at;
    do {
        char name[64], value[256];
        at = read_value(read_word(at + 1, name, sizeof(name)) + 1, value, sizeof(value));
        if (strcmp(name, "le") == 0)
            snprintf(s->le, sizeof(s->le), "%s", value);
        else
            snprintf(s->labels + strlen(s->labels), sizeof(s->labels) - strlen(s->labels), "%s=%s,", name,
                     value);
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

static const char *read_sample(const char *at, struct sample *s)
{
    *s = (struct sample){ 0 };
    at = read_labels(read_word(at, s->name, sizeof(s->name)), s);
    assert_int_equal(*at++, ' ');
    char *end;
    s->value = strtod(at, &end);
    assert_true(end > at && isfinite(s->value));
    assert_int_equal(*end, '\n');
    return end + 1;
}

static bool has_suffix(const char *s, const char *suffix)
{
    return lm_str_ends(lm_str(s), lm_str(suffix));
}

/* One histogram from its first bucket to its count: buckets rise, +Inf comes last and equals the count. */
static const char *check_histogram(const char *at, const char *base, double *ret_count)
{
    struct sample s;
    char labels[512] = "";
    double bound = -INFINITY, below = 0;
    for (at = read_sample(at, &s), snprintf(labels, sizeof(labels), "%s", s.labels);
         has_suffix(s.name, "_bucket"); at = read_sample(at, &s)) {
        const double le = strcmp(s.le, "+Inf") == 0 ? INFINITY : strtod(s.le, NULL);
        assert_true(le > bound && s.value >= below);
        assert_string_equal(s.labels, labels);
        bound = le;
        below = s.value;
    }
    assert_true(isinf(bound));
    assert_true(has_suffix(s.name, "_sum") && lm_str_starts(lm_str(s.name), lm_str(base)));
    at = read_sample(at, &s);
    assert_true(has_suffix(s.name, "_count"));
    assert_true(s.value == below);
    *ret_count = s.value;
    return at;
}

/* Reads a whole page; returns the number of series. */
static size_t check_page(const char *at)
{
    size_t series = 0;
    char last[512] = "";
    while (*at) {
        char help[128], name[128], type[32];
        assert_true(lm_str_starts(lm_str(at), LM_STR("# HELP ")));
        at = read_word(at + 7, help, sizeof(help));
        at = strchr(at, '\n') + 1;
        assert_true(lm_str_starts(lm_str(at), LM_STR("# TYPE ")));
        at = read_word(at + 7, name, sizeof(name));
        assert_string_equal(help, name);
        at = read_word(at + 1, type, sizeof(type));
        assert_int_equal(*at++, '\n');
        assert_int_equal(has_suffix(name, "_total"), strcmp(type, "counter") == 0);
        for (last[0] = '\0'; *at && *at != '#'; series++) {
            struct sample s;
            double count;
            const char *next = read_sample(at, &s);
            assert_true(!last[0] || strcmp(last, s.labels) < 0);   // ordered, none twice
            snprintf(last, sizeof(last), "%s", s.labels);
            at = strcmp(type, "histogram") == 0 ? check_histogram(at, name, &count) : next;
        }
    }
    return series;
}

static struct lm_buf page_of(struct lm_metrics *m)
{
    struct lm_buf text = { 0 };
    lm_metrics_text(m, &text);
    return text;
}

static void expect_line(const struct lm_buf *page, const char *line)
{
    if (lm_str_find(lm_buf_str(page), lm_str(line)) < 0)
        fail_msg("no line %s in:\n%s", line, page->ptr);
}

/* ---- tests ---- */

static void a_page_without_traffic_is_valid(void **state)
{
    (void)state;
    struct lm_metrics *m = lm_metrics_new();
    struct lm_buf page = page_of(m);
    assert_int_equal(check_page(page.ptr), 2);   // those without labels start at 0
    expect_line(&page, "\nloom_audit_records_total 0\n");
    lm_buf_release(&page);
    lm_metrics_free(m);
}

static void values_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct lm_metrics *m = lm_metrics_new();
    lm_metric_add(m, LM_METRIC_REQUESTS, "/v1/models", "200", 1);
    lm_metric_add(m, LM_METRIC_REQUESTS, "/v1/models", "200", 1);
    lm_metric_add(m, LM_METRIC_REQUESTS, "/v1/models", "401", 1);
    lm_metric_set(m, LM_METRIC_KV_USAGE, "a", NULL, 0.125);
    lm_metric_add(m, LM_METRIC_RUNNING, "a", NULL, 3);
    lm_metric_add(m, LM_METRIC_RUNNING, "a", NULL, -1);
    lm_metric_observe(m, LM_METRIC_TOKENS, "a", "input", 16);
    lm_metric_observe(m, LM_METRIC_TOKENS, "a", "input", 17);
    lm_metric_observe(m, LM_METRIC_TOKENS, "a", "input", 1e12);
    lm_metric_observe(m, LM_METRIC_TOKENS, "a", "input", NAN);
    struct lm_buf page = page_of(m);
    check_page(page.ptr);
    expect_line(&page, "\nloom_http_requests_total{route=\"/v1/models\",status=\"200\"} 2\n");
    expect_line(&page, "\nloom_http_requests_total{route=\"/v1/models\",status=\"401\"} 1\n");
    expect_line(&page, "\nloom_kv_cache_usage_ratio{model=\"a\"} 0.125\n");
    expect_line(&page, "\nloom_sequences_running{model=\"a\"} 2\n");
    expect_line(&page, "\ngen_ai_client_token_usage_bucket{model=\"a\",type=\"input\",le=\"4\"} 0\n");
    expect_line(&page, "\ngen_ai_client_token_usage_bucket{model=\"a\",type=\"input\",le=\"16\"} 1\n");
    expect_line(&page, "\ngen_ai_client_token_usage_bucket{model=\"a\",type=\"input\",le=\"64\"} 2\n");
    expect_line(&page, "\ngen_ai_client_token_usage_bucket{model=\"a\",type=\"input\",le=\"+Inf\"} 3\n");
    expect_line(&page, "\ngen_ai_client_token_usage_sum{model=\"a\",type=\"input\"} 1000000000033\n");
    lm_buf_release(&page);
    lm_metrics_free(m);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    struct lm_metrics *m = lm_metrics_new();
    lm_metric_add(m, LM_METRIC_DECISIONS, "a\\b\"c\nd", NULL, 1);
    struct lm_buf page = page_of(m);
    check_page(page.ptr);
    expect_line(&page, "\nloom_decisions_total{rule=\"a\\\\b\\\"c\\nd\"} 1\n");
    lm_buf_release(&page);
    lm_metrics_free(m);
}

static void too_many_series_are_counted_together(void **state)
{
    (void)state;
    struct lm_metrics *m = lm_metrics_new();
    for (int i = 0; i < LM_METRIC_SERIES_MAX + 100; i++) {
        char route[32];
        snprintf(route, sizeof(route), "/%d", i);
        lm_metric_add(m, LM_METRIC_REQUESTS, route, "200", 1);
    }
    struct lm_buf page = page_of(m);
    assert_int_equal(check_page(page.ptr), 2 + LM_METRIC_SERIES_MAX + 1);
    expect_line(&page, "\nloom_http_requests_total{route=\"other\",status=\"other\"} 100\n");
    lm_buf_release(&page);
    lm_metrics_free(m);
}

enum { THREADS = 4, EACH = 5000 };

static void *observe_many(void *m)
{
    static const char *const models[] = { "a", "b", "c", "d", "e", "f", "g" };
    for (int i = 0; i < EACH; i++) {
        lm_metric_observe(m, LM_METRIC_REQUEST_SECONDS, models[i % 7], NULL, i % 3);
        lm_metric_add(m, LM_METRIC_AUDIT_RECORDS, NULL, NULL, 1);
    }
    return NULL;
}

static void no_update_is_lost_between_threads(void **state)
{
    (void)state;
    struct lm_metrics *m = lm_metrics_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, observe_many, m), 0);
    for (int i = 0; i < 20; i++) {   // pages made meanwhile are valid, too
        struct lm_buf page = page_of(m);
        check_page(page.ptr);
        lm_buf_release(&page);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct lm_buf page = page_of(m);
    check_page(page.ptr);
    expect_line(&page, "\nloom_audit_records_total 20000\n");
    expect_line(&page, "\ngen_ai_server_request_duration_seconds_count{model=\"a\"} 2860\n");
    lm_buf_release(&page);
    lm_metrics_free(m);
}

/* Where Prometheus is installed, its own checker has the last word. */
static void promtool_has_nothing_to_say(void **state)
{
    (void)state;
    if (system("command -v promtool >/dev/null") != 0)
        skip();
    struct lm_metrics *m = lm_metrics_new();
    observe_many(m);
    struct lm_buf page = page_of(m);
    FILE *pipe = popen("promtool check metrics >&2", "w");
    assert_non_null(pipe);
    assert_int_equal(fwrite(page.ptr, 1, page.len, pipe), page.len);
    assert_int_equal(pclose(pipe), 0);
    lm_buf_release(&page);
    lm_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_without_traffic_is_valid),
        cmocka_unit_test(values_come_out_as_they_went_in),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(too_many_series_are_counted_together),
        cmocka_unit_test(no_update_is_lost_between_threads),
        cmocka_unit_test(promtool_has_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
