/* cli/cmd_run.c - the project as a whole: init, run, status. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/track.h"
#include "flow/registry.h"
#include "flow/stage.h"
#include "train/ranks.h"

/* ---- init ---- */

static const char template[] =
    "# What to do, from documents to a served model.  Every key has a default: 'loom STAGE --help' lists "
    "them.\n"
    "name: my-assistant\n"
    "\n"
    "collect:\n"
    "  sources:\n"
    "    - name: documents\n"
    "      path: documents          # folder or file: HTML, text, Markdown, JSONL (.gz, .zst)\n"
    "      license: internal\n"
    "\n"
    "prepare:\n"
    "  languages: [en]\n"
    "\n"
    "tokenizer:\n"
    "  vocab-size: 4096\n"
    "\n"
    "pretrain:\n"
    "  steps: 1000\n"
    "\n"
    "finetune:\n"
    "  snapshots: []              # - name: support   # a model of its own for each application\n"
    "\n"
    "review: {}\n";

enum lm_rc lm_cmd_init(struct lm_cli *cli, struct lm_err *err)
{
    const char *dir = cli->arg_count ? cli->args[0] : cli->globals.project;
    const char *path = lm_arena_printf(&cli->arena, "%s/loom.yaml", dir);
    if (lm_path_exists(path))
        return lm_fail(err, LM_EEXIST, "'%s' is there already", path);
    LM_TRY(lm_dir_make(lm_arena_printf(&cli->arena, "%s/.loom", dir), err));
    LM_TRY(lm_file_write(path, lm_str(template), err));
    lm_say("made %s: name your documents in it, then 'loom run'", path);
    return LM_OK;
}

/* ---- run, status ---- */

static const struct lm_opt run_rows[] = {
    { "from", LM_OPT_STRING, LM_OPT_AT(struct lm_run_options, from), NULL,
      .help = "make this stage and all after it again" },
    { "force", LM_OPT_BOOL, LM_OPT_AT(struct lm_run_options, force), "false",
      .help = "make every stage again" },
    { "dry-run", LM_OPT_BOOL, LM_OPT_AT(struct lm_run_options, dry_run), "false",
      .help = "only say what would be made" },
};
const struct lm_opt_table lm_run_options_table = LM_OPT_TABLE("run", struct lm_run_options, run_rows);

static const char *const outcome_names[] = {
    [LM_STAGE_TODO] = "to do",
    [LM_STAGE_MADE] = "made",
    [LM_STAGE_UNCHANGED] = "unchanged",
};

/* Models whose review is there become versions; the registry tells old from new. */
static enum lm_rc register_models(struct lm_cli *cli, const struct lm_plan *plan,
                                  const struct lm_stage_result *results, struct lm_err *err)
{
    const struct lm_stage_result *review = &results[plan->count - 1];
    LM_ASSERT(strcmp(plan->stages[plan->count - 1].kind->name, "review") == 0);
    if (review->outcome == LM_STAGE_TODO)
        return LM_OK;
    struct lm_db *db = NULL;
    LM_TRY(lm_cli_db(cli, &db, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; rc == LM_OK && i < plan->count; i++) {
        const struct lm_stage *stage = &plan->stages[i];
        const bool is_base = strcmp(stage->kind->name, "pretrain") == 0;
        if (!stage->snapshot && !is_base)
            continue;
        int64_t version = 0;
        const char *name = stage->snapshot ? stage->snapshot->name : "base";
        rc = lm_registry_add(db, name, &results[i].artifact, &review->artifact, lm_wall_ms(), &version, err);
        if (rc == LM_OK)
            lm_say("model %s is version %lld", name, (long long)version);
    }
    lm_db_close(db);
    return rc;
}

static void report(struct lm_cli *cli, const struct lm_plan *plan, const struct lm_stage_result *results)
{
    lm_buf_puts(&cli->result, "{\"stages\":[");
    for (size_t i = 0; i < plan->count; i++) {
        const struct lm_stage_result *r = &results[i];
        lm_json_sep(&cli->result);
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "stage", lm_str(plan->stages[i].name));
        lm_json_key_str(&cli->result, "outcome", lm_str(outcome_names[r->outcome]));
        if (r->outcome != LM_STAGE_TODO) {
            lm_json_key_str(&cli->result, "artifact", lm_str(r->artifact.id));
            lm_json_key_str(&cli->result, "dir", lm_str(r->artifact.dir));
        }
        lm_buf_putc(&cli->result, '}');
        if (!cli->globals.json)
            printf("%-18s %-10s %s\n", plan->stages[i].name, outcome_names[r->outcome],
                   r->outcome == LM_STAGE_TODO ? "" : r->artifact.dir);
    }
    lm_buf_puts(&cli->result, "]}");
}

static enum lm_rc load_plan(struct lm_cli *cli, struct lm_project *project, struct lm_plan *plan,
                            struct lm_err *err)
{
    LM_TRY(lm_project_load(cli->globals.project, &cli->arena, project, err));
    return lm_plan_make(project, &cli->arena, plan, err);
}

/* Several processes would each make the whole project. */
static enum lm_rc check_alone(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_ranks ranks;
    LM_TRY(lm_cli_join(cli, &ranks, err));
    const enum lm_rc rc =
        ranks.count == 1
            ? LM_OK
            : lm_fail(
                  err, LM_EINVAL,
                  "run: a project is made by one process, and %d were started; start it without mpirun or "
                  "srun (pretrain, finetune and tune share their work among several)",
                  ranks.count);
    return lm_ranks_close(&ranks, rc, err);
}

enum lm_rc lm_cmd_run(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_project project;
    struct lm_plan plan;
    struct lm_run_options options = *(const struct lm_run_options *)cli->config[0];
    LM_TRY(check_alone(cli, err));
    LM_TRY(load_plan(cli, &project, &plan, err));
    options.only = cli->args;
    options.only_count = cli->arg_count;
    struct lm_stage_result *results = lm_arena_alloc(&cli->arena, plan.count * sizeof(*results));
    LM_TRACKERS struct lm_trackers *trackers = NULL;
    LM_TRY(lm_trackers_new(cli, &((const struct lm_track_options *)cli->config[1])->targets, &trackers, err));
    project.tracking = lm_trackers_tracking(trackers);
    const enum lm_rc rc = lm_plan_run(&plan, &options, &cli->arena, results, err);
    if (rc != LM_OK && rc != LM_ENOTHING)
        return rc;
    report(cli, &plan, results);
    if (!options.dry_run)
        LM_TRY(register_models(cli, &plan, results, err));
    return rc;
}

enum lm_rc lm_cmd_status(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_project project;
    struct lm_plan plan;
    LM_TRY(load_plan(cli, &project, &plan, err));
    struct lm_stage_result *results = lm_arena_alloc(&cli->arena, plan.count * sizeof(*results));
    LM_TRY(lm_plan_status(&plan, &cli->arena, results, err));
    report(cli, &plan, results);
    return LM_OK;
}
