/* The loss of the bf16 network.
 *
 * Of LM_LOSS_ROWS positions at a time exp(logit) by a power of two of its span is kept, rounded; once the
 * sums of all spans are known, that times a factor is the gradient.  A unit of the vocabulary then makes it
 * block by block, in the second-level cache, where both products that want it read it. */
#include "train/net_impl.h"

#include "base/sys.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Shares, and in top the factors that make them probabilities; the losses. */
static void shares(struct lm_net *n, const uint32_t *rows, const uint32_t *targets, size_t count)
{
    enum { ROWS = 192, COLS = LM_BF16_SPAN };
    const struct lm_bf16_logits l = { .product = { .a = n->chosen,
                                                   .b = n->head[LM_NET_FORWARD],
                                                   .m = count,
                                                   .n = n->vocab,
                                                   .k = n->w16,
                                                   .a_stride = n->w16,
                                                   .b_stride = n->w16 * LM_BF16_PANEL },
                                      .share = n->share,
                                      .top = n->top,
                                      .total = n->total,
                                      .share_stride = n->loss_rows * LM_BF16_GROUP,
                                      .spans = n->spans,
                                      .target = targets,
                                      .at_target = n->at_target };
    const size_t row_units = (count + ROWS - 1) / ROWS, col_units = (n->vocab + COLS - 1) / COLS;
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < row_units * col_units; unit++) {
        const size_t row = unit % row_units * ROWS, col = unit / row_units * COLS;
        n->kernels16->logits(&l, row, smaller(ROWS, count - row), col, smaller(COLS, n->vocab - col));
    }
    for (size_t i = 0; i < count; i++) {
        float *top = n->top + i * n->spans, most = top[0];
        const float *total = n->total + i * n->spans;
        double sum = 0;
        for (size_t s = 1; s < n->spans; s++)
            most = top[s] > most ? top[s] : most;
        for (size_t s = 0; s < n->spans; s++) {
            top[s] = exp2f(top[s] - most);
            sum += (double)top[s] * total[s];
        }
        for (size_t s = 0; s < n->spans; s++)
            top[s] *= (float)(1 / sum);
        n->losses[rows[i]] = (float)(most * log(2) + log(sum) - n->at_target[i]);
    }
}

/* One unit of the vocabulary: its rows of the head's gradient (NULL: frozen), its part of the gradient by the
 * chosen rows. */
static void loss_unit(const struct lm_net *n, const struct lm_bf16_loss_back *l, size_t unit, float *dhead)
{
    const size_t c = n->width, start = unit * n->loss_unit_cols;
    const size_t end = smaller(start + n->loss_unit_cols, n->vocab);
    float *part = n->dchosen + unit * n->loss_rows * c;
    for (size_t first = start; first < end; first += LM_NET_LOSS_COLS) {
        const size_t cols = smaller(LM_NET_LOSS_COLS, end - first);
        const struct lm_bf16_product to_head = { .a = l->transposed,
                                                 .b = n->chosen_panels,
                                                 .c = dhead ? dhead + first * c : NULL,
                                                 .base = dhead ? dhead + first * c : NULL,
                                                 .m = cols,
                                                 .n = c,
                                                 .k = (l->m + 1) / 2 * 2,
                                                 .a_stride = l->transposed_stride,
                                                 .b_stride = n->loss_rows * LM_BF16_PANEL,
                                                 .c_stride = c };
        const struct lm_bf16_product to_rows = { .a = l->rows,
                                                 .b = n->head[LM_NET_BACKWARD] + first * LM_BF16_PANEL,
                                                 .c = part,
                                                 .base = first == start ? NULL : part,
                                                 .m = l->m,
                                                 .n = c,
                                                 .k = (cols + 1) / 2 * 2,
                                                 .a_stride = l->rows_stride,
                                                 .b_stride = n->v16 * LM_BF16_PANEL,
                                                 .c_stride = c };
        n->kernels16->loss_back(l, first, cols);
        if (dhead)
            n->kernels16->product(&to_head, 0, to_head.m, 0, c);
        n->kernels16->product(&to_rows, 0, to_rows.m, 0, c);
    }
}

enum lm_rc lm_net_loss16(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                         size_t count, struct lm_err *err)
{
    (void)err;
    uint32_t targets[LM_LOSS_ROWS];
    for (size_t i = 0; i < count; i++) {
        targets[i] = (uint32_t)b->target[first + rows[i]];
        memcpy(n->chosen + i * n->w16, n->normed_end + rows[i] * n->w16, n->w16 * sizeof *n->chosen);
    }
    shares(n, rows, targets, count);
    return LM_OK;
}

enum lm_rc lm_net_loss16_back(struct lm_net *n, const struct lm_batch *b, size_t first, const uint32_t *rows,
                              size_t count, const struct lm_gradient *g, struct lm_err *err)
{
    (void)err;
    const size_t c = n->width;
    float *dhead = g->tensor[LM_LLAMA_HEAD], weights[LM_LOSS_ROWS];
    uint32_t targets[LM_LOSS_ROWS];
    for (size_t i = 0; i < count; i++) {
        targets[i] = (uint32_t)b->target[first + rows[i]];
        weights[i] = n->weights[rows[i]];
    }
    if (dhead)
        lm_bf16_pack(n->chosen_panels, n->loss_rows * LM_BF16_PANEL, n->chosen, n->w16, count, c);
#pragma omp parallel for schedule(dynamic) num_threads(lm_threads())
    for (size_t unit = 0; unit < n->loss_units; unit++) {
        uint16_t *scratch = n->loss_scratch + (size_t)omp_get_thread_num() * n->loss_scratch_count;
        const struct lm_bf16_loss_back l = {
            .share = n->share,
            .factor = n->top,
            .target = targets,
            .scale = weights,
            .m = count,
            .columns = n->vocab,
            .share_stride = n->loss_rows * LM_BF16_GROUP,
            .spans = n->spans,
            .rows = scratch,
            .transposed = dhead ? scratch + n->loss_rows * (LM_NET_LOSS_COLS + LM_NET_SKEW) : NULL,
            .rows_stride = LM_NET_LOSS_COLS + LM_NET_SKEW,
            .transposed_stride = n->loss_rows + LM_NET_SKEW
        };
        loss_unit(n, &l, n->loss_units - 1 - unit, dhead);   // what was made last is still in a cache
    }
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t i = 0; i < count; i++) {
        float *sum = n->dchosen + i * c;
        for (size_t unit = 1; unit < n->loss_units; unit++)
            n->kernels->add(sum, n->dchosen + (unit * n->loss_rows + i) * c, c);
        n->kernels16->round(n->dnormed16 + rows[i] * n->w16, sum, c);
    }
    return LM_OK;
}
