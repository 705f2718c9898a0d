#include "base/hash.h"
#include "corpus/corpus.h"

/* The first 53 bits of SHA-256 as a fraction of 1: not the table hash, so that nothing that is ever done with
 * tables decides what a model may see in training. */
bool lm_heldout(struct lm_str id, double share)
{
    uint8_t digest[LM_SHA256_BYTES];
    struct lm_sha256 h;
    lm_sha256_init(&h);
    lm_sha256_add_field(&h, LM_STR("heldout"));
    lm_sha256_add_field(&h, id);
    lm_sha256_end(&h, digest);
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | digest[i];
    return (double)(bits >> 11) * 0x1p-53 < share;
}
