/* cli/cmd_train.c - pretrain and finetune as commands of their own. */

#include "base/file.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "store/db.h"
#include "train/train.h"

struct pretrain_paths {
    const char *tokens, *tokenizer, *out;
};
static const struct lm_opt pretrain_rows[] = {
    { "tokens", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, tokens), NULL,
      .help = "folder of train.tokens and heldout.tokens", .required = true },
    { "tokenizer", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, tokenizer), NULL,
      .help = "folder of tokenizer.json", .required = true },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct pretrain_paths, out), NULL, .help = "model folder to make",
      .required = true },
};
const struct lm_opt_table lm_pretrain_path_options =
    LM_OPT_TABLE("paths", struct pretrain_paths, pretrain_rows);

struct finetune_paths {
    const char *model, *pairs, *out;
};
static const struct lm_opt finetune_rows[] = {
    { "model", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, model), NULL,
      .help = "model folder to start from", .required = true },
    { "pairs", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, pairs), NULL,
      .help = "pairs.jsonl: question, answer, split", .required = true },
    { "out", LM_OPT_STRING, LM_OPT_AT(struct finetune_paths, out), NULL, .help = "model folder to make",
      .required = true },
};
const struct lm_opt_table lm_finetune_path_options =
    LM_OPT_TABLE("paths", struct finetune_paths, finetune_rows);

/* A stopped run leaves its checkpoints in OUT.work: the same command goes on from there. */
static enum lm_rc end(struct lm_cli *cli, const struct lm_cli_out *out, enum lm_rc rc, struct lm_buf *metrics,
                      struct lm_err *err)
{
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

enum lm_rc lm_cmd_pretrain(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_pretrain_config *c = cli->config[0];
    const struct pretrain_paths *p = cli->config[1];
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, p->out, &out, err));
    LM_TRY(lm_dir_make(out.work_dir, err));
    LM_TRY(ledger_of(cli, &c->dp, &c->ledger, err));
    const enum lm_rc rc = lm_pretrain(c, p->tokens, p->tokenizer, out.work_dir, out.out_dir, &metrics, err);
    lm_db_close(c->ledger);
    return end(cli, &out, rc, &metrics, err);
}

enum lm_rc lm_cmd_finetune(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_finetune_config *c = cli->config[0];
    const struct finetune_paths *p = cli->config[1];
    struct lm_cli_out out;
    struct lm_buf metrics = { 0 };
    LM_TRY(lm_cli_out_begin(cli, p->out, &out, err));
    LM_TRY(lm_dir_make(out.work_dir, err));
    LM_TRY(ledger_of(cli, &c->dp, &c->ledger, err));
    const enum lm_rc rc = lm_finetune(c, p->model, p->pairs, out.work_dir, out.out_dir, &metrics, err);
    lm_db_close(c->ledger);
    return end(cli, &out, rc, &metrics, err);
}
