#ifndef LM_TOKEN_TRIE_H
#define LM_TOKEN_TRIE_H
/* token/trie.h - all keys that a text starts with, one step a byte.
 *
 * A double array: the child of node n for byte b is at base[n] ^ b if check says that it is n's.  Node 0 is
 * the root.  Immutable once made. */

#include "base/mem.h"
#include "base/str.h"

struct lm_trie {
    struct lm_trie_node {
        uint32_t base, check;   // check: the parent; LM_TRIE_NONE: free
        uint32_t value;         // LM_TRIE_NONE: no key ends here
    } * nodes;
    size_t size;   // a multiple of 256
};
#define LM_TRIE_NONE UINT32_MAX

struct lm_trie_key {
    struct lm_str bytes;   // not empty
    uint32_t value;
    uint64_t start;   // for sorting: its first bytes
};

/* Sorts the keys, which must differ. */
void lm_trie_make(struct lm_trie *t, struct lm_trie_key *keys, size_t count);
void lm_trie_release(struct lm_trie *t);

/* One step down from *node; false when there is no such child. */
static inline bool lm_trie_step(const struct lm_trie *t, uint32_t *node, uint8_t byte)
{
    const uint32_t child = t->nodes[*node].base ^ byte;
    if (t->nodes[child].check != *node)
        return false;
    *node = child;
    return true;
}

/* The value of the longest key that text[at..) starts with, LM_TRIE_NONE without one. */
uint32_t lm_trie_longest(const struct lm_trie *t, struct lm_str text, size_t at, size_t *ret_len);

#endif
