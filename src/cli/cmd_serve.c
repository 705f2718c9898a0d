/* cli/cmd_serve.c - the daemon. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "flow/adopt.h"
#include "flow/registry.h"
#include "serve/server.h"

struct serve_cli {
    struct lm_opt_list models;
    const char *alias;
};
static const struct lm_opt serve_rows[] = {
    { "model", LM_OPT_LIST, LM_OPT_AT(struct serve_cli, models), NULL,
      .help = "NAME=PATH (a folder or a GGUF file) to serve; default: every model of the registry that has "
              "the alias" },
    { "alias", LM_OPT_STRING, LM_OPT_AT(struct serve_cli, alias), "champion",
      .help = "which version of a registered model answers" },
};
const struct lm_opt_table lm_serve_cli_options = LM_OPT_TABLE("models", struct serve_cli, serve_rows);

enum { SERVED_MAX = 64 };

static enum lm_rc models_from_flags(struct lm_cli *cli, const struct serve_cli *c,
                                    struct lm_serve_model *models, size_t *count, struct lm_err *err)
{
    for (size_t i = 0; i < c->models.len; i++) {
        struct lm_str dir = lm_str(c->models.items[i]), name;
        if (!lm_str_split(&dir, '=', &name) || dir.len == 0 || name.len == 0)
            return lm_fail(err, LM_EINVAL, "--model=%s: write it as NAME=PATH", c->models.items[i]);
        if (*count == SERVED_MAX)
            return lm_fail(err, LM_ELIMIT, "at most %d models can be served together", SERVED_MAX);
        models[(*count)++] = (struct lm_serve_model){
            .name = lm_arena_strndup(&cli->arena, name.ptr, name.len),
            .dir = lm_arena_strndup(&cli->arena, dir.ptr, dir.len),
            .artifact = "",
        };
    }
    return LM_OK;
}

static bool has_alias(const struct lm_model_version *v, const char *alias)
{
    struct lm_str rest = lm_str(v->aliases), one;
    while (lm_str_split(&rest, ',', &one))
        if (lm_str_eq(one, lm_str(alias)))
            return true;
    return false;
}

static enum lm_rc models_from_registry(struct lm_cli *cli, const struct serve_cli *c,
                                       struct lm_serve_model *models, size_t *count, struct lm_err *err)
{
    struct lm_db *db = NULL;
    struct lm_model_version *versions = NULL;
    size_t version_count = 0;
    const char *store_dir = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    LM_TRY(lm_cli_db(cli, &db, err));
    const enum lm_rc rc = lm_registry_list(db, NULL, &cli->arena, &versions, &version_count, err);
    lm_db_close(db);
    LM_TRY(rc);
    for (size_t i = 0; i < version_count && *count < SERVED_MAX; i++) {
        if (!has_alias(&versions[i], c->alias))
            continue;
        struct lm_artifact artifact;
        LM_TRY(lm_artifact_load(store_dir, versions[i].artifact, &cli->arena, &artifact, err));
        models[(*count)++] = (struct lm_serve_model){
            .name = versions[i].model,
            .dir = lm_artifact_model_path(&artifact, &cli->arena),
            .artifact = versions[i].artifact,
        };
    }
    if (*count == 0)
        return lm_fail(err, LM_ENOENT,
                       "there is no model to serve: 'loom registry promote MODEL' makes a %s, or give "
                       "--model=NAME=PATH",
                       c->alias);
    return LM_OK;
}

enum lm_rc lm_cmd_serve(struct lm_cli *cli, struct lm_err *err)
{
    const struct serve_cli *c = cli->config[1];
    struct lm_serve_model *models = lm_arena_alloc(&cli->arena, SERVED_MAX * sizeof(*models));
    size_t count = 0;
    if (c->models.len)
        LM_TRY(models_from_flags(cli, c, models, &count, err));
    else
        LM_TRY(models_from_registry(cli, c, models, &count, err));
    const char *state = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    LM_TRY(lm_dir_make(state, err));
    struct lm_server *server = NULL;
    LM_TRY(lm_server_start(cli->config[0], models, count, state, &server, err));
    const enum lm_rc rc = lm_server_run(server, err);
    lm_server_free(server);
    return rc == LM_ESTOP ? LM_OK : rc;   // being asked to stop is how a daemon ends well
}
