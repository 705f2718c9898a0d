/* review/report_stage.c - report.json of an earlier stage, whatever it holds, as a readable section. */

#include "base/file.h"
#include "base/mem.h"
#include "review/html.h"
#include "review/number.h"
#include "review/report.h"
#include "review/svg.h"

#include <jansson.h>
#include <math.h>

enum { REPORT_BYTES_MAX = 16 << 20, ROWS_MAX = 60, COLUMNS_MAX = 8 };

/* Keys whose meaning is not plain from their words. */
static const struct {
    const char *key, *title;
} titles[] = {
    { "removed", "documents removed, by reason" },
    { "pii", "personal data replaced" },
    { "lengths", "lengths of documents" },
};

/* "documents_in" reads "documents in". */
static void add_name(const char *key, struct lm_buf *ret)
{
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (strcmp(key, titles[i].key) == 0)
            key = titles[i].title;
    struct lm_buf name = { 0 };
    for (; *key; key++)
        lm_buf_putc(&name, *key == '_' || *key == '-' ? ' ' : *key);
    lm_html_add(ret, lm_buf_str(&name));
    lm_buf_release(&name);
}

static void add_scalar(const json_t *value, struct lm_buf *ret)
{
    const json_int_t n = json_integer_value(value);
    if (json_is_integer(value) && n >= 0)
        lm_number_add_count(ret, (uint64_t)n);
    else if (json_is_number(value))
        lm_number_add(ret, json_number_value(value), 3);
    else if (json_is_string(value))
        lm_html_add(ret, (struct lm_str){ json_string_value(value), json_string_length(value) });
    else
        lm_buf_puts(ret, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "&ndash;");
}

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* ---- numbers as facts ---- */

static void add_facts(json_t *report, struct lm_buf *ret)
{
    const char *key;
    json_t *value;
    lm_buf_puts(ret, "<dl class=\"facts\">\n");
    json_object_foreach(report, key, value)
    {
        if (!is_scalar(value))
            continue;
        lm_buf_puts(ret, "<div><dt>");
        add_name(key, ret);
        lm_buf_puts(ret, "</dt><dd>");
        add_scalar(value, ret);
        lm_buf_puts(ret, "</dd></div>\n");
    }
    lm_buf_puts(ret, "</dl>\n");
}

/* ---- objects of numbers as bars ---- */

static double largest(json_t *object)
{
    const char *key;
    json_t *value;
    double max = 0;
    json_object_foreach(object, key, value) max = fmax(max, json_number_value(value));
    return max;
}

static void add_bars(const char *title, json_t *object, struct lm_buf *ret)
{
    const char *key;
    json_t *value;
    const double max = largest(object);
    if (!(max > 0))
        return;
    lm_buf_puts(ret, "<table><thead><tr><th class=\"cap\">");
    add_name(title, ret);
    lm_buf_puts(ret, "</th><td class=\"n\"></td><td class=\"b\"></td></tr></thead><tbody>\n");
    json_object_foreach(object, key, value)
    {
        if (!json_is_number(value))
            continue;
        lm_buf_puts(ret, "<tr><td>");
        add_name(key, ret);
        lm_buf_puts(ret, "</td><td class=\"n\">");
        add_scalar(value, ret);
        lm_buf_puts(ret, "</td><td class=\"b\">");
        lm_svg_bar(json_number_value(value), 1, 0, max, ret);
        lm_buf_puts(ret, "</td></tr>\n");
    }
    lm_buf_puts(ret, "</tbody></table>\n");
}

/* ---- lists of objects as tables ---- */

struct columns {
    const char *keys[COLUMNS_MAX];
    bool number[COLUMNS_MAX];
    size_t len;
};

/* The plain members of the first object. */
static struct columns columns_of(json_t *list)
{
    struct columns c = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach(json_array_get(list, 0), key, value)
    {
        if (!is_scalar(value) || c.len == COLUMNS_MAX)
            continue;
        c.number[c.len] = json_is_number(value);
        c.keys[c.len++] = key;
    }
    return c;
}

static void add_table(const char *title, json_t *list, struct lm_buf *ret)
{
    const struct columns c = columns_of(list);
    if (c.len == 0)
        return;
    lm_buf_puts(ret, "<h3 class=\"cap\">");
    add_name(title, ret);
    lm_buf_puts(ret, "</h3>\n<div class=\"wide\" tabindex=\"0\"><table><thead><tr>");
    for (size_t k = 0; k < c.len; k++) {
        lm_buf_puts(ret, c.number[k] ? "<th class=\"n\">" : "<th>");
        add_name(c.keys[k], ret);
        lm_buf_puts(ret, "</th>");
    }
    lm_buf_puts(ret, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(list) && i < ROWS_MAX; i++) {
        lm_buf_puts(ret, "<tr>");
        for (size_t k = 0; k < c.len; k++) {
            lm_buf_puts(ret, c.number[k] ? "<td class=\"n\">" : "<td>");
            add_scalar(json_object_get(json_array_get(list, i), c.keys[k]), ret);
            lm_buf_puts(ret, "</td>");
        }
        lm_buf_puts(ret, "</tr>\n");
    }
    lm_buf_puts(ret, "</tbody></table></div>\n");
    if (json_array_size(list) > ROWS_MAX)
        lm_buf_printf(ret, "<p class=\"soft\">and %zu more</p>\n", json_array_size(list) - ROWS_MAX);
}

static void add_report(json_t *report, struct lm_buf *ret)
{
    const char *key;
    json_t *value;
    add_facts(report, ret);
    json_object_foreach(report, key, value)
    {
        if (json_is_object(value))
            add_bars(key, value, ret);
        else if (json_is_object(json_array_get(value, 0)))
            add_table(key, value, ret);
    }
}

enum lm_rc lm_report_stage(const char *path, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    LM_TRY(lm_file_read(path, REPORT_BYTES_MAX, &text, err));
    json_error_t reason;
    json_t *report = json_loadb(lm_buf_str(&text).ptr, text.len, JSON_REJECT_DUPLICATES, &reason);
    lm_buf_release(&text);
    if (!json_is_object(report)) {
        json_decref(report);
        return lm_fail(err, LM_EFORMAT, "'%s' is no report: expected a JSON object", path);
    }
    const bool prepared = json_object_get(report, "documents_in");
    lm_buf_puts(ret, prepared ? "<section><h2>How the text was prepared</h2>\n"
                              : "<section><h2>Report of an earlier stage</h2>\n");
    add_report(report, ret);
    lm_buf_puts(ret, "</section>\n");
    json_decref(report);
    return LM_OK;
}
