#ifndef LM_TOKEN_NGRAM_IMPL_H
#define LM_TOKEN_NGRAM_IMPL_H
/* token/ngram_impl.h - the tables of an n-gram model.  Internal to ngram.c and ngram_file.c.
 *
 * Order n holds every n-gram seen, with its count (the highest order, and n-grams that begin a document) or
 * the number of different tokens before it (the others); and per context the sum of the counts that follow
 * and how many of them are 1, 2, 3 or more.
 *
 * A context is a 64-bit hash of its tokens chained token by token; an n-gram is its context's hash and a
 * token.  Two of N n-grams collide with probability below N^2 / 2^65: 10^-5 for the 10 million of a large
 * corpus. */

#include "base/file.h"
#include "token/ngram.h"

enum { NGRAM_CLASSES = 3 };

/* What a key is mapped to. */
enum ngram_columns {
    NGRAM_COUNT = 1,                    // an n-gram: {count}
    NGRAM_TOTALS = 1 + NGRAM_CLASSES,   // a context: {total, n-grams with count 1, 2, 3 or more}
};

/* Open addressing, linear probing, at least a quarter free; key 0 is empty. */
struct ngram_table {
    uint64_t *keys;     // (size)
    uint32_t *values;   // (size, columns)
    size_t size, used;
};

struct lm_ngram {
    int order;
    uint32_t vocab_size;
    uint64_t tokens;                                       // added so far
    struct ngram_table grams[LM_NGRAM_ORDER_MAX + 1];      // [n]: n-grams
    struct ngram_table contexts[LM_NGRAM_ORDER_MAX + 1];   // [n]: contexts of n-grams, n - 1 tokens long
    double discount[LM_NGRAM_ORDER_MAX + 1][NGRAM_CLASSES + 1];
    struct lm_map map;   // the tables lie there; not mapped: they are its own
};

#endif
