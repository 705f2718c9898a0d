#ifndef LM_TESTS_INFER_HARNESS_H
#define LM_TESTS_INFER_HARNESS_H
/* tests/infer/harness.h - a sink that remembers, and a tokenizer of single bytes. */

#include "infer/engine.h"

#include <pthread.h>

enum { RECORD_TOKENS_MAX = 256, RECORD_TOP_MAX = 20 };

struct record {
    uint32_t tokens[RECORD_TOKENS_MAX];
    float logprobs[RECORD_TOKENS_MAX];
    struct lm_token_logprob top[RECORD_TOKENS_MAX][RECORD_TOP_MAX];
    size_t top_count[RECORD_TOKENS_MAX];
    size_t count, events;
    struct lm_buf text;
    enum lm_finish finish;
    size_t prompt_tokens, completion_tokens;
    bool late;   // an event after the last one

    struct lm_engine *cancel_from;   // with cancel_at: cancels itself there
    uint64_t ticket;
    size_t cancel_at;

    pthread_mutex_t lock;
    pthread_cond_t changed;
};
void record_init(struct record *r);
void record_release(struct record *r);
void record_sink(void *user, const struct lm_engine_event *event);
void record_wait_tokens(struct record *r, size_t count);   // or the end
void record_wait(struct record *r);                        // for the end

/* ids 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>, 3 + b for byte b, 259 "ab", 260 "abab". */
enum { TINY_BYTE = 3, TINY_AB = 259, TINY_ABAB = 260, TINY_VOCAB = 261 };
struct lm_tokenizer *tiny_tokenizer(void);

#endif
