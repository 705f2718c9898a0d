#ifndef LM_INFER_CONSTRAINT_VOCAB_H
#define LM_INFER_CONSTRAINT_VOCAB_H
/* infer/constraint_vocab.h - the vocabulary in the order in which a mask looks at it.
 *
 * A trie of bytes is an array of nodes in depth-first order: to leave out all that begins with a node, go on
 * at its `next`.  There are two: of the plain tokens, and of the rest.
 *
 * A plain token is whole plain characters (constraint_nfa.h), well-formed UTF-8.  Nearly all tokens are
 * plain, so where any plain text fits, as inside a string, the mask begins as a copy of one made before and
 * only the rest is looked at.  Elsewhere a node's `below` says when all of its tokens can be taken at once.
 */

#include "infer/constraint_nfa.h"

enum {
    LM_PLAIN_CHARS_MAX = 24,          // masks of plain tokens by length: up to here; longer ones are few
    LM_TRIE_TOKEN_BYTES_MAX = 1024,   // longer tokens never fit
    LM_TRIE_CHARS_MANY = 255,
};

struct lm_trie_node {
    uint32_t next;    // first node behind all that begin with this one
    uint32_t token;   // its tokens: ids[token] up to those of the node behind
    uint16_t depth;   // 0: first byte of a token
    uint8_t byte;
    uint8_t chars;   // plain trie: of the longest token that begins with this, at most 254; else 255
    struct lm_run
        below;   // kinds, and most characters, of what tokens have behind this byte; 0 characters: nothing
};

struct lm_trie {
    struct lm_trie_node *nodes;   // [count + 1]; the last has only .token
    size_t count;
    uint32_t *ids;   // by node
    size_t id_count;
};

struct lm_long_token {
    uint32_t id;
    uint8_t chars;   // at most 254
};

struct lm_constraint_vocab {
    struct lm_trie plain, rest;
    size_t vocab_size, words;      // of a mask: 64 ids each
    size_t depth_max;              // bytes of the longest token
    uint64_t *plain_masks;         // [LM_PLAIN_CHARS_MAX + 1][words]: tokens of at most so many characters
    struct lm_long_token *longs;   // the plain tokens that are longer
    size_t long_count, long_cap;
    uint8_t plain_chars_max;   // of the longest plain token, at most 254
    const struct lm_tokenizer *tokenizer;
};

#endif
