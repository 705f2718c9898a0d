/* Stored rows into panels; the choice of a product. */
#include "infer/matrix.h"

#include <string.h>

enum { PANELS_AT_ONCE = 64 };

/* ---- how each stored type is computed ---- */

struct layout {
    enum lm_input_form input;
    enum lm_panel_type element;
    enum lm_block_form form;
    /* Stored block (32 values of a row, number `index` in the row) to codes and factors. */
    void (*unpack)(struct lm_block_weights *ret, const uint8_t *row, size_t index);
    /* Types whose codes and f16 factors lie in a stored block as in a panel: they are only moved. */
    struct {
        size_t block_bytes, factors;   // factors stand first; block_bytes 0: not such a type
        uint32_t flip;                 // of four codes
    } moved;
};

static float half_at(const uint8_t *p)
{
    return lm_f16_decode((uint16_t)(p[0] | p[1] << 8));
}

static void nibbles(uint8_t *codes, const uint8_t *at)
{
    for (size_t k = 0; k < LM_BLOCK / 2; k++) {
        codes[k] = at[k] & 15;
        codes[k + 16] = at[k] >> 4;
    }
}

static void fifth_bits(uint8_t *codes, const uint8_t *bits)
{
    for (size_t k = 0; k < LM_BLOCK; k++)
        codes[k] = (uint8_t)(codes[k] | (bits[k / 8] >> k % 8 & 1) << 4);
}

static void unpack_q5_0(struct lm_block_weights *ret, const uint8_t *row, size_t index)
{
    const uint8_t *at = row + index * 22;
    ret->scale[0] = half_at(at);
    nibbles(ret->codes, at + 6);
    fifth_bits(ret->codes, at + 2);
    for (size_t k = 0; k < LM_BLOCK; k++)
        ret->codes[k] = (uint8_t)(ret->codes[k] + 128 - 16);
}

static void unpack_q5_1(struct lm_block_weights *ret, const uint8_t *row, size_t index)
{
    const uint8_t *at = row + index * 24;
    ret->scale[0] = half_at(at);
    ret->offset = half_at(at + 2);
    nibbles(ret->codes, at + 8);
    fifth_bits(ret->codes, at + 4);
}

/* Six bits of scale and of minimum for group j of a super-block. */
static void k_factors(struct lm_block_weights *ret, const uint8_t *at, size_t j)
{
    const uint8_t *s = at + 4;
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    const int min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
    ret->scale[0] = half_at(at) * (float)scale;
    ret->offset = -(half_at(at + 2) * (float)min);
}

static void k_nibbles(uint8_t *codes, const uint8_t *quants, size_t j)   // 64 values share 32 bytes
{
    for (size_t k = 0; k < LM_BLOCK; k++)
        codes[k] = quants[j / 2 * 32 + k] >> 4 * (j % 2) & 15;
}

static void unpack_q4_k(struct lm_block_weights *ret, const uint8_t *row, size_t index)
{
    const uint8_t *at = row + index / 8 * 144;
    k_factors(ret, at, index % 8);
    k_nibbles(ret->codes, at + 16, index % 8);
}

static void unpack_q5_k(struct lm_block_weights *ret, const uint8_t *row, size_t index)
{
    const uint8_t *at = row + index / 8 * 176;
    k_factors(ret, at, index % 8);
    k_nibbles(ret->codes, at + 48, index % 8);
    for (size_t k = 0; k < LM_BLOCK; k++)
        ret->codes[k] = (uint8_t)(ret->codes[k] | (at[16 + k] >> index % 8 & 1) << 4);
}

static void unpack_q6_k(struct lm_block_weights *ret, const uint8_t *row, size_t index)
{
    const uint8_t *at = row + index / 8 * 210, *low = at, *high = at + 128;
    const size_t h = index % 8 / 4, g = index % 4;
    for (size_t k = 0; k < LM_BLOCK; k++) {
        const int code =
            (low[64 * h + 32 * (g & 1) + k] >> 4 * (g >> 1) & 15) | (high[32 * h + k] >> 2 * g & 3) << 4;
        ret->codes[k] = (uint8_t)(code + 128 - 32);
    }
    for (size_t i = 0; i < 2; i++)
        ret->scale[i] = half_at(at + 208) * (float)(int8_t)at[192 + index % 8 * 2 + i];
}

static const struct layout layouts[LM_TYPE_COUNT] = {
    [LM_TYPE_F32] = { LM_INPUT_FLOATS, .element = LM_PANEL_F32 },
    [LM_TYPE_F16] = { LM_INPUT_FLOATS, .element = LM_PANEL_F16 },
    [LM_TYPE_BF16] = { LM_INPUT_PAIRS },
    [LM_TYPE_Q8_0] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U8, .moved = { 34, 1, 0x80808080 } },   // int8 + 128
    [LM_TYPE_Q4_0] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U4, .moved = { 18, 1 } },
    [LM_TYPE_Q4_1] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U4_F16, .moved = { 20, 2 } },
    [LM_TYPE_Q5_0] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U8, .unpack = unpack_q5_0 },
    [LM_TYPE_Q5_1] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U8_F32, .unpack = unpack_q5_1 },
    [LM_TYPE_Q4_K] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U4_F32, .unpack = unpack_q4_k },
    [LM_TYPE_Q5_K] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U8_F32, .unpack = unpack_q5_k },
    [LM_TYPE_Q6_K] = { LM_INPUT_BLOCKS, .form = LM_BLOCK_U8_HALF, .unpack = unpack_q6_k },
};

enum lm_input_form lm_matrix_input(const struct lm_matrix *m)
{
    return m->panel_count ? layouts[m->type].input : LM_INPUT_FLOATS;
}

/* ---- packing ---- */

static size_t panels_per_group(const struct lm_matrix *m)
{
    return (m->group + LM_PANEL - 1) / LM_PANEL;
}

void lm_matrix_plan(struct lm_matrix *m, const struct lm_weight *w, size_t group)
{
    LM_ASSERT(w->data && group > 0 && w->rows % group == 0);
    const struct layout *l = &layouts[w->type];
    LM_ASSERT(l->input != LM_INPUT_BLOCKS || w->cols % LM_BLOCK == 0);

    *m = (struct lm_matrix){ .type = w->type, .rows = w->rows, .cols = w->cols, .group = group };
    m->panel_count = w->rows / group * panels_per_group(m);
    m->panel_bytes = l->input == LM_INPUT_BLOCKS
                         ? w->cols / LM_BLOCK * lm_block_bytes(&lm_block_shapes[l->form])
                     : l->input == LM_INPUT_PAIRS ? lm_pair_count(w->cols) * LM_PANEL * 4
                                                  : w->cols * LM_PANEL * lm_panel_element(l->element);
}

size_t lm_matrix_bytes(const struct lm_matrix *m)
{
    return (m->panel_count * m->panel_bytes + 63) / 64 * 64;
}

static void pack_blocks(const struct layout *l, char *panel, size_t cols, size_t lane, const void *row)
{
    struct lm_block_weights w = { .offset = 0 };
    for (size_t b = 0; b < cols / LM_BLOCK; b++) {
        l->unpack(&w, row, b);
        lm_block_put(l->form, panel, b, lane, &w);
    }
}

static void pack_moved(const struct layout *l, char *panel, size_t cols, size_t lane, const char *row)
{
    const struct lm_block_shape *s = &lm_block_shapes[l->form];
    const size_t code_bytes = lm_block_code_bytes(s), f = l->moved.factors;
    for (size_t b = 0; b < cols / LM_BLOCK; b++, row += l->moved.block_bytes, panel += lm_block_bytes(s)) {
        for (size_t q = 0; q < code_bytes / 64; q++) {
            uint32_t four;
            memcpy(&four, row + f * 2 + q * 4, sizeof four);
            four ^= l->moved.flip;
            memcpy(panel + q * 64 + lane * 4, &four, sizeof four);
        }
        for (size_t i = 0; i < f; i++)
            memcpy(panel + code_bytes + (i * LM_PANEL + lane) * 2, row + i * 2, 2);
    }
}

static void pack_pairs(char *panel, size_t cols, size_t lane, const uint16_t *row)
{
    uint16_t *to = (uint16_t *)(void *)panel + lane * 2;
    for (size_t k = 0; k < cols; k++)
        to[k / 2 * LM_PANEL * 2 + k % 2] = row[k];
}

static void pack_elements(char *panel, size_t cols, size_t lane, const void *row, size_t bytes)
{
    if (bytes == 2)
        for (size_t k = 0; k < cols; k++)
            ((uint16_t *)(void *)panel)[k * LM_PANEL + lane] = ((const uint16_t *)row)[k];
    else
        for (size_t k = 0; k < cols; k++)
            ((uint32_t *)(void *)panel)[k * LM_PANEL + lane] = ((const uint32_t *)row)[k];
}

void lm_matrix_pack(const struct lm_matrix *m, const struct lm_weight *w, size_t first, size_t count)
{
    const struct layout *l = &layouts[m->type];
    const size_t per_group = panels_per_group(m);
    for (size_t j = first; j < first + count; j++) {
        char *panel = (char *)m->panels + j * m->panel_bytes;
        for (size_t lane = 0; lane < LM_PANEL; lane++) {
            const size_t in_group = j % per_group * LM_PANEL + lane;
            if (in_group >= m->group)
                continue;   // the slab is zero
            const void *row = lm_weight_row(w, j / per_group * m->group + in_group);
            if (l->moved.block_bytes)
                pack_moved(l, panel, m->cols, lane, row);
            else if (l->input == LM_INPUT_PAIRS)
                pack_pairs(panel, m->cols, lane, row);
            else if (l->input == LM_INPUT_BLOCKS)
                pack_blocks(l, panel, m->cols, lane, row);
            else
                pack_elements(panel, m->cols, lane, row, lm_panel_element(l->element));
        }
    }
}

/* ---- the product ---- */

/* Floats and pairs take a list of panels. */
static void list_product(const struct lm_matrix *m, const struct lm_inputs *in, struct lm_outputs to,
                         size_t first, size_t count)
{
    const void *panels[PANELS_AT_ONCE];
    for (size_t done = 0; done < count; done += PANELS_AT_ONCE) {
        const size_t n = count - done < PANELS_AT_ONCE ? count - done : PANELS_AT_ONCE;
        const struct lm_outputs at = lm_outputs_past(to, 0, done * LM_PANEL);
        for (size_t j = 0; j < n; j++)
            panels[j] = m->panels + (first + done + j) * m->panel_bytes;
        if (layouts[m->type].input == LM_INPUT_PAIRS)
            lm_pairs()->product(at, in->pairs, in->pairs_stride, in->rows, panels, n, lm_pair_count(m->cols));
        else
            lm_panels()->product[layouts[m->type].element](at, in->x, in->x_stride, in->rows, panels, n,
                                                           m->cols);
    }
}

static void add_bias(float *restrict y, const float *restrict bias, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] += bias[i];
}

void lm_matrix_product(const struct lm_matrix *m, const struct lm_inputs *in, float *y, size_t y_stride,
                       size_t first, size_t count, bool add)
{
    const struct layout *l = &layouts[m->type];
    const float *bias = m->bias ? m->bias + first * LM_PANEL : NULL;
    for (size_t r = 0; add && bias && r < in->rows; r++)
        add_bias(y + r * y_stride, bias, count * LM_PANEL);
    const struct lm_outputs to = { y, y_stride, add ? y : bias, add ? y_stride : 0 };
    if (l->input == LM_INPUT_BLOCKS)
        lm_blocks()->product[l->form](to, in->codes, in->codes_bytes, in->rows,
                                      m->panels + first * m->panel_bytes, m->panel_bytes, count,
                                      m->cols / LM_BLOCK);
    else
        list_product(m, in, to, first, count);
}
