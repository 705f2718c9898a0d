/* cli/cmd_ngram.c - n-gram models of texts: made, asked, and watched with. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "corpus/document.h"
#include "corpus/text_model.h"
#include "review/bootstrap.h"

#include <stdlib.h>

struct ngram_config {
    const char *tokenizer, *model, *out;
    int64_t order, resamples, seed;
};
#define AT(field) LM_OPT_AT(struct ngram_config, field)
// clang-format off
static const struct lm_opt rows[] = {
    { "tokenizer", LM_OPT_STRING, AT(tokenizer), NULL, .help = "folder of tokenizer.json (train)" },
    { "out", LM_OPT_STRING, AT(out), NULL, .help = "folder to make (train)" },
    { "order", LM_OPT_INT, AT(order), "4", 1, LM_NGRAM_ORDER_MAX, "tokens", .help = "longest n-gram (train)" },
    { "model", LM_OPT_STRING, AT(model), NULL, .help = "folder that train made (score, drift)" },
    { "resamples", LM_OPT_INT, AT(resamples), "1000", 100, 1e6, "", .help = "of the bootstrap (drift)" },
    { "seed", LM_OPT_INT, AT(seed), "1", 0, 9e15, "", .help = "of the bootstrap (drift)" },
};
// clang-format on
#undef AT
const struct lm_opt_table lm_ngram_options = LM_OPT_TABLE("ngram", struct ngram_config, rows);

static enum lm_rc ngram_train(struct lm_cli *cli, struct lm_err *err)
{
    const struct ngram_config *c = cli->config[0];
    struct lm_cli_out out;
    if (!c->tokenizer || !c->out)
        return lm_fail(err, LM_EINVAL, "--%s is missing", c->tokenizer ? "out" : "tokenizer");
    LM_TRY(lm_cli_out_begin(cli, c->out, &out, err));
    LM_TRY(lm_text_model_build((int)c->order, c->tokenizer, cli->args, cli->arg_count, out.out_dir,
                               &cli->result, err));
    LM_TRY(lm_cli_out_commit(&out, err));
    lm_say("made %s: %s", out.final_dir, cli->result.ptr);
    return LM_OK;
}

/* Bits and bytes of every document of a path: [2 * count]. */
struct judged {
    double *stats;
    size_t count, cap;
};
enum { BITS, BYTES, STATS };

static enum lm_rc judge(struct lm_text_judge *j, const char *const *paths, size_t path_count,
                        struct lm_cli *print, struct judged *ret, struct lm_err *err)
{
    struct lm_document_reader *reader;
    struct lm_document doc;
    LM_TRY(lm_document_open(paths, path_count, &reader, err));
    enum lm_rc rc;
    while ((rc = lm_document_next(reader, &doc, err)) == LM_OK) {
        const double bits = lm_text_judge_bits(j, doc.content);
        lm_grow(&ret->stats, &ret->cap, STATS * (ret->count + 1), sizeof *ret->stats);
        ret->stats[STATS * ret->count + BITS] = bits * (double)doc.content.len;
        ret->stats[STATS * ret->count + BYTES] = (double)doc.content.len;
        ret->count++;
        if (!print)
            continue;
        if (!print->globals.json)
            printf("%.*s %.4f\n", (int)doc.id.len, doc.id.ptr, bits);
        lm_json_sep(&print->result);
        lm_buf_putc(&print->result, '{');
        lm_json_key_str(&print->result, "id", doc.id);
        lm_json_key_num(&print->result, "bits_per_byte", bits);
        lm_buf_putc(&print->result, '}');
    }
    lm_document_close(reader);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static enum lm_rc open_judge(const struct ngram_config *c, struct lm_text_model **ret_model,
                             struct lm_text_judge **ret, struct lm_err *err)
{
    if (!c->model)
        return lm_fail(err, LM_EINVAL, "--model is missing: the folder that 'loom ngram train' made");
    LM_TRY(lm_text_model_open(c->model, ret_model, err));
    *ret = lm_text_judge_new(*ret_model);
    return LM_OK;
}

static enum lm_rc ngram_score(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_text_model *m;
    struct lm_text_judge *j;
    struct judged judged = { 0 };
    LM_TRY(open_judge(cli->config[0], &m, &j, err));
    lm_buf_puts(&cli->result, "{\"documents\":[");
    const enum lm_rc rc = judge(j, cli->args, cli->arg_count, cli, &judged, err);
    lm_buf_puts(&cli->result, "]}");
    free(judged.stats);
    lm_text_judge_free(j);
    lm_text_model_free(m);
    return rc;
}

static double bits_per_byte(const struct lm_metric_config *config, const double *sums)
{
    (void)config;
    return sums[BYTES] > 0 ? sums[BITS] / sums[BYTES] : 0;
}

static double of_all(const struct judged *j)
{
    double sums[STATS] = { 0 };
    for (size_t i = 0; i < STATS * j->count; i++)
        sums[i % STATS] += j->stats[i];
    return bits_per_byte(NULL, sums);
}

static void tell(struct lm_cli *cli, const char *name, const char *path, const struct judged *j,
                 struct lm_interval interval)
{
    lm_json_key(&cli->result, name);
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "documents", (int64_t)j->count);
    lm_json_key_num(&cli->result, "bits_per_byte", of_all(j));
    lm_json_key_num(&cli->result, "low", interval.low);
    lm_json_key_num(&cli->result, "high", interval.high);
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("%-9s %s: %zu documents, %.4f bits per byte, 95 %% %.4f..%.4f\n", name, path, j->count,
               of_all(j), interval.low, interval.high);
}

/* Texts of today beside texts of then: drift when the intervals lie apart. */
static enum lm_rc ngram_drift(struct lm_cli *cli, struct lm_err *err)
{
    const struct ngram_config *c = cli->config[0];
    static const char *const names[] = { "reference", "current" };
    struct lm_text_model *m;
    struct lm_text_judge *j;
    struct judged judged[2] = { 0 };
    struct lm_interval intervals[2] = { 0 };
    enum lm_rc rc = open_judge(c, &m, &j, err);
    if (rc != LM_OK)
        return rc;
    for (size_t i = 0; i < 2 && rc == LM_OK; i++)
        rc = judge(j, &cli->args[i], 1, NULL, &judged[i], err);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        for (size_t i = 0; i < 2; i++) {
            intervals[i] = lm_bootstrap(judged[i].stats, judged[i].count, STATS, bits_per_byte, NULL,
                                        (size_t)c->resamples, (uint64_t)c->seed);
            tell(cli, names[i], cli->args[i], &judged[i], intervals[i]);
        }
        const bool drift = intervals[0].high < intervals[1].low || intervals[1].high < intervals[0].low;
        lm_json_key_bool(&cli->result, "drift", drift);
        lm_buf_putc(&cli->result, '}');
        if (drift)
            rc = lm_fail(err, LM_EDENIED, "drift: the intervals lie apart (%.4f and %.4f bits per byte)",
                         of_all(&judged[0]), of_all(&judged[1]));
    }
    for (size_t i = 0; i < 2; i++)
        free(judged[i].stats);
    lm_text_judge_free(j);
    lm_text_model_free(m);
    return rc;
}

const struct lm_cli_action lm_ngram_actions[] = {
    { "train", "IN... --tokenizer=DIR --out=DIR", "a model of how these documents read", 1, LM_CLI_ARGS_MAX,
      ngram_train },
    { "score", "IN... --model=DIR", "how unusual each document is, in bits per byte", 1, LM_CLI_ARGS_MAX,
      ngram_score },
    { "drift", "REFERENCE CURRENT --model=DIR", "do texts of today read as those of then?  Exit 3 when not",
      2, 2, ngram_drift },
    { 0 },
};
