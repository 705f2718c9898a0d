/* review/svg.c - a line chart and a bar. */

#include "review/svg.h"

#include "base/err.h"
#include "review/html.h"
#include "review/number.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH = 720, HEIGHT = 300, LEFT = 52, RIGHT = 12, TOP = 26, BOTTOM = 44, TICKS_MAX = 6 };

/* ---- scales ---- */

struct scale {
    double low, high;   // of the data, rounded outwards to ticks
    double step;        // between ticks: 1, 2 or 5 times a power of ten
    double from, to;    // on the picture
    bool log;           // low and high are logarithms
};

static struct scale scale_of(double low, double high, double from, double to)
{
    if (!(high > low))
        high = low + (low != 0 ? fabs(low) : 1);
    const double rough = (high - low) / TICKS_MAX, power = pow(10, floor(log10(rough)));
    const double times = rough / power;
    const double step = power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
    return (struct scale){
        floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, step, from, to, false
    };
}

/* The data fill the width; only ticks are round. */
static struct scale log_scale_of(double low, double high, double from, double to)
{
    const double room = high > low ? 0.03 * (log10(high) - log10(low)) : 0.5;
    return (struct scale){ log10(low) - room, log10(high) + room, 1, from, to, true };
}

/* Half a place of room on both sides. */
static struct scale name_scale_of(size_t count, double from, double to)
{
    return (struct scale){ -0.5, (double)count - 0.5, 1, from, to, false };
}

static double place(const struct scale *s, double value)
{
    const double at = s->log ? log10(value) : value;
    return s->from + (at - s->low) / (s->high - s->low) * (s->to - s->from);
}

static int decimals_of(double step)
{
    const int d = (int)-floor(log10(step) + 1e-9);
    return d < 0 ? 0 : d > 6 ? 6 : d;
}

static void add_tick(struct lm_buf *ret, double value, double step)
{
    if (step >= 1 && value >= 0)
        lm_number_add_count(ret, (uint64_t)llround(value));
    else
        lm_number_add(ret, value, decimals_of(step));
}

/* ---- pieces ---- */

static void add_attr(struct lm_buf *ret, const char *name, double value)
{
    lm_buf_printf(ret, " %s=\"", name);
    lm_number_add(ret, value, 1);
    lm_buf_putc(ret, '"');
}

static void add_line(struct lm_buf *ret, const char *css_class, double x1, double y1, double x2, double y2)
{
    lm_html_addf(ret, "<line class=\"%s\"", css_class);
    add_attr(ret, "x1", x1);
    add_attr(ret, "y1", y1);
    add_attr(ret, "x2", x2);
    add_attr(ret, "y2", y2);
    lm_buf_puts(ret, "/>");
}

static void open_text(struct lm_buf *ret, const char *anchor, double x, double y)
{
    lm_html_addf(ret, "<text text-anchor=\"%s\"", anchor);
    add_attr(ret, "x", x);
    add_attr(ret, "y", y);
    lm_buf_putc(ret, '>');
}

/* A mark below the axis; the caller adds its text and closes it. */
static void open_tick(struct lm_buf *ret, double at)
{
    add_line(ret, "axis", at, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 4);
    open_text(ret, at > WIDTH - 40 ? "end" : "middle", at > WIDTH - 40 ? WIDTH - RIGHT : at,
              HEIGHT - BOTTOM + 18);
}

static void add_ticks(const struct scale *x, struct lm_buf *ret)
{
    for (int i = 0; x->low + i * x->step <= x->high + x->step / 2; i++) {
        open_tick(ret, place(x, x->low + i * x->step));
        add_tick(ret, x->low + i * x->step, x->step);
        lm_buf_puts(ret, "</text>");
    }
}

/* Powers of ten; in a short range two and five times them, too. */
static void add_log_ticks(const struct scale *x, struct lm_buf *ret)
{
    static const double times[] = { 1, 2, 5 };
    const size_t per_decade = x->high - x->low < 3 ? 3 : 1;
    for (int decade = (int)floor(x->low); decade <= x->high; decade++)
        for (size_t i = 0; i < per_decade; i++) {
            const double value = times[i] * pow(10, decade);
            char text[LM_F64_TEXT];
            if (log10(value) < x->low || log10(value) > x->high)
                continue;
            open_tick(ret, place(x, value));
            snprintf(text, sizeof text, "%g", value);
            lm_html_addf(ret, "%s</text>", text);
        }
}

static void add_name_ticks(const struct lm_svg_chart *chart, const struct scale *x, struct lm_buf *ret)
{
    for (size_t i = 0; i < chart->x_name_count; i++) {
        open_tick(ret, place(x, (double)i));
        lm_html_addf(ret, "%s</text>", chart->x_names[i]);
    }
}

static void add_axes(const struct lm_svg_chart *chart, const struct scale *x, const struct scale *y,
                     struct lm_buf *ret)
{
    for (int i = 0; y->low + i * y->step <= y->high + y->step / 2; i++) {
        const double value = y->low + i * y->step, at = place(y, value);
        add_line(ret, "grid", LEFT, at, WIDTH - RIGHT, at);
        open_text(ret, "end", LEFT - 8, at + 4);
        add_tick(ret, value, y->step);
        lm_buf_puts(ret, "</text>");
    }
    if (chart->x_names)
        add_name_ticks(chart, x, ret);
    else if (chart->x_log)
        add_log_ticks(x, ret);
    else
        add_ticks(x, ret);
    add_line(ret, "axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
    open_text(ret, "start", 0, 12);
    lm_html_addf(ret, "%s</text>", chart->y_label);
    open_text(ret, "end", WIDTH - RIGHT, HEIGHT - 6);
    lm_html_addf(ret, "%s</text>", chart->x_label);
}

static void add_series(const struct lm_svg_series *s, const struct scale *x, const struct scale *y,
                       struct lm_buf *ret)
{
    if (!s->bare)
        lm_html_addf(ret, "<polyline class=\"%s\" points=\"", s->css_class);
    for (size_t i = 0; !s->bare && i < s->len; i++) {
        lm_buf_puts(ret, i ? " " : "");
        lm_number_add(ret, place(x, s->x[i]), 1);
        lm_buf_putc(ret, ',');
        lm_number_add(ret, place(y, s->y[i]), 1);
    }
    if (!s->bare)
        lm_buf_puts(ret, "\"/>");
    for (size_t i = 0; s->dots && i < s->len; i++) {
        if (s->y[i] > y->high)
            continue;
        lm_html_addf(ret, "<circle class=\"%s\" r=\"%s\"", s->css_class, s->bare ? "4" : "2.5");
        add_attr(ret, "cx", place(x, s->x[i]));
        add_attr(ret, "cy", place(y, s->y[i]));
        if (s->titles)
            lm_html_addf(ret, "><title>%s</title></circle>", s->titles[i]);
        else
            lm_buf_puts(ret, "/>");
    }
}

/* ---- chart ---- */

static void extend(double value, double *low, double *high)
{
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

bool lm_svg_chart(const struct lm_svg_chart *chart, struct lm_buf *ret)
{
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (size_t k = 0; k < chart->series_count; k++)
        for (size_t i = 0; i < chart->series[k].len; i++) {
            extend(chart->series[k].x[i], &x_low, &x_high);
            extend(chart->series[k].y[i], &y_low, &y_high);
        }
    LM_ASSERT(x_low <= x_high);
    for (size_t k = 0; k < chart->level_count; k++)
        extend(chart->levels[k].y, &y_low, &y_high);
    const double y_most = y_high;
    if (chart->y_max > y_low && chart->y_max < y_high)
        y_high = chart->y_max;
    LM_ASSERT(!chart->x_log || x_low > 0);
    struct scale x = chart->x_names ? name_scale_of(chart->x_name_count, LEFT, WIDTH - RIGHT)
                     : chart->x_log ? log_scale_of(x_low, x_high, LEFT, WIDTH - RIGHT)
                                    : scale_of(x_low, x_high, LEFT, WIDTH - RIGHT);
    const struct scale y = scale_of(y_low, y_high, HEIGHT - BOTTOM, TOP);
    if (!chart->x_names && !chart->x_log && x_high > x_low)   // the data fill the width; only ticks are round
        x.high = x_high;

    lm_buf_printf(ret, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\"", WIDTH, HEIGHT);
    lm_html_addf(ret, " aria-label=\"%s\">", chart->title);
    const char *id = chart->id ? chart->id : "plot";
    lm_html_addf(ret, "<clipPath id=\"%s\">", id);
    lm_buf_printf(ret, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>", LEFT, TOP - 4,
                  WIDTH - LEFT - RIGHT + 4, HEIGHT - TOP - BOTTOM + 8);
    add_axes(chart, &x, &y, ret);
    lm_html_addf(ret, "<g clip-path=\"url(#%s)\">", id);
    for (size_t k = 0; k < chart->level_count; k++)
        add_line(ret, chart->levels[k].css_class, LEFT, place(&y, chart->levels[k].y), WIDTH - RIGHT,
                 place(&y, chart->levels[k].y));
    for (size_t k = 0; k < chart->series_count; k++)
        add_series(&chart->series[k], &x, &y, ret);
    lm_buf_puts(ret, "</g></svg>\n");
    return y_most > y.high;
}

/* ---- bar ---- */

enum { BAR_WIDTH = 160, BAR_HEIGHT = 14 };

static double on_bar(double value, double max)
{
    return value <= 0 || !(max > 0) ? 0 : value >= max ? BAR_WIDTH : value / max * BAR_WIDTH;
}

void lm_svg_bar(double value, double low, double high, double max, struct lm_buf *ret)
{
    lm_buf_printf(ret,
                  "<svg class=\"bar\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">"
                  "<rect class=\"track\" x=\"0\" y=\"3\" width=\"%d\" height=\"8\" rx=\"2\"/>"
                  "<rect class=\"fill\" x=\"0\" y=\"3\" height=\"8\" rx=\"2\"",
                  BAR_WIDTH, BAR_HEIGHT, BAR_WIDTH);
    add_attr(ret, "width", on_bar(value, max));
    lm_buf_puts(ret, "/>");
    if (low <= high) {
        const double from = on_bar(low, max), to = on_bar(high, max);
        add_line(ret, "whisker", from, BAR_HEIGHT / 2.0, to, BAR_HEIGHT / 2.0);
        add_line(ret, "whisker", from, 3.5, from, BAR_HEIGHT - 3.5);
        add_line(ret, "whisker", to, 3.5, to, BAR_HEIGHT - 3.5);
    }
    lm_buf_puts(ret, "</svg>");
}
