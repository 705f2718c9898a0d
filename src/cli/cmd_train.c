/* cli/cmd_train.c - pretrain and finetune as commands of their own. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/track.h"
#include "review/run_page.h"
#include "store/db.h"
#include "train/pairs.h"
#include "train/ranks.h"
#include "train/train.h"

#include <stdlib.h>
#include <unistd.h>

struct pretrain_paths {
    const char *tokens, *tokenizer, *out, *from;
};
static const struct lm_opt pretrain_rows[] = {
    { "tokens", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, tokens), NULL,
      .help = "folder of train.tokens and heldout.tokens", .required = true },
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, tokenizer), NULL,
      .help = "folder of tokenizer.json", .required = true },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, out), NULL, .help = "model folder to make",
      .required = true },
    { "from", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, from), NULL,
      .help = "model folder to go on from, in its architecture; without: from scratch" },
};
const struct lm_opt_table lm_pretrain_path_options =
    LM_OPT_TABLE("paths", struct pretrain_paths, pretrain_rows);

struct finetune_paths {
    const char *model, *pairs, *out;
    int64_t show;
};
static const struct lm_opt finetune_rows[] = {
    { "model", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, model), NULL,
      .help = "model folder to start from", .required = true },
    { "pairs", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, pairs), NULL,
      .help = "pairs.jsonl: question and answer, or messages; split", .required = true },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, out), NULL, .help = "model folder to make" },
    { "show-samples", LM_OPT_INT, LM_OPT_AT(struct finetune_paths, show), "0", 0, 1e6, "samples",
      "print the first ones, what is trained in colour, and train nothing" },
};
const struct lm_opt_table lm_finetune_path_options =
    LM_OPT_TABLE("paths", struct finetune_paths, finetune_rows);

enum lm_rc lm_cli_join(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err)
{
    LM_TRY(lm_ranks_open(ranks, err));
    if (ranks->rank > 0) {
        lm_progress_quiet(true);
        cli->globals.json = false;
    }
    return LM_OK;
}

/* A stopped run leaves its checkpoints in OUT.work: the same command goes on from there. */
static enum lm_rc end(struct lm_cli *cli, const char *what, const struct lm_cli_out *out, enum lm_rc rc,
                      struct lm_buf *metrics, struct lm_err *err)
{
    if (rc != LM_OK) {   // a refused run leaves nothing; checkpoints stay
        (void)lm_path_remove(out->out_dir, NULL);
        (void)rmdir(out->work_dir);   // only if it is empty
    }
    if (rc == LM_OK)
        rc = lm_run_page(out->out_dir, what, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(out, err);
    if (rc == LM_OK)
        lm_say("made %s: %s", out->final_dir, metrics->len ? metrics->ptr : "{}");
    lm_buf_add_str(&cli->result, lm_buf_str(metrics));
    lm_buf_release(metrics);
    return rc;
}

/* The project's database for the ledger of a private run; NULL for others. */
static enum lm_rc ledger_of(struct lm_cli *cli, const struct lm_dp_options *dp, struct lm_db **ret,
                            struct lm_err *err)
{
    *ret = NULL;
    return lm_dp_wanted(dp) ? lm_cli_db(cli, ret, err) : LM_OK;
}

static enum lm_rc trackers_of(struct lm_cli *cli, struct lm_trackers **ret, struct lm_err *err)
{
    return lm_trackers_new(cli, &((const struct lm_track_options *)cli->config[2])->targets, ret, err);
}

static enum lm_rc pretrain(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err)
{
    struct lm_pretrain_config *c = cli->config[0];
    const struct pretrain_paths *p = cli->config[1];
    struct lm_cli_out out = { 0 };
    struct lm_buf metrics = { 0 };
    c->training.ranks = ranks;
    c->from = p->from;
    if (ranks->rank > 0)
        return lm_pretrain(c, p->tokens, p->tokenizer, NULL, NULL, &metrics, err);
    LM_TRACKERS struct lm_trackers *trackers = NULL;
    LM_TRY(trackers_of(cli, &trackers, err));
    LM_TRY(lm_cli_out_begin(cli, p->out, &out, err));
    LM_TRY(lm_dir_make(out.work_dir, err));
    LM_TRY(ledger_of(cli, &c->training.dp, &c->training.ledger, err));
    c->training.track = lm_tracking_open(lm_trackers_tracking(trackers), "pretrain", &lm_pretrain_options, c);
    const enum lm_rc rc = lm_pretrain(c, p->tokens, p->tokenizer, out.work_dir, out.out_dir, &metrics, err);
    lm_tracking_close(lm_trackers_tracking(trackers), rc);
    lm_db_close(c->training.ledger);
    return end(cli, "pretrain", &out, rc, &metrics, err);
}

enum lm_rc lm_cmd_pretrain(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_ranks ranks;
    LM_TRY(lm_cli_join(cli, &ranks, err));
    const enum lm_rc rc = pretrain(cli, &ranks, err);
    return lm_ranks_close(&ranks, rc, err);
}

static enum lm_rc show_samples(struct lm_cli *cli, const struct finetune_paths *p, struct lm_err *err)
{
    struct lm_buf text = { 0 };
    const bool color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    const enum lm_rc rc =
        lm_pairs_show(cli->config[0], p->model, p->pairs, (size_t)p->show, color, &text, err);
    if (rc == LM_OK && !cli->globals.json)
        fwrite(text.ptr, 1, text.len, stdout);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "samples", lm_buf_str(&text));
        lm_buf_putc(&cli->result, '}');
    }
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc finetune(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err)
{
    struct lm_finetune_config *c = cli->config[0];
    const struct finetune_paths *p = cli->config[1];
    struct lm_cli_out out = { 0 };
    struct lm_buf metrics = { 0 };
    c->training.ranks = ranks;
    if (ranks->rank > 0)
        return lm_finetune(c, p->model, p->pairs, NULL, NULL, &metrics, err);
    LM_TRACKERS struct lm_trackers *trackers = NULL;
    LM_TRY(trackers_of(cli, &trackers, err));
    LM_TRY(lm_cli_out_begin(cli, p->out, &out, err));
    LM_TRY(lm_dir_make(out.work_dir, err));
    LM_TRY(ledger_of(cli, &c->training.dp, &c->training.ledger, err));
    c->training.track = lm_tracking_open(lm_trackers_tracking(trackers), "finetune", &lm_finetune_options, c);
    const enum lm_rc rc = lm_finetune(c, p->model, p->pairs, out.work_dir, out.out_dir, &metrics, err);
    lm_tracking_close(lm_trackers_tracking(trackers), rc);
    lm_db_close(c->training.ledger);
    return end(cli, "finetune", &out, rc, &metrics, err);
}

enum lm_rc lm_cmd_finetune(struct lm_cli *cli, struct lm_err *err)
{
    const struct finetune_paths *p = cli->config[1];
    struct lm_ranks ranks;
    if (p->show > 0)
        return show_samples(cli, p, err);
    LM_TRY(lm_cli_join(cli, &ranks, err));
    const enum lm_rc rc = finetune(cli, &ranks, err);
    return lm_ranks_close(&ranks, rc, err);
}
