/* Log-probabilities of given tokens: the engine's forward pass, many positions at a time. */
#include "infer/engine.h"
#include "infer/forward.h"
#include "infer/sample.h"

#include "base/mem.h"

#include <stdlib.h>

enum { ROWS = 128 };

struct lm_scorer {
    struct lm_forward *forward;
    uint32_t *blocks;
    size_t vocab, context;

    struct lm_forward_row rows[ROWS];
    uint32_t targets[ROWS];   // of the rows that want logits
    double *results[ROWS];
    size_t row_count, target_count;
    const float *logits;
    size_t stride;
};

static enum lm_rc scorer_new(const struct lm_model *model, size_t context, struct lm_scorer **ret,
                             struct lm_err *err)
{
    if (context < 2)
        return lm_fail(err, LM_EINVAL,
                       "a model with a context of 1 token predicts nothing that could be scored");
    struct lm_scorer *s = lm_zalloc(1, sizeof *s);
    const enum lm_rc rc = lm_forward_new(model, &(struct lm_forward_config){ ROWS, ROWS, context, LM_KV_F32 },
                                         &s->forward, err);
    if (rc != LM_OK) {
        free(s);
        return rc;
    }
    s->context = context;
    s->vocab = (size_t)model->config.vocab_size;
    s->blocks = lm_zalloc(lm_kv_blocks(context), sizeof *s->blocks);
    const bool taken = lm_kv_take(lm_forward_kv(s->forward), lm_kv_blocks(context), s->blocks);
    LM_ASSERT(taken);   // the pool was made for exactly these
    *ret = s;
    return LM_OK;
}

enum lm_rc lm_scorer_new(const struct lm_model *model, struct lm_scorer **ret, struct lm_err *err)
{
    return scorer_new(model, (size_t)model->config.context, ret, err);
}

enum lm_rc lm_scorer_new_window(const struct lm_model *model, size_t tokens_max, struct lm_scorer **ret,
                                struct lm_err *err)
{
    LM_ASSERT(tokens_max >= 2);
    const size_t context = (size_t)model->config.context;
    return scorer_new(model, tokens_max < context ? tokens_max : context, ret, err);
}

void lm_scorer_free(struct lm_scorer *s)
{
    if (!s)
        return;
    lm_forward_free(s->forward);
    free(s->blocks);
    free(s);
}

static void score_row(void *context, size_t chunk, size_t worker)
{
    (void)worker;
    struct lm_scorer *s = context;
    *s->results[chunk] = lm_logprob(s->logits + chunk * s->stride, s->vocab, s->targets[chunk]);
}

static void flush(struct lm_scorer *s)
{
    s->logits = lm_forward_run(s->forward, s->rows, s->row_count, &s->stride);
    lm_team_run(lm_forward_team(s->forward), s->target_count, score_row, s);
    s->row_count = s->target_count = 0;
}

/* Tokens start .. end - 1 as one window; those from `fresh` on are predicted. */
static void score_window(struct lm_scorer *s, const uint32_t *tokens, size_t start, size_t fresh, size_t end,
                         double *ret)
{
    for (size_t i = start; i + 1 < end; i++) {
        const bool wanted = i + 1 >= fresh;
        s->rows[s->row_count++] = (struct lm_forward_row){
            .token = tokens[i],
            .position = (uint32_t)(i - start),
            .blocks = s->blocks,
            .wants_logits = wanted,
        };
        if (wanted) {
            s->targets[s->target_count] = tokens[i + 1];
            s->results[s->target_count++] = &ret[i + 1];
        }
        if (s->row_count == ROWS)
            flush(s);
    }
    if (s->row_count > 0)
        flush(s);
}

enum lm_rc lm_scorer_run(struct lm_scorer *s, const uint32_t *tokens, size_t count, double *ret,
                         struct lm_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (tokens[i] >= s->vocab)
            return lm_fail(err, LM_EINVAL, "token id %u at position %zu is outside the model's %zu tokens",
                           tokens[i], i, s->vocab);
    if (count > 0)
        ret[0] = 0;
    for (size_t start = 0, fresh = 1; fresh < count;) {
        const size_t end = count - start < s->context ? count : start + s->context;
        score_window(s, tokens, start, fresh, end, ret);
        fresh = end;
        start = end - s->context / 2;
    }
    return LM_OK;
}

enum lm_rc lm_score(const struct lm_model *model, const uint32_t *tokens, size_t count, double *ret,
                    struct lm_err *err)
{
    /* A short text needs no memory for the whole context. */
    struct lm_scorer *s;
    LM_TRY(lm_scorer_new_window(model, count < 2 ? 2 : count, &s, err));
    const enum lm_rc rc = lm_scorer_run(s, tokens, count, ret, err);
    lm_scorer_free(s);
    return rc;
}
