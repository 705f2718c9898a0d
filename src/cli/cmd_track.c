/* cli/cmd_track.c - sends to trackers what a run could not. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/track.h"

enum lm_rc lm_cmd_track(struct lm_cli *cli, struct lm_err *err)
{
    const char *dir;
    size_t sent = 0;
    LM_TRY(lm_cli_state(cli, "track", &dir, err));
    const enum lm_rc rc = lm_mlflow_deliver(dir, &sent, err);
    if (rc == LM_OK)
        lm_say("sent what was missing of %zu runs", sent);
    else if (rc == LM_ENOTHING)
        lm_say("nothing is missing");
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "sent", (int64_t)sent);
    lm_buf_putc(&cli->result, '}');
    return rc;
}
