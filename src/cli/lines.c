/* cli/lines.c - a command as a filter: lines of standard input to lines of standard output. */

#include "base/line.h"
#include "cli/cli.h"
#include "token/tokenizer.h"

enum lm_rc lm_cli_lines(lm_cli_line *make, void *user, uint64_t *ret_count, struct lm_err *err)
{
    struct lm_line_reader *input = NULL;
    struct lm_buf made = { 0 };
    struct lm_str line;
    uint64_t count = 0;
    LM_TRY(lm_line_open("-", 0, &input, err));
    enum lm_rc rc;
    while ((rc = lm_line_next(input, &line, err)) == LM_OK) {
        lm_buf_reset(&made);
        rc = make(user, line, &made, err);
        if (rc != LM_OK) {
            rc = lm_err_prefix(err, rc, "standard input, line %llu",
                               (unsigned long long)lm_line_number(input));
            break;
        }
        lm_buf_putc(&made, '\n');
        if (fwrite(made.ptr, 1, made.len, stdout) != made.len) {
            rc = lm_fail_errno(err, LM_EIO, "cannot write to standard output");
            break;
        }
        count++;
    }
    lm_buf_release(&made);
    lm_line_close(input);
    if (rc != LM_ENOTHING)
        return rc;
    *ret_count = count;
    return LM_OK;
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
