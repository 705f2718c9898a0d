#ifndef LM_INFER_CONSTRAINT_H
#define LM_INFER_CONSTRAINT_H
/* infer/constraint.h - which tokens may come next: JSON Schema, regular expression or grammar as an automaton
 * over bytes, walked through the vocabulary.
 *
 * lm_constraint_new compiles once, within limits; the result is immutable and shared by threads and requests.
 * A lm_constraint_walk is one sequence's place in it; owner: one thread.  Masks depend on the source, the
 * vocabulary and the text so far, on nothing else.
 *
 * What sources may say, and how JSON is written: docs/formats/constraints.md. */

#include "base/err.h"
#include "base/str.h"
#include "token/tokenizer.h"

enum lm_constraint_kind {
    LM_CONSTRAINT_JSON_SCHEMA,
    LM_CONSTRAINT_JSON,      // an object of any content; the source is not looked at
    LM_CONSTRAINT_REGEX,     // matches the whole text
    LM_CONSTRAINT_GRAMMAR,   // GBNF, and EBNF close to it
};

/* 0: the default. */
struct lm_constraint_limits {
    size_t depth;        // nesting of groups, or of schemas other than items, 32
    size_t states;       // 65536
    size_t repetition;   // of one bound, 2000
    size_t bytes;        // memory of the automaton, 64 MiB
    int64_t ms;          // 50; compilation stops, with LM_ELIMIT
};

/* The vocabulary as a trie of bytes: made once per tokenizer. */
struct lm_constraint_vocab;
struct lm_constraint_vocab *lm_constraint_vocab_new(const struct lm_tokenizer *t);
void lm_constraint_vocab_free(struct lm_constraint_vocab *v);

struct lm_constraint;
/* LM_EINVAL: not supported or not valid, with the JSON pointer or the offset; LM_ELIMIT: a limit.  vocab must
 * outlive the result. */
enum lm_rc lm_constraint_new(const struct lm_constraint_vocab *vocab, enum lm_constraint_kind kind,
                             struct lm_str source, const struct lm_constraint_limits *limits,
                             struct lm_constraint **ret, struct lm_err *err);
void lm_constraint_free(struct lm_constraint *c);            // after its walks; NULL is fine
size_t lm_constraint_bytes(const struct lm_constraint *c);   // memory it holds, for caches

/* A walk keeps what it learns in a memory with a ceiling of a few MiB and leaves it to the next walk over the
 * same constraint; after warm-up it does not allocate, but for growth below the ceiling. */
struct lm_constraint_walk;
struct lm_constraint_walk *lm_constraint_walk_new(const struct lm_constraint *c);
void lm_constraint_walk_free(struct lm_constraint_walk *w);   // NULL is fine

/* Bit id of the mask (64 ids a word, as many as the tokenizer has) is set exactly if the token may come next;
 * ids of `ends` (end of text, end of turn) are set exactly if the text may end here.  Other special tokens
 * never fit, nor do tokens of more than 1024 bytes.  Borrowed until the next call.  *ret_count: bits set; 0
 * means that nothing fits, which the owner must report: a byte that is needed is no token, or the text can be
 * read in more than 4096 ways. */
const uint64_t *lm_constraint_mask(struct lm_constraint_walk *w, const uint32_t *ends, size_t end_count,
                                   size_t *ret_count);
/* Takes a token of the mask; false, and nothing changed, if it was not in it. */
bool lm_constraint_accept(struct lm_constraint_walk *w, uint32_t id);
bool lm_constraint_may_end(const struct lm_constraint_walk *w);

#endif
