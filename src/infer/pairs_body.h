/* infer/pairs_body.h - the kernels of pairs.h over an abstract vector; included once by each ISA file.
 *
 * The file defines V (vector of floats), VN (its lanes), W (as many pairs), w_load, v_load, v_store, v_zero,
 * w_pair (one pair in all lanes), v_add_pair (the two steps of the chain), and TILE_PANELS(rows);
 * and may define w_round(to, from): VN floats to BF16.
 * No include guard: it is a template. */

#include "base/each.h"

enum { PANEL = 16, PER_PANEL = PANEL / VN, PANEL_BYTES = 64, ROWS_MAX = 6, VECTORS_MAX = 8 };

INLINE void tile(const size_t rows, const size_t panel_count, struct lm_outputs to, const uint16_t *x,
                 size_t x_stride, const void *const *panels, size_t pair_count)
{
    const size_t width = panel_count * PER_PANEL;
    V sum[ROWS_MAX * VECTORS_MAX];
    EACH (m, rows)
        EACH (v, width)
            sum[m * width + v] = to.start ? v_load(to.start + m * to.start_stride + v * VN) : v_zero();
    for (size_t p = 0; p < pair_count; p++) {
        W weight[VECTORS_MAX];
        EACH (v, width)
            weight[v] =
                w_load((const char *)panels[v / PER_PANEL] + p * PANEL_BYTES + v % PER_PANEL * VN * 4);
        EACH (m, rows) {
            const W input = w_pair(x + m * x_stride + p * 2);
            EACH (v, width)
                sum[m * width + v] = v_add_pair(sum[m * width + v], input, weight[v]);
        }
    }
    EACH (m, rows)
        EACH (v, width)
            v_store(to.y + m * to.stride + v * VN, sum[m * width + v]);
}

INLINE void tile_rows(const size_t rows, struct lm_outputs to, const uint16_t *x, size_t x_stride,
                      const void *const *panels, size_t panel_count, size_t pair_count)
{
    size_t j = 0;
    for (; j + TILE_PANELS(rows) <= panel_count; j += TILE_PANELS(rows))
        tile(rows, TILE_PANELS(rows), lm_outputs_past(to, 0, j * PANEL), x, x_stride, panels + j, pair_count);
    for (; j < panel_count; j++)
        tile(rows, 1, lm_outputs_past(to, 0, j * PANEL), x, x_stride, panels + j, pair_count);
}

static void product(struct lm_outputs to, const uint16_t *x, size_t x_stride, size_t rows,
                    const void *const *panels, size_t panel_count, size_t pair_count)
{
#define ROWS(n)                                                                                              \
    case n:                                                                                                  \
        tile_rows(n, to, x, x_stride, panels, panel_count, pair_count);                                      \
        return
    for (; rows > ROWS_MAX; rows -= ROWS_MAX, to = lm_outputs_past(to, ROWS_MAX, 0), x += ROWS_MAX * x_stride)
        tile_rows(ROWS_MAX, to, x, x_stride, panels, panel_count, pair_count);
    switch (rows) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
    }
#undef ROWS
}

/* Adds half of the last place that stays, and the last bit of it for ties; NaN stays NaN, made quiet. */
static void prepare(uint16_t *ret, const float *x, size_t count)
{
    uint32_t bits;
    size_t i = 0;
#ifdef w_round
    for (; i + VN <= count; i += VN)
        w_round(ret + i, x + i);
#endif
    for (; i < count; i++) {
        __builtin_memcpy(&bits, x + i, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        ret[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
    }
    if (count % 2)
        ret[count] = 0;
}
