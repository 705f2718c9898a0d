/* Lines: those of a plain file are what a naive split gives; those of any file, put one below the other into
 * a plain one, are the same lines again. */

#include "base/line.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, TEXT_MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory that has a path. */
static int make_file(struct lm_str bytes, char *ret_path, size_t cap)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    LM_ASSERT(fd >= 0);
    for (size_t at = 0; at < bytes.len;) {
        const ssize_t put = write(fd, bytes.ptr + at, bytes.len - at);
        LM_ASSERT(put > 0);
        at += (size_t)put;
    }
    snprintf(ret_path, cap, "/proc/self/fd/%d", fd);
    return fd;
}

/* The lines with LF behind each, as far as TEXT_MAX_BYTES. */
static enum lm_rc read_file(struct lm_str bytes, struct lm_buf *ret)
{
    char path[64];
    const int fd = make_file(bytes, path, sizeof(path));
    struct lm_line_reader *r;
    struct lm_err err = { 0 };
    LM_ASSERT(lm_line_open(path, LINE_MAX_BYTES, &r, &err) == LM_OK);
    struct lm_str line;
    enum lm_rc rc = LM_OK;
    while (ret->len < TEXT_MAX_BYTES && (rc = lm_line_next(r, &line, &err)) == LM_OK) {
        LM_ASSERT(line.len <= LINE_MAX_BYTES);
        lm_buf_add_str(ret, line);
        lm_buf_putc(ret, '\n');
    }
    LM_ASSERT(rc == LM_OK || rc == LM_ENOTHING || err.text[0]);
    LM_ASSERT(lm_line_bytes_read(r) <= bytes.len);
    lm_line_close(r);
    close(fd);
    return rc;
}

static bool is_packed(struct lm_str bytes)
{
    return lm_str_starts(bytes, LM_STR("\x1f\x8b")) || lm_str_starts(bytes, LM_STR("\x28\xb5\x2f\xfd")) ||
           (bytes.len >= 4 && memcmp(bytes.ptr + 1, "\x2a\x4d\x18", 3) == 0 && (bytes.ptr[0] & 0xf0) == 0x50);
}

/* False if a line is too long. */
static bool naive_lines(struct lm_str bytes, struct lm_buf *ret)
{
    struct lm_str rest = bytes, line;
    while (lm_str_split(&rest, '\n', &line)) {
        const bool last = !rest.ptr;
        if (last && line.len == 0)
            break;
        if (!last && line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > LINE_MAX_BYTES)
            return false;
        lm_buf_add_str(ret, line);
        lm_buf_putc(ret, '\n');
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lm_str bytes = { (const char *)data, size };
    struct lm_buf once = { 0 }, other = { 0 };
    if (size > TEXT_MAX_BYTES / 2)
        return 0;
    const enum lm_rc rc = read_file(bytes, &once);
    if (!is_packed(bytes)) {
        const bool fits = naive_lines(bytes, &other);
        LM_ASSERT(rc == (fits ? LM_ENOTHING : LM_ELIMIT));
        LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&other)));
    } else if (rc == LM_ENOTHING && !is_packed(lm_buf_str(&once)) &&
               lm_str_find(lm_buf_str(&once), LM_STR("\r\n")) < 0) {
        LM_ASSERT(read_file(lm_buf_str(&once), &other) == (once.len < TEXT_MAX_BYTES ? LM_ENOTHING : LM_OK));
        LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&other)));
    }
    lm_buf_release(&once);
    lm_buf_release(&other);
    return 0;
}
