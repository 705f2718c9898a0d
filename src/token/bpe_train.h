#ifndef LM_TOKEN_BPE_TRAIN_H
#define LM_TOKEN_BPE_TRAIN_H
/* token/bpe_train.h - learning merges: unique words of a corpus, then the most frequent pair again and again.
 */

#include "token/pretoken.h"
#include "token/vocab.h"

/* ---- unique words: bpe_count.c ---- */

struct lm_word {
    uint64_t at;   // in bytes
    uint64_t count;
    uint32_t len;
};

struct lm_words {
    struct lm_word *items;   // bytewise order, no two equal
    size_t len, cap;
    struct lm_buf bytes;
    uint64_t total;   // pieces, repeated ones counted each time
};

/* Cuts and counts in parallel.  The result does not depend on the number of threads.  LM_ESTOP when asked. */
enum lm_rc lm_words_count(const struct lm_grammar *g, const struct lm_str *texts, size_t count,
                          struct lm_words *ret, struct lm_err *err);
void lm_words_release(struct lm_words *w);

/* ---- merges: bpe_train.c ---- */

struct lm_learned_merge {
    uint32_t left, right, id;
};

struct lm_learned {
    struct lm_vocab vocab;   // special tokens, 256 bytes in HF order, then what merges made
    struct lm_learned_merge *merges;
    size_t merge_count, merge_cap;
    uint64_t tokens;   // that the counted words come to
};

/* As Hugging Face's BpeTrainer(initial_alphabet=ByteLevel.alphabet()): same merges in the same order.  One
 * exception: a pair that would spell a special token is never merged. */
enum lm_rc lm_bpe_learn(const struct lm_words *words, const struct lm_str *special, size_t special_count,
                        size_t vocab_size, uint64_t frequency_min, struct lm_learned *ret,
                        struct lm_err *err);
void lm_learned_release(struct lm_learned *l);

#endif
