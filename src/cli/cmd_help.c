/* cli/cmd_help.c - help in its three forms. */

#include "cli/commands.h"

struct help_config {
    bool man, completion;
};
static const struct lm_opt help_rows[] = {
    { "man", LM_OPT_BOOL, LM_OPT_AT(struct help_config, man), "false", .help = "the manual page, in troff" },
    { "completion", LM_OPT_BOOL, LM_OPT_AT(struct help_config, completion), "false",
      .help = "bash completion" },
};
const struct lm_opt_table lm_help_options = LM_OPT_TABLE("help", struct help_config, help_rows);

enum lm_rc lm_cmd_help(struct lm_cli *cli, struct lm_err *err)
{
    const struct help_config *c = cli->config[0];
    const struct lm_command *command = cli->arg_count ? lm_command_find(cli->args[0]) : NULL;
    if (cli->arg_count && !command)
        return lm_fail(err, LM_EINVAL, "there is no command '%s'; 'loom --help' lists them", cli->args[0]);
    if (c->man)
        lm_help_manual(stdout);
    else if (c->completion)
        lm_help_completion(stdout);
    else if (command)
        lm_help_command(command, stdout);
    else
        lm_help_overview(stdout);
    return LM_OK;
}
