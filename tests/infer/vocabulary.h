#ifndef LM_TESTS_INFER_VOCABULARY_H
#define LM_TESTS_INFER_VOCABULARY_H
/* tests/infer/vocabulary.h - made-up vocabularies: three special tokens (ids 0 to 2, as of tiny_tokenizer),
 * the 256 bytes, and tokens made by merging two others. */

#include "base/rng.h"
#include "token/tokenizer.h"

enum { VOCABULARY_BYTE = 3, VOCABULARY_FIRST = 259, VOCABULARY_END = 0 };

/* `count` tokens in all, at most bytes_max long.  Merges join tokens at random, those of the bytes in `often`
 * more often than others. */
struct lm_tokenizer *random_vocabulary(struct lm_rng *rng, size_t count, size_t bytes_max, const char *often);

bool mask_has(const uint64_t *mask, uint32_t id);
uint32_t random_token(struct lm_rng *rng, const uint64_t *mask,
                      uint32_t count);   // of the mask, which is not empty

#endif
