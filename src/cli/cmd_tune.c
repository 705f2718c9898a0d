/* cli/cmd_tune.c - the search for settings, on folders or in a project. */

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/track.h"
#include "flow/stage.h"
#include "review/tune_page.h"
#include "train/ranks.h"
#include "train/train.h"
#include "train/tune.h"

#include <math.h>
#include <stdlib.h>

struct tune_paths {
    const char *tokens, *tokenizer, *model, *pairs, *out;
};
#define AT(field) LM_OPT_AT(struct tune_paths, field)
static const struct lm_opt rows[] = {
    { "tokens", LM_OPT_STRING, AT(tokens), NULL,
      .help = "folder of train.tokens and heldout.tokens (pretrain); without: the project's" },
    { "tokenizer", LM_OPT_STRING, AT(tokenizer), NULL,
      .help = "folder of tokenizer.json (pretrain); without: the project's" },
    { "model", LM_OPT_STRING, AT(model), NULL,
      .help = "model folder to start from (finetune); without: the project's" },
    { "pairs", LM_OPT_STRING, AT(pairs), NULL, .help = "pairs.jsonl (finetune); without: the project's" },
    { "out", LM_OPT_STRING, AT(out), NULL, .help = "folder to make", .required = true },
};
#undef AT
const struct lm_opt_table lm_tune_path_options = LM_OPT_TABLE("paths", struct tune_paths, rows);

enum { TUNE, PATHS, TRACKING, SETTINGS };   // places in cli->config

/* What both actions share; the target's state. */
struct job {
    struct lm_cli *cli;
    const struct tune_paths *paths;
    struct lm_space space;
    struct lm_tune_target target;
    struct lm_trackers *trackers;   // NULL: nobody follows, or another rank tells
    char data[LM_SHA256_HEX];
};

/* ---- training ---- */

/* Each trial is a run of its own for those who follow; one that stops at a rung may go on. */
static const struct lm_track *follow(const struct job *job, const void *config, const struct lm_rung *rung,
                                     const char *work_dir)
{
    char name[32];
    snprintf(name, sizeof name, "trial-%.16s", lm_path_base(work_dir));
    return rung && job->trackers
               ? lm_tracking_open(lm_trackers_tracking(job->trackers), name, job->target.options, config)
               : NULL;   // the best again, to write it
}

static void follow_end(const struct job *job, const struct lm_rung *rung, enum lm_rc rc)
{
    if (rung && job->trackers)
        lm_tracking_close(lm_trackers_tracking(job->trackers), rung->reached ? LM_ENOTHING : rc);
}

static enum lm_rc train_pretrain(void *state, const void *config, struct lm_rung *rung, const char *work_dir,
                                 const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    const struct job *job = state;
    struct lm_pretrain_config c = *(const struct lm_pretrain_config *)config;
    c.training.rung = rung;
    c.training.ranks = job->target.ranks;
    c.training.track = follow(job, config, rung, work_dir);
    const enum lm_rc rc =
        lm_pretrain(&c, job->paths->tokens, job->paths->tokenizer, work_dir, out_dir, metrics, err);
    follow_end(job, rung, rc);
    return rc;
}

static enum lm_rc train_finetune(void *state, const void *config, struct lm_rung *rung, const char *work_dir,
                                 const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    const struct job *job = state;
    struct lm_finetune_config c = *(const struct lm_finetune_config *)config;
    c.training.rung = rung;
    c.training.ranks = job->target.ranks;
    c.training.track = follow(job, config, rung, work_dir);
    const enum lm_rc rc =
        lm_finetune(&c, job->paths->model, job->paths->pairs, work_dir, out_dir, metrics, err);
    follow_end(job, rung, rc);
    return rc;
}

/* The page is for looking: a fault in it does not end a search. */
static void show_page(void *state, const char *work_dir)
{
    struct lm_err err = { 0 };
    (void)state;
    if (lm_tune_page(work_dir, &err) != LM_OK)
        lm_warn("tune: %s", err.text);
}

/* ---- inputs ---- */

static enum lm_rc add_file(struct lm_sha256 *hash, const char *dir, const char *name, bool required,
                           struct lm_err *err)
{
    char digest[LM_SHA256_HEX];
    LM_FREE char *path = dir ? lm_path_join(dir, name) : lm_strdup(name);
    if (!required && !lm_path_exists(path))
        return LM_OK;
    LM_TRY(lm_sha256_file(path, digest, err));
    lm_sha256_add_field(hash, lm_str(digest));
    return LM_OK;
}

/* loom.yaml of the search gives its space; flags and files come before it. */
static enum lm_rc read_space(struct job *job, const char *action, struct lm_err *err)
{
    struct lm_cli *cli = job->cli;
    const struct lm_tune_config *c = cli->config[TUNE];
    const struct lm_yaml *root = NULL;
    LM_TRY(lm_space_from_words(&job->space, &c->searched, "--try", &cli->arena, err));
    if (c->space) {
        LM_TRY(lm_yaml_read(c->space, &cli->arena, &root, err));
        return lm_space_from_yaml(&job->space, root, c->space, &cli->arena, err);
    }
    if (job->space.count > 0 || !cli->config_file)
        return LM_OK;
    LM_TRY(lm_yaml_read(cli->config_file, &cli->arena, &root, err));
    return lm_space_from_yaml(&job->space, lm_yaml_get(lm_yaml_get(root, "tune"), action), cli->config_file,
                              &cli->arena, err);
}

/* Makes two stages of the project, if need be, and says where their folders are, a line each. */
static enum lm_rc make_stages(struct lm_cli *cli, const struct lm_project *project,
                              const char *const names[2], struct lm_buf *ret, struct lm_err *err)
{
    struct lm_plan plan;
    LM_TRY(lm_plan_make(project, &cli->arena, &plan, err));
    struct lm_stage_result *results = lm_arena_alloc(&cli->arena, plan.count * sizeof *results);
    const struct lm_run_options options = { .only = names, .only_count = 2 };
    const enum lm_rc rc = lm_plan_run(&plan, &options, &cli->arena, results, err);
    if (rc != LM_OK && rc != LM_ENOTHING)
        return rc;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < plan.count; i++)
            if (strcmp(plan.stages[i].name, names[k]) == 0)
                lm_buf_printf(ret, "%s\n", results[i].artifact.dir);
    return LM_OK;
}

/* By the first rank for all. */
static enum lm_rc project_stages(struct job *job, const char *const names[2], const char *ret_dirs[2],
                                 struct lm_project *project, struct lm_err *err)
{
    struct lm_cli *cli = job->cli;
    struct lm_ranks *ranks = job->target.ranks;
    struct lm_buf dirs = { 0 };
    LM_TRY(lm_project_load(cli->globals.project, &cli->arena, project, err));
    enum lm_rc rc = ranks->rank == 0 ? make_stages(cli, project, names, &dirs, err) : LM_OK;
    rc = lm_ranks_agree(ranks, rc, err);
    if (rc == LM_OK)
        rc = lm_ranks_share_text(ranks, &dirs, err);
    struct lm_str left = lm_buf_str(&dirs), line;
    for (size_t k = 0; k < 2; k++)
        ret_dirs[k] = rc == LM_OK && lm_str_split(&left, '\n', &line)
                          ? lm_arena_strndup(&cli->arena, line.ptr, line.len)
                          : "";
    lm_buf_release(&dirs);
    return rc;
}

static enum lm_rc missing(const char *a, const char *b, struct lm_err *err)
{
    return lm_fail(err, LM_EINVAL, "tune: give --%s and --%s, or --project of a loom.yaml", a, b);
}

/* ---- the search ---- */

static enum lm_rc refuse_private(const struct lm_dp_options *dp, struct lm_err *err)
{
    if (!lm_dp_wanted(dp))
        return LM_OK;
    return lm_fail(err, LM_EINVAL,
                   "tune: private runs (dp-...) are not searched: every trial would spend privacy, and the "
                   "choice tells of the data");
}

static void tell(struct job *job, const struct lm_tune_result *r, const char *out)
{
    struct lm_buf yaml = { 0 };
    lm_tune_yaml(&job->space, &job->target, r, &yaml);
    if (!job->cli->globals.json)
        fwrite(yaml.ptr, 1, yaml.len, stdout);
    lm_buf_release(&yaml);
    if (isfinite(r->baseline_loss))
        lm_say("tune: the settings as they are had %.4f after %llu steps", r->baseline_loss,
               (unsigned long long)r->baseline_step);
    lm_say("made %s: tune.html shows all %zu trials (%zu failed), best.yaml has the best", out, r->trials,
           r->failed);
}

static enum lm_rc train_and_write(struct job *job, const struct lm_cli_out *out, struct lm_tune_result *ret,
                                  struct lm_err *err)
{
    struct lm_cli *cli = job->cli;
    const struct lm_tune_config *c = cli->config[TUNE];
    LM_TRY(lm_tune(c, &job->space, &job->target, out->work_dir, &cli->arena, ret, err));
    return lm_tune_write(c, &job->space, &job->target, ret, out->work_dir, out->out_dir, &cli->arena,
                         &cli->result, err);
}

/* The first rank's: whoever else takes part only trains. */
static enum lm_rc search_first(struct job *job, struct lm_err *err)
{
    struct lm_cli *cli = job->cli;
    struct lm_cli_out out;
    struct lm_tune_result result;
    LM_TRACKERS struct lm_trackers *trackers = NULL;
    LM_TRY(lm_trackers_new(cli, &((const struct lm_track_options *)cli->config[TRACKING])->targets, &trackers,
                           err));
    LM_TRY(lm_cli_out_begin(cli, job->paths->out, &out, err));
    job->trackers = trackers;
    enum lm_rc rc = train_and_write(job, &out, &result, err);
    if (rc == LM_OK)
        rc = lm_tune_page(out.out_dir, err);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        tell(job, &result, out.final_dir);
    else
        (void)lm_path_remove(out.out_dir, NULL);
    return rc;
}

static enum lm_rc search(struct job *job, const char *action, struct lm_err *err)
{
    struct lm_tune_result result;
    LM_TRY(read_space(job, action, err));
    job->target.state = job;
    job->target.told = show_page;
    job->target.data = job->data;
    if (job->target.ranks->rank == 0)
        return search_first(job, err);
    const struct lm_cli_out out = lm_cli_out_of(job->cli, job->paths->out);
    return train_and_write(job, &out, &result, err);
}

static enum lm_rc tune_pretrain(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err)
{
    struct tune_paths *p = cli->config[PATHS];
    const struct lm_pretrain_config *c = cli->config[SETTINGS];
    struct job job = { .cli = cli, .paths = p, .space = { .table = &lm_pretrain_options } };
    job.target = (struct lm_tune_target){
        .options = &lm_pretrain_options, .base = c, .train = train_pretrain, .ranks = ranks
    };
    LM_TRY(refuse_private(&c->training.dp, err));
    if (!p->tokens != !p->tokenizer || (!p->tokens && !cli->config_file))
        return missing("tokens", "tokenizer", err);
    if (!p->tokens) {
        static const char *const names[2] = { "tokens", "tokenizer" };
        const char *dirs[2];
        struct lm_project project;
        LM_TRY(project_stages(&job, names, dirs, &project, err));
        p->tokens = dirs[0];
        p->tokenizer = dirs[1];
    }
    struct lm_sha256 hash;
    lm_sha256_init(&hash);
    LM_TRY(add_file(&hash, p->tokens, "train.tokens", true, err));
    LM_TRY(add_file(&hash, p->tokens, "heldout.tokens", false, err));
    LM_TRY(add_file(&hash, p->tokenizer, "tokenizer.json", true, err));
    lm_sha256_end_hex(&hash, job.data);
    return search(&job, "pretrain", err);
}

static size_t field_bytes(const struct lm_opt *opt)
{
    static const size_t bytes[] = {
        [LM_OPT_INT] = sizeof(int64_t), [LM_OPT_REAL] = sizeof(double),
        [LM_OPT_BOOL] = sizeof(bool),   [LM_OPT_STRING] = sizeof(const char *),
        [LM_OPT_CHOICE] = sizeof(int),  [LM_OPT_LIST] = sizeof(struct lm_opt_list),
    };
    return bytes[opt->type];
}

/* The settings of a snapshot of the project, below those given as flags.  One snapshot need not be named. */
static enum lm_rc snapshot_settings(struct lm_cli *cli, const struct lm_project *project, struct lm_err *err)
{
    struct lm_finetune_config *c = cli->config[SETTINGS];
    const struct lm_project_snapshot *found = project->snapshot_count == 1 ? &project->snapshots[0] : NULL;
    for (size_t i = 0; c->snapshot && i < project->snapshot_count; i++)
        if (strcmp(project->snapshots[i].name, c->snapshot) == 0)
            found = &project->snapshots[i];
    if (!found && project->snapshots && project->snapshot_count > 0 && !c->snapshot)
        return lm_fail(err, LM_EINVAL, "tune: the project has %zu snapshots; say which, like --snapshot=%s",
                       project->snapshot_count, project->snapshots[0].name);
    if (!found)
        return LM_OK;
    struct lm_finetune_config merged = found->config;
    for (size_t i = 0; i < cli->flag_count; i++) {
        const struct lm_opt *opt = cli->flags[i].opt;
        if (cli->flags[i].config == c && strcmp(opt->name, "snapshot") != 0)
            memcpy((char *)&merged + opt->offset, (const char *)c + opt->offset, field_bytes(opt));
    }
    *c = merged;
    return LM_OK;
}

static enum lm_rc tune_finetune(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err)
{
    struct tune_paths *p = cli->config[PATHS];
    const struct lm_finetune_config *c = cli->config[SETTINGS];
    struct job job = { .cli = cli, .paths = p, .space = { .table = &lm_finetune_options } };
    job.target = (struct lm_tune_target){
        .options = &lm_finetune_options, .base = c, .train = train_finetune, .ranks = ranks
    };
    if ((!p->model || !p->pairs) && !cli->config_file)
        return missing("model", "pairs", err);
    if (!p->pairs || !p->model) {
        static const char *const names[2] = { "pretrain", "pairs" };
        const char *dirs[2] = { 0 };
        struct lm_project project;
        LM_TRY(project_stages(&job, names, dirs, &project, err));
        p->model = p->model ? p->model : dirs[0];
        p->pairs = p->pairs ? p->pairs : lm_arena_printf(&cli->arena, "%s/pairs.jsonl", dirs[1]);
        LM_TRY(snapshot_settings(cli, &project, err));
    }
    LM_TRY(refuse_private(&c->training.dp, err));
    struct lm_sha256 hash;
    lm_sha256_init(&hash);
    LM_TRY(add_file(&hash, p->model, "model.safetensors", true, err));
    LM_TRY(add_file(&hash, p->model, "tokenizer.json", true, err));
    LM_TRY(add_file(&hash, NULL, p->pairs, true, err));
    lm_sha256_end_hex(&hash, job.data);
    return search(&job, "finetune", err);
}

static enum lm_rc together(struct lm_cli *cli,
                           enum lm_rc (*action)(struct lm_cli *cli, struct lm_ranks *ranks,
                                                struct lm_err *err),
                           struct lm_err *err)
{
    struct lm_ranks ranks;
    LM_TRY(lm_cli_join(cli, &ranks, err));
    return lm_ranks_close(&ranks, action(cli, &ranks, err), err);
}

static enum lm_rc run_pretrain(struct lm_cli *cli, struct lm_err *err)
{
    return together(cli, tune_pretrain, err);
}

static enum lm_rc run_finetune(struct lm_cli *cli, struct lm_err *err)
{
    return together(cli, tune_finetune, err);
}

const struct lm_cli_action lm_tune_actions[] = {
    { "pretrain", "[--tokens=DIR --tokenizer=DIR] --out=DIR", "search for the settings of pre-training", 0, 0,
      .run = run_pretrain, .table = &lm_pretrain_options },
    { "finetune", "[--model=DIR --pairs=FILE] --out=DIR", "search for the settings of fine-tuning", 0, 0,
      .run = run_finetune, .table = &lm_finetune_options },
    { 0 },
};
