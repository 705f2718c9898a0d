#ifndef LM_CORPUS_SEEN_H
#define LM_CORPUS_SEEN_H
/* corpus/seen.h - which 128-bit digests were met, and where first.
 *
 * 24 bytes a digest at two thirds of the table: 1 GB remembers some 28 million.  Keys are parts of SHA-256,
 * so that no text can be made to look like another.  One owner thread; answers do not depend on table order.
 */

#include "base/hash.h"

struct lm_seen_row;

/* Zero-initialised is empty. */
struct lm_seen {
    struct lm_seen_row *rows;
    size_t len, cap;
};

/* The number that stands for the digest, 0 when it is met for the first time: the caller then sets one. Valid
 * until the next call. */
uint64_t *lm_seen_slot(struct lm_seen *seen, const uint8_t digest[LM_SHA256_BYTES]);
void lm_seen_release(struct lm_seen *seen);

#endif
