/* review/tune_page.c - tune.html. */

#include "review/tune_page.h"

#include "base/file.h"
#include "base/json.h"
#include "review/curve.h"
#include "review/html.h"
#include "review/number.h"
#include "review/page.h"
#include "review/svg.h"
#include "train/tune_log.h"
#include "train/tune_space.h"

#include <math.h>
#include <stdlib.h>

enum {
    CURVES_MAX = 64,
    CURVE_POINTS_MAX = 80,
    CURVE_BYTES_MAX = 64 << 20,
    NAMES_MAX = LM_SPACE_CHOICES_MAX + 1
};

static const char style[] =
    ".chart .trial{stroke:var(--soft);stroke-width:1.5;opacity:.8}\n"
    ".chart .course{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3;opacity:.6}\n"
    ".chart circle.trial{fill:var(--soft);stroke:none}\n"
    ".chart circle.early{fill:var(--paper);stroke:var(--soft);stroke-width:1.5}\n"
    ".chart .best{stroke:var(--model);stroke-width:2.5}\n"
    ".chart .bestcourse{stroke:var(--model);stroke-width:1;stroke-dasharray:2 3}\n"
    ".chart circle.best{fill:var(--model);stroke:none}\n"
    ".legend .trial i{border-color:var(--soft)}\n.legend .best i{border-color:var(--model)}\n"
    ".legend .course i{border-color:var(--soft);border-top-style:dotted}\n"
    "tr.best td{font-weight:600}\n";

/* One trial, from its records. */
struct trial {
    bool seen, failed;
    uint64_t number, rung;   // the last rung it came to
    double *x, *y;           // step and held-out loss, one for each rung
    size_t len;
    struct lm_str why;
    const char **values;   // one for each parameter
    struct lm_curve curve;
};

struct page {
    const char *dir;
    struct lm_arena arena;
    struct lm_buf text;
    struct lm_trial_log log;
    const char *search;   // "pretrain"
    const char *names[LM_SPACE_PARAMS_MAX], *texts[LM_SPACE_PARAMS_MAX];
    size_t param_count;
    struct trial *trials;
    size_t count, failed;
    uint64_t rung_max;
    struct trial *best;   // lowest loss at the highest rung; NULL: none was measured
};

/* ---- reading ---- */

/* Name and text of each member of an object. */
static enum lm_rc read_members(struct lm_json_reader *r, struct page *p, const char **names,
                               const char **texts, size_t *ret_count, struct lm_err *err)
{
    enum lm_json_kind kind;
    *ret_count = 0;
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    for (;;) {
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        if (*ret_count == LM_SPACE_PARAMS_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: more than %d parameters", r->name, LM_SPACE_PARAMS_MAX);
        names[*ret_count] = lm_arena_strndup(&p->arena, r->text.ptr, r->text.len);
        LM_TRY(lm_json_next(r, &kind, err));
        if (kind == LM_JSON_TRUE || kind == LM_JSON_FALSE)
            texts[*ret_count] = kind == LM_JSON_TRUE ? "true" : "false";
        else if (kind == LM_JSON_STRING || kind == LM_JSON_NUMBER)
            texts[*ret_count] = lm_arena_strndup(&p->arena, r->text.ptr, r->text.len);
        else
            return lm_fail(err, LM_EFORMAT, "%s: \"%s\" is no plain value", r->name, names[*ret_count]);
        ++*ret_count;
    }
}

static enum lm_rc read_head(struct page *p, struct lm_err *err)
{
    struct lm_json_reader r;
    enum lm_json_kind kind;
    lm_json_open(&r, p->log.head, "trials.jsonl:1", &p->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        if (lm_str_eq(r.text, LM_STR("search"))) {
            LM_TRY(lm_json_want(&r, LM_JSON_STRING, err));
            p->search = lm_arena_strndup(&p->arena, r.text.ptr, r.text.len);
        } else if (lm_str_eq(r.text, LM_STR("space"))) {
            LM_TRY(read_members(&r, p, p->names, p->texts, &p->param_count, err));
        } else {
            LM_TRY(lm_json_skip(&r, err));
        }
    }
    return p->search ? LM_OK : lm_fail(err, LM_EFORMAT, "trials.jsonl:1: no \"search\"");
}

static enum lm_rc read_settings(struct page *p, const struct lm_trial_record *record, struct trial *t,
                                struct lm_err *err)
{
    struct lm_json_reader r;
    const char *names[LM_SPACE_PARAMS_MAX], *texts[LM_SPACE_PARAMS_MAX];
    size_t count;
    lm_json_open(&r, record->settings, "trials.jsonl: settings", &p->arena);
    LM_TRY(read_members(&r, p, names, texts, &count, err));
    t->values = lm_arena_alloc(&p->arena, (p->param_count + 1) * sizeof *t->values);
    for (size_t i = 0; i < p->param_count; i++) {
        size_t k = 0;
        while (k < count && strcmp(names[k], p->names[i]) != 0)
            k++;
        if (k == count)
            return lm_fail(err, LM_EFORMAT, "trials.jsonl: trial %llu does not say its %s",
                           (unsigned long long)record->trial, p->names[i]);
        t->values[i] = texts[k];
    }
    return LM_OK;
}

static double loss_of(const struct trial *t)
{
    return t->len > 0 && !t->failed ? t->y[t->len - 1] : NAN;
}

/* Best first: those that came farther, then those with less loss; failed ones last. */
static int by_rank(const void *a, const void *b)
{
    const struct trial *x = a, *y = b;
    if (x->failed != y->failed)
        return x->failed ? 1 : -1;
    if (!x->failed && x->rung != y->rung)
        return x->rung > y->rung ? -1 : 1;
    if (!x->failed && loss_of(x) != loss_of(y))
        return loss_of(x) < loss_of(y) ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static enum lm_rc take_record(struct page *p, const struct lm_trial_record *r, struct lm_err *err)
{
    struct trial *t = &p->trials[r->trial];
    if (!t->seen) {
        t->x = lm_arena_alloc(&p->arena, p->log.len * sizeof *t->x);
        t->y = lm_arena_alloc(&p->arena, p->log.len * sizeof *t->y);
        LM_TRY(read_settings(p, r, t, err));
    }
    t->seen = true;
    t->number = r->trial;
    t->rung = r->rung;
    t->failed = r->failed || !isfinite(r->heldout_loss);
    t->why = r->why;
    if (!t->failed) {
        t->x[t->len] = (double)r->step;
        t->y[t->len++] = r->heldout_loss;
    }
    p->rung_max = r->rung > p->rung_max ? r->rung : p->rung_max;
    return LM_OK;
}

static enum lm_rc read_curve(struct page *p, struct trial *t, struct lm_err *err)
{
    const char *path =
        lm_arena_printf(&p->arena, "%s/curves/%04llu.jsonl", p->dir, (unsigned long long)t->number);
    struct lm_buf jsonl = { 0 };
    size_t run;
    if (!lm_path_exists(path))
        return LM_OK;
    enum lm_rc rc = lm_file_read(path, CURVE_BYTES_MAX, &jsonl, err);
    if (rc == LM_OK)
        rc = lm_curve_parse(lm_buf_str(&jsonl), lm_path_base(path), &t->curve, err);
    if (rc == LM_OK)
        lm_points_thin(&t->curve.loss, CURVE_POINTS_MAX, &run);
    lm_buf_release(&jsonl);
    return rc;
}

static enum lm_rc read_all(struct page *p, struct lm_err *err)
{
    const char *path = lm_arena_printf(&p->arena, "%s/trials.jsonl", p->dir);
    LM_TRY(lm_file_read(path, LM_TRIAL_LOG_BYTES_MAX, &p->text, err));
    LM_TRY(lm_trial_log_parse(lm_buf_str(&p->text), "trials.jsonl", &p->arena, &p->log, err));
    LM_TRY(read_head(p, err));
    uint64_t last = 0;
    for (size_t i = 0; i < p->log.len; i++)
        last = p->log.records[i].trial > last ? p->log.records[i].trial : last;
    p->trials = lm_zalloc(last + 1, sizeof *p->trials);
    for (size_t i = 0; i < p->log.len; i++)
        LM_TRY(take_record(p, &p->log.records[i], err));
    for (uint64_t i = 0; i <= last; i++)
        if (p->trials[i].seen)
            p->trials[p->count++] = p->trials[i];
    qsort(p->trials, p->count, sizeof *p->trials, by_rank);
    for (size_t i = 0; i < p->count; i++)
        p->failed += p->trials[i].failed;
    p->best = p->failed < p->count ? &p->trials[0] : NULL;
    for (size_t i = 0; i < p->count && i < CURVES_MAX; i++)
        LM_TRY(read_curve(p, &p->trials[i], err));
    return LM_OK;
}

/* ---- pictures ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A few bad trials would flatten the rest: a good half of the picture is for the better half of the points.
 */
static double useful_maximum(const struct page *p, double *scratch)
{
    size_t len = 0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->trials[i].len; k++)
            scratch[len++] = p->trials[i].y[k];
    qsort(scratch, len, sizeof *scratch, by_value);
    return len ? scratch[len / 2] + 1.2 * (scratch[len / 2] - scratch[0]) : 0;
}

/* What stands at a point when it is pointed at. */
static const char *title_of(struct page *p, const struct trial *t, double loss)
{
    struct lm_buf text = { 0 };
    lm_buf_printf(&text, "trial %llu: %.4f", (unsigned long long)t->number, loss);
    for (size_t i = 0; i < p->param_count; i++)
        lm_buf_printf(&text, ", %s %s", p->names[i], t->values[i]);
    const char *copy = lm_arena_strndup(&p->arena, text.ptr, text.len);
    lm_buf_release(&text);
    return copy;
}

static void add_course(struct page *p, double y_max, struct lm_buf *ret)
{
    struct lm_svg_series *series = lm_arena_alloc(&p->arena, (2 * p->count + 1) * sizeof *series);
    size_t count = 0;
    for (size_t i = p->count; i-- > 0;) {   // the best is drawn last, above the others
        const struct trial *t = &p->trials[i];
        const bool best = t == p->best;
        if (t->curve.loss.len > 1)
            series[count++] = (struct lm_svg_series){ .css_class = best ? "bestcourse" : "course",
                                                      .x = t->curve.loss.x,
                                                      .y = t->curve.loss.y,
                                                      .len = t->curve.loss.len };
        const char **titles = lm_arena_alloc(&p->arena, (t->len + 1) * sizeof *titles);
        for (size_t k = 0; k < t->len; k++)
            titles[k] = title_of(p, t, t->y[k]);
        if (t->len > 0)
            series[count++] = (struct lm_svg_series){ .css_class = best ? "best" : "trial",
                                                      .x = t->x,
                                                      .y = t->y,
                                                      .len = t->len,
                                                      .dots = true,
                                                      .titles = titles };
    }
    const struct lm_svg_chart chart = { .title = "Held-out loss of every trial over its steps",
                                        .x_label = "step",
                                        .y_label = "held-out loss, nats per token",
                                        .series = series,
                                        .series_count = count,
                                        .y_max = y_max,
                                        .id = "course" };
    lm_buf_puts(ret, "<h2>Over the steps</h2>\n<figure><ul class=\"legend\">");
    lm_page_legend("best", "the best trial", ret);
    lm_page_legend("trial", "the others", ret);
    lm_page_legend("course", "loss on training text", ret);
    lm_buf_puts(ret, "</ul>");
    lm_page_chart(&chart, "", ret);
}

struct axis {
    double *x;
    const char *names[NAMES_MAX];
    size_t name_count;
    bool is_named, is_log;
};

/* Numbers by their size; words, where none is one, stay as they came. */
static int by_number(const void *a, const void *b)
{
    double x = 0, y = 0;
    (void)lm_str_to_f64(lm_str(*(const char *const *)a), &x);
    (void)lm_str_to_f64(lm_str(*(const char *const *)b), &y);
    return x < y ? -1 : x > y;
}

static size_t name_index(const struct axis *axis, const char *name)
{
    size_t k = 0;
    while (k < axis->name_count && strcmp(axis->names[k], name) != 0)
        k++;
    return k;
}

/* Places of the trials: numbers of a range as they are; of a list, like words, side by side. */
static void fill_axis(struct page *p, size_t param, struct axis *ret)
{
    bool words = false;
    ret->x = lm_arena_alloc(&p->arena, (p->count + 1) * sizeof *ret->x);
    for (size_t i = 0; i < p->count; i++)
        words |= !lm_str_to_f64(lm_str(p->trials[i].values[param]), &ret->x[i]);
    ret->is_named = words || !strstr(p->texts[param], "..");
    ret->is_log = !ret->is_named && lm_str_starts(lm_str(p->texts[param]), LM_STR("log:"));
    for (size_t i = 0; i < p->count; i++)
        ret->is_log &= ret->x[i] > 0;
    for (size_t i = 0; ret->is_named && i < p->count; i++)
        if (ret->name_count < NAMES_MAX && name_index(ret, p->trials[i].values[param]) == ret->name_count)
            ret->names[ret->name_count++] = p->trials[i].values[param];
    if (!words)
        qsort(ret->names, ret->name_count, sizeof *ret->names, by_number);
    for (size_t i = 0; ret->is_named && i < p->count; i++) {
        const size_t k = name_index(ret, p->trials[i].values[param]);
        ret->x[i] = (double)(k < ret->name_count ? k : ret->name_count - 1);
    }
}

/* The points of trials that came to the last rung, of those that did not, and of the best. */
enum { EARLY, LAST, BEST, GROUPS };

static void add_parameter(struct page *p, size_t param, double y_max, struct lm_buf *ret)
{
    static const char *const css_class[GROUPS] = { "early", "trial", "best" };
    struct axis axis = { 0 };
    struct lm_svg_series series[GROUPS];
    size_t count = 0;
    fill_axis(p, param, &axis);
    for (int group = 0; group < GROUPS; group++) {
        double *x = lm_arena_alloc(&p->arena, 2 * (p->count + 1) * sizeof *x), *y = x + p->count + 1;
        const char **titles = lm_arena_alloc(&p->arena, (p->count + 1) * sizeof *titles);
        size_t len = 0;
        for (size_t i = 0; i < p->count; i++) {
            const struct trial *t = &p->trials[i];
            const int of = t == p->best ? BEST : t->rung == p->rung_max ? LAST : EARLY;
            if (of != group || !isfinite(loss_of(t)))
                continue;
            x[len] = axis.x[i];
            y[len] = loss_of(t);
            titles[len++] = title_of(p, t, loss_of(t));
        }
        if (len > 0)
            series[count++] = (struct lm_svg_series){ .css_class = css_class[group],
                                                      .x = x,
                                                      .y = y,
                                                      .len = len,
                                                      .dots = true,
                                                      .bare = true,
                                                      .titles = titles };
    }
    const struct lm_svg_chart chart = {
        .title = lm_arena_printf(&p->arena, "Held-out loss of the trials against %s", p->names[param]),
        .x_label = p->names[param],
        .y_label = "held-out loss, nats per token",
        .series = series,
        .series_count = count,
        .y_max = y_max,
        .x_log = axis.is_log,
        .x_names = axis.is_named ? axis.names : NULL,
        .x_name_count = axis.name_count,
        .id = lm_arena_printf(&p->arena, "p%zu", param)
    };
    lm_html_addf(ret, "<h3>%s</h3>\n<figure>", p->names[param]);
    lm_page_chart(&chart, "", ret);
}

/* ---- text ---- */

static void add_verdict(const struct page *p, struct lm_buf *ret)
{
    if (!p->best) {
        lm_buf_puts(ret, "<p>No trial has been measured.</p>\n");
        return;
    }
    lm_buf_printf(ret, "<p>Trial %llu is the best so far: held-out loss ",
                  (unsigned long long)p->best->number);
    lm_number_add(ret, loss_of(p->best), 4);
    lm_buf_puts(ret, " with");
    for (size_t i = 0; i < p->param_count; i++)
        lm_html_addf(ret, "%s <strong>%s</strong> %s", i ? "," : "", p->names[i], p->best->values[i]);
    lm_buf_puts(ret, ".</p>\n");
}

static void add_table(const struct page *p, struct lm_buf *ret)
{
    LM_ASSERT(p->trials || p->count == 0);
    lm_buf_puts(ret, "<h2>All trials</h2>\n<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th "
                     "class=\"n\">Trial</th>");
    for (size_t i = 0; i < p->param_count; i++)
        lm_html_addf(ret, "<th class=\"n\">%s</th>", p->names[i]);
    lm_buf_puts(ret, "<th class=\"n\">Steps</th><th class=\"n\">Held-out loss</th></tr>"
                     "</thead><tbody>\n");
    for (size_t i = 0; i < p->count; i++) {
        const struct trial *t = &p->trials[i];
        lm_buf_printf(ret, "<tr%s><td class=\"n\">%llu</td>", t == p->best ? " class=\"best\"" : "",
                      (unsigned long long)t->number);
        for (size_t k = 0; k < p->param_count; k++)
            lm_html_addf(ret, "<td class=\"n\">%s</td>", t->values[k]);
        if (t->failed) {
            lm_buf_puts(ret, "<td colspan=\"2\" class=\"fail\">failed<small>");
            lm_html_add(ret, t->why);
            lm_buf_puts(ret, "</small></td></tr>\n");
            continue;
        }
        lm_buf_puts(ret, "<td class=\"n\">");
        lm_number_add_count(ret, (uint64_t)(t->len ? t->x[t->len - 1] : 0));
        lm_buf_puts(ret, "</td><td class=\"n\">");
        lm_number_add(ret, loss_of(t), 4);
        lm_buf_puts(ret, "</td></tr>\n");
    }
    lm_buf_puts(ret, "</tbody></table></div>\n");
}

static void add_page(struct page *p, struct lm_buf *ret)
{
    lm_page_open("Search", "Search for settings", p->search, style, ret);
    add_verdict(p, ret);
    lm_buf_puts(ret, "<dl class=\"facts\">\n");
    lm_page_fact_count("trials", p->count, ret);
    lm_page_fact_count("failed", p->failed, ret);
    lm_page_fact_count("measurements", p->log.len, ret);
    lm_buf_puts(ret, "</dl>\n");
    if (p->best) {
        const double y_max = useful_maximum(p, lm_arena_alloc(&p->arena, (p->log.len + 1) * sizeof(double)));
        add_course(p, y_max, ret);
        lm_buf_puts(
            ret, "<h2>Against each parameter</h2>\n<p class=\"soft\">Each point is a trial at the last rung "
                 "it came to; those that stopped early are hollow, the best is filled and blue, failed ones "
                 "are in the "
                 "table only. "
                 "Point at one to see its settings.</p>\n");
        for (size_t i = 0; i < p->param_count; i++)
            add_parameter(p, i, y_max, ret);
    }
    add_table(p, ret);
    lm_page_close(ret);
}

enum lm_rc lm_tune_page(const char *dir, struct lm_err *err)
{
    struct page p = { .dir = dir };
    struct lm_buf html = { 0 };
    LM_FREE char *path = lm_path_join(dir, "tune.html");
    enum lm_rc rc = read_all(&p, err);
    if (rc == LM_OK) {
        add_page(&p, &html);
        rc = lm_file_write(path, lm_buf_str(&html), err);
    }
    for (size_t i = 0; i < p.count; i++)
        lm_curve_release(&p.trials[i].curve);
    free(p.trials);
    lm_trial_log_release(&p.log);
    lm_buf_release(&p.text);
    lm_buf_release(&html);
    lm_arena_release(&p.arena);
    return rc;
}
