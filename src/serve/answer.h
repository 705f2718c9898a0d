#ifndef LM_SERVE_ANSWER_H
#define LM_SERVE_ANSWER_H
/* serve/answer.h - the JSON of an answer, whole or as a stream of events.
 *
 * A stream of a chat is, in this order:
 *     delta {"role":"assistant","content":""}       lm_answer_opening
 *     delta {"content":"..."}, as often as needed   lm_answer_delta
 *     delta {} with the finish_reason               lm_answer_finish
 *     no choices, the usage, if asked for           lm_answer_usage
 *     [DONE]                                        lm_answer_done
 * Each is one event, "data: ...\n\n", with the same id, created and model.  A completion has no opening and
 * no role.  Pure functions: nothing here knows of sockets or engines. */

#include "serve/fault.h"
#include "serve/route.h"

/* A token as the client sees it. */
struct lm_token_text {
    struct lm_str bytes;
    double logprob;   // finite
    size_t offset;    // characters of the answer before it
    const struct lm_token_text *top;
    size_t top_count;
};

struct lm_token_texts {
    const struct lm_token_text *items;
    size_t count;
};

/* What stays the same through an answer. */
struct lm_answer_head {
    const char *id;
    enum lm_body_kind kind;   // CHAT, COMPLETION or QUERY
    struct lm_str model;
    int64_t created_s;
    bool logprobs, include_usage;
};

struct lm_answer_usage {
    size_t prompt_tokens, completion_tokens;
};

/* finish: "stop", "length", "content_filter". */
void lm_answer_whole(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_str text,
                     struct lm_token_texts tokens, const char *finish, struct lm_answer_usage usage);

void lm_answer_opening(struct lm_buf *ret, const struct lm_answer_head *head);
void lm_answer_delta(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_str text,
                     struct lm_token_texts tokens);
void lm_answer_finish(struct lm_buf *ret, const struct lm_answer_head *head, const char *finish);
void lm_answer_usage(struct lm_buf *ret, const struct lm_answer_head *head, struct lm_answer_usage usage);
void lm_answer_done(struct lm_buf *ret);
void lm_answer_fault(struct lm_buf *ret, const struct lm_fault *fault);   // instead of all that would follow
void lm_answer_ping(struct lm_buf *ret);                                  // keeps proxies from hanging up

#endif
