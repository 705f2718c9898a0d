#ifndef LM_INFER_REQUEST_H
#define LM_INFER_REQUEST_H
/* infer/request.h - one sequence on its way through the engine: its tokens, its place in the KV cache, its
 * text.
 *
 * Made by the submitting thread, then owned by the engine; `next` and `cancelled` are guarded by the engine's
 * lock. Everything it needs until its last token is allocated when it is made. */

#include "infer/prefix.h"
#include "infer/sample.h"
#include "infer/stop.h"

struct lm_request {
    uint64_t ticket;
    struct lm_sampling sampling;   // without its stop strings: the filter has them; the bias is our copy
    lm_engine_sink *sink;
    void *user;

    uint32_t *tokens;   // prompt, then what was generated
    size_t prompt_len, len;
    size_t cached;                     // tokens whose keys and values are in the cache; below len
    struct lm_prefix_table table;      // blocks of the cache, for prompt + max_tokens - 1 positions
    uint32_t *seen;                    // per id, see lm_sample_row; NULL without penalties
    struct lm_constraint_walk *walk;   // NULL: any text
    uint64_t steps_waited;             // since it was admitted, without a share of a step

    struct lm_decode_stream decode;
    struct lm_stop_filter filter;

    bool cancelled;
    struct lm_request *next;   // in the queue
};

/* What is the same for all requests of an engine. */
struct lm_request_world {
    const struct lm_tokenizer *tokenizer;   // NULL: no text
    size_t vocab;                           // of the model
    size_t usable;                          // ids below may be sampled: the rest is padding without text
    size_t positions_max;                   // prompt + max_tokens
    size_t piece_bytes_max;                 // text of one token, with what an earlier one left
    uint32_t ends[6];                       // ids that end a text
    size_t end_count;
};
void lm_request_world_init(struct lm_request_world *w, const struct lm_model *model,
                           const struct lm_tokenizer *tokenizer, size_t positions_max);

/* LM_EINVAL or LM_ELIMIT for what lm_engine_submit refuses, but for a full queue. */
enum lm_rc lm_request_new(const struct lm_request_world *w, const uint32_t *prompt, size_t prompt_len,
                          const struct lm_sampling *sampling, lm_engine_sink *sink, void *user,
                          struct lm_request **ret, struct lm_err *err);
void lm_request_free(struct lm_request *r);   // NULL is fine; blocks are given back by the engine

/* Scratch of the engine thread. */
struct lm_request_text {
    struct lm_buf piece, text;
};

/* Chooses the next token; the request is ours alone meanwhile, so many may be sampled at once. */
void lm_request_sample(const struct lm_request_world *w, struct lm_request *r, const float *logits,
                       struct lm_sample_scratch *scratch, struct lm_choice *ret);

/* Takes what was sampled; ret is what the sink is to be told, and borrows from choice and scratch. */
void lm_request_accept(const struct lm_request_world *w, struct lm_request *r, const struct lm_choice *choice,
                       struct lm_request_text *scratch, struct lm_engine_event *ret);
void lm_request_tell_cancelled(struct lm_request *r);

#endif
