#include "infer/request.h"

#include "base/mem.h"
#include "infer/kv.h"

#include <stdlib.h>

/* ---- the world ---- */

static void add_end(struct lm_request_world *w, int64_t id)
{
    bool known = id < 0 || (uint64_t)id >= w->usable;
    for (size_t i = 0; i < w->end_count; i++)
        known |= w->ends[i] == (uint64_t)id;
    if (!known)
        w->ends[w->end_count++] = (uint32_t)id;
}

void lm_request_world_init(struct lm_request_world *w, const struct lm_model *model,
                           const struct lm_tokenizer *tokenizer, size_t positions_max)
{
    *w = (struct lm_request_world){
        .tokenizer = tokenizer,
        .vocab = (size_t)model->config.vocab_size,
        .usable = (size_t)model->config.vocab_size,
        .positions_max = positions_max,
    };
    if (tokenizer && lm_tokenizer_vocab_size(tokenizer) < w->usable)
        w->usable = lm_tokenizer_vocab_size(tokenizer);
    for (size_t i = 0; i < model->config.eos_count; i++)
        add_end(w, model->config.eos_ids[i]);
    if (!tokenizer)
        return;
    add_end(w, lm_tokenizer_end_of_text(tokenizer));
    add_end(w, lm_chat_end(tokenizer));
    size_t longest = 0;
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(tokenizer); id++) {
        const size_t len = lm_tokenizer_bytes(tokenizer, id).len;
        longest = len > longest ? len : longest;
    }
    enum { REPLACEMENT_BYTES = 3 };   // U+FFFD, at worst one for each byte
    w->piece_bytes_max = REPLACEMENT_BYTES * (longest + sizeof((struct lm_decode_stream *)0)->held);
}

/* ---- making and freeing ---- */

static enum lm_rc check(const struct lm_request_world *w, const uint32_t *prompt, size_t prompt_len,
                        const struct lm_sampling *sampling, struct lm_err *err)
{
    LM_TRY(lm_sampling_check(sampling, err));
    if (prompt_len == 0)
        return lm_fail(err, LM_EINVAL, "the prompt has no tokens");
    if (prompt_len > w->positions_max || sampling->max_tokens > w->positions_max - prompt_len)
        return lm_fail(err, LM_ELIMIT,
                       "%zu prompt tokens and max_tokens %zu exceed the context of %zu tokens", prompt_len,
                       sampling->max_tokens, w->positions_max);
    for (size_t i = 0; i < prompt_len; i++)
        if (prompt[i] >= w->vocab)
            return lm_fail(err, LM_EINVAL, "token id %u at position %zu is outside the model's %zu tokens",
                           prompt[i], i, w->vocab);
    for (size_t i = 0; i < sampling->bias_count; i++)
        if (sampling->bias[i].id >= w->vocab)
            return lm_fail(err, LM_EINVAL, "logit_bias names token id %u, outside the model's %zu tokens",
                           sampling->bias[i].id, w->vocab);
    if (sampling->constraint && !w->tokenizer)
        return lm_fail(err, LM_EINVAL, "an engine without a tokenizer cannot follow a constraint");
    return LM_OK;
}

enum lm_rc lm_request_new(const struct lm_request_world *w, const uint32_t *prompt, size_t prompt_len,
                          const struct lm_sampling *sampling, lm_engine_sink *sink, void *user,
                          struct lm_request **ret, struct lm_err *err)
{
    LM_TRY(check(w, prompt, prompt_len, sampling, err));
    struct lm_request *r = lm_zalloc(1, sizeof *r);
    r->sampling = *sampling;
    r->sampling.stop = NULL;
    r->sampling.stop_count = 0;
    r->sink = sink;
    r->user = user;
    r->prompt_len = r->len = prompt_len;
    r->tokens = lm_zalloc(prompt_len + sampling->max_tokens, sizeof *r->tokens);
    memcpy(r->tokens, prompt, prompt_len * sizeof *prompt);
    if (w->tokenizer)
        r->decode = lm_decode_after(w->tokenizer, prompt, prompt_len);
    const size_t block_count =
        lm_kv_blocks(prompt_len + sampling->max_tokens - 1);   // the last is not fed back
    r->table = (struct lm_prefix_table){
        .tokens = r->tokens,
        .prompt_len = prompt_len,
        .salt = sampling->salt,
        .blocks = lm_zalloc(block_count, sizeof *r->table.blocks),
        .block_count = block_count,
    };
    if (sampling->bias_count > 0)
        r->sampling.bias = lm_memdup(sampling->bias, sampling->bias_count * sizeof *sampling->bias);
    if (sampling->constraint)
        r->walk = lm_constraint_walk_new(sampling->constraint);
    lm_stop_filter_init(&r->filter, sampling->stop, sampling->stop_count, w->piece_bytes_max);
    if (lm_sampling_has_penalties(sampling)) {
        r->seen = lm_zalloc(w->vocab, sizeof *r->seen);
        for (size_t i = 0; i < prompt_len; i++)
            r->seen[prompt[i]] = 1;
    }
    *ret = r;
    return LM_OK;
}

void lm_request_free(struct lm_request *r)
{
    if (!r)
        return;
    free(r->tokens);
    free(r->table.blocks);
    if (r->sampling.bias_count > 0)
        free((void *)r->sampling.bias);
    lm_constraint_walk_free(r->walk);
    free(r->seen);
    lm_stop_filter_release(&r->filter);
    free(r);
}

/* ---- sampling ---- */

static bool is_end(const struct lm_request_world *w, uint32_t id)
{
    for (size_t i = 0; i < w->end_count; i++)
        if (w->ends[i] == id)
            return true;
    return false;
}

void lm_request_sample(const struct lm_request_world *w, struct lm_request *r, const float *logits,
                       struct lm_sample_scratch *scratch, struct lm_choice *ret)
{
    size_t fitting;
    const struct lm_sample_row row = {
        .logits = logits,
        .vocab = w->vocab,
        .usable = w->usable,
        .seen = r->seen,
        .mask = r->walk ? lm_constraint_mask(r->walk, w->ends, w->end_count, &fitting) : NULL,
        .position = r->len - r->prompt_len,
    };
    lm_sample(&r->sampling, &row, scratch, ret);
    if (!r->walk || ret->none || is_end(w, ret->token.id))
        return;
    const bool accepted = lm_constraint_accept(r->walk, ret->token.id);
    LM_ASSERT(accepted);   // it was in the mask
}

/* ---- telling ---- */

/* Text of the token through the decoder and the stop filter; true when a stop string is complete. */
static bool add_text(const struct lm_request_world *w, struct lm_request *r, uint32_t id,
                     struct lm_buf *piece, struct lm_buf *text)
{
    if (!w->tokenizer)
        return false;
    lm_buf_reset(piece);
    lm_decode_step(w->tokenizer, &r->decode, id, true, piece);
    return lm_stop_filter_add(&r->filter, lm_buf_str(piece), text);
}

/* What decoder and filter still hold: the text ends here. */
static void end_text(struct lm_request *r, struct lm_buf *piece, struct lm_buf *text)
{
    lm_buf_reset(piece);
    lm_decode_end(&r->decode, piece);
    if (!lm_stop_filter_add(&r->filter, lm_buf_str(piece), text))
        lm_stop_filter_end(&r->filter, text);
}

/* The token through decoder and filter into `text`; whether the text ends with it, and how. */
static enum lm_finish take_token(const struct lm_request_world *w, struct lm_request *r, uint32_t id,
                                 struct lm_buf *piece, struct lm_buf *text)
{
    r->tokens[r->len++] = id;
    if (r->seen)
        r->seen[id] += 2;
    if (is_end(w, id)) {
        end_text(r, piece, text);
        return LM_FINISH_STOP;
    }
    if (add_text(w, r, id, piece, text))
        return LM_FINISH_STOP;
    if (r->len - r->prompt_len < r->sampling.max_tokens)
        return LM_FINISH_NONE;
    end_text(r, piece, text);
    return LM_FINISH_LENGTH;
}

/* Before the owner hears of the end: the constraint is borrowed until then. */
static void leave_constraint(struct lm_request *r)
{
    lm_constraint_walk_free(r->walk);
    r->walk = NULL;
}

void lm_request_accept(const struct lm_request_world *w, struct lm_request *r, const struct lm_choice *choice,
                       struct lm_request_text *scratch, struct lm_engine_event *ret)
{
    enum lm_finish finish;
    lm_buf_reset(&scratch->text);
    if (choice->none) {
        end_text(r, &scratch->piece, &scratch->text);
        finish = lm_constraint_may_end(r->walk) ? LM_FINISH_STOP : LM_FINISH_ERROR;
    } else {
        finish = take_token(w, r, choice->token.id, &scratch->piece, &scratch->text);
    }
    if (finish != LM_FINISH_NONE)
        leave_constraint(r);
    *ret = (struct lm_engine_event){
        .text = lm_buf_str(&scratch->text),
        .has_token = !choice->none,
        .token = choice->token,
        .top = choice->top,
        .top_count = choice->top_count,
        .finish = finish,
        .error = finish == LM_FINISH_ERROR
                     ? "no token of the vocabulary continues the text as its constraint "
                       "demands"
                     : NULL,
        .prompt_tokens = r->prompt_len,
        .completion_tokens = r->len - r->prompt_len,
    };
}

void lm_request_tell_cancelled(struct lm_request *r)
{
    leave_constraint(r);
    const struct lm_engine_event event = {
        .text = LM_STR(""),
        .finish = LM_FINISH_CANCELLED,
        .prompt_tokens = r->prompt_len,
        .completion_tokens = r->len - r->prompt_len,
    };
    r->sink(r->user, &event);
}
