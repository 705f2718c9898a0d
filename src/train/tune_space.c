#include "train/tune_space.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/rng.h"

#include <math.h>

/* ---- what may be searched ---- */

/* Rows whose names begin so are refused, with the reason. */
static const struct {
    const char *start, *why;
} refused[] = {
    { "dp-", "noise is not searched: every trial would spend privacy" },
    { "eval-", "it changes what is measured, not the model" },
    { "snapshot-", "it changes what is kept, not the model" },
    { "sample-", "it changes what is shown, not the model" },
};

static enum lm_rc check_row(const struct lm_space *space, const struct lm_opt *opt, struct lm_str name,
                            const char *where, struct lm_err *err)
{
    if (!opt) {
        const char *nearest = lm_opt_nearest(space->table, name);
        return lm_fail(err, LM_EINVAL, "%s: %s has no option '%.*s'%s%s%s", where, space->table->name,
                       (int)(name.len < 100 ? name.len : 100), name.ptr, nearest ? "; did you mean '" : "",
                       nearest ? nearest : "", nearest ? "'?" : "");
    }
    if (opt->type == LM_OPT_STRING || opt->type == LM_OPT_LIST)
        return lm_fail(err, LM_EINVAL, "%s: %s is text; numbers, choices and true/false can be searched",
                       where, opt->name);
    if (opt->neutral)
        return lm_fail(err, LM_EINVAL, "%s: %s does not change the model; there is nothing to search", where,
                       opt->name);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (lm_str_starts(name, lm_str(refused[i].start)))
            return lm_fail(err, LM_EINVAL, "%s: %s: %s", where, opt->name, refused[i].why);
    for (size_t i = 0; i < space->count; i++)
        if (space->params[i].opt == opt)
            return lm_fail(err, LM_EINVAL, "%s: %s is there twice; give all its values in one place", where,
                           opt->name);
    if (space->count == LM_SPACE_PARAMS_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: more than %d parameters", where, LM_SPACE_PARAMS_MAX);
    return LM_OK;
}

/* ---- values as text ---- */

/* The one spelling of what the row says in this config. */
static const char *field_text(const struct lm_opt *opt, const void *config, struct lm_arena *arena)
{
    const void *field = (const char *)config + opt->offset;
    char number[LM_F64_TEXT];
    switch (opt->type) {
    case LM_OPT_INT:
        return lm_arena_printf(arena, "%lld", (long long)*(const int64_t *)field);
    case LM_OPT_REAL:
        lm_f64_text(*(const double *)field, number);
        return lm_arena_strdup(arena, number);
    case LM_OPT_BOOL:
        return *(const bool *)field ? "true" : "false";
    case LM_OPT_CHOICE:
        return opt->choices[*(const int *)field];
    default:
        LM_ASSERT(!"a row that can be searched");
        return "";
    }
}

static enum lm_rc canonical(const struct lm_space *space, const struct lm_opt *opt, struct lm_str text,
                            const char *where, const char **ret, struct lm_arena *arena, struct lm_err *err)
{
    void *scratch = lm_arena_alloc(arena, space->table->config_bytes);
    LM_TRY(lm_opt_set(opt, scratch, text, where, arena, err));
    *ret = field_text(opt, scratch, arena);
    return LM_OK;
}

static double round_to(double value, int digits)
{
    if (value == 0)
        return 0;
    const double power = pow(10, digits - 1 - (int)floor(log10(fabs(value))));
    return isfinite(power) ? round(value * power) / power : value;
}

static const char *number_text(const struct lm_space_param *p, double value, struct lm_arena *arena)
{
    char text[LM_F64_TEXT];
    value = fmin(fmax(value, p->low), p->high);
    if (p->opt->type == LM_OPT_INT)
        return lm_arena_printf(arena, "%lld", (long long)llround(value));
    lm_f64_text(value, text);
    return lm_arena_strdup(arena, text);
}

/* ---- reading ---- */

static enum lm_rc add_choices(struct lm_space *space, struct lm_space_param *p, struct lm_str values,
                              const char *where, struct lm_arena *arena, struct lm_err *err)
{
    struct lm_str word;
    while (lm_str_split(&values, ',', &word)) {
        const char *text;
        word = lm_str_trim(word);
        if (word.len == 0)
            return lm_fail(err, LM_EINVAL, "%s: %s: there is an empty value", where, p->opt->name);
        LM_TRY(canonical(space, p->opt, word, where, &text, arena, err));
        for (size_t i = 0; i < p->choice_count; i++)
            if (strcmp(p->choices[i], text) == 0)
                return lm_fail(err, LM_EINVAL, "%s: %s: the value %s is there twice", where, p->opt->name,
                               text);
        if (p->choice_count == LM_SPACE_CHOICES_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: %s: more than %d values", where, p->opt->name,
                           LM_SPACE_CHOICES_MAX);
        p->choices[p->choice_count++] = text;
    }
    return LM_OK;
}

static enum lm_rc read_end(const struct lm_space *space, const struct lm_space_param *p, struct lm_str text,
                           const char *where, double *ret, struct lm_arena *arena, struct lm_err *err)
{
    const char *value;
    LM_TRY(canonical(space, p->opt, lm_str_trim(text), where, &value, arena, err));
    const bool is_number = lm_str_to_f64(lm_str(value), ret);
    LM_ASSERT(is_number);
    return LM_OK;
}

/* LOW..HIGH or LOW..HIGH/STEP */
static enum lm_rc add_range(const struct lm_space *space, struct lm_space_param *p, struct lm_str values,
                            ptrdiff_t dots, const char *where, struct lm_arena *arena, struct lm_err *err)
{
    const char *name = p->opt->name;
    if (p->opt->type != LM_OPT_INT && p->opt->type != LM_OPT_REAL)
        return lm_fail(err, LM_EINVAL, "%s: %s has no range; list its values with commas", where, name);
    const struct lm_str low = { values.ptr, (size_t)dots };
    struct lm_str rest = { values.ptr + dots + 2, values.len - (size_t)dots - 2 }, high;
    lm_str_split(&rest, '/', &high);
    LM_TRY(read_end(space, p, low, where, &p->low, arena, err));
    LM_TRY(read_end(space, p, high, where, &p->high, arena, err));
    if (rest.ptr && rest.len > 0 && (!lm_str_to_f64(lm_str_trim(rest), &p->step) || !(p->step > 0)))
        return lm_fail(err, LM_EINVAL, "%s: %s: the step '%.*s' is no positive number", where, name,
                       (int)(rest.len < 60 ? rest.len : 60), rest.ptr);
    if (p->opt->type == LM_OPT_INT && p->step == 0)
        p->step = 1;
    if (p->opt->type == LM_OPT_INT && p->step != floor(p->step))
        return lm_fail(err, LM_EINVAL, "%s: %s: the step of a whole number must be one", where, name);
    if (p->low >= p->high)
        return lm_fail(err, LM_EINVAL, "%s: %s: the range %s is empty; the lower end comes first", where,
                       name, p->text);
    if (p->step > p->high - p->low)
        return lm_fail(err, LM_EINVAL, "%s: %s: the step is longer than the range %s", where, name, p->text);
    if (p->kind == LM_SPACE_LOG && p->low <= 0)
        return lm_fail(err, LM_EINVAL, "%s: %s: a logarithmic range begins above 0", where, name);
    return LM_OK;
}

enum lm_rc lm_space_add(struct lm_space *space, struct lm_str name, struct lm_str values, const char *where,
                        struct lm_arena *arena, struct lm_err *err)
{
    const struct lm_opt *opt = lm_opt_find(space->table, name);
    LM_TRY(check_row(space, opt, name, where, err));
    struct lm_space_param p = { .opt = opt };
    values = lm_str_trim(values);
    if (values.len == 0 || memchr(values.ptr, '\0', values.len))
        return lm_fail(err, LM_EINVAL, "%s: %s has no values; write %s=LOW..HIGH, log:LOW..HIGH or A,B,C",
                       where, opt->name, opt->name);
    p.text = lm_arena_strndup(arena, values.ptr, values.len);
    const bool is_log = lm_str_starts(values, LM_STR("log:"));
    if (is_log)
        values = (struct lm_str){ values.ptr + 4, values.len - 4 };
    const ptrdiff_t dots = lm_str_find(values, LM_STR(".."));
    if (is_log && dots < 0)
        return lm_fail(err, LM_EINVAL, "%s: %s: 'log:' takes a range, LOW..HIGH", where, opt->name);
    p.kind = dots < 0 ? LM_SPACE_CHOICE : is_log ? LM_SPACE_LOG : LM_SPACE_LINEAR;
    LM_TRY(dots < 0 ? add_choices(space, &p, values, where, arena, err)
                    : add_range(space, &p, values, dots, where, arena, err));
    space->params[space->count++] = p;
    return LM_OK;
}

enum lm_rc lm_space_from_words(struct lm_space *space, const struct lm_opt_list *words, const char *where,
                               struct lm_arena *arena, struct lm_err *err)
{
    for (size_t i = 0; i < words->len;) {
        const char *equals = strchr(words->items[i], '=');
        if (!equals || equals == words->items[i])
            return lm_fail(err, LM_EINVAL, "%s: '%.100s' is not NAME=VALUES, like lr=log:1e-4..1e-2", where,
                           words->items[i]);
        const struct lm_str name = { words->items[i], (size_t)(equals - words->items[i]) };
        struct lm_buf values = { 0 };
        lm_buf_puts(&values, equals + 1);
        for (i++; i < words->len && !strchr(words->items[i], '='); i++)
            lm_buf_printf(&values, ",%s", words->items[i]);
        const enum lm_rc rc = lm_space_add(space, name, lm_buf_str(&values), where, arena, err);
        lm_buf_release(&values);
        LM_TRY(rc);
    }
    return LM_OK;
}

enum lm_rc lm_space_from_yaml(struct lm_space *space, const struct lm_yaml *map, const char *file,
                              struct lm_arena *arena, struct lm_err *err)
{
    if (lm_yaml_is_null(map))
        return LM_OK;
    if (map->kind != LM_YAML_MAP)
        return lm_fail(err, LM_EINVAL, "%s:%zu: a space is a mapping of options to values", file, map->line);
    for (const struct lm_yaml *node = map->child; node; node = node->next) {
        const char *where = lm_arena_printf(arena, "%s:%zu", file, node->line);
        struct lm_buf values = { 0 };
        for (const struct lm_yaml *v = node->kind == LM_YAML_LIST ? node->child : node; v;
             v = node->kind == LM_YAML_LIST ? v->next : NULL) {
            if (v->kind != LM_YAML_SCALAR) {
                lm_buf_release(&values);
                return lm_fail(err, LM_EINVAL, "%s: %.*s must be a range or a list of values", where,
                               (int)(node->key.len < 100 ? node->key.len : 100), node->key.ptr);
            }
            if (values.len > 0)
                lm_buf_putc(&values, ',');
            lm_buf_add_str(&values, v->value);
        }
        const enum lm_rc rc = lm_space_add(space, node->key, lm_buf_str(&values), where, arena, err);
        lm_buf_release(&values);
        LM_TRY(rc);
    }
    return LM_OK;
}

/* ---- drawing ---- */

static uint64_t param_size(const struct lm_space_param *p)
{
    if (p->kind == LM_SPACE_CHOICE)
        return p->choice_count;
    if (p->step == 0)
        return UINT64_MAX;
    const double count = floor((p->high - p->low) / p->step + 1e-9) + 1;
    return count < 9e15 ? (uint64_t)count : UINT64_MAX;
}

uint64_t lm_space_size(const struct lm_space *space)
{
    uint64_t size = 1;
    for (size_t i = 0; i < space->count; i++)
        if (__builtin_mul_overflow(size, param_size(&space->params[i]), &size))
            return UINT64_MAX;
    return size;
}

static const char *value_at(const struct lm_space_param *p, uint64_t index, struct lm_arena *arena)
{
    if (p->kind == LM_SPACE_CHOICE)
        return p->choices[index];
    return number_text(p, round_to(p->low + (double)index * p->step, 12), arena);
}

struct lm_setting lm_space_at(const struct lm_space *space, uint64_t index, struct lm_arena *arena)
{
    LM_ASSERT(index < lm_space_size(space));

    struct lm_setting s = { 0 };
    for (size_t i = space->count; i-- > 0;) {   // the last parameter changes fastest
        const uint64_t size = param_size(&space->params[i]);
        s.values[i] = value_at(&space->params[i], index % size, arena);
        index /= size;
    }
    return s;
}

static const char *draw_value(const struct lm_space_param *p, struct lm_rng *rng, struct lm_arena *arena)
{
    const uint64_t size = param_size(p);
    if (p->kind != LM_SPACE_LOG && size != UINT64_MAX)
        return value_at(p, lm_rng_below(rng, size), arena);
    const double u = lm_rng_unit(rng);
    const double value =
        p->kind == LM_SPACE_LOG ? p->low * pow(p->high / p->low, u) : p->low + u * (p->high - p->low);
    if (p->step > 0) {
        const uint64_t at = (uint64_t)llround((value - p->low) / p->step);
        return value_at(p, at < size ? at : size - 1, arena);
    }
    return number_text(p, round_to(value, 4), arena);
}

struct lm_setting lm_space_draw(const struct lm_space *space, uint64_t seed, uint64_t draw,
                                struct lm_arena *arena)
{
    struct lm_setting s = { 0 };
    for (size_t i = 0; i < space->count; i++) {
        const char *name = space->params[i].opt->name;
        struct lm_rng rng = lm_rng_make(seed, lm_hash64(name, strlen(name)));   // a stream of its own
        rng.counter = draw << 16;   // unbiased draws may take several numbers
        s.values[i] = draw_value(&space->params[i], &rng, arena);
    }
    return s;
}

/* ---- settings ---- */

struct lm_setting lm_space_current(const struct lm_space *space, const void *config, struct lm_arena *arena)
{
    struct lm_setting s = { 0 };
    for (size_t i = 0; i < space->count; i++)
        s.values[i] = field_text(space->params[i].opt, config, arena);
    return s;
}

bool lm_setting_same(const struct lm_space *space, const struct lm_setting *a, const struct lm_setting *b)
{
    for (size_t i = 0; i < space->count; i++)
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    return true;
}

enum lm_rc lm_setting_apply(const struct lm_space *space, const struct lm_setting *s, void *config,
                            struct lm_arena *arena, struct lm_err *err)
{
    for (size_t i = 0; i < space->count; i++)
        LM_TRY(lm_opt_set(space->params[i].opt, config, lm_str(s->values[i]), "tune", arena, err));
    return LM_OK;
}

void lm_setting_to_json(const struct lm_space *space, const struct lm_setting *s, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < space->count; i++) {
        lm_json_key(ret, space->params[i].opt->name);
        if (space->params[i].opt->type == LM_OPT_CHOICE)
            lm_json_str(ret, lm_str(s->values[i]));
        else
            lm_buf_puts(ret, s->values[i]);
    }
    lm_buf_putc(ret, '}');
}

void lm_setting_text(const struct lm_space *space, const struct lm_setting *s, struct lm_buf *ret)
{
    for (size_t i = 0; i < space->count; i++)
        lm_buf_printf(ret, "%s%s %s", i ? ", " : "", space->params[i].opt->name, s->values[i]);
}
