/* Dropout: a value is kept with probability 1 - rate and then divided by it, so that sums keep their mean
 * (Srivastava et al. 2014, JMLR 15).
 *
 * A mask is a pure function of seed, step, place in the network, position in the batch and column.  So the
 * way back, a layer that is computed again, a run that goes on and any number of threads meet the same masks,
 * and none is stored. */
#include "train/net_impl.h"

#include "base/rng.h"
#include "base/sys.h"
#include "tensor/quant.h"

enum { DRAW_BITS = 16, DRAWS = 64 / DRAW_BITS, SITE_SHIFT = 40 };   // columns that share one draw of 64 bits

/* The masks of one row, from its first column on. */
struct mask {
    struct lm_rng rng;
    uint64_t bits;
    uint32_t below;   // what is dropped, of 2^16
};

static struct mask mask_of(const struct lm_net *n, size_t site, size_t row, float rate)
{
    const uint64_t stream = (uint64_t)site << SITE_SHIFT | (n->mask_first + row);
    return (struct mask){ .rng = lm_rng_make(n->mask_key, stream),
                          .below = (uint32_t)(rate * (1 << DRAW_BITS) + 0.5f) };
}

/* Of column i; to be asked in order. */
static bool drops(struct mask *m, size_t i)
{
    m->bits = i % DRAWS ? m->bits >> DRAW_BITS : lm_rng_next(&m->rng);
    return (m->bits & ((1 << DRAW_BITS) - 1)) < m->below;
}

void lm_net_start_masks(struct lm_net *n, const struct lm_batch *b, size_t first)
{
    n->mask_key = lm_rng_make(n->config.seed, b->step).key;
    n->mask_first = b->first_row * b->positions + first;
}

void lm_net_drop(const struct lm_net *n, size_t site, float rate, float *x, size_t cols)
{
    const float scale = 1 / (1 - rate);
    if (rate == 0)
        return;
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t row = r; row < r + len; row++) {
            struct mask m = mask_of(n, site, row, rate);
            for (size_t i = 0; i < cols; i++)
                x[row * cols + i] = drops(&m, i) ? 0 : x[row * cols + i] * scale;
        }
    }
}

void lm_net_drop16(const struct lm_net *n, size_t site, float rate, uint16_t *x, size_t stride, size_t cols)
{
    const float scale = 1 / (1 - rate);
    if (rate == 0)
        return;
    LM_NET_FOR_UNITS(n, r, len)
    {
        for (size_t row = r; row < r + len; row++) {
            struct mask m = mask_of(n, site, row, rate);
            uint16_t *at = x + row * stride;
            for (size_t i = 0; i < cols; i++)
                at[i] = drops(&m, i) ? 0 : lm_bf16_encode(lm_bf16_decode(at[i]) * scale);
        }
    }
}
