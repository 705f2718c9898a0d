#include "train/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void lm_batch_init(struct lm_batch *b, size_t rows, size_t positions)
{
    const size_t count = rows * positions;
    *b = (struct lm_batch){
        .rows = rows,
        .positions = positions,
        .input = lm_zalloc(count, sizeof *b->input),
        .target = lm_zalloc(count, sizeof *b->target),
        .start = lm_zalloc(count, sizeof *b->start),
    };
    lm_batch_clear(b);
}

void lm_batch_release(struct lm_batch *b)
{
    free(b->input);
    free(b->target);
    free(b->start);
    *b = (struct lm_batch){ 0 };
}

size_t lm_batch_bytes(size_t rows, size_t positions)
{
    return rows * positions * (sizeof(uint32_t) + sizeof(int32_t) + sizeof(uint32_t));
}

void lm_batch_clear(struct lm_batch *b)
{
    for (size_t i = 0; i < b->rows * b->positions; i++) {
        b->input[i] = 0;
        b->target[i] = LM_TARGET_NONE;
        b->start[i] = 0;
    }
    b->trained = 0;
}

void lm_batch_put(struct lm_batch *b, size_t row, size_t at, const struct lm_piece *piece)
{
    LM_ASSERT(row < b->rows);
    LM_ASSERT(at + piece->len <= b->positions);

    const size_t base = row * b->positions;
    memcpy(b->input + base + at, piece->input, piece->len * sizeof *b->input);
    memcpy(b->target + base + at, piece->target, piece->len * sizeof *b->target);
    for (size_t i = 0; i < piece->len; i++)
        b->trained += piece->target[i] != LM_TARGET_NONE;
    for (size_t t = at; t < b->positions; t++)
        b->start[base + t] = (uint32_t)(t < at + piece->len ? at : at + piece->len);
}
