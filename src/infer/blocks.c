/* The scalar row: plain C, the definition of the others; the places of codes and factors in a panel. */
#include "infer/blocks.h"

#include "base/sys.h"
#include "infer/panels.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

const struct lm_block_shape lm_block_shapes[LM_BLOCK_FORM_COUNT] = LM_BLOCK_SHAPES;

/* ---- panels ---- */

static size_t code_place(const struct lm_block_shape *s, size_t block, size_t output, size_t k)
{
    const size_t line = s->code_bits == 8 ? k / 4 : k % 16 / 4;
    return block * lm_block_bytes(s) + line * 64 + output * 4 + k % 4;
}

/* Factor number `which` of a block: its scales, then its offset. */
static size_t factor_place(const struct lm_block_shape *s, size_t block, size_t which, size_t output)
{
    return block * lm_block_bytes(s) + lm_block_code_bytes(s) + (which * LM_PANEL + output) * s->factor_bytes;
}

static void put_factor(const struct lm_block_shape *s, char *panel, size_t place, float value)
{
    const uint16_t half = lm_f16_encode(value);
    if (s->factor_bytes == 2)
        memcpy(panel + place, &half, sizeof half);
    else
        memcpy(panel + place, &value, sizeof value);
}

static float get_factor(const struct lm_block_shape *s, const char *panel, size_t place)
{
    uint16_t half;
    float value;
    memcpy(&half, panel + place, sizeof half);
    if (s->factor_bytes == 2)
        return lm_f16_decode(half);
    memcpy(&value, panel + place, sizeof value);
    return value;
}

void lm_block_put(enum lm_block_form form, void *panel, size_t block, size_t output,
                  const struct lm_block_weights *w)
{
    const struct lm_block_shape *s = &lm_block_shapes[form];
    uint8_t *codes = panel;
    if (s->code_bits == 8)
        for (size_t k = 0; k < LM_BLOCK; k += 4)
            memcpy(&codes[code_place(s, block, output, k)], w->codes + k, 4);
    else
        for (size_t k = 0; k < LM_BLOCK / 2; k++)
            codes[code_place(s, block, output, k)] = (uint8_t)(w->codes[k] | w->codes[k + 16] << 4);
    const size_t scales = LM_BLOCK / s->group;
    for (size_t i = 0; i < scales; i++)
        put_factor(s, panel, factor_place(s, block, i, output), w->scale[i]);
    if (s->has_offset)
        put_factor(s, panel, factor_place(s, block, scales, output), w->offset);
}

/* ---- inputs: here 32 values of 16 bits ---- */

static void prepare(void *ret, const float *x, size_t blocks)
{
    int16_t *values = ret;
    struct lm_block_tail *tails = (void *)((char *)ret + blocks * LM_BLOCK_INPUT_CODES);
    for (size_t b = 0; b < blocks; b++, x += LM_BLOCK, values += LM_BLOCK) {
        float max = 0;
        bool finite = true;
        for (size_t k = 0; k < LM_BLOCK; k++) {
            max = fabsf(x[k]) > max ? fabsf(x[k]) : max;
            finite &= isfinite(x[k]) != 0;
        }
        const bool some = finite && max >= 1e-30f;
        const float scale = some ? max / LM_BLOCK_VALUE_MAX : finite ? 0 : NAN;
        const float inverse = some ? LM_BLOCK_VALUE_MAX / max : 0;
        int32_t sum = 0, first = 0;
        for (size_t k = 0; k < LM_BLOCK; k++) {
            values[k] = some ? (int16_t)lrintf(x[k] * inverse) : 0;
            sum += values[k];
            first += k < LM_BLOCK / 2 ? values[k] : 0;
        }
        tails[b] = (struct lm_block_tail){ scale, scale * (float)sum, sum, first };
    }
}

static int32_t code_at(const struct lm_block_shape *s, const uint8_t *codes, size_t block, size_t output,
                       size_t k)
{
    const uint8_t code = codes[code_place(s, block, output, k)];
    return s->code_bits == 8 ? code : k < 16 ? code & 15 : code >> 4;
}

struct view {
    const char *x, *panels;
    size_t x_bytes, panel_bytes, blocks;
};

static float output(const struct lm_block_shape *s, float y, const struct view *v, size_t row, size_t panel,
                    size_t i)
{
    const char *x = v->x + row * v->x_bytes, *at = v->panels + panel * v->panel_bytes;
    const int16_t *values = (const void *)x;
    const struct lm_block_tail *tails = (const void *)(x + v->blocks * LM_BLOCK_INPUT_CODES);
    const size_t scales = LM_BLOCK / s->group;
    for (size_t b = 0; b < v->blocks; b++) {
        for (size_t g = 0; g < scales; g++) {
            int32_t sum = 0;
            for (size_t k = g * s->group; k < (g + 1) * s->group; k++)
                sum += (code_at(s, (const uint8_t *)at, b, i, k) - s->zero) * values[b * LM_BLOCK + k];
            const float scale = get_factor(s, at, factor_place(s, b, g, i));
            y = fmaf((float)sum, scale * tails[b].scale, y);
        }
        if (s->has_offset)
            y = fmaf(get_factor(s, at, factor_place(s, b, scales, i)), tails[b].total, y);
    }
    return y;
}

static void product(const struct lm_block_shape s, struct lm_outputs to, struct view v, size_t rows,
                    size_t panel_count)
{
    for (size_t m = 0; m < rows; m++)
        for (size_t j = 0; j < panel_count; j++)
            for (size_t i = 0; i < LM_PANEL; i++) {
                const struct lm_outputs at = lm_outputs_past(to, m, j * LM_PANEL + i);
                *at.y = output(&s, at.start ? *at.start : 0, &v, m, j, i);
            }
}

#include "infer/blocks_table.h"

const struct lm_block_kernels lm_blocks_scalar = {
    .prepare = prepare,
    .product = LM_BLOCK_PRODUCTS,
};

const struct lm_block_kernels *lm_blocks(void)
{
#ifdef __x86_64__
    if (lm_isa_has(LM_ISA_AVX512_VNNI))
        return &lm_blocks_avx512_vnni;
    if (lm_isa_has(LM_ISA_AVX2))
        return &lm_blocks_avx2;
#elif defined(__aarch64__)
    if (lm_isa_has(LM_ISA_NEON_DOT))
        return &lm_blocks_neon_dot;
    if (lm_isa_has(LM_ISA_NEON))
        return &lm_blocks_neon;
#endif
    return &lm_blocks_scalar;
}
