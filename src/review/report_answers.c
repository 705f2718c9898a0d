/* review/report_answers.c - one snapshot: its scores, and answers chosen by rule. */

#include "base/mem.h"
#include "review/html.h"
#include "review/number.h"
#include "review/report.h"
#include "review/svg.h"

#include <stdlib.h>

/* ---- scores ---- */

/* Metrics of 0..100 show one decimal, those of 0..1 three. */
static int decimals_of(double max)
{
    return max > 1 ? 1 : 3;
}

static void add_value(double value, const struct lm_interval *interval, int decimals, struct lm_buf *ret)
{
    lm_buf_puts(ret, "<td class=\"n\">");
    lm_number_add(ret, value, decimals);
    if (interval) {
        lm_buf_puts(ret, "<small>");
        lm_number_add(ret, interval->low, decimals);
        lm_buf_puts(ret, " &ndash; ");
        lm_number_add(ret, interval->high, decimals);
        lm_buf_puts(ret, "</small>");
    }
    lm_buf_puts(ret, "</td>");
}

static void add_row(const char *title, const char *meaning, double value, const struct lm_interval *interval,
                    double max, int decimals, bool other, struct lm_buf *ret)
{
    lm_html_addf(ret, "<tr><td>%s<small>%s</small></td>", title, meaning);
    add_value(value, interval, decimals, ret);
    lm_html_addf(ret, "<td class=\"b%s\">", other ? " other" : "");
    lm_svg_bar(value, interval ? interval->low : 1, interval ? interval->high : 0, max, ret);
    lm_buf_puts(ret, "</td></tr>\n");
}

static void add_scores(const struct lm_answers *a, struct lm_buf *ret)
{
    lm_buf_puts(ret, "<table><thead><tr><th>Answers against references</th><th class=\"n\">score, 95 %</th>"
                     "<td class=\"b\"></td></tr></thead><tbody>\n");
    for (size_t m = 0; m < LM_ANSWER_METRICS; m++) {
        const struct lm_metric_score *s = &a->scores[m];
        const double max = lm_metric_find(lm_answer_metrics[m].metric)->max;
        const struct lm_interval interval = { s->low, s->high };
        add_row(lm_answer_metrics[m].title, lm_answer_metrics[m].meaning, s->value,
                s->has_interval ? &interval : NULL, max, decimals_of(max), false, ret);
    }
    lm_buf_puts(ret, "</tbody></table>\n");
}

static void add_loss(const struct lm_answers *a, struct lm_buf *ret)
{
    const struct lm_answer_loss *l = &a->loss;
    const double max = l->base > l->snapshot ? l->base : l->snapshot;
    lm_buf_puts(ret, "<table><thead><tr><th>Surprise at the reference answers, nats per token</th>"
                     "<th class=\"n\">loss, 95 %</th><td class=\"b\"></td></tr></thead><tbody>\n");
    add_row("This model", "fine-tuned; lower is better", l->snapshot, &l->snapshot_interval, 1.1 * max, 3,
            false, ret);
    add_row("Base model", "before fine-tuning, on the same questions", l->base, &l->base_interval, 1.1 * max,
            3, true, ret);
    lm_buf_puts(ret, "</tbody></table>\n");
}

static void add_intro(const struct lm_answers *a, struct lm_buf *ret)
{
    lm_buf_puts(ret, "<p>");
    lm_number_add_count(ret, a->questions.len);
    if (a->questions.total > a->questions.len) {
        lm_buf_puts(ret, " of ");
        lm_number_add_count(ret, a->questions.total);
    }
    lm_buf_puts(ret,
                " questions kept back from training were asked, without any chance in the choice of words. ");
    if (a->empty == 0)
        lm_buf_puts(ret, "Every question got an answer");
    else {
        lm_number_add_count(ret, a->empty);
        lm_buf_puts(ret, a->empty == 1 ? " answer is empty" : " answers are empty");
    }
    if (a->cut > 0) {
        lm_buf_puts(ret, "; ");
        lm_number_add_count(ret, a->cut);
        lm_buf_puts(ret, a->cut == 1 ? " answer was" : " answers were");
        lm_buf_puts(ret, " cut off at the longest length allowed");
    }
    lm_buf_puts(ret, ".</p>\n");
}

/* ---- samples ---- */

/* Where samples are taken, in percent of the answers sorted by ROUGE-L. */
static const int percentiles[] = { 95, 85, 55, 45, 15, 5 };
enum { SAMPLES = sizeof(percentiles) / sizeof(percentiles[0]) };

struct ranked {
    double rouge_l;
    size_t index;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rouge_l != y->rouge_l)
        return x->rouge_l < y->rouge_l ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void add_card(const struct lm_answers *a, size_t index, int percentile, struct lm_buf *ret)
{
    const struct lm_question *question = &a->questions.items[index];
    const struct lm_str answer = lm_str_trim(lm_buf_str(&a->items[index].text));
    lm_buf_printf(ret, "<article class=\"card\"><header><span>%dth percentile</span><span>ROUGE-L ",
                  percentile);
    lm_number_add(ret, a->items[index].rouge_l, 2);
    lm_buf_puts(ret, "</span></header><h4>");
    lm_html_add(ret, question->text);
    lm_buf_puts(ret, "</h4><dl><dt>Reference</dt><dd>");
    lm_html_add(ret, question->reference);
    lm_buf_puts(ret, "</dd><dt>Answer</dt><dd>");
    if (answer.len > 0)
        lm_html_add(ret, answer);
    else
        lm_buf_puts(ret, "<span class=\"soft\">(empty)</span>");
    if (a->items[index].cut)
        lm_buf_puts(ret, "<span class=\"soft\"> &hellip; cut off</span>");
    lm_buf_puts(ret, "</dd></dl></article>\n");
}

static void add_samples(const struct lm_answers *a, struct lm_buf *ret)
{
    const size_t count = a->questions.len;
    LM_FREE struct ranked *ranked = lm_zalloc(count, sizeof(*ranked));
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){ a->items[i].rouge_l, i };
    qsort(ranked, count, sizeof(*ranked), by_score);
    lm_buf_puts(
        ret,
        "<h3>Good, middling and bad answers</h3>\n<p class=\"soft\">Taken by rule, not by taste: at fixed "
        "percentiles of all answers sorted by ROUGE-L.</p>\n");
    size_t last = count;
    for (size_t s = 0; s < SAMPLES; s++) {
        const size_t rank = ((count - 1) * (size_t)percentiles[s] + 50) / 100;
        if (rank == last)
            continue;   // few answers: do not show one twice
        last = rank;
        add_card(a, ranked[rank].index, percentiles[s], ret);
    }
}

void lm_report_answers(const struct lm_answers *a, struct lm_buf *ret)
{
    lm_html_addf(ret, "<section><h2>Answers: %s</h2>\n", a->name);
    if (a->questions.len > 0) {
        add_intro(a, ret);
        add_scores(a, ret);
        add_loss(a, ret);
        add_samples(a, ret);
    } else {
        lm_buf_puts(ret,
                    "<p>There are no held-out questions of this name, so nothing could be judged.</p>\n");
    }
    lm_buf_puts(ret, "</section>\n");
}
