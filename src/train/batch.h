#ifndef LM_TRAIN_BATCH_H
#define LM_TRAIN_BATCH_H
/* train/batch.h - what one step reads: rows of positions, each with its input, its target and its document.
 *
 * A document is a segment: start[] says where the position's segment begins, and attention and RoPE count
 * from there, so documents packed into one row do not see each other.  Every position belongs to a segment;
 * what is left over at the end of a row is a segment without targets. */

#include "base/err.h"

#include <stdint.h>

enum { LM_TARGET_NONE = -1 };   // the position is read but not trained

struct lm_batch {
    size_t rows, positions;     // B, T
    uint32_t *input;            // (B, T)
    int32_t *target;            // (B, T), a token id or LM_TARGET_NONE
    uint32_t *start;            // (B, T), within the row
    size_t trained;             // targets that are not NONE
    uint64_t step, first_row;   // which masks dropout takes: those of this step, from this row on
};

void lm_batch_init(struct lm_batch *b, size_t rows, size_t positions);
void lm_batch_release(struct lm_batch *b);
size_t lm_batch_bytes(size_t rows, size_t positions);

/* Empties it: one segment a row, no targets. */
void lm_batch_clear(struct lm_batch *b);

/* A run of positions within one document, to be put into a row as a segment of its own. */
struct lm_piece {
    const uint32_t *input;   // [len]
    const int32_t *target;   // [len]
    size_t len;              // 1..T
};

/* Puts a piece at position `at` of a row; the rest of the row becomes a segment without targets. */
void lm_batch_put(struct lm_batch *b, size_t row, size_t at, const struct lm_piece *piece);

#endif
