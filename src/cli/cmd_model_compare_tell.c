/* cli/cmd_model_compare_tell.c - a comparison as a JSON object, and as a table that ends with who is best at
 * what. */

#include "cli/cmd_model_compare.h"

#include "base/json.h"
#include "base/sys.h"

#include <math.h>

#define AT(field) offsetof(struct lm_candidate, field)

static double number(const struct lm_candidate *x, size_t offset)
{
    return *(const double *)((const char *)x + offset);
}

/* ---- who is best at what ---- */

/* What can be ranked, each for itself: nothing here is weighed against anything else. */
static const struct criterion {
    const char *name, *words;
    size_t at;
    bool most;   // else the least is best
} criteria[] = {
    { "bits_per_byte", "fewest bits per byte", AT(bits_per_byte), false },
    { "decode_tokens_per_second", "fastest decoding", AT(decode), true },
    { "prompt_tokens_per_second", "fastest prompts", AT(prompt), true },
    { "load_seconds", "fastest loading", AT(load), false },
    { "weight_bytes", "smallest weights", AT(weight_bytes), false },
    { "kv_bytes_per_token", "smallest cache", AT(kv_bytes_per_token), false },
    { "context", "longest context", AT(context), true },
};
enum { CRITERIA = sizeof criteria / sizeof criteria[0] };

/* A text that was changed was not predicted: its model cannot be best at that. */
static bool ranks(const struct lm_candidate *x, const struct criterion *k)
{
    return !x->error && isfinite(number(x, k->at)) && (k->at != AT(bits_per_byte) || x->changed == 0);
}

static bool find_best(const struct lm_comparison *c, const struct criterion *k, double *ret)
{
    bool found = false;
    for (size_t i = 0; i < c->count; i++) {
        if (!ranks(&c->items[i], k))
            continue;
        const double value = number(&c->items[i], k->at);
        if (!found || (k->most ? value > *ret : value < *ret))
            *ret = value;
        found = true;
    }
    return found;
}

/* The difference to the best could be chance: its interval holds 0, or there are too few passages for one. */
static bool may_be_chance(const struct lm_comparison *c, const struct lm_candidate *x)
{
    return !x->error && x->changed == 0 && c->best_text && x->over_best > 0 &&
           !(x->over_best_interval.low > 0);
}

static void say_verdict(const struct lm_comparison *c)
{
    const char *between = "best: ";
    for (size_t k = 0; k < CRITERIA; k++) {
        double best = NAN;
        if (!find_best(c, &criteria[k], &best))
            continue;
        printf("%s%s", between, criteria[k].words);
        between = ": ";
        for (size_t i = 0; i < c->count; i++)
            if (ranks(&c->items[i], &criteria[k]) && number(&c->items[i], criteria[k].at) == best) {
                printf("%s%s", between, c->items[i].path);
                between = " = ";
            }
        for (size_t i = 0; i < c->count && criteria[k].at == AT(bits_per_byte); i++)
            if (may_be_chance(c, &c->items[i]))
                printf(" (no difference shown to %s)", c->items[i].path);
        between = "; ";
    }
    puts(strcmp(between, "best: ") == 0 ? "best: no model could be compared" : "");
}

/* ---- for people ---- */

static const struct column {
    const char *title;
    int decimals;
    size_t at;
    double scale;
} columns[] = {
    { "bits/byte", 4, AT(bits_per_byte), 1 },
    { "perplexity", 3, AT(perplexity), 1 },
    { "tokens/byte", 4, AT(tokens_per_byte), 1 },
    { "decode/s", 1, AT(decode), 1 },
    { "prompt/s", 1, AT(prompt), 1 },
    { "load s", 3, AT(load), 1 },
    { "weights MB", 1, AT(weight_bytes), 1e-6 },
    { "KV kB/token", 2, AT(kv_bytes_per_token), 1e-3 },
    { "context", 0, AT(context), 1 },
    { "parameters M", 2, AT(parameters), 1e-6 },
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static int width_of(const struct column *c)
{
    return (int)strlen(c->title) + 1;
}

static void say_row(const struct lm_candidate *x, int name_width)
{
    printf("%-*s", name_width, x->path);
    if (x->error) {
        printf("  %s\n", x->error);
        return;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        const double value = number(x, columns[i].at) * columns[i].scale;
        if (isfinite(value))
            printf("%*.*f", width_of(&columns[i]), columns[i].decimals, value);
        else
            printf("%*s", width_of(&columns[i]), "-");
    }
    printf("  %-8s %s\n", x->quantization, x->license);
}

static void say_table(const struct lm_comparison *c)
{
    int name_width = (int)strlen("model");
    for (size_t i = 0; i < c->count; i++)
        name_width = (int)strlen(c->items[i].path) > name_width ? (int)strlen(c->items[i].path) : name_width;
    printf("%-*s", name_width, "model");
    for (size_t i = 0; i < COLUMNS; i++)
        printf("%*s", width_of(&columns[i]), columns[i].title);
    printf("  %-8s %s\n", "type", "licence");
    for (size_t i = 0; i < c->count; i++)
        say_row(&c->items[i], name_width);
}

static void say_notes(const struct lm_comparison *c)
{
    const struct lm_passages *p = &c->passages;
    printf(
        "text: %llu bytes of %s, passages: %zu, each scored on its own, every byte of it, behind one begin "
        "token\n(BOS where the tokenizer puts one, else end of text, else none and ln V for the first "
        "token)\n",
        (unsigned long long)p->bytes, c->text, p->count);
    for (size_t i = 0; i < c->count; i++) {
        const struct lm_candidate *x = &c->items[i];
        if (x->error)
            continue;
        if (x->changed > 0)
            printf("%s: %zu of the passages do not come back from its tokens: its bits are those of a "
                   "simpler text\n",
                   x->path, x->changed);
        if (isfinite(x->over_best_interval.low) && x->over_best > 0)
            printf("%s: %.4f bits per byte more than %s (95 %%: %.4f to %.4f)\n", x->path, x->over_best,
                   c->best_text->path, x->over_best_interval.low, x->over_best_interval.high);
    }
    if (p->count < LM_COMPARE_PASSAGES_MIN)
        printf("%zu of the %d passages that it takes to tell a difference from chance\n", p->count,
               LM_COMPARE_PASSAGES_MIN);
}

/* ---- for programs ---- */

static void add_candidate(const struct lm_candidate *x, struct lm_buf *ret)
{
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "model", lm_str(x->path));
    if (x->error) {
        lm_json_key_str(ret, "error", lm_str(x->error));
        lm_buf_putc(ret, '}');
        return;
    }
    lm_json_key_str(ret, "architecture", lm_str(x->architecture));
    lm_json_key_str(ret, "license", lm_str(x->license));
    lm_json_key_str(ret, "quantization", lm_str(x->quantization));
    lm_json_key_int(ret, "parameters", (int64_t)x->parameters);
    lm_json_key_num(ret, "perplexity_per_token", x->perplexity);
    lm_json_key_num(ret, "tokens_per_byte", x->tokens_per_byte);
    lm_json_key_int(ret, "tokens", (int64_t)x->tokens);
    lm_json_key_str(ret, "begin", lm_str(x->begin));
    lm_json_key_int(ret, "changed_passages", (int64_t)x->changed);
    for (size_t k = 0; k < CRITERIA; k++)
        lm_json_key_num(ret, criteria[k].name, number(x, criteria[k].at));
    lm_json_key(ret, "bits_per_byte_over_best");
    lm_buf_putc(ret, '{');
    lm_json_key_num(ret, "value", x->over_best);
    lm_json_key_num(ret, "low", x->over_best_interval.low);
    lm_json_key_num(ret, "high", x->over_best_interval.high);
    lm_buf_puts(ret, "}}");
}

static void add_best(const struct lm_comparison *c, struct lm_buf *ret)
{
    lm_json_key(ret, "best");
    lm_buf_putc(ret, '{');
    for (size_t k = 0; k < CRITERIA; k++) {
        double best = NAN;
        lm_json_key(ret, criteria[k].name);
        lm_buf_putc(ret, '[');
        for (size_t i = 0; i < c->count && find_best(c, &criteria[k], &best); i++)
            if (ranks(&c->items[i], &criteria[k]) && number(&c->items[i], criteria[k].at) == best) {
                lm_json_sep(ret);
                lm_json_str(ret, lm_str(c->items[i].path));
            }
        lm_buf_putc(ret, ']');
    }
    lm_buf_putc(ret, '}');
}

static void add_all(const struct lm_comparison *c, struct lm_buf *ret)
{
    char signature[256];
    snprintf(signature, sizeof signature,
             "bits-per-byte|unit:byte|begin:bos,eot|passage:%lld|text:%lld|bs:%d|seed:%d|loom:%s",
             (long long)c->passage_bytes, (long long)c->max_bytes, LM_COMPARE_RESAMPLES, LM_COMPARE_SEED,
             lm_version);
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "text", lm_str(c->text));
    lm_json_key_int(ret, "bytes", (int64_t)c->passages.bytes);
    lm_json_key_int(ret, "documents", (int64_t)c->passages.documents);
    lm_json_key_int(ret, "passages", (int64_t)c->passages.count);
    lm_json_key_str(ret, "signature", lm_str(signature));
    lm_json_key(ret, "models");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < c->count; i++)
        add_candidate(&c->items[i], ret);
    lm_buf_putc(ret, ']');
    add_best(c, ret);
    lm_buf_putc(ret, '}');
}

void lm_compare_tell(struct lm_cli *cli, const struct lm_comparison *c)
{
    add_all(c, &cli->result);
    if (cli->globals.json)
        return;
    say_table(c);
    say_notes(c);
    say_verdict(c);
}
