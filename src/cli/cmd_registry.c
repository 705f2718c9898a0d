/* cli/cmd_registry.c - versions of models and which of them answers. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "flow/adopt.h"
#include "flow/registry.h"

struct options {
    const char *alias, *reason, *by, *review;
    int64_t version;
};
static const struct lm_opt rows[] = {
    { "alias", LM_OPT_STRING, LM_OPT_AT(struct options, alias), "champion", .help = "the alias to move" },
    { "version", LM_OPT_INT, LM_OPT_AT(struct options, version), "0", 0, 1e9, "",
      "0 = newest (promote), the alias (card)" },
    { "reason", LM_OPT_STRING, LM_OPT_AT(struct options, reason), "", .help = "kept in the history" },
    { "by", LM_OPT_STRING, LM_OPT_AT(struct options, by), NULL,
      .help = "who decides; default: the user who runs this" },
    { "review", LM_OPT_STRING, LM_OPT_AT(struct options, review), NULL,
      .help = "folder that 'loom review' made of the model (add)" },
};
const struct lm_opt_table lm_registry_cli_options = LM_OPT_TABLE("registry", struct options, rows);

static enum lm_rc list(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    struct lm_model_version *versions = NULL;
    size_t count = 0;
    LM_TRY(lm_registry_list(db, cli->arg_count ? cli->args[0] : NULL, &cli->arena, &versions, &count, err));
    lm_buf_puts(&cli->result, "{\"versions\":[");
    for (size_t i = 0; i < count; i++) {
        const struct lm_model_version *v = &versions[i];
        if (!cli->globals.json)
            printf("%-14s %4lld  %.12s  gates %-10s  %s\n", v->model, (long long)v->version, v->artifact,
                   v->passed ? "passed" : "not passed", v->aliases);
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "model", lm_str(v->model));
        lm_json_key_int(&cli->result, "version", v->version);
        lm_json_key_str(&cli->result, "artifact", lm_str(v->artifact));
        lm_json_key_str(&cli->result, "review", lm_str(v->review));
        lm_json_key_bool(&cli->result, "passed", v->passed);
        lm_json_key_str(&cli->result, "aliases", lm_str(v->aliases));
        lm_buf_putc(&cli->result, '}');
    }
    lm_buf_puts(&cli->result, "]}");
    return LM_OK;
}

/* A model made elsewhere, as an artifact of this project. */
static enum lm_rc add(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct options *o = cli->config[0];
    struct lm_artifact model, review;
    const char *store_dir = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    int64_t version = 0;
    if (!o->review)
        return lm_fail(err, LM_EINVAL,
                       "--review is missing: the folder that 'loom review' made of the model");
    LM_TRY(lm_adopt(store_dir, cli->args[1], o->review, &cli->arena, &model, &review, err));
    LM_TRY(lm_registry_add(db, cli->args[0], &model, &review, lm_wall_ms(), &version, err));
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "version", version);
    lm_json_key_str(&cli->result, "artifact", lm_str(model.id));
    lm_json_key_str(&cli->result, "review", lm_str(review.id));
    lm_buf_putc(&cli->result, '}');
    lm_say("%s is version %lld of %s", cli->args[1], (long long)version, cli->args[0]);
    return LM_OK;
}

static const char *who(const struct options *o)
{
    return o->by ? o->by : lm_cli_who();
}

static enum lm_rc promote(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct options *o = cli->config[0];
    const enum lm_rc rc =
        lm_registry_promote(db, cli->args[0], o->version, o->alias, who(o), o->reason, lm_wall_ms(), err);
    if (rc == LM_OK)
        lm_say("%s has a new %s", cli->args[0], o->alias);
    return rc;
}

static enum lm_rc rollback(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct options *o = cli->config[0];
    int64_t version = 0;
    const enum lm_rc rc =
        lm_registry_rollback(db, cli->args[0], o->alias, who(o), o->reason, lm_wall_ms(), &version, err);
    if (rc == LM_OK)
        lm_say("%s of %s is version %lld again", o->alias, cli->args[0], (long long)version);
    return rc;
}

static enum lm_rc card(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    const struct options *o = cli->config[0];
    struct lm_model_version version;
    struct lm_buf text = { 0 };
    const char *store_dir = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    enum lm_rc rc = lm_registry_get(db, cli->args[0], o->version, o->alias, &cli->arena, &version, err);
    if (rc == LM_OK)
        rc = lm_registry_card(db, store_dir, &version, &text, err);
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "card", lm_buf_str(&text));
        lm_buf_putc(&cli->result, '}');
        if (!cli->globals.json)
            fputs(text.ptr, stdout);
    }
    lm_buf_release(&text);
    return rc;
}

const struct lm_cli_action lm_registry_actions[] = {
    { "list", "[MODEL]", "versions, newest first", 0, 1, .run_db = list },
    { "add", "NAME MODEL --review=DIR", "a model made elsewhere, with the review that judged it", 2, 2,
      .run_db = add },
    { "promote", "MODEL", "give an alias to a version whose gates passed", 1, 1, .run_db = promote },
    { "rollback", "MODEL", "give the alias back to the version before", 1, 1, .run_db = rollback },
    { "card", "MODEL", "model card in Markdown", 1, 1, .run_db = card },
    { 0 },
};
