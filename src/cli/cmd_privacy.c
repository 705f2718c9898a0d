/* cli/cmd_privacy.c - what training with noise costs, and how much noise a promise needs. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "train/ledger.h"

#include <math.h>

struct privacy_config {
    double noise, rate, delta, epsilon;
    int64_t steps;
    int accountant;
};
#define ROW(field) LM_OPT_AT(struct privacy_config, field)
static const struct lm_opt privacy_rows[] = {
    { "noise", LM_OPT_REAL, ROW(noise), "1", 1e-3, 1e6, "",
      "standard deviation over clipping norm (epsilon)" },
    { "rate", LM_OPT_REAL, ROW(rate), "0.01", 1e-12, 1, "",
      "probability with which a unit joins a step: expected batch over number of units" },
    { "steps", LM_OPT_INT, ROW(steps), "1000", 1, 1e12, "steps", "noisy updates, empty ones too" },
    { "delta", LM_OPT_REAL, ROW(delta), "1e-5", 1e-15, 0.5, "", "well below 1 / number of units" },
    { "epsilon", LM_OPT_REAL, ROW(epsilon), "8", 1e-3, 1e6, "", "to stay within (noise, budget)" },
    { "accountant", LM_OPT_CHOICE, ROW(accountant), "best", .choices = lm_dp_accountants,
      .help = "best: the smallest of the bounds; gdp is no bound (noise)" },
};
const struct lm_opt_table lm_privacy_options = LM_OPT_TABLE("privacy", struct privacy_config, privacy_rows);

/* A number, or null: JSON has no infinity. */
static void put(struct lm_buf *json, const char *key, double value)
{
    lm_json_key_num(json, key, value);
}

static enum lm_rc tell(struct lm_cli *cli, const struct lm_dp_phase *phase, double delta, struct lm_err *err)
{
    struct lm_dp_spent s;
    LM_TRY(lm_dp_account(phase, 1, delta, &s, err));
    if (!cli->globals.json) {
        printf("epsilon %.4f at delta %g: noise %.6g, rate %.6g, %llu steps\n", s.epsilon, delta,
               phase->sigma, phase->q, (unsigned long long)phase->steps);
        printf("  prv  %.6f   upper bound (lower: %.6f)\n", s.prv, s.prv_lower);
        printf("  rdp  %.6f   upper bound, order %g%s\n", s.rdp, s.rdp_order,
               s.rdp_order_at_end ? ", the last one tried: may be loose" : "");
        printf("  gdp  %.6f   %s\n", s.gdp, phase->q < 1 ? "approximation, no bound" : "exact");
    }
    struct lm_buf *json = &cli->result;
    lm_buf_putc(json, '{');
    put(json, "epsilon", s.epsilon);
    put(json, "delta", delta);
    put(json, "noise", phase->sigma);
    put(json, "rate", phase->q);
    lm_json_key_int(json, "steps", (int64_t)phase->steps);
    put(json, "prv", s.prv);
    put(json, "prv_lower", s.prv_lower);
    put(json, "rdp", s.rdp);
    put(json, "rdp_order", s.rdp_order);
    put(json, "gdp", s.gdp);
    lm_buf_putc(json, '}');
    return LM_OK;
}

static enum lm_rc privacy_epsilon(struct lm_cli *cli, struct lm_err *err)
{
    const struct privacy_config *c = cli->config[0];
    const struct lm_dp_phase phase = { c->noise, c->rate, (uint64_t)c->steps };
    return tell(cli, &phase, c->delta, err);
}

static enum lm_rc privacy_noise(struct lm_cli *cli, struct lm_err *err)
{
    const struct privacy_config *c = cli->config[0];
    const struct lm_dp_goal goal = { c->accountant, c->epsilon, c->delta, c->rate, (uint64_t)c->steps };
    struct lm_dp_phase phase = { 0, c->rate, (uint64_t)c->steps };
    LM_TRY(lm_dp_noise(&goal, NULL, 0, &phase.sigma, err));
    return tell(cli, &phase, c->delta, err);
}

/* ---- the ledger ---- */

static enum lm_rc privacy_budget(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct privacy_config *c = cli->config[0];
    return lm_ledger_budget(db, cli->args[0], c->epsilon, c->delta, err);
}

static enum lm_rc privacy_ledger(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    struct lm_ledger_row *rows;
    size_t count;
    LM_TRY(lm_ledger_list(db, &cli->arena, &rows, &count, err));
    lm_buf_puts(&cli->result, "{\"partitions\":[");
    for (size_t i = 0; i < count; i++) {
        const struct lm_ledger_row *r = &rows[i];
        if (!cli->globals.json) {
            char budget[64] = "no budget";
            if (r->budget > 0)
                snprintf(budget, sizeof budget, "budget %g", r->budget);
            printf("%-24s %lld runs  epsilon %.4f at delta %g  %s\n", r->partition, (long long)r->runs,
                   r->spent.epsilon, r->delta, budget);
        }
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "partition", lm_str(r->partition));
        lm_json_key_int(&cli->result, "runs", r->runs);
        lm_json_key_num(&cli->result, "epsilon", r->spent.epsilon);
        lm_json_key_num(&cli->result, "delta", r->delta);
        lm_json_key_num(&cli->result, "budget", r->budget);
        lm_buf_putc(&cli->result, '}');
    }
    lm_buf_puts(&cli->result, "]}");
    return LM_OK;
}

const struct lm_cli_action lm_privacy_actions[] = {
    { "epsilon", "--noise=S --rate=Q --steps=N --delta=D", "what so many noisy steps cost", 0, 0,
      privacy_epsilon },
    { "noise", "--epsilon=E --rate=Q --steps=N --delta=D", "the least noise that keeps within epsilon", 0, 0,
      privacy_noise },
    { "budget", "PARTITION --epsilon=E --delta=D", "refuse runs on this data that would lead beyond it", 1, 1,
      .run_db = privacy_budget },
    { "ledger", "", "what was spent of the privacy of each partition, over all runs", 0, 0,
      .run_db = privacy_ledger },
    { 0 },
};
