/* flow/trace.c - walks an answer back. */

#include "flow/trace.h"

#include "base/sys.h"
#include "corpus/document.h"
#include "corpus/shard.h"
#include "govern/audit.h"
#include "monitor/feedback.h"
#include "token/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>

enum { RUN_MIN = 4, ANSWER_TOKENS_MAX = 8192, GRAM_SLOTS = 1 << 15 };

/* ---- the decision ---- */

struct find_record {
    const char *id;
    struct lm_arena *arena;
    struct lm_str line;
};

static enum lm_rc match_record(void *user, struct lm_str line, struct lm_err *err)
{
    (void)err;
    struct find_record *find = user;
    if (lm_str_find(line, lm_str(find->id)) < 0)
        return LM_OK;
    json_t *record = json_loadb(line.ptr, line.len, 0, NULL);
    const char *answer = json_string_value(json_object_get(record, "answer"));
    if (answer && strcmp(answer, find->id) == 0 && find->line.len == 0)
        find->line = (struct lm_str){ lm_arena_strndup(find->arena, line.ptr, line.len), line.len };
    json_decref(record);
    return LM_OK;
}

static enum lm_rc find_decision(const char *audit_dir, const char *id, struct lm_arena *arena,
                                struct lm_str *ret, struct lm_err *err)
{
    struct find_record find = { .id = id, .arena = arena };
    LM_TRY(lm_audit_scan(audit_dir, match_record, &find, err));
    if (find.line.len == 0)
        return lm_fail(err, LM_EFORMAT,
                       "answer '%s' has no record in the audit log '%s'; 'loom audit verify' tells more", id,
                       audit_dir);
    *ret = find.line;
    return LM_OK;
}

/* ---- the artifacts ---- */

static bool is_known(const struct lm_trace *trace, const char *id)
{
    for (size_t i = 0; i < trace->step_count; i++)
        if (strcmp(trace->steps[i].id, id) == 0)
            return true;
    return false;
}

/* Breadth first: the model, what it was made from, and so on to the sources. */
static enum lm_rc walk_artifacts(const char *store_dir, const char *model, struct lm_arena *arena,
                                 struct lm_trace *trace, struct lm_err *err)
{
    LM_TRY(lm_artifact_load(store_dir, model, arena, &trace->steps[trace->step_count++], err));
    for (size_t at = 0; at < trace->step_count; at++) {
        const struct lm_artifact *a = &trace->steps[at];
        LM_TRY(lm_artifact_verify(a, err));
        for (size_t i = 0; i < a->input_count; i++) {
            if (strcmp(a->inputs[i].role, "source") == 0 || is_known(trace, a->inputs[i].id))
                continue;
            if (trace->step_count == LM_TRACE_STEPS_MAX)
                return lm_fail(err, LM_ELIMIT, "the lineage of '%s' has more than %d artifacts", model,
                               LM_TRACE_STEPS_MAX);
            LM_TRY(
                lm_artifact_load(store_dir, a->inputs[i].id, arena, &trace->steps[trace->step_count], err));
            trace->step_count++;
        }
    }
    return LM_OK;
}

static const struct lm_artifact *step_of(const struct lm_trace *trace, const char *stage)
{
    for (size_t i = 0; i < trace->step_count; i++)
        if (strcmp(trace->steps[i].stage, stage) == 0)
            return &trace->steps[i];
    return NULL;
}

/* ---- the nearest documents ---- */

/* The RUN_MIN-grams of the answer: slot -> first position with that hash; chained by `next`. */
struct gram_index {
    const uint32_t *tokens;
    size_t count;
    int32_t slots[GRAM_SLOTS], next[ANSWER_TOKENS_MAX];
};

static size_t gram_slot(const uint32_t *tokens)
{
    return (size_t)(lm_hash64(tokens, RUN_MIN * sizeof(*tokens)) % GRAM_SLOTS);
}

static void index_answer(struct gram_index *index, const uint32_t *tokens, size_t count)
{
    index->tokens = tokens;
    index->count = count;
    memset(index->slots, -1, sizeof(index->slots));
    for (size_t i = count; i-- > 0;) {
        if (i + RUN_MIN > count)
            continue;
        const size_t slot = gram_slot(tokens + i);
        index->next[i] = index->slots[slot];
        index->slots[slot] = (int32_t)i;
    }
}

/* Longest run that starts at document position `at`, and marks the answer tokens it covers. */
static size_t run_at(const struct gram_index *index, const uint32_t *doc, size_t count, size_t at,
                     bool *covered)
{
    size_t best = 0;
    for (int32_t i = index->slots[gram_slot(doc + at)]; i >= 0; i = index->next[i]) {
        size_t len = 0;
        while ((size_t)i + len < index->count && at + len < count &&
               index->tokens[(size_t)i + len] == doc[at + len])
            len++;
        if (len >= RUN_MIN)
            memset(covered + i, true, len);
        best = len > best ? len : best;
    }
    return best;
}

static struct lm_trace_document measure(const struct gram_index *index, const uint32_t *doc, size_t count)
{
    struct lm_trace_document d = { 0 };
    bool covered[ANSWER_TOKENS_MAX] = { false };
    for (size_t at = 0; at + RUN_MIN <= count; at++) {
        const size_t run = run_at(index, doc, count, at, covered);
        d.run_tokens = run > d.run_tokens ? run : d.run_tokens;
    }
    for (size_t i = 0; i < index->count; i++)
        d.shared_tokens += covered[i];
    return d;
}

/* Keeps the best few; ties go to the document that comes first. */
static void rank(struct lm_trace *trace, struct lm_trace_document d)
{
    if (d.run_tokens < RUN_MIN)
        return;
    size_t at = trace->nearest_count;
    while (at > 0 && (trace->nearest[at - 1].shared_tokens < d.shared_tokens ||
                      (trace->nearest[at - 1].shared_tokens == d.shared_tokens &&
                       trace->nearest[at - 1].run_tokens < d.run_tokens)))
        at--;
    if (at == LM_TRACE_NEAREST_MAX)
        return;
    if (trace->nearest_count < LM_TRACE_NEAREST_MAX)
        trace->nearest_count++;
    memmove(&trace->nearest[at + 1], &trace->nearest[at], (trace->nearest_count - 1 - at) * sizeof(d));
    trace->nearest[at] = d;
}

static enum lm_rc scan_shard(const struct gram_index *index, const char *path, struct lm_arena *arena,
                             struct lm_trace *trace, struct lm_err *err)
{
    struct lm_shard shard;
    LM_TRY(lm_shard_open(&shard, path, err));
    uint32_t *doc = NULL;
    size_t cap = 0;
    for (uint64_t i = 0; i < shard.document_count; i++) {
        const uint64_t start = lm_shard_doc_start(&shard, i);
        const size_t count = (size_t)(shard.ends[i] - start);
        lm_grow(&doc, &cap, count, sizeof(*doc));
        lm_shard_get(&shard, start, count, doc);
        struct lm_trace_document d = measure(index, doc, count);
        d.id = lm_arena_strndup(arena, shard.ids + i * 32, 32);
        rank(trace, d);
    }
    trace->document_count = shard.document_count;
    free(doc);
    lm_shard_close(&shard);
    return LM_OK;
}

/* Url and title of the nearest documents. */
static enum lm_rc name_documents(const char *path, struct lm_arena *arena, struct lm_trace *trace,
                                 struct lm_err *err)
{
    struct lm_document_reader *reader = NULL;
    LM_TRY(lm_document_open(&path, 1, &reader, err));
    struct lm_document doc;
    enum lm_rc rc;
    while ((rc = lm_document_next(reader, &doc, err)) == LM_OK)
        for (size_t i = 0; i < trace->nearest_count; i++)
            if (lm_str_eq(doc.id, lm_str(trace->nearest[i].id))) {
                trace->nearest[i].url = lm_arena_strndup(arena, doc.url.ptr, doc.url.len);
                trace->nearest[i].title = lm_arena_strndup(arena, doc.title.ptr, doc.title.len);
            }
    lm_document_close(reader);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static enum lm_rc find_nearest(struct lm_arena *arena, struct lm_trace *trace, struct lm_err *err)
{
    const struct lm_artifact *tokens = step_of(trace, "tokens"), *documents = step_of(trace, "prepare");
    if (!tokens || !documents)
        return LM_OK;   // a model from elsewhere: its documents are not here
    struct lm_tokenizer *tokenizer = NULL;
    LM_TRY(lm_tokenizer_load(trace->steps[0].dir, &tokenizer, err));
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    struct lm_tokens answer = { 0 };
    lm_encode(encoder, trace->text, false, &answer);
    const size_t count = answer.len < ANSWER_TOKENS_MAX ? answer.len : ANSWER_TOKENS_MAX;
    struct gram_index *index = lm_zalloc(1, sizeof(*index));
    index_answer(index, answer.ids, count);
    enum lm_rc rc =
        scan_shard(index, lm_arena_printf(arena, "%s/train.tokens", tokens->dir), arena, trace, err);
    if (rc == LM_OK && trace->nearest_count)
        rc = name_documents(lm_arena_printf(arena, "%s/documents.jsonl.zst", documents->dir), arena, trace,
                            err);
    free(index);
    lm_tokens_release(&answer);
    lm_encoder_free(encoder);
    lm_tokenizer_free(tokenizer);
    return rc;
}

enum lm_rc lm_trace(struct lm_db *db, const char *store_dir, const char *audit_dir, const char *answer_id,
                    struct lm_arena *arena, struct lm_trace *ret, struct lm_err *err)
{
    struct lm_answer answer;
    LM_TRY(lm_answer_load(db, answer_id, arena, &answer, err));
    struct lm_trace trace = {
        .answer = answer.id,
        .user = answer.user,
        .model = answer.model,
        .prompt = answer.prompt,
        .text = answer.text,
    };
    char *when = lm_arena_alloc(arena, LM_TIME_TEXT);
    lm_time_text(answer.time_ms, when);
    trace.time = when;
    LM_TRY(find_decision(audit_dir, answer_id, arena, &trace.decision, err));
    if (!answer.artifact || !*answer.artifact)
        return lm_fail(
            err, LM_ENOENT,
            "answer '%s' came from model '%s', which was served from a plain folder: its lineage is "
            "not known here",
            answer_id, answer.model);
    LM_TRY(walk_artifacts(store_dir, answer.artifact, arena, &trace, err));
    LM_TRY(find_nearest(arena, &trace, err));
    *ret = trace;
    return LM_OK;
}
