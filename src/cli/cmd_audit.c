/* cli/cmd_audit.c - the tamper-evident log. */

#include "base/json.h"
#include "cli/commands.h"
#include "govern/audit.h"

struct audit_config {
    const char *dir, *public_key;
};
static const struct lm_opt audit_rows[] = {
    { "dir", LM_OPT_STRING, LM_OPT_AT(struct audit_config, dir), NULL,
      .help = "folder of the log; default: .loom/audit of the project" },
    { "public-key", LM_OPT_STRING, LM_OPT_AT(struct audit_config, public_key), NULL,
      .help = "hex key the head must be signed with" },
};
const struct lm_opt_table lm_audit_options = LM_OPT_TABLE("audit", struct audit_config, audit_rows);

static enum lm_rc audit_dir(struct lm_cli *cli, const char **ret, struct lm_err *err)
{
    *ret = ((const struct audit_config *)cli->config[0])->dir;
    return *ret ? LM_OK : lm_cli_state(cli, "audit", ret, err);
}

static enum lm_rc audit_verify(struct lm_cli *cli, struct lm_err *err)
{
    const struct audit_config *c = cli->config[0];
    const char *dir;
    struct lm_audit_report report = { 0 };
    LM_TRY(audit_dir(cli, &dir, err));
    LM_TRY(lm_audit_verify(dir, c->public_key, &report, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "records", (int64_t)report.records);
    lm_json_key_int(&cli->result, "files", (int64_t)report.files);
    lm_json_key_str(&cli->result, "public_key", lm_str(report.public_key));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("%llu records in %llu files are whole; signed with %s\n", (unsigned long long)report.records,
               (unsigned long long)report.files, report.public_key);
    return LM_OK;
}

static enum lm_rc print_line(void *user, struct lm_str line, struct lm_err *err)
{
    (void)user, (void)err;
    printf("%.*s\n", (int)line.len, line.ptr);
    return LM_OK;
}

static enum lm_rc audit_export(struct lm_cli *cli, struct lm_err *err)
{
    const char *dir;
    LM_TRY(audit_dir(cli, &dir, err));
    return lm_audit_scan(dir, print_line, NULL, err);
}

const struct lm_cli_action lm_audit_actions[] = {
    { "verify", "", "is every record whole, in its place and signed for?", 0, 0, audit_verify },
    { "export", "", "all records as JSON lines", 0, 0, audit_export },
    { 0 },
};
