/* cli/cmd_policy.c - the rules: well-formed, and what they say to one request. */

#include "base/json.h"
#include "cli/commands.h"
#include "govern/govern.h"

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
