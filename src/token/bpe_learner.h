#ifndef LM_TOKEN_BPE_LEARNER_H
#define LM_TOKEN_BPE_LEARNER_H
/* token/bpe_learner.h - learning merges, between bpe_train.c (pairs and words) and bpe_heap.c (which pair
 * comes next). */

#include "token/bpe_train.h"

struct lm_pair {
    uint64_t key;   // left << 32 | right
    int64_t count;
    uint32_t touched;   // its place in `touched` + 1; 0: no word gained it in this step
};

/* Words that gained a pair in this step: ascending, as gaps of 7 bits a byte, the low ones first. */
struct lm_touched {
    uint32_t pair, last;   // last: the word that was put last
    uint8_t *bytes;
    size_t len, cap;
};

enum { LM_FEW_BYTES = sizeof(uint8_t *) };

struct lm_candidate {
    uint64_t count;
    uint32_t pair, turn;   // turn: order of pushing, settles what HF leaves open
    union {
        uint8_t *bytes;   // the words as in struct lm_touched, or
        uint8_t few[LM_FEW_BYTES];
    };
    uint32_t len;   // in bytes; up to LM_FEW_BYTES they are in `few`
};

struct lm_learner {
    const struct lm_learn_options *options;
    struct lm_sequences words;   // lens are shrinking,
    size_t live;                 // to this many ids in all
    struct lm_token_map map;     // bytes to id
    struct lm_buf text;          // of a token to be
    struct lm_pair *pairs;
    size_t pair_count, pair_cap;
    uint32_t *slots;   // index of a pair + 1; 0: free
    size_t mask;
    struct lm_touched *touched;   // [touched_cap], of which touched_len are of this step
    size_t touched_len, touched_cap;
    struct lm_candidate *heap;
    size_t heap_len, heap_cap;
    uint32_t turn;
    struct lm_learned *out;
};

/* Pairs that gained words in this step become candidates. */
void lm_learner_push(struct lm_learner *l);

/* The best pair, its count brought up to date; false when none occurs often enough.  Release it. */
bool lm_learner_next(struct lm_learner *l, uint64_t frequency_min, struct lm_candidate *ret);
void lm_candidate_release(const struct lm_candidate *c);

static inline uint64_t lm_pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static inline struct lm_str lm_pair_left(const struct lm_learner *l, uint64_t key)
{
    return lm_vocab_bytes(&l->out->vocab, (uint32_t)(key >> 32));
}

static inline struct lm_str lm_pair_right(const struct lm_learner *l, uint64_t key)
{
    return lm_vocab_bytes(&l->out->vocab, (uint32_t)key);
}

#endif
