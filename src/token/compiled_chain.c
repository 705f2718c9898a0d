/* token/compiled_chain.c - the tables of a Unigram model in a compiled file. */
#include "token/compiled.h"

#include "token/unigram.h"

enum { BLOCK = 256 };   // nodes that the children of one lie in

/* Children lie inside, and pieces are tokens that text may become.  A way down that never ends cannot be:
 * each node has one parent, and the root none. */
static bool check_trie(struct lm_str section, uint32_t vocab_size, const uint64_t *ordinary)
{
    const struct lm_trie_node *nodes = (const struct lm_trie_node *)(const void *)section.ptr;
    const size_t count = section.len / sizeof(*nodes);
    bool good = count > 0 && section.len % (BLOCK * sizeof(*nodes)) == 0 && nodes[0].check == LM_TRIE_NONE;
    for (size_t i = 0; good && i < count; i++) {
        const uint32_t value = nodes[i].value;
        good = nodes[i].base < count &&
               (value == LM_TRIE_NONE || (value < vocab_size && ordinary[value / 64] >> value % 64 & 1));
    }
    return good;
}

bool lm_compiled_check_unigram(const struct lm_compiled *c, const uint64_t *ordinary)
{
    const struct lm_str trie = lm_compiled_section(c, LM_COMPILED_TRIE);
    const struct lm_str scores = lm_compiled_section(c, LM_COMPILED_SCORES);
    if (c->header.chain > 1 || c->header.reserved || (!c->header.chain && trie.len + scores.len > 0))
        return false;
    if (trie.len == 0 && scores.len == 0)
        return true;
    return scores.len == c->header.vocab_size * sizeof(double) &&
           check_trie(trie, c->header.vocab_size, ordinary);
}

void lm_compiled_attach_unigram(const struct lm_compiled *c, struct lm_unigram *u)
{
    const struct lm_str trie = lm_compiled_section(c, LM_COMPILED_TRIE);
    u->trie.nodes = (struct lm_trie_node *)(uintptr_t)trie.ptr;
    u->trie.size = trie.len / sizeof(*u->trie.nodes);
    u->scores = (double *)(uintptr_t)lm_compiled_section(c, LM_COMPILED_SCORES).ptr;
    u->unknown_score = c->header.unknown_score;
}

void lm_compiled_detach_unigram(struct lm_unigram *u)
{
    u->trie = (struct lm_trie){ 0 };
    u->scores = NULL;
}
