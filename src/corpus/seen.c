#include "corpus/seen.h"
#include "base/mem.h"

#include <stdlib.h>

enum { CAP_MIN = 1024 };

struct lm_seen_row {
    uint64_t key[2];
    uint64_t number;   // 0: the row is free
};

/* Open addressing with linear steps: the row of the key, or the free one where it belongs. */
static struct lm_seen_row *row_of(struct lm_seen_row *rows, size_t cap, const uint64_t key[2])
{
    size_t at = key[0] & (cap - 1);
    while (rows[at].number && (rows[at].key[0] != key[0] || rows[at].key[1] != key[1]))
        at = (at + 1) & (cap - 1);
    return &rows[at];
}

static void grow(struct lm_seen *seen)
{
    const size_t cap = seen->cap ? 2 * seen->cap : CAP_MIN;
    struct lm_seen_row *rows = lm_zalloc(cap, sizeof(*rows));
    for (size_t i = 0; i < seen->cap; i++)
        if (seen->rows[i].number)
            *row_of(rows, cap, seen->rows[i].key) = seen->rows[i];
    free(seen->rows);
    seen->rows = rows;
    seen->cap = cap;
}

uint64_t *lm_seen_slot(struct lm_seen *seen, const uint8_t digest[LM_SHA256_BYTES])
{
    if (3 * (seen->len + 1) > 2 * seen->cap)
        grow(seen);
    uint64_t key[2];
    memcpy(key, digest, sizeof(key));
    struct lm_seen_row *row = row_of(seen->rows, seen->cap, key);
    if (row->number == 0) {
        memcpy(row->key, key, sizeof(key));
        seen->len++;
    }
    return &row->number;
}

void lm_seen_release(struct lm_seen *seen)
{
    free(seen->rows);
    *seen = (struct lm_seen){ 0 };
}
