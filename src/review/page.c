/* review/page.c - the frame of a page. */

#include "review/page.h"

#include "review/html.h"
#include "review/number.h"
#include "review/report.h"

void lm_page_open(const char *what, const char *kicker, const char *title, const char *style,
                  struct lm_buf *ret)
{
    lm_html_addf(ret,
                 "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                 "<title>%s: %s</title>\n<style>\n",
                 what, title);
    lm_buf_puts(ret, lm_report_style);
    lm_buf_puts(ret, style);
    lm_html_addf(ret, "</style>\n</head>\n<body>\n<main>\n<p class=\"kicker\">%s</p>\n<h1>%s</h1>\n", kicker,
                 title);
}

void lm_page_close(struct lm_buf *ret)
{
    lm_buf_puts(ret, "</main>\n</body>\n</html>\n");
}

void lm_page_fact_open(const char *name, struct lm_buf *ret)
{
    lm_html_addf(ret, "<div><dt>%s</dt><dd>", name);
}

void lm_page_fact_close(struct lm_buf *ret)
{
    lm_buf_puts(ret, "</dd></div>\n");
}

void lm_page_fact_count(const char *name, uint64_t count, struct lm_buf *ret)
{
    lm_page_fact_open(name, ret);
    lm_number_add_count(ret, count);
    lm_page_fact_close(ret);
}

void lm_page_chart(const struct lm_svg_chart *chart, const char *note, struct lm_buf *ret)
{
    const bool cut = lm_svg_chart(chart, ret);
    if (cut || *note)
        lm_html_addf(ret, "<figcaption>%s%s%s</figcaption>", note, cut && *note ? " " : "",
                     cut ? "What is higher than the picture is cut off." : "");
    lm_buf_puts(ret, "</figure>\n");
}

void lm_page_legend(const char *css_class, const char *text, struct lm_buf *ret)
{
    lm_html_addf(ret, "<li class=\"%s\"><i></i>%s</li>", css_class, text);
}
