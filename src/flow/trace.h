#ifndef LM_FLOW_TRACE_H
#define LM_FLOW_TRACE_H
/* flow/trace.h - from an answer back to documents.
 *
 * answer -> decision (audit record) -> model (registry version) -> the artifacts that made it -> documents.
 * All documents of the training set stand behind a model; those that share the longest runs of tokens with
 * the answer are shown first: the evidence nearest to it, found in the token shard, not a claim of cause. */

#include "base/mem.h"
#include "store/artifact.h"
#include "store/db.h"

enum { LM_TRACE_NEAREST_MAX = 5, LM_TRACE_STEPS_MAX = 64 };

struct lm_trace_document {
    const char *id, *url, *title;
    size_t run_tokens;      // longest common run
    size_t shared_tokens;   // answer tokens covered by runs of at least 4
};

struct lm_trace {
    const char *answer, *user, *model, *time;
    struct lm_str prompt, text;
    struct lm_str decision;                         // the audit record's line
    struct lm_artifact steps[LM_TRACE_STEPS_MAX];   // model first
    size_t step_count;
    uint64_t document_count;
    struct lm_trace_document nearest[LM_TRACE_NEAREST_MAX];
    size_t nearest_count;
};

/* LM_ENOENT for an unknown answer id.  Every artifact on the way is verified against its manifest.  In the
 * arena. */
enum lm_rc lm_trace(struct lm_db *db, const char *store_dir, const char *audit_dir, const char *answer_id,
                    struct lm_arena *arena, struct lm_trace *ret, struct lm_err *err);

#endif
