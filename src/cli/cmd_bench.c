/* cli/cmd_bench.c - what this machine could do at best, and how much of it a model gets. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "infer/measure.h"

enum { CASE_ALL, CASE_DECODE, CASE_BATCH16, CASE_PROMPT512, CASE_LOAD, CASE_ROOF };

struct bench_config {
    int what, kv_type;
    int64_t runs;
};
#define ROW(f) LM_OPT_AT(struct bench_config, f)
static const char *const cases[] = { "all", "decode", "batch16", "prompt512", "load", "roof", NULL };
static const struct lm_opt rows[] = {
    { "case", LM_OPT_CHOICE, ROW(what), "all", 0, 0, "", "what to measure", cases },
    { "kv-type", LM_OPT_CHOICE, ROW(kv_type), "f16", 0, 0, "", "of the KV cache", lm_kv_type_names },
    { "runs", LM_OPT_INT, ROW(runs), "5", 1, 101, "", "of which the median is printed" },
};
const struct lm_opt_table lm_bench_options = LM_OPT_TABLE("bench", struct bench_config, rows);

struct bench {
    struct lm_cli *cli;
    const struct bench_config *config;
};

/* One row of CSV, as the programs in bench/ print it. */
static void print(struct bench *b, const char *what, double value, const char *unit)
{
    if (!b->cli->globals.json) {
        printf("infer,%s,%.6g,%s,%lld\n", what, value, unit, (long long)b->config->runs);
        fflush(stdout);
    }
    lm_json_sep(&b->cli->result);
    lm_buf_puts(&b->cli->result, "{");
    lm_json_key_str(&b->cli->result, "case", lm_str(what));
    lm_json_key_num(&b->cli->result, "value", value);
    lm_json_key_str(&b->cli->result, "unit", lm_str(unit));
    lm_json_key_int(&b->cli->result, "threads", lm_threads());
    lm_buf_putc(&b->cli->result, '}');
}

static bool wanted(const struct bench *b, int what)
{
    return b->config->what == CASE_ALL || b->config->what == what;
}

/* The machine first: every later figure is a share of it. */
static void bench_machine(struct bench *b, const struct lm_model *m)
{
    const enum lm_type type = lm_model_at(m, LM_T_W_UP, 0)->type;
    const uint64_t bytes = lm_measure_weight_bytes(m);
    const double read = lm_measure_read_rate(bytes, (int)b->config->runs);
    print(b, "memory read", read, "GB/s");
    print(b, "memory read as tokens", read * 1e9 / (double)bytes, "tokens/s");
    print(b, "product peak", lm_measure_product_peak(type, (int)b->config->runs), "GMAC/s");
}

static enum lm_rc bench_cases(struct bench *b, const struct lm_model *m, struct lm_err *err)
{
    for (const struct lm_measure_case *c = lm_measure_cases; c->name; c++) {
        double rate;
        if (b->config->what != CASE_ALL && strcmp(cases[b->config->what], c->name) != 0)
            continue;
        LM_TRY(lm_measure(m, c, (enum lm_kv_type)b->config->kv_type, (int)b->config->runs, &rate, err));
        print(b, c->name, rate, c->unit);
        if (c->batch == 1 && c->steps > 0) {   // the roof of the same minute
            const uint64_t bytes = lm_measure_weight_bytes(m);
            const double read = lm_measure_read_rate(bytes, (int)b->config->runs);
            print(b, "decode share of memory read", rate * (double)bytes / read * 1e-7, "percent");
        }
    }
    return LM_OK;
}

static enum lm_rc infer(struct lm_cli *cli, struct lm_err *err)
{
    struct bench b = { .cli = cli, .config = cli->config[0] };
    struct lm_model m;
    double seconds;
    LM_TRY(lm_model_open(cli->args[0], &m, err));
    enum lm_rc rc = LM_OK;
    lm_buf_puts(&cli->result, "{\"rows\":[");
    if (wanted(&b, CASE_ROOF))
        bench_machine(&b, &m);
    rc = bench_cases(&b, &m, err);
    lm_model_close(&m);
    if (rc == LM_OK && wanted(&b, CASE_LOAD) && (rc = lm_measure_load(cli->args[0], &seconds, err)) == LM_OK)
        print(&b, "load to first token", seconds, "s");
    lm_buf_puts(&cli->result, "]}");
    return rc;
}

const struct lm_cli_action lm_bench_actions[] = {
    { "tokenizer", "TOKENIZER TEXT", "bytes of text a second: encoding cold and warm, with threads, decoding",
      2, 2, lm_bench_tokenizer, NULL },
    { "infer", "MODEL", "memory and product limits, decoding, prompts, loading", 1, 1, infer, NULL },
    { 0 },
};
