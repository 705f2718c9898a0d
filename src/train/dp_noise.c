/* Secret random numbers of a private run: blocks of ChaCha20, and normal noise made of them by the ziggurat.
 * Marsaglia & Tsang 2000; 53 bits of place and 7 of layer from the same 64, as Doornik 2005 wants them apart.
 */
#include "train/dp_noise.h"

#include "base/err.h"
#include "base/sys.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

void lm_dp_stream(const uint8_t key[LM_DP_KEY_BYTES], enum lm_dp_stream stream, uint64_t step, uint64_t block,
                  void *ret, size_t bytes)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    const uint64_t number = 2 * step + stream;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(number >> 8 * i);
    memset(ret, 0, bytes);
    crypto_stream_chacha20_xor_ic(ret, ret, bytes, nonce, block, key);
}

/* ---- the ziggurat: layers of equal area under exp(-x^2 / 2), the lowest with the tail beyond `tail` ---- */

enum { LAYERS = 128 };
static const double tail = 3.442619855899, area = 9.91256303526217e-3;
static double edge[LAYERS + 1];   // of the layers, falling; the first is the width that the lowest would have
static double inner[LAYERS];      // share of a layer's width that lies under the curve for sure
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
    LM_ASSERT(sodium_init() >= 0);   // it chooses its fastest code; until then the slowest serves
    double height = exp(-0.5 * tail * tail);
    edge[0] = area / height;
    edge[1] = tail;
    for (int i = 2; i < LAYERS; i++) {
        edge[i] = sqrt(-2 * log(area / edge[i - 1] + height));
        height = exp(-0.5 * edge[i] * edge[i]);
    }
    edge[LAYERS] = 0;
    for (int i = 0; i < LAYERS; i++)
        inner[i] = edge[i + 1] / edge[i];
}

/* The stream of one stretch of values: a region of its own, long enough for any number of second tries. */
enum { STRETCH = 1 << 10, REGION_BLOCKS_BITS = 20, BLOCK_BYTES = 64 };

struct bits {
    const uint8_t *key;
    uint64_t step, block;   // where the next refill is
    uint64_t word[STRETCH];
    size_t next;
};

static void refill(struct bits *b)
{
    lm_dp_stream(b->key, LM_DP_NOISE, b->step, b->block, b->word, sizeof b->word);
    b->block += sizeof b->word / BLOCK_BYTES;
    b->next = 0;
}

static uint64_t word(struct bits *b)
{
    if (b->next == STRETCH)
        refill(b);
    return b->word[b->next++];
}

static double unit(struct bits *b)   // (0, 1]
{
    return ((double)(word(b) >> 11) + 1) * 0x1p-53;
}

static double beyond_tail(struct bits *b)
{
    double x, y;
    do {
        x = -log(unit(b)) / tail;
        y = -log(unit(b));
    } while (2 * y < x * x);
    return tail + x;
}

static double normal(struct bits *b)
{
    for (;;) {
        const uint64_t w = word(b);
        const size_t layer = w & (LAYERS - 1);
        const double u = (double)((int64_t)w >> 11) * 0x1p-52;   // [-1, 1)
        const double x = u * edge[layer];
        if (fabs(u) < inner[layer])
            return x;
        if (layer == 0)
            return copysign(beyond_tail(b), u);
        const double below = exp(-0.5 * (edge[layer] * edge[layer] - x * x));
        const double above = exp(-0.5 * (edge[layer + 1] * edge[layer + 1] - x * x));
        if (below + unit(b) * (above - below) < 1)
            return x;
    }
}

void lm_dp_noise_add(const uint8_t key[LM_DP_KEY_BYTES], uint64_t step, float *values, size_t first,
                     size_t count, double deviation, double scale)
{
    const size_t end = first + count;
    pthread_once(&once, start);
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t stretch = first / STRETCH; stretch < (end + STRETCH - 1) / STRETCH; stretch++) {
        const size_t start_at = stretch * STRETCH;
        struct bits bits = { .key = key, .step = step, .block = (uint64_t)stretch << REGION_BLOCKS_BITS };
        refill(&bits);
        for (size_t i = start_at; i < first; i++)   // the range begins within the stretch
            (void)normal(&bits);
        for (size_t i = start_at > first ? start_at : first; i < end && i < start_at + STRETCH; i++)
            values[i] = (float)(((double)values[i] + deviation * normal(&bits)) * scale);
    }
}
