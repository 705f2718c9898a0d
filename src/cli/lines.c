/* cli/lines.c - a command as a filter: lines of standard input to lines of standard output.
 *
 * Batches of lines are made in parallel and written in order: nothing depends on the threads. */

#include "base/line.h"
#include "cli/cli.h"
#include "token/tokenizer.h"

#include <omp.h>
#include <stdlib.h>

enum { BATCH_LINES = 1024, BATCH_BYTES = 4 << 20 };   // a batch ends with the line that reaches either

struct line {
    size_t at, len;   // in the bytes of the batch
    uint64_t number;
    struct lm_buf made;
    enum lm_rc rc;
    struct lm_err err;
};

struct batch {
    struct lm_line_reader *input;
    struct lm_buf bytes;
    struct line lines[BATCH_LINES];
    size_t count;
};

/* LM_ENOTHING when there are no more lines behind those of the batch. */
static enum lm_rc read_batch(struct batch *b, struct lm_err *err)
{
    lm_buf_reset(&b->bytes);
    b->count = 0;
    while (b->count < BATCH_LINES && b->bytes.len < BATCH_BYTES) {
        struct lm_str line;
        LM_TRY(lm_line_next(b->input, &line, err));
        struct line *l = &b->lines[b->count++];
        l->at = b->bytes.len;
        l->len = line.len;
        l->number = lm_line_number(b->input);
        lm_buf_add_str(&b->bytes, line);
    }
    return LM_OK;
}

static void make_batch(struct batch *b, lm_cli_line *make, void *const *users, size_t user_count)
{
#pragma omp parallel for schedule(dynamic, 8) num_threads((int)user_count) if (user_count > 1)
    for (size_t i = 0; i < b->count; i++) {
        struct line *l = &b->lines[i];
        lm_buf_reset(&l->made);
        l->rc = make(users[omp_get_thread_num()], (struct lm_str){ b->bytes.ptr + l->at, l->len }, &l->made,
                     &l->err);
        lm_buf_putc(&l->made, '\n');
    }
}

static enum lm_rc write_batch(const struct batch *b, struct lm_err *err)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct line *l = &b->lines[i];
        if (l->rc != LM_OK)
            return lm_fail(err, l->rc, "standard input, line %llu: %s", (unsigned long long)l->number,
                           l->err.text);
        if (fwrite(l->made.ptr, 1, l->made.len, stdout) != l->made.len)
            return lm_fail_errno(err, LM_EIO, "cannot write to standard output");
    }
    return LM_OK;
}

enum lm_rc lm_cli_lines(lm_cli_line *make, void *const *users, size_t user_count, uint64_t *ret_count,
                        struct lm_err *err)
{
    struct batch *b = lm_zalloc(1, sizeof(*b));
    uint64_t count = 0;
    enum lm_rc rc = lm_line_open("-", 0, &b->input, err), more = rc;
    while (rc == LM_OK && more == LM_OK) {
        more = read_batch(b, err);   // what is before a fault is written all the same
        make_batch(b, make, users, user_count);
        rc = write_batch(b, more == LM_OK || more == LM_ENOTHING ? err : NULL);
        count += b->count;
    }
    for (size_t i = 0; i < BATCH_LINES; i++)
        lm_buf_release(&b->lines[i].made);
    lm_buf_release(&b->bytes);
    lm_line_close(b->input);
    free(b);
    if (rc == LM_OK && more != LM_ENOTHING)
        rc = more;
    if (rc == LM_OK)
        *ret_count = count;
    return rc;
}

enum lm_rc lm_cli_ids_read(struct lm_str text, struct lm_tokens *ret, struct lm_err *err)
{
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9')
            end++;
        int64_t id = 0;
        if (end == i) {
            i++;
            continue;
        }
        if (!lm_str_to_i64((struct lm_str){ text.ptr + i, end - i }, &id) || id > UINT32_MAX)
            return lm_fail(err, LM_EINVAL, "'%.*s' is no token id", (int)(end - i), text.ptr + i);
        lm_grow(&ret->ids, &ret->cap, ret->len + 1, sizeof(*ret->ids));
        ret->ids[ret->len++] = (uint32_t)id;
        i = end;
    }
    return LM_OK;
}

void lm_cli_ids_write(const struct lm_tokens *tokens, char separator, struct lm_buf *ret)
{
    for (size_t i = 0; i < tokens->len; i++) {
        if (i)
            lm_buf_putc(ret, separator);
        lm_buf_printf(ret, "%u", tokens->ids[i]);
    }
}
