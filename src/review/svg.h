#ifndef LM_REVIEW_SVG_H
#define LM_REVIEW_SVG_H
/* review/svg.h - two small pictures for a page: a line chart and a bar.  Colours are left to the page's style
 * sheet, by class; so they follow its light and dark mode.  Coordinates are written with one decimal. */

#include "base/str.h"

struct lm_svg_series {
    const char *css_class;
    const double *x, *y;
    size_t len;
    bool dots;                   // mark the points
    bool bare;                   // and draw no line between them
    const char *const *titles;   // of the points, shown when pointed at; NULL: none
};

struct lm_svg_level {   // a horizontal line
    const char *css_class, *label;
    double y;
};

struct lm_svg_chart {
    const char *title;   // for those who cannot see it
    const char *x_label, *y_label;
    const struct lm_svg_series *series;
    size_t series_count;
    const struct lm_svg_level *levels;
    size_t level_count;
    double y_max;                 // what lies above is cut off; 0: nothing does
    bool x_log;                   // x are positive and lie by their logarithm
    const char *const *x_names;   // x are 0, 1, ... and have these names; NULL: they are numbers
    size_t x_name_count;
    const char *id;   // of the picture on its page, for pages with several; NULL: "plot"
};

/* Appends <svg class="chart">.  At least one point in all.  Whether something was cut off. */
bool lm_svg_chart(const struct lm_svg_chart *chart, struct lm_buf *ret);

/* Appends <svg class="bar">: 0..max with a bar to `value` and a whisker low..high (none when low > high). */
void lm_svg_bar(double value, double low, double high, double max, struct lm_buf *ret);

#endif
