#ifndef LM_FLOW_STAGE_H
#define LM_FLOW_STAGE_H
/* flow/stage.h - the stages of a project as a list in the order they run, and the run itself.
 *
 * A stage is a row of the table in stages.c: its options, its inputs, its function.  Its recipe is made of
 * options and input ids, so "what changed" is never asked of clocks: a stage whose recipe has an artifact is
 * done.  A killed run leaves nothing that counts; the next one makes what is missing. */

#include "flow/project.h"
#include "store/artifact.h"

enum { LM_STAGE_INPUTS_MAX = LM_SNAPSHOTS_MAX + 8 };

struct lm_stage_kind;

/* One stage of one project ("finetune.mail" is a stage of kind finetune). */
struct lm_stage {
    const struct lm_stage_kind *kind;
    const char *name;
    const struct lm_project_snapshot *snapshot;   // of a finetune stage
    struct lm_str options;                        // canonical JSON
    struct {
        const char *role;
        size_t stage;   // index of an earlier stage
    } inputs[LM_STAGE_INPUTS_MAX];
    size_t input_count;
    const char *source_hash;   // of what comes from outside; NULL: nothing
};

struct lm_plan {
    const struct lm_project *project;
    struct lm_stage *stages;
    size_t count;
};

/* Lives in the arena.  Reads the sources' files to hash them. */
enum lm_rc lm_plan_make(const struct lm_project *project, struct lm_arena *arena, struct lm_plan *ret,
                        struct lm_err *err);

enum lm_stage_outcome { LM_STAGE_TODO, LM_STAGE_MADE, LM_STAGE_UNCHANGED };

struct lm_stage_result {
    enum lm_stage_outcome outcome;
    struct lm_artifact artifact;   // not when TODO
    double seconds;
};

struct lm_run_options {
    const char *const *only;   // stage names or kinds, with what they need; NULL: all
    size_t only_count;
    const char *from;   // make this stage and all after it again
    bool force, dry_run;
};

/* Runs the plan; results[i] belongs to plan->stages[i].  LM_ENOTHING when every stage was unchanged (the
 * results are there all the same). */
enum lm_rc lm_plan_run(const struct lm_plan *plan, const struct lm_run_options *options,
                       struct lm_arena *arena, struct lm_stage_result *results, struct lm_err *err);

/* The results as they stand, nothing run. */
enum lm_rc lm_plan_status(const struct lm_plan *plan, struct lm_arena *arena, struct lm_stage_result *results,
                          struct lm_err *err);

/* ---- flow/stages.c ---- */

struct lm_stage_call {
    const struct lm_project *project;
    const struct lm_stage *stage;
    const struct lm_artifact *inputs;   // in the order of stage->inputs
    const char *work_dir, *out_dir;
    struct lm_arena *arena;
};

struct lm_stage_kind {
    const char *name;
    int64_t code_version;   // raise it when the same options give other bytes
    void (*options)(const struct lm_project *project, const struct lm_stage *stage, struct lm_buf *ret);
    enum lm_rc (*run)(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err);
    struct {
        const char *role, *kind;   // every stage of that kind
    } inputs[6];
    bool per_snapshot, from_sources;
};
extern const struct lm_stage_kind lm_stage_kinds[];
extern const size_t lm_stage_kind_count;

#endif
