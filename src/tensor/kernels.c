/* The table, its choice, and what is threaded on top of it. */
#include "tensor/kernels.h"

#include "tensor/kernels_rows.h"

#include <math.h>

/* To add an instruction set: a row here and the file that makes it. */
const struct lm_kernels *const lm_kernels_table[LM_ISA_COUNT] = {
    [LM_ISA_SCALAR] = &lm_kernels_scalar,      [LM_ISA_NEON] = &lm_kernels_scalar,
    [LM_ISA_NEON_DOT] = &lm_kernels_scalar,
#if defined(__x86_64__)
    [LM_ISA_AVX2] = &lm_kernels_avx2,          [LM_ISA_AVX512] = &lm_kernels_avx512,
    [LM_ISA_AVX512_VNNI] = &lm_kernels_avx512, [LM_ISA_AVX512_BF16] = &lm_kernels_avx512,
#else
    [LM_ISA_AVX2] = &lm_kernels_scalar,        [LM_ISA_AVX512] = &lm_kernels_scalar,
    [LM_ISA_AVX512_VNNI] = &lm_kernels_scalar, [LM_ISA_AVX512_BF16] = &lm_kernels_scalar,
#endif
};

const struct lm_kernels *lm_kernels(void)
{
    return lm_kernels_table[lm_isa()];
}

/* k transposed and v transposed, (D, T) with T rounded up to whole blocks; two blocks of scores; one block of
 * output, its maxima, sums and deltas. */
size_t lm_attention_scratch(size_t positions, size_t head_dim)
{
    const size_t block = LM_ATTENTION_BLOCK;
    const size_t padded = (positions + block - 1) / block * block;
    return 2 * head_dim * padded + 2 * block * block + block * head_dim + 4 * block;
}

void lm_rope_angles(float *ret, size_t position, size_t head_dim, double theta)
{
    const size_t half = head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        const double angle = (double)position * pow(theta, -2.0 * (double)i / (double)head_dim);
        ret[i] = (float)cos(angle);
        ret[half + i] = (float)sin(angle);
    }
}

/* Below this many multiply-adds waking the threads costs more than the product. */
enum { PARALLEL_WORK_MIN = 1 << 16, COLUMN_UNITS = 64 };

void lm_matmul_small(float *y, const float *x, const float *w, size_t m, size_t n, size_t k)
{
    const struct lm_kernels *kernels = lm_kernels();
    if (m * n * k < PARALLEL_WORK_MIN) {
        kernels->matmul_small(y, n, x, w, m, n, k);
        return;
    }
    const size_t unit = (n + COLUMN_UNITS - 1) / COLUMN_UNITS;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < n; first += unit) {
        const size_t count = n - first < unit ? n - first : unit;
        kernels->matmul_small(y + first, n, x, w + first * k, m, count, k);
    }
}

double lm_sum_squares(const float *x, size_t n)
{
    enum { UNITS = 64 };   // fixed, and added in order: the sum does not know the threads
    const struct lm_kernels *kernels = lm_kernels();
    const size_t unit = (n + UNITS - 1) / UNITS;
    double part[UNITS];
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t u = 0; u < UNITS; u++) {
        const size_t first = u * unit < n ? u * unit : n;
        const size_t count = n - first < unit ? n - first : unit;
        part[u] = kernels->sum_squares(x + first, count);
    }
    double sum = 0;
    for (size_t u = 0; u < UNITS; u++)
        sum += part[u];
    return sum;
}

double lm_burn_peak(double (*burn)(size_t rounds), size_t rounds, int ms)
{
    const uint64_t until = lm_now_ns() + (uint64_t)ms * 1000000;
    double sum = 0;
#pragma omp parallel reduction(+ : sum) num_threads(lm_threads())
    {
        double best = 0;
        for (uint64_t now = lm_now_ns(); now < until;) {
            const double flops = burn(rounds);
            const uint64_t start = now;
            now = lm_now_ns();
            best = fmax(best, flops / (double)(now - start));
        }
        sum += best;
    }
    return sum;
}

double lm_peak_gflops(int ms)
{
    enum { ROUNDS = 1 << 14 };   // some ten microseconds: short enough to be undisturbed now and then
    return lm_burn_peak(lm_kernels()->burn, ROUNDS, ms);
}
