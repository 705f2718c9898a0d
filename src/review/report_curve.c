/* review/report_curve.c - the course of pre-training beside the baseline, all in bits per byte. */

#include "base/file.h"
#include "review/curve.h"
#include "review/html.h"
#include "review/page.h"
#include "review/report.h"
#include "review/svg.h"

#include <math.h>

enum { POINTS_MAX = 180, METRICS_BYTES_MAX = 256 << 20 };

/* Training loss is in nats per token; by the bytes a token stands for it becomes bits per byte. */
static void to_bits_per_byte(struct lm_points *loss, double bytes_per_token)
{
    for (size_t i = 0; i < loss->len; i++)
        loss->y[i] /= bytes_per_token * M_LN2;
}

/* The first steps of a random model would flatten all the rest. */
static double useful_maximum(const struct lm_curve *c, double baseline)
{
    double max = isfinite(baseline) ? baseline * 1.5 : 0;
    for (size_t i = c->heldout.len / 2; i < c->heldout.len; i++)   // the second half of the course
        max = fmax(max, 1.1 * c->heldout.y[i]);
    return max;
}

static void add_legend(const struct lm_review_result *r, const struct lm_curve *c, size_t run,
                       struct lm_buf *ret)
{
    lm_buf_puts(ret, "<ul class=\"legend\">");
    if (c->loss.len > 0 && run > 1)
        lm_buf_printf(ret, "<li class=\"train\"><i></i>training text, mean of %zu steps</li>", run);
    else if (c->loss.len > 0)
        lm_buf_puts(ret, "<li class=\"train\"><i></i>training text</li>");
    if (c->heldout.len > 0)
        lm_buf_puts(ret, "<li class=\"heldout\"><i></i>held-out text</li>");
    lm_buf_printf(ret, "<li class=\"baseline\"><i></i>%d-gram baseline</li></ul>\n",
                  (int)r->config->ngram_order);
}

static void add_chart(const struct lm_review_result *r, struct lm_curve *c, struct lm_buf *ret)
{
    const double baseline = r->heldout.baseline.bits_per_byte;
    size_t run;
    to_bits_per_byte(&c->loss, r->train_bytes_per_token);
    lm_points_thin(&c->loss, POINTS_MAX, &run);
    const struct lm_svg_series series[] = {
        { "train", c->loss.x, c->loss.y, c->loss.len, false },
        { "heldout", c->heldout.x, c->heldout.y, c->heldout.len, c->heldout.len <= 40 },
    };
    const struct lm_svg_level level = { "baseline", "baseline", baseline };
    const struct lm_svg_chart chart = {
        .title = "Bits per byte over the steps of pre-training, on training and held-out text, beside the "
                 "baseline",
        .x_label = "step",
        .y_label = "bits per byte",
        .series = series,
        .series_count = sizeof(series) / sizeof(series[0]),
        .levels = &level,
        .level_count = isfinite(baseline) ? 1 : 0,
        .y_max = useful_maximum(c, baseline),
    };
    lm_buf_puts(ret, "<h3>How it learned</h3>\n<figure>");
    add_legend(r, c, run, ret);
    lm_page_chart(&chart,
                  "Held-out points are evaluations during training, on part of the held-out text. Lower is "
                  "better.",
                  ret);
}

enum lm_rc lm_report_curve(const struct lm_review_result *r, struct lm_buf *ret, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(r->inputs->base_dir, "metrics.jsonl");
    if (!lm_path_exists(path))
        return LM_OK;   // a model from elsewhere brings no history
    struct lm_buf jsonl = { 0 };
    struct lm_curve curve = { 0 };
    enum lm_rc rc = lm_file_read(path, METRICS_BYTES_MAX, &jsonl, err);
    if (rc == LM_OK)
        rc = lm_curve_parse(lm_buf_str(&jsonl), "metrics.jsonl", &curve, err);
    if (rc == LM_OK && curve.loss.len + curve.heldout.len > 1 && r->train_bytes_per_token > 0)
        add_chart(r, &curve, ret);
    lm_curve_release(&curve);
    lm_buf_release(&jsonl);
    return rc;
}
