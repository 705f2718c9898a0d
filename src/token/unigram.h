#ifndef LM_TOKEN_UNIGRAM_H
#define LM_TOKEN_UNIGRAM_H
/* token/unigram.h - the most probable pieces of a text (Kudo 2018, arXiv:1804.10959): each piece has a score,
 * the logarithm of its probability; the best sum wins, found from the left (Viterbi) in time linear in the
 * text for pieces of bounded length.  Of equal sums the one met first wins, so sums are rounded as the peer
 * rounds them. */

#include "token/cache.h"
#include "token/tokenizer.h"
#include "token/trie.h"

enum { LM_UNIGRAM_PIECE_MAX = 1 << 14 };   // bytes of a piece

struct lm_unigram {
    struct lm_trie trie;   // pieces that text may become
    double *scores;        // [size], by id
    size_t size;
    double unknown_score;    // of a character without a piece
    uint32_t unknown;        // its id
    uint32_t byte_id[256];   // LM_TOKEN_NONE: there is none
    bool single;             // sums are kept in float, as sentencepiece does
    bool words;              // no piece has a blank (U+2581) behind another character: texts are words
};

/* Memory for it; zero-initialised is ready.  Owner: one thread. */
struct lm_unigram_scratch {
    struct lm_unigram_node *nodes;
    size_t node_cap;
    struct lm_cache words;   // what they become, when sums are float
    double *next;            // of the nodes of one
    uint32_t *kept;          // what is kept of one
    size_t next_cap, kept_cap;
};
void lm_unigram_scratch_release(struct lm_unigram_scratch *s);

/* The ids of the piece of text into ids, which has room for one a byte; returns their number.  spans: the
 * bytes that each is for, unknown neighbours together; NULL: nobody asks. */
size_t lm_unigram_ids(const struct lm_unigram *u, struct lm_unigram_scratch *s, struct lm_str piece,
                      uint32_t *ids, struct lm_span *spans);
void lm_unigram_free(struct lm_unigram *u);   // NULL is fine

#endif
