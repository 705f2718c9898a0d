#ifndef LM_TOKEN_ENCODE_IMPL_H
#define LM_TOKEN_ENCODE_IMPL_H
/* token/encode_impl.h - an encoder, and what its two files know of each other. */

#include "token/cache.h"
#include "token/chain.h"
#include "token/plan.h"

enum { LM_ENCODE_BATCH = 2048, LM_ENCODE_AHEAD = 32 };   // pieces: of a batch; whose table lines are fetched

/* A piece or part that the cache does not know, or a mark around the parts of a piece. */
struct lm_waiting {
    enum { LM_WAITING_IDS, LM_WAITING_START, LM_WAITING_END } kind;
    struct lm_str text;
    struct lm_cache_key key;
    uint32_t *at;     // where its ids belong
    size_t room;      // ids that are kept free for it there
    size_t index;     // of its job; of an end: of its start
    uint32_t whole;   // the token that it is, if that counts
    uint32_t hash;    // where to look for that token
    bool sought;
};

struct lm_encoder {
    const struct lm_tokenizer *t;
    const struct lm_token_plan *plan;   // the tokenizer's, or
    struct lm_token_plan plain;
    struct lm_cache cache;
    struct lm_bpe_scratch scratch;
    struct lm_chain_scratch chain;   // of LM_FAMILY_CHAIN
    struct lm_buf normal, word;
    uint32_t ends[LM_ENCODE_BATCH];
    struct lm_cache_key keys[2 * LM_ENCODE_AHEAD];   // of those at work and of the next; piece i at i % that
    size_t homes[2 * LM_ENCODE_AHEAD];
    struct lm_waiting *waiting;
    struct lm_bpe_job *jobs;
    struct lm_bpe_window *merged;   // of each job
    size_t waiting_len, waiting_cap, jobs_len, jobs_cap, merged_cap;
    struct lm_span_work *spans;   // NULL: nobody asks for them
    bool counting;                // ids are counted and forgotten
    size_t count;
};

/* As many bytes are to be encoded: perhaps the plan is made. */
void lm_encode_expect(struct lm_encoder *e, size_t bytes);

/* Appends the ids of `count` pieces of text: the first starts at `start`, they end at e->ends. */
void lm_encode_ends(struct lm_encoder *e, struct lm_str text, size_t start, size_t count,
                    struct lm_tokens *ret);

#endif
