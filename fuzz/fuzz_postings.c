/* A block of postings: documents ascend and counts are at least 1, whatever the bytes are; what was read can
 * be written again. */
#include "corpus/postings.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_block b = lm_block_open((struct lm_str){ (const char *)data, size }, 1000);
    struct lm_buf again = { 0 };
    struct lm_posting p;
    uint64_t before = 1000, count = 0;
    while (lm_block_next(&b, &p)) {
        LM_ASSERT(p.document >= before && p.count >= 1);
        lm_posting_put(&again, p.document - before, p.count);
        before = p.document;
        count++;
    }
    struct lm_block c = lm_block_open(lm_buf_str(&again), 1000);
    while (lm_block_next(&c, &p))
        count--;
    LM_ASSERT(count == 0 && !c.damaged);
    lm_buf_release(&again);
    return 0;
}
