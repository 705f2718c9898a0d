/* cli/cmd_users.c - who may ask. */

#include "base/json.h"
#include "cli/commands.h"
#include "govern/govern.h"

struct users_config {
    const char *partitions, *accounts;
    int64_t quota;
};
static const struct lm_opt users_rows[] = {
    { "partitions", LM_OPT_STRING, LM_OPT_AT(struct users_config, partitions), NULL,
      .help = "clearances, separated by commas" },
    { "accounts", LM_OPT_STRING, LM_OPT_AT(struct users_config, accounts), NULL,
      .help = "owned accounts, separated by commas" },
    { "quota", LM_OPT_INT, LM_OPT_AT(struct users_config, quota), "0", 0, 9e15, "tokens", "0 = no limit" },
};
const struct lm_opt_table lm_users_options = LM_OPT_TABLE("users", struct users_config, users_rows);

static enum lm_rc users_add(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct users_config *c = cli->config[0];
    LM_TRY(lm_user_add(db, cli->args[0], cli->args[1], c->partitions, c->accounts, err));
    return c->quota ? lm_user_quota(db, cli->args[0], c->quota, err) : LM_OK;
}

static enum lm_rc users_remove(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    return lm_user_remove(db, cli->args[0], err);
}

static enum lm_rc users_block(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    return lm_user_block(db, cli->args[0], true, err);
}

static enum lm_rc users_unblock(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    return lm_user_block(db, cli->args[0], false, err);
}

static enum lm_rc users_list(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    struct lm_user_row *rows;
    size_t count;
    LM_TRY(lm_user_list(db, &cli->arena, &rows, &count, err));
    lm_buf_puts(&cli->result, "{\"users\":[");
    for (size_t i = 0; i < count; i++) {
        const struct lm_user_row *u = &rows[i];
        if (!cli->globals.json)
            printf("%-16s %-14s used %lld%s  agreement %lld  %s\n", u->user, u->role,
                   (long long)u->used_tokens, u->blocked ? "  blocked" : "", (long long)u->agreement_version,
                   u->partitions);
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "user", lm_str(u->user));
        lm_json_key_str(&cli->result, "role", lm_str(u->role));
        lm_json_key_int(&cli->result, "used_tokens", u->used_tokens);
        lm_json_key_int(&cli->result, "quota_tokens", u->quota_tokens);
        lm_json_key_bool(&cli->result, "blocked", u->blocked);
        lm_buf_putc(&cli->result, '}');
    }
    lm_buf_puts(&cli->result, "]}");
    return LM_OK;
}

const struct lm_cli_action lm_users_actions[] = {
    { "add", "USER ROLE", "a user with one of the policy's roles", 2, 2, .run_db = users_add },
    { "remove", "USER", "the user and all keys", 1, 1, .run_db = users_remove },
    { "block", "USER", "refuse every key of the user", 1, 1, .run_db = users_block },
    { "unblock", "USER", "take the block back", 1, 1, .run_db = users_unblock },
    { "list", "", "all users", 0, 0, .run_db = users_list },
    { 0 },
};
