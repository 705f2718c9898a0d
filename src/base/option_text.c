/* The second half of base/option.h: what a table says about itself, for machines and for people. */

#include "base/json.h"
#include "base/option.h"

/* ---- canonical JSON ---- */

static void value_to_json(const struct lm_opt *opt, const void *field, struct lm_buf *ret)
{
    const char *text;
    const struct lm_opt_list *list;
    switch (opt->type) {
    case LM_OPT_INT:
        lm_json_int(ret, *(const int64_t *)field);
        break;
    case LM_OPT_REAL:
        lm_json_num(ret, *(const double *)field);
        break;
    case LM_OPT_BOOL:
        lm_buf_puts(ret, *(const bool *)field ? "true" : "false");
        break;
    case LM_OPT_CHOICE:
        lm_json_str(ret, lm_str(opt->choices[*(const int *)field]));
        break;
    case LM_OPT_STRING:
        text = *(const char *const *)field;
        if (text)
            lm_json_str(ret, lm_str(text));
        else
            lm_buf_puts(ret, "null");
        break;
    case LM_OPT_LIST:
        list = field;
        lm_buf_putc(ret, '[');
        for (size_t i = 0; i < list->len; i++) {
            lm_json_sep(ret);
            lm_json_str(ret, lm_str(list->items[i]));
        }
        lm_buf_putc(ret, ']');
        break;
    }
}

void lm_opt_to_json(const struct lm_opt_table *table, const void *config, bool recipe, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < table->len; i++) {
        const struct lm_opt *opt = &table->rows[i];
        if (recipe && opt->neutral)
            continue;
        lm_json_key(ret, opt->name);
        value_to_json(opt, (const char *)config + opt->offset, ret);
    }
    lm_buf_putc(ret, '}');
}

/* ---- help ---- */

static void flag_text(const struct lm_opt *opt, struct lm_buf *ret)
{
    static const char *const value[] = {
        [LM_OPT_INT] = "=INT",     [LM_OPT_REAL] = "=NUM", [LM_OPT_BOOL] = "",
        [LM_OPT_STRING] = "=TEXT", [LM_OPT_CHOICE] = "=",  [LM_OPT_LIST] = "=TEXT,...",
    };
    lm_buf_printf(ret, "  --%s%s%s", opt->type == LM_OPT_BOOL ? "[no-]" : "", opt->name, value[opt->type]);
    for (size_t i = 0; opt->type == LM_OPT_CHOICE && opt->choices[i]; i++)
        lm_buf_printf(ret, "%s%s", i ? "|" : "", opt->choices[i]);
}

/* " (1..10 unit, default 5)", the parts there are. */
static void limits_text(const struct lm_opt *opt, struct lm_buf *ret)
{
    const char *sep = " (";
    if (opt->min != 0 || opt->max != 0) {
        char low[LM_F64_TEXT], high[LM_F64_TEXT];
        lm_f64_text(opt->min, low);
        lm_f64_text(opt->max, high);
        lm_buf_printf(ret, "%s%s..%s", sep, low, high);
        sep = ", ";
    }
    if (opt->unit && opt->unit[0]) {
        lm_buf_printf(ret, "%s%s", sep[0] == ',' ? " " : sep, opt->unit);
        sep = ", ";
    }
    if (opt->fallback) {
        lm_buf_printf(ret, "%sdefault %s", sep, opt->fallback[0] ? opt->fallback : "''");
        sep = ", ";
    }
    if (opt->required) {
        lm_buf_printf(ret, "%srequired", sep);
        sep = ", ";
    }
    if (sep[0] == ',')
        lm_buf_putc(ret, ')');
}

void lm_opt_help(const struct lm_opt_table *table, struct lm_buf *ret)
{
    enum { WIDTH_MAX = 36 };

    struct lm_buf flag = { 0 };
    size_t width = 0;
    for (size_t i = 0; i < table->len; i++) {
        lm_buf_reset(&flag);
        flag_text(&table->rows[i], &flag);
        if (flag.len > width && flag.len <= WIDTH_MAX)   // the few longer ones stick out
            width = flag.len;
    }
    for (size_t i = 0; i < table->len; i++) {
        const struct lm_opt *opt = &table->rows[i];
        lm_buf_reset(&flag);
        flag_text(opt, &flag);
        lm_buf_printf(ret, "%-*s  %s", (int)width, flag.ptr, opt->help);
        limits_text(opt, ret);
        lm_buf_putc(ret, '\n');
    }
    lm_buf_release(&flag);
}
