/* cli/cmd_keys.c - API keys: made once, shown once, stored as a hash. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "govern/govern.h"

struct keys_config {
    const char *role;
    int64_t days;
};
static const struct lm_opt keys_rows[] = {
    { "role", LM_OPT_STRING, LM_OPT_AT(struct keys_config, role), NULL,
      .help = "role of this key; default: the user's" },
    { "days", LM_OPT_INT, LM_OPT_AT(struct keys_config, days), "90", 0, 36500, "days",
      "until it expires; 0 = never" },
};
const struct lm_opt_table lm_keys_options = LM_OPT_TABLE("keys", struct keys_config, keys_rows);

static enum lm_rc keys_create(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct keys_config *c = cli->config[0];
    char key[LM_API_KEY_TEXT];
    const int64_t expires = c->days ? lm_wall_ms() + c->days * 86400000 : 0;
    LM_TRY(lm_key_create(db, cli->args[0], c->role, expires, key, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_str(&cli->result, "key", lm_str(key));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("%s\n", key);
    lm_say("this key is shown once and stored only as a hash");
    return LM_OK;
}

static enum lm_rc keys_revoke(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    return lm_key_revoke(db, cli->args[0], err);
}

static enum lm_rc keys_list(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    struct lm_key_row *rows;
    size_t count;
    LM_TRY(lm_key_list(db, &cli->arena, &rows, &count, err));
    lm_buf_puts(&cli->result, "{\"keys\":[");
    for (size_t i = 0; i < count; i++) {
        char expires[LM_TIME_TEXT] = "never";
        if (rows[i].expires_ms)
            lm_time_text(rows[i].expires_ms, expires);
        if (!cli->globals.json)
            printf("%s  %-16s %-14s expires %s%s\n", rows[i].prefix, rows[i].user, rows[i].role, expires,
                   rows[i].revoked ? "  revoked" : "");
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "prefix", lm_str(rows[i].prefix));
        lm_json_key_str(&cli->result, "user", lm_str(rows[i].user));
        lm_json_key_str(&cli->result, "role", lm_str(rows[i].role));
        lm_json_key_bool(&cli->result, "revoked", rows[i].revoked);
        lm_buf_putc(&cli->result, '}');
    }
    lm_buf_puts(&cli->result, "]}");
    return LM_OK;
}

const struct lm_cli_action lm_keys_actions[] = {
    { "create", "USER", "a new API key, shown once", 1, 1, .run_db = keys_create },
    { "revoke", "PREFIX", "refuse the key from now on", 1, 1, .run_db = keys_revoke },
    { "list", "", "prefixes, never keys", 0, 0, .run_db = keys_list },
    { 0 },
};
