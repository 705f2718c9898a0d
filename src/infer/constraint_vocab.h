#ifndef LM_INFER_CONSTRAINT_VOCAB_H
#define LM_INFER_CONSTRAINT_VOCAB_H
/* infer/constraint_vocab.h - the vocabulary in the order in which a mask looks at it.
 *
 * A trie of bytes is an array of nodes in depth-first order: to leave out all that begins with a node, go on
 * at its `next`.  There are two: of the plain tokens, and of the rest.
 *
 * A plain character is one that stands for itself in a JSON string: any but the quote, the backslash and
 * U+0000..U+001F.  A plain token is whole plain characters, well-formed UTF-8.  Nearly all tokens are plain,
 * so where any plain text fits, as inside a string, the mask begins as a copy of `plain` and only the rest is
 * looked at. */

#include "infer/constraint.h"

enum {
    LM_PLAIN_CHARS_MAX = 32,          // masks of plain tokens by length: up to here
    LM_TRIE_TOKEN_BYTES_MAX = 1024,   // longer tokens never fit
    LM_TRIE_CHARS_MANY = 255,
};

struct lm_trie_node {
    uint32_t next;    // first node behind all that begin with this one
    uint32_t token;   // its tokens: ids[token] up to those of the node behind
    uint16_t depth;   // 0: first byte of a token
    uint8_t byte;
    uint8_t chars;   // plain trie: most characters of a token from here on, at most 254; else 255
};

struct lm_trie {
    struct lm_trie_node *nodes;   // [count + 1]; the last has only .token
    size_t count;
    uint32_t *ids;   // by node
    size_t id_count;
};

struct lm_constraint_vocab {
    struct lm_trie plain, rest;
    size_t vocab_size, words;   // of a mask: 64 ids each
    size_t depth_max;           // bytes of the longest token
    uint64_t *plain_masks;      // [LM_PLAIN_CHARS_MAX + 1][words]: tokens of at most so many characters
    size_t plain_counts[LM_PLAIN_CHARS_MAX + 1];
    uint8_t plain_chars_max;   // of the longest plain token, at most 254
    const struct lm_tokenizer *tokenizer;
};

/* Characters of a plain text; 0 if it is not plain, or empty. */
size_t lm_plain_chars(struct lm_str text);

#endif
