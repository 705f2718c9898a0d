/* review/report.c - report.html: the verdict first, then its reasons, then what it rests on. */

#include "review/report.h"

#include "review/html.h"
#include "review/number.h"
#include "review/page.h"
#include "review/svg.h"

#include <math.h>

/* ---- head and verdict ---- */

static void add_verdict(const struct lm_review_result *r, struct lm_buf *ret)
{
    size_t passed = 0;
    for (size_t i = 0; i < r->gate_count; i++)
        passed += r->gates[i].passed;
    if (r->passed)
        lm_buf_printf(
            ret,
            "<p class=\"verdict pass\"><strong>Passed.</strong> <span>All %zu gates hold: this model may "
            "be promoted.</span></p>\n",
            r->gate_count);
    else
        lm_buf_printf(
            ret,
            "<p class=\"verdict fail\"><strong>Not passed.</strong> <span>%zu of %zu gates %s not hold: "
            "this model may not be promoted.</span></p>\n",
            r->gate_count - passed, r->gate_count, r->gate_count - passed == 1 ? "does" : "do");
}

static void add_gates(const struct lm_review_result *r, struct lm_buf *ret)
{
    lm_buf_puts(ret, "<table class=\"gates\"><thead><tr><th>Gate</th><th class=\"n\">Value</th>"
                     "<th class=\"n\">Must be</th><th>Result</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->gate_count; i++) {
        const struct lm_gate_result *g = &r->gates[i];
        lm_html_addf(ret, "<tr><td>%s%s%s<small>%s</small></td><td class=\"n\">",
                     g->snapshot ? g->snapshot : "", g->snapshot ? ": " : "", g->name, g->meaning);
        lm_number_add(ret, g->value, 3);
        lm_html_addf(ret, "</td><td class=\"n\">%s ", g->at_least ? "≥" : "≤");
        lm_number_add(ret, g->threshold, 3);
        lm_html_addf(ret, "</td><td class=\"%s\">%s</td></tr>\n", g->passed ? "pass" : "fail",
                     g->passed         ? "holds"
                     : isnan(g->value) ? "not measured"
                                       : "does not hold");
    }
    lm_buf_puts(ret, "</tbody></table>\n");
}

/* ---- the base model ---- */

static void add_bits_row(const char *title, const char *meaning, const struct lm_heldout_score *s, double max,
                         bool other, struct lm_buf *ret)
{
    lm_html_addf(ret, "<tr><td>%s<small>%s%sperplexity per token ", title, meaning, *meaning ? "; " : "");
    lm_number_add(ret, s->perplexity, s->perplexity < 1000 ? 1 : 0);
    lm_buf_puts(ret, "</small></td><td class=\"n\">");
    lm_number_add(ret, s->bits_per_byte, 3);
    lm_buf_puts(ret, "<small>");
    lm_number_add(ret, s->bits_interval.low, 3);
    lm_buf_puts(ret, " &ndash; ");
    lm_number_add(ret, s->bits_interval.high, 3);
    lm_html_addf(ret, "</small></td><td class=\"b%s\">", other ? " other" : "");
    lm_svg_bar(s->bits_per_byte, s->bits_interval.low, s->bits_interval.high, max, ret);
    lm_buf_puts(ret, "</td></tr>\n");
}

static void add_heldout(const struct lm_review_result *r, struct lm_buf *ret)
{
    const struct lm_heldout_result *h = &r->heldout;
    const double max = 1.1 * fmax(h->model.bits_per_byte, h->baseline.bits_per_byte);
    const double saved = 100 * (1 - h->ratio);   // NaN when the baseline could not be measured
    lm_buf_puts(ret, "<p>Of text it has never seen, the model needs ");
    lm_number_add(ret, h->model.bits_per_byte, 2);
    lm_buf_puts(ret, " bits for a byte");
    if (isfinite(saved)) {
        lm_buf_puts(ret, ", ");
        lm_number_add(ret, fabs(saved), 1);
        lm_buf_puts(ret, saved >= 0 ? " % fewer than the " : " % more than the ");
        lm_number_add(ret, h->baseline.bits_per_byte, 2);
        lm_buf_printf(ret, " of a %d-gram model of the same training text", (int)r->config->ngram_order);
    }
    lm_buf_puts(ret, ".</p>\n");
    lm_buf_puts(ret, "<table><thead><tr><th>Held-out text</th><th class=\"n\">bits per byte, "
                     "95 %</th><td class=\"b\"></td></tr></thead><tbody>\n");
    add_bits_row("This model", "", &h->model, max, false, ret);
    add_bits_row("Baseline", "interpolated Kneser-Ney n-grams", &h->baseline, max, true, ret);
    lm_buf_puts(ret, "</tbody></table>\n");
}

static enum lm_rc add_base(const struct lm_review_result *r, struct lm_buf *ret, struct lm_err *err)
{
    lm_buf_puts(ret, "<section><h2>The base model</h2>\n");
    add_heldout(r, ret);
    lm_buf_puts(ret, "<dl class=\"facts\">\n");
    lm_page_fact_count("parameters", r->base_parameters, ret);
    lm_page_fact_count("layers", (uint64_t)r->base.layers, ret);
    lm_page_fact_count("width", (uint64_t)r->base.dim, ret);
    lm_page_fact_count("context, tokens", (uint64_t)r->base.context, ret);
    lm_page_fact_count("vocabulary", (uint64_t)r->base.vocab_size, ret);
    lm_page_fact_count("held-out documents", r->heldout.documents, ret);
    lm_page_fact_count("held-out tokens", r->heldout.model.sum.tokens, ret);
    lm_buf_puts(ret, "</dl>\n");
    LM_TRY(lm_report_curve(r, ret, err));
    lm_buf_puts(ret, "</section>\n");
    return LM_OK;
}

/* ---- signatures ---- */

static void add_signature(const char *what, const char *of, const char *signature, struct lm_buf *ret)
{
    lm_html_addf(ret, "<tr><td>%s%s%s</td><td><code>%s</code></td></tr>\n", what, *of ? ", " : "", of,
                 signature);
}

static void add_footer(const struct lm_review_result *r, struct lm_buf *ret)
{
    lm_buf_puts(
        ret,
        "<footer><h2>How it was measured</h2>\n<p class=\"soft\">Each number is defined by its signature; "
        "numbers with different signatures must not be compared. Intervals hold 95 % of the values "
        "that other documents or questions of the same kind would give (bootstrap).</p>\n"
        "<div class=\"wide\" tabindex=\"0\"><table class=\"signed\"><tbody>\n");
    add_signature("Bits per byte", "model", r->heldout.model.signature, ret);
    add_signature("Bits per byte", "baseline", r->heldout.baseline.signature, ret);
    /* Metrics are signed alike for all snapshots: shown once. */
    const struct lm_answers *first = NULL;
    for (size_t i = 0; i < r->snapshot_count && !first; i++)
        if (r->snapshots[i].questions.len > 0)
            first = &r->snapshots[i];
    for (size_t m = 0; first && m < LM_ANSWER_METRICS; m++)
        add_signature(lm_answer_metrics[m].title, "", first->scores[m].signature, ret);
    for (size_t i = 0; i < r->snapshot_count; i++)
        if (r->snapshots[i].questions.len > 0)
            add_signature("Answer loss", r->snapshots[i].name, r->snapshots[i].loss.signature, ret);
    lm_buf_puts(ret, "</tbody></table></div>\n</footer>\n");
    lm_page_close(ret);
}

enum lm_rc lm_report_html(const struct lm_review_result *r, struct lm_buf *ret, struct lm_err *err)
{
    lm_page_open("Review", "Model review", r->inputs->title, "", ret);
    add_verdict(r, ret);
    add_gates(r, ret);
    LM_TRY(add_base(r, ret, err));
    for (size_t i = 0; i < r->snapshot_count; i++)
        lm_report_answers(&r->snapshots[i], ret);
    for (size_t i = 0; i < r->inputs->extra_count; i++)
        LM_TRY(lm_report_stage(r->inputs->extra_reports[i], ret, err));
    add_footer(r, ret);
    return LM_OK;
}
