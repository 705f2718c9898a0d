#ifndef LM_INFER_ENGINE_H
#define LM_INFER_ENGINE_H
/* infer/engine.h - many sequences through one model: continuous batching, chunked prefill, sampling.
 *
 * One thread owns the engine and runs steps; others submit and cancel.  A step is one token of every decoding
 * sequence plus at most prefill_tokens of waiting prompts.  A sequence's tokens depend on its prompt,
 * parameters and seed only: not on the batch it shares, not on the number of threads.  No allocation per
 * token. */

#include "base/err.h"
#include "base/str.h"
#include "infer/constraint.h"
#include "infer/kv.h"
#include "model/model.h"
#include "token/tokenizer.h"

struct lm_engine;

enum { LM_STOP_COUNT_MAX = 16, LM_STOP_BYTES_MAX = 1024, LM_LOGIT_BIAS_MAX = 1024 };
#define LM_LOGIT_BIAS_VALUE_MAX 100.0

/* 0 or a NULL config: the default. */
struct lm_engine_config {
    size_t sequences_max;    // decoded together; 16
    size_t queue_max;        // waiting requests, 64; beyond it submit returns LM_ELIMIT
    size_t prefill_tokens;   // prompt tokens per step; 64
    size_t kv_tokens_max;    // KV cache capacity over all sequences; sequences_max * context
    enum lm_kv_type kv_type;
    bool share_nothing;   // compute every prompt, even if the cache knows how it begins
};

struct lm_logit_bias {
    uint32_t id;
    double value;   // -100..100
};

struct lm_sampling {
    size_t max_tokens;                            // >= 1
    double temperature;                           // 0 = greedy
    size_t top_k;                                 // 0 = off
    double top_p, min_p;                          // 1 and 0 = off
    double repetition_penalty;                    // 1 = off
    double presence_penalty, frequency_penalty;   // 0 = off
    uint64_t seed;
    const struct lm_str *stop;   // stop strings, not part of the output; copied at submission
    size_t stop_count;
    size_t top_logprobs;   // 0..20 alternatives per token
    bool logprobs;         // of the chosen token; implied by top_logprobs

    const struct lm_logit_bias *bias;   // added to logits; of an id named twice both; copied at submission
    size_t bias_count;
    /* What the text must be; NULL: anything.  Made for the engine's tokenizer; borrowed until the last event.
     */
    const struct lm_constraint *constraint;
    uint64_t salt;   // the KV cache of a prompt is shared among requests of equal salt only
};
void lm_sampling_defaults(struct lm_sampling *s);   // 256 tokens, temperature 1, the rest off

enum lm_finish {
    LM_FINISH_NONE,
    LM_FINISH_STOP,
    LM_FINISH_LENGTH,
    LM_FINISH_CANCELLED,
    LM_FINISH_ERROR,   // no token fits the constraint
};

struct lm_token_logprob {
    uint32_t id;
    float logprob;
};

/* What a sequence tells its owner, in order: one event per token, and one without a token for a cancellation,
 * an error, or a constraint that is fulfilled where no token could say so.  A token that ends the text (end
 * of text, end of turn) is a token like others, with no text of its own. Called on the engine thread: copy
 * and return at once. */
struct lm_engine_event {
    struct lm_str text;   // new whole characters, possibly empty; stop strings are held back
    bool has_token;
    struct lm_token_logprob token;        // logprob 0 unless asked for
    const struct lm_token_logprob *top;   // top_logprobs entries, best first
    size_t top_count;
    enum lm_finish finish;   // not NONE: the last event of the sequence
    const char *error;       // of LM_FINISH_ERROR: a sentence
    size_t prompt_tokens, completion_tokens;
};
typedef void lm_engine_sink(void *user, const struct lm_engine_event *event);

/* model and tokenizer are borrowed and must outlive the engine; without a tokenizer (NULL) there is no text.
 * Packs a copy of the weights and starts the engine thread. */
enum lm_rc lm_engine_new(const struct lm_model *model, const struct lm_tokenizer *tokenizer,
                         const struct lm_engine_config *config, struct lm_engine **ret, struct lm_err *err);
void lm_engine_free(struct lm_engine *e);   // cancels what runs, joins the thread; NULL is fine

/* LM_ELIMIT: queue full, or prompt + max_tokens exceed the context (the sentence gives both numbers).
 * LM_EINVAL: a parameter out of range, an empty prompt, an id that the model does not know.  Otherwise the
 * sink gets events until one with a finish; it may be called before this returns.  The sink may submit and
 * cancel. */
enum lm_rc lm_engine_submit(struct lm_engine *e, const uint32_t *prompt, size_t prompt_len,
                            const struct lm_sampling *sampling, lm_engine_sink *sink, void *user,
                            uint64_t *ret_ticket, struct lm_err *err);
void lm_engine_cancel(struct lm_engine *e, uint64_t ticket);   // takes effect within a step; unknown: nothing

struct lm_engine_stats {
    size_t running, waiting;
    uint64_t prompt_tokens, completion_tokens, steps;   // computed
    uint64_t prefix_queries, prefix_hits;   // prompt tokens admitted, and of them found in the cache
    double kv_usage;                        // 0..1
};
struct lm_engine_stats lm_engine_stats(struct lm_engine *e);

/* Submits, waits, and appends the whole text: for review and `loom generate`.  Not from a sink.  LM_EINVAL
 * for LM_FINISH_ERROR, too. */
enum lm_rc lm_engine_complete(struct lm_engine *e, const uint32_t *prompt, size_t prompt_len,
                              const struct lm_sampling *sampling, struct lm_buf *ret_text,
                              enum lm_finish *ret_finish, struct lm_err *err);

/* ---- scoring: infer/score.c ---- */

/* Holds the packed weights, so that many texts can be scored.  Owner: one thread. */
struct lm_scorer;
enum lm_rc lm_scorer_new(const struct lm_model *model, struct lm_scorer **ret, struct lm_err *err);
/* With a window, and memory, of at most tokens_max >= 2 tokens, however long the model's context. */
enum lm_rc lm_scorer_new_window(const struct lm_model *model, size_t tokens_max, struct lm_scorer **ret,
                                struct lm_err *err);
void lm_scorer_free(struct lm_scorer *s);   // NULL is fine

/* ret[i] = ln P(tokens[i] | tokens[0..i)) for i >= 1; ret[0] = 0.  The same bits as an engine's logprobs,
 * before their rounding to float.  Longer than the window (the context): windows that overlap by half, every
 * token predicted exactly once.  LM_EINVAL for an id that the model does not know. */
enum lm_rc lm_scorer_run(struct lm_scorer *s, const uint32_t *tokens, size_t count, double *ret,
                         struct lm_err *err);

/* The same for one text, with a scorer made for it. */
enum lm_rc lm_score(const struct lm_model *model, const uint32_t *tokens, size_t count, double *ret,
                    struct lm_err *err);

#endif
