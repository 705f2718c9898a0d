/* cli/cmd_govern.c - users, keys, policy, agreements, audit log. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "govern/audit.h"
#include "govern/govern.h"
#include "monitor/feedback.h"

/* ---- users ---- */

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

/* Runs `body` with the project database open as `db`, and closes it. */
#define WITH_DB(cli, err, body)                                                                              \
    do {                                                                                                     \
        struct lm_db *db = NULL;                                                                             \
        LM_TRY(lm_cli_db((cli), &db, (err)));                                                                \
        const enum lm_rc db_rc_ = (body);                                                                    \
        lm_db_close(db);                                                                                     \
        return db_rc_;                                                                                       \
    } while (0)

static enum lm_rc add_user(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct users_config *c = cli->config[0];
    LM_TRY(lm_user_add(db, cli->args[0], cli->args[1], c->partitions, c->accounts, err));
    return c->quota ? lm_user_quota(db, cli->args[0], c->quota, err) : LM_OK;
}

static enum lm_rc users_add(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, add_user(cli, db, err));
}

static enum lm_rc users_remove(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, lm_user_remove(db, cli->args[0], err));
}

static enum lm_rc users_block(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, lm_user_block(db, cli->args[0], true, err));
}

static enum lm_rc users_unblock(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, lm_user_block(db, cli->args[0], false, err));
}

static enum lm_rc list_users(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
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

static enum lm_rc users_list(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, list_users(cli, db, err));
}

const struct lm_cli_action lm_users_actions[] = {
    { "add", "USER ROLE", "a user with one of the policy's roles", 2, 2, users_add },
    { "remove", "USER", "the user and all keys", 1, 1, users_remove },
    { "block", "USER", "refuse every key of the user", 1, 1, users_block },
    { "unblock", "USER", "take the block back", 1, 1, users_unblock },
    { "list", "", "all users", 0, 0, users_list },
    { 0 },
};

/* ---- keys ---- */

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

static enum lm_rc create_key(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
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

static enum lm_rc keys_create(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, create_key(cli, db, err));
}

static enum lm_rc keys_revoke(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, lm_key_revoke(db, cli->args[0], err));
}

static enum lm_rc list_keys(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
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

static enum lm_rc keys_list(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, list_keys(cli, db, err));
}

const struct lm_cli_action lm_keys_actions[] = {
    { "create", "USER", "a new API key, shown once", 1, 1, keys_create },
    { "revoke", "PREFIX", "refuse the key from now on", 1, 1, keys_revoke },
    { "list", "", "prefixes, never keys", 0, 0, keys_list },
    { 0 },
};

/* ---- policy ---- */

struct policy_config {
    const char *policy, *partition;
};
static const struct lm_opt policy_rows[] = {
    { "policy", LM_OPT_STRING, LM_OPT_AT(struct policy_config, policy), NULL,
      .help = "policy file; default: the built-in one" },
    { "partition", LM_OPT_STRING, LM_OPT_AT(struct policy_config, partition), NULL,
      .help = "partition asked for (test)" },
};
const struct lm_opt_table lm_policy_options = LM_OPT_TABLE("policy", struct policy_config, policy_rows);

static enum lm_rc load_policy(struct lm_cli *cli, struct lm_policy **ret, struct lm_err *err)
{
    return lm_policy_load(((const struct policy_config *)cli->config[0])->policy, ret, err);
}

static enum lm_rc policy_check(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_policy *policy = NULL;
    LM_TRY(load_policy(cli, &policy, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_str(&cli->result, "digest", lm_str(lm_policy_digest(policy)));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("policy is well-formed, SHA-256 %s\n", lm_policy_digest(policy));
    lm_policy_free(policy);
    return LM_OK;
}

static enum lm_rc policy_show(struct lm_cli *cli, struct lm_err *err)
{
    (void)cli, (void)err;
    const struct lm_str text = lm_policy_default_text();
    fwrite(text.ptr, 1, text.len, stdout);
    return LM_OK;
}

static void print_decision(struct lm_cli *cli, const struct lm_policy *policy, const struct lm_decision *d)
{
    lm_buf_putc(&cli->result, '{');
    lm_json_key_str(&cli->result, "rule", lm_str(lm_rule_names[d->rule]));
    lm_json_key_int(&cli->result, "status", lm_rule_status[d->rule]);
    lm_json_key_str(&cli->result, "intent", lm_str(d->intent));
    lm_json_key_str(&cli->result, "scope", lm_str(d->scope));
    lm_json_key_str(&cli->result, "resource", lm_str(d->resource));
    lm_json_key_str(&cli->result, "detail", lm_str(d->detail));
    lm_buf_putc(&cli->result, '}');
    if (!cli->globals.json)
        printf("%s (%d)  intent %s, scope %s, resource %s\n%s\n", lm_rule_names[d->rule],
               lm_rule_status[d->rule], d->intent, d->scope, d->resource,
               d->rule == LM_RULE_ALLOW ? "allowed" : lm_policy_message(policy, d->rule));
}

/* Exit 3 when the answer is no, so that a script can ask. */
static enum lm_rc policy_test(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_policy *policy = NULL;
    struct lm_subject subject;
    struct lm_decision decision;
    LM_TRY(load_policy(cli, &policy, err));
    enum lm_rc rc = lm_policy_subject(policy, cli->args[0], &cli->arena, &subject, err);
    if (rc == LM_OK) {
        const struct lm_request_facts facts = {
            .route = cli->args[1],
            .text = lm_str(cli->args[2]),
            .partition = ((const struct policy_config *)cli->config[0])->partition,
            .cohort = -1,
        };
        lm_decide(policy, &subject, &facts, &cli->arena, &decision);
        print_decision(cli, policy, &decision);
        if (decision.rule != LM_RULE_ALLOW)
            rc = lm_fail(err, LM_EDENIED, "refused by rule %s", lm_rule_names[decision.rule]);
    }
    lm_policy_free(policy);
    return rc;
}

const struct lm_cli_action lm_policy_actions[] = {
    { "check", "", "is the policy file well-formed?", 0, 0, policy_check },
    { "show", "", "the built-in policy, to start an own one from", 0, 0, policy_show },
    { "test", "USER ROUTE TEXT", "the decision on one request", 3, 3, policy_test },
    { 0 },
};

/* ---- agreements ---- */

enum { AGREEMENT_BYTES_MAX = 1 << 20 };

static enum lm_rc version_of(const char *text, int64_t *ret, struct lm_err *err)
{
    if (!lm_str_to_i64(lm_str(text), ret) || *ret < 1)
        return lm_fail(err, LM_EINVAL, "'%s' is no version number (1, 2, ...)", text);
    return LM_OK;
}

static enum lm_rc publish(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    int64_t version = 0;
    struct lm_buf text = { 0 };
    LM_TRY(version_of(cli->args[0], &version, err));
    enum lm_rc rc = lm_file_read(cli->args[1], AGREEMENT_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_agreement_publish(db, version, lm_buf_str(&text), err);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc agreement_publish(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, publish(cli, db, err));
}

static enum lm_rc accept_agreement(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    int64_t version = 0;
    LM_TRY(version_of(cli->args[1], &version, err));
    return lm_agreement_accept(db, cli->args[0], version, err);
}

static enum lm_rc agreement_accept(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, accept_agreement(cli, db, err));
}

const struct lm_cli_action lm_agreement_actions[] = {
    { "publish", "VERSION FILE", "a new version; every user must accept it", 2, 2, agreement_publish },
    { "accept", "USER VERSION", "record a user's acceptance", 2, 2, agreement_accept },
    { 0 },
};

/* ---- audit ---- */

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

/* ---- feedback ---- */

struct feedback_config {
    const char *snapshot;
};
static const struct lm_opt feedback_rows[] = {
    { "snapshot", LM_OPT_STRING, LM_OPT_AT(struct feedback_config, snapshot), "feedback",
      .help = "name the pairs get" },
};
const struct lm_opt_table lm_feedback_options =
    LM_OPT_TABLE("feedback", struct feedback_config, feedback_rows);

static enum lm_rc export_feedback(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
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

static enum lm_rc feedback_export(struct lm_cli *cli, struct lm_err *err)
{
    WITH_DB(cli, err, export_feedback(cli, db, err));
}

const struct lm_cli_action lm_feedback_actions[] = {
    { "export", "FILE", "corrections and approved answers as fine-tuning pairs", 1, 1, feedback_export },
    { 0 },
};
