/* cli/cmd_feedback.c - what users said of answers, as training pairs. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "monitor/feedback.h"

struct feedback_config {
    const char *snapshot;
};
static const struct lm_opt feedback_rows[] = {
    { "snapshot", LM_OPT_STRING, LM_OPT_AT(struct feedback_config, snapshot), "feedback",
      .help = "name the pairs get" },
};
const struct lm_opt_table lm_feedback_options =
    LM_OPT_TABLE("feedback", struct feedback_config, feedback_rows);

static enum lm_rc feedback_export(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    size_t count = 0;
    const struct feedback_config *c = cli->config[0];
    LM_TRY(lm_feedback_export(db, c->snapshot, cli->args[0], &count, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "pairs", (int64_t)count);
    lm_buf_putc(&cli->result, '}');
    lm_say("%zu pairs in %s: 'loom finetune --pairs=%s' trains on them", count, cli->args[0], cli->args[0]);
    return count ? LM_OK : LM_ENOTHING;
}

const struct lm_cli_action lm_feedback_actions[] = {
    { "export", "FILE", "corrections and approved answers as fine-tuning pairs", 1, 1,
      .run_db = feedback_export },
    { 0 },
};
