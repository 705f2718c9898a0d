/* review/run_page.c - training.html. */

#include "review/run_page.h"

#include "base/file.h"
#include "review/curve.h"
#include "review/html.h"
#include "review/number.h"
#include "review/page.h"
#include "review/svg.h"

#include <math.h>

enum { POINTS_MAX = 240, METRICS_BYTES_MAX = 256 << 20, DOTS_MAX = 40 };

/* ---- facts ---- */

static void add_fact(const char *name, const struct lm_points *p, bool lowest, struct lm_buf *ret)
{
    if (p->len == 0)
        return;
    double value = p->y[p->len - 1];
    for (size_t i = 0; lowest && i < p->len; i++)
        value = fmin(value, p->y[i]);
    lm_page_fact_open(name, ret);
    lm_number_add(ret, value, 4);
    lm_page_fact_close(ret);
}

static void add_facts(const struct lm_curve *c, struct lm_buf *ret)
{
    const struct lm_points *steps = c->lr.len ? &c->lr : &c->loss;
    lm_buf_puts(ret, "<dl class=\"facts\">\n");
    if (steps->len > 0)
        lm_page_fact_count("steps", (uint64_t)steps->x[steps->len - 1], ret);
    add_fact("last loss", &c->loss, false, ret);
    add_fact("last held-out loss", &c->heldout_loss, false, ret);
    add_fact("lowest held-out loss", &c->heldout_loss, true, ret);
    add_fact("held-out bits per byte", &c->heldout, false, ret);
    lm_buf_puts(ret, "</dl>\n");
}

/* ---- charts ---- */

/* The first steps of a random model would flatten all the rest: the middle half of the course fits. */
static double useful_maximum(const struct lm_points *p)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < p->len; i++) {
        low = fmin(low, p->y[i]);
        if (i >= p->len / 4)
            high = fmax(high, p->y[i]);
    }
    return high + 0.5 * (high - low);
}

static void add_loss(struct lm_curve *c, struct lm_buf *ret)
{
    size_t run;
    const double y_max = useful_maximum(c->loss.len ? &c->loss : &c->heldout_loss);
    lm_points_thin(&c->loss, POINTS_MAX, &run);
    const struct lm_svg_series series[] = {
        { .css_class = "train", .x = c->loss.x, .y = c->loss.y, .len = c->loss.len },
        { .css_class = "heldout",
          .x = c->heldout_loss.x,
          .y = c->heldout_loss.y,
          .len = c->heldout_loss.len,
          .dots = c->heldout_loss.len <= DOTS_MAX },
    };
    const struct lm_svg_chart chart = { .title = "Loss over the steps, on training and on held-out text",
                                        .x_label = "step",
                                        .y_label = "loss, nats per token",
                                        .series = series,
                                        .series_count = 2,
                                        .y_max = y_max,
                                        .id = "loss" };
    lm_buf_puts(ret, "<h2>Loss</h2>\n<figure><ul class=\"legend\">");
    if (c->loss.len > 0) {
        LM_FREE char *text = run > 1 ? NULL : lm_strdup("training text");
        struct lm_buf mean = { 0 };
        lm_buf_printf(&mean, "training text, mean of %zu steps", run);
        lm_page_legend("train", text ? text : mean.ptr, ret);
        lm_buf_release(&mean);
    }
    if (c->heldout_loss.len > 0)
        lm_page_legend("heldout", "held-out text", ret);
    lm_buf_puts(ret, "</ul>");
    lm_page_chart(&chart, "", ret);
}

/* One line with a picture of its own; y_max 0: all of it is shown. */
static void add_course(struct lm_points *p, const char *heading, const char *y_label, const char *id,
                       double y_max, struct lm_buf *ret)
{
    size_t run;
    if (p->len < 2)
        return;
    lm_points_thin(p, POINTS_MAX, &run);
    const struct lm_svg_series series = { .css_class = "heldout", .x = p->x, .y = p->y, .len = p->len };
    const struct lm_svg_chart chart = { .title = heading,
                                        .x_label = "step",
                                        .y_label = y_label,
                                        .series = &series,
                                        .series_count = 1,
                                        .y_max = y_max,
                                        .id = id };
    struct lm_buf note = { 0 };
    if (run > 1)
        lm_buf_printf(&note, "Each point is the mean of %zu steps.", run);
    lm_html_addf(ret, "<h2>%s</h2>\n<figure>", heading);
    lm_page_chart(&chart, note.len ? note.ptr : "", ret);
    lm_buf_release(&note);
}

/* A loss of pairs and one of tokens are not to be compared: no picture has both. */
static void add_preferences(struct lm_curve *c, struct lm_buf *ret)
{
    add_course(&c->loss, "Loss on preferences", "loss, nats per pair", "loss", 0, ret);
    add_course(&c->accuracy, "Pairs whose chosen answer gained more", "share of the step's pairs", "accuracy",
               0, ret);
    add_course(&c->margin, "Margin", "chosen over rejected, nats times beta", "margin", 0, ret);
    add_course(&c->heldout_loss, "Loss on held-out answers", "loss, nats per token", "heldout",
               useful_maximum(&c->heldout_loss), ret);
}

static void add_page(struct lm_curve *c, const char *title, struct lm_buf *ret)
{
    lm_page_open("Training", "Training run", title, "", ret);
    add_facts(c, ret);
    if (c->loss.len == 0)
        lm_buf_puts(ret,
                    "<p class=\"soft\">The run was private: losses and gradients of training text are not "
                    "recorded; the norm is that of the gradient with its noise.</p>\n");
    if (c->margin.len > 0)
        add_preferences(c, ret);
    else if (c->loss.len + c->heldout_loss.len > 0)
        add_loss(c, ret);
    add_course(&c->lr, "Learning rate", "learning rate", "lr", 0, ret);
    add_course(&c->grad_norm, "Norm of the gradient", c->loss.len ? "before clipping" : "with its noise",
               "norm", 0, ret);
    lm_page_close(ret);
}

enum lm_rc lm_run_page(const char *dir, const char *title, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, "metrics.jsonl"), *page = lm_path_join(dir, "training.html");
    struct lm_buf jsonl = { 0 }, html = { 0 };
    struct lm_curve curve = { 0 };
    enum lm_rc rc = lm_file_read(path, METRICS_BYTES_MAX, &jsonl, err);
    if (rc == LM_OK)
        rc = lm_curve_parse(lm_buf_str(&jsonl), "metrics.jsonl", &curve, err);
    if (rc == LM_OK && curve.lr.len + curve.loss.len > 0) {
        add_page(&curve, title, &html);
        rc = lm_file_write(page, lm_buf_str(&html), err);
    }
    lm_curve_release(&curve);
    lm_buf_release(&jsonl);
    lm_buf_release(&html);
    return rc;
}
