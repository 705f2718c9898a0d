/* flow/plan.c - from a project to its stages, and from stages to artifacts. */

#include "base/file.h"
#include "base/sys.h"
#include "flow/stage.h"

#include <stdlib.h>

/* ---- making the plan ---- */

/* One hash over the names and contents of all source files. */
static enum lm_rc hash_sources(const struct lm_project *project, struct lm_arena *arena, const char **ret,
                               struct lm_err *err)
{
    struct lm_sha256 h;
    lm_sha256_init(&h);
    for (size_t i = 0; i < project->source_count; i++) {
        struct lm_file_list list = { 0 };
        enum lm_rc rc = lm_file_walk(project->sources[i].path, &list, err);
        lm_sha256_add_field(&h, lm_str(project->sources[i].name));
        for (size_t k = 0; rc == LM_OK && k < list.len; k++) {
            char sha[LM_SHA256_HEX];
            rc = lm_sha256_file(list.items[k].path, sha, err);
            lm_sha256_add_field(&h, lm_str(list.items[k].relative));
            lm_sha256_add_field(&h, lm_str(sha));
        }
        lm_file_list_release(&list);
        if (rc != LM_OK)
            return lm_err_prefix(err, rc, "source '%s'", project->sources[i].name);
    }
    char hex[LM_SHA256_HEX];
    lm_sha256_end_hex(&h, hex);
    *ret = lm_arena_strdup(arena, hex);
    return LM_OK;
}

static void add_inputs(const struct lm_plan *plan, struct lm_stage *stage)
{
    for (size_t i = 0; i < sizeof(stage->kind->inputs) / sizeof(stage->kind->inputs[0]); i++)
        for (size_t s = 0; stage->kind->inputs[i].role && s < plan->count; s++)
            if (strcmp(plan->stages[s].kind->name, stage->kind->inputs[i].kind) == 0) {
                LM_ASSERT(stage->input_count < LM_STAGE_INPUTS_MAX);
                stage->inputs[stage->input_count].role = stage->kind->inputs[i].role;
                stage->inputs[stage->input_count++].stage = s;
            }
}

static enum lm_rc add_stage(struct lm_plan *plan, const struct lm_stage_kind *kind,
                            const struct lm_project_snapshot *snapshot, struct lm_arena *arena,
                            struct lm_err *err)
{
    struct lm_stage *stage = &plan->stages[plan->count];
    stage->kind = kind;
    stage->snapshot = snapshot;
    stage->name = snapshot ? lm_arena_printf(arena, "%s.%s", kind->name, snapshot->name) : kind->name;
    struct lm_buf options = { 0 };
    kind->options(plan->project, stage, &options);
    stage->options = (struct lm_str){ lm_arena_strndup(arena, options.ptr, options.len), options.len };
    lm_buf_release(&options);
    add_inputs(plan, stage);
    if (kind->from_sources)
        LM_TRY(hash_sources(plan->project, arena, &stage->source_hash, err));
    plan->count++;
    return LM_OK;
}

enum lm_rc lm_plan_make(const struct lm_project *project, struct lm_arena *arena, struct lm_plan *ret,
                        struct lm_err *err)
{
    struct lm_plan plan = { .project = project };
    plan.stages =
        lm_arena_alloc(arena, (lm_stage_kind_count + project->snapshot_count) * sizeof(*plan.stages));
    for (size_t k = 0; k < lm_stage_kind_count; k++) {
        const struct lm_stage_kind *kind = &lm_stage_kinds[k];
        if (!kind->per_snapshot)
            LM_TRY(add_stage(&plan, kind, NULL, arena, err));
        for (size_t s = 0; kind->per_snapshot && s < project->snapshot_count; s++)
            LM_TRY(add_stage(&plan, kind, &project->snapshots[s], arena, err));
    }
    *ret = plan;
    return LM_OK;
}

/* ---- running it ---- */

static bool recipe_of(const struct lm_stage *stage, const struct lm_stage_result *results,
                      struct lm_arena *arena, struct lm_recipe *ret)
{
    struct lm_artifact_input *inputs = lm_arena_alloc(arena, (stage->input_count + 1) * sizeof(*inputs));
    size_t count = 0;
    for (size_t i = 0; i < stage->input_count; i++) {
        const struct lm_stage_result *from = &results[stage->inputs[i].stage];
        if (from->outcome == LM_STAGE_TODO)
            return false;
        inputs[count++] = (struct lm_artifact_input){ stage->inputs[i].role, from->artifact.id };
    }
    if (stage->source_hash)
        inputs[count++] = (struct lm_artifact_input){ "source", stage->source_hash };
    *ret = (struct lm_recipe){ stage->name, stage->kind->code_version, stage->options, inputs, count };
    return true;
}

static enum lm_rc make(const struct lm_plan *plan, const struct lm_stage *stage,
                       const struct lm_recipe *recipe, const struct lm_stage_result *results,
                       struct lm_arena *arena, struct lm_artifact *ret, struct lm_err *err)
{
    struct lm_making making;
    LM_TRY(lm_making_begin(&making, plan->project->state_dir, recipe, err));
    struct lm_artifact *inputs = lm_arena_alloc(arena, (stage->input_count + 1) * sizeof(*inputs));
    for (size_t i = 0; i < stage->input_count; i++)
        inputs[i] = results[stage->inputs[i].stage].artifact;
    const struct lm_stage_call call = {
        .project = plan->project,
        .stage = stage,
        .inputs = inputs,
        .work_dir = making.work_dir,
        .out_dir = making.out_dir,
        .arena = arena,
    };
    struct lm_buf metrics = { 0 };
    enum lm_rc rc = stage->kind->run(&call, &metrics, err);
    if (rc == LM_OK)
        rc = lm_making_commit(&making, recipe, lm_buf_str(&metrics), arena, ret, err);
    lm_buf_release(&metrics);
    lm_making_release(&making, false);
    return rc == LM_OK ? rc : lm_err_prefix(err, rc, "stage %s", stage->name);
}

/* Marks what is asked for, and what that needs; everything when nothing is named. */
static enum lm_rc select_stages(const struct lm_plan *plan, const struct lm_run_options *options,
                                bool *wanted, struct lm_err *err)
{
    for (size_t i = 0; i < plan->count; i++)
        wanted[i] = options->only_count == 0;
    for (size_t k = 0; k < options->only_count; k++) {
        bool found = false;
        for (size_t i = 0; i < plan->count; i++)
            if (strcmp(plan->stages[i].name, options->only[k]) == 0 ||
                strcmp(plan->stages[i].kind->name, options->only[k]) == 0)
                found = wanted[i] = true;
        if (!found)
            return lm_fail(err, LM_EINVAL, "there is no stage '%s'; 'loom status' lists them",
                           options->only[k]);
    }
    for (size_t i = plan->count; i-- > 0;)
        for (size_t k = 0; wanted[i] && k < plan->stages[i].input_count; k++)
            wanted[plan->stages[i].inputs[k].stage] = true;
    return LM_OK;
}

static enum lm_rc find_from(const struct lm_plan *plan, const struct lm_run_options *options, size_t *ret,
                            struct lm_err *err)
{
    *ret = options->force ? 0 : plan->count;
    for (size_t i = 0; options->from && i < plan->count; i++)
        if (strcmp(plan->stages[i].name, options->from) == 0 ||
            strcmp(plan->stages[i].kind->name, options->from) == 0) {
            *ret = i;
            return LM_OK;
        }
    if (options->from)
        return lm_fail(err, LM_EINVAL, "there is no stage '%s'; 'loom status' lists them", options->from);
    return LM_OK;
}

static enum lm_rc run_stage(const struct lm_plan *plan, size_t index, bool again, bool dry_run,
                            struct lm_arena *arena, struct lm_stage_result *results, struct lm_err *err)
{
    const struct lm_stage *stage = &plan->stages[index];
    struct lm_stage_result *result = &results[index];
    struct lm_recipe recipe;
    if (!recipe_of(stage, results, arena, &recipe))
        return LM_OK;   // an input is still to be made: only in a dry run or a status
    const enum lm_rc found =
        again ? LM_ENOENT
              : lm_artifact_find(plan->project->state_dir, &recipe, arena, &result->artifact, err);
    if (found == LM_OK)
        result->outcome = LM_STAGE_UNCHANGED;
    if (found != LM_ENOENT || dry_run)
        return found == LM_ENOENT ? LM_OK : found;
    const uint64_t start = lm_now_ns();
    lm_say("%s ...", stage->name);
    LM_TRY(make(plan, stage, &recipe, results, arena, &result->artifact, err));
    result->outcome = LM_STAGE_MADE;
    result->seconds = (double)(lm_now_ns() - start) / 1e9;
    lm_say("%s: done in %.1f s, artifact %.12s", stage->name, result->seconds, result->artifact.id);
    return LM_OK;
}

enum lm_rc lm_plan_run(const struct lm_plan *plan, const struct lm_run_options *options,
                       struct lm_arena *arena, struct lm_stage_result *results, struct lm_err *err)
{
    bool *wanted = lm_arena_alloc(arena, plan->count * sizeof(*wanted));
    size_t from = 0;
    LM_TRY(select_stages(plan, options, wanted, err));
    LM_TRY(find_from(plan, options, &from, err));
    bool changed = false;
    for (size_t i = 0; i < plan->count; i++) {
        results[i] = (struct lm_stage_result){ 0 };
        if (!wanted[i])
            continue;
        if (lm_stop_asked())
            return lm_fail(err, LM_ESTOP, "stopped before stage %s; 'loom run' goes on from here",
                           plan->stages[i].name);
        LM_TRY(run_stage(plan, i, i >= from, options->dry_run, arena, results, err));
        changed |= results[i].outcome != LM_STAGE_UNCHANGED;
    }
    return changed ? LM_OK : LM_ENOTHING;
}

enum lm_rc lm_plan_status(const struct lm_plan *plan, struct lm_arena *arena, struct lm_stage_result *results,
                          struct lm_err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        results[i] = (struct lm_stage_result){ 0 };
        LM_TRY(run_stage(plan, i, false, true, arena, results, err));
    }
    return LM_OK;
}
