/* The bytes of one tensor to write: rows in the order of the target, as stored or encoded again. */
#include "model/export_plan.h"

#include <stdlib.h>

enum { CHUNK_BYTES = 4 << 20, ALONE_VALUES = 1 << 16 };   // fewer values are not worth a second thread

/* Where output `at` of an interleaved head comes from in the order of meaning. */
static size_t unpair(size_t at, size_t width)
{
    const size_t j = at % width, half = width / 2;
    return at - j + j / 2 + j % 2 * half;
}

/* Part and row in it of a row of the whole. */
static const struct lm_weight *part_of(const struct lm_export_item *item, size_t row, size_t *ret_row)
{
    size_t part = 0;
    while (row >= item->parts[part]->rows)
        row -= item->parts[part++]->rows;
    *ret_row = item->paired ? unpair(row, item->paired) : row;
    return item->parts[part];
}

/* One row of a matrix; scratch holds cols floats. */
static void put_row(const struct lm_export_item *item, size_t row, float *scratch, char *to)
{
    size_t r;
    const struct lm_weight *w = part_of(item, row, &r);
    if (w->type == item->type) {
        memcpy(to, lm_weight_row(w, r), lm_type_bytes(w->type, w->cols));
        return;
    }
    lm_weight_row_f32(w, r, scratch);
    lm_types[item->type].encode(to, scratch, w->cols);
}

static enum lm_rc put(const struct lm_export_item *item, const void *bytes, size_t len, FILE *to,
                      struct lm_err *err)
{
    if (len > 0 && fwrite(bytes, 1, len, to) != len)
        return lm_fail_errno(err, LM_EIO, "cannot write tensor '%s'", item->name);
    return LM_OK;
}

/* Rows [first, first + count) to `to`, in parallel: each is independent of the others. */
static void put_rows(const struct lm_export_item *item, size_t first, size_t count, char *to)
{
    const size_t bytes = lm_type_bytes(item->type, item->cols);
#pragma omp parallel if (count * item->cols > ALONE_VALUES)
    {
        LM_FREE float *scratch = lm_alloc(item->cols * sizeof *scratch);
#pragma omp for
        for (size_t r = 0; r < count; r++)
            put_row(item, first + r, scratch, to + r * bytes);
    }
}

static enum lm_rc write_rows(const struct lm_export_item *item, FILE *to, struct lm_err *err)
{
    const size_t bytes = lm_type_bytes(item->type, item->cols);
    size_t chunk = CHUNK_BYTES / bytes + 1;
    chunk = chunk < item->rows ? chunk : item->rows;
    LM_FREE char *buffer = lm_alloc(chunk * bytes);
    for (size_t r = 0; r < item->rows; r += chunk) {
        const size_t count = chunk < item->rows - r ? chunk : item->rows - r;
        put_rows(item, r, count, buffer);
        LM_TRY(put(item, buffer, count * bytes, to, err));
    }
    return LM_OK;
}

/* (in, out), floats only: made in memory, no larger than the weights it comes from when decoded. */
static enum lm_rc write_transposed(const struct lm_export_item *item, FILE *to, struct lm_err *err)
{
    const size_t size = lm_types[item->type].block_bytes, bytes = item->rows * item->cols * size;
    LM_FREE char *rows = lm_alloc(bytes), *turned = lm_alloc(bytes);
    put_rows(item, 0, item->rows, rows);
#pragma omp parallel for if (item->rows * item->cols > ALONE_VALUES)
    for (size_t c = 0; c < item->cols; c++)
        for (size_t r = 0; r < item->rows; r++)
            memcpy(turned + (c * item->rows + r) * size, rows + (r * item->cols + c) * size, size);
    return put(item, turned, bytes, to, err);
}

/* The values of all parts, one after the other; moved as they are stored if the type stays. */
static enum lm_rc write_vector(const struct lm_export_item *item, FILE *to, struct lm_err *err)
{
    const struct lm_type_info *target = &lm_types[item->type];
    for (size_t i = 0; i < item->part_count; i++) {
        const struct lm_weight *w = item->parts[i];
        const size_t size = target->block_bytes;
        LM_FREE char *plain = lm_alloc(w->cols * size), *ordered = lm_alloc(w->cols * size);
        if (w->type == item->type) {
            memcpy(plain, w->data, w->cols * size);
        } else {
            LM_FREE float *values = lm_alloc(w->cols * sizeof *values);
            lm_weight_row_f32(w, 0, values);
            target->encode(plain, values, w->cols);
        }
        for (size_t k = 0; k < w->cols; k++)
            memcpy(ordered + k * size, plain + (item->paired ? unpair(k, item->paired) : k) * size, size);
        LM_TRY(put(item, ordered, w->cols * size, to, err));
    }
    return LM_OK;
}

enum lm_rc lm_export_item_write(const struct lm_export_item *item, FILE *to, struct lm_err *err)
{
    if (!item->matrix)
        return write_vector(item, to, err);
    return item->transposed ? write_transposed(item, to, err) : write_rows(item, to, err);
}
