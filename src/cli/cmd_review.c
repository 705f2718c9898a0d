/* cli/cmd_review.c - review: scores and gates of a model; score: any two files of texts. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "review/metrics.h"
#include "review/review.h"
#include "review/segments.h"

/* ---- review ---- */

struct review_paths {
    const char *title, *tokens, *pairs, *out, *system;
    struct lm_opt_list snapshots, reports;
};
#define ROW(n) LM_OPT_AT(struct review_paths, n)
static const struct lm_opt review_rows[] = {
    { "tokens", LM_OPT_STRING, ROW(tokens), .help = "folder of train.tokens and heldout.tokens",
      .required = true },
    { "out", LM_OPT_STRING, ROW(out), .help = "folder to make", .required = true },
    { "pairs", LM_OPT_STRING, ROW(pairs), .help = "pairs.jsonl: question, answer, split, snapshot" },
    { "snapshot", LM_OPT_LIST, ROW(snapshots), .help = "NAME=DIR: a fine-tuned model and its pairs' name" },
    { "system", LM_OPT_STRING, ROW(system), .help = "system message the snapshots were trained with" },
    { "report", LM_OPT_LIST, ROW(reports), .help = "report.json of an earlier stage, shown in the report" },
    { "title", LM_OPT_STRING, ROW(title), .help = "heading of the report (default: the model's folder)" },
};
#undef ROW
const struct lm_opt_table lm_review_path_options = LM_OPT_TABLE("paths", struct review_paths, review_rows);

/* NAME=DIR into its halves. */
static enum lm_rc snapshots_of(struct lm_cli *cli, const struct review_paths *p,
                               struct lm_review_snapshot *ret, struct lm_err *err)
{
    for (size_t i = 0; i < p->snapshots.len; i++) {
        const char *text = p->snapshots.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1])
            return lm_fail(err, LM_EINVAL,
                           "--snapshot=%s: expected NAME=DIR, as in --snapshot=sql=models/sql", text);
        ret[i].name = lm_arena_strndup(&cli->arena, text, (size_t)(equals - text));
        ret[i].dir = equals + 1;
        ret[i].system = p->system;
    }
    return LM_OK;
}

enum lm_rc lm_cmd_review(struct lm_cli *cli, struct lm_err *err)
{
    const struct review_paths *p = cli->config[1];
    struct lm_review_snapshot *snapshots =
        lm_arena_alloc(&cli->arena, (p->snapshots.len + 1) * sizeof(*snapshots));
    LM_TRY(snapshots_of(cli, p, snapshots, err));
    if (p->snapshots.len > 0 && !p->pairs)
        return lm_fail(err, LM_EINVAL,
                       "--pairs is missing: snapshots are judged by the held-out pairs in it");
    const struct lm_review_inputs inputs = {
        .title = p->title ? p->title : lm_path_base(cli->args[0]),
        .base_dir = cli->args[0],
        .tokens_dir = p->tokens,
        .pairs_path = p->pairs,
        .snapshots = snapshots,
        .snapshot_count = p->snapshots.len,
        .extra_reports = p->reports.items,
        .extra_count = p->reports.len,
    };
    struct lm_cli_out out;
    LM_TRY(lm_cli_out_begin(cli, p->out, &out, err));
    bool passed = false;
    LM_TRY(lm_review(cli->config[0], &inputs, out.out_dir, &cli->result, &passed, err));
    LM_TRY(lm_cli_out_commit(&out, err));
    lm_say("made %s: read %s/report.html", out.final_dir, out.final_dir);
    if (!passed)
        return lm_fail(err, LM_EDENIED, "not all gates passed: see the gates in %s/report.html",
                       out.final_dir);
    return LM_OK;
}

/* ---- score ---- */

struct score_options {
    const char *hyp, *jsonl;
    struct lm_opt_list refs;
    struct lm_metric_config metric;
};
#define ROW(n) LM_OPT_AT(struct score_options, n)
static const struct lm_opt score_rows[] = {
    { "hyp", LM_OPT_STRING, ROW(hyp), .help = "texts to judge, one a line" },
    { "ref", LM_OPT_LIST, ROW(refs), .help = "references, line by line; repeat for several" },
    { "jsonl", LM_OPT_STRING, ROW(jsonl), .help = "instead of both: lines of {\"hyp\":...,\"refs\":[...]}" },
    { "words", LM_OPT_CHOICE, ROW(metric.words), "default", .help = "what counts as a word",
      .choices = lm_words_names },
    { "smooth", LM_OPT_CHOICE, ROW(metric.smooth), "exp", .help = "smoothing of BLEU",
      .choices = lm_smooth_names },
    { "smooth-value", LM_OPT_REAL, ROW(metric.smooth_value), "-1", -1, 100,
      .help = "for floor and add-k; -1: the method's own" },
    { "effective-order", LM_OPT_BOOL, ROW(metric.effective_order), "false",
      .help = "BLEU: leave out orders longer than the text; for single sentences" },
    { "lowercase", LM_OPT_BOOL, ROW(metric.lowercase), "false", .help = "compare in lower case" },
    { "order", LM_OPT_INT, ROW(metric.order), "4", 1, LM_METRIC_ORDER_MAX, "words",
      "longest n-gram of BLEU" },
    { "resamples", LM_OPT_INT, ROW(metric.resamples), "1000", 0, 100000, "",
      "for the 95 % interval; 0: none" },
    { "seed", LM_OPT_INT, ROW(metric.seed), "12345", 0, 9007199254740991.0, "", "of the resampling" },
};
#undef ROW
const struct lm_opt_table lm_score_options = LM_OPT_TABLE("score", struct score_options, score_rows);

static enum lm_rc read_segments(const struct score_options *o, struct lm_segments *ret, struct lm_err *err)
{
    if (o->jsonl && (o->hyp || o->refs.len > 0))
        return lm_fail(err, LM_EINVAL, "--jsonl holds texts and references: leave out --hyp and --ref");
    if (o->jsonl)
        return lm_segments_from_jsonl(ret, o->jsonl, err);
    if (!o->hyp)
        return lm_fail(err, LM_EINVAL,
                       "--hyp is missing: the file of texts to judge, one a line (or --jsonl)");
    return lm_segments_from_lines(ret, o->hyp, o->refs.items, o->refs.len, err);
}

static void say_score(const char *name, const struct lm_metric_score *s)
{
    if (s->has_interval)
        printf("%s %.4f  (95 %%: %.4f to %.4f)  %s\n", name, s->value, s->low, s->high, s->signature);
    else
        printf("%s %.4f  %s\n", name, s->value, s->signature);
}

enum lm_rc lm_cmd_score(struct lm_cli *cli, struct lm_err *err)
{
    const struct score_options *o = cli->config[0];
    const struct lm_metric *metric = lm_metric_find(cli->args[0]);
    if (!metric) {
        struct lm_buf names = { 0 };
        lm_metric_names(&names);
        const enum lm_rc rc =
            lm_fail(err, LM_EINVAL, "no metric is called '%s'; there are %s", cli->args[0], names.ptr);
        lm_buf_release(&names);
        return rc;
    }
    struct lm_segments segments = { 0 };
    struct lm_metric_score score;
    enum lm_rc rc = read_segments(o, &segments, err);
    if (rc == LM_OK)
        rc = lm_metric_run(metric, &o->metric, segments.items, segments.len, &score, NULL, err);
    if (rc == LM_OK) {
        if (score.warning)
            lm_warn("%s", score.warning);
        if (!cli->globals.json)
            say_score(metric->name, &score);
        lm_metric_score_json(metric->name, &score, &cli->result);
    }
    lm_segments_release(&segments);
    return rc;
}
