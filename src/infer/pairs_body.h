/* infer/pairs_body.h - the kernels of pairs.h over an abstract vector; included once by each ISA file.
 *
 * The file defines V (vector of floats), VN (its lanes), W (as many pairs), w_load, v_load, v_store, v_zero,
 * w_pair (one pair in all lanes), v_add_pair (the two steps of the chain), and TILE_PANELS(rows).
 * No include guard: it is a template. */

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, count) _Pragma("GCC unroll 24") for (size_t i = 0; i < (count); i++)

enum { PANEL = 16, PER_PANEL = PANEL / VN, PANEL_BYTES = 64, ROWS_MAX = 6, VECTORS_MAX = 8 };

INLINE void tile(const size_t rows, const size_t panel_count, float *y, size_t y_stride, const uint16_t *x,
                 size_t x_stride, const void *const *panels, size_t pair_count, bool add)
{
    const size_t width = panel_count * PER_PANEL;
    V sum[ROWS_MAX * VECTORS_MAX];
    EACH (m, rows)
        EACH (v, width)
            sum[m * width + v] = add ? v_load(y + m * y_stride + v * VN) : v_zero();
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
            v_store(y + m * y_stride + v * VN, sum[m * width + v]);
}

INLINE void tile_rows(const size_t rows, float *y, size_t y_stride, const uint16_t *x, size_t x_stride,
                      const void *const *panels, size_t panel_count, size_t pair_count, bool add)
{
    size_t j = 0;
    for (; j + TILE_PANELS(rows) <= panel_count; j += TILE_PANELS(rows))
        tile(rows, TILE_PANELS(rows), y + j * PANEL, y_stride, x, x_stride, panels + j, pair_count, add);
    for (; j < panel_count; j++)
        tile(rows, 1, y + j * PANEL, y_stride, x, x_stride, panels + j, pair_count, add);
}

static void product(float *y, size_t y_stride, const uint16_t *x, size_t x_stride, size_t rows,
                    const void *const *panels, size_t panel_count, size_t pair_count, bool add)
{
#define ROWS(n)                                                                                              \
    case n:                                                                                                  \
        tile_rows(n, y, y_stride, x, x_stride, panels, panel_count, pair_count, add);                        \
        return
    for (; rows > ROWS_MAX; rows -= ROWS_MAX, y += ROWS_MAX * y_stride, x += ROWS_MAX * x_stride)
        tile_rows(ROWS_MAX, y, y_stride, x, x_stride, panels, panel_count, pair_count, add);
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
    for (size_t i = 0; i < count; i++) {
        __builtin_memcpy(&bits, x + i, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        ret[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
    }
    if (count % 2)
        ret[count] = 0;
}
