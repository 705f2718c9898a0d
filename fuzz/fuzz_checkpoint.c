/* The manifest of a checkpoint: what is read can be written, and reads back the same. */
#include "train/checkpoint_manifest.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct lm_checkpoint_place place = {
    .dir = "fuzz",
    .recipe = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .isa = "bf16",
};

/* Numbers of JSON: what is not finite is written as null and read as 0. */
static bool same_number(double a, double b)
{
    return a == b || (!isfinite(a) && b == 0);
}

static void check_same(const struct lm_checkpoint *a, const struct lm_checkpoint *b)
{
    LM_ASSERT(a->step == b->step && a->evaluated == b->evaluated && a->sampled == b->sampled);
    LM_ASSERT(same_number(a->loss, b->loss) && same_number(a->heldout_loss, b->heldout_loss));
    LM_ASSERT(same_number(a->heldout_bits_per_byte, b->heldout_bits_per_byte));
    if (a->spikes.seen > 0) {
        LM_ASSERT(same_number(a->spikes.mean, b->spikes.mean) && a->spikes.seen == b->spikes.seen);
        LM_ASSERT(same_number(a->spikes.variance, b->spikes.variance));
        LM_ASSERT(a->spikes.rollbacks == b->spikes.rollbacks);
        for (size_t i = 0; i < a->spikes.rollbacks; i++) {
            LM_ASSERT(a->spikes.skipped[i].first == b->spikes.skipped[i].first);
            LM_ASSERT(a->spikes.skipped[i].count == b->spikes.skipped[i].count);
        }
    }
    if (a->best.step > 0) {
        LM_ASSERT(a->best.step == b->best.step && a->best.worse == b->best.worse);
        LM_ASSERT(same_number(a->best.loss, b->best.loss) && strcmp(a->best.sha256, b->best.sha256) == 0);
        LM_ASSERT(same_number(a->best.bits_per_byte, b->best.bits_per_byte));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_checkpoint c = { 0 }, again = { 0 };
    struct lm_err err = { 0 };
    char sha256[LM_SHA256_HEX], sha256_again[LM_SHA256_HEX];
    const struct lm_str text = { (const char *)data, size };
    if (lm_manifest_parse(&place, text, "fuzz", &c, sha256, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != 0);
        return 0;
    }
    LM_ASSERT(c.step > 0 && c.spikes.rollbacks <= LM_ROLLBACKS_MAX);
    LM_ASSERT(strlen(sha256) == LM_SHA256_HEX - 1);
    struct lm_buf written = { 0 };
    lm_manifest_write(&place, &c, sha256, &written);
    if (lm_manifest_parse(&place, lm_buf_str(&written), "again", &again, sha256_again, &err) != LM_OK)
        lm_broken(err.text, __FILE__, __LINE__);
    check_same(&c, &again);
    LM_ASSERT(strcmp(sha256, sha256_again) == 0);
    lm_buf_release(&written);
    return 0;
}
