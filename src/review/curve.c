/* review/curve.c - reading metrics.jsonl. */

#include "review/curve.h"

#include "base/json.h"

#include <stdlib.h>

static void add_point(struct lm_points *p, double x, double y)
{
    lm_grow(&p->x, &p->x_cap, p->len + 1, sizeof(*p->x));
    lm_grow(&p->y, &p->y_cap, p->len + 1, sizeof(*p->y));
    p->x[p->len] = x;
    p->y[p->len++] = y;
}

/* Which key is a point of which line. */
static const struct {
    const char *key;
    size_t offset;
} lines[] = {
    { "loss", offsetof(struct lm_curve, loss) },
    { "heldout_bits_per_byte", offsetof(struct lm_curve, heldout) },
    { "heldout_loss", offsetof(struct lm_curve, heldout_loss) },
    { "lr", offsetof(struct lm_curve, lr) },
    { "grad_norm", offsetof(struct lm_curve, grad_norm) },
    { "noisy_grad_norm", offsetof(struct lm_curve, grad_norm) },
    { "margin", offsetof(struct lm_curve, margin) },
    { "accuracy", offsetof(struct lm_curve, accuracy) },
};
enum { LINE_COUNT = sizeof(lines) / sizeof(lines[0]), STEP = LINE_COUNT, FIELD_COUNT };

struct fields {
    double value[FIELD_COUNT];
    bool has[FIELD_COUNT];
};

static size_t field_of(struct lm_str key)
{
    for (size_t k = 0; k < LINE_COUNT; k++)
        if (lm_str_eq(key, lm_str(lines[k].key)))
            return k;
    return lm_str_eq(key, LM_STR("step")) ? (size_t)STEP : (size_t)FIELD_COUNT;
}

static enum lm_rc parse_line(struct lm_str line, const char *name, struct lm_arena *arena, struct fields *ret,
                             struct lm_err *err)
{
    struct lm_json_reader r;
    lm_json_open(&r, line, name, arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return lm_json_want(&r, LM_JSON_END, err);
        const size_t k = field_of(r.text);
        if (k == FIELD_COUNT) {
            LM_TRY(lm_json_skip(&r, err));
            continue;
        }
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_NUMBER)
            ret->has[k] = lm_str_to_f64(r.text, &ret->value[k]);
        else if (kind != LM_JSON_NULL)
            return lm_fail(err, LM_EFORMAT, "%s: \"%s\" is not a number", name,
                           k == STEP ? "step" : lines[k].key);
    }
}

enum lm_rc lm_curve_parse(struct lm_str jsonl, const char *name, struct lm_curve *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_str line;
    enum lm_rc rc = LM_OK;
    for (size_t number = 1; rc == LM_OK && lm_str_split(&jsonl, '\n', &line); number++) {
        if (line.len == 0)
            continue;
        lm_arena_reset(&arena);
        struct fields f = { 0 };
        rc = parse_line(line, lm_arena_printf(&arena, "%s:%zu", name, number), &arena, &f, err);
        for (size_t k = 0; rc == LM_OK && f.has[STEP] && k < LINE_COUNT; k++)
            if (f.has[k])
                add_point((struct lm_points *)((char *)ret + lines[k].offset), f.value[STEP], f.value[k]);
    }
    lm_arena_release(&arena);
    return rc;
}

void lm_points_thin(struct lm_points *points, size_t points_max, size_t *ret_run)
{
    LM_ASSERT(points_max > 0);
    const size_t run = points->len <= points_max ? 1 : (points->len + points_max - 1) / points_max;
    size_t kept = 0;
    for (size_t start = 0; start < points->len; start += run) {
        const size_t end = points->len - start < run ? points->len : start + run;
        double x = 0, y = 0;
        for (size_t i = start; i < end; i++) {
            x += points->x[i];
            y += points->y[i];
        }
        points->x[kept] = x / (double)(end - start);
        points->y[kept++] = y / (double)(end - start);
    }
    points->len = kept;
    *ret_run = run;
}

void lm_curve_release(struct lm_curve *curve)
{
    struct lm_points *const all[] = { &curve->loss,      &curve->heldout, &curve->heldout_loss, &curve->lr,
                                      &curve->grad_norm, &curve->margin,  &curve->accuracy };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]->x);
        free(all[i]->y);
    }
    *curve = (struct lm_curve){ 0 };
}
