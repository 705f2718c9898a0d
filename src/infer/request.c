#include "infer/request.h"

#include "base/mem.h"
#include "infer/kv.h"

#include <stdlib.h>

/* ---- the world ---- */

static void add_end(struct lm_request_world *w, int64_t id)
{
    if (id >= 0)
        w->ends[w->end_count++] = (uint32_t)id;
}

void lm_request_world_init(struct lm_request_world *w, const struct lm_model *model,
                           const struct lm_tokenizer *tokenizer, size_t positions_max)
{
    *w = (struct lm_request_world){
        .tokenizer = tokenizer,
        .vocab = (size_t)model->config.vocab_size,
        .positions_max = positions_max,
    };
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
    r->block_count = lm_kv_blocks(prompt_len + sampling->max_tokens - 1);   // the last token is not fed back
    r->blocks = lm_zalloc(r->block_count, sizeof *r->blocks);
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
    free(r->blocks);
    free(r->seen);
    lm_stop_filter_release(&r->filter);
    free(r);
}

/* ---- telling ---- */

static bool is_end(const struct lm_request_world *w, uint32_t id)
{
    for (size_t i = 0; i < w->end_count; i++)
        if (w->ends[i] == id)
            return true;
    return false;
}

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

void lm_request_accept(const struct lm_request_world *w, struct lm_request *r, const struct lm_choice *choice,
                       struct lm_request_text *scratch, struct lm_engine_event *ret)
{
    const uint32_t id = choice->token.id;
    r->tokens[r->len++] = id;
    if (r->seen)
        r->seen[id] += 2;

    enum lm_finish finish = LM_FINISH_NONE;
    lm_buf_reset(&scratch->text);
    if (is_end(w, id)) {
        finish = LM_FINISH_STOP;
        end_text(r, &scratch->piece, &scratch->text);
    } else if (add_text(w, r, id, &scratch->piece, &scratch->text)) {
        finish = LM_FINISH_STOP;
    } else if (r->len - r->prompt_len == r->sampling.max_tokens) {
        finish = LM_FINISH_LENGTH;
        end_text(r, &scratch->piece, &scratch->text);
    }
    *ret = (struct lm_engine_event){
        .text = lm_buf_str(&scratch->text),
        .has_token = true,
        .token = choice->token,
        .top = choice->top,
        .top_count = choice->top_count,
        .finish = finish,
        .prompt_tokens = r->prompt_len,
        .completion_tokens = r->len - r->prompt_len,
    };
}

void lm_request_tell_cancelled(const struct lm_request *r)
{
    const struct lm_engine_event event = {
        .text = LM_STR(""),
        .finish = LM_FINISH_CANCELLED,
        .prompt_tokens = r->prompt_len,
        .completion_tokens = r->len - r->prompt_len,
    };
    r->sink(r->user, &event);
}
