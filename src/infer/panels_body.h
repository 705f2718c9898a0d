/* infer/panels_body.h - the kernels of panels.h over an abstract vector; included once by each ISA file.
 *
 * The file defines V (vector type), VN (its lanes: 4, 8 or 16), the v_ functions below as intrinsics, and
 * TILE_PANELS(rows): how many panels a tile of that many rows takes, so that accumulators, one row of weights
 * and a broadcast fit the registers.  No include guard: it is a template.
 *
 * What happens to an element is, step by step, what panels.c does to it. */

#include "base/each.h"

enum { PER_PANEL = LM_PANEL / VN, TILE_ROWS_MAX = 6 };

/* One register tile: rows x (panels * 16) outputs.  Both counts are constants where it is called. */
INLINE void tile(const enum lm_panel_type type, const size_t rows, const size_t panel_count,
                 struct lm_outputs to, const float *x, size_t x_stride, const void *const *panels,
                 size_t depth)
{
    V sum[TILE_ROWS_MAX * TILE_VECTORS_MAX];
    const size_t width = panel_count * PER_PANEL;
    for (size_t m = 0; m < rows; m++)
        for (size_t v = 0; v < width; v++)
            sum[m * width + v] = to.start ? v_load(to.start + m * to.start_stride + v * VN) : v_set1(0);
    for (size_t k = 0; k < depth; k++) {
        V weight[TILE_VECTORS_MAX];
        for (size_t v = 0; v < width; v++)
            weight[v] = v_load_element(type, panels[v / PER_PANEL], k * LM_PANEL + v % PER_PANEL * VN);
        for (size_t m = 0; m < rows; m++) {
            const V input = v_set1(x[m * x_stride + k]);
            for (size_t v = 0; v < width; v++)
                sum[m * width + v] = v_fma(input, weight[v], sum[m * width + v]);
        }
    }
    for (size_t m = 0; m < rows; m++)
        for (size_t v = 0; v < width; v++)
            v_store(to.y + m * to.stride + v * VN, sum[m * width + v]);
}

/* All panels for up to TILE_ROWS_MAX rows; `rows` is a constant here too. */
INLINE void tile_rows(const enum lm_panel_type type, const size_t rows, struct lm_outputs to, const float *x,
                      size_t x_stride, const void *const *panels, size_t panel_count, size_t depth)
{
    size_t j = 0;
    for (; j + TILE_PANELS(rows) <= panel_count; j += TILE_PANELS(rows))
        tile(type, rows, TILE_PANELS(rows), lm_outputs_past(to, 0, j * LM_PANEL), x, x_stride, panels + j,
             depth);
    for (; TILE_PANELS(rows) > 2 && j + 2 <= panel_count; j += 2)
        tile(type, rows, 2, lm_outputs_past(to, 0, j * LM_PANEL), x, x_stride, panels + j, depth);
    for (; j < panel_count; j++)
        tile(type, rows, 1, lm_outputs_past(to, 0, j * LM_PANEL), x, x_stride, panels + j, depth);
}

INLINE void product(const enum lm_panel_type type, struct lm_outputs to, const float *x, size_t x_stride,
                    size_t rows, const void *const *panels, size_t panel_count, size_t depth)
{
#define ROWS(n)                                                                                              \
    case n:                                                                                                  \
        tile_rows(type, n, to, x, x_stride, panels, panel_count, depth);                                     \
        return
    for (; rows > TILE_ROWS_MAX; rows -= TILE_ROWS_MAX) {
        tile_rows(type, TILE_ROWS_MAX, to, x, x_stride, panels, panel_count, depth);
        to = lm_outputs_past(to, TILE_ROWS_MAX, 0);
        x += TILE_ROWS_MAX * x_stride;
    }
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

#define PRODUCT(type)                                                                                        \
    static void product_##type(struct lm_outputs to, const float *x, size_t x_stride, size_t rows,           \
                               const void *const *panels, size_t panel_count, size_t depth)                  \
    {                                                                                                        \
        product(LM_PANEL_##type, to, x, x_stride, rows, panels, panel_count, depth);                         \
    }
PRODUCT(F32)
PRODUCT(F16)
PRODUCT(S8)
#undef PRODUCT

static inline V vexp(V x)
{
    const V clamped = v_min(x, v_set1(LM_EXP_HIGH));
    const V n = v_round(v_mul(clamped, v_set1(LM_EXP_LOG2E)));
    const V r = v_fma(n, v_set1(LM_EXP_LN2_LOW), v_fma(n, v_set1(LM_EXP_LN2_HIGH), clamped));
    V p = v_set1(lm_exp_poly[0]);
    for (size_t i = 1; i < LM_EXP_TERMS; i++)
        p = v_fma(p, r, v_set1(lm_exp_poly[i]));
    return v_zero_unless_ge(v_scale2(p, n), x, v_set1(LM_EXP_LOW));
}

static double add_lanes(const V *sums)
{
    float lanes[LM_PANEL];
    double sum = 0;
    for (size_t v = 0; v < PER_PANEL; v++)
        v_store(lanes + v * VN, sums[v]);
    for (size_t i = 0; i < LM_PANEL; i++)
        sum += (double)lanes[i];
    return sum;
}

static inline void softmax_step(float *y, const float *x, V scale, V max, V *sums)
{
    for (size_t v = 0; v < PER_PANEL; v++) {
        const V e = vexp(v_sub(v_mul(v_load(x + v * VN), scale), max));
        sums[v] = v_add(sums[v], e);
        if (y)
            v_store(y + v * VN, e);
    }
}

static double softmax(float *y, const float *x, size_t count, float scale, float *ret_max)
{
    const size_t whole = count / LM_PANEL * LM_PANEL, rest = count - whole;
    float tail[LM_PANEL], lanes[VN], max = -__builtin_inff();
    for (size_t i = 0; i < LM_PANEL; i++)
        tail[i] = i < rest ? x[whole + i] : -__builtin_inff();

    const V s = v_set1(scale);
    V m = v_set1(max);
    for (size_t i = 0; i < whole; i += VN)
        m = v_max(v_mul(v_load(x + i), s), m);   // NaN in the first operand: the second
    for (size_t i = 0; i < LM_PANEL; i += VN)
        m = v_max(v_mul(v_load(tail + i), s), m);
    v_store(lanes, m);
    for (size_t i = 0; i < VN; i++)
        max = lanes[i] > max ? lanes[i] : max;

    V sums[PER_PANEL];
    for (size_t v = 0; v < PER_PANEL; v++)
        sums[v] = v_set1(0);
    m = v_set1(max);
    for (size_t i = 0; i < whole; i += LM_PANEL)
        softmax_step(y ? y + i : y, x + i, s, m, sums);
    softmax_step(tail, tail, s, m, sums);
    if (y)
        for (size_t i = 0; i < rest; i++)
            y[whole + i] = tail[i];
    *ret_max = max;
    return add_lanes(sums);
}

static void swiglu(float *y, const float *gate, const float *up, size_t count)
{
    for (size_t i = 0; i < count; i += VN) {
        const V g = v_load(gate + i);
        const V e = vexp(v_sub(v_set1(0), g));
        v_store(y + i, v_div(v_mul(g, v_load(up + i)), v_add(v_set1(1), e)));
    }
}

static void rmsnorm(float *y, const float *x, const float *gain, size_t count, size_t dim, float eps)
{
    V sums[PER_PANEL];
    for (size_t v = 0; v < PER_PANEL; v++)
        sums[v] = v_set1(0);
    for (size_t i = 0; i < count; i += LM_PANEL)
        for (size_t v = 0; v < PER_PANEL; v++) {
            const V a = v_load(x + i + v * VN);
            sums[v] = v_fma(a, a, sums[v]);
        }
    const V scale = v_set1((float)(1 / __builtin_sqrt(add_lanes(sums) / (double)dim + (double)eps)));
    for (size_t i = 0; i < count; i += VN)
        v_store(y + i, v_mul(v_load(gain + i), v_mul(v_load(x + i), scale)));
}

static void layernorm(float *y, const float *x, const float *gain, const float *bias, size_t count,
                      size_t dim, float eps)
{
    V sums[PER_PANEL], squares[PER_PANEL];
    for (size_t v = 0; v < PER_PANEL; v++)
        sums[v] = squares[v] = v_set1(0);
    for (size_t i = 0; i < count; i += LM_PANEL)
        for (size_t v = 0; v < PER_PANEL; v++)
            sums[v] = v_add(sums[v], v_load(x + i + v * VN));
    const V mean = v_set1((float)(add_lanes(sums) / (double)dim));
    for (size_t i = 0; i < count; i += VN)
        v_store(y + i, v_sub(v_load(x + i), mean));
    for (size_t i = dim; i < count; i++)
        y[i] = 0;
    for (size_t i = 0; i < count; i += LM_PANEL)
        for (size_t v = 0; v < PER_PANEL; v++) {
            const V a = v_load(y + i + v * VN);
            squares[v] = v_fma(a, a, squares[v]);
        }
    const V scale = v_set1((float)(1 / __builtin_sqrt(add_lanes(squares) / (double)dim + (double)eps)));
    for (size_t i = 0; i < count; i += VN)
        v_store(y + i, v_fma(v_load(gain + i), v_mul(v_load(y + i), scale), v_load(bias + i)));
}

static void to_f16(uint16_t *y, const float *x, size_t count)
{
    const size_t whole = count / VN * VN;
    float tail[VN] = { 0 };
    uint16_t halves[VN];
    for (size_t i = 0; i < whole; i += VN)
        v_store_f16(y + i, v_load(x + i));
    if (whole == count)
        return;
    for (size_t i = whole; i < count; i++)
        tail[i - whole] = x[i];
    v_store_f16(halves, v_load(tail));
    for (size_t i = whole; i < count; i++)
        y[i] = halves[i - whole];
}

static void gelu(float *y, const float *x, size_t count)
{
    const V one = v_set1(1), zero = v_set1(0);
    for (size_t i = 0; i < count; i += VN) {
        const V a = v_load(x + i), z = v_mul(v_max(a, v_sub(zero, a)), v_set1(LM_SQRT_HALF));
        const V t = v_div(one, v_fma(v_set1(LM_ERF_P), z, one));
        V p = v_set1(lm_erf_poly[0]);
        for (size_t k = 1; k < LM_ERF_TERMS; k++)
            p = v_fma(p, t, v_set1(lm_erf_poly[k]));
        const V rest = v_mul(v_mul(v_mul(p, t), vexp(v_sub(zero, v_mul(z, z)))), v_set1(0.5f));
        v_store(y + i, v_mul(a, v_blend_lt(a, zero, rest, v_sub(one, rest))));
    }
}

static void gelu_tanh(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i += VN) {
        const V a = v_load(x + i), cube = v_mul(v_mul(a, a), a);
        const V e = vexp(v_mul(v_fma(v_set1(LM_GELU_CUBE), cube, a), v_set1(LM_GELU_SCALE)));
        v_store(y + i, v_div(a, v_add(v_set1(1), e)));
    }
}
