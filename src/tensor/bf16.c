/* The row for this processor, and what is threaded on top of it. */
#include "tensor/bf16.h"
#include "tensor/kernels_rows.h"

#include "base/sys.h"

#include <math.h>

const struct lm_bf16_kernels *lm_bf16_kernels(void)
{
#ifdef __x86_64__
    if (lm_isa() >= LM_ISA_AVX512_BF16)
        return &lm_bf16_avx512;
#endif
    return &lm_bf16_scalar;
}

/* Packed operands, sums, and what one block of scores wants. */
size_t lm_bf16_attention_bytes(size_t positions, size_t head_dim)
{
    enum { PACKS = 8, SUMS = 3, BLOCK = LM_BF16_BLOCK, SLACK = 32 * 64 };
    const size_t padded = (positions + BLOCK - 1) / BLOCK * BLOCK, width = lm_bf16_pad(head_dim);
    return padded * width * (PACKS * sizeof(uint16_t) + SUMS * sizeof(float)) +
           BLOCK * width * sizeof(float) + sizeof(float) * BLOCK * BLOCK * 2 +
           sizeof(uint16_t) * BLOCK * BLOCK * 3 + 2 * padded * sizeof(float) + SLACK;
}

/* ---- threaded ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Blocks of rows that keep the panels in the second-level cache busy, and enough of them for many threads. */
void lm_bf16_run(const struct lm_bf16_product *p)
{
    enum { ROWS = 240, ROWS_MIN = 48, UNITS = 16 };
    const struct lm_bf16_kernels *kernels = lm_bf16_kernels();
    size_t rows = ROWS;
    while (rows > ROWS_MIN && p->m < rows * UNITS)
        rows -= ROWS_MIN;
    const size_t units = (p->m + rows - 1) / rows;
    const size_t parts = units < UNITS ? (UNITS + units - 1) / units : 1;
    const size_t cols = (lm_bf16_pad(p->n) / LM_BF16_PANEL + parts - 1) / parts + 3;
    const size_t chunk = cols / 4 * 4 * LM_BF16_PANEL, col_units = (p->n + chunk - 1) / chunk;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < units * col_units; unit++) {
        const size_t row = unit / col_units * rows, col = unit % col_units * chunk;
        kernels->product(p, row, smaller(rows, p->m - row), col, smaller(chunk, p->n - col));
    }
}

enum { PACK_COLS = 64 };

void lm_bf16_pack(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                  size_t cols)
{
    const struct lm_bf16_kernels *kernels = lm_bf16_kernels();
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t j = 0; j < cols; j += PACK_COLS)
        kernels->pack(ret, ret_stride, x, stride, rows, cols, j, smaller(PACK_COLS, cols - j));
}

void lm_bf16_transpose(uint16_t *ret, size_t ret_stride, const uint16_t *x, size_t stride, size_t rows,
                       size_t cols)
{
    const struct lm_bf16_kernels *kernels = lm_bf16_kernels();
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t j = 0; j < cols; j += PACK_COLS)
        kernels->transpose(ret, ret_stride, x, stride, rows, cols, j, smaller(PACK_COLS, cols - j));
}

double lm_bf16_peak_gflops(int ms)
{
    enum { ROUNDS = 1 << 13 };   // some ten microseconds: short enough to be undisturbed now and then
    return lm_burn_peak(lm_bf16_kernels()->burn, ROUNDS, ms);
}
