#ifndef LM_SERVE_GENERATION_H
#define LM_SERVE_GENERATION_H
/* serve/generation.h - one answer being made: engine events in, filtered text out.
 *
 * The engine thread appends to a mailbox and rings an eventfd; the connection's thread waits on that and on
 * its socket at once, so it wakes for a token, for a client that hangs up, and for the time to send a ping,
 * whichever comes first.  Streamed and whole answers take the same way through the output filter.
 *
 * Probabilities of tokens are an outlet like the text: a token is shown only when all text up to its end has
 * passed the filter unchanged, and none after the first change.
 *
 * Owner: the connection's thread; only the mailbox is shared.  It holds at most max_tokens tokens. */

#include "govern/govern.h"
#include "infer/engine.h"
#include "serve/answer.h"

struct lm_generation;

struct lm_generation_spec {
    struct lm_engine *engine;
    const struct lm_tokenizer *tokenizer;
    const struct lm_policy *policy;
    const struct lm_subject *subject;
    const uint32_t *prompt;
    size_t prompt_len;
    const struct lm_sampling *sampling;
};

/* LM_ELIMIT: the queue is full.  Everything the spec points to but prompt and sampling must outlive it. */
enum lm_rc lm_generation_new(const struct lm_generation_spec *spec, struct lm_generation **ret,
                             struct lm_err *err);

enum lm_turn {
    LM_TURN_TEXT,      // there is more: lm_generation_text, lm_generation_tokens
    LM_TURN_QUIET,     // nothing for wait_ms
    LM_TURN_END,       // it is whole
    LM_TURN_STOPPED,   // the output filter forbids the rest
    LM_TURN_GONE,      // the client hung up
    LM_TURN_CUT,       // the server ends it
    LM_TURN_STUCK,     // no token fits the constraint
};

/* Waits for what comes next.  socket_fd < 0: nobody can hang up.  After END, STOPPED, GONE, CUT and STUCK
 * there is nothing more. */
enum lm_turn lm_generation_next(struct lm_generation *g, int socket_fd, int wait_ms);

/* What the last turn released; valid until the next one. */
struct lm_str lm_generation_text(const struct lm_generation *g);
struct lm_token_texts lm_generation_tokens(const struct lm_generation *g);

/* All of it, until free. */
struct lm_str lm_generation_all_text(const struct lm_generation *g);
struct lm_token_texts lm_generation_all_tokens(const struct lm_generation *g);

enum lm_filter_result { LM_FILTER_CLEAN, LM_FILTER_MASKED, LM_FILTER_STOPPED, LM_FILTER_RESULT_COUNT };
extern const char *const lm_filter_result_names[LM_FILTER_RESULT_COUNT];

/* Complete after lm_generation_stop. */
struct lm_generation_facts {
    enum lm_finish finish;
    enum lm_filter_result filter;
    size_t prompt_tokens, completion_tokens;
    uint64_t first_token_ns, last_token_ns;   // 0: no token
};
struct lm_generation_facts lm_generation_facts(struct lm_generation *g);

/* From any thread: the engine ends it at its next step, which the owner sees as LM_TURN_CUT. */
void lm_generation_cancel(struct lm_generation *g);

/* Cancels what still runs and waits until the engine has let go: at most a step. */
void lm_generation_stop(struct lm_generation *g);
void lm_generation_free(struct lm_generation *g);   // stops it first; NULL is fine

#endif
