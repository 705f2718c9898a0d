/* flow/stages.c - the table of stages.  To add one: a row, an options function, a run function. */

#include "base/file.h"
#include "corpus/document.h"
#include "flow/stage.h"
#include "review/run_page.h"
#include "store/db.h"

#include <stdlib.h>

/* ---- options: what, besides the inputs, decides the bytes ---- */

static void collect_options(const struct lm_project *p, const struct lm_stage *s, struct lm_buf *ret)
{
    (void)s;
    lm_buf_puts(ret, "{\"sources\":[");
    for (size_t i = 0; i < p->source_count; i++) {
        lm_json_sep(ret);
        lm_opt_to_json(&lm_source_options, &p->sources[i], true, ret);
    }
    lm_buf_puts(ret, "]}");
}

#define TABLE_OPTIONS(kind)                                                                                  \
    static void kind##_options(const struct lm_project *p, const struct lm_stage *s, struct lm_buf *ret)     \
    {                                                                                                        \
        (void)s;                                                                                             \
        lm_opt_to_json(&lm_##kind##_options, &p->kind, true, ret);                                           \
    }
TABLE_OPTIONS(pairs)
TABLE_OPTIONS(tokens)
TABLE_OPTIONS(pretrain)
TABLE_OPTIONS(review)

/* The model decides what stays, so its bytes belong to the recipe.  One that cannot be read is the stage's
 * matter. */
static void prepare_options(const struct lm_project *p, const struct lm_stage *s, struct lm_buf *ret)
{
    char sha256[LM_SHA256_HEX] = "";
    (void)s;
    lm_buf_puts(ret, "{\"prepare\":");
    lm_opt_to_json(&lm_prepare_options, &p->prepare, true, ret);
    if (p->prepare.quality_model) {
        LM_FREE char *path = lm_path_join(p->prepare.quality_model, "model.ngram");
        lm_sha256_file(path, sha256, NULL);
    }
    lm_json_key_str(ret, "quality-model", lm_str(sha256));
    lm_buf_putc(ret, '}');
}

/* Held-out documents do not shape the vocabulary, so their share belongs to the recipe. */
static void tokenizer_options(const struct lm_project *p, const struct lm_stage *s, struct lm_buf *ret)
{
    (void)s;
    lm_buf_puts(ret, "{\"tokenizer\":");
    lm_opt_to_json(&lm_tokenizer_options, &p->tokenizer, true, ret);
    lm_json_key_num(ret, "heldout-share", p->tokens.heldout_share);
    lm_buf_putc(ret, '}');
}

static void finetune_options(const struct lm_project *p, const struct lm_stage *s, struct lm_buf *ret)
{
    (void)p;
    lm_opt_to_json(&lm_finetune_options, &s->snapshot->config, true, ret);
}

/* ---- runs ---- */

static const struct lm_artifact *input(const struct lm_stage_call *call, const char *role)
{
    for (size_t i = 0; i < call->stage->input_count; i++)
        if (strcmp(call->stage->inputs[i].role, role) == 0)
            return &call->inputs[i];
    LM_ASSERT(!"a stage asked for an input that its row does not name");
    return NULL;
}

static const char *file_of(const struct lm_stage_call *call, const char *role, const char *name)
{
    return lm_arena_printf(call->arena, "%s/%s", input(call, role)->dir, name);
}

static enum lm_rc collect_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    return lm_collect(call->project->sources, call->project->source_count, call->out_dir, metrics, err);
}

static enum lm_rc prepare_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    const char *documents = file_of(call, "documents", "documents.jsonl.zst");
    return lm_prepare(&call->project->prepare, &documents, 1, call->out_dir, metrics, err);
}

static enum lm_rc pairs_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    const char *documents = file_of(call, "documents", "documents.jsonl.zst");
    return lm_pairs_build(&call->project->pairs, &documents, 1, call->out_dir, metrics, err);
}

static enum lm_rc tokenizer_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    const char *documents = file_of(call, "documents", "documents.jsonl.zst");
    return lm_vocabulary_build(&call->project->tokenizer, call->project->tokens.heldout_share, &documents, 1,
                               call->out_dir, metrics, err);
}

static enum lm_rc tokens_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    const char *documents = file_of(call, "documents", "documents.jsonl.zst");
    const char *tokenizer = file_of(call, "tokenizer", "tokenizer.json");
    return lm_tokens_build(&call->project->tokens, tokenizer, &documents, 1, call->out_dir, metrics, err);
}

/* The project's ledger for a private run; NULL for others. */
static enum lm_rc ledger_of(const struct lm_stage_call *call, const struct lm_dp_options *dp,
                            struct lm_db **ret, struct lm_err *err)
{
    *ret = NULL;
    if (!lm_dp_wanted(dp))
        return LM_OK;
    LM_FREE char *path = lm_path_join(call->project->state_dir, "loom.db");
    return lm_db_open(path, ret, err);
}

static enum lm_rc pretrain_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_pretrain_config config = call->project->pretrain;
    LM_TRY(ledger_of(call, &config.training.dp, &config.training.ledger, err));
    config.training.track =
        lm_tracking_open(call->project->tracking, call->stage->name, &lm_pretrain_options, &config);
    enum lm_rc rc = lm_pretrain(&config, input(call, "tokens")->dir, input(call, "tokenizer")->dir,
                                call->work_dir, call->out_dir, metrics, err);
    lm_tracking_close(call->project->tracking, rc);
    lm_db_close(config.training.ledger);
    return rc == LM_OK ? lm_run_page(call->out_dir, call->stage->name, err) : rc;
}

static enum lm_rc finetune_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_finetune_config config = call->stage->snapshot->config;
    LM_TRY(ledger_of(call, &config.training.dp, &config.training.ledger, err));
    config.training.track =
        lm_tracking_open(call->project->tracking, call->stage->name, &lm_finetune_options, &config);
    enum lm_rc rc = lm_finetune(&config, input(call, "base")->dir, file_of(call, "pairs", "pairs.jsonl"),
                                call->work_dir, call->out_dir, metrics, err);
    lm_tracking_close(call->project->tracking, rc);
    lm_db_close(config.training.ledger);
    return rc == LM_OK ? lm_run_page(call->out_dir, call->stage->name, err) : rc;
}

static enum lm_rc review_run(const struct lm_stage_call *call, struct lm_buf *metrics, struct lm_err *err)
{
    const struct lm_project *p = call->project;
    struct lm_review_snapshot *snapshots =
        lm_arena_alloc(call->arena, (p->snapshot_count + 1) * sizeof(*snapshots));
    size_t count = 0;
    for (size_t i = 0; i < call->stage->input_count; i++)
        if (strcmp(call->stage->inputs[i].role, "snapshot") == 0) {
            const struct lm_project_snapshot *s = &p->snapshots[count];
            snapshots[count] = (struct lm_review_snapshot){ s->name, call->inputs[i].dir, s->config.system,
                                                            s->config.snapshot };
            count++;
        }
    const char *report = file_of(call, "documents", "report.json");
    const struct lm_review_inputs inputs = {
        .title = p->name,
        .base_dir = input(call, "base")->dir,
        .tokens_dir = input(call, "tokens")->dir,
        .pairs_path = file_of(call, "pairs", "pairs.jsonl"),
        .snapshots = snapshots,
        .snapshot_count = count,
        .extra_reports = &report,
        .extra_count = 1,
    };
    bool passed = false;
    /* A failed gate is a result, not a failure of the stage: promotion asks for it. */
    return lm_review(&p->review, &inputs, call->out_dir, metrics, &passed, err);
}

// clang-format off
const struct lm_stage_kind lm_stage_kinds[] = {
    { "collect",   1, collect_options,   collect_run,   .from_sources = true },
    { "prepare",   1, prepare_options,   prepare_run,   { { "documents", "collect" } } },
    { "pairs",     1, pairs_options,     pairs_run,     { { "documents", "prepare" } } },
    { "tokenizer", 1, tokenizer_options, tokenizer_run, { { "documents", "prepare" } } },
    { "tokens",    1, tokens_options,    tokens_run,    { { "documents", "prepare" }, { "tokenizer", "tokenizer" } } },
    { "pretrain",  2, pretrain_options,  pretrain_run,  { { "tokens", "tokens" }, { "tokenizer", "tokenizer" } } },
    { "finetune",  2, finetune_options,  finetune_run,  { { "base", "pretrain" }, { "pairs", "pairs" } }, .per_snapshot = true },
    { "review",    2, review_options,    review_run,    { { "base", "pretrain" }, { "tokens", "tokens" }, { "pairs", "pairs" },
                                                          { "documents", "prepare" }, { "snapshot", "finetune" } } },
};
// clang-format on
const size_t lm_stage_kind_count = sizeof(lm_stage_kinds) / sizeof(lm_stage_kinds[0]);
